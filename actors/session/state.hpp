#pragma once
// The topics a session knows, and what of it outlives a connection.

#include "messages/ids.hpp"
#include "messages/mqtt/packets.hpp"

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace signet {

/// The topics, all of them: signet/v1/ and these words.
enum class topic_role : std::uint8_t { outbox, ack, session, identity, receipts, inbox, foreign };
topic_role role_of(std::string_view topic);
std::string_view topic_of(topic_role role);
/// What a client may publish to, and what it may subscribe to.
constexpr bool may_publish(topic_role role) { return role <= topic_role::identity; }
constexpr bool may_subscribe(topic_role role) {
  return role == topic_role::session || role == topic_role::identity || role == topic_role::receipts ||
         role == topic_role::inbox;
}

/// The QoS granted for each role topic; nothing: not subscribed.
class subscriptions {
public:
  std::optional<mqtt::qos> of(topic_role role) const { return granted_[at(role)]; }
  bool has(topic_role role) const { return of(role).has_value(); }
  void grant(topic_role role, mqtt::qos quality) { granted_[at(role)] = quality; }
  void drop(topic_role role) { granted_[at(role)].reset(); }
  bool empty() const {
    for (const auto& each : granted_)
      if (each)
        return false;
    return true;
  }
  bool operator==(const subscriptions&) const = default;

private:
  static std::size_t at(topic_role role) { return static_cast<std::size_t>(role); }
  std::array<std::optional<mqtt::qos>, 7> granted_{};
};

/// A publish on signet/v1/inbox without its PUBACK: positions [first, last].
struct delivery_in_flight {
  mqtt::packet_id id = 0;
  inbox_position first{}, last{};
  bool acked = false;  ///< out of order: waits for those before it
  bool operator==(const delivery_in_flight&) const = default;
};

/// MQTT session state, as it is handed from one connection to the next. Kept in memory only: after a restart the next
/// attach has session present 0, and the cursor does the rest.
struct parked_state {
  std::uint64_t epoch = 0;                    ///< of the connection that leaves it
  public_key device;                          ///< of whom: another device of the identity does not inherit it
  subscriptions subscribed;
  std::vector<delivery_in_flight> in_flight;  ///< in the order in which they were sent
  inbox_position next{};                      ///< first position not sent yet
  inbox_position acked{};                     ///< everything up to here is acknowledged
  mqtt::packet_id last_id = 0;
  std::size_t payload_bytes_max = 0;          ///< of a delivery as it was packed then
  bool operator==(const parked_state&) const = default;
};

/// Why a connection is closed by this side: the words of SessionNotice.closing.
enum class close_reason : std::uint8_t {
  session_expired, revoked_key, taken_over, shutting_down, slow_consumer, protocol_error, rate_limited, keep_alive,
  inbox_taken, administrative, no_quorum,
};
std::string_view name(close_reason reason);
/// What DISCONNECT of 5.0 says.
mqtt::reason_code disconnect_code(close_reason reason);

} // namespace signet
