#include "actors/delivery/window.hpp"

#include <algorithm>

namespace signet {

void delivery_window::start(inbox_position cursor, std::uint16_t quota) {
  in_flight_.clear();
  resend_ = resent_ = 0;
  acked_ = cursor;
  next_ = signet::next(cursor);
  quota_ = quota;
}

void delivery_window::resume(const parked_state& state, inbox_position cursor, std::uint16_t quota) {
  start(std::max(cursor, state.acked), quota);
  next_ = std::max(next_, state.next);
  last_id_ = state.last_id;
  // What was acknowledged out of order stays in the table: it is not sent again, and the cursor can pass over it.
  for (const auto& one : state.in_flight)
    if (one.last > acked_)
      in_flight_.push_back(one);
  resend_ = in_flight_.size();
}

std::optional<delivery_in_flight> delivery_window::take_resend() {
  while (resent_ < resend_) {
    const auto& one = in_flight_[resent_++];
    if (!one.acked)
      return one;
  }
  return std::nullopt;
}

mqtt::packet_id delivery_window::sent(inbox_position last) {
  do
    ++last_id_;
  while (last_id_ == 0 || std::any_of(in_flight_.begin(), in_flight_.end(),
                                      [&](const auto& one) { return one.id == last_id_; }));
  in_flight_.push_back({last_id_, next_, last, false});
  next_ = signet::next(last);
  return last_id_;
}

std::optional<inbox_position> delivery_window::acknowledged(mqtt::packet_id id, bool explicit_acks) {
  const auto found = std::find_if(in_flight_.begin(), in_flight_.end(),
                                  [&](const auto& one) { return one.id == id && !one.acked; });
  if (found == in_flight_.end()) {
    ++unsolicited_;  // late acks after a reconnect are normal
    return std::nullopt;
  }
  found->acked = true;
  const auto before = acked_;
  std::size_t gone = 0;
  for (; gone < in_flight_.size() && in_flight_[gone].acked; ++gone) {
    const auto& one = in_flight_[gone];
    // A range behind a hole (the client skipped forward) is acknowledged, but the cursor never jumps over the hole.
    if (!explicit_acks && one.first <= signet::next(acked_) && one.last > acked_)
      acked_ = one.last;
  }
  in_flight_.erase(in_flight_.begin(), in_flight_.begin() + static_cast<std::ptrdiff_t>(gone));
  resend_ -= std::min(resend_, gone);
  resent_ -= std::min(resent_, gone);
  return acked_ > before ? std::optional{acked_} : std::nullopt;
}

std::optional<inbox_position> delivery_window::acknowledged_up_to(inbox_position position) {
  if (position <= acked_)
    return std::nullopt;
  acked_ = position;
  next_ = std::max(next_, signet::next(position));
  return acked_;
}

void delivery_window::park(parked_state& out) const {
  out.in_flight = in_flight_;
  out.next = next_;
  out.acked = acked_;
  out.last_id = last_id_;
}

} // namespace signet
