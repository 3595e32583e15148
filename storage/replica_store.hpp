#pragma once
// REPLICA STORE: the replica's turn without actors. It owns the consensus core and the one environment, and is the only
// writer of the data directory.
//
// The problem: an entry must be durable, committed, applied and answered in this order, one disk sync must carry many
// entries, and a kill at any moment must lose nothing that was answered.
// The idea: proposals and peer messages queue up; turn() feeds them to the core and puts everything that comes out of it
// (new entries, term and vote, effects of what is committed, applied index) into ONE transaction. Answers and messages
// are returned after its commit.
// Invariants: an answer is given only for an entry that is durable (on a majority) and applied; the applied index in the
// store is never above the last log record; entry times never decrease.
//
// A cluster of one commits an entry by making it durable here, so its effects go into the same transaction: one sync a
// turn. With several voters an entry is applied in a later turn, when a majority has it.
//
// Failures: open() and found() return them. After that every failure of the disk, and a core that says stop, is thrown as
// storage_failure: the process must exit (71); a restart recovers from what is durable. Belongs to one thread.

#include "messages/bytes.hpp"
#include "messages/seams.hpp"
#include "storage/lmdb/environment.hpp"
#include "storage/peer/frame.hpp"
#include "storage/peer/log_shipper.hpp"
#include "storage/raft/core.hpp"
#include "storage/views/apply.hpp"

#include <functional>
#include <memory>
#include <vector>

namespace signet::storage {

/// What a cluster begins with; the same on every founding member.
struct founding {
  cluster_id cluster;
  raft::configuration members;
};

struct replica_options {
  std::filesystem::path directory;
  std::uint64_t map_bytes = 64ULL << 30;
  unsigned readers_max = 126;
  /// consensus.self names this node in founding.members; 0 when opening: whoever the store says it is. Remembering many entries behind a snapshot costs next to nothing,
  /// because their bytes stand in the log: so followers that were away are served from there.
  raft::options consensus{.trailing_entries = 1U << 20};
  /// How many applied entries a start reads for the same purpose. Larger than consensus.in_flight_entries_max.
  std::uint32_t start_tail_entries = 512;
  /// A store of another cluster is refused; none: whichever stands there.
  std::optional<cluster_id> expected_cluster;
  /// Accepted and not yet answered; above: ec::overloaded.
  std::size_t in_flight_entries_max = 8'192;
  std::size_t in_flight_bytes_max = 16U << 20;
  /// What one transaction takes at most; the rest waits for the next turn.
  std::size_t turn_entries_max = 1'024;
  std::size_t turn_bytes_max = 8U << 20;
  /// Payloads in one append_entries; more are split over several.
  std::size_t append_bytes_max = peer::payload_bytes_max;
  /// Proposals are refused with ec::disk_full while less than the larger of both is free; those from the reserve are
  /// refused below a sixteenth of it.
  std::uint64_t reserve_bytes = 256ULL << 20;
  unsigned reserve_percent = 5;
  /// Draws the name of a new store.
  random_source* random = &system_random();
  /// How much is free; for tests. Default: the environment's own measure().
  std::function<space()> measure;
};

/// Names a proposal until it is answered: 1, 2, 3… in this process.
enum class proposal_ticket : std::uint64_t {};

struct proposal_answer {
  proposal_ticket ticket{};
  /// What apply said, once durable on a majority and applied. Errors: not_leader (nothing happened and never will: it was
  /// not appended, or another entry has taken its place), unknown_outcome (await() only: it happened, but too long ago).
  /// While nobody knows whether an entry of a lost leadership survives, there is no answer: who cannot wait gives up.
  result<entry_result> outcome;
};

/// A message for a peer, entries filled in; prev_chain as in peer::consensus.
struct outgoing_message {
  raft::server_id to{};
  raft::message body;
  digest prev_chain;
};
/// Takes messages that need not wait for this turn's commit, in order, before those of turn_result.
using early_messages = std::function<void(std::vector<outgoing_message>)>;

/// Where a proposal stands in the log of a leader.
struct appended_proposal {
  proposal_ticket ticket{};
  log_index index{};
  signet::term term{};
};

/// How far the log and the state go; all of it is durable.
struct log_end {
  log_index last{};
  signet::term last_term{};
  log_index applied{};
  signet::term applied_term{};
  digest applied_chain;  ///< hash of the record at `applied`
};

struct turn_result {
  std::vector<proposal_answer> answers;   ///< in the order of their log indexes
  log_index applied{};                    ///< everything up to here is durable and visible to readers
  bool advanced = false;                  ///< `applied` has moved: wake the fan-out
  std::vector<appended_proposal> appended;  ///< in this turn
  std::vector<outgoing_message> messages;   ///< for peers
  std::vector<error> refused_messages;    ///< what peers sent against the rules; log them
  /// The leader does not remember what this node lacks: the log must be shipped to it by other means, and until then
  /// this node only listens.
  std::optional<raft::snapshot_meta> far_behind;
  bool role_changed = false;
  std::size_t commits = 0;                ///< transactions, each one sync
  bool more = false;                      ///< proposals are still queued: take another turn at once
};

struct replica_status {
  cluster_id cluster;
  raft::server_id self{};
  raft::role role{};
  raft::server_id leader{};  ///< 0: unknown
  signet::term term{};
  log_index last{}, committed{}, applied{};
  digest state_hash;
  std::size_t in_flight_entries = 0, in_flight_bytes = 0;
  bool disk_low = false;
};

class replica_store {
public:
  /// Whether a store was founded in this directory, or at least begun: then open() says not_found until found() is done.
  static bool present(const std::filesystem::path& directory);
  /// Whether found() or make_blank() was done. Reads only. Errors: as environment::open.
  static result<bool> founded(const std::filesystem::path& directory);

