"""Cap'n Proto in one segment, written and read by hand.

A Layout says where the fields of a struct lie. `encode` writes canonical form (docs/protocol.md 1.1); `decode` reads
any one-segment message into a dict and refuses what leaves the segment. Missing Data is b"", missing Text is "".
"""
import struct


class Malformed(Exception):
    """The bytes are not what the layout says."""


class Layout:
    """data: name -> (byte offset, struct format without '<'); pointers: names in order -> kind.

    Kinds: "data", "text", "datas" (List(Data)), a Layout (a struct), [Layout] (a list of structs).
    union: (byte offset of the tag, [names in the order of tags]); a union's value is a field like any other, and
    `which` names it. Members of a union may share a pointer: slots gives numbers that are not the place in order.
    """

    def __init__(self, words, data=None, pointers=None, union=None, slots=None):
        self.words = words
        self.data = data or {}
        self.pointers = pointers or {}
        self.union = union
        self.slots = slots or {name: i for i, name in enumerate(self.pointers)}
        self.pointer_count = 1 + max(self.slots.values()) if self.slots else 0


def _widths(layout, value):
    """The struct's data bytes and its pointers [(kind, value) or None], untrimmed."""
    data = bytearray(layout.words * 8)
    pointers = [None] * layout.pointer_count
    which = value.get("which") if layout.union else None
    for name, (offset, form) in layout.data.items():
        if name in value:
            if form == "?":
                data[offset] |= 1 if value[name] else 0
            else:
                struct.pack_into("<" + form, data, offset, value[name])
    if which is not None:
        struct.pack_into("<H", data, layout.union[0], layout.union[1].index(which))
    for name, kind in layout.pointers.items():
        if layout.union and name in layout.union[1] and name != which:
            continue
        inner = value.get(name)
        if inner is None or (not isinstance(kind, Layout) and len(inner) == 0):
            continue
        pointers[layout.slots[name]] = (kind, inner)
    return data, pointers


def _trimmed(data, pointers):
    words = len(data) // 8
    while words and not any(data[words * 8 - 8:words * 8]):
        words -= 1
    count = len(pointers)
    while count and pointers[count - 1] is None:
        count -= 1
    return words, count


