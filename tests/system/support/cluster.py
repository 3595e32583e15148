"""Node processes of one cluster for a test, on free ports of loopback, with one cluster.conf for all.

The binary is the one that SIGNET_BINARY names (ctest sets it). Nothing here outlives its `with` block.
"""
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from node import binary


def free_ports(count):
    """Ports that were free a moment ago, all different."""
    held = [socket.socket() for _ in range(count)]
    try:
        for each in held:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in held]
    finally:
        for each in held:
            each.close()


class AdminConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("signet", timeout=5)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def wait_for(what, condition, timeout=30):
    """Returns the first true value of the condition."""
    deadline = time.monotonic() + timeout
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what}: not within {timeout} s")
        time.sleep(0.05)


class Member:
    """One node of the cluster."""

    def __init__(self, cluster, name, founder=True):
        self.cluster, self.name, self.founder = cluster, name, founder
        self.data = cluster.directory / name
        self.mqtt, self.link = free_ports(2)
        self.link_key = None
        self.node_key = None
        self.process = None
        self.logfile = cluster.directory / f"{name}.log"

    @property
    def address(self):
        return ("127.0.0.1", self.mqtt)

    @property
    def url(self):
        return f"mqtt://127.0.0.1:{self.mqtt}"

    def init(self):
        """`signet node init`; may be called again. Returns what it says."""
        said = json.loads(self.cluster.signet("node", "init", "--config", self.cluster.conf, "--name", self.name,
                                              "--json").stdout.splitlines()[-1])
        self.link_key, self.node_key = said["link_key"], said["node_key"]
        return said

    def start(self):
        with open(self.logfile, "ab") as log:
            self.process = subprocess.Popen(
                [binary(), "node", "--config", str(self.cluster.conf), "--name", self.name, "--json"],
                stdout=subprocess.DEVNULL, stderr=log, stdin=subprocess.DEVNULL, env=self.cluster.environment(),
                cwd=self.cluster.directory)

    def running(self):
        return self.process is not None and self.process.poll() is None

    def end(self, number, timeout=30):
        """Sends the signal to this process and waits. Returns its exit code."""
        os.kill(self.process.pid, number)
        code = self.process.wait(timeout)
        self.process = None
        return code

    def kill(self):
        return self.end(signal.SIGKILL)

    def stop(self):
        return self.end(signal.SIGTERM)

    def status(self):
        """JSON of its admin socket, or {} while it does not answer."""
        if not self.running():
            return {}
        connection = AdminConnection(self.data / "admin.sock")
        try:
            connection.request("GET", "/status")
            return json.loads(connection.getresponse().read())
        except (OSError, ValueError, http.client.HTTPException):
            return {}
        finally:
            connection.close()

    def replica(self):
        return self.status().get("replica", {})

    def log(self):
        done = self.cluster.signet("log", self.data, "--json", timeout=120)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def verify(self):
        """`signet verify --json` on the stopped node."""
        done = self.cluster.signet("verify", self.data, "--json", check=False, timeout=300)
        if done.returncode != 0:
            raise RuntimeError(f"verify of {self.name}: {done.returncode}\n{done.stdout}{done.stderr}")
        return json.loads(done.stdout.splitlines()[-1])

    def words(self):
        """Its operational log."""
        return self.logfile.read_text() if self.logfile.exists() else ""


class Cluster:
    """with Cluster("abc") as cluster: founded by these nodes, and started. cluster["a"] is one of them.

    settings: {"sessions": {"idle_s": 20}} and so on, for all.
    """

    def __init__(self, names, settings=None, started=True):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="signet-test-"))
        self.conf = self.directory / "cluster.conf"
        self.home = self.directory / "home"
        self.id = os.urandom(16).hex()
        self.settings = settings or {}
        self.members = [Member(self, name) for name in names]
        self.started = started

    def start(self, tries=3):
        """Founds and starts all. A port that was free may be taken by now: then with others, in other directories."""
        self.found()
        if not self.started:
            return
        for each in self.members:
            each.start()
        wait_for("all nodes answer, or one has ended",
                 lambda: all(each.status() or not each.running() for each in self.members), 60)
        ended = [each for each in self.members if not each.running()]
        if ended and tries > 1 and all("another program has that port" in each.words() for each in ended):
            for each in self.members:
                if each.running():
                    each.kill()
            self.members = [Member(self, each.name) for each in self.members]
            for each in self.members:
                each.data = self.directory / f"{each.name}-{tries}"
                each.logfile = self.directory / f"{each.name}-{tries}.log"
            return self.start(tries - 1)
        if ended:
            raise RuntimeError(f"nodes that ended: {[each.name for each in ended]}")

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, kind, value, trace):
        for each in self.members:
            if each.running():
                each.kill()
            if kind is not None:
                sys.stderr.write(f"--- last lines of the log of {each.name}\n{each.words()[-4000:]}")
        shutil.rmtree(self.directory, ignore_errors=True)

    def __getitem__(self, name):
        return next(each for each in self.members if each.name == name)

    def environment(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith("SIGNET_")}
        env.update(SIGNET_HOME=str(self.home), HOME=str(self.directory))
        return env

    def signet(self, *arguments, check=True, timeout=60):
        """Runs a signet command. Returns the finished process."""
        done = subprocess.run([binary(), *map(str, arguments)], env=self.environment(), cwd=self.directory,
                              capture_output=True, timeout=timeout, text=True, stdin=subprocess.DEVNULL)
        if check and done.returncode != 0:
            raise RuntimeError(f"signet {' '.join(map(str, arguments))}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def write(self):
        """cluster.conf as the members are now; replaced at once."""
        lines = ["[cluster]", f'id = "{self.id}"']
        for section, keys in self.settings.items():
            lines += [f"[{section}]"] + [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
        for each in self.members:
            lines += [f"[nodes.{each.name}]", f'data = "{each.data}"', f'link = "127.0.0.1:{each.link}"',
                      f"founder = {json.dumps(each.founder)}"]
            if each.link_key:
                lines.append(f'link_key = "{each.link_key}"')
            lines += [f"[nodes.{each.name}.listen]", f'mqtt = "127.0.0.1:{each.mqtt}"']
        new = self.conf.with_suffix(".new")
        new.write_text("\n".join(lines) + "\n")
        new.rename(self.conf)

    def found(self):
        """Keys first, so that the file can name them; then the stores."""
        self.write()
        for each in self.members:
            each.init()
        self.write()
        for each in self.members:
            said = each.init()
            if not said["founded"]:
                raise RuntimeError(f"not founded: {said}")

    def add(self, name):
        """One more node, in the file and with keys, but not started; it has to join."""
        made = Member(self, name, founder=False)
        self.members.append(made)
        self.write()
        made.init()
        self.write()
        made.init()
        return made

    def leader(self, timeout=30):
        """The node that leads surely."""
        return wait_for("a leader", lambda: next((each for each in self.members
                                                  if each.replica().get("leads_surely")), None), timeout)

    def followers(self):
        leader = self.leader()
        return [each for each in self.members if each is not leader and each.running()]

    def wait_until_all_follow(self, timeout=30):
        """Every running node knows the leader and has applied everything that is committed there."""
        def agreed():
            said = [each.replica() for each in self.members if each.running()]
            return all(each.get("leader") for each in said) and \
                len({(each["leader"], each["applied_index"], each["state_hash"]) for each in said}) == 1
        wait_for("all nodes at one state", agreed, timeout)
