#include "storage/raft/core.hpp"

#include "messages/hooks.hpp"
#include "storage/raft/shim.h"

#include <algorithm>
#include <deque>

namespace signet::raft {

namespace {

/// A term further ahead than any cluster gets in the life of its disks: believing it would use the numbers up.
constexpr std::uint64_t term_jump_max = std::uint64_t{1} << 32;
constexpr std::uint64_t term_max = std::uint64_t{1} << 62;
constexpr std::uint64_t index_max = std::uint64_t{1} << 62;
constexpr std::size_t entries_per_message_max = 65'536;
constexpr auto no_entries = std::uint64_t{0};

const bytes barrier_payload(8, 0);

shim_bytes view_of(const bytes& raw) { return {raw.data(), raw.size()}; }
bytes copy_of(const shim_bytes& raw) { return {raw.data, raw.data + raw.size}; }

shim_entry for_shim(const entry& e) {
  return {value(e.term), static_cast<std::uint8_t>(e.type),
          e.type == entry_type::change ? view_of(e.payload) : shim_bytes{nullptr, 0}};
}
std::vector<shim_entry> for_shim(const std::vector<entry>& entries) {
  std::vector<shim_entry> out;
  out.reserve(entries.size());
  for (const auto& e : entries)
    out.push_back(for_shim(e));
  return out;
}

template <class... F>
struct overloaded : F... {
  using F::operator()...;
};
template <class... F>
overloaded(F...) -> overloaded<F...>;

/// What is wrong with an entry wherever it comes from; `least` and `most` bound its term.
std::optional<std::string> fault_in(const entry& e, signet::term least, signet::term most) {
  if (e.term == signet::term{} || e.term < least || e.term > most)
    return "an entry of term " + to_string(e.term) + " between terms " + to_string(least) + " and " + to_string(most);
  if (e.type < entry_type::command || e.type > entry_type::change)
    return "an entry of type " + std::to_string(static_cast<int>(e.type));
  if (e.type == entry_type::change)
    if (auto members = decode_configuration(e.payload); !members)
      return members.error().context;
  return std::nullopt;
}

std::optional<std::string> fault_in(const append_entries& m) {
  if ((m.prev_index == log_index{}) != (m.prev_term == signet::term{}) || m.prev_term > m.term)
    return "entries anchored at index " + to_string(m.prev_index) + " term " + to_string(m.prev_term);
  if (value(m.prev_index) > index_max || m.entries.size() > entries_per_message_max || m.fill_count != 0)
    return std::to_string(m.entries.size()) + " entries behind index " + to_string(m.prev_index);
  auto least = m.prev_term;
  for (const auto& e : m.entries) {
    if (auto fault = fault_in(e, least, m.term))
      return fault;
    least = e.term;
  }
  return std::nullopt;
}

std::optional<std::string> fault_in(const snapshot_meta& s, signet::term most) {
  if (s.index == log_index{} || value(s.index) > index_max || s.term == signet::term{} || s.term > most)
    return "a snapshot at index " + to_string(s.index) + " term " + to_string(s.term);
  if (s.configuration_index == log_index{} || s.configuration_index > s.index)
    return "a snapshot whose configuration is at index " + to_string(s.configuration_index);
  if (auto good = check(s.configuration); !good)
    return good.error().context;
  return std::nullopt;
}

signet::term term_of(const message& m) {
  return std::visit([](const auto& x) { return x.term; }, m);
}

struct encoded_snapshot {
  bytes configuration;
  shim_snapshot raw{};
  explicit encoded_snapshot(const snapshot_meta& from) : configuration{encode(from.configuration)} {
    raw = {value(from.index), value(from.term), value(from.configuration_index), view_of(configuration)};
  }
  encoded_snapshot(const encoded_snapshot&) = delete;
};

/// Which single step leads from one configuration to the other, if any.
struct difference {
  std::optional<member> added, removed;
  std::optional<std::pair<member, member>> changed;
};
std::optional<difference> single_step(const configuration& from, const configuration& to) {
  difference out;
  if (to.size() == from.size() + 1 && std::equal(from.begin(), from.end(), to.begin())) {
    out.added = to.back();
    return out;
  }
  if (to.size() + 1 == from.size()) {
    auto [kept, rest] = std::mismatch(from.begin(), from.end(), to.begin(), to.end());
    if (!std::equal(std::next(kept), from.end(), rest, to.end()))
      return std::nullopt;
    out.removed = *kept;
    return out;
  }
  if (to.size() != from.size())
    return std::nullopt;
  for (std::size_t i = 0; i < to.size(); ++i) {
    if (from[i] == to[i])
      continue;
    if (out.changed || from[i].id != to[i].id || from[i].address != to[i].address)
      return std::nullopt;
    out.changed = {from[i], to[i]};
  }
  if (!out.changed)
    return std::nullopt;
  return out;
}

std::size_t voters_in(const configuration& members) {
  return static_cast<std::size_t>(std::count_if(members.begin(), members.end(),
                                                [](const member& m) { return m.role == member_role::voter; }));
}

} // namespace

// ---- boot ------------------------------------------------------------------------------------------------------------

result<boot> boot::examine(options how, hard_state stored, std::optional<snapshot_meta> snapshot, log_index first_index,
                           std::vector<entry> entries) {
  if (how.self == server_id{})
    return fail(ec::configuration, "a server id is 1 or more");
  if (how.trailing_entries <= how.in_flight_entries_max || how.in_flight_entries_max == 0)
    return fail(ec::configuration, "trailing_entries must be larger than in_flight_entries_max");
  if (how.heartbeat_ms == 0 || how.heartbeat_ms >= how.election_timeout_ms)
    return fail(ec::configuration, "heartbeat_ms must be below election_timeout_ms");

  auto corrupt = [](std::string what) { return fail(ec::corrupt, "stored raft state: " + std::move(what)); };
  auto first = value(first_index);
  if (stored.term == signet::term{} && (stored.voted_for != server_id{} || snapshot || !entries.empty()))
    return corrupt("a log without a term");
  if (value(stored.term) > term_max || first == 0 || first > index_max)
    return corrupt("term " + to_string(stored.term) + ", first index " + to_string(first_index));
  auto least = signet::term{};
  if (snapshot) {
    if (auto fault = fault_in(*snapshot, stored.term))
      return corrupt(*fault);
    if (first > value(snapshot->index) + 1 || first + entries.size() <= value(snapshot->index))
      return corrupt("entries [" + std::to_string(first) + ", " + std::to_string(first + entries.size()) +
                     ") beside a snapshot at " + to_string(snapshot->index));
    if (first <= value(snapshot->index) && entries[value(snapshot->index) - first].term != snapshot->term)
      return corrupt("the entry at the snapshot has another term than the snapshot");
    if (first > value(snapshot->index))
      least = snapshot->term;
  } else if (first != 1 || (!entries.empty() && entries.front().type != entry_type::change)) {
    return corrupt("a log that does not begin with the founding configuration");
  }
  std::optional<configuration> newest = snapshot ? std::optional{snapshot->configuration} : std::nullopt;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const auto& e = entries[i];
    if (auto fault = fault_in(e, least, stored.term))
      return corrupt("index " + std::to_string(first + i) + ": " + *fault);
    least = e.term;
    if (e.type == entry_type::change && (!snapshot || first + i > value(snapshot->configuration_index)))
      newest = *decode_configuration(e.payload);
  }

