#pragma once
// What can go wrong, once: one enum, a sentence each, and results that carry it.
//
// Errors of the world are values. Outcomes of messages (accepted, gap, fork…) are not errors: see outcome.hpp.

#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

namespace signet {

enum class ec : std::uint8_t {
  ok = 0,
  // bytes and their form
  malformed,          ///< bytes that do not follow their grammar
  not_canonical,      ///< a body that is not in canonical form
  too_large,          ///< above a stated limit
  // signatures and keys
  bad_signature,      ///< the signature does not belong to these bytes and this key
  no_possession,      ///< a key of an identity version does not prove its possession
  wrong_key_purpose,  ///< a key used for what it was not published for
  revoked_key,        ///< a key that the newest version of its identity no longer holds
  key_collision,      ///< a key that belongs, or once belonged, to another identity
  // identities
  unknown_identity,   ///< no identity under that permalink, key or link
  version_conflict,   ///< the previous version is not the newest: what stands is in the context
  // login and sessions
  not_authorized,     ///< the one answer to every failed login
  token_spent,        ///< a connect token whose nonce has been claimed
  token_expired,      ///< a connect token outside its life
  session_expired,    ///< the proof behind this session has run out
  taken_over,         ///< another connection of the same identity has taken this client id
  // capacity
  rate_limited,       ///< too many in too short a time; try again later
  overloaded,         ///< the node has as much in flight as it may; send again
  disk_full,          ///< writes are refused until space is free again
  // cluster
  unknown_outcome,    ///< it may have happened: send the identical bytes again
  not_leader,         ///< this node cannot decide now
  // storage
  corrupt,            ///< a stored row does not match its check
  io,                 ///< the disk or the network failed
  locked,             ///< another process uses this
  wrong_format,       ///< written by a version that this one cannot read
  not_found,          ///< nothing under that name
  already_exists,     ///< refused: it would overwrite what stands
  // people
  configuration,      ///< a configuration file or a command line that makes no sense
  internal,           ///< a defect of this program
};

/// A sentence for people; ends without a full stop so that context can follow.
std::string_view describe(ec code);
/// The identifier, as it stands above: for JSON and logs.
std::string_view name(ec code);

/// A code and what it was about: numbers, names, the next command to type. Never a secret, never message content.
struct error {
  ec code = ec::internal;
  std::string context;
  bool operator==(const error&) const = default;
};
/// "sentence: context"
std::string render(const error& what);

template <class T>
using result = tl::expected<T, error>;
/// Success, or why not.
using status = result<void>;

inline tl::unexpected<error> fail(ec code, std::string context = {}) {
  return tl::make_unexpected(error{code, std::move(context)});
}

} // namespace signet
