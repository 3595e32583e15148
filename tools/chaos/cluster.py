"""A cluster of real node processes, each on a host of its own (sandbox.py), with a configuration file of its own."""
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import sandbox
from links import Links

FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"
NAMES = "abcdefghij"
CODES = {"invariant": 70, "io": 71, "fenced": 72, "configuration": 73}


def binary():
    path = os.environ.get("SIGNET_BINARY")
    if not path or not os.access(path, os.X_OK):
        raise SystemExit("SIGNET_BINARY must name the signet program under test, for example "
                         "SIGNET_BINARY=$(tools/build)")
    return os.path.abspath(path)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class History:
    """The driver's own history: what it did to the nodes, and what it measured."""

    def __init__(self, path):
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, kind, t=None, **fields):
        line = {"t": time.monotonic_ns() if t is None else t, "kind": kind, **fields}
        os.write(self.file, (json.dumps(line) + "\n").encode())


class UnixHTTP(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("signet", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


class Node:
    """A node of the cluster: keys, store, configuration and process. `folder`: where, if not below its name."""

    def __init__(self, cluster, name, number, founder=True, folder=None):
        self.cluster, self.name, self.founder = cluster, name, founder
        self.host = sandbox.Host(number)
        self.directory = cluster.directory / (folder or name)
        self.disk = self.directory / "disk"
        self.data = self.disk / "data"
        self.disk.mkdir(parents=True)
        if cluster.disk_mib:
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={cluster.disk_mib}m", "disk", self.disk], check=True)
        alone = not sandbox.has_namespaces()
        self.mqtt = (self.host.address, free_port() if alone else 1883)
        self.link = f"{self.host.address}:{free_port() if alone else 7600}"
        self.link_key = self.node_key = None
        self.clock_file = self.directory / "clock"
        self.clock_file.write_text("+0")
        self.process = None
        self.paused = False

    @property
    def conf(self):
        return self.directory / "cluster.conf"

    @property
    def address(self):
        return self.mqtt

    def environment(self, faked=False):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("SIGNET_", "FAKETIME"))}
        env["HOME"] = str(self.directory)
        if faked:
            env.update(LD_PRELOAD=FAKETIME, DONT_FAKE_MONOTONIC="1", FAKETIME_CACHE_DURATION="1",
                       FAKETIME_TIMESTAMP_FILE=str(self.clock_file), FAKETIME_DONT_RESET="1")
        return env

    def signet(self, *arguments, check=True, timeout=120):
        """Runs a signet command on this node's host. Returns the finished process."""
        done = subprocess.run([*self.host.enter_command(), binary(), *map(str, arguments)], env=self.environment(),
                              cwd=self.directory, capture_output=True, text=True, timeout=timeout)
        if check and done.returncode != 0:
            raise RuntimeError(f"signet {' '.join(map(str, arguments))}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def init(self):
        """Makes keys and, once the file names the keys of all founders, the store. May be called again."""
        done = self.signet("node", "init", "--config", self.conf, "--name", self.name, "--json", check=False)
        if done.returncode == 1 and "already_exists" in done.stdout:
            return
        if done.returncode:
            raise RuntimeError(f"signet node init: {done.returncode}\n{done.stdout}{done.stderr}")
        said = json.loads(done.stdout.splitlines()[-1])
        self.node_key = said.get("node_key", self.node_key)
        self.link_key = said.get("link_key", self.link_key)

    def copy_store(self, target):
        """The data directory as it stands, without sockets."""
        shutil.copytree(self.data, target, ignore=lambda _, names: [name for name in names if name.endswith(".sock")])

    def twin(self, number):
        """Another node with the same name, keys and store, on another host. This one must be stopped."""
        other = Node(self.cluster, self.name, number, self.founder, f"{self.name}-twin-{number}")
        self.copy_store(other.data)
        text = self.conf.read_text().replace(str(self.data), str(other.data)).replace(self.host.address,
                                                                                     other.host.address)
        other.conf.write_text(text)
        other.node_key, other.link_key = self.node_key, self.link_key
        return other

    # --- its process

    def start(self):
        assert not self.running()
        faked = self.cluster.fake_clocks
        out = open(self.directory / "node.out", "ab")
        log = open(self.directory / "node.log", "ab")
        self.process = subprocess.Popen(
            [*self.host.enter_command(), binary(), "node", "--config", self.conf, "--name", self.name, "--json"],
            env=self.environment(faked), cwd=self.directory, stdout=out, stderr=log, stdin=subprocess.DEVNULL,
            preexec_fn=sandbox.die_with_parent)
        out.close()
        log.close()

    def running(self):
        return self.process is not None and self.process.poll() is None

    def exited(self, expected):
        """Records the end of the process. Returns its code."""
        code, self.process = self.process.wait(), None
        self.cluster.history.write("exited", node=self.name, code=code, expected=list(expected))
        return code

    def kill(self):
        """SIGKILL. True if this ended it."""
        self.cluster.history.write("killed", node=self.name)
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.paused = False
        return self.exited([-signal.SIGKILL]) == -signal.SIGKILL

    def stop(self, timeout=30):
        os.kill(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            os.kill(self.process.pid, signal.SIGABRT)
        return self.exited([0])

    def pause(self, yes):
        os.kill(self.process.pid, signal.SIGSTOP if yes else signal.SIGCONT)
        self.paused = yes

    def proc(self, name):
        return pathlib.Path(f"/proc/{self.process.pid}/{name}").read_text()

    def is_stopped(self):
        return self.proc("stat").rpartition(")")[2].split()[0] == "T"

    # --- what it says

    def ask(self, path="/status", timeout=1.0):
        """JSON of its admin socket, or None."""
        if not self.running() or self.paused:
            return None
        connection = UnixHTTP(self.data / "admin.sock", timeout)
        try:
            connection.request("GET", path)
            return json.loads(connection.getresponse().read())
        except (OSError, ValueError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def replica(self):
        """The replica's part of its status: role, term, last_index, applied_index; {} if it does not answer."""
        said = self.ask()
        found = (said or {}).get("replica") or {}
        if "applied_index" in found and self.name not in self.cluster.silent:
            self.cluster.history.write("applied", node=self.name, index=found["applied_index"],
                                       state=found.get("state_hash"))
        return found

    def log(self, first=1):
        done = self.signet("log", self.data, "--json", "--from", first, timeout=600)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def usage(self, entries):
        """Memory, descriptors, disk, with the limits that the checker holds against them."""
        rss = next(int(line.split()[1]) for line in self.proc("status").splitlines() if line.startswith("VmRSS")) * 1024
        fds = len(os.listdir(f"/proc/{self.process.pid}/fd"))
        disk = sum(path.stat().st_blocks * 512 for path in self.data.rglob("*") if path.is_file())
        self.cluster.history.write("usage", node=self.name, rss_bytes=rss, fds=fds, disk_bytes=disk, limits={
            "rss_bytes": 1 << 30, "fds": 1000, "disk_bytes": (128 << 20) + 16384 * entries})


class Cluster:
    """with Cluster(3, folder) as cluster: founded and started.

    disk_mib: each node's data on a file system of its own of that size; 0: a plain directory. fake_clocks: nodes run
    under libfaketime, so that their wall clocks can be stepped. proxy_seed: nodes dial each other through proxies of
    ours; None: directly. linked: whether nodes have links; as a rule when there are several.
    """

    def __init__(self, count, settings=None, disk_mib=0, fake_clocks=False, echo=True, proxy_seed=None,
                 linked=None):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="signet-chaos-"))
        self.history_folder = self.directory / "history"
        self.history_folder.mkdir()
        self.history = History(self.history_folder / "driver.history.jsonl")
        self.disk_mib = disk_mib if sandbox.has_namespaces() else 0
        self.fake_clocks = fake_clocks
        self.id = os.urandom(16).hex()
        self.echo = echo
        self.linked = count > 1 if linked is None else linked
        self.settings = {
            "limits": {"unauthenticated_per_address": 4096, "verifications_per_address": 2000,
                       "verifications_total": 5000, "failed_logins_per_address": 100000,
                       "identities_per_second": 10000},
            "storage": {"free_bytes_min": 16 << 20, "map_bytes": 16 << 30}, **(settings or {})}
        self.nodes = []
        self.made = 0                  # nodes, gone ones too
        self.links = Links(proxy_seed) if proxy_seed is not None else None
        self.held_before = 0
        self.silent = set()            # nodes whose word about their state is not recorded
        self.expected = {}             # node -> exit codes that the fault in course explains
        self.dumped = {}               # node -> newest applied index in a dump
        self.dumps = 0
        try:
            for i in range(count):
                self.add_node()
            self.found()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.close(kind is not None)

    def add_node(self, founder=True):
        node = Node(self, NAMES[self.made], self.made, founder)
        self.made += 1
        if self.links:
            self.links.add(node, self.nodes)
        self.nodes.append(node)
        return node

    def __getitem__(self, name):
        return next(node for node in self.nodes if node.name == name)

    # --- configuration

    def write_configuration(self):
        def value(v):
            return json.dumps(v) if not isinstance(v, bool) else str(v).lower()
        for own in self.nodes:
            lines = ["[cluster]", f'id = "{self.id}"', "[node]", f"echo_bot = {value(self.echo)}"]
            for section, keys in self.settings.items():
                lines += [f"[{section}]"] + [f"{key} = {value(v)}" for key, v in keys.items()]
            for node in self.nodes:
                lines += [f"[nodes.{node.name}]", f'data = "{node.data}"']
                if self.linked:
                    link = node.link if node is own or not self.links else self.links.address(own, node)
                    lines += [f'link = "{link}"', f"founder = {value(node.founder)}"]
                if node.link_key:
                    lines.append(f'link_key = "{node.link_key}"')
                lines += [f"[nodes.{node.name}.listen]", f'mqtt = "{node.mqtt[0]}:{node.mqtt[1]}"']
            new = own.conf.with_suffix(".new")
            new.write_text("\n".join(lines) + "\n")
            new.rename(own.conf)

    def found(self):
        """Keys first, so that the file can name them; then the store."""
        self.write_configuration()
        for node in self.nodes:
            node.init()
        if self.linked:
            self.write_configuration()
            for node in self.nodes:
                node.init()
        for node in self.nodes:
            node.start()

    def join(self, *nodes):
        """Starts nodes that were added: they have keys, a line in everybody's file, and wait to be members."""
        self.write_configuration()
        for node in nodes:
            node.init()
        self.write_configuration()
        for node in nodes:
            node.init()
            node.start()

    def forget(self, node):
        """The node is gone for good."""
        if node.running():
            node.process.kill()
            node.exited([-signal.SIGKILL])
        self.nodes.remove(node)
        node.host.close()
        shutil.rmtree(node.directory)
        self.write_configuration()

    # --- the network between nodes

    def cut(self, source, target):
        """What source says no longer reaches target, until `heal`."""
        if sandbox.has_namespaces():
            target.host.drop_from(source.host.address)
        else:
            self.links.set(source, target, {"hold": True})

    def heal(self):
        """Ends all cuts. Returns how many packets, or pieces of a stream, they stopped."""
        if not sandbox.has_namespaces():
            stopped = self.links.count("held")
            self.links.pass_all()
            stopped, self.held_before = stopped - self.held_before, stopped
            return stopped
        stopped = sum(node.host.dropped() for node in self.nodes)
        for node in self.nodes:
            node.host.pass_all()
        return stopped

    # --- what holds of all

    def client_nodes(self):
        """For clients: where the nodes are, and their keys."""
        return [{"name": node.name, "address": list(node.mqtt), "node_key": node.node_key} for node in self.nodes]

    def running(self):
        return [node for node in self.nodes if node.running()]

    def leader(self, timeout=10):
        """The node that leads, by its own word and with the highest term; None if there is none in time."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            leading = [(said["term"], node.name) for node in self.running() for said in [node.replica()]
                       if said.get("role") == "leader"]
            if leading:
                return self[max(leading)[1]]
            time.sleep(0.05)
        return None

    def watch_exits(self):
        """Records nodes that ended by themselves. Returns their names."""
        gone = [node for node in self.nodes if node.process is not None and node.process.poll() is not None]
        for node in gone:
            node.exited(self.expected.get(node.name, []))
        return [node.name for node in gone]

    def dump(self):
        """Of every node, the newest entries it holds."""
        for node in self.nodes:
            if not (node.data / "data.mdb").exists():
                continue
            entries = node.log(max(1, self.dumped.get(node.name, 0) - 20))
            with open(self.history_folder / f"{node.name}-{self.dumps:04}.dump.jsonl", "w") as out:
                for entry in entries:
                    out.write(json.dumps({key: entry[key] for key in ("index", "hash", "applied")}) + "\n")
            self.dumped[node.name] = max([e["index"] for e in entries if e["applied"]], default=0)
        self.dumps += 1

    def bot(self, timeout=30):
        """The echo bot's permalink in hex, once it is deployed."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            for node in self.nodes:
                for entry in node.log():
                    body = entry.get("entry") or {}
                    if body.get("kind") == "bot_deployed" and entry["applied"]:
                        return body["bot"]
            time.sleep(0.2)
        raise RuntimeError("the echo bot is not deployed")

    def close(self, failed=False):
        for node in self.nodes:
            if node.running():
                node.process.kill()
                node.process.wait()
            if failed:
                log = node.directory / "node.log"
                print(f"--- end of the log of node {node.name}\n{log.read_text()[-2000:] if log.exists() else ''}")
            if self.disk_mib:
                subprocess.run(["umount", "-l", node.disk], check=False)
            node.host.close()
        if self.links:
            self.links.close()
        if not failed and not os.environ.get("SIGNET_CHAOS_KEEP"):
            shutil.rmtree(self.directory, ignore_errors=True)
        else:
            print(f"kept: {self.directory}")
