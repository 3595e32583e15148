"""Stock MQTT clients send and receive signed messages: batches from `signet encode`, checked by `signet decode`."""
import json
import pathlib
import shutil
import subprocess
import sys
import threading
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[0] / "support"))
from node import Node
from signet_client import envelope
from signet_client.client import Client

import paho.mqtt.client as paho

INBOX, OUTBOX, RECEIPTS = "signet/v1/inbox", "signet/v1/outbox", "signet/v1/receipts"


class Stock(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = Node(echo=True)
        cls.addClassCleanup(cls.node.__exit__, None, None, None)
        cls.node.start()

    def setUp(self):
        """Two published people of this test's own."""
        tag = self.id().rsplit(".", 1)[1].replace("test_", "").replace("_", "-")[:40]
        self.alice, self.bob = f"a-{tag}", f"b-{tag}"
        for name in (self.alice, self.bob):
            self.node.signet("id", "new", name)
            self.node.signet("id", "publish", name, "--node", self.node.url)
        self.node.signet("id", "show", "echo", "--node", self.node.url)  # fetched and kept: `decode` has no network

    def token(self, name, *options):
        return json.loads(self.node.signet("token", "--as", name, "--json", "--node", self.node.url, *options).stdout)

    def encode(self, sender, to, text):
        return self.node.signet("encode", "--as", sender, "--to", to, "--node", self.node.url, text, text=False).stdout

    def decode(self, payloads):
        """What `signet decode` says of payloads, one object each line."""
        done = self.node.signet("decode", "--hex", "--json", input="".join(p.hex() + "\n" for p in payloads))
        return [json.loads(line) for line in done.stdout.splitlines()]

    def assert_received(self, payloads, sender, texts):
        got = self.decode(payloads)
        self.assertEqual([m["text"] for m in got], texts)
        for m in got:
            self.assertEqual((m["author_name"], m["verified"]), (sender, True))
        self.assertEqual([m["position"] for m in got], list(range(got[0]["position"], got[0]["position"] + len(got))))


class Mosquitto(Stock):
    def run_both(self, version):
        def arguments(program, name):
            t = self.token(name)
            return [program, "-h", "127.0.0.1", "-p", str(self.node.ports["mqtt"]), "-V", version, "-i", t["client_id"],
                    "-u", t["user"], "-P", t["password"], "-q", "1"]

        def publish(text):
            batch = self.encode(self.alice, self.bob, text)
            done = subprocess.run(arguments("mosquitto_pub", self.alice) + ["-t", OUTBOX, "-s"], input=batch,
                                  capture_output=True, timeout=30)
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            return batch

        def subscribed():
            line = arguments("mosquitto_sub", self.bob) + ["-t", INBOX, "-C", "1", "-W", "30", "-F", "%x"]
            return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

        def received(sub):
            out, err = sub.communicate(timeout=60)
            self.assertEqual((sub.returncode, err), (0, ""))
            return [bytes.fromhex(line) for line in out.split()]
        publish("while bob is away")
        self.assert_received(received(subscribed()), self.alice, ["while bob is away"])
        live = subscribed()
        batch = publish("while bob listens")
        self.assert_received(received(live), self.alice, ["while bob listens"])
        # The same bytes again are acknowledged and change nothing.
        done = subprocess.run(arguments("mosquitto_pub", self.alice) + ["-t", OUTBOX, "-s"], input=batch,
                              capture_output=True, timeout=30)
        self.assertEqual(done.returncode, 0)
        publish("last")
        self.assert_received(received(subscribed()), self.alice, ["last"])

    def test_mosquitto_3_1_1(self):
        self.run_both("mqttv311")

    def test_mosquitto_5(self):
        self.run_both("mqttv5")

    def test_a_spent_token_is_refused(self):
        t = self.token(self.bob)
        line = ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(self.node.ports["mqtt"]), "-i", t["client_id"], "-u",
                t["user"], "-P", t["password"], "-q", "1", "-t", OUTBOX, "-s"]
        for code in (0, 5):  # 5: the CONNACK code of 3.1.1
            batch = self.encode(self.bob, self.alice, "once")
            done = subprocess.run(line, input=batch, capture_output=True, timeout=30)
            self.assertEqual(done.returncode, code, done.stderr)


