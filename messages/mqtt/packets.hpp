#pragma once
// The fifteen control packets of MQTT 3.1.1 and 5.0 as values. One struct serves both versions: what 3.1.1 does not
// have (properties, most reason codes) is empty there.
//
// Packets own what they hold. They are cheap to move; the payload of a PUBLISH is moved, never copied, from decoder to
// receiver. Reason codes always have their 5.0 meaning: the codec translates CONNACK's return codes of 3.1.1.

#include "messages/bytes.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace signet::mqtt {

/// As it stands in CONNECT.
enum class protocol_version : std::uint8_t { v311 = 4, v5 = 5 };

/// Who speaks.
enum class role : std::uint8_t { client, server };

enum class qos : std::uint8_t { at_most_once = 0, at_least_once = 1, exactly_once = 2 };

/// As it stands in the upper half of a packet's first byte.
enum class packet_type : std::uint8_t {
  connect = 1,
  connack = 2,
  publish = 3,
  puback = 4,
  pubrec = 5,
  pubrel = 6,
  pubcomp = 7,
  subscribe = 8,
  suback = 9,
  unsubscribe = 10,
  unsuback = 11,
  pingreq = 12,
  pingresp = 13,
  disconnect = 14,
  auth = 15,
};
/// "CONNECT", "PUBACK"…
std::string_view name(packet_type type);

/// Reason codes of 5.0; which packet may carry which stands in tables.cpp. From 0x80 on they are refusals.
enum class reason_code : std::uint8_t {
  success = 0x00,
  normal_disconnection = 0x00,
  granted_qos_0 = 0x00,
  granted_qos_1 = 0x01,
  granted_qos_2 = 0x02,
  disconnect_with_will = 0x04,
  no_matching_subscribers = 0x10,
  no_subscription_existed = 0x11,
  continue_authentication = 0x18,
  reauthenticate = 0x19,
  unspecified_error = 0x80,
  malformed_packet = 0x81,
  protocol_error = 0x82,
  implementation_specific_error = 0x83,
  unsupported_protocol_version = 0x84,
  client_identifier_not_valid = 0x85,
  bad_user_name_or_password = 0x86,
  not_authorized = 0x87,
  server_unavailable = 0x88,  ///< CONNACK only
  server_busy = 0x89,
  banned = 0x8A,
  server_shutting_down = 0x8B,
  bad_authentication_method = 0x8C,
  keep_alive_timeout = 0x8D,
  session_taken_over = 0x8E,
  topic_filter_invalid = 0x8F,
  topic_name_invalid = 0x90,
  packet_identifier_in_use = 0x91,
  packet_identifier_not_found = 0x92,
  receive_maximum_exceeded = 0x93,
  topic_alias_invalid = 0x94,
  packet_too_large = 0x95,
  message_rate_too_high = 0x96,
  quota_exceeded = 0x97,
  administrative_action = 0x98,
  payload_format_invalid = 0x99,
  retain_not_supported = 0x9A,
  qos_not_supported = 0x9B,
  use_another_server = 0x9C,
  server_moved = 0x9D,
  shared_subscriptions_not_supported = 0x9E,
  connection_rate_exceeded = 0x9F,
  maximum_connect_time = 0xA0,
  subscription_identifiers_not_supported = 0xA1,
  wildcard_subscriptions_not_supported = 0xA2,
};
/// The identifier as it stands above; "unknown" for a number without one.
std::string_view name(reason_code code);
constexpr bool is_refusal(reason_code code) { return static_cast<std::uint8_t>(code) >= 0x80; }

