#pragma once
// HISTOGRAM: how often something took how long, or was how large, in fixed buckets; for metrics alone, nothing decides by
// it. One thread at a time.

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>

namespace signet {

template <std::size_t N>
struct histogram {
  std::array<double, N> bounds;               ///< upper bounds, rising; what is above the last counts in counts[N]
  std::array<std::uint64_t, N + 1> counts{};  ///< of each bucket alone, not of those below it
  double sum = 0;

  void observe(double what) {
    const auto at = std::lower_bound(bounds.begin(), bounds.end(), what) - bounds.begin();
    ++counts[static_cast<std::size_t>(at)];
    sum += what;
  }
  void observe(std::chrono::steady_clock::duration what) { observe(std::chrono::duration<double>(what).count()); }
};

/// Seconds, from a fast commit to what an operator must be told of.
inline constexpr std::array latency_bounds{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1., 2.5, 5., 10.};
using latency_histogram = histogram<latency_bounds.size()>;
/// How many at once.
inline constexpr std::array count_bounds{1., 2., 4., 8., 16., 32., 64., 128., 256., 512., 1024.};
using count_histogram = histogram<count_bounds.size()>;

} // namespace signet
