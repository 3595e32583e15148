#include "storage/replica_store.hpp"

#include "messages/entries.hpp"
#include "messages/failpoints.hpp"
#include "messages/hooks.hpp"
#include "storage/log/event_log.hpp"
#include "storage/replica_rows.hpp"

#include <algorithm>
#include <deque>
#include <map>

namespace signet::storage {

namespace {

using raft::entry_type;

/// How much one transaction applies of what was durable before: a long replay must not become one huge transaction.
constexpr std::uint64_t replayed_per_transaction_max = 4'096;
constexpr std::size_t messages_per_turn_max = 256;
/// How often the core is told that what is applied needs no replay.
constexpr std::uint64_t snapshot_every_entries = 4'096;
/// What proposals from the reserve leave free.
constexpr std::uint64_t reserve_parts = 16;
constexpr std::size_t results_remembered_max = 4'096;
constexpr std::size_t state_hashes_remembered_max = 16'384;

[[noreturn]] void stop(ec code, std::string why) { throw storage_failure(code, std::move(why)); }

environment_options environment_options_of(const replica_options& from) {
  environment_options out;
  out.directory = from.directory;
  out.map_bytes = from.map_bytes;
  out.readers_max = from.readers_max;
  return out;
}

event_log::new_record record_of(const raft::entry& e) {
  return {e.term, static_cast<std::uint8_t>(e.type), e.payload};
}

/// Runs what throws storage_failure where the caller wants a result.
template <class F>
auto guarded(F&& f) -> decltype(f()) {
  try {
    return f();
  } catch (const storage_failure& failure) {
    auto context = std::string{failure.what()};
    auto sentence = render({failure.code(), {}});
    return fail(failure.code(), context.starts_with(sentence + ": ") ? context.substr(sentence.size() + 2) : context);
  }
}

} // namespace

// ---- state -----------------------------------------------------------------------------------------------------------

struct replica_store::state {
  replica_options options;
  std::unique_ptr<environment> env;
  std::optional<raft::core> core;
  applier apply;
  identity_of_store identity;
  peer::store_id store_name;

  /// What stands in the store, or will once txn is committed.
  event_log::head head;
  raft::hard_state hard_state;
  applied_state applied;
  signet::term applied_term{};
  log_index snapshot_at{};     ///< what the core was told last
  wall_ms newest_time{};       ///< of the entries in the log
  bool founded = false;        ///< Founded is applied
  bool founding_sent = false;  ///< in this leadership

  /// The open transaction of this turn, and the entries appended in it.
  std::optional<write_txn> txn;
  log_index fresh_first{};
  std::vector<raft::entry> fresh;
  raft::write_number written{};
  /// Held back until the commit.
  std::vector<proposal_answer> staged_answers;
  std::vector<outgoing_message> staged_messages;
  bool hard_state_pending = false;  ///< the open transaction holds a term or vote that no message may leave before
  early_messages hand_early;        ///< of this turn
  /// Only with the bugs ACK_EARLY and ELECT_UNPERSISTED: a transaction that is committed too late.
  std::optional<write_txn> late;

  struct queued_proposal {
    proposal_ticket ticket{};
    bytes entry;
    std::shared_ptr<const verified_batch> verified{};
  };
  struct waiting_proposal {
    proposal_ticket ticket{};
    signet::term term{};
    std::size_t size_bytes = 0;
    std::shared_ptr<const verified_batch> verified{};
  };
  std::deque<queued_proposal> queue;
  std::multimap<log_index, waiting_proposal> waiting;
  /// What apply said lately, kept while remember_results() says so.
  std::deque<std::pair<log_index, digest>> state_hashes;
  std::function<void(write_txn&)> also_write;
  bool results_remembered = false;
  std::deque<entry_result> recent;
  std::uint64_t tickets = 0;
  std::size_t in_flight_bytes = 0;
  std::deque<raft::incoming> inbox;

  /// What happened outside a turn: part of the next turn's result.
  turn_result carried;
  std::optional<space> free_space;  ///< measured since the last turn

