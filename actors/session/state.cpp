#include "actors/session/state.hpp"

namespace signet {
namespace {

constexpr std::string_view prefix = "signet/v1/";
constexpr std::array<std::string_view, 6> topics{"signet/v1/outbox",   "signet/v1/ack",      "signet/v1/session",
                                                 "signet/v1/identity", "signet/v1/receipts", "signet/v1/inbox"};

} // namespace

topic_role role_of(std::string_view topic) {
  if (topic.starts_with(prefix))
    for (std::size_t at = 0; at < topics.size(); ++at)
      if (topic == topics[at])
        return static_cast<topic_role>(at);
  return topic_role::foreign;
}

std::string_view topic_of(topic_role role) {
  return role == topic_role::foreign ? std::string_view{} : topics[static_cast<std::size_t>(role)];
}

std::string_view name(close_reason reason) {
  switch (reason) {
    case close_reason::session_expired: return "session_expired";
    case close_reason::revoked_key: return "revoked_key";
    case close_reason::taken_over: return "taken_over";
    case close_reason::shutting_down: return "shutting_down";
    case close_reason::slow_consumer: return "slow_consumer";
    case close_reason::protocol_error: return "protocol_error";
    case close_reason::rate_limited: return "rate_limited";
    case close_reason::keep_alive: return "keep_alive";
    case close_reason::inbox_taken: return "inbox_taken";
    case close_reason::administrative: return "administrative";
    case close_reason::no_quorum: return "no_quorum";
  }
  return "protocol_error";
}

mqtt::reason_code disconnect_code(close_reason reason) {
  using mqtt::reason_code;
  switch (reason) {
    case close_reason::session_expired: return reason_code::maximum_connect_time;
    case close_reason::revoked_key: return reason_code::not_authorized;
    case close_reason::taken_over: return reason_code::session_taken_over;
    case close_reason::shutting_down: return reason_code::server_shutting_down;
    case close_reason::slow_consumer: return reason_code::quota_exceeded;
    case close_reason::protocol_error: return reason_code::protocol_error;
    case close_reason::rate_limited: return reason_code::message_rate_too_high;
    case close_reason::keep_alive: return reason_code::keep_alive_timeout;
    case close_reason::inbox_taken: return reason_code::session_taken_over;
    case close_reason::administrative: return reason_code::administrative_action;
    case close_reason::no_quorum: return reason_code::use_another_server;
  }
  return reason_code::unspecified_error;
}

} // namespace signet
