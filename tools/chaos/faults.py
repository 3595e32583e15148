"""Faults. Each draws what it does from a seeded source, begins, holds for a while, ends, and measures that it had an
effect.

A fault is a function `name(run, draw)` that yields once, while it holds: what stands before the `yield` begins it, what
stands after ends it; it yields how many seconds to hold, and returns the measured effect as `shown(…)`. `run` is the
campaign: its cluster, its canary, its load. What a fault needs stands beside its name; where that is not to be had the
fault is not drawn, and the report says so.
"""
import os
import shutil
import signal
import subprocess
import time
import types

ALL = {}            # name -> function
NEEDS = {}          # name -> set of: cluster (three nodes or more), namespaces, cuts (by these or by proxies), proxies,
                    # disk, clock, recover, spoil (SIGNET_SPOIL names chaos_spoil)


def fault(*needs):
    def register(function):
        name = function.__name__
        ALL[name], NEEDS[name] = function, set(needs)
        return function
    return register


def shown(what, value, least=1, **more):
    """The measured effect. more: minority=[names] of nodes that were cut off from every majority; limit_s."""
    return {"effect": {"what": what, "value": value, "least": least}, **more}


def majority(cluster):
    return len(cluster.nodes) // 2 + 1


def leader_and_followers(run):
    """The leader first. Without one: any order."""
    leader = run.cluster.leader(5)
    if leader is None:
        return list(run.cluster.nodes)
    return [leader] + [node for node in run.cluster.nodes if node is not leader]


# --- processes -------------------------------------------------------------------------------------------------------

def killed(run, node):
    run.canary.fire(node)
    return node.kill()


def kill_these(run, draw, nodes, hold):
    gone = sum(killed(run, node) for node in nodes if node.running())
    yield hold
    for node in nodes:
        if not node.running():
            node.start()
            if draw.random() < 0.3:
                time.sleep(draw.uniform(0, 0.5))
    return shown("processes ended by SIGKILL", gone, len(nodes))


@fault()
def kill_one(run, draw):
    return (yield from kill_these(run, draw, [draw.choice(run.cluster.nodes)], draw.uniform(0, 2)))


@fault()
def kill_leader(run, draw):
    return (yield from kill_these(run, draw, leader_and_followers(run)[:1], draw.uniform(0, 3)))


@fault("cluster")
def kill_minority(run, draw):
    count = len(run.cluster.nodes) - majority(run.cluster)
    return (yield from kill_these(run, draw, draw.sample(run.cluster.nodes, count), draw.uniform(0.5, 4)))


@fault("cluster")
def kill_majority(run, draw):
    victims = draw.sample(run.cluster.nodes, majority(run.cluster))
    survivors = [node for node in run.cluster.nodes if node not in victims]
    course = kill_these(run, draw, victims, draw.uniform(0.2, 3))
    hold = next(course)
    begun = time.monotonic_ns()
    if draw.random() < 0.5:
        for node in survivors:
            run.canary.must_be_refused(node)
    yield hold
    until = time.monotonic_ns()
    try:
        next(course)
    except StopIteration as ended:
        return {**ended.value, "begun": begun, "until": until, "minority": [node.name for node in survivors]}


@fault()
def kill_all(run, draw):
    return (yield from kill_these(run, draw, list(run.cluster.nodes), draw.uniform(0, 1)))


@fault()
def kill_storm(run, draw):
    gone = 0
    for _ in range(5):
        node = draw.choice(run.cluster.nodes)
        gone += killed(run, node)
        time.sleep(draw.uniform(0, 0.3))
        node.start()
        time.sleep(draw.uniform(0.05, 0.5))
    yield 0
    return shown("processes ended by SIGKILL", gone, 5)


@fault()
def stop(run, draw):
    """SIGTERM: it must end with 0 by itself."""
    node = draw.choice(run.cluster.nodes)
    code = node.stop()
    yield draw.uniform(0, 2)
    node.start()
    return shown("processes that ended after SIGTERM", 1 if code is not None else 0)


