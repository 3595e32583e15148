#include "storage/replication/member_changes.hpp"

#include "messages/failpoints.hpp"

#include <algorithm>

namespace signet::storage {

namespace {

using raft::member;
using raft::member_role;

steady_ms later(steady_ms from, std::uint32_t ms) { return steady_ms{value(from) + ms}; }

const member* find_member(const raft::configuration& members, const std::string& node) {
  auto found = std::find_if(members.begin(), members.end(), [&](const member& m) { return m.address == node; });
  return found == members.end() ? nullptr : &*found;
}

const member* find_member(const raft::configuration& members, raft::server_id id) {
  auto found = std::find_if(members.begin(), members.end(), [&](const member& m) { return m.id == id; });
  return found == members.end() ? nullptr : &*found;
}

} // namespace

std::string_view name(member_order::kind what) {
  switch (what) {
    case member_order::kind::add: return "add";
    case member_order::kind::promote: return "promote";
    case member_order::kind::remove: return "remove";
    case member_order::kind::recover: return "recover";
  }
  return "?";
}

result<std::uint64_t> member_changes::begin(const member_order& order, const leader_view& view, steady_ms now) {
  using kind = member_order::kind;
  if (current_)
    return fail(ec::overloaded, "node " + current_->order.node + " is being changed (" +
                                  std::string{name(current_->order.what)} + "); wait until that is done");
  const auto* standing = find_member(view.core.members(), order.node);
  auto who = view.find(order.node);
  order_under_way next;
  next.order = order;
  switch (order.what) {
    case kind::add:
      if (standing == nullptr && !(who.linked && who.joining))
        return fail(ec::not_found, "node " + order.node + " is not linked with a blank store; on it: signet node init, "
                                   "then start it");
      next.votes = order.votes;
      if (standing == nullptr)
        next.at = stage::take_in;
      else if (who.joining)
        next.at = stage::take_out;  // it was never told its id
      else if (order.votes && standing->role != member_role::voter)
        next.at = stage::catch_up;
      else
        next.at = stage::done;
      break;
    case kind::promote:
      if (standing == nullptr)
        return fail(ec::not_found, "node " + order.node + " is not a member; add it first");
      next.votes = true;
      next.at = standing->role == member_role::voter ? stage::done : stage::catch_up;
      break;
    case kind::remove:
      if (standing != nullptr && standing->id == view.core.leader())
        return fail(ec::configuration, "node " + order.node + " leads; hand leadership over first: signet cluster transfer");
      next.at = standing == nullptr ? stage::done : stage::take_out;
      break;
    case kind::recover:
      if (standing == nullptr || !(who.linked && who.joining))
        return fail(ec::not_found, "node " + order.node + " is not a member whose store is blank");
      next.votes = standing->role == member_role::voter;
      next.at = stage::take_out;
      recovered_[order.node] = now;
      break;
  }
  if (standing != nullptr)
    next.id = standing->id;
  next.store = who.store;
  next.moved = now;
  next.number = ++numbers_;
  current_ = std::move(next);
  return current_->number;
}

void member_changes::look_for_lost(const std::vector<std::string>& linked, const leader_view& view, steady_ms now) {
  if (current_)
    return;
  for (const auto& node : linked) {
    if (find_member(view.core.members(), node) == nullptr || !view.find(node).joining)
      continue;
    auto before = recovered_.find(node);
    if (before != recovered_.end() && later(before->second, limits_.recover_again_after_ms) > now)
      continue;
    if (begin({member_order::kind::recover, node, false}, view, now))
      return;
  }
}

std::optional<member_changes::finished> member_changes::step(const leader_view& view, steady_ms now) {
  if (!current_)
    return std::nullopt;
  auto& each = *current_;
  auto moved = advance(each, view, now);
  bool over = each.at == stage::done;
  if (moved && !over && later(each.moved, limits_.patience_ms) <= now)
    moved = fail(ec::overloaded, "nothing has moved for " + std::to_string(limits_.patience_ms / 1'000) + " s" +
                                   (each.last_refusal.empty() ? "" : ": " + each.last_refusal));
  if (moved && !over)
    return std::nullopt;
  finished out{each.number, each.order, std::move(moved)};
  current_.reset();
  return out;
}

std::optional<member_changes::finished> member_changes::leadership_lost() {
  if (!current_)
    return std::nullopt;
  finished out{current_->number, current_->order,
               fail(ec::not_leader, "leadership was lost on the way; look at signet cluster status and say it again")};
  current_.reset();
  return out;
}

void member_changes::enter(order_under_way& each, stage next, steady_ms now) {
  each.at = next;
  each.submitted = false;
  each.moved = now;
  each.match = {};
  each.last_refusal.clear();
}

/// ok: submitted, or refused for now.
status member_changes::submit(order_under_way& each, const leader_view& view, const raft::configuration& next,
                              steady_ms now) {
  auto done = view.change(next);
  if (done) {
    each.submitted = true;
    each.moved = now;
    return {};
  }
  if (done.error().code != ec::overloaded)
    return done;
  each.last_refusal = done.error().context;
  return {};
}

/// One step at most. An error ends the order.
status member_changes::advance(order_under_way& each, const leader_view& view, steady_ms now) {
  const auto& core = view.core;
  const auto& members = core.members();
  bool committed = core.members_index() <= core.commit_index();
  switch (each.at) {
    case stage::take_out: {
      const auto* standing = find_member(members, each.id);
      if (standing == nullptr) {
        if (committed)
          enter(each, each.order.what == member_order::kind::remove ? stage::done : stage::take_in, now);
        return {};
      }
      auto next = members;
      std::erase_if(next, [&](const member& m) { return m.id == each.id; });
      return each.submitted ? status{} : submit(each, view, next, now);
    }
    case stage::take_in: {
      if (each.submitted) {
        if (find_member(members, each.id) == nullptr)
          return fail(ec::internal, "the change that added node " + each.order.node + " is gone");
        if (committed)
          enter(each, stage::assign, now);
        return {};
      }
      auto who = view.find(each.order.node);
      if (!who.linked || !who.joining || who.store != each.store) {
        each.last_refusal = "node " + each.order.node + " is not linked with the blank store it had";
        return {};
      }
      each.id = raft::server_id{added_ids_from + value(core.last_index()) + 1};
      auto next = members;
      next.push_back({each.id, each.order.node, member_role::standby});
      return submit(each, view, next, now);
    }
    case stage::assign: {
      auto who = view.find(each.order.node);
      if (who.linked && !who.joining && who.speaks_as == each.id) {
        enter(each, each.votes ? stage::catch_up : stage::done, now);
      } else if (who.linked && who.joining && (each.told == steady_ms{} || later(each.told, limits_.tell_every_ms) <= now)) {
        each.told = now;
        view.tell(each.order.node, {view.cluster, each.id, each.store});
      }
      return {};
    }
    case stage::catch_up: {
      if (find_member(members, each.id) == nullptr)
        return fail(ec::not_found, "node " + each.order.node + " is no member any more");
      auto match = core.match_index(each.id);
      if (match > each.match) {
        each.match = match;
        each.moved = now;
      }
      auto state = core.caught_up(each.id);
      if (state == raft::core::learner_state::finished) {
        enter(each, stage::promote, now);
        return advance(each, view, now);  // in the same turn: it may fall behind again
      }
      bool running = state == raft::core::learner_state::running;
      if (running ? match < core.last_index() || later(each.pushed, limits_.push_every_ms) > now
                  : value(match) + limits_.nearly_there_entries < value(core.last_index()))
        return {};
      each.pushed = now;
      auto begun = view.catch_up(each.id);
      if (!begun && begun.error().code != ec::overloaded)
        return begun;
      if (!begun)
        each.last_refusal = begun.error().context;
      return {};
    }
    case stage::promote: {
      const auto* standing = find_member(members, each.id);
      if (standing == nullptr)
        return fail(ec::not_found, "node " + each.order.node + " is no member any more");
      if (standing->role == member_role::voter) {
        if (committed)
          enter(each, stage::done, now);
        return {};
      }
      if (core.caught_up(each.id) != raft::core::learner_state::finished) {
        enter(each, stage::catch_up, now);
        return {};
      }
      SIGNET_FAILPOINT("before_vote_allowed");
      auto next = members;
      for (auto& m : next)
        if (m.id == each.id)
          m.role = member_role::voter;
      return submit(each, view, next, now);
    }
    case stage::done:
      return {};
  }
  return {};
}

steady_ms member_changes::next_timeout(steady_ms now) const {
  return current_ ? later(now, 20) : steady_ms{UINT64_MAX};
}

std::optional<member_changes::picture> member_changes::current() const {
  if (!current_)
    return std::nullopt;
  auto step = [&]() -> std::string {
    switch (current_->at) {
      case stage::take_out: return "taking server " + to_string(current_->id) + " out";
      case stage::take_in: return "taking it in";
      case stage::assign: return "telling it that it is server " + to_string(current_->id);
      case stage::catch_up: return "bringing it up to date";
      case stage::promote: return "giving it a vote";
      case stage::done: return "done";
    }
    return "";
  }();
  if (!current_->last_refusal.empty())
    step += " (waits: " + current_->last_refusal + ")";
  return picture{current_->order, std::move(step)};
}

} // namespace signet::storage