  write_txn& writing() {
    if (late) {
      late->commit();
      late.reset();
    }
    if (!txn) {
      SIGNET_FAILPOINT("before_txn");
      txn.emplace(env->write());
    }
    return *txn;
  }

  // -- duties of one update: rows into the open transaction, everything else held back until its commit ---------------

  void absorb(result<raft::update> stepped, turn_result& out) {
    if (!stepped) {
      const auto& why = stepped.error();
      if (core->failed())
        stop(why.code, "consensus: " + why.context);
      out.refused_messages.push_back(why);
      return;
    }
    auto& update = *stepped;
    if (update.hard_state) {
      hard_state = *update.hard_state;
      put_hard_state(writing(), hard_state);
      hard_state_pending = true;
    }
    if (update.entries)
      append(std::move(*update.entries));
    if (update.install)
      out.far_behind = std::move(update.install);
    if (update.write != raft::write_number{})
      written = update.write;
    // A later step may replace the entries that this message carries: copy them now.
    for (auto& message : update.messages)
      stage(std::move(message));
    if (update.role_changed) {
      out.role_changed = true;
      if (core->role() != raft::role::leader)
        founding_sent = false;
      else
        SIGNET_FAILPOINT("on_become_leader");
    }
  }

  void append(raft::update::append added) {
    auto& to = writing();
    if (added.first <= head.index)
      truncate(to, SIGNET_BUG("TRUNC_COMMITTED") ? std::min(added.first, core->commit_index()) : added.first);
    if (added.first != next(head.index))
      stop(ec::internal, "entries from " + to_string(added.first) + " behind index " + to_string(head.index));
    if (fresh.empty())
      fresh_first = added.first;
    for (auto& e : added.entries) {
      head = event_log::append(to, head, record_of(e));
      note_time(e);
      fresh.push_back(std::move(e));
    }
  }

  void truncate(write_txn& to, log_index from) {
    SIGNET_FAILPOINT("truncate_before");
    head = event_log::truncate(to, from);
    if (!fresh.empty()) {
      auto keep = from > fresh_first ? value(from) - value(fresh_first) : 0;
      if (keep < fresh.size())
        fresh.resize(keep);
    }
    SIGNET_FAILPOINT("truncate_after");
  }

  void note_time(const raft::entry& e) {
    if (e.type != entry_type::command)
      return;
    if (auto time = entry_time(e.payload))
      newest_time = std::max(newest_time, *time);
  }

  // -- messages --------------------------------------------------------------------------------------------------------

  void stage(raft::outgoing&& message) {
    auto* append = std::get_if<raft::append_entries>(&message.body);
    if (append == nullptr) {
      staged_messages.push_back({message.to, std::move(message.body), {}});
    } else if (txn) {
      stage_append(*txn, message.to, std::move(*append));
    } else {
      stage_append(env->read(), message.to, std::move(*append));
    }
  }

  /// Fills in the entries from the log as it stands now. Several messages when their bytes are too many for one: each
  /// follows the one before, and one that is lost makes the follower refuse those behind it.
  void stage_append(const read_txn& from, raft::server_id to, raft::append_entries whole) {
    auto part = whole;
    part.fill_count = 0;
    auto chain = chain_at(from, part.prev_index);
    std::size_t size_bytes = 0;
    auto send = [&] { staged_messages.push_back({to, part, chain}); };
    for (std::uint64_t i = 1; i <= whole.fill_count; ++i) {
      auto index = log_index{value(whole.prev_index) + i};
      auto found = event_log::find(from, index);
      if (!found)
        stop(ec::corrupt, "log record " + to_string(index) + " is missing");
      if (!part.entries.empty() && size_bytes + found->payload.size() > options.append_bytes_max) {
        send();
        part.prev_index = log_index{value(index) - 1};
        part.prev_term = part.entries.back().term;
        chain = found->previous;
        part.entries.clear();
        size_bytes = 0;
      }
      size_bytes += found->payload.size();
      part.entries.push_back({found->term, static_cast<entry_type>(found->type), to_bytes(found->payload)});
    }
    send();
  }

