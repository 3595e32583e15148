#pragma once
// LANE JUDGE: may this message be the next of its lane? Pure: facts in, outcome out. Apply uses it with the state for
// good; the sender uses the same rules beforehand, so that what cannot be accepted is not proposed.
//
// A lane is numbered 1, 2, 3… and each message names the link of the one before. In one batch a refused message stops
// its lane: later new messages of that lane are a gap (with the same expected number), earlier ones are what they are.

#include "messages/ids.hpp"
#include "messages/outcome.hpp"

#include <optional>

namespace signet::storage {

/// A message that stands in a lane.
struct standing_message {
  link own;
  log_index index{};
  bool operator==(const standing_message&) const = default;
};

/// What the judge asks of one message; well-formed: n >= 1, and previous is zero if and only if n = 1.
struct lane_facts {
  lane_number n{};
  link previous;
  link own;
};

class lane_judge {
public:
  lane_judge() = default;
  /// `tail`: the last message of the lane, n = 0 and a zero link if there is none.
  lane_judge(lane_number tail_n, const link& tail_link) : n_{tail_n}, link_{tail_link} {}

  /// `here`: index of the entry that is being judged. `barred`: why no new message may be accepted (revoked key, unknown
  /// recipient…); what stands already is a duplicate all the same. `earlier(n)` gives the standing_message at
  /// 1 <= n <= tail; called at most once. `accepted` moves the tail.
  template <class Earlier>
  outcome judge(const lane_facts& message, log_index here, std::optional<outcome_code> barred, Earlier&& earlier) {
    const auto expected = next(n_);
    if (message.n <= n_) {
      const standing_message stands = earlier(message.n);
      if (stands.own == message.own)
        return {outcome_code::duplicate, stands.index, {}};
      stopped_ = true;
      return {barred.value_or(outcome_code::fork), {}, barred ? lane_number{} : expected};
    }
    if (barred) {
      stopped_ = true;
      return {*barred, {}, {}};
    }
    if (stopped_ || message.n != expected) {
      stopped_ = true;
      return {outcome_code::gap, {}, expected};
    }
    if (message.previous != link_) {
      // It follows a message that is not the one that stands: its author has written two under that number.
      stopped_ = true;
      return {outcome_code::fork, {}, expected};
    }
    n_ = message.n;
    link_ = message.own;
    return {outcome_code::accepted, here, {}};
  }
  lane_number tail_n() const { return n_; }
  const link& tail_link() const { return link_; }
  bool stopped() const { return stopped_; }

private:
  lane_number n_{};
  link link_;
  bool stopped_ = false;
};

} // namespace signet::storage
