#pragma once
// CORE: consensus as events in, updates out. No disk, no network, no clock, no thread: the driver brings all four.
//
// The problem: several servers must agree on one log although any of them may stop at any moment and messages get lost.
// The invariants, which hold if and only if the driver does the duties of `update` in their order:
//   one leader per term; (index, term) names one entry and everything before it; what is committed never changes;
//   a server claims an entry as its own only after the driver has reported it durable.
//
// Inside stands libraft 0.22 behind a C shim (shim.h) that carries our workarounds for its known defects. Nothing of it
// shows here, so the engine can be replaced.
//
// Errors of every step function:
//   ec::malformed    this input breaks the rules and was dropped; the core is unchanged. Log it: peers are trusted.
//   ec::not_leader   only a leader can do this, and it is none, or is handing over. Nothing happened.
//   ec::overloaded   a change of the configuration cannot begin now; try again later. Nothing happened.
//   ec::configuration  a change of the configuration that must never happen online. Nothing happened.
//   ec::internal, ec::corrupt   fatal: the core is dead (failed() is true, every later step answers the same).
//                    internal: begin again from durable state. corrupt: a committed entry conflicts; stop for good.
// One core belongs to one thread at a time.

#include "storage/raft/types.hpp"

#include <memory>
#include <utility>

namespace signet::raft {

struct options {
  server_id self{};
  /// Randomised between 1× and 2× per election.
  std::uint32_t election_timeout_ms = 300;
  /// Keep it above a round trip, else followers are probed instead of pipelined (slow, not unsafe).
  std::uint32_t heartbeat_ms = 50;
  /// How long a leader waits before it announces a snapshot again; above the time that carrying a state over takes.
  std::uint32_t install_snapshot_timeout_ms = 30'000;
  /// Entries on their way to one follower.
  std::uint32_t in_flight_entries_max = 256;
  /// Entries remembered behind a snapshot. Must be larger than in_flight_entries_max of every member.
  std::uint32_t trailing_entries = 1024;
  /// Different for each server and each start.
  std::uint32_t seed = 1;
  bool pre_vote = true;
#ifdef SIGNET_TEST_HOOKS
  /// Bit n set: workaround Wn (see shim.c) is off. For the tests that show what it is good for.
  std::uint32_t workarounds_off = 0;
#endif
};

/// Orders the driver's writes: see core::persisted. 0 is "nothing to write".
enum class write_number : std::uint64_t {};

/// What the driver must do after a step, in the order of the fields, before it takes the next step of the same core.
struct update {
  // -- 1. make durable; one transaction for all of it, or separate ones in exactly this order --------------------------
  /// Replace the stored hard state. NO message of this or any later update may leave before it is durable.
  std::optional<raft::hard_state> hard_state;
  /// Drop everything stored at or above `first`, then append. A crash before it is durable loses nothing: nobody has
  /// been told that we hold these entries.
  struct append {
    log_index first{};
    std::vector<entry> entries;
    log_index last() const { return log_index{value(first) + entries.size() - 1}; }
  };
  std::optional<append> entries;
  /// Replace the whole log by the state at this snapshot, atomically: log begins at index + 1, state is that one.
  /// Until snapshot_persisted(), unfinished writes of entries count as cancelled.
  std::optional<snapshot_meta> install;
  /// Number of this write. When everything up to and including it is durable: persisted(write).
  write_number write{};

  // -- 2. send -------------------------------------------------------------------------------------------------------
  /// May leave once every hard state so far is durable; entries need not be. May be lost, delayed, doubled, reordered.
  /// An append_entries with fill_count takes its entries from the log as it stands after part 1 of this very update.
  std::vector<outgoing> messages;

  // -- 3. apply and answer ---------------------------------------------------------------------------------------------
  /// Everything up to here is committed; never smaller than what an earlier update said. May be beyond what is durable
  /// on this server: apply up to min(committed, durable), or in the same transaction that makes the rest durable.
  std::optional<log_index> committed;
  /// role(), current_term() or leader() may have changed. Proposals of a lost leadership have an unknown outcome until
  /// the entry applied at their index shows its term.
  bool role_changed = false;

  bool empty() const {
    return !hard_state && !entries && !install && messages.empty() && !committed && !role_changed;
  }
};

/// What was found on disk, checked and ready to start.
class boot {
public:
  /// `first_index` is the index of the first of `entries`; 1 without a snapshot, else at most snapshot index + 1.
  /// ec::corrupt when these could not have been written by a core.
  static result<boot> examine(options how, hard_state stored, std::optional<snapshot_meta> snapshot, log_index first_index,
                              std::vector<entry> entries);

