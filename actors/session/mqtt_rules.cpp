#include "actors/session/mqtt_rules.hpp"

#include "messages/envelope/login.hpp"
#include "messages/mqtt/codec.hpp"
#include "messages/mqtt/topics.hpp"

#include <algorithm>

namespace signet {

using mqtt::property_id;
using mqtt::reason_code;

tl::expected<connect_facts, connect_refusal> read_connect(const mqtt::connect& asked, const session_settings& settings,
                                                          channel_kind channel) {
  const auto refuse = [](reason_code code, std::string_view detail) {
    return tl::make_unexpected(connect_refusal{code, detail});
  };
  connect_facts out;
  out.version = asked.version;
  if (asked.will) {
    // A will is a batch signed in advance: its lane number would be stale. None is offered.
    if (out.v5() && asked.will->quality == mqtt::qos::exactly_once)
      return refuse(reason_code::qos_not_supported, "will_qos");
    if (out.v5() && asked.will->retain)
      return refuse(reason_code::retain_not_supported, "will_retain");
    return refuse(out.v5() ? reason_code::topic_name_invalid : reason_code::not_authorized, "will");
  }
  if (asked.client_id.empty() || asked.client_id.size() > settings.client_id_bytes_max)
    return refuse(reason_code::client_identifier_not_valid, "client_id");
  out.client_id = asked.client_id;
  out.clean_start = asked.clean_start;

  const auto method = asked.props.find_text(property_id::authentication_method);
  if (method && *method != login_method)
    return refuse(reason_code::bad_authentication_method, "method");
  out.enhanced = method.has_value();

  std::uint32_t keep_alive = asked.keep_alive_s;
  if (keep_alive == 0 || keep_alive > settings.keep_alive_s_max)
    keep_alive = settings.keep_alive_s_max;
  const bool browser = channel == channel_kind::ws || channel == channel_kind::wss;
  if (out.v5() && browser)
    keep_alive = std::min(std::max(keep_alive, settings.keep_alive_ws_s_min), settings.keep_alive_s_max);
  out.keep_alive_s = static_cast<std::uint16_t>(std::clamp<std::uint32_t>(keep_alive, 1, 0xFFFF));
  out.keep_alive_lowered = out.v5() && out.keep_alive_s != asked.keep_alive_s;

  const std::uint32_t expiry = out.v5() ? asked.props.find_number(property_id::session_expiry_interval).value_or(0)
                                        : (asked.clean_start ? 0 : settings.parked_s_max);
  out.expiry_s = std::min(expiry, settings.parked_s_max);
  out.expiry_lowered = out.expiry_s != expiry;

  const auto receive = asked.props.find_number(property_id::receive_maximum).value_or(0xFFFF);
  out.receive_maximum =
    static_cast<std::uint16_t>(std::min<std::uint32_t>(std::max<std::uint32_t>(receive, 1), settings.receive_maximum));
  const std::size_t packet = asked.props.find_number(property_id::maximum_packet_size).value_or(0xFFFFFFFF);
  out.packet_bytes_max = std::min(packet, settings.outbound_packet_bytes);
  out.problem_information = asked.props.find_number(property_id::request_problem_information).value_or(1) != 0;
  return out;
}

std::string fixed_time(wall_ms at) {
  auto digits = std::to_string(value(at) % 10'000'000'000'000);
  return std::string(13 - digits.size(), '0') + digits;
}

mqtt::connack make_connack(const connect_facts& facts, const session_settings& settings, bool session_present,
                           wall_ms expires, wall_ms now) {
  mqtt::connack out;
  out.session_present = session_present;
  if (!facts.v5())
    return out;
  auto& props = out.props;
  if (facts.expiry_lowered)
    props.add(property_id::session_expiry_interval, facts.expiry_s);
  props.add(property_id::receive_maximum, std::uint32_t{settings.receive_maximum});
  props.add(property_id::maximum_qos, std::uint32_t{1});
  props.add(property_id::retain_available, std::uint32_t{0});
  props.add(property_id::maximum_packet_size, static_cast<std::uint32_t>(settings.inbound_packet_bytes));
  props.add(property_id::topic_alias_maximum, topic_aliases::max);
  props.add(property_id::wildcard_subscription_available, std::uint32_t{0});
  props.add(property_id::subscription_identifiers_available, std::uint32_t{0});
  props.add(property_id::shared_subscription_available, std::uint32_t{0});
  if (facts.keep_alive_lowered)
    props.add(property_id::server_keep_alive, std::uint32_t{facts.keep_alive_s});
  if (facts.enhanced)
    props.add(property_id::authentication_method, std::string{login_method});
  props.add_user("session-expires-at", fixed_time(expires));
  props.add_user("server-time", fixed_time(now));
  return out;
}

mqtt::connack make_refusal(reason_code code, mqtt::protocol_version version, wall_ms now) {
  mqtt::connack out;
  if (version == mqtt::protocol_version::v311) {
    out.code = mqtt::nearest_v311(code);
    return out;
  }
  out.code = code;
  // Clients with a wrong clock can make a token that holds.
  out.props.add_user("server-time", fixed_time(now));
  return out;
}

filter_verdict judge_filter(const mqtt::subscription& asked, bool with_identifier, mqtt::protocol_version version) {
  const bool v5 = version == mqtt::protocol_version::v5;
  const auto refuse = [&](reason_code code) {
    return filter_verdict{topic_role::foreign, v5 ? code : reason_code::unspecified_error};
  };
  if (with_identifier)
    return refuse(reason_code::subscription_identifiers_not_supported);
  if (mqtt::is_shared(asked.filter))
    return refuse(reason_code::shared_subscriptions_not_supported);
  if (mqtt::has_wildcard(asked.filter))
    return refuse(reason_code::wildcard_subscriptions_not_supported);
  const auto role = role_of(asked.filter);
  if (!may_subscribe(role))
    return refuse(reason_code::not_authorized);
  return {role, asked.quality_max == mqtt::qos::at_most_once ? reason_code::granted_qos_0 : reason_code::granted_qos_1};
}

std::optional<topic_role> topic_aliases::resolve(const mqtt::publish& packet) {
  const auto alias = packet.props.find_number(property_id::topic_alias);
  if (!alias)
    return role_of(packet.topic);
  if (*alias == 0 || *alias > max)
    return std::nullopt;
  auto& known = known_[*alias - 1];
  if (!packet.topic.empty())
    known = role_of(packet.topic);
  return known;
}

} // namespace signet
