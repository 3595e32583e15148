#include "actors/session/parking.hpp"

#include <algorithm>

namespace signet {
namespace {

void erase_pair(std::multimap<steady_ms, client_name>& from, steady_ms at, const client_name& who) {
  auto [first, last] = from.equal_range(at);
  const auto found = std::find_if(first, last, [&](const auto& one) { return one.second == who; });
  if (found != last)
    from.erase(found);
}

} // namespace

void parking_lot::erase(place_ref at) {
  erase_pair(ends_, at->second.until, at->first);
  parked_.erase(at);
}

void parking_lot::park(const client_name& who, parked_state state, steady_ms until) {
  drop(who);
  if (max_ == 0)
    return;
  if (parked_.size() >= max_)
    drop(client_name{ends_.begin()->second});
  parked_.emplace(who, place{std::move(state), until, 0});
  ends_.emplace(until, who);
}

void parking_lot::opened(const client_name& who, std::uint64_t epoch) {
  const auto found = parked_.find(who);
  if (found != parked_.end() && found->second.next_epoch == 0 && epoch > found->second.state.epoch)
    found->second.next_epoch = epoch;
}

std::optional<parked_state> parking_lot::take(const client_name& who, steady_ms now, std::uint64_t epoch,
                                              std::uint64_t replaced) {
  const auto found = parked_.find(who);
  if (found == parked_.end())
    return std::nullopt;
  std::optional<parked_state> out;
  auto& here = found->second;
  const bool next_in_line = here.next_epoch == 0 || here.next_epoch == epoch;
  if (now < here.until && next_in_line && (replaced == 0 || replaced == here.state.epoch))
    out = std::move(here.state);
  erase(found);
  return out;
}

void parking_lot::drop(const client_name& who) {
  if (const auto found = parked_.find(who); found != parked_.end())
    erase(found);
}

void parking_lot::tidy(steady_ms now) {
  while (!ends_.empty() && ends_.begin()->first <= now)
    drop(client_name{ends_.begin()->second});
}

void idle_list::add(const session_key& key, std::uint64_t epoch, steady_ms at) {
  const client_name who{key.identity, key.client_id};
  remove(who);
  idle_.emplace(who, entry{key, epoch, at});
  due_.emplace(at, who);
}

void idle_list::remove(const client_name& who) {
  const auto found = idle_.find(who);
  if (found == idle_.end())
    return;
  erase_pair(due_, found->second.at, who);
  idle_.erase(found);
}

void idle_list::opened(const client_name& who, std::uint64_t epoch) {
  if (const auto found = idle_.find(who); found != idle_.end() && found->second.epoch < epoch)
    remove(who);
}

std::vector<session_closing> idle_list::take_due(steady_ms now) {
  std::vector<session_closing> out;
  while (!due_.empty() && due_.begin()->first <= now) {
    const client_name who = due_.begin()->second;
    const auto& one = idle_.at(who);
    out.push_back({one.key, one.epoch, "idle"});
    remove(who);
  }
  return out;
}

} // namespace signet
