"""A node process for a test: started on free ports of loopback in a directory of its own, killed, restarted, asked.

The binary is the one that SIGNET_BINARY names (ctest sets it). Nothing here outlives its `with` block.
"""
import json
import os
import pathlib
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SOURCE = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(SOURCE / "tests/system/client"))


def binary():
    path = os.environ.get("SIGNET_BINARY")
    if not path or not os.access(path, os.X_OK):
        sys.exit("SIGNET_BINARY must name the signet program under test")
    return os.path.abspath(path)


class Node:
    """with Node() as node: node.address is (host, port) for MQTT, node.ws the URL for WebSocket.

    settings: {"sessions.idle_s": 20} and so on, given in the environment. echo: with the echo bot.
    """

    def __init__(self, settings=None, echo=False, keep=False):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="signet-test-"))
        self.data = self.directory / "data"
        self.home = self.directory / "home"
        self.settings = settings or {}
        self.echo = echo
        self.keep = keep
        self.process = None
        self.ports = {"mqtt": 0, "ws": 0}
        self.logfile = self.directory / "node.log"

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, kind, value, trace):
        if self.process and self.process.poll() is None:
            self.kill()
        if kind is not None and self.logfile.exists():
            sys.stderr.write("--- last lines of the node's log\n" + self.logfile.read_text()[-4000:])
        if not self.keep:
            shutil.rmtree(self.directory, ignore_errors=True)

    def environment(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith("SIGNET_")}
        env.update(SIGNET_HOME=str(self.home), HOME=str(self.directory))
        for key, value in self.settings.items():
            env["SIGNET_" + key.upper().replace(".", "_")] = str(value)
        return env

    def command(self):
        return [binary(), "dev", "--data", str(self.data), "--mqtt", str(self.ports["mqtt"]), "--ws",
                str(self.ports["ws"]), "--home", str(self.home), "--json"] + ([] if self.echo else ["--no-echo"])

    def start(self, timeout=60):
        """Starts it and waits until it says that it is ready. The ports of the first start are kept."""
        with open(self.logfile, "ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=subprocess.PIPE, stderr=log, env=self.environment(),
                                            cwd=self.directory, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + timeout
        line = b""
        while not line.endswith(b"\n"):
            if not select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))[0]:
                self.kill()
                raise RuntimeError("the node is not ready in time")
            more = os.read(self.process.stdout.fileno(), 65536)
            if not more:
                raise RuntimeError(f"the node ended with {self.process.wait()}")
            line += more
        self.ready = json.loads(line)
        for url in self.ready["listening"]:
            scheme, _, rest = url.partition("://")
            self.ports[scheme] = int(rest.rsplit(":", 1)[1])
        self.node_key = bytes.fromhex(self.ready["node_key"])
        self.cluster = bytes.fromhex(self.ready["cluster"])
        return self

    @property
    def address(self):
        return ("127.0.0.1", self.ports["mqtt"])

    @property
    def url(self):
        return f"mqtt://127.0.0.1:{self.ports['mqtt']}"

    @property
    def ws(self):
        return f"ws://127.0.0.1:{self.ports['ws']}/mqtt"

    def bot(self, name="echo"):
        return bytes.fromhex(self.ready["bots"][name])

    def end(self, number, timeout=30):
        """Sends the signal to this process and waits. Returns its exit code."""
        os.kill(self.process.pid, number)
        code = self.process.wait(timeout)
        self.process.stdout.close()
        return code

    def kill(self):
        return self.end(signal.SIGKILL)

    def stop(self):
        return self.end(signal.SIGTERM)

    def signet(self, *arguments, input=None, check=True, timeout=60, text=True):
        """Runs a signet command as a user of this node would. Returns the finished process."""
        done = subprocess.run([binary(), *map(str, arguments)], env=self.environment(), cwd=self.directory, input=input,
                              capture_output=True, timeout=timeout, text=text)
        if check and done.returncode != 0:
            raise RuntimeError(f"signet {' '.join(map(str, arguments))}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def log(self):
        """The entries of `signet log --json`, also while the node runs."""
        return [json.loads(line) for line in self.signet("log", self.data, "--json").stdout.splitlines()]

    def events(self, kind=None):
        """Security events in the log, in order."""
        found = []
        for entry in self.log():
            found += entry["events"]
        return [event for event in found if kind is None or event["kind"] == kind]

    def verify(self):
        """`signet verify` on the stopped node: its last line."""
        done = self.signet("verify", self.data, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"verify: {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout.splitlines()[-1]
