"""The checker's own tests: one good history passes; each bad one is caught by the rule that names it."""
import copy
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "tools/chaos"))
import check

ALICE, BOB, BOT = "aa" * 32, "bb" * 32, "cc" * 32
KEY, BOT_KEY, DEVICE = "a1" * 32, "c1" * 32, "b1" * 32


def link(number):
    return f"{number:064x}"


def message(recipient, n, number, before, author=ALICE, reply_to=None):
    m = {"accepted": True, "author": author, "recipient": recipient, "n": n, "link": link(number),
         "previous": link(before) if before else None}
    return {**m, "reply_to": reply_to} if reply_to else m


def good():
    """alice sends 1, 2, 3 to bob and 4 to the bot, which answers with 5; bob's device reads with one reconnect."""
    entries, history = [], []

    def entry(body, events=()):
        index = len(entries) + 1
        entries.append({"index": index, "hash": f"h{index}", "previous": f"h{index - 1}" if index > 1 else None,
                        "applied": True, "events": list(events), "entry": body})

    def at(t, kind, **fields):
        history.append({"t": t, "kind": kind, **fields})

    def invoke(t, root, *messages):
        at(t, "invoke", root=root, messages=[{
            "author": m["author"], "key": KEY, "recipient": m["recipient"], "n": m["n"], "link": m["link"],
            "previous": m["previous"] or ""} for m in messages])

    def answer(t, root, *outcomes):
        at(t, "receipt", device=KEY, root=root, problem="", outcomes=[
            {"code": code, "index": index, "expected": 0} for code, index in outcomes])
        at(t + 1, "puback", root=root, code=0 if all(code in check.GOOD for code, _ in outcomes) else 0x83)

    def batch(*messages, key=KEY):
        return {"kind": "batch_accepted", "batch": {"signing_key": key, "messages": list(messages)}}

    def deliver(t, turn, *positions):
        where = {1: (2, 1), 2: (2, 2), 3: (3, 3)}
        at(t, "delivery", device=DEVICE, turn=turn, recipient=BOB, messages=[
            {"position": p, "index": where[p][0], "link": link(where[p][1]), "key": KEY, "n": p} for p in positions])

    one, two, three = message(BOB, 1, 1, 0), message(BOB, 2, 2, 1), message(BOB, 3, 3, 2)
    four = message(BOT, 1, 4, 0)
    fork = message(BOB, 2, 99, 1)
    entry({"kind": "bot_deployed", "bot": BOT, "name": "echo"})
    entry(batch(one, two))
    entry(batch(three))
    entry(batch(four))
    entry({"kind": "bot_committed", "bot": BOT, "from_input": 1, "input": 1, "batch": {
        "signing_key": BOT_KEY, "messages": [message(ALICE, 1, 5, 0, author=BOT, reply_to=link(4))]}})
    entry(batch({**fork, "accepted": False}), [{"kind": "fork", "subject": ALICE, "object": BOB}])
    invoke(10, "r1", one, two)
    answer(20, "r1", ("accepted", 2), ("accepted", 2))
    invoke(30, "r2", three)      # the node dies
    invoke(40, "r2", three)
    answer(50, "r2", ("duplicate", 3))
    invoke(60, "r3", four)
    answer(70, "r3", ("accepted", 4))
    invoke(80, "r4", fork)
    answer(90, "r4", ("fork", 0))
    at(15, "cursor", device=DEVICE, position=0)
    deliver(25, 1, 1, 2)
    at(26, "acknowledged", device=DEVICE, position=2)
    at(45, "cursor", device=DEVICE, position=1)
    deliver(46, 2, 2, 3)
    at(47, "acknowledged", device=DEVICE, position=3)
    at(95, "cursor", device=DEVICE, position=3)
    at(35, "killed", node="a")
    at(36, "exited", node="a", code=-9, expected=[-9])
    at(9, "attached", device=KEY, node="a")
    at(39, "attached", device=KEY, node="b")
    at(31, "scheduled", id=1, name="kill one")
    at(34, "nemesis", id=1, name="kill one", targets=["a"], until=38, effect={"what": "gone", "value": 1, "least": 1})
    at(38, "healed", id=1)
    at(44, "recovered", id=1, limit_s=10)
    at(51, "scheduled", id=2, name="isolate a")
    at(52, "nemesis", id=2, name="isolate a", targets=["a"], until=78, minority=["a"],
       effect={"what": "packets dropped", "value": 17, "least": 1})
    at(79, "healed", id=2)
    at(79, "recovered", id=2, limit_s=10)
    at(22, "applied", node="a", index=3)
    at(92, "applied", node="a", index=6)
    at(93, "usage", node="a", rss_bytes=1 << 20, fds=20, limits={"rss_bytes": 1 << 30, "fds": 1000})
    at(23, "stranger", node="a", bytes=160, packets=["AUTH", "CONNACK"])
    at(94, "finished", device=KEY)
    at(99, "ended")
    dumps = [("0000.dump.jsonl", [{"index": 1, "hash": "h1"}, {"index": 2, "hash": "h2"}])]
    return history, dumps, entries


