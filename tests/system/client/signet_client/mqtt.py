"""MQTT 3.1.1 and 5.0 over a plain socket, as far as docs/protocol.md needs it. One thread, explicit deadlines."""
import select
import socket
import struct
import time

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK = 1, 2, 3, 4, 8, 9
UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT, AUTH = 10, 11, 12, 13, 14, 15

# Properties of MQTT 5: identifier -> (name, form). b byte, h u16, i u32, v variable, s text, d data, p pair of texts.
PROPERTIES = {
    0x01: ("payload_format", "b"), 0x02: ("message_expiry", "i"), 0x03: ("content_type", "s"),
    0x08: ("response_topic", "s"), 0x09: ("correlation_data", "d"), 0x0B: ("subscription_id", "v"),
    0x11: ("session_expiry", "i"), 0x12: ("assigned_client_id", "s"), 0x13: ("server_keep_alive", "h"),
    0x15: ("auth_method", "s"), 0x16: ("auth_data", "d"), 0x17: ("request_problem", "b"),
    0x18: ("will_delay", "i"), 0x19: ("request_response", "b"), 0x1A: ("response_info", "s"),
    0x1C: ("server_reference", "s"), 0x1F: ("reason", "s"), 0x21: ("receive_maximum", "h"),
    0x22: ("topic_alias_maximum", "h"), 0x23: ("topic_alias", "h"), 0x24: ("maximum_qos", "b"),
    0x25: ("retain_available", "b"), 0x26: ("user", "p"), 0x27: ("maximum_packet_size", "i"),
    0x28: ("wildcard_available", "b"), 0x29: ("subscription_ids_available", "b"), 0x2A: ("shared_available", "b"),
}
NUMBERS = {name: (number, form) for number, (name, form) in PROPERTIES.items()}


class Closed(Exception):
    """The peer closed the connection."""


class Timeout(Exception):
    """Nothing arrived in time."""


def varint(value):
    out = bytearray()
    while True:
        out.append(value & 127 | (128 if value > 127 else 0))
        value >>= 7
        if not value:
            return bytes(out)


def data(content):
    content = content.encode() if isinstance(content, str) else content
    return struct.pack(">H", len(content)) + content


def properties(**values):
    out = b""
    for name, value in values.items():
        if value is None:
            continue
        number, form = NUMBERS[name]
        if form == "p":
            out += b"".join(bytes([number]) + data(k) + data(v) for k, v in value)
            continue
        out += bytes([number])
        out += {"b": lambda v: bytes([v]), "h": lambda v: struct.pack(">H", v), "i": lambda v: struct.pack(">I", v),
                "v": varint, "s": data, "d": data}[form](value)
    return varint(len(out)) + out


def packet(kind, body=b"", flags=0):
    return bytes([kind << 4 | flags]) + varint(len(body)) + body


class _Cursor:
    def __init__(self, content):
        self.content, self.at = content, 0

    def take(self, size):
        if self.at + size > len(self.content):
            raise ValueError("packet is cut short")
        self.at += size
        return self.content[self.at - size:self.at]

    def number(self, form):
        return struct.unpack(">" + form, self.take(struct.calcsize(form)))[0]

    def data(self):
        return self.take(self.number("H"))

    def varint(self):
        value = 0
        for shift in (0, 7, 14, 21):
            byte = self.number("B")
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise ValueError("variable integer")

    def left(self):
        return len(self.content) - self.at

    def properties(self):
        end = self.varint() + self.at
        out = {}
        while self.at < end:
            name, form = PROPERTIES[self.number("B")]
            if form == "p":
                out.setdefault(name, []).append((self.data().decode(), self.data().decode()))
            elif form in "sd":
                out[name] = self.data().decode() if form == "s" else self.data()
            else:
                out[name] = self.varint() if form == "v" else self.number({"b": "B", "h": "H", "i": "I"}[form])
        return out


