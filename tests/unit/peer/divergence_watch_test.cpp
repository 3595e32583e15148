#include "storage/peer/divergence_watch.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <random>

namespace signet::peer {
namespace {

/// A node whose log and state are a number for each index: equal numbers, equal history.
struct node {
  std::string name;
  divergence_watch watch;
  std::uint64_t applied = 0, remembers_from = 0;
  std::uint64_t log_differs_from = UINT64_MAX, state_differs_from = UINT64_MAX;
  std::uint8_t flavour = 0;  ///< of what it holds where it differs
  divergence verdict;
  std::size_t told = 0;

  explicit node(std::string who, watch_options options = {}) : name{std::move(who)}, watch{name, options} {}

  static digest hash_of(std::uint64_t index, std::uint8_t kind, std::uint8_t flavour) {
    digest out;
    out.raw[0] = kind;
    out.raw[1] = flavour;
    for (int i = 0; i < 8; ++i)
      out.raw[static_cast<std::size_t>(8 + i)] = static_cast<std::uint8_t>(index >> (8 * i));
    return out;
  }
  std::optional<checkpoint> at(log_index index) const {
    if (value(index) > applied || value(index) < remembers_from)
      return std::nullopt;
    const bool log = value(index) >= log_differs_from, state = log || value(index) >= state_differs_from;
    return checkpoint{index, hash_of(value(index), 1, log ? flavour : 0), hash_of(value(index), 2, state ? flavour : 0)};
  }
  divergence_watch::outcome step(std::uint64_t now) {
    auto out = watch.step(steady_ms{now}, log_index{applied}, [this](log_index index) { return at(index); });
    verdict = out.now;
    told += out.tell.size();
    return out;
  }
};

struct cluster {
  std::vector<node> nodes;
  std::uint64_t now = 1;
  std::vector<std::pair<std::string, std::string>> cut;  ///< who does not hear whom

  explicit cluster(std::size_t size, watch_options options = {}) {
    std::vector<std::string> names;
    for (std::size_t i = 0; i < size; ++i)
      names.push_back(std::string(1, static_cast<char>('a' + i)));
    for (const auto& name : names)
      nodes.emplace_back(name, options).watch.set_voters(names);
  }
  node& operator[](std::size_t i) { return nodes[i]; }

