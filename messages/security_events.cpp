#include "messages/security_events.hpp"

#include <array>
#include <utility>

namespace signet {
namespace {

using enum security_kind;

constexpr std::array<std::pair<security_kind, std::string_view>, 32> names{{
  {identity_created, "identity_created"},
  {key_collision, "key_collision"},
  {login_ok, "login_ok"},
  {login_failed, "login_failed"},
  {challenge_expired, "challenge_expired"},
  {replayed_login, "replayed_login"},
  {takeover, "takeover"},
  {takeover_storm, "takeover_storm"},
  {session_renewed, "session_renewed"},
  {session_expired, "session_expired"},
  {session_revoked, "session_revoked"},
  {permission_denied, "permission_denied"},
  {bad_signature, "bad_signature"},
  {gap, "gap"},
  {fork, "fork"},
  {malformed_packet, "malformed_packet"},
  {malformed_payload, "malformed_payload"},
  {rate_limit, "rate_limit"},
  {quota, "quota"},
  {slow_consumer, "slow_consumer"},
  {admin_command, "admin_command"},
  {configuration_changed, "configuration_changed"},
  {node_joined, "node_joined"},
  {node_left, "node_left"},
  {node_fenced, "node_fenced"},
  {node_recovered, "node_recovered"},
  {peer_handshake_failed, "peer_handshake_failed"},
  {corruption_found, "corruption_found"},
  {corruption_repaired, "corruption_repaired"},
  {seal_refused, "seal_refused"},
  {backup, "backup"},
  {restore, "restore"},
}};

constexpr bool in_order() {
  for (std::size_t at = 0; at < names.size(); ++at)
    if (static_cast<std::size_t>(names[at].first) != at)
      return false;
  return true;
}
static_assert(in_order(), "a kind without a name, or out of order");

constexpr auto kinds = [] {
  std::array<security_kind, names.size()> all{};
  for (std::size_t at = 0; at < names.size(); ++at)
    all[at] = names[at].first;
  return all;
}();

} // namespace

std::string_view name(security_kind kind) { return names.at(static_cast<std::size_t>(kind)).second; }

std::optional<security_kind> find_security_kind(std::string_view name) {
  for (const auto& [kind, text] : names)
    if (text == name)
      return kind;
  return std::nullopt;
}

std::span<const security_kind> security_kinds() { return kinds; }

} // namespace signet
