// Which packet may leave in which state, as a table: rows are packets, columns are what has happened before.

#include "actors/bridge/door.hpp"
#include "actors/bridge/gate.hpp"

#include <boost/test/unit_test.hpp>

#include <functional>

namespace signet {
namespace {

using mqtt::reason_code;

mqtt::auth auth_with(reason_code code) {
  return {code, {{mqtt::property_id::authentication_method, std::string{"signet-ed25519"}}}};
}

struct row {
  const char* what;
  mqtt::packet packet;
  // '+' may leave, '.' may not, in: connecting, proving, attached without CONNACK, attached, attached after a refusal,
  // closing.
  const char* expected;
};

const std::vector<row> rows{
  {"refusing CONNACK", mqtt::connack{false, reason_code::not_authorized, {}}, "+++..."},
  {"refusing CONNACK that claims a session", mqtt::connack{true, reason_code::not_authorized, {}}, "......"},
  {"CONNACK", mqtt::connack{}, ".++..."},
  {"CONNACK with a session", mqtt::connack{true, reason_code::success, {}}, ".++..."},
  {"AUTH that continues", auth_with(reason_code::continue_authentication), ".+.+.."},
  {"AUTH that succeeds", auth_with(reason_code::success), "...+.."},
  {"AUTH that begins", auth_with(reason_code::reauthenticate), "......"},
  {"PUBLISH", mqtt::publish{false, mqtt::qos::at_least_once, false, "signet/v1/inbox", 1, {}, {}}, "...+.."},
  {"PUBACK", mqtt::puback{1, reason_code::success, {}}, "...+.."},
  {"SUBACK", mqtt::suback{1, {}, {reason_code::granted_qos_1}}, "...+.."},
  {"UNSUBACK", mqtt::unsuback{1, {}, {reason_code::success}}, "...+.."},
  {"PINGRESP", mqtt::pingresp{}, "...+.."},
  {"DISCONNECT", mqtt::disconnect{reason_code::session_taken_over, {}}, "...+.."},
  {"PUBREC", mqtt::pubrec{1, reason_code::success, {}}, "......"},
  {"PUBREL", mqtt::pubrel{1, reason_code::success, {}}, "......"},
  {"PUBCOMP", mqtt::pubcomp{1, reason_code::success, {}}, "......"},
  {"CONNECT", mqtt::connect{}, "......"},
  {"SUBSCRIBE", mqtt::subscribe{1, {}, {}}, "......"},
  {"UNSUBSCRIBE", mqtt::unsubscribe{1, {}, {"signet/v1/inbox"}}, "......"},
  {"PINGREQ", mqtt::pingreq{}, "......"},
};

void leave(gate& one, const mqtt::packet& packet, std::size_t size = 4) {
  BOOST_REQUIRE(one.may_leave(packet) == gate::verdict::pass);
  BOOST_REQUIRE(one.may_leave(size) == gate::verdict::pass);
  one.left(packet, size);
}

gate in_column(int column) {
  gate out;
  if (column >= 1)
    out.advance(link_state::proving);
  if (column >= 2)
    out.advance(link_state::attached);
  if (column == 3 || column == 5)
    leave(out, mqtt::connack{});
  if (column == 4)
    leave(out, mqtt::connack{false, reason_code::server_busy, {}});
  if (column == 5)
    out.advance(link_state::closing);
  return out;
}

} // namespace

BOOST_AUTO_TEST_SUITE(bridge_gate)

BOOST_AUTO_TEST_CASE(every_packet_in_every_state_is_let_through_or_held_back_as_the_table_says) {
  for (const auto& [what, packet, expected] : rows)
    for (int column = 0; column < 6; ++column)
      BOOST_TEST((in_column(column).may_leave(packet) == gate::verdict::pass) == (expected[column] == '+'),
                 what << " in column " << column);
}

BOOST_AUTO_TEST_CASE(the_table_names_every_packet_type) {
  std::vector<bool> seen(16);
  for (const auto& each : rows)
    seen[static_cast<std::size_t>(mqtt::type_of(each.packet))] = true;
  for (std::size_t type = 1; type < 16; ++type)
    BOOST_TEST(seen[type], "packet type " << type);
}

BOOST_AUTO_TEST_CASE(a_second_connack_never_leaves) {
  gate one;
  one.advance(link_state::proving);
  leave(one, mqtt::connack{});
  BOOST_TEST((one.may_leave(mqtt::packet{mqtt::connack{}}) == gate::verdict::wrong_state));
  one.advance(link_state::attached);
  BOOST_TEST((one.may_leave(mqtt::packet{mqtt::connack{}}) == gate::verdict::wrong_state));
}

BOOST_AUTO_TEST_CASE(nothing_leaves_behind_the_connack_of_a_session_that_is_not_attached_yet) {
  gate one;
  one.advance(link_state::proving);
  leave(one, mqtt::connack{});
  for (const auto& each : rows)
    BOOST_TEST((one.may_leave(each.packet) != gate::verdict::pass), each.what);
}

BOOST_AUTO_TEST_CASE(states_never_go_back) {
  gate one;
  BOOST_TEST(one.advance(link_state::closing));
  BOOST_TEST(!one.advance(link_state::attached));
  BOOST_TEST((one.state() == link_state::closing));
}

BOOST_AUTO_TEST_CASE(five_hundred_and_twelve_bytes_leave_before_attached_and_not_one_more) {
  gate one;
  one.advance(link_state::proving);
  BOOST_TEST((one.may_leave(std::size_t{513}) == gate::verdict::over_budget));
  leave(one, auth_with(reason_code::continue_authentication), 500);
  BOOST_TEST((one.may_leave(std::size_t{12}) == gate::verdict::pass));
  BOOST_TEST((one.may_leave(std::size_t{13}) == gate::verdict::over_budget));
  leave(one, auth_with(reason_code::continue_authentication), 12);
  BOOST_TEST((one.may_leave(std::size_t{1}) == gate::verdict::over_budget));
  one.advance(link_state::attached);
  BOOST_TEST((one.may_leave(std::size_t{1} << 20) == gate::verdict::pass));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(bridge_door)

using boost::asio::ip::make_address;

BOOST_AUTO_TEST_CASE(an_address_gets_no_more_strangers_than_its_share_and_others_still_get_theirs) {
  door one{{.connections_max = 100, .strangers_max = 50, .strangers_per_address_max = 2, .strangers_loopback_max = 5}};
  const auto attacker = make_address("192.0.2.1"), other = make_address("192.0.2.2");
  BOOST_TEST((one.enter(attacker) == door::answer::welcome));
  BOOST_TEST((one.enter(attacker) == door::answer::welcome));
  BOOST_TEST((one.enter(attacker) == door::answer::too_many_from_address));
  BOOST_TEST((one.enter(other) == door::answer::welcome));
  one.attached(attacker);
  BOOST_TEST((one.enter(attacker) == door::answer::welcome));
  one.leave(attacker, false);
  BOOST_TEST((one.enter(attacker) == door::answer::welcome));
}

BOOST_AUTO_TEST_CASE(a_whole_ipv6_subnet_counts_as_one_address) {
  door one{{.connections_max = 100, .strangers_max = 50, .strangers_per_address_max = 1, .strangers_loopback_max = 5}};
  BOOST_TEST((one.enter(make_address("2001:db8::1")) == door::answer::welcome));
  BOOST_TEST((one.enter(make_address("2001:db8::ffff:2")) == door::answer::too_many_from_address));
  BOOST_TEST((one.enter(make_address("2001:db8:0:1::1")) == door::answer::welcome));
}

BOOST_AUTO_TEST_CASE(strangers_cannot_take_the_places_of_those_who_are_attached) {
  door one{{.connections_max = 4, .strangers_max = 2, .strangers_per_address_max = 9, .strangers_loopback_max = 9}};
  const auto from = [](int i) { return make_address("192.0.2." + std::to_string(i)); };
  BOOST_TEST((one.enter(from(1)) == door::answer::welcome));
  BOOST_TEST((one.enter(from(2)) == door::answer::welcome));
  BOOST_TEST((one.enter(from(3)) == door::answer::too_many_strangers));
  one.attached(from(1));
  one.attached(from(2));
  BOOST_TEST((one.enter(from(3)) == door::answer::welcome));
  BOOST_TEST((one.enter(from(4)) == door::answer::welcome));
  BOOST_TEST((one.enter(from(5)) == door::answer::full));
  one.leave(from(1), true);
  one.leave(from(3), false);
  BOOST_TEST(one.connections() == 2u);
  BOOST_TEST(one.strangers() == 1u);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace signet
