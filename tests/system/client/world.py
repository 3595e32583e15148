"""What the tests of this directory share: a node for each class, and people who attach to it."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from node import Node
from signet_client import envelope
from signet_client.client import ROLES, Client


class World(unittest.TestCase):
    settings = {}
    echo = False

    @classmethod
    def setUpClass(cls):
        cls.node = Node(settings=cls.settings, echo=cls.echo)
        cls.addClassCleanup(cls.node.__exit__, None, None, None)
        cls.node.start()

    def client(self, identity, device=0, **options):
        made = Client(self.node.address, identity, device, node_key=self.node.node_key, **options)
        self.addCleanup(made.close)
        return made

    def attach(self, identity, device=0, topics=ROLES, login=None, **options):
        """A client that has logged in and subscribed."""
        made = self.client(identity, device, **options)
        made.login(**(login or {}))
        if topics:
            self.assertEqual(made.subscribe(topics), [1] * len(topics))
        return made

    def person(self, **options):
        """A published identity."""
        identity = envelope.Identity(**options)
        client = self.client(identity)
        client.login()
        client.disconnect()
        return identity

    def contents(self, client, count):
        """Waits for so many messages; their contents in order, all proofs checked."""
        return [m["content"].decode() for m in client.messages(count)]
