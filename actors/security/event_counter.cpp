#include "actors/security/event_counter.hpp"

namespace signet {
namespace {
constexpr std::size_t text_max = 64;
std::string capped(const std::string& text) { return text.substr(0, text_max); }
bytes capped(const bytes& raw) { return {raw.begin(), raw.begin() + static_cast<std::ptrdiff_t>(std::min(raw.size(), text_max))}; }
} // namespace

void event_counter::add(const security_event_seen& seen) {
  ++totals_[capped(seen.kind)];
  add(seen, 1);
}

void event_counter::add(const security_event_seen& seen, std::uint32_t count) {
  key exact{capped(seen.kind), capped(seen.subject), capped(seen.object), capped(seen.detail), capped(seen.source)};
  if (auto found = pending_.find(exact); found != pending_.end())
    found->second += count;
  else if (pending_.size() < distinct_max_)
    pending_.emplace(std::move(exact), count);
  else
    pending_[key{capped(seen.kind), {}, {}, "many", {}}] += count;
}

std::vector<security_event> event_counter::take(std::size_t most) {
  std::vector<security_event> out;
  while (!pending_.empty() && out.size() < most) {
    auto node = pending_.extract(pending_.begin());
    auto& [kind, subject, object, detail, source] = node.key();
    out.push_back({{std::move(kind), std::move(subject), std::move(object), std::move(detail), std::move(source)},
                   node.mapped()});
  }
  return out;
}

void event_counter::give_back(std::span<const security_event> events) {
  for (const auto& event : events)
    add(event.what, event.count);
}

} // namespace signet
