#include "actors/delivery/cursors.hpp"

#include "actors/supervision/guard.hpp"

#include <nlohmann/json.hpp>

namespace signet {
namespace {
using namespace std::chrono_literals;
// Long enough to gather what a busy reader acknowledges, short enough that a crash redelivers little.
constexpr auto gather_for = 50ms;
constexpr auto propose_timeout = 10s;
constexpr std::size_t cursors_per_entry_max = 4'096;
} // namespace

void cursors_state::start(replica_actor replica) {
  supervision::guard(self_);
  replica_ = std::move(replica);
}

cursors_actor::behavior_type cursors_state::make_behavior() {
  return {[this](const cursor_moved& to) { moved(to); }, [this](drain_atom) { return drain(); },
          [this](tick_atom) { tick(); }, [this](status_asked) { return status(); }};
}

void cursors_state::moved(const cursor_moved& to) {
  auto& position = pending_[{to.identity, to.device}];
  position = std::max(position, to.position);
  arm();
}

void cursors_state::arm() {
  if (!writing_ && !std::exchange(tick_pending_, true))
    self_->delayed_send(self_, gather_for, tick_atom_v);
}

void cursors_state::tick() {
  tick_pending_ = false;
  write();
}

caf::result<caf::unit_t> cursors_state::drain() {
  auto promise = self_->make_response_promise<caf::unit_t>();
  drained_.push_back(promise);
  write();
  return promise;
}

void cursors_state::write() {
  if (writing_)
    return;
  if (pending_.empty()) {
    for (auto& promise : std::exchange(drained_, {}))
      promise.deliver(caf::unit);
    return;
  }
  writing_ = true;
  auto moves = std::make_shared<std::vector<cursor_moved>>();
  while (!pending_.empty() && moves->size() < cursors_per_entry_max) {
    auto node = pending_.extract(pending_.begin());
    moves->push_back({node.key().first, node.key().second, node.mapped()});
  }
  // Who waits now waits for this entry, if it takes all that is pending, and never for what comes later.
  auto waiting = std::make_shared<std::vector<caf::typed_response_promise<caf::unit_t>>>();
  if (pending_.empty())
    waiting->swap(drained_);
  self_->request(replica_, propose_timeout, propose_entry{share(cursors_entry(*moves)), true, true})
    .then(
      [this, moves, waiting](const entry_answer&) {
        writing_ = false;
        written_ += moves->size();
        ++entries_;
        for (auto& promise : *waiting)
          promise.deliver(caf::unit);
        if (!drained_.empty())
          write();
        else if (!pending_.empty())
          arm();
      },
      [this, moves, waiting](const caf::error&) {
        // A cursor never goes back, so proposing it again is safe whatever became of this entry.
        writing_ = false;
        for (const auto& move : *moves) {
          auto& position = pending_[{move.identity, move.device}];
          position = std::max(position, move.position);
        }
        for (auto& promise : *waiting)
          promise.deliver(caf::unit);
        for (auto& promise : std::exchange(drained_, {}))
          promise.deliver(caf::unit);
        arm();
      });
}

std::string cursors_state::status() const {
  return nlohmann::json{{"pending", pending_.size()}, {"written", written_}, {"entries", entries_}}.dump();
}

cursors_actor::behavior_type cursors(cursors_actor::stateful_pointer<cursors_state> self, replica_actor replica) {
  self->state.start(std::move(replica));
  return self->state.make_behavior();
}

} // namespace signet
