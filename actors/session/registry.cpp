#include "actors/session/registry.hpp"

#include "actors/session/admission.hpp"
#include "actors/session/parking.hpp"
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
constexpr std::uint64_t janitor_every_ms = 5'000;
// One entry of closings; and what may wait for its turn. Beyond it the janitor finds them by their end.
constexpr std::size_t closings_an_entry = 256, closings_max = 16'384;
// Connections of one client id that wait for the one before to stop.
constexpr std::size_t waiting_max = 8;

constexpr steady_ms plus(steady_ms at, std::uint64_t ms) { return steady_ms{value(at) + ms}; }

client_name name_of(const session_key& key) { return {key.identity, key.client_id}; }

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
  struct reader {
    std::uint64_t epoch = 0;
    caf::actor session;
  };
  using inbox_name = std::pair<permalink, public_key>;

  steady_ms now() const { return services_.clock->steady(); }
  void next_waiter(const client_name& who);
  void settle(const client_name& who, waiter one, bool took_over, std::optional<parked_state> state);
  void ended(const caf::down_msg& down);
  void forget(const caf::actor_addr& session);
  void erase_if_empty(const client_name& who);
  void close_row(const session_key& key, std::uint64_t epoch, std::string reason);
  void write_closings();
  void run_janitor();
  void report(security_kind kind, const permalink& who, const public_key& device, std::string detail);

  session_registry_actor::pointer self_;
  registry_services services_;
  std::map<client_name, place> places_;
  std::unordered_map<caf::actor_addr, client_name> names_;       // attached
  std::map<inbox_name, reader> readers_;
  std::optional<parking_lot> parked_;
  idle_list idle_;
  std::deque<session_closing> closings_;
  bool writing_ = false;
  steady_ms next_janitor_{};
  // wishes to be woken: by time, and each session's one
  std::multimap<steady_ms, caf::actor> wakes_;
  std::unordered_map<caf::actor_addr, steady_ms> wake_of_;
  std::uint64_t attached_total_ = 0, takeovers_ = 0, closings_dropped_ = 0;
};

void registry_state::start(registry_services services) {
  supervision::guard(self_);
  self_->set_down_handler([this](caf::down_msg& down) { ended(down); });
  services_ = std::move(services);
  parked_.emplace(services_.settings.parked_max);
  self_->delayed_send(self_, tick_every, tick_atom_v);
}

session_registry_actor::behavior_type registry_state::make_behavior() {
  return {[this](const attach_asked& request) { return attach(request); },
          [this](session_left& what) { left(what); },
          [this](const inbox_asked& request) { return ask_inbox(request); },
          [this](const inbox_left& what) { leave_inbox(what); },
          [this](const wake_asked& wish) { wake(wish); },
          [this](const close_sessions& which) { close(which); },
          [this](tick_atom) { tick(); },
          [this](status_asked) { return status(); }};
}

// ---- attach and take over -------------------------------------------------------------------------------------------

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
  here.changing = false;
  while (!here.waiting.empty()) {
    auto one = std::move(here.waiting.front());
    here.waiting.pop_front();
    if (here.now && here.now->epoch >= one.request.epoch) {
      one.promise.deliver(attach_answered{});  // opened before the one that is here: its epoch is over
      continue;
    }
    if (!here.now) {
      settle(who, std::move(one), false, std::nullopt);
      continue;
    }
    here.changing = true;
    const auto old = *here.now;
    const auto go_on = [this, who, one, old](std::optional<parked_state> state) {
      forget(old.session.address());
      settle(who, one, true, std::move(state));
      next_waiter(who);
    };
    self_->request(old.session, yield_patience, yield_asked{})
      .then([go_on](const yielded& answer) { go_on(answer.state); },
            [this, go_on, old](const caf::error&) {
              // Dead, or stuck: it is fenced by its epoch, and must not go on either way.
              caf::anon_send(old.session, close_asked{close_reason::taken_over});
              go_on(std::nullopt);
            });
    return;
  }
  erase_if_empty(who);
}

