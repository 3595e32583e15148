"""One client under load: `load.py SPEC` where SPEC is a JSON file made by tools/chaos/clients.py.

An author signs batches of unique messages to random recipients, keeps several unacknowledged, and after every lost
connection sends the unacknowledged ones again, byte for byte. Now and then it sends an acknowledged batch again,
another message under a used number (a fork), or one too far ahead (a gap). A reader receives an inbox, checks every
proof, and acknowledges. Both write what they do to a history file, each line before (invoke) or after (everything else)
the act, with the machine's monotonic clock. Either may know several nodes: when it loses one, or hears nothing for
`patience_s`, it goes on at one drawn at random. SIGTERM: an author finishes what is unacknowledged and ends; a reader
ends.
"""
import collections
import json
import os
import pathlib
import random
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests/system/client"))
from signet_client import capnp, envelope, mqtt
from signet_client.client import INBOX, OUTBOX, RECEIPTS, SESSION, IDENTITY, Client, LoginRefused

WINDOW = 6


class History:
    def __init__(self, path):
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, kind, **fields):
        os.write(self.file, (json.dumps({"t": time.monotonic_ns(), "kind": kind, **fields}) + "\n").encode())


class KnownIdentity:
    """An identity from the secrets in the SPEC."""

    def __init__(self, spec):
        self.permalink = bytes.fromhex(spec["permalink"])
        self.devices = [envelope.SigningKey(bytes.fromhex(seed)) for seed in spec["devices"]]
        self.versions = [bytes.fromhex(spec["version"])]


class Roaming(Client):
    """A client that knows several nodes and is attached to one of them."""

    def __init__(self, spec, history, device, **more):
        super().__init__(None, KnownIdentity(spec["identity"]), device, spec["name"], **more)
        self.history = history
        self.random = random.Random(spec["seed"])
        self.name = spec["name"]
        self.nodes = spec["nodes"]      # {name, address, node_key}; the first is where it begins
        self.nodes_file = spec.get("nodes_file")   # where they stand later, if they change
        self.node = None
        self.patience = spec["patience_s"]
        self.stopping = False

    def attach(self):
        """Logs in at the first node the first time, later at any."""
        if self.nodes_file and os.path.exists(self.nodes_file):
            self.nodes = json.loads(pathlib.Path(self.nodes_file).read_text())
        self.node = self.random.choice(self.nodes) if self.node else self.nodes[0]
        self.address, self.node_key = tuple(self.node["address"]), bytes.fromhex(self.node["node_key"])
        self.login(timeout=self.patience)
        self.history.write("attached", device=self.key.public.hex(), node=self.node["name"])

    def disconnect_quietly(self):
        try:
            self.disconnect()
        except (mqtt.Closed, OSError):
            pass


class Author(Roaming):
    def __init__(self, spec, history):
        super().__init__(spec, history, spec.get("device", 0))
        identity = self.identity
        self.pause = spec["pause_s"]    # mean seconds between batches; 0: as many as the window allows
        self.lanes = {r: envelope.Lane(bytes.fromhex(spec["cluster"]), identity.permalink, bytes.fromhex(r))
                      for r in spec["recipients"]}
        self.waiting = collections.OrderedDict()   # root -> (batch, is it an ordinary one?)
        self.done = collections.deque(maxlen=50)   # acknowledged ordinary batches
        self.flight = {}                           # packet id -> root
        self.count = 0
        self.newest = 0                            # index of the newest entry that holds one of its messages

    def _take_publish(self, got):
        super()._take_publish(got)
        if got["topic"] == RECEIPTS:
            receipt = self.receipts.pop()
            self.history.write("receipt", device=self.key.public.hex(), root=receipt["root"].hex(),
                               problem=receipt["problem"], outcomes=[
                                   {"code": o["code"], "index": o["index"], "expected": o["expected"]}
                                   for o in receipt["outcomes"]])
            self.newest = max([self.newest] + [o["index"] for o in receipt["outcomes"]])

    def _take(self, got):
        super()._take(got)
        if got["kind"] == mqtt.PUBACK and got["id"] in self.flight:
            root = self.flight.pop(got["id"])
            self.history.write("puback", root=root.hex(), code=got["code"])
            batch, ordinary = self.waiting[root]
            if got["code"] == 0x97 or (ordinary and got["code"] != 0):
                raise mqtt.Closed(f"PUBACK 0x{got['code']:02x}")  # nothing was taken: all again, in order
            del self.waiting[root]
            if ordinary:
                self.done.append(batch)

    def put(self, batch):
        self.history.write("invoke", root=batch.root.hex(), messages=[
            {"author": m["author"].hex(), "key": self.key.public.hex(), "recipient": m["recipient"].hex(), "n": m["n"],
             "link": link.hex(), "previous": m["previous"].hex()}
            for m, link in ((capnp.decode_body(envelope.MESSAGE, b), l) for b, l in zip(batch.bodies, batch.links))])
        self.flight[self.publish(OUTBOX, batch.serialised)] = batch.root

    def content(self):
        self.count += 1
        return f"{self.name} {self.count} {self.random.getrandbits(64):x}".encode()

    def make(self):
        """The next batch; mostly an ordinary one."""
        draw = self.random.random()
        recipient = self.random.choice(list(self.lanes))
        lane = self.lanes[recipient]
        if draw < 0.03 and self.done:
            again = self.random.choice(self.done)
            return again, False
        if draw < 0.06 and lane.n > 40:   # a used number, other content: a fork
            n = self.random.randrange(2, lane.n - 30)
            body, _ = envelope.make_body(lane.cluster, lane.author, lane.recipient, n, os.urandom(32), self.content())
            return envelope.Batch(self.key, [body]), False
        if draw < 0.08:                   # a number far ahead: a gap
            body, _ = envelope.make_body(lane.cluster, lane.author, lane.recipient, lane.n + 1000000, os.urandom(32),
                                         self.content())
            return envelope.Batch(self.key, [body]), False
        bodies = []
        for _ in range(self.random.choice((1, 1, 2, 5, 20))):
            bodies.append(self.lanes[self.random.choice(list(self.lanes))].next(self.content()))
        return envelope.Batch(self.key, bodies), True

    def turn(self):
        """One connection, until it is lost or all is done."""
        self.flight.clear()
        self.attach()
        self.subscribe([RECEIPTS, SESSION], timeout=self.patience)
        for batch, _ in list(self.waiting.values()):
            self.put(batch)
        while not (self.stopping and not self.waiting):
            while len(self.waiting) < WINDOW and not self.stopping:
                batch, ordinary = self.make()
                if batch.root in self.waiting:
                    continue
                self.waiting[batch.root] = (batch, ordinary)
                self.put(batch)
                if self.pause:
                    self.drain(self.random.expovariate(1 / self.pause))
            left = len(self.waiting)
            if left:
                self.pump(lambda: len(self.waiting) < left, self.patience)
        self.history.write("finished", device=self.key.public.hex())


