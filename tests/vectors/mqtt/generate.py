#!/usr/bin/env python3
"""Writes packets.json and properties.json: what the MQTT codec must accept and refuse, spelt byte by byte.

Nothing here comes from the codec: bytes are put together from the standards' layouts, and the property table below was
typed from MQTT 5.0, section 2.2.2.2. A vector is
  name     a sentence
  version  4 or 5; absent: the decoder has to find out
  from     client | server
  state    new (nothing was said yet) | attached (a CONNECT went before)
  hex      what arrives
  packet   what it means (every field), and then
  again    false when the shortest encoding of that packet is another one
or
  refuse   kind: malformed | protocol_error | too_large | unsupported_version
           code: the reason code, as a number
           answer: 4 | 5, the form in which it may be answered; absent: close without a byte
"""
import json
import pathlib

VECTORS = []


def u8(n): return bytes([n])
def u16(n): return n.to_bytes(2, "big")
def u32(n): return n.to_bytes(4, "big")
def s(x): return u16(len(x if isinstance(x, bytes) else x.encode())) + (x if isinstance(x, bytes) else x.encode())


def vbi(n):
    out = b""
    while True:
        n, digit = n // 128, n % 128
        out += u8(digit | (0x80 if n else 0))
        if not n:
            return out


def pk(first, *body):
    body = b"".join(body)
    return u8(first) + vbi(len(body)) + body


def props(*items):
    body = b"".join(items)
    return vbi(len(body)) + body


NONE = props()
# Every reason code there is, and some that there are not.
EVERY_CODE = [0, 1, 2, 3, 4, 0x10, 0x11, 0x18, 0x19, 0x7F, *range(0x80, 0xA4), 0xFF]
# Every property there is, and some that there are not.
EVERY_PROPERTY = [*range(0x2D), 0x40, 0x7F, 0x80, 0xFF]


def accept(name, version, sender, hex_, packet, state="attached", again=True):
    v = {"name": name, "version": version, "from": sender, "state": state, "hex": hex_.hex(), "packet": packet}
    if not again:
        v["again"] = False
    VECTORS.append(v)


def refuse(name, version, sender, hex_, kind, code, answer="default", state="attached"):
    if answer == "default":
        answer = 5 if version == 5 else None
    why = {"kind": kind, "code": code}
    if answer:
        why["answer"] = answer
    v = {"name": name, "from": sender, "state": state, "hex": hex_.hex(), "refuse": why}
    if version:
        v["version"] = version
    VECTORS.append(v)


def malformed(name, version, sender, hex_, code=0x81, **more):
    refuse(name, version, sender, hex_, "malformed", code, **more)


def forbidden(name, version, sender, hex_, code=0x82, **more):
    refuse(name, version, sender, hex_, "protocol_error", code, **more)


# --- the fixed header -------------------------------------------------------------------------------------------------
malformed("packet type 0", 5, "client", b"\x00\x00")
malformed("packet type 15 in 3.1.1", 4, "client", b"\xf0\x00")
for number in range(1, 16):
    if number == 3:
        continue
    right = 2 if number in (6, 8, 10) else 0
    for flags in range(16):
        if flags != right:
            malformed(f"type {number} with flags {flags}", 5, "client", bytes([number << 4 | flags, 0]))
            malformed(f"type {number} with flags {flags} in 3.1.1", 4, "client", bytes([number << 4 | flags, 0]))
for number in (2, 9, 11, 13):
    forbidden(f"a client sends type {number}", 5, "client", bytes([number << 4, 0]))
    forbidden(f"a client sends type {number} in 3.1.1", 4, "client", bytes([number << 4, 0]))
for number in (1, 8, 10, 12):
    first = number << 4 | (2 if number in (8, 10) else 0)
    forbidden(f"a server sends type {number}", 5, "server", bytes([first, 0]))
malformed("a remaining length of five bytes", 5, "client", b"\xc0\x80\x80\x80\x80\x01")
malformed("a remaining length of five bytes in 3.1.1", 4, "client", b"\xc0\x80\x80\x80\x80\x01")
malformed("a remaining length longer than it need be", 5, "client", b"\xc0\x80\x00")
accept("3.1.1 is silent about long remaining lengths", 4, "client", b"\xc0\x80\x00", {"type": "PINGREQ"}, again=False)
malformed("a remaining length of four bytes for zero", 5, "client", b"\xc0\x80\x80\x80\x00")
refuse("a packet of 256 MiB", 5, "client", b"\x30\xff\xff\xff\x7f", "too_large", 0x95)
refuse("a first packet above 1 KiB", None, "client", b"\x10\x80\x08", "too_large", 0x95, state="new")
for first in (0x30, 0xC0, 0x82, 0xE0, 0xF0):
    forbidden(f"the first packet begins with {first:02x}", None, "client", bytes([first, 0]), state="new")
malformed("the first packet has type 0", None, "client", b"\x00", state="new")

# --- 1 CONNECT --------------------------------------------------------------------------------------------------------
def connect(level=5, flags=0x02, keep=60, p=NONE, client=s("c"), rest=b"", name=s("MQTT")):
    return pk(0x10, name, u8(level), u8(flags), u16(keep), p if level == 5 else b"", client, rest)


def connect_packet(version=5, clean=True, keep=60, props_=(), client="c", will=None, user=None, password=None):
    out = {"type": "CONNECT", "version": version, "clean_start": clean, "keep_alive_s": keep, "props": list(props_),
           "client_id": client}
    if will is not None:
        out["will"] = will
    if user is not None:
        out["user_name"] = user
    if password is not None:
        out["password"] = password.hex()
    return out


