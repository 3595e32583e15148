#pragma once
// Servers driven by hand: writes are durable at once (or when the test says so), messages wait until the test delivers
// them, time is a number. For schedules that must happen exactly so.

#include "storage/raft/core.hpp"

#include <deque>
#include <map>
#include <stdexcept>

namespace signet::raft::test {

inline server_id nr(std::uint64_t n) { return server_id{n}; }
inline log_index at(std::uint64_t n) { return log_index{n}; }
inline signet::term in_term(std::uint64_t n) { return signet::term{n}; }
inline entry command(std::uint64_t term, std::string_view text = "x") {
  return {signet::term{term}, entry_type::command, to_bytes(as_bytes(text))};
}
inline member voter(std::uint64_t n) { return {nr(n), "server " + std::to_string(n), member_role::voter}; }
inline member standby(std::uint64_t n) { return {nr(n), "server " + std::to_string(n), member_role::standby}; }
inline member spare(std::uint64_t n) { return {nr(n), "server " + std::to_string(n), member_role::spare}; }
inline entry change_to(std::uint64_t term, const configuration& members) {
  return {signet::term{term}, entry_type::change, encode(members)};
}

struct server_by_hand {
  options how;
  // survives restart()
  hard_state stored;
  std::vector<entry> log;  ///< from index 1 on
  // does not
  std::optional<raft::core> core;
  std::vector<entry> seen;  ///< the log as the core sees it; what is not durable yet too
  std::deque<outgoing> sent;
  std::uint64_t now = 1'000;
  bool durable_at_once = true;
  write_number last_write{};
  update last;

  server_by_hand(std::uint64_t self, const configuration& founders, std::uint32_t workarounds_off = 0) {
    how.self = nr(self);
    how.seed = static_cast<std::uint32_t>(self);
#ifdef SIGNET_TEST_HOOKS
    how.workarounds_off = workarounds_off;
#else
    (void)workarounds_off;
#endif
    stored = founding_hard_state;
    log.push_back(founding_entry(founders));
  }

  void start() {
    sent.clear();
    seen = log;
    auto ready = boot::examine(how, stored, std::nullopt, at(1), log);
    if (!ready)
      throw std::runtime_error(render(ready.error()));
    stored = ready->must_be_durable();
    update first;
    auto started = core::start(std::move(*ready), stored, clock(), first);
    if (!started)
      throw std::runtime_error(render(started.error()));
    core.emplace(std::move(*started));
    take(std::move(first));
  }
  void crash() { core.reset(); }

  steady_ms clock() const { return steady_ms{now}; }

  /// Does the duties of an update. Errors are thrown.
  update take(result<update> stepped) {
    if (!stepped)
      throw std::runtime_error(render(stepped.error()));
    last = *stepped;
    if (last.hard_state)
      stored = *last.hard_state;
    if (last.entries) {
      seen.resize(value(last.entries->first) - 1);
      seen.insert(seen.end(), last.entries->entries.begin(), last.entries->entries.end());
    }
    for (auto message : last.messages) {
      if (auto* append = std::get_if<append_entries>(&message.body)) {
        for (std::uint64_t i = 0; i < append->fill_count; ++i)
          append->entries.push_back(seen.at(value(append->prev_index) + i));
        append->fill_count = 0;
      }
      sent.push_back(std::move(message));
    }
    auto result = last;
    if (last.write != write_number{})
      last_write = last.write;
    if (last.write != write_number{} && durable_at_once)
      sync();
    last = result;
    return result;
  }
  /// What is unfinished becomes durable.
  void sync() {
    log = seen;
    auto write = std::exchange(last_write, {});
    take(core->persisted(write, clock()));
  }
  update receive(std::uint64_t from, message body, std::uint64_t sender_term = 0) {
    auto term = std::visit([](const auto& m) { return m.term; }, body);
    return take(core->receive({nr(from), sender_term != 0 ? in_term(sender_term) : term, std::move(body)}, clock()));
  }
  update submit(std::string_view text) {
    return take(core->submit({to_bytes(as_bytes(text))}, clock()));
  }
  /// Waits until the timer is due and lets it fire.
  update timeout() {
    now = std::max(now + 1, value(core->next_timeout()));
    return take(core->timeout(clock()));
  }
  /// The first message to `to` of this kind, taken out; nothing if there is none.
  template <class M>
  std::optional<M> take_sent(std::uint64_t to) {
    for (auto found = sent.begin(); found != sent.end(); ++found)
      if (found->to == nr(to) && std::holds_alternative<M>(found->body)) {
        auto out = std::get<M>(found->body);
        sent.erase(found);
        return out;
      }
    return std::nullopt;
  }
};

/// Several of them and the wires between; only what `connected` allows is delivered, the rest is lost.
struct servers_by_hand {
  std::map<std::uint64_t, server_by_hand> all;

  void add(std::uint64_t self, const configuration& founders, std::uint32_t workarounds_off = 0) {
    all.emplace(self, server_by_hand{self, founders, workarounds_off});
  }
  server_by_hand& operator[](std::uint64_t self) { return all.at(self); }

  template <class Connected>
  void deliver(Connected connected) {
    for (bool moved = true; moved;) {
      moved = false;
      for (auto& [self, from] : all) {
        if (!from.core)
          continue;
        while (!from.sent.empty()) {
          auto message = std::move(from.sent.front());
          from.sent.pop_front();
          auto to = all.find(value(message.to));
          if (to == all.end() || !to->second.core || !connected(self, to->first))
            continue;
          moved = true;
          to->second.take(to->second.core->receive({nr(self), from.core->current_term(), message.body}, to->second.clock()));
        }
      }
    }
  }
  /// Lets `self` stand for election among those that may vote, until it leads.
  template <class Connected>
  void elect(std::uint64_t self, Connected connected) {
    for (int i = 0; i < 20 && all.at(self).core->role() != role::leader; ++i) {
      all.at(self).timeout();
      deliver_votes(connected);
    }
    if (all.at(self).core->role() != role::leader)
      throw std::runtime_error("server " + std::to_string(self) + " is not elected");
  }
  /// Only what elections need travels; everything else stays where it is.
  template <class Connected>
  void deliver_votes(Connected connected) {
    auto is_vote = [](const outgoing& m) {
      return std::holds_alternative<request_vote>(m.body) || std::holds_alternative<request_vote_result>(m.body);
    };
    for (bool moved = true; moved;) {
      moved = false;
      for (auto& [self, from] : all)
        for (std::size_t i = 0; from.core && i < from.sent.size(); ++i) {
          if (!is_vote(from.sent[i]))
            continue;
          auto message = std::move(from.sent[i]);
          from.sent.erase(from.sent.begin() + static_cast<std::ptrdiff_t>(i--));
          auto to = all.find(value(message.to));
          if (to == all.end() || !to->second.core || !connected(self, to->first))
            continue;
          moved = true;
          to->second.take(to->second.core->receive({nr(self), from.core->current_term(), message.body}, to->second.clock()));
        }
    }
  }
};

} // namespace signet::raft::test
