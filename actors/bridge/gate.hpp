#pragma once
// Nothing before authentication: which packets of the server may leave in which state of a link. The problem: one
// forgotten check in a session, and a stranger reads an inbox. So the writer itself asks this table for every packet,
// whoever hands it over. Invariants:
//   * In `connecting` only a refusing CONNACK leaves; in `proving` an AUTH that continues, or the CONNACK.
//   * In `attached` everything that a server may say leaves, but nothing before a CONNACK that says success.
//   * At most one CONNACK leaves in the life of a connection, and behind one that refuses nothing at all.
//   * A refusing CONNACK never claims that a session is present.
//   * Before `attached` at most 512 bytes leave, whatever they are.
// No I/O, no clock, not thread-safe: the link calls it under its own lock.

#include "actors/bridge/link.hpp"

namespace signet {

class gate {
public:
  /// Bytes of MQTT that may leave before `attached`.
  static constexpr std::size_t bytes_before_attached_max = 512;

  enum class verdict : std::uint8_t {
    pass,
    wrong_state,     ///< this packet may not leave in this state
    over_budget,     ///< more than 512 bytes before `attached`
    never,           ///< no server of ours sends it at all
  };

  link_state state() const { return state_; }
  /// States only go forward; a step back is ignored. True: the state has changed.
  bool advance(link_state to);

  /// Whether this packet may leave now.
  verdict may_leave(const mqtt::packet& packet) const;
  /// Whether that many more bytes may leave now.
  verdict may_leave(std::size_t encoded_bytes) const;
  /// What passed both questions is on its way.
  void left(const mqtt::packet& packet, std::size_t encoded_bytes);

private:
  enum class answer : std::uint8_t { none, accepted, refused };
  link_state state_ = link_state::connecting;
  answer connack_ = answer::none;
  std::uint16_t early_bytes_ = 0;
};

} // namespace signet