  /// Everybody steps, and hears at once what the others tell, until nobody has anything to say.
  void settle() {
    for (int rounds = 0; rounds < 10; ++rounds) {
      bool said = false;
      for (auto& from : nodes) {
        auto out = from.step(now);
        for (const auto& each : out.tell)
          for (auto& to : nodes)
            if (to.name != from.name && std::find(cut.begin(), cut.end(), std::pair{to.name, from.name}) == cut.end())
              to.watch.receive(from.name, each);
        said = said || !out.tell.empty();
      }
      if (!said)
        return;
    }
    BOOST_FAIL("they never stop telling each other the same");
  }
  /// Each of them applies so much, then a moment passes.
  void apply(std::uint64_t entries, std::uint64_t ms = 1) {
    for (auto& each : nodes)
      each.applied += entries;
    now += ms;
    settle();
  }
  bool all_fine() const {
    return std::all_of(nodes.begin(), nodes.end(), [](const node& x) { return x.verdict.verdict == watch_verdict::fine; });
  }
};

} // namespace

BOOST_AUTO_TEST_SUITE(divergence_of_replicas)

BOOST_AUTO_TEST_CASE(nodes_that_agree_stay_fine_and_tell_one_checkpoint_for_each_thousand_entries) {
  cluster three{3};
  three.settle();
  for (auto& each : three.nodes)
    each.told = 0;
  for (int i = 0; i < 50; ++i)
    three.apply(100);
  BOOST_TEST(three.all_fine());
  for (const auto& each : three.nodes)
    BOOST_TEST(each.told == 5u);
}

BOOST_AUTO_TEST_CASE(the_one_whose_state_differs_is_the_odd_one_and_the_others_know_its_name) {
  cluster three{3};
  three.settle();
  three[1].state_differs_from = 1'500;
  three[1].flavour = 7;
  three.apply(1'400);
  BOOST_TEST(three.all_fine());
  three.apply(700);
  BOOST_TEST((three[1].verdict.verdict == watch_verdict::odd_one));
  BOOST_TEST(!three[1].verdict.log_differs);
  BOOST_TEST((three[1].verdict.index == log_index{2'000}));
  for (std::size_t other : {0U, 2U}) {
    BOOST_TEST((three[other].verdict.verdict == watch_verdict::alarm));
    BOOST_TEST((three[other].verdict.differing == std::vector<std::string>{"b"}));
    BOOST_TEST(three[other].verdict.agreeing.size() == 1u);
  }
}

BOOST_AUTO_TEST_CASE(a_log_that_differs_is_told_from_a_state_that_differs) {
  cluster three{3};
  three.settle();
  three[2].log_differs_from = 900;
  three[2].flavour = 7;
  three.apply(1'000);
  BOOST_TEST((three[2].verdict.verdict == watch_verdict::odd_one));
  BOOST_TEST(three[2].verdict.log_differs);
  BOOST_TEST(three[2].verdict.why.find("the log") == 0u);
}

BOOST_AUTO_TEST_CASE(in_an_idle_cluster_a_difference_is_found_within_ten_seconds) {
  cluster three{3};
  three.apply(123);
  three[0].state_differs_from = 123;
  three[0].flavour = 1;
  for (int second = 0; second < 10; ++second)
    three.apply(0, 1'000);
  BOOST_TEST((three[0].verdict.verdict == watch_verdict::odd_one));
}

BOOST_AUTO_TEST_CASE(under_a_slow_load_a_difference_is_found_within_fifteen_seconds_though_nobody_ticks_together) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    std::mt19937_64 random{seed};
    cluster three{3};
    // They start at different moments, so their ticks fall between each other's, and one lags by a few entries.
    for (auto& each : three.nodes) {
      three.now += random() % 4'000;
      each.applied = 10;
      three.settle();
    }
    three[1].applied -= random() % 5;
    const auto odd = random() % 3;
    three[odd].state_differs_from = three[0].applied + 1;
    three[odd].flavour = 3;
    const auto begun = three.now;
    while (three[odd].verdict.verdict != watch_verdict::odd_one && three.now < begun + 30'000)
      three.apply(random() % 3, 100 + random() % 300);
    BOOST_TEST(three.now - begun <= 15'000u, "seed " << seed << " took " << three.now - begun << " ms");
  }
}

BOOST_AUTO_TEST_CASE(one_against_one_is_an_alarm_and_nobody_is_the_odd_one) {
  cluster three{3};
  three.settle();
  for (const auto* deaf : {"a", "b"})
    three.cut.emplace_back(deaf, "c");
  three[1].state_differs_from = 10;
  three[1].flavour = 1;
  three.apply(1'000);
  for (std::size_t i : {0U, 1U}) {
    BOOST_TEST((three[i].verdict.verdict == watch_verdict::alarm));
    BOOST_TEST(three[i].verdict.why.find("nobody can tell") != std::string::npos);
  }
  // c comes back, and its word decides.
  three.cut.clear();
  three.apply(1'000);
  BOOST_TEST((three[1].verdict.verdict == watch_verdict::odd_one));
  BOOST_TEST((three[0].verdict.verdict == watch_verdict::alarm));
}

BOOST_AUTO_TEST_CASE(three_that_say_three_things_are_all_alarmed) {
  cluster three{3};
  three.settle();
  for (std::uint8_t i = 0; i < 3; ++i) {
    three[i].state_differs_from = 10;
    three[i].flavour = static_cast<std::uint8_t>(i + 1);
  }
  three.apply(1'000);
  for (const auto& each : three.nodes)
    BOOST_TEST((each.verdict.verdict == watch_verdict::alarm));
}

BOOST_AUTO_TEST_CASE(two_of_five_that_differ_alike_are_both_odd) {
  cluster five{5};
  five.settle();
  for (std::size_t i : {1U, 3U}) {
    five[i].state_differs_from = 10;
    five[i].flavour = 9;
  }
  five.apply(1'000);
  for (std::size_t i = 0; i < 5; ++i)
    BOOST_TEST((five[i].verdict.verdict == watch_verdict::odd_one) == (i == 1 || i == 3));
}

BOOST_AUTO_TEST_CASE(a_learner_has_no_vote_but_can_be_the_odd_one) {
  cluster four{4};
  for (auto& each : four.nodes)
    each.watch.set_voters({"a", "b", "c"});
  four.settle();
  four[3].state_differs_from = 10;
  four[3].flavour = 1;
  four.apply(1'000);
  BOOST_TEST((four[3].verdict.verdict == watch_verdict::odd_one));
  // With one voter left to talk to, a learner's word does not make a majority.
  cluster again{4};
  for (auto& each : again.nodes)
    each.watch.set_voters({"a", "b", "c"});
  again.settle();
  again.nodes.erase(again.nodes.begin() + 1, again.nodes.begin() + 3);
  again[1].state_differs_from = 10;
  again[1].flavour = 1;
  again.apply(1'000);
  BOOST_TEST((again[0].verdict.verdict == watch_verdict::alarm));
  BOOST_TEST((again[1].verdict.verdict == watch_verdict::alarm));
}

BOOST_AUTO_TEST_CASE(what_is_ahead_waits_until_it_is_applied_here) {
  cluster three{3};
  three.settle();
  three[2].state_differs_from = 1'200;
  three[2].flavour = 1;
  three[0].applied = three[1].applied = 5'000;
  three.settle();
  BOOST_TEST(three.all_fine());
  three[2].applied = 1'100;
  three.settle();
  BOOST_TEST(three.all_fine());
  three[2].applied = 2'000;
  three.settle();
  BOOST_TEST((three[2].verdict.verdict == watch_verdict::odd_one));
}

BOOST_AUTO_TEST_CASE(what_is_too_long_ago_is_not_compared_and_raises_no_alarm) {
  cluster three{3};
  three.apply(20'000);
  for (auto& each : three.nodes)
    each.remembers_from = 15'000;
  three[0].watch.receive("b", {log_index{9'000}, node::hash_of(1, 1, 9), node::hash_of(1, 2, 9)});
  three.settle();
  BOOST_TEST(three.all_fine());
}

BOOST_AUTO_TEST_CASE(a_node_that_was_recovered_is_judged_anew) {
  cluster three{3};
  three.settle();
  three[1].state_differs_from = 10;
  three[1].flavour = 1;
  three.apply(1'000);
  BOOST_TEST((three[0].verdict.verdict == watch_verdict::alarm));
  for (std::size_t i : {0U, 2U})
    three[i].watch.forget("b");
  three[1].state_differs_from = UINT64_MAX;
  three[1].watch = divergence_watch{"b"};
  three[1].watch.set_voters({"a", "b", "c"});
  three.apply(1'000);
  BOOST_TEST(three.all_fine());
}

BOOST_AUTO_TEST_CASE(a_verdict_is_reported_once_until_it_changes) {
  node a{"a"};
  a.watch.set_voters({"a", "b", "c"});
  a.applied = 100;
  BOOST_TEST(!a.step(1).changed);
  a.watch.receive("b", {log_index{50}, node::hash_of(50, 1, 9), node::hash_of(50, 2, 9)});
  BOOST_TEST(a.step(2).changed);
  BOOST_TEST(!a.step(3).changed);
  a.watch.receive("c", {log_index{50}, node::hash_of(50, 1, 9), node::hash_of(50, 2, 9)});
  BOOST_TEST(a.step(4).changed);
  BOOST_TEST((a.verdict.verdict == watch_verdict::odd_one));
}

BOOST_AUTO_TEST_CASE(a_peer_that_floods_checkpoints_gets_few_answers_and_little_memory) {
  node a{"a"};
  a.watch.set_voters({"a", "b", "c"});
  a.applied = 100'000;
  a.step(1);
  std::size_t looked = 0;
  std::size_t told = 0;
  for (std::uint64_t i = 0; i < 50'000; ++i) {
    a.watch.receive("b", {log_index{1 + i}, node::hash_of(i, 1, 9), node::hash_of(i, 2, 9)});
    a.watch.receive("b", {log_index{200'000 + i}, node::hash_of(i, 1, 9), node::hash_of(i, 2, 9)});
    if (i % 100 == 0)
      told += a.watch.step(steady_ms{2}, log_index{a.applied}, [&](log_index index) {
                 ++looked;
                 return a.at(index);
               }).tell.size();
  }
  BOOST_TEST(told <= watch_options{}.answers_per_s_max);
  BOOST_TEST(looked <= 500u * watch_options{}.held_per_peer_max);
}

BOOST_AUTO_TEST_CASE(who_has_just_come_hears_the_newest_checkpoint_and_one_that_everybody_has) {
  node a{"a"};
  const auto heard = [&] {
    std::vector<std::uint64_t> out;
    for (const auto& each : a.watch.newest(log_index{a.applied}, [&](log_index index) { return a.at(index); }))
      out.push_back(value(each.index));
    return out;
  };
  BOOST_TEST(heard().empty());
  a.applied = 999;
  BOOST_TEST((heard() == std::vector<std::uint64_t>{999}));
  a.applied = 2'000;
  BOOST_TEST((heard() == std::vector<std::uint64_t>{2'000}));
  a.applied = 2'345;
  BOOST_TEST((heard() == std::vector<std::uint64_t>{2'000, 2'345}));
  a.remembers_from = 2'100;
  BOOST_TEST((heard() == std::vector<std::uint64_t>{2'345}));
}

BOOST_AUTO_TEST_CASE(what_a_majority_agrees_on_can_be_trusted_by_who_has_nothing_yet) {
  node d{"d"};
  d.watch.set_voters({"a", "b", "c"});
  const auto said = [](std::uint64_t index, std::uint8_t flavour) {
    return checkpoint{log_index{index}, node::hash_of(index, 1, flavour), node::hash_of(index, 2, flavour)};
  };
  BOOST_TEST(!d.watch.agreed_by_majority());
  d.watch.receive("a", said(5'000, 0));
  d.watch.receive("d", said(5'000, 0));
  BOOST_TEST(!d.watch.agreed_by_majority());
  d.watch.receive("b", said(5'000, 1));
  BOOST_TEST(!d.watch.agreed_by_majority());
  d.watch.receive("c", said(5'000, 0));
  BOOST_TEST((d.watch.agreed_by_majority() == said(5'000, 0)));
  d.watch.receive("a", said(6'000, 0));
  BOOST_TEST((d.watch.agreed_by_majority() == said(5'000, 0)));
  d.watch.receive("b", said(6'000, 0));
  BOOST_TEST((d.watch.agreed_by_majority() == said(6'000, 0)));
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace signet::peer
