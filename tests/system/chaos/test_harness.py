"""Tests of the chaos harness itself, without nodes: what faults do to the network, what can be drawn, what is read."""
import csv
import itertools
import json
import os
import pathlib
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

CHAOS = pathlib.Path(__file__).resolve().parents[3] / "tools/chaos"
sys.path.insert(0, str(CHAOS))
import campaign
import clients
import faults
import links
import sandbox


class FakeNode:
    def __init__(self, number):
        self.name = "abcdefg"[number]


class FakeRun:
    """A campaign and its cluster in one, as far as partitions know them."""

    def __init__(self, count, leader):
        self.cluster = self
        self.nodes = [FakeNode(i) for i in range(count)]
        self.led_by = self.nodes[leader]
        self.in_force = set()       # (from, to) by name

    def leader(self, timeout):
        return self.led_by

    def cut(self, source, target):
        self.in_force.add((source.name, target.name))

    def heal(self):
        healed, self.in_force = len(self.in_force), set()
        return healed


def play(name, run, seed):
    """(seconds, the cuts while the fault held, what it measured)"""
    course = faults.ALL[name](run, random.Random(seed))
    hold = next(course)
    during = set(run.in_force)
    try:
        next(course)
    except StopIteration as ended:
        return hold, during, ended.value
    raise AssertionError("held twice")


class Partitions(unittest.TestCase):
    def each(self, *names):
        for name, count, seed in itertools.product(names or faults.PARTITIONS, (3, 5), range(10)):
            run = FakeRun(count, seed % count)
            with self.subTest(name, count=count, seed=seed):
                yield (run, *play(name, run, seed))

    def test_each_cuts_something_measures_it_and_heals_it(self):
        for run, hold, during, found in self.each():
            self.assertGreater(len(during), 0)
            self.assertGreater(hold, 0.3)
            self.assertGreaterEqual(found["effect"]["value"], found["effect"]["least"])
            self.assertEqual(run.in_force, set())

    def test_a_minority_is_one_that_reaches_no_majority(self):
        for run, _, during, found in self.each():
            for name in found["minority"]:
                with_it = [n.name for n in run.nodes if n.name != name and (name, n.name) not in during
                           and (n.name, name) not in during]
                self.assertLess(1 + len(with_it), len(run.nodes) // 2 + 1)

    def test_leaders_are_cut_off_or_kept_as_the_name_says(self):
        for run, _, during, found in self.each("isolate_leader", "split_leader_in_minority"):
            self.assertIn(run.led_by.name, found["minority"])
        for run, _, during, found in self.each("isolate_follower", "split_leader_in_majority"):
            self.assertNotIn(run.led_by.name, found["minority"])
            self.assertTrue(found["minority"])

    def test_one_way_cuts_are_one_way(self):
        for run, _, during, _ in self.each("leader_hears_nobody", "nobody_hears_leader", "follower_hears_nobody",
                                           "nobody_hears_follower"):
            self.assertFalse({(b, a) for a, b in during} & during)

    def test_over_a_bridge_everybody_is_reached(self):
        for run, _, during, _ in self.each("bridge_over_leader", "bridge_over_follower"):
            untouched = {n.name for n in run.nodes} - {name for pair in during for name in pair}
            self.assertEqual(len(untouched), 1)

    def test_in_a_ring_everybody_is_heard_by_somebody(self):
        for run, _, during, _ in self.each("ring"):
            for node in run.nodes:
                heard = [n for n in run.nodes if n is not node and (node.name, n.name) not in during]
                self.assertEqual(len(heard), 1 if len(run.nodes) == 3 else 2)

    def test_the_same_seed_draws_the_same(self):
        for name in faults.PARTITIONS:
            self.assertEqual(play(name, FakeRun(5, 2), 4)[:2], play(name, FakeRun(5, 2), 4)[:2])


class Proxy(unittest.TestCase):
    """One connection through the proxy to a server that echoes."""

    def setUp(self):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.server.close)
        threading.Thread(target=self.echo, daemon=True).start()
        self.links = links.Links(1)
        self.addCleanup(self.links.close)
        self.a, self.b = FakeNode(0), FakeNode(1)
        for node in (self.a, self.b):
            node.host = sandbox.Host(0)
            node.link = "127.0.0.1:%d" % self.server.getsockname()[1]
        self.links.add(self.a, [self.b])

    def echo(self):
        def serve(connection):
            try:
                while content := connection.recv(65536):
                    connection.sendall(content)
            except OSError:
                pass
        while True:
            try:
                connection, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    def dial(self):
        host, port = self.links.address(self.a, self.b).split(":")
        connection = socket.create_connection((host, int(port)), 10)
        self.addCleanup(connection.close)
        return connection

    def exchange(self, connection, content):
        connection.sendall(content)
        got = b""
        while len(got) < len(content):
            more = connection.recv(65536)
            if not more:
                break
            got += more
        return got

    def test_it_passes_what_it_gets(self):
        content = os.urandom(3 << 20)
        connection = self.dial()
        threading.Thread(target=connection.sendall, args=(content,), daemon=True).start()
        self.assertEqual(self.exchange(connection, b""), b"")
        got = b""
        while len(got) < len(content):
            got += connection.recv(1 << 16)
        self.assertEqual(got, content)

    def test_slices_and_delays_keep_bytes_and_order(self):
        self.links.set(self.a, self.b, {"slice": 3})
        self.links.set(self.b, self.a, {"delay_ms": 20, "jitter_ms": 20})
        content = os.urandom(5000)
        begun = time.monotonic()
        self.assertEqual(self.exchange(self.dial(), content), content)
        self.assertGreaterEqual(time.monotonic() - begun, 0.02)
        self.assertGreater(self.links.count("sliced"), 1000)
        self.assertGreater(self.links.count("delayed"), 0)

    def test_what_is_held_comes_later_whole(self):
        connection = self.dial()
        self.assertEqual(self.exchange(connection, b"one"), b"one")
        self.links.set(self.a, self.b, {"hold": True})
        connection.sendall(b"two")
        connection.settimeout(0.3)
        with self.assertRaises(TimeoutError):
            connection.recv(10)
        self.assertGreater(self.links.count("held"), 0)
        self.links.pass_all()
        connection.settimeout(10)
        self.assertEqual(self.exchange(connection, b""), b"")
        self.assertEqual(connection.recv(10), b"two")

    def test_what_is_sunk_never_comes(self):
        connection = self.dial()
        self.assertEqual(self.exchange(connection, b"one"), b"one")
        self.links.set(self.a, self.b, {"sink": True})
        connection.sendall(b"two")
        while self.links.count("sunk") == 0:
            time.sleep(0.01)
        self.links.pass_all()
        self.assertEqual(self.exchange(connection, b"three"), b"three")

    def test_a_reset_is_one(self):
        connection = self.dial()
        self.assertEqual(self.exchange(connection, b"one"), b"one")
        self.links.reset(self.a)
        with self.assertRaises(ConnectionResetError):
            connection.recv(10)
        self.assertGreater(self.links.count("resets"), 0)