def messages_of(entries, index):
    return entries[index - 1]["entry"]["batch"]["messages"]


def receipt(history, root):
    return next(line for line in history if line["kind"] == "receipt" and line["root"] == root)


def line_of(history, kind):
    return next(line for line in history if line["kind"] == kind)


def deliveries(history):
    return [line for line in history if line["kind"] == "delivery"]


class Good(unittest.TestCase):
    def test_a_good_history_passes(self):
        report = check.check(*good())
        self.assertEqual(report.render(), [])
        self.assertEqual(report.counts["acknowledged"], 4)
        self.assertEqual(report.counts["forks"], 1)

    def test_what_was_never_answered_may_be_in_the_log_or_not(self):
        for present in (True, False):
            history, dumps, entries = good()
            history[:] = [line for line in history if line["kind"] not in ("ended", "finished")]
            history.append({"t": 92, "kind": "invoke", "root": "r5", "messages": [
                {"author": ALICE, "key": KEY, "recipient": BOT, "n": 2, "link": link(6), "previous": link(4)}]})
            if present:
                for number, body in ((6, message(BOT, 2, 6, 4)), (7, message(ALICE, 2, 7, 5, BOT, link(6)))):
                    bot = number == 7
                    entries.append({"index": number + 1, "hash": f"h{number + 1}", "previous": f"h{number}",
                                    "applied": True, "events": [], "entry": {
                                        "kind": "bot_committed" if bot else "batch_accepted", "bot": BOT,
                                        "from_input": 2, "input": 2,
                                        "batch": {"signing_key": BOT_KEY if bot else KEY, "messages": [body]}}})
            self.assertEqual(check.check(history, dumps, entries).render(), [])


