"""A TCP proxy that misbehaves as told, from a seed: proxy.py SEED, commands and answers as JSON lines on stdin, stdout.

  {"do": "listen", "pair": "a>b", "at": [host, port], "to": [host, port]}     port 0: a free one; answers {"port": n}
  {"do": "set", "pairs": [...], "forward": MODE, "back": MODE}                forward: from who dialed; absent:
  unchanged {"do": "reset", "pairs": [...]}                                             every connection ends with RST
  now {"do": "counters"}                                                          answers {pair: {name: count}}

MODE: {} passes at once. delay_ms, jitter_ms: every piece waits so long, order is kept. slice: pieces of 1 to so many
bytes. hold: nothing passes, nothing is lost (a dead network as TCP sees it). sink: what comes is swallowed and the
connection stays open: its other end is gone without a word.
"""
import asyncio
import collections
import json
import random
import socket
import struct
import sys

BUFFER = 1 << 20     # bytes waiting in one direction of one connection; beyond that the sender has to wait


class Direction:
    """How one direction of a pair behaves at present."""

    def __init__(self):
        self.mode = {}
        self.changed = asyncio.Event()

    def set(self, mode):
        self.mode = mode
        self.changed.set()
        self.changed = asyncio.Event()


class Pair:
    def __init__(self, to):
        self.to = to
        self.forward, self.back = Direction(), Direction()
        self.writers = set()
        self.counters = collections.Counter()


class Proxy:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.pairs = {}

    async def accept(self, pair, reader, writer):
        pair.counters["connections"] += 1
        try:
            far_reader, far_writer = await asyncio.wait_for(asyncio.open_connection(*pair.to), 5)
        except (OSError, asyncio.TimeoutError):
            writer.transport.abort()
            return
        for each in (writer, far_writer):
            each.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pair.writers |= {writer, far_writer}
        both = [asyncio.create_task(self.pump(pair, pair.forward, reader, far_writer)),
                asyncio.create_task(self.pump(pair, pair.back, far_reader, writer))]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            for each in (writer, far_writer):
                each.transport.abort()
            pair.writers -= {writer, far_writer}

    async def pump(self, pair, direction, reader, writer):
        """Reads into a queue with times; another task writes when the time has come."""
        waiting = collections.deque()   # (due, bytes)
        more, room = asyncio.Event(), asyncio.Event()
        size = 0
        clock = asyncio.get_running_loop().time

        async def write():
            nonlocal size
            while True:
                while not waiting:
                    more.clear()
                    await more.wait()
                due, content = waiting.popleft()
                if due > clock():
                    await asyncio.sleep(due - clock())
                if direction.mode.get("hold"):
                    pair.counters["held"] += 1
                    while direction.mode.get("hold"):
                        await direction.changed.wait()
                size -= len(content)
                room.set()
                if direction.mode.get("sink"):
                    pair.counters["sunk"] += 1
                    continue
                largest = direction.mode.get("slice", 0)
                while largest and len(content) > largest:
                    piece = self.random.randint(1, largest)
                    writer.write(content[:piece])
                    await writer.drain()
                    await asyncio.sleep(0)
                    content = content[piece:]
                    pair.counters["sliced"] += 1
                writer.write(content)
                await writer.drain()

        writing = asyncio.create_task(write())
        try:
            while True:
                while size > BUFFER:
                    room.clear()
                    await asyncio.wait({asyncio.create_task(room.wait()), writing}, return_when=asyncio.FIRST_COMPLETED)
                    if writing.done():
                        return
                content = await reader.read(1 << 16)
                if not content:
                    while waiting and not writing.done():
                        await asyncio.sleep(0.01)
                    return
                mode, due = direction.mode, clock()
                if mode.get("delay_ms") or mode.get("jitter_ms"):
                    due += (mode.get("delay_ms", 0) + self.random.uniform(0, mode.get("jitter_ms", 0))) / 1000
                    pair.counters["delayed"] += 1
                if waiting:
                    due = max(due, waiting[-1][0])
                waiting.append((due, content))
                size += len(content)
                more.set()
                if writing.done():
                    return
        except OSError:
            pass
        finally:
            writing.cancel()

    async def listen(self, command):
        pair = self.pairs[command["pair"]] = Pair(command["to"])
        server = await asyncio.start_server(lambda r, w: self.accept(pair, r, w), *command["at"])
        return {"port": server.sockets[0].getsockname()[1]}

    async def set(self, command):
        for name in command["pairs"]:
            for direction in ("forward", "back"):
                if direction in command:
                    getattr(self.pairs[name], direction).set(command[direction])
        return {}

    async def reset(self, command):
        for name in command["pairs"]:
            pair = self.pairs[name]
            for writer in list(pair.writers):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
                pair.counters["resets"] += 1
        return {}

    async def counters(self, command):
        return {name: dict(pair.counters) for name, pair in self.pairs.items()}

    async def serve(self):
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            command = json.loads(line)
            print(json.dumps(await getattr(self, command["do"])(command)), flush=True)


if __name__ == "__main__":
    asyncio.run(Proxy(int(sys.argv[1])).serve())