enum class property_id : std::uint8_t {
  payload_format_indicator = 0x01,
  message_expiry_interval = 0x02,  ///< s
  content_type = 0x03,
  response_topic = 0x08,
  correlation_data = 0x09,
  subscription_identifier = 0x0B,
  session_expiry_interval = 0x11,  ///< s; 0xFFFFFFFF = never
  assigned_client_identifier = 0x12,
  server_keep_alive = 0x13,  ///< s
  authentication_method = 0x15,
  authentication_data = 0x16,
  request_problem_information = 0x17,
  will_delay_interval = 0x18,  ///< s
  request_response_information = 0x19,
  response_information = 0x1A,
  server_reference = 0x1C,
  reason_string = 0x1F,
  receive_maximum = 0x21,
  topic_alias_maximum = 0x22,
  topic_alias = 0x23,
  maximum_qos = 0x24,
  retain_available = 0x25,
  user_property = 0x26,
  maximum_packet_size = 0x27,
  wildcard_subscription_available = 0x28,
  subscription_identifiers_available = 0x29,
  shared_subscription_available = 0x2A,
};
/// The identifier as it stands above; "unknown" for a number without one.
std::string_view name(property_id id);

using text_pair = std::pair<std::string, std::string>;
/// All integers of the wire (u8, u16, u32, variable byte integer) are a uint32 here; text is UTF-8.
using property_value = std::variant<std::uint32_t, std::string, bytes, text_pair>;

struct property {
  property_id id;
  property_value value;
  bool operator==(const property&) const = default;
};

/// The properties of one packet, in the order of the wire. The `find_` functions give the first of that id, or nothing
/// when it is absent (or holds another type, which the codec never lets through).
class properties {
public:
  properties() = default;
  properties(std::initializer_list<property> all) : all_{all} {}

  // Overloads instead of one variant: an int is never taken for a string, nor a literal for a number.
  properties& add(property_id id, std::uint32_t value) { return add(property{id, value}); }
  properties& add(property_id id, std::string value) { return add(property{id, std::move(value)}); }
  properties& add(property_id id, bytes value) { return add(property{id, std::move(value)}); }
  properties& add_user(std::string key, std::string value) {
    return add(property{property_id::user_property, text_pair{std::move(key), std::move(value)}});
  }
  properties& add(property one) {
    all_.push_back(std::move(one));
    return *this;
  }

  /// All of that id.
  void remove(property_id id) {
    std::erase_if(all_, [&](const property& each) { return each.id == id; });
  }

  bool has(property_id id) const { return find(id) != nullptr; }
  const property* find(property_id id) const {
    for (const auto& each : all_)
      if (each.id == id)
        return &each;
    return nullptr;
  }
  std::optional<std::uint32_t> find_number(property_id id) const {
    const auto* value = find_as<std::uint32_t>(id);
    return value ? std::optional{*value} : std::nullopt;
  }
  /// Lives as long as this list stays unchanged.
  std::optional<std::string_view> find_text(property_id id) const {
    const auto* value = find_as<std::string>(id);
    return value ? std::optional<std::string_view>{*value} : std::nullopt;
  }
  /// Lives as long as this list stays unchanged.
  std::optional<bytes_view> find_binary(property_id id) const {
    const auto* value = find_as<bytes>(id);
    return value ? std::optional<bytes_view>{*value} : std::nullopt;
  }
  /// The value of the first user property of that key. Lives as long as this list stays unchanged.
  std::optional<std::string_view> find_user(std::string_view key) const {
    for (const auto& each : all_)
      if (const auto* pair = std::get_if<text_pair>(&each.value); pair && pair->first == key)
        return pair->second;
    return std::nullopt;
  }

  bool empty() const { return all_.empty(); }
  std::size_t size() const { return all_.size(); }
  auto begin() const { return all_.begin(); }
  auto end() const { return all_.end(); }
  bool operator==(const properties&) const = default;

private:
  template <class T>
  const T* find_as(property_id id) const {
    const auto* one = find(id);
    return one ? std::get_if<T>(&one->value) : nullptr;
  }
  std::vector<property> all_;
};

/// Packet identifier: 1…65,535; 0 only in a PUBLISH of QoS 0.
using packet_id = std::uint16_t;

struct will_message {
  std::string topic;
  bytes payload;
  qos quality = qos::at_most_once;
  bool retain = false;
  properties props;
  bool operator==(const will_message&) const = default;
};

struct connect {
  static constexpr auto type = packet_type::connect;
  protocol_version version = protocol_version::v5;
  bool clean_start = true;  ///< 3.1.1: clean session
  std::uint16_t keep_alive_s = 0;
  properties props;
  std::string client_id;
  std::optional<will_message> will;
  std::optional<std::string> user_name;
  std::optional<bytes> password;
  bool operator==(const connect&) const = default;
};

