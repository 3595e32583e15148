#include "actors/fanout/fanout.hpp"

#include "actors/fanout/news.hpp"
#include "actors/supervision/guard.hpp"
#include "storage/log/event_log.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_set>

namespace signet {
namespace {
// One look at the log: a short read transaction, then the others get their turn.
constexpr std::uint64_t entries_per_look_max = 512;

log_index applied_now(const storage::environment& store) {
  auto txn = store.read();
  auto raw = storage::get<storage::table::state>(txn, {"applied"});
  if (!raw)
    return {};
  auto row = storage::applied_row::decode(raw->raw);
  return row ? row->index : log_index{};
}
} // namespace

void fanout_state::start(const storage::environment& store) {
  supervision::guard(self_);
  self_->set_down_handler([this](caf::down_msg& down) { ended(down); });
  store_ = &store;
  cursor_ = applied_ = applied_now(store);
}

fanout_actor::behavior_type fanout_state::make_behavior() {
  return {[this](const log_advanced& to) { advanced(to); },
          [this](follow_atom, const permalink& who, const caf::actor& follower, const wake_flag& flag) {
            follow(who, follower, flag);
          },
          [this](leave_atom, const permalink& who, const caf::actor& follower) { leave(who, follower); },
          [this](watch_atom, const caf::actor& registry) { watch(registry); },
          [this](status_asked) { return status(); }};
}

void fanout_state::advanced(const log_advanced& to) {
  applied_ = std::max(applied_, to.index);
  read_on();
}

void fanout_state::read_on() {
  if (cursor_ >= applied_)
    return;  // an earlier look has gone as far
  if (followers_.empty() && !registry_) {
    cursor_ = applied_;
    return;
  }
  std::unordered_set<permalink, id_hash> inboxes, identities;
  sessions_changed sessions;
  {
    auto txn = store_->read();
    const auto end = std::min(value(applied_), value(cursor_) + entries_per_look_max);
    while (value(cursor_) < end) {
      auto record = storage::event_log::find(txn, next(cursor_));
      if (!record)
        break;  // told of an index that this view does not hold yet; the next advance reads on
      cursor_ = next(cursor_);
      if (record->type != 1)
        continue;
      auto found = news_of(record->payload, cursor_, !followers_.empty());
      inboxes.insert(found.inboxes.begin(), found.inboxes.end());
      identities.insert(found.identities.begin(), found.identities.end());
      std::move(found.sessions.begin(), found.sessions.end(), std::back_inserter(sessions.all));
    }
  }
  if (registry_ && !sessions.all.empty())
    caf::anon_send(registry_, std::move(sessions));
  for (const auto& who : inboxes)
    wake(who, cursor_, false);
  for (const auto& who : identities)
    wake(who, cursor_, true);
  if (cursor_ < applied_)
    self_->send(self_, log_advanced{applied_});
}

void fanout_state::wake(const permalink& who, log_index index, bool identity) {
  auto found = followers_.find(who);
  if (found == followers_.end())
    return;
  for (const auto& one : found->second) {
    // What it has not looked at yet, it will look at then.
    if (!identity && !one.flag.raise())
      continue;
    ++wakes_;
    if (identity)
      caf::anon_send(one.handle, identity_changed{index});
    else
      caf::anon_send(one.handle, inbox_advanced{index});
  }
}

void fanout_state::follow(const permalink& who, const caf::actor& handle, const wake_flag& flag) {
  auto& all = followers_[who];
  if (std::none_of(all.begin(), all.end(), [&](const follower& one) { return one.handle == handle; })) {
    all.push_back({handle, flag});
    self_->monitor(handle);
    follows_.emplace(handle.address(), who);
  }
  // Something may have come between the follower's look and this message.
  if (flag.raise())
    caf::anon_send(handle, inbox_advanced{applied_});
}

void fanout_state::leave(const permalink& who, const caf::actor& follower) {
  self_->demonitor(follower.address());
  forget(who, follower.address());
}

void fanout_state::watch(const caf::actor& registry) {
  registry_ = registry;
  self_->monitor(registry_);
}

void fanout_state::ended(const caf::down_msg& down) {
  if (registry_ && registry_.address() == down.source)
    registry_ = nullptr;
  if (auto found = follows_.find(down.source); found != follows_.end())
    forget(permalink{found->second}, down.source);
}

void fanout_state::forget(const permalink& who, const caf::actor_addr& follower) {
  follows_.erase(follower);
  if (auto found = followers_.find(who); found != followers_.end()) {
    std::erase_if(found->second, [&](const auto& one) { return one.handle.address() == follower; });
    if (found->second.empty())
      followers_.erase(found);
  }
}

std::string fanout_state::status() const {
  return nlohmann::json{{"cursor", value(cursor_)}, {"applied", value(applied_)}, {"followed", followers_.size()},
                        {"wakes", wakes_}}.dump();
}

fanout_actor::behavior_type fanout(fanout_actor::stateful_pointer<fanout_state> self, const storage::environment* store) {
  self->state.start(*store);
  return self->state.make_behavior();
}

} // namespace signet
