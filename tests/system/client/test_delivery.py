"""Receiving: docs/protocol.md sections 9 and 10: cursors, acknowledgements, positions, references, packet sizes."""
import unittest

from world import World
from signet_client import envelope, mqtt
from signet_client.client import ACK, IDENTITY, INBOX, OUTBOX, RECEIPTS, ROLES, SESSION
from signet_client.envelope import Batch, Identity


class Deliveries(World):
    def setUp(self):
        self.bob = self.person()
        self.sender = self.attach(self.person())
        self.lane = self.sender.lane(self.bob.permalink)

    def send(self, *texts):
        receipt, _ = self.sender.send(Batch(self.sender.key, [self.lane.next(text.encode()) for text in texts]))
        self.assertEqual({o["code"] for o in receipt["outcomes"]}, {"accepted"})

    def test_without_acknowledgement_everything_comes_again(self):
        self.send("1", "2", "3")
        for _ in range(3):
            reader = self.attach(self.bob, auto_ack=False)
            self.assertEqual(self.contents(reader, 3), ["1", "2", "3"])
            reader.close()

    def test_puback_moves_the_cursor_for_the_next_connection(self):
        for round in range(5):
            self.send(f"a{round}", f"b{round}")
            reader = self.attach(self.bob)
            self.assertEqual(self.contents(reader, 2), [f"a{round}", f"b{round}"])
            reader.disconnect() if round % 2 else reader.close()

    def test_a_puback_out_of_order_waits_for_those_before_it(self):
        reader = self.attach(self.bob, auto_ack=False)
        for text in "123":
            self.send(text)
            reader.pump(lambda: len(reader.deliveries) == int(text))
        ids = [delivery["id"] for delivery in reader.deliveries]
        for packet_id in (ids[2], ids[1]):
            reader.connection.send(mqtt.puback(packet_id))
        reader.drain(0.3)
        reader.close()
        reader = self.attach(self.bob)
        self.assertEqual(self.contents(reader, 3), ["1", "2", "3"])

    def test_explicit_acknowledgements_only(self):
        self.send("1", "2", "3")
        reader = self.attach(self.bob, topics=(SESSION, IDENTITY))
        self.assertEqual(reader.ask(explicitAcks=True)["code"], 0)
        reader.subscribe([INBOX])
        self.assertEqual(self.contents(reader, 3), ["1", "2", "3"])  # PUBACK was sent and moves nothing
        reader.drain(0.2)
        self.assertEqual(reader.cursor(), 0)
        self.assertEqual(reader.acknowledge(2)["code"], 0)
        self.assertEqual(reader.acknowledge(1)["code"], 0)           # smaller: changes nothing
        self.assertEqual(reader.acknowledge(4)["code"], 0x83)        # beyond the end
        self.assertEqual(reader.notices[-1].get("refused"), "not_found")
        reader.disconnect()
        reader = self.attach(self.bob)
        self.assertEqual(self.contents(reader, 1), ["3"])

    def test_quality_0_moves_the_cursor_by_ack_only(self):
        self.send("1", "2")
        reader = self.attach(self.bob, topics=(SESSION, IDENTITY))
        reader.subscribe([INBOX], qos=0)
        self.assertEqual(self.contents(reader, 2), ["1", "2"])
        reader.acknowledge(1)
        reader.disconnect()
        self.assertEqual(self.contents(self.attach(self.bob), 1), ["2"])

    def test_deliver_from_an_earlier_position(self):
        self.send(*"123456")
        reader = self.attach(self.bob)
        self.assertEqual(len(reader.messages(6)), 6)
        for position, expected in ((3, "3456"), (1, "123456"), (6, "6")):
            self.assertEqual(reader.ask(deliverFrom=position)["code"], 0)
            got = reader.messages(len(expected))
            self.assertEqual("".join(m["content"].decode() for m in got), expected)
            self.assertEqual(got[0]["position"], position)
        self.assertEqual(reader.ask(deliverFrom=7)["code"], 0)        # end + 1: nothing, then what is new
        self.send("7")
        self.assertEqual(self.contents(reader, 1), ["7"])
        for position in (0, 9, 2**64 - 1):
            self.assertEqual(reader.ask(deliverFrom=position)["code"], 0x83)
            self.assertEqual(reader.notices[-1].get("refused"), "not_found")

    def test_no_packet_is_larger_than_the_client_takes_and_large_messages_are_references(self):
        small = [f"{i:03}" + "x" * 300 for i in range(40)]
        self.send(*small[:20])
        self.send("L" * 20_000)
        self.send(*small[20:])
        reader = self.attach(self.bob, login=dict(maximum_packet_size=8192))
        got = reader.messages(41)
        self.assertLessEqual(max(reader.connection.sizes), 8192)
        self.assertLess(len(reader.connection.sizes), 41)
        self.assertEqual([m["position"] for m in got], list(range(1, 42)))
        reference = got.pop(20)
        self.assertEqual((reference["reference"], reference["position"]), (True, 21))
        self.assertGreater(reference["sizeBytes"], 20_000)
        self.assertEqual([m["content"].decode() for m in got], small)
        reader.disconnect()
        wide = self.attach(self.bob, client_id="wide")
        wide.ask(deliverFrom=21)
        again = wide.messages(21)[0]
        self.assertEqual((again["content"], again["link"]), (b"L" * 20_000, reference["link"]))

    def test_receive_maximum_of_the_client_is_kept(self):
        reader = self.attach(self.bob, login=dict(receive_maximum=2), auto_ack=False)
        for i in range(6):
            self.send(str(i))
        reader.drain(0.5)
        self.assertEqual(len(reader.deliveries), 2)
        got = []
        while len(got) < 6:
            self.assertLessEqual(len(reader.deliveries), 2)  # all that came since the last were answered
            unanswered = [delivery["id"] for delivery in reader.deliveries]
            got += reader.messages()
            for packet_id in unanswered:
                reader.connection.send(mqtt.puback(packet_id))
            reader.drain(0.2)
        self.assertEqual([m["content"] for m in got], [b"%d" % i for i in range(6)])

    def test_session_state_survives_the_connection_and_deliveries_come_again_with_dup(self):
        first = self.attach(self.bob, client_id="kept", login=dict(clean=True, session_expiry=600), auto_ack=False)
        self.send("1")
        first.pump(lambda: first.deliveries)
        kept = first.deliveries[0]
        first.close()
        again = self.client(self.bob, client_id="kept", auto_ack=False)
        self.assertTrue(again.login(clean=False, session_expiry=600)["session_present"])
        again.pump(lambda: again.deliveries)
        delivery = again.deliveries[0]
        self.assertEqual((delivery["dup"], delivery["id"], delivery["payload"]), (True, kept["id"], kept["payload"]))

    def test_a_restart_of_the_node_loses_no_message(self):
        self.send("1", "2")
        reader = self.attach(self.bob, client_id="kept", login=dict(session_expiry=600))
        self.assertEqual(self.contents(reader, 2), ["1", "2"])
        reader.cursor()
        self.node.stop()
        self.node.start()
        self.sender = self.attach(self.sender.identity)
        self.send("3")
        reader = self.client(self.bob, client_id="kept")
        self.assertFalse(reader.login(clean=False, session_expiry=600)["session_present"])
        reader.subscribe(ROLES)
        self.assertEqual(self.contents(reader, 1), ["3"])

    def test_3_1_1_sends_and_receives(self):
        client = self.client(self.bob, version=4)
        client.cluster = self.node.cluster
        client.login_by_token(client.token())
        client.subscribe()
        self.send("to 3.1.1")
        self.assertEqual(self.contents(client, 1), ["to 3.1.1"])
        lane = client.lane(self.sender.identity.permalink)
        receipt, _ = client.send(Batch(client.key, [lane.next(b"back")]))
        self.assertEqual(receipt["outcomes"][0]["code"], "accepted")
        self.assertEqual(self.contents(self.sender, 1), ["back"])

    def test_a_packet_identifier_in_use_is_a_protocol_error(self):
        payload = Batch(self.sender.key, [self.lane.next(b"1")]).serialised
        two = mqtt.publish(5, OUTBOX, payload, 1, 9) * 2
        self.sender.connection.send(two)
        with self.assertRaises(mqtt.Closed):
            self.sender.pump()
        self.assertEqual(self.sender.disconnect_code, 0x82)

    def test_offline_messages_wait(self):
        for _ in range(10):
            self.send(*(f"{i}" for i in range(200)))
        got = self.attach(self.bob).messages(2000)
        self.assertEqual([m["n"] for m in got], list(range(1, 2001)))
        self.assertEqual([m["position"] for m in got], list(range(1, 2001)))


class Echo(World):
    echo = True

    def test_the_bot_answers_every_message_once(self):
        alice = self.attach(self.person())
        lane = alice.lane(self.node.bot())
        links = []
        for part in range(5):
            batch = Batch(alice.key, [lane.next(f"{part} {i}".encode()) for i in range(20)])
            links += batch.links
            alice.send(batch)
        got = alice.messages(100)
        self.assertEqual([m["reply_to"] for m in got], links)
        self.assertEqual([m["content"].decode() for m in got], [f"{p} {i}" for p in range(5) for i in range(20)])
        alice.drain(0.5)
        self.assertEqual(alice.messages(), [])


if __name__ == "__main__":
    unittest.main()
