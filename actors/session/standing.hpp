#pragma once
// What the log says of a connection: whether it may go on, and if not, why. One rule for the session, which asks before
// it publishes or delivers, and for the registry, which asks when the log says something of the session. Plain C++.

#include "actors/session/ports.hpp"

namespace signet {

/// Nothing: it stands. `closing`: the reason that an entry gave for closing this very epoch; empty: none was seen.
/// `row`: what stands under its client id; `key`: its device key, if that is known.
inline std::optional<close_reason> judge_standing(std::uint64_t epoch, const std::optional<session_standing>& row,
                                                  const std::optional<key_standing>& key,
                                                  std::string_view closing = {}) {
  if (row && row->epoch > epoch)
    return close_reason::taken_over;
  if (!key || key->revoked)
    return close_reason::revoked_key;
  if (row)
    return std::nullopt;
  // Its row is gone: its proof ran out, or it made room for a newer one, or an entry says more.
  for (const auto known : {close_reason::administrative, close_reason::revoked_key, close_reason::taken_over})
    if (closing == name(known))
      return known;
  return close_reason::session_expired;
}

} // namespace signet
