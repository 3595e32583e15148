#!/usr/bin/env python3
"""Judges a run from files alone: check.py HISTORY_DIR LOG.jsonl

HISTORY_DIR/*.history.jsonl: what clients did and saw; what the driver did to the nodes, and what it measured of them.
HISTORY_DIR/NODE*.dump.jsonl: index and hash of log entries of a node, and whether it had applied them. LOG.jsonl:
`signet log --json` of one node at the end. It shares no code with clients or nodes.

Rules, each breach on a line of its own:
  C1  what was acknowledged is in the log, once, at the acknowledged index                    lost, doubled
  C2  what is in the log was sent, and never refused for good                                 phantom
  C3  what a node had applied stands in the final log with that hash, the chain of hashes holds, no node's applied index
      goes back, and equal logs made equal states                                             rewritten
  C4  what was acknowledged before another was sent stands before it                          out of order
  C5  in every lane n = 1, 2, 3… in log order, each naming the link before it                 out of order
  C6  sent again: the same index; another message under a used number: fork, with an event    doubled
  C7  every inbox is delivered whole: positions 1, 2, 3… in log order, none missing, each one message for ever
  C8  a device's cursor never goes back, never beyond what it acknowledged, and nothing behind it is skipped
  C9  a bot answers every message once or gives it up in a dead letter, after at most 5 tries  bot
  C11 before authentication at most 512 bytes leave, in packets that may leave                 told early
  C12 a cluster recovers in time after the last fault, no node ends but as injected, nothing grows without bound, every
      client's last question is answered, and none asks without pause                          not alive
  minority  nothing that was sent to the minority side of a cut was accepted by it             split
  effect    every scheduled fault has a measured effect; some kills hit what was under way     no effect
Exit code 0, or 1 with the breaches.

Lines of the driver (all with "t", monotonic nanoseconds):
  killed {node}                          SIGKILL
  scheduled {id, name}                   a fault was drawn
  nemesis {id, name, until, effect: {what, value, least}, minority?: [nodes]}   it lasted from t to until
  healed {id} … recovered {id, limit_s}  the last fault ended; all nodes were equal and writable again
  exited {node, code, expected: [codes]} a node's process ended; negative: by that signal
  applied {node, index, state?}, reset {node}    seen in a node's status; its store was replaced on purpose
  refusal {node, ms, limit_ms, answer}   how a node without a majority answered a write; null: not at all
  usage {node, NAME: value, limits: {NAME: value}}
  stranger {node, bytes, packets}        what a connection got that never authenticated
  finished {device}, ended {}            a client answered for all it sent; the run was played to its end
"""
import bisect
import collections
import json
import pathlib
import sys

FINAL = {"fork", "malformed", "badSignature", "notForHere", "revokedKey", "wrongKeyPurpose", "tooLarge"}
GOOD = {"accepted", "duplicate"}
BEFORE_LOGIN = {"CONNACK", "DISCONNECT", "AUTH"}
BEFORE_LOGIN_BYTES = 512
TRIES = 5                     # of a bot, for one message
AGAIN_PER_SECOND = 40         # one batch from one client
SECOND = 1_000_000_000


class Report:
    def __init__(self):
        self.breaches = collections.defaultdict(list)
        self.counts = collections.Counter()
        self.nemeses = collections.Counter()   # name -> how many had their effect measured
        self.slowest = 0.0                     # seconds, of all recoveries

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
        self.committed = []      # bot_committed and bot_dead_lettered entries
        self.attempts = collections.Counter()  # (bot, input) -> tries begun
        before = None
        for entry in entries:
            if not entry["applied"]:
                continue         # it may still be replaced by another
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
            if body.get("kind") in ("bot_committed", "bot_dead_lettered"):
                replies = (body.get("batch") or {}).get("messages")
                if not replies or any(m.get("accepted") for m in replies):
                    self.committed.append(body)  # else: proposed again, and refused whole when it was applied
            if body.get("kind") == "bot_attempted":
                self.attempts[body["bot"], body["input"]] += 1
            batch = body.get("batch")
            if batch:
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