struct connack {
  static constexpr auto type = packet_type::connack;
  bool session_present = false;  ///< only beside success
  /// In 3.1.1 one of success, unsupported_protocol_version, client_identifier_not_valid, server_unavailable,
  /// bad_user_name_or_password, not_authorized: its return codes 0…5 (see nearest_v311 in codec.hpp).
  reason_code code = reason_code::success;
  properties props;
  bool operator==(const connack&) const = default;
};

struct publish {
  static constexpr auto type = packet_type::publish;
  bool dup = false;  ///< only with QoS > 0
  qos quality = qos::at_most_once;
  bool retain = false;
  std::string topic;  ///< empty only beside a topic alias
  packet_id id = 0;   ///< not 0 with QoS > 0; 0 with QoS 0
  properties props;
  bytes payload;
  bool operator==(const publish&) const = default;
};

/// PUBACK, PUBREC, PUBREL and PUBCOMP have one shape.
template <packet_type Type>
struct ack {
  static constexpr auto type = Type;
  packet_id id = 0;
  reason_code code = reason_code::success;  ///< 3.1.1: always success
  properties props;
  bool operator==(const ack&) const = default;
};
using puback = ack<packet_type::puback>;
using pubrec = ack<packet_type::pubrec>;
using pubrel = ack<packet_type::pubrel>;
using pubcomp = ack<packet_type::pubcomp>;

/// When retained messages are sent at subscribe time.
enum class retain_handling : std::uint8_t { always = 0, if_new = 1, never = 2 };

struct subscription {
  std::string filter;
  qos quality_max = qos::at_most_once;
  // 5.0 only; in 3.1.1 they stand as below.
  bool no_local = false;
  bool retain_as_published = false;
  retain_handling retained = retain_handling::always;
  bool operator==(const subscription&) const = default;
};

struct subscribe {
  static constexpr auto type = packet_type::subscribe;
  packet_id id = 0;
  properties props;
  std::vector<subscription> filters;  ///< at least one
  bool operator==(const subscribe&) const = default;
};

struct suback {
  static constexpr auto type = packet_type::suback;
  packet_id id = 0;
  properties props;
  std::vector<reason_code> codes;  ///< one per filter, in its order; 3.1.1: granted_qos_0…2 or unspecified_error
  bool operator==(const suback&) const = default;
};

struct unsubscribe {
  static constexpr auto type = packet_type::unsubscribe;
  packet_id id = 0;
  properties props;
  std::vector<std::string> filters;  ///< at least one
  bool operator==(const unsubscribe&) const = default;
};

struct unsuback {
  static constexpr auto type = packet_type::unsuback;
  packet_id id = 0;
  properties props;
  std::vector<reason_code> codes;  ///< one per filter, in its order; 3.1.1: none
  bool operator==(const unsuback&) const = default;
};

struct pingreq {
  static constexpr auto type = packet_type::pingreq;
  bool operator==(const pingreq&) const = default;
};

struct pingresp {
  static constexpr auto type = packet_type::pingresp;
  bool operator==(const pingresp&) const = default;
};

struct disconnect {
  static constexpr auto type = packet_type::disconnect;
  reason_code code = reason_code::normal_disconnection;  ///< 3.1.1: always this
  properties props;
  bool operator==(const disconnect&) const = default;
};

/// 5.0 only. Always holds an authentication method.
struct auth {
  static constexpr auto type = packet_type::auth;
  reason_code code = reason_code::success;
  properties props;
  bool operator==(const auth&) const = default;
};

/// In the order of packet_type, so that index() + 1 is the type.
using packet = std::variant<connect, connack, publish, puback, pubrec, pubrel, pubcomp, subscribe, suback, unsubscribe,
                            unsuback, pingreq, pingresp, disconnect, auth>;

inline packet_type type_of(const packet& any) { return static_cast<packet_type>(any.index() + 1); }

} // namespace signet::mqtt