def will_of(topic="w", payload=b"", qos=0, retain=False, props_=()):
    return {"topic": topic, "payload": payload.hex(), "qos": qos, "retain": retain, "props": list(props_)}


accept("a small CONNECT", 5, "client", connect(), connect_packet(), state="new")
accept("a small CONNECT in 3.1.1", 4, "client", connect(4), connect_packet(4), state="new")
accept("an empty client identifier in 5.0", 5, "client", connect(client=s(""), flags=0), connect_packet(client="", clean=False), state="new")
accept("an empty client identifier with clean session", 4, "client", connect(4, client=s("")), connect_packet(4, client=""), state="new")
accept("a CONNECT with everything", 5, "client",
       connect(flags=0xEE, keep=0, p=props(b"\x11", u32(7), b"\x26", s("k"), s("v")),
               rest=props(b"\x18", u32(9)) + s("will/topic") + s(b"\x00\xff") + s("user") + s(b"\x00pass")),
       connect_packet(keep=0, props_=[["session_expiry_interval", 7], ["user_property", ["k", "v"]]], user="user",
                      password=b"\x00pass", will=will_of("will/topic", b"\x00\xff", 1, True, [["will_delay_interval", 9]])),
       state="new")
accept("a CONNECT with everything in 3.1.1", 4, "client",
       connect(4, flags=0xF4, rest=s("will/topic") + s("bye") + s("user") + s(b"pass")),
       connect_packet(4, clean=False, user="user", password=b"pass", will=will_of("will/topic", b"bye", 2, True)), state="new")
accept("a password without a user name in 5.0", 5, "client", connect(flags=0x42, rest=s("p")), connect_packet(password=b"p"), state="new")
malformed("a password without a user name in 3.1.1", None, "client", connect(4, flags=0x42, rest=s("p")), state="new")
forbidden("an empty client identifier without clean session", None, "client", connect(4, flags=0, client=s("")), code=0x85, answer=4, state="new")
for version, answer in ((5, 5), (4, None)):
    malformed(f"the reserved flag is set, level {version}", None, "client", connect(version, flags=0x03), answer=answer, state="new")
    malformed(f"will QoS without a will, level {version}", None, "client", connect(version, flags=0x0A), answer=answer, state="new")
    malformed(f"will retain without a will, level {version}", None, "client", connect(version, flags=0x22), answer=answer, state="new")
    will = (NONE if version == 5 else b"") + s("w") + s("")
    malformed(f"will QoS 3, level {version}", None, "client", connect(version, flags=0x1E, rest=will), answer=answer, state="new")
    malformed(f"bytes after the last field, level {version}", None, "client", connect(version, rest=b"\x00"), answer=answer, state="new")
    malformed(f"a user name is announced and missing, level {version}", None, "client", connect(version, flags=0x82), answer=answer, state="new")
    bad_will = (NONE if version == 5 else b"") + s("w/#") + s("")
    malformed(f"a wildcard in the will topic, level {version}", None, "client", connect(version, flags=0x06, rest=bad_will), code=0x90, answer=answer, state="new")
    no_will = (NONE if version == 5 else b"") + s("") + s("")
    malformed(f"an empty will topic, level {version}", None, "client", connect(version, flags=0x06, rest=no_will), code=0x90, answer=answer, state="new")
    malformed(f"the client identifier runs beyond the end, level {version}", None, "client", connect(version, client=b"\x00\x02c"), answer=answer, state="new")
    forbidden(f"a second CONNECT, level {version}", version, "client", connect(version))
    refuse(f"a client identifier of 129 bytes, level {version}", None, "client", connect(version, client=s("c" * 129)), "too_large", 0x85, answer=version, state="new")
malformed("CONNECT with a long remaining length in 5.0", None, "client", b"\x10\x8e\x00" + connect()[2:], answer=5, state="new")
accept("CONNECT with a long remaining length in 3.1.1", 4, "client", b"\x10\x8d\x00" + connect(4)[2:], connect_packet(4), state="new", again=False)
for level in (0, 3):
    refuse(f"MQTT level {level}", None, "client", connect(level), "unsupported_version", 0x84, answer=4, state="new")
refuse("MQIsdp level 3", None, "client", connect(3, name=s("MQIsdp")), "unsupported_version", 0x84, answer=4, state="new")
for level in (6, 0x84, 255):
    refuse(f"MQTT level {level}", None, "client", connect(level), "unsupported_version", 0x84, answer=5, state="new")
refuse("another protocol", None, "client", connect(name=s("HTTP")), "unsupported_version", 0x84, state="new")
refuse("MQIsdp level 5", None, "client", connect(name=s("MQIsdp")), "unsupported_version", 0x84, state="new")
malformed("a CONNECT without a level", None, "client", pk(0x10, s("MQTT")), state="new")
malformed("an empty CONNECT", None, "client", pk(0x10), state="new")
forbidden("authentication data without a method", None, "client", connect(p=props(b"\x16", s("x"))), answer=5, state="new")
accept("authentication method and data", 5, "client", connect(p=props(b"\x15", s("m"), b"\x16", s(b"\x00x"))),
       connect_packet(props_=[["authentication_method", "m"], ["authentication_data", b"\x00x".hex()]]), state="new")