  /// Makes the durable state with which a founding member starts: term 1 and the configuration at index 1, in one
  /// transaction. already_exists: a store stands there. A crash leaves either nothing or all of it.
  static status found(const replica_options& options, const founding& what);

  /// Makes a joining store: it belongs to a cluster, has no server id, and waits for assign(). already_exists as above.
  static status make_blank(const replica_options& options, const cluster_id& cluster);

  /// Opens a founded or joining store, makes a new term durable if this node votes alone, starts the core and takes the first turn:
  /// a cluster of one has applied its whole log when this returns. Reads the last start_tail_entries records and what is
  /// not applied yet, so it is fast however long the log is.
  /// not_found (no store; found() it), locked, wrong_format, configuration (another cluster, another node), corrupt, io.
  static result<std::unique_ptr<replica_store>> open(replica_options options, steady_ms now, wall_ms wall);

  ~replica_store();

  /// Queues a serialised LogEntry (messages/entries.hpp); the next turns take it. Its timeMs is set here.
  /// overloaded, disk_full, malformed: nothing was queued. `from_reserve`: cursor advances, closings, security events,
  /// which go on while the disk is low, because they are small or make room. `verified`: see applier::apply.
  result<proposal_ticket> propose(bytes_view entry, bool from_reserve = false,
                                  std::shared_ptr<const verified_batch> verified = {});
  /// What propose() would say of it now. Not `leading`: the disk of the leader is what counts.
  status proposable(bytes_view entry, bool from_reserve, bool leading);
  /// Answers when the entry at `index` is applied here: with what apply said, if it is the one of that term. For
  /// proposals that another node has appended. Applied already: with what it said, if that is still remembered.
  proposal_ticket await(log_index index, term at);
  /// Whether to keep what apply says, for await() calls that come after it: the last few thousand entries.
  void remember_results(bool on);
  /// Queues what a peer sent. A joining store drops it.
  void receive(raft::incoming message);

  /// One turn. `now` for elections, `wall` for entry times. Call it when something is queued and at next_timeout().
  turn_result turn(steady_ms now, wall_ms wall, early_messages early = nullptr);
  steady_ms next_timeout() const;
  bool work_queued() const;

  /// For readers of any thread. No write transaction but through turn().
  environment& store();
  log_index applied() const;
  replica_status picture() const;
  log_end end_of_log() const;
  struct record_in_log {
    signet::term term{};
    digest chain;  ///< hash of the record
  };
  std::optional<record_in_log> find_record(log_index index) const;
  /// Durable entries [from, …) as peer::slice_reader says.
  std::optional<peer::log_slice> read_slice(log_index from, std::size_t entries_max, std::size_t bytes_max) const;
  /// Chain and state hash after the entry at `index`: for the last few thousand applied in this process, and for the one
  /// that was applied when it started.
  std::optional<peer::checkpoint> checkpoint_at(log_index index) const;
  /// Whatever else shall be durable with the next transaction; called in each, just before its commit.
  void with_commits(std::function<void(write_txn&)> also);
  peer::store_id name_of_store() const;
  /// Has no server id and no consensus() yet.
  bool joining() const;
  /// Makes a joining store a member under this id, which no server may ever have had: durable when it returns.
  /// already_exists: it is one.
  status assign(raft::server_id self, steady_ms now, wall_ms wall);
  /// Read only; its events come through here. Not while joining().
  const raft::core& consensus() const;
  /// Membership and hand-over of leadership (see raft::core); what they append is written by the next turn.
  status change_members(const raft::configuration& next, steady_ms now);
  status catch_up(raft::server_id learner, steady_ms now);
  status hand_over(raft::server_id to, steady_ms now);

private:
  struct state;
  explicit replica_store(std::unique_ptr<state> s);
  std::unique_ptr<state> state_;
};

} // namespace signet::storage