  boot out;
  out.required_ = stored;
  if (newest && sole_voter_of(*newest) == how.self)
    out.required_ = {next(stored.term), how.self};
  out.options_ = how;
  out.snapshot_ = std::move(snapshot);
  out.first_index_ = first_index;
  out.entries_ = std::move(entries);
  return out;
}

// ---- the state behind core -------------------------------------------------------------------------------------------

struct core::state {
  struct closer {
    void operator()(shim* s) const { shim_close(s); }
  };
  /// A write that the driver has not reported yet, and the highest index in it that is still in the log.
  struct write {
    write_number number{};
    log_index first, last;
  };

  options how;
  std::unique_ptr<shim, closer> engine;
  std::deque<write> unfinished;
  std::uint64_t writes = 0;
  configuration newest;
  bytes newest_encoded;
  log_index newest_index{};
  /// Of the leadership in own_term: index of its first entry.
  signet::term own_term{};
  log_index own_first{};
  std::optional<error> dead;
#ifdef SIGNET_TEST_HOOKS
  /// Known bug FIG8: entries count as committed when a majority holds them, of whatever term they are.
  log_index durable{}, counted{};
  void count_replicas(update& out) {
    if (out.entries && out.entries->first <= durable)
      durable = log_index{value(out.entries->first) - 1};
    if (!leads())
      return;
    std::vector<log_index> held;
    for (const auto& m : newest)
      if (m.role == member_role::voter)
        held.push_back(m.id == how.self ? durable : log_index{shim_match(engine.get(), value(m.id))});
    if (held.empty())
      return;
    std::sort(held.begin(), held.end(), std::greater<>{});
    if (auto majority = held[held.size() / 2]; majority > std::max(counted, log_index{shim_commit(engine.get())}))
      out.committed = counted = majority;
  }
#endif