@fault()
def pause(run, draw):
    """SIGSTOP for 0.1 to 20 s, short ones more often; the leader as often as not."""
    nodes = leader_and_followers(run)
    node = nodes[0] if draw.random() < 0.5 else draw.choice(nodes)
    node.pause(True)
    deadline = time.monotonic() + 2
    while not node.is_stopped() and time.monotonic() < deadline:
        time.sleep(0.005)
    begun, stopped = time.monotonic(), node.is_stopped()
    used = node.proc("schedstat").split()[0]
    yield 0.1 * 200 ** draw.random()
    still = node.proc("schedstat").split()[0] == used
    lasted = time.monotonic() - begun
    node.pause(False)
    return shown("milliseconds stopped", int(lasted * 1000) if stopped and still else 0, 100)


# --- network ---------------------------------------------------------------------------------------------------------

def cut(run, pairs, hold, minority=()):
    """pairs: (from, to): packets of `from` no longer reach `to`."""
    for source, target in pairs:
        run.cluster.cut(source, target)
    begun = time.monotonic_ns()
    yield hold
    until = time.monotonic_ns()
    return shown("packets or pieces stopped", run.cluster.heal(), minority=[node.name for node in minority],
                 begun=begun, until=until)


def both_ways(left, right):
    return [(a, b) for a in left for b in right] + [(b, a) for a in left for b in right]


def some_seconds(draw):
    return draw.choice((0.5, 1, 2, 3, 5)) * draw.uniform(0.8, 1.2)


def partition(*needs):
    return fault("cuts", "cluster", *needs)


@partition()
def isolate_leader(run, draw):
    nodes = leader_and_followers(run)
    return (yield from cut(run, both_ways(nodes[:1], nodes[1:]), some_seconds(draw), nodes[:1]))


@partition()
def isolate_follower(run, draw):
    nodes = leader_and_followers(run)
    one = draw.choice(nodes[1:])
    rest = [node for node in nodes if node is not one]
    return (yield from cut(run, both_ways([one], rest), some_seconds(draw), [one]))


@partition()
def split_leader_in_majority(run, draw):
    nodes = leader_and_followers(run)
    count = len(nodes) - majority(run.cluster)
    away = draw.sample(nodes[1:], count)
    rest = [node for node in nodes if node not in away]
    return (yield from cut(run, both_ways(away, rest), some_seconds(draw), away))


@partition()
def split_leader_in_minority(run, draw):
    nodes = leader_and_followers(run)
    count = len(nodes) - majority(run.cluster)
    away = nodes[:1] + draw.sample(nodes[1:], count - 1)
    rest = [node for node in nodes if node not in away]
    return (yield from cut(run, both_ways(away, rest), some_seconds(draw), away))


@partition()
def leader_hears_nobody(run, draw):
    leader, *others = leader_and_followers(run)
    return (yield from cut(run, [(other, leader) for other in others], some_seconds(draw)))


@partition()
def nobody_hears_leader(run, draw):
    leader, *others = leader_and_followers(run)
    return (yield from cut(run, [(leader, other) for other in others], some_seconds(draw)))


@partition()
def follower_hears_nobody(run, draw):
    nodes = leader_and_followers(run)
    one = draw.choice(nodes[1:])
    return (yield from cut(run, [(other, one) for other in nodes if other is not one], some_seconds(draw)))


@partition()
def nobody_hears_follower(run, draw):
    nodes = leader_and_followers(run)
    one = draw.choice(nodes[1:])
    return (yield from cut(run, [(one, other) for other in nodes if other is not one], some_seconds(draw)))


def bridge(run, draw, middle):
    """Two halves that see each other only through the one in the middle."""
    others = [node for node in run.cluster.nodes if node is not middle]
    draw.shuffle(others)
    half = len(others) // 2
    return (yield from cut(run, both_ways(others[:half], others[half:]), some_seconds(draw)))


