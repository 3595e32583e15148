// Before the client is attached: CONNECT, the proof, the entry that opens the session, the old connection.

#include "actors/session/core.hpp"

#include <array>

namespace signet {

using mqtt::property_id;
using mqtt::reason_code;

namespace {
// Codes that a CONNACK may carry; anything else is told as a protocol error.
reason_code connack_code(reason_code code) {
  constexpr std::array<std::uint8_t, 22> allowed{0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A,
                                                 0x8C, 0x90, 0x95, 0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F, 0x9F};
  for (const auto each : allowed)
    if (static_cast<std::uint8_t>(code) == each)
      return code;
  return reason_code::protocol_error;
}
} // namespace

void session_core::refuse(reason_code code) {
  put(out::send{make_refusal(connack_code(code), facts_.version, now_.wall)});
  close_silently();
}

void session_core::fail_login(const disproved& why) {
  put(out::report{why.kind, why.subject, why.object, why.detail});
  if (why.rate_limited)
    return refuse(reason_code::connection_rate_exceeded);
  around_.gate.login_failed(now_.steady);
  refuse(reason_code::not_authorized);
}

void session_core::on(in::started&) {
  put(out::allow{link_state::connecting, settings_.connect_bytes_max});
  life_.begin_step(now_.steady, settings_.first_packet_ms);
}

void session_core::take_connect(mqtt::connect& packet) {
  connect_seen_ = true;
  facts_.version = packet.version;
  auto facts = read_connect(packet, settings_, around_.proofs.channel);
  if (!facts) {
    report(security_kind::login_failed, facts.error().detail);
    return refuse(facts.error().code);
  }
  facts_ = std::move(*facts);
  if (!around_.gate.may_try(now_.steady)) {
    report(security_kind::rate_limit, "failed_logins");
    return refuse(reason_code::connection_rate_exceeded);
  }
  if (!around_.gate.may_verify(now_.steady)) {
    report(security_kind::rate_limit, "verifications");
    return refuse(reason_code::connection_rate_exceeded);
  }
  if (!facts_.enhanced) {
    const auto password = packet.password ? as_text(*packet.password) : std::string_view{};
    return judged(judge_token(around_.proofs, packet.user_name.value_or(std::string{}), password, facts_.client_id,
                              now_, around_.reads));
  }
  auto hello = packet.props.find_binary(property_id::authentication_data).value_or(bytes_view{});
  auto challenge = challenger_.challenge(around_.proofs, hello, facts_.client_id, around_.random);
  if (!challenge)
    return fail_login({security_kind::login_failed, "malformed", {}, {}, false});
  phase_ = phase::proving;
  life_.begin_step(now_.steady, settings_.proof_ms);
  mqtt::auth answer;
  answer.code = reason_code::continue_authentication;
  answer.props.add(property_id::authentication_method, std::string{login_method});
  answer.props.add(property_id::authentication_data, std::move(*challenge));
  put(out::allow{link_state::proving, settings_.proof_bytes_max});
  put(out::send{std::move(answer)});
}

void session_core::take_proof(mqtt::auth& packet) {
  const auto method = packet.props.find_text(property_id::authentication_method);
  if (packet.code != reason_code::continue_authentication || !method || *method != login_method) {
    report(security_kind::malformed_packet, "auth");
    return refuse(reason_code::protocol_error);
  }
  const auto proof = packet.props.find_binary(property_id::authentication_data).value_or(bytes_view{});
  judged(challenger_.judge(around_.proofs, proof, now_, around_.reads, around_.gate));
}

void session_core::judged(proof_verdict verdict) {
  if (!verdict)
    return fail_login(verdict.error());
  key_ = verdict->key;
  expires_ = verdict->expires;
  if (around_.gate.storm_wait_ms(key_, now_.steady) > 0) {
    report(security_kind::takeover_storm, "refused");
    return refuse(reason_code::connection_rate_exceeded);
  }
  phase_ = phase::opening;
  life_.end_step();
  put(out::open_session{{key_, expires_, verdict->token, std::move(verdict->identity)}});
}

void session_core::on(in::opening_answered& answer) {
  if (phase_ != phase::opening)
    return;
  if (answer.outcome.problem != ec::ok) {
    // It may be in the log all the same: then its row ends with its proof, or when the client comes again.
    return lost_ ? close_silently() : refuse(reason_code::server_unavailable);
  }
  const auto& applied = answer.outcome.answer;
  if (applied.code != ec::ok) {
    around_.gate.login_failed(now_.steady);
    if (applied.code != ec::token_spent && applied.code != ec::key_collision)  // apply has recorded those
      report(security_kind::login_failed, name(applied.code));
    return lost_ ? close_silently() : refuse(reason_code::not_authorized);
  }
  epoch_ = applied.epoch;
  phase_ = phase::attaching;
  put(out::attach{key_, epoch_, applied.replaced_epoch, facts_.clean_start});
}

void session_core::on(in::attached& answer) {
  if (phase_ != phase::attaching)
    return;
  if (!answer.accepted)  // a newer connection of this client id has come meanwhile
    return lost_ ? close_silently() : refuse(reason_code::server_busy);

  const auto cursor = around_.reads.cursor_of(key_.identity, key_.device);
  payload_bytes_max_ = delivery_bytes_max();
  bool present = false;
  if (answer.state && !facts_.clean_start) {
    const auto& state = *answer.state;
    // Packed with another limit, the publishes in flight would hold other positions under the same packet ids.
    present = state.device == key_.device && state.payload_bytes_max == payload_bytes_max_ &&
              state.in_flight.size() <= facts_.receive_maximum;
  }
  if (present) {
    subscribed_ = answer.state->subscribed;
    resend_bytes_max_ = answer.state->payload_bytes_max;
    delivery_.resume(*answer.state, cursor, facts_.receive_maximum);
    resumed_ = true;
  } else {
    delivery_.start(cursor, facts_.receive_maximum);
  }
  phase_ = phase::attached;
  if (lost_)
    return leave("link_lost", true);
  around_.gate.authenticated();
  life_.proved(now_, expires_);
  life_.keep_alive(now_.steady, facts_.keep_alive_s);
  put(out::limit_output{facts_.packet_bytes_max});
  put(out::allow{link_state::attached, settings_.inbound_packet_bytes});
  send(make_connack(facts_, settings_, present, expires_, now_.wall));
  put(out::follow{key_.identity});
  if (subscribed_.has(topic_role::inbox)) {
    inbox_asked_ = true;
    put(out::ask_inbox{});
  }
  auto early = std::exchange(early_, {});
  for (auto& packet : early)
    if (phase_ == phase::attached)
      take_attached(packet);
  if (phase_ == phase::attached && credit_held_ > 0 && !inbound_.full())
    put(out::give_credit{std::exchange(credit_held_, 0)});
}

} // namespace signet
