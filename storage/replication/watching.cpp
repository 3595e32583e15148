// What makes this node believe a peer, and what makes it doubt itself.

#include "storage/replication/state.hpp"

#include "storage/peer/chain_check.hpp"

namespace signet::storage {

/// Once, as long as it stands.
void replicator::state::alarm(replicator_turn& out, std::string what) {
  constexpr std::size_t complaints_max = 256;
  if (complained.size() > complaints_max)
    complained.clear();
  if (complained.insert(what).second)
    out.alarms.push_back(std::move(what));
}

void replicator::state::take_position(const std::string& from, const peer::frame& what, const peer::position& said,
                                      replicator_turn& out) {
  auto judged = memory.judge(from, what.from, what.sender_term, said, wall);
  auto& who = known[from];
  who.quarantined = judged.verdict != peer::member_verdict::fine;
  if (who.quarantined) {
    alarm(out, judged.why);
    // A twin is not told: the one that is in the right would stop, too.
    if (judged.verdict != peer::member_verdict::twin)
      send(out, from, {}, judged.reminder);
    who.position.reset();
    return;
  }
  who.position = said;
  who.id = what.from;
  begin_shipment(from, said, out);
  if (!store->joining())
    for (const auto& checkpoint : watch.newest(store->applied(), own_checkpoints()))
      send(out, from, {}, checkpoint);
}

/// Somebody remembers more of this store than stands in it.
void replicator::state::take_reminder(const std::string& from, const peer::rolled_back& said) {
  if (store->joining() || said.store != store->name_of_store() || !known.member(from))
    return;
  auto end = store->end_of_log();
  fenced = error{ec::corrupt,
                 "node " + from + " remembers this store with term " + to_string(said.term_seen) + " and log index " +
                   to_string(said.index_seen) + ", and it shows term " + to_string(store->consensus().current_term()) +
                   " and " + to_string(end.last) + ": the disk was put back to an older state, or this is a copy. Next: "
                   "signet recover --config FILE --name " + options.node};
}

/// Whether what a peer appends may go to consensus: it continues our log by content, and holds nothing that its authors have
/// not signed.
bool replicator::state::believable(const std::string& from, const peer::consensus& said, replicator_turn& out) {
  const auto* append = std::get_if<raft::append_entries>(&said.message);
  if (append == nullptr || append->term < store->consensus().current_term())
    return true;  // of a leadership that is over: consensus refuses it, whatever it says
  auto end = store->end_of_log();
  auto diverged = peer::find_divergence(*append, said.prev_chain, end.applied,
                                        [this](log_index index) -> std::optional<peer::known_record> {
                                          auto found = store->find_record(index);
                                          if (!found)
                                            return std::nullopt;
                                          return peer::known_record{found->term, found->chain};
                                        });
  if (diverged) {
    // Whose fault it is, the checkpoints of all nodes tell.
    alarm(out, "node " + from + " leads with another log: " + *diverged);
    return false;
  }
  auto index = append->prev_index;
  for (const auto& e : append->entries) {
    index = next(index);
    if (e.type != raft::entry_type::command || (!trusted.empty() && index <= trusted.back().index))
      continue;
    if (auto here = index <= end.last ? store->find_record(index) : std::nullopt; here && here->term == e.term)
      continue;  // the same entry stands here already
    if (auto good = check_proofs(e.payload, &proven); !good) {
      alarm(out, "node " + from + " appends at index " + to_string(index) + " what nobody has signed: " + render(good.error()));
      return false;
    }
  }
  return true;
}

/// What a node tells when its link comes up may be lost; the leader needs it. Its heartbeats are turns often enough.
void replicator::state::ask_positions(steady_ms now, replicator_turn& out) {
  if (!leads())
    return;
  for (const auto& [node, each] : known.all()) {
    if (!each.linked || each.position || value(each.asked) + ask_position_every_ms > value(now))
      continue;
    known[node].asked = now;
    send(out, node, {}, peer::position_asked{});
  }
}

void replicator::state::note_members() {
  if (!leads())
    return;
  const auto& core = store->consensus();
  // 0: it has acknowledged nothing in this term, and may not even know of it.
  for (const auto& member : core.members())
    if (member.id != core.leader() && core.match_index(member.id) != log_index{})
      memory.note_acknowledged(member.address, member.id, core.current_term(), core.match_index(member.id),
                               core.commit_index(), wall);
}

peer::divergence_watch::lookup replicator::state::own_checkpoints() const {
  return [this](log_index index) { return store->checkpoint_at(index); };
}

/// What a majority of the voters holds needs no proofs: they have checked them. A signature costs 60 us, so an empty node
/// would need most of its time for what its peers have done already.
void replicator::state::follow_majority() {
  constexpr std::size_t trusted_max = 64;
  while (!trusted.empty() && trusted.front().index <= store->applied()) {
    const auto here = store->find_record(trusted.front().index);
    if (!here || here->chain != trusted.front().chain) {
      fenced = error{ec::corrupt, "the log that was shipped to this node differs at index " +
                                    to_string(trusted.front().index) + " from what a majority of the voters holds. Next: "
                                    "signet recover --config FILE --name " + options.node};
      return;
    }
    trusted.pop_front();
  }
  if (!checkpoint_received || leads() || trusted.size() >= trusted_max)
    return;
  auto ahead = trusted.empty() ? store->consensus().last_index() : trusted.back().index;
  if (auto agreed = watch.agreed_by_majority(); agreed && agreed->index > ahead)
    trusted.push_back(*agreed);
}

void replicator::state::compare(steady_ms now, bool advanced, replicator_turn& out) {
  if (store->joining())
    return;
  const auto& core = store->consensus();
  if (voters_of != core.members_index()) {
    voters_of = core.members_index();
    std::vector<std::string> voters;
    for (const auto& member : core.members())
      if (member.role == raft::member_role::voter)
        voters.push_back(member.address);
    watch.set_voters(std::move(voters));
    checkpoint_received = true;  // what was heard before may count now
  }
  if (!advanced && !checkpoint_received && watch.next_timeout() > now)
    return;
  follow_majority();
  checkpoint_received = false;
  auto found = watch.step(now, store->applied(), own_checkpoints());
  for (const auto& checkpoint : found.tell)
    for (const auto& [node, each] : known.all())
      if (each.linked && known.member(node))
        send(out, node, {}, checkpoint);
  if (!found.changed)
    return;
  if (found.now.verdict == peer::watch_verdict::odd_one)
    fenced = error{ec::corrupt, found.now.why};
  else if (found.now.verdict == peer::watch_verdict::alarm)
    out.alarms.push_back(found.now.why);
}

} // namespace signet::storage
