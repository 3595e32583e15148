#pragma once
// The inside of the replicator; shared by the files of this room only.

#include "storage/entry_proofs.hpp"
#include "storage/peer/divergence_watch.hpp"
#include "storage/peer/log_shipper.hpp"
#include "storage/peer/member_memory.hpp"
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

/// A leader asks a follower where it stands until it says so.
inline constexpr std::uint64_t ask_position_every_ms = 200;

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
  /// What is being shipped, by node name: in this leadership, over this link.
  struct shipment {
    raft::server_id to{};
    log_index target{};
    steady_ms asked{};  ///< for its position
    std::optional<peer::log_shipper> shipper;
  };
  std::map<std::string, shipment> shipments;
  signet::term shipping_term{};

  peer::member_memory memory;
  peer::divergence_watch watch;
  bool checkpoint_received = false;
  /// Ahead of our log, oldest first: a majority of the voters holds these. Entries up to the newest are appended without
  /// proofs; when one is reached, our chain must be the same, or this node fences itself.
  std::deque<peer::checkpoint> trusted;
  log_index voters_of{};
  proven_batches proven;
  std::set<std::string> complained;  ///< alarms that were raised and still stand

  steady_ms turned{};  ///< when the last turn was
  wall_ms wall{};
  signet::term blanks_of{};  ///< leadership in which blank nodes were last asked again
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

  // -- shipping.cpp ----------------------------------------------------------------------------------------------------
  void want_shipment(const std::string& node, raft::server_id to, log_index target);
  void begin_shipment(const std::string& node, const peer::position& where, replicator_turn& out);
  void ship(steady_ms now, replicator_turn& out);

  // -- watching.cpp ----------------------------------------------------------------------------------------------------
  void take_position(const std::string& from, const peer::frame& what, const peer::position& said, replicator_turn& out);
  void take_reminder(const std::string& from, const peer::rolled_back& said);
  bool believable(const std::string& from, const peer::consensus& said, replicator_turn& out);
  void ask_positions(steady_ms now, replicator_turn& out);
  void note_members();
  void compare(steady_ms now, bool advanced, replicator_turn& out);
  peer::divergence_watch::lookup own_checkpoints() const;
  void follow_majority();
  void alarm(replicator_turn& out, std::string what);

  // -- members (members.cpp) -------------------------------------------------------------------------------------------
  member_changes::leader_view leader_view(steady_ms now);
  void change_members(steady_ms now, replicator_turn& out);

  // -- proposals -------------------------------------------------------------------------------------------------------
  void dispatch(steady_ms now, replicator_turn& out);
  void tell_proposers(turn_result& done, steady_ms now, replicator_turn& out);
};

} // namespace signet::storage
