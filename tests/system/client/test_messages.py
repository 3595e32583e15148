"""Sending: docs/protocol.md sections 3, 6.3, 7, 8. What becomes of every message of a batch, and who receives what."""
import random
import struct
import time
import unittest

from world import World
from signet_client import capnp, envelope, mqtt
from signet_client.client import ACK, IDENTITY, INBOX, OUTBOX, RECEIPTS, SESSION
from signet_client.envelope import Batch, Identity


def codes(receipt):
    return [outcome["code"] for outcome in receipt["outcomes"]]


class Batches(World):
    def setUp(self):
        self.alice, self.bob = self.person(devices=2), self.person(devices=2)
        self.sender = self.attach(self.alice)
        self.key = self.alice.devices[0]

    def send(self, bodies, key=None, **options):
        batch = Batch(key or self.key, bodies, **options)
        receipt, ack = self.sender.send(batch)
        if receipt["problem"] == "":
            self.assertEqual(receipt["root"], batch.root)
            self.assertEqual([o["link"] for o in receipt["outcomes"]], batch.links)
        return receipt, ack

    def test_what_alice_sends_bob_receives_in_order_with_proofs(self):
        lane = self.sender.lane(self.bob.permalink)
        texts = [f"message {i}" for i in range(70)]
        index = 0
        for part in (texts[:1], texts[1:65], texts[65:]):
            receipt, ack = self.send([lane.next(text.encode()) for text in part])
            self.assertEqual(set(codes(receipt)), {"accepted"})
            self.assertEqual(ack["code"], 0)
            self.assertGreater(receipt["outcomes"][0]["index"], index)
            index = receipt["outcomes"][0]["index"]
        got = self.attach(self.bob).messages(70)
        self.assertEqual([m["content"].decode() for m in got], texts)
        self.assertEqual([m["position"] for m in got], list(range(1, 71)))
        self.assertEqual([m["n"] for m in got], list(range(1, 71)))
        for before, after in zip(got, got[1:]):
            self.assertEqual(after["previous"], before["link"])

    def test_every_device_receives_everything_at_its_own_pace(self):
        lane = self.sender.lane(self.bob.permalink)
        phone = self.attach(self.bob, 0)
        self.send([lane.next(b"one"), lane.next(b"two")])
        self.assertEqual(self.contents(phone, 2), ["one", "two"])
        phone.disconnect()
        self.send([lane.next(b"three")])
        laptop = self.attach(self.bob, 1)
        self.assertEqual(self.contents(laptop, 3), ["one", "two", "three"])
        phone = self.attach(self.bob, 0)
        self.assertEqual(self.contents(phone, 1), ["three"])

    def test_two_devices_of_the_author_have_lanes_of_their_own(self):
        other = self.attach(self.alice, 1)
        one, two = self.sender.lane(self.bob.permalink), other.lane(self.bob.permalink)
        self.assertEqual(codes(self.send([one.next(b"a1")])[0]), ["accepted"])
        self.assertEqual(codes(other.send(Batch(self.alice.devices[1], [two.next(b"b1")]))[0]), ["accepted"])
        # One device may carry what the other signed.
        self.assertEqual(codes(self.send([two.next(b"b2")], key=self.alice.devices[1])[0]), ["accepted"])
        self.assertEqual(self.contents(self.attach(self.bob), 3), ["a1", "b1", "b2"])

    def test_the_same_bytes_again_stand_at_the_same_index(self):
        lane = self.sender.lane(self.bob.permalink)
        bodies = [lane.next(b"x"), lane.next(b"y")]
        first, _ = self.send(bodies)
        for _ in range(3):
            again, ack = self.send(bodies)
            self.assertEqual(codes(again), ["duplicate"] * 2)
            self.assertEqual([o["index"] for o in again["outcomes"]], [o["index"] for o in first["outcomes"]])
            self.assertEqual(ack["code"], 0)
        self.node.kill()
        self.node.start()
        self.sender = self.attach(self.alice)
        again, _ = self.send(bodies)
        self.assertEqual([o["index"] for o in again["outcomes"]], [o["index"] for o in first["outcomes"]])
        self.assertEqual(self.contents(self.attach(self.bob), 2), ["x", "y"])

    def test_numbers_out_of_turn_are_gaps_and_the_connection_goes_on(self):
        lane = self.sender.lane(self.bob.permalink)
        bodies = [lane.next(f"{n}".encode()) for n in (1, 2, 3)]
        seen = [self.send([bodies[i]])[0]["outcomes"][0] for i in (0, 2, 1, 2)]
        self.assertEqual([o["code"] for o in seen], ["accepted", "gap", "accepted", "accepted"])
        self.assertEqual(seen[1]["expected"], 2)
        self.assertEqual(self.contents(self.attach(self.bob), 3), ["1", "2", "3"])

    def test_quality_0_is_receipted_without_puback(self):
        lane = self.sender.lane(self.bob.permalink)
        batch = Batch(self.key, [lane.next(b"quality 0")])
        seen = dict(self.sender.pubacks)
        self.sender.publish(OUTBOX, batch.serialised, qos=0)
        self.sender.pump(lambda: self.sender.receipts)
        self.assertEqual(codes(self.sender.receipts[0]), ["accepted"])
        self.sender.drain(0.2)
        self.assertEqual(self.sender.pubacks, seen)
        self.assertEqual(self.contents(self.attach(self.bob), 1), ["quality 0"])

    def test_many_publishes_under_way_are_answered_in_order(self):
        lane = self.sender.lane(self.bob.permalink)
        batches = [Batch(self.key, [lane.next(b"%d" % i)]) for i in range(200)]
        self.sender.pubacks.clear()
        ids = [self.sender.publish(OUTBOX, batch.serialised) for batch in batches]
        self.sender.pump(lambda: len(self.sender.pubacks) == 200, 60)
        self.assertEqual(list(self.sender.pubacks), ids)
        self.assertEqual({ack["code"] for ack in self.sender.pubacks.values()}, {0})
        self.assertEqual([r["root"] for r in self.sender.receipts], [batch.root for batch in batches])
        self.assertEqual([m["n"] for m in self.attach(self.bob).messages(200)], list(range(1, 201)))

    def test_times_order_nothing(self):
        lane = self.sender.lane(self.bob.permalink)
        receipt, _ = self.send([lane.next(b"t", time_ms=10_000 - i // 2) for i in range(40)])
        self.assertEqual(set(codes(receipt)), {"accepted"})

    def test_a_batch_of_1024_is_taken_and_one_of_1025_is_not(self):
        lane = self.sender.lane(self.bob.permalink)
        bodies = [lane.next(b"%d" % i) for i in range(1025)]
        receipt, ack = self.send(bodies)
        self.assertIn(receipt["problem"], ("too_large", "malformed"))
        self.assertEqual(ack["code"], 0x83)
        self.assertEqual(set(codes(self.send(bodies[:1024])[0])), {"accepted"})
        self.assertEqual(len(self.attach(self.bob).messages(1024)), 1024)

    def test_a_body_at_the_limit_is_taken_and_delivered_and_one_above_is_not(self):
        lane = self.sender.lane(self.bob.permalink)
        small = len(envelope.make_body(lane.cluster, lane.author, lane.recipient, 1, b"", b"x" * 8)[0]) - 8
        just = lane.next(b"x" * (196_608 - small))
        self.assertEqual(len(just), 196_608)
        over, _ = envelope.make_body(lane.cluster, lane.author, lane.recipient, 2, lane.link, b"x" * 196_608)
        receipt, ack = self.send([just, over])
        self.assertEqual(codes(receipt), ["accepted", "tooLarge"])
        self.assertEqual(ack["code"], 0x83)
        self.assertEqual(len(self.attach(self.bob).messages(1)[0]["content"]), 196_608 - small)


class Partial(World):
    """500 messages to bob, carol and dave in turn, with faults at chosen places: the outcome of every single one."""

    def setUp(self):
        self.alice = self.person()
        self.readers = [self.person() for _ in range(3)]
        self.sender = self.attach(self.alice)
        self.key = self.alice.devices[0]
        self.stranger = Identity()   # never published
        self.mallory = self.person()

    def plan(self, faults):
        """faults: {place: kind}. Returns (bodies, [(code, expected n or None)])."""
        lanes = [self.sender.lane(person.permalink) for person in self.readers]
        standing = [0, 0, 0]        # what the node will have accepted in each lane
        stopped = [False] * 3
        bodies, outcomes = [], []

        def body(lane, n, previous, **other):
            fields = dict(cluster=lane.cluster, author=lane.author, recipient=lane.recipient)
            return envelope.make_body(**{**fields, **other}, n=n, previous=previous, content=b"fault")[0]
        for i in range(500):
            lane, which, fault = lanes[i % 3], i % 3, faults.get(i)
            if fault == "gap":         # one number is left out; what follows goes on behind the hole
                lane.next(b"never sent")
                bodies.append(lane.next(b"%d" % i))
                outcomes.append(("gap", standing[which] + 1))
                stopped[which] = True
            elif fault == "fork":      # a number that is used, with other content
                bodies.append(body(lane, 1, b""))
                outcomes.append(("fork", standing[which] + 1))
                stopped[which] = True
            elif fault == "fork previous":  # the next number, but behind another message
                bodies.append(body(lane, lane.n + 1, b"\x07" * 32))
                outcomes.append(("fork", standing[which] + 1))
                stopped[which] = True
            elif fault == "unknown":
                bodies.append(body(lane, 1, b"", recipient=self.stranger.permalink))
                outcomes.append(("notForHere", None))
            elif fault == "cluster":
                bodies.append(body(lane, lane.n + 1, lane.link, cluster=b"\x0c" * 16))
                outcomes.append(("notForHere", None))  # of a lane that lives elsewhere: it stops none here
            elif fault == "author":
                bodies.append(body(lane, 1, b"", author=self.mallory.permalink))
                outcomes.append(("badSignature", None))
            elif fault == "malformed":
                bodies.append(b"\0" * 8)
                outcomes.append(("malformed", None))
            else:
                bodies.append(lane.next(b"%d" % i))
                if stopped[which]:
                    outcomes.append(("gap", standing[which] + 1))
                else:
                    standing[which] += 1
                    outcomes.append(("accepted", None))
        return bodies, outcomes

    def judge(self, faults):
        bodies, planned = self.plan(faults)
        receipt, ack = self.sender.send(Batch(self.key, bodies))
        self.assertEqual(receipt["problem"], "")
        got = [(o["code"], o["expected"] if o["code"] in ("gap", "fork") else None) for o in receipt["outcomes"]]
        for i, (is_, should) in enumerate(zip(got, planned)):
            self.assertEqual(is_, should, f"message {i} of {faults}")
        self.assertEqual(len(got), 500)
        good = [code for code, _ in planned] == ["accepted"] * 500
        self.assertEqual(ack["code"], 0 if good else 0x83)
        self.assertEqual(len({o["index"] for o in receipt["outcomes"] if o["code"] == "accepted"}), 1)
        for which, person in enumerate(self.readers):
            expected = [b"%d" % i for i in range(which, 500, 3) if planned[i][0] == "accepted"]
            reader = self.attach(person)
            got = reader.messages(len(expected))
            self.assertEqual([m["content"] for m in got], expected)
            self.assertEqual([m["leaf"] for m in got], [int(text) for text in expected])
            self.assertTrue(all(m["leaf_count"] == 500 for m in got))
            reader.drain(0.2)
            self.assertEqual(reader.messages(), [])

    def events_of_alice(self, kind):
        """Waits for them: what is not an entry's own effect is counted for up to a second before it is written."""
        deadline = time.monotonic() + 20
        while True:
            found = [e for e in self.node.events(kind) if e["subject"] == self.alice.permalink.hex()]
            if found or time.monotonic() > deadline:
                return found
            time.sleep(0.2)

    def test_without_fault_all_are_accepted(self):
        self.judge({})

    def test_one_gap(self):
        self.judge({250: "gap"})
        self.assertEqual(len(self.events_of_alice("gap")), 1)

    def test_one_fork(self):
        self.judge({250: "fork"})
        (event,) = self.events_of_alice("fork")
        self.assertEqual(event["object"], self.readers[250 % 3].permalink.hex())

    def test_one_fork_by_its_previous_link(self):
        self.judge({250: "fork previous"})

    def test_one_unknown_recipient(self):
        self.judge({250: "unknown"})

    def test_one_message_of_another_cluster(self):
        self.judge({250: "cluster"})

    def test_one_message_under_a_foreign_name(self):
        self.judge({250: "author"})

    def test_one_malformed_message_hides_no_lane(self):
        # Nobody can say which lane it belongs to, so it stops none.
        self.judge({250: "malformed"})

    def test_all_faults_together(self):
        self.judge({100: "gap", 200: "unknown", 251: "fork", 300: "author", 333: "malformed", 380: "unknown"})

    def test_faults_at_both_ends(self):
        self.judge({0: "unknown", 1: "author", 2: "malformed", 497: "gap", 498: "fork", 499: "cluster"})

    def test_one_bad_signature_refuses_the_whole_batch(self):
        bodies, _ = self.plan({})
        for tamper in (lambda f: f.update(signature=bytes([f["signature"][0] ^ 1]) + f["signature"][1:]),
                       lambda f: f.update(signature=self.key.sign("leaf", b"")),
                       lambda f: f["bodies"].__setitem__(250, f["bodies"][251]),
                       lambda f: f["bodies"].pop()):
            receipt, ack = self.sender.send(Batch(self.key, list(bodies), tamper=tamper))
            self.assertEqual((receipt["problem"], receipt["outcomes"]), ("bad_signature", []))
            self.assertEqual((ack["code"], ack["props"].get("reason")), (0x83, "bad_signature"))
        self.assertGreaterEqual(len(self.events_of_alice("bad_signature")), 1)
        # All faults and a bad signature: still nothing but the refusal, and the lanes are untouched.
        faulty, _ = self.plan({100: "gap", 200: "unknown", 251: "fork"})
        receipt, _ = self.sender.send(Batch(self.key, faulty, tamper=lambda f: f.update(signature=bytes(64))))
        self.assertEqual(receipt["problem"], "bad_signature")
        self.judge({})


class Authors(World):
    def setUp(self):
        self.alice, self.bob = self.person(devices=2), self.person()

    def test_nobody_delivers_what_another_signed(self):
        bob = self.attach(self.bob)
        lane = envelope.Lane(bob.cluster, self.alice.permalink, self.bob.permalink)
        receipt, ack = bob.send(Batch(self.alice.devices[0], [lane.next(b"from alice?")]))
        self.assertEqual((receipt["problem"], receipt["outcomes"]), ("not_authorized", []))
        self.assertEqual(ack["code"], 0x83)

    def test_an_update_key_does_not_sign_batches(self):
        alice = self.attach(self.alice)
        lane = alice.lane(self.bob.permalink)
        receipt, ack = alice.send(Batch(self.alice.update, [lane.next(b"x")]))
        self.assertEqual(codes(receipt), ["wrongKeyPurpose"])
        self.assertEqual(ack["code"], 0x83)

    def test_a_key_nobody_knows_does_not_sign_batches(self):
        alice = self.attach(self.alice)
        receipt, _ = alice.send(Batch(envelope.SigningKey(), [alice.lane(self.bob.permalink).next(b"x")]))
        self.assertEqual(receipt["problem"], "not_authorized")

    def test_a_rotated_key_is_revoked_and_its_session_ends(self):
        old = self.attach(self.alice, 0)
        keeper = self.attach(self.alice, 1)
        lane = old.lane(self.bob.permalink)
        self.assertEqual(codes(old.send(Batch(old.key, [lane.next(b"before")]))[0]), ["accepted"])
        lost = self.alice.devices[0]
        version = self.alice.next_version(devices=[self.alice.devices[1]])
        answer, ack = keeper.ask_identity(publish=version)
        self.assertEqual((answer["code"], ack["code"]), ("ok", 0))
        self.assertEqual(len(answer["versions"]), 2)
        envelope.check_chain(self.alice.permalink, answer["versions"])
        with self.assertRaises(mqtt.Closed):
            old.pump()
        self.assertEqual(old.notices[-1].get("closing"), "revoked_key")
        self.assertEqual(old.disconnect_code, 0x87)
        receipt, _ = keeper.send(Batch(lost, [lane.next(b"after")]))
        self.assertEqual(codes(receipt), ["revokedKey"])
        # What it signed before stays valid, for a reader who looks the chain up now.
        self.assertEqual(self.contents(self.attach(self.bob), 1), ["before"])


class Topics(World):
    def test_only_the_roles_can_be_subscribed(self):
        client = self.attach(self.person(), topics=())
        bad = {"#": 0xA2, "+/v1/inbox": 0xA2, "signet/v1/#": 0xA2, "signet/v1/inbox/x": 0x87, "signet/v1/outbox": 0x87,
               "signet/v1/ack": 0x87, "$SYS/x": 0x87, "Signet/v1/inbox": 0x87, "$share/g/signet/v1/inbox": 0x9E}
        for name, code in bad.items():
            self.assertEqual(client.subscribe([name]), [code], name)
        self.assertEqual(client.subscribe([RECEIPTS, "other", INBOX, "#"]), [1, 0x87, 1, 0xA2])
        self.assertEqual(client.subscribe([SESSION], qos=2), [1])

    def test_publishing_elsewhere_is_refused(self):
        client = self.attach(self.person())
        for topic in ("other", INBOX, RECEIPTS, "signet/v1/outbox/x"):
            self.assertEqual(client.request(topic, b"x")["code"], 0x87, topic)
        client.publish("other", b"x", qos=0)
        with self.assertRaises(mqtt.Closed):
            client.pump()
        self.assertEqual(client.disconnect_code, 0x87)

    def test_payloads_that_cannot_be_read_are_refused_and_the_connection_goes_on(self):
        client = self.attach(self.person())
        draw = random.Random(5)
        for topic in (SESSION, ACK, IDENTITY, OUTBOX):
            for payload in (b"", b"\0" * 7, b"\1" + b"\0" * 31, draw.randbytes(64),
                            struct.pack("<II", 0, 1 << 28) + b"\0" * 8, struct.pack("<IIQ", 0, 1, 0xFFFFFFFFFFFFFFFF)):
                code = client.request(topic, payload)["code"]
                self.assertIn(code, (0x83, 0x99), (topic, payload))
        self.assertEqual({r["problem"] for r in client.receipts}, {"malformed"})
        self.assertEqual(client.cursor(), 0)

    def test_qos_2_and_retain_close_the_connection(self):
        for options, code in ((dict(qos=2), 0x9B), (dict(retain=True), 0x9A)):
            client = self.attach(self.person())
            client.connection.send(mqtt.publish(5, OUTBOX, b"x", **{"qos": 1, "packet_id": 1, **options}))
            with self.assertRaises(mqtt.Closed):
                client.pump()
            self.assertEqual(client.disconnect_code, code)


if __name__ == "__main__":
    unittest.main()
