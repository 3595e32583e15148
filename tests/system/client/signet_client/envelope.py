"""docs/protocol.md sections 1 to 4 and 9.1: hashes, signatures, identities, batches, proofs, tokens."""
import base64
import hashlib
import os
import struct
import time

import nacl.bindings
import nacl.exceptions

from . import capnp
from .capnp import Layout

# --- layouts, from messages/schema/*.capnp ------------------------------------------------------------------------

OBJECT = Layout(0, {}, {"type": "text", "permalink": "data", "previous": "data", "contentType": "text", "body": "data"})
MESSAGE = Layout(2, {"n": (0, "Q"), "timeMs": (8, "Q")},
                 {"clusterId": "data", "author": "data", "recipient": "data", "previous": "data", "object": OBJECT,
                  "thread": "data", "replyTo": "data"})
BATCH = Layout(0, {}, {"signingKey": "data", "signature": "data", "bodies": "datas"})
KEY = Layout(1, {"purpose": (0, "H")}, {"publicKey": "data"})
IDENTITY = Layout(1, {"version": (0, "I")},
                  {"permalink": "data", "previous": "data", "keys": [KEY], "nextUpdateKey": "data", "profile": "data"})
VERSION = Layout(0, {}, {"body": "data", "possession": "datas", "updateSignature": "data"})
IDENTITY_REQUEST = Layout(2, {"correlation": (0, "Q")},
                          {"publish": VERSION, "byPermalink": "data", "byKey": "data", "byLink": "data"},
                          union=(8, ["publish", "byPermalink", "byKey", "byLink"]),
                          slots={"publish": 0, "byPermalink": 0, "byKey": 0, "byLink": 0})
IDENTITY_ANSWER = Layout(2, {"correlation": (0, "Q"), "index": (8, "Q")},
                         {"code": "text", "standing": "data", "versions": "datas"})
OUTCOME = Layout(3, {"code": (0, "H"), "index": (8, "Q"), "expected": (16, "Q")}, {"link": "data"})
RECEIPT = Layout(1, {"retryAfterMs": (0, "I")}, {"root": "data", "outcomes": [OUTCOME], "problem": "text"})
DELIVERED = Layout(2, {"position": (0, "Q"), "leaf": (8, "I")}, {"body": "data"})
BUNDLE = Layout(2, {"index": (0, "Q"), "leafCount": (8, "I")},
                {"signingKey": "data", "signature": "data", "messages": [DELIVERED], "proof": "datas"})
REFERENCE = Layout(3, {"position": (0, "Q"), "index": (8, "Q"), "sizeBytes": (16, "I")}, {"link": "data"})
ITEM = Layout(1, {}, {"bundle": BUNDLE, "reference": REFERENCE}, union=(0, ["bundle", "reference"]),
              slots={"bundle": 0, "reference": 0})
DELIVERY = Layout(0, {}, {"items": [ITEM]})
POSITION = Layout(1, {"position": (0, "Q")})
NOTICE = Layout(3, {"serverTimeMs": (0, "Q"), "expiring": (8, "Q"), "renewed": (8, "Q"), "cursor": (8, "Q"),
                    "stale": (8, "?")},
                {"closing": "text", "refused": "text"},
                union=(16, ["expiring", "renewed", "closing", "cursor", "refused", "stale"]),
                slots={"closing": 0, "refused": 0})
REQUEST = Layout(2, {"explicitAcks": (2, "?"), "deliverFrom": (8, "Q")}, {"renew": "text"},
                 union=(0, ["renew", "explicitAcks", "deliverFrom", "where"]))

OUTCOMES = ["malformed", "accepted", "duplicate", "fork", "gap", "notForHere", "revokedKey", "wrongKeyPurpose",
            "tooLarge", "rateLimited", "badSignature"]
PURPOSES = ["update", "sign", "encrypt"]


class Refused(Exception):
    """Something received does not hold; the argument says what."""


# --- 1: hashes and signatures -------------------------------------------------------------------------------------

def labelled(label, content):
    return b"signet/v1/" + label.encode() + b"\0" + content


def H(label, content):
    return hashlib.blake2b(labelled(label, content), digest_size=32).digest()


class SigningKey:
    """An Ed25519 key pair from 32 secret bytes."""

    def __init__(self, seed=None):
        self.seed = seed or os.urandom(32)
        self.public, self._secret = nacl.bindings.crypto_sign_seed_keypair(self.seed)

    def sign(self, label, content):
        return nacl.bindings.crypto_sign(labelled(label, content), self._secret)[:64]


def verifies(key, label, content, signature):
    if len(key) != 32 or len(signature) != 64:
        return False
    try:
        nacl.bindings.crypto_sign_open(signature + labelled(label, content), key)
        return True
    except (nacl.exceptions.BadSignatureError, ValueError):
        return False