class _Writer:
    def __init__(self):
        self.out = bytearray()

    def room(self, words):
        at = len(self.out) // 8
        self.out += bytes(words * 8)
        return at

    def put(self, word, value):
        struct.pack_into("<Q", self.out, word * 8, value)

    def list_pointer(self, at, target, size, count):
        self.put(at, ((target - at - 1) << 2 & 0xFFFFFFFF) | 1 | (size << 32) | (count << 35))

    def struct_pointer(self, at, target, words, count):
        self.put(at, ((target - at - 1) << 2 & 0xFFFFFFFF) | (words << 32) | (count << 48))

    def struct(self, at, layout, value):
        data, pointers = _widths(layout, value)
        words, count = _trimmed(data, pointers)
        if words + count == 0:
            self.put(at, 0xFFFFFFFC)
            return
        target = self.room(words + count)
        self.struct_pointer(at, target, words, count)
        self.content(target, words, count, data, pointers)

    def content(self, target, words, count, data, pointers):
        self.fixed(target, words, data)
        self.children(target + words, pointers[:count])

    def fixed(self, target, words, data):
        self.out[target * 8:(target + words) * 8] = data[:words * 8]

    def children(self, first, pointers):
        for i, pointer in enumerate(pointers):
            if pointer is not None:
                self.pointer(first + i, *pointer)

    def blob(self, at, content):
        target = self.room((len(content) + 7) // 8)
        self.list_pointer(at, target, 2, len(content))
        self.out[target * 8:target * 8 + len(content)] = content

    def pointer(self, at, kind, value):
        if kind == "data":
            self.blob(at, value)
        elif kind == "text":
            self.blob(at, value.encode() + b"\0")
        elif kind == "datas":
            target = self.room(len(value))
            self.list_pointer(at, target, 6, len(value))
            for i, content in enumerate(value):
                if content:
                    self.blob(target + i, content)
        elif isinstance(kind, Layout):
            self.struct(at, kind, value)
        else:
            elements = [_widths(kind[0], element) for element in value]
            trimmed = [_trimmed(*element) for element in elements]
            words = max(t[0] for t in trimmed)
            count = max(t[1] for t in trimmed)
            target = self.room(1 + len(elements) * (words + count))
            self.list_pointer(at, target, 7, len(elements) * (words + count))
            self.put(target, (len(elements) << 2) | (words << 32) | (count << 48))
            for i, (data, _) in enumerate(elements):
                self.fixed(target + 1 + i * (words + count), words, data)
            for i, (_, pointers) in enumerate(elements):
                self.children(target + 1 + i * (words + count) + words, pointers[:count])


def encode_body(layout, value):
    """Canonical words, without segment table."""
    writer = _Writer()
    root = writer.room(1)
    writer.struct(root, layout, value)
    return bytes(writer.out)


def encode(layout, value):
    """An outer message: segment table and canonical words."""
    body = encode_body(layout, value)
    return struct.pack("<II", 0, len(body) // 8) + body


class _Reader:
    def __init__(self, words):
        self.bytes = words
        self.words = len(words) // 8
        self.budget = 4 * len(words) + 64 * 8

    def word(self, at):
        if not 0 <= at < self.words:
            raise Malformed("pointer leaves the segment")
        return struct.unpack_from("<Q", self.bytes, at * 8)[0]

    def slice(self, at, words):
        if at < 0 or words < 0 or at + words > self.words:
            raise Malformed("object leaves the segment")
        self.budget -= words * 8
        if self.budget < 0:
            raise Malformed("too much to traverse")
        return self.bytes[at * 8:(at + words) * 8]

    def target(self, at, word):
        offset = (word & 0xFFFFFFFF) >> 2
        return at + 1 + (offset - (1 << 30) if offset >= 1 << 29 else offset)

    def struct(self, at, layout, depth):
        word = self.word(at)
        if depth > 16 or (word and word & 3 != 0):
            raise Malformed("not a struct pointer")
        words, count = (word >> 32) & 0xFFFF, word >> 48
        target = self.target(at, word) if word else 0
        self.slice(target, words + count)
        return self.content(layout, target, words, count, depth)

    def content(self, layout, target, words, count, depth):
        data = self.bytes[target * 8:(target + words) * 8].ljust(layout.words * 8, b"\0")
        value = {}
        for name, (offset, form) in layout.data.items():
            value[name] = bool(data[offset] & 1) if form == "?" else struct.unpack_from("<" + form, data, offset)[0]
        which = None
        if layout.union:
            tag = struct.unpack_from("<H", data, layout.union[0])[0]
            which = layout.union[1][tag] if tag < len(layout.union[1]) else "unknown"
            value["which"] = which
        for name, kind in layout.pointers.items():
            if layout.union and name in layout.union[1] and name != which:
                continue
            slot = layout.slots[name]
            at = target + words + slot
            value[name] = self.pointer(at if slot < count else None, kind, depth + 1)
        return value

    def blob(self, at):
        word = self.word(at)
        if word == 0:
            return b""
        if word & 3 != 1 or (word >> 32) & 7 != 2:
            raise Malformed("not a list of bytes")
        size = word >> 35
        return bytes(self.slice(self.target(at, word), (size + 7) // 8)[:size])

    def pointer(self, at, kind, depth):
        null = at is None or self.word(at) == 0
        if isinstance(kind, Layout):
            return {} if null else self.struct(at, kind, depth)
        if kind == "data":
            return b"" if null else self.blob(at)
        if kind == "text":
            text = b"\0" if null else self.blob(at)
            if not text.endswith(b"\0"):
                raise Malformed("text without its zero byte")
            try:
                return text[:-1].decode()
            except UnicodeDecodeError:
                raise Malformed("text is not UTF-8") from None
        if null:
            return []
        word = self.word(at)
        target = self.target(at, word)
        size, count = (word >> 32) & 7, word >> 35
        if depth > 16 or word & 3 != 1 or size != (6 if kind == "datas" else 7):
            raise Malformed("not the list that the layout says")
        self.slice(target, count + (0 if kind == "datas" else 1))
        if kind == "datas":
            return [self.blob(target + i) for i in range(count)]
        tag = self.word(target)
        words, pointers, elements = (tag >> 32) & 0xFFFF, tag >> 48, (tag & 0xFFFFFFFF) >> 2
        if tag & 3 != 0 or elements * (words + pointers) != count or elements > 65536:
            raise Malformed("list tag does not fit its list")
        step = words + pointers
        return [self.content(kind[0], target + 1 + i * step, words, pointers, depth) for i in range(elements)]


def decode_body(layout, words):
    """Reads a body (no segment table). Raises Malformed."""
    if len(words) == 0 or len(words) % 8:
        raise Malformed("not a number of words")
    return _Reader(words).struct(0, layout, 0)


def decode(layout, message):
    """Reads an outer message. Raises Malformed, also for more than one segment or bytes behind it."""
    if len(message) < 16:
        raise Malformed("too short")
    segments, words = struct.unpack_from("<II", message)
    if segments != 0 or len(message) != 8 + 8 * words:
        raise Malformed("not exactly one segment")
    return decode_body(layout, message[8:])


def is_canonical(layout, body):
    """True if these are the very bytes that canonical form gives for what they say."""
    return encode_body(layout, decode_body(layout, body)) == body
