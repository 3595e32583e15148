"""The connections between nodes when they pass through our proxy: one proxy for each node, on its own host, through
which it dials its peers."""
import json
import pathlib
import subprocess
import sys

import sandbox

HERE = pathlib.Path(__file__).resolve().parent


class Links:
    def __init__(self, seed):
        self.seed = seed
        self.proxies = {}       # name of the node that dials -> process
        self.ports = {}         # (from, to) -> port on the dialing host's loopback

    def add(self, node, others):
        """Pairs from this node to others and back. Idempotent."""
        for one, two in [(node, other) for other in others] + [(other, node) for other in others]:
            if (one.name, two.name) in self.ports:
                continue
            if one.name not in self.proxies:
                self.proxies[one.name] = subprocess.Popen(
                    [*one.host.enter_command(), sys.executable, HERE / "proxy.py", str(self.seed + len(self.proxies))],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=sandbox.die_with_parent)
            host, port = two.link.rsplit(":", 1)
            self.ports[one.name, two.name] = self.tell(one.name, do="listen", pair=f"{one.name}>{two.name}",
                                                       at=["127.0.0.1", 0], to=[host, int(port)])["port"]

    def tell(self, name, **command):
        process = self.proxies[name]
        process.stdin.write(json.dumps(command) + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    def address(self, own, peer):
        """Where `own` dials `peer`."""
        return f"127.0.0.1:{self.ports[own.name, peer.name]}"

    def set(self, source, target, mode):
        """How bytes from source to target behave, on the connections that either dialed."""
        self.tell(source.name, do="set", pairs=[f"{source.name}>{target.name}"], forward=mode)
        self.tell(target.name, do="set", pairs=[f"{target.name}>{source.name}"], back=mode)

    def pass_all(self):
        for name in self.proxies:
            pairs = [f"{one}>{two}" for one, two in self.ports if one == name]
            self.tell(name, do="set", pairs=pairs, forward={}, back={})

    def reset(self, node):
        """RST on every connection that this node dialed."""
        self.tell(node.name, do="reset", pairs=[f"{one}>{two}" for one, two in self.ports if one == node.name])

    def count(self, what):
        """So many, of all pairs."""
        return sum(pair.get(what, 0) for name in self.proxies for pair in self.tell(name, do="counters").values())

    def close(self):
        for process in self.proxies.values():
            process.kill()
            process.wait()
