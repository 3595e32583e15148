#pragma once
// The lives of a connection, never mixed: the time a step of the handshake may take, the keep-alive, and the proof
// (which is announced before it ends). Deadlines only; what happens at one is the core's.

#include "actors/session/ports.hpp"

#include <algorithm>

namespace signet {

class session_life {
public:
  /// The handshake step that is running must be over in so many ms.
  void begin_step(steady_ms now, std::uint32_t ms) { step_end_ = now + ms; }
  void end_step() { step_end_ = never; }
  bool step_over(steady_ms now) const { return now >= step_end_; }

  void keep_alive(steady_ms now, std::uint16_t seconds) {
    keep_alive_ms_ = std::uint64_t{seconds} * 1500;
    heard(now);
  }
  /// Anything arrived.
  void heard(steady_ms now) { heard_ = now; }
  /// While we do not read, the client's silence is our doing: the clock stands.
  void hold_back(steady_ms now, bool holding) {
    if (holding_ && !holding)
      heard_ = now;
    holding_ = holding;
  }
  bool silent_too_long(steady_ms now) const {
    return !holding_ && keep_alive_ms_ != 0 && now >= heard_ + keep_alive_ms_;
  }

  /// A proof that runs until `expires`; the distance is measured once, from then on the steady clock counts.
  void proved(moment now, wall_ms expires) {
    expires_ = expires;
    const std::uint64_t life = value(expires) > value(now.wall) ? value(expires) - value(now.wall) : 0;
    end_ = now.steady + life;
    // At nine tenths, and a minute before the end (or half-way of what is left, for lives that short).
    notices_[0] = now.steady + (life - life / 10);
    notices_[1] = now.steady + (life > 120'000 ? life - 60'000 : life - life / 20);
  }
  wall_ms expires() const { return expires_; }
  bool expired(steady_ms now) const { return now >= end_; }
  /// Once for each of the two times.
  bool notice_due(steady_ms now) {
    bool due = false;
    for (auto& at : notices_)
      if (now >= at) {
        at = never;
        due = true;
      }
    return due;
  }

  steady_ms next_deadline() const {
    auto next = std::min({step_end_, end_, notices_[0], notices_[1]});
    if (keep_alive_ms_ != 0 && !holding_)
      next = std::min(next, heard_ + keep_alive_ms_);
    return next;
  }

private:
  steady_ms step_end_ = never;
  steady_ms heard_{};
  std::uint64_t keep_alive_ms_ = 0;
  bool holding_ = false;
  steady_ms end_ = never;
  steady_ms notices_[2] = {never, never};
  wall_ms expires_{};
};

} // namespace signet
