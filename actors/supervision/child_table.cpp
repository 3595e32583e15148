#include "actors/supervision/child_table.hpp"

namespace signet::supervision {

std::string_view name(strategy x) {
  switch (x) {
    case strategy::one_for_one: return "one_for_one";
    case strategy::one_for_all: return "one_for_all";
    case strategy::rest_for_one: return "rest_for_one";
  }
  return "?";
}

std::string_view name(restart x) {
  switch (x) {
    case restart::permanent: return "permanent";
    case restart::transient: return "transient";
    case restart::temporary: return "temporary";
  }
  return "?";
}

std::string_view name(child_state x) {
  switch (x) {
    case child_state::running: return "running";
    case child_state::stopping: return "stopping";
    case child_state::backing_off: return "backing_off";
    case child_state::stopped: return "stopped";
  }
  return "?";
}

namespace {

std::chrono::milliseconds between(steady_ms from, steady_ms to) {
  const auto a = static_cast<std::uint64_t>(from), b = static_cast<std::uint64_t>(to);
  return std::chrono::milliseconds{b > a ? static_cast<std::int64_t>(b - a) : 0};
}

// Not `fail`: that is what children do here.
tl::unexpected<error> refuse(ec code, std::string_view id, std::string_view why) {
  return signet::fail(code, "child '" + std::string{id} + "': " + std::string{why});
}

} // namespace

child_table::child_table(table_rules rules, random_source& random)
  : rules_{rules}, random_{random}, budget_{rules.intensity} {}

result<child_slot> child_table::add(child_rule rule, steady_ms now) {
  if (stopping())
    return refuse(ec::overloaded, rule.id, "the supervisor is stopping");
  if (by_id_.contains(rule.id))
    return refuse(ec::already_exists, rule.id, "choose another id, or remove that child first");
  const auto slot = child_slot{++last_slot_};
  by_id_.emplace(rule.id, slot);
  auto& r = rows_.emplace(slot, row{}).first->second;
  r.rule = std::move(rule);
  enter(r, child_state::backing_off, now);
  if (!round_)
    due_.insert(slot);
  return slot;
}

result<child_slot> child_table::remove(std::string_view id, steady_ms now) {
  const auto known = by_id_.find(id);
  if (known == by_id_.end() || phase_ == phase::finished)
    return refuse(ec::not_found, id, "no child of that id");
  const auto slot = known->second;
  auto at = rows_.find(slot);
  auto& r = at->second;
  r.removing = true;
  switch (r.state) {
    case child_state::running:
      stop_wanted_.erase(slot);
      begin_stop(slot, r, now);
      break;
    case child_state::stopping:
      break;  // its end is awaited already
    case child_state::backing_off:
    case child_state::stopped:
      erase(at, false);
      break;
  }
  return slot;
}

void child_table::stop(steady_ms now) {
  if (phase_ == phase::running)
    stop_all(now);
}

void child_table::started(child_slot slot, steady_ms now) {
  auto at = rows_.find(slot);
  if (at == rows_.end())
    return;
  auto& r = at->second;
  ++r.starts;
  r.started_at = now;
  group_started_ = now;
  ++live_;
  enter(r, child_state::running, now);
}

void child_table::start_failed(child_slot slot, std::string reason, steady_ms now) {
  if (auto at = rows_.find(slot); at != rows_.end()) {
    ++at->second.starts;
    at->second.started_at = now;
    group_started_ = now;
    fail(at, std::move(reason), now);
  }
}

void child_table::ended(child_slot slot, bool normal, std::string reason, steady_ms now) {
  auto at = rows_.find(slot);
  if (at == rows_.end())
    return;
  auto& r = at->second;
  if (r.state != child_state::running && r.state != child_state::stopping)
    return;
  --live_;
  const bool was_told = r.state == child_state::stopping;
  disarm(r);
  r.killed = false;
  if (stop_ordered_ == slot)
    stop_ordered_.reset();
  stop_wanted_.erase(slot);
  if (was_told || stopping()) {
    if (!normal && !was_told)
      r.last_reason = std::move(reason);
    if (r.removing || r.rule.when == restart::temporary)
      erase(at, false);
    else
      enter(r, stopping() ? child_state::stopped : child_state::backing_off, now);
    return after_end(now);
  }
  if (!normal)
    r.last_reason = reason;
  if (r.rule.when == restart::temporary) {
    erase(at, false);
    return after_end(now);
  }
  if (r.rule.when == restart::transient && normal) {
    enter(r, child_state::stopped, now);
    return after_end(now);
  }
  fail(at, std::move(reason), now);
}

void child_table::fired(timer_id timer, steady_ms now) {
  if (phase_ == phase::finished)
    return;
  if (timer == group_timer_ && timer != timer_id{}) {
    disarm_group();
    round_ = false;
    for (auto& [slot, r] : rows_)
      if (r.state == child_state::backing_off)
        due_.insert(slot);
    return;
  }
  const auto known = timers_.find(static_cast<std::uint64_t>(timer));
  if (known == timers_.end())
    return;  // late: something has happened since
  const auto slot = known->second;
  auto at = rows_.find(slot);
  auto& r = at->second;
  disarm(r);
  if (r.state == child_state::backing_off) {
    due_.insert(slot);
  } else if (r.state == child_state::stopping && !r.killed) {
    r.killed = true;
    orders_.push_back(stop_child{slot, true});
    arm(slot, r, std::max(r.rule.shutdown_timeout, std::chrono::milliseconds{1'000}));
  } else if (r.state == child_state::stopping) {
    // It sits in a handler that does not return. Nobody can end it but the process; a second one beside it would be
    // two actors where one is meant, so the parent decides.
    --live_;
    if (stop_ordered_ == slot)
      stop_ordered_.reset();
    erase(at, true);
    if (phase_ == phase::running)
      give_up(now);
    else
      after_end(now);
  }
}

std::optional<order> child_table::next() {
  if (!orders_.empty()) {
    auto first = std::move(orders_.front());
    orders_.pop_front();
    return first;
  }
  if (phase_ == phase::running && !due_.empty()) {
    const auto slot = *due_.begin();
    due_.erase(due_.begin());
    return start_child{slot};
  }
  if (phase_ == phase::stopping && live_ == 0) {
    phase_ = phase::finished;
    return finish{gave_up_};
  }
  return std::nullopt;
}

std::optional<child_slot> child_table::find(std::string_view id) const {
  auto at = by_id_.find(id);
  return at == by_id_.end() ? std::nullopt : std::optional{at->second};
}

std::vector<child_row> child_table::rows(steady_ms now) const {
  std::vector<child_row> out;
  out.reserve(rows_.size());
  for (const auto& [slot, r] : rows_)
    out.push_back({slot, r.rule.id, r.state, r.starts > 0 ? r.starts - 1 : 0, r.last_reason, between(r.since, now)});
  return out;
}

void child_table::enter(row& r, child_state state, steady_ms now) {
  r.state = state;
  r.since = now;
}

void child_table::arm(child_slot slot, row& r, std::chrono::milliseconds delay) {
  disarm(r);
  r.timer = timer_id{++last_timer_};
  timers_.emplace(static_cast<std::uint64_t>(r.timer), slot);
  orders_.push_back(arm_timer{r.timer, delay});
}

void child_table::disarm(row& r) {
  timers_.erase(static_cast<std::uint64_t>(r.timer));
  r.timer = timer_id{};
}

void child_table::arm_group(std::chrono::milliseconds delay) {
  group_timer_ = timer_id{++last_timer_};
  orders_.push_back(arm_timer{group_timer_, delay});
}

void child_table::disarm_group() { group_timer_ = timer_id{}; }

void child_table::begin_stop(child_slot slot, row& r, steady_ms now) {
  enter(r, child_state::stopping, now);
  r.killed = r.rule.shutdown_timeout.count() == 0;
  orders_.push_back(stop_child{slot, r.killed});
  arm(slot, r, std::max(r.rule.shutdown_timeout, std::chrono::milliseconds{r.killed ? 1'000 : 0}));
}

void child_table::fail(rows_map::iterator at, std::string reason, steady_ms now) {
  auto& r = at->second;
  r.last_reason = std::move(reason);
  if (stopping()) {
    enter(r, child_state::stopped, now);
    return after_end(now);
  }
  if (r.rule.when == restart::temporary) {  // its first start failed
    erase(at, false);
    return after_end(now);
  }
  enter(r, child_state::backing_off, now);
  if (!budget_.spend(now))
    return give_up(now);
  if (rules_.how != strategy::one_for_one)
    return open_round(at, now);
  if (between(r.started_at, now) >= rules_.intensity.window)
    r.failures = 0;
  arm(at->first, r, backoff_delay(rules_.backoff, ++r.failures, random_));
}

void child_table::open_round(rows_map::iterator failed, steady_ms now) {
  if (!round_ && between(group_started_, now) >= rules_.intensity.window)
    group_failures_ = 0;
  ++group_failures_;
  round_ = true;
  disarm_group();
  auto first = rules_.how == strategy::one_for_all ? rows_.begin() : failed;
  for (auto at = first; at != rows_.end(); ++at) {
    auto& [slot, r] = *at;
    due_.erase(slot);
    if (r.state == child_state::running)
      stop_wanted_.insert(slot);
    else if (r.state == child_state::stopped)
      enter(r, child_state::backing_off, now);  // as in OTP: a transient child that was done starts again with its group
  }
  stop_next(now);
}

void child_table::stop_next(steady_ms now) {
  if (stop_ordered_)
    return;
  if (!stop_wanted_.empty()) {
    const auto slot = *stop_wanted_.rbegin();
    stop_wanted_.erase(slot);
    stop_ordered_ = slot;
    return begin_stop(slot, rows_.at(slot), now);
  }
  if (round_ && group_timer_ == timer_id{} && phase_ == phase::running)
    arm_group(backoff_delay(rules_.backoff, group_failures_, random_));
}

void child_table::stop_all(steady_ms now) {
  phase_ = phase::stopping;
  due_.clear();
  round_ = false;
  disarm_group();
  for (auto& [slot, r] : rows_) {
    if (r.state == child_state::running) {
      stop_wanted_.insert(slot);
    } else if (r.state == child_state::backing_off) {
      disarm(r);
      enter(r, child_state::stopped, now);
    }
  }
  stop_next(now);
}

void child_table::give_up(steady_ms now) {
  gave_up_ = true;
  stop_all(now);
}

child_table::rows_map::iterator child_table::erase(rows_map::iterator at, bool abandoned) {
  const auto slot = at->first;
  disarm(at->second);
  due_.erase(slot);
  stop_wanted_.erase(slot);
  by_id_.erase(at->second.rule.id);
  orders_.push_back(forget_child{slot, abandoned});
  return rows_.erase(at);
}

void child_table::after_end(steady_ms now) { stop_next(now); }

} // namespace signet::supervision
