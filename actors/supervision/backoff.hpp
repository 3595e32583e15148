#pragma once
// How long to wait before the next try: doubling, capped, with full jitter, so that many who failed together do not
// come back together. Plain arithmetic; randomness is handed in. Not thread-safe.

#include "messages/seams.hpp"

#include <chrono>
#include <cstdint>

namespace signet::supervision {

/// The wait before try k (1, 2, 3…) is drawn evenly from [floor, min(cap, first * 2^(k-1))]. A ceiling below the floor
/// counts as the floor.
struct backoff_rule {
  std::chrono::milliseconds first{100};
  std::chrono::milliseconds cap{10'000};
  std::chrono::milliseconds floor{0};
  bool operator==(const backoff_rule&) const = default;
};

/// min(cap, first * 2^(attempt-1)), without overflow; attempt 0 counts as 1.
std::chrono::milliseconds backoff_ceiling(const backoff_rule& rule, std::uint64_t attempt);
/// The wait before this attempt. Takes 8 bytes from `random`.
std::chrono::milliseconds backoff_delay(const backoff_rule& rule, std::uint64_t attempt, random_source& random);

} // namespace signet::supervision
