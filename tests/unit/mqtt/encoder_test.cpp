// What the encoder refuses to send, and what it leaves out.

#include "messages/mqtt/codec.hpp"
#include "messages/mqtt/tables.hpp"

#include <boost/test/unit_test.hpp>

namespace {

using namespace signet;
using namespace signet::mqtt;

constexpr auto v5 = protocol_version::v5;
constexpr auto v311 = protocol_version::v311;

ec code_of(const packet& any, role sender, protocol_version version, std::size_t size_max = packet_size_limit) {
  const auto out = encode(any, sender, version, size_max);
  return out ? ec::ok : out.error().code;
}
bool refused(const packet& any, role sender = role::client, protocol_version version = v5) {
  return code_of(any, sender, version) == ec::malformed;
}
bool sent(const packet& any, role sender = role::client, protocol_version version = v5) {
  return code_of(any, sender, version) == ec::ok;
}
publish to(std::string topic) {
  publish out;
  out.topic = std::move(topic);
  return out;
}

} // namespace

BOOST_AUTO_TEST_SUITE(mqtt_encoder)

BOOST_AUTO_TEST_CASE(a_side_sends_only_its_own_packets) {
  BOOST_CHECK(sent(pingreq{}));
  BOOST_CHECK(refused(pingreq{}, role::server));
  BOOST_CHECK(sent(pingresp{}, role::server));
  BOOST_CHECK(refused(pingresp{}));
  BOOST_CHECK(refused(connack{}));
  BOOST_CHECK(refused(suback{1, {}, {reason_code::success}}));
  BOOST_CHECK(refused(subscribe{1, {}, {{"a"}}}, role::server));
  BOOST_CHECK(sent(disconnect{}, role::client, v311));
  BOOST_CHECK(refused(disconnect{}, role::server, v311));
  auth proof{reason_code::continue_authentication, properties{}.add(property_id::authentication_method, "m")};
  BOOST_CHECK(sent(proof, role::server));
  BOOST_CHECK(refused(proof, role::server, v311));
}

BOOST_AUTO_TEST_CASE(a_packet_carries_only_its_reason_codes) {
  BOOST_CHECK(sent(puback{1, reason_code::quota_exceeded, {}}, role::server));
  BOOST_CHECK(refused(puback{1, reason_code::message_rate_too_high, {}}, role::server));
  BOOST_CHECK(sent(connack{false, reason_code::server_unavailable, {}}, role::server));
  BOOST_CHECK(refused(disconnect{reason_code::server_unavailable, {}}, role::server));
  BOOST_CHECK(sent(disconnect{reason_code::session_taken_over, {}}, role::server));
  BOOST_CHECK(refused(disconnect{reason_code::session_taken_over, {}}, role::client));
  BOOST_CHECK(refused(suback{1, {}, {reason_code::server_busy}}, role::server));
  BOOST_CHECK(refused(connack{true, reason_code::not_authorized, {}}, role::server));
  properties method;
  method.add(property_id::authentication_method, "m");
  BOOST_CHECK(sent(auth{reason_code::success, method}, role::server));
  BOOST_CHECK(refused(auth{reason_code::success, method}, role::client));
  BOOST_CHECK(refused(auth{reason_code::reauthenticate, method}, role::server));
  BOOST_CHECK(refused(auth{reason_code::success, {}}, role::server));
}

