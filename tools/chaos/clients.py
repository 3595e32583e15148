"""The clients of a run: authors and readers, each a process of its own (load.py), and what their histories say so
far."""
import json
import pathlib
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests/system/client"))
import load
from signet_client import capnp, envelope, mqtt
from signet_client.client import RECEIPTS, SESSION, Client, LoginRefused

LOST = (mqtt.Closed, mqtt.Timeout, LoginRefused, OSError, envelope.Refused, capnp.Malformed)


def wait_for(what, condition, timeout):
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited too long for {what}")
        time.sleep(0.05)


def introduce(person, node, timeout=60):
    """Publishes the identity through this node, which may ask to come again later."""
    def known():
        client = Client(tuple(node["address"]), person, node_key=bytes.fromhex(node["node_key"]))
        try:
            client.login(timeout=10)
            client.disconnect()
            return True
        except (mqtt.Closed, mqtt.Timeout, LoginRefused, OSError):
            return False
    wait_for("the first login of an identity", known, timeout)


class Tail:
    """Whole lines that were added to a file since the last look."""

    def __init__(self, path):
        self.path, self.at = path, 0

    def lines(self):
        if not self.path.exists():
            return []
        with open(self.path, "rb") as file:
            file.seek(self.at)
            new = file.read()
        whole = new[:new.rfind(b"\n") + 1]
        self.at += len(whole)
        return [json.loads(line) for line in whole.splitlines()]


class Load:
    """`count` people, each with an author and a reader on connections of their own.

    nodes: [{name, address: (host, port), node_key: hex}]. cluster: 16 bytes. bot: its permalink in hex, or None.
    pause_s: mean seconds between an author's batches; patience_s: how long a client waits for an answer.
    """

    def __init__(self, nodes, cluster, bot, folder, count, seed, pause_s=0, patience_s=30):
        self.folder = folder
        self.processes = []
        self.answered = 0
        people = [envelope.Identity(devices=2, profile=f"load {i}".encode()) for i in range(count)]
        for i, person in enumerate(people):  # published before anybody writes to them
            introduce(person, nodes[i % len(nodes)])
        everybody = [person.permalink.hex() for person in people]
        self.seen = dict.fromkeys(everybody, 0)  # who reads -> newest position that the reader has got
        self.tails = {}
        for i, person in enumerate(people):
            for role in ("author", "reader"):
                name = f"{role}-{i}"
                first = (i + (role == "reader")) % len(nodes)
                spec = {"role": role, "name": name, "nodes": nodes[first:] + nodes[:first], "cluster": cluster.hex(),
                        "nodes_file": str(folder / "nodes.json"), "seed": seed * 1000 + 2 * i + (role == "reader"), "pause_s": pause_s, "patience_s": patience_s,
                        "recipients": everybody + ([bot] if bot else []),
                        "history": str(folder / f"{name}.history.jsonl"),
                        "identity": {"permalink": person.permalink.hex(), "version": person.versions[0].hex(),
                                     "devices": [key.seed.hex() for key in person.devices]}}
                path = folder / f"{name}.json"
                path.touch(0o600)
                path.write_text(json.dumps(spec))
                self.tails[name] = Tail(folder / f"{name}.history.jsonl")
                log = open(folder / f"{name}.log", "wb")
                self.processes.append((role, name, subprocess.Popen(
                    [sys.executable, HERE / "load.py", path], stdout=log, stderr=log, stdin=subprocess.DEVNULL)))

    def look(self):
        for tail in self.tails.values():
            for line in tail.lines():
                if line["kind"] == "puback" and line["code"] == 0:
                    self.answered += 1
                elif line["kind"] == "delivery":
                    who = line["recipient"]
                    self.seen[who] = max(self.seen.get(who, 0), line["messages"][-1]["position"])

    def acknowledged(self):
        """Batches that were acknowledged whole so far."""
        self.look()
        return self.answered

    def must_live(self):
        for _, name, process in self.processes:
            if process.poll() is not None:
                raise RuntimeError(f"client {name} ended: " + (self.folder / f"{name}.log").read_text()[-2000:])

    def all_delivered(self, log, bot):
        """log: entries of `signet log --json`. It holds an answer for every message to the bot, and readers have seen
        the end of every inbox."""
        ends, answered, to_bot = {}, 0, 0
        for entry in log:
            body = entry.get("entry") or {}
            answered += body.get("kind") == "bot_dead_lettered"
            for m in (body.get("batch") or {}).get("messages", ()):
                if m.get("accepted") and entry["applied"]:
                    ends[m["recipient"]] = ends.get(m["recipient"], 0) + 1
                    answered += m["author"] == bot
                    to_bot += m["recipient"] == bot
        self.look()
        return answered >= to_bot and all(got >= ends.get(who, 0) for who, got in self.seen.items())

    def end(self, role, timeout):
        for kind, _, process in self.processes:
            if kind == role:
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + timeout
        for kind, name, process in self.processes:
            if kind == role and process.wait(max(1, deadline - time.monotonic())) != 0:
                raise RuntimeError(f"client {name} failed: " + (self.folder / f"{name}.log").read_text()[-2000:])

    def kill(self):
        for _, _, process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()


