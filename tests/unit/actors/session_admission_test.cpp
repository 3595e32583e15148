// Who may ask for how much before, and while, they prove who they are; and the registry's two small books.

#include "actors/session/admission.hpp"
#include "actors/session/parking.hpp"
#include "actors/settings.hpp"
#include "messages/security_events.hpp"

#include <boost/test/unit_test.hpp>
#include <fstream>
#include <random>
#include <set>
#include <sstream>

using namespace signet;

namespace {
constexpr steady_ms start{1'000'000};
constexpr steady_ms after(std::uint64_t ms) { return steady_ms{value(start) + ms}; }
std::shared_ptr<admission> make(admission_settings settings = {}) { return std::make_shared<admission>(settings); }
} // namespace

BOOST_AUTO_TEST_SUITE(session_admission)

BOOST_AUTO_TEST_CASE(an_address_has_thirty_two_connections_without_a_proof) {
  auto gate = make();
  std::vector<std::unique_ptr<admission::ticket>> tickets;
  for (int at = 0; at < 32; ++at)
    BOOST_TEST_REQUIRE((tickets.emplace_back(gate->admit("192.0.2.1", false, start)) != nullptr));
  BOOST_TEST((gate->admit("192.0.2.1", false, start) == nullptr));
  BOOST_TEST((gate->admit("192.0.2.2", false, start) != nullptr));
  tickets[3]->authenticated();
  BOOST_TEST_REQUIRE((tickets.emplace_back(gate->admit("192.0.2.1", false, start)) != nullptr));
  BOOST_TEST((gate->admit("192.0.2.1", false, start) == nullptr));
  BOOST_TEST(gate->unauthenticated() == 32U);
  BOOST_TEST(gate->connections() == 33U);
  tickets.clear();
  BOOST_TEST(gate->unauthenticated() == 0U);
  BOOST_TEST(gate->connections() == 0U);
}

BOOST_AUTO_TEST_CASE(addresses_of_one_ipv6_network_are_one) {
  admission_settings settings;
  settings.remote.unauthenticated = 1;
  auto gate = make(settings);
  const auto first = gate->admit("2001:db8:1:2::1", false, start);
  BOOST_TEST((gate->admit("2001:db8:1:2:ffff::9", false, start) == nullptr));
  BOOST_TEST((gate->admit("2001:db8:1:3::1", false, start) != nullptr));
  const auto four = gate->admit("192.0.2.1", false, start);
  BOOST_TEST((gate->admit("::ffff:192.0.2.1", false, start) == nullptr));
}

BOOST_AUTO_TEST_CASE(the_node_has_a_limit_for_all_connections) {
  admission_settings settings;
  settings.connections_max = 3;
  auto gate = make(settings);
  std::vector<std::unique_ptr<admission::ticket>> tickets;
  for (const auto* each : {"192.0.2.1", "192.0.2.2", "127.0.0.1"}) {
    tickets.push_back(gate->admit(each, false, start));
    tickets.back()->authenticated();
  }
  BOOST_TEST((gate->admit("192.0.2.9", false, start) == nullptr));
}

