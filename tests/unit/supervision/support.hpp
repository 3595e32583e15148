#pragma once
#include "messages/seams.hpp"

#include <random>

namespace signet::testing {

/// Repeatable randomness.
class seeded_random final : public random_source {
public:
  explicit seeded_random(std::uint64_t seed) : engine_{seed} {}
  void fill(std::span<std::uint8_t> out) override {
    for (auto& byte : out)
      byte = static_cast<std::uint8_t>(engine_());
  }

private:
  std::mt19937_64 engine_;
};

/// The largest or the smallest draw that the formula allows: all ones would be reduced, so hand out a fixed number.
class fixed_random final : public random_source {
public:
  explicit fixed_random(std::uint64_t number) : number_{number} {}
  void fill(std::span<std::uint8_t> out) override {
    for (std::size_t i = 0; i < out.size(); ++i)
      out[i] = static_cast<std::uint8_t>(number_ >> (8 * (7 - i % 8)));
  }

private:
  std::uint64_t number_;
};

inline steady_ms at_ms(std::uint64_t ms) { return steady_ms{ms}; }

} // namespace signet::testing