class Reader(Roaming):
    def __init__(self, spec, history):
        super().__init__(spec, history, 1, auto_ack=False)
        self.turns = 0
        self.heard = 0.0                # when anything last came, by the monotonic clock

    def _take(self, got):
        self.heard = time.monotonic()
        super()._take(got)

    def wait(self):
        """A quarter of a second for a delivery; a node that answers no PINGREQ is given up."""
        try:
            self.pump(lambda: self.deliveries, 0.25)
        except mqtt.Timeout:
            silent = time.monotonic() - self.heard
            if silent > self.patience:
                raise
            if silent > self.patience / 3:
                self.connection.send(mqtt.packet(mqtt.PINGREQ))

    def turn(self):
        self.turns += 1
        self.deliveries.clear()
        device = self.key.public.hex()
        self.attach()
        self.heard = time.monotonic()
        self.subscribe([SESSION, IDENTITY], timeout=self.patience)
        self.history.write("cursor", device=device, position=self.cursor())
        self.subscribe([INBOX], timeout=self.patience)
        while not self.stopping:
            if not self.deliveries:
                self.wait()
                continue
            delivery = self.deliveries.pop(0)
            try:
                got = envelope.read_delivery(delivery["payload"], self.identity.permalink, self.cluster,
                                             self.key_is_authors)
            except (envelope.Refused, capnp.Malformed) as e:
                self.history.write("unexpected", what=f"a delivery does not hold: {e}")
                raise
            self.history.write("delivery", device=device, turn=self.turns, recipient=self.identity.permalink.hex(),
                               messages=[{"position": m["position"], "index": m["index"], "link": m["link"].hex(),
                                          "key": m["key"].hex(), "n": m["n"]} for m in got])
            if delivery["qos"]:
                self.connection.send(mqtt.puback(delivery["id"]))
                self.history.write("acknowledged", device=device, position=got[-1]["position"])
        self.history.write("cursor", device=device, position=self.cursor())


def main():
    spec = json.loads(pathlib.Path(sys.argv[1]).read_text())
    client = {"author": Author, "reader": Reader}[spec["role"]](spec, History(spec["history"]))

    def stop(*_):
        client.stopping = True
    signal.signal(signal.SIGTERM, stop)
    while True:
        try:
            client.turn()
            client.disconnect_quietly()
            return 0
        except (mqtt.Closed, mqtt.Timeout, LoginRefused, OSError) as e:
            client.history.write("lost", why=f"{type(e).__name__} {e}")
            client.close()
            if client.stopping and spec["role"] == "reader":
                return 0
            time.sleep(client.random.uniform(0.03, 0.2))
        except Exception as e:
            client.history.write("unexpected", what=f"{type(e).__name__} {e}")
            raise


if __name__ == "__main__":
    sys.exit(main())
