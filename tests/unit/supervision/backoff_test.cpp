#include "actors/supervision/backoff.hpp"
#include "actors/supervision/restart_budget.hpp"
#include "tests/unit/supervision/support.hpp"

#include <boost/test/unit_test.hpp>
#include <rapidcheck.h>

using namespace signet;
using namespace signet::supervision;
using namespace signet::testing;
using std::chrono::milliseconds;

BOOST_AUTO_TEST_SUITE(backoff)

BOOST_AUTO_TEST_CASE(the_ceiling_doubles_until_the_cap) {
  const backoff_rule rule{milliseconds{100}, milliseconds{1'000}, milliseconds{0}};
  const std::vector<int> expected{100, 200, 400, 800, 1'000, 1'000};
  for (std::size_t i = 0; i < expected.size(); ++i)
    BOOST_TEST(backoff_ceiling(rule, i + 1).count() == expected[i]);
  BOOST_TEST(backoff_ceiling(rule, 0).count() == 100);
}

BOOST_AUTO_TEST_CASE(no_attempt_number_overflows) {
  const backoff_rule rule{milliseconds{1}, milliseconds{INT64_MAX / 1'000'000}, milliseconds{0}};
  BOOST_TEST(backoff_ceiling(rule, UINT64_MAX).count() == rule.cap.count());
  BOOST_TEST(backoff_ceiling({milliseconds{0}, milliseconds{10}, milliseconds{0}}, UINT64_MAX).count() == 0);
}

BOOST_AUTO_TEST_CASE(the_delay_is_spread_over_the_whole_range_and_never_leaves_it) {
  const backoff_rule rule{milliseconds{100}, milliseconds{1'000}, milliseconds{20}};
  seeded_random random{1};
  milliseconds least = milliseconds::max(), most{0};
  std::int64_t sum = 0;
  for (int i = 0; i < 20'000; ++i) {
    const auto delay = backoff_delay(rule, 2, random);
    least = std::min(least, delay);
    most = std::max(most, delay);
    sum += delay.count();
  }
  BOOST_TEST(least.count() == 20);
  BOOST_TEST(most.count() == 200);
  BOOST_TEST(std::abs(static_cast<double>(sum) / 20'000 - 110.0) < 2.0);
}

BOOST_AUTO_TEST_CASE(a_floor_above_the_ceiling_is_the_delay) {
  fixed_random random{12345};
  BOOST_TEST(backoff_delay({milliseconds{10}, milliseconds{50}, milliseconds{200}}, 1, random).count() == 200);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(budget)

BOOST_AUTO_TEST_CASE(so_many_restarts_within_the_window_and_no_more) {
  restart_budget budget{{3, milliseconds{1'000}}};
  BOOST_TEST(budget.spend(at_ms(0)));
  BOOST_TEST(budget.spend(at_ms(10)));
  BOOST_TEST(budget.spend(at_ms(999)));
  BOOST_TEST(!budget.spend(at_ms(999)));
  BOOST_TEST(budget.spent(at_ms(999)) == 3u);
}

BOOST_AUTO_TEST_CASE(the_window_is_half_open) {
  restart_budget budget{{1, milliseconds{1'000}}};
  BOOST_TEST(budget.spend(at_ms(5)));
  BOOST_TEST(!budget.spend(at_ms(1'004)));
  BOOST_TEST(budget.spend(at_ms(1'005)));
}

BOOST_AUTO_TEST_CASE(a_refusal_is_not_counted) {
  restart_budget budget{{1, milliseconds{100}}};
  BOOST_TEST(budget.spend(at_ms(0)));
  for (std::uint64_t t = 1; t < 100; ++t)
    BOOST_TEST(!budget.spend(at_ms(t)));
  BOOST_TEST(budget.spend(at_ms(100)));
}

BOOST_AUTO_TEST_CASE(a_budget_of_nothing_allows_nothing) {
  restart_budget budget{{0, milliseconds{100}}};
  BOOST_TEST(!budget.spend(at_ms(0)));
}

BOOST_AUTO_TEST_CASE(it_agrees_with_a_scan_over_all_restarts) {
  BOOST_TEST(rc::check([] {
    const auto limit = *rc::gen::inRange<std::size_t>(0, 6);
    const auto window = *rc::gen::inRange<std::uint64_t>(1, 50);
    const auto steps = *rc::gen::container<std::vector<std::uint64_t>>(rc::gen::inRange<std::uint64_t>(0, 30));
    restart_budget budget{{limit, milliseconds{static_cast<std::int64_t>(window)}}};
    std::vector<std::uint64_t> granted;
    std::uint64_t now = 0;
    for (auto step : steps) {
      now += step;
      const auto weigh = static_cast<std::size_t>(
        std::count_if(granted.begin(), granted.end(), [&](auto t) { return now < t + window; }));
      const bool expected = weigh < limit;
      RC_ASSERT(budget.spend(at_ms(now)) == expected);
      if (expected)
        granted.push_back(now);
    }
  }));
}

BOOST_AUTO_TEST_SUITE_END()
