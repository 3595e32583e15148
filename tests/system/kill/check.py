#!/usr/bin/env python3
"""Judges a kill run from files alone: check.py HISTORY_DIR LOG.jsonl

HISTORY_DIR/*.history.jsonl: what clients did and saw, and when the node was killed. HISTORY_DIR/*.dump.jsonl: index and
hash of log entries, dumped while it was dead. LOG.jsonl: `signet log --json` at the end. It shares no code with clients
or node.

Rules, each breach on a line of its own:
  C1  what was acknowledged is in the log, once, at the acknowledged index                    lost, doubled
  C2  what is in the log was sent, and never refused for good                                 phantom
  C3  a dump never contradicts an earlier one, and the chain of hashes holds                  rewritten
  C4  what was acknowledged before another was sent stands before it                          out of order
  C5  in every lane n = 1, 2, 3… in log order, each naming the link before it                 out of order
  C6  sent again: the same index; another message under a used number: fork, with an event    doubled
  C7  every inbox is delivered whole: positions 1, 2, 3… in log order, none missing, each one message for ever
  C8  a device's cursor never goes back, never beyond what it acknowledged, and nothing behind it is skipped
  C9  a bot answers every message once                                                        bot
Exit code 0, or 1 with the breaches.
"""
import collections
import json
import pathlib
import sys

FINAL = {"fork", "malformed", "badSignature", "notForHere", "revokedKey", "wrongKeyPurpose", "tooLarge"}
GOOD = {"accepted", "duplicate"}


class Report:
    def __init__(self):
        self.breaches = collections.defaultdict(list)
        self.counts = collections.Counter()

    def breach(self, rule, word, text):
        self.breaches[rule].append(text)
        self.counts[word] += 1

    def render(self):
        lines = []
        for rule in sorted(self.breaches):
            found = self.breaches[rule]
            lines += [f"{rule}: {text}" for text in found[:10]]
            if len(found) > 10:
                lines.append(f"{rule}: and {len(found) - 10} more")
        return lines


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines() if line]


class Log:
    """Accepted messages of the final log, in order."""

    def __init__(self, entries, report):
        self.messages = []       # {index, leaf, link, key, author, recipient, n, previous, reply_to}
        self.hashes = {}
        self.forks = set()       # (author, recipient) of fork events
        self.bots = {}           # permalink -> name
        self.committed = []      # bot_committed entries
        before = None
        for entry in entries:
            index = entry["index"]
            if before and (index != before["index"] + 1 or entry["previous"] != before["hash"]):
                report.breach("C3", "rewritten", f"entry {index} does not follow entry {before['index']}")
            before = entry
            self.hashes[index] = entry["hash"]
            for event in entry.get("events", ()):
                if event["kind"] == "fork":
                    self.forks.add((event.get("subject"), event.get("object")))
            body = entry.get("entry") or {}
            if body.get("kind") == "bot_deployed":
                self.bots[body["bot"]] = body["name"]
            if body.get("kind") == "bot_committed" and entry["applied"]:
                self.committed.append(body)
            batch = body.get("batch")
            if batch and entry["applied"]:
                for m in batch["messages"]:
                    if m.get("accepted"):
                        self.messages.append({**m, "index": index, "key": batch["signing_key"]})


