#pragma once
// LOG SHIPPER: brings one follower up that is further behind than the core remembers, or that has nothing yet.
//
// The problem: the core keeps the newest entries only and would send a snapshot. Our state is never sent: the log itself is,
// because it is what the product remembers, and its hash chain shows every entry to be the leader's own.
// The idea: append_entries made from the stored log, from the follower's applied index on, where its log surely equals the
// leader's. Several are under way at a time; its results say how far it has got, and go to the core too, which takes over as
// soon as what it remembers reaches.
//   start → frames(), on_result() … until done(). Nothing for a while, or a refusal: again behind what was accepted.
// Rules: nothing is sent that this node does not hold; everything is sent under the term of this leadership; the follower
// never has newer rows overwritten, because its core checks every message as it checks any other; whether its log is the
// same is checked at the start by the hash at its applied index, and by the follower for every frame (chain_check).
//
// Pure: the log comes through `reader`, time as a number. Belongs to one leadership, one follower, one link: when one of them
// ends, so does the shipper.

#include "storage/peer/frame.hpp"

#include <deque>
#include <functional>

namespace signet::peer {

struct ship_options {
  std::size_t frame_entries_max = 1'024;
  std::size_t frame_bytes_max = payload_bytes_max;  ///< of payloads; one entry at least
  std::size_t frames_in_flight_max = 8;
  /// Nothing accepted for so long: again from what was accepted. Doubles each time, up to eight times as long.
  std::uint64_t answer_ms = 1'000;
};

/// Entries [from, …) of the log as it is stored, as far as they fit.
struct log_slice {
  signet::term prev_term{};  ///< of the record at from - 1; 0 and a zero hash if from is 1
  digest prev_chain;
  std::vector<raft::entry> entries;
};
/// Nothing: no record stands at `from` - 1. Else at most `entries_max` entries, and payloads of `bytes_max` together, but
/// one entry at least if there is one and `entries_max` is not 0.
using slice_reader = std::function<std::optional<log_slice>(log_index from, std::size_t entries_max,
                                                           std::size_t bytes_max)>;

class log_shipper {
public:
  /// Where the follower stands, by its own word: its applied index is where shipping begins.
  explicit log_shipper(const position& follower, ship_options options = {});

  enum class beginning : std::uint8_t {
    ships,
    diverged,  ///< it has applied something that is not in this log: one of the two nodes must be recovered
    ahead,     ///< it has applied more than this log holds: this node must not lead it
  };
  /// Compares before anything is sent.
  beginning compare(const slice_reader& log) const;

  /// What to send now. `at`: the term of this leadership; `commit`: the leader's commit index. Empty: nothing to send, or
  /// enough under way.
  std::vector<consensus> frames(steady_ms now, term at, log_index commit, const slice_reader& log);
  /// A result of the follower in this term; give it to the core, too.
  void on_result(const raft::append_entries_result& result, steady_ms now);

  /// Everything up to here is durable on the follower, and the same as here.
  log_index matched() const { return matched_; }
  /// The follower holds everything up to `target`: the core goes on alone. `target`: the index of the snapshot that the core
  /// wanted to send, or the end of the log when the follower is a new one.
  bool done(log_index target) const { return matched_ >= target; }
  /// When frames() must be called, if nothing comes in before.
  steady_ms next_timeout() const;
  std::uint64_t restarts() const { return restarts_; }

private:
  struct in_flight {
    log_index prev, last;
  };
  void begin_again();

  ship_options options_;
  position follower_;
  log_index matched_{}, sent_{};
  std::deque<in_flight> under_way_;
  steady_ms quiet_since_{};
  std::uint64_t patience_ = 1;   ///< times answer_ms
  bool refusals_count_ = true;   ///< after one, those of the frames behind it say nothing new
  std::uint64_t restarts_ = 0;
};

} // namespace signet::peer