  /// Hash of the log record at `index`; zero if it does not stand here.
  digest chain_at(const read_txn& from, log_index index) const {
    if (index == head.index)
      return head.hash;
    if (index == log_index{} || index > head.index)
      return {};
    auto behind = event_log::find(from, next(index));
    return behind ? behind->previous : digest{};
  }

  void answer(proposal_ticket ticket, std::size_t size_bytes, result<entry_result> outcome) {
    in_flight_bytes -= size_bytes;
    staged_answers.push_back({ticket, std::move(outcome)});
  }

  // -- events ----------------------------------------------------------------------------------------------------------

  void take_messages(steady_ms now, turn_result& out) {
    for (std::size_t i = 0; i < messages_per_turn_max && !inbox.empty(); ++i) {
      auto message = std::move(inbox.front());
      inbox.pop_front();
#ifdef SIGNET_TEST_HOOKS
      if (SIGNET_BUG("SHIP_OVER_NEWER"))
        ship_over_newer(message);
#endif
      absorb(core->receive(std::move(message), now), out);
    }
  }

#ifdef SIGNET_TEST_HOOKS
  /// Known bug: a range of the log that comes in replaces whatever stands behind it, too.
  void ship_over_newer(const raft::incoming& message) {
    const auto* range = std::get_if<raft::append_entries>(&message.body);
    if (range == nullptr || range->entries.empty() || range->term < core->current_term() ||
        range->prev_index < applied.index || value(range->prev_index) + range->entries.size() >= value(head.index))
      return;
    truncate(writing(), next(range->prev_index));
    for (const auto& e : range->entries)
      head = event_log::append(writing(), head, record_of(e));
  }
#endif

  void take_proposals(steady_ms now, wall_ms wall, turn_result& out) {
    std::vector<queued_proposal> taken;
    std::vector<bytes> commands;
    if (core->role() == raft::role::leader && !founded && !founding_sent) {
      founding_sent = true;
      commands.push_back(stamped(founded_entry(identity.cluster), wall));
    }
    auto ours = commands.size();  // what nobody waits for
    std::size_t size_bytes = 0;
    while (!queue.empty() && taken.size() < options.turn_entries_max && size_bytes < options.turn_bytes_max) {
      auto proposal = std::move(queue.front());
      queue.pop_front();
      size_bytes += proposal.entry.size();
      commands.push_back(stamped(std::move(proposal.entry), wall));
      proposal.entry.resize(0);
      taken.push_back(std::move(proposal));
    }
    if (commands.empty())
      return;
    std::vector<std::size_t> sizes;
    for (const auto& command : commands)
      sizes.push_back(command.size());
    auto stepped = core->submit(std::move(commands), now);
    if (!stepped && !core->failed()) {
      founding_sent = false;
      for (std::size_t i = 0; i < taken.size(); ++i)
        answer(taken[i].ticket, sizes[ours + i], fail(ec::not_leader, stepped.error().context));
      return;
    }
    auto first = stepped ? stepped->entries->first : log_index{};
    for (std::size_t i = 0; stepped && i < taken.size(); ++i) {
      auto index = log_index{value(first) + ours + i};
      waiting.emplace(index, waiting_proposal{taken[i].ticket, core->current_term(), sizes[ours + i],
                                              std::move(taken[i].verified)});
      out.appended.push_back({taken[i].ticket, index, core->current_term()});
    }
    absorb(std::move(stepped), out);
  }

  /// Entry times never decrease, whatever the wall clock does.
  bytes stamped(bytes entry, wall_ms wall) {
    newest_time = std::max(newest_time, wall);
    if (auto good = set_entry_time(entry, newest_time); !good)
      stop(ec::internal, "an entry that was checked when it was proposed: " + good.error().context);
    return entry;
  }

