#pragma once
// What the two cases of the replica share: the same people in every run, options, and the judgement of a restarted store.

#include "messages/envelope/batch.hpp"
#include "messages/envelope/identity.hpp"
#include "storage/replica_store.hpp"
#include "tests/system/crash/crash_store.hpp"

namespace signet::crash {

/// A failure of the disk stays one; everything else is a broken promise.
template <class T>
T must(result<T> what, std::string_view doing) {
  if (!what && what.error().code == ec::io)
    throw storage::storage_failure(ec::io, std::string{doing} + ": " + what.error().context);
  if (!what)
    throw broken_promise(std::string{doing} + ": " + render(what.error()));
  return std::move(*what);
}

struct person {
  signing_key update, device;
  identity_version version;
  /// The same one for the same number.
  static person number(std::uint8_t n);
  const permalink& id() const { return version.permalink(); }
};

cluster_id the_cluster();

/// Server 1; small limits, so that entries are forgotten and read again from the log.
storage::replica_options options_of(const std::filesystem::path& directory);

/// Founds the store if there is none, and opens it.
std::unique_ptr<storage::replica_store> open_or_found(const std::filesystem::path& directory,
                                                      const raft::configuration& members, steady_ms now, wall_ms wall);

/// The chain is whole, what was said holds, and every replicated row is what the log up to the applied index gives when
/// it is applied again, in a store beside `directory`. Throws broken_promise.
void judge(const storage::replica_store& store, storage::environment& env, const std::filesystem::path& directory,
           std::span<const std::string> said);

/// Of all replicated rows but the applied index, and of all commands in the log: barriers come and go with restarts.
std::string digest_of_content(const storage::read_txn& txn);

} // namespace signet::crash
