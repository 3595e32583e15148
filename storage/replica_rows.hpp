#pragma once
// REPLICA ROWS: the named rows of table meta that the replica must not forget, besides its log. Integers big-endian.
//   format      format_row: written when the directory is made
//   identity    cluster id 16 ‖ server id u64 (0: a joining store, which has none yet): whose directory this is
//   store       16 bytes, drawn when the directory is made: tells it from every other, also of the same server
//   hard-state  term u64 ‖ voted for u64
//   members     index u64 ‖ encoded configuration: the newest one that is applied
// Every function works in the transaction of its caller and throws what the disk throws.

#include "storage/peer/frame.hpp"
#include "storage/tables.hpp"

#include <optional>

namespace signet::storage {

struct placed_configuration {
  log_index index{};
  raft::configuration members;
};
struct identity_of_store {
  cluster_id cluster;
  raft::server_id self{};
  bool operator==(const identity_of_store&) const = default;
};

bool holds_format(const read_txn& txn);
/// Nothing: absent or unreadable.
std::optional<format_row> find_format(const read_txn& txn);
std::optional<identity_of_store> find_identity(const read_txn& txn);
std::optional<peer::store_id> find_store_id(const read_txn& txn);
std::optional<raft::hard_state> find_hard_state(const read_txn& txn);
std::optional<placed_configuration> find_members(const read_txn& txn);

void put_format(write_txn& txn);
void put_identity(write_txn& txn, const identity_of_store& what);
void put_store_id(write_txn& txn, const peer::store_id& what);
void put_hard_state(write_txn& txn, const raft::hard_state& what);
/// `encoded` is the payload of the change entry at `index`.
void put_members(write_txn& txn, log_index index, bytes_view encoded);

} // namespace signet::storage