  bool leads() const { return shim_current_role(engine.get()) == SHIM_LEADER; }
  signet::term term() const { return signet::term{shim_term(engine.get())}; }
  bool member_known(server_id who) const {
    return std::any_of(newest.begin(), newest.end(), [who](const member& m) { return m.id == who; });
  }

  // One event: `first` is its step, `given` the entries handed to it, `more` an optional second step. Then everything
  // that follows from it without the outside: committed configurations, and the first entry of a new leadership.
  template <class Step>
  result<update> run(steady_ms now, std::vector<entry>& given, Step first) {
    return run(now, given, first, [](shim_output*) { return SHIM_NOTHING; });
  }
  template <class Step, class More>
  result<update> run(steady_ms now, std::vector<entry>& given, Step first, More more) {
    if (dead)
      return tl::make_unexpected(*dead);
    shim_clock(engine.get(), value(now));
    update out;
    shim_output raw{};
    if (auto good = absorb(first(&raw), raw, given, out); !good)
      return tl::make_unexpected(good.error());
    if (auto good = absorb(more(&raw), raw, given, out); !good)
      return tl::make_unexpected(good.error());
    if (auto good = settle(now, out); !good)
      return tl::make_unexpected(good.error());
    if (leads() && own_term != term()) {
      own_term = term();
      if (out.entries) {
        own_first = out.entries->first;
      } else if (auto good = append_barrier(now, out); !good) {
        return tl::make_unexpected(good.error());
      }
    }
    refresh_newest();
    number_write(out);
#ifdef SIGNET_TEST_HOOKS
    if (SIGNET_BUG("FIG8"))
      count_replicas(out);
#endif
    return out;
  }