  /// What must be durable before core::start may run. It differs from what is stored where this server votes alone: it
  /// then begins a new term, because entries of its last term may have left and been lost here in a crash, and others
  /// under the same (index, term) must not take their place.
  hard_state must_be_durable() const { return required_; }

private:
  friend class core;
  boot() = default;
  options options_;
  hard_state required_;
  std::optional<snapshot_meta> snapshot_;
  log_index first_index_{1};
  std::vector<entry> entries_;
};

class core {
public:
  /// `durable` says which hard state stands on disk now; refused with ec::internal unless it is from.must_be_durable().
  /// The first update has duties like every other.
  static result<core> start(boot from, hard_state durable, steady_ms now, update& first);

  core(core&&) noexcept;
  core& operator=(core&&) noexcept;
  ~core();

  // -- events ----------------------------------------------------------------------------------------------------------
  // `now` never goes back.

  /// Appends commands to the log; this server must lead. Their indexes are those of update.entries, in order. They
  /// happened when the entry applied at that index has current_term() of now. There is no limit here: the driver bounds
  /// last_index() - commit_index().
  result<update> submit(std::vector<bytes> commands, steady_ms now);
  /// A message from another server of the configuration.
  result<update> receive(incoming from_peer, steady_ms now);
  /// All writes up to and including this one are durable. Writes that a later update truncated are clipped here.
  result<update> persisted(write_number durable, steady_ms now);
  /// The state of update.install is durable and loaded; `snapshot` is what it said.
  result<update> snapshot_persisted(const snapshot_meta& snapshot, steady_ms now);
  /// next_timeout() has come. Harmless when early.
  result<update> timeout(steady_ms now);
  /// The application state is durable up to `applied` (whose entry has term `at`): entries more than trailing_entries
  /// below it are forgotten here. Does nothing when `applied` is not above the last snapshot.
  result<update> snapshot_taken(log_index applied, signet::term at, steady_ms now);

  // -- membership (leader only) ----------------------------------------------------------------------------------------

  /// Proposes the next configuration: the current one with one member appended, one removed, or one role changed, all
  /// others in place and order. Refused with ec::overloaded until an entry of the own term is committed, no other change
  /// is pending and every voter holds the latest change; with ec::configuration for any step between one and two voters.
  result<update> change(const configuration& next, steady_ms now);
  /// Begins to bring a member that does not vote up to date, and appends a barrier; then watch caught_up(). While it runs:
  /// only the barrier, without which a round of it does not end in a cluster where nothing else is appended.
  result<update> catch_up(server_id learner, steady_ms now);
  enum class learner_state : std::uint8_t { none, running, aborted, finished };
  learner_state caught_up(server_id learner) const;
  /// Hands leadership to `to` (0: whoever is furthest). Proposals are refused with ec::not_leader meanwhile.
  result<update> transfer(server_id to, steady_ms now);

  // -- what it knows ---------------------------------------------------------------------------------------------------

  raft::role role() const;
  signet::term current_term() const;
  server_id voted_for() const;
  /// Never goes back.
  log_index commit_index() const;
  log_index last_index() const;
  /// 0: unknown.
  server_id leader() const;
  /// Call timeout() then. Always at least a few milliseconds after the `now` of the last step.
  steady_ms next_timeout() const;
  /// This server leads and an entry of its term is committed: what it knows to be committed is all there is.
  bool leads_surely() const;
  /// The newest configuration in the log names this server as its only voter. Then whatever it appends is committed by
  /// becoming durable here, and may be applied in the transaction that makes it durable.
  bool sole_voter() const;
  /// The newest configuration in the log, and its index; index 0: none yet.
  const configuration& members() const;
  log_index members_index() const;
  /// The newest configuration at or below `index`, as a snapshot there needs it.
  std::pair<log_index, configuration> members_at(log_index index) const;
  /// Leader only: up to where the log of `who` is known to be the same; 0 if unknown.
  log_index match_index(server_id who) const;
  bool installing() const;
  bool failed() const;
#ifdef SIGNET_TEST_HOOKS
  /// What the engine inside believes, which must be what the log says; addresses are left out.
  configuration members_inside() const;
  log_index pending_change_inside() const;
#endif

private:
  struct state;
  explicit core(std::unique_ptr<state> s);
  std::unique_ptr<state> state_;
};

} // namespace signet::raft
