// A node is killed at each failpoint of a turn, while all work: what was answered stands, once, on every node.
#ifdef SIGNET_TEST_HOOKS

#include "tests/support/replicator_world.hpp"

namespace signet::storage {
namespace {

using kind = member_order::kind;
using testing::replicator_world;

struct failpoint_guard {
  ~failpoint_guard() { failpoints::set_handler(nullptr); }
};

/// Runs a busy cluster in which the `count`-th passing of this failpoint kills. How often it was passed.
std::size_t kill_at(const std::string& name, std::uint64_t seed, std::uint64_t count) {
  replicator_world w(seed);
  w.wait_for_leader();
  w.start_blank("d");
  w.run(100);
  std::size_t passed = 0;
  failpoint_guard guard;
  failpoints::set_handler([&](std::string_view reached) {
    if (reached == name && !w.turning.empty() && ++passed == count)
      throw replicator_world::killed{};
  });
  std::uint64_t number = 0;
  bool ordered = false;
  for (int round = 0; round < 60; ++round) {
    for (auto& [node, each] : w.nodes)
      if (each.running && !each.running->joining())
        static_cast<void>(w.propose(node, ++number, true, w.random() % 2'000));
    if (!ordered && round > 10)
      if (auto leader = w.leader(); !leader.empty())
        ordered = w.nodes[leader].running->order({kind::add, "d", true}, steady_ms{w.now}).has_value();
    if (round % 20 == 12) {  // a tail that has to go
      auto leader = w.leader();
      if (!leader.empty()) {
        w.cut(leader);
        static_cast<void>(w.propose(leader, ++number, true));
        w.run(900);
        w.heal();
      }
    }
    w.run(1 + w.random() % 40);
    for (auto& [node, each] : w.nodes)
      if (!each.running && w.random() % 4 == 0)
        w.start(node);
  }
  count = 0;  // no more kills
  for (auto& [node, each] : w.nodes)
    if (!each.running)
      w.start(node);
  w.wait_for_leader();
  w.run(10'000);
  auto votes = [&] {
    auto d = w.member("d");
    return d && d->role == raft::member_role::voter;
  };
  std::string last;
  for (int i = 0; i < 8 && !votes(); ++i) {  // who led may have died over the order
    auto done = w.order({kind::add, "d", true});
    last = done ? "ok" : render(done.error());
    if (auto under_way = w.nodes[w.wait_for_leader()].running->cluster().change)
      last += "; " + under_way->step;
    w.run(2'000);
  }
  BOOST_TEST(votes(), name << ", seed " << seed << ": " << last);
  w.check_agreement();
  auto notes = w.notes("a");
  for (const auto& each : w.answers)
    if (each.outcome)
      BOOST_TEST(notes[each.note] >= 1, name << ", seed " << seed << ": note " << each.note << " was answered and is lost");
  BOOST_TEST(w.alarms.empty(), name << ", seed " << seed << ": " << (w.alarms.empty() ? "" : w.alarms.front()));
  BOOST_TEST(w.answers.size() > 50);
  return passed;
}

} // namespace

BOOST_AUTO_TEST_SUITE(failpoints_of_a_turn)

BOOST_AUTO_TEST_CASE(a_kill_at_any_of_them_loses_nothing_that_was_answered) {
  for (const auto* name :
       {"before_txn", "truncate_before", "truncate_after", "on_become_leader", "after_entries_before_apply", "before_apply",
        "after_apply", "vote_before_commit", "vote_after_commit", "after_send_before_commit", "txn_before_commit",
        "txn_after_commit", "after_commit_before_send", "after_commit_before_ack", "conf_change_before",
        "conf_change_after", "before_vote_allowed"}) {
    std::size_t passed = 0;
    for (std::uint64_t seed = 1; seed <= 4; ++seed)
      passed += kill_at(name, seed, seed == 1 ? 1 : 1 + seed * seed * 5);
    BOOST_TEST(passed > 0, name << " was never reached");
  }
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace signet::storage
#endif