  /// Refused steps leave no trace in `out`; fatal ones end this core.
  status absorb(shim_answer answer, const shim_output& raw, std::vector<entry>& given, update& out) {
    switch (answer) {
      case SHIM_NOTHING:
        return {};
      case SHIM_NOT_LEADER:
        return fail(ec::not_leader, leads() ? "leadership is being handed over" : "this server is not the leader");
      case SHIM_BUSY:
        return fail(ec::overloaded, "another change of the configuration is under way");
      case SHIM_NO_MEMBER:
        return fail(ec::configuration, "no such member in the role that this needs");
      case SHIM_CONFLICT:
        dead = error{ec::corrupt, "a committed entry conflicts with the leader's log"};
        return tl::make_unexpected(*dead);
      case SHIM_DEAD:
        dead = error{ec::internal, "consensus stopped; begin again from durable state"};
        return tl::make_unexpected(*dead);
      case SHIM_OK:
        break;
    }
    if (raw.hard_state)
      out.hard_state = raft::hard_state{term(), server_id{shim_voted_for(engine.get())}};
    if (raw.state)
      out.role_changed = true;
    if (raw.commit)
      out.committed = log_index{shim_commit(engine.get())};
    if (raw.entries_first != no_entries)
      take_entries(raw, given, out);
    if (raw.install)
      out.install = snapshot_of(raw.snapshot);
    for (std::uint32_t i = 0; i < raw.messages_count; ++i)
      out.messages.push_back({server_id{raw.messages[i].peer}, message_of(raw.messages[i])});
    return {};
  }

  void take_entries(const shim_output& raw, std::vector<entry>& given, update& out) {
    update::append added;
    added.first = log_index{raw.entries_first};
    if (raw.entries_barrier) {
      added.entries.push_back({term(), entry_type::barrier, barrier_payload});
    } else {
      auto from = given.end() - raw.entries_count;
      added.entries.assign(std::make_move_iterator(from), std::make_move_iterator(given.end()));
    }
    out.entries = std::move(added);  // at most one step of an event appends
  }

  status settle(steady_ms now, update& out) {
    std::vector<entry> none;
    for (;;) {
      shim_output raw{};
      auto answer = shim_settle_configuration(engine.get(), value(now), &raw);
      if (answer == SHIM_NOTHING)
        return {};
      if (auto good = absorb(answer, raw, none, out); !good)
        return good;
    }
  }

  status append_barrier(steady_ms now, update& out) {
    std::vector<entry> barrier{{term(), entry_type::barrier, barrier_payload}};
    auto given = for_shim(barrier);
    shim_output raw{};
    auto answer = shim_submit(engine.get(), value(now), given.data(), 1, &raw);
    if (auto good = absorb(answer, raw, barrier, out); !good)
      return good;
    own_first = out.entries->first;
    return {};
  }

  void number_write(update& out) {
    if (!out.hard_state && !out.entries && !out.install)
      return;
    out.write = write_number{++writes};
    if (out.install)
      unfinished.clear();
    if (!out.entries)
      return;
    auto first = out.entries->first;
    for (auto& w : unfinished)
      w.last = std::min(w.last, log_index{value(first) - 1});
    std::erase_if(unfinished, [](const write& w) { return w.last < w.first; });
    unfinished.push_back({out.write, first, out.entries->last()});
  }

  void refresh_newest() {
    shim_bytes raw{};
    auto index = log_index{shim_configuration_at(engine.get(), UINT64_MAX, &raw)};
    if (index == newest_index && std::equal(newest_encoded.begin(), newest_encoded.end(), raw.data, raw.data + raw.size))
      return;
    newest_index = index;
    newest_encoded = copy_of(raw);
    newest = index == log_index{} ? configuration{} : *decode_configuration(newest_encoded);
  }

  snapshot_meta snapshot_of(const shim_snapshot& raw) const {
    snapshot_meta out{log_index{raw.index}, signet::term{raw.term}, log_index{raw.configuration_index}, {}};
    auto encoded = raw.configuration;
    if (encoded.size == 0)
      out.configuration_index = log_index{shim_configuration_at(engine.get(), raw.index, &encoded)};
    out.configuration = *decode_configuration({encoded.data, encoded.size});
    return out;
  }

