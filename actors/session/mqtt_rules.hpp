#pragma once
// What MQTT, and this node, allow a client to ask for, as functions: what CONNECT asks and what is granted, who may
// publish and subscribe where. The decoder has judged the form already.

#include "actors/session/ports.hpp"
#include "actors/session/settings.hpp"

#include <optional>

namespace signet {

/// CONNECT, boiled down to what the rest of the session needs.
struct connect_facts {
  mqtt::protocol_version version = mqtt::protocol_version::v5;
  std::string client_id;
  bool clean_start = true;
  bool enhanced = false;               ///< it named an authentication method
  std::uint16_t keep_alive_s = 0;      ///< granted; never 0
  bool keep_alive_lowered = false;     ///< CONNACK says Server Keep Alive
  std::uint32_t expiry_s = 0;          ///< granted life of the MQTT session behind the connection
  bool expiry_lowered = false;
  std::uint16_t receive_maximum = 1;   ///< publishes in flight to the client
  std::size_t packet_bytes_max = 0;    ///< to the client
  bool problem_information = true;     ///< reason strings and user properties may go beside any packet

  bool v5() const { return version == mqtt::protocol_version::v5; }
};
/// What of CONNECT cannot be had. `code`: 5.0's; the codec finds the nearest of 3.1.1.
struct connect_refusal {
  mqtt::reason_code code{};
  std::string_view detail;
};
tl::expected<connect_facts, connect_refusal> read_connect(const mqtt::connect& asked, const session_settings& settings,
                                                          channel_kind channel);

/// CONNACK 0x00.
mqtt::connack make_connack(const connect_facts& facts, const session_settings& settings, bool session_present,
                           wall_ms expires, wall_ms now);
/// Every refusal behind the form of CONNECT: the same bytes, apart from the time in fixed width, whoever asked.
mqtt::connack make_refusal(mqtt::reason_code code, mqtt::protocol_version version, wall_ms now);

/// Milliseconds in thirteen digits, so that the size tells nothing.
std::string fixed_time(wall_ms at);

/// One filter of a SUBSCRIBE: granted QoS, or the refusal.
struct filter_verdict {
  topic_role role = topic_role::foreign;
  mqtt::reason_code code = mqtt::reason_code::not_authorized;
};
filter_verdict judge_filter(const mqtt::subscription& asked, bool with_identifier, mqtt::protocol_version version);

/// The roles behind topic aliases of one connection; 1…8.
class topic_aliases {
public:
  static constexpr std::uint32_t max = 8;
  /// The role a publish goes to; its alias is learnt. Nothing: an alias that was never set, or out of range.
  std::optional<topic_role> resolve(const mqtt::publish& packet);

private:
  std::array<std::optional<topic_role>, max> known_{};
};

} // namespace signet
