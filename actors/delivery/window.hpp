#pragma once
// Deliveries of one connection: what is on its way to the client, what it has acknowledged, and what comes next.
//
// The problem: at-least-once, in order, without loss, over connections that end anywhere. Invariants:
//   * Publishes leave in rising positions; at most `quota` are unacknowledged; the quota is the connection's own.
//   * The cursor moves only over positions that the client has acknowledged, contiguously from where it stands: a
//     PUBACK out of order waits for those before it.
//   * Nothing is sent twice on one connection unless the client asks (deliver_from). After a reconnect with the table
//     at hand the same ids come again, in the same order, with DUP; without it, what is behind the cursor comes anew.
//   * A late or foreign PUBACK changes nothing.
// No I/O, no clock.

#include "actors/session/state.hpp"

namespace signet {

class delivery_window {
public:
  /// `cursor`: the durable one. A fresh start: everything behind it is to be sent.
  void start(inbox_position cursor, std::uint16_t quota);
  /// With the table of the connection before. What the cursor covers already is not sent again.
  void resume(const parked_state& state, inbox_position cursor, std::uint16_t quota);

  /// Resumed publishes that have not been sent on this connection yet, oldest first.
  std::optional<delivery_in_flight> take_resend();
  /// For one more publish. One that was acknowledged out of order keeps its place: the window slides.
  bool has_room() const { return in_flight_.size() < quota_; }
  inbox_position next() const { return next_; }
  inbox_position acked() const { return acked_; }

  /// QoS 1: positions [next, last] leave under the id that is returned.
  mqtt::packet_id sent(inbox_position last);
  /// QoS 0: they leave, and nobody will acknowledge them.
  void sent_unacknowledged(inbox_position last) { next_ = signet::next(last); }

  /// A PUBACK. The new cursor, if it moves. `explicit_acks`: then it never does.
  std::optional<inbox_position> acknowledged(mqtt::packet_id id, bool explicit_acks);
  /// signet/v1/ack. The new cursor, if it moves.
  std::optional<inbox_position> acknowledged_up_to(inbox_position position);
  /// Deliver from here on; the cursor stays.
  void deliver_from(inbox_position first) { next_ = first; }

  void park(parked_state& out) const;
  std::size_t in_flight() const { return in_flight_.size(); }
  std::uint64_t unsolicited() const { return unsolicited_; }

private:
  std::vector<delivery_in_flight> in_flight_;   // in order of sending
  std::size_t resend_ = 0;                      // in_flight_[0, resend_) come from the connection before, and of those
  std::size_t resent_ = 0;                      // [0, resent_) have been sent again
  inbox_position next_{1}, acked_{};
  mqtt::packet_id last_id_ = 0;
  std::uint16_t quota_ = 1;
  std::uint64_t unsolicited_ = 0;
};

} // namespace signet
