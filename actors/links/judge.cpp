#include "actors/links/judge.hpp"

namespace signet {

std::string_view name(link_refusal reason) {
  switch (reason) {
    case link_refusal::unknown_key:
      return "unknown_key";
    case link_refusal::wrong_key:
      return "wrong_key";
    case link_refusal::other_cluster:
      return "other_cluster";
    case link_refusal::wrong_receiver:
      return "wrong_receiver";
    case link_refusal::version:
      return "version";
    case link_refusal::tls:
      return "tls";
    case link_refusal::oversize_frame:
      return "oversize_frame";
    case link_refusal::malformed:
      return "malformed";
    case link_refusal::late:
      return "late";
    case link_refusal::too_many:
      return "too_many";
    case link_refusal::second_incarnation:
      return "second_incarnation";
    case link_refusal::replaced:
      return "replaced";
    case link_refusal::removed:
      return "removed";
    case link_refusal::silent:
      return "silent";
  }
  return "?";
}

std::optional<link_refusal> find_link_refusal(std::uint8_t number) {
  if (number < static_cast<std::uint8_t>(link_refusal::unknown_key)
      || number > static_cast<std::uint8_t>(link_refusal::silent))
    return std::nullopt;
  return static_cast<link_refusal>(number);
}

bool is_suspicious(link_refusal reason) {
  switch (reason) {
    case link_refusal::replaced:
    case link_refusal::removed:
    case link_refusal::silent:
      return false;
    default:
      return true;
  }
}

std::optional<link_refusal> judge_hello(const hello_expected& expected, const peer::hello& said) {
  if (said.protocol != peer::protocol_version)
    return link_refusal::version;
  if (said.cluster != expected.cluster)
    return link_refusal::other_cluster;
  if (said.from != expected.peer)
    return link_refusal::wrong_key;
  if (said.to != expected.self)
    return link_refusal::wrong_receiver;
  if (said.process.is_zero())
    return link_refusal::malformed;
  return std::nullopt;
}

arrival judge_arrival(const standing_links& standing, bool incoming, const peer::process_id& who) {
  if ((standing.in && *standing.in != who) || (standing.out && *standing.out != who))
    return arrival::refused;
  return (incoming ? standing.in : standing.out) ? arrival::replaces : arrival::welcome;
}

std::optional<std::uint64_t> refusal_report::note(link_refusal reason, std::chrono::steady_clock::time_point now) {
  auto& mine = all_[static_cast<std::size_t>(reason)];
  ++mine.waiting;
  if (mine.last && now - *mine.last < every_)
    return std::nullopt;
  mine.last = now;
  return std::exchange(mine.waiting, 0);
}

} // namespace signet
