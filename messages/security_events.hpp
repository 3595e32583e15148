#pragma once
// The kinds of security events, once: what is written to the log, counted in metrics, and listed in
// docs/security-events.md. A kind never changes its name; new ones are appended.

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace signet {

enum class security_kind : std::uint8_t {
  // identities
  identity_created,    ///< a first version was published
  key_collision,       ///< a version claims a key of another identity
  // login and sessions
  login_ok,            ///< a session was opened
  login_failed,        ///< a login was refused, for whatever reason
  challenge_expired,   ///< a login was started and not finished in time
  replayed_login,      ///< a spent connect token, or a second answer to a challenge
  takeover,            ///< a newer connection took a client id, or the reading of an inbox
  takeover_storm,      ///< two holders of one client id keep taking it from each other
  session_renewed,     ///< a session's proof was renewed in band
  session_expired,     ///< a session's proof ran out while it was attached
  session_revoked,     ///< a session was closed because its key is revoked
  // what is asked for
  permission_denied,   ///< a topic, filter or position that is not the client's
  bad_signature,       ///< a batch whose signature does not hold
  gap,                 ///< a lane number was left out
  fork,                ///< two messages under one lane number
  malformed_packet,    ///< bytes or packets that break the protocol
  malformed_payload,   ///< a payload that does not follow its grammar
  rate_limit,          ///< refused or slowed down: too much in too short a time
  quota,               ///< refused: more than may be held at once
  slow_consumer,       ///< disconnected because it did not read
  // operators and nodes
  admin_command,
  configuration_changed,
  node_joined,
  node_left,
  node_fenced,
  node_recovered,
  peer_handshake_failed,
  corruption_found,
  corruption_repaired,
  seal_refused,
  backup,
  restore,
};

/// The identifier as it stands above: what SecurityEvent.kind holds.
std::string_view name(security_kind kind);
std::optional<security_kind> find_security_kind(std::string_view name);
std::span<const security_kind> security_kinds();

} // namespace signet
