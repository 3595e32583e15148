"""What an operator and a newcomer do first: the shipped cluster.conf, and the commands of the README."""
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from node import SOURCE, Node, binary
from signet_client import envelope
from signet_client.client import Client


class ShippedNode(Node):
    """A node of the shipped cluster.conf: founded, then started; only addresses come from the environment."""

    def __init__(self, **settings):
        super().__init__({"listen.mqtt": "127.0.0.1:0", "listen.ws": "127.0.0.1:0", "node.data": "data", **settings})
        self.config = self.directory / "cluster.conf"
        shutil.copy(SOURCE / "cluster.conf", self.config)

    def command(self):
        self.settings["listen.mqtt"] = f"127.0.0.1:{self.ports['mqtt']}"
        return [binary(), "node", "--config", str(self.config), "--name", "node-1", "--json"]


class ClusterConf(unittest.TestCase):
    def test_the_shipped_file_is_good(self):
        node = ShippedNode()
        self.addCleanup(node.__exit__, None, None, None)
        node.settings = {}
        self.assertIn("is good", node.signet("config", "check", node.config).stdout)

    def test_a_node_starts_with_it_and_carries_messages(self):
        node = ShippedNode()
        self.addCleanup(node.__exit__, None, None, None)
        not_founded = subprocess.run(node.command(), env=node.environment(), cwd=node.directory, capture_output=True,
                                     timeout=60)
        self.assertNotEqual(not_founded.returncode, 0)  # a node never founds a store by itself
        node.signet("node", "init", "--config", node.config, "--name", "node-1")
        again = node.signet("node", "init", "--config", node.config, "--name", "node-1", check=False)
        self.assertNotEqual(again.returncode, 0)        # and never touches one that stands
        node.start()
        alice = envelope.Identity()
        client = Client(node.address, alice, node_key=node.node_key)
        client.login()
        client.subscribe()
        lane = client.lane(alice.permalink)
        receipt, _ = client.send(envelope.Batch(client.key, [lane.next(b"to myself")]))
        self.assertEqual(receipt["outcomes"][0]["code"], "accepted")
        self.assertEqual(client.messages(1)[0]["content"], b"to myself")
        client.close()
        self.assertEqual(node.stop(), 0)
        self.assertEqual(node.verify(), "verify OK")

    def test_a_mistyped_key_is_refused_with_a_suggestion(self):
        node = ShippedNode()
        self.addCleanup(node.__exit__, None, None, None)
        text = node.config.read_text()
        self.assertIn("\nidle_s = ", text)
        node.config.write_text(text.replace("\nidle_s = ", "\nidel_s = "))
        for words in (["config", "check", node.config], ["node", "--config", node.config, "--name", "node-1"]):
            done = node.signet(*words, check=False)
            self.assertEqual(done.returncode, 73)
            self.assertIn("idel_s", done.stdout + done.stderr)
            self.assertRegex(done.stdout + done.stderr, r"idle_s")

    def test_values_out_of_range_are_refused(self):
        node = ShippedNode()
        self.addCleanup(node.__exit__, None, None, None)
        for before, after in (("receive_maximum = 32", "receive_maximum = 33"),
                              ("idle_s = 3600", 'idle_s = "an hour"'), ("keep_alive_s = 300", "keep_alive_s = -1"),
                              ('level = "info"', 'level = "loud"')):
            text = (SOURCE / "cluster.conf").read_text()
            self.assertIn(before, text)
            node.config.write_text(text.replace(before, after, 1))
            done = node.signet("config", "check", node.config, check=False)
            self.assertEqual(done.returncode, 73, after)
            self.assertIn(before.split()[0], done.stdout + done.stderr)

    def test_the_environment_wins_and_is_named(self):
        node = ShippedNode()
        self.addCleanup(node.__exit__, None, None, None)
        node.settings = {"sessions.idle_s": 60}
        said = json.loads(node.signet("config", "check", node.config, "--json").stdout)
        self.assertTrue(any("IDLE_S" in str(each).upper() for each in said["overridden_by_environment"]), said)
        node.settings = {"sessions.idel_s": 60}
        done = node.signet("config", "check", node.config, check=False)
        self.assertEqual(done.returncode, 73)
        self.assertIn("SIGNET_SESSIONS_IDLE_S", done.stdout + done.stderr)


class Readme(unittest.TestCase):
    def test_the_commands_of_the_readme_work_as_they_stand(self):
        blocks = re.findall(r"^```sh\n(.*?)^```", (SOURCE / "README.md").read_text(), re.S | re.M)
        by_hand = next(block for block in blocks if "$(tools/build)" in block)
        stock = next(block for block in blocks if "mosquitto_sub" in block and "$signet decode" in block)
        folder = Node()
        self.addCleanup(folder.__exit__, None, None, None)
        with socket.socket() as free:  # the commands name the default port: here a free one
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        script = by_hand.replace("$(tools/build)", binary()).replace("/tmp/try", str(folder.data))
        moved = script.replace("signet dev --data", f"signet dev --mqtt {port} --ws 0 --data")
        self.assertNotEqual(moved, script)
        # The stock clients join before the node is stopped; they, too, are told the port.
        stock = re.sub(r"(mosquitto_(?:sub|pub)) ", rf"\1 -p {port} ", stock) + "\nwait %2\n"
        before, stop, after = moved.partition("kill %1; wait")
        self.assertTrue(stop)
        script = f"set -e\n{before}\necho STOCK\n{stock}\n{stop} || true\n{after}"
        env = {**folder.environment(), "SIGNET_NODE": f"mqtt://127.0.0.1:{port}"}
        run = subprocess.Popen(["bash", "-c", script], env=env, cwd=SOURCE, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, start_new_session=True)
        try:
            said, _ = run.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            os.killpg(run.pid, signal.SIGKILL)  # the session that this test has just started
            said, _ = run.communicate()
            self.fail("the commands do not end:\n" + said)
        self.assertEqual(run.returncode, 0, said)
        # What the comments of the block promise is what was printed.
        promised = [line.partition("#")[2].strip() for line in by_hand.splitlines() if "verified" in line]
        self.assertEqual(len(promised), 2)
        lines = [" ".join(line.split()) for line in said.splitlines()]
        for line in promised:
            self.assertIn(" ".join(line.split()), lines)
        self.assertIn("verified hello", " ".join(lines[lines.index("STOCK"):]))
        self.assertEqual(lines[-1], "verify OK")


if __name__ == "__main__":
    unittest.main()
