// What an attached client may say, packet by packet.

#include "actors/session/core.hpp"

#include "messages/envelope/identity.hpp"

namespace signet {

using mqtt::property_id;
using mqtt::reason_code;

namespace {
// Publications of one session that wait for their entry.
constexpr std::size_t publications_max = 8;
} // namespace

void session_core::take_attached(mqtt::packet& packet) {
  switch (mqtt::type_of(packet)) {
    case mqtt::packet_type::publish: return take(std::get<mqtt::publish>(packet));
    case mqtt::packet_type::puback: return take(std::get<mqtt::puback>(packet));
    case mqtt::packet_type::subscribe: return take(std::get<mqtt::subscribe>(packet));
    case mqtt::packet_type::unsubscribe: return take(std::get<mqtt::unsubscribe>(packet));
    case mqtt::packet_type::pingreq: return send(mqtt::pingresp{});
    case mqtt::packet_type::disconnect: return take(std::get<mqtt::disconnect>(packet));
    case mqtt::packet_type::auth: return take(std::get<mqtt::auth>(packet));
    // QoS 2 is not offered, so no such exchange can exist; a second CONNECT, and what only a server says, neither.
    default: return protocol_error(reason_code::protocol_error, mqtt::name(mqtt::type_of(packet)));
  }
}

// ---- publish --------------------------------------------------------------------------------------------------------

void session_core::take(mqtt::publish& packet) {
  if (!standing())
    return;
  const auto refuse = [&](reason_code code, std::string_view detail) {
    report(security_kind::permission_denied, detail);
    close_with(close_reason::protocol_error, code, detail);
  };
  if (packet.quality == mqtt::qos::exactly_once)
    return refuse(reason_code::qos_not_supported, "qos_2");
  if (packet.retain)
    return refuse(reason_code::retain_not_supported, "retain");
  const auto role = aliases_.resolve(packet);
  if (!role)
    return protocol_error(reason_code::topic_alias_invalid, "topic_alias");
  if (inbound_.holds(packet.id))
    return protocol_error(reason_code::protocol_error, "packet_id_in_use");

  if (!may_publish(*role)) {
    // 3.1.1 leaves only a positive ack, which would be a lie, or the end.
    if (!v5() || packet.quality == mqtt::qos::at_most_once)
      return refuse(reason_code::not_authorized, "publish");
    report(security_kind::permission_denied, "publish");
    inbound_.complete(inbound_.open(packet.id), reason_code::not_authorized);
    return pump_inbound();
  }
  if (*role == topic_role::outbox) {
    inbound_.open_batch(packet.id, share(std::move(packet.payload)));
    return pump_inbound();
  }
  const auto slot = inbound_.open(packet.id);
  if (*role == topic_role::ack)
    take_position(slot, packet.payload);
  else if (*role == topic_role::session)
    take_session_request(slot, packet.payload);
  else
    take_identity_request(slot, packet.payload);
  pump_inbound();
  pump_delivery();
}

void session_core::take_position(std::uint64_t slot, bytes_view payload) {
  const auto position = read_position(payload);
  if (!position) {
    report(security_kind::malformed_payload, "ack");
    return refuse_request(slot, ec::malformed, reason_code::payload_format_invalid);
  }
  if (*position > around_.reads.inbox_end(key_.identity)) {
    report(security_kind::permission_denied, "position");
    return refuse_request(slot, ec::not_found, reason_code::implementation_specific_error);
  }
  moved(delivery_.acknowledged_up_to(*position));
  inbound_.complete(slot, reason_code::success);
}

void session_core::take_session_request(std::uint64_t slot, bytes_view payload) {
  const auto request = read_session_request(payload);
  if (!request) {
    report(security_kind::malformed_payload, "session");
    return refuse_request(slot, ec::malformed, reason_code::payload_format_invalid);
  }
  if (const auto* renew = std::get_if<renew_request>(&*request))
    return renew_by_token(slot, renew->token);
  if (!lookups_.take(now_.steady)) {
    report(security_kind::rate_limit, "requests");
    return refuse_request(slot, ec::rate_limited, reason_code::quota_exceeded);
  }
  if (const auto* mode = std::get_if<explicit_acks_request>(&*request)) {
    explicit_acks_ = mode->on;
  } else if (const auto* from = std::get_if<deliver_from_request>(&*request)) {
    const auto end = around_.reads.inbox_end(key_.identity);
    if (value(from->first) == 0 || value(from->first) > value(end) + 1)
      return refuse_request(slot, ec::not_found, reason_code::implementation_specific_error);
    delivery_.deliver_from(from->first);
    if (!inbox_mine_)
      from_asked_ = from->first;  // taking the inbox over reads the cursor once more
  }
  if (!std::holds_alternative<explicit_acks_request>(*request))
    publish_if_subscribed(topic_role::session,
                          cursor_notice(now_.wall, around_.reads.cursor_of(key_.identity, key_.device)));
  inbound_.complete(slot, reason_code::success);
}

void session_core::renew_by_token(std::uint64_t slot, const std::string& token) {
  if (renewing_ || challenger_.waiting())
    return refuse_request(slot, ec::overloaded, reason_code::implementation_specific_error);
  if (!around_.gate.may_try(now_.steady) || !around_.gate.may_verify(now_.steady)) {
    report(security_kind::rate_limit, "verifications");
    return refuse_request(slot, ec::rate_limited, reason_code::quota_exceeded);
  }
  auto verdict = judge_token(around_.proofs, key_.identity.hex(), token, key_.client_id, now_, around_.reads);
  if (verdict && verdict->key != key_)
    verdict = tl::make_unexpected(disproved{security_kind::login_failed, "foreign_key", {}, {}, false});
  if (!verdict) {
    renewal_failed(verdict.error());
    return refuse_request(slot, ec::not_authorized, reason_code::not_authorized);
  }
  renewing_ = renewal{{key_, epoch_, verdict->expires, verdict->token}, slot};
  put(out::renew_session{renewing_->what});
}

void session_core::renewal_failed(const disproved& why) {
  report(why.kind, why.detail);
  around_.gate.login_failed(now_.steady);
}

void session_core::take_identity_request(std::uint64_t slot, bytes_view payload) {
  auto request = read_identity_request(payload);
  identity_reply reply;
  if (!request) {
    report(security_kind::malformed_payload, "identity");
    reply.code = request.error().code;
    publish_if_subscribed(topic_role::identity, make_identity_answer(reply));
    return inbound_.complete(slot, reason_code::payload_format_invalid, name(reply.code));
  }
  reply.correlation = request->correlation;
  const auto answer = [&](ec code, reason_code ack) {
    reply.code = code;
    publish_if_subscribed(topic_role::identity, make_identity_answer(reply));
    inbound_.complete(slot, ack, code == ec::ok ? std::string_view{} : name(code));
  };
  const auto limited = [&] {
    report(security_kind::rate_limit, "identities");
    answer(ec::rate_limited, reason_code::quota_exceeded);
  };

  if (auto* publish = std::get_if<publish_identity>(&request->what)) {
    if (publications_.size() >= publications_max || !identities_.take(now_.steady))
      return limited();
    const auto version = identity_version::open(publish->version);
    if (!version) {
      if (version.error().code == ec::no_possession)
        report(security_kind::bad_signature, "possession");
      return answer(version.error().code, reason_code::implementation_specific_error);
    }
    if (version->is_first() && !around_.reads.owner_of(version->link()) &&
        !around_.gate.may_create_identity(now_.steady))
      return limited();
    publications_.push_back({slot, request->correlation, version->permalink()});
    put(out::publish_identity{slot, std::move(publish->version)});
    return;
  }

  if (!lookups_.take(now_.steady))
    return limited();
  std::optional<permalink> who;
  if (const auto* by = std::get_if<by_permalink>(&request->what)) {
    who = by->who;
  } else if (const auto* by_it = std::get_if<by_key>(&request->what)) {
    if (const auto found = around_.reads.find_key(by_it->key))
      who = found->owner;
  } else {
    who = around_.reads.owner_of(std::get<by_link>(request->what).link);
  }
  auto chain = who ? around_.reads.chain_of(*who) : std::nullopt;
  if (!chain)
    return answer(ec::unknown_identity, reason_code::implementation_specific_error);
  reply.chain = std::move(*chain);
  answer(ec::ok, reason_code::success);
}

// ---- acknowledgements, subscriptions --------------------------------------------------------------------------------

void session_core::take(mqtt::puback& packet) {
  moved(delivery_.acknowledged(packet.id, explicit_acks_));
  pump_delivery();
}

void session_core::take(mqtt::subscribe& packet) {
  if (!standing())
    return;
  const bool with_identifier = packet.props.has(property_id::subscription_identifier);
  mqtt::suback answer;
  answer.id = packet.id;
  bool inbox = false;
  const bool had_session = subscribed_.has(topic_role::session);
  for (const auto& filter : packet.filters) {
    auto verdict = judge_filter(filter, with_identifier, facts_.version);
    // A client whose packets are too small even for a reference could never be served.
    if (verdict.role == topic_role::inbox && payload_bytes_max_ == 0)
      verdict = {topic_role::foreign, v5() ? reason_code::quota_exceeded : reason_code::unspecified_error};
    answer.codes.push_back(verdict.code);
    if (verdict.role == topic_role::foreign) {
      report(security_kind::permission_denied, "subscribe");
      continue;
    }
    subscribed_.grant(verdict.role, verdict.code == reason_code::granted_qos_0 ? mqtt::qos::at_most_once
                                                                               : mqtt::qos::at_least_once);
    inbox = inbox || verdict.role == topic_role::inbox;
  }
  const bool news = subscribed_.has(topic_role::session) && !had_session;
  send(std::move(answer));
  if (news && stale_)
    publish_if_subscribed(topic_role::session, stale_notice(now_.wall, true));
  if (inbox && !inbox_mine_ && !inbox_asked_) {
    inbox_asked_ = true;
    put(out::ask_inbox{});
  } else if (inbox) {
    pump_delivery();
  }
}

void session_core::take(mqtt::unsubscribe& packet) {
  mqtt::unsuback answer;
  answer.id = packet.id;
  for (const auto& filter : packet.filters) {
    const auto role = role_of(filter);
    const bool had = subscribed_.has(role);
    subscribed_.drop(role);
    if (v5())
      answer.codes.push_back(had ? reason_code::success : reason_code::no_subscription_existed);
    if (had && role == topic_role::inbox) {
      // What is in flight may still be acknowledged; nothing new leaves.
      inbox_mine_ = inbox_asked_ = false;
      put(out::leave_inbox{});
    }
  }
  send(std::move(answer));
}

// ---- the client goes, or proves itself again ------------------------------------------------------------------------

void session_core::take(mqtt::disconnect& packet) {
  if (const auto expiry = packet.props.find_number(property_id::session_expiry_interval)) {
    if (*expiry > 0 && facts_.expiry_s == 0)
      return protocol_error(reason_code::protocol_error, "session_expiry");
    facts_.expiry_s = std::min(*expiry, settings_.parked_s_max);
  }
  pump_inbound(true);
  put(out::close_link{});
  leave("disconnected", true);
}

void session_core::take(mqtt::auth& packet) {
  const auto method = packet.props.find_text(property_id::authentication_method);
  if (!facts_.enhanced || !method || *method != login_method)
    return protocol_error(reason_code::protocol_error, "auth_method");
  const auto data = packet.props.find_binary(property_id::authentication_data).value_or(bytes_view{});
  const auto failed = [&](const disproved& why) {
    renewal_failed(why);
    close_with(close_reason::session_expired, reason_code::not_authorized, "renewal");
  };

  if (packet.code == reason_code::reauthenticate) {
    if (reauthenticating_ || renewing_)
      return protocol_error(reason_code::protocol_error, "auth_running");
    if (!around_.gate.may_try(now_.steady) || !around_.gate.may_verify(now_.steady)) {
      report(security_kind::rate_limit, "verifications");
      return close_with(close_reason::rate_limited, reason_code::quota_exceeded);
    }
    auto challenge = challenger_.challenge(around_.proofs, data, key_.client_id, around_.random);
    if (!challenge)
      return failed({security_kind::login_failed, "malformed", {}, {}, false});
    reauthenticating_ = true;
    life_.begin_step(now_.steady, settings_.proof_ms);
    mqtt::auth answer;
    answer.code = reason_code::continue_authentication;
    answer.props.add(property_id::authentication_method, std::string{login_method});
    answer.props.add(property_id::authentication_data, std::move(*challenge));
    return send(std::move(answer));
  }
  if (packet.code != reason_code::continue_authentication || !challenger_.waiting())
    return protocol_error(reason_code::protocol_error, "auth");
  auto verdict = challenger_.judge(around_.proofs, data, now_, around_.reads, around_.gate);
  if (!verdict)
    return failed(verdict.error());
  if (verdict->key != key_)
    return failed({security_kind::login_failed, "foreign_key", {}, {}, false});
  life_.end_step();
  renewing_ = renewal{{key_, epoch_, verdict->expires, verdict->token}, std::nullopt};
  put(out::renew_session{renewing_->what});
}

} // namespace signet
