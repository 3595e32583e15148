#include "storage/replicator.hpp"

#include "storage/replication/state.hpp"

#include <algorithm>

namespace signet::storage {

replicator::state::state(replicator_options from, std::unique_ptr<replica_store> opened)
    : options{std::move(from)}, store{std::move(opened)}, desk{options.proposals, options.first_forward},
      changes{options.changes}, memory{store->store().read()}, watch{options.node} {
  store->with_commits([this](write_txn& to) { memory.write(to); });
  if (!store->joining())
    known.follow(store->consensus().members_index(), store->consensus().members());
}

// ---- what it knows ---------------------------------------------------------------------------------------------------

std::optional<std::string> replicator::state::leader_name() const {
  if (store->joining() || store->consensus().leader() == raft::server_id{})
    return std::nullopt;
  return known.name_of(store->consensus().leader());
}

proposal_desk::destination replicator::state::destination() const {
  using kind = proposal_desk::destination::kind;
  if (store->joining())
    return {};
  auto term = store->consensus().current_term();
  if (leads())
    return {kind::own_log, {}, term};
  auto leader = leader_name();
  if (!leader || !known.linked(*leader))
    return {};
  return {kind::other, *leader, term};
}

// ---- frames out ------------------------------------------------------------------------------------------------------

void replicator::state::send(replicator_turn& out, const std::string& node, raft::server_id to, peer::body what) const {
  if (known.linked(node))
    out.frames.push_back({node, {self(), to, store->joining() ? term{} : store->consensus().current_term(), std::move(what)}});
}

std::vector<outgoing_frame> replicator::state::frames_of(std::vector<outgoing_message> messages) {
  std::vector<outgoing_frame> out;
  for (auto& message : messages) {
    auto node = known.name_of(message.to);
    if (!node || !known.linked(*node))
      continue;
    if (const auto* install = std::get_if<raft::install_snapshot>(&message.body)) {
      want_shipment(*node, message.to, install->snapshot.index);  // the state does not travel: the log does
      continue;
    }
    if (const auto* append = std::get_if<raft::append_entries>(&message.body)) {
      auto end = log_index{value(append->prev_index) + append->entries.size()};
      auto& told = known[*node].commit_told;
      told = std::max(told, std::min(append->leader_commit, end));
    }
    out.push_back({std::move(*node), {self(), message.to, store->consensus().current_term(),
                                      peer::consensus{std::move(message.body), message.prev_chain}}});
  }
  return out;
}

peer::position replicator::state::own_position() const {
  peer::position out;
  out.store = store->name_of_store();
  out.process = options.process;
  out.joining = store->joining();
  if (out.joining)
    return out;
  auto end = store->end_of_log();
  out.last = end.last;
  out.last_term = end.last_term;
  out.applied = end.applied;
  out.applied_term = end.applied_term;
  out.applied_chain = end.applied_chain;
  return out;
}

/// A follower learns with the next message what is committed. If nothing else goes to it, a client there would wait for
/// the next heartbeat.
void replicator::state::nudge(replicator_turn& out) {
  if (!leads())
    return;
  const auto& core = store->consensus();
  for (const auto& member : core.members()) {
    if (member.id == core.leader() || !known.linked(member.address))
      continue;
    auto match = core.match_index(member.id);
    auto committed = std::min(core.commit_index(), match);
    auto& peer = known[member.address];
    if (committed <= peer.commit_told)
      continue;
    auto record = store->find_record(match);
    if (!record)
      continue;
    peer.commit_told = committed;
    raft::append_entries empty;
    empty.term = core.current_term();
    empty.prev_index = match;
    empty.prev_term = record->term;
    empty.leader_commit = core.commit_index();
    send(out, member.address, member.id, peer::consensus{std::move(empty), record->chain});
  }
}

// ---- proposals -------------------------------------------------------------------------------------------------------

void replicator::state::dispatch(steady_ms now, replicator_turn& out) {
  auto to = destination();
  auto work = desk.dispatch(to, now);
  for (auto& each : work.local) {
    auto ticket = store->propose(*each.what.entry, each.what.from_reserve, each.what.verified);
    if (ticket)
      desk.proposed(each.ticket, *ticket);
    else
      desk.refused(each.ticket, ticket.error());
  }
  peer::proposals batch;
  std::size_t size_bytes = 0;
  for (auto& each : work.forwarded) {
    if (!batch.list.empty() &&
        (size_bytes + each.entry.size() > peer::payload_bytes_max || batch.list.size() == peer::items_max)) {
      send(out, to.node, {}, std::exchange(batch, {}));
      size_bytes = 0;
    }
    size_bytes += each.entry.size();
    batch.list.push_back(std::move(each));
  }
  if (!batch.list.empty())
    send(out, to.node, {}, std::move(batch));
  // What apply says may be needed before we know that it is the answer to one of ours.
  store->remember_results(desk.anything_sent());
}

/// Answers of the store to whoever they belong to: clients of this node, or other nodes, which only need to know where.
void replicator::state::tell_proposers(turn_result& done, steady_ms now, replicator_turn& out) {
  std::map<std::string, peer::proposals_answered> told;
  for (const auto& each : done.appended)
    if (auto found = foreigners.find(static_cast<std::uint64_t>(each.ticket)); found != foreigners.end()) {
      told[found->second.node].list.push_back({found->second.ticket, ec::ok, each.index, each.term});
      foreigners.erase(found);
    }
  for (auto& each : done.answers) {
    if (desk.store_answered(each.ticket, std::move(each.outcome), now))
      continue;
    auto found = foreigners.find(static_cast<std::uint64_t>(each.ticket));
    if (found == foreigners.end())
      continue;  // appended, and told so; or its node has gone
    auto code = each.outcome ? ec::internal : each.outcome.error().code;
    told[found->second.node].list.push_back({found->second.ticket, code, {}, {}});
    foreigners.erase(found);
  }
  for (auto& [node, what] : told)
    for (std::size_t from = 0; from < what.list.size(); from += peer::items_max) {
      auto first = what.list.begin() + static_cast<std::ptrdiff_t>(from);
      auto last = what.list.begin() + static_cast<std::ptrdiff_t>(std::min(from + peer::items_max, what.list.size()));
      send(out, node, {}, peer::proposals_answered{{first, last}});
    }
}

// ---- the class -------------------------------------------------------------------------------------------------------

replicator::replicator(std::unique_ptr<state> s) : state_{std::move(s)} {}
replicator::~replicator() = default;

result<std::unique_ptr<replicator>> replicator::open(replicator_options options, steady_ms now, wall_ms wall) {
  auto opened = replica_store::open(options.store, now, wall);
  if (!opened)
    return tl::make_unexpected(opened.error());
  const auto& store = **opened;
  if (!store.joining())
    for (const auto& member : store.consensus().members())
      if (member.id == store.picture().self && member.address != options.node)
        return fail(ec::configuration, options.store.directory.string() + " belongs to node " + member.address +
                                         ", not " + options.node);
  return std::unique_ptr<replicator>(new replicator(std::make_unique<state>(std::move(options), std::move(*opened))));
}

result<proposal_ticket> replicator::propose(proposal what, steady_ms now) {
  auto& s = *state_;
  if (s.store->joining())
    return fail(ec::not_leader, "this node has not been taken into the cluster yet");
  if (auto good = s.store->proposable(*what.entry, what.from_reserve, s.leads()); !good)
    return tl::make_unexpected(good.error());
  if (!s.leads())
    s.proven.remember(*what.entry);  // whoever proposes has verified it, and it will come back from the leader
  return s.desk.take(std::move(what), now);
}

void replicator::receive(const std::string& from, peer::frame what) {
  state_->inbox.push_back({from, std::move(what)});
}

void replicator::link_up(const std::string& node, steady_ms now) {
  auto& s = *state_;
  link_down(node, now);
  s.known[node].linked = true;
  s.outbox.emplace_back(node, s.own_position());
  s.outbox.emplace_back(node, peer::position_asked{});
}

void replicator::link_down(const std::string& node, steady_ms now) {
  auto& s = *state_;
  auto& peer = s.known[node];
  peer.linked = false;
  peer.position.reset();
  peer.quarantined = false;
  s.memory.link_lost(node);
  s.shipments.erase(node);
  peer.commit_told = {};
  s.desk.link_lost(node, now);
  std::erase_if(s.foreigners, [&](const auto& each) { return each.second.node == node; });
  std::erase_if(s.outbox, [&](const auto& each) { return each.first == node; });
}

bool replicator::send(const std::string& to, peer::body what) {
  if (!state_->known.linked(to))
    return false;
  state_->outbox.emplace_back(to, std::move(what));
  return true;
}

replicator_turn replicator::turn(steady_ms now, wall_ms wall, const early_frames& early) {
  auto& s = *state_;
  replicator_turn out;
  s.turned = now;
  s.wall = wall;
  if (s.fenced) {
    out.fenced = s.fenced;
    return out;
  }
  s.take_frames(now, wall, out);
  for (auto& [node, what] : std::exchange(s.outbox, {}))
    s.send(out, node, {}, std::move(what));
  if (s.fenced) {
    out.fenced = s.fenced;
    return out;
  }
  s.desk.expire(now);
  if (!s.store->joining()) {
    s.dispatch(now, out);
    s.change_members(now, out);
  }

  early_messages hand_early;
  if (early)
    hand_early = [&](std::vector<outgoing_message> messages) { early(s.frames_of(std::move(messages))); };
  auto done = s.store->turn(now, wall, hand_early);
  if (!s.store->joining())
    s.known.follow(s.store->consensus().members_index(), s.store->consensus().members());
  s.tell_proposers(done, now, out);
  for (auto& frame : s.frames_of(std::move(done.messages)))
    out.frames.push_back(std::move(frame));
  s.nudge(out);
  s.ask_positions(now, out);
  s.ship(now, out);
  s.note_members();
  s.compare(now, done.advanced, out);
  for (const auto& each : done.refused_messages)
    out.refused.push_back(render(each));

  out.fenced = s.fenced;
  out.answers = s.desk.take_answers();
  out.applied = done.applied;
  out.advanced = done.advanced;
  out.commits = done.commits;
  if (!s.store->joining()) {
    const auto& core = s.store->consensus();
    out.role_changed = done.role_changed || core.current_term() != s.announced_term || core.leader() != s.announced_leader;
    s.announced_term = core.current_term();
    s.announced_leader = core.leader();
  }
  out.more = work_queued(now);
  return out;
}

steady_ms replicator::next_timeout() const {
  const auto& s = *state_;
  auto due = std::min({s.store->next_timeout(), s.desk.next_timeout(), s.changes.next_timeout(s.turned)});
  if (!s.store->joining())
    due = std::min(due, s.watch.next_timeout());
  for (const auto& [node, each] : s.shipments)
    due = std::min(due, each.shipper ? each.shipper->next_timeout() : steady_ms{value(each.asked) + ask_position_every_ms});
  return due;
}

bool replicator::work_queued(steady_ms now) const {
  const auto& s = *state_;
  if (s.fenced)
    return false;
  if (!s.inbox.empty() || !s.outbox.empty() || s.store->work_queued())
    return true;
  return s.desk.queued(now) && s.destination().where != proposal_desk::destination::kind::nowhere;
}

status replicator::hand_over(const std::string& to, steady_ms now) {
  auto& s = *state_;
  if (!s.leads())
    return fail(ec::not_leader, "only the leader hands leadership over");
  raft::server_id id{};
  for (const auto& member : s.store->consensus().members())
    if (member.address == to)
      id = member.id;
  if (!to.empty() && id == raft::server_id{})
    return fail(ec::configuration, "node " + to + " is not a member");
  return s.store->hand_over(id, now);
}

environment& replicator::store() { return state_->store->store(); }
log_index replicator::applied() const { return state_->store->applied(); }
bool replicator::joining() const { return state_->store->joining(); }
replica_status replicator::picture() const {
  auto out = state_->store->picture();
  out.in_flight_entries = std::max(out.in_flight_entries, state_->desk.entries());
  out.in_flight_bytes = std::max(out.in_flight_bytes, state_->desk.bytes());
  return out;
}
const raft::core& replicator::consensus() const { return state_->store->consensus(); }

cluster_picture replicator::cluster() const {
  const auto& s = *state_;
  cluster_picture out;
  out.self = picture();
  out.node = s.options.node;
  out.joining = joining();
  for (const auto& [node, each] : s.known.all())
    if (each.linked && each.position && each.position->joining)
      out.waiting_to_join.push_back(node);
  if (out.joining)
    return out;
  const auto& core = consensus();
  out.leads_surely = core.leads_surely();
  out.change = s.changes.current();
  out.leader = s.leader_name().value_or("");
  out.members_index = core.members_index();
  for (const auto& member : core.members()) {
    member_picture each;
    each.node = member.address;
    each.id = member.id;
    each.role = member.role;
    each.self = member.id == out.self.self;
    each.leader = member.id == core.leader();
    auto found = s.known.all().find(member.address);
    each.linked = each.self || (found != s.known.all().end() && found->second.linked);
    if (found != s.known.all().end())
      each.heard = found->second.heard;
    if (s.leads()) {
      each.match = each.self ? out.self.last : core.match_index(member.id);
      each.lag = value(out.self.last) - std::min(value(out.self.last), value(each.match));
    }
    out.members.push_back(std::move(each));
  }
  return out;
}

} // namespace signet::storage
