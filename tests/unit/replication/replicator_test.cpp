#include "tests/support/replicator_world.hpp"

namespace signet::storage {
namespace {

using testing::replicator_world;

std::string answer_text(const testing::world_answer* answer) {
  return answer == nullptr ? "none" : answer->outcome ? std::string{name(answer->outcome->code)} : render(answer->outcome.error());
}

} // namespace

BOOST_AUTO_TEST_SUITE(three_replicators)

BOOST_AUTO_TEST_CASE(they_elect_one_leader_and_know_its_name) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    replicator_world w(seed);
    auto leader = w.wait_for_leader();
    w.run(200);
    for (auto& [name, node] : w.nodes) {
      auto picture = node.running->cluster();
      BOOST_TEST(picture.leader == leader);
      BOOST_TEST(picture.members.size() == 3);
      BOOST_TEST(picture.leads_surely == (name == leader));
    }
    BOOST_TEST(w.refused.empty());
  }
}

BOOST_AUTO_TEST_CASE(what_any_node_takes_is_answered_there_after_its_own_apply) {
  replicator_world w(11);
  w.wait_for_leader();
  std::uint64_t number = 0;
  for (int round = 0; round < 20; ++round) {
    for (auto& [name, node] : w.nodes)
      for (int i = 0; i < 5; ++i)
        BOOST_REQUIRE(w.propose(name, ++number).has_value());
    w.run(7);
  }
  BOOST_TEST(w.run_until([&] { return w.answers.size() == number; }, 2'000));
  for (const auto& each : w.answers) {
    BOOST_REQUIRE_MESSAGE(each.outcome.has_value(), answer_text(&each));
    BOOST_TEST((each.outcome->index <= each.applied));  // a client reads what it wrote
  }
  w.run(300);
  w.check_agreement();
  BOOST_TEST(w.notes("a").size() == number);
  for (const auto& [note, times] : w.notes("b"))
    BOOST_TEST(times == 1);
  BOOST_TEST(w.refused.empty());
}

BOOST_AUTO_TEST_CASE(a_follower_answers_without_waiting_for_a_heartbeat) {
  replicator_world w(12);
  w.overtaking = false;  // as on a real link: a message that comes too early is refused and costs a round
  auto leader = w.wait_for_leader();
  w.run(500);
  auto follower = w.another(leader);
  std::uint64_t worst = 0;
  for (std::uint64_t number = 1; number <= 30; ++number) {
    auto asked = w.now;
    BOOST_REQUIRE(w.propose(follower, number).has_value());
    BOOST_REQUIRE(w.run_until([&] { return w.answer_of(number) != nullptr; }, 200));
    worst = std::max(worst, w.now - asked);
  }
  // There and back four times at most 5 ms, and a heartbeat is 50 ms.
  BOOST_TEST(worst <= 30);
}

BOOST_AUTO_TEST_CASE(when_the_leader_dies_idempotent_proposals_are_made_again) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    replicator_world w(seed);
    auto leader = w.wait_for_leader();
    auto follower = w.another(leader);
    for (std::uint64_t number = 1; number <= 40; ++number)
      BOOST_REQUIRE(w.propose(follower, number, true).has_value());
    w.run(seed % 12);  // some are on their way, some appended, some committed
    w.kill(leader);
    BOOST_TEST(w.run_until([&] { return w.answers.size() == 40; }, 5'000), "seed " << seed);
    for (const auto& each : w.answers)
      BOOST_TEST(each.outcome.has_value(), "seed " << seed << ": " << answer_text(&each));
    w.start(leader);
    w.run(2'000);
    w.check_agreement();
    BOOST_TEST(w.notes(follower).size() == 40);
  }
}

BOOST_AUTO_TEST_CASE(when_the_leader_dies_other_proposals_have_happened_once_or_are_unknown) {
  std::size_t unknown = 0, happened = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    replicator_world w(seed);
    auto leader = w.wait_for_leader();
    auto follower = w.another(leader);
    for (std::uint64_t number = 1; number <= 20; ++number) {
      BOOST_REQUIRE(w.propose(follower, number).has_value());
      w.run(1);
    }
    w.kill(leader);
    BOOST_TEST(w.run_until([&] { return w.answers.size() == 20; }, 12'000), "seed " << seed);
    w.start(leader);
    w.run(2'000);
    w.check_agreement();
    auto notes = w.notes(follower);
    for (const auto& each : w.answers) {
      if (each.outcome) {
        ++happened;
        BOOST_TEST(notes[each.note] == 1);
      } else {
        ++unknown;
        BOOST_TEST((each.outcome.error().code == ec::unknown_outcome), answer_text(&each));
        BOOST_TEST(notes[each.note] <= 1);
      }
    }
  }
  BOOST_TEST(unknown > 0);
  BOOST_TEST(happened > 0);
}

BOOST_AUTO_TEST_CASE(what_a_lost_leader_had_taken_is_answered_truly_when_it_is_back) {
  replicator_world w(21);
  auto leader = w.wait_for_leader();
  w.cut(leader);
  BOOST_REQUIRE(w.propose(leader, 1).has_value());
  w.run(1'500);
  BOOST_TEST(w.answers.empty());
  auto next = w.wait_for_leader();
  BOOST_TEST(next != leader);
  BOOST_REQUIRE(w.propose(next, 2).has_value());
  w.run(500);
  w.heal();
  // Another entry stands in its place, so it surely did not happen, and is proposed again although it is not idempotent.
  BOOST_TEST(w.run_until([&] { return w.answer_of(1) != nullptr; }, 3'000));
  BOOST_TEST(answer_text(w.answer_of(1)) == "ok");
  w.run(300);
  w.check_agreement();
  BOOST_TEST(w.notes("a")[1] == 1);
}

BOOST_AUTO_TEST_CASE(without_a_majority_proposals_are_refused_after_two_seconds) {
  replicator_world w(31);
  auto leader = w.wait_for_leader();
  auto left = w.another(leader);
  for (auto& [name, node] : w.nodes)
    if (name != left)
      w.kill(name);
  w.run(1'000);
  auto asked = w.now;
  BOOST_REQUIRE(w.propose(left, 1).has_value());
  BOOST_REQUIRE(w.run_until([&] { return w.answer_of(1) != nullptr; }, 5'000));
  BOOST_TEST((w.answer_of(1)->outcome.error().code == ec::not_leader), answer_text(w.answer_of(1)));
  BOOST_TEST(w.answer_of(1)->outcome.error().context.find("no majority") != std::string::npos);
  BOOST_TEST(w.now - asked >= 2'000);
  BOOST_TEST(w.now - asked <= 2'200);
}

BOOST_AUTO_TEST_CASE(a_leader_without_followers_says_after_eight_seconds_that_it_does_not_know) {
  replicator_world w(32);
  auto leader = w.wait_for_leader();
  w.cut(leader);
  BOOST_REQUIRE(w.propose(leader, 1).has_value());
  BOOST_REQUIRE(w.run_until([&] { return w.answer_of(1) != nullptr; }, 12'000));
  BOOST_TEST((w.answer_of(1)->outcome.error().code == ec::unknown_outcome), answer_text(w.answer_of(1)));
}

BOOST_AUTO_TEST_CASE(frames_that_get_lost_do_no_harm) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    replicator_world w(seed);
    w.wait_for_leader();
    w.lose = [&](const std::string&, const outgoing_frame&) { return w.random() % 10 == 0; };
    std::uint64_t number = 0;
    for (int round = 0; round < 30; ++round) {
      for (auto& [name, node] : w.nodes)
        BOOST_REQUIRE(w.propose(name, ++number, true).has_value());
      w.run(20);
    }
    BOOST_TEST(w.run_until([&] { return w.answers.size() == number; }, 9'000));
    w.lose = nullptr;
    w.run(2'000);
    w.check_agreement();
    auto notes = w.notes("a");
    for (const auto& each : w.answers)
      if (each.outcome)
        BOOST_TEST(notes[each.note] >= 1);
  }
}

BOOST_AUTO_TEST_CASE(long_entries_are_split_over_several_frames) {
  replicator_world w(41);
  auto leader = w.wait_for_leader();
  auto away = w.another(leader);
  w.cut(away);
  for (std::uint64_t number = 1; number <= 30; ++number)
    BOOST_REQUIRE(w.propose(leader, number, false, 200'000).has_value());
  BOOST_REQUIRE(w.run_until([&] { return w.answers.size() == 30; }, 3'000));
  std::size_t largest = 0;
  w.lose = [&](const std::string&, const outgoing_frame& frame) {
    if (const auto* said = std::get_if<peer::consensus>(&frame.what.body))
      if (const auto* append = std::get_if<raft::append_entries>(&said->message)) {
        std::size_t size_bytes = 0;
        for (const auto& e : append->entries)
          size_bytes += e.payload.size();
        largest = std::max(largest, size_bytes);
      }
    return false;
  };
  w.heal();
  w.run(3'000);
  w.check_agreement();
  BOOST_TEST(largest > 200'000);
  BOOST_TEST(largest <= peer::payload_bytes_max);
}

BOOST_AUTO_TEST_CASE(leadership_is_handed_over_by_name) {
  replicator_world w(51);
  auto leader = w.wait_for_leader();
  auto to = w.another(leader);
  BOOST_TEST(!w.nodes[to].running->hand_over(leader, steady_ms{w.now}).has_value());
  BOOST_REQUIRE(w.nodes[leader].running->hand_over(to, steady_ms{w.now}).has_value());
  BOOST_REQUIRE(w.propose(leader, 1).has_value());  // meanwhile
  BOOST_TEST(w.run_until([&] { return w.leader() == to; }, 2'000));
  BOOST_TEST(w.run_until([&] { return w.answer_of(1) != nullptr; }, 2'000));
  BOOST_TEST(answer_text(w.answer_of(1)) == "ok");
}

BOOST_AUTO_TEST_CASE(a_store_belongs_to_one_node_name) {
  replicator_world w(61);
  w.kill("a");
  auto options = w.nodes["a"].options;
  options.node = "b";
  auto opened = replicator::open(options, steady_ms{w.now}, testing::world_noon);
  BOOST_REQUIRE(!opened.has_value());
  BOOST_TEST((opened.error().code == ec::configuration));
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace signet::storage
