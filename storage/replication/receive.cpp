// What peers say, and who may say it.

#include "storage/replication/state.hpp"

namespace signet::storage {

void replicator::state::take_frames(steady_ms now, wall_ms wall, replicator_turn& out) {
  for (auto& each : std::exchange(inbox, {})) {
    if (fenced)
      return;
    take(each.from, each.what, now, wall, out);
  }
}

void replicator::state::take(const std::string& from, peer::frame& what, steady_ms now, wall_ms wall,
                             replicator_turn& out) {
  known[from].heard = now;
  // What was meant for the server that stood here before its disk was lost.
  if (what.to != raft::server_id{} && what.to != self())
    return;
  std::visit(cases{[&](peer::consensus& said) { take_consensus(from, what, said, out); },
                   [&](peer::position_asked&) { send(out, from, what.from, own_position()); },
                   [&](peer::position& said) { take_position(from, what, said, out); },
                   [&](peer::checkpoint& said) {
                     if (known[from].quarantined)
                       return;
                     watch.receive(from, said);
                     checkpoint_received = true;
                     memory.note_committed(from, what.from, said.index, wall);
                   },
                   [&](peer::rolled_back& said) { take_reminder(from, said); },
                   [&](peer::proposals& said) { take_proposals(from, said, out); },
                   [&](peer::proposals_answered& said) {
                     for (const auto& placed : desk.leader_answered(from, said, now))
                       desk.proposed(placed.ticket, store->await(placed.index, placed.term));
                   },
                   [&](peer::member_assigned& said) { take_assignment(said, now, wall, out); },
                   [&](auto& said) { out.requests.push_back({from, std::move(said)}); }},
             what.body);
}

void replicator::state::take_consensus(const std::string& from, peer::frame& what, peer::consensus& said,
                                       replicator_turn& out) {
  if (store->joining() || what.to != self())
    return;
  if (!known.admit(from, what.from)) {
    out.refused.push_back("node " + from + " speaks as server " + to_string(what.from) + ", which it is not");
    return;
  }
  if (std::holds_alternative<raft::install_snapshot>(said.message)) {
    out.refused.push_back("node " + from + " announces a snapshot, which travels only as a log");
    return;
  }
  auto& sender = known[from];
  if (!sender.position) {
    // It may be a member whose disk was put back: first it says where it stands.
    send(out, from, {}, peer::position_asked{});
    return;
  }
  if (sender.quarantined || !believable(from, said, out))
    return;
  memory.note_term(from, what.from, what.sender_term, wall);
  // What a leader calls committed was acknowledged to it by others, so it was appended in an earlier turn: it is durable
  // there, and must be there whenever it comes back.
  if (const auto* append = std::get_if<raft::append_entries>(&said.message))
    memory.note_committed(from, what.from, append->leader_commit, wall);
  if (const auto* result = std::get_if<raft::append_entries_result>(&said.message); result != nullptr && leads())
    if (auto found = shipments.find(from); found != shipments.end() && found->second.shipper &&
                                           result->term == store->consensus().current_term())
      found->second.shipper->on_result(*result, turned);
  store->receive({what.from, what.sender_term, std::move(said.message)});
}

void replicator::state::take_proposals(const std::string& from, peer::proposals& what, replicator_turn& out) {
  peer::proposals_answered refused;
  for (auto& each : what.list) {
    // What was refused once must stay refused: its proposer believes that nothing happened.
    if (!known[from].proposals.take(static_cast<std::uint64_t>(each.ticket)))
      continue;
    auto ticket = [&]() -> result<proposal_ticket> {
      if (!leads() || !known.member(from) || known[from].quarantined)
        return fail(ec::not_leader);
      if (auto proven_here = check_proofs(each.entry, &proven); !proven_here)
        return tl::make_unexpected(proven_here.error());
      return store->propose(each.entry, each.from_reserve);
    }();
    if (ticket)
      foreigners.emplace(static_cast<std::uint64_t>(*ticket), foreign{from, each.ticket});
    else
      refused.list.push_back({each.ticket, ticket.error().code, {}, {}});
  }
  if (!refused.list.empty())
    send(out, from, {}, std::move(refused));
}

void replicator::state::take_assignment(const peer::member_assigned& what, steady_ms now, wall_ms wall,
                                        replicator_turn& out) {
  if (what.store != store->name_of_store() || what.cluster != store->picture().cluster)
    return;
  // Told again: the leader has not heard that we know it.
  if (!store->joining() && what.id != self())
    return;
  if (store->joining())
    if (auto good = store->assign(what.id, now, wall); !good) {
      out.refused.push_back("server id " + to_string(what.id) + ": " + render(good.error()));
      return;
    }
  for (const auto& [node, each] : known.all())
    if (each.linked)
      outbox.emplace_back(node, own_position());
}

} // namespace signet::storage
