"""Three nodes in processes of their own: clients on different nodes, the leader killed, stopped and frozen."""
import os
import pathlib
import signal
import sys
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "support"), str(HERE.parent / "client")]
from cluster import Cluster, wait_for
from signet_client import envelope, mqtt
from signet_client.client import ROLES, Client
from signet_client.envelope import Batch


def attach(identity, member, timeout=30):
    """A client on this node that has logged in and subscribed; tried again while the cluster has no leader."""
    deadline = time.monotonic() + timeout
    while True:
        made = Client(member.address, identity, 0, node_key=bytes.fromhex(member.node_key))
        try:
            made.login()
            made.subscribe(ROLES)
            return made
        except Exception:
            made.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


class ThreeNodes(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster("abc")
        self.cluster.__enter__()
        self.addCleanup(self.close)
        self.alice, self.bob = envelope.Identity(), envelope.Identity()
        self.leader = self.cluster.leader()

    def close(self):
        failed = not self._outcome.success
        self.cluster.__exit__(RuntimeError if failed else None, None, None)

    def send(self, client, lane, texts):
        """One batch, all of it accepted. Returns the log indexes."""
        receipt, ack = client.send(Batch(self.alice.devices[0], [lane.next(text.encode()) for text in texts]))
        self.assertEqual(receipt["problem"], "")
        self.assertEqual({outcome["code"] for outcome in receipt["outcomes"]}, {"accepted"})
        self.assertEqual(ack["code"], 0)
        return [outcome["index"] for outcome in receipt["outcomes"]]

    def end_and_compare(self):
        """Stops all nodes that run; their logs, states and chains must be the same."""
        self.cluster.wait_until_all_follow()
        for member in self.cluster.members:
            if member.running():
                self.assertEqual(member.stop(), 0, member.words()[-2000:])
        # Whoever stopped first may lack the last entries of the others; not one may differ.
        verified = {member.name: member.verify() for member in self.cluster.members}
        self.assertEqual({each["level"] for each in verified.values()}, {"clean"})
        logs = {member.name: {entry["index"]: entry["hash"] for entry in member.log()}
                for member in self.cluster.members}
        shortest = min(max(log) for log in logs.values())
        self.assertEqual(len({log[shortest] for log in logs.values()}), 1)
        return verified

    def test_clients_on_different_nodes_reach_each_other_while_the_leader_is_killed(self):
        first, second = self.cluster.followers()
        receiver = attach(self.bob, second)
        sender = attach(self.alice, first)
        lane = sender.lane(self.bob.permalink)
        indexes = []
        for i in range(20):
            indexes += self.send(sender, lane, [f"before {i}"])
        self.assertEqual(indexes, sorted(indexes))
        self.assertEqual([m["content"].decode() for m in receiver.messages(20)], [f"before {i}" for i in range(20)])

        killed = self.leader
        begin = time.monotonic()
        killed.kill()
        # The same connections go on: their nodes live.
        indexes += self.send(sender, lane, ["after the kill"])
        pause = time.monotonic() - begin
        self.assertEqual([m["content"].decode() for m in receiver.messages(1)], ["after the kill"])
        self.assertLess(pause, 8)
        leader = self.cluster.leader()
        self.assertIsNot(leader, killed)
        for i in range(20):
            self.send(sender, lane, [f"without it {i}"])

        killed.start()
        self.cluster.wait_until_all_follow()
        back = attach(self.bob, killed)
        back.disconnect()
        sender.disconnect()
        receiver.disconnect()
        verified = self.end_and_compare()
        self.assertGreater(min(each["head"] for each in verified.values()), max(indexes))

    def test_a_leader_that_is_stopped_hands_over_and_nobody_waits_for_an_election(self):
        followers = self.cluster.followers()
        term = self.leader.replica()["term"]
        self.assertEqual(self.leader.stop(), 0)
        begin = time.monotonic()
        leader = self.cluster.leader()
        self.assertIn(leader, followers)
        self.assertLess(time.monotonic() - begin, 2)
        self.assertGreater(leader.replica()["term"], term)
        self.leader.start()
        self.end_and_compare()

    def test_without_a_majority_nothing_is_acknowledged_and_with_it_everything_goes_on(self):
        first, second = self.cluster.followers()
        sender = attach(self.alice, self.leader)
        attach(self.bob, self.leader).disconnect()
        lane = sender.lane(self.bob.permalink)
        self.send(sender, lane, ["one"])
        first.kill()
        second.kill()
        batch = Batch(self.alice.devices[0], [lane.next(b"two")])
        try:
            _, ack = sender.send(batch, timeout=15)
            code = ack["code"]
        except (mqtt.Closed, mqtt.Timeout, envelope.Refused):
            code = None  # no answer, or one without a receipt
        self.assertNotEqual(code, 0)
        sender.close()
        first.start()
        self.cluster.leader()
        sender = attach(self.alice, first)
        receipt, ack = sender.send(batch)
        self.assertIn({outcome["code"] for outcome in receipt["outcomes"]}, ({"accepted"}, {"duplicate"}))
        receiver = attach(self.bob, first)
        self.assertEqual([m["content"].decode() for m in receiver.messages(2)], ["one", "two"])
        second.start()
        sender.disconnect()
        receiver.disconnect()
        self.end_and_compare()

    def test_what_status_says_of_links_and_members(self):
        self.cluster.wait_until_all_follow()
        wait_for("round trips", lambda: all(peer["round_trip_us"] > 0
                                            for peer in self.leader.status()["links"]["peers"]))
        said = self.leader.status()
        self.assertEqual([peer["state"] for peer in said["links"]["peers"]], ["up", "up"])
        self.assertEqual(said["links"]["refused"], {})
        members = said["replica"]["members"]
        self.assertEqual([(each["node"], each["id"], each["role"]) for each in members],
                         [("a", 1, "voter"), ("b", 2, "voter"), ("c", 3, "voter")])
        self.assertEqual([each["node"] for each in members if each["leader"]], [self.leader.name])
        self.assertEqual({each["linked"] for each in members}, {True})

    def test_a_leader_that_is_frozen_is_replaced_and_follows_when_it_wakes(self):
        frozen, (first, second) = self.leader, self.cluster.followers()
        receiver = attach(self.bob, second)
        sender = attach(self.alice, first)
        lane = sender.lane(self.bob.permalink)
        self.send(sender, lane, ["before"])
        os.kill(frozen.process.pid, signal.SIGSTOP)
        try:
            # Its sockets are open and its kernel answers: only silence tells.
            self.send(sender, lane, ["while it is frozen"])
            leader = wait_for("another leader", lambda: next(
                (each for each in (first, second) if each.replica().get("leads_surely")), None))
            self.assertIn(leader, (first, second))
        finally:
            os.kill(frozen.process.pid, signal.SIGCONT)
        self.send(sender, lane, ["after it woke"])
        self.cluster.wait_until_all_follow()
        self.assertEqual(frozen.replica()["role"], "follower")
        self.assertEqual([m["content"].decode() for m in receiver.messages(3)],
                         ["before", "while it is frozen", "after it woke"])
        sender.disconnect()
        receiver.disconnect()
        self.end_and_compare()

    def test_a_node_that_is_new_in_the_file_is_linked_without_a_restart(self):
        made = self.cluster.add("d")
        made.start()
        for member in self.cluster.members[:3]:
            wait_for(f"a link from {member.name} to d", lambda: any(
                peer["node"] == "d" and peer["state"] == "up" for peer in member.status()["links"]["peers"]))
        self.assertTrue(made.status()["joining"])
        self.assertEqual(made.replica()["role"], "joining")
        wait_for("the leader sees it", lambda: self.leader.replica()["waiting_to_join"] == ["d"])
        self.assertEqual(made.stop(), 0)

    def test_a_stranger_at_the_link_port_gets_nothing_and_is_written_down(self):
        import socket
        with socket.create_connection(("127.0.0.1", self.leader.link), 5) as talker:
            talker.sendall(b"GET / HTTP/1.1\r\n\r\n" + b"x" * 200)
            talker.settimeout(10)
            answer = b""
            while True:
                try:
                    more = talker.recv(4096)
                except ConnectionResetError:
                    break
                if not more:
                    break
                answer += more
            self.assertLess(len(answer), 64)  # at most an alert of TLS
        wait_for("the security event", lambda: any(
            event["kind"] == "peer_handshake_failed" and event["detail"] == "tls"
            for entry in self.leader.log() for event in entry["events"]))


if __name__ == "__main__":
    unittest.main()