class Paho(Stock):
    """paho-mqtt 1.6, one network loop in a thread for each client."""

    def attach(self, name, version):
        t = self.token(name)
        client = paho.Client(client_id=t["client_id"], protocol=version,
                             **({} if version == paho.MQTTv5 else {"clean_session": True}))
        client.username_pw_set(t["user"], t["password"])
        client.payloads, client.receipts, client.codes = [], [], []
        client.ready, client.arrived = threading.Event(), threading.Semaphore(0)

        def on_connect(c, data, flags, code, properties=None):
            client.codes.append(int(getattr(code, "value", code)))
            c.subscribe([(RECEIPTS, 1), (INBOX, 1)] if version != paho.MQTTv5 else
                        [(RECEIPTS, paho.SubscribeOptions(qos=1)), (INBOX, paho.SubscribeOptions(qos=1))])

        def on_message(c, data, message):
            (client.payloads if message.topic == INBOX else client.receipts).append(message.payload)
            if message.topic == INBOX:
                client.arrived.release()
        client.on_connect, client.on_message = on_connect, on_message
        client.on_subscribe = lambda *_: client.ready.set()
        client.connect("127.0.0.1", self.node.ports["mqtt"], keepalive=60)
        client.loop_start()
        self.addCleanup(client.loop_stop)
        self.addCleanup(client.disconnect)
        self.assertTrue(client.ready.wait(30), "not subscribed in time")
        self.assertEqual(client.codes, [0])
        return client

    def run_both(self, version):
        alice, bob = self.attach(self.alice, version), self.attach(self.bob, version)
        texts = [f"message {i}" for i in range(5)]
        for text in texts:
            alice.publish(OUTBOX, self.encode(self.alice, self.bob, text), qos=1).wait_for_publish(30)
        for _ in texts:
            self.assertTrue(bob.arrived.acquire(timeout=30), "a delivery is missing")
        self.assert_received(bob.payloads, self.alice, texts)
        self.assertEqual([o["outcome"] for r in self.decode(alice.receipts) for o in r["outcomes"]], ["accepted"] * 5)
        # And back, to the bot and its answer.
        bob.publish(OUTBOX, self.encode(self.bob, "echo", "are you there?"), qos=1).wait_for_publish(30)
        self.assertTrue(bob.arrived.acquire(timeout=30), "the bot does not answer")
        self.assert_received(bob.payloads[-1:], "echo", ["are you there?"])

    def test_paho_3_1_1(self):
        self.run_both(paho.MQTTv311)

    def test_paho_5(self):
        self.run_both(paho.MQTTv5)


class MqttJs(Stock):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.scripts = cls.node.directory / "mqttjs"
        shutil.copytree(HERE.parents[0] / "mqttjs", cls.scripts, ignore=shutil.ignore_patterns("node_modules"))
        done = subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"],
                              cwd=cls.scripts, capture_output=True, text=True, timeout=240)
        if done.returncode:
            raise RuntimeError("npm ci: " + done.stdout + done.stderr)

    def attach(self, **order):
        """Runs attach.js to its end. Returns its lines."""
        done = subprocess.run(["node", "attach.js"], cwd=self.scripts, capture_output=True, text=True, timeout=60,
                              input=json.dumps({"url": self.node.ws, "subscribe": [RECEIPTS, INBOX], "publish": [],
                                                "count": 0, "version": 5, **order}))
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(done.returncode, 0, done.stdout[-500:] + done.stderr[-2000:])
        return lines

    def payloads(self, lines, topic):
        return [bytes.fromhex(line["payload"]) for line in lines if line.get("topic") == topic]

    def credentials(self, name):
        t = self.token(name)
        return dict(clientId=t["client_id"], username=t["user"], password=t["password"])

    def run_both(self, version):
        texts = ["one", "two", "three"]
        batches = [self.encode(self.alice, self.bob, text).hex() for text in texts]
        sent = self.attach(version=version, publish=batches, **self.credentials(self.alice))
        self.assertEqual([line["event"] for line in sent].count("published"), 3)
        self.assertEqual([o["outcome"] for r in self.decode(self.payloads(sent, RECEIPTS)) for o in r["outcomes"]],
                         ["accepted"] * 3)
        got = self.attach(version=version, count=1, **self.credentials(self.bob))
        self.assert_received(self.payloads(got, INBOX), self.alice, texts)

    def test_mqttjs_3_1_1_over_websocket(self):
        self.run_both(4)

    def test_mqttjs_5_over_websocket(self):
        self.run_both(5)

    def test_mqttjs_with_enhanced_authentication(self):
        me = envelope.Identity()
        first = Client(self.node.address, me, node_key=self.node.node_key)
        first.login()
        first.disconnect()
        self.node.signet("send", "--as", self.alice, "--to", me.permalink.hex(), "--node", self.node.url,
                         "to a browser")
        lane = envelope.Lane(self.node.cluster, me.permalink, me.permalink)
        lines = self.attach(clientId="browser", count=2, publish=[
            envelope.Batch(me.devices[0], [lane.next(b"to myself")]).serialised.hex()],
            login={"seed": me.devices[0].seed.hex(), "permalink": me.permalink.hex(),
                   "deviceKey": me.devices[0].public.hex(), "nodeKey": self.node.node_key.hex()})
        got = [m for p in self.payloads(lines, INBOX)
               for m in envelope.read_delivery(p, me.permalink, self.node.cluster, lambda author, key: True)]
        self.assertEqual([m["content"] for m in got], [b"to a browser", b"to myself"])


if __name__ == "__main__":
    unittest.main()