def check_acknowledged(history, log, report):
    """C1, C2, C4, C6."""
    where = collections.defaultdict(list)
    for m in log.messages:
        where[m["link"]].append(m["index"])
    for link, indexes in where.items():
        if len(indexes) > 1:
            report.breach("C1", "doubled", f"message {link[:16]} stands at {indexes}")

    batches = {}                                    # root -> messages
    invoked = {}                                    # link -> first t
    acked = {}                                      # link -> (first t, index)
    outcomes = collections.defaultdict(set)         # link -> codes
    sent = collections.defaultdict(set)             # (key, recipient, n) -> links
    for line in history:
        if line["kind"] == "invoke":
            batches[line["root"]] = line["messages"]
            for m in line["messages"]:
                invoked[m["link"]] = min(line["t"], invoked.get(m["link"], line["t"]))
                sent[m["key"], m["recipient"], m["n"]].add(m["link"])
    receipts = {}
    for line in history:
        if line["kind"] == "receipt":
            messages = batches.get(line["root"])
            if messages is None:
                report.breach("C2", "phantom", f"a receipt for batch {line['root'][:16]} that nobody sent")
                continue
            if line["problem"]:
                continue
            if len(line["outcomes"]) != len(messages):
                report.breach("C1", "lost", f"a receipt with {len(line['outcomes'])} outcomes for {len(messages)}")
                continue
            receipts[line["root"]] = line
            for m, outcome in zip(messages, line["outcomes"]):
                link, code, index = m["link"], outcome["code"], outcome["index"]
                outcomes[link].add(code)
                if code not in GOOD:
                    continue
                first = acked.get(link)
                if first and first[1] != index:
                    report.breach("C6", "doubled", f"message {link[:16]} acknowledged at {first[1]} and at {index}")
                if not first or line["t"] < first[0]:
                    acked[link] = (line["t"], index)
                report.counts["acknowledgements"] += 1
    for line in history:
        if line["kind"] == "puback" and line["code"] == 0:
            receipt = receipts.get(line["root"])
            # A PUBACK without its receipt is a promise all the same.
            for m in batches.get(line["root"], ()):
                if not where.get(m["link"]):
                    report.breach("C1", "lost", f"PUBACK 0x00, but message {m['link'][:16]} is not in the log")
            if receipt and any(o["code"] not in GOOD for o in receipt["outcomes"]):
                report.breach("C1", "lost", f"PUBACK 0x00 for batch {line['root'][:16]} that was not accepted whole")
    for link, (t, index) in acked.items():
        if where.get(link) != [index]:
            stands = where.get(link, [])
            if not stands:
                report.breach("C1", "lost", f"message {link[:16]} acknowledged at {index} is not in the log")
            elif index not in stands:
                report.breach("C1", "lost", f"message {link[:16]} acknowledged at {index} stands at {stands}")
    for m in log.messages:
        if m["author"] in log.bots:
            continue
        if m["link"] not in invoked:
            report.breach("C2", "phantom", f"entry {m['index']} holds message {m['link'][:16]} that nobody sent")
        elif outcomes[m["link"]] & FINAL:
            report.breach("C2", "phantom", f"message {m['link'][:16]} was refused for good and stands at {m['index']}")

    # C4: by rising index, nothing may have been sent after a later index was acknowledged.
    latest, by = -1, None
    groups = collections.defaultdict(list)
    for m in log.messages:
        groups[m["index"]].append(m["link"])
    for index in sorted(groups):
        for link in groups[index]:
            if link in acked and acked[link][0] < latest:
                report.breach("C4", "out of order", f"entry {index} was acknowledged before entry {by} was sent")
        for link in groups[index]:
            if invoked.get(link, -1) > latest:
                latest, by = invoked[link], index

    for (key, recipient, n), links in sent.items():
        good = [link for link in links if outcomes[link] & GOOD]
        if len(good) > 1:
            report.breach("C6", "doubled", f"number {n} of a lane was accepted {len(good)} times")
    for line in history:
        if line["kind"] != "receipt" or line["root"] not in batches or line["problem"]:
            continue
        for m, outcome in zip(batches[line["root"]], line["outcomes"]):
            if outcome["code"] == "fork":
                report.counts["forks"] += 1
                if (m["author"], m["recipient"]) not in log.forks:
                    report.breach("C6", "doubled", f"a fork of author {m['author'][:16]} left no security event")
            others = [x for x in sent[m["key"], m["recipient"], m["n"]] if x != m["link"] and x in acked]
            if others and outcome["code"] not in ("fork", "gap"):
                if min(acked[x][0] for x in others) < invoked[m["link"]]:
                    report.breach("C6", "doubled", f"a used number, another message: answered {outcome['code']}")
    report.counts["acknowledged"] = len(acked)
    report.counts["sent"] = len(invoked)


def check_lanes(log, report):
    """C5."""
    heads = {}
    for m in log.messages:
        n, link = heads.get((m["key"], m["recipient"]), (0, None))
        if m["n"] != n + 1 or (m["previous"] or None) != link:
            report.breach("C5", "out of order", f"entry {m['index']}: n {m['n']} follows n {n} of its lane")
        heads[m["key"], m["recipient"]] = (m["n"], m["link"])
    report.counts["lanes"] = len(heads)


def check_dumps(dumps, log, report):
    """C3."""
    seen = dict(log.hashes)
    for name, lines in dumps:
        for line in lines:
            index = line["index"]
            if index not in log.hashes:
                report.breach("C3", "rewritten", f"{name}: entry {index} is gone")
            elif seen[index] != line["hash"]:
                report.breach("C3", "rewritten", f"{name}: entry {index} is another one")
        report.counts["dumps"] += 1