# --- 2 CONNACK --------------------------------------------------------------------------------------------------------
def connack_packet(present=False, code=0, props_=()):
    return {"type": "CONNACK", "session_present": present, "code": code, "props": list(props_)}


accept("CONNACK", 5, "server", pk(0x20, b"\x00\x00", NONE), connack_packet())
accept("CONNACK with session present", 5, "server", pk(0x20, b"\x01\x00", NONE), connack_packet(True))
accept("CONNACK refuses", 5, "server", pk(0x20, b"\x00\x88", props(b"\x1f", s("no quorum"))), connack_packet(code=0x88, props_=[["reason_string", "no quorum"]]))
for raw, code in enumerate((0, 0x84, 0x85, 0x88, 0x86, 0x87)):
    accept(f"CONNACK {raw} in 3.1.1", 4, "server", pk(0x20, bytes([0, raw])), connack_packet(code=code))
forbidden("CONNACK 6 in 3.1.1", 4, "server", pk(0x20, b"\x00\x06"))
forbidden("CONNACK refuses with session present", 5, "server", pk(0x20, b"\x01\x87", NONE))
forbidden("CONNACK refuses with session present in 3.1.1", 4, "server", pk(0x20, b"\x01\x05"))
malformed("CONNACK with a reserved flag", 5, "server", pk(0x20, b"\x02\x00", NONE))
malformed("CONNACK without a property length", 5, "server", pk(0x20, b"\x00\x00"))
malformed("CONNACK of one byte", 4, "server", pk(0x20, b"\x00"))
malformed("CONNACK of three bytes in 3.1.1", 4, "server", pk(0x20, b"\x00\x00\x00"))

# --- 3 PUBLISH --------------------------------------------------------------------------------------------------------
def publish_packet(topic="t", payload=b"", qos=0, id_=0, dup=False, retain=False, props_=()):
    return {"type": "PUBLISH", "dup": dup, "qos": qos, "retain": retain, "topic": topic, "id": id_, "props": list(props_),
            "payload": payload.hex()}


for version in (4, 5):
    n = NONE if version == 5 else b""
    for side in ("client", "server"):
        where = f"from a {side}, version {version}"
        accept(f"PUBLISH QoS 0 {where}", version, side, pk(0x30, s("t"), n, b"hello"), publish_packet(payload=b"hello"))
        accept(f"PUBLISH QoS 1 {where}", version, side, pk(0x32, s("a/b"), u16(1), n, b"x"), publish_packet("a/b", b"x", 1, 1))
        accept(f"PUBLISH QoS 2, DUP, retain {where}", version, side, pk(0x3D, s("t"), u16(65535), n), publish_packet(qos=2, id_=65535, dup=True, retain=True))
        malformed(f"PUBLISH QoS 3 {where}", version, side, pk(0x36, s("t"), u16(1), n))
        malformed(f"PUBLISH QoS 0 with DUP {where}", version, side, pk(0x38, s("t"), n))
        forbidden(f"PUBLISH with id 0 {where}", version, side, pk(0x32, s("t"), u16(0), n))
        for bad in ("a/+", "#", "a#", "+"):
            malformed(f"PUBLISH to {bad} {where}", version, side, pk(0x30, s(bad), n), code=0x90)
        malformed(f"PUBLISH with U+0000 in the topic {where}", version, side, pk(0x30, s("a\0b"), n))
        malformed(f"PUBLISH without an id {where}", version, side, pk(0x32, s("t")))
        malformed(f"PUBLISH whose topic runs beyond the end {where}", version, side, pk(0x30, u16(5), b"t"))
        malformed(f"PUBLISH of one byte {where}", version, side, pk(0x30, b"\x00"))
        malformed(f"PUBLISH of no byte {where}", version, side, pk(0x30))
        refuse(f"PUBLISH to a topic of 257 bytes {where}", version, side, pk(0x30, s("t" * 257), n), "too_large", 0x90)
        refuse(f"PUBLISH to a topic of 17 levels {where}", version, side, pk(0x30, s("/" * 16), n), "too_large", 0x90)
        accept(f"PUBLISH to a topic of 16 levels {where}", version, side, pk(0x30, s("/" * 15), n), publish_packet("/" * 15))
        accept(f"PUBLISH to a topic of 256 bytes {where}", version, side, pk(0x30, s("t" * 256), n), publish_packet("t" * 256))
malformed("PUBLISH to nowhere in 3.1.1", 4, "client", pk(0x30, s("")), code=0x90)
forbidden("PUBLISH to nowhere without an alias", 5, "client", pk(0x30, s(""), NONE))
accept("PUBLISH to an alias alone", 5, "client", pk(0x30, s(""), props(b"\x23", u16(8)), b"x"), publish_packet("", b"x", props_=[["topic_alias", 8]]))
forbidden("PUBLISH with alias 0", 5, "client", pk(0x30, s("t"), props(b"\x23", u16(0))), code=0x94)
forbidden("PUBLISH with an alias above the maximum", 5, "client", pk(0x30, s("t"), props(b"\x23", u16(9))), code=0x94)
forbidden("PUBLISH with a subscription identifier from a client", 5, "client", pk(0x30, s("t"), props(b"\x0b\x01")))
accept("PUBLISH with two subscription identifiers from a server", 5, "server", pk(0x30, s("t"), props(b"\x0b\x01", b"\x0b\xff\xff\xff\x7f")),
       publish_packet(props_=[["subscription_identifier", 1], ["subscription_identifier", 268435455]]))
