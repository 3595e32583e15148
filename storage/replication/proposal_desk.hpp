#pragma once
// PROPOSAL DESK: what becomes of a proposal between the client who made it and the log that answers it, on any node.
//
// The problem: the leader may be another node, may be lost while a proposal is on its way, and may have appended it or
// not. The idea: once it is known WHERE an entry was appended, (index, term), its fate is a fact: it has happened when
// the entry applied here at that index has that term, and never will when it has another one. So a proposal is
//   queued   → nowhere yet
//   sent     → to another node that leads, as far as we know; whether it was appended is unknown until that node answers
//   standing → in the log of a leader at (index, term), or handed to the own log; apply will tell
// and what surely did not happen is queued again, as is what may be said twice (idempotent) when its leader is lost.
// Anything else whose leader is lost has an unknown outcome.
//
// Decides only: no disk, no network, no clock. The order of proposals is that of their tickets, also when they are sent
// again. Bounded by desk_limits.

#include "messages/events.hpp"
#include "messages/seams.hpp"
#include "storage/peer/frame.hpp"
#include "storage/replica_store.hpp"

#include <map>
#include <set>
#include <unordered_map>

namespace signet::storage {

struct desk_limits {
  std::size_t entries_max = 8'192;
  std::size_t bytes_max = 16U << 20;
  std::uint32_t no_leader_ms = 2'000;  ///< queued for so long without a leader: not_leader
  std::uint32_t give_up_ms = 8'000;    ///< after it was made: unknown_outcome
  std::uint32_t resend_ms = 1'000;     ///< an idempotent one that its leader does not answer is sent again
  std::uint32_t again_after_ms = 10;   ///< a refused one waits before it is tried again
};

struct proposal {
  shared_bytes entry;         ///< serialised LogEntry
  bool from_reserve = false;  ///< see replica_store::propose
  bool idempotent = false;    ///< saying it twice has the effect of saying it once
  std::shared_ptr<const verified_batch> verified{};  ///< see applier::apply; stays on this node
};

class proposal_desk {
public:
  /// Tickets for other nodes count from `first_forward`, drawn at random at each start.
  proposal_desk(desk_limits limits, std::uint64_t first_forward) : limits_{limits}, forwards_{first_forward} {}

  /// Where proposals go now.
  struct destination {
    enum class kind : std::uint8_t { nowhere, own_log, other } where = kind::nowhere;
    std::string node;       ///< other: whom to send to; its link is up
    signet::term term{};    ///< of its leadership
  };

  /// overloaded: nothing was taken.
  result<proposal_ticket> take(proposal what, steady_ms now);

  struct local_proposal {
    proposal_ticket ticket{};
    proposal what;
  };
  struct dispatched {
    std::vector<local_proposal> local;             ///< propose these to the own store: then proposed() or refused()
    std::vector<peer::proposals::one> forwarded;   ///< send these to destination.node
  };
  /// What to do with whatever is queued. A destination other than before: what was sent there is lost.
  dispatched dispatch(const destination& to, steady_ms now);

  void proposed(proposal_ticket ticket, proposal_ticket in_store);
  void refused(proposal_ticket ticket, const error& why);

  struct placed {
    proposal_ticket ticket{};
    log_index index{};
    signet::term term{};
  };
  /// What another node says of what we sent it; await() each of the returned in the own store, then proposed().
  std::vector<placed> leader_answered(const std::string& node, const peer::proposals_answered& what, steady_ms now);
  /// What the own store says. False: not a ticket of ours.
  bool store_answered(proposal_ticket in_store, result<entry_result> outcome, steady_ms now);
  /// What was sent to this node and not answered may have got lost.
  void link_lost(const std::string& node, steady_ms now);

  /// Answers what has waited too long.
  void expire(steady_ms now);
  /// When expire() or dispatch() has something to do by time alone.
  steady_ms next_timeout() const;
  std::vector<proposal_answer> take_answers() { return std::exchange(answers_, {}); }

  /// Something is queued that may go at `now`.
  bool queued(steady_ms now) const;
  /// Something was sent to another node and is not answered by it.
  bool anything_sent() const { return !sent_.empty(); }
  std::size_t entries() const { return held_.size(); }
  std::size_t bytes() const { return bytes_; }

private:
  enum class stage : std::uint8_t { queued, sent, standing };
  struct held {
    proposal what;
    steady_ms made{};
    stage at = stage::queued;
    steady_ms since{};       ///< of this stage
    steady_ms not_before{};  ///< queued: not tried again earlier
    bool maybe = false;      ///< it may have been appended somewhere
    std::string node;        ///< sent
    signet::term term{};
    peer::forward_ticket forwarded{};
  };
  using position = std::map<proposal_ticket, held>::iterator;

  void answer(position which, result<entry_result> outcome);
  void queue_again(position which, steady_ms now, bool maybe);
  void lost(position which, steady_ms now);
  void unsend(held& which);

  desk_limits limits_;
  std::uint64_t forwards_;
  std::uint64_t tickets_ = 0;
  std::size_t bytes_ = 0;
  std::map<proposal_ticket, held> held_;
  std::set<proposal_ticket> queued_;
  std::unordered_map<std::uint64_t, proposal_ticket> sent_;      // by forward_ticket
  std::unordered_map<std::uint64_t, proposal_ticket> in_store_;  // by the store's ticket
  std::vector<proposal_answer> answers_;
  destination last_;
  steady_ms looked_for_orphans_{}, expired_{};
};

} // namespace signet::storage
