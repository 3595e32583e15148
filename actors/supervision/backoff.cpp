#include "actors/supervision/backoff.hpp"

namespace signet::supervision {

std::chrono::milliseconds backoff_ceiling(const backoff_rule& rule, std::uint64_t attempt) {
  auto ceiling = std::min(rule.first, rule.cap);
  for (std::uint64_t done = 1; done < attempt && ceiling < rule.cap; ++done) {
    if (ceiling.count() <= 0)
      break;  // nothing doubled stays nothing
    ceiling = ceiling > rule.cap / 2 ? rule.cap : ceiling * 2;
  }
  return std::max(ceiling, rule.floor);
}

std::chrono::milliseconds backoff_delay(const backoff_rule& rule, std::uint64_t attempt, random_source& random) {
  const auto ceiling = backoff_ceiling(rule, attempt);
  const auto width = static_cast<std::uint64_t>((ceiling - rule.floor).count()) + 1;
  std::array<std::uint8_t, 8> drawn;
  random.fill(drawn);
  // The remainder prefers small values by less than width / 2^64: nobody can tell.
  return rule.floor + std::chrono::milliseconds{static_cast<std::int64_t>(read_u64(drawn.data()) % width)};
}

} // namespace signet::supervision
