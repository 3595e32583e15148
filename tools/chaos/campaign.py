"""A campaign: a cluster under load, one fault after the other, each followed by the proof that the cluster
recovered."""
import concurrent.futures
import csv
import datetime
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import time

import clients
import faults
import sandbox
from cluster import Cluster

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parents[1]
LEDGER = SOURCE / "docs/evidence/ledger.csv"
RECOVERY_S = 10
FIELDS = ["date", "commit", "harness", "seeds", "trials", "failures", "faults with effect", "minutes"]


def offered(cluster_size, wanted, has_recover):
    """(names that can be drawn here, {name: what it lacks}). wanted: names, or groups: all, kills, partitions."""
    groups = {"all": list(faults.ALL), "kills": [name for name in faults.ALL if name.startswith("kill")],
              "partitions": faults.PARTITIONS}
    names = []
    for word in wanted:
        if word not in groups and word not in faults.ALL:
            raise SystemExit(f"no fault {word}; there are: {' '.join([*groups, *faults.ALL])}")
        names += [name for name in groups.get(word, [word]) if name not in names]
    have = {"clock", "disk", "namespaces", "cuts", "proxies"} if sandbox.has_namespaces() else {"cuts", "proxies"}
    have |= {"cluster"} if cluster_size >= 3 else set()
    have |= {"recover"} if has_recover else set()
    have |= {"spoil"} if os.access(os.environ.get("SIGNET_SPOIL", ""), os.X_OK) else set()
    lacking = {name: sorted(faults.NEEDS[name] - have) for name in names if faults.NEEDS[name] - have}
    return [name for name in names if name not in lacking], lacking