def check_inboxes(history, log, report):
    """C7, C8."""
    inbox = collections.defaultdict(list)
    for m in log.messages:
        inbox[m["recipient"]].append(m)
    devices = {}                                        # device -> recipient
    turns = collections.defaultdict(list)               # (device, turn) -> messages in order
    whole = collections.defaultdict(dict)               # device -> position -> link
    by_device = collections.defaultdict(list)           # device -> history lines
    for line in history:
        if line["kind"] in ("delivery", "cursor", "acknowledged") and "device" in line:
            by_device[line["device"]].append(line)
        if line["kind"] != "delivery":
            continue
        devices[line["device"]] = line["recipient"]
        for m in line["messages"]:
            turns[line["device"], line["turn"]].append(m)
            expected = inbox[line["recipient"]]
            position = m["position"]
            report.counts["deliveries"] += 1
            if not 1 <= position <= len(expected):
                report.breach("C7", "phantom", f"position {position} of an inbox that holds {len(expected)}")
                continue
            stands = expected[position - 1]
            if any(m[field] != stands[field] for field in ("link", "index", "n", "key")):
                report.breach("C7", "out of order", f"position {position} is not the message that the log has there")
            earlier = whole[line["device"]].setdefault(position, m["link"])
            if earlier != m["link"]:
                report.breach("C7", "doubled", f"position {position} was two messages")
    for (device, turn), messages in turns.items():
        positions = [m["position"] for m in messages]
        for a, b in zip(positions, positions[1:]):
            if b == a:
                report.breach("C7", "doubled", f"position {a} twice on one connection")
            elif b != a + 1:
                report.breach("C7", "out of order", f"position {b} after {a} on one connection")
    for device, recipient in devices.items():
        missing = len(inbox[recipient]) - len(whole[device])
        if missing > 0:
            report.breach("C7", "lost", f"{missing} of {len(inbox[recipient])} messages never arrived at {device[:16]}")
    for device, lines in by_device.items():
        cursor, acknowledged, start = 0, 0, None
        last_turn = None
        for line in sorted(lines, key=lambda l: l["t"]):
            if line["kind"] == "cursor":
                if line["position"] < cursor:
                    report.breach("C8", "out of order", f"cursor went back from {cursor} to {line['position']}")
                if line["position"] > acknowledged:
                    report.breach("C8", "lost", f"cursor {line['position']}, but only {acknowledged} acknowledged")
                cursor = max(cursor, line["position"])
            elif line["kind"] == "acknowledged":
                acknowledged = max(acknowledged, line["position"])
            elif line["turn"] != last_turn:
                last_turn, start = line["turn"], line["messages"][0]["position"]
                if start > acknowledged + 1:
                    report.breach("C8", "lost", f"delivery began at {start}, but only {acknowledged} acknowledged")
                if start <= cursor:
                    report.breach("C8", "doubled", f"delivery began at {start}, behind the durable cursor {cursor}")


def check_bots(log, report):
    """C9: every message to a bot has one reply that names it, and inputs are handled without gap."""
    for bot in log.bots:
        inputs = [m["link"] for m in log.messages if m["recipient"] == bot and m["author"] != bot]
        replies = collections.Counter(m.get("reply_to") for m in log.messages if m["author"] == bot)
        for link in inputs:
            if replies[link] == 0:
                report.breach("C9", "lost", f"the bot never answered message {link[:16]}")
            elif replies[link] > 1:
                report.breach("C9", "doubled", f"the bot answered message {link[:16]} {replies[link]} times")
        for link in set(replies) - set(inputs):
            report.breach("C9", "phantom", f"the bot answered {str(link)[:16]}, which nobody sent to it")
        position = 0
        for entry in log.committed:
            if entry["bot"] == bot:
                if entry["from_input"] != position + 1 or entry["input"] < entry["from_input"]:
                    report.breach("C9", "out of order", f"bot input {entry['from_input']} after {position}")
                position = entry["input"]
        report.counts["replies"] += sum(replies.values())


def check_effect(history, report):
    """How many kills hit batches that were sent and not yet acknowledged: a run without any shows nothing."""
    in_flight = collections.Counter()
    for line in sorted(history, key=lambda l: l["t"]):
        if line["kind"] == "invoke":
            in_flight[line["root"]] = 1
        elif line["kind"] == "puback":
            in_flight.pop(line["root"], None)
        elif line["kind"] == "killed":
            report.counts["kills"] += 1
            report.counts["kills in flight"] += bool(in_flight)
    if report.counts["kills"] and not report.counts["kills in flight"]:
        report.breach("effect", "no effect", "no kill hit anything that was under way")


def check(history, dumps, entries):
    """history: lines of all clients; dumps: [(name, lines)]; entries: lines of `signet log --json`. A Report."""
    report = Report()
    log = Log(entries, report)
    check_acknowledged(history, log, report)
    check_lanes(log, report)
    check_dumps(dumps, log, report)
    check_inboxes(history, log, report)
    check_bots(log, report)
    check_effect(history, report)
    for line in history:
        if line["kind"] == "unexpected":
            report.breach("client", "unexpected", line["what"])
    report.counts["entries"] = len(log.hashes)
    return report


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    history = [line for path in sorted(folder.glob("*.history.jsonl")) for line in read_lines(path)]
    dumps = [(path.name, read_lines(path)) for path in sorted(folder.glob("*.dump.jsonl"))]
    report = check(history, dumps, read_lines(pathlib.Path(sys.argv[2])))
    c = report.counts
    for line in report.render():
        print(line)
    print(f"{c['acknowledged']} messages acknowledged of {c['sent']} sent, {c['deliveries']} deliveries, "
          f"{c['replies']} bot replies, {c['forks']} forks refused, {c['entries']} log entries, "
          f"{c['kills in flight']} of {c['kills']} kills with batches in flight: "
          f"{c['lost']} lost, {c['doubled']} doubled, {c['out of order']} out of order, "
          f"{c['phantom']} phantom, {c['rewritten']} rewritten")
    if c["acknowledged"] == 0 or c["deliveries"] == 0:
        print("nothing was acknowledged or delivered: this run shows nothing")
        return 1
    return 1 if report.breaches else 0


if __name__ == "__main__":
    sys.exit(main())