  message message_of(const shim_message& m) const {
    auto at = signet::term{m.term};
    auto last_index = log_index{m.last_index};
    auto last_term = signet::term{m.last_term};
    switch (m.type) {
      case SHIM_APPEND:
        return append_entries{at, log_index{m.prev_index}, signet::term{m.prev_term}, log_index{m.leader_commit}, {}, m.count};
      case SHIM_APPEND_RESULT:
        return append_entries_result{at, log_index{m.rejected}, last_index};
      case SHIM_VOTE:
        return request_vote{at, server_id{m.candidate}, last_index, last_term, m.disrupt_leader, m.pre_vote};
      case SHIM_VOTE_RESULT:
        return request_vote_result{at, m.granted, m.pre_vote};
      case SHIM_INSTALL:
        return install_snapshot{at, snapshot_of(m.snapshot)};
      case SHIM_TIMEOUT_NOW:
        break;
    }
    return timeout_now{at, last_index, last_term};
  }

  /// Nothing: it may go in. A string: what is wrong with it. `drop` is set for what is merely too late.
  std::optional<std::string> fault_in_message(const incoming& in, bool& drop) const {
    auto current = term();
    auto at = term_of(in.body);
    if (in.from == server_id{} || in.from == how.self)
      return "a message from server " + to_string(in.from);
    auto furthest = std::min(value(current) + term_jump_max, term_max);
    if (at == signet::term{} || value(at) > furthest || value(in.sender_term) > furthest)
      return "term " + to_string(at) + " of sender's " + to_string(in.sender_term) + " while ours is " + to_string(current);
    auto two_leaders = [&]() -> std::optional<std::string> {
      if (leads() && at == current)
        return "server " + to_string(in.from) + " leads in term " + to_string(at) + ", and so do we";
      return std::nullopt;
    };
    return std::visit(
        overloaded{
            [&](const append_entries& m) -> std::optional<std::string> {
              auto fault = two_leaders();
              return fault ? fault : fault_in(m);
            },
            [&](const append_entries_result& m) -> std::optional<std::string> {
              drop = !member_known(in.from);
              if (value(m.rejected) > index_max || value(m.last_index) > index_max)
                return "a result about index " + to_string(std::max(m.rejected, m.last_index));
              return std::nullopt;
            },
            [&](const request_vote& m) -> std::optional<std::string> {
              if (m.candidate != in.from)
                return "a vote asked for server " + to_string(m.candidate) + " by server " + to_string(in.from);
              return std::nullopt;
            },
            [&](const request_vote_result& m) -> std::optional<std::string> {
              if (m.granted && m.pre_vote && value(m.term) > value(current) + 1)
                return "a pre-vote granted for a term that we did not ask for";
              return std::nullopt;
            },
            [&](const install_snapshot& m) -> std::optional<std::string> {
              auto fault = two_leaders();
              return fault ? fault : fault_in(m.snapshot, m.term);
            },
            [&](const timeout_now&) -> std::optional<std::string> {
              drop = server_id{shim_leader(engine.get())} != in.from;
              return std::nullopt;
            }},
        in.body);
  }
};

// ---- life ------------------------------------------------------------------------------------------------------------

core::core(std::unique_ptr<state> s) : state_{std::move(s)} {}
core::core(core&&) noexcept = default;
core& core::operator=(core&&) noexcept = default;
core::~core() = default;

result<core> core::start(boot from, hard_state durable, steady_ms now, update& first) {
  if (durable != from.required_)
    return fail(ec::internal, "the hard state that must be durable before the start is not");
  const auto& how = from.options_;
  shim_options raw{};
  raw.id = value(how.self);
  raw.election_ms = how.election_timeout_ms;
  raw.heartbeat_ms = how.heartbeat_ms;
  raw.install_snapshot_ms = how.install_snapshot_timeout_ms;
  raw.in_flight_max = how.in_flight_entries_max;
  raw.seed = how.seed;
  raw.pre_vote = how.pre_vote;
#ifdef SIGNET_TEST_HOOKS
  raw.workarounds_off = how.workarounds_off;
#endif
  auto s = std::make_unique<state>();
  s->how = how;
  s->engine.reset(shim_open(&raw));

  std::optional<encoded_snapshot> snapshot;
  if (from.snapshot_)
    snapshot.emplace(*from.snapshot_);
  auto entries = for_shim(from.entries_);
  std::vector<entry> none;
  auto started = s->run(now, none, [&](shim_output* out) {
    return shim_start(s->engine.get(), value(now), value(durable.term), value(durable.voted_for),
                      snapshot ? &snapshot->raw : nullptr, value(from.first_index_), entries.data(),
                      static_cast<std::uint32_t>(entries.size()), out);
  });
  if (!started)
    return tl::make_unexpected(started.error());
  first = std::move(*started);
#ifdef SIGNET_TEST_HOOKS
  s->durable = log_index{shim_last_index(s->engine.get())};
#endif
  return core{std::move(s)};
}

