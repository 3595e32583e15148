"""What an operator reads over HTTP: health, readiness, metrics; what listens, and what never leaves."""
import http.client
import os
import pathlib
import re
import socket
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from node import Node
from signet_client import envelope
from signet_client.client import Client


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def get(port, path, method="GET"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), answer.getheader("Content-Type")
    finally:
        connection.close()


def listening_ports(pid):
    """TCP ports on which this process listens, on any address."""
    inodes = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            found = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(f"/proc/{pid}/fd/{fd}"))
        except FileNotFoundError:
            continue
        if found:
            inodes.add(found.group(1))
    ports = set()
    for family in ("tcp", "tcp6"):
        for line in pathlib.Path(f"/proc/{pid}/net/{family}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                ports.add(int(fields[1].rsplit(":", 1)[1], 16))
    return ports


class Admin(unittest.TestCase):
    def start(self, **settings):
        node = Node(settings)
        self.addCleanup(lambda: node.__exit__(*sys.exc_info()))
        return node.__enter__()

    def test_nothing_listens_that_is_not_configured(self):
        node = self.start()
        self.assertEqual(listening_ports(node.process.pid), set(node.ports.values()))
        self.assertEqual(node.stop(), 0)
        port = free_port()
        node = self.start(**{"admin.listen": f"127.0.0.1:{port}"})
        self.assertEqual(listening_ports(node.process.pid), {port, *node.ports.values()})

    def test_health_readiness_and_metrics_are_answered_and_nothing_else(self):
        port = free_port()
        node = self.start(**{"admin.listen": f"127.0.0.1:{port}"})
        self.assertEqual(get(port, "/healthz")[:2], (200, "alive\n"))
        self.assertEqual(get(port, "/readyz")[:2], (200, "ready\n"))
        status, text, kind = get(port, "/metrics")
        self.assertEqual(status, 200)
        self.assertTrue(kind.startswith("text/plain; version=0.0.4"), kind)
        for line in ('signet_raft_role{role="leader"} 1', "signet_ready 1", "signet_raft_leads_surely 1"):
            self.assertIn(line, text.splitlines())
        for path in ("/status", "/cluster", "/", "/metrics/../status"):
            self.assertEqual(get(port, path)[0], 404, path)
        self.assertEqual(get(port, "/metrics", "POST")[0], 405)
        self.assertEqual(get(port, "/cluster", "POST")[0], 405)
        self.assertEqual(node.signet("status", "--data", node.data, "--ready").stdout, "ready\n")

    def test_the_service_manager_hears_that_it_is_ready_lives_and_stops(self):
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(f"{folder}/notify")
            manager.settimeout(20)
            os.environ["NOTIFY_SOCKET"] = f"{folder}/notify"
            try:
                node = self.start()
            finally:
                del os.environ["NOTIFY_SOCKET"]
            said = [manager.recv(100) for _ in range(4)]  # the replica's loop may turn before the node is ready
            self.assertEqual(sorted(said), [b"READY=1"] + 3 * [b"WATCHDOG=1"])
            self.assertEqual(node.stop(), 0)
            while said[-1] != b"STOPPING=1":
                said.append(manager.recv(100))

    def test_garbage_and_slow_requests_cost_one_connection(self):
        port = free_port()
        self.start(**{"admin.listen": f"127.0.0.1:{port}"})
        held = [socket.create_connection(("127.0.0.1", port)) for _ in range(60)]
        for each in held[:20]:
            each.sendall(b"\x00\xff" * 100 + b"\r\n\r\n")
        for each in held[20:40]:
            each.sendall(b"GET /healthz HTTP/1.1\r\nX: " + b"y" * 9000)
        self.assertEqual(get(port, "/healthz")[0], 200)
        for each in held:
            each.close()
        self.assertEqual(get(port, "/healthz")[0], 200)

    def test_counters_follow_what_happens_and_no_identity_is_in_the_metrics(self):
        port = free_port()
        node = self.start(**{"admin.listen": f"127.0.0.1:{port}"})
        alice, bob = envelope.Identity(), envelope.Identity()
        canary = "canary-client-id-4711"
        clients = []
        for who in (alice, bob):
            client = Client(node.address, who, node_key=node.node_key, client_id=canary + who.permalink.hex()[:8])
            self.addCleanup(client.close)
            client.login()
            client.subscribe()
            clients.append(client)
        lane = clients[0].lane(bob.permalink)
        for i in range(5):
            clients[0].send(envelope.Batch(clients[0].key, [lane.next(b"canary-content-%d" % i)]))
        clients[1].messages(5)
        # And one that is refused: the same token twice, for example, or a stranger; here a broken packet.
        with socket.create_connection(node.address) as stranger:
            stranger.sendall(b"\xff\xff\xff\xff\xff")
            stranger.settimeout(10)
            while stranger.recv(100):
                pass
        _, text, _ = get(port, "/metrics")
        lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        self.assertGreaterEqual(float(lines["signet_proposals_answered_total"]), 5)
        self.assertGreaterEqual(float(lines["signet_commit_seconds_count"]), 5)
        self.assertGreaterEqual(float(lines["signet_sync_seconds_count"]), 5)
        self.assertEqual(float(lines['signet_messages_total{outcome="accepted"}']), 5)
        self.assertEqual(float(lines['signet_messages_total{outcome="fork"}']), 0)
        self.assertEqual(float(lines["signet_sessions_attached"]), 2)
        self.assertGreaterEqual(float(lines["signet_connections_accepted_total"]), 3)
        self.assertGreater(float(lines["signet_disk_free_bytes"]), 0)
        for secret in (alice.permalink.hex(), bob.permalink.hex(), clients[0].key.public.hex(), canary, "canary-content",
                       node.cluster.hex(), node.node_key.hex(), "127.0.0.1"):
            self.assertNotIn(secret, text)
        self.assertIsNone(re.search(r"[0-9a-f]{32}", text))


if __name__ == "__main__":
    unittest.main()