@partition()
def bridge_over_leader(run, draw):
    return (yield from bridge(run, draw, leader_and_followers(run)[0]))


@partition()
def bridge_over_follower(run, draw):
    return (yield from bridge(run, draw, draw.choice(leader_and_followers(run)[1:])))


@partition()
def ring(run, draw):
    """Each hears only its neighbour on one side (three nodes), or both its neighbours (five)."""
    nodes = draw.sample(run.cluster.nodes, len(run.cluster.nodes))
    count = len(nodes)
    near = {1} if count == 3 else {1, count - 1}
    pairs = [(nodes[i], nodes[j]) for i in range(count) for j in range(count) if i != j and (j - i) % count not in near]
    return (yield from cut(run, pairs, some_seconds(draw)))


@partition()
def shatter(run, draw):
    nodes = run.cluster.nodes
    pairs = [(a, b) for a in nodes for b in nodes if a is not b]
    return (yield from cut(run, pairs, some_seconds(draw), nodes))


PARTITIONS = [name for name, function in ALL.items() if NEEDS[name] == {"cuts", "cluster"}]
assert len(PARTITIONS) == 12


@fault("namespaces", "cluster")
def loss(run, draw):
    """1 to 30 % of the packets between nodes, drawn by the kernel."""
    percent = draw.randint(1, 30)
    for target in run.cluster.nodes:
        for source in run.cluster.nodes:
            if source is not target:
                target.host.drop_from(source.host.address, "numgen", "random", "mod", "100", "<", percent)
    yield draw.uniform(2, 5)
    dropped = sum(node.host.dropped() for node in run.cluster.nodes)
    for node in run.cluster.nodes:
        node.host.pass_all()
    return shown("packets dropped", dropped)


@fault("namespaces", "cluster")
def flap(run, draw):
    """The link of a node goes down and up, a few times a second."""
    node = draw.choice(run.cluster.nodes)
    downs = 0
    for _ in range(draw.randint(2, 6)):
        node.host.run("ip", "link", "set", "eth0", "down")
        downs += "state DOWN" in node.host.run("ip", "link", "show", "eth0")
        time.sleep(draw.uniform(0.05, 0.5))
        node.host.run("ip", "link", "set", "eth0", "up")
        time.sleep(draw.uniform(0.05, 0.5))
    yield 0
    return shown("times the link was down", downs)


@fault("namespaces", "cluster")
def slow_link(run, draw):
    """256 kbit/s for all that a node sends, to peers and clients, while some long messages go through it."""
    node = draw.choice(run.cluster.nodes)
    run.canary.write(node)
    node.host.run("tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", "256kbit", "burst", "4kb",
                  "latency", "500ms")
    run.canary.fire(node, 40_000)
    yield draw.uniform(2, 5)
    words = node.host.run("tc", "-s", "qdisc", "show", "dev", "eth0").replace("(", " ").replace(",", " ").split()
    over = int(words[words.index("overlimits") + 1])
    node.host.run("tc", "qdisc", "del", "dev", "eth0", "root")
    return shown("packets that had to wait", over)


# --- links through our proxy -----------------------------------------------------------------------------------------

def misbehave(run, mode, counter, hold, nodes=None):
    """All that these nodes say to others passes so."""
    links = run.cluster.links
    before = links.count(counter)
    for source in nodes or run.cluster.nodes:
        for target in run.cluster.nodes:
            if source is not target:
                links.set(source, target, mode)
    yield hold
    links.pass_all()
    return shown(f"pieces {counter}", links.count(counter) - before)


@fault("proxies", "cluster")
def late_links(run, draw):
    """Every piece between nodes is late by 5 to 100 ms and as much jitter."""
    mode = {"delay_ms": draw.randint(5, 100), "jitter_ms": draw.randint(0, 100)}
    return (yield from misbehave(run, mode, "delayed", some_seconds(draw)))


@fault("proxies", "cluster")
def sliced_links(run, draw):
    return (yield from misbehave(run, {"slice": draw.choice((1, 7, 100))}, "sliced", some_seconds(draw)))