# --- 2: identity --------------------------------------------------------------------------------------------------

def make_version(keys, permalink=b"", previous=b"", version=1, next_update_key=b"", profile=b"", signed_by=None):
    """keys: [(purpose, SigningKey)]. Returns (serialised IdentityVersion, link)."""
    body = capnp.encode_body(IDENTITY, {
        "permalink": permalink, "previous": previous, "version": version, "nextUpdateKey": next_update_key,
        "profile": profile,
        "keys": [{"purpose": PURPOSES.index(purpose), "publicKey": key.public} for purpose, key in keys]})
    link = H("identity", body)
    out = {"body": body,
           "possession": [key.sign("possession", link + struct.pack(">I", i)) for i, (_, key) in enumerate(keys)],
           "updateSignature": signed_by.sign("version", link) if signed_by else b""}
    return capnp.encode(VERSION, out), link


class Identity:
    """An identity of ours with its secret keys."""

    def __init__(self, devices=1, profile=b"", secret_update=False):
        self.update = SigningKey()
        self.devices = [SigningKey() for _ in range(devices)]
        self.next_update = SigningKey() if secret_update else None
        commitment = H("commitment", self.next_update.public) if self.next_update else b""
        first, self.permalink = make_version(self.keys(), profile=profile, next_update_key=commitment)
        self.versions = [first]
        self.link = self.permalink

    def keys(self):
        return [("update", self.update)] + [("sign", key) for key in self.devices]

    def next_version(self, devices=None, extra=(), signed_by=None):
        """Makes the next version with these device keys; it stands once it is published."""
        self.devices = devices if devices is not None else self.devices
        signer = signed_by or self.next_update or self.update
        if self.next_update:
            self.update, self.next_update = self.next_update, None
        version, self.link = make_version(self.keys() + list(extra), self.permalink, self.link,
                                          len(self.versions) + 1, signed_by=signer)
        self.versions.append(version)
        return version


def check_chain(permalink, versions):
    """Section 2.4. Returns [{purpose, key, version}] of all keys ever; raises Refused."""
    keys = []
    before = None
    for number, serialised in enumerate(versions, 1):
        outer = capnp.decode(VERSION, serialised)
        if len(serialised) > 8192 or not capnp.is_canonical(IDENTITY, outer["body"]):
            raise Refused("version is too large or not canonical")
        body = capnp.decode_body(IDENTITY, outer["body"])
        link = H("identity", outer["body"])
        purposes = [PURPOSES[key["purpose"]] for key in body["keys"]]
        public = [key["publicKey"] for key in body["keys"]]
        if not 1 <= len(public) <= 16 or len(set(public)) != len(public) or not {"update", "sign"} <= set(purposes):
            raise Refused("keys of a version")
        if len(outer["possession"]) != len(public) or not all(
                verifies(key, "possession", link + struct.pack(">I", i), outer["possession"][i])
                for i, key in enumerate(public)):
            raise Refused("no possession")
        if body["version"] != number:
            raise Refused("version number")
        if number == 1:
            if link != permalink or body["permalink"] or body["previous"] or outer["updateSignature"]:
                raise Refused("first version is not this permalink's")
        else:
            if body["permalink"] != permalink or body["previous"] != before["link"]:
                raise Refused("version does not follow")
            if before["commitment"]:
                may = [key for key in before["update"] + [p for p, u in zip(public, purposes) if u == "update"]
                       if H("commitment", key) == before["commitment"]]
            else:
                may = before["update"]
            if not any(verifies(key, "version", link, outer["updateSignature"]) for key in may):
                raise Refused("update signature")
        before = {"link": link, "commitment": body["nextUpdateKey"],
                  "update": [p for p, u in zip(public, purposes) if u == "update"]}
        keys += [{"purpose": u, "key": p, "version": number} for p, u in zip(public, purposes)]
    if not versions:
        raise Refused("empty chain")
    return keys


# --- 3: messages and batches --------------------------------------------------------------------------------------

def make_body(cluster, author, recipient, n, previous, content, kind="text", time_ms=None, thread=b"", reply_to=b""):
    """Returns (canonical body, link)."""
    body = capnp.encode_body(MESSAGE, {
        "clusterId": cluster, "author": author, "recipient": recipient, "n": n, "previous": previous,
        "timeMs": int(time.time() * 1000) if time_ms is None else time_ms,
        "object": {"type": kind, "body": content}, "thread": thread, "replyTo": reply_to})
    return body, H("message", body)


def _split(count):
    return 1 << (count - 1).bit_length() - 1


def merkle_root(links):
    if len(links) == 1:
        return H("leaf", links[0])
    k = _split(len(links))
    return H("node", merkle_root(links[:k]) + merkle_root(links[k:]))