def check_dumps(history, dumps, log, report):
    """C3."""
    for name, lines in dumps:
        for line in lines:
            index = line["index"]
            if not line.get("applied", True):
                continue
            if index not in log.hashes:
                report.breach("C3", "rewritten", f"{name}: entry {index} is gone")
            elif log.hashes[index] != line["hash"]:
                report.breach("C3", "rewritten", f"{name}: entry {index} is another one")
        report.counts["dumps"] += 1
    highest, states = {}, {}
    for line in history:
        if line["kind"] == "applied" and line.get("state"):
            first = states.setdefault(line["index"], line)
            if first["state"] != line["state"]:
                report.breach("C3", "rewritten", f"after entry {line['index']} nodes {first['node']} and "
                                                 f"{line['node']} are in different states")
        if line["kind"] == "reset":
            highest.pop(line["node"], None)
        elif line["kind"] == "applied":
            before = highest.get(line["node"], 0)
            if line["index"] < before:
                report.breach("C3", "rewritten", f"node {line['node']} had applied {before} entries, then "
                                                 f"{line['index']}")
            highest[line["node"]] = line["index"]


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
        for line in lines:
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
    """C9: every message to a bot has one reply that names it, or one dead letter; inputs are handled without gap."""
    for bot in log.bots:
        inputs = [m["link"] for m in log.messages if m["recipient"] == bot]
        given_up = set()
        position = 0
        for entry in log.committed:
            if entry["bot"] != bot:
                continue
            first = entry.get("from_input", entry["input"])
            if first != position + 1 or entry["input"] < first:
                report.breach("C9", "out of order", f"bot input {first} after {position}")
            position = entry["input"]
            if entry["kind"] == "bot_dead_lettered" and 1 <= entry["input"] <= len(inputs):
                given_up.add(inputs[entry["input"] - 1])
        if position > len(inputs):
            report.breach("C9", "phantom", f"the bot handled input {position} of {len(inputs)}")
        asked = {m["link"] for m in log.messages if m["recipient"] == bot and m["author"] != bot}
        replies = collections.Counter(m.get("reply_to") for m in log.messages if m["author"] == bot)
        for link in asked:
            if replies[link] == 0 and link not in given_up:
                report.breach("C9", "lost", f"the bot never answered message {link[:16]}")
            elif replies[link] + (link in given_up) > 1:
                report.breach("C9", "doubled", f"the bot answered message {link[:16]} {replies[link]} times"
                              + (" and gave it up" if link in given_up else ""))
        for link in set(replies) - asked:
            report.breach("C9", "phantom", f"the bot answered {str(link)[:16]}, which nobody sent to it")
        report.counts["replies"] += sum(replies.values())
        report.counts["dead letters"] += len(given_up)
    for (bot, number), tries in log.attempts.items():
        if tries > TRIES:
            report.breach("C9", "doubled", f"the bot tried input {number} {tries} times")


def check_strangers(history, report):
    """C11."""
    for line in history:
        if line["kind"] != "stranger":
            continue
        report.counts["strangers"] += 1
        if line["bytes"] > BEFORE_LOGIN_BYTES:
            report.breach("C11", "told early", f"{line['bytes']} bytes left node {line['node']} before authentication")
        for packet in set(line["packets"]) - BEFORE_LOGIN:
            report.breach("C11", "told early", f"a {packet} left node {line['node']} before authentication")


def check_life(history, report):
    """C12."""
    waiting = {}                                     # id of a fault -> when it was healed
    asked = collections.defaultdict(list)            # (key, root) -> times
    owner, open_roots, finished = {}, set(), set()
    played = False
    for line in history:
        kind = line["kind"]
        if kind == "healed":
            waiting[line["id"]] = line["t"]
        elif kind == "recovered":
            took = (line["t"] - waiting.pop(line["id"], line["t"])) / SECOND
            report.counts["recoveries"] += 1
            report.slowest = max(report.slowest, took)
            if took > line["limit_s"]:
                report.breach("C12", "not alive", f"{took:.1f} s until all nodes were equal and writable after fault "
                                                  f"{line['id']}")
        elif kind == "exited":
            if line["code"] not in line["expected"]:
                report.breach("C12", "not alive", f"node {line['node']} ended with {line['code']}, expected "
                                                  f"{line['expected']}")
        elif kind == "refusal":
            if line["answer"] in (None, "accepted") or line["ms"] > line["limit_ms"]:
                report.breach("C12", "not alive", f"node {line['node']}, without a majority, answered a write with "
                                                  f"{line['answer']} after {line['ms']} ms")
            report.counts["refusals"] += 1
        elif kind == "usage":
            for name, limit in line["limits"].items():
                if line[name] > limit:
                    report.breach("C12", "not alive", f"node {line['node']}: {name} is {line[name]}, the limit {limit}")
        elif kind == "invoke":
            key = line["messages"][0]["key"]
            asked[key, line["root"]].append(line["t"])
            owner[line["root"]] = key
            open_roots.add(line["root"])
        elif kind == "puback":
            open_roots.discard(line["root"])
        elif kind == "finished":
            finished.add(line["device"])
        elif kind == "ended":
            played = True
    for id in waiting:
        report.breach("C12", "not alive", f"the cluster never recovered after fault {id}")
    for (key, root), times in asked.items():
        for first, last in zip(times, times[AGAIN_PER_SECOND:]):
            if last - first < SECOND:
                report.breach("C12", "not alive", f"batch {root[:16]} was sent {AGAIN_PER_SECOND} times in a second")
                break
    for root in open_roots:
        if played or owner[root] in finished:
            report.breach("C12", "not alive", f"batch {root[:16]} was never answered")
    if played:
        for key in set(owner.values()) - finished:
            report.breach("C12", "not alive", f"client {key[:16]} never finished")