class Canary:
    """One author for each node that writes to itself through that node alone: shows that the node takes and applies
    writes. Its history is judged like every other's."""

    def __init__(self, nodes, cluster, folder):
        self.nodes, self.cluster = nodes, cluster
        self.history = load.History(folder / "canary.history.jsonl")
        self.authors = {}
        self.refused = {}        # node -> how its last refusal was worded, or None

    def author(self, node):
        if node.name not in self.authors:
            identity = envelope.Identity()
            spec = {"name": f"canary-{node.name}", "seed": 0, "patience_s": 3, "pause_s": 0,
                    "cluster": self.cluster.hex(),
                    "nodes": [{"name": node.name, "address": node.address, "node_key": node.node_key}],
                    "recipients": [identity.permalink.hex()],
                    "identity": {"permalink": identity.permalink.hex(), "version": identity.versions[0].hex(),
                                 "devices": [key.seed.hex() for key in identity.devices]}}
            self.authors[node.name] = load.Author(spec, self.history)
        return self.authors[node.name]

    def write(self, node, timeout=3):
        """One message through this node, or the one that is still unanswered. Returns the log index, or None."""
        return self.send(self.author(node), node.name, timeout)

    def send(self, author, name, timeout=3):
        author.patience = timeout
        try:
            fresh = None
            if not author.waiting:
                fresh = envelope.Batch(author.key, [next(iter(author.lanes.values())).next(author.content())])
                author.waiting[fresh.root] = (fresh, True)
            if author.connection is None:
                author.flight.clear()
                author.attach()
                author.subscribe([RECEIPTS, SESSION], timeout=timeout)
                for batch, _ in list(author.waiting.values()):
                    author.put(batch)
            elif fresh:
                author.put(fresh)
            author.pump(lambda: not author.waiting, timeout)
            return author.newest
        except LOST as e:
            self.history.write("lost", why=f"{type(e).__name__} {e}", node=name)
            self.refused[name] = str(e) if isinstance(e, LoginRefused) or str(e).startswith("PUBACK") else None
            author.close()
            author.connection = None
            return None

    def must_be_refused(self, node, limit_s=3, wait=True):
        """A write through a node that knows of no leader gets a clear answer: not taken. Records how long that took;
        the promise is 2 s, the rest is for a busy machine. (A write that an earlier leader may have taken is in doubt
        and is not answered: none is under way here.)"""
        if wait:
            wait_for("a node to notice that it has no leader", lambda: not node.replica().get("leader"), 5)
        begun = time.monotonic()
        self.refused[node.name] = None
        index = self.write(node, limit_s + 2)
        self.history.write("refusal", node=node.name, ms=int((time.monotonic() - begun) * 1000), limit_ms=limit_s * 1000,
                           answer="accepted" if index is not None else self.refused[node.name])

    def fire(self, node, size=0):
        """Sends one message through this node and does not wait: something is under way when the node dies. size: bytes
        of content."""
        author = self.author(node)
        if author.connection is None or author.waiting:
            return
        content = author.content().ljust(size, b".")
        batch = envelope.Batch(author.key, [next(iter(author.lanes.values())).next(content)])
        author.waiting[batch.root] = (batch, True)
        try:
            author.put(batch)
        except LOST:
            pass  # `write` sends it again

    def clock_of(self, node, timeout=5):
        """Wall clock of a node in seconds, as it tells its clients; None if it does not."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.write(node) is not None:
                author = self.author(node)
                author.notices.clear()
                try:
                    author.cursor()
                    return author.notices[-1]["serverTimeMs"] / 1000
                except LOST:
                    author.close()
                    author.connection = None
        return None

    def finish(self, timeout=30):
        """Everything of every canary is answered."""
        deadline = time.monotonic() + timeout
        for name, author in self.authors.items():
            node = next((node for node in self.nodes() if node.name == name), None)
            if node is None:             # it is gone for good: what it was asked is asked of another
                other = self.nodes()[0]
                author.nodes = [{"name": other.name, "address": other.address, "node_key": other.node_key}]
            while author.waiting and time.monotonic() < deadline:
                self.send(author, name)
            if not author.waiting:
                self.history.write("finished", device=author.key.public.hex())
            author.close()


def stranger(node, history, draw):
    """One connection that never authenticates, in one of three ways; what it got is recorded."""
    seen, packets = 0, []
    try:
        identity = envelope.Identity()
        client = Client(tuple(node.address), identity)
        connection = mqtt.Connection(*node.address, timeout=2)
        way = draw.choice(("silent after the challenge", "subscribe at once", "subscribe instead of the proof"))
        if way != "subscribe at once":
            connection.send(mqtt.connect(5, client.client_id, clean=True, props={
                "auth_method": "signet-ed25519", "auth_data": client._hello()}))
        if way != "silent after the challenge":
            connection.send(mqtt.subscribe(5, 1, [("signet/v1/inbox", 1)]))
        deadline = time.monotonic() + 0.2
        while time.monotonic() < deadline:
            got = connection.receive(max(0.01, deadline - time.monotonic()))
            packets.append(NAMES.get(got["kind"], str(got["kind"])))
    except LOST:
        pass
    finally:
        if "connection" in locals():
            seen = sum(connection.sizes) + len(connection.buffer)
            connection.close()
    history.write("stranger", node=node.name, bytes=seen, packets=packets)


NAMES = {mqtt.CONNACK: "CONNACK", mqtt.PUBLISH: "PUBLISH", mqtt.PUBACK: "PUBACK", mqtt.SUBACK: "SUBACK",
         mqtt.DISCONNECT: "DISCONNECT", mqtt.AUTH: "AUTH"}