malformed("PUBLISH whose properties run beyond the end", 5, "client", pk(0x30, s("t"), b"\x05\x01\x00"))
malformed("PUBLISH without a property length", 5, "client", pk(0x30, s("t")))
malformed("PUBLISH with a property length of five bytes", 5, "client", pk(0x30, s("t"), b"\x80\x80\x80\x80\x01"))
malformed("PUBLISH with a property length longer than it need be", 5, "client", pk(0x30, s("t"), b"\x80\x00"))
accept("DUP says nothing about the payload", 4, "client", pk(0x3A, s("t"), u16(7), b"again"), publish_packet(payload=b"again", qos=1, id_=7, dup=True))
forbidden("a response topic with a wildcard", 5, "client", pk(0x30, s("t"), props(b"\x08", s("a/#"))))
forbidden("an empty response topic", 5, "client", pk(0x30, s("t"), props(b"\x08", s(""))))

# --- 4 5 6 7 PUBACK, PUBREC, PUBREL, PUBCOMP --------------------------------------------------------------------------
ACKS = {0x40: "PUBACK", 0x50: "PUBREC", 0x62: "PUBREL", 0x70: "PUBCOMP"}
CODES = {  # (client, server)
    0x40: ({0, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99}, {0x10}),
    0x50: ({0, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99}, {0x10}),
    0x62: ({0, 0x92}, set()),
    0x70: ({0, 0x92}, set()),
}
for first, name in ACKS.items():
    def ack(id_=1, code=0, props_=()):
        return {"type": name, "id": id_, "code": code, "props": list(props_)}
    for side in ("client", "server"):
        accept(f"{name} of two bytes from a {side}", 5, side, pk(first, u16(1)), ack())
        accept(f"{name} in 3.1.1 from a {side}", 4, side, pk(first, u16(65535)), ack(65535))
        allowed = CODES[first][0] | (CODES[first][1] if side == "server" else set())
        for code in EVERY_CODE:
            if code in allowed:
                accept(f"{name} with code {code:02x} from a {side}", 5, side, pk(first, u16(1), u8(code)), ack(code=code), again=code != 0)
            else:
                forbidden(f"{name} with code {code:02x} from a {side}", 5, side, pk(first, u16(1), u8(code)))
        bad = sorted(allowed)[-1]
        accept(f"{name} with an empty property list from a {side}", 5, side, pk(first, u16(1), u8(bad), NONE), ack(code=bad), again=False)
        accept(f"{name} with properties from a {side}", 5, side, pk(first, u16(1), u8(bad), props(b"\x1f", s("why"), b"\x26", s("a"), s(""))),
               ack(code=bad, props_=[["reason_string", "why"], ["user_property", ["a", ""]]]))
        forbidden(f"{name} with id 0 from a {side}", 5, side, pk(first, u16(0)))
        malformed(f"{name} of one byte from a {side}", 5, side, pk(first, b"\x00"))
        malformed(f"{name} of no byte from a {side}", 5, side, pk(first))
        malformed(f"{name} of three bytes in 3.1.1 from a {side}", 4, side, pk(first, u16(1), b"\x00"))
        malformed(f"{name} with bytes after its properties from a {side}", 5, side, pk(first, u16(1), u8(bad), NONE, b"\x00"))

# --- 8 SUBSCRIBE ------------------------------------------------------------------------------------------------------
def sub(filter_, qos=0, no_local=False, as_published=False, retained=0):
    return {"filter": filter_, "qos": qos, "no_local": no_local, "retain_as_published": as_published, "retained": retained}


def subscribe_packet(*filters, id_=1, props_=()):
    return {"type": "SUBSCRIBE", "id": id_, "props": list(props_), "filters": list(filters)}


accept("SUBSCRIBE", 5, "client", pk(0x82, u16(1), NONE, s("a/b"), u8(1)), subscribe_packet(sub("a/b", 1)))
accept("SUBSCRIBE in 3.1.1", 4, "client", pk(0x82, u16(1), s("a/b"), u8(2), s("#"), u8(0)), subscribe_packet(sub("a/b", 2), sub("#")))
accept("SUBSCRIBE with every option", 5, "client", pk(0x82, u16(9), props(b"\x0b\x80\x01"), s("+/x/#"), u8(0x2E)),
       subscribe_packet(sub("+/x/#", 2, True, True, 2), id_=9, props_=[["subscription_identifier", 128]]))
accept("SUBSCRIBE to a share", 5, "client", pk(0x82, u16(1), NONE, s("$share/g/a/+"), u8(0)), subscribe_packet(sub("$share/g/a/+")))
forbidden("No Local on a share", 5, "client", pk(0x82, u16(1), NONE, s("$share/g/a"), u8(4)))
forbidden("SUBSCRIBE without a filter", 5, "client", pk(0x82, u16(1), NONE))
forbidden("SUBSCRIBE without a filter in 3.1.1", 4, "client", pk(0x82, u16(1)))
forbidden("SUBSCRIBE with id 0", 5, "client", pk(0x82, u16(0), NONE, s("a"), u8(0)))
malformed("SUBSCRIBE without the option byte", 5, "client", pk(0x82, u16(1), NONE, s("a")))
malformed("SUBSCRIBE without the option byte in 3.1.1", 4, "client", pk(0x82, u16(1), s("a")))
for options in (0x03, 0x30, 0x40, 0x80):
    malformed(f"SUBSCRIBE with options {options:02x}", 5, "client", pk(0x82, u16(1), NONE, s("a"), u8(options)))
