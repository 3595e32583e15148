#pragma once
// Publishes that came in and are not yet answered.
//
// The problem: PUBACKs must leave in the order in which the publishes came [4.6.0-2]; that of a batch leaves only after
// the batch is durable; and a batch whose outcome is not known must be sent again, with everything behind it, because
// later batches of the same lane may have been refused only since it was missing. Invariants:
//   * Slots are answered from the front, each once, in the order of arrival; QoS 0 publishes are slots without answer.
//   * Nothing is answered while its outcome is unknown. What may have been proposed is never called refused.
//   * After a failure at slot k, every batch from k on is submitted again in order (go-back-N). Answers of older
//     attempts are ignored. Messages that were accepted the first time are duplicates the second time: just as good.
//   * At most `window` batches are submitted at a time; the others wait, and so does reading (see full()).
// No I/O, no clock of its own.

#include "actors/session/admission.hpp"
#include "actors/session/ports.hpp"
#include "actors/session/settings.hpp"

#include <list>

namespace signet {

class inbound_window {
public:
  inbound_window(const session_settings& settings)
    : settings_{settings}, batches_{static_cast<double>(settings.batches_per_second),
                                    static_cast<double>(settings.batches_per_second)} {}

  /// A publish arrived; QoS 0: id 0. It stays unanswered until complete().
  std::uint64_t open(mqtt::packet_id id);
  /// The same for a batch: it waits for submit_ready().
  void open_batch(mqtt::packet_id id, shared_bytes raw);
  bool holds(mqtt::packet_id id) const;

  /// The answer to a slot that is no batch. `reason`: a literal for the reason string; may be empty.
  void complete(std::uint64_t slot, mqtt::reason_code code, std::string_view reason = {});
  /// What SENDERS said.
  void answered(std::uint64_t slot, std::uint32_t attempt, const batch_answer& answer, moment now);
  void failed(std::uint64_t slot, std::uint32_t attempt, ec problem, moment now, bool v5);

  struct submission {
    std::uint64_t slot = 0;
    std::uint32_t attempt = 0;
    shared_bytes raw;
  };
  /// Batches to be submitted now, in order. `all`: the client is leaving; whatever came is submitted.
  std::vector<submission> submit_ready(moment now, bool all = false);

  struct answer {
    mqtt::packet_id id = 0;        ///< 0: QoS 0, no PUBACK
    mqtt::reason_code code = mqtt::reason_code::success;
    std::string_view reason;
    shared_bytes receipt;          ///< to be published first; may be null
  };
  /// Answers that may leave now, in the order of arrival.
  std::vector<answer> take_answers();

  /// Reading must stop: the window is full, its bytes are too many, or batches wait for the rate or for a retry.
  bool full() const;
  bool empty() const { return slots_.empty(); }
  std::size_t size() const { return slots_.size(); }
  /// Whether the rate limit has held something back since the last call.
  bool was_limited() { return std::exchange(limited_, false); }
  /// There is no majority, and a publish waits for an answer that cannot be given: 3.1.1 has no word for "not taken", and
  /// of one that may have been proposed nobody can say it. The client is better off on another connection.
  bool hopeless() const { return hopeless_; }
  /// When submit_ready() has something to do again; `never` if only an answer can change that.
  steady_ms next_deadline(moment now);

private:
  enum class stage : std::uint8_t { waiting, submitted, done };
  struct slot {
    std::uint64_t number = 0;
    mqtt::packet_id id = 0;
    stage at = stage::waiting;
    mqtt::reason_code code = mqtt::reason_code::success;
    bool batch = false;
    bool maybe_proposed = false;   ///< an attempt ended without a known outcome
    std::uint32_t attempt = 0;
    steady_ms submitted_at{};
    std::optional<steady_ms> no_leader_since;  ///< when the first attempt began that found no leader, and all since
    std::string_view reason;
    shared_bytes raw;              ///< batches, until they are answered
    shared_bytes receipt;
  };
  slot* find(std::uint64_t number);
  void go_back_to(std::uint64_t number, moment now);

  const session_settings& settings_;
  token_bucket batches_;
  std::list<slot> slots_;
  std::size_t bytes_ = 0;          ///< of the batches held
  std::size_t submitted_ = 0, waiting_ = 0;
  std::uint64_t last_number_ = 0;
  std::optional<steady_ms> retry_at_;
  std::uint32_t retry_ms_ = 0;     ///< last wait; 0: none since the last success
  bool limited_ = false, hopeless_ = false;
};

} // namespace signet
