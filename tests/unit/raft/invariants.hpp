#pragma once
// What must hold in a cluster after every step, and what must hold between a step and the one before. Knows nothing of
// how the cluster is driven. A violation throws.

#include "storage/raft/core.hpp"

#include <map>
#include <stdexcept>
#include <unordered_map>

namespace signet::raft::test {

struct violation : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Folds an entry into the hash of everything before it.
std::uint64_t fold(std::uint64_t before, const entry& e);

/// What one server shows after a step.
struct view {
  server_id self{};
  raft::role role{};
  signet::term term{};
  log_index commit{};
  log_index last{};
  log_index applied{};
  log_index last_in_store{};  ///< the driver's own log
  bool installing = false;
  configuration members_inside, members_in_log;
};

class invariants {
public:
  /// Log matching: (index, term) names one entry and one predecessor.
  void appended(log_index index, const entry& e, signet::term term_before);
  /// Never twice different at one index. Returns the hash of the prefix up to here.
  std::uint64_t applied(server_id who, log_index index, const entry& e, std::uint64_t hash_before);
  /// The client was told that this happened.
  void acknowledged(log_index index, const entry& e);
  /// An answer leaves that claims entries up to `claimed`, of which `durable` are.
  void claimed(server_id who, log_index claimed, log_index durable) const;
  /// After every step of a server.
  void after_step(const view& now);
  /// A server starts again: what was volatile may go back, but not behind the term that is durable.
  void restarted(server_id who, signet::term durable);
  /// At the end: everything acknowledged stands in the committed log.
  void at_the_end() const;

  std::size_t committed() const { return prefix_.size(); }
  std::size_t acknowledgements() const { return acknowledged_.size(); }
  /// Hash of the committed prefix up to `index`; a state carried over must have it.
  std::uint64_t prefix_hash(log_index index) const;

private:
  struct named {
    entry what;
    signet::term before{};
  };
  std::map<signet::term, server_id> leaders_;
  std::map<std::pair<log_index, signet::term>, named> entries_;
  std::vector<std::pair<entry, std::uint64_t>> prefix_;  ///< committed entries from index 1 on, and the hash up to each
  std::map<log_index, entry> acknowledged_;
  std::map<server_id, view> before_;
};

} // namespace signet::raft::test
