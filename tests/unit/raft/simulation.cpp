#include "tests/unit/raft/simulation.hpp"

#include <algorithm>

namespace signet::raft::test {

namespace {

struct stored_snapshot {
  snapshot_meta meta;
  std::uint64_t state_hash = 0;
};

/// A log from `first` on.
struct some_log {
  std::uint64_t first = 1;
  std::deque<entry> entries;
  std::uint64_t last() const { return first + entries.size() - 1; }
  bool holds(std::uint64_t i) const { return i >= first && i <= last(); }
  const entry& at(std::uint64_t i) const { return entries[i - first]; }
  void cut(std::uint64_t from) {
    while (!entries.empty() && last() >= from)
      entries.pop_back();
  }
  void forget(std::uint64_t upto) {
    while (!entries.empty() && first <= upto) {
      entries.pop_front();
      ++first;
    }
  }
  void reset(std::uint64_t to) {
    entries.clear();
    first = to;
  }
};

/// One transaction on its way to the disk.
struct disk_write {
  update what;
  std::optional<stored_snapshot> own_snapshot;
  std::uint64_t hard_state_number = 0;
  bool log_cancelled = false;
};

struct server {
  server_id id{};
  // survives a crash
  hard_state stored;
  some_log stored_log;
  std::optional<stored_snapshot> stored_state;
  // does not
  std::optional<raft::core> core;
  some_log log;
  std::uint64_t applied = 0, state_hash = 0, committed = 0;
  std::deque<disk_write> writes;
  bool disk_busy = false, snapshot_under_way = false;
  std::uint64_t hard_states_issued = 0, hard_states_durable = 0;
  std::deque<std::pair<std::uint64_t, std::pair<server_id, incoming>>> held;
  std::map<std::uint64_t, entry> proposed;
  std::uint64_t life = 0, timer = 0;
  server_id learner{};

  bool up() const { return core.has_value(); }
  /// Up to where the stored log is the log.
  std::uint64_t durable() const {
    auto state = stored_state ? value(stored_state->meta.index) : 0;
    for (auto i = std::min(log.last(), stored_log.last()); i > state && log.holds(i) && stored_log.holds(i); --i)
      if (log.at(i).term == stored_log.at(i).term)
        return i;
    return std::min(state, log.last());
  }
  signet::term term_at(std::uint64_t i) const {
    if (log.holds(i))
      return log.at(i).term;
    if (stored_state && value(stored_state->meta.index) == i)
      return stored_state->meta.term;
    return {};
  }
};

struct happening {
  std::uint64_t at = 0, number = 0;
  std::function<void()> what;
  bool operator>(const happening& other) const { return std::tie(at, number) > std::tie(other.at, other.number); }
};

class cluster {
public:
  cluster(const conditions& under, std::uint64_t seed) : under_{under}, random_{seed} {
    in_flight_max_ = chance(50) ? 64 : static_cast<std::uint32_t>(1 + upto(4));
    trailing_ = in_flight_max_ + 1 + static_cast<std::uint32_t>(upto(10));
    loss_ = chance(33) ? 0 : upto(25);
    doubled_ = chance(50) ? 0 : upto(15);
    latency_max_ = 2 + upto(40);
    disk_max_ = 1 + upto(30);
    snapshot_every_ = 5 + upto(30);
    for (const auto& m : under.founders) {
      auto& s = add(m.id);
      s.stored = founding_hard_state;
      s.stored_log.entries.push_back(founding_entry(under.founders));
      checks_.appended(log_index{1}, s.stored_log.entries.front(), {});
    }
    for (std::size_t i = 0; i < under.joiners; ++i)
      add(server_id{under.founders.size() + i + 1});
  }

