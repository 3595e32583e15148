#pragma once
// Proving a device key, in both ways: enhanced authentication and connect tokens; at login and at renewal.
//
// The problem: whoever has not proved anything must learn nothing, neither from bytes nor from time, about which
// identities, devices and sessions exist. So the order of work is fixed and depends on the client's own input only:
//   1. the form of what it sent; what cannot be read is replaced by a dummy and refused at the end,
//   2. one signature verification, always, under the device key that was presented,
//   3. one look-up, always, of that device key (never of the claimed permalink: a stranger's key has the same answer
//      whether or not the identity it claims exists),
//   4. one verdict, one refusal.
// What follows (identity hand-in, proposal) happens only behind a signature that verified.

#include "actors/session/ports.hpp"
#include "actors/session/settings.hpp"
#include "messages/envelope/login.hpp"
#include "messages/envelope/token.hpp"

namespace signet {

/// A proof that holds, as the log wants it.
struct proven {
  session_key key;
  wall_ms expires{};
  token_claim token;
  bytes identity;      ///< of a first-time client, opened and found to hold the key
};

/// Why not, for the operator; the client is told one thing only.
struct disproved {
  security_kind kind = security_kind::login_failed;
  std::string_view detail;   ///< closed set of words
  /// Identity and device key as claimed, only if the key's signature verified: strangers put no names into the log.
  bytes subject, object;
  bool rate_limited = false; ///< refused before any work: may be said
};

using proof_verdict = tl::expected<proven, disproved>;

/// What both sides of a connection know.
struct proof_context {
  const session_settings& settings;
  const signing_key& node_key;
  cluster_id cluster;
  channel_kind channel = channel_kind::tcp;
  std::optional<tls_exporter> exporter;
  bool loopback = false;
};

/// A challenge in the air. Single use: an answer consumes it, right or wrong.
class login_challenger {
public:
  /// The node's part. `hello`: authentication data of CONNECT or AUTH 0x19. Nothing: it is malformed, or names another
  /// channel than this one.
  std::optional<bytes> challenge(const proof_context& context, bytes_view hello, const std::string& client_id,
                                 random_source& random);
  bool waiting() const { return transcript_.has_value(); }
  proof_verdict judge(const proof_context& context, bytes_view answer, moment now, session_reads& reads,
                      session_gate& gate);

private:
  std::optional<login_transcript> transcript_;
};

/// User name and password of a CONNECT, or a token published for renewal.
proof_verdict judge_token(const proof_context& context, std::string_view user_name, std::string_view token,
                          const std::string& client_id, moment now, session_reads& reads);

} // namespace signet
