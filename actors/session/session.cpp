#include "actors/session/session.hpp"

#include "actors/replica/replica.hpp"
#include "actors/session/core.hpp"
#include "actors/session/stored_reads.hpp"
#include "actors/supervision/guard.hpp"
#include "messages/envelope/keys.hpp"
#include "storage/lmdb/environment.hpp"

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/stateful_actor.hpp>

#include <algorithm>
#include <deque>

namespace signet {
namespace {

using std::chrono::milliseconds;

// Deadlines closer than this get a timer of their own; the others wait for the registry's ticker.
constexpr std::uint64_t own_timer_ms_max = 150;
// The inbox of a device could not be taken now: there is no majority.
constexpr milliseconds ask_again_after{500};

constexpr steady_ms plus(steady_ms at, std::uint64_t ms) { return steady_ms{value(at) + ms}; }

/// What a failed request means: our own code if the other side sent one; otherwise (timeout, receiver down) it may or
/// may not have happened.
ec code_of(const caf::error& why) { return from_caf(why).code; }

proof_context context_of(const session_services& services, const client_link& link) {
  proof_context out{services.settings, *services.node_key, services.cluster, link.channel(), std::nullopt,
                    link.loopback()};
  out.exporter = tls_exporter::from(link.exporter());
  return out;
}

/// session_gate over the shared admission.
class gate_ticket final : public session_gate {
public:
  gate_ticket(admission& gate, std::unique_ptr<admission::ticket> ticket) : gate_{gate}, ticket_{std::move(ticket)} {}
  bool may_try(steady_ms now) override { return ticket_->may_try(now); }
  bool may_verify(steady_ms now) override { return ticket_->may_verify(now); }
  bool may_create_identity(steady_ms now) override { return ticket_->may_create_identity(now); }
  void login_failed(steady_ms now) override { ticket_->login_failed(now); }
  void authenticated() override { ticket_->authenticated(); }
  std::uint64_t storm_wait_ms(const session_key& key, steady_ms now) override {
    return gate_.storm_wait_ms(key.identity, key.client_id, now);
  }

private:
  admission& gate_;
  std::unique_ptr<admission::ticket> ticket_;
};

class session_state {
public:
  static inline const char* name = "session";
  explicit session_state(caf::event_based_actor* self) : self_{self} {}
  ~session_state() {
    if (link_)
      link_->close();  // however it ends
  }

  /// False: there is no room for this connection, and it is being closed.
  bool start(session_services_ptr services, client_link_ptr link);
  caf::behavior make_behavior();

private:
  void arrived(packets_arrived& read);
  void step(session_input input);
  void act(session_output& output);
  void arm();
  void ask_inbox_again();
  void answered(std::uint64_t slot, std::uint32_t attempt, ec problem, const batch_answer& answer);
  void give_up_late();
  moment now() const { return {services_->clock->steady(), services_->clock->wall()}; }
  caf::actor me() const { return caf::actor_cast<caf::actor>(self_); }

  void act(out::allow& what) { link_->allow(what.state, what.packet_bytes_max); }
  void act(out::limit_output& what) { link_->limit_output(what.packet_bytes_max); }
  void act(out::send& what) { refused_ = !link_->offer(what.packet) || refused_; }
  void act(out::give_credit& what) { link_->done(what.credit); }
  void act(out::close_link&) { link_->close(); }
  void act(out::open_session& what);
  void act(out::renew_session& what);
  void act(out::publish_identity& what);
  void act(out::submit& what);
  void act(out::attach& what);
  void act(out::follow& what);
  void act(out::ask_inbox&);
  void act(out::leave_inbox&);
  void act(out::move_cursor& what) { self_->send(services_->cursors, std::move(what.to)); }
  void act(out::report& what);
  void act(out::hand_over& what);
  void act(out::leave& what);

  template <class Answer>
  void propose(propose_entry what, Answer answer);