// ---- events ----------------------------------------------------------------------------------------------------------

result<update> core::submit(std::vector<bytes> commands, steady_ms now) {
  std::vector<entry> given;
  given.reserve(commands.size());
  for (auto& payload : commands)
    given.push_back({current_term(), entry_type::command, std::move(payload)});
  if (given.empty())
    return update{};
  auto raw = for_shim(given);
  return state_->run(now, given, [&](shim_output* out) {
    return shim_submit(state_->engine.get(), value(now), raw.data(), static_cast<std::uint32_t>(raw.size()), out);
  });
}

result<update> core::receive(incoming from_peer, steady_ms now) {
  auto& s = *state_;
  if (s.dead)
    return tl::make_unexpected(*s.dead);
  shim_clock(s.engine.get(), value(now));
  bool drop = false;
  if (auto fault = s.fault_in_message(from_peer, drop))
    return fail(ec::malformed, std::move(*fault));
  if (drop)
    return update{};

  shim_message m{};
  m.peer = value(from_peer.from);
  m.term = value(term_of(from_peer.body));
  std::vector<entry> given;
  std::vector<shim_entry> raw;
  std::optional<encoded_snapshot> snapshot;
  std::visit(overloaded{[&](append_entries& x) {
                          m.type = SHIM_APPEND;
                          m.prev_index = value(x.prev_index);
                          m.prev_term = value(x.prev_term);
                          m.leader_commit = value(x.leader_commit);
                          given = std::move(x.entries);
                          raw = for_shim(given);
                          m.entries = raw.data();
                          m.count = static_cast<std::uint32_t>(raw.size());
                        },
                        [&](append_entries_result& x) {
                          m.type = SHIM_APPEND_RESULT;
                          m.rejected = value(x.rejected);
                          m.last_index = value(x.last_index);
                        },
                        [&](request_vote& x) {
                          m.type = SHIM_VOTE;
                          m.candidate = value(x.candidate);
                          m.last_index = value(x.last_index);
                          m.last_term = value(x.last_term);
                          m.disrupt_leader = x.disrupt_leader;
                          m.pre_vote = x.pre_vote;
                        },
                        [&](request_vote_result& x) {
                          m.type = SHIM_VOTE_RESULT;
                          m.granted = x.granted;
                          m.pre_vote = x.pre_vote;
                        },
                        [&](install_snapshot& x) {
                          m.type = SHIM_INSTALL;
                          snapshot.emplace(x.snapshot);
                          m.snapshot = snapshot->raw;
                        },
                        [&](timeout_now& x) {
                          m.type = SHIM_TIMEOUT_NOW;
                          m.last_index = value(x.last_index);
                          m.last_term = value(x.last_term);
                        }},
             from_peer.body);
  return s.run(
      now, given, [&](shim_output* out) { return shim_receive(s.engine.get(), value(now), &m, out); },
      [&](shim_output* out) {
        return shim_after_receive(s.engine.get(), value(now), m.peer, value(from_peer.sender_term), out);
      });
}