  // -- apply -----------------------------------------------------------------------------------------------------------

  /// A sole voter's entries are committed by the very transaction that makes them durable.
  log_index apply_target() const {
    if (core->role() == raft::role::leader && core->sole_voter())
      return head.index;
    return std::min(core->commit_index(), head.index);
  }

  void apply_next(write_txn& to) {
    SIGNET_FAILPOINT("before_apply");
    auto index = next(applied.index);
    raft::entry copied;
    const raft::entry* e = nullptr;
    if (!fresh.empty() && index >= fresh_first && value(index) - value(fresh_first) < fresh.size()) {
      e = &fresh[value(index) - value(fresh_first)];
    } else {
      auto found = event_log::find(to, index);
      if (!found)
        stop(ec::corrupt, "log record " + to_string(index) + " is missing");
      // Applying writes, and a write may move what the map shows.
      copied = {found->term, static_cast<entry_type>(found->type), to_bytes(found->payload)};
      e = &copied;
    }
    auto found = waiting.find(index);
    const auto* verified = found != waiting.end() && found->second.term == e->term ? found->second.verified.get() : nullptr;
    entry_result outcome;
    if (e->type == entry_type::command) {
      outcome = apply.apply(to, index, e->payload, verified);
      founded = founded || (outcome.kind == entry_kind::founded && outcome.code == ec::ok);
    } else {
      apply.pass(to, index);
      if (e->type == entry_type::change)
        put_members(to, index, e->payload);
    }
    applied.index = index;
    applied_term = e->term;
    state_hashes.emplace_back(index, apply.state_hash());
    if (state_hashes.size() > state_hashes_remembered_max)
      state_hashes.pop_front();
    auto [first, last] = waiting.equal_range(index);
    for (auto each = first; each != last; ++each) {
      const auto& proposal = each->second;
      if (proposal.term == e->term)
        answer(proposal.ticket, proposal.size_bytes, outcome);
      else
        answer(proposal.ticket, proposal.size_bytes, fail(ec::not_leader, "another entry stands in its place"));
    }
    waiting.erase(first, last);
    SIGNET_FAILPOINT("after_apply");
    if (results_remembered) {
      outcome.index = index;
      recent.push_back(std::move(outcome));
      if (recent.size() > results_remembered_max)
        recent.pop_front();
    }
  }

  // -- the commit ------------------------------------------------------------------------------------------------------

  void finish(steady_ms now, turn_result& out) {
    for (;;) {
      auto target = apply_target();
      if (!txn && applied.index >= target)
        break;
      auto& to = writing();
      auto stored = applied.index;
      if (!fresh.empty())
        SIGNET_FAILPOINT("after_entries_before_apply");
      for (std::uint64_t i = 0; i < replayed_per_transaction_max && applied.index < target; ++i)
        apply_next(to);
      if (also_write)
        also_write(to);
      // What waits for no term or vote leaves while this disk works: the leader counts itself only when it is done.
      if (hand_early && !hard_state_pending && !staged_messages.empty()) {
        hand_early(std::exchange(staged_messages, {}));
        SIGNET_FAILPOINT("after_send_before_commit");
      }
      if (hard_state_pending)
        SIGNET_FAILPOINT("vote_before_commit");
      SIGNET_FAILPOINT("txn_before_commit");
      // A crash before this commit: nothing of this turn has happened, nobody has been answered, and what peers
      // were sent claims nothing of it.
      // Clients send their unanswered proposals again.
      if (SIGNET_BUG("ACK_EARLY") || (SIGNET_BUG("ELECT_UNPERSISTED") && applied.index == stored))
        late.emplace(std::move(*txn));
      else
        txn->commit();
      // A crash after it: log, term, vote, effects and applied index stand together. Who was not answered asks again
      // and gets the same answer, because apply knows the entry. Peers ask again or are asked again by Raft.
      SIGNET_FAILPOINT("txn_after_commit");
      if (hard_state_pending)
        SIGNET_FAILPOINT("vote_after_commit");
      ++out.commits;
      txn.reset();
      hard_state_pending = false;
      fresh.clear();
      if (applied.index != stored) {
        out.advanced = true;
        applied = late ? read_applied(*late) : read_applied(env->read());
      }
      if (written != raft::write_number{})
        absorb(core->persisted(std::exchange(written, {}), now), out);
      if (value(applied.index) - value(snapshot_at) >= snapshot_every_entries && !core->installing()) {
        // Nothing is written for it: the applied state IS the snapshot, and open() begins from it.
        snapshot_at = applied.index;
        absorb(core->snapshot_taken(applied.index, applied_term, now), out);
      }
    }
    hand_out(out);
  }