for options in (0x03, 0x04, 0x08, 0x10):
    malformed(f"SUBSCRIBE with options {options:02x} in 3.1.1", 4, "client", pk(0x82, u16(1), s("a"), u8(options)))
for bad in ("", "a#", "#/a", "a/#/b", "a+", "+a", "a/b+/c", "##", "++", "$share/", "$share//a", "$share/g", "$share/g/", "$share/+/a", "$share/g#/a"):
    malformed(f"SUBSCRIBE to '{bad}'", 5, "client", pk(0x82, u16(1), NONE, s(bad), u8(0)), code=0x8F)
    malformed(f"SUBSCRIBE to '{bad}' in 3.1.1", 4, "client", pk(0x82, u16(1), s(bad), u8(0)), code=0x8F)
    malformed(f"UNSUBSCRIBE from '{bad}'", 5, "client", pk(0xA2, u16(1), NONE, s(bad)), code=0x8F)
for good in ("#", "+", "+/+", "/", "a/+/b/#", "/#", "/+", "$SYS/x", "a//b", " ", "ä/€/😀", "\ufeffbom"):
    accept(f"SUBSCRIBE to '{good}'", 5, "client", pk(0x82, u16(1), NONE, s(good), u8(0)), subscribe_packet(sub(good)))
    accept(f"UNSUBSCRIBE from '{good}'", 5, "client", pk(0xA2, u16(1), NONE, s(good)),
           {"type": "UNSUBSCRIBE", "id": 1, "props": [], "filters": [good]})
refuse("SUBSCRIBE to 257 bytes", 5, "client", pk(0x82, u16(1), NONE, s("a" * 257), u8(0)), "too_large", 0x8F)
refuse("SUBSCRIBE to 17 levels", 5, "client", pk(0x82, u16(1), NONE, s("/" * 16), u8(0)), "too_large", 0x8F)
refuse("SUBSCRIBE to 65 filters", 5, "client", pk(0x82, u16(1), NONE, (s("a") + u8(0)) * 65), "too_large", 0x97)
accept("SUBSCRIBE to 64 filters", 5, "client", pk(0x82, u16(1), NONE, (s("a") + u8(0)) * 64), subscribe_packet(*[sub("a")] * 64))

# --- 9 SUBACK, 10 UNSUBSCRIBE, 11 UNSUBACK ----------------------------------------------------------------------------
def codes_packet(type_, codes, id_=1, props_=()):
    return {"type": type_, "id": id_, "props": list(props_), "codes": list(codes)}


SUBACK = {0, 1, 2, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2}
UNSUBACK = {0, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91}
for code in EVERY_CODE:
    if code in SUBACK:
        accept(f"SUBACK {code:02x}", 5, "server", pk(0x90, u16(1), NONE, u8(code)), codes_packet("SUBACK", [code]))
    else:
        forbidden(f"SUBACK {code:02x}", 5, "server", pk(0x90, u16(1), NONE, u8(code)))
    if code in (0, 1, 2, 0x80):
        accept(f"SUBACK {code:02x} in 3.1.1", 4, "server", pk(0x90, u16(1), u8(code)), codes_packet("SUBACK", [code]))
    else:
        forbidden(f"SUBACK {code:02x} in 3.1.1", 4, "server", pk(0x90, u16(1), u8(code)))
    if code in UNSUBACK:
        accept(f"UNSUBACK {code:02x}", 5, "server", pk(0xB0, u16(1), NONE, u8(code)), codes_packet("UNSUBACK", [code]))
    else:
        forbidden(f"UNSUBACK {code:02x}", 5, "server", pk(0xB0, u16(1), NONE, u8(code)))
accept("SUBACK with several codes", 5, "server", pk(0x90, u16(3), props(b"\x1f", s("r")), b"\x00\x87\x01"),
       codes_packet("SUBACK", [0, 0x87, 1], 3, [["reason_string", "r"]]))
malformed("SUBACK without a code", 5, "server", pk(0x90, u16(1), NONE))
malformed("SUBACK without a code in 3.1.1", 4, "server", pk(0x90, u16(1)))
forbidden("SUBACK with id 0", 5, "server", pk(0x90, u16(0), NONE, u8(0)))
accept("UNSUBSCRIBE in 3.1.1", 4, "client", pk(0xA2, u16(2), s("a"), s("b/#")), {"type": "UNSUBSCRIBE", "id": 2, "props": [], "filters": ["a", "b/#"]})
forbidden("UNSUBSCRIBE without a filter", 5, "client", pk(0xA2, u16(1), NONE))
forbidden("UNSUBSCRIBE without a filter in 3.1.1", 4, "client", pk(0xA2, u16(1)))
forbidden("UNSUBSCRIBE with id 0", 4, "client", pk(0xA2, u16(0), s("a")))
malformed("UNSUBSCRIBE whose filter runs beyond the end", 5, "client", pk(0xA2, u16(1), NONE, u16(2), b"a"))
accept("UNSUBACK in 3.1.1", 4, "server", pk(0xB0, u16(2)), codes_packet("UNSUBACK", [], 2))
malformed("UNSUBACK with a code in 3.1.1", 4, "server", pk(0xB0, u16(2), u8(0)))
malformed("UNSUBACK without a code", 5, "server", pk(0xB0, u16(1), NONE))

