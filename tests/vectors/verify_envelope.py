#!/usr/bin/env python3
"""Judges the envelope vectors with an implementation of docs/protocol.md that shares no code with ours.

    verify_envelope.py [--capnp TOOL] [--schemas DIR] tests/vectors/envelope

Hashes: Python's hashlib. Signatures: PyNaCl. Cap'n Proto: the capnp tool, which reads the schemas. Everything that the
files state is computed anew from the rules, and every refused example must be refused, with the error that is stated.
Exit code 0 and a count, or 1 and what does not hold.
"""
import argparse
import base64
import binascii
import hashlib
import json
import os
import pathlib
import struct
import subprocess
import sys

import nacl.bindings
import nacl.exceptions

ORDER = 2**252 + 27742317777372353535851937790883648493


class Refused(Exception):
    """An input that the rules refuse; the argument is the error's name in the protocol."""


# --- section 1: bytes, hashes, signatures ---

def prefix(label):
    return b"signet/v1/" + label.encode("ascii") + b"\0"


def blake(label, *content):
    return hashlib.blake2b(prefix(label) + b"".join(content), digest_size=32).digest()


def sign(seed, label, *content):
    _, secret = nacl.bindings.crypto_sign_seed_keypair(seed)
    return nacl.bindings.crypto_sign(prefix(label) + b"".join(content), secret)[:64]


def public_half(seed):
    return nacl.bindings.crypto_sign_seed_keypair(seed)[0]


def verifies(key, label, content, signature):
    if len(key) != 32 or len(signature) != 64:
        return False
    if int.from_bytes(signature[32:], "little") >= ORDER:  # also refused by the library; said twice on purpose
        return False
    try:
        nacl.bindings.crypto_sign_open(signature + prefix(label) + content, key)
        return True
    except nacl.exceptions.BadSignatureError:
        return False


def is_valid_point(key):
    return nacl.bindings.crypto_core_ed25519_is_valid_point(key)


# --- Cap'n Proto, through its tool ---

