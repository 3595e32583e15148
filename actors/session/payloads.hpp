#pragma once
// Payloads of the small topics: signet/v1/session, signet/v1/ack and signet/v1/identity.

#include "actors/session/state.hpp"
#include "messages/errors.hpp"

#include <variant>

namespace signet {

/// Of a request on one of these topics; an identity is the largest.
inline constexpr std::size_t request_bytes_max = 16'384;

// --- signet/v1/session, client to node ---
struct renew_request { std::string token; };
struct explicit_acks_request { bool on = true; };
struct deliver_from_request { inbox_position first{}; };
struct where_request {};
using session_request = std::variant<renew_request, explicit_acks_request, deliver_from_request, where_request>;
/// `too_large`, `malformed`: also a request of a kind that this version does not know.
result<session_request> read_session_request(bytes_view raw);

// --- signet/v1/session, node to client ---
bytes expiring_notice(wall_ms now, wall_ms at);
bytes renewed_notice(wall_ms now, wall_ms until);
bytes closing_notice(wall_ms now, close_reason reason);
bytes cursor_notice(wall_ms now, inbox_position cursor);
bytes refused_notice(wall_ms now, std::string_view error_name);
bytes stale_notice(wall_ms now, bool stale);

// --- signet/v1/ack ---
result<inbox_position> read_position(bytes_view raw);

// --- signet/v1/identity ---
struct publish_identity { bytes version; };  ///< serialised IdentityVersion, an outer message of its own
struct by_permalink { permalink who; };
struct by_key { public_key key; };
struct by_link { signet::link link; };
struct identity_request {
  std::uint64_t correlation = 0;
  std::variant<publish_identity, by_permalink, by_key, by_link> what;
};
result<identity_request> read_identity_request(bytes_view raw);

/// A chain, oldest first, as it was published, and the log index of its newest version.
struct identity_chain {
  std::vector<bytes> versions;
  log_index index{};
};
struct identity_reply {
  std::uint64_t correlation = 0;
  ec code = ec::ok;
  signet::link standing;
  identity_chain chain;
};
bytes make_identity_answer(const identity_reply& reply);

} // namespace signet