def connect(version, client_id, keep_alive=60, clean=True, username=None, password=None, props=None, level=None,
            will=None):
    flags = (2 if clean else 0) | (0x80 if username is not None else 0) | (0x40 if password is not None else 0)
    payload = data(client_id)
    if will is not None:
        flags |= 4 | (will.get("qos", 0) << 3) | (0x20 if will.get("retain") else 0)
        payload += (properties() if version == 5 else b"") + data(will["topic"]) + data(will["payload"])
    payload += (data(username) if username is not None else b"") + (data(password) if password is not None else b"")
    head = data("MQTT") + bytes([version if level is None else level, flags]) + struct.pack(">H", keep_alive)
    return packet(CONNECT, head + (properties(**(props or {})) if version == 5 else b"") + payload)


def publish(version, topic, payload, qos=0, packet_id=0, dup=False, retain=False, props=None):
    head = data(topic) + (struct.pack(">H", packet_id) if qos else b"")
    head += properties(**(props or {})) if version == 5 else b""
    return packet(PUBLISH, head + payload, qos << 1 | (8 if dup else 0) | (1 if retain else 0))


def subscribe(version, packet_id, filters, props=None):
    body = struct.pack(">H", packet_id) + (properties(**(props or {})) if version == 5 else b"")
    return packet(SUBSCRIBE, body + b"".join(data(name) + bytes([options]) for name, options in filters), 2)


def puback(packet_id):
    return packet(PUBACK, struct.pack(">H", packet_id))


def auth(reason, method, auth_data):
    return packet(AUTH, bytes([reason]) + properties(auth_method=method, auth_data=auth_data))


def decode(version, kind, flags, body):
    """A packet from a node, as a dict."""
    c = _Cursor(body)
    out = {"kind": kind, "props": {}}
    five = version == 5
    if kind == CONNACK:
        out["session_present"] = c.number("B") & 1 == 1
        out["code"] = c.number("B")
        if five:
            out["props"] = c.properties()
    elif kind == PUBLISH:
        out.update(qos=flags >> 1 & 3, dup=flags & 8 != 0, topic=c.data().decode())
        out["id"] = c.number("H") if out["qos"] else 0
        if five:
            out["props"] = c.properties()
        out["payload"] = c.take(c.left())
    elif kind == PUBACK:
        out["id"] = c.number("H")
        out["code"] = c.number("B") if c.left() else 0
        if c.left():
            out["props"] = c.properties()
    elif kind in (SUBACK, UNSUBACK):
        out["id"] = c.number("H")
        if five:
            out["props"] = c.properties()
        out["codes"] = list(c.take(c.left()))
    elif kind in (DISCONNECT, AUTH):
        out["code"] = c.number("B") if c.left() else 0
        if c.left():
            out["props"] = c.properties()
    elif kind != PINGRESP:
        raise ValueError(f"a node never sends packet type {kind}")
    if c.left():
        raise ValueError("bytes behind a packet")
    return out


class Connection:
    """A socket that speaks MQTT. host, port; version 4 (3.1.1) or 5."""

    def __init__(self, host, port, version=5, timeout=10):
        self.version = version
        self.socket = socket.create_connection((host, port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.sizes = []  # of every packet received

    def send(self, content):
        try:
            self.socket.sendall(content)
        except OSError as e:
            raise Closed(str(e)) from None

    def _packet(self):
        size = shift = 0
        for i in range(1, 5):
            if len(self.buffer) <= i:
                return None
            byte = self.buffer[i]
            size |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        else:
            raise ValueError("remaining length")
        end = i + 1 + size
        if len(self.buffer) < end:
            return None
        head, body, self.buffer = self.buffer[0], self.buffer[i + 1:end], self.buffer[end:]
        self.sizes.append(end)
        return decode(self.version, head >> 4, head & 15, body)

    def receive(self, timeout=20):
        """The next packet; Timeout, or Closed."""
        deadline = time.monotonic() + timeout
        while True:
            found = self._packet()
            if found:
                return found
            left = deadline - time.monotonic()
            if not select.select([self.socket], [], [], max(0, left))[0]:
                raise Timeout()
            try:
                more = self.socket.recv(1 << 18)
            except OSError as e:
                raise Closed(str(e)) from None
            if not more:
                raise Closed("end of stream")
            self.buffer += more

    def close(self):
        self.socket.close()
