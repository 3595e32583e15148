"""Runs by tools/bench/compare, which says what it does. Standard library only."""
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

SIGNET = os.environ["SIGNET"]
COMMIT_PROBE = os.environ.get("COMMIT_PROBE", "")
RUNS = int(os.environ.get("RUNS", 3))
SECONDS = float(os.environ.get("SECONDS_EACH", 5))
IDLE = int(os.environ.get("IDLE", 5000))
SIZE, BATCH = 256, 64

# What one publisher may have in flight: publishes (mosquitto), batches (Signet). Of several, each is tried once and the
# best is measured: once with the 20 that MQTT clients and mosquitto take by default, once as wide as it likes.
ROWS = {
    "mosquitto": {1: [20], 50: [20]},
    "mosquitto, wide window": {1: [200, 1000, 2000], 50: [50, 200]},
    "mosquitto, save on change": {1: [1000], 50: [100]},
    "signet": {1: [16, 32], 50: [2, 4, 8]},
    "signet, signed in advance": {1: [32], 50: [4]},
}
LATENCY_ROWS = ("mosquitto", "mosquitto, save on change", "signet")
# Clients sign on machines of their own. Here the generator shares the cores with the node, so a row shows the node with
# that work done before the clock starts: so many messages of all publishers together for each second of a run.
PRESIGNED_PER_SECOND = 96_000

MOSQUITTO_CONF = """listener {port} 127.0.0.1
allow_anonymous true
user {user}
persistence true
persistence_location {directory}/
max_queued_messages 100000
log_dest none
{more}"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port, process, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            sys.exit(f"compare: {process.args[0]} ended with {process.returncode} before it listened")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    sys.exit(f"compare: {process.args[0]} does not listen")


class Server:
    """A process that listens on a port of its own, with a directory of its own. Ended by its id."""

    def __init__(self, root, name):
        self.directory = pathlib.Path(root) / name
        self.directory.mkdir(mode=0o700)
        self.port = free_port()
        self.process = None

    def start(self, command, environment=None):
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        env={**os.environ, **(environment or {})})
        wait_for(self.port, self.process)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


class Mosquitto(Server):
    target = "mqtt"

    def __init__(self, root, name, more=""):
        super().__init__(root, name)
        import pwd
        config = self.directory / "mosquitto.conf"
        config.write_text(MOSQUITTO_CONF.format(port=self.port, directory=self.directory, more=more,
                                                user=pwd.getpwuid(os.geteuid()).pw_name))
        self.start(["mosquitto", "-c", str(config)])


class Signet(Server):
    target = "signet"

    def __init__(self, root, name):
        super().__init__(root, name)
        # The only limit that is raised: how fast strangers may bring new identities, so that a run begins soon.
        self.start([SIGNET, "dev", "--home", str(self.directory / "home"), "--data", str(self.directory / "data"),
                    "--mqtt", str(self.port), "--ws", "0", "--no-echo"],
                   {"SIGNET_LIMITS_IDENTITIES_LOOPBACK": "100000", "SIGNET_LIMITS_VERIFICATIONS_LOOPBACK": "100000"})


def bench(server, *arguments):
    command = [SIGNET, "bench", "--target", server.target, "--node", f"mqtt://127.0.0.1:{server.port}",
               "--pid", str(server.process.pid), "--size", str(SIZE), "--json", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    try:
        out = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, json.JSONDecodeError):
        sys.exit(f"compare: {' '.join(command)} failed: {done.stderr or done.stdout}")
    if "error" in out:
        sys.exit(f"compare: {out}")
    return out


faults = []


def checked(what, out):
    if not out["good"]:
        faults.append(f"{what}: " + ", ".join(f"{k} {out[k]}" for k in (
            "missing", "unacked", "duplicates", "reordered", "unverified", "refused_publishes", "closed") if out[k])
            + f" ({out['first_problem']})")
    return out


def throughput_once(make, what, pairs, window, seconds):
    length = ["--seconds", seconds]
    if "in advance" in what:
        batches = max(1, round(PRESIGNED_PER_SECOND * seconds / pairs / BATCH))
        length = ["--presign", "--messages", batches * BATCH]
    with make() as server:
        return checked(f"{what} {pairs} pairs", bench(server, "--pairs", pairs, "--batch", BATCH, "--window", window, *length))


def best_window(make, what, pairs, windows):
    if len(windows) == 1:
        return windows[0]
    return max(windows, key=lambda window: throughput_once(make, what, pairs, window, min(2, SECONDS))["received_per_s"])


def in_rounds(names, once):
    """RUNS rounds; in each round every row once, right after one another, forth and then back: what others do on the machine
    meanwhile meets all rows alike, and rows of one round may be divided by one another."""
    rounds = {name: [] for name in names}
    for i in range(RUNS):
        for name in (names if i % 2 == 0 else reversed(names)):
            rounds[name].append(once(name))
    return rounds


def ratio(above, below, pick):
    return statistics.median(pick(a) / pick(b) for a, b in zip(above, below))


def summary(runs, window):
    median = lambda pick: statistics.median(map(pick, runs))
    return {
        "window": window,
        "runs": runs,
        "received_per_s": median(received),
        "spread": [min(map(received, runs)), max(map(received, runs))],
        "ack_p50": median(ack_p50), "ack_p99": median(lambda r: r["ack"]["p99_us"]),
        "e2e_p50": median(lambda r: r["end_to_end"]["p50_us"]), "e2e_p99": median(lambda r: r["end_to_end"]["p99_us"]),
        "server_us": median(lambda r: 1e6 * r["node_cpu_seconds"] / max(1, r["received_per_s"] * r["seconds"])),
        "generator_us": median(lambda r: 1e6 * r["own_cpu_seconds"] / max(1, r["received_per_s"] * r["seconds"])),
    }


def received(run):
    return run["received_per_s"]


def ack_p50(run):
    return run["ack"]["p50_us"]


def commit_alone(root):
    """p50 and p99 in us of one LMDB commit of 1 KiB, and of a round trip of 1 KiB over loopback TCP."""
    directory = tempfile.mkdtemp(prefix="commit-", dir=root)
    done = subprocess.run([COMMIT_PROBE, directory], capture_output=True, text=True, timeout=120, check=True)
    shutil.rmtree(directory)
    return json.loads(done.stdout)


def steal():
    with open("/proc/stat") as file:
        return [int(x) for x in file.readline().split()[1:]]


def busy_share(before, after, own_cpu):
    """Share of the machine's CPU time that went to others than this comparison."""
    total = sum(after) - sum(before)
    idle = after[3] + after[4] - before[3] - before[4]
    return max(0.0, (total - idle) / os.sysconf("SC_CLK_TCK") - own_cpu) / (total / os.sysconf("SC_CLK_TCK"))


