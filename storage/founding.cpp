// How stores begin: founded with the members of a new cluster, blank to be taken into one, or grown from a cluster of one.

#include "storage/log/event_log.hpp"
#include "storage/replica_rows.hpp"
#include "storage/replica_store.hpp"

#include <algorithm>

namespace signet::storage {

namespace {

environment_options environment_options_of(const replica_options& from) {
  environment_options out;
  out.directory = from.directory;
  out.map_bytes = from.map_bytes;
  out.readers_max = from.readers_max;
  return out;
}

/// Opens (or makes) the environment and runs `write` in its one transaction; what the disk throws becomes an error.
template <class F>
status in_one_transaction(const replica_options& options, F&& write) {
  auto env = environment::open(environment_options_of(options), all_tables());
  if (!env)
    return tl::make_unexpected(env.error());
  try {
    auto txn = (*env)->write();
    if (auto good = write(txn); !good)
      return good;
    // A crash before this commit: everything is as before. (Where there was nothing: a data file without a format row,
    // which the next founding takes as empty.)
    txn.commit();
    return {};
  } catch (const storage_failure& failure) {
    return tl::make_unexpected(failure.why());
  }
}

status begin_store(write_txn& txn, const replica_options& options, const identity_of_store& whose) {
  if (holds_format(txn))
    return fail(ec::already_exists, options.directory.string() + " holds a store already");
  put_format(txn);
  put_identity(txn, whose);
  put_store_id(txn, random_id<peer::store_id>(*options.random));
  return {};
}

} // namespace

bool replica_store::present(const std::filesystem::path& directory) {
  std::error_code ignored;
  return std::filesystem::exists(directory / "data.mdb", ignored);
}

status replica_store::found(const replica_options& options, const founding& what) {
  if (auto good = raft::check(what.members); !good)
    return good;
  auto self = options.consensus.self;
  if (std::none_of(what.members.begin(), what.members.end(), [&](const auto& m) { return m.id == self; }))
    return fail(ec::configuration, "node " + to_string(self) + " is not among the founding members");
  return in_one_transaction(options, [&](write_txn& txn) -> status {
    if (auto begun = begin_store(txn, options, {what.cluster, self}); !begun)
      return begun;
    put_hard_state(txn, raft::founding_hard_state);
    auto first = raft::founding_entry(what.members);
    event_log::append(txn, event_log::head{}, {first.term, static_cast<std::uint8_t>(first.type), first.payload});
    return {};
  });
}

status replica_store::make_blank(const replica_options& options, const cluster_id& cluster) {
  return in_one_transaction(options, [&](write_txn& txn) -> status {
    if (auto begun = begin_store(txn, options, {cluster, {}}); !begun)
      return begun;
    put_hard_state(txn, {});
    return {};
  });
}

} // namespace signet::storage
