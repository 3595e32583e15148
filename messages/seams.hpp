#pragma once
// Two of the four seams: clock and random source. (Disk is storage/lmdb, network is actors/bridge.) Decisions are
// handed the time as a number; only the edges hold one of these.

#include "messages/ids.hpp"

#include <chrono>

namespace signet {

/// Milliseconds of a clock that never goes back and means nothing outside this process.
enum class steady_ms : std::uint64_t {};

class clock_source {
public:
  virtual ~clock_source() = default;
  virtual wall_ms wall() const = 0;      ///< may jump; data only
  virtual steady_ms steady() const = 0;  ///< for every timeout
};

class random_source {
public:
  virtual ~random_source() = default;
  virtual void fill(std::span<std::uint8_t> out) = 0;
};

/// The operating system's clocks, and libsodium's generator. Thread-safe.
clock_source& system_clock();
random_source& system_random();

template <class Id>
Id random_id(random_source& random) {
  Id out;
  random.fill(out.raw);
  return out;
}

} // namespace signet
