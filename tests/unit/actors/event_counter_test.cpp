#include "actors/security/event_counter.hpp"

#include <boost/test/unit_test.hpp>

using namespace signet;

namespace {
security_event_seen failed_login(std::uint8_t who, std::string source = "192.0.2.1") {
  return {"login_failed", bytes{who}, {}, "", std::move(source)};
}
} // namespace

BOOST_AUTO_TEST_SUITE(event_counter_tests)

BOOST_AUTO_TEST_CASE(the_same_event_is_counted_not_repeated) {
  event_counter counter;
  for (int i = 0; i < 1000; ++i)
    counter.add(failed_login(1));
  auto events = counter.take(10);
  BOOST_REQUIRE(events.size() == 1U);
  BOOST_TEST(events[0].count == 1000U);
  BOOST_TEST(counter.empty());
}

BOOST_AUTO_TEST_CASE(a_flood_of_different_events_costs_bounded_memory_and_loses_no_count) {
  event_counter counter(16);
  for (int i = 0; i < 10'000; ++i)
    counter.add(failed_login(1, std::to_string(i)));
  auto events = counter.take(100);
  BOOST_TEST(events.size() == 17U);
  std::uint64_t sum = 0;
  for (const auto& event : events)
    sum += event.count;
  BOOST_TEST(sum == 10'000U);
  BOOST_TEST(counter.totals().at("login_failed") == 10'000U);
}

BOOST_AUTO_TEST_CASE(what_could_not_be_written_is_counted_with_what_came_since) {
  event_counter counter;
  counter.add(failed_login(1));
  auto events = counter.take(10);
  counter.add(failed_login(1));
  counter.give_back(events);
  events = counter.take(10);
  BOOST_REQUIRE(events.size() == 1U);
  BOOST_TEST(events[0].count == 2U);
  BOOST_TEST(counter.totals().at("login_failed") == 2U);
}

BOOST_AUTO_TEST_CASE(long_texts_are_cut) {
  event_counter counter;
  counter.add({std::string(1000, 'k'), bytes(1000), bytes(1000), std::string(1000, 'd'), std::string(1000, 's')});
  auto events = counter.take(1);
  BOOST_REQUIRE(events.size() == 1U);
  BOOST_TEST(events[0].what.kind.size() == 64U);
  BOOST_TEST(events[0].what.subject.size() == 64U);
  BOOST_TEST(events[0].what.detail.size() == 64U);
}

BOOST_AUTO_TEST_SUITE_END()
