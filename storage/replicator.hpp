#pragma once
// REPLICATOR: one node of a cluster without sockets, threads and clocks: the replica store, and what it takes to be one of
// several. actors/replica is its shell; the simulator drives it directly.
//
// In: proposals of this node's clients, frames of peers, links that come and go, time. Out: answers, frames for peers,
// how far the log is applied. It
//   - takes proposals on any node: those of a follower travel to the leader and are answered from the own apply, so that
//     a client reads what it wrote (storage/replication/proposal_desk);
//   - carries the messages of consensus, under the node names that the newest configuration in the log gives to ids;
//   - sends the log itself to who is further behind than consensus remembers (storage/peer/log_shipper);
//   - looks at what comes in before it is believed: the chain hash of entries (storage/peer/chain_check), what their
//     authors signed (storage/entry_proofs), whether a member shows less than it has promised (storage/peer/member_memory);
//   - compares checkpoints with all others, and fences itself when a majority disagrees (storage/peer/divergence_watch);
//   - changes the members, one at a time (storage/replication/member_changes);
//   - tells followers at once what is committed (a message without entries, when nothing else carries it).
// Names: a member's address in the configuration is its node name; a server id belongs to one store for ever.
//
// Failures: as of replica_store (storage_failure: exit 71). `fenced` says why this node must not go on at all (exit 72).
// One replicator belongs to one thread; store() may be read from any.

#include "storage/peer/frame.hpp"
#include "storage/replica_store.hpp"
#include "storage/replication/member_changes.hpp"
#include "storage/replication/proposal_desk.hpp"

namespace signet::storage {

struct replicator_options {
  replica_options store;  ///< consensus.self may be 0: whoever the store says
  std::string node;       ///< this node's name; the address of its member
  desk_limits proposals;
  member_changes::limits changes;
  peer::process_id process;         ///< drawn at this start
  std::uint64_t first_forward = 0;  ///< drawn at this start: see proposal_desk
};

struct outgoing_frame {
  std::string to;  ///< node name; its link was up when this was made
  peer::frame what;
};
/// Takes frames that need not wait for this turn's commit: before those of replicator_turn, in order.
using early_frames = std::function<void(std::vector<outgoing_frame>)>;

/// Something of a peer that is the shell's business: admin_request, admin_answer, secret_asked, secret. Its sender's link
/// has been verified; whether it may ask is not judged here.
struct peer_request {
  std::string from;
  peer::body what;
};

struct replicator_turn {
  std::vector<proposal_answer> answers;
  std::vector<outgoing_frame> frames;
  std::vector<peer_request> requests;
  std::vector<member_changes::finished> changes;  ///< orders that have ended, those that the leader began itself too
  log_index applied{};          ///< durable and visible to readers
  bool advanced = false;        ///< `applied` has moved
  bool role_changed = false;    ///< or the leader, or the term
  std::vector<std::string> refused;  ///< what peers sent against the rules: log it
  std::vector<std::string> alarms;   ///< for the operator: nodes that disagree, a member that was rolled back, a twin
  std::optional<error> fenced;  ///< stop now, exit 72; nothing is done in this or any later turn
  std::size_t commits = 0;      ///< transactions, each one sync
  bool more = false;            ///< take another turn at once
};

/// One member, as this node sees it.
struct member_picture {
  std::string node;
  raft::server_id id{};
  raft::member_role role{};
  bool self = false, leader = false, linked = false;
  log_index match{};               ///< leader only: durable there, as far as it has said
  std::uint64_t lag = 0;           ///< leader only: entries between `match` and the end of the log
  std::optional<steady_ms> heard;  ///< when something of it came in last
};
struct cluster_picture {
  replica_status self;
  bool joining = false, leads_surely = false;
  std::string node, leader;               ///< leader: empty if unknown
  log_index members_index{};              ///< of the configuration below
  std::vector<member_picture> members;
  std::vector<std::string> waiting_to_join;  ///< linked nodes with a blank store
  std::optional<member_changes::picture> change;  ///< leader only: what is under way
};

class replicator {
public:
  /// Errors of replica_store::open; configuration: the store belongs to a member of another name.
  static result<std::unique_ptr<replicator>> open(replicator_options options, steady_ms now, wall_ms wall);
  ~replicator();

  // -- events: they queue up for the next turn, unless they say otherwise ----------------------------------------------

  /// overloaded, disk_full, malformed: nothing was taken. Else its answer comes in a turn, at most give_up_ms later: what
  /// apply said here; not_leader (no majority; nothing was written), overloaded, disk_full, malformed (nothing was
  /// written), unknown_outcome.
  result<proposal_ticket> propose(proposal what, steady_ms now);
  /// A frame that came over the verified link of this node.
  void receive(const std::string& from, peer::frame what);
  /// What is sent to this node from now on may reach it: on a new connection, too (link_down need not come first).
  void link_up(const std::string& node, steady_ms now);
  /// What is on its way to or from this node may be lost.
  void link_down(const std::string& node, steady_ms now);

  /// `now` never goes back. Call it when something is queued and at next_timeout().
  replicator_turn turn(steady_ms now, wall_ms wall, const early_frames& early = nullptr);
  steady_ms next_timeout() const;
  bool work_queued(steady_ms now) const;

  /// Sends to one linked node with the next turn; for what is the shell's business. False: no link.
  bool send(const std::string& to, peer::body what);
  /// Leader: hands leadership to this node, or to whoever is furthest when empty. not_leader, configuration.
  status hand_over(const std::string& to, steady_ms now);

  /// Leader: begins to change the members; a turn tells when it has ended. not_leader; otherwise as
  /// member_changes::begin.
  result<std::uint64_t> order(const member_order& what, steady_ms now);

  environment& store();
  log_index applied() const;
  bool joining() const;
  replica_status picture() const;
  cluster_picture cluster() const;
  const raft::core& consensus() const;  ///< not while joining()

private:
  struct state;
  explicit replicator(std::unique_ptr<state> s);
  std::unique_ptr<state> state_;
};

} // namespace signet::storage
