"""What leaves a node before a client has proved itself: at most 512 bytes, the same for known and unknown identities.

Raw sockets only: every byte that the node sends is counted.
"""
import os
import pathlib
import random
import re
import select
import socket
import struct
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from node import Node
from signet_client import envelope, mqtt
from signet_client.client import METHOD, Client
from signet_client.envelope import Identity

LIMIT = 512
PATIENCE = 40  # seconds for anything to end; far above every limit of the node


class Wire:
    """A connection that only counts. `said` is all that the node has sent so far."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.said = b""
        self.closed = False

    def send(self, content):
        try:
            self.socket.sendall(content)
        except OSError:
            pass  # it has closed already; what it said is still read
        return self

    def read(self, seconds, until=lambda said: False):
        """Reads until the node closes, the condition holds or the time is over."""
        deadline = time.monotonic() + seconds
        while not self.closed and not until(self.said):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.socket], [], [], left)[0]:
                break
            try:
                more = self.socket.recv(65536)
            except ConnectionResetError:
                more = b""
            self.closed = not more
            self.said += more
        return self.said

    def to_the_end(self):
        self.read(PATIENCE)
        self.socket.close()
        return self.said


def hello(identity, key=None):
    return struct.pack(">H", 1) + identity.permalink + (key or identity.devices[0]).public + os.urandom(32) + b"\x01"


def enhanced(identity, client_id="x", method=METHOD, **more):
    return mqtt.connect(5, client_id, props={"auth_method": method, "auth_data": hello(identity)}, **more)


def first_packet_complete(said):
    return len(said) >= 2 and len(said) >= 2 + said[1] if len(said) < 130 or said[1] < 128 else \
        len(said) >= 3 + (said[1] & 127) + (said[2] << 7)


def masked(said):
    """Without what must differ between any two connections: server time, and nonce and signature of a challenge."""
    said = re.sub(rb"server-time\x00\x0d\d{13}", b"server-time", said)
    at = said.find(b"\x16\x00\x92\x00\x01")  # authentication data, 146 bytes, version 1
    if said[:1] == b"\xf0" and at >= 0:
        said = said[:at + 3 + 50] + b"?" * 96 + said[at + 3 + 146:]
    return said


class BeforeLogin(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = Node()
        cls.addClassCleanup(cls.node.__exit__, None, None, None)
        cls.node.start()
        cls.known = Identity()
        client = Client(cls.node.address, cls.known, node_key=cls.node.node_key)
        client.login()
        client.disconnect()
        cls.unknown = Identity()

    def wire(self):
        made = Wire(self.node.ports["mqtt"])
        self.addCleanup(made.socket.close)
        return made

    def said_to(self, content):
        said = self.wire().send(content).to_the_end()
        self.assertLessEqual(len(said), LIMIT)
        return said

    # --- the same for known and unknown identities

    def challenge(self, identity):
        wire = self.wire().send(enhanced(identity))
        wire.read(PATIENCE, first_packet_complete)
        self.assertEqual(wire.said[0], 0xF0, wire.said[:8].hex())
        return wire

    def test_challenge_and_refusal_are_the_same_for_known_and_unknown(self):
        answers = set()
        for identity in (self.known, self.unknown, Identity()):
            for proof in (bytes(64), b"", bytes(64) + self.unknown.versions[0][:-8]):
                wire = self.challenge(identity)
                challenge = wire.said
                wire.send(mqtt.auth(0x18, METHOD, proof))
                said = wire.to_the_end()
                self.assertLessEqual(len(said), LIMIT)
                answers.add((masked(challenge), masked(said[len(challenge):])))
        self.assertEqual(len(answers), 1, answers)
        (_, refusal), = answers
        self.assertEqual(refusal[0], 0x20)
        self.assertEqual(refusal[3], 0x87)

    def test_a_known_key_that_is_not_the_identitys_is_answered_like_any_other(self):
        answers = set()
        for permalink, key in ((self.known, self.unknown.devices[0]), (self.known, self.known.update),
                               (self.unknown, self.known.devices[0]), (self.unknown, self.unknown.devices[0])):
            wire = self.wire().send(mqtt.connect(5, "x", props={
                "auth_method": METHOD, "auth_data": hello(permalink, key)}))
            wire.read(PATIENCE, first_packet_complete)
            challenge = wire.said
            # Signed by the key that was named: only the node's knowledge can tell these apart.
            data = challenge[challenge.find(b"\x16\x00\x92") + 3:][:146]
            wire.send(mqtt.auth(0x18, METHOD, key.sign("login-client", data[:82] + os.urandom(32))))
            said = wire.to_the_end()
            answers.add((masked(challenge), masked(said[len(challenge):])))
        self.assertEqual(len(answers), 1, answers)

    def test_refused_tokens_are_answered_the_same_in_both_versions(self):
        for version, first in ((4, bytes.fromhex("20020005")), (5, None)):
            answers = set()
            for identity in (self.known, self.unknown):
                good = dict(cluster=self.node.cluster, permalink=identity.permalink, key=identity.devices[0],
                            client_id="x")
                tokens = [envelope.make_token(**{**good, "client_id": "y"}),
                          envelope.make_token(**{**good, "life_s": 0}),
                          envelope.make_token(**{**good, "key": envelope.SigningKey()}), "A" * 200, ""]
                if identity is self.unknown:
                    tokens.append(envelope.make_token(**good))
                for token in tokens:
                    answers.add(masked(self.said_to(mqtt.connect(version, "x", username=identity.permalink.hex(),
                                                                 password=token))))
            for user in ("", "alice", "z" * 64, "00" * 32, "00" * 40):
                answers.add(masked(self.said_to(mqtt.connect(version, "x", username=user, password="A" * 200))))
            self.assertEqual(len(answers), 1, answers)
            if first:
                self.assertEqual(answers, {first})

    def test_anonymous_clients_are_refused_like_that_too(self):
        self.assertEqual(self.said_to(mqtt.connect(4, "x")), bytes.fromhex("20020005"))
        self.assertEqual(masked(self.said_to(mqtt.connect(5, "x"))),
                         masked(self.said_to(mqtt.connect(5, "x", username="a", password="b"))))

    # --- what is not a CONNECT

    def test_a_first_packet_that_is_not_connect_gets_no_byte(self):
        draw = random.Random(3)
        first = [mqtt.packet(mqtt.PINGREQ), mqtt.packet(mqtt.DISCONNECT), mqtt.packet(mqtt.DISCONNECT, b"\0\0"),
                 mqtt.publish(4, "signet/v1/outbox", b"x"), mqtt.publish(5, "signet/v1/outbox", b"x", 1, 7),
                 mqtt.subscribe(5, 1, [("signet/v1/inbox", 1)]), mqtt.subscribe(4, 1, [("#", 1)]),
                 mqtt.auth(0x18, METHOD, bytes(64)), mqtt.auth(0x19, METHOD, hello(self.known)), mqtt.puback(1),
                 mqtt.packet(mqtt.CONNACK, b"\0\0"), b"\0" * 64, b"\xff" * 64, b"\x10\xff\xff\xff\xff\x01",
                 b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
                 b"\x11" + enhanced(self.known)[1:], *[b"\xd0" + draw.randbytes(40) for _ in range(5)]]
        for content in first:
            self.assertEqual(self.said_to(content), b"", content[:16].hex())

    def test_a_connect_that_is_too_large_gets_no_byte(self):
        for version in (4, 5):
            self.assertEqual(self.said_to(mqtt.connect(version, "x", username="u" * 1100, password="p")), b"")
        self.assertEqual(self.said_to(b"\x10\xff\xff\xff\x7f"), b"")       # announced, never sent
        self.assertEqual(self.said_to(b"\x10\x80\x08"), b"")               # 1024 bytes and a header: above
        self.assertGreater(len(self.said_to(mqtt.connect(5, "x", username="u" * 900, password="p"))), 0)

    def test_a_slow_connect_gets_no_byte_and_is_closed(self):
        whole = enhanced(self.known)
        wires = [self.wire(), self.wire().send(whole[:1]), self.wire().send(whole[:-1])]
        dribble = self.wire()

        def drip():
            for byte in whole[:-1]:
                if dribble.closed:
                    return
                dribble.send(bytes([byte]))
                time.sleep(0.2)
        feeder = threading.Thread(target=drip)
        feeder.start()
        begun = time.monotonic()
        for wire in wires + [dribble]:
            self.assertEqual(wire.to_the_end(), b"")
            self.assertTrue(wire.closed)
        feeder.join()
        self.assertGreater(time.monotonic() - begun, 2)  # not at once: an honest slow client has its time

    # --- misuse between CONNECT and the proof

    def test_other_packets_before_the_proof_are_refused(self):
        for content in (mqtt.publish(5, "signet/v1/outbox", b"x", 1, 7), mqtt.packet(mqtt.PINGREQ),
                        enhanced(self.known), mqtt.subscribe(5, 1, [("signet/v1/inbox", 1)]),
                        mqtt.auth(0x19, METHOD, hello(self.known)), mqtt.auth(0x18, "another", bytes(64)),
                        mqtt.auth(0x18, METHOD, bytes(63)),
                        mqtt.packet(mqtt.AUTH, b"\x18\x00"), mqtt.packet(mqtt.AUTH), b"\xff\xff\xff\xff\xff",
                        b"\xf0\x03\x18"):  # the last one is incomplete
            wire = self.challenge(self.known)
            challenge = len(wire.said)
            said = wire.send(content).to_the_end()
            self.assertLessEqual(len(said), LIMIT)
            rest = said[challenge:]
            self.assertTrue(rest == b"" or (rest[0] == 0x20 and rest[3] >= 0x80), (content[:8].hex(), rest.hex()))

    def test_what_is_sent_behind_connect_does_nothing(self):
        behind = mqtt.subscribe(5, 1, [("signet/v1/inbox", 1), ("signet/v1/session", 1)]) + \
            mqtt.publish(5, "signet/v1/session", b"x" * 500, 1, 7) * 20
        wire = self.wire().send(enhanced(self.known) + behind)
        self.assertLessEqual(len(wire.to_the_end()), LIMIT)
        behind = mqtt.subscribe(4, 1, [("signet/v1/inbox", 1)]) + mqtt.packet(mqtt.PINGREQ) * 100
        self.assertEqual(self.said_to(mqtt.connect(4, "x", username="a" * 64, password="b") + behind),
                         bytes.fromhex("20020005"))

    def test_a_login_that_is_never_finished_ends(self):
        wire = self.challenge(self.known)
        said = wire.to_the_end()
        self.assertTrue(wire.closed)
        self.assertLessEqual(len(said), LIMIT)

    def test_connects_that_ask_for_what_there_is_not(self):
        expected = [
            (mqtt.connect(5, "x", props={"auth_method": "SCRAM", "auth_data": b"x"}), 0x8C),
            (mqtt.connect(5, "", username="a", password="b"), 0x85),
            (mqtt.connect(4, "", username="a", password="b"), 2),
            (mqtt.connect(5, "x" * 129, username="a", password="b"), 0x85),
            (mqtt.connect(5, "x", will={"topic": "t", "payload": b"p"}, username="a", password="b"), 0x90),
            (mqtt.connect(5, "x", will={"topic": "t", "payload": b"p", "qos": 2}, username="a", password="b"), 0x9B),
            (mqtt.connect(5, "x", will={"topic": "t", "payload": b"p", "retain": 1}, username="a", password="b"), 0x9A),
            (mqtt.connect(4, "x", will={"topic": "t", "payload": b"p"}, username="a", password="b"), 5),
            (mqtt.connect(5, "x", level=6), 0x84),
            (mqtt.connect(4, "x", level=3), 1),
            (mqtt.connect(5, "x", props={"auth_method": METHOD, "auth_data": b"short"}), 0x87),
        ]
        for content, code in expected:
            said = self.said_to(content)
            self.assertEqual((said[:1], said[3:4]), (b"\x20", bytes([code])), (content.hex(), said.hex()))

    def test_spoiled_connects_never_get_more_than_a_refusal(self):
        draw = random.Random(11)
        samples = [enhanced(self.known), mqtt.connect(5, "x", username=self.known.permalink.hex(), password="A" * 200),
                   mqtt.connect(4, "x", username=self.known.permalink.hex(), password="A" * 200)]
        wires = []
        for _ in range(300):
            content = bytearray(draw.choice(samples))
            for _ in range(draw.choice((1, 1, 2, 8))):
                content[draw.randrange(len(content))] = draw.randrange(256)
            wires.append((bytes(content), self.wire().send(bytes(content))))
        for content, wire in wires:
            wire.socket.shutdown(socket.SHUT_WR)
        for content, wire in wires:
            said = wire.to_the_end()
            self.assertLessEqual(len(said), LIMIT)
            if said and said[0] == 0x20:
                code = said[3]
                self.assertNotEqual(code, 0, content.hex())
            else:
                self.assertIn(said[:1], (b"", b"\xf0"), content.hex())

    # --- over WebSocket

    def test_over_websocket_upgrade_and_refusal_stay_below_the_limit(self):
        def frame(payload):
            size = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + struct.pack(">H", len(payload))
            return b"\x82" + size + bytes(4) + payload
        upgrade = (b"GET /mqtt HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                   b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\n"
                   b"Sec-WebSocket-Protocol: mqtt\r\n\r\n")
        answers = set()
        for identity in (self.known, self.unknown):
            wire = Wire(self.node.ports["ws"])
            wire.send(upgrade)
            wire.read(PATIENCE, lambda said: b"\r\n\r\n" in said)
            self.assertTrue(wire.said.startswith(b"HTTP/1.1 101 "), wire.said)
            wire.send(frame(mqtt.connect(5, "x", username=identity.permalink.hex(), password="A" * 200)))
            said = wire.to_the_end()
            self.assertLessEqual(len(said), LIMIT)
            answers.add(masked(said.partition(b"\r\n\r\n")[2]))
        self.assertEqual(len(answers), 1, answers)
        for request in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"POST /mqtt HTTP/1.1\r\nHost: x\r\n\r\n",
                        b"\x10\x00" * 8,
                        b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", b"A" * 20_000,
                        upgrade.replace(b"mqtt\r\n\r\n", b"other\r\n\r\n"), upgrade.replace(b": 13", b": 12")):
            wire = Wire(self.node.ports["ws"])
            said = wire.send(request).to_the_end()
            self.assertLessEqual(len(said), LIMIT, said)
            self.assertNotIn(b" 101 ", said[:20])

    def test_what_is_tried_is_named_in_the_log_and_the_node_lives(self):
        with Node() as node:
            bad_flags = enhanced(self.known).replace(b"MQTT\x05\x02", b"MQTT\x05\x03")
            Wire(node.ports["mqtt"]).send(bad_flags).to_the_end()
            Wire(node.ports["mqtt"]).send(mqtt.connect(4, "x", username="00" * 32, password="A" * 200)).to_the_end()
            Wire(node.ports["mqtt"]).send(enhanced(self.known)).to_the_end()
            client = Client(node.address, self.known, node_key=node.node_key)
            self.assertEqual(client.login()["code"], 0)
            client.disconnect()
            self.assertEqual(node.stop(), 0)
            kinds = {event["kind"] for event in node.events()}
            self.assertLessEqual({"login_failed", "malformed_packet", "challenge_expired", "login_ok"}, kinds)
            self.assertEqual(node.verify(), "verify OK")


if __name__ == "__main__":
    unittest.main()
