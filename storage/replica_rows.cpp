#include "storage/replica_rows.hpp"

namespace signet::storage {

namespace {

constexpr auto format_name = "format";
constexpr auto identity_name = "identity";
constexpr auto store_name = "store";
constexpr auto hard_state_name = "hard-state";
constexpr auto members_name = "members";

std::optional<bytes> find_meta(const read_txn& txn, const char* name) {
  auto found = get<table::meta>(txn, {name});
  return found ? std::optional{to_bytes(found->raw)} : std::nullopt;
}
void put_meta(write_txn& txn, const char* name, bytes_view raw) { put<table::meta>(txn, {name}, {raw}); }

} // namespace

bool holds_format(const read_txn& txn) { return find_meta(txn, format_name).has_value(); }

std::optional<format_row> find_format(const read_txn& txn) {
  auto raw = find_meta(txn, format_name);
  return raw ? format_row::decode(*raw) : std::nullopt;
}

std::optional<identity_of_store> find_identity(const read_txn& txn) {
  auto raw = find_meta(txn, identity_name);
  if (!raw || raw->size() != cluster_id::size + 8)
    return std::nullopt;
  return identity_of_store{*cluster_id::from(bytes_view{*raw}.first(cluster_id::size)),
                           raft::server_id{read_u64(raw->data() + cluster_id::size)}};
}

std::optional<peer::store_id> find_store_id(const read_txn& txn) {
  auto raw = find_meta(txn, store_name);
  return raw ? peer::store_id::from(*raw) : std::nullopt;
}

std::optional<raft::hard_state> find_hard_state(const read_txn& txn) {
  auto raw = find_meta(txn, hard_state_name);
  if (!raw || raw->size() != 16)
    return std::nullopt;
  return raft::hard_state{signet::term{read_u64(raw->data())}, raft::server_id{read_u64(raw->data() + 8)}};
}

std::optional<placed_configuration> find_members(const read_txn& txn) {
  auto raw = find_meta(txn, members_name);
  if (!raw || raw->size() < 8)
    return std::nullopt;
  auto members = raft::decode_configuration(bytes_view{*raw}.subspan(8));
  if (!members)
    return std::nullopt;
  return placed_configuration{log_index{read_u64(raw->data())}, std::move(*members)};
}

void put_format(write_txn& txn) {
  bytes raw;
  format_row{}.encode(raw);
  put_meta(txn, format_name, raw);
}

void put_identity(write_txn& txn, const identity_of_store& what) {
  bytes raw = to_bytes(what.cluster.view());
  append_u64(raw, value(what.self));
  put_meta(txn, identity_name, raw);
}

void put_store_id(write_txn& txn, const peer::store_id& what) { put_meta(txn, store_name, what.view()); }

void put_hard_state(write_txn& txn, const raft::hard_state& what) {
  bytes raw;
  append_u64(raw, value(what.term));
  append_u64(raw, value(what.voted_for));
  put_meta(txn, hard_state_name, raw);
}

void put_members(write_txn& txn, log_index index, bytes_view encoded) {
  bytes raw;
  append_u64(raw, value(index));
  append(raw, encoded);
  put_meta(txn, members_name, raw);
}

} // namespace signet::storage