void registry_state::settle(const client_name& who, waiter one, bool took_over, std::optional<parked_state> state) {
  const auto at = now();
  // What the old connection left in time counts as well as what it hands over.
  auto parked = parked_->take(who, at);
  if (!state)
    state = std::move(parked);
  idle_.remove(who);
  if (one.request.clean_start)
    state.reset();
  if (took_over) {
    ++takeovers_;
    const bool storm = services_.gate && services_.gate->took_over(who.identity, who.client_id, at);
    report(storm ? security_kind::takeover_storm : security_kind::takeover, who.identity, one.request.key.device,
           "client_id");
  }
  ++attached_total_;
  places_[who].now = holder{one.request.key, one.request.epoch, one.request.session};
  names_[one.request.session.address()] = who;
  self_->monitor(one.request.session);
  one.promise.deliver(attach_answered{true, took_over, std::move(state)});
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
  if (what.park_s > 0)
    parked_->park(who, std::move(what.state), plus(at, std::uint64_t{what.park_s} * 1000));
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
      if (each->second.address() == session) {
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
  const auto& key = here->second.now->key;
  if (const auto reads = readers_.find({key.identity, key.device});
      reads != readers_.end() && reads->second.session.address() == session)
    readers_.erase(reads);
  here->second.now.reset();
  erase_if_empty(who);
}

void registry_state::erase_if_empty(const client_name& who) {
  if (const auto found = places_.find(who); found != places_.end() && !found->second.now &&
                                            !found->second.changing && found->second.waiting.empty())
    places_.erase(found);
}

// ---- inboxes --------------------------------------------------------------------------------------------------------

caf::result<inbox_granted> registry_state::ask_inbox(const inbox_asked& request) {
  const inbox_name which{request.identity, request.device};
  // A session that has gone meanwhile gets nothing: its place would never be given back.
  if (!names_.contains(request.session.address()))
    return inbox_granted{};
  auto found = readers_.find(which);
  if (found != readers_.end() && found->second.session != request.session) {
    // Two client ids that take the inbox of one device from each other are held back like two holders of a client id.
    const std::string storm_name = "\x01inbox " + request.device.hex();
    if (services_.gate) {
      if (services_.gate->storm_wait_ms(request.identity, storm_name, now()) > 0)
        return inbox_granted{};
      services_.gate->took_over(request.identity, storm_name, now());
    }
    report(security_kind::takeover, request.identity, request.device, "inbox");
    caf::anon_send(found->second.session, close_asked{close_reason::inbox_taken});
  }
  readers_[which] = {request.epoch, request.session};
  return inbox_granted{true};
}

void registry_state::leave_inbox(const inbox_left& what) {
  if (const auto found = readers_.find({what.identity, what.device});
      found != readers_.end() && found->second.epoch == what.epoch)
    readers_.erase(found);
}

// ---- ticker, janitor ------------------------------------------------------------------------------------------------

void registry_state::wake(const wake_asked& wish) {
  const auto address = wish.session.address();
  if (const auto found = wake_of_.find(address); found != wake_of_.end()) {
    auto [first, last] = wakes_.equal_range(found->second);
    for (auto each = first; each != last; ++each)
      if (each->second == wish.session) {
        wakes_.erase(each);
        break;
      }
  }
  wake_of_[address] = wish.at;
  wakes_.emplace(wish.at, wish.session);
}

void registry_state::tick() {
  const auto at = now();
  while (!wakes_.empty() && wakes_.begin()->first <= at) {
    auto session = wakes_.begin()->second;
    wakes_.erase(wakes_.begin());
    wake_of_.erase(session.address());
    caf::anon_send(session, tick_atom_v);
  }
  parked_->tidy(at);
  for (auto& one : idle_.take_due(at))
    close_row(one.key, one.epoch, std::move(one.reason));
  if (at >= next_janitor_) {
    next_janitor_ = plus(at, janitor_every_ms);
    run_janitor();
  }
  write_closings();
  self_->delayed_send(self_, tick_every, tick_atom_v);
}

// Rows whose proof has run out: of this node's sessions that went without a word, and of others whose node is gone.
void registry_state::run_janitor() {
  if (!services_.disk || !closings_.empty() || writing_)
    return;
  std::vector<session_closing> ended;
  {
    const auto txn = services_.disk->read();
    ended = storage::read_ended_sessions(txn, services_.clock->wall(), closings_an_entry);
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
  self_->request(services_.replica, close_patience, propose_entry{share(sessions_closed_entry(some)), true})
    .then(
      [this, count](const entry_answer&) {
        writing_ = false;
        closings_.erase(closings_.begin(), closings_.begin() + static_cast<std::ptrdiff_t>(count));
        write_closings();
      },
      [this](const caf::error&) { writing_ = false; });  // closing twice changes nothing: again with the next tick
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
                     {"inbox_readers", readers_.size()},
                     {"parked", parked_->size()},
                     {"idle", idle_.size()},
                     {"waking", wakes_.size()},
                     {"closings_waiting", closings_.size()},
                     {"closings_dropped", closings_dropped_},
                     {"attached_total", attached_total_},
                     {"takeovers", takeovers_}};
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
