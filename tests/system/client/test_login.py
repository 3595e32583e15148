"""Logging in, staying in, being put out: docs/protocol.md sections 4, 5, 6.2 and 10."""
import time
import unittest

from world import World
from signet_client import capnp, envelope, mqtt
from signet_client.client import INBOX, ROLES, SESSION, LoginRefused
from signet_client.envelope import Identity, Refused


def whiches(client):
    return [notice["which"] for notice in client.notices]


class Enhanced(World):
    def test_a_new_identity_is_handed_in_with_its_first_login(self):
        alice = Identity(profile=b"alice")
        with self.assertRaises(LoginRefused) as refused:
            self.client(alice).login(hand_in=False)
        self.assertEqual(refused.exception.code, 0x87)
        answer = self.client(alice).login()
        self.assertEqual(answer["code"], 0)
        self.client(alice).login(hand_in=False)  # published now
        created = [e for e in self.node.events("identity_created") if e["subject"] == alice.permalink.hex()]
        self.assertEqual(len(created), 1)

    def test_connack_says_what_the_document_says(self):
        props = self.client(Identity()).login()["props"]
        for name, value in dict(receive_maximum=32, maximum_qos=1, retain_available=0, maximum_packet_size=1048576,
                                topic_alias_maximum=8, wildcard_available=0, shared_available=0,
                                subscription_ids_available=0).items():
            self.assertEqual(props[name], value, name)
        user = dict(props["user"])
        self.assertRegex(user["session-expires-at"], r"^\d{13}$")
        self.assertLess(abs(int(user["server-time"]) - time.time() * 1000), 60_000)

    def test_a_node_with_another_key_is_refused_before_anything_is_signed(self):
        client = self.client(Identity())
        client.node_key = envelope.SigningKey().public
        with self.assertRaisesRegex(Refused, "another node key"):
            client.login()

    def test_a_proof_that_does_not_hold_is_refused(self):
        alice = self.person()
        for who in (alice, Identity()):
            for spoil in (lambda p: bytes([p[0] ^ 1]) + p[1:], lambda p: p[:63], lambda p: b"", lambda p: bytes(64),
                          lambda p: bytes(64) + self.identity_of_8192_bytes().versions[0]):
                with self.assertRaises(LoginRefused) as refused:
                    self.client(who).login(tamper=spoil)
                self.assertEqual(refused.exception.code, 0x87)
        for handed_in in (lambda p: p[:64] + b"\0" * 8000, lambda p: p[:64] + p[72:], lambda p: p[:64] + p[64:] * 2,
                          lambda p: p[:64] + alice.versions[0], lambda p: p[:64]):
            with self.assertRaises(LoginRefused) as refused:
                self.client(Identity()).login(tamper=handed_in)
            self.assertEqual(refused.exception.code, 0x87)

    def identity_of_8192_bytes(self, more=0):
        small = len(Identity(profile=b"x" * 8).versions[0]) - 8
        return Identity(profile=b"x" * (8192 - small + more))

    def test_an_identity_of_8192_bytes_is_taken_and_one_above_is_not(self):
        just, over = self.identity_of_8192_bytes(), self.identity_of_8192_bytes(8)
        self.assertEqual((len(just.versions[0]), len(over.versions[0])), (8192, 8200))
        self.client(just).login()
        with self.assertRaises(LoginRefused) as refused:
            self.client(over).login()
        self.assertEqual(refused.exception.code, 0x87)

    def test_a_relayed_proof_is_good_for_its_own_connection_only(self):
        alice = self.person()
        seen = []
        self.client(alice).login(tamper=lambda proof: seen.append(proof) or proof, hand_in=False)
        with self.assertRaises(LoginRefused) as refused:
            self.client(alice).login(tamper=lambda proof: seen[0], hand_in=False)
        self.assertEqual(refused.exception.code, 0x87)

    def test_an_update_key_cannot_log_in(self):
        alice = self.person()
        client = self.client(alice)
        client.key = alice.update
        with self.assertRaises(LoginRefused):
            client.login()

    def test_a_relay_that_changes_the_client_id_is_noticed(self):
        alice = self.person()
        client = self.client(alice)
        transcript = client._transcript
        client._transcript = lambda challenge: transcript(challenge)[:-1] + b"?"
        with self.assertRaisesRegex(Refused, "does not prove"):
            client.login()