result<update> core::persisted(write_number durable, steady_ms now) {
  auto& unfinished = state_->unfinished;
  log_index last{};
  // A later write always ends higher than what an earlier one has left after clipping.
  while (!unfinished.empty() && unfinished.front().number <= durable) {
    last = unfinished.front().last;
    unfinished.pop_front();
  }
#ifdef SIGNET_TEST_HOOKS
  state_->durable = std::max(state_->durable, last);
#endif
  std::vector<entry> none;
  return state_->run(now, none, [&](shim_output* out) {
    return last == log_index{} ? SHIM_NOTHING : shim_persisted(state_->engine.get(), value(now), value(last), out);
  });
}

result<update> core::snapshot_persisted(const snapshot_meta& snapshot, steady_ms now) {
  encoded_snapshot encoded{snapshot};
  std::vector<entry> none;
  return state_->run(now, none, [&](shim_output* out) {
    return shim_snapshot_persisted(state_->engine.get(), value(now), &encoded.raw, out);
  });
}

result<update> core::timeout(steady_ms now) {
  std::vector<entry> none;
  return state_->run(now, none, [&](shim_output* out) { return shim_timeout(state_->engine.get(), value(now), out); });
}

result<update> core::snapshot_taken(log_index applied, signet::term at, steady_ms now) {
  auto [index, members] = members_at(applied);
  if (index == log_index{})
    return update{};
  encoded_snapshot encoded{{applied, at, index, std::move(members)}};
  std::vector<entry> none;
  return state_->run(now, none, [&](shim_output* out) {
    return shim_snapshot_taken(state_->engine.get(), value(now), &encoded.raw, state_->how.trailing_entries, out);
  });
}

// ---- membership ------------------------------------------------------------------------------------------------------

result<update> core::change(const configuration& next, steady_ms now) {
  auto& s = *state_;
  if (s.dead)
    return tl::make_unexpected(*s.dead);
  if (!s.leads())
    return fail(ec::not_leader, "only the leader changes the configuration");
  if (auto good = check(next); !good)
    return tl::make_unexpected(good.error());
  auto step = single_step(s.newest, next);
  if (!step)
    return fail(ec::configuration, "one step at a time: append a member, remove one, or change one role");
  if (step->added && step->added->role == member_role::voter)
    return fail(ec::configuration, "a new member joins as standby or spare, and votes only after it has caught up");
  if ((step->removed && step->removed->id == s.how.self) || (step->changed && step->changed->first.id == s.how.self))
    return fail(ec::configuration, "transfer leadership first: a leader does not remove or demote itself");
  auto before = voters_in(s.newest), after = voters_in(next);
  if (std::min(before, after) == 1 && std::max(before, after) == 2)
    return fail(ec::configuration, "from one to two voters or back only while the cluster stands still");

  if (!leads_surely())
    return fail(ec::overloaded, "no entry of this leadership is committed yet");
  if (s.newest_index > commit_index() || shim_pending_change(s.engine.get()) != 0)
    return fail(ec::overloaded, "the last change is not committed yet");
  // A voter whose log lacks the latest change may refuse its vote to everybody who could win with the next one.
  auto needed = std::max(s.newest_index, s.own_first);
  // (Whose vote the step takes away is not asked: it may be gone for good.)
  auto loses_vote = [&](server_id who) {
    return (step->removed && step->removed->id == who) ||
           (step->changed && step->changed->first.id == who && step->changed->second.role != member_role::voter);
  };
  for (const auto& m : s.newest)
    if (m.role == member_role::voter && m.id != s.how.self && !loses_vote(m.id) && match_index(m.id) < needed)
      return fail(ec::overloaded, "server " + to_string(m.id) + " has not got the latest configuration yet");
  if (step->changed && step->changed->second.role == member_role::voter &&
      caught_up(step->changed->first.id) != learner_state::finished)
    return fail(ec::overloaded, "server " + to_string(step->changed->first.id) + " has not caught up yet");

  std::vector<entry> given{{current_term(), entry_type::change, encode(next)}};
  auto raw = for_shim(given);
  return s.run(now, given, [&](shim_output* out) {
    return shim_submit(s.engine.get(), value(now), raw.data(), 1, out);
  });
}

