#include "actors/security/security.hpp"

#include "actors/supervision/guard.hpp"

#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

namespace signet {
namespace {
using namespace std::chrono_literals;
constexpr auto write_every = 1s;
constexpr auto propose_timeout = 10s;
constexpr std::size_t events_per_entry_max = 128;
} // namespace

void security_state::start(replica_actor replica) {
  supervision::guard(self_);
  replica_ = std::move(replica);
}

security_actor::behavior_type security_state::make_behavior() {
  return {[this](const security_event_seen& event) { seen(event); }, [this](tick_atom) { tick(); },
          [this](drain_atom) { return drain(); }, [this](status_asked) { return status(); }};
}

void security_state::seen(const security_event_seen& event) {
  counter_.add(event);
  if (!std::exchange(tick_pending_, true))
    self_->delayed_send(self_, write_every, tick_atom_v);
}

void security_state::tick() {
  tick_pending_ = false;
  write();
}

caf::result<caf::unit_t> security_state::drain() {
  auto promise = self_->make_response_promise<caf::unit_t>();
  drained_.push_back(promise);
  write();
  return promise;
}

void security_state::write() {
  if (writing_)
    return;
  if (counter_.empty()) {
    for (auto& promise : std::exchange(drained_, {}))
      promise.deliver(caf::unit);
    return;
  }
  writing_ = true;
  auto events = std::make_shared<std::vector<security_event>>(counter_.take(events_per_entry_max));
  self_->request(replica_, propose_timeout, propose_entry{share(security_events_entry(*events)), true})
    .then([this](const entry_answer&) { written(); },
          [this, events](const caf::error&) {
            // Not written, or not known: counting twice is better than not at all. The next tick tries again.
            counter_.give_back(*events);
            writing_ = false;
            for (auto& promise : std::exchange(drained_, {}))
              promise.deliver(caf::unit);
            if (!std::exchange(tick_pending_, true))
              self_->delayed_send(self_, write_every, tick_atom_v);
          });
}

void security_state::written() {
  writing_ = false;
  if (!drained_.empty())
    write();
  else if (!counter_.empty() && !std::exchange(tick_pending_, true))
    self_->delayed_send(self_, write_every, tick_atom_v);  // one entry a second, however much comes
}

std::string security_state::status() const {
  nlohmann::json out = nlohmann::json::object();
  for (const auto& [kind, count] : counter_.totals())
    out[kind] = count;
  return out.dump();
}

security_actor::behavior_type security(security_actor::stateful_pointer<security_state> self, replica_actor replica) {
  self->state.start(std::move(replica));
  return self->state.make_behavior();
}

} // namespace signet
