#pragma once
// The event log: entries 1, 2, 3… without gaps, each naming the hash of the one before. It is what the product
// remembers: views are computed from it, and two nodes that disagree about a hash have found a fault.
//
// Grammar (table "log" of storage/tables.hpp; integers big-endian; the row check of storage/lmdb/ not shown):
//   key     = group u16 (0) ‖ index u64
//   value   = term u64 ‖ type u8 ‖ previous 32 ‖ payload
//   hash(i) = BLAKE2b-256("signet/v1/log-record" 00 ‖ index u64 ‖ value)
//   previous of record i = hash(i - 1); of record 1: 32 zero bytes
// Version: that of the store (meta/format), 1. Example, record 1 in term 2, a command (type 1) with payload "hi":
//   key   0000 0000000000000001
//   value 0000000000000002 01 00…00 (32 bytes) 6869
//
// A record is held by three checks: its row check finds accidents on this disk; hash(i) = previous(i + 1) finds what was
// rewritten with the row check; the newest record, which nobody names yet, is held by the head that the caller keeps and
// compares with other nodes.
//
// Transactions come from the caller. Views point into the map and live as long as the transaction (in a write
// transaction until its next write). Nothing here is cached, so a crash at any point leaves nothing to repair. Every
// function throws storage_failure: corrupt for a record that breaks the chain, internal for a call that breaks a rule.

#include "storage/tables.hpp"

#include <functional>
#include <vector>

namespace signet::storage::event_log {

/// The newest record: what the next one will name. index 0, term 0 and a zero hash: the log is empty.
struct head {
  log_index index{};
  signet::term term{};
  digest hash;
  bool operator==(const head&) const = default;
};

/// Reads and hashes the newest record; keep the result instead of asking again.
head find_head(const read_txn& txn);
/// The oldest record kept; nothing when the log is empty.
std::optional<log_index> find_first(const read_txn& txn);

/// What is to be appended; the payload is copied.
struct new_record {
  signet::term term{};
  std::uint8_t type = 0;
  bytes_view payload;
};
/// Appends behind `at`, which must be the head; returns the new one. Terms never go back. Durable with the transaction.
head append(write_txn& txn, const head& at, const new_record& record);
head append(write_txn& txn, head at, std::span<const new_record> records);

/// Erases the records [from, head]: an uncommitted tail that conflicts. Refused (internal) at or below the applied
/// index, whose effects stand. Returns the new head.
head truncate(write_txn& txn, log_index from);

/// A record at rest: only its row check is looked at. For deliveries, whose bytes their author signed anyway.
std::optional<log_record> find(const read_txn& txn, log_index index);

struct stored_record {
  log_index index{};
  log_record record;
  digest hash;  ///< computed from what stands there
};
/// The same, and its hash is what the next record names (if there is one), and the one before hashes to what it names.
std::optional<stored_record> find_linked(const read_txn& txn, log_index index);

/// Records [from, end) in order, linked to one another and to the next one behind them, as long as their payloads fit
/// `payload_bytes_max` in total; one at least, if `from` stands. Fewer than asked for: go on behind the last.
std::vector<stored_record> range(const read_txn& txn, log_index from, log_index end, std::size_t payload_bytes_max);

/// What a walk over the chain found.
struct walk {
  head last;                   ///< the last sound record
  std::uint64_t records = 0;   ///< sound ones
  std::optional<error> broken; ///< why it ended before the head: names the index
};
/// Walks the chain from the first record on, without throwing for what is damaged: for `signet verify`. `visit` sees
/// every sound record. The first record must have index 1 and name nothing, unless `before` says what it follows.
walk verify(const read_txn& txn, const head& before = {},
            const std::function<void(const stored_record&)>& visit = {});

} // namespace signet::storage::event_log
