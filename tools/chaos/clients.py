"""The clients of a run: authors and readers, each a process of its own (load.py), and what their histories say so far."""
import json
import pathlib
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests/system/client"))
from signet_client import envelope
from signet_client.client import Client


def wait_for(what, condition, timeout):
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited too long for {what}")
        time.sleep(0.05)


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
        self.seen = {}                    # recipient -> newest position that its reader has got
        people = [envelope.Identity(devices=2, profile=f"load {i}".encode()) for i in range(count)]
        for i, person in enumerate(people):  # published before anybody writes to them
            node = nodes[i % len(nodes)]
            client = Client(tuple(node["address"]), person, node_key=bytes.fromhex(node["node_key"]))
            client.login()
            client.disconnect()
        everybody = [person.permalink.hex() for person in people]
        self.tails = {}
        for i, person in enumerate(people):
            for role in ("author", "reader"):
                name = f"{role}-{i}"
                first = (i + (role == "reader")) % len(nodes)
                spec = {"role": role, "name": name, "nodes": nodes[first:] + nodes[:first], "cluster": cluster.hex(),
                        "seed": seed * 1000 + 2 * i + (role == "reader"), "pause_s": pause_s, "patience_s": patience_s,
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
        return answered >= to_bot and all(self.seen.get(who, 0) >= end for who, end in ends.items() if who != bot)

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