# --- 12 13 PINGREQ, PINGRESP ------------------------------------------------------------------------------------------
for version in (4, 5):
    accept(f"PINGREQ, version {version}", version, "client", b"\xc0\x00", {"type": "PINGREQ"})
    accept(f"PINGRESP, version {version}", version, "server", b"\xd0\x00", {"type": "PINGRESP"})
    malformed(f"PINGREQ with a body, version {version}", version, "client", b"\xc0\x01\x00")
    malformed(f"PINGRESP with a body, version {version}", version, "server", b"\xd0\x01\x00")

# --- 14 DISCONNECT ----------------------------------------------------------------------------------------------------
def disconnect_packet(code=0, props_=()):
    return {"type": "DISCONNECT", "code": code, "props": list(props_)}


BOTH = {0, 0x80, 0x81, 0x82, 0x83, 0x90, *range(0x93, 0x9A)}
DISCONNECT = {"client": BOTH | {0x04},
              "server": BOTH | {0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, *range(0x9A, 0xA3)}}
accept("DISCONNECT in 3.1.1", 4, "client", b"\xe0\x00", disconnect_packet())
malformed("DISCONNECT with a body in 3.1.1", 4, "client", b"\xe0\x01\x00")
forbidden("DISCONNECT from a server in 3.1.1", 4, "server", b"\xe0\x00")
for side in ("client", "server"):
    accept(f"empty DISCONNECT from a {side}", 5, side, b"\xe0\x00", disconnect_packet())
    accept(f"DISCONNECT with a reason from a {side}", 5, side, pk(0xE0, u8(0x81), props(b"\x1f", s("r"))), disconnect_packet(0x81, [["reason_string", "r"]]))
    for code in EVERY_CODE:
        if code in DISCONNECT[side]:
            accept(f"DISCONNECT {code:02x} from a {side}", 5, side, pk(0xE0, u8(code)), disconnect_packet(code), again=code != 0)
        else:
            forbidden(f"DISCONNECT {code:02x} from a {side}", 5, side, pk(0xE0, u8(code)))
    malformed(f"DISCONNECT with bytes after its properties from a {side}", 5, side, pk(0xE0, u8(0), NONE, b"\x00"))

# --- 15 AUTH ----------------------------------------------------------------------------------------------------------
METHOD = props(b"\x15", s("m"))
for side, allowed in (("client", {0x18, 0x19}), ("server", {0, 0x18})):
    for code in EVERY_CODE:
        if code in allowed:
            accept(f"AUTH {code:02x} from a {side}", 5, side, pk(0xF0, u8(code), METHOD),
                   {"type": "AUTH", "code": code, "props": [["authentication_method", "m"]]})
        else:
            forbidden(f"AUTH {code:02x} from a {side}", 5, side, pk(0xF0, u8(code), METHOD))
    forbidden(f"empty AUTH from a {side}", 5, side, b"\xf0\x00")
    forbidden(f"AUTH without a method from a {side}", 5, side, pk(0xF0, u8(0x18), NONE))
    forbidden(f"AUTH with data and no method from a {side}", 5, side, pk(0xF0, u8(0x18), props(b"\x16", s("d"))))

# --- strings ----------------------------------------------------------------------------------------------------------
BAD_TEXT = {
    "an overlong slash": b"\xc0\xaf", "an overlong NUL": b"\xc0\x80", "an overlong form of three bytes": b"\xe0\x80\xaf",
    "an overlong form of four bytes": b"\xf0\x80\x80\xaf", "the first surrogate": b"\xed\xa0\x80", "the last surrogate": b"\xed\xbf\xbf",
    "above U+10FFFF": b"\xf4\x90\x80\x80", "a byte F5": b"\xf5\x80\x80\x80", "a byte FF": b"\xff", "a lone continuation byte": b"\x80",
    "a cut sequence of two": b"\xc3", "a cut sequence of three": b"\xe2\x82", "a cut sequence of four": b"\xf0\x9f\x98",
    "a broken sequence": b"\xe2\x28\xa1", "U+0000": b"\x00", "U+0001": b"\x01", "U+001F": b"\x1f", "U+007F": b"\x7f",
    "U+0080": b"\xc2\x80", "U+009F": b"\xc2\x9f", "U+FDD0": b"\xef\xb7\x90", "U+FDEF": b"\xef\xb7\xaf", "U+FFFE": b"\xef\xbf\xbe",
    "U+FFFF": b"\xef\xbf\xbf", "U+1FFFE": b"\xf0\x9f\xbf\xbe", "U+10FFFF": b"\xf4\x8f\xbf\xbf",
}
for name, raw in BAD_TEXT.items():
    for version in (4, 5):
        n = NONE if version == 5 else b""
        malformed(f"topic with {name}, version {version}", version, "client", pk(0x30, s(b"a" + raw), n))
        malformed(f"filter with {name}, version {version}", version, "client", pk(0x82, u16(1), n, s(raw + b"a"), u8(0)))
        malformed(f"client identifier with {name}, version {version}", None, "client", connect(version, client=s(raw)), answer=5 if version == 5 else None, state="new")
        malformed(f"user name with {name}, version {version}", None, "client", connect(version, flags=0x82, rest=s(raw)), answer=5 if version == 5 else None, state="new")
    malformed(f"user property key with {name}", 5, "client", pk(0xE0, u8(0), props(b"\x26", s(raw), s("v"))))
    malformed(f"user property value with {name}", 5, "client", pk(0xE0, u8(0), props(b"\x26", s("k"), s(raw))))