class Campaign(unittest.TestCase):
    def test_what_is_lacking_is_named_and_not_drawn(self):
        names, lacking = campaign.offered(1, ["all"], True)
        self.assertIn("isolate_leader", lacking)
        self.assertIn("cluster", lacking["isolate_leader"])
        self.assertIn("kill_one", names)
        self.assertFalse(set(names) & set(lacking))
        self.assertEqual(set(names) | set(lacking), set(faults.ALL))

    def test_an_unknown_fault_is_an_error(self):
        with self.assertRaises(SystemExit):
            campaign.offered(3, ["earthquake"], True)

    def test_the_ledger_gets_a_line_for_each_run(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "evidence/ledger.csv"
            campaign.add_to_ledger("chaos", "7", 40, 0, "kill_one 3, pause 1", 2.5, path)
            campaign.add_to_ledger("chaos", "8", 40, 1, "", 2.5, path)
            with open(path, newline="") as file:
                rows = list(csv.DictReader(file))
        self.assertEqual([row["seeds"] for row in rows], ["7", "8"])
        self.assertEqual(rows[0]["faults with effect"], "kill_one 3, pause 1")
        self.assertEqual(rows[1]["failures"], "1")


class Histories(unittest.TestCase):
    def test_a_tail_gives_whole_lines_once(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "x.jsonl"
            tail = clients.Tail(path)
            self.assertEqual(tail.lines(), [])
            path.write_text('{"a": 1}\n{"a"')
            self.assertEqual(tail.lines(), [{"a": 1}])
            self.assertEqual(tail.lines(), [])
            path.write_text('{"a": 1}\n{"a": 2}\n')
            self.assertEqual(tail.lines(), [{"a": 2}])

    def test_the_checker_reads_files_alone(self):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            (folder / "x.history.jsonl").write_text(json.dumps({"t": 1, "kind": "unexpected", "what": "a test"}) + "\n")
            (folder / "log.jsonl").write_text("")
            done = subprocess.run([sys.executable, CHAOS / "check.py", folder, folder / "log.jsonl"],
                                  capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("client: a test", done.stdout)
        self.assertIn("this run shows nothing", done.stdout)


INSIDE = """
import sys; sys.path.insert(0, sys.argv[1])
import sandbox, socket, subprocess
sandbox.enter()
if not sandbox.has_namespaces():
    print("SKIP"); sys.exit()
a, b = sandbox.Host(0), sandbox.Host(1)
def reaches():
    server = subprocess.Popen([*b.enter_command(), sys.executable, "-c",
        "import socket; s = socket.create_server(('', 9)); print(1, flush=True); s.settimeout(5); s.accept()"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    server.stdout.readline()
    done = subprocess.run([*a.enter_command(), sys.executable, "-c",
        f"import socket; socket.create_connection(('{b.address}', 9), 0.5)"], stderr=subprocess.DEVNULL)
    server.kill(); server.wait()
    return done.returncode == 0
before = reaches()
b.drop_from(a.address)
during, dropped = reaches(), b.dropped()
b.pass_all()
print(before, during, dropped > 0, reaches())
"""


class Sandbox(unittest.TestCase):
    def test_hosts_reach_each_other_unless_cut(self):
        env = {k: v for k, v in os.environ.items() if k != "SIGNET_CHAOS_INSIDE"}
        with tempfile.NamedTemporaryFile("w", suffix=".py") as program:
            program.write(INSIDE)
            program.flush()
            done = subprocess.run([sys.executable, program.name, CHAOS], env=env, capture_output=True,
                                  text=True, timeout=50)
        if "SKIP" in done.stdout:
            self.skipTest("no namespaces here")
        self.assertEqual(done.stdout.split(), ["True", "False", "True", "True"], done.stderr)


if __name__ == "__main__":
    unittest.main()
