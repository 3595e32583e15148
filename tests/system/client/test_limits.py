"""What limits do to clients that break them, and that they do nothing to the others: slow readers, floods, and sessions
whose end has come."""
import json
import socket
import time
import unittest

from world import World
from signet_client import envelope, mqtt
from signet_client.client import IDENTITY, ROLES, Client
from signet_client.envelope import Batch, Identity


def closed_by_the_node(client, timeout):
    """Reads what is still there, until the end of the connection. False: it stands."""
    try:
        client.pump(None, timeout)
    except (mqtt.Closed, ConnectionError):
        return True
    except mqtt.Timeout:
        return False


class SlowReaders(World):
    settings = {"limits.output_buffer_bytes": 524_288}

    def setUp(self):
        self.sender = self.attach(self.person())

    def slow(self, identity, qos):
        """Attached. It reads nothing but the answers to its login; at QoS 0 nothing but its reading holds back the node."""
        made = Client(self.node.address, identity, node_key=self.node.node_key, auto_ack=False)
        self.addCleanup(made.close)
        made.login()
        made.connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 18)  # else it grows to many MiB
        made.subscribe(ROLES, qos=qos)
        return made

    def fill(self, bob, count, size):
        lane = self.sender.lane(bob.permalink)
        for at in range(count):
            receipt, _ = self.sender.send(Batch(self.sender.key, [lane.next(b"%06d" % at + bytes(size))]))
            self.assertEqual(receipt["outcomes"][0]["code"], "accepted")

    def assert_nothing_lost(self, bob, count):
        reader = self.attach(bob)
        got = [int(m["content"][:6]) for m in reader.messages(count, timeout=60)]
        self.assertEqual(got, list(range(count)))

    def test_answers_that_are_not_read_fill_the_buffer_and_end_the_connection(self):
        bob = self.person(profile=bytes(7_500))
        reader = self.slow(bob, 1)
        self.fill(bob, 20, 100)
        asked = 0
        with self.assertRaises((OSError, mqtt.Closed)):  # the node closes while we only ask
            deadline = time.monotonic() + 90
            while time.monotonic() < deadline:
                asked += 1
                reader.publish(IDENTITY, self.lookup(asked, bob), qos=0)
                time.sleep(0.004)
        self.assertTrue(closed_by_the_node(reader, 60))
        self.assert_nothing_lost(bob, 20)
        self.assertIn("buffer_full", [event["detail"] for event in self.node.events("slow_consumer")])

    @staticmethod
    def lookup(correlation, who):
        from signet_client import capnp
        return capnp.encode(envelope.IDENTITY_REQUEST, {"correlation": correlation, "which": "byPermalink",
                                                        "byPermalink": who.permalink})

    def test_deliveries_that_are_not_read_end_the_connection_after_a_while_and_none_is_lost(self):
        bob = self.person()
        self.fill(bob, 60, 180_000)  # more than the sockets' buffers hold
        reader = self.slow(bob, 0)
        good = self.attach(self.person())
        # It neither reads nor acknowledges; whoever else is attached notices nothing.
        deadline = time.monotonic() + 90
        while "stalled" not in [event["detail"] for event in self.node.events("slow_consumer")]:
            self.assertLess(time.monotonic(), deadline)
            self.assertEqual(good.cursor(), 0)
            time.sleep(1)
        self.assertTrue(closed_by_the_node(reader, 60))
        self.assert_nothing_lost(bob, 60)


class Fairness(World):
    settings = {"limits.batches_per_second": 20}

    def test_who_sends_faster_than_the_limit_is_slowed_down_alone_and_loses_nothing(self):
        bob = self.person()
        flood, calm = self.attach(self.person()), self.attach(self.person())
        lane, count = flood.lane(bob.permalink), 200
        ids = [flood.publish("signet/v1/outbox", Batch(flood.key, [lane.next(b"%d" % at)]).serialised)
               for at in range(count)]
        calm_lane = calm.lane(bob.permalink)
        for at in range(10):
            receipt, ack = calm.send(Batch(calm.key, [calm_lane.next(b"calm")]))
            self.assertEqual((receipt["outcomes"][0]["code"], ack["code"]), ("accepted", 0))
        # All ten were answered while the flood still waits: it has not been thrown out, only slowed down.
        flood.drain(0.05)
        self.assertLess(len(flood.receipts), count)
        flood.pump(lambda: all(i in flood.pubacks for i in ids), 60)
        self.assertEqual({o["code"] for r in flood.receipts for o in r["outcomes"]}, {"accepted"})
        self.assertEqual({flood.pubacks[i]["code"] for i in ids}, {0})
        reader = self.attach(bob)
        self.assertEqual(len(reader.messages(count + 10)), count + 10)


class ManyEndedSessions(World):
    settings = {"sessions.absolute_s": 60, "sessions.idle_s": 60}

    def rows(self):
        return json.loads(self.node.signet("status", "--data", self.node.data, "--json").stdout)["rows"]["sessions"]

    def test_a_thousand_sessions_that_nobody_closed_are_removed(self):
        people, each = 20, 50
        for _ in range(people):
            who = Identity(devices=1)
            for at in range(each):
                client = Client(self.node.address, who, client_id=f"client {at}", node_key=self.node.node_key)
                client.login(session_expiry=3600)
                client.close()  # without a word: the row stands
        # Nobody remembers them but the log.
        self.node.kill()
        self.node.start()
        deadline = time.monotonic() + 120
        while self.rows() > 0:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(1)
        self.assertEqual(sum(event["count"] for event in self.node.events("session_expired")), people * each)
        # What is gone can be opened again.
        client = Client(self.node.address, who, client_id="client 0", node_key=self.node.node_key)
        self.addCleanup(client.close)
        client.login()


if __name__ == "__main__":
    unittest.main()