  /// Only with no transaction open: everything staged is durable.
  void hand_out(turn_result& out) {
    if (!staged_messages.empty())
      SIGNET_FAILPOINT("after_commit_before_send");
    if (!staged_answers.empty())
      SIGNET_FAILPOINT("after_commit_before_ack");
    for (auto& each : staged_answers)
      out.answers.push_back(std::move(each));
    for (auto& each : staged_messages)
      out.messages.push_back(std::move(each));
    staged_answers.clear();
    staged_messages.clear();
    out.applied = applied.index;
  }

  /// Its results are part of the next turn's.
  status step_between_turns(result<raft::update> stepped, steady_ms now) {
    if (!stepped && !core->failed())
      return tl::make_unexpected(stepped.error());
    absorb(std::move(stepped), carried);
    finish(now, carried);
    return {};
  }

  // -- the disk guard --------------------------------------------------------------------------------------------------

  /// Measured once a turn at most.
  const space& measured() {
    if (!free_space)
      free_space = options.measure ? options.measure() : env->measure();
    return *free_space;
  }
  bool disk_low(bool from_reserve) {
    const auto& found = measured();
    auto parts = from_reserve ? reserve_parts : 1;
    auto on_disk = std::max(options.reserve_bytes, found.disk_bytes / 100 * options.reserve_percent);
    auto in_map = std::min(options.reserve_bytes, found.map_bytes / 100 * options.reserve_percent);
    auto map_free = found.map_bytes > found.map_used_bytes ? found.map_bytes - found.map_used_bytes : 0;
    return found.disk_free_bytes < on_disk / parts || map_free < in_map / parts;
  }

  // -- opening ---------------------------------------------------------------------------------------------------------

  /// Nothing: a joining store, which takes no part in consensus yet.
  result<std::optional<raft::boot>> read_store() {
    auto from = env->read();
    if (!holds_format(from))
      return fail(ec::not_found, options.directory.string() + " holds no founded store");
    auto version = find_format(from);
    if (!version || version->min_reader > format_version)
      return fail(ec::wrong_format, options.directory.string() + " was written by a newer version of signet");
    auto whose = find_identity(from);
    auto stored = find_hard_state(from);
    auto named = find_store_id(from);
    if (!whose || !stored)
      return fail(ec::corrupt, "rows of table meta are missing or unreadable");
    identity = *whose;
    store_name = named.value_or(peer::store_id{});
    hard_state = *stored;
    if (options.expected_cluster && *options.expected_cluster != identity.cluster)
      return fail(ec::configuration, options.directory.string() + " belongs to cluster " + identity.cluster.hex());
    if (options.consensus.self == raft::server_id{})
      options.consensus.self = identity.self;
    if (options.consensus.self != identity.self)
      return fail(ec::configuration, options.directory.string() + " belongs to node " + to_string(identity.self));
    if (identity.self == raft::server_id{})
      return std::nullopt;

    head = event_log::find_head(from);
    applied = read_applied(from);
    if (applied.index > head.index)
      return fail(ec::corrupt, "applied up to " + to_string(applied.index) + ", but the log ends at " + to_string(head.index));
    founded = get<table::state>(from, {"cluster"}).has_value();
    state_hashes.assign(1, {applied.index, applied.state_hash});
    newest_time = applied.last_time;
    std::optional<raft::snapshot_meta> snapshot;
    if (applied.index != log_index{}) {
      auto record = event_log::find(from, applied.index);
      auto placed = find_members(from);
      if (!record || !placed)
        return fail(ec::corrupt, "the applied record or its configuration is missing");
      applied_term = record->term;
      snapshot_at = applied.index;
      snapshot = raft::snapshot_meta{applied.index, record->term, placed->index, std::move(placed->members)};
    }
    auto kept = options.start_tail_entries;
    auto first = log_index{value(applied.index) > kept ? value(applied.index) - kept + 1 : 1};
    auto boot = raft::boot::examine(options.consensus, hard_state, std::move(snapshot), first, read_tail(from, first));
    if (!boot)
      return tl::make_unexpected(boot.error());
    return std::optional{std::move(*boot)};
  }