@fault("proxies", "cluster")
def stalled_links(run, draw):
    """What one node says is stuck and comes later, whole."""
    return (yield from misbehave(run, {"hold": True}, "held", some_seconds(draw), [draw.choice(run.cluster.nodes)]))


@fault("proxies", "cluster")
def half_open_links(run, draw):
    """What one node says vanishes, while its connections stay open; then they end."""
    node = draw.choice(run.cluster.nodes)
    found = yield from misbehave(run, {"sink": True}, "sunk", some_seconds(draw), [node])
    for each in run.cluster.nodes:
        run.cluster.links.reset(each)   # the streams have holes
    return found


@fault("proxies", "cluster")
def reset_links(run, draw):
    """A storm of RST on what one node dialed, or all."""
    nodes = run.cluster.nodes if draw.random() < 0.5 else [draw.choice(run.cluster.nodes)]
    before = run.cluster.links.count("resets")
    for _ in range(draw.randint(3, 15)):
        for node in nodes:
            run.cluster.links.reset(node)
        time.sleep(draw.uniform(0.02, 0.4))
    yield 0
    return shown("connections reset", run.cluster.links.count("resets") - before)


# --- clocks ----------------------------------------------------------------------------------------------------------

@fault("clock")
def clock_step(run, draw):
    """The wall clock of a node jumps by up to 10 hours either way; it jumps back when the fault ends."""
    node = draw.choice(run.cluster.nodes)
    hours = draw.choice((-10, -1, 1, 10))
    node.clock_file.write_text(f"{hours * 3600:+d}")
    moved, deadline = 0, time.monotonic() + 8
    while abs(moved - hours * 3600) > 60 and time.monotonic() < deadline:
        time.sleep(0.3)                # libfaketime reads the file once a second
        seen = run.canary.clock_of(node)
        moved = 0 if seen is None else seen - time.time()
    yield draw.uniform(1, 4)
    node.clock_file.write_text("+0")
    time.sleep(1.2)
    return shown("seconds that its clock was moved by", abs(int(moved)), 3000)


# --- disks -----------------------------------------------------------------------------------------------------------

@fault("disk")
def full_disk(run, draw):
    """A file fills the disk of one node, or of all, to the last byte or to below the node's reserve."""
    nodes = list(run.cluster.nodes) if draw.random() < 0.3 else [draw.choice(run.cluster.nodes)]
    leave = draw.choice((0, 8 << 20))
    free = []
    for node in nodes:
        filler = node.disk / "filler"
        with open(filler, "wb") as out:
            space = os.statvfs(node.disk)
            want = max(0, space.f_bavail * space.f_frsize - leave)
            try:
                os.posix_fallocate(out.fileno(), 0, want)
            except OSError:
                pass
            # The node may write meanwhile: fill what is left in small pieces.
            while os.statvfs(node.disk).f_bavail * space.f_frsize > leave:
                try:
                    out.seek(0, os.SEEK_END)
                    out.write(bytes(65536 if leave else 4096))
                    out.flush()
                except OSError:
                    break
        space = os.statvfs(node.disk)
        free.append(space.f_bavail * space.f_frsize)
    run.cluster.expected = {node.name: [71] for node in nodes}
    yield draw.uniform(1, 4)
    low = sum((node.replica().get("disk_low", True)) for node in nodes if node.running())
    for node in nodes:
        (node.disk / "filler").unlink()
    time.sleep(1)                    # whoever failed a write is gone by then
    run.cluster.watch_exits()
    run.cluster.expected = {}
    ended = [node for node in nodes if not node.running()]
    for node in ended:
        node.start()
    return shown("disks with less free than the reserve", sum(f <= leave + 65536 for f in free) if low or ended else 0,
                 len(nodes))


def recovered(run, node):
    """What an operator does: `signet recover`, then a start."""
    node.signet("recover", "--config", node.conf, "--name", node.name)
    run.cluster.history.write("reset", node=node.name)
    run.cluster.dumped.pop(node.name, None)
    node.start()