def check_minority(history, report):
    """What was sent to the minority side of a cut, while it was cut, was not accepted there."""
    cuts = collections.defaultdict(list)             # node -> [(from, latest end of those that began by then)]
    for line in history:
        if line["kind"] == "nemesis":
            for node in line.get("minority", ()):
                before = cuts[node][-1][1] if cuts[node] else 0
                cuts[node].append((line["t"], max(before, line["until"])))
    where = {}                                       # device -> node it is attached to
    sent = collections.defaultdict(dict)             # device -> root -> (t, node), on this connection
    for line in history:
        if line["kind"] == "attached":
            where[line["device"]] = line.get("node")
            sent.pop(line["device"], None)
        elif line["kind"] == "invoke":
            device = line["messages"][0]["key"]
            sent[device][line["root"]] = (line["t"], where.get(device))
        elif line["kind"] == "receipt" and not line["problem"]:
            t, node = sent[line.get("device")].get(line["root"], (0, None))
            at = bisect.bisect_right(cuts.get(node, ()), (t, float("inf"))) - 1
            if at < 0 or not any(outcome["code"] == "accepted" for outcome in line["outcomes"]):
                continue
            if line["t"] < cuts[node][at][1]:
                report.breach("minority", "split", f"node {node}, cut off from the majority, accepted batch "
                                                   f"{line['root'][:16]}")


def check_effect(history, report):
    """Faults without a measured effect show nothing; so do kills that never hit a batch sent and not yet answered."""
    in_flight = set()
    scheduled, proved = {}, set()
    for line in history:
        kind = line["kind"]
        if kind == "invoke":
            in_flight.add(line["root"])
        elif kind == "puback":
            in_flight.discard(line["root"])
        elif kind == "killed":
            report.counts["kills"] += 1
            report.counts["kills in flight"] += bool(in_flight)
        elif kind == "scheduled":
            scheduled[line["id"]] = line["name"]
        elif kind == "nemesis":
            effect = line["effect"]
            proved.add(line["id"])
            report.nemeses[line["name"]] += 1
            if effect["value"] < effect["least"]:
                report.breach("effect", "no effect", f"{line['name']} {line['id']}: {effect['what']} is "
                                                     f"{effect['value']}, at least {effect['least']} was expected")
    for id in set(scheduled) - proved:
        report.breach("effect", "no effect", f"{scheduled[id]} {id} was scheduled and never shown to have happened")
    if report.counts["kills"] and not report.counts["kills in flight"]:
        report.breach("effect", "no effect", "no kill hit anything that was under way")


def check(history, dumps, entries):
    """history: lines of all clients; dumps: [(name, lines)]; entries: lines of `signet log --json`. A Report."""
    report = Report()
    history = sorted(history, key=lambda line: line["t"])
    log = Log(entries, report)
    check_acknowledged(history, log, report)
    check_lanes(log, report)
    check_dumps(history, dumps, log, report)
    check_inboxes(history, log, report)
    check_bots(log, report)
    check_strangers(history, report)
    check_life(history, report)
    check_minority(history, report)
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
    if report.nemeses:
        print("faults with effect: " + ", ".join(f"{name} {count}" for name, count in sorted(report.nemeses.items()))
              + f"; slowest recovery {report.slowest:.1f} s of {c['recoveries']}")
    if c["acknowledged"] == 0 or c["deliveries"] == 0:
        print("nothing was acknowledged or delivered: this run shows nothing")
        return 1
    return 1 if report.breaches else 0


if __name__ == "__main__":
    sys.exit(main())
