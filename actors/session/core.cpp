#include "actors/session/core.hpp"

#include "actors/session/standing.hpp"

#include <algorithm>

namespace signet {

using mqtt::property_id;
using mqtt::reason_code;

namespace {
// The link hands over one packet at a time before the client is attached; these are for one that does not.
constexpr std::size_t early_packets_max = 16;
// While deliveries wait for the output buffer to drain: how often they look again, the longer the less.
constexpr std::uint64_t pause_ms_min = 5, pause_ms_max = 100;
// Of a PUBLISH on signet/v1/inbox beside its payload: fixed header 5, topic 17, id 2, property length 1.
constexpr std::size_t publish_overhead = 32;
} // namespace

session_core::session_core(surroundings around)
  : around_{around},
    settings_{around.proofs.settings},
    inbound_{settings_},
    lookups_{static_cast<double>(settings_.lookups_per_second), static_cast<double>(settings_.lookups_per_second)},
    identities_{static_cast<double>(settings_.identities_per_second),
                static_cast<double>(settings_.identities_per_second)} {}

session_outputs session_core::step(session_input input, moment now, std::size_t output_queued) {
  now_ = now;
  queued_ = output_queued;
  standing_.reset();
  outputs_.clear();
  if (phase_ != phase::closed)
    std::visit([this](auto& what) { on(what); }, input);
  if (phase_ == phase::attached)
    life_.hold_back(now_.steady, inbound_.full());
  return std::exchange(outputs_, {});
}

steady_ms session_core::next_deadline(moment now) {
  if (phase_ == phase::closed)
    return never;
  auto next = std::min(life_.next_deadline(), inbound_.next_deadline(now));
  if (output_paused_)
    next = std::min(next, now.steady + std::clamp((value(now.steady) - value(paused_since_)) / 4, pause_ms_min,
                                                  pause_ms_max));
  return next;
}

// ---- inputs ---------------------------------------------------------------------------------------------------------

void session_core::on(in::packet_came& came) {
  auto& packet = came.packet;
  switch (phase_) {
    case phase::connecting:
      if (auto* connect = std::get_if<mqtt::connect>(&packet))
        return take_connect(*connect);
      report(security_kind::malformed_packet, "not_connect");
      return close_silently();
    case phase::proving:
      if (auto* auth = std::get_if<mqtt::auth>(&packet))
        return take_proof(*auth);
      if (std::holds_alternative<mqtt::disconnect>(packet))
        return close_silently();
      report(security_kind::malformed_packet, "before_proof");
      return refuse(reason_code::protocol_error);
    case phase::opening:
    case phase::attaching:
      // Not before CONNACK, if it named a method [3.1.2-30]; else allowed, and looked at after CONNACK.
      if (facts_.enhanced || early_.size() >= early_packets_max) {
        report(security_kind::malformed_packet, "before_connack");
        if (!lost_)
          put(out::send{make_refusal(reason_code::protocol_error, facts_.version, now_.wall)});
        // The entry is on its way: wait for its answer, so that the session it opens is ended again.
        put(out::close_link{});
        lost_ = true;
        return;
      }
      if (!lost_)
        early_.push_back(std::move(packet));
      return;
    case phase::attached:
      life_.heard(now_.steady);
      return take_attached(packet);
    case phase::closed: return;
  }
}

void session_core::on(in::read_done& done) {
  credit_held_ += done.credit;
  if (phase_ == phase::closed)
    return;
  if (phase_ != phase::attached || !inbound_.full())
    put(out::give_credit{std::exchange(credit_held_, 0)});
}

void session_core::on(in::malformed& what) {
  report(security_kind::malformed_packet, mqtt::name(what.reason));
  if (phase_ == phase::attached)
    return close_with(close_reason::protocol_error, what.reason);
  if (lost_)
    return;
  if (what.answer_as)
    facts_.version = *what.answer_as;
  const bool v311 = what.answer_as == mqtt::protocol_version::v311;
  const bool tell = what.answer_as && (!v311 || what.reason == reason_code::unsupported_protocol_version ||
                                       what.reason == reason_code::client_identifier_not_valid);
  if (phase_ == phase::opening || phase_ == phase::attaching) {
    if (tell)
      put(out::send{make_refusal(reason_code::malformed_packet, facts_.version, now_.wall)});
    put(out::close_link{});
    lost_ = true;
    return;
  }
  return tell ? refuse(what.reason) : close_silently();
}

void session_core::on(in::lost&) {
  if (phase_ == phase::opening || phase_ == phase::attaching) {
    lost_ = true;  // the answer decides: see on(in::attached&)
    return;
  }
  if (phase_ != phase::attached)
    return close_silently();
  pump_inbound(true);
  leave("link_lost", true);
}

void session_core::on(in::ticked&) {
  if (life_.step_over(now_.steady)) {
    life_.end_step();
    if (phase_ == phase::connecting) {
      report(security_kind::login_failed, "first_packet_timeout");
      return close_silently();
    }
    if (phase_ == phase::proving) {
      report(security_kind::challenge_expired, "login");
      around_.gate.login_failed(now_.steady);
      return refuse(reason_code::not_authorized);
    }
    if (reauthenticating_) {
      report(security_kind::challenge_expired, "renewal");
      return close_with(close_reason::session_expired, reason_code::not_authorized, "renewal");
    }
  }
  if (phase_ != phase::attached)
    return;
  if (life_.expired(now_.steady))
    return close_with(close_reason::session_expired);
  if (life_.silent_too_long(now_.steady))
    return close_with(close_reason::keep_alive);
  if (life_.notice_due(now_.steady))
    publish_if_subscribed(topic_role::session, expiring_notice(now_.wall, expires_));
  pump_inbound();
  pump_delivery();
}

void session_core::on(in::output_refused&) {
  if (phase_ == phase::opening || phase_ == phase::attaching)
    return;
  if (phase_ != phase::attached)
    return close_silently();
  report(security_kind::slow_consumer, "buffer_full");
  close_with(close_reason::slow_consumer);
}

void session_core::on(in::renewal_answered& answer) {
  if (!renewing_ || phase_ != phase::attached)
    return;
  const auto asked = std::exchange(renewing_, std::nullopt);
  const bool by_auth = !asked->slot;
  if (by_auth) {
    reauthenticating_ = false;
    life_.end_step();
  }
  const auto problem = answer.outcome.problem != ec::ok ? answer.outcome.problem : answer.outcome.answer.code;
  if (problem == ec::ok) {
    expires_ = asked->what.expires;
    life_.proved(now_, expires_);
    if (by_auth) {
      mqtt::auth done;
      done.props.add(property_id::authentication_method, std::string{login_method});
      if (facts_.problem_information)
        done.props.add_user("session-expires-at", fixed_time(expires_));
      send(std::move(done));
    }
    publish_if_subscribed(topic_role::session, renewed_notice(now_.wall, expires_));
    if (asked->slot) {
      inbound_.complete(*asked->slot, reason_code::success);
      pump_inbound();
    }
    return;
  }
  if (problem == ec::taken_over)
    return close_with(close_reason::taken_over);
  if (problem == ec::revoked_key)
    return close_with(close_reason::revoked_key);
  if (problem == ec::session_expired)
    return close_with(close_reason::session_expired);
  if (by_auth) {
    // A failed re-authentication ends the connection [4.12.1-2], also where the fault is ours: the client comes again.
    const bool ours = answer.outcome.problem != ec::ok;
    return close_with(close_reason::session_expired, ours ? reason_code::server_busy : reason_code::not_authorized,
                      name(problem));
  }
  const bool refused = answer.outcome.problem == ec::ok;
  refuse_request(*asked->slot, refused ? ec::not_authorized : problem,
                 refused ? reason_code::not_authorized : reason_code::implementation_specific_error);
  pump_inbound();
}

void session_core::on(in::identity_answered& answer) {
  if (phase_ != phase::attached)
    return;
  const auto found = std::find_if(publications_.begin(), publications_.end(),
                                  [&](const publication& one) { return one.slot == answer.slot; });
  if (found == publications_.end())
    return;
  const auto asked = *found;
  publications_.erase(found);
  identity_reply reply;
  reply.correlation = asked.correlation;
  reply.code = answer.outcome.problem != ec::ok ? answer.outcome.problem : answer.outcome.answer.code;
  if (reply.code == ec::ok) {
    if (auto chain = around_.reads.chain_of(asked.who))
      reply.chain = std::move(*chain);
  } else if (reply.code == ec::version_conflict) {
    reply.standing = answer.outcome.answer.standing;
  }
  publish_if_subscribed(topic_role::identity, make_identity_answer(reply));
  const bool published = reply.code == ec::ok;
  inbound_.complete(asked.slot, published ? reason_code::success : reason_code::implementation_specific_error,
                    published ? std::string_view{} : name(reply.code));
  pump_inbound();
  // A new version may have revoked the very key of this session: it ends now, after its answer.
  if (phase_ == phase::attached)
    (void)standing();
}

void session_core::on(in::batch_answered& answer) {
  if (phase_ != phase::attached)
    return;
  if (answer.problem == ec::ok)
    inbound_.answered(answer.slot, answer.attempt, answer.answer, now_);
  else
    inbound_.failed(answer.slot, answer.attempt, answer.problem, now_, v5());
  pump_inbound();
  if (inbound_.hopeless())
    close_with(close_reason::no_quorum);
}

void session_core::on(in::inbox_answered& answer) {
  if (phase_ != phase::attached || !inbox_asked_)
    return;
  inbox_asked_ = false;
  if (!answer.yours) {
    report(security_kind::takeover, "inbox");
    return close_with(close_reason::inbox_taken);
  }
  inbox_mine_ = true;
  // With publishes in flight (unsubscribed and subscribed again) the window goes on as it is: its quota still counts.
  if (!std::exchange(resumed_, false) && delivery_.in_flight() == 0)
    // Somebody else of this device may have read on since we attached.
    delivery_.start(std::max(delivery_.acked(), around_.reads.cursor_of(key_.identity, key_.device)),
                    facts_.receive_maximum);
  if (const auto from = std::exchange(from_asked_, std::nullopt))
    delivery_.deliver_from(*from);
  pump_delivery();
}

void session_core::on(in::inbox_grew&) {
  // Also the first thing that FAN-OUT says: what the log has said of this session before it was followed is seen here.
  if (phase_ == phase::attached && standing())
    pump_delivery();
}

void session_core::on(in::identity_moved&) {
  // While this client waits for the answer to its own publication, the answer comes first.
  if (phase_ == phase::attached && publications_.empty())
    (void)standing();
}

void session_core::on(in::stale& what) {
  if (phase_ != phase::attached || std::exchange(stale_, what.stale) == what.stale)
    return;
  publish_if_subscribed(topic_role::session, stale_notice(now_.wall, stale_));
}

void session_core::on(in::close& what) {
  if (phase_ == phase::attached)
    return close_with(what.reason);
  if (phase_ == phase::opening || phase_ == phase::attaching) {
    if (!lost_) {
      put(out::send{make_refusal(reason_code::server_unavailable, facts_.version, now_.wall)});
      put(out::close_link{});
    }
    lost_ = true;
    return;
  }
  if (connect_seen_)
    return refuse(reason_code::server_unavailable);
  close_silently();
}

void session_core::on(in::yield&) {
  if (phase_ != phase::attached) {
    put(out::hand_over{});
    return;
  }
  pump_inbound(true);
  // A session that was to end with its connection is not inherited.
  std::optional<parked_state> state;
  if (facts_.expiry_s > 0)
    state = park();
  say_goodbye(close_reason::taken_over, disconnect_code(close_reason::taken_over), {});
  phase_ = phase::closed;
  put(out::hand_over{std::move(state)});
}

// ---- what follows ---------------------------------------------------------------------------------------------------

void session_core::pump_inbound(bool all) {
  if (phase_ != phase::attached)
    return;
  for (auto& one : inbound_.submit_ready(now_, all))
    put(out::submit{one.slot, one.attempt, {key_.identity, key_.device, std::move(one.raw)}});
  if (inbound_.was_limited())
    report(security_kind::rate_limit, "batches");
  for (auto& answer : inbound_.take_answers()) {
    if (answer.receipt)
      publish_if_subscribed(topic_role::receipts, *answer.receipt);
    if (answer.id == 0)
      continue;
    mqtt::puback ack;
    ack.id = answer.id;
    if (v5()) {
      ack.code = answer.code;
      if (!answer.reason.empty() && facts_.problem_information)
        ack.props.add(property_id::reason_string, std::string{answer.reason});
    }
    send(std::move(ack));
  }
  if (credit_held_ > 0 && !inbound_.full())
    put(out::give_credit{std::exchange(credit_held_, 0)});
}

void session_core::pump_delivery() {
  const auto quality = subscribed_.of(topic_role::inbox);
  if (phase_ != phase::attached || !inbox_mine_ || !quality || payload_bytes_max_ == 0)
    return;
  if (queued_ < settings_.output_pause_bytes)
    output_paused_ = false;
  std::optional<inbox_position> end;  // the views do not change within a step
  while (queued_ < settings_.output_pause_bytes) {
    if (auto again = delivery_.take_resend()) {
      if (!standing() || !deliver(again->first, again->last, resend_bytes_max_, &*again))
        return;
      continue;
    }
    if (*quality == mqtt::qos::at_least_once && !delivery_.has_room())
      return;
    if (!end)
      end = around_.reads.inbox_end(key_.identity);
    if (delivery_.next() > *end || !standing() || !deliver(delivery_.next(), *end, payload_bytes_max_, nullptr))
      return;
  }
  // The link has enough to write. Who takes nothing of it for too long is not waiting but stuck.
  if (!std::exchange(output_paused_, true))
    paused_since_ = now_.steady;
  if (now_.steady >= paused_since_ + settings_.output_stalled_ms) {
    report(security_kind::slow_consumer, "stalled");
    close_with(close_reason::slow_consumer);
  }
}

bool session_core::deliver(inbox_position first, inbox_position last, std::size_t payload_bytes_max,
                           const delivery_in_flight* again) {
  auto pulled = around_.reads.pull(key_.identity, first, last, payload_bytes_max);
  if (!pulled)
    return false;
  mqtt::publish packet;
  packet.topic = topic_of(topic_role::inbox);
  packet.payload = std::move(pulled->payload);
  if (again) {
    packet.quality = mqtt::qos::at_least_once;
    packet.dup = true;
    packet.id = again->id;
  } else if (subscribed_.of(topic_role::inbox) == mqtt::qos::at_least_once) {
    packet.quality = mqtt::qos::at_least_once;
    packet.id = delivery_.sent(pulled->last);
  } else {
    delivery_.sent_unacknowledged(pulled->last);
  }
  queued_ += packet.payload.size() + publish_overhead;
  send(std::move(packet));
  return true;
}

bool session_core::standing() {
  if (standing_)
    return *standing_;
  standing_ = false;
  if (life_.expired(now_.steady)) {
    close_with(close_reason::session_expired);
    return false;
  }
  if (const auto why = judge_standing(epoch_, around_.reads.find_session(key_.identity, key_.client_id),
                                      around_.reads.find_key(key_.device))) {
    close_with(*why);
    return false;
  }
  standing_ = true;
  return true;
}

void session_core::moved(std::optional<inbox_position> cursor) {
  if (cursor)
    put(out::move_cursor{{key_.identity, key_.device, *cursor}});
}

void session_core::publish_if_subscribed(topic_role role, bytes payload) {
  if (!subscribed_.has(role))
    return;
  // At most once: what is said on these topics is about this connection, and means nothing on the next one.
  mqtt::publish packet;
  packet.topic = topic_of(role);
  if (payload.size() + publish_overhead > facts_.packet_bytes_max)
    return;  // never sent [3.1.2-24]; its PUBACK says enough to ask again
  packet.payload = std::move(payload);
  send(std::move(packet));
}

void session_core::refuse_request(std::uint64_t slot, ec why, reason_code code) {
  publish_if_subscribed(topic_role::session, refused_notice(now_.wall, name(why)));
  inbound_.complete(slot, code, name(why));
}

// ---- the end --------------------------------------------------------------------------------------------------------

void session_core::close_with(close_reason why) { close_with(why, disconnect_code(why)); }

void session_core::close_with(close_reason why, reason_code code, std::string_view detail) {
  if (phase_ != phase::attached)
    return;
  say_goodbye(why, code, detail);
  leave(name(why), why != close_reason::revoked_key);
}

void session_core::say_goodbye(close_reason why, reason_code code, std::string_view detail) {
  publish_if_subscribed(topic_role::session, closing_notice(now_.wall, why));
  if (v5()) {
    mqtt::disconnect packet;
    packet.code = code;
    packet.props.add(property_id::reason_string, std::string{detail.empty() ? name(why) : detail});
    send(std::move(packet));
  }
  put(out::close_link{});
}

void session_core::protocol_error(reason_code code, std::string_view detail) {
  report(security_kind::malformed_packet, detail);
  close_with(close_reason::protocol_error, code, detail);
}

void session_core::leave(std::string_view reason, bool park_it) {
  put(out::leave{reason, park_it ? facts_.expiry_s : 0, park()});
  phase_ = phase::closed;
}

void session_core::close_silently() {
  put(out::close_link{});
  phase_ = phase::closed;
}

parked_state session_core::park() const {
  parked_state out;
  out.epoch = epoch_;
  out.device = key_.device;
  out.subscribed = subscribed_;
  out.payload_bytes_max = payload_bytes_max_;
  delivery_.park(out);
  return out;
}

std::size_t session_core::delivery_bytes_max() const {
  constexpr std::size_t smallest = 128;  // a reference must fit
  return facts_.packet_bytes_max >= publish_overhead + smallest ? facts_.packet_bytes_max - publish_overhead : 0;
}

void session_core::send(mqtt::packet packet) { put(out::send{std::move(packet)}); }

void session_core::report(security_kind kind, std::string_view detail) {
  const bool known = !key_.identity.is_zero();  // proved
  put(out::report{kind, known ? to_bytes(key_.identity.view()) : bytes{},
                  known ? to_bytes(key_.device.view()) : bytes{}, detail});
}

} // namespace signet