@fault("cluster", "recover")
def lost_disk(run, draw):
    """The store of a node is gone; its keys were in a backup."""
    node = draw.choice(run.cluster.nodes)
    before = node.replica().get("applied_index", 0)
    killed(run, node)
    for path in node.data.glob("*.mdb"):
        path.unlink()
    yield draw.uniform(0, 1)
    recovered(run, node)
    return shown("entries lost with the disk", before, limit_s=60)


def must_fence(run, node, seconds):
    """Waits for the node to end by itself with 72, and records what it did instead. Returns how long it took, in ms."""
    begun = time.monotonic()
    try:
        node.process.wait(seconds)
        node.exited([72])
    except subprocess.TimeoutExpired:
        node.process.kill()
        node.process.wait()
        node.process = None
        run.history.write("exited", node=node.name, code=0, expected=[72])
    return int((time.monotonic() - begun) * 1000)


@fault("cluster", "recover")
def rolled_back_disk(run, draw):
    """An old copy of the store comes back: the node must fence itself, and is recovered."""
    node = draw.choice(run.cluster.nodes)
    killed(run, node)
    copy = node.directory / "copy"
    node.copy_store(copy)
    copied = max([entry["index"] for entry in node.log() if entry["applied"]], default=0)
    node.start()
    run.wait_for_progress(draw.uniform(1, 3))
    reached = 0
    deadline = time.monotonic() + 20
    while reached <= copied + 5 and time.monotonic() < deadline:
        reached = node.replica().get("applied_index", 0)
        time.sleep(0.05)
    killed(run, node)
    shutil.rmtree(node.data)
    shutil.move(copy, node.data)
    run.cluster.history.write("reset", node=node.name)
    node.start()
    yield 0
    must_fence(run, node, 15)
    recovered(run, node)
    return shown("acknowledged entries that the old copy does not hold", reached - copied, limit_s=60)


@fault("cluster", "recover", "spoil")
def diverge(run, draw):
    """One bit of the state of a follower differs, with a good check: its peers must notice within 15 s of its
    contact, by majority, and it must fence itself. It is recovered then."""
    node = draw.choice(leader_and_followers(run)[1:])
    killed(run, node)
    done = subprocess.run([os.environ["SIGNET_SPOIL"], node.data], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"chaos_spoil: {done.stderr}")
    run.history.write("reset", node=node.name)
    node.start()
    run.cluster.silent = {node.name}      # what it says of its state is wrong, on purpose
    yield 0
    must_fence(run, node, 15)
    run.cluster.silent = set()
    recovered(run, node)
    return shown("entries under the spoilt state", int(done.stdout), limit_s=60)


@fault("namespaces", "cluster", "recover")
def twin(run, draw):
    """A second process with the same name, keys and store runs on another host. Either one of the two fences itself,
    or the second one is kept out by the others: then it answers no write."""
    node = draw.choice(run.cluster.nodes)
    node.stop()
    other = node.twin(20 + run.done % 200)
    node.start()
    if draw.random() < 0.5:
        run.wait_for_progress(draw.uniform(0.5, 2))
    run.cluster.expected = {node.name: [72]}
    other.start()
    begun = time.monotonic()
    yield 0
    while other.running() and node.running() and time.monotonic() < begun + 3:
        time.sleep(0.02)
    took = int((time.monotonic() - begun) * 1000)
    if other.running() and node.running():
        caller = types.SimpleNamespace(name=other.directory.name, address=other.address, node_key=other.node_key)
        run.canary.must_be_refused(caller, wait=False)
    run.cluster.watch_exits()
    if other.running():
        other.process.kill()
        other.process.wait()
        other.exited([-signal.SIGKILL])
    else:
        other.exited([72])
    other.host.close()
    run.cluster.expected = {}
    if node.process is None:
        recovered(run, node)
    return shown("milliseconds that both ran", took, limit_s=60)
