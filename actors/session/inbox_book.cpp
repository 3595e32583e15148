#include "actors/session/inbox_book.hpp"

#include <algorithm>
#include <utility>

namespace signet {

inbox_book::verdict inbox_book::settle(place& here, std::uint64_t epoch, log_index since) {
  if (here.now && here.now->epoch != epoch && here.now->since > since)
    return {};
  verdict out{true, std::nullopt};
  if (here.now && here.now->epoch != epoch)
    out.loser = here.now->epoch;
  if (here.now && here.now->epoch == epoch)
    since = std::max(since, here.now->since);
  here.now = reader{epoch, since};
  return out;
}

inbox_book::verdict inbox_book::take(const inbox_name& which, std::uint64_t epoch, log_index now) {
  return settle(places_[which], epoch, now);
}

void inbox_book::claim(const inbox_name& which, std::uint64_t epoch) { places_[which].claims.push_back({epoch, {}}); }

inbox_book::verdict inbox_book::claimed(const inbox_name& which, std::uint64_t epoch, log_index at) {
  auto& here = places_[which];
  const auto found =
    std::find_if(here.claims.begin(), here.claims.end(), [&](const pending& one) { return one.epoch == epoch; });
  const auto outrun = found == here.claims.end() ? log_index{} : found->outrun;
  if (found != here.claims.end())
    here.claims.erase(found);
  const auto out = outrun > at ? verdict{} : settle(here, epoch, at);
  erase_if_empty(which);
  return out;
}

void inbox_book::claim_failed(const inbox_name& which, std::uint64_t epoch) {
  auto& claims = places_[which].claims;
  if (const auto found = std::find_if(claims.begin(), claims.end(), [&](const pending& one) { return one.epoch == epoch; });
      found != claims.end())
    claims.erase(found);
  erase_if_empty(which);
}

std::optional<std::uint64_t> inbox_book::taken(const inbox_name& which, std::uint64_t epoch, log_index at) {
  const auto found = places_.find(which);
  if (found == places_.end())
    return std::nullopt;
  auto& here = found->second;
  for (auto& one : here.claims)
    if (one.epoch != epoch)
      one.outrun = std::max(one.outrun, at);
  if (!here.now || here.now->epoch == epoch || here.now->since >= at)
    return std::nullopt;
  const auto loser = here.now->epoch;
  here.now.reset();
  erase_if_empty(which);
  return loser;
}

void inbox_book::leave(const inbox_name& which, std::uint64_t epoch) {
  const auto found = places_.find(which);
  if (found == places_.end() || !found->second.now || found->second.now->epoch != epoch)
    return;
  found->second.now.reset();
  erase_if_empty(which);
}

std::optional<std::uint64_t> inbox_book::reader_of(const inbox_name& which) const {
  const auto found = places_.find(which);
  return found == places_.end() || !found->second.now ? std::nullopt : std::optional{found->second.now->epoch};
}

std::size_t inbox_book::readers() const {
  return static_cast<std::size_t>(
    std::count_if(places_.begin(), places_.end(), [](const auto& each) { return each.second.now.has_value(); }));
}

void inbox_book::erase_if_empty(const inbox_name& which) {
  if (const auto found = places_.find(which);
      found != places_.end() && !found->second.now && found->second.claims.empty())
    places_.erase(found);
}

} // namespace signet
