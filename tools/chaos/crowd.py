"""Many light clients in one process: `crowd.py SPEC`. Each reads its inbox and now and then writes to its neighbour;
all write one history. SIGUSR1: stop writing, end when everything is answered and received; SIGTERM: end."""
import json
import pathlib
import signal
import sys
import threading
import time

import load
from load import mqtt, envelope, capnp, INBOX, RECEIPTS, SESSION, IDENTITY, LoginRefused


class Member(load.Author):
    """An author that also reads; one connection, one device."""

    def __init__(self, spec, history, crowd):
        super().__init__(spec, history)
        self.auto_ack = False
        self.crowd = crowd
        self.turns = 0

    def _take_publish(self, got):
        super()._take_publish(got)
        while self.deliveries:
            delivery = self.deliveries.pop(0)
            messages = envelope.read_delivery(delivery["payload"], self.identity.permalink, self.cluster,
                                              lambda author, key: self.crowd.keys.get(author) == key)
            device = self.key.public.hex()
            self.history.write("delivery", device=device, turn=self.turns, recipient=self.identity.permalink.hex(),
                               messages=[{"position": m["position"], "index": m["index"], "link": m["link"].hex(),
                                          "key": m["key"].hex(), "n": m["n"]} for m in messages])
            self.connection.send(mqtt.puback(delivery["id"]))
            self.history.write("acknowledged", device=device, position=messages[-1]["position"])

    def turn(self):
        self.turns += 1
        self.flight.clear()
        self.attach()
        self.subscribe([RECEIPTS, SESSION, IDENTITY], timeout=self.patience)
        self.history.write("cursor", device=self.key.public.hex(), position=self.cursor())
        self.subscribe([INBOX], timeout=self.patience)
        self.crowd.attached.add(self.name)
        try:
            for batch, _ in list(self.waiting.values()):
                self.put(batch)
            finished = False
            while not self.crowd.ended:
                if not self.crowd.quiet and not self.waiting:
                    (lane,) = self.lanes.values()
                    batch = envelope.Batch(self.key, [lane.next(self.content())])
                    self.waiting[batch.root] = (batch, True)
                    self.put(batch)
                if self.waiting:
                    self.pump(lambda: not self.waiting, self.patience)
                elif self.crowd.quiet and not finished:
                    finished = True
                    self.crowd.finished.add(self.name)
                    self.history.write("finished", device=self.key.public.hex())
                self.listen(self.random.expovariate(1 / self.pause))
        finally:
            self.crowd.attached.discard(self.name)

    def listen(self, seconds):
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.crowd.ended:
            self.connection.send(mqtt.packet(mqtt.PINGREQ))
            self.drain(min(5, max(0.05, until - time.monotonic())))
            if self.crowd.quiet and not self.crowd.finished >= {self.name}:
                return

    def run(self):
        while not self.crowd.ended:
            try:
                self.turn()
            except (mqtt.Closed, mqtt.Timeout, LoginRefused, OSError) as e:
                self.history.write("lost", why=f"{type(e).__name__} {e}")
                self.close()
                time.sleep(self.random.uniform(0.1, 1))
            except Exception as e:
                self.history.write("unexpected", what=f"{type(e).__name__} {e}")
                self.crowd.ended = self.crowd.failed = True
        if self.connection:
            self.disconnect_quietly()


class Crowd:
    def __init__(self, spec):
        self.keys = {bytes.fromhex(who): bytes.fromhex(key) for who, key in spec["keys"].items()}
        self.attached, self.finished = set(), set()
        self.quiet = self.ended = self.failed = False
        history = load.History(spec["history"])
        self.members = [Member(each, history, self) for each in spec["members"]]
        threading.stack_size(256 << 10)
        self.threads = [threading.Thread(target=member.run) for member in self.members]


def main():
    spec = json.loads(pathlib.Path(sys.argv[1]).read_text())
    crowd = Crowd(spec)
    signal.signal(signal.SIGUSR1, lambda *_: setattr(crowd, "quiet", True))
    signal.signal(signal.SIGTERM, lambda *_: setattr(crowd, "ended", True))
    for thread in crowd.threads:
        thread.start()
        time.sleep(0.005)
    state = pathlib.Path(spec["state"])
    while any(thread.is_alive() for thread in crowd.threads):
        new = state.with_suffix(".new")
        new.write_text(json.dumps({"attached": len(crowd.attached), "finished": len(crowd.finished)}))
        new.rename(state)
        time.sleep(0.2)
    return 1 if crowd.failed else 0


if __name__ == "__main__":
    sys.exit(main())
