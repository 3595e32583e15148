"""A client of docs/protocol.md sections 5 to 10. One thread: `pump` reads what has come, all else waits in it."""
import os
import struct
import time

from . import capnp, envelope, mqtt
from .envelope import Refused
from .mqtt import Closed, Timeout

METHOD = "signet-ed25519"
OUTBOX, RECEIPTS, INBOX = "signet/v1/outbox", "signet/v1/receipts", "signet/v1/inbox"
ACK, SESSION, IDENTITY = "signet/v1/ack", "signet/v1/session", "signet/v1/identity"
ROLES = (RECEIPTS, SESSION, IDENTITY, INBOX)


class LoginRefused(Exception):
    """CONNACK with another code than 0; .code, .props."""

    def __init__(self, code, props):
        super().__init__(f"CONNACK 0x{code:02x}")
        self.code, self.props = code, props


class Client:
    """One connection of one device of one identity.

    node_key: the one that is trusted; None: taken from the first challenge (trust on first use), kept in .node_key.
    """

    def __init__(self, address, identity, device=0, client_id=None, node_key=None, version=5, auto_ack=True):
        self.address, self.identity = address, identity
        self.key = identity.devices[device]
        self.client_id = client_id or "c" + os.urandom(6).hex()
        self.node_key, self.version, self.auto_ack = node_key, version, auto_ack
        self.cluster = None
        self.chains = {}          # permalink -> keys ever held, checked
        self.known_versions = {}  # permalink -> number of versions seen
        self.receipts, self.notices, self.deliveries, self.publishes = [], [], [], []
        self.pubacks, self.subacks, self.answers, self.auths = {}, {}, {}, []
        self.disconnect_code = None
        self.connection = None
        self.last_id = 0
        self.correlation = 0

    # --- login

    def _hello(self):
        self.nonce = os.urandom(32)
        return struct.pack(">H", 1) + self.identity.permalink + self.key.public + self.nonce + b"\x01"

    def _transcript(self, challenge):
        return challenge[:82] + self.nonce + self.identity.permalink + self.key.public + b"\x01" + \
            self.client_id.encode()

    def _prove(self, challenge, hand_in=b""):
        """Checks what the node says of itself, then answers it."""
        if len(challenge) != 146 or challenge[:2] != b"\0\1":
            raise Refused("challenge")
        node_key = challenge[18:50]
        if self.node_key is not None and node_key != self.node_key:
            raise Refused("another node key than the one we trust")
        transcript = self._transcript(challenge)
        if not envelope.verifies(node_key, "login-node", transcript, challenge[82:]):
            raise Refused("the node does not prove its key")
        self.node_key = node_key
        self.cluster = challenge[2:18]
        return self.key.sign("login-client", transcript) + hand_in

    def login(self, hand_in=True, clean=True, tamper=None, timeout=20, **props):
        """Enhanced authentication. tamper(proof) -> proof, for tests. timeout: seconds for each answer. Returns CONNACK."""
        self.connection = mqtt.Connection(*self.address, timeout=timeout)
        self.connection.send(mqtt.connect(5, self.client_id, clean=clean, props={
            "auth_method": METHOD, "auth_data": self._hello(), **props}))
        answer = self.connection.receive(timeout)
        if answer["kind"] == mqtt.AUTH and answer["code"] == 0x18:
            if answer["props"].get("auth_method") != METHOD:
                raise Refused("method of the challenge")
            proof = self._prove(answer["props"]["auth_data"], self.identity.versions[0] if hand_in else b"")
            self.connection.send(mqtt.auth(0x18, METHOD, tamper(proof) if tamper else proof))
            answer = self.connection.receive(timeout)
        return self._connected(answer)

    def login_by_token(self, token, clean=True, **props):
        self.connection = mqtt.Connection(*self.address, version=self.version)
        self.connection.send(mqtt.connect(self.version, self.client_id, clean=clean, props=props,
                                          username=self.identity.permalink.hex(), password=token))
        return self._connected(self.connection.receive())

    def _connected(self, answer):
        if answer["kind"] != mqtt.CONNACK:
            raise Refused(f"packet type {answer['kind']} instead of CONNACK")
        if answer["code"]:
            self.connection.close()
            raise LoginRefused(answer["code"], answer["props"])
        return answer

    def reauthenticate(self, tamper=None, timeout=20):
        """AUTH 0x19 on the living connection."""
        self.auths.clear()
        self.connection.send(mqtt.auth(0x19, METHOD, self._hello()))
        self.pump(lambda: self.auths, timeout)
        proof = self._prove(self.auths.pop(0)["props"]["auth_data"])
        self.connection.send(mqtt.auth(0x18, METHOD, tamper(proof) if tamper else proof))
        self.pump(lambda: self.auths, timeout)
        if self.auths[0]["code"] != 0:
            raise Refused("re-authentication")

    def token(self, **fields):
        return envelope.make_token(self.cluster, self.identity.permalink, self.key, self.client_id, **fields)

    # --- reading

    def pump(self, until=None, timeout=20):
        """Reads until the condition holds. Raises Timeout, or Closed when the node has closed."""
        deadline = time.monotonic() + timeout
        while not (until and until()):
            left = deadline - time.monotonic()
            if left <= 0:
                raise Timeout()
            self._take(self.connection.receive(left))

    def drain(self, seconds):
        """Reads for so long, whatever comes."""
        try:
            self.pump(None, seconds)
        except Timeout:
            pass

    def _take(self, got):
        kind = got["kind"]
        if kind == mqtt.PUBLISH:
            self._take_publish(got)
        elif kind == mqtt.PUBACK:
            self.pubacks[got["id"]] = got
        elif kind == mqtt.SUBACK:
            self.subacks[got["id"]] = got["codes"]
        elif kind == mqtt.AUTH:
            self.auths.append(got)
        elif kind == mqtt.DISCONNECT:
            self.disconnect_code = got["code"]

    def _take_publish(self, got):
        topic, payload = got["topic"], got["payload"]
        if topic == RECEIPTS:
            self.receipts.append(envelope.read_receipt(payload))
        elif topic == SESSION:
            self.notices.append(capnp.decode(envelope.NOTICE, payload))
        elif topic == IDENTITY:
            answer = capnp.decode(envelope.IDENTITY_ANSWER, payload)
            self.answers[answer["correlation"]] = answer
        elif topic == INBOX:
            self.deliveries.append(got)
            if self.auto_ack and got["qos"]:
                self.connection.send(mqtt.puback(got["id"]))
        else:
            raise Refused(f"a publish on {topic}")

    # --- topics

    def _id(self):
        self.last_id = self.last_id % 65535 + 1
        return self.last_id

    def subscribe(self, topics=ROLES, qos=1, timeout=20):
        packet_id = self._id()
        self.connection.send(mqtt.subscribe(self.version, packet_id, [(t, qos) for t in topics]))
        self.pump(lambda: packet_id in self.subacks, timeout)
        return self.subacks[packet_id]

    def publish(self, topic, payload, qos=1, **props):
        packet_id = self._id() if qos else 0
        self.pubacks.pop(packet_id, None)
        self.connection.send(mqtt.publish(self.version, topic, payload, qos, packet_id, props=props))
        return packet_id

    def request(self, topic, payload, timeout=20):
        """A publish at QoS 1, and its PUBACK."""
        packet_id = self.publish(topic, payload)
        self.pump(lambda: packet_id in self.pubacks, timeout)
        return self.pubacks[packet_id]

    def send(self, batch, timeout=60):
        """Publishes a batch. Returns (receipt, PUBACK). Needs the subscription to receipts."""
        serialised = batch.serialised if isinstance(batch, envelope.Batch) else batch
        seen = len(self.receipts)
        ack = self.request(OUTBOX, serialised, timeout)
        if len(self.receipts) != seen + 1:
            raise Refused("not exactly one receipt before the PUBACK")
        return self.receipts[-1], ack

    def ask(self, timeout=20, **what):
        """SessionRequest: renew=token, explicitAcks=True, deliverFrom=p, where=None. Returns the PUBACK."""
        (which, value), = what.items()
        return self.request(SESSION, capnp.encode(envelope.REQUEST, {"which": which, which: value}), timeout)

    def acknowledge(self, position):
        return self.request(ACK, capnp.encode(envelope.POSITION, {"position": position}))

    def cursor(self):
        seen = len(self.notices)
        self.ask(where=None)
        self.pump(lambda: any(n["which"] == "cursor" for n in self.notices[seen:]))
        return next(n["cursor"] for n in self.notices[seen:] if n["which"] == "cursor")

    def ask_identity(self, timeout=20, **what):
        """IdentityRequest: publish=serialised version, byPermalink, byKey or byLink. Returns (answer, PUBACK)."""
        (which, value), = what.items()
        if which == "publish":
            value = capnp.decode(envelope.VERSION, value)
        self.correlation += 1
        correlation = self.correlation
        ack = self.request(IDENTITY, capnp.encode(envelope.IDENTITY_REQUEST, {
            "correlation": correlation, "which": which, which: value}), timeout)
        self.pump(lambda: correlation in self.answers, timeout)
        return self.answers.pop(correlation), ack

    def look_up(self, permalink):
        """Fetches and checks a chain; remembers it. Raises Refused."""
        answer, _ = self.ask_identity(byPermalink=permalink)
        if answer["code"] != "ok":
            raise Refused(answer["code"])
        keys = envelope.check_chain(permalink, answer["versions"])
        if len(answer["versions"]) < self.known_versions.get(permalink, 0):
            raise Refused("a shorter chain than before")
        self.known_versions[permalink] = len(answer["versions"])
        self.chains[permalink] = keys
        return keys

    def key_is_authors(self, author, key):
        for attempt in (0, 1):
            if author not in self.chains or attempt:
                self.look_up(author)
            if any(k["key"] == key and k["purpose"] == "sign" for k in self.chains[author]):
                return True
        return False

    def messages(self, count=None, timeout=20):
        """Waits for so many messages, then gives all that has come, checked as section 9.1 says, and forgets it."""
        def arrived():
            return sum(len(i["bundle"]["messages"]) if i["which"] == "bundle" else 1
                       for d in self.deliveries for i in capnp.decode(envelope.DELIVERY, d["payload"])["items"])
        if count is not None:
            self.pump(lambda: arrived() >= count, timeout)
        taken, self.deliveries = self.deliveries, []
        out = []
        for delivery in taken:
            out += envelope.read_delivery(delivery["payload"], self.identity.permalink, self.cluster,
                                          self.key_is_authors)
        return out

    def lane(self, recipient):
        return envelope.Lane(self.cluster, self.identity.permalink, recipient)

    def close(self):
        """Without DISCONNECT."""
        if self.connection:
            self.connection.close()

    def disconnect(self):
        try:
            self.connection.send(mqtt.packet(mqtt.DISCONNECT))
        except Closed:
            pass
        self.connection.close()
