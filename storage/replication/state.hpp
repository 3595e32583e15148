#pragma once
// The inside of the replicator; shared by the files of this room only.

#include "storage/replication/peers.hpp"
#include "storage/replicator.hpp"

#include <deque>

namespace signet::storage {

template <class... F>
struct cases : F... {
  using F::operator()...;
};
template <class... F>
cases(F...) -> cases<F...>;

struct replicator::state {
  replicator_options options;
  std::unique_ptr<replica_store> store;
  proposal_desk desk;
  peers known;

  /// What came in since the last turn.
  struct received {
    std::string from;
    peer::frame what;
  };
  std::deque<received> inbox;
  std::vector<std::pair<std::string, peer::body>> outbox;
  /// Proposals of other nodes in our log or on the way to it, by the store's ticket.
  struct foreign {
    std::string node;
    peer::forward_ticket ticket{};
  };
  std::unordered_map<std::uint64_t, foreign> foreigners;
  member_changes changes;
  std::optional<error> fenced;
  steady_ms turned{};  ///< when the last turn was
  signet::term announced_term{};
  raft::server_id announced_leader{};

  state(replicator_options from, std::unique_ptr<replica_store> opened);

  // -- what it knows -------------------------------------------------------------------------------------------------
  bool leads() const { return !store->joining() && store->consensus().role() == raft::role::leader; }
  raft::server_id self() const { return store->joining() ? raft::server_id{} : store->picture().self; }
  std::optional<std::string> leader_name() const;
  proposal_desk::destination destination() const;

  // -- frames out ----------------------------------------------------------------------------------------------------
  void send(replicator_turn& out, const std::string& node, raft::server_id to, peer::body what) const;
  std::vector<outgoing_frame> frames_of(std::vector<outgoing_message> messages);
  peer::position own_position() const;
  void nudge(replicator_turn& out);

  // -- frames in (receive.cpp) -----------------------------------------------------------------------------------------
  void take_frames(steady_ms now, wall_ms wall, replicator_turn& out);
  void take(const std::string& from, peer::frame& what, steady_ms now, wall_ms wall, replicator_turn& out);
  void take_consensus(const std::string& from, peer::frame& what, peer::consensus& said, replicator_turn& out);
  void take_proposals(const std::string& from, peer::proposals& what, replicator_turn& out);
  void take_assignment(const peer::member_assigned& what, steady_ms now, wall_ms wall, replicator_turn& out);

  // -- members (members.cpp) -------------------------------------------------------------------------------------------
  member_changes::leader_view leader_view(steady_ms now);
  void change_members(steady_ms now, replicator_turn& out);

  // -- proposals -------------------------------------------------------------------------------------------------------
  void dispatch(steady_ms now, replicator_turn& out);
  void tell_proposers(turn_result& done, steady_ms now, replicator_turn& out);
};

} // namespace signet::storage