result<update> core::catch_up(server_id learner, steady_ms now) {
  // Progress is noticed when the learner's log grows: without a new entry a learner that has everything would never be
  // found to have caught up.
  std::vector<entry> barrier{{current_term(), entry_type::barrier, barrier_payload}};
  auto raw = for_shim(barrier);
  auto* engine = state_->engine.get();
  bool running = caught_up(learner) == learner_state::running;
  return state_->run(
      now, barrier,
      [&](shim_output* out) { return running ? SHIM_NOTHING : shim_catch_up(engine, value(now), value(learner), out); },
      [&](shim_output* out) { return shim_submit(engine, value(now), raw.data(), 1, out); });
}

core::learner_state core::caught_up(server_id learner) const {
  switch (shim_learner(state_->engine.get(), value(learner))) {
    case 2: return learner_state::running;
    case 3: return learner_state::aborted;
    case 4: return learner_state::finished;
    default: return learner_state::none;
  }
}

result<update> core::transfer(server_id to, steady_ms now) {
  std::vector<entry> none;
  return state_->run(now, none, [&](shim_output* out) {
    return shim_transfer(state_->engine.get(), value(now), value(to), out);
  });
}

// ---- what it knows ---------------------------------------------------------------------------------------------------

raft::role core::role() const {
  switch (shim_current_role(state_->engine.get())) {
    case SHIM_CANDIDATE: return role::candidate;
    case SHIM_LEADER: return role::leader;
    default: return role::follower;
  }
}
signet::term core::current_term() const { return state_->term(); }
server_id core::voted_for() const { return server_id{shim_voted_for(state_->engine.get())}; }
log_index core::commit_index() const {
  auto known = log_index{shim_commit(state_->engine.get())};
#ifdef SIGNET_TEST_HOOKS
  known = std::max(known, state_->counted);
#endif
  return known;
}
log_index core::last_index() const { return log_index{shim_last_index(state_->engine.get())}; }
server_id core::leader() const { return server_id{shim_leader(state_->engine.get())}; }
steady_ms core::next_timeout() const { return steady_ms{shim_next_timeout(state_->engine.get())}; }
bool core::leads_surely() const {
  return state_->leads() && state_->own_term == current_term() && commit_index() >= state_->own_first;
}
bool core::sole_voter() const { return sole_voter_of(state_->newest) == state_->how.self; }
const configuration& core::members() const { return state_->newest; }
log_index core::members_index() const { return state_->newest_index; }
std::pair<log_index, configuration> core::members_at(log_index index) const {
  shim_bytes raw{};
  auto found = log_index{shim_configuration_at(state_->engine.get(), value(index), &raw)};
  if (found == log_index{})
    return {};
  return {found, *decode_configuration({raw.data, raw.size})};
}
log_index core::match_index(server_id who) const {
  return log_index{shim_match(state_->engine.get(), value(who))};
}
bool core::installing() const { return shim_installing(state_->engine.get()); }
bool core::failed() const { return state_->dead.has_value(); }

#ifdef SIGNET_TEST_HOOKS
configuration core::members_inside() const {
  std::vector<std::uint64_t> ids(configuration_members_max);
  std::vector<std::uint8_t> roles(configuration_members_max);
  auto count = shim_library_members(state_->engine.get(), ids.data(), roles.data(), configuration_members_max);
  configuration out;
  for (std::uint32_t i = 0; i < count; ++i)
    out.push_back({server_id{ids[i]}, {}, static_cast<member_role>(roles[i])});
  return out;
}
log_index core::pending_change_inside() const { return log_index{shim_pending_change(state_->engine.get())}; }
#endif

} // namespace signet::raft