BOOST_AUTO_TEST_CASE(an_address_has_five_verifications_a_second_and_all_have_five_hundred) {
  auto gate = make();
  const auto one = gate->admit("192.0.2.1", false, start);
  std::size_t granted = 0;
  for (std::uint64_t ms = 0; ms < 10'000; ms += 10)
    granted += one->may_verify(after(ms)) ? 1 : 0;
  BOOST_TEST(granted >= 50U);
  BOOST_TEST(granted <= 61U);  // ten seconds, and the burst

  auto all = make();
  std::vector<std::unique_ptr<admission::ticket>> many;
  for (int at = 0; at < 1'000; ++at)
    many.push_back(all->admit("198.51." + std::to_string(at / 250) + "." + std::to_string(at % 250), false, start));
  granted = 0;
  for (std::uint64_t ms = 0; ms < 4'000; ms += 100)
    for (auto& each : many)
      granted += each->may_verify(after(ms)) ? 1 : 0;
  BOOST_TEST(granted >= 2'000U);
  BOOST_TEST(granted <= 2'510U);
}

BOOST_AUTO_TEST_CASE(loopback_has_limits_of_its_own_and_does_not_eat_those_of_others) {
  admission_settings settings;
  settings.loopback.verifications = 1'000;
  settings.verifications_total = 10;
  auto gate = make(settings);
  const auto local = gate->admit("127.0.0.1", true, start);
  std::size_t granted = 0;
  for (int at = 0; at < 5'000; ++at)
    granted += local->may_verify(start) ? 1 : 0;
  BOOST_TEST(granted == 2'000U);  // the burst: lenient, and bounded
  const auto remote = gate->admit("192.0.2.1", false, start);
  BOOST_TEST(remote->may_verify(start));
}

BOOST_AUTO_TEST_CASE(ten_failed_logins_a_minute_and_the_address_waits) {
  auto gate = make();
  const auto one = gate->admit("192.0.2.1", false, start);
  for (int at = 0; at < 10; ++at) {
    BOOST_TEST(one->may_try(start));
    one->login_failed(start);
  }
  BOOST_TEST(!one->may_try(start));
  BOOST_TEST(gate->admit("192.0.2.7", false, start)->may_try(start));  // nobody else is locked out
  BOOST_TEST(!one->may_try(after(5'000)));
  BOOST_TEST(one->may_try(after(6'100)));
  one->login_failed(after(6'100));
  BOOST_TEST(!one->may_try(after(6'200)));
}

BOOST_AUTO_TEST_CASE(identities_are_created_one_a_second_for_an_address) {
  auto gate = make();
  const auto one = gate->admit("192.0.2.1", false, start);
  BOOST_TEST(one->may_create_identity(start));
  BOOST_TEST(!one->may_create_identity(after(900)));
  BOOST_TEST(one->may_create_identity(after(1'001)));
}

BOOST_AUTO_TEST_CASE(a_flood_from_many_addresses_costs_bounded_memory_and_refuses_more) {
  admission_settings settings;
  settings.addresses_max = 10;
  settings.remote.unauthenticated = 2;
  auto gate = make(settings);
  std::vector<std::unique_ptr<admission::ticket>> tickets;
  for (int at = 0; at < 100; ++at)
    if (auto one = gate->admit("198.51.100." + std::to_string(at), false, start))
      tickets.push_back(std::move(one));
  BOOST_TEST(tickets.size() == 12U);  // one each for ten, and two for all the others together
  tickets.clear();
  BOOST_TEST(gate->unauthenticated() == 0U);
  BOOST_TEST((gate->admit("198.51.100.200", false, after(2'000)) != nullptr));
}

BOOST_AUTO_TEST_CASE(two_holders_of_a_client_id_wait_a_second_and_then_twice_as_long_each_time) {
  auto gate = make();
  const permalink who{{1}};
  BOOST_TEST(gate->storm_wait_ms(who, "x", start) == 0U);
  BOOST_TEST(!gate->took_over(who, "x", start));  // once is a client that came back
  BOOST_TEST(gate->storm_wait_ms(who, "x", start) == 0U);
  std::vector<std::uint64_t> waits;
  auto now = start;
  for (int round = 0; round < 8; ++round) {
    BOOST_TEST(gate->took_over(who, "x", now));
    waits.push_back(gate->storm_wait_ms(who, "x", now));
    now = steady_ms{value(now) + waits.back()};
    BOOST_TEST(gate->storm_wait_ms(who, "x", now) == 0U);
  }
  BOOST_TEST(waits == (std::vector<std::uint64_t>{1'000, 2'000, 4'000, 8'000, 16'000, 32'000, 60'000, 60'000}),
             boost::test_tools::per_element());
  BOOST_TEST(gate->storm_wait_ms(who, "y", now) == 0U);
  BOOST_TEST(gate->storm_wait_ms(permalink{{2}}, "x", now) == 0U);
  BOOST_TEST(!gate->took_over(who, "x", steady_ms{value(now) + 200'000}));  // it was quiet: forgotten
}

BOOST_AUTO_TEST_CASE(limits_come_from_the_configuration) {
  node_settings from;
  from.limits.connections = 7;
  from.limits.verifications_per_address = 3;
  from.limits.verifications_loopback = 33;
  from.limits.verifications_total = 333;
  const auto settings = admission_settings_from(from);
  BOOST_TEST(settings.connections_max == 7U);
  BOOST_TEST(settings.remote.verifications == 3.0);
  BOOST_TEST(settings.loopback.verifications == 33.0);
  BOOST_TEST(settings.verifications_total == 333.0);
}

// ---- parked sessions

BOOST_AUTO_TEST_CASE(a_parked_session_is_found_once_until_its_time_is_over) {
  parking_lot lot{10};
  const client_name who{permalink{{1}}, "x"};
  parked_state state;
  state.last_id = 42;
  lot.park(who, state, after(1'000));
  BOOST_TEST(lot.take(who, after(999), 9, 0)->last_id == 42);
  BOOST_TEST(!lot.take(who, after(999), 9, 0).has_value());
  lot.park(who, state, after(1'000));
  BOOST_TEST(!lot.take(who, after(1'000), 9, 0).has_value());
  lot.park(who, state, after(1'000));
  lot.tidy(after(1'000));
  BOOST_TEST(lot.size() == 0U);
}

BOOST_AUTO_TEST_CASE(a_full_lot_lets_go_of_what_would_end_first) {
  parking_lot lot{3};
  for (std::uint8_t at = 1; at <= 4; ++at)
    lot.park({permalink{{at}}, "x"}, {}, after(at == 2 ? 10 : 100U * at));
  BOOST_TEST(lot.size() == 3U);
  BOOST_TEST(!lot.take({permalink{{2}}, "x"}, start, 9, 0).has_value());
  BOOST_TEST(lot.take({permalink{{1}}, "x"}, start, 9, 0).has_value());
  parking_lot none{0};
  none.park({permalink{{1}}, "x"}, {}, after(100));
  BOOST_TEST(none.size() == 0U);
}

BOOST_AUTO_TEST_CASE(what_is_parked_is_for_the_next_connection_of_its_client_only) {
  const client_name who{permalink{{1}}, "x"};
  parked_state state;
  state.epoch = 10;
  parking_lot lot{10};
  const auto inherits = [&](std::uint64_t epoch, std::uint64_t replaced, std::initializer_list<std::uint64_t> opened) {
    lot.park(who, state, after(1'000));
    for (const auto each : opened)
      lot.opened(who, each);
    return lot.take(who, start, epoch, replaced).has_value();
  };
  BOOST_TEST(inherits(20, 10, {}));
  BOOST_TEST(inherits(20, 0, {}));        // its row had been closed, and nobody came since
  BOOST_TEST(inherits(20, 10, {20}));
  BOOST_TEST(inherits(20, 0, {20}));
  BOOST_TEST(inherits(20, 10, {5, 20}));  // news that are older than what was left
  BOOST_TEST(inherits(20, 10, {20, 30}));
  BOOST_TEST(!inherits(20, 15, {}));      // the row is of somebody who came between
  BOOST_TEST(!inherits(20, 0, {15}));     // the same, and has gone again
  BOOST_TEST(!inherits(20, 0, {15, 20}));
  BOOST_TEST(!inherits(20, 15, {15, 20}));
  BOOST_TEST(lot.size() == 0U);           // either way it is taken
}

BOOST_AUTO_TEST_CASE(an_idle_session_that_was_opened_again_elsewhere_is_not_closed_here) {
  idle_list list;
  const client_name who{permalink{{1}}, "x"};
  list.add({permalink{{1}}, public_key{{1}}, "x"}, 10, after(100));
  list.opened(who, 10);
  BOOST_TEST(list.size() == 1U);
  list.opened(who, 11);
  BOOST_TEST(list.size() == 0U);
}

BOOST_AUTO_TEST_CASE(idle_sessions_come_due_in_order_of_time_unless_their_client_is_back) {
  idle_list list;
  for (std::uint8_t at = 1; at <= 3; ++at)
    list.add({permalink{{at}}, public_key{{at}}, "x"}, at, after(100U * at));
  list.remove({permalink{{1}}, "x"});
  list.add({permalink{{2}}, public_key{{2}}, "x"}, 9, after(250));  // went again: its time starts anew
  BOOST_TEST(list.take_due(after(240)).empty());
  const auto due = list.take_due(after(300));
  BOOST_TEST_REQUIRE(due.size() == 2U);
  BOOST_TEST(due[0].epoch == 9U);
  BOOST_TEST(due[1].epoch == 3U);
  BOOST_TEST(list.size() == 0U);
}

// ---- names of security events

BOOST_AUTO_TEST_CASE(every_kind_of_security_event_has_a_name_and_a_line_in_the_document) {
  std::ifstream file{SIGNET_SOURCE_DIR "/docs/security-events.md"};
  std::stringstream text;
  text << file.rdbuf();
  std::set<std::string_view> names;
  for (const auto kind : security_kinds()) {
    BOOST_TEST((find_security_kind(name(kind)) == kind));
    names.insert(name(kind));
    BOOST_TEST(text.str().find("| `" + std::string{name(kind)} + "` |") != std::string::npos, name(kind));
  }
  BOOST_TEST(names.size() == security_kinds().size());
  BOOST_TEST(!find_security_kind("nothing").has_value());
}

BOOST_AUTO_TEST_SUITE_END()
