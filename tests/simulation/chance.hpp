#pragma once
// CHANCE: all randomness of a run. Every number is a function of the seed, of what it is for, and of a counter of that
// purpose alone, so that leaving out one decision does not change what chance says about all others: schedules can be
// made smaller, and what remains still happens.

#include "messages/seams.hpp"

#include <cstdint>

namespace signet::simulation {

inline constexpr std::uint64_t scramble(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

/// A stream of numbers. Two streams with different purposes have nothing to do with each other.
class chance : public random_source {
public:
  explicit chance(std::uint64_t seed, std::uint64_t purpose = 0, std::uint64_t which = 0)
    : key_{scramble(scramble(scramble(seed) ^ purpose) ^ which)} {}
  std::uint64_t next() { return scramble(key_ ^ scramble(++count_)); }
  /// 0 … end - 1; 0 if end is 0.
  std::uint64_t below(std::uint64_t end) { return end == 0 ? 0 : next() % end; }
  /// first … last
  std::uint64_t between(std::uint64_t first, std::uint64_t last) { return first + below(last - first + 1); }
  bool permille(std::uint64_t of_thousand) { return below(1000) < of_thousand; }
  bool percent(std::uint64_t of_hundred) { return below(100) < of_hundred; }
  double unit() { return static_cast<double>(next() >> 11) * 0x1p-53; }
  void fill(std::span<std::uint8_t> out) override {
    for (auto& each : out)
      each = static_cast<std::uint8_t>(next());
  }

private:
  std::uint64_t key_, count_ = 0;
};

} // namespace signet::simulation
