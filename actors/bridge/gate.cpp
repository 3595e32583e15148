#include "actors/bridge/gate.hpp"

namespace signet {

using mqtt::packet_type;
using mqtt::reason_code;

bool gate::advance(link_state to) {
  if (to <= state_)
    return false;
  state_ = to;
  return true;
}

gate::verdict gate::may_leave(const mqtt::packet& packet) const {
  const auto type = mqtt::type_of(packet);
  switch (type) {
    // A server does not ask, and QoS 2 is not offered.
    case packet_type::connect:
    case packet_type::subscribe:
    case packet_type::unsubscribe:
    case packet_type::pingreq:
    case packet_type::pubrec:
    case packet_type::pubrel:
    case packet_type::pubcomp:
      return verdict::never;
    default:
      break;
  }
  if (state_ == link_state::closing || connack_ == answer::refused)
    return verdict::wrong_state;
  if (type == packet_type::connack) {
    if (connack_ != answer::none)
      return verdict::wrong_state;
    const auto& answer = std::get<mqtt::connack>(packet);
    if (mqtt::is_refusal(answer.code))
      return answer.session_present ? verdict::never : verdict::pass;
    return state_ == link_state::connecting ? verdict::wrong_state : verdict::pass;
  }
  if (type == packet_type::auth && state_ == link_state::proving && connack_ == answer::none)
    return std::get<mqtt::auth>(packet).code == reason_code::continue_authentication ? verdict::pass
                                                                                     : verdict::wrong_state;
  if (state_ != link_state::attached || connack_ != answer::accepted)
    return verdict::wrong_state;
  if (type == packet_type::auth && std::get<mqtt::auth>(packet).code == reason_code::reauthenticate)
    return verdict::never;
  return verdict::pass;
}

gate::verdict gate::may_leave(std::size_t encoded_bytes) const {
  if (state_ == link_state::attached)
    return verdict::pass;
  return encoded_bytes <= bytes_before_attached_max - early_bytes_ ? verdict::pass : verdict::over_budget;
}

void gate::left(const mqtt::packet& packet, std::size_t encoded_bytes) {
  if (state_ != link_state::attached)
    early_bytes_ = static_cast<std::uint16_t>(early_bytes_ + encoded_bytes);
  if (const auto* answer = std::get_if<mqtt::connack>(&packet))
    connack_ = mqtt::is_refusal(answer->code) ? answer::refused : answer::accepted;
}

} // namespace signet
