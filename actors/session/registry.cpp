#include "actors/session/registry.hpp"

#include "actors/session/admission.hpp"
#include "actors/session/inbox_book.hpp"
#include "actors/session/parking.hpp"
#include "actors/session/standing.hpp"
#include "actors/session/stored_reads.hpp"
#include "actors/supervision/guard.hpp"
#include "messages/security_events.hpp"
#include "storage/views/read.hpp"

#include <caf/actor_system.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <deque>
#include <nlohmann/json.hpp>
#include <unordered_map>

namespace signet {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds tick_every{100};
constexpr milliseconds yield_patience{2'000};
constexpr milliseconds close_patience{5'000};
constexpr std::uint64_t janitor_every_ms = 2'000;
// Whoever leads closes what has ended; the others only what it has left standing for that long.
constexpr std::uint64_t janitor_patience_ms = 10'000;
// What a connection that was taken over leaves is kept that long for the one that took over.
constexpr std::uint64_t hand_over_ms = 10'000;
// One entry of closings; and what may wait for its turn. Beyond it the janitor finds them by their end.
constexpr std::size_t closings_an_entry = 256, closings_max = 16'384;
// Connections of one client id that wait for the one before to stop.
constexpr std::size_t waiting_max = 8;

constexpr steady_ms plus(steady_ms at, std::uint64_t ms) { return steady_ms{value(at) + ms}; }

client_name name_of(const session_key& key) { return {key.identity, key.client_id}; }
// No client id begins with that byte: two books in one.
std::string storm_name(const public_key& device) { return "\x01inbox " + device.hex(); }

class registry_state {
public:
  static inline const char* name = "session registry";
  explicit registry_state(session_registry_actor::pointer self) : self_{self} {}
  void start(registry_services services);
  session_registry_actor::behavior_type make_behavior();

  caf::result<attach_answered> attach(const attach_asked& request);
  void left(session_left& what);
  caf::result<inbox_granted> ask_inbox(const inbox_asked& request);
  void leave_inbox(const inbox_left& what);
  void wake(const wake_asked& wish);
  void changed(const sessions_changed& news);
  void lead(const leadership& now);
  void close(const close_sessions& which);
  void tick();
  std::string status() const;

private:
  struct holder {
    session_key key;
    std::uint64_t epoch = 0;
    caf::actor session;
  };
  struct waiter {
    attach_asked request;
    caf::typed_response_promise<attach_answered> promise;
  };
  struct place {
    std::optional<holder> now;
    bool changing = false;       // the one before is being asked to stop
    std::deque<waiter> waiting;  // in order of arrival
  };

  steady_ms now() const { return services_.clock->steady(); }
  std::optional<session_standing> find_row(const client_name& who) const;
  std::optional<close_reason> judge(const holder& one, std::string_view closing) const;
  void displace(const client_name& who);
  void displaced(const client_name& who, const holder& old, std::optional<parked_state> state);
  void next_waiter(const client_name& who);
  void settle(const client_name& who, waiter one);
  void note_takeover(const holder& lost);
  void opened(const session_changed& what);
  void closed(const session_changed& what);
  void end_reader(const inbox_name& which, std::optional<std::uint64_t> loser);
  void ended(const caf::down_msg& down);
  void forget(const caf::actor_addr& session);
  void erase_if_empty(const client_name& who);
  void close_row(const session_key& key, std::uint64_t epoch, std::string reason);
  void write_closings();
  void run_janitor();
  void tell_staleness();
  void report(security_kind kind, const permalink& who, const public_key& device, std::string detail);

  session_registry_actor::pointer self_;
  registry_services services_;
  std::map<client_name, place> places_;
  std::unordered_map<caf::actor_addr, client_name> names_;        // attached
  std::unordered_map<std::uint64_t, caf::actor> by_epoch_;        // the same
  inbox_book inboxes_;
  std::optional<parking_lot> parked_;
  idle_list idle_;
  std::deque<session_closing> closings_;
  bool writing_ = false;
  steady_ms next_janitor_{};
  leadership leads_;
  steady_ms majority_lost_{};                                     // while leads_.majority is false
  bool stale_ = false;                                            // and the clients have been told
  // wishes to be woken: by time, and each session's one. Weak: a stranger who was refused must not be kept by its wish.
  std::multimap<steady_ms, caf::actor_addr> wakes_;
  std::unordered_map<caf::actor_addr, steady_ms> wake_of_;
  std::uint64_t attached_total_ = 0, takeovers_ = 0, closings_dropped_ = 0;
};

void registry_state::start(registry_services services) {
  supervision::guard(self_);
  self_->set_down_handler([this](caf::down_msg& down) { ended(down); });
  services_ = std::move(services);
  parked_.emplace(services_.settings.parked_max);
  self_->delayed_send(self_, tick_every, tick_atom_v);
  const auto me = caf::actor_cast<caf::actor>(self_);
  majority_lost_ = now();
  self_->send(services_.fanout, watch_atom_v, me);
  self_->send(services_.replica, watch_atom_v, me);
}

session_registry_actor::behavior_type registry_state::make_behavior() {
  return {[this](const attach_asked& request) { return attach(request); },
          [this](session_left& what) { left(what); },
          [this](const inbox_asked& request) { return ask_inbox(request); },
          [this](const inbox_left& what) { leave_inbox(what); },
          [this](const wake_asked& wish) { wake(wish); },
          [this](const sessions_changed& news) { changed(news); },
          [this](const leadership& now) { lead(now); },
          [this](const close_sessions& which) { close(which); },
          [this](tick_atom) { tick(); },
          [this](status_asked) { return status(); }};
}

// ---- attach and take over -------------------------------------------------------------------------------------------

std::optional<session_standing> registry_state::find_row(const client_name& who) const {
  const auto txn = services_.disk->read();
  const auto row = storage::find_session(txn, who.identity, who.client_id);
  return row ? std::optional{session_standing{row->epoch, row->expires}} : std::nullopt;
}

std::optional<close_reason> registry_state::judge(const holder& one, std::string_view closing) const {
  stored_reads reads{*services_.disk};
  return judge_standing(one.epoch, reads.find_session(one.key.identity, one.key.client_id),
                        reads.find_key(one.key.device), closing);
}

caf::result<attach_answered> registry_state::attach(const attach_asked& request) {
  const auto who = name_of(request.key);
  auto& here = places_[who];
  if (here.waiting.size() >= waiting_max)
    return attach_answered{};
  auto promise = self_->make_response_promise<attach_answered>();
  here.waiting.push_back({request, promise});
  if (!here.changing)
    next_waiter(who);
  return promise;
}

// One change of hands at a time for a client id: the one before has stopped before the next one starts.
void registry_state::next_waiter(const client_name& who) {
  auto found = places_.find(who);
  if (found == places_.end())
    return;
  auto& here = found->second;
  while (!here.waiting.empty()) {
    const auto epoch = here.waiting.front().request.epoch;
    const auto row = find_row(who);
    // Opened before the one that is here, or before one on another node: its epoch is over.
    const bool late = (here.now && here.now->epoch >= epoch) || (row && row->epoch > epoch);
    if (here.now && !late)
      return displace(who);
    auto one = std::move(here.waiting.front());
    here.waiting.pop_front();
    if (late)
      one.promise.deliver(attach_answered{});
    else
      settle(who, std::move(one));
  }
  erase_if_empty(who);
}

// A newer connection of this client id is in the log, here or on another node: the one that is here stops first.
void registry_state::displace(const client_name& who) {
  auto& here = places_.at(who);
  if (!here.now || std::exchange(here.changing, true))
    return;
  const auto old = *here.now;
  self_->request(old.session, yield_patience, yield_asked{})
    .then([=, this](const yielded& answer) { displaced(who, old, answer.state); },
          [=, this](const caf::error&) {
            // Dead, or stuck: it is fenced by its epoch, and must not go on either way.
            caf::anon_send(old.session, close_asked{close_reason::taken_over});
            displaced(who, old, std::nullopt);
          });
}

void registry_state::displaced(const client_name& who, const holder& old, std::optional<parked_state> state) {
  if (names_.contains(old.session.address()))
    note_takeover(old);
  forget(old.session.address());
  // For the one that takes over here. If it has done so on another node, nobody will ask for it.
  if (state)
    parked_->park(who, std::move(*state), plus(now(), hand_over_ms));
  places_[who].changing = false;
  next_waiter(who);
}

void registry_state::note_takeover(const holder& lost) {
  ++takeovers_;
  const auto& key = lost.key;
  const bool storm = services_.gate && services_.gate->took_over(key.identity, key.client_id, now());
  report(storm ? security_kind::takeover_storm : security_kind::takeover, key.identity, key.device, "client_id");
}

void registry_state::settle(const client_name& who, waiter one) {
  const auto& request = one.request;
  auto state = parked_->take(who, now(), request.epoch, request.replaced_epoch);
  idle_.remove(who);
  if (request.clean_start)
    state.reset();
  ++attached_total_;
  places_[who].now = holder{request.key, request.epoch, request.session};
  names_[request.session.address()] = who;
  by_epoch_[request.epoch] = request.session;
  self_->monitor(request.session);
  if (stale_)
    caf::anon_send(request.session, staleness{true});
  one.promise.deliver(attach_answered{true, std::move(state)});
}

void registry_state::left(session_left& what) {
  const auto who = name_of(what.key);
  const auto found = places_.find(who);
  const bool ours = found != places_.end() && found->second.now && found->second.now->epoch == what.epoch;
  const bool taken_over = what.reason == signet::name(close_reason::taken_over);
  const auto at = now();
  // Somebody newer is attached already: nothing to keep, nothing to close.
  if (!ours && found != places_.end() && found->second.now && found->second.now->epoch > what.epoch)
    return;
  if (ours && taken_over)
    note_takeover(*found->second.now);
  if (what.park_s > 0)
    parked_->park(who, std::move(what.state),
                  plus(at, taken_over ? hand_over_ms : std::uint64_t{what.park_s} * 1000));
  const bool over = what.park_s == 0 || what.reason == signet::name(close_reason::session_expired) ||
                    what.reason == signet::name(close_reason::revoked_key);
  if (over && !taken_over)
    close_row(what.key, what.epoch, std::move(what.reason));
  else if (!taken_over)
    idle_.add(what.key, what.epoch, plus(at, std::uint64_t{services_.settings.idle_s} * 1000));
  if (ours)
    forget(found->second.now->session.address());
}

void registry_state::ended(const caf::down_msg& down) {
  // A session that went in good order has said so before, and is no longer known.
  const auto found = names_.find(down.source);
  if (found == names_.end())
    return;
  const auto who = found->second;
  if (const auto here = places_.find(who); here != places_.end() && here->second.now &&
                                           here->second.now->session.address() == down.source)
    close_row(here->second.now->key, here->second.now->epoch, "failed");
  forget(down.source);
}

// The place is free, the inbox has no reader, the ticker lets go of it.
void registry_state::forget(const caf::actor_addr& session) {
  if (const auto wish = wake_of_.find(session); wish != wake_of_.end()) {
    auto [first, last] = wakes_.equal_range(wish->second);
    for (auto each = first; each != last; ++each)
      if (each->second == session) {
        wakes_.erase(each);
        break;
      }
    wake_of_.erase(wish);
  }
  const auto found = names_.find(session);
  if (found == names_.end())
    return;
  const auto who = found->second;
  names_.erase(found);
  self_->demonitor(session);
  const auto here = places_.find(who);
  if (here == places_.end() || !here->second.now || here->second.now->session.address() != session)
    return;
  const auto& gone = *here->second.now;
  inboxes_.leave({gone.key.identity, gone.key.device}, gone.epoch);
  by_epoch_.erase(gone.epoch);
  here->second.now.reset();
  erase_if_empty(who);
}

void registry_state::erase_if_empty(const client_name& who) {
  if (const auto found = places_.find(who); found != places_.end() && !found->second.now &&
                                            !found->second.changing && found->second.waiting.empty())
    places_.erase(found);
}

// ---- what the log says, whoever proposed it -------------------------------------------------------------------------

void registry_state::changed(const sessions_changed& news) {
  for (const auto& each : news.all)
    switch (each.what) {
      case session_changed::kind::opened: opened(each); break;
      case session_changed::kind::closed: closed(each); break;
      case session_changed::kind::inbox_taken: {
        const inbox_name which{each.identity, each.device};
        end_reader(which, inboxes_.taken(which, each.epoch, each.index));
        break;
      }
    }
}

// The views decide, not the entry: apply may have refused it, and newer entries may stand.
void registry_state::opened(const session_changed& what) {
  const client_name who{what.identity, what.client_id};
  const auto row = find_row(who);
  if (!row || row->epoch >= what.epoch) {
    parked_->opened(who, what.epoch);
    idle_.opened(who, what.epoch);
  }
  const auto found = places_.find(who);
  if (found != places_.end() && found->second.now && row && row->epoch > found->second.now->epoch)
    displace(who);
}

void registry_state::closed(const session_changed& what) {
  const client_name who{what.identity, what.client_id};
  const auto found = places_.find(who);
  if (found == places_.end() || !found->second.now || found->second.now->epoch != what.epoch)
    return;
  if (const auto why = judge(*found->second.now, what.reason))
    caf::anon_send(found->second.now->session, close_asked{*why});
}

// ---- inboxes --------------------------------------------------------------------------------------------------------

caf::result<inbox_granted> registry_state::ask_inbox(const inbox_asked& request) {
  const auto& key = request.key;
  const inbox_name which{key.identity, key.device};
  // A session that has gone meanwhile gets nothing: its place would never be given back.
  if (!names_.contains(request.session.address()))
    return inbox_granted{};
  // Two client ids that take the inbox of one device from each other are held back like two holders of a client id.
  const auto reader = inboxes_.reader_of(which);
  if (reader && *reader != request.epoch && services_.gate &&
      services_.gate->storm_wait_ms(key.identity, storm_name(key.device), now()) > 0)
    return inbox_granted{};
  bool alone = true;
  log_index applied;
  {
    const auto txn = services_.disk->read();
    applied = storage::read_applied(txn).index;
    for (const auto& each : storage::read_sessions(txn, key.identity))
      alone = alone && (each.row.device != key.device || each.row.epoch == request.epoch);
  }
  if (alone) {
    const auto verdict = inboxes_.take(which, request.epoch, applied);
    end_reader(which, verdict.loser);
    return inbox_granted{verdict.yours};
  }
  auto promise = self_->make_response_promise<inbox_granted>();
  const auto epoch = request.epoch;
  const auto session = request.session.address();
  inboxes_.claim(which, epoch);
  self_->request(services_.replica, close_patience, propose_entry{share(inbox_taken_entry({key, epoch})), true})
    .then(
      [=, this](const entry_answer& done) mutable {
        inbox_book::verdict verdict;
        if (done.code == ec::ok && names_.contains(session))
          verdict = inboxes_.claimed(which, epoch, done.index);
        else
          inboxes_.claim_failed(which, epoch);  // its session is over; it will hear why
        end_reader(which, verdict.loser);
        promise.deliver(inbox_granted{verdict.yours});
      },
      [=, this](const caf::error&) mutable {
        inboxes_.claim_failed(which, epoch);
        promise.deliver(inbox_granted{false, true});
      });
  return promise;
}

void registry_state::end_reader(const inbox_name& which, std::optional<std::uint64_t> loser) {
  const auto found = loser ? by_epoch_.find(*loser) : by_epoch_.end();
  if (found == by_epoch_.end())
    return;
  if (services_.gate)
    services_.gate->took_over(which.identity, storm_name(which.device), now());
  report(security_kind::takeover, which.identity, which.device, "inbox");
  caf::anon_send(found->second, close_asked{close_reason::inbox_taken});
}

void registry_state::leave_inbox(const inbox_left& what) { inboxes_.leave({what.identity, what.device}, what.epoch); }

// ---- ticker, janitor ------------------------------------------------------------------------------------------------

void registry_state::wake(const wake_asked& wish) {
  const auto address = wish.session.address();
  if (const auto found = wake_of_.find(address); found != wake_of_.end()) {
    auto [first, last] = wakes_.equal_range(found->second);
    for (auto each = first; each != last; ++each)
      if (each->second == address) {
        wakes_.erase(each);
        break;
      }
  }
  wake_of_[address] = wish.at;
  wakes_.emplace(wish.at, address);
}

void registry_state::tick() {
  const auto at = now();
  while (!wakes_.empty() && wakes_.begin()->first <= at) {
    const auto address = wakes_.begin()->second;
    wakes_.erase(wakes_.begin());
    wake_of_.erase(address);
    if (const auto session = caf::actor_cast<caf::actor>(address))
      caf::anon_send(session, tick_atom_v);
  }
  parked_->tidy(at);
  for (auto& one : idle_.take_due(at))
    close_row(one.key, one.epoch, std::move(one.reason));
  tell_staleness();
  if (at >= next_janitor_) {
    next_janitor_ = plus(at, janitor_every_ms);
    run_janitor();
  }
  write_closings();
  self_->delayed_send(self_, tick_every, tick_atom_v);
}

// Rows whose proof has run out: of this node's sessions that went without a word, and of others whose node is gone.
void registry_state::run_janitor() {
  if (!leads_.majority || !closings_.empty() || writing_)
    return;
  const auto at = value(services_.clock->wall());
  const wall_ms until{leads_.surely ? at : at - std::min(at, janitor_patience_ms)};
  std::vector<session_closing> ended;
  {
    const auto txn = services_.disk->read();
    ended = storage::read_ended_sessions(txn, until, closings_an_entry);
  }
  for (auto& one : ended) {
    const auto here = places_.find(name_of(one.key));
    if (here != places_.end() && here->second.now && here->second.now->epoch == one.epoch)
      // It tells its client first, then comes back through left().
      caf::anon_send(here->second.now->session, tick_atom_v);
    close_row(one.key, one.epoch, "session_expired");
  }
}

void registry_state::close_row(const session_key& key, std::uint64_t epoch, std::string reason) {
  if (closings_.size() >= closings_max) {
    ++closings_dropped_;
    return;
  }
  closings_.push_back({key, epoch, std::move(reason)});
}

void registry_state::write_closings() {
  if (writing_ || closings_.empty())
    return;
  const auto count = std::min(closings_.size(), closings_an_entry);
  const std::vector<session_closing> some(closings_.begin(), closings_.begin() + static_cast<std::ptrdiff_t>(count));
  writing_ = true;
  self_->request(services_.replica, close_patience, propose_entry{share(sessions_closed_entry(some)), true, true})
    .then(
      [this, count](const entry_answer&) {
        writing_ = false;
        closings_.erase(closings_.begin(), closings_.begin() + static_cast<std::ptrdiff_t>(count));
        write_closings();
      },
      [this](const caf::error&) { writing_ = false; });  // closing twice changes nothing: again with the next tick
}

// ---- majority -------------------------------------------------------------------------------------------------------

void registry_state::lead(const leadership& to) {
  if (leads_.majority && !to.majority)
    majority_lost_ = now();
  leads_ = to;
  tell_staleness();
}

// Elections pass; who has had no majority for longer than writes wait for one tells its clients.
void registry_state::tell_staleness() {
  const bool stale = !leads_.majority && now() >= plus(majority_lost_, services_.settings.no_quorum_ms);
  if (std::exchange(stale_, stale) == stale)
    return;
  for (const auto& [epoch, session] : by_epoch_)
    caf::anon_send(session, staleness{stale});
}

// ---- operators ------------------------------------------------------------------------------------------------------

void registry_state::close(const close_sessions& which) {
  for (const auto& [who, here] : places_)
    if (here.now && (which.identity.is_zero() || who.identity == which.identity))
      caf::anon_send(here.now->session, close_asked{which.reason});
}

void registry_state::report(security_kind kind, const permalink& who, const public_key& device, std::string detail) {
  self_->send(services_.security, security_event_seen{std::string{signet::name(kind)}, to_bytes(who.view()),
                                                      to_bytes(device.view()), std::move(detail), {}});
}

std::string registry_state::status() const {
  nlohmann::json out{{"attached", names_.size()},
                     {"inbox_readers", inboxes_.readers()},
                     {"parked", parked_->size()},
                     {"idle", idle_.size()},
                     {"waking", wakes_.size()},
                     {"closings_waiting", closings_.size()},
                     {"closings_dropped", closings_dropped_},
                     {"attached_total", attached_total_},
                     {"takeovers", takeovers_},
                     {"stale", stale_}};
  if (services_.gate) {
    out["connections"] = services_.gate->connections();
    out["unauthenticated"] = services_.gate->unauthenticated();
  }
  return out.dump();
}

session_registry_actor::behavior_type
session_registry(session_registry_actor::stateful_pointer<registry_state> self, registry_services services) {
  self->state.start(std::move(services));
  return self->state.make_behavior();
}

} // namespace

session_registry_actor spawn_session_registry(caf::actor_system& system, registry_services services) {
  return system.spawn(session_registry, std::move(services));
}

} // namespace signet
