#!/usr/bin/env python3
"""Rules of the tree and of the binary that no compiler checks. Usage: gates.py SOURCE_DIR [SIGNET_BINARY]"""
import pathlib
import re
import subprocess
import sys

root = pathlib.Path(sys.argv[1])
binary = sys.argv[2] if len(sys.argv) > 2 else None
problems = []


def tracked():
    if (root / ".git").exists():
        out = subprocess.run(["git", "-C", str(root), "ls-files"], capture_output=True, text=True, check=True).stdout
        return [p for p in out.split("\n") if p and (root / p).is_file()]
    return [str(p.relative_to(root)) for p in root.rglob("*") if p.is_file() and "build-" not in str(p)]


files = tracked()
code = [f for f in files if re.search(r"\.(cpp|hpp|h|c)$", f)]
text = {f: (root / f).read_text(errors="replace") for f in files if (root / f).stat().st_size < 2_000_000}

# 1. Include direction: messages <- storage <- actors <- tools/cli.
rank = {"messages": 0, "bots": 1, "storage": 1, "actors": 2, "tools": 3}
for f in code:
    if f == "actors/main.cpp":
        continue  # the one program: it holds everything together
    here = f.split("/")[0]
    for target in re.findall(r'#include "([^"]+)"', text[f]):
        there = target.split("/")[0]
        if here in rank and there in rank and rank[there] > rank[here]:
            # A bot knows messages and nothing of the node; the node may know its bots.
            problems.append(f"{f} includes {target}: against the direction of the rooms")
        if here == "storage" and there == "bots" or here == "bots" and there in ("storage", "actors"):
            problems.append(f"{f} includes {target}: bots and storage do not know each other")

# 2. Libraries stay in their rooms.
rooms = {
    "lmdb.h": (r"^storage/lmdb/",),
    "raft.h": (r"^storage/raft/",),
    "xxhash.h": (r"^storage/lmdb/",),
    "caf/": (r"^actors/", r"^messages/actors\.hpp$", r"^tests/", r"^tools/bench/"),
    "sodium": (r"^messages/envelope/", r"^messages/seams\.cpp$", r"^storage/lmdb/", r"^tests/", r"^tools/"),
}
for f in code:
    for target in re.findall(r"#include <([^>]+)>", text[f]):
        for library, allowed in rooms.items():
            hit = target == library or target.startswith(library) and library.endswith("/") or library == "sodium" and target.startswith("sodium")
            if hit and not any(re.search(pattern, f) for pattern in allowed):
                problems.append(f"{f} includes <{target}>: not its room")

# 3. Nothing forgotten, nothing of one machine. (The words are put together here so that this file does not name them.)
for f in files:
    if f not in text or f.startswith(("tests/gates/", "tests/vectors/")):
        continue
    for word in ("TODO(" + "now)", "XXX" + ":", "/" + "work/", ".." + "/shared"):
        if word in text[f]:
            problems.append(f"{f} holds {word!r}")
for f in code:
    if f.startswith(("messages/", "storage/", "actors/")) and re.search(r"\bprintf\(|std::cerr", text[f]):
        problems.append(f"{f} prints: use spdlog, or return the error")

# 4. The tree is the first explanation: every room of actors/ stands in ARCHITECTURE.md.
architecture = text.get("ARCHITECTURE.md", "")
for room in sorted({f.split("/")[1] for f in code if f.startswith("actors/") and f.count("/") > 1}):
    if f"actors/{room}" not in architecture:
        problems.append(f"actors/{room} does not stand in ARCHITECTURE.md")

# 5. Every kind of security event is documented.
kinds = re.search(r"enum class security_kind[^{]*\{(.*?)\};", text.get("messages/security_events.hpp", ""), re.S)
documented = text.get("docs/security-events.md", "")
for kind in re.findall(r"^\s*([a-z_]+)\s*,", kinds.group(1) if kinds else "", re.M):
    if f"`{kind}`" not in documented and f"| {kind} |" not in documented:
        problems.append(f"security event {kind} does not stand in docs/security-events.md")

# 5b. Every test that the table of MQTT statements names is there, and no statement stands twice.
conformance = text.get("docs/mqtt-conformance.md", "")
tests = "".join(text[f] for f in files if f in text and f.startswith("tests/") and f.endswith((".cpp", ".py")))
for test in sorted(set(re.findall(r"`([a-z0-9_]{12,})`", conformance))):
    if f"TEST_CASE({test})" not in tests and f"def test_{test}(" not in tests:
        problems.append(f"docs/mqtt-conformance.md names {test}: no such test")
statements = []
for section, first, last in re.findall(r"^\| ([0-9.]+)-([0-9]+)(?: to -([0-9]+))? \|", conformance, re.M):
    statements += [(section, n) for n in range(int(first), int(last or first) + 1)]
if not statements or len(set(statements)) != len(statements):
    problems.append("docs/mqtt-conformance.md: a statement stands twice, or none at all")

# 6. Every source is built by a target: sources live where a CMakeLists.txt globs them.
built = re.compile(r"^(messages/(envelope/|mqtt/)?[^/]+|storage/(lmdb/|log/|views/|raft/|peer/|replication/)?[^/]+|actors/.+|bots/.+|tools/(cli|bench)/[^/]+"
                   r"|tests/(unit/[^/]+|fuzz|simulation|support|vectors|system/.+)/[^/]+)\.(cpp|c)$")
for f in code:
    if f.endswith((".cpp", ".c")) and not built.match(f):
        problems.append(f"{f}: no target builds it")

# 7. The binary: what it links, and how it is hardened.
if binary:
    linked = subprocess.run(["ldd", binary], capture_output=True, text=True, check=True).stdout
    for forbidden in ("libcaf_io", "libcaf_openssl", "libraft.so.2", "libkj-http", "libcapnp-rpc"):
        if forbidden in linked:
            problems.append(f"signet links {forbidden}")
    headers = subprocess.run(["readelf", "-W", "-h", "-l", "-d", binary], capture_output=True, text=True, check=True).stdout
    if "DYN (" not in headers:
        problems.append("signet is not position independent")
    if "GNU_RELRO" not in headers or "BIND_NOW" not in headers and "NOW" not in headers:
        problems.append("signet has no full RELRO")
    stack = re.search(r"GNU_STACK.*", headers)
    if not stack or "RWE" in stack.group(0):
        problems.append("signet has an executable stack")

for problem in problems:
    print(problem)
print(f"{len(code)} sources, {len(files)} files: {len(problems)} problems")
sys.exit(1 if problems else 0)
