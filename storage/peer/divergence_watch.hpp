#pragma once
// DIVERGENCE WATCH: do all nodes still say the same at the same index?
//
// The problem: two nodes that have applied the same entries must hold the same log and the same state. A defect, a flipped
// bit in memory or somebody's hand can break that on one of them, and nothing in consensus would notice: it compares
// indexes and terms. Then the same question gets two answers, depending on who is asked.
// The idea: every node tells the others its checkpoint (hash chain and state hash, both rolling, so they cover everything
// before) at every multiple of 1,000 entries and every 10 seconds. Who gets one compares it with its own at that index. When
// two differ, everybody who can tells its own at that very index, and the majority of the voters decides who is odd.
// The verdict: `odd_one` only against a majority that agrees against this node; with one vote against another nobody can
// tell, which is an alarm for people. Equal checkpoints say that everything up to there is equal; a state that was damaged at
// rest shows once an entry makes something of it, and until then `signet verify` finds it.
//
// Pure: no clock, no store; own checkpoints come through `lookup`. Bounded in every direction. One thread.

#include "storage/peer/frame.hpp"

#include <functional>
#include <map>
#include <set>

namespace signet::peer {

struct watch_options {
  std::uint64_t every_entries = 1'000;
  std::uint64_t every_ms = 10'000;
  /// Checkpoints ahead of us that one peer may have waiting here; further ones are dropped until those are compared.
  std::size_t held_per_peer_max = 64;
  /// Indexes about which votes are kept.
  std::size_t kept_max = 64;
  /// Answers to checkpoints that differ, in a second.
  std::uint32_t answers_per_s_max = 16;
};

enum class watch_verdict : std::uint8_t {
  fine,
  alarm,    ///< somebody differs: another node is odd, or nobody can tell who
  odd_one,  ///< a majority of the voters agrees on something else: this node must fence itself
};
std::string_view name(watch_verdict x);

struct divergence {
  watch_verdict verdict = watch_verdict::fine;
  log_index index{};                   ///< the lowest one that is known to differ
  bool log_differs = false;            ///< the hash chain; false: the state alone
  std::vector<std::string> differing;  ///< names that say something else than this node
  std::vector<std::string> agreeing;   ///< names that say the same
  std::string why;                     ///< a sentence for the log; empty if fine
  bool operator==(const divergence&) const = default;
};

class divergence_watch {
public:
  /// This node's checkpoint at an index; nothing: it is not applied, or too long ago.
  using lookup = std::function<std::optional<checkpoint>(log_index)>;

  explicit divergence_watch(std::string self, watch_options options = {}) : self_{std::move(self)}, options_{options} {}

  /// Who votes; the names of all voters, this node included if it is one.
  void set_voters(std::vector<std::string> voters) { voters_ = {voters.begin(), voters.end()}; }
  /// What this node said no longer counts: it is gone, or has come back with another store.
  void forget(const std::string& node);

  /// A peer has told its checkpoint. The next step() compares it.
  void receive(const std::string& node, const checkpoint& told);

  struct outcome {
    std::vector<checkpoint> tell;  ///< to every linked node
    /// Where things stand; the same until it changes.
    divergence now;
    bool changed = false;          ///< `now` is another than that of the step before: log it
  };
  /// To be called when something was received or applied, and at next_timeout(). `applied` is durable.
  outcome step(steady_ms now, log_index applied, const lookup& own);
  steady_ms next_timeout() const { return next_tick_; }

  /// What a node that has just come should hear, so that it need not wait for the next checkpoint.
  std::vector<checkpoint> newest(log_index applied, const lookup& own) const;

  /// The newest checkpoint in which a majority of the voters, this node not counted, agrees: what a node that is shipped
  /// the log may trust in.
  std::optional<checkpoint> agreed_by_majority() const;

private:
  struct at_index {
    std::optional<checkpoint> own;
    bool told = false;
    std::map<std::string, checkpoint> claims;
  };
  bool disputed(const at_index& votes) const;
  std::size_t majority() const { return voters_.size() / 2 + 1; }
  std::optional<checkpoint> majority_among(const at_index& votes, bool with_own) const;
  divergence judge() const;
  void tell(at_index& votes, outcome& out) const;
  bool may_answer(steady_ms now);
  void prune(log_index applied);

  std::string self_;
  watch_options options_;
  std::set<std::string> voters_;
  std::map<log_index, at_index> votes_;
  std::optional<log_index> seen_applied_;
  steady_ms next_tick_{};
  std::uint64_t answers_second_ = 0;
  std::uint32_t answers_ = 0;
  divergence last_;
};

} // namespace signet::peer
