"""Publishing and looking up identities: docs/protocol.md sections 2 and 7."""
import threading
import unittest

from world import World
from signet_client import capnp, envelope
from signet_client.client import IDENTITY, LoginRefused
from signet_client.envelope import Identity, SigningKey


class Identities(World):
    def publisher(self):
        return self.attach(self.person())

    def publish(self, client, version):
        answer, ack = client.ask_identity(publish=version)
        self.assertEqual(ack["code"], 0 if answer["code"] == "ok" else 0x83, answer["code"])
        return answer

    def contents_of(self, versions):
        return [capnp.decode(envelope.VERSION, version) for version in versions]

    def test_publishing_twice_changes_nothing(self):
        client, alice = self.publisher(), Identity()
        first = self.publish(client, alice.versions[0])
        again = self.publish(client, alice.versions[0])
        self.assertEqual((first["code"], again["code"]), ("ok", "ok"))
        self.assertEqual(first["index"], again["index"])
        self.assertEqual(self.contents_of(again["versions"]), self.contents_of(alice.versions))

    def test_lookup_by_permalink_key_and_link_right_after_publishing(self):
        writer, reader, alice = self.publisher(), self.publisher(), Identity(devices=2)
        self.publish(writer, alice.versions[0])
        revoked = alice.devices[0].public
        self.publish(writer, alice.next_version(devices=[alice.devices[1]]))
        for question in (dict(byPermalink=alice.permalink), dict(byKey=alice.devices[0].public), dict(byKey=revoked),
                         dict(byLink=alice.link), dict(byLink=alice.permalink)):
            answer, ack = reader.ask_identity(**question)
            self.assertEqual((answer["code"], ack["code"]), ("ok", 0), question)
            self.assertEqual(self.contents_of(answer["versions"]), self.contents_of(alice.versions))
        envelope.check_chain(alice.permalink, answer["versions"])

    def test_what_is_not_here_is_unknown(self):
        client = self.publisher()
        for question in (dict(byPermalink=b"\7" * 32), dict(byKey=SigningKey().public), dict(byLink=b"\7" * 32)):
            answer, ack = client.ask_identity(**question)
            self.assertEqual((answer["code"], ack["code"], answer["versions"]), ("unknown_identity", 0x83, []))

    def test_a_key_without_proof_of_possession(self):
        client, alice = self.publisher(), Identity()
        outer = capnp.decode(envelope.VERSION, alice.versions[0])
        good = outer["possession"]
        for possession in (good[:1], good[::-1], [good[0], bytes(64)], good + [good[1]], []):
            bad = capnp.encode(envelope.VERSION, {**outer, "possession": possession})
            self.assertEqual(self.publish(client, bad)["code"], "no_possession")
        self.assertEqual(client.ask_identity(byPermalink=alice.permalink)[0]["code"], "unknown_identity")

    def test_a_key_of_another_identity_is_refused_and_the_other_goes_on(self):
        client, alice, bob = self.publisher(), self.person(), self.person()
        claim = bob.next_version(extra=[("sign", alice.devices[0])])
        self.assertEqual(self.publish(client, claim)["code"], "key_collision")
        (event,) = [e for e in self.node.events("key_collision") if e["subject"] == bob.permalink.hex()]
        self.assertEqual(event["object"], alice.permalink.hex())
        self.client(alice).login(hand_in=False)

    def test_rotation_succession_and_conflict(self):
        client, alice = self.publisher(), self.person()
        first = alice.versions[0]
        before = (alice.update, alice.devices, alice.link)
        second = alice.next_version(devices=[SigningKey()])
        self.assertEqual(self.publish(client, second)["code"], "ok")
        # The old version again is known, and changes nothing; another second version conflicts.
        self.publish(client, first)
        rival, _ = envelope.make_version([("update", before[0]), ("sign", SigningKey())], alice.permalink, before[2], 2,
                                         signed_by=before[0])
        answer = self.publish(client, rival)
        self.assertEqual((answer["code"], answer["standing"]), ("version_conflict", alice.link))
        # A third one by a stranger, and one that brings a revoked key back.
        stranger, _ = envelope.make_version(alice.keys(), alice.permalink, alice.link, 3, signed_by=SigningKey())
        self.assertEqual(self.publish(client, stranger)["code"], "bad_signature")
        revived, _ = envelope.make_version(alice.keys() + [("sign", before[1][0])], alice.permalink, alice.link, 3,
                                           signed_by=alice.update)
        self.assertEqual(self.publish(client, revived)["code"], "revoked_key")
        repurposed, _ = envelope.make_version([("update", alice.devices[0]), ("sign", alice.update)], alice.permalink,
                                              alice.link, 3, signed_by=alice.update)
        self.assertEqual(self.publish(client, repurposed)["code"], "wrong_key_purpose")
        with self.assertRaises(LoginRefused):
            revoked = self.client(alice)
            revoked.key = before[1][0]
            revoked.login()

    def test_a_committed_update_key_is_the_only_one_that_goes_on(self):
        client, alice = self.publisher(), self.person(secret_update=True)
        stolen, _ = envelope.make_version(alice.keys(), alice.permalink, alice.link, 2, signed_by=alice.update)
        self.assertEqual(self.publish(client, stolen)["code"], "bad_signature")
        self.assertEqual(self.publish(client, alice.next_version())["code"], "ok")
        envelope.check_chain(alice.permalink, alice.versions)

    def test_too_large_and_malformed_versions(self):
        client = self.publisher()
        self.assertEqual(self.publish(client, Identity(profile=b"x" * 8192).versions[0])["code"], "too_large")
        many = Identity(devices=16)
        self.assertIn(self.publish(client, many.versions[0])["code"], ("too_large", "malformed"))
        outer = capnp.decode(envelope.VERSION, Identity().versions[0])
        for body in (b"", outer["body"][:-8], outer["body"] + b"\0" * 8, b"\xff" * 64):
            code = self.publish(client, capnp.encode(envelope.VERSION, {**outer, "body": body}))["code"]
            self.assertIn(code, ("malformed", "not_canonical"))

    def test_of_fifty_identities_that_claim_one_key_at_once_one_wins(self):
        shared = SigningKey()
        people = [Identity() for _ in range(50)]
        for person in people:
            person.devices.append(shared)
            version, person.permalink = envelope.make_version(person.keys())
            person.versions, person.link = [version], person.permalink
        gate, outcomes = threading.Barrier(50), [None] * 50

        def claim(i):
            client = self.client(people[i])
            gate.wait()
            try:
                outcomes[i] = client.login()["code"]
            except LoginRefused as refused:
                outcomes[i] = refused.code
        threads = [threading.Thread(target=claim, args=(i,)) for i in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(outcomes), [0] + [0x87] * 49)
        winner = people[outcomes.index(0)]
        answer, _ = self.publisher().ask_identity(byKey=shared.public)
        self.assertEqual(self.contents_of(answer["versions"]), self.contents_of(winner.versions))
        losers = [e for e in self.node.events("key_collision") if e["object"] == winner.permalink.hex()]
        self.assertEqual(sum(e["count"] for e in losers), 49)
        self.assertEqual({e["subject"] for e in losers}, {p.permalink.hex() for p in people if p is not winner})


if __name__ == "__main__":
    unittest.main()
