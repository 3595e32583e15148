#pragma once
// One seed, one thread, a whole cluster: real cores, virtual time, disks that take their time, a network that loses,
// doubles and reorders, servers that are killed with their unfinished writes. The invariants are checked after each step.

#include "tests/unit/raft/invariants.hpp"

#include <deque>
#include <functional>
#include <queue>
#include <random>
#include <set>

namespace signet::raft::test {

struct conditions {
  configuration founders;
  std::size_t joiners = 0;  ///< blank servers that may be taken in
  std::uint64_t faulty_ms = 4'000;
  std::uint64_t calm_ms = 30'000;  ///< within which there must be progress after the faults end
  bool crashes = true, partitions = true, snapshots = true, transfers = true, changes = false;
  std::uint32_t workarounds_off = 0;
  // Mistakes of a driver that the invariants must find.
  bool votes_leave_early = false;       ///< messages do not wait for the hard state
  bool durable_is_claimed_early = false;  ///< a write is reported when it begins
};

struct outcome_of_run {
  std::string broken;  ///< empty: nothing
  std::size_t steps = 0, committed = 0, acknowledged = 0, leaderships = 0;
};

/// Everything random is drawn from `seed`.
outcome_of_run simulate(const conditions& under, std::uint64_t seed);

} // namespace signet::raft::test
