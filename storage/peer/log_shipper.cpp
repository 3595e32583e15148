#include "storage/peer/log_shipper.hpp"

#include <algorithm>

namespace signet::peer {
namespace {
constexpr std::uint64_t patience_max = 8;
} // namespace

log_shipper::log_shipper(const position& follower, ship_options options)
    : options_{options}, follower_{follower}, matched_{follower.applied}, sent_{follower.applied} {}

log_shipper::beginning log_shipper::compare(const slice_reader& log) const {
  if (follower_.applied == log_index{})
    return beginning::ships;
  const auto here = log(next(follower_.applied), 0, 0);
  if (!here)
    return beginning::ahead;
  return here->prev_term == follower_.applied_term && here->prev_chain == follower_.applied_chain ? beginning::ships
                                                                                                 : beginning::diverged;
}

std::vector<consensus> log_shipper::frames(steady_ms now, term at, log_index commit, const slice_reader& log) {
  std::vector<consensus> out;
  if (!under_way_.empty() && now >= next_timeout()) {
    patience_ = std::min(2 * patience_, patience_max);
    refusals_count_ = true;
    begin_again();
  }
  while (under_way_.size() < options_.frames_in_flight_max) {
    auto slice = log(next(sent_), options_.frame_entries_max, options_.frame_bytes_max);
    if (!slice || slice->entries.empty())
      break;
    if (under_way_.empty())
      quiet_since_ = now;
    raft::append_entries append;
    append.term = at;
    append.prev_index = sent_;
    append.prev_term = slice->prev_term;
    append.leader_commit = commit;
    append.entries = std::move(slice->entries);
    sent_ = log_index{value(sent_) + append.entries.size()};
    under_way_.push_back({append.prev_index, sent_});
    out.push_back({std::move(append), slice->prev_chain});
  }
  return out;
}

void log_shipper::on_result(const raft::append_entries_result& result, steady_ms now) {
  if (result.rejected == log_index{}) {
    // It may hold more than was sent, which says nothing about whether that is ours.
    const auto upto = std::min(result.last_index, sent_);
    if (upto <= matched_)
      return;
    matched_ = upto;
    while (!under_way_.empty() && under_way_.front().last <= matched_)
      under_way_.pop_front();
    quiet_since_ = now;
    patience_ = 1;
    refusals_count_ = true;
    return;
  }
  // A frame before it was lost. Those behind it are refused as well: one of them is enough.
  const bool ours = std::any_of(under_way_.begin(), under_way_.end(),
                                [&](const in_flight& frame) { return frame.prev == result.rejected; });
  if (!ours || !refusals_count_)
    return;
  refusals_count_ = false;
  quiet_since_ = now;
  begin_again();
}

void log_shipper::begin_again() {
  under_way_.clear();
  sent_ = matched_;
  ++restarts_;
}

steady_ms log_shipper::next_timeout() const {
  if (under_way_.empty())
    return steady_ms{UINT64_MAX};
  return steady_ms{value(quiet_since_) + patience_ * options_.answer_ms};
}

} // namespace signet::peer
