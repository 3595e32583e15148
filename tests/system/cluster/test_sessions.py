"""Sessions of a cluster of three: taken over, resumed, revoked and read on whichever node; bots that go on when their node
is killed. Clients: the one of this repository, mosquitto_sub, Paho."""
import json
import os
import pathlib
import queue
import subprocess
import sys
import threading
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "support"), str(HERE.parent / "client")]
from cluster import Cluster, wait_for
from signet_client import envelope, mqtt
from signet_client.client import ROLES, Client, LoginRefused
from signet_client.envelope import Batch, Identity

import paho.mqtt.client as paho

INBOX, OUTBOX = "signet/v1/inbox", "signet/v1/outbox"


class Sessions(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster("abc", settings={"node": {"echo_bot": True}})
        cls.cluster.__enter__()
        cls.addClassCleanup(cls.cluster.__exit__, None, None, None)
        cls.cluster.wait_until_all_follow()

    def setUp(self):
        for each in self.cluster.members:
            if not each.running():
                each.start()
        self.cluster.leader()
        self.cluster.wait_until_all_follow()
        self.a, self.b, self.c = self.cluster.members

    def attach(self, member, identity, client_id=None, topics=ROLES, timeout=30, **options):
        """Tried again while the cluster has no leader, or does not know the identity everywhere yet."""
        deadline = time.monotonic() + timeout
        login = options.pop("login", {})
        while True:
            made = Client(member.address, identity, client_id=client_id, node_key=bytes.fromhex(member.node_key), **options)
            try:
                made.login(**login)
                break
            except (LoginRefused, OSError, mqtt.Closed):
                made.close()
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        self.addCleanup(made.close)
        if topics:
            self.assertEqual(made.subscribe(topics), [1] * len(topics))
        return made

    def person(self, member=None):
        identity = Identity()
        self.attach(member or self.a, identity, topics=()).disconnect()
        return identity

    def send(self, client, lane, *texts):
        receipt, ack = client.send(Batch(client.key, [lane.next(text.encode()) for text in texts]))
        self.assertEqual({o["code"] for o in receipt["outcomes"]}, {"accepted"})
        self.assertEqual(ack["code"], 0)

    def closed(self, client, timeout=20):
        with self.assertRaises(mqtt.Closed):
            client.pump(None, timeout)
        return client.disconnect_code, [n["closing"] for n in client.notices if n["which"] == "closing"]


class Takeover(Sessions):
    def test_the_same_client_id_on_another_node_takes_over_and_the_older_one_is_told_why(self):
        alice = self.person()
        for here, there in ((self.a, self.b), (self.b, self.c), (self.c, self.a)):
            first = self.attach(here, alice, "phone " + here.name)
            begin = time.monotonic()
            second = self.attach(there, alice, "phone " + here.name)
            self.assertEqual(self.closed(first), (0x8E, ["taken_over"]))
            print(f"takeover {here.name} -> {there.name}: {1000 * (time.monotonic() - begin):.0f} ms with the login",
                  file=sys.stderr)
            self.assertEqual(second.cursor(), 0)
            second.disconnect()

    def test_one_reader_of_a_device_in_the_whole_cluster(self):
        alice = self.person()
        old = self.attach(self.a, alice, "old")
        writer = self.attach(self.c, alice, "writer", topics=("signet/v1/receipts",))
        new = self.attach(self.b, alice, "new")
        self.assertEqual(self.closed(old), (0x8E, ["inbox_taken"]))
        lane = writer.lane(alice.permalink)
        self.send(writer, lane, "to myself")
        self.assertEqual([m["content"] for m in new.messages(1)], [b"to myself"])

    def test_a_key_revoked_on_one_node_ends_its_session_on_another(self):
        alice = Identity(devices=2)
        self.attach(self.a, alice, topics=()).disconnect()
        lost = self.attach(self.b, alice, "lost phone")
        kept = Client(self.c.address, alice, 1, node_key=bytes.fromhex(self.c.node_key))
        self.addCleanup(kept.close)
        kept.login()
        kept.subscribe(ROLES)
        answer, _ = kept.ask_identity(publish=alice.next_version(devices=[alice.devices[1]]))
        self.assertEqual(answer["code"], "ok")
        begin = time.monotonic()
        self.assertEqual(self.closed(lost), (0x87, ["revoked_key"]))
        print(f"revocation reached the other node {1000 * (time.monotonic() - begin):.0f} ms after its answer",
              file=sys.stderr)
        again = Client(self.a.address, alice, client_id="lost phone", node_key=bytes.fromhex(self.a.node_key))
        again.key = lost.key
        with self.assertRaises(LoginRefused) as refused:
            again.login()
        self.assertEqual(refused.exception.code, 0x87)

    def stock(self, name, member, client_id):
        """Options of a stock client for this person on this node."""
        said = json.loads(self.cluster.signet("token", "--as", name, "--client-id", client_id, "--json", "--node",
                                              member.url).stdout)
        return ["-h", "127.0.0.1", "-p", str(member.mqtt), "-i", said["client_id"], "-u", said["user"], "-P",
                said["password"], "-q", "1"]

    def test_mosquitto_sub_is_taken_over_by_one_on_another_node_which_goes_on_behind_its_cursor(self):
        for name in ("ann", "ben"):
            self.cluster.signet("id", "new", name)
            self.cluster.signet("id", "publish", name, "--node", self.a.url)
        wait_for("ben is known everywhere", lambda: all(
            self.cluster.signet("id", "show", "ben", "--node", each.url, check=False).returncode == 0
            for each in self.cluster.members))
        first = subprocess.Popen(["stdbuf", "-oL", "mosquitto_sub", "-V", "5", *self.stock("ben", self.a, "sub"), "-t", INBOX, "-F", "%x",
                                  "-d"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                 bufsize=1, env={**os.environ, "LC_ALL": "C"})
        self.addCleanup(lambda: first.poll() is None and first.kill())
        lines = queue.Queue()
        threading.Thread(target=lambda: [lines.put(line) for line in first.stdout], daemon=True).start()

        def until(word):
            deadline = time.monotonic() + 30
            while True:
                line = lines.get(timeout=max(0.1, deadline - time.monotonic()))
                if word in line:
                    return line
        until("SUBACK")
        self.cluster.signet("send", "--as", "ann", "--to", "ben", "one", "--node", self.b.url)
        until("PUBLISH")
        until("PUBACK")
        time.sleep(0.5)  # its cursor is written
        second = subprocess.run(["mosquitto_sub", "-V", "5", *self.stock("ben", self.c, "sub"), "-t", INBOX, "-F", "%x",
                                 "-C", "1", "-W", "2"], capture_output=True, text=True)
        self.assertEqual(second.stdout, "")  # nothing is behind the cursor
        until("DISCONNECT")                  # mosquitto_sub was told, and comes back by itself; its token is spent
        first.kill()
        first.wait()

    def test_paho_is_told_the_reason_of_mqtt_5(self):
        alice = self.person()
        connected, gone = threading.Event(), queue.Queue()
        warm = self.attach(self.a, alice, "paho")
        token = warm.token()
        warm.disconnect()
        client = paho.Client(client_id="paho", protocol=paho.MQTTv5)
        client.username_pw_set(alice.permalink.hex(), token)
        client.on_connect = lambda *_: connected.set()
        client.on_disconnect = lambda _client, _data, reason, *_: gone.put(reason)
        client.connect("127.0.0.1", self.b.mqtt)
        client.loop_start()
        self.addCleanup(client.loop_stop)
        self.assertTrue(connected.wait(20))
        self.attach(self.c, alice, "paho")
        reason = gone.get(timeout=20)
        self.assertEqual(getattr(reason, "value", reason), 0x8E)
        client.disconnect()


class Reading(Sessions):
    def test_what_enters_at_one_node_reaches_clients_of_the_others(self):
        alice, bob = self.person(), self.person()
        for source in self.cluster.members:
            sender = self.attach(source, alice, "sender " + source.name, topics=("signet/v1/receipts",))
            lane = sender.lane(bob.permalink) if source is self.a else lane
            for target in self.cluster.members:
                reader = self.attach(target, bob, "reader")
                times = []
                for at in range(20):
                    begin = time.monotonic()
                    self.send(sender, lane, f"{source.name}{target.name}{at}")
                    acknowledged = time.monotonic()
                    got = reader.messages(1)
                    times.append((time.monotonic() - begin, time.monotonic() - acknowledged))
                    self.assertEqual(got[0]["content"].decode(), f"{source.name}{target.name}{at}")
                times.sort()
                print(f"{source.name} -> {target.name}: from publish to delivery p50 {1000 * times[10][0]:.1f} ms, "
                      f"worst {1000 * times[-1][0]:.1f} ms", file=sys.stderr)
                reader.drain(0.3)  # its last acknowledgement is written
                reader.disconnect()
            sender.disconnect()

    def test_a_device_goes_on_behind_its_cursor_on_every_node(self):
        alice, bob = self.person(), self.person()
        sender = self.attach(self.a, alice)
        lane = sender.lane(bob.permalink)
        for at, member in enumerate([self.b, self.c, self.a, self.c, self.b]):
            self.send(sender, lane, f"{at} one", f"{at} two")
            reader = self.attach(member, bob, "phone", login={"clean": False, "session_expiry": 600})
            self.assertEqual([m["content"].decode() for m in reader.messages(2)], [f"{at} one", f"{at} two"])
            reader.drain(0.3)
            reader.close()

    def test_an_inbox_filled_while_its_node_is_dead_is_read_elsewhere_in_order(self):
        alice, bob = self.person(), self.person()
        reader = self.attach(self.c, bob, "phone")
        self.c.kill()
        reader.close()
        self.cluster.leader()
        sender = self.attach(self.a, alice)
        lane = sender.lane(bob.permalink)
        for at in range(50):
            self.send(sender, lane, *(f"{10 * at + i}" for i in range(10)))
        reader = self.attach(self.b, bob, "phone")
        self.assertEqual([int(m["content"]) for m in reader.messages(500)], list(range(500)))

    def test_one_lane_through_all_nodes_in_turns(self):
        alice, bob = self.person(), self.person()
        clients = [self.attach(each, alice, "at " + each.name, topics=("signet/v1/receipts",))
                   for each in self.cluster.members]
        lane = clients[0].lane(bob.permalink)
        for at in range(30):
            batch = Batch(alice.devices[0], [lane.next(b"%d" % at)])
            # A node may not have seen yet what went through another: then it says so, and the same bytes go again.
            def sent():
                receipt, _ = clients[at % 3].send(batch)
                self.assertIn(receipt["outcomes"][0]["code"], ("accepted", "gap", "notForHere"))
                return receipt["outcomes"][0]["code"] == "accepted"
            wait_for("the message is taken", sent)
        reader = self.attach(self.b, bob, "phone")
        self.assertEqual([int(m["content"]) for m in reader.messages(30)], list(range(30)))


class Minority(Sessions):
    def test_without_a_majority_the_inbox_is_read_and_marked_and_publishes_are_refused_by_name(self):
        alice, bob = self.person(), self.person()
        leader = self.cluster.leader()
        alone = next(each for each in self.cluster.members if each is not leader)
        others = [each for each in self.cluster.members if each is not alone]
        reader = self.attach(alone, bob, "phone", topics=("signet/v1/session", "signet/v1/identity"))
        sender = self.attach(alone, alice, "desk")
        lane = sender.lane(bob.permalink)
        self.send(sender, lane, "before")
        time.sleep(0.5)  # the session in which bob was published is closed: only one of his device stands
        self.cluster.wait_until_all_follow()
        for each in others:
            each.kill()
        reader.pump(lambda: any(n["which"] == "stale" and n["stale"] for n in reader.notices), 20)
        begin = time.monotonic()
        batch = Batch(alice.devices[0], [lane.next(b"in between")])
        ack = sender.request(OUTBOX, batch.serialised)
        print(f"refused after {time.monotonic() - begin:.1f} s", file=sys.stderr)
        self.assertEqual((ack["code"], ack["props"].get("reason")), (0x83, "no_quorum"))
        reader.subscribe([INBOX])
        self.assertEqual([m["content"] for m in reader.messages(1)], [b"before"])
        with self.assertRaises(LoginRefused) as refused:
            Client(alone.address, bob, client_id="new", node_key=bytes.fromhex(alone.node_key)).login(timeout=30)
        self.assertEqual(refused.exception.code, 0x88)
        for each in others:
            each.start()
        reader.pump(lambda: any(n["which"] == "stale" and not n["stale"] for n in reader.notices), 60)
        receipt, ack = sender.send(batch)
        self.assertEqual((receipt["outcomes"][0]["code"], ack["code"]), ("accepted", 0))
        self.assertEqual([m["content"] for m in reader.messages(1)], [b"in between"])


class Bots(Sessions):
    def test_the_echo_bot_answers_each_message_once_while_leaders_are_killed(self):
        bots = wait_for("the bot", lambda: self.cluster.leader().status().get("bots"), 60)
        echo = bytes.fromhex(bots[0]["bot"])
        alice = self.person(self.cluster.followers()[0])
        expected, got = [], []
        for round in range(4):
            leader = self.cluster.leader()
            follower = self.cluster.followers()[0]
            client = self.attach(follower, alice, "talker")
            if round == 0:
                lane = client.lane(echo)
            for at in range(10):
                expected.append(f"{round}.{at}")
                self.send(client, lane, expected[-1])
            leader.kill()  # with replies on their way
            for at in range(10, 20):
                expected.append(f"{round}.{at}")
                self.send(client, lane, expected[-1])
            got += [m["content"].decode() for m in client.messages(len(expected) - len(got), timeout=60)]
            self.assertEqual(got, expected)
            client.drain(0.5)
            self.assertEqual(client.messages(), [])
            client.disconnect()
            leader.start()
            self.cluster.wait_until_all_follow(60)
        status = self.cluster.leader().status()["bots"]
        self.assertEqual([each["name"] for each in status], ["echo"])  # one identity, on whichever node
        self.assertEqual(status[0]["position"], len(expected))


if __name__ == "__main__":
    unittest.main()