class Bad(unittest.TestCase):
    """Each test spoils the good history in one way."""

    def caught(self, rule, word, history, dumps, entries):
        report = check.check(history, dumps, entries)
        self.assertIn(rule, report.breaches, report.render())
        self.assertGreater(report.counts[word], 0, report.render())

    def spoil(self, rule, word, how):
        history, dumps, entries = copy.deepcopy(good())
        how(history, dumps, entries)
        self.caught(rule, word, history, dumps, entries)

    def test_an_acknowledged_message_is_missing(self):
        self.spoil("C1", "lost", lambda h, d, e: messages_of(e, 3).clear())

    def test_a_message_with_puback_but_no_receipt_is_missing(self):
        def how(h, d, e):
            h.remove(receipt(h, "r2"))
            messages_of(e, 3).clear()
        self.spoil("C1", "lost", how)

    def test_an_acknowledged_message_was_refused_by_apply(self):
        self.spoil("C1", "lost", lambda h, d, e: messages_of(e, 2)[1].update(accepted=False))

    def test_a_message_stands_twice(self):
        self.spoil("C1", "doubled", lambda h, d, e: messages_of(e, 4).append(messages_of(e, 3)[0]))

    def test_a_message_stands_elsewhere_than_acknowledged(self):
        self.spoil("C1", "lost", lambda h, d, e: receipt(h, "r2")["outcomes"][0].update(index=2))

    def test_puback_says_all_accepted_but_the_receipt_does_not(self):
        def how(h, d, e):
            next(l for l in h if l["kind"] == "puback" and l["root"] == "r4")["code"] = 0
        self.spoil("C1", "lost", how)

    def test_a_message_nobody_sent(self):
        self.spoil("C2", "phantom", lambda h, d, e: messages_of(e, 4).append(message(BOT, 2, 77, 4)))

    def test_a_message_refused_for_good_stands(self):
        self.spoil("C2", "phantom", lambda h, d, e: messages_of(e, 6)[0].update(accepted=True))

    def test_an_entry_changed_after_a_dump(self):
        self.spoil("C3", "rewritten", lambda h, d, e: d[0][1][1].update(hash="other"))

    def test_an_entry_of_a_dump_is_gone(self):
        self.spoil("C3", "rewritten", lambda h, d, e: d[0][1].append({"index": 7, "hash": "h7"}))

    def test_an_entry_that_was_never_applied_may_be_replaced(self):
        history, dumps, entries = good()
        dumps[0][1].append({"index": 3, "hash": "another", "applied": False})
        entries.append({"index": 7, "hash": "h7", "previous": "wrong", "applied": False, "events": [], "entry": {
            "kind": "batch_accepted", "batch": {"signing_key": KEY, "messages": [message(BOB, 9, 77, 76)]}}})
        self.assertEqual(check.check(history, dumps, entries).render(), [])

    def test_two_nodes_that_applied_different_entries(self):
        self.spoil("C3", "rewritten", lambda h, d, e: d.append(("b.dump.jsonl", [{"index": 4, "hash": "other"}])))

    def test_a_node_whose_applied_index_goes_back(self):
        self.spoil("C3", "rewritten", lambda h, d, e: h.append({"t": 95, "kind": "applied", "node": "a", "index": 2}))

    def test_two_states_of_one_log(self):
        self.spoil("C3", "rewritten", lambda h, d, e: h.extend(
            {"t": 93, "kind": "applied", "node": node, "index": 6, "state": state} for node, state in ("a1", "b2")))

    def test_a_replaced_store_may_begin_anew(self):
        history, dumps, entries = good()
        history += [{"t": 95, "kind": "reset", "node": "a"}, {"t": 96, "kind": "applied", "node": "a", "index": 1}]
        self.assertEqual(check.check(history, dumps, entries).render(), [])

    def test_the_chain_of_hashes_is_cut(self):
        self.spoil("C3", "rewritten", lambda h, d, e: e[3].update(previous="other"))

    def test_a_later_message_stands_before_an_acknowledged_one(self):
        def how(h, d, e):  # r3 was acknowledged before r2 was sent at all
            for line in h:
                if line.get("root") == "r3":
                    line["t"] -= 48
        self.spoil("C4", "out of order", how)

    def test_a_lane_with_a_gap(self):
        self.spoil("C5", "out of order", lambda h, d, e: messages_of(e, 2).pop(0))

    def test_a_lane_in_wrong_order(self):
        self.spoil("C5", "out of order", lambda h, d, e: messages_of(e, 2).reverse())

    def test_a_message_that_names_another_predecessor(self):
        self.spoil("C5", "out of order", lambda h, d, e: messages_of(e, 3)[0].update(previous=link(1)))

    def test_a_message_acknowledged_at_two_indexes(self):
        def how(h, d, e):
            h.append({**copy.deepcopy(receipt(h, "r1")), "t": 93})
            h[-1]["outcomes"][0]["index"] = 3
        self.spoil("C6", "doubled", how)

    def test_two_messages_accepted_under_one_number(self):
        def how(h, d, e):
            receipt(h, "r4")["outcomes"][0].update(code="accepted", index=6)
            messages_of(e, 6)[0]["accepted"] = True
        self.spoil("C6", "doubled", how)

    def test_a_fork_without_event(self):
        self.spoil("C6", "doubled", lambda h, d, e: e[5]["events"].clear())

    def test_a_fork_answered_with_another_word(self):
        self.spoil("C6", "doubled", lambda h, d, e: receipt(h, "r4")["outcomes"][0].update(code="malformed"))

    def test_an_inbox_row_missing_at_the_end(self):
        self.spoil("C7", "lost", lambda h, d, e: deliveries(h)[1]["messages"].pop())

    def test_an_inbox_position_left_out(self):
        def how(h, d, e):
            deliveries(h)[0]["messages"].pop(0)
        self.spoil("C7", "lost", how)

    def test_an_inbox_in_wrong_order(self):
        self.spoil("C7", "out of order", lambda h, d, e: deliveries(h)[0]["messages"].reverse())

    def test_a_position_twice_on_one_connection(self):
        def how(h, d, e):
            deliveries(h)[0]["messages"].append(deliveries(h)[0]["messages"][-1])
        self.spoil("C7", "doubled", how)

    def test_a_position_that_is_another_message_later(self):
        self.spoil("C7", "doubled", lambda h, d, e: deliveries(h)[1]["messages"][0].update(link=link(3)))

    def test_a_delivery_that_the_log_does_not_hold(self):
        def how(h, d, e):
            deliveries(h)[1]["messages"].append({"position": 4, "index": 6, "link": link(99), "key": KEY, "n": 4})
        self.spoil("C7", "phantom", how)

    def test_a_cursor_that_goes_back(self):
        def how(h, d, e):
            [l for l in h if l["kind"] == "cursor"][2]["position"] = 0
        self.spoil("C8", "out of order", how)

    def test_a_cursor_ahead_of_what_was_acknowledged(self):
        def how(h, d, e):
            [l for l in h if l["kind"] == "cursor"][1]["position"] = 3
        self.spoil("C8", "lost", how)

    def test_a_delivery_that_skips_what_was_not_acknowledged(self):
        def how(h, d, e):
            h[:] = [l for l in h if not (l["kind"] == "acknowledged" and l["position"] == 2)]
            deliveries(h)[1]["messages"].pop(0)
        self.spoil("C8", "lost", how)

    def test_a_bot_that_does_not_answer(self):
        self.spoil("C9", "lost", lambda h, d, e: messages_of(e, 5).clear())

    def test_a_bot_that_answers_twice(self):
        def how(h, d, e):
            messages_of(e, 5).append(message(ALICE, 2, 8, 5, BOT, link(4)))
        self.spoil("C9", "doubled", how)

    def test_a_bot_that_answers_what_nobody_asked(self):
        self.spoil("C9", "phantom", lambda h, d, e: messages_of(e, 5)[0].update(reply_to=link(55)))

    def test_a_bot_input_handled_twice(self):
        def how(h, d, e):
            e.append({"index": 7, "hash": "h7", "previous": "h6", "applied": True, "events": [],
                      "entry": {"kind": "bot_committed", "bot": BOT, "from_input": 1, "input": 1}})
        self.spoil("C9", "out of order", how)

    def test_a_bot_that_gives_up_with_a_dead_letter_passes(self):
        history, dumps, entries = good()
        entries[4]["entry"] = {"kind": "bot_dead_lettered", "bot": BOT, "input": 1, "attempts": 5}
        self.assertEqual(check.check(history, dumps, entries).render(), [])

    def test_a_dead_letter_beside_an_answer(self):
        self.spoil("C9", "doubled", lambda h, d, e: e[4]["entry"].update(kind="bot_dead_lettered"))

    def test_a_dead_letter_that_is_lost(self):
        def how(h, d, e):
            e[4]["entry"] = {"kind": "bot_dead_lettered", "bot": BOT, "input": 1, "attempts": 5}
            e[4]["applied"] = False
        self.spoil("C9", "lost", how)

    def test_a_bot_that_tries_for_ever(self):
        def how(h, d, e):
            for tries in range(1, 7):
                e.append({"index": 6 + tries, "hash": f"h{6 + tries}", "previous": f"h{5 + tries}", "applied": True,
                          "events": [], "entry": {"kind": "bot_attempted", "bot": BOT, "input": 2, "attempt": tries}})
        self.spoil("C9", "doubled", how)

    def test_a_bot_that_handled_more_than_it_got(self):
        self.spoil("C9", "phantom", lambda h, d, e: e[4]["entry"].update(input=2))

    def test_more_bytes_before_login_than_allowed(self):
        self.spoil("C11", "told early", lambda h, d, e: line_of(h, "stranger").update(bytes=513))

    def test_a_delivery_before_login(self):
        self.spoil("C11", "told early", lambda h, d, e: line_of(h, "stranger").update(packets=["AUTH", "PUBLISH"]))

    def test_a_cluster_that_recovers_too_late(self):
        self.spoil("C12", "not alive", lambda h, d, e: line_of(h, "recovered").update(limit_s=1e-9))

    def test_a_cluster_that_never_recovers(self):
        self.spoil("C12", "not alive", lambda h, d, e: h.remove(line_of(h, "recovered")))

    def test_a_node_that_ends_by_itself(self):
        self.spoil("C12", "not alive", lambda h, d, e: h.append(
            {"t": 60, "kind": "exited", "node": "b", "code": 70, "expected": [0]}))

    def test_a_node_that_should_have_fenced_itself_and_did_not(self):
        self.spoil("C12", "not alive", lambda h, d, e: h.append(
            {"t": 60, "kind": "exited", "node": "b", "code": 0, "expected": [72]}))

    def test_a_write_without_majority_that_is_refused_in_time_passes(self):
        history, dumps, entries = good()
        history.append({"t": 60, "kind": "refusal", "node": "b", "ms": 2100, "limit_ms": 4000, "answer": "PUBACK 0x97"})
        self.assertEqual(check.check(history, dumps, entries).render(), [])

    def test_a_write_without_majority_that_is_answered_late_or_never_or_well(self):
        for ms, answer in ((4001, "PUBACK 0x97"), (2000, None), (2000, "accepted")):
            self.spoil("C12", "not alive", lambda h, d, e: h.append(
                {"t": 60, "kind": "refusal", "node": "b", "ms": ms, "limit_ms": 4000, "answer": answer}))

    def test_memory_without_bound(self):
        self.spoil("C12", "not alive", lambda h, d, e: line_of(h, "usage").update(rss_bytes=1 << 31))

    def test_descriptors_without_bound(self):
        self.spoil("C12", "not alive", lambda h, d, e: line_of(h, "usage").update(fds=1001))

    def test_disk_without_bound(self):
        self.spoil("C12", "not alive", lambda h, d, e: line_of(h, "usage").update(
            disk_bytes=11, limits={"disk_bytes": 10}))

    def test_a_client_that_never_got_its_last_answer(self):
        self.spoil("C12", "not alive", lambda h, d, e: h.append(
            {**line_of(h, "invoke"), "t": 98, "root": "r9", "messages": [
                {**line_of(h, "invoke")["messages"][0], "link": link(200), "n": 4}]}))

    def test_a_client_that_never_finished(self):
        self.spoil("C12", "not alive", lambda h, d, e: h.remove(line_of(h, "finished")))

    def test_a_client_that_asks_without_pause(self):
        def how(h, d, e):
            asked = next(l for l in h if l["kind"] == "invoke" and l["root"] == "r2")
            h += [{**asked, "t": asked["t"]} for _ in range(check.AGAIN_PER_SECOND)]
        self.spoil("C12", "not alive", how)

    def test_an_acceptance_on_the_minority_side(self):
        self.spoil("minority", "split", lambda h, d, e: [l for l in h if l["kind"] == "nemesis"][1].update(
            minority=["b"]))

    def test_an_acceptance_of_what_was_sent_before_the_cut_passes(self):
        history, dumps, entries = good()
        cut = [l for l in history if l["kind"] == "nemesis"][1]
        cut.update(minority=["b"], t=61)
        self.assertEqual(check.check(history, dumps, entries).render(), [])

    def test_an_acceptance_that_came_after_the_cut_healed_passes(self):
        history, dumps, entries = good()
        cut = [l for l in history if l["kind"] == "nemesis"][1]
        cut.update(minority=["b"], until=70)
        self.assertEqual(check.check(history, dumps, entries).render(), [])

    def test_an_acceptance_on_the_minority_side_hidden_by_a_shorter_cut(self):
        def how(h, d, e):
            cut = [l for l in h if l["kind"] == "nemesis"][1]
            cut.update(minority=["b"])
            h.append({**cut, "t": 55, "until": 56})
        self.spoil("minority", "split", how)

    def test_a_fault_without_effect(self):
        self.spoil("effect", "no effect", lambda h, d, e: line_of(h, "nemesis")["effect"].update(value=0))

    def test_a_fault_that_was_scheduled_and_never_happened(self):
        self.spoil("effect", "no effect", lambda h, d, e: h.remove(line_of(h, "nemesis")))

    def test_a_commit_of_a_bot_that_was_proposed_again_and_refused_passes(self):
        history, dumps, entries = good()
        again = copy.deepcopy(entries[4]["entry"])
        again["batch"]["messages"][0]["accepted"] = False
        entries.append({"index": 7, "hash": "h7", "previous": "h6", "applied": True, "events": [], "entry": again})
        self.assertEqual(check.check(history, dumps, entries).render(), [])

    def test_kills_that_hit_nothing(self):
        def how(h, d, e):
            next(l for l in h if l["kind"] == "killed")["t"] = 5
        self.spoil("effect", "no effect", how)

    def test_a_client_that_found_something_unexpected(self):
        self.spoil("client", "unexpected", lambda h, d, e: h.append({"t": 1, "kind": "unexpected", "what": "proof"}))


if __name__ == "__main__":
    unittest.main()
