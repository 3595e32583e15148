#pragma once
// What the workloads say, and how a restarted store is held to it.
//
//   V term voted    this vote is durable
//   D index hash    every record up to `index` is durable, and the one at `index` has this hash
//   E index hash    the same, and it is applied; "-" for a hash that was not known yet
//   A index         everything up to `index` is applied: somebody has seen it
//   T index         records from `index` on may be replaced from now on

#include "messages/ids.hpp"

#include <span>
#include <string>
#include <vector>

namespace signet::crash {

/// What stands there after a restart.
struct restarted {
  std::vector<digest> hashes;  ///< of the log's records, by index; [0] is none
  std::uint64_t applied = 0;
  std::uint64_t term = 0, voted = 0;
};

/// Throws broken_promise.
void hold_to(std::span<const std::string> said, const restarted& what);

} // namespace signet::crash
