#include "storage/founding.hpp"
#include "tests/support/replicator_world.hpp"

namespace signet::storage {
namespace {

using kind = member_order::kind;
using testing::replicator_world;

std::string text(const status& what) { return what ? "ok" : render(what.error()); }

/// Proposes notes [from, end) on a node and waits for all answers; each must be ok.
void write_notes(replicator_world& w, const std::string& node, std::uint64_t from, std::uint64_t end) {
  for (auto number = from; number < end; ++number)
    BOOST_REQUIRE(w.propose(node, number, true).has_value());
  BOOST_REQUIRE(w.run_until([&] { return w.answer_of(end - 1) != nullptr; }, 10'000));
  w.run(100);
  for (auto number = from; number < end; ++number)
    BOOST_REQUIRE_MESSAGE(w.answer_of(number) != nullptr && w.answer_of(number)->outcome.has_value(), "note " << number);
}

std::size_t voters(replicator_world& w) {
  std::size_t out = 0;
  for (const auto& each : w.nodes.at(w.leader()).running->cluster().members)
    out += each.role == raft::member_role::voter;
  return out;
}

} // namespace

BOOST_AUTO_TEST_SUITE(members_of_a_cluster)

BOOST_AUTO_TEST_CASE(a_blank_node_waits_and_takes_no_proposals) {
  replicator_world w(1);
  w.wait_for_leader();
  w.start_blank("d");
  w.run(500);
  BOOST_TEST(w.nodes["d"].running->joining());
  BOOST_TEST((w.propose("d", 1).error().code == ec::not_leader));
  auto picture = w.nodes[w.leader()].running->cluster();
  BOOST_TEST(picture.waiting_to_join == std::vector<std::string>{"d"}, boost::test_tools::per_element());
  BOOST_TEST(picture.members.size() == 3);
  w.kill("d");
  w.start("d");  // and it still waits after a restart
  BOOST_TEST(w.nodes["d"].running->joining());
}

BOOST_AUTO_TEST_CASE(an_added_node_holds_everything_and_does_not_vote) {
  replicator_world w(2);
  write_notes(w, w.wait_for_leader(), 1, 100);
  w.start_blank("d");
  w.run(100);
  auto done = w.order({kind::add, "d", false});
  BOOST_TEST(done.has_value(), text(done));
  w.run(2'000);
  w.check_agreement();
  auto d = w.member("d");
  BOOST_REQUIRE(d.has_value());
  BOOST_TEST((d->role == raft::member_role::standby));
  BOOST_TEST(value(d->id) > added_ids_from);
  BOOST_TEST(d->lag == 0);
  write_notes(w, "d", 100, 120);  // and takes clients
  BOOST_TEST(w.order({kind::add, "d", false}).has_value());  // saying it again is harmless
  w.kill("d");
  w.start("d");
  w.run(1'000);
  w.check_agreement();
}

BOOST_AUTO_TEST_CASE(three_voters_become_five_and_three_again_under_load) {
  replicator_world w(3);
  w.wait_for_leader();
  w.start_blank("d");
  w.start_blank("e");
  w.run(100);
  std::uint64_t number = 0;
  auto busy = [&](const member_order& what) {
    auto begun = w.nodes.at(w.wait_for_leader()).running->order(what, steady_ms{w.now});
    BOOST_REQUIRE_MESSAGE(begun.has_value(), render(begun.error()));
    auto before = w.changes.size();
    for (int i = 0; i < 3'000 && w.changes.size() == before; ++i) {
      BOOST_REQUIRE(w.propose("b", ++number, true).has_value());
      w.run(10);
    }
    BOOST_REQUIRE(w.changes.size() == before + 1);
    BOOST_TEST(w.changes.back().outcome.has_value(), text(w.changes.back().outcome));
  };
  busy({kind::add, "d", true});
  busy({kind::add, "e", false});
  busy({kind::promote, "e", false});
  BOOST_TEST(voters(w) == 5);
  for (const auto* gone : {"d", "e"}) {
    if (w.leader() == gone) {
      auto refused = w.order({kind::remove, gone, false});
      BOOST_TEST((refused.error().code == ec::configuration));
      BOOST_REQUIRE(w.nodes[gone].running->hand_over("a", steady_ms{w.now}).has_value());
      BOOST_REQUIRE(w.run_until([&] { return w.leader() == "a"; }, 5'000));
    }
    busy({kind::remove, gone, false});
    w.kill(gone);
  }
  BOOST_TEST(voters(w) == 3);
  BOOST_TEST(w.run_until([&] { return w.answers.size() == number; }, 10'000));
  for (const auto& each : w.answers)
    BOOST_TEST(each.outcome.has_value());
  w.run(500);
  w.check_agreement();
}

BOOST_AUTO_TEST_CASE(orders_that_make_no_sense_are_refused_with_what_to_do) {
  replicator_world w(4);
  auto leader = w.wait_for_leader();
  auto follower = w.another(leader);
  BOOST_TEST((w.nodes[follower].running->order({kind::remove, leader, false}, steady_ms{w.now}).error().code == ec::not_leader));
  BOOST_TEST((w.order({kind::add, "x", false}).error().code == ec::not_found));
  BOOST_TEST((w.order({kind::promote, "x", false}).error().code == ec::not_found));
  BOOST_TEST((w.order({kind::remove, leader, false}).error().code == ec::configuration));
  BOOST_TEST(w.order({kind::remove, "x", false}).has_value());  // it is not there
  // Two voters are left, and from two to one there is no safe way.
  BOOST_TEST(w.order({kind::remove, follower, false}).has_value());
  w.kill(follower);
  auto other = w.another(leader);
  auto refused = w.order({kind::remove, other, false});
  BOOST_TEST((refused.error().code == ec::configuration), text(refused));
  BOOST_TEST(voters(w) == 2);
}

BOOST_AUTO_TEST_CASE(one_change_at_a_time) {
  replicator_world w(5);
  auto leader = w.wait_for_leader();
  w.start_blank("d");
  w.start_blank("e");
  w.run(100);
  BOOST_REQUIRE(w.nodes[leader].running->order({kind::add, "d", true}, steady_ms{w.now}).has_value());
  auto second = w.nodes[leader].running->order({kind::add, "e", true}, steady_ms{w.now});
  BOOST_TEST((second.error().code == ec::overloaded));
  BOOST_TEST(w.nodes[leader].running->cluster().change.has_value());
}

BOOST_AUTO_TEST_CASE(a_node_that_lost_its_disk_comes_back_under_another_id) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    replicator_world w(seed);
    auto leader = w.wait_for_leader();
    write_notes(w, leader, 1, 50);
    auto lost = seed % 2 == 0 ? leader : w.another(leader);
    w.kill(lost);
    write_notes(w, w.wait_for_leader(), 50, 80);
    w.start_blank(lost);
    BOOST_TEST(w.run_until([&] { return !w.changes.empty(); }, 10'000), "seed " << seed);
    BOOST_TEST(w.changes.back().outcome.has_value(), text(w.changes.back().outcome));
    BOOST_TEST((w.changes.back().order.what == kind::recover));
    w.run(500);
    w.check_agreement();
    auto back = w.member(lost);
    BOOST_REQUIRE(back.has_value());
    BOOST_TEST(value(back->id) > added_ids_from);
    BOOST_TEST((back->role == raft::member_role::voter));
    BOOST_TEST(voters(w) == 3);
    BOOST_TEST(w.notes(lost).size() == 79);
    // With its vote the cluster stands the loss of another node.
    w.kill(w.leader());
    write_notes(w, lost, 80, 90);
  }
}

BOOST_AUTO_TEST_CASE(a_leader_that_is_lost_in_the_middle_leaves_a_sound_cluster_and_the_order_can_be_repeated) {
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    replicator_world w(seed);
    auto leader = w.wait_for_leader();
    write_notes(w, leader, 1, 30);
    w.start_blank("d");
    w.run(100);
    BOOST_REQUIRE(w.nodes[leader].running->order({kind::add, "d", true}, steady_ms{w.now}).has_value());
    w.run(3 * seed);
    w.kill(leader);
    auto next = w.wait_for_leader();
    w.start(leader);
    write_notes(w, next, 30, 40);
    // Whatever had been done of it: the order repeated ends with a fourth voter.
    for (int i = 0; i < 10; ++i) {
      w.run_until([&] { return !w.leader().empty() && !w.nodes[w.leader()].running->cluster().change; }, 20'000);
      if (w.order({kind::add, "d", true}).has_value())
        break;
    }
    BOOST_TEST(voters(w) == 4, "seed " << seed);
    w.run(1'000);
    w.check_agreement();
    BOOST_TEST(w.notes("d").size() == 39);
  }
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(growing_from_one)

namespace {

/// A cluster of one with notes [1, 60) and two standbys.
void prepare(replicator_world& w) {
  write_notes(w, w.wait_for_leader(), 1, 40);
  for (const auto* node : {"b", "c"}) {
    w.start_blank(node);
    w.run(100);
    auto done = w.order({kind::add, node, false});
    BOOST_REQUIRE_MESSAGE(done.has_value(), text(done));
  }
  BOOST_TEST((w.order({kind::promote, "b", false}).error().code == ec::configuration));  // not online
  write_notes(w, "b", 40, 60);
}

status grow_a(replicator_world& w) { return grow(w.nodes["a"].options.store, {"a", "b", "c"}); }

} // namespace

BOOST_AUTO_TEST_CASE(one_node_and_two_standbys_become_three_voters_and_nothing_is_lost) {
  replicator_world w(1, {"a"});
  prepare(w);
  BOOST_TEST((grow_a(w).error().code == ec::locked));  // it runs
  w.kill("a");
  BOOST_TEST((grow(w.nodes["a"].options.store, {"a", "b"}).error().code == ec::configuration));
  BOOST_TEST((grow(w.nodes["a"].options.store, {"a", "b", "x"}).error().code == ec::configuration));
  BOOST_TEST((grow(w.nodes["b"].options.store, {"a", "b", "c"}).error().code == ec::locked));
  auto grown = grow_a(w);
  BOOST_REQUIRE_MESSAGE(grown.has_value(), text(grown));
  BOOST_TEST((grow_a(w).error().code == ec::already_exists));
  w.start("a");
  w.wait_for_leader();
  BOOST_TEST(voters(w) == 3);
  write_notes(w, "c", 60, 80);
  w.check_agreement();
  BOOST_TEST(w.notes("a").size() == 79);
  w.kill("a");
  write_notes(w, "b", 80, 90);
  w.start("a");
  w.run(2'000);
  w.check_agreement();
  BOOST_TEST(w.notes("a").size() == 89);
}

BOOST_AUTO_TEST_CASE(kills_at_any_step_of_it_lose_nothing) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    replicator_world w(seed, {"a"});
    prepare(w);
    // The last notes may not have reached the standbys when the only voter stops.
    std::uint64_t answered = 59;
    for (std::uint64_t number = 60; number < 70; ++number)
      BOOST_REQUIRE(w.propose("a", number, true).has_value());
    w.run(w.random() % 4);
    while (w.answer_of(answered + 1) != nullptr && w.answer_of(answered + 1)->outcome)
      ++answered;
    w.kill("a");
    if (w.random() % 2 == 0)
      w.kill("b");
    w.run(w.random() % 1'000);
    BOOST_REQUIRE(grow_a(w).has_value());
    w.start("a");
    for (int kills = 0; kills < 6; ++kills) {
      w.run(w.random() % 700);
      const auto* victim = kills % 3 == 0 ? "a" : kills % 3 == 1 ? "b" : "c";
      if (w.nodes[victim].running)
        w.kill(victim);
      else
        w.start(victim);
    }
    for (const auto* node : {"a", "b", "c"})
      if (!w.nodes[node].running)
        w.start(node);
    w.wait_for_leader();
    write_notes(w, "c", 100, 110);
    w.run(1'000);
    w.check_agreement();
    BOOST_TEST(voters(w) == 3, "seed " << seed);
    auto notes = w.notes("b");
    for (std::uint64_t number = 1; number <= answered; ++number)
      BOOST_TEST(notes.contains(number), "seed " << seed << ": note " << number << " was answered and is lost");
  }
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace signet::storage
