#pragma once
// READ: questions to the views, for everybody who does not write. Every function takes the transaction first; a
// write_txn will do. Nothing here keeps state. All throw storage_failure for a row that is not what was written.

#include "storage/tables.hpp"
#include "storage/views/apply.hpp"
#include "storage/views/entry.hpp"
#include "storage/views/lane_judge.hpp"

namespace signet::storage {

// ---- the cluster -----------------------------------------------------------------------------------------------------

/// Nothing before Founded is applied.
std::optional<cluster_id> find_cluster(const read_txn& txn);

// ---- identities ------------------------------------------------------------------------------------------------------

std::optional<identity_row> find_identity(const read_txn& txn, const permalink& who);
/// Also of a revoked key: key_row.stands().
std::optional<key_row> find_key(const read_txn& txn, const public_key& key);
/// Which identity and version a link names.
std::optional<link_row> find_version(const read_txn& txn, const link& version);
/// Whether `key` may speak for `who` now: ok, unknown_identity (nobody's key, or another's), wrong_key_purpose, revoked_key.
ec judge_key(const read_txn& txn, const permalink& who, const public_key& key, key_purpose purpose);

/// The chain as it was published, oldest first; empty: unknown. An answer must fit a packet, so at most `size_bytes_max`:
/// then the newest versions are missing and `complete` is false.
struct identity_chain {
  std::vector<bytes> versions;
  log_index index{};  ///< of the newest version of the identity
  bool complete = true;
};
identity_chain read_identity_chain(const read_txn& txn, const permalink& who, std::size_t size_bytes_max = 1 << 20);

// ---- lanes -----------------------------------------------------------------------------------------------------------

/// n = 0, a zero link and index 0: nothing yet.
struct lane_state {
  lane_number n{};
  signet::link link;
  log_index index{};  ///< of the entry that holds message n
  bool operator==(const lane_state&) const = default;
};
lane_state read_lane(const read_txn& txn, const lane_id& lane);
/// The message that stands at n; nothing: n is 0 or beyond the tail. Reads the log unless n ends its run.
std::optional<standing_message> find_message(const read_txn& txn, const lane_id& lane, lane_number n);

// ---- inboxes ---------------------------------------------------------------------------------------------------------

/// Position of the newest message; 0: empty.
inbox_position read_inbox_head(const read_txn& txn, const permalink& who);

/// Messages of one entry at consecutive positions.
struct inbox_slice {
  inbox_position first{};
  log_index index{};
  std::vector<std::uint32_t> leaves;  ///< leaf i stands at first + i
};
/// From position `from` (1 or more) on, dense, oldest first: at least one message if there is one, then as long as there
/// are at most `messages_max` messages and about `size_bytes_max` bytes of bodies (a slice counts in proportion).
std::vector<inbox_slice> read_inbox(const read_txn& txn, const permalink& who, inbox_position from,
                                    std::size_t messages_max, std::size_t size_bytes_max);

/// Everything up to here is acknowledged by this device; 0: nothing yet.
inbox_position read_cursor(const read_txn& txn, const permalink& who, const public_key& device);

// ---- sessions --------------------------------------------------------------------------------------------------------

struct session_found {
  std::string client_id;
  session_row row;
};
std::optional<session_row> find_session(const read_txn& txn, const permalink& who, std::string_view client_id);
/// In order of client id; at most sessions_per_identity_max.
std::vector<session_found> read_sessions(const read_txn& txn, const permalink& who);

/// What the janitor proposes to close: sessions with expires <= `now`, oldest end first, at most `max`.
std::vector<session_closing> read_ended_sessions(const read_txn& txn, wall_ms now, std::size_t max);

// ---- security events -------------------------------------------------------------------------------------------------

struct event_found {
  event_key key;
  event_row event;
};
/// Events of entries from `from` on, at most `max`.
std::vector<event_found> read_events(const read_txn& txn, log_index from, std::size_t max);
struct event_count {
  std::string kind;
  counter_row counter;
};
/// All kinds ever seen, in order of name.
std::vector<event_count> read_event_counts(const read_txn& txn);

// ---- bots ------------------------------------------------------------------------------------------------------------

struct bot_found {
  permalink bot;
  bot_row row;
};
std::optional<bot_row> find_bot(const read_txn& txn, const permalink& bot);
std::vector<bot_found> read_bots(const read_txn& txn);
struct dead_letter_found {
  inbox_position input{};
  dead_letter_row row;
};
/// Oldest first, from input `from` on, at most `max`.
std::vector<dead_letter_found> read_dead_letters(const read_txn& txn, const permalink& bot, inbox_position from,
                                                 std::size_t max);

// ---- status ----------------------------------------------------------------------------------------------------------

/// Rows of every table, in the order of all_tables(). Cheap: LMDB counts them.
struct table_count {
  std::string_view name;
  std::uint64_t rows = 0;
};
std::vector<table_count> count_rows(const read_txn& txn);

} // namespace signet::storage