class Tokens(World):
    def test_a_token_logs_in_once_in_both_versions(self):
        alice = self.person()
        for version in (4, 5):
            client = self.client(alice, version=version)
            client.cluster = self.node.cluster
            token = client.token()
            self.assertEqual(client.login_by_token(token)["code"], 0)
            client.subscribe(ROLES)
            client.close()
            with self.assertRaises(LoginRefused) as refused:
                client.login_by_token(token)
            self.assertEqual(refused.exception.code, 0x87 if version == 5 else 5)
        self.assertGreaterEqual(sum(e["count"] for e in self.wait_for_events("replayed_login")), 2)

    def wait_for_events(self, kind):
        deadline = time.monotonic() + 20  # counted for up to a second before they are written
        while not self.node.events(kind) and time.monotonic() < deadline:
            time.sleep(0.2)
        return self.node.events(kind)

    def test_a_spent_token_stays_spent_after_kill(self):
        alice = self.person()
        client = self.client(alice)
        client.cluster = self.node.cluster
        token = client.token()
        client.login_by_token(token)
        client.close()
        self.node.kill()
        self.node.start()
        with self.assertRaises(LoginRefused) as refused:
            client.login_by_token(token)
        self.assertEqual(refused.exception.code, 0x87)

    def test_a_reusable_token_logs_in_again(self):
        client = self.client(self.person())
        client.cluster = self.node.cluster
        token = client.token(reusable=True, life_s=3600)
        for _ in range(3):
            client.login_by_token(token)
            client.close()

    def test_tokens_that_are_for_something_else_are_refused(self):
        alice, bob = self.person(), self.person()
        now = int(time.time() * 1000)

        def refused(**fields):
            client = self.client(alice)
            made = dict(cluster=self.node.cluster, permalink=alice.permalink, key=alice.devices[0],
                        client_id=client.client_id)
            with self.assertRaises(LoginRefused) as error:
                client.login_by_token(envelope.make_token(**{**made, **fields}))
            self.assertEqual(error.exception.code, 0x87)
        refused(client_id="another")
        refused(cluster=b"\x01" * 16)
        refused(key=bob.devices[0])
        refused(key=alice.update)
        refused(permalink=bob.permalink)
        refused(issued_ms=now - 301_000)
        refused(issued_ms=now + 120_000)
        refused(life_s=301)
        refused(life_s=0)
        refused(life_s=43_201, reusable=True)
        client = self.client(alice)
        for rubbish in ("", "x", "A" * 512, "=" * 20, "\u20ac"):
            with self.assertRaises(LoginRefused):
                client.login_by_token(rubbish)


class Takeover(World):
    def test_a_newer_connection_takes_over_and_the_older_one_is_told_why(self):
        alice = self.person()
        first = self.attach(alice, client_id="phone")
        second = self.attach(alice, client_id="phone")
        with self.assertRaises(mqtt.Closed):
            first.pump()
        self.assertEqual([n.get("closing") for n in first.notices], ["taken_over"])
        self.assertEqual(first.disconnect_code, 0x8E)
        self.assertEqual(second.cursor(), 0)  # the second one lives

    def test_without_proof_nobody_is_disconnected(self):
        alice = self.person()
        first = self.attach(alice, client_id="laptop")
        with self.assertRaises(LoginRefused):
            self.client(alice, client_id="laptop").login(tamper=lambda p: bytes(64), hand_in=False)
        self.attach(Identity(), client_id="laptop")  # a stranger's client id is his own
        self.assertEqual(first.cursor(), 0)
        self.assertEqual(first.notices[-1]["which"], "cursor")

    def test_client_ids_of_one_device_live_side_by_side(self):
        alice = self.person()
        one = self.attach(alice, client_id="sub")
        two = self.attach(alice, client_id="pub", topics=(SESSION,))
        self.assertEqual((one.cursor(), two.cursor()), (0, 0))

    def test_a_newer_reader_of_the_same_device_takes_the_inbox(self):
        alice = self.person()
        old = self.attach(alice, client_id="old")
        self.attach(alice, client_id="new")
        with self.assertRaises(mqtt.Closed):
            old.pump()
        self.assertEqual(old.notices[-1].get("closing"), "inbox_taken")
        self.assertEqual(old.disconnect_code, 0x8E)


class Expiry(World):
    settings = {"sessions.absolute_s": 12, "sessions.idle_s": 12}

    def test_the_end_of_a_proof_is_announced_and_then_comes(self):
        client = self.attach(self.person())
        client.pump(lambda: "expiring" in whiches(client), 60)
        with self.assertRaises(mqtt.Closed):
            client.pump(None, 60)
        self.assertEqual(client.notices[-1].get("closing"), "session_expired")
        self.assertEqual(client.disconnect_code, 0xA0)

    def test_renewal_by_authentication_keeps_the_connection(self):
        client = self.attach(self.person())
        for _ in range(2):
            seen = len(client.notices)
            client.pump(lambda: "expiring" in whiches(client)[seen:], 60)
            ends = client.notices[-1]["expiring"]
            client.reauthenticate()
            client.pump(lambda: "renewed" in whiches(client)[seen:])
            self.assertGreater(next(n["renewed"] for n in client.notices[seen:] if n["which"] == "renewed"), ends)
        self.assertEqual(client.cursor(), 0)

    def test_renewal_by_token_keeps_the_connection_in_both_versions(self):
        for version in (4, 5):
            client = self.client(self.person(), version=version)
            client.cluster = self.node.cluster
            client.login_by_token(client.token())
            client.subscribe()
            self.assertEqual(client.ask(renew=client.token())["code"], 0)
            client.pump(lambda: "renewed" in whiches(client))

    def test_a_renewal_by_token_that_does_not_prove_changes_nothing(self):
        client = self.attach(self.person())
        bad = envelope.make_token(client.cluster, client.identity.permalink, client.key, "another id")
        self.assertEqual(client.ask(renew=bad)["code"], 0x87)
        self.assertEqual(client.cursor(), 0)
        self.assertIn("not_authorized", [n.get("refused") for n in client.notices])

    def test_a_spent_token_does_not_renew(self):
        client = self.attach(self.person())
        token = client.token()
        self.assertEqual(client.ask(renew=token)["code"], 0)
        self.assertEqual(client.ask(renew=token)["code"], 0x87)

    def test_a_re_authentication_that_fails_closes_the_connection(self):
        client = self.attach(self.person())
        with self.assertRaises(mqtt.Closed):
            client.reauthenticate(tamper=lambda proof: bytes(64))
        self.assertEqual(client.disconnect_code, 0x87)
        self.assertEqual(client.notices[-1].get("closing"), "session_expired")


if __name__ == "__main__":
    unittest.main()