  outcome_of_run run() {
    outcome_of_run out;
    try {
      for (auto& s : servers_)
        boot(*s);
      every(10, [this] { submit(); });
      if (under_.crashes || under_.partitions || under_.transfers)
        every(150, [this] { some_fault(); });
      if (under_.changes)
        every(40, [this] { some_change(); });
      run_until(under_.faulty_ms);
      heal();
      auto target = checks_.committed() + 5;
      auto end = now_ + under_.calm_ms;
      while (now_ < end && checks_.committed() < target)
        run_until(now_ + 50);
      if (checks_.committed() < target)
        throw violation("no progress after the faults ended");
      checks_.at_the_end();
    } catch (const violation& found) {
      out.broken = found.what();
    }
    out.steps = steps_;
    out.committed = checks_.committed();
    out.acknowledged = checks_.acknowledgements();
    out.leaderships = leaderships_;
    return out;
  }

private:
  // -- chance and time -------------------------------------------------------------------------------------------------

  std::uint64_t upto(std::uint64_t n) { return random_() % (n + 1); }
  bool chance(std::uint64_t percent) { return random_() % 100 < percent; }
  steady_ms clock() const { return steady_ms{now_}; }

  void at(std::uint64_t when, std::function<void()> what) {
    future_.push({std::max(when, now_), ++numbers_, std::move(what)});
  }
  void every(std::uint64_t ms, const std::function<void()>& what) {
    at(now_ + 1 + upto(2 * ms), [this, ms, what] {
      what();
      every(ms, what);
    });
  }
  void run_until(std::uint64_t end) {
    while (!future_.empty() && future_.top().at <= end) {
      auto next = future_.top();
      future_.pop();
      now_ = next.at;
      if (++steps_ > 400'000)
        throw violation("no end of steps");
      next.what();
    }
    now_ = end;
  }

  // -- servers ---------------------------------------------------------------------------------------------------------

  server& add(server_id id) {
    servers_.push_back(std::make_unique<server>());
    servers_.back()->id = id;
    return *servers_.back();
  }
  server& find(server_id id) { return *servers_[value(id) - 1]; }
  server& any() { return *servers_[upto(servers_.size() - 1)]; }
  server* some_leader() {
    std::vector<server*> found;
    for (auto& s : servers_)
      if (s->up() && s->core->role() == role::leader)
        found.push_back(s.get());
    return found.empty() ? nullptr : found[upto(found.size() - 1)];
  }

  void boot(server& s) {
    options how;
    how.self = s.id;
    how.election_timeout_ms = 150;
    how.heartbeat_ms = 30;
    how.install_snapshot_timeout_ms = 300;
    how.in_flight_entries_max = in_flight_max_;
    how.trailing_entries = trailing_;
    how.seed = static_cast<std::uint32_t>(random_());
#ifdef SIGNET_TEST_HOOKS
    how.workarounds_off = under_.workarounds_off;
#endif
    ++s.life;
    s.log = s.stored_log;
    s.applied = s.stored_state ? value(s.stored_state->meta.index) : 0;
    s.state_hash = s.stored_state ? s.stored_state->state_hash : 0;
    s.committed = s.applied;
    s.writes.clear();
    s.held.clear();
    s.proposed.clear();
    s.disk_busy = s.snapshot_under_way = false;
    s.hard_states_issued = s.hard_states_durable = 0;
    s.learner = {};
    checks_.restarted(s.id, s.stored.term);
    std::optional<snapshot_meta> snapshot;
    if (s.stored_state)
      snapshot = s.stored_state->meta;
    auto ready = boot::examine(how, s.stored, snapshot, log_index{s.log.first},
                               {s.log.entries.begin(), s.log.entries.end()});
    if (!ready)
      throw violation("does not start again: " + render(ready.error()));
    s.stored = ready->must_be_durable();
    update first;
    auto started = core::start(std::move(*ready), s.stored, clock(), first);
    if (!started)
      throw violation("does not start: " + render(started.error()));
    s.core.emplace(std::move(*started));
    handle(s, std::move(first));
  }

  void crash(server& s) {
    if (!s.up())
      return;
    // The transaction under way may have become durable without anybody having heard of it.
    if (s.disk_busy && chance(50))
      store(s, s.writes.front());
    s.core.reset();
    ++s.life;
  }

  // -- duties ----------------------------------------------------------------------------------------------------------

  void handle(server& s, result<update> stepped) {
    if (!stepped) {
      if (s.core->failed())
        throw violation("server " + to_string(s.id) + " died: " + render(stepped.error()));
      return;
    }
    auto& u = *stepped;
    if (u.role_changed && s.core->role() == role::leader)
      ++leaderships_;
    if (u.entries) {
      auto first = value(u.entries->first);
      s.log.cut(first);
      if (s.log.last() + 1 != first)
        throw violation("entries at " + std::to_string(first) + " behind " + std::to_string(s.log.last()));
      for (const auto& e : u.entries->entries) {
        checks_.appended(log_index{s.log.last() + 1}, e, s.term_at(s.log.last()));
        s.log.entries.push_back(e);
      }
    }
    if (u.install) {
      for (auto& w : s.writes)
        w.log_cancelled = true;
      s.log.reset(value(u.install->index) + 1);
    }
    for (auto& m : u.messages)
      hold(s, std::move(m));
    u.messages.clear();
    if (u.write != write_number{}) {
      disk_write w;
      w.what = u;
      if (u.hard_state)
        w.hard_state_number = ++s.hard_states_issued;
      s.writes.push_back(std::move(w));
      if (under_.durable_is_claimed_early && !u.install) {
        handle(s, s.core->persisted(u.write, clock()));
      }
      start_disk(s);
    }
    if (u.committed)
      s.committed = std::max(s.committed, value(*u.committed));
    apply(s);
    release(s);
    arm(s);
    check(s);
  }

  void hold(server& s, outgoing m) {
    if (auto* append = std::get_if<append_entries>(&m.body)) {
      for (std::uint64_t i = 1; i <= append->fill_count; ++i)
        append->entries.push_back(s.log.at(value(append->prev_index) + i));
      append->fill_count = 0;
    }
    if (auto* answer = std::get_if<append_entries_result>(&m.body); answer != nullptr && answer->rejected == log_index{})
      if (!under_.durable_is_claimed_early && !s.core->installing())
        checks_.claimed(s.id, answer->last_index, log_index{s.durable()});
    s.held.push_back({s.hard_states_issued, {m.to, {s.id, s.core->current_term(), std::move(m.body)}}});
    // What this very update adds to the hard state counts too; its number is given right behind this.
    s.held.back().first += 1;
  }

  void release(server& s) {
    while (!s.held.empty()) {
      auto needs = std::min(s.held.front().first, s.hard_states_issued);
      if (needs > s.hard_states_durable && !under_.votes_leave_early)
        return;
      auto [to, message] = std::move(s.held.front().second);
      s.held.pop_front();
      send(to, std::move(message));
    }
  }

  void start_disk(server& s) {
    if (s.disk_busy || s.writes.empty())
      return;
    s.disk_busy = true;
    at(now_ + 1 + upto(disk_max_), [this, &s, life = s.life] {
      if (s.life == life)
        disk_done(s);
    });
  }

  void store(server& s, const disk_write& w) {
    if (w.what.hard_state)
      s.stored = *w.what.hard_state;
    if (w.what.entries && !w.log_cancelled) {
      s.stored_log.cut(value(w.what.entries->first));
      for (const auto& e : w.what.entries->entries)
        s.stored_log.entries.push_back(e);
    }
    if (w.what.install) {
      s.stored_state = stored_snapshot{*w.what.install, checks_.prefix_hash(w.what.install->index)};
      s.stored_log.reset(value(w.what.install->index) + 1);
    }
    if (w.own_snapshot && !w.log_cancelled) {
      s.stored_state = w.own_snapshot;
      auto index = value(w.own_snapshot->meta.index);
      if (index > trailing_)
        s.stored_log.forget(index - trailing_);
    }
  }

  void disk_done(server& s) {
    auto w = std::move(s.writes.front());
    s.writes.pop_front();
    s.disk_busy = false;
    store(s, w);
    if (w.hard_state_number != 0)
      s.hard_states_durable = w.hard_state_number;
    release(s);
    if (w.what.install) {
      s.applied = value(w.what.install->index);
      s.state_hash = s.stored_state->state_hash;
      s.committed = std::max(s.committed, s.applied);
      handle(s, s.core->snapshot_persisted(*w.what.install, clock()));
    } else if (w.own_snapshot) {
      s.snapshot_under_way = false;
      if (!w.log_cancelled) {
        auto& meta = w.own_snapshot->meta;
        handle(s, s.core->snapshot_taken(meta.index, meta.term, clock()));
        if (value(meta.index) > trailing_)
          s.log.forget(value(meta.index) - trailing_);
      }
    }
    if (w.what.write != write_number{})
      handle(s, s.core->persisted(w.what.write, clock()));
    start_disk(s);
  }

  void apply(server& s) {
    if (s.core->installing())
      return;
    auto durable = under_.durable_is_claimed_early ? s.log.last() : s.durable();
    while (s.applied < std::min(s.committed, durable)) {
      auto index = s.applied + 1;
      const auto& e = s.log.at(index);
      s.state_hash = checks_.applied(s.id, log_index{index}, e, s.state_hash);
      s.applied = index;
      auto found = s.proposed.find(index);
      if (found != s.proposed.end()) {
        if (found->second == e)
          checks_.acknowledged(log_index{index}, e);
        s.proposed.erase(found);
      }
    }
    auto last = s.stored_state ? value(s.stored_state->meta.index) : 0;
    if (under_.snapshots && !s.snapshot_under_way && s.applied >= last + snapshot_every_) {
      s.snapshot_under_way = true;
      auto [index, members] = s.core->members_at(log_index{s.applied});
      disk_write w;
      w.own_snapshot = stored_snapshot{{log_index{s.applied}, s.term_at(s.applied), index, members}, s.state_hash};
      s.writes.push_back(std::move(w));
      start_disk(s);
    }
  }

  void arm(server& s) {
    auto due = value(s.core->next_timeout());
    if (due <= now_)
      throw violation("server " + to_string(s.id) + ": a timeout that is over already");
    at(due, [this, &s, timer = ++s.timer, life = s.life] {
      if (s.life == life && s.timer == timer)
        handle(s, s.core->timeout(clock()));
    });
  }

  void check(server& s) {
    view v;
    v.self = s.id;
    v.role = s.core->role();
    v.term = s.core->current_term();
    v.commit = s.core->commit_index();
    v.last = s.core->last_index();
    v.applied = log_index{s.applied};
    v.last_in_store = log_index{s.log.last()};
    v.installing = s.core->installing();
    v.members_in_log = members_in_log(s);
#ifdef SIGNET_TEST_HOOKS
    v.members_inside = s.core->members_inside();
#else
    v.members_inside = s.core->members();
#endif
    checks_.after_step(v);
  }

  configuration members_in_log(const server& s) const {
    for (auto i = s.log.last(); s.log.holds(i); --i)
      if (s.log.at(i).type == entry_type::change)
        return *decode_configuration(s.log.at(i).payload);
    return s.stored_state ? s.stored_state->meta.configuration : configuration{};
  }

  // -- network ---------------------------------------------------------------------------------------------------------

  void send(server_id to, incoming message) {
    if (value(to) > servers_.size())
      return;
    auto shared = std::make_shared<incoming>(std::move(message));
    for (int copies = chance(doubled_) ? 2 : 1; copies > 0; --copies) {
      if (chance(loss_))
        continue;
      at(now_ + 1 + upto(chance(5) ? 10 * latency_max_ : latency_max_), [this, to, shared] {
        auto& s = find(to);
        if (s.up() && !cut_.contains({shared->from, to}))
          handle(s, s.core->receive(*shared, clock()));
      });
    }
  }

  // -- load and faults -------------------------------------------------------------------------------------------------

  void submit() {
    auto* leader = some_leader();
    if (leader == nullptr || value(leader->core->last_index()) > value(leader->core->commit_index()) + 200)
      return;
    std::vector<bytes> commands;
    for (auto count = chance(20) ? 1 + upto(8) : 1; count > 0; --count)
      commands.push_back(to_bytes(as_bytes("command " + std::to_string(++commands_))));
    auto stepped = leader->core->submit(std::move(commands), clock());
    if (stepped && stepped->entries)
      for (std::size_t i = 0; i < stepped->entries->entries.size(); ++i)
        leader->proposed[value(stepped->entries->first) + i] = stepped->entries->entries[i];
    handle(*leader, std::move(stepped));
  }

  void some_fault() {
    if (calm_)
      return;
    switch (upto(6)) {
      case 0:
      case 1: {
        if (!under_.crashes)
          return;
        auto& s = any();
        if (s.up())
          crash(s);
        else
          boot(s);
        return;
      }
      case 2:
        for (auto& s : servers_)
          if (!s->up())
            boot(*s);
        return;
      case 3:
        if (under_.partitions)
          cut_in_two();
        return;
      case 4:
        if (under_.partitions)
          cut_.insert({any().id, any().id});
        return;
      case 5:
        cut_.clear();
        return;
      default:
        if (auto* leader = under_.transfers ? some_leader() : nullptr)
          handle(*leader, leader->core->transfer(chance(50) ? server_id{} : any().id, clock()));
    }
  }

  void cut_in_two() {
    cut_.clear();
    std::vector<bool> left;
    for (std::size_t i = 0; i < servers_.size(); ++i)
      left.push_back(chance(50));
    for (std::size_t i = 0; i < servers_.size(); ++i)
      for (std::size_t j = 0; j < servers_.size(); ++j)
        if (left[i] != left[j])
          cut_.insert({servers_[i]->id, servers_[j]->id});
  }

  void some_change() {
    auto* leader = some_leader();
    if (calm_ || leader == nullptr)
      return;
    auto& s = *leader;
    auto next = s.core->members();
    if (s.learner != server_id{}) {
      auto state = s.core->caught_up(s.learner);
      if (state == core::learner_state::running)
        return;
      auto learner = std::exchange(s.learner, server_id{});
      for (auto& m : next)
        if (m.id == learner)
          m.role = member_role::voter;
      if (state == core::learner_state::finished)
        handle(s, s.core->change(next, clock()));
      return;
    }
    auto picked = upto(next.size() - 1);
    switch (upto(4)) {
      case 0:
        for (auto& other : servers_)
          if (std::none_of(next.begin(), next.end(), [&](const member& m) { return m.id == other->id; })) {
            next.push_back({other->id, "server " + to_string(other->id), chance(50) ? member_role::spare : member_role::standby});
            handle(s, s.core->change(next, clock()));
            return;
          }
        return;
      case 1:
      case 2:
        for (const auto& m : next)
          if (m.role != member_role::voter) {
            auto stepped = s.core->catch_up(m.id, clock());
            if (stepped)
              s.learner = m.id;
            handle(s, std::move(stepped));
            return;
          }
        return;
      case 3:
        // A removed server would have to come back under a new id: demote instead, so that the cluster does not run out.
        next[picked].role = chance(50) ? member_role::spare : member_role::standby;
        handle(s, s.core->change(next, clock()));
        return;
      default:
        handle(s, s.core->catch_up(next[picked].id, clock()));
    }
  }

  void heal() {
    calm_ = true;
    cut_.clear();
    loss_ = doubled_ = 0;
    latency_max_ = disk_max_ = 10;
    for (auto& s : servers_)
      if (!s->up())
        boot(*s);
    // A majority must do.
    if (!under_.changes && under_.crashes && under_.founders.size() >= 3 && chance(50)) {
      auto& s = any();
      auto voters = std::count_if(under_.founders.begin(), under_.founders.end(),
                                  [](const member& m) { return m.role == member_role::voter; });
      if (voters >= 3)
        crash(s);
    }
  }

  conditions under_;
  std::mt19937_64 random_;
  invariants checks_;
  std::vector<std::unique_ptr<server>> servers_;
  std::priority_queue<happening, std::vector<happening>, std::greater<>> future_;
  std::set<std::pair<server_id, server_id>> cut_;
  std::uint64_t now_ = 1'000, numbers_ = 0, commands_ = 0;
  std::size_t steps_ = 0, leaderships_ = 0;
  std::uint32_t in_flight_max_ = 0, trailing_ = 0;
  std::uint64_t loss_ = 0, doubled_ = 0, latency_max_ = 0, disk_max_ = 0, snapshot_every_ = 0;
  bool calm_ = false;
};

} // namespace

outcome_of_run simulate(const conditions& under, std::uint64_t seed) { return cluster{under, seed}.run(); }

} // namespace signet::raft::test
