#include "messages/mqtt/tables.hpp"

#include "messages/mqtt/codec.hpp"

#include <algorithm>

namespace signet::mqtt {
namespace {

using enum packet_type;
using p = property_id;
using k = property_kind;

constexpr code_set none{};
constexpr code_set receipt_by_client{"00 80 83 87 90 91 97 99"};
constexpr code_set receipt_by_server{"00 10 80 83 87 90 91 97 99"};
constexpr code_set release{"00 92"};

// Notes on single cells:
//   0x88 (server unavailable) stands in CONNACK alone; PUBACK has no 0x96; 0x04 is a client's word, and so is 0x19.
constexpr std::array<packet_rule, 15> packet_table{{
  // type, name, flags, client, server, 3.1.1, codes of the client, codes of the server, sheds diagnostics
  {connect, "CONNECT", 0, true, false, true, none, none, false},
  {connack, "CONNACK", 0, false, true, true, none, code_set{"00 80-8A 8C 90 95 97 99-9D 9F"}, true},
  {publish, "PUBLISH", 0, true, true, true, none, none, false},
  {puback, "PUBACK", 0, true, true, true, receipt_by_client, receipt_by_server, true},
  {pubrec, "PUBREC", 0, true, true, true, receipt_by_client, receipt_by_server, true},
  {pubrel, "PUBREL", 2, true, true, true, release, release, true},
  {pubcomp, "PUBCOMP", 0, true, true, true, release, release, true},
  {subscribe, "SUBSCRIBE", 2, true, false, true, none, none, false},
  {suback, "SUBACK", 0, false, true, true, none, code_set{"00-02 80 83 87 8F 91 97 9E A1 A2"}, true},
  {unsubscribe, "UNSUBSCRIBE", 2, true, false, true, none, none, false},
  {unsuback, "UNSUBACK", 0, false, true, true, none, code_set{"00 11 80 83 87 8F 91"}, true},
  {pingreq, "PINGREQ", 0, true, false, true, none, none, false},
  {pingresp, "PINGRESP", 0, false, true, true, none, none, false},
  // In 3.1.1 a DISCONNECT comes from clients alone: the codec checks that beside the version.
  {disconnect, "DISCONNECT", 0, true, true, true, code_set{"00 04 80-83 90 93-99"},
   code_set{"00 80-83 87 89 8B 8D-90 93-A2"}, true},
  {auth, "AUTH", 0, true, true, false, code_set{"18 19"}, code_set{"00 18"}, true},
}};

constexpr std::uint32_t u16_max = 0xFFFF;
constexpr std::uint32_t u32_max = 0xFFFF'FFFF;
constexpr std::uint32_t varint_max = 268'435'455;

constexpr places publishing = in(publish) | in_will;
constexpr places with_reason =
  in(connack) | in(puback) | in(pubrec) | in(pubrel) | in(pubcomp) | in(suback) | in(unsuback) | in(disconnect) | in(auth);
constexpr places everywhere =
  with_reason | in_will | in(connect) | in(publish) | in(subscribe) | in(unsubscribe);
constexpr places limits_of_connection = in(connect) | in(connack);
constexpr places proof = in(connect) | in(connack) | in(auth);

constexpr places client_packets = static_cast<places>(~(in(connack) | in(suback) | in(unsuback) | in(pingresp)));
constexpr places server_packets =
  static_cast<places>(~(in_will | in(connect) | in(subscribe) | in(unsubscribe) | in(pingreq)));

constexpr property_rule row(p id, std::string_view name, k kind, std::uint32_t min, std::uint32_t max, places where,
                            places client_only = 0, places server_only = 0, places client_repeats = 0,
                            places server_repeats = 0) {
  return {id, name, kind, min, max,
          static_cast<places>((where & client_packets) | client_only),
          static_cast<places>((where & server_packets) | server_only),
          client_repeats, server_repeats,
          id == p::topic_alias ? reason_code::topic_alias_invalid : reason_code::protocol_error};
}

constexpr std::array property_table{
  row(p::payload_format_indicator, "payload_format_indicator", k::u8, 0, 1, publishing),
  row(p::message_expiry_interval, "message_expiry_interval", k::u32, 0, u32_max, publishing),
  row(p::content_type, "content_type", k::text, 0, 0, publishing),
  row(p::response_topic, "response_topic", k::topic, 0, 0, publishing),
  row(p::correlation_data, "correlation_data", k::binary, 0, 0, publishing),
  row(p::subscription_identifier, "subscription_identifier", k::varint, 1, varint_max, 0,
      in(subscribe), in(publish), 0, in(publish)),
  row(p::session_expiry_interval, "session_expiry_interval", k::u32, 0, u32_max, limits_of_connection, in(disconnect)),
  row(p::assigned_client_identifier, "assigned_client_identifier", k::text, 0, 0, in(connack)),
  row(p::server_keep_alive, "server_keep_alive", k::u16, 0, u16_max, in(connack)),
  row(p::authentication_method, "authentication_method", k::text, 0, 0, proof),
  row(p::authentication_data, "authentication_data", k::binary, 0, 0, proof),
  row(p::request_problem_information, "request_problem_information", k::u8, 0, 1, in(connect)),
  row(p::will_delay_interval, "will_delay_interval", k::u32, 0, u32_max, in_will),
  row(p::request_response_information, "request_response_information", k::u8, 0, 1, in(connect)),
  row(p::response_information, "response_information", k::text, 0, 0, in(connack)),
  row(p::server_reference, "server_reference", k::text, 0, 0, in(connack), 0, in(disconnect)),
  row(p::reason_string, "reason_string", k::text, 0, 0, with_reason),
  row(p::receive_maximum, "receive_maximum", k::u16, 1, u16_max, limits_of_connection),
  row(p::topic_alias_maximum, "topic_alias_maximum", k::u16, 0, u16_max, limits_of_connection),
  row(p::topic_alias, "topic_alias", k::u16, 1, u16_max, in(publish)),
  row(p::maximum_qos, "maximum_qos", k::u8, 0, 1, in(connack)),
  row(p::retain_available, "retain_available", k::u8, 0, 1, in(connack)),
  row(p::user_property, "user_property", k::pair, 0, 0, everywhere, 0, 0, everywhere, everywhere),
  row(p::maximum_packet_size, "maximum_packet_size", k::u32, 1, u32_max, limits_of_connection),
  row(p::wildcard_subscription_available, "wildcard_subscription_available", k::u8, 0, 1, in(connack)),
  row(p::subscription_identifiers_available, "subscription_identifiers_available", k::u8, 0, 1, in(connack)),
  row(p::shared_subscription_available, "shared_subscription_available", k::u8, 0, 1, in(connack)),
};

constexpr std::size_t property_numbers = 0x2B;
constexpr auto property_index = [] {
  std::array<std::int8_t, property_numbers> index{};
  index.fill(-1);
  for (std::size_t i = 0; i < property_table.size(); ++i)
    index[static_cast<std::size_t>(property_table[i].id)] = static_cast<std::int8_t>(i);
  return index;
}();

static_assert([] {
  for (std::size_t i = 0; i < packet_table.size(); ++i)
    if (static_cast<std::size_t>(packet_table[i].type) != i + 1)
      return false;
  return true;
}(), "rows stand in the order of their numbers");

} // namespace

const packet_rule& rule_of(packet_type type) { return packet_table[static_cast<std::size_t>(type) - 1]; }

const property_rule* find_rule(std::uint32_t property_number) {
  if (property_number >= property_numbers || property_index[property_number] < 0)
    return nullptr;
  return &property_table[static_cast<std::size_t>(property_index[property_number])];
}

std::span<const property_rule> property_rules() { return property_table; }

std::string_view name(packet_type type) { return rule_of(type).name; }

std::string_view name(property_id id) {
  const auto* rule = find_rule(static_cast<std::uint32_t>(id));
  return rule ? rule->name : "unknown";
}

std::string_view name(reason_code code) {
  switch (code) {
    case reason_code::success: return "success";
    case reason_code::granted_qos_1: return "granted_qos_1";
    case reason_code::granted_qos_2: return "granted_qos_2";
    case reason_code::disconnect_with_will: return "disconnect_with_will";
    case reason_code::no_matching_subscribers: return "no_matching_subscribers";
    case reason_code::no_subscription_existed: return "no_subscription_existed";
    case reason_code::continue_authentication: return "continue_authentication";
    case reason_code::reauthenticate: return "reauthenticate";
    case reason_code::unspecified_error: return "unspecified_error";
    case reason_code::malformed_packet: return "malformed_packet";
    case reason_code::protocol_error: return "protocol_error";
    case reason_code::implementation_specific_error: return "implementation_specific_error";
    case reason_code::unsupported_protocol_version: return "unsupported_protocol_version";
    case reason_code::client_identifier_not_valid: return "client_identifier_not_valid";
    case reason_code::bad_user_name_or_password: return "bad_user_name_or_password";
    case reason_code::not_authorized: return "not_authorized";
    case reason_code::server_unavailable: return "server_unavailable";
    case reason_code::server_busy: return "server_busy";
    case reason_code::banned: return "banned";
    case reason_code::server_shutting_down: return "server_shutting_down";
    case reason_code::bad_authentication_method: return "bad_authentication_method";
    case reason_code::keep_alive_timeout: return "keep_alive_timeout";
    case reason_code::session_taken_over: return "session_taken_over";
    case reason_code::topic_filter_invalid: return "topic_filter_invalid";
    case reason_code::topic_name_invalid: return "topic_name_invalid";
    case reason_code::packet_identifier_in_use: return "packet_identifier_in_use";
    case reason_code::packet_identifier_not_found: return "packet_identifier_not_found";
    case reason_code::receive_maximum_exceeded: return "receive_maximum_exceeded";
    case reason_code::topic_alias_invalid: return "topic_alias_invalid";
    case reason_code::packet_too_large: return "packet_too_large";
    case reason_code::message_rate_too_high: return "message_rate_too_high";
    case reason_code::quota_exceeded: return "quota_exceeded";
    case reason_code::administrative_action: return "administrative_action";
    case reason_code::payload_format_invalid: return "payload_format_invalid";
    case reason_code::retain_not_supported: return "retain_not_supported";
    case reason_code::qos_not_supported: return "qos_not_supported";
    case reason_code::use_another_server: return "use_another_server";
    case reason_code::server_moved: return "server_moved";
    case reason_code::shared_subscriptions_not_supported: return "shared_subscriptions_not_supported";
    case reason_code::connection_rate_exceeded: return "connection_rate_exceeded";
    case reason_code::maximum_connect_time: return "maximum_connect_time";
    case reason_code::subscription_identifiers_not_supported: return "subscription_identifiers_not_supported";
    case reason_code::wildcard_subscriptions_not_supported: return "wildcard_subscriptions_not_supported";
  }
  return "unknown";
}

reason_code nearest_v311(reason_code connack_code) {
  using r = reason_code;
  if (std::find(connack_codes_v311.begin(), connack_codes_v311.end(), connack_code) != connack_codes_v311.end())
    return connack_code;
  switch (connack_code) {
    case r::server_busy:
    case r::server_shutting_down:
    case r::message_rate_too_high:
    case r::quota_exceeded:
    case r::connection_rate_exceeded:
    case r::use_another_server:
    case r::server_moved:
    case r::unspecified_error:
      return r::server_unavailable;
    default:
      return r::not_authorized;
  }
}

} // namespace signet::mqtt