def rebuild_root(count, given, proof):
    """given: {leaf: link}. Section 3.3; raises Refused."""
    if not given or not 1 <= count <= 1024 or min(given) < 0 or max(given) >= count:
        raise Refused("leaves")
    rest = list(proof)

    def rebuild(lo, hi):
        if not any(lo <= leaf < hi for leaf in given):
            if not rest:
                raise Refused("proof is too short")
            return rest.pop(0)
        if hi - lo == 1:
            return H("leaf", given[lo])
        k = _split(hi - lo)
        left = rebuild(lo, lo + k)
        return H("node", left + rebuild(lo + k, hi))

    root = rebuild(0, count)
    if rest:
        raise Refused("proof is too long")
    return root


class Batch:
    """A signed batch. tamper: a function on the fields before they are serialised, for bad ones."""

    def __init__(self, key, bodies, tamper=None):
        self.bodies = bodies
        self.links = [H("message", body) for body in bodies]
        self.root = merkle_root(self.links)
        fields = {"signingKey": key.public, "bodies": bodies,
                  "signature": key.sign("batch", self.root + struct.pack(">Q", len(bodies)))}
        if tamper:
            tamper(fields)
        self.serialised = capnp.encode(BATCH, fields)


class Lane:
    """The last number and link from one device key to one recipient."""

    def __init__(self, cluster, author, recipient):
        self.cluster, self.author, self.recipient = cluster, author, recipient
        self.n = 0
        self.link = b""

    def next(self, content, **fields):
        body, self.link = make_body(self.cluster, self.author, self.recipient, self.n + 1, self.link, content, **fields)
        self.n += 1
        return body


def read_receipt(payload):
    receipt = capnp.decode(RECEIPT, payload)
    for outcome in receipt["outcomes"]:
        outcome["code"] = OUTCOMES[outcome["code"]]
    return receipt


def read_delivery(payload, recipient, cluster, key_is_authors):
    """Section 9.1. key_is_authors(author, key) -> bool. Returns messages and references in order of position."""
    out = []
    position = None
    for item in capnp.decode(DELIVERY, payload)["items"]:
        if item["which"] == "reference":
            entries = [{"reference": True, **item["reference"]}]
        elif item["which"] == "bundle":
            entries = _check_bundle(item["bundle"], recipient, cluster, key_is_authors)
        else:
            raise Refused("unknown kind of item")
        for entry in entries:
            if position is not None and entry["position"] != position + 1:
                raise Refused("positions do not rise by one")
            position = entry["position"]
        out += entries
    if not out:
        raise Refused("empty delivery")
    return out


def _check_bundle(bundle, recipient, cluster, key_is_authors):
    entries = []
    given = {}
    last = -1
    for message in bundle["messages"]:
        body = message["body"]
        if len(body) > 196608 or not capnp.is_canonical(MESSAGE, body):
            raise Refused("body is too large or not canonical")
        if message["leaf"] <= last:
            raise Refused("leaves do not rise")
        last = message["leaf"]
        given[last] = H("message", body)
        fields = capnp.decode_body(MESSAGE, body)
        if fields["recipient"] != recipient or fields["clusterId"] != cluster:
            raise Refused("not for us")
        if (fields["n"] == 1) != (fields["previous"] == b"") or fields["n"] == 0:
            raise Refused("number and previous link")
        if not key_is_authors(fields["author"], bundle["signingKey"]):
            raise Refused("signing key is not the author's")
        entries.append({"reference": False, "position": message["position"], "index": bundle["index"],
                        "link": given[last], "key": bundle["signingKey"], "author": fields["author"], "n": fields["n"],
                        "previous": fields["previous"], "type": fields["object"].get("type", ""),
                        "content": fields["object"].get("body", b""), "reply_to": fields["replyTo"],
                        "leaf": message["leaf"], "leaf_count": bundle["leafCount"]})
    root = rebuild_root(bundle["leafCount"], given, bundle["proof"])
    if not verifies(bundle["signingKey"], "batch", root + struct.pack(">Q", bundle["leafCount"]), bundle["signature"]):
        raise Refused("batch signature")
    return entries


# --- 4: connect token ---------------------------------------------------------------------------------------------

def make_token(cluster, permalink, key, client_id, life_s=300, reusable=False, issued_ms=None):
    """The password; the user name is the permalink in hex."""
    client_id = client_id.encode()
    issued = int(time.time() * 1000) if issued_ms is None else issued_ms
    raw = struct.pack(">BB", 1, 1 if reusable else 0) + cluster + key.public + struct.pack(">QI", issued, life_s) + \
        os.urandom(16) + bytes([len(client_id)]) + client_id
    return base64.urlsafe_b64encode(raw + key.sign("token", permalink + raw)).rstrip(b"=").decode()