class Campaign:
    def __init__(self, nodes, seed, wanted, identities=6, pause_s=0.15, progress=False, linked=None):
        self.draw = random.Random(seed)
        self.seed = seed
        self.names, self.lacking = offered(nodes, wanted, True)
        if not self.names:
            raise SystemExit("nothing can run here: " + json.dumps(self.lacking))
        needs = set().union(*(faults.NEEDS[name] for name in self.names))
        self.cluster = Cluster(nodes, disk_mib=512 if "disk" in needs else 0, fake_clocks="clock" in needs,
                               proxy_seed=seed if "proxies" in needs or not sandbox.has_namespaces() else None,
                               linked=linked)
        self.history = self.cluster.history
        self.progress = progress
        self.done = 0            # faults so far
        self.lingering = 0
        self.begun = time.monotonic()
        try:
            if self.cluster.leader(30) is None:
                raise RuntimeError("the cluster has no leader after 30 s")
            self.bot = self.cluster.bot()
            id = bytes.fromhex(self.cluster.id)
            self.canary = clients.Canary(lambda: self.cluster.nodes, id, self.cluster.history_folder)
            self.must_recover("start", 30)
            self.load = clients.Load(self.cluster.client_nodes(), id, self.bot, self.cluster.history_folder, identities,
                                     seed, pause_s, patience_s=5)
        except BaseException:
            self.cluster.close(True)
            raise

    # --- one cycle

    def wait_for_progress(self, seconds):
        """Load for so long, and until something new was acknowledged."""
        before, until = self.load.acknowledged(), time.monotonic() + seconds
        clients.wait_for("new acknowledgements", lambda: self.load.acknowledged() > before + 3, 30)
        while time.monotonic() < until:
            time.sleep(0.02)
        self.load.must_live()

    def hold(self, seconds):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(min(0.05, max(0, until - time.monotonic())))
            self.cluster.watch_exits()

    def play(self, name, id):
        """Begins the fault; returns a function that ends it and records what was measured."""
        self.history.write("scheduled", id=id, name=name)
        begun = time.monotonic_ns()
        course = faults.ALL[name](self, self.draw)
        seconds = next(course)

        def end():
            until = time.monotonic_ns()
            try:
                next(course)
                raise RuntimeError(f"{name} holds twice")
            except StopIteration as ended:
                found = ended.value
            self.history.write("nemesis", t=found.get("begun", begun), until=found.get("until", until), id=id,
                               name=name, effect=found["effect"], minority=found.get("minority", []))
            return found.get("limit_s", RECOVERY_S)
        return seconds, end

    def cycle(self, name):
        self.wait_for_progress(self.draw.uniform(0.3, 1.2))
        self.done += 1
        id = str(self.done)
        if self.progress:
            print(f"{time.monotonic() - self.begun:7.1f} s  {id}  {name}", end="", flush=True)
        seconds, end = self.play(name, id)
        second = None
        if name in faults.PARTITIONS + ["loss"] and self.draw.random() < 0.3:
            second = self.play("kill_one", id + "b")
        self.hold(seconds)
        limit = end()
        if second:
            second[1]()
        took = self.must_recover(id, limit)
        if self.progress:
            print(f"{' + kill_one' if second else ''}: {took:.1f} s", flush=True)
        clients.stranger(self.draw.choice(self.cluster.nodes), self.history, self.draw)
        self.cluster.dump()
        for node in self.cluster.running():
            node.usage(self.cluster.dumped.get(node.name, 0))

    def must_recover(self, id, limit, give_up=60):
        """All nodes run, take writes and hold the same. Records how long that took; goes on looking after the limit, so
        that the report can tell late from never."""
        self.history.write("healed", id=id)
        begun = time.monotonic()
        todo = {node.name: 0 for node in self.cluster.nodes}
        with concurrent.futures.ThreadPoolExecutor(len(todo)) as pool:
            while time.monotonic() - begun < max(limit, give_up):
                if self.cluster.watch_exits():
                    break
                missing = [node for node in self.cluster.nodes if not todo[node.name]]
                for node, index in zip(missing, pool.map(self.canary.write, missing)):
                    todo[node.name] = index or 0
                if all(todo.values()):
                    said = [node.replica() for node in self.cluster.nodes]
                    if all(s.get("applied_index", 0) >= max(todo.values()) for s in said):
                        self.history.write("recovered", id=id, limit_s=limit)
                        return time.monotonic() - begun
                time.sleep(0.05)
        raise RuntimeError(f"no recovery after fault {id}: written through {todo}, now " + "; ".join(
            f"{node.name} {node.replica()}" for node in self.cluster.nodes))

    # --- the end

    def finish(self):
        self.load.end("author", 120)
        self.canary.finish()
        reference = self.cluster.leader(30) or self.cluster.nodes[0]
        deadline = time.monotonic() + 180
        while not self.load.all_delivered(reference.log(), self.bot):
            if time.monotonic() > deadline:
                self.history.write("unexpected", what="not everything was delivered 180 s after the last write")
                break
            time.sleep(1)
        self.load.end("reader", 60)
        self.history.write("ended")
        deadline = time.monotonic() + RECOVERY_S
        while time.monotonic() < deadline:
            if len({node.replica().get("applied_index") for node in self.cluster.nodes}) == 1:
                break
            time.sleep(0.2)
        for node in self.cluster.nodes:
            node.stop()
        self.cluster.dumped.clear()
        self.cluster.dump()

    def judge(self):
        """Verdict of the checker and of `signet verify` on every node: (good?, lines to print)."""
        longest = max(self.cluster.nodes, key=lambda node: self.cluster.dumped[node.name])
        final = self.cluster.directory / "log.jsonl"
        with open(final, "w") as out:
            for entry in longest.log():
                out.write(json.dumps(entry) + "\n")
        judged = subprocess.run([sys.executable, HERE / "check.py", self.cluster.history_folder, final],
                                capture_output=True, text=True)
        lines = judged.stdout.splitlines() + judged.stderr.splitlines()
        good = judged.returncode == 0
        for node in self.cluster.nodes:
            verified = node.signet("verify", node.data, check=False, timeout=600)
            if verified.returncode != 0 or not verified.stdout.rstrip().endswith("verify OK"):
                good = False
                lines += [f"node {node.name}: verify {verified.returncode}", *verified.stdout.splitlines()[-5:],
                          *verified.stderr.splitlines()[-5:]]
        return good, lines

    def keep(self, folder):
        shutil.copytree(self.cluster.history_folder, folder, dirs_exist_ok=True)
        for path in [self.cluster.directory / "log.jsonl"]:
            if path.exists():
                shutil.copy(path, folder)
        for node in self.cluster.nodes:
            for name in ("node.log", "node.out", "cluster.conf"):
                if (node.directory / name).exists():
                    shutil.copy(node.directory / name, pathlib.Path(folder) / f"{node.name}.{name}")

    def close(self, failed):
        if hasattr(self, "load"):
            self.load.kill()
        self.cluster.close(failed)


def commit():
    """Of the tree, with a + if it was changed since (the evidence itself does not count)."""
    git = ["git", "-C", SOURCE]
    done = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", ".", ":!docs/evidence"], capture_output=True)
    return (done.stdout.strip() or "unknown") + ("+" if changed.returncode else "")


def add_to_ledger(harness, seeds, trials, failures, with_effect, minutes, path=LEDGER):
    """One line for a campaign run."""
    new = not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        if new:
            writer.writerow(FIELDS)
        writer.writerow([datetime.datetime.now(datetime.timezone.utc).date().isoformat(), commit(), harness, seeds,
                         trials, failures, with_effect, f"{minutes:.1f}"])