def main():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # On the disk that a node would use, not in /tmp, which may be memory.
    root = tempfile.mkdtemp(prefix="signet-compare-", dir=os.environ.get("COMPARE_DIR", "/var/tmp"))
    say = lambda text: print(text, file=sys.stderr, flush=True)
    before, cpu_before = steal(), sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    serial = iter(range(10_000))
    makers = {
        "mosquitto": lambda: Mosquitto(root, f"mosquitto-{next(serial)}"),
        "mosquitto, wide window": lambda: Mosquitto(root, f"mosquitto-{next(serial)}"),
        "mosquitto, save on change": lambda: Mosquitto(root, f"mosquitto-{next(serial)}",
                                                      "autosave_interval 1\nautosave_on_changes true\n"),
        "signet": lambda: Signet(root, f"signet-{next(serial)}"),
        "signet, signed in advance": lambda: Signet(root, f"signet-{next(serial)}"),
    }
    results, probes = {}, []
    try:
        for pairs in (1, 50):
            windows = {}
            for name, make in makers.items():
                say(f"{pairs} to {pairs}: {name}: which window")
                windows[name] = best_window(make, name, pairs, ROWS[name][pairs])
            say(f"{pairs} to {pairs}: {RUNS} rounds of {len(makers)} rows")
            rounds = in_rounds(list(makers), lambda name: throughput_once(makers[name], name, pairs, windows[name], SECONDS))
            for name in makers:
                results[name, pairs] = summary(rounds[name], windows[name])

        def alone(name):
            # The probe stands beside the run that is divided by it: the disk of a shared machine changes by the minute.
            if name == "probe":
                probes.append(commit_alone(root))
                return None
            with makers[name]() as server:
                return checked(f"{name} window 1", bench(server, "--pairs", 1, "--batch", 1, "--window", 1, "--seconds", SECONDS))

        say(f"one message at a time: {RUNS} rounds")
        rounds = in_rounds(list(LATENCY_ROWS) + (["probe"] if COMMIT_PROBE else []), alone)
        for name in LATENCY_ROWS:
            results[name, "latency"] = summary(rounds[name], 1)
        say(f"{IDLE} idle sessions")
        idle = {}
        for name in ("mosquitto", "signet"):
            with makers[name]() as server:
                idle[name] = bench(server, "--idle", IDLE, "--seconds", 5, "--patience", 60)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    others = busy_share(before, steal(), sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) - cpu_before)
    report(results, probes, idle, others)
    if faults:
        print("\nFAULTS\n  " + "\n  ".join(faults))
        return 1
    return 0


