"""An operator changes who belongs to a cluster, with the commands of the runbook: add, remove, transfer, grow, recover."""
import json
import pathlib
import shutil
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from cluster import Cluster, wait_for


class Alone(Cluster):
    """A cluster of one: founded at once, before the file names its link key."""

    def found(self):
        self.write()
        self.members[0].init()
        self.write()


class Members(unittest.TestCase):
    def cluster_of(self, names, kind=Cluster):
        cluster = kind(names)
        self.addCleanup(lambda: cluster.__exit__(*sys.exc_info()))
        return cluster.__enter__()

    def cluster(self, cluster, member, *words, check=True):
        return cluster.signet("cluster", *words, "--data", member.data, check=check, timeout=150)

    def status(self, cluster, member):
        return json.loads(self.cluster(cluster, member, "status", "--json").stdout)

    def roles(self, cluster, member):
        return {each["node"]: each["role"] for each in self.status(cluster, member)["members"]}

    def test_every_node_shows_the_leaders_picture_and_leadership_can_be_handed_over(self):
        cluster = self.cluster_of("abc")
        leader = cluster.leader()
        cluster.wait_until_all_follow()
        for member in cluster.members:
            said = self.status(cluster, member)
            self.assertEqual((said["leader"], said["answered_by"], said["stale"]), (leader.name, leader.name, False))
            self.assertEqual({each["node"] for each in said["members"]}, set("abc"))
            self.assertTrue(said["survives_any"])
        follower = cluster.followers()[0]
        self.cluster(cluster, follower, "transfer", follower.name)
        self.assertEqual(cluster.leader().name, follower.name)
        text = self.cluster(cluster, leader, "status").stdout
        self.assertIn(f"leader {follower.name}", text)
        self.assertIn("any one node may fail: yes", text)

    def test_a_node_is_added_votes_and_is_removed_also_when_it_leads(self):
        cluster = self.cluster_of("abc")
        cluster.leader()
        new = cluster.add("d")
        new.start()
        said = self.cluster(cluster, cluster.followers()[0], "add", "d")
        self.assertIn("d is a voter", said.stdout)
        self.assertEqual(self.roles(cluster, new), {"a": "voter", "b": "voter", "c": "voter", "d": "voter"})
        cluster.wait_until_all_follow()
        self.cluster(cluster, cluster["a"], "transfer", "d")
        self.assertEqual(cluster.leader().name, "d")
        self.cluster(cluster, cluster["a"], "remove", "d")
        self.assertEqual(self.roles(cluster, cluster["a"]), {"a": "voter", "b": "voter", "c": "voter"})
        self.assertNotEqual(self.cluster(cluster, cluster["a"], "add", "nobody", "--wait", "1", check=False).returncode, 0)

    def test_a_node_that_lost_its_disk_comes_back_as_a_voter_by_recover(self):
        cluster = self.cluster_of("abc")
        cluster.leader()
        lost = cluster.followers()[0]
        lost.kill()
        shutil.rmtree(lost.data)
        refused = cluster.signet("node", "init", "--config", cluster.conf, "--name", lost.name, check=False)
        self.assertEqual(refused.returncode, 73)
        self.assertIn("signet recover", refused.stderr)
        shutil.rmtree(lost.data)
        said = json.loads(cluster.signet("recover", "--config", cluster.conf, "--name", lost.name, "--json").stdout)
        self.assertEqual(said["lines"], [f"[nodes.{lost.name}]", f'link_key = "{said["link_key"]}"'])
        lost.link_key, lost.node_key = said["link_key"], said["node_key"]
        cluster.write()
        lost.start()
        wait_for("the node to vote again", lambda: any(
            each["node"] == lost.name and each["role"] == "voter" and each["id"] > 1000
            for each in lost.replica().get("members", [])), 60)
        cluster.wait_until_all_follow()

    def test_one_node_grows_to_three(self):
        cluster = self.cluster_of("a", Alone)
        first = cluster["a"]
        cluster.leader()
        for name in "bc":
            cluster.add(name).start()
            said = self.cluster(cluster, first, "add", name)
            self.assertIn(f"{name} is a standby", said.stdout)
            self.assertIn("signet node grow", said.stdout)
        running = cluster.signet("node", "grow", "--config", cluster.conf, "--name", "a", check=False)
        self.assertEqual(running.returncode, 71)  # locked
        cluster.wait_until_all_follow()
        self.assertEqual(first.stop(), 0)
        self.assertIn("a b c", cluster.signet("node", "grow", "--config", cluster.conf, "--name", "a").stdout)
        again = cluster.signet("node", "grow", "--config", cluster.conf, "--name", "a", check=False)
        self.assertEqual(again.returncode, 1)
        first.start()
        cluster.leader()
        cluster.wait_until_all_follow()
        self.assertEqual(self.roles(cluster, cluster["c"]), {"a": "voter", "b": "voter", "c": "voter"})
        first.kill()
        wait_for("another leader", lambda: any(each.replica().get("leads_surely") for each in (cluster["b"], cluster["c"])))


if __name__ == "__main__":
    unittest.main()