class Schemas:
    def __init__(self, tool, folder):
        self.tool, self.folder = tool, pathlib.Path(folder).resolve()
        # The tool warns on stderr when PWD is not where it runs, and here whatever it says there counts as a refusal.
        self.environment = {name: value for name, value in os.environ.items() if name != "PWD"}

    def convert(self, formats, file, struct_name, data):
        done = subprocess.run([self.tool, "convert", formats, str(self.folder / file), struct_name],
                              input=data, capture_output=True, check=False, env=self.environment)
        if done.returncode != 0 or done.stderr:
            raise Refused("malformed")
        return done.stdout

    def decoded(self, file, struct_name, words):
        try:
            return json.loads(self.convert("flat:json", file, struct_name, words).decode("utf-8"))
        except ValueError:  # the tool writes Text as it stands, whether it is UTF-8 or not
            raise Refused("malformed") from None

    def outer(self, file, struct_name, raw, size_max):
        """A flat message of exactly one segment, as a dictionary."""
        if len(raw) > size_max:
            raise Refused("too_large")
        if len(raw) < 16 or len(raw) % 8 != 0 or struct.unpack("<II", raw[:8]) != (0, len(raw) // 8 - 1):
            raise Refused("malformed")
        return self.decoded(file, struct_name, raw[8:])

    def body(self, file, struct_name, raw, size_max):
        """One canonical segment without table."""
        if len(raw) > size_max:
            raise Refused("too_large")
        if not raw or len(raw) % 8 != 0:
            raise Refused("malformed")
        try:
            canonical = self.convert("flat:canonical", file, struct_name, raw)
        except Refused:
            raise Refused("not_canonical") from None
        if canonical != raw:
            raise Refused("not_canonical")
        return self.decoded(file, struct_name, raw)

    def make_body(self, file, struct_name, fields):
        return self.convert("json:canonical", file, struct_name, json.dumps(fields).encode())


def data(record, field):
    return bytes(record.get(field, []))


def ident(value, size=32, may_be_empty=False):
    if may_be_empty and not value:
        return value
    if len(value) != size or not any(value):
        raise Refused("malformed")
    return value


def demand(holds, error="malformed"):
    if not holds:
        raise Refused(error)


def clean_text(record, field):
    text = record.get(field, "")
    demand(len(text.encode("utf-8")) <= 128 and "\0" not in text)
    return text


# --- section 2: identities ---

PURPOSES = ("update", "sign", "encrypt")


def open_identity(schemas, raw):
    outer = schemas.outer("identity.capnp", "IdentityVersion", raw, 8192)
    body_raw = data(outer, "body")
    body = schemas.body("identity.capnp", "IdentityBody", body_raw, 8192)
    keys = body.get("keys", [])
    demand(len(keys) <= 16, "too_large")
    version = body.get("version", 0)
    demand(version >= 1)
    first = version == 1
    permalink = ident(data(body, "permalink"), may_be_empty=True)
    previous = ident(data(body, "previous"), may_be_empty=True)
    commitment = ident(data(body, "nextUpdateKey"), may_be_empty=True)
    demand((not permalink) == first and (not previous) == first)
    listed = []
    for entry in keys:
        demand(entry.get("purpose") in PURPOSES)
        key = ident(data(entry, "publicKey"))
        demand(key not in [other for _, other in listed])
        listed.append((entry["purpose"], key))
    demand({"update", "sign"} <= {purpose for purpose, _ in listed})
    link = blake("identity", body_raw)
    update_signature = data(outer, "updateSignature")
    demand((not update_signature) == first and len(update_signature) in (0, 64))
    possession = [bytes(proof) for proof in outer.get("possession", [])]
    demand(len(possession) == len(listed), "no_possession")
    for index, ((_, key), proof) in enumerate(zip(listed, possession)):
        demand(len(proof) == 64)
        demand(is_valid_point(key) and verifies(key, "possession", link + struct.pack(">I", index), proof),
               "no_possession")
    return {"body": body_raw, "link": link, "permalink": permalink, "previous": previous, "version": version,
            "keys": listed, "next_update_key": commitment, "profile": data(body, "profile"),
            "possession": possession, "update_signature": update_signature}


def check_succession(previous, following):
    name = previous["permalink"] or previous["link"]
    demand(following["version"] == previous["version"] + 1 and following["permalink"] == name
           and following["previous"] == previous["link"], "version_conflict")
    may = [key for purpose, key in previous["keys"] if purpose == "update"]
    if previous["next_update_key"]:
        may += [key for purpose, key in following["keys"] if purpose == "update"]
        may = [key for key in may if blake("commitment", key) == previous["next_update_key"]]
    demand(any(verifies(key, "version", following["link"], following["update_signature"]) for key in may),
           "bad_signature")


# --- section 3: messages and batches ---

def open_message(schemas, raw):
    body = schemas.body("message.capnp", "MessageBody", raw, 196608)
    ident(data(body, "clusterId"), 16)
    ident(data(body, "author"))
    ident(data(body, "recipient"))
    n = int(body.get("n", 0))
    demand(n >= 1)
    previous = ident(data(body, "previous"), may_be_empty=True)
    demand((not previous) == (n == 1))
    ident(data(body, "thread"), may_be_empty=True)
    ident(data(body, "replyTo"), may_be_empty=True)
    content = body.get("object", {})
    ident(data(content, "permalink"), may_be_empty=True)
    ident(data(content, "previous"), may_be_empty=True)
    clean_text(content, "type")
    clean_text(content, "contentType")
    return body


def tree_root(leaves):
    """RFC 6962, by its recursion."""
    if len(leaves) == 1:
        return blake("leaf", leaves[0])
    k = split(len(leaves))
    return blake("node", tree_root(leaves[:k]), tree_root(leaves[k:]))


def split(n):
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def rebuild(n, given, proof):
    """Root from {leaf: link} and the hashes of the subtrees that hold none of the leaves."""
    hashes = list(proof)

    def over(lo, hi):
        if not any(lo <= leaf < hi for leaf in given):
            demand(hashes)
            return hashes.pop(0)
        if hi - lo == 1:
            return blake("leaf", given[lo])
        middle = lo + split(hi - lo)
        left = over(lo, middle)
        return blake("node", left, over(middle, hi))

    root = over(0, n)
    demand(not hashes)
    return root


def make_proof(links, chosen):
    out = []

    def over(lo, hi):
        if not any(lo <= leaf < hi for leaf in chosen):
            out.append(tree_root(links[lo:hi]))
        elif hi - lo > 1:
            middle = lo + split(hi - lo)
            over(lo, middle)
            over(middle, hi)

    over(0, len(links))
    return out


def open_batch(schemas, raw):
    outer = schemas.outer("message.capnp", "Batch", raw, 1048576)
    key = ident(data(outer, "signingKey"))
    signature = data(outer, "signature")
    demand(len(signature) == 64)
    bodies = [bytes(body) for body in outer.get("bodies", [])]
    demand(bodies)
    demand(len(bodies) <= 1024, "too_large")
    links = [blake("message", body) for body in bodies]
    root = tree_root(links)
    demand(verifies(key, "batch", root + struct.pack(">Q", len(bodies)), signature), "bad_signature")
    return {"signing_key": key, "signature": signature, "bodies": bodies, "links": links, "root": root}


# --- section 4: tokens; section 5: logins ---

def open_token(permalink, text):
    try:
        demand("=" not in text)
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        demand(base64.urlsafe_b64encode(raw).rstrip(b"=").decode() == text)
    except (binascii.Error, ValueError):
        raise Refused("malformed") from None
    demand(len(raw) >= 79 + 64)
    version, flags, cluster, key, issued, life, nonce, size = struct.unpack(">BB16s32sQI16sB", raw[:79])
    demand(version == 1 and flags in (0, 1) and len(raw) == 79 + size + 64 and 1 <= size <= 128)
    demand(1 <= life <= (43200 if flags else 300))
    try:
        client_id = raw[79:79 + size].decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("malformed") from None
    demand("\0" not in client_id)
    demand(verifies(key, "token", permalink + raw[:-64], raw[-64:]), "bad_signature")
    return {"reusable": flags == 1, "cluster_id": cluster, "device_key": key, "issued_at_ms": issued, "life_s": life,
            "nonce": nonce, "client_id": client_id, "raw": raw}


# --- receipts and deliveries ---

OUTCOMES = {"malformed": "malformed", "accepted": "accepted", "duplicate": "duplicate", "fork": "fork", "gap": "gap",
            "notForHere": "not_for_here", "revokedKey": "revoked_key", "wrongKeyPurpose": "wrong_key_purpose",
            "tooLarge": "too_large", "rateLimited": "rate_limited", "badSignature": "bad_signature"}


def open_receipt(schemas, raw):
    outer = schemas.outer("message.capnp", "Receipt", raw, 131072)
    return {"root": ident(data(outer, "root"), may_be_empty=True).hex(),
            "outcomes": [{"code": OUTCOMES[line.get("code", "malformed")], "index": int(line.get("index", 0)),
                          "expected": int(line.get("expected", 0)),
                          "link": ident(data(line, "link"), may_be_empty=True).hex()}
                         for line in outer.get("outcomes", [])],
            "problem": outer.get("problem", ""), "retry_after_ms": outer.get("retryAfterMs", 0)}


def open_delivery(schemas, raw):
    outer = schemas.outer("message.capnp", "Delivery", raw, 1048576)
    items, last = [], None
    bundles = []

    def follows(position):
        nonlocal last
        demand(position >= 1 and (last is None or position == last + 1))
        last = position

    for item in outer.get("items", []):
        if "reference" in item:
            from_ = item["reference"]
            follows(int(from_["position"]))
            items.append({"reference": {"position": int(from_["position"]), "index": int(from_["index"]),
                                        "link": ident(data(from_, "link")).hex(), "size_bytes": from_["sizeBytes"]}})
            continue
        from_ = item["bundle"]
        key, signature = ident(data(from_, "signingKey")), data(from_, "signature")
        count = from_.get("leafCount", 0)
        demand(len(signature) == 64 and 1 <= count <= 1024 and 1 <= len(from_.get("messages", [])) <= count)
        proof = [bytes(one) for one in from_.get("proof", [])]
        demand(all(len(one) == 32 for one in proof))
        given, messages, leaf_before = {}, [], -1
        for message in from_["messages"]:
            follows(int(message["position"]))
            leaf, body = message.get("leaf", 0), data(message, "body")
            demand(leaf_before < leaf < count)
            leaf_before = leaf
            given[leaf] = blake("message", body)
            messages.append({"position": int(message["position"]), "leaf": leaf, "link": given[leaf].hex(),
                             "body": body.hex()})
        bundles.append((count, given, proof, key, signature, messages))
        items.append({"bundle": {"index": int(from_["index"]), "signing_key": key.hex(), "signature": signature.hex(),
                                 "leaf_count": count, "messages": messages, "proof": [one.hex() for one in proof]}})
    for count, given, proof, key, signature, messages in bundles:
        for message in messages:
            open_message(schemas, bytes.fromhex(message["body"]))
        root = rebuild(count, given, proof)
        demand(verifies(key, "batch", root + struct.pack(">Q", count), signature), "bad_signature")
    return items


# --- the files ---

class Judge:
    def __init__(self, folder, schemas):
        self.folder, self.schemas = pathlib.Path(folder), schemas
        self.checks = 0
        self.wrong = []

    def load(self, name):
        return json.loads((self.folder / name).read_text(encoding="utf-8"))

    def same(self, what, stated, computed):
        self.checks += 1
        if stated != computed:
            self.wrong.append(f"{what}: the file says {stated!r}, the rules give {computed!r}")

    def refused(self, what, error, attempt):
        self.checks += 1
        try:
            attempt()
        except Refused as why:
            if error is not None and str(why) != error:
                self.wrong.append(f"{what}: refused as {why} instead of {error}")
            return
        self.wrong.append(f"{what}: accepted")

    def labels(self):
        seen = set()
        for case in self.load("labels.json")["hashes"]:
            self.same("hash " + case["label"], case["hash"],
                      blake(case["label"], bytes.fromhex(case["content"])).hex())
            seen.add(case["label"])
        self.same("number of labels", 17, len(seen))
        for one in seen:
            self.same("labels that begin with " + one, [one], [other for other in seen if other.startswith(one)])

    def signatures(self):
        file = self.load("signatures.json")
        seed, key = bytes.fromhex(file["key"]["seed"]), bytes.fromhex(file["key"]["public_key"])
        self.same("public half", key.hex(), public_half(seed).hex())
        labels = [case["label"] for case in file["holds"]]
        for case in file["holds"]:
            content, signature = bytes.fromhex(case["content"]), bytes.fromhex(case["signature"])
            self.same("signature " + case["label"], signature.hex(), sign(seed, case["label"], content).hex())
            for label in labels:
                self.same(f"signature {case['label']} as {label}", label == case["label"],
                          verifies(key, label, content, signature))
        for case in file["refused"]:
            self.same(case["why"], False, verifies(bytes.fromhex(case["public_key"]), case["label"],
                                                   bytes.fromhex(case["content"]), bytes.fromhex(case["signature"])))

    def identities(self):
        file = self.load("identity.json")
        seeds = {}
        for key in file["keys"].values():
            self.same("public half", key["public_key"], public_half(bytes.fromhex(key["seed"])).hex())
            seeds[bytes.fromhex(key["public_key"])] = bytes.fromhex(key["seed"])
        for chain in file["chains"]:
            before = None
            for stated in chain["versions"]:
                what = f"{chain['about']}, version {stated['version']}"
                fields = {"version": stated["version"],
                          "keys": [{"purpose": key["purpose"], "publicKey": list(bytes.fromhex(key["public_key"]))}
                                   for key in stated["keys"]]}
                for ours, theirs in (("permalink", "permalink"), ("previous", "previous"), ("profile", "profile"),
                                     ("next_update_key", "nextUpdateKey")):
                    if stated[ours]:
                        fields[theirs] = list(bytes.fromhex(stated[ours]))
                body = self.schemas.make_body("identity.capnp", "IdentityBody", fields)
                self.same(what + ", body", stated["body"], body.hex())
                link = blake("identity", body)
                self.same(what + ", link", stated["link"], link.hex())
                self.same(what + ", possession", stated["possession"],
                          [sign(seeds[bytes.fromhex(key["public_key"])], "possession", link, struct.pack(">I", i)).hex()
                           for i, key in enumerate(stated["keys"])])
                opened = open_identity(self.schemas, bytes.fromhex(stated["serialised"]))
                for field in ("body", "link", "permalink", "previous", "next_update_key", "profile",
                              "update_signature"):
                    self.same(f"{what}, {field}", stated[field], opened[field].hex())
                self.same(what + ", keys", [(key["purpose"], key["public_key"]) for key in stated["keys"]],
                          [(purpose, key.hex()) for purpose, key in opened["keys"]])
                if before is None:
                    self.same(what + ", permalink of the chain", chain["permalink"], link.hex())
                else:
                    check_succession(before, opened)
                    self.checks += 1
                before = opened
        for case in file["refused_versions"]:
            self.refused(case["why"], case["error"],
                         lambda case=case: open_identity(self.schemas, bytes.fromhex(case["serialised"])))
        for case in file["refused_successions"]:
            previous, following = (open_identity(self.schemas, bytes.fromhex(case[one]))
                                   for one in ("previous", "next"))
            self.refused(case["why"], case["error"],
                         lambda p=previous, f=following: check_succession(p, f))

    def messages(self):
        file = self.load("message.json")
        names = (("cluster_id", "clusterId"), ("author", "author"), ("recipient", "recipient"),
                 ("previous", "previous"), ("thread", "thread"), ("reply_to", "replyTo"))
        for case in file["bodies"]:
            stated = case["fields"]
            fields = {theirs: list(bytes.fromhex(stated[ours])) for ours, theirs in names if stated[ours]}
            fields["n"], fields["timeMs"] = str(stated["n"]), str(stated["time_ms"])
            content = {}
            for ours, theirs in (("type", "type"), ("content_type", "contentType")):
                if stated[ours]:
                    content[theirs] = stated[ours]
            for ours, theirs in (("object_permalink", "permalink"), ("object_previous", "previous"),
                                 ("content", "body")):
                if stated[ours]:
                    content[theirs] = list(bytes.fromhex(stated[ours]))
            fields["object"] = content
            body = self.schemas.make_body("message.capnp", "MessageBody", fields)
            self.same(case["about"] + ", body", case["body"], body.hex())
            self.same(case["about"] + ", link", case["link"], blake("message", body).hex())
            open_message(self.schemas, body)
            self.checks += 1
        for case in file["refused"]:
            self.refused(case["why"], case["error"],
                         lambda case=case: open_message(self.schemas, bytes.fromhex(case["body"])))

    def batches(self):
        file = self.load("batch.json")
        for case in file["batches"]:
            opened = open_batch(self.schemas, bytes.fromhex(case["serialised"]))
            self.same(case["about"] + ", key", case["signing_key"], opened["signing_key"].hex())
            self.same(case["about"] + ", bodies", case["bodies"], [body.hex() for body in opened["bodies"]])
            self.same(case["about"] + ", links", case["links"], [link.hex() for link in opened["links"]])
            self.same(case["about"] + ", root", case["root"], opened["root"].hex())
            self.same(case["about"] + ", signature", case["signature"],
                      sign(bytes.fromhex(case["seed"]), "batch", opened["root"],
                           struct.pack(">Q", len(opened["bodies"]))).hex())
            for body, problem in zip(opened["bodies"], case["problems"]):
                if problem is None:
                    open_message(self.schemas, body)
                    self.checks += 1
                else:
                    self.refused(case["about"], None, lambda body=body: open_message(self.schemas, body))
        for case in file["refused"]:
            self.refused(case["why"], case["error"],
                         lambda case=case: open_batch(self.schemas, bytes.fromhex(case["serialised"])))

    def trees(self):
        file = self.load("merkle.json")
        links = [bytes([i]) * 32 for i in range(70)]
        for case in file["roots"]:
            self.same(f"root of {case['n']}", case["root"], tree_root(links[:case["n"]]).hex())
        self.same("roots", list(range(1, 71)), [case["n"] for case in file["roots"]])
        for case in file["proofs"]:
            n, leaves = case["n"], case["leaves"]
            what = f"proof of {leaves} of {n}"
            proof = make_proof(links[:n], leaves)
            self.same(what, case["proof"], [one.hex() for one in proof])
            self.same(what, case["root"], rebuild(n, {leaf: links[leaf] for leaf in leaves}, proof).hex())

    def tokens(self):
        file = self.load("token.json")
        seed = bytes.fromhex(file["key"]["seed"])
        for case in file["tokens"]:
            client_id = case["client_id"].encode()
            raw = struct.pack(">BB16s32sQI16sB", 1, int(case["reusable"]), bytes.fromhex(case["cluster_id"]),
                              public_half(seed), case["issued_at_ms"], case["life_s"], bytes.fromhex(case["nonce"]),
                              len(client_id)) + client_id
            raw += sign(seed, "token", bytes.fromhex(case["permalink"]), raw)
            self.same("token", case["raw"], raw.hex())
            self.same("token", case["token"], base64.urlsafe_b64encode(raw).rstrip(b"=").decode())
            opened = open_token(bytes.fromhex(case["permalink"]), case["token"])
            self.same("token, device key", case["device_key"], opened["device_key"].hex())
        for case in file["lives"]:
            good = (case["issued_at_ms"] <= case["now_ms"] + 60000
                    and case["now_ms"] < case["issued_at_ms"] + case["life_s"] * 1000)
            self.same(f"life at {case['now_ms']}", case["good"], good)
        for case in file["refused"]:
            self.refused(case["why"], None,
                         lambda case=case: open_token(bytes.fromhex(case["permalink"]), case["token"]))

    def logins(self):
        file = self.load("login.json")
        node, device = (bytes.fromhex(file[who]["seed"]) for who in ("node", "device"))
        self.same("public halves", [file[who]["public_key"] for who in ("node", "device")],
                  [public_half(seed).hex() for seed in (node, device)])
        for case in file["handshakes"]:
            field = {name: bytes.fromhex(case[name]) for name in
                     ("cluster_id", "permalink", "client_nonce", "server_nonce", "exporter", "identity")}
            channel = bytes([case["channel"]])
            hello = b"\0\1" + field["permalink"] + public_half(device) + field["client_nonce"] + channel
            self.same("hello", case["hello"], hello.hex())
            self.same("exporter", case["channel"] & 0x10 != 0, len(field["exporter"]) == 32)
            transcript = (b"\0\1" + field["cluster_id"] + public_half(node) + field["server_nonce"]
                          + field["client_nonce"] + field["permalink"] + public_half(device) + channel
                          + field["exporter"] + case["client_id"].encode())
            self.same("transcript", case["transcript"], transcript.hex())
            by_node, by_client = sign(node, "login-node", transcript), sign(device, "login-client", transcript)
            self.same("node signature", case["node_signature"], by_node.hex())
            self.same("client signature", case["client_signature"], by_client.hex())
            self.same("challenge", case["challenge"],
                      (b"\0\1" + field["cluster_id"] + public_half(node) + field["server_nonce"] + by_node).hex())
            self.same("proof", case["proof"], (by_client + field["identity"]).hex())
            self.same("signatures exchanged", (False, False),
                      (verifies(public_half(node), "login-client", transcript, by_node),
                       verifies(public_half(device), "login-node", transcript, by_client)))
            if field["identity"]:
                open_identity(self.schemas, field["identity"])
                self.checks += 1

    def receipts(self):
        for case in self.load("receipt.json")["receipts"]:
            stated = {key: case[key] for key in ("root", "outcomes", "problem", "retry_after_ms")}
            self.same("receipt", stated, open_receipt(self.schemas, bytes.fromhex(case["serialised"])))

    def deliveries(self):
        file = self.load("delivery.json")
        for case in file["deliveries"]:
            self.same("delivery", case["items"], open_delivery(self.schemas, bytes.fromhex(case["serialised"])))
        for case in file["refused"]:
            self.refused(case["why"], case["error"],
                         lambda case=case: open_delivery(self.schemas, bytes.fromhex(case["serialised"])))


def main():
    arguments = argparse.ArgumentParser(description="Judges the envelope vectors without our code.")
    arguments.add_argument("--capnp", default="capnp", help="the capnp tool")
    arguments.add_argument("--schemas", default=pathlib.Path(__file__).resolve().parents[2] / "messages" / "schema")
    arguments.add_argument("folder")
    chosen = arguments.parse_args()
    judge = Judge(chosen.folder, Schemas(chosen.capnp, chosen.schemas))
    for part in (judge.labels, judge.signatures, judge.identities, judge.messages, judge.batches, judge.trees,
                 judge.tokens, judge.logins, judge.receipts, judge.deliveries):
        before = judge.checks
        try:
            part()
        except Refused as why:
            judge.wrong.append(f"{part.__name__}: an example that should hold is refused: {why}")
        if judge.checks == before:
            judge.wrong.append(f"{part.__name__}: nothing was checked")
    for wrong in judge.wrong:
        print(wrong, file=sys.stderr)
    print(f"{judge.checks} checks, {len(judge.wrong)} wrong")
    return 1 if judge.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