for good in ("\u00a0", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\ufdcf", "\ufdf0", "\ufffd", "\ufeff", "\U00010000", "\U0010fffd", "a\u0308"):
    accept(f"topic with U+{ord(good[-1]):04X}", 5, "client", pk(0x30, s(good), NONE), publish_packet(good))

packets, VECTORS = VECTORS, []

# --- properties: each in each packet, from each side ------------------------------------------------------------------
# id: name, type, bytes of a good value, bytes out of range, where (c: client, s: server; will is a place of its own)
PLACES = ["will", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK",
          "DISCONNECT", "AUTH"]
CLIENT = {"will", "CONNECT", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBSCRIBE", "UNSUBSCRIBE", "DISCONNECT", "AUTH"}
SERVER = {"CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBACK", "UNSUBACK", "DISCONNECT", "AUTH"}
REASONED = {"CONNACK", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBACK", "UNSUBACK", "DISCONNECT", "AUTH"}
BIT = ([b"\x00", b"\x01"], [b"\x02", b"\xff"])
TABLE = {
    0x01: ("payload_format_indicator", "number", BIT, {"PUBLISH", "will"}, {"PUBLISH"}),
    0x02: ("message_expiry_interval", "number", ([u32(0), u32(0xFFFFFFFF)], []), {"PUBLISH", "will"}, {"PUBLISH"}),
    0x03: ("content_type", "text", ([s(""), s("text/plain")], []), {"PUBLISH", "will"}, {"PUBLISH"}),
    0x08: ("response_topic", "text", ([s("r/t")], [s(""), s("+")]), {"PUBLISH", "will"}, {"PUBLISH"}),
    0x09: ("correlation_data", "binary", ([s(b""), s(b"\x00\xff")], []), {"PUBLISH", "will"}, {"PUBLISH"}),
    0x0B: ("subscription_identifier", "varint", ([b"\x01", b"\xff\xff\xff\x7f"], [b"\x00"]), {"SUBSCRIBE"}, {"PUBLISH"}),
    0x11: ("session_expiry_interval", "number", ([u32(0), u32(0xFFFFFFFF)], []), {"CONNECT", "DISCONNECT"}, {"CONNACK"}),
    0x12: ("assigned_client_identifier", "text", ([s("id")], []), set(), {"CONNACK"}),
    0x13: ("server_keep_alive", "number", ([u16(0), u16(65535)], []), set(), {"CONNACK"}),
    0x15: ("authentication_method", "text", ([s("m")], []), {"CONNECT", "AUTH"}, {"CONNACK", "AUTH"}),
    0x16: ("authentication_data", "binary", ([s(b"\x00")], []), {"CONNECT", "AUTH"}, {"CONNACK", "AUTH"}),
    0x17: ("request_problem_information", "number", BIT, {"CONNECT"}, set()),
    0x18: ("will_delay_interval", "number", ([u32(0), u32(0xFFFFFFFF)], []), {"will"}, set()),
    0x19: ("request_response_information", "number", BIT, {"CONNECT"}, set()),
    0x1A: ("response_information", "text", ([s("r")], []), set(), {"CONNACK"}),
    0x1C: ("server_reference", "text", ([s("other")], []), set(), {"CONNACK", "DISCONNECT"}),
    0x1F: ("reason_string", "text", ([s("why"), s("")], []), REASONED & CLIENT, REASONED & SERVER),
    0x21: ("receive_maximum", "number", ([u16(1), u16(65535)], [u16(0)]), {"CONNECT"}, {"CONNACK"}),
    0x22: ("topic_alias_maximum", "number", ([u16(0), u16(65535)], []), {"CONNECT"}, {"CONNACK"}),
    0x23: ("topic_alias", "number", ([u16(1), u16(8)], [u16(0), u16(9)]), {"PUBLISH"}, {"PUBLISH"}),
    0x24: ("maximum_qos", "number", BIT, set(), {"CONNACK"}),
    0x25: ("retain_available", "number", BIT, set(), {"CONNACK"}),
    0x26: ("user_property", "pair", ([s("k") + s("v"), s("") + s("")], []), CLIENT, SERVER),
    0x27: ("maximum_packet_size", "number", ([u32(1), u32(0xFFFFFFFF)], [u32(0)]), {"CONNECT"}, {"CONNACK"}),
    0x28: ("wildcard_subscription_available", "number", BIT, set(), {"CONNACK"}),
    0x29: ("subscription_identifiers_available", "number", BIT, set(), {"CONNACK"}),
    0x2A: ("shared_subscription_available", "number", BIT, set(), {"CONNACK"}),
}


def meaning(kind, raw):
    if kind == "number":
        return int.from_bytes(raw, "big")
    if kind == "varint":
        return sum((b & 0x7F) << 7 * i for i, b in enumerate(raw))
    if kind == "text":
        return raw[2:].decode()
    if kind == "binary":
        return raw[2:].hex()
    size = int.from_bytes(raw[:2], "big")
    return [raw[2:2 + size].decode(), raw[4 + size:].decode()]


def build(place, raw, listed):
    """The packet that holds this property list, and what it means."""
    if place == "CONNECT":
        return connect(p=props(raw)), connect_packet(props_=listed), "new"
    if place == "will":
        return connect(flags=0x06, rest=props(raw) + s("w") + s("")), connect_packet(will=will_of(props_=listed)), "new"
    if place == "CONNACK":
        return pk(0x20, b"\x00\x00", props(raw)), connack_packet(props_=listed), "attached"
    if place == "PUBLISH":
        return pk(0x30, s("t"), props(raw)), publish_packet(props_=listed), "attached"
    for first, name in ACKS.items():
        if place == name:
            return pk(first, u16(1), b"\x00", props(raw)), {"type": name, "id": 1, "code": 0, "props": listed}, "attached"
    if place == "SUBSCRIBE":
        return pk(0x82, u16(1), props(raw), s("a"), b"\x00"), subscribe_packet(sub("a"), props_=listed), "attached"
    if place == "SUBACK":
        return pk(0x90, u16(1), props(raw), b"\x00"), codes_packet("SUBACK", [0], props_=listed), "attached"
    if place == "UNSUBSCRIBE":
        return pk(0xA2, u16(1), props(raw), s("a")), {"type": "UNSUBSCRIBE", "id": 1, "props": listed, "filters": ["a"]}, "attached"
    if place == "UNSUBACK":
        return pk(0xB0, u16(1), props(raw), b"\x00"), codes_packet("UNSUBACK", [0], props_=listed), "attached"
    if place == "DISCONNECT":
        return pk(0xE0, b"\x00", props(raw)), disconnect_packet(props_=listed), "attached"
    return pk(0xF0, b"\x18", props(raw)), {"type": "AUTH", "code": 0x18, "props": listed}, "attached"


def company(place, id_):
    """Properties that must stand beside this one: data needs its method, AUTH always has one."""
    if id_ != 0x15 and (place == "AUTH" or id_ == 0x16):
        return b"\x15" + s("m"), [["authentication_method", "m"]]
    return b"", []


for side, senders in (("client", CLIENT), ("server", SERVER)):
    for place in PLACES:
        if place not in senders:
            continue
        for id_ in EVERY_PROPERTY:
            where = f"property {id_:02x} in {place} from a {side}"
            id_raw = vbi(id_)
            row = TABLE.get(id_)
            if row is None:
                packet, _, state = build(place, id_raw + b"\x00" * 4, [])
                malformed(f"unknown {where}", None if state == "new" else 5, side, packet, answer=5, state=state)
                continue
            name, kind, (good, bad), by_client, by_server = row
            here, there = (by_client, by_server) if side == "client" else (by_server, by_client)
            beside, beside_listed = company(place, id_)
            if place not in here:
                packet, _, state = build(place, id_raw + good[0], [])
                judge = forbidden if place in there else malformed
                judge(where, None if state == "new" else 5, side, packet, answer=5, state=state)
                continue
            for raw in good:
                packet, meant, state = build(place, beside + id_raw + raw, beside_listed + [[name, meaning(kind, raw)]])
                accept(f"{where}: {raw.hex()}", 5, side, packet, meant, state=state)
            for raw in bad:
                packet, _, state = build(place, beside + id_raw + raw, [])
                code = 0x94 if id_ == 0x23 else 0x82
                forbidden(f"{where} out of range: {raw.hex()}", None if state == "new" else 5, side, packet, code=code, answer=5, state=state)
            twice = beside + (id_raw + good[0]) * 2
            if id_ == 0x26 or (id_ == 0x0B and side == "server"):
                packet, meant, state = build(place, twice, beside_listed + [[name, meaning(kind, good[0])]] * 2)
                accept(f"{where} twice", 5, side, packet, meant, state=state)
            else:
                packet, _, state = build(place, twice, [])
                forbidden(f"{where} twice", None if state == "new" else 5, side, packet, answer=5, state=state)
            packet, _, state = build(place, beside + id_raw + good[0][:-1], [])
            if good[0]:
                malformed(f"{where} cut short", None if state == "new" else 5, side, packet, answer=5, state=state)

PAIR = b"\x26" + s("k") + s("v")
packet, meant, _ = build("DISCONNECT", PAIR * 16, [["user_property", ["k", "v"]]] * 16)
accept("16 properties", 5, "client", packet, meant)
refuse("17 properties", 5, "client", build("DISCONNECT", PAIR * 17, [])[0], "too_large", 0x97)
refuse("17 properties, ten of them in the will", None, "client",
       connect(p=props(PAIR * 7), flags=0x06, rest=props(PAIR * 10) + s("w") + s("")), "too_large", 0x97, answer=5, state="new")
big = b"\x26" + s("k") + s("v" * (8192 - 6))
packet, meant, _ = build("DISCONNECT", big, [["user_property", ["k", "v" * (8192 - 6)]]])
accept("8 KiB of properties", 5, "client", packet, meant)
big = b"\x26" + s("k") + s("v" * (8192 - 5))
refuse("8 KiB of properties and one byte", 5, "client", build("DISCONNECT", big, [])[0], "too_large", 0x95)
malformed("a property id longer than it need be", 5, "client", build("DISCONNECT", b"\xa6\x00" + s("k") + s("v"), [])[0])
accept("properties keep their order", 5, "client",
       build("DISCONNECT", b"\x26" + s("b") + s("1") + b"\x1f" + s("r") + b"\x26" + s("a") + s("2") + b"\x26" + s("b") + s("3"), [])[0],
       disconnect_packet(props_=[["user_property", ["b", "1"]], ["reason_string", "r"], ["user_property", ["a", "2"]], ["user_property", ["b", "3"]]]))

here = pathlib.Path(__file__).parent
for file, vectors in (("packets.json", packets), ("properties.json", VECTORS)):
    lines = ",\n".join(json.dumps(v, ensure_ascii=True, separators=(",", ":")) for v in vectors)
    (here / file).write_text(f"[\n{lines}\n]\n")
    print(f"{file}: {len(vectors)} vectors")
