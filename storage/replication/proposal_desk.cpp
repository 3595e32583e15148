#include "storage/replication/proposal_desk.hpp"

#include <algorithm>

namespace signet::storage {

namespace {

/// Nobody waits for a deadline to the millisecond; what is held is walked through this often.
constexpr std::uint32_t look_every_ms = 20;

steady_ms later(steady_ms from, std::uint32_t ms) { return steady_ms{value(from) + ms}; }

} // namespace

result<proposal_ticket> proposal_desk::take(proposal what, steady_ms now) {
  if (held_.size() >= limits_.entries_max || bytes_ + what.entry->size() > limits_.bytes_max)
    return fail(ec::overloaded, std::to_string(held_.size()) + " entries in flight");
  auto ticket = proposal_ticket{++tickets_};
  bytes_ += what.entry->size();
  held taken;
  taken.what = std::move(what);
  taken.made = taken.since = taken.not_before = now;
  held_.emplace(ticket, std::move(taken));
  queued_.insert(ticket);
  return ticket;
}

proposal_desk::dispatched proposal_desk::dispatch(const destination& to, steady_ms now) {
  using kind = destination::kind;
  dispatched out;
  // Who leads no longer may never answer; the others are told by its answer or by the end of its link.
  std::vector<proposal_ticket> orphaned;
  bool turned = to.where != last_.where || to.node != last_.node || to.term != last_.term;
  if (turned || later(looked_for_orphans_, look_every_ms) <= now) {
    looked_for_orphans_ = now;
    last_ = to;
    for (const auto& [forwarded, ticket] : sent_) {
      const auto& each = held_.at(ticket);
      bool moved = to.where != kind::other || to.node != each.node || to.term != each.term;
      if (each.what.idempotent && (moved || later(each.since, limits_.resend_ms) <= now))
        orphaned.push_back(ticket);
    }
  }
  for (auto ticket : orphaned)
    queue_again(held_.find(ticket), now, true);
  if (to.where == kind::nowhere)
    return out;

  for (auto next = queued_.begin(); next != queued_.end();) {
    auto ticket = *next;
    auto& each = held_.at(ticket);
    if (each.not_before > now)
      break;  // those behind it may belong to the same lane
    next = queued_.erase(next);
    each.since = now;
    if (to.where == kind::own_log) {
      each.at = stage::standing;
      out.local.push_back({ticket, each.what});
      continue;
    }
    each.at = stage::sent;
    each.node = to.node;
    each.term = to.term;
    each.forwarded = peer::forward_ticket{++forwards_};
    sent_.emplace(static_cast<std::uint64_t>(each.forwarded), ticket);
    out.forwarded.push_back({each.forwarded, each.what.from_reserve, *each.what.entry});
  }
  return out;
}

void proposal_desk::proposed(proposal_ticket ticket, proposal_ticket in_store) {
  in_store_.emplace(static_cast<std::uint64_t>(in_store), ticket);
}

void proposal_desk::refused(proposal_ticket ticket, const error& why) {
  if (auto found = held_.find(ticket); found != held_.end())
    answer(found, tl::make_unexpected(why));
}

std::vector<proposal_desk::placed> proposal_desk::leader_answered(const std::string& node,
                                                                  const peer::proposals_answered& what, steady_ms now) {
  std::vector<placed> out;
  for (const auto& each : what.list) {
    auto known = sent_.find(static_cast<std::uint64_t>(each.ticket));
    if (known == sent_.end())
      continue;  // sent again since, or given up
    auto found = held_.find(known->second);
    if (found->second.node != node)
      continue;  // not the node that was asked
    unsend(found->second);
    if (each.code == ec::ok) {
      found->second.at = stage::standing;
      found->second.since = now;
      out.push_back({found->first, each.index, each.term});
    } else if (each.code == ec::not_leader) {
      queue_again(found, now, found->second.maybe);
    } else {
      answer(found, fail(each.code, "says node " + node + ", which leads"));
    }
  }
  return out;
}

bool proposal_desk::store_answered(proposal_ticket in_store, result<entry_result> outcome, steady_ms now) {
  auto known = in_store_.find(static_cast<std::uint64_t>(in_store));
  if (known == in_store_.end())
    return false;
  auto ticket = known->second;
  in_store_.erase(known);
  auto found = held_.find(ticket);
  if (found == held_.end())
    return true;  // given up
  if (outcome || (outcome.error().code != ec::not_leader && outcome.error().code != ec::unknown_outcome))
    answer(found, std::move(outcome));
  else if (outcome.error().code == ec::not_leader)
    queue_again(found, now, found->second.maybe);  // it surely did not happen
  else if (found->second.what.idempotent)
    queue_again(found, now, true);  // it happened; asking again tells what came of it
  else
    answer(found, std::move(outcome));
  return true;
}

void proposal_desk::link_lost(const std::string& node, steady_ms now) {
  std::vector<proposal_ticket> there;
  for (const auto& [forwarded, ticket] : sent_)
    if (held_.at(ticket).node == node)
      there.push_back(ticket);
  std::sort(there.begin(), there.end());
  for (auto ticket : there)
    lost(held_.find(ticket), now);
}

void proposal_desk::expire(steady_ms now) {
  if (later(expired_, look_every_ms) > now)
    return;
  expired_ = now;
  for (auto next = held_.begin(); next != held_.end();) {
    auto which = next++;
    const auto& each = which->second;
    bool surely_not = each.at == stage::queued && !each.maybe;
    bool leaderless = each.at == stage::queued && later(each.since, limits_.no_leader_ms) <= now;
    if (later(each.made, limits_.give_up_ms) > now && !leaderless)
      continue;
    if (surely_not)
      answer(which, fail(ec::not_leader, "no majority of the nodes can be reached; nothing was written"));
    else
      answer(which, fail(ec::unknown_outcome, "no majority of the nodes has answered in time; send it again"));
  }
}

steady_ms proposal_desk::next_timeout() const {
  if (!queued_.empty() || !sent_.empty())
    return later(expired_, look_every_ms);
  return held_.empty() ? steady_ms{UINT64_MAX} : later(held_.begin()->second.made, limits_.give_up_ms);
}

bool proposal_desk::queued(steady_ms now) const {
  return !queued_.empty() && held_.at(*queued_.begin()).not_before <= now;
}

void proposal_desk::answer(position which, result<entry_result> outcome) {
  unsend(which->second);
  queued_.erase(which->first);
  bytes_ -= which->second.what.entry->size();
  answers_.push_back({which->first, std::move(outcome)});
  held_.erase(which);
}

void proposal_desk::queue_again(position which, steady_ms now, bool maybe) {
  auto& each = which->second;
  unsend(each);
  each.at = stage::queued;
  each.since = now;
  each.not_before = later(now, limits_.again_after_ms);
  each.maybe = each.maybe || maybe;
  queued_.insert(which->first);
}

void proposal_desk::lost(position which, steady_ms now) {
  if (which->second.what.idempotent)
    queue_again(which, now, true);
  else
    answer(which, fail(ec::unknown_outcome, "the link to the leading node was lost; send it again"));
}

void proposal_desk::unsend(held& which) {
  if (which.at == stage::sent)
    sent_.erase(static_cast<std::uint64_t>(which.forwarded));
}

} // namespace signet::storage
