#pragma once
// Counts security events before they are proposed, so that an unauthenticated flood becomes one small entry a second
// instead of replicated writes. Plain C++; the SECURITY actor holds one.

#include "messages/entries.hpp"

#include <map>

namespace signet {

class event_counter {
public:
  /// `distinct_max` different events are kept apart; above that they are counted by kind alone, without their names.
  explicit event_counter(std::size_t distinct_max = 256) : distinct_max_{distinct_max} {}

  void add(const security_event_seen& seen);
  bool empty() const { return pending_.empty(); }
  /// Everything gathered since the last call, at most `most` at a time, in a fixed order.
  std::vector<security_event> take(std::size_t most);
  /// The proposal failed: count them again with what has come since.
  void give_back(std::span<const security_event> events);
  /// By kind, since the start of the process; for metrics and status.
  const std::map<std::string, std::uint64_t>& totals() const { return totals_; }

private:
  using key = std::tuple<std::string, bytes, bytes, std::string, std::string>;
  void add(const security_event_seen& seen, std::uint32_t count);

  std::size_t distinct_max_;
  std::map<key, std::uint32_t> pending_;
  std::map<std::string, std::uint64_t> totals_;
};

} // namespace signet
