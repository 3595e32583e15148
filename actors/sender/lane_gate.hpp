#pragma once
// LANE GATE: judges a batch before it is proposed, knowing what is applied and what is still in flight. A courtesy with
// a purpose: what cannot be accepted does not reach the log. Apply judges again, for good.
//
// A client sends its next batch before the last one is committed, so the gate remembers, for each lane with batches in
// flight, the tail it expects. When an answer is not as predicted, or not known, the lane is uncertain until all its
// batches are answered: a message that would be a gap then may well be the next one, so it is neither refused nor
// proposed; the session sends it again a little later.

#include "messages/envelope/batch.hpp"
#include "messages/ids.hpp"
#include "messages/outcome.hpp"
#include "storage/views/lane_judge.hpp"

#include <unordered_map>
#include <vector>

namespace signet {

/// What the gate asks of the applied state. One object serves one judge() call.
class lane_lookup {
public:
  virtual ~lane_lookup() = default;
  /// n = 0 and a zero link: nothing yet.
  virtual lane_tail tail(const lane_id& lane) = 0;
  /// 1 <= n <= tail.
  virtual storage::standing_message standing(const lane_id& lane, lane_number n) = 0;
  virtual bool recipient_known(const permalink& who) = 0;
  /// The evidence of this fork stands in the log already.
  virtual bool fork_known(const lane_id& lane, lane_number n, const link& refused) = 0;
};

class lane_gate {
public:
  lane_gate(const permalink& author, const cluster_id& cluster) : author_{author}, cluster_{cluster} {}

  struct verdict {
    /// What apply will say if nothing else happens; `index` of an accepted one is not known yet.
    std::vector<outcome> outcomes;
    /// True: nothing can be said now; ask again a little later.
    bool uncertain = false;
    /// False: answer with `outcomes`, nothing is to be written. True: propose the batch, then call settled().
    bool anything_to_write = false;
    std::uint64_t ticket = 0;
  };
  /// `barred`: why this key may not send new messages (revoked_key, wrong_key_purpose); what stands is a duplicate even so.
  verdict judge(const public_key& signer, std::span<const message_view> messages,
                std::optional<outcome_code> barred, lane_lookup& applied);
  /// The batch of that ticket has been answered. Empty `actual`: the outcome is unknown.
  void settled(std::uint64_t ticket, std::span<const outcome> actual);

  std::size_t lanes_in_flight() const { return in_flight_.size(); }

private:
  struct lane_in_flight {
    lane_tail tail;
    std::size_t batches = 0;  // exactly those in batches_ that name this lane
    bool uncertain = false;
  };
  struct batch_in_flight {
    std::vector<lane_id> lanes;       // those it moves
    std::vector<outcome> predicted;
  };

  permalink author_;
  cluster_id cluster_;
  std::unordered_map<lane_id, lane_in_flight, id_hash> in_flight_;
  std::unordered_map<std::uint64_t, batch_in_flight> batches_;
  std::uint64_t last_ticket_ = 0;
};

} // namespace signet