  caf::event_based_actor* self_;
  session_services_ptr services_;
  client_link_ptr link_;
  std::optional<stored_reads> reads_;
  std::unique_ptr<gate_ticket> gate_;
  std::optional<session_core> core_;
  std::optional<permalink> following_;
  wake_flag wake_;
  caf::typed_response_promise<yielded> handing_over_;
  steady_ms wake_at_ = never;    // asked of the registry
  steady_ms timer_at_ = never;   // own timer under way
  bool refused_ = false;         // the link took no more
  struct submitted {
    steady_ms until{};
    std::uint64_t slot = 0;
    std::uint32_t attempt = 0;
  };
  std::deque<submitted> submitted_;  // batches not answered yet, oldest first: all wait equally long
};

bool session_state::start(session_services_ptr services, client_link_ptr link) {
  supervision::guard(self_);
  services_ = std::move(services);
  link_ = std::move(link);
  const auto source = link_->source();
  auto ticket = services_->gate->admit(source, link_->loopback(), services_->clock->steady());
  if (!ticket) {
    self_->send(services_->security, security_event_seen{std::string{signet::name(security_kind::rate_limit)}, {}, {},
                                                         "connections", source});
    link_->close();
    return false;
  }
  reads_.emplace(*services_->disk);
  gate_ = std::make_unique<gate_ticket>(*services_->gate, std::move(ticket));
  core_.emplace(session_core::surroundings{context_of(*services_, *link_), *services_->random, *reads_, *gate_});
  step(in::started{});
  return true;
}

caf::behavior session_state::make_behavior() {
  return {[this](packets_arrived& read) { arrived(read); },
          [this](const packets_malformed& what) { step(in::malformed{what.reason, what.answer_as}); },
          [this](const link_lost&) { step(in::lost{}); },
          [this](const inbox_advanced&) {
            wake_.lower();
            step(in::inbox_grew{});
          },
          [this](const identity_changed&) { step(in::identity_moved{}); },
          [this](const close_asked& why) { step(in::close{why.reason}); },
          [this](yield_asked) -> caf::result<yielded> {
            handing_over_ = self_->make_response_promise<yielded>();
            auto promise = handing_over_;
            step(in::yield{});
            return promise;
          },
          [this](const staleness& what) { step(in::stale{what.stale}); },
          [this](follow_atom) { ask_inbox_again(); },
          [this](tick_atom) {  // the registry's ticker
            wake_at_ = never;
            give_up_late();
            step(in::ticked{});
          },
          [this](turn_atom) {  // our own timer
            timer_at_ = never;
            give_up_late();
            step(in::ticked{});
          }};
}

void session_state::arrived(packets_arrived& read) {
  for (auto& packet : read.packets) {
    step(in::packet_came{std::move(packet)});
    if (core_->finished())
      return;
  }
  step(in::read_done{read.credit});
}

// One input, its outputs in order, and what they lead to at once. Views are read inside one handler only.
void session_state::step(session_input input) {
  if (core_->finished())
    return;
  auto outputs = core_->step(std::move(input), now(), link_->queued());
  for (auto& one : outputs)
    act(one);
  if (std::exchange(refused_, false) && !core_->finished()) {
    outputs = core_->step(in::output_refused{}, now(), link_->queued());
    for (auto& one : outputs)
      act(one);
    refused_ = false;
  }
  reads_->release();
  if (!core_->finished())
    return arm();
  if (following_)
    self_->send(services_->fanout, leave_atom_v, *following_, me());
  self_->quit();
}

void session_state::act(session_output& output) {
  std::visit([this](auto& what) { act(what); }, output);
}

void session_state::arm() {
  const auto at = now();
  auto due = core_->next_deadline(at);
  if (!submitted_.empty())
    due = std::min(due, submitted_.front().until);
  if (due == never || due >= std::min(wake_at_, timer_at_))
    return;
  const std::uint64_t wait = due > at.steady ? value(due) - value(at.steady) : 1;
  if (wait <= own_timer_ms_max) {
    timer_at_ = due;
    self_->delayed_send(self_, milliseconds{wait}, turn_atom_v);
  } else {
    wake_at_ = due;
    self_->send(services_->registry, wake_asked{me(), due});
  }
}

template <class Answer>
void session_state::propose(propose_entry what, Answer answer) {
  self_->request(services_->replica, milliseconds{services_->settings.entry_timeout_ms}, std::move(what))
    .then([=](const entry_answer& applied) { answer(entry_outcome{ec::ok, applied}); },
          [=](const caf::error& why) { answer(entry_outcome{code_of(why), {}}); });
}

void session_state::act(out::open_session& what) {
  // Who is known may log in while the disk is nearly full: reading and acknowledging go on then. Newcomers wait.
  const bool known = what.opening.identity.empty();
  propose({share(session_opened_entry(what.opening)), known},
          [this](entry_outcome outcome) { step(in::opening_answered{std::move(outcome)}); });
}

void session_state::act(out::renew_session& what) {
  propose({share(session_renewed_entry(what.renewal)), true},
          [this](entry_outcome outcome) { step(in::renewal_answered{std::move(outcome)}); });
}

void session_state::act(out::publish_identity& what) {
  propose({share(identity_entry(what.version)), false, true}, [this, slot = what.slot](entry_outcome outcome) {
    step(in::identity_answered{slot, std::move(outcome)});
  });
}

void session_state::act(out::submit& what) {
  const auto slot = what.slot;
  const auto attempt = what.attempt;
  submitted_.push_back({plus(now().steady, services_->settings.batch_timeout_ms), slot, attempt});
  // No timeout of CAF's: each would wake its clock thread. What is not answered in time is given up by give_up_late().
  self_->request(services_->senders, caf::infinite, std::move(what.batch))
    .then([=, this](const batch_answer& answer) { answered(slot, attempt, ec::ok, answer); },
          [=, this](const caf::error& why) { answered(slot, attempt, code_of(why), {}); });
}

void session_state::answered(std::uint64_t slot, std::uint32_t attempt, ec problem, const batch_answer& answer) {
  const auto found = std::find_if(submitted_.begin(), submitted_.end(), [&](const submitted& one) {
    return one.slot == slot && one.attempt == attempt;
  });
  if (found == submitted_.end())
    return;  // given up already; the batch has been, or will be, sent again
  submitted_.erase(found);
  step(in::batch_answered{slot, attempt, problem, answer});
}

void session_state::give_up_late() {
  while (!submitted_.empty() && submitted_.front().until <= now().steady) {
    const auto late = submitted_.front();
    submitted_.pop_front();
    step(in::batch_answered{late.slot, late.attempt, ec::unknown_outcome, {}});
  }
}

void session_state::act(out::attach& what) {
  // Longer than the old connection may take to stop.
  self_->request(services_->registry, milliseconds{services_->settings.entry_timeout_ms},
                 attach_asked{what.key, what.epoch, what.replaced_epoch, what.clean_start, me()})
    .then([=, this](const attach_answered& answer) { step(in::attached{answer.accepted, answer.state}); },
          [=, this](const caf::error&) { step(in::attached{}); });
}

void session_state::act(out::follow& what) {
  following_ = what.who;
  self_->send(services_->fanout, follow_atom_v, what.who, me(), wake_);
}

void session_state::act(out::ask_inbox&) {
  // Longer than the entry may take that the registry may have to write.
  self_->request(services_->registry, milliseconds{2 * services_->settings.entry_timeout_ms},
                 inbox_asked{core_->key(), core_->epoch(), me()})
    .then(
      [=, this](const inbox_granted& answer) {
        if (answer.later)
          return self_->delayed_send(self_, ask_again_after, follow_atom_v);
        if (!answer.yours)
          return step(in::inbox_answered{});
        // What another connection of this device has acknowledged is read from the store: it has to be there first.
        const auto go_on = [=, this] { step(in::inbox_answered{true}); };
        self_->request(services_->cursors, milliseconds{services_->settings.entry_timeout_ms}, drain_atom_v)
          .then([=](caf::unit_t) { go_on(); }, [=](const caf::error&) { go_on(); });
      },
      [=, this](const caf::error&) { self_->delayed_send(self_, ask_again_after, follow_atom_v); });
}

void session_state::ask_inbox_again() {
  if (core_->waits_for_inbox()) {
    out::ask_inbox again;
    act(again);
  }
}

void session_state::act(out::leave_inbox&) {
  const auto& key = core_->key();
  self_->send(services_->registry, inbox_left{key.identity, key.device, core_->epoch()});
}

void session_state::act(out::report& what) {
  self_->send(services_->security,
              security_event_seen{std::string{signet::name(what.kind)}, std::move(what.subject), std::move(what.object),
                                  std::string{what.detail}, link_->source()});
}

void session_state::act(out::hand_over& what) {
  if (handing_over_.pending())
    handing_over_.deliver(yielded{std::move(what.state)});
}

void session_state::act(out::leave& what) {
  self_->send(services_->registry, session_left{core_->key(), core_->epoch(), std::string{what.reason}, what.park_s,
                                                std::move(what.state), {}});
}

caf::behavior session(caf::stateful_actor<session_state>* self, session_services_ptr services, client_link_ptr link) {
  if (!self->state.start(std::move(services), std::move(link)))
    self->quit();
  return self->state.make_behavior();
}

} // namespace

caf::actor spawn_session(caf::actor_system& system, session_services_ptr services, client_link_ptr link) {
  return system.spawn(session, std::move(services), std::move(link));
}

session_maker make_session_maker(caf::actor_system& system, session_services_ptr services) {
  return [&system, services = std::move(services)](client_link_ptr link) {
    return spawn_session(system, services, std::move(link));
  };
}

} // namespace signet
