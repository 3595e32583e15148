#pragma once
// Entries of the event log as their proposers build them: one function a kind, serialised LogEntry out. timeMs stays 0;
// the replica sets it when it appends (set_entry_time), so that entry times never decrease.

#include "messages/events.hpp"

#include <span>

namespace signet {

struct session_key {
  permalink identity;
  public_key device;
  std::string client_id;
  auto operator<=>(const session_key&) const = default;
};
/// What a connect token adds to an opening or a renewal; without one all of it is empty.
struct token_claim {
  token_nonce nonce;      ///< zero: nothing to claim (reusable token)
  wall_ms issued{};       ///< 0: no token
  wall_ms ends{};
};
struct session_opening {
  session_key key;
  wall_ms expires{};      ///< absolute end of the proof
  token_claim token;
  bytes identity;         ///< first-time client: serialised IdentityVersion; else empty
};
struct session_renewal {
  session_key key;
  std::uint64_t epoch = 0;
  wall_ms expires{};
  token_claim token;
};
struct session_closing {
  session_key key;
  std::uint64_t epoch = 0;
  std::string reason;
};
struct inbox_taking {
  session_key key;
  std::uint64_t epoch = 0;
};
struct security_event {
  security_event_seen what;
  std::uint32_t count = 1;
};

bytes founded_entry(const cluster_id& cluster);
bytes identity_entry(bytes_view identity_version);
bytes session_opened_entry(const session_opening& what);
bytes session_renewed_entry(const session_renewal& what);
bytes sessions_closed_entry(std::span<const session_closing> what);
bytes inbox_taken_entry(const inbox_taking& what);
bytes batch_entry(bytes_view batch);
bytes cursors_entry(std::span<const cursor_moved> what);
bytes security_events_entry(std::span<const security_event> what);
bytes bot_deployed_entry(const permalink& bot, std::string_view bot_name);
/// `batch` may be empty: the inputs are handled, nothing is sent.
bytes bot_committed_entry(const permalink& bot, std::uint64_t epoch, inbox_position from, inbox_position input,
                          bytes_view batch);
bytes bot_attempted_entry(const permalink& bot, std::uint64_t epoch, inbox_position input, std::uint32_t attempt);
bytes bot_dead_lettered_entry(const permalink& bot, std::uint64_t epoch, inbox_position input, std::uint32_t attempts,
                              std::string_view problem);

/// Writes timeMs into a serialised LogEntry in place. `malformed`: this is no LogEntry that a builder above made.
status set_entry_time(std::span<std::uint8_t> entry, wall_ms time);
/// What set_entry_time wrote.
result<wall_ms> entry_time(bytes_view entry);

} // namespace signet
