#include "actors/replica/replica.hpp"

#include "actors/admin/metrics.hpp"
#include "actors/bots/bot_keys.hpp"
#include "actors/links/links.hpp"
#include "actors/supervision/guard.hpp"

#include <caf/actor_cast.hpp>
#include <caf/make_message.hpp>
#include <caf/sec.hpp>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

namespace signet {
namespace {
using namespace std::chrono_literals;
// raft_timeout() of a leader may stay in the past; without a floor the timer would spin.
constexpr auto tick_after_min = 5ms;
constexpr auto tick_after_max = 1s;
constexpr std::uint64_t secret_asked_again_ms = 5'000;

std::string_view name_of(raft::member_role role) {
  switch (role) {
    case raft::member_role::standby:
      return "standby";
    case raft::member_role::voter:
      return "voter";
    case raft::member_role::spare:
      return "spare";
  }
  return "?";
}

entry_answer to_answer(storage::entry_result&& from) {
  entry_answer out;
  out.index = from.index;
  out.code = from.code;
  out.outcomes = std::move(from.outcomes);
  out.epoch = from.epoch;
  out.replaced_epoch = from.replaced_epoch;
  out.standing = from.standing;
  out.identity = from.identity;
  out.published = from.published;
  out.position = from.position;
  return out;
}
} // namespace

caf::error to_caf(const error& what) {
  return caf::make_error(caf::sec::runtime_error, static_cast<std::uint8_t>(what.code), what.context);
}

error from_caf(const caf::error& what) {
  if (what == caf::sec::runtime_error && what.context().match_elements<std::uint8_t, std::string>())
    return {static_cast<ec>(what.context().get_as<std::uint8_t>(0)), what.context().get_as<std::string>(1)};
  return {ec::unknown_outcome, supervision::describe(what)};
}

void replica_state::start(replica_services services) {
  supervision::guard(self_);
  self_->set_down_handler([this](caf::down_msg& down) {
    std::erase_if(watchers_, [&](const caf::actor& each) { return each.address() == down.source; });
  });
  services_ = std::move(services);
  std::array<std::uint8_t, 8> drawn;
  system_random().fill(drawn);
  desk_.emplace(*services_.replicator, read_u64(drawn.data()));
  has_secret_ = services_.keys_directory.empty() || load_cluster_secret(services_.keys_directory).has_value();
  told_ = leads_now();
  tell_role();
  arm_tick();
}

replica_actor::behavior_type replica_state::make_behavior() {
  return {[this](const propose_entry& request) { return guarded([&] { return propose(request); }); },
          [this](const peer_link_changed& what) { guarded([&] { link_changed(what); }); },
          [this](const peer_frame_arrived& what) { guarded([&] { frame_arrived(what); }); },
          [this](const hand_over_asked& request) { return guarded([&] { return hand_over(request); }); },
          [this](const operator_asked& request) { return guarded([&] { return operate(request); }); },
          [this](follow_atom, const caf::actor& fanout) { guarded([&] { follow(fanout); }); },
          [this](watch_atom, const caf::actor& watcher) { guarded([&] { watch(watcher); }); },
          [this](turn_atom) { guarded([&] { turn(); }); },
          [this](tick_atom) { guarded([&] { tick(); }); },
          [this](status_asked) { return guarded([&] { return status(); }); }};
}

/// Whatever is thrown here may leave a transaction half done: nothing goes on in this process.
template <class Verb>
auto replica_state::guarded(Verb&& verb) -> decltype(verb()) {
  try {
    return verb();
  } catch (const storage::storage_failure& why) {
    services_.fail_stop(71, why.what());
  } catch (...) {
    services_.fail_stop(70, supervision::describe(std::current_exception()));
  }
  std::abort();  // fail_stop does not return
}

caf::result<entry_answer> replica_state::propose(const propose_entry& request) {
  auto ticket = services_.replicator->propose({request.entry, request.from_reserve, request.idempotent, request.verified},
                                              services_.clock->steady());
  if (!ticket) {
    ++refused_;
    return to_caf(ticket.error());
  }
  auto promise = self_->make_response_promise<entry_answer>();
  waiting_.emplace(static_cast<std::uint64_t>(*ticket), waiting_proposal{promise, std::chrono::steady_clock::now()});
  ask_for_turn();
  return promise;
}

void replica_state::link_changed(const peer_link_changed& what) {
  const auto now = services_.clock->steady();
  if (what.up)
    services_.replicator->link_up(what.node, now);
  else
    services_.replicator->link_down(what.node, now);
  if (what.up)
    ask_for_secret(what.node);
  ask_for_turn();
}

void replica_state::frame_arrived(const peer_frame_arrived& what) {
  ++frames_in_;
  services_.replicator->receive(what.node, std::move(*what.frame));
  credits_.push_back(what.credit);
  ask_for_turn();
}

caf::result<caf::unit_t> replica_state::hand_over(const hand_over_asked& request) {
  auto asked = services_.replicator->hand_over(request.to, services_.clock->steady());
  if (!asked)
    return to_caf(asked.error());
  ask_for_turn();
  return caf::unit;
}

caf::result<std::string> replica_state::operate(const operator_asked& request) {
  auto promise = self_->make_response_promise<std::string>();
  operators_.emplace(desk_->ask(request.text, services_.clock->steady()), promise);
  answer_operators();
  ask_for_turn();  // what it began, or sent to the leader
  return promise;
}

void replica_state::answer_operators() {
  for (auto& each : desk_->answers(services_.clock->steady())) {
    auto found = operators_.find(each.number);
    if (found == operators_.end())
      continue;
    if (each.what)
      found->second.deliver(std::move(*each.what));
    else
      found->second.deliver(to_caf(each.what.error()));
    operators_.erase(found);
  }
}

/// The first founder has made the secret of the cluster; a node that has a link belongs to it, so it is given on request.
void replica_state::ask_for_secret(const std::string& node) {
  if (has_secret_)
    return;
  secret_asked_ = services_.clock->steady();
  if (services_.replicator->send(node, peer::secret_asked{}))
    ask_for_turn();
}

void replica_state::share_secret(const storage::peer_request& what) {
  if (services_.keys_directory.empty())
    return;
  if (std::holds_alternative<peer::secret_asked>(what.what)) {
    if (auto standing = load_cluster_secret(services_.keys_directory)) {
      peer::secret given;
      standing->copy_to(given.key);
      if (services_.replicator->send(what.from, given))
        ask_for_turn();
    }
  } else if (const auto* given = std::get_if<peer::secret>(&what.what); given && !has_secret_) {
    if (auto kept = keep_cluster_secret(services_.keys_directory, root_secret::from_bytes(given->key)); !kept)
      spdlog::error("cluster_secret_not_kept from={} reason=\"{}\"", what.from, render(kept.error()));
    else
      spdlog::info("cluster_secret_received from={}", what.from);
    has_secret_ = load_cluster_secret(services_.keys_directory).has_value();
  }
}

void replica_state::send_frames(std::vector<storage::outgoing_frame> frames) {
  if (!services_.to_peers)
    return;
  for (auto& each : frames)
    // A frame that is dropped here is as good as one lost on the way: whoever needs it asks or says it again.
    if (services_.to_peers->send(each.to, share(peer::encode(each.what))) == link_sent::queued)
      ++frames_out_;
    else
      ++frames_unsent_;
}

void replica_state::ask_for_turn() {
  // A message to ourselves closes the batch in front of it: whatever arrives until then shares one commit.
  if (!std::exchange(turn_pending_, true))
    self_->send(self_, turn_atom_v);
}

void replica_state::turn() {
  turn_pending_ = false;
  auto credits = std::exchange(credits_, {});
  auto done = services_.replicator->turn(services_.clock->steady(), services_.clock->wall(),
                                         [this](auto frames) { send_frames(std::move(frames)); });
  ++turns_;
  for (const auto& alarm : done.alarms)
    spdlog::error("cluster_alarm what=\"{}\"", alarm);
  if (done.fenced)
    services_.fail_stop(72, render(*done.fenced));
  send_frames(std::move(done.frames));
  // Wake the readers first: what they need to see is durable, and the authors' answers are many.
  if (done.advanced && fanout_)
    self_->send(fanout_, log_advanced{done.applied});
  const auto now = std::chrono::steady_clock::now();
  if (!done.answers.empty())
    turn_entries_.observe(static_cast<double>(done.answers.size()));
  for (auto& answer : done.answers) {
    auto found = waiting_.find(static_cast<std::uint64_t>(answer.ticket));
    if (found == waiting_.end())
      continue;
    ++answers_;
    commit_seconds_.observe(now - found->second.since);
    if (answer.outcome)
      found->second.promise.deliver(to_answer(std::move(*answer.outcome)));
    else
      found->second.promise.deliver(to_caf(answer.outcome.error()));
    waiting_.erase(found);
  }
  for (const auto& refused : done.refused)
    spdlog::warn("peer_message_refused reason=\"{}\"", refused);
  for (const auto& each : done.requests) {
    desk_->receive(each, services_.clock->steady());
    share_secret(each);
  }
  for (const auto& each : done.changes) {
    desk_->note(each);
    spdlog::info("members_changed order={} node={} outcome=\"{}\"", storage::name(each.order.what), each.order.node,
                 each.outcome ? "done" : render(each.outcome.error()));
  }
  answer_operators();
  if (done.role_changed)
    tell_role();
  tell_watchers();
  if (done.more)
    ask_for_turn();
  arm_tick();  // a new leader's heartbeats come sooner than the election it was waiting for
}

void replica_state::follow(const caf::actor& fanout) {
  fanout_ = caf::actor_cast<fanout_actor>(fanout);
  self_->send(fanout_, log_advanced{services_.replicator->applied()});
}

void replica_state::watch(const caf::actor& watcher) {
  self_->monitor(watcher);
  watchers_.push_back(watcher);
  caf::anon_send(watcher, told_);
}

leadership replica_state::leads_now() const {
  leadership out;
  if (services_.replicator->joining())
    return out;
  const auto& core = services_.replicator->consensus();
  out.surely = core.leads_surely();
  out.term = value(core.current_term());
  out.majority = out.surely || (core.role() != raft::role::leader && value(core.leader()) != 0);
  return out;
}

void replica_state::tell_watchers() {
  const auto now = leads_now();
  if (now == told_)
    return;
  told_ = now;
  for (const auto& each : watchers_)
    caf::anon_send(each, told_);
}

void replica_state::tell_role() {
  const auto now = services_.replicator->cluster();
  const auto role = now.joining ? std::string{"joining"} : std::string{raft::name(now.self.role)};
  auto text = role + " term=" + std::to_string(value(now.self.term)) +
              " leader=" + (now.leader.empty() ? "-" : now.leader);
  if (text == told_role_)
    return;
  told_role_ = std::move(text);
  spdlog::info("role={} last_index={} committed_index={}", told_role_, value(now.self.last), value(now.self.committed));
}

void replica_state::tick() {
  const auto now = services_.clock->steady();
  if (value(now) >= armed_for_)  // else one that an earlier one has overtaken
    tick_pending_ = false;
  if (services_.replicator->next_timeout() <= now)
    turn();
  answer_operators();
  if (!has_secret_ && value(now) > value(secret_asked_) + secret_asked_again_ms)
    for (const auto& each : services_.replicator->cluster().members)
      if (each.linked)
        ask_for_secret(each.node);
  if (services_.alive)
    services_.alive();
  arm_tick();
}

void replica_state::arm_tick() {
  const auto now = value(services_.clock->steady()), due = value(services_.replicator->next_timeout());
  const auto wanted = std::chrono::milliseconds(due > now ? due - now : 0);
  const auto after = std::clamp<std::chrono::milliseconds>(wanted, tick_after_min, tick_after_max);
  const auto at = now + static_cast<std::uint64_t>(after.count());
  if (std::exchange(tick_pending_, true) && armed_for_ <= at)
    return;
  armed_for_ = at;
  self_->delayed_send(self_, after, tick_atom_v);
}

std::string replica_state::status() {
  const auto whole = services_.replicator->cluster();
  const auto& picture = whole.self;
  const auto now = value(services_.clock->steady());
  auto space = services_.replicator->store().measure();
  auto members = nlohmann::json::array();
  for (const auto& each : whole.members) {
    nlohmann::json one{{"node", each.node}, {"id", value(each.id)}, {"role", name_of(each.role)},
                       {"voter", each.role == raft::member_role::voter},
                       {"self", each.self}, {"leader", each.leader}, {"linked", each.linked}};
    if (picture.role == raft::role::leader) {
      one["match_index"] = value(each.match);
      one["lag"] = each.lag;
    }
    if (each.heard)
      one["contact_age_s"] = static_cast<double>(now - std::min(now, value(*each.heard))) / 1'000;
    members.push_back(std::move(one));
  }
  return nlohmann::json{{"cluster", picture.cluster.hex()},
                        {"node", whole.node},
                        {"server", value(picture.self)},
                        {"role", whole.joining ? std::string_view{"joining"} : raft::name(picture.role)},
                        {"leader", whole.leader},
                        {"leads_surely", whole.leads_surely},
                        {"members", members},
                        {"members_index", value(whole.members_index)},
                        {"waiting_to_join", whole.waiting_to_join},
                        {"frames_in", frames_in_},
                        {"frames_out", frames_out_},
                        {"frames_unsent", frames_unsent_},
                        {"term", value(picture.term)},
                        {"last_index", value(picture.last)},
                        {"committed_index", value(picture.committed)},
                        {"applied_index", value(picture.applied)},
                        {"state_hash", picture.state_hash.hex()},
                        {"in_flight_entries", picture.in_flight_entries},
                        {"in_flight_bytes", picture.in_flight_bytes},
                        {"disk_low", picture.disk_low},
                        {"disk_free_bytes", space.disk_free_bytes},
                        {"map_bytes", space.map_bytes},
                        {"map_used_bytes", space.map_used_bytes},
                        {"commit_seconds", to_json(commit_seconds_)},
                        {"sync_seconds", to_json(services_.replicator->store().commit_times())},
                        {"turn_entries", to_json(turn_entries_)},
                        {"turns", turns_},
                        {"answers", answers_},
                        {"refused", refused_}}
    .dump();
}

replica_actor::behavior_type replica(replica_actor::stateful_pointer<replica_state> self, replica_services services) {
  self->state.start(std::move(services));
  return self->state.make_behavior();
}

} // namespace signet
