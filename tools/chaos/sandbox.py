"""The place where a cluster runs under faults: network namespaces of our own, joined by a bridge.

`enter()` runs this program again inside fresh network, mount and process namespaces: whatever it makes there (bridges,
nft rules, mounts, processes) ends with it, also when it is killed. Where that is not allowed it says so and goes on
without: nodes then share the loopback, and faults that need namespaces are reported as not run.
"""
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time

INSIDE = "SIGNET_CHAOS_INSIDE"
SUBNET = "10.90.0"          # exists only in the namespaces made here
HUB = f"{SUBNET}.1"


def has_namespaces():
    return os.environ.get(INSIDE) == "1"


def enter():
    """Returns inside the sandbox, or where there can be none."""
    if has_namespaces():
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        subprocess.run(["ip", "link", "add", "hub", "type", "bridge"], check=True)
        subprocess.run(["ip", "addr", "add", f"{HUB}/24", "dev", "hub"], check=True)
        subprocess.run(["ip", "link", "set", "hub", "up"], check=True)
        return
    needed = [name for name in ("unshare", "nsenter", "ip", "nft", "tc") if not shutil.which(name)]
    if needed:
        print(f"not here: {', '.join(needed)} (tools/setup chaos installs them)", file=sys.stderr)
    wrapper = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if os.geteuid() != 0:
        wrapper[1:1] = ["--user", "--map-root-user"]
    if not needed and subprocess.run([*wrapper, "true"], stderr=subprocess.DEVNULL).returncode == 0:
        os.execvpe("unshare", [*wrapper, sys.executable, *sys.argv], {**os.environ, INSIDE: "1"})
    print("without namespaces: faults that need them will not run", file=sys.stderr)


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Host:
    """A network namespace with one address on the bridge; without namespaces, just the loopback."""

    def __init__(self, number):
        self.holder = None
        self.address = "127.0.0.1"
        if not has_namespaces():
            return
        self.address = f"{SUBNET}.{10 + number}"
        self.holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"], preexec_fn=die_with_parent,
                                       stdin=subprocess.DEVNULL)
        ours = os.readlink("/proc/self/ns/net")
        deadline = time.monotonic() + 5
        while os.readlink(f"/proc/{self.holder.pid}/ns/net") == ours:
            if time.monotonic() > deadline:
                raise RuntimeError("no network namespace")
            time.sleep(0.01)
        inner, outer = "eth0", f"host{number}"
        for command in (["ip", "link", "add", outer, "type", "veth", "peer", "name", inner, "netns", self.holder.pid],
                        ["ip", "link", "set", outer, "master", "hub", "up"]):
            subprocess.run([str(word) for word in command], check=True)
        for command in (["ip", "link", "set", "lo", "up"], ["ip", "addr", "add", f"{self.address}/24", "dev", inner],
                        ["ip", "link", "set", inner, "up"], ["nft", "add", "table", "inet", "chaos"],
                        ["nft", "add", "chain", "inet", "chaos", "input",
                         "{ type filter hook input priority 0; policy accept; }"]):
            self.run(*command)

    def enter_command(self):
        """What to put before a command so that it runs here; it keeps its process id."""
        return ["nsenter", "-t", str(self.holder.pid), "-n"] if self.holder else []

    def run(self, *command):
        return subprocess.run([*self.enter_command(), *map(str, command)], check=True, capture_output=True,
                              text=True).stdout

    def drop_from(self, address, *condition):
        """Packets from there are dropped and counted (`nft` words of `condition` narrow it), until `pass_all`."""
        self.run("nft", "add", "rule", "inet", "chaos", "input", "ip", "saddr", address, *condition, "counter", "drop")

    def dropped(self):
        """Packets dropped since the rules were made."""
        words = self.run("nft", "list", "chain", "inet", "chaos", "input").split()
        return sum(int(words[i + 1]) for i, word in enumerate(words) if word == "packets")

    def pass_all(self):
        self.run("nft", "flush", "chain", "inet", "chaos", "input")

    def close(self):
        if self.holder:
            self.holder.kill()
            self.holder.wait()