def report(results, probes, idle, others):
    print(f"{SIZE} B, batches of {BATCH} (mosquitto: {BATCH} publishes), medians of {RUNS} rounds of {SECONDS:g} s, rows in turns, fresh servers; ratios are medians of "
          f"each round's own; "
          f"{os.cpu_count()} cores; others used {100 * others:.0f} % of the machine meanwhile")
    print("\n| verified or plain messages received per s | window | msg/s | least–most | × mosquitto | × its wide window | ack p50 ms | end to end p50 ms | p99 ms | "
          "server CPU µs/msg | generator CPU µs/msg |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for pairs in (1, 50):
        base = results["mosquitto", pairs]["runs"]
        wide = results["mosquitto, wide window", pairs]["runs"]
        for name in ROWS:
            r = results[name, pairs]
            unit = "batches" if name.startswith("signet") else "publishes"
            print(f"| {pairs} → {pairs}, {name} | {r['window']} {unit} | {r['received_per_s']:,.0f} | {r['spread'][0]:,.0f}–{r['spread'][1]:,.0f} | "
                  f"{ratio(r['runs'], base, received):.2f} | {ratio(r['runs'], wide, received):.2f} | {r['ack_p50'] / 1e3:.2f} | {r['e2e_p50'] / 1e3:.2f} | {r['e2e_p99'] / 1e3:.2f} | "
                  f"{r['server_us']:.1f} | {r['generator_us']:.1f} |")
    print("\n| one message at a time | msg/s | ack p50 µs | ack p99 µs | end to end p50 µs | p99 µs |")
    print("|---|---|---|---|---|---|")
    for name in LATENCY_ROWS:
        r = results[name, "latency"]
        print(f"| {name} | {r['received_per_s']:,.0f} | {r['ack_p50']:,.0f} | {r['ack_p99']:,.0f} | {r['e2e_p50']:,.0f} | {r['e2e_p99']:,.0f} |")
    if probes:
        median = lambda key: statistics.median(each[key] for each in probes)
        floors = [each["commit_p50_us"] + each["round_trip_p50_us"] for each in probes]
        times = [ack_p50(run) / floor for run, floor in zip(results["signet", "latency"]["runs"], floors)]
        print(f"\nOne LMDB commit of 1 KiB alone: p50 {median('commit_p50_us'):,.0f} µs, p99 {median('commit_p99_us'):,.0f} µs; "
              f"a loopback round trip: p50 {median('round_trip_p50_us'):,.0f} µs. Signet's acknowledgement at p50 takes "
              f"{statistics.median(times):.2f} × their sum, measured right beside it ({min(times):.2f}–{max(times):.2f}; aim: at most 2).")
    print("\n| idle sessions, subscribed | attached | logins/s | server memory a session |")
    print("|---|---|---|---|")
    for name, r in idle.items():
        print(f"| {name} | {r['idle_sessions']:,} | {r['idle_sessions'] / r['attach_seconds']:,.0f} | {r['bytes_per_session'] / 1024:.1f} KiB |")
    print("""
Who fsyncs before it acknowledges: Signet always: PUBACK after the LMDB commit (fdatasync) that made the batch durable
and applied, and after the signature was checked; its readers check signature, links, order and completeness. mosquitto
never: its PUBACK says that the message is in memory; with Debian's defaults it saves every 30 minutes and at its end,
with "save on change" soon after, without waiting for it and without fsync before the PUBACK.""")


if __name__ == "__main__":
    sys.exit(main())