BOOST_AUTO_TEST_CASE(a_packet_holds_only_its_properties) {
  BOOST_CHECK(refused(puback{1, {}, properties{}.add(property_id::content_type, "x")}));
  BOOST_CHECK(refused(disconnect{{}, properties{}.add(property_id::session_expiry_interval, 1)}, role::server));
  BOOST_CHECK(sent(disconnect{{}, properties{}.add(property_id::session_expiry_interval, 1)}, role::client));
  BOOST_CHECK(refused(disconnect{{}, properties{{property_id::reason_string, "a"}, {property_id::reason_string, "b"}}}));
  BOOST_CHECK(refused(disconnect{{}, properties{{property_id::reason_string, 7u}}}));
  BOOST_CHECK(refused(disconnect{{}, properties{{static_cast<property_id>(0x7E), 7u}}}));
  BOOST_CHECK(refused(disconnect{{}, properties{{property_id::user_property, "alone"}}}));
  auto p = to("t");
  p.props.add(property_id::topic_alias, 0);
  BOOST_CHECK(refused(p));
  p.props = properties{}.add(property_id::subscription_identifier, 5);
  BOOST_CHECK(refused(p, role::client));
  BOOST_CHECK(sent(p, role::server));
  p.props = properties{}.add(property_id::response_topic, "a/#");
  BOOST_CHECK(refused(p));
  p.props = properties{}.add(property_id::payload_format_indicator, 2);
  BOOST_CHECK(refused(p));
}

