#include "actors/supervision/child_table.hpp"
#include "tests/unit/supervision/support.hpp"

#include <boost/test/unit_test.hpp>
#include <random>

using namespace signet;
using namespace signet::supervision;
using namespace signet::testing;
using std::chrono::milliseconds;

namespace {

/// Carries out a table's orders at once and writes them down: "+a" started, "-a" told to stop, "!a" killed, "~20" a timer,
/// "xa" forgotten, "." finished, "." becomes "!." if it gave up. Children end when the test says so.
struct stage {
  fixed_random random;
  child_table table;
  std::uint64_t clock = 1'000;
  std::map<child_slot, std::string> ids;
  std::set<std::string> factories_that_fail;
  std::vector<std::pair<timer_id, milliseconds>> timers;
  std::string log;

  stage(const stage&) = delete;
  explicit stage(strategy how, intensity_rule intensity = {100, milliseconds{60'000}},
                 backoff_rule backoff = {milliseconds{100}, milliseconds{1'000}, milliseconds{0}},
                 std::uint64_t draw = 20)
    : random{draw}, table{{how, intensity, backoff}, random} {}

  steady_ms now() const { return at_ms(clock); }
  child_slot slot(const std::string& id) const { return *table.find(id); }

  void add(const std::string& id, restart when = restart::permanent, milliseconds shutdown = milliseconds{5'000}) {
    auto added = table.add({id, when, shutdown}, now());
    BOOST_REQUIRE(added.has_value());
    ids[*added] = id;
  }
  stage& run() {
    while (auto what = table.next()) {
      if (auto* start = std::get_if<start_child>(&*what)) {
        if (factories_that_fail.contains(ids[start->slot])) {
          log += "?" + ids[start->slot];
          table.start_failed(start->slot, "factory", now());
        } else {
          log += "+" + ids[start->slot];
          table.started(start->slot, now());
        }
      } else if (auto* stop = std::get_if<stop_child>(&*what)) {
        log += (stop->kill ? "!" : "-") + ids[stop->slot];
      } else if (auto* timer = std::get_if<arm_timer>(&*what)) {
        timers.emplace_back(timer->timer, timer->delay);
      } else if (auto* gone = std::get_if<forget_child>(&*what)) {
        log += (gone->abandoned ? "X" : "x") + ids[gone->slot];
      } else {
        log += std::get<finish>(*what).gave_up ? "!." : ".";
      }
    }
    return *this;
  }
  std::string take() {
    run();
    return std::exchange(log, {});
  }
  void fails(const std::string& id) { table.ended(slot(id), false, "boom", now()); run(); }
  void ends(const std::string& id) { table.ended(slot(id), true, "", now()); run(); }
  /// Fires the timer that was armed last.
  void fire() { fire(timers.back().first); }
  void fire(timer_id timer) { table.fired(timer, now()); run(); }
  std::string states() {
    std::string out;
    for (const auto& row : table.rows(now()))
      out += row.id + ":" + std::string{name(row.state)} + " ";
    return out;
  }
};

struct three : stage {
  explicit three(strategy how, intensity_rule intensity = {100, milliseconds{60'000}}) : stage{how, intensity} {
    for (auto id : {"a", "b", "c"})
      add(id);
  }
};

} // namespace

BOOST_AUTO_TEST_SUITE(table)

BOOST_AUTO_TEST_CASE(children_start_in_order_and_stop_in_reverse_one_after_the_other) {
  three s{strategy::one_for_one};
  BOOST_TEST(s.take() == "+a+b+c");
  s.table.stop(s.now());
  BOOST_TEST(s.take() == "-c");
  s.ends("c");
  BOOST_TEST(s.take() == "-b");
  s.fails("b");  // on the way down it does not matter how
  BOOST_TEST(s.take() == "-a");
  s.ends("a");
  BOOST_TEST(s.take() == ".");
  BOOST_TEST(s.take() == "");
}

BOOST_AUTO_TEST_CASE(one_for_one_restarts_the_failed_child_only) {
  three s{strategy::one_for_one};
  s.take();
  s.fails("b");
  BOOST_TEST(s.take() == "");
  BOOST_TEST(s.states() == "a:running b:backing_off c:running ");
  s.fire();
  BOOST_TEST(s.take() == "+b");
  BOOST_TEST(s.table.rows(s.now())[1].restarts == 1u);
  BOOST_TEST(s.table.rows(s.now())[1].last_reason == "boom");
}

BOOST_AUTO_TEST_CASE(one_for_all_stops_the_others_in_reverse_and_starts_all_in_order) {
  three s{strategy::one_for_all};
  s.take();
  s.fails("b");
  BOOST_TEST(s.take() == "-c");
  s.ends("c");
  BOOST_TEST(s.take() == "-a");
  s.ends("a");
  BOOST_TEST(s.take() == "");
  s.fire();
  BOOST_TEST(s.take() == "+a+b+c");
}

BOOST_AUTO_TEST_CASE(rest_for_one_takes_along_only_those_behind) {
  three s{strategy::rest_for_one};
  s.take();
  s.fails("b");
  BOOST_TEST(s.take() == "-c");
  s.ends("c");
  s.fire();
  BOOST_TEST(s.take() == "+b+c");
  s.fails("c");
  BOOST_TEST(s.take() == "");
  s.fire();
  BOOST_TEST(s.take() == "+c");
}

BOOST_AUTO_TEST_CASE(a_failure_further_up_widens_the_round) {
  three s{strategy::rest_for_one};
  s.take();
  s.fails("c");
  const auto first = s.timers.back().first;
  s.fails("a");
  BOOST_TEST(s.take() == "-b");
  s.fire(first);  // the round it belonged to is over
  BOOST_TEST(s.take() == "");
  s.ends("b");
  s.fire();
  BOOST_TEST(s.take() == "+a+b+c");
}

BOOST_AUTO_TEST_CASE(a_sibling_that_fails_while_it_is_told_to_stop_costs_nothing_more) {
  three s{strategy::one_for_all, {1, milliseconds{1'000}}};
  s.take();
  s.fails("a");
  BOOST_TEST(s.take() == "-c");
  s.fails("c");
  BOOST_TEST(s.take() == "-b");
  s.fails("b");
  s.fire();
  BOOST_TEST(s.take() == "+a+b+c");
  BOOST_TEST(!s.table.gave_up());
}

BOOST_AUTO_TEST_CASE(a_sibling_that_fails_before_its_turn_to_stop_is_a_failure_of_its_own) {
  three s{strategy::one_for_all};
  s.take();
  s.fails("a");
  BOOST_TEST(s.take() == "-c");
  s.fails("b");  // still running
  s.ends("c");
  s.fire();
  BOOST_TEST(s.take() == "+a+b+c");
}

BOOST_AUTO_TEST_CASE(the_budget_ends_in_giving_up_with_everything_stopped_in_reverse) {
  three s{strategy::one_for_one, {2, milliseconds{60'000}}};
  s.take();
  s.fails("b");
  s.fire();
  s.fails("b");
  s.fire();
  BOOST_TEST(s.take() == "+b+b");
  s.fails("b");
  BOOST_TEST(s.table.gave_up());
  BOOST_TEST(s.take() == "-c");
  s.ends("c");
  BOOST_TEST(s.take() == "-a");
  s.ends("a");
  BOOST_TEST(s.take() == "!.");
}

BOOST_AUTO_TEST_CASE(failures_spread_over_more_than_the_window_never_exhaust_the_budget) {
  three s{strategy::one_for_one, {2, milliseconds{1'000}}};
  s.take();
  for (int i = 0; i < 50; ++i) {
    s.fails("a");
    s.fire();
    s.clock += 500;
  }
  BOOST_TEST(!s.table.gave_up());
}

BOOST_AUTO_TEST_CASE(waits_double_with_failures_in_a_row_and_start_again_after_a_quiet_window) {
  stage s{strategy::one_for_one, {100, milliseconds{60'000}}, {milliseconds{100}, milliseconds{1'000}, milliseconds{0}},
          UINT64_MAX - 15};
  s.add("a");
  s.take();
  std::vector<std::int64_t> expected, seen;
  for (std::uint64_t ceiling : {100, 200, 400, 800, 1'000, 1'000}) {
    expected.push_back(static_cast<std::int64_t>((UINT64_MAX - 15) % (ceiling + 1)));
    s.fails("a");
    seen.push_back(s.timers.back().second.count());
    s.fire();
  }
  BOOST_TEST(seen == expected, boost::test_tools::per_element());
  s.clock += 60'000;
  s.fails("a");
  BOOST_TEST(s.timers.back().second.count() == expected.front());
}

BOOST_AUTO_TEST_CASE(the_wait_of_a_group_doubles_too_and_also_when_only_factories_fail) {
  stage s{strategy::rest_for_one, {100, milliseconds{60'000}}, {milliseconds{100}, milliseconds{1'000}, milliseconds{100}}};
  s.clock = 10'000'000;
  s.add("a");
  s.add("b");
  s.factories_that_fail = {"a"};
  BOOST_TEST(s.take() == "?a");
  // Draw 20 over [100, ceiling]: with a ceiling of 100 the width is one, then 20 above the floor.
  BOOST_TEST(s.timers.back().second.count() == 100);
  s.fire();
  BOOST_TEST(s.timers.back().second.count() == 120);
  s.factories_that_fail.clear();
  s.fire();
  BOOST_TEST(s.take() == "?a+a+b");
}

BOOST_AUTO_TEST_CASE(a_transient_child_that_is_done_rests_and_a_failed_one_comes_back) {
  stage s{strategy::one_for_one};
  s.add("a", restart::transient);
  s.add("b", restart::transient);
  s.take();
  s.ends("a");
  s.fails("b");
  s.fire();
  BOOST_TEST(s.take() == "+b");
  BOOST_TEST(s.states() == "a:stopped b:running ");
}

BOOST_AUTO_TEST_CASE(a_permanent_child_comes_back_also_after_a_normal_end) {
  three s{strategy::one_for_one};
  s.take();
  s.ends("a");
  s.fire();
  BOOST_TEST(s.take() == "+a");
}

BOOST_AUTO_TEST_CASE(a_temporary_child_is_forgotten_and_takes_nobody_along) {
  stage s{strategy::one_for_all, {0, milliseconds{1'000}}};
  s.add("a");
  s.add("b", restart::temporary);
  s.take();
  s.fails("b");
  BOOST_TEST(s.take() == "xb");
  BOOST_TEST(s.states() == "a:running ");
}

BOOST_AUTO_TEST_CASE(a_temporary_child_stopped_with_its_group_does_not_come_back) {
  stage s{strategy::one_for_all};
  s.add("a");
  s.add("b", restart::temporary);
  s.take();
  s.fails("a");
  BOOST_TEST(s.take() == "-b");
  s.ends("b");
  s.fire();
  BOOST_TEST(s.take() == "xb+a");
}

BOOST_AUTO_TEST_CASE(a_factory_that_fails_in_a_group_holds_back_those_behind_it) {
  three s{strategy::rest_for_one};
  s.factories_that_fail = {"b"};
  BOOST_TEST(s.take() == "+a?b");
  s.factories_that_fail.clear();
  s.fire();
  BOOST_TEST(s.take() == "+b+c");
}

BOOST_AUTO_TEST_CASE(a_factory_that_fails_under_one_for_all_takes_the_started_ones_down_again) {
  three s{strategy::one_for_all};
  s.factories_that_fail = {"c"};
  BOOST_TEST(s.take() == "+a+b?c-b");
  s.ends("b");
  BOOST_TEST(s.take() == "-a");
  s.ends("a");
  s.factories_that_fail.clear();
  s.fire();
  BOOST_TEST(s.take() == "+a+b+c");
}

BOOST_AUTO_TEST_CASE(late_timers_are_ignored) {
  three s{strategy::one_for_one};
  s.take();
  s.fails("a");
  const auto old = s.timers.back().first;
  s.fire();
  s.fails("a");
  BOOST_TEST(s.take() == "+a");
  s.fire(old);
  BOOST_TEST(s.take() == "");
  s.fire();
  BOOST_TEST(s.take() == "+a");
  s.fire();
  s.fire(timer_id{0});
  s.fire(timer_id{999});
  BOOST_TEST(s.take() == "");
}

BOOST_AUTO_TEST_CASE(a_child_that_does_not_stop_is_killed_then_abandoned_and_the_stop_goes_on) {
  three s{strategy::one_for_one};
  s.take();
  s.table.stop(s.now());
  BOOST_TEST(s.take() == "-c");
  BOOST_TEST(s.timers.back().second.count() == 5'000);
  s.fire();
  BOOST_TEST(s.take() == "!c");
  s.fire();
  BOOST_TEST(s.take() == "Xc-b");
  s.ends("b");
  s.ends("a");
  BOOST_TEST(s.take() == "-a.");
}

BOOST_AUTO_TEST_CASE(a_child_that_survives_its_kill_during_a_restart_makes_the_supervisor_give_up) {
  three s{strategy::one_for_all};
  s.take();
  s.fails("a");
  s.fire();
  s.fire();
  BOOST_TEST(s.take() == "-c!cXc-b");
  BOOST_TEST(s.table.gave_up());
  s.ends("b");
  BOOST_TEST(s.take() == "!.");
}

BOOST_AUTO_TEST_CASE(a_shutdown_timeout_of_nothing_kills_at_once) {
  stage s{strategy::one_for_one};
  s.add("a", restart::permanent, milliseconds{0});
  s.take();
  s.table.stop(s.now());
  BOOST_TEST(s.take() == "!a");
}

BOOST_AUTO_TEST_CASE(a_removed_child_is_stopped_and_forgotten_and_its_id_is_free_again) {
  three s{strategy::rest_for_one};
  s.take();
  BOOST_TEST(s.table.remove("b", s.now()).has_value());
  BOOST_TEST(s.take() == "-b");
  BOOST_TEST(!s.table.add({"b", restart::permanent, {}}, s.now()).has_value());
  s.ends("b");
  BOOST_TEST(s.take() == "xb");
  s.add("b");
  BOOST_TEST(s.take() == "+b");
  BOOST_TEST(s.states() == "a:running c:running b:running ");
  BOOST_TEST((s.table.remove("nobody", s.now()).error().code == ec::not_found));
}

BOOST_AUTO_TEST_CASE(removing_a_child_that_backs_off_takes_effect_at_once_and_its_timer_is_late) {
  three s{strategy::one_for_one};
  s.take();
  s.fails("b");
  BOOST_TEST(s.table.remove("b", s.now()).has_value());
  BOOST_TEST(s.take() == "xb");
  s.fire();
  BOOST_TEST(s.take() == "");
}

BOOST_AUTO_TEST_CASE(removing_a_child_that_is_about_to_be_stopped_with_its_group_lets_the_round_go_on) {
  three s{strategy::one_for_all};
  s.take();
  s.fails("a");
  BOOST_TEST(s.take() == "-c");
  BOOST_TEST(s.table.remove("c", s.now()).has_value());
  BOOST_TEST(s.table.remove("b", s.now()).has_value());
  BOOST_TEST(s.take() == "-b");
  s.ends("b");
  s.ends("c");
  BOOST_TEST(s.take() == "xbxc");
  s.fire();
  BOOST_TEST(s.take() == "+a");
}

BOOST_AUTO_TEST_CASE(a_child_added_while_the_group_waits_starts_with_it) {
  three s{strategy::rest_for_one};
  s.take();
  s.fails("a");
  s.add("d");
  BOOST_TEST(s.take() == "-c");
  s.ends("c");
  s.ends("b");
  s.fire();
  BOOST_TEST(s.take() == "-b+a+b+c+d");
}

BOOST_AUTO_TEST_CASE(a_supervisor_that_stops_takes_no_child_and_starts_none) {
  three s{strategy::one_for_one};
  s.take();
  s.fails("b");
  s.table.stop(s.now());
  s.fire(s.timers.front().first);
  BOOST_TEST((s.table.add({"d", restart::permanent, {}}, s.now()).error().code == ec::overloaded));
  s.ends("c");
  s.ends("a");
  BOOST_TEST(s.take() == "-c-a.");
}

// Random events against the invariants of the header.
BOOST_AUTO_TEST_CASE(ten_thousand_random_histories_keep_the_invariants) {
  for (std::uint64_t seed = 0; seed < 10'000; ++seed) {
    std::mt19937_64 random{seed};
    const auto how = static_cast<strategy>(random() % 3);
    seeded_random jitter{seed};
    child_table table{{how, {random() % 6, milliseconds{1'000}}, {}}, jitter};
    std::map<child_slot, bool> alive;  // true: told to stop
    std::set<child_slot> known;
    std::vector<timer_id> timers;
    std::uint64_t clock = 0, serial = 0;
    bool finished = false, asked_to_stop = false;
    auto carry_out = [&] {
      child_slot last_start{};
      while (auto what = table.next()) {
        BOOST_REQUIRE_MESSAGE(!finished, "order after finish, seed " << seed);
        if (auto* start = std::get_if<start_child>(&*what)) {
          BOOST_REQUIRE_MESSAGE(!alive.contains(start->slot), "started twice, seed " << seed);
          BOOST_REQUIRE_MESSAGE(!table.stopping(), "start while stopping, seed " << seed);
          BOOST_REQUIRE_MESSAGE(start->slot > last_start, "start order, seed " << seed);
          last_start = start->slot;
          if (random() % 10 == 0) {
            table.start_failed(start->slot, "factory", at_ms(clock));
            if (how == strategy::one_for_one)
              continue;
            last_start = child_slot{};
          } else {
            table.started(start->slot, at_ms(clock));
            alive[start->slot] = false;
          }
        } else if (auto* stop = std::get_if<stop_child>(&*what)) {
          BOOST_REQUIRE_MESSAGE(alive.contains(stop->slot), "stop of the dead, seed " << seed);
          alive[stop->slot] = true;
        } else if (auto* timer = std::get_if<arm_timer>(&*what)) {
          timers.push_back(timer->timer);
        } else if (auto* gone = std::get_if<forget_child>(&*what)) {
          BOOST_REQUIRE_MESSAGE(gone->abandoned || !alive.contains(gone->slot), "forgot the living, seed " << seed);
          alive.erase(gone->slot);
        } else {
          finished = true;
          BOOST_REQUIRE_MESSAGE(alive.empty(), "finished with children, seed " << seed);
          BOOST_REQUIRE_MESSAGE(asked_to_stop || table.gave_up(), "finished for nothing, seed " << seed);
        }
      }
    };
    for (int step = 0; step < 60; ++step) {
      clock += random() % 300;
      switch (random() % 8) {
        case 0:
        case 1:
          (void) table.add({std::to_string(serial++), static_cast<restart>(random() % 3), milliseconds{100}}, at_ms(clock));
          break;
        case 2:
        case 3:
        case 4:
          if (!alive.empty()) {
            auto at = std::next(alive.begin(), static_cast<std::ptrdiff_t>(random() % alive.size()));
            const auto slot = at->first;
            alive.erase(at);
            table.ended(slot, random() % 2 == 0, "boom", at_ms(clock));
          }
          break;
        case 5:
        case 6:
          if (!timers.empty())
            table.fired(timers[random() % timers.size()], at_ms(clock));
          break;
        default:
          if (random() % 20 == 0) {
            table.stop(at_ms(clock));
            asked_to_stop = true;
          } else if (serial > 0) {
            (void) table.remove(std::to_string(random() % serial), at_ms(clock));
          }
      }
      carry_out();
    }
    // Whatever happened: told to stop, and every child ending when told, it finishes.
    table.stop(at_ms(clock));
    asked_to_stop = true;
    for (int rounds = 0; rounds < 200 && !finished; ++rounds) {
      carry_out();
      auto told = std::find_if(alive.begin(), alive.end(), [](const auto& x) { return x.second; });
      if (told == alive.end())
        continue;
      const auto slot = told->first;
      alive.erase(told);
      table.ended(slot, true, "", at_ms(clock));
    }
    carry_out();
    BOOST_REQUIRE_MESSAGE(finished, "never finished, seed " << seed);
  }
}

BOOST_AUTO_TEST_SUITE_END()