  /// Entries [first, head]; the core looks into the payload of changes only.
  std::vector<raft::entry> read_tail(const read_txn& from, log_index first) {
    std::vector<raft::entry> out;
    scan<table::log>(from, encode_key(log_key{first}), [&](const log_key& key, const log_record& record) {
      if (key.index != log_index{value(first) + out.size()})
        stop(ec::corrupt, "log record " + to_string(log_index{value(first) + out.size()}) + " is missing");
      auto type = static_cast<entry_type>(record.type);
      if (key.index > applied.index && type == entry_type::command)
        if (auto time = entry_time(record.payload))
          newest_time = std::max(newest_time, *time);
      out.push_back({record.term, type, type == entry_type::change ? to_bytes(record.payload) : bytes{}});
      return true;
    });
    return out;
  }

  status start(steady_ms now, wall_ms wall) {
    auto found = read_store();
    if (!found)
      return tl::make_unexpected(found.error());
    if (store_name.is_zero()) {  // a directory from before stores had names
      auto txn = env->write();
      store_name = random_id<peer::store_id>(*options.random);
      put_store_id(txn, store_name);
      txn.commit();
    }
    if (!*found)
      return {};
    auto& boot = *found;
    auto required = boot->must_be_durable();
    if (required != hard_state) {
      // A crash after this commit: a term without entries; the next start takes another one.
      auto first = env->write();
      put_hard_state(first, required);
      first.commit();
      hard_state = required;
    }
    raft::update begun;
    auto started = raft::core::start(std::move(*boot), hard_state, now, begun);
    if (!started)
      return tl::make_unexpected(started.error());
    core.emplace(std::move(*started));
    absorb(std::move(begun), carried);
    take_proposals(now, wall, carried);
    finish(now, carried);
    return {};
  }
};

// ---- the class -------------------------------------------------------------------------------------------------------

replica_store::replica_store(std::unique_ptr<state> s) : state_{std::move(s)} {}
replica_store::~replica_store() = default;

result<std::unique_ptr<replica_store>> replica_store::open(replica_options options, steady_ms now, wall_ms wall) {
  if (options.start_tail_entries <= options.consensus.in_flight_entries_max)
    return fail(ec::configuration, "start_tail_entries must be larger than in_flight_entries_max");
  if (!present(options.directory))
    return fail(ec::not_found, options.directory.string() + " holds no store");
  auto env = environment::open(environment_options_of(options), all_tables());
  if (!env)
    return tl::make_unexpected(env.error());
  auto s = std::make_unique<state>();
  s->options = std::move(options);
  s->env = std::move(*env);
  auto started = guarded([&] { return s->start(now, wall); });
  if (!started)
    return tl::make_unexpected(started.error());
  return std::unique_ptr<replica_store>(new replica_store(std::move(s)));
}

status replica_store::proposable(bytes_view entry, bool from_reserve, bool leading) {
  auto& s = *state_;
  if (s.queue.size() + s.waiting.size() >= s.options.in_flight_entries_max ||
      s.in_flight_bytes + entry.size() > s.options.in_flight_bytes_max)
    return fail(ec::overloaded, std::to_string(s.queue.size() + s.waiting.size()) + " entries in flight");
  if (leading && s.disk_low(from_reserve))
    return fail(ec::disk_full, std::to_string(s.measured().disk_free_bytes >> 20) + " MiB free");
  if (auto stamp = entry_time(entry); !stamp)
    return tl::make_unexpected(stamp.error());
  return {};
}

result<proposal_ticket> replica_store::propose(bytes_view entry, bool from_reserve,
                                               std::shared_ptr<const verified_batch> verified) {
  auto& s = *state_;
  if (!s.core)
    return fail(ec::not_leader, "this node has not been taken into the cluster yet");
  if (auto good = proposable(entry, from_reserve, true); !good)
    return tl::make_unexpected(good.error());
  auto copy = to_bytes(entry);
  if (auto good = set_entry_time(copy, wall_ms{}); !good)
    return tl::make_unexpected(good.error());
  auto ticket = proposal_ticket{++s.tickets};
  s.in_flight_bytes += copy.size();
  s.queue.push_back({ticket, std::move(copy), std::move(verified)});
  return ticket;
}

proposal_ticket replica_store::await(log_index index, term at) {
  auto& s = *state_;
  auto ticket = proposal_ticket{++s.tickets};
  if (index > s.applied.index) {
    s.waiting.emplace(index, state::waiting_proposal{ticket, at, 0});
    return ticket;
  }
  auto record = event_log::find(s.env->read(), index);
  if (!record || record->term != at) {
    s.carried.answers.push_back({ticket, fail(ec::not_leader, "another entry stands in its place")});
    return ticket;
  }
  auto known = std::find_if(s.recent.begin(), s.recent.end(), [&](const auto& each) { return each.index == index; });
  if (known != s.recent.end())
    s.carried.answers.push_back({ticket, *known});
  else
    s.carried.answers.push_back({ticket, fail(ec::unknown_outcome, "applied, but what came of it is forgotten")});
  return ticket;
}

void replica_store::remember_results(bool on) {
  state_->results_remembered = on;
  if (!on)
    state_->recent.clear();
}

void replica_store::receive(raft::incoming message) {
  if (state_->core)
    state_->inbox.push_back(std::move(message));
}

turn_result replica_store::turn(steady_ms now, wall_ms wall, early_messages early) {
  auto& s = *state_;
  s.free_space.reset();
  auto out = std::exchange(s.carried, turn_result{});
  if (!s.core) {
    out.applied = s.applied.index;
    return out;
  }
  s.hand_early = std::move(early);
  s.take_messages(now, out);
  if (s.core->next_timeout() <= now)
    s.absorb(s.core->timeout(now), out);
  s.take_proposals(now, wall, out);
  s.finish(now, out);
  s.hand_early = nullptr;
  out.more = work_queued();
  return out;
}

steady_ms replica_store::next_timeout() const {
  return state_->core ? state_->core->next_timeout() : steady_ms{UINT64_MAX};
}
bool replica_store::work_queued() const {
  return !state_->queue.empty() || !state_->inbox.empty() || !state_->carried.answers.empty();
}
environment& replica_store::store() { return *state_->env; }
log_index replica_store::applied() const { return state_->applied.index; }
bool replica_store::joining() const { return !state_->core.has_value(); }
peer::store_id replica_store::name_of_store() const { return state_->store_name; }
const raft::core& replica_store::consensus() const {
  if (!state_->core)
    stop(ec::internal, "a joining store takes no part in consensus");
  return *state_->core;
}

log_end replica_store::end_of_log() const {
  const auto& s = *state_;
  return {s.head.index, s.head.term, s.applied.index, s.applied_term, s.chain_at(s.env->read(), s.applied.index)};
}

std::optional<replica_store::record_in_log> replica_store::find_record(log_index index) const {
  auto from = state_->env->read();
  auto found = event_log::find(from, index);
  if (!found)
    return std::nullopt;
  return record_in_log{found->term, state_->chain_at(from, index)};
}

std::optional<peer::log_slice> replica_store::read_slice(log_index from, std::size_t entries_max,
                                                        std::size_t bytes_max) const {
  const auto& s = *state_;
  if (from == log_index{} || from > next(s.head.index))
    return std::nullopt;
  auto txn = s.env->read();
  peer::log_slice out;
  auto before = log_index{value(from) - 1};
  if (before != log_index{}) {
    auto record = event_log::find(txn, before);
    if (!record)
      return std::nullopt;
    out.prev_term = record->term;
    out.prev_chain = s.chain_at(txn, before);
  }
  if (entries_max == 0)
    return out;
  std::size_t size_bytes = 0;
  scan<table::log>(txn, encode_key(log_key{from}), [&](const log_key& key, const log_record& record) {
    if (key.index != log_index{value(from) + out.entries.size()})
      stop(ec::corrupt, "log record " + to_string(log_index{value(from) + out.entries.size()}) + " is missing");
    size_bytes += record.payload.size();
    if (!out.entries.empty() && size_bytes > bytes_max)
      return false;
    out.entries.push_back({record.term, static_cast<entry_type>(record.type), to_bytes(record.payload)});
    return out.entries.size() < entries_max;
  });
  return out;
}

std::optional<peer::checkpoint> replica_store::checkpoint_at(log_index index) const {
  const auto& hashes = state_->state_hashes;
  if (hashes.empty() || index < hashes.front().first || index > hashes.back().first || index == log_index{})
    return std::nullopt;
  const auto& found = hashes[value(index) - value(hashes.front().first)];
  return peer::checkpoint{index, state_->chain_at(state_->env->read(), index), found.second};
}

void replica_store::with_commits(std::function<void(write_txn&)> also) { state_->also_write = std::move(also); }

status replica_store::assign(raft::server_id self, steady_ms now, wall_ms wall) {
  auto& s = *state_;
  if (s.core)
    return fail(ec::already_exists, "this node is server " + to_string(s.identity.self) + " already");
  if (self == raft::server_id{})
    return fail(ec::malformed, "a server id is 1 or more");
  auto txn = s.env->write();
  put_identity(txn, {s.identity.cluster, self});
  // A crash before this commit: still joining, and the leader says it again. After it: a member with an empty log.
  txn.commit();
  s.options.consensus.self = self;
  return guarded([&] { return s.start(now, wall); });
}

replica_status replica_store::picture() const {
  const auto& s = *state_;
  replica_status out;
  out.cluster = s.identity.cluster;
  out.self = s.identity.self;
  out.disk_low = state_->disk_low(false);
  if (!s.core)
    return out;
  out.role = s.core->role();
  out.leader = s.core->leader();
  out.term = s.core->current_term();
  out.last = s.head.index;
  out.committed = s.core->commit_index();
  out.applied = s.applied.index;
  out.state_hash = s.applied.state_hash;
  out.in_flight_entries = s.queue.size() + s.waiting.size();
  out.in_flight_bytes = s.in_flight_bytes;
  return out;
}

status replica_store::change_members(const raft::configuration& next, steady_ms now) {
  SIGNET_FAILPOINT("conf_change_before");
  if (joining())
    return fail(ec::not_leader, "this node has not been taken into the cluster yet");
  auto done = state_->step_between_turns(state_->core->change(next, now), now);
  SIGNET_FAILPOINT("conf_change_after");
  return done;
}
status replica_store::catch_up(raft::server_id learner, steady_ms now) {
  if (joining())
    return fail(ec::not_leader, "this node has not been taken into the cluster yet");
  return state_->step_between_turns(state_->core->catch_up(learner, now), now);
}
status replica_store::hand_over(raft::server_id to, steady_ms now) {
  if (joining())
    return fail(ec::not_leader, "this node has not been taken into the cluster yet");
  return state_->step_between_turns(state_->core->transfer(to, now), now);
}

} // namespace signet::storage
