#pragma once
// OTP's restart intensity: so many restarts within a window, then give up. Plain C++. Not thread-safe.

#include "messages/seams.hpp"

#include <chrono>
#include <cstddef>
#include <deque>

namespace signet::supervision {

/// At most `restarts_max` restarts within any half-open `window`. 0 restarts: never restart.
struct intensity_rule {
  std::size_t restarts_max = 5;
  std::chrono::milliseconds window{60'000};
};

class restart_budget {
public:
  explicit restart_budget(intensity_rule rule) : rule_{rule} {}

  /// True: a restart at `now` is within the budget, and is counted. False: it is not; nothing is counted. A restart at
  /// time t weighs during [t, t + window). `now` must not go back.
  [[nodiscard]] bool spend(steady_ms now);
  /// Restarts that weigh at `now`.
  std::size_t spent(steady_ms now);

private:
  void forget(steady_ms now);

  intensity_rule rule_;
  std::deque<steady_ms> times_;  // rising; never more than restarts_max
};

} // namespace signet::supervision