BOOST_AUTO_TEST_CASE(fields_out_of_their_range_are_refused) {
  for (const auto version : {v5, v311}) {
    BOOST_CHECK(refused(to(""), role::client, version));
    BOOST_CHECK(refused(to("a/+"), role::client, version));
    BOOST_CHECK(refused(to(std::string("a\0b", 3)), role::client, version));
    BOOST_CHECK(refused(to("\xC0\xAF"), role::client, version));
    BOOST_CHECK(refused(to(std::string(65'536, 'a')), role::client, version));
    BOOST_CHECK(sent(to(std::string(65'535, 'a')), role::client, version));
    auto p = to("t");
    p.quality = qos::at_least_once;
    BOOST_CHECK(refused(p, role::client, version));
    p.id = 1;
    BOOST_CHECK(sent(p, role::client, version));
    p.quality = qos::at_most_once;
    BOOST_CHECK(refused(p, role::client, version));
    p.id = 0;
    p.dup = true;
    BOOST_CHECK(refused(p, role::client, version));
    BOOST_CHECK(refused(puback{}, role::client, version));
    BOOST_CHECK(refused(subscribe{1, {}, {}}, role::client, version));
    BOOST_CHECK(refused(subscribe{1, {}, {{"a#"}}}, role::client, version));
    BOOST_CHECK(refused(unsubscribe{1, {}, {}}, role::client, version));
    BOOST_CHECK(refused(suback{1, {}, {}}, role::server, version));
    connect c;
    c.version = version == v5 ? v311 : v5;
    BOOST_CHECK(refused(c, role::client, version));
    c.version = version;
    c.will = will_message{"w/#", {}, {}, false, {}};
    BOOST_CHECK(refused(c, role::client, version));
    c.will->topic = "w";
    BOOST_CHECK(sent(c, role::client, version));
    c.password = bytes(65'536, 1);
    c.user_name = "u";
    BOOST_CHECK(refused(c, role::client, version));
  }
  BOOST_CHECK(refused(subscribe{1, {}, {{"$share/g/a", {}, true}}}));
}

BOOST_AUTO_TEST_CASE(what_3_1_1_cannot_say_is_refused) {
  BOOST_CHECK(refused(puback{1, reason_code::implementation_specific_error, {}}, role::server, v311));
  BOOST_CHECK(refused(disconnect{reason_code::disconnect_with_will, {}}, role::client, v311));
  BOOST_CHECK(refused(subscribe{1, {}, {{"a", {}, true}}}, role::client, v311));
  BOOST_CHECK(refused(suback{1, {}, {reason_code::not_authorized}}, role::server, v311));
  BOOST_CHECK(refused(unsuback{1, {}, {reason_code::success}}, role::server, v311));
  BOOST_CHECK(refused(connack{false, reason_code::quota_exceeded, {}}, role::server, v311));
  auto p = to("t");
  p.props.add_user("k", "v");
  BOOST_CHECK(refused(p, role::server, v311));
  BOOST_CHECK(refused(connack{false, {}, properties{}.add(property_id::receive_maximum, 5)}, role::server, v311));
  connect c;
  c.version = v311;
  c.client_id = "c";
  c.password = bytes{1};
  BOOST_CHECK(refused(c, role::client, v311));
  c.password.reset();
  c.client_id.clear();
  c.clean_start = false;
  BOOST_CHECK(refused(c, role::client, v311));
}

BOOST_AUTO_TEST_CASE(diagnostics_are_left_out_in_3_1_1) {
  const puback full{7, {}, properties{}.add(property_id::reason_string, "why").add_user("k", "v")};
  BOOST_CHECK(encode(full, role::server, v311).value() == (bytes{0x40, 2, 0, 7}));
}

BOOST_AUTO_TEST_CASE(every_5_0_code_of_connack_has_a_nearest_one_in_3_1_1) {
  for (unsigned raw = 0; raw < 256; ++raw) {
    const auto code = static_cast<reason_code>(raw);
    if (!rule_of(packet_type::connack).server_codes.contains(code))
      continue;
    BOOST_CHECK(sent(connack{false, nearest_v311(code), {}}, role::server, v311));
    BOOST_CHECK_EQUAL(is_refusal(nearest_v311(code)), is_refusal(code));
  }
  BOOST_CHECK(nearest_v311(reason_code::server_busy) == reason_code::server_unavailable);
  BOOST_CHECK(nearest_v311(reason_code::banned) == reason_code::not_authorized);
}

BOOST_AUTO_TEST_CASE(a_publish_is_never_cut_to_fit) {
  auto p = to("t");
  p.props.add_user("k", "v");
  p.payload.assign(100, 1);
  const auto size = encode(p, role::server, v5).value().size();
  BOOST_CHECK(code_of(p, role::server, v5, size) == ec::ok);
  BOOST_CHECK(code_of(p, role::server, v5, size - 1) == ec::too_large);
}

BOOST_AUTO_TEST_CASE(a_failed_packet_leaves_the_output_as_it_was) {
  bytes out{1, 2, 3};
  BOOST_CHECK(!encode_to(out, to("#"), role::client, v5));
  BOOST_CHECK(!encode_to(out, puback{1, {}, {}}, role::client, v5, 3));
  BOOST_CHECK(out == (bytes{1, 2, 3}));
  BOOST_CHECK(encode_to(out, puback{1, {}, {}}, role::client, v5, 4));
  BOOST_CHECK(out == (bytes{1, 2, 3, 0x40, 2, 0, 1}));
}

BOOST_AUTO_TEST_CASE(the_head_of_a_publish_and_its_payload_are_the_packet) {
  for (const std::size_t size : {0u, 1u, 122u, 123u, 124u, 16'000u, 20'000u, 300'000u}) {
    auto p = to("t");
    p.props.add_user("k", "v");
    p.payload.assign(size, 0x55);
    const auto whole = encode(p, role::server, v5).value();
    auto parts = encode_publish_head(p, size, role::server, v5).value();
    append(parts, p.payload);
    BOOST_CHECK(parts == whole);
    BOOST_CHECK(encode_publish_head(p, size, role::server, v5, whole.size()));
    BOOST_CHECK(encode_publish_head(p, size, role::server, v5, whole.size() - 1).error().code == ec::too_large);
  }
  BOOST_CHECK(encode_publish_head(to("t"), 300'000'000, role::server, v5).error().code == ec::too_large);
}

BOOST_AUTO_TEST_CASE(problem_information_can_be_withheld) {
  properties both;
  both.add(property_id::reason_string, "why").add_user("k", "v");
  packet a = puback{1, {}, both};
  withhold_problem_information(a);
  BOOST_CHECK(std::get<puback>(a).props.empty());
  for (packet kept : {packet{connack{false, {}, both}}, packet{disconnect{{}, both}}}) {
    const auto before = kept;
    withhold_problem_information(kept);
    BOOST_CHECK(kept == before);
  }
}

BOOST_AUTO_TEST_SUITE_END()
