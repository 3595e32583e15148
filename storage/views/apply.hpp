#pragma once
// APPLY: what an entry of the log does to the views. A function of (state, entry): no clock, no random source, no I/O
// besides the transaction, no iteration over unordered containers. Two nodes that have applied the same entries hold the
// same rows and the same state hash.
//
// Everything that depends on the state is judged here and nowhere else for good; what sender and session ask beforehand
// is only a courtesy. What does NOT depend on the state (signatures of batches, possession of keys, proofs of logins)
// has been verified before the entry was proposed, and `signet verify` checks all of it again.
//
// One entry, one transaction: effects, applied index and state hash. A refusal is an answer, not an error: the entry
// stands in the log, applies to nothing, and moves the applied index like any other. An identical entry again gives the
// same answer and changes nothing but that (except what is single-use: the nonce of a token).
//
// Time is that of the entry, never below that of the entry before.
//
// Security events that apply records itself, because it is what judges (whoever refuses something BEFORE it becomes an
// entry reports it through SECURITY instead, so that each attempt is one event):
//   identity_created, key_collision (subject: who claims, object: who holds), bad_signature (a version not signed by a key
//   that may), login_ok, replayed_login (a spent token), session_renewed, session_expired, session_revoked (also when a
//   version revokes the key of a session), fork and gap (one for each lane and entry; subject: author, object:
//   recipient), permission_denied (a batch under a key that is unknown, revoked or of another purpose), quota (more
//   sessions than an identity may have: the one that ends first goes).
// Not takeover: only who holds the older connection knows whether it was alive.

#include "messages/errors.hpp"
#include "messages/outcome.hpp"
#include "storage/lmdb/environment.hpp"

#include <memory>
#include <vector>

namespace signet {
class verified_batch;
}

namespace signet::storage {

/// Of one identity; opening one more ends the one that expires first.
inline constexpr std::size_t sessions_per_identity_max = 64;
/// How many ended nonces one entry drops at most. More than one can claim, so the table cannot grow for ever.
inline constexpr std::size_t nonces_dropped_per_entry = 4;

/// Which member of the union LogEntry it was. The numbers are those of the schema.
enum class entry_kind : std::uint8_t {
  founded, identity_published, session_opened, session_renewed, sessions_closed, batch_accepted, cursors_advanced,
  security_events, bot_deployed, bot_committed, bot_dead_lettered, bot_attempted, inbox_taken,
  unreadable,  ///< no LogEntry at all
};
std::string_view name(entry_kind kind);

/// What apply decided. Fields that a kind does not mention are as default-constructed.
struct entry_result {
  entry_kind kind = entry_kind::unreadable;
  log_index index{};              ///< of this entry
  /// ok: it has taken effect, or had before. All kinds: malformed.
  ///   founded            already_exists (another cluster id stands)
  ///   identity_published unknown_identity, version_conflict, bad_signature, key_collision, revoked_key (a revoked key
  ///                      does not come back), wrong_key_purpose (a key keeps its purpose)
  ///   session_opened     the same; unknown_identity (also: a key that is not this identity's), revoked_key,
  ///                      wrong_key_purpose, token_expired, token_spent, session_expired
  ///   session_renewed    taken_over, session_expired, revoked_key, token_expired, token_spent
  ///   inbox_taken        taken_over, session_expired, revoked_key
  ///   bot_*              unknown_identity, not_found (not deployed), taken_over (a newer epoch stands), version_conflict (the
  ///                      inputs are not the next ones)
  ///   bot_committed      also what the first refused message of its batch says; then nothing at all has happened
  ec code = ec::malformed;
  /// batch_accepted, bot_committed: one for each message of the batch, in its order.
  std::vector<outcome> outcomes;
  /// Sessions: the epoch that stands for this client id (that of the connection if ok). Bots: the bot's epoch.
  std::uint64_t epoch = 0;
  /// session_opened: epoch of the connection that lost this client id; 0: there was none.
  std::uint64_t replaced_epoch = 0;
  /// identity_published, session_opened with an identity: newest version of the identity that stands, if one does.
  link standing;
  /// identity_published: the identity. session_*: the same. bot_*: the bot. key_collision: see `object`.
  permalink identity;
  /// key_collision: the identity that holds the key.
  permalink object;
  /// identity_published: the entry that published this version, which may be an earlier one.
  log_index published{};
  /// bot_*: inputs up to here are handled or set aside. 
  inbox_position position{};

  bool all_good() const;  ///< code is ok and every outcome is good
};

/// Not thread-safe; belongs to the thread that writes. Holds only scratch memory: after an aborted transaction it can be
/// used on.
class applier {
public:
  applier();
  ~applier();
  applier(applier&&) noexcept;

  /// Applies the command at `index`, which must be the applied index + 1. Its log record must stand in the same
  /// transaction or before (earlier messages of a lane are read from the log). Throws storage_failure: what the disk
  /// throws; internal (index out of order); wrong_format (a kind of entry that this version does not know: stop, and
  /// never skip it). `verified`: what the entry's batch is known to hold; it is believed only if its bytes are those of
  /// the entry, changes nothing but the time that it takes, and may be null.
  entry_result apply(write_txn& txn, log_index index, bytes_view entry, const verified_batch* verified = nullptr);

  /// Passes an entry that is no command (barrier, change of members): only applied index and state hash move.
  void pass(write_txn& txn, log_index index);

  /// After the newest entry that went through apply() or pass(); means nothing before, or after an aborted transaction.
  const digest& state_hash() const;

private:
  struct state;
  std::unique_ptr<state> state_;
};

/// Applied index, state hash and last entry time; all zero in an empty store.
struct applied_state {
  log_index index{};
  digest state_hash;
  wall_ms last_time{};
  bool operator==(const applied_state&) const = default;
};
applied_state read_applied(const read_txn& txn);

} // namespace signet::storage
