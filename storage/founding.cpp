// How stores begin: founded with the members of a new cluster, blank to be taken into one, or grown from a cluster of one.

#include "storage/founding.hpp"
#include "storage/log/event_log.hpp"
#include "storage/replica_rows.hpp"

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

result<bool> replica_store::founded(const std::filesystem::path& directory) {
  if (!present(directory))
    return false;
  // Only this table: a store of an older program lacks others, and still is one.
  const std::array only{table::meta::ref};
  auto env = environment::open({.directory = directory, .read_only = true}, only);
  if (!env)
    return tl::make_unexpected(env.error());
  try {
    return holds_format((*env)->read());
  } catch (const storage_failure& failure) {
    return tl::make_unexpected(failure.why());
  }
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

status grow(const replica_options& options, const std::vector<std::string>& voters) {
  if (voters.size() < 3 || voters.size() % 2 == 0)
    return fail(ec::configuration, "a cluster grows to 3 or 5 voters, not to " + std::to_string(voters.size()));
  if (!replica_store::present(options.directory))
    return fail(ec::not_found, options.directory.string() + " holds no store");
  return in_one_transaction(options, [&](write_txn& txn) -> status {
    auto whose = find_identity(txn);
    auto stored = find_hard_state(txn);
    auto standing = find_members(txn);
    if (!holds_format(txn) || !whose || !stored || !standing)
      return fail(ec::not_found, options.directory.string() + " holds no store that has ever run");
    if (options.expected_cluster && *options.expected_cluster != whose->cluster)
      return fail(ec::configuration, options.directory.string() + " belongs to cluster " + whose->cluster.hex());
    auto head = event_log::find_head(txn);
    auto last = event_log::find(txn, head.index);
    auto grown = standing->members;
    for (auto& member : grown)
      if (std::find(voters.begin(), voters.end(), member.address) != voters.end())
        member.role = raft::member_role::voter;
    if (last && last->type == static_cast<std::uint8_t>(raft::entry_type::change) && to_bytes(last->payload) == raft::encode(grown))
      return fail(ec::already_exists, "the cluster has grown already; start this node");
    if (raft::sole_voter_of(standing->members) != whose->self)
      return fail(ec::configuration, "this node is not the only voter; see signet cluster status");
    if (read_applied(txn).index != head.index)
      return fail(ec::configuration, "the end of the log is not applied; start this node and stop it again");
    for (const auto& node : voters)
      if (std::none_of(grown.begin(), grown.end(), [&](const auto& m) { return m.address == node; }))
        return fail(ec::configuration, "node " + node + " is not a member; with this node running: signet cluster add " + node);
    if (std::count_if(grown.begin(), grown.end(), [](const auto& m) { return m.role == raft::member_role::voter; }) !=
        static_cast<std::ptrdiff_t>(voters.size()))
      return fail(ec::configuration, "this node must be among the voters, each once");
    // Nobody but this node may act in the next term, because nobody else has a vote until the entry has reached them.
    auto term = next(stored->term);
    put_hard_state(txn, {term, whose->self});
    event_log::append(txn, head, {term, static_cast<std::uint8_t>(raft::entry_type::change), raft::encode(grown)});
    return {};
  });
}

} // namespace signet::storage
