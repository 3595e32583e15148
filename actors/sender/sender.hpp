#pragma once
// SENDER: one for each author. Verifies the signature, asks the lane gate, proposes, answers with a receipt.
// SENDERS: finds or starts the author's SENDER and hands the batch on; lets idle ones go.

#include "actors/sender/lane_gate.hpp"
#include "messages/actors.hpp"
#include "messages/seams.hpp"
#include "messages/security_events.hpp"
#include "storage/lmdb/environment.hpp"

#include <array>
#include <atomic>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

namespace signet {

/// What became of messages and batches on this node, for metrics: by outcome, and refused as a whole by error. Any thread.
struct sender_counts {
  std::array<std::atomic<std::uint64_t>, static_cast<std::size_t>(outcome_code::bad_signature) + 1> messages{};
  std::array<std::atomic<std::uint64_t>, static_cast<std::size_t>(ec::internal) + 1> refused_batches{};
};

/// What a sender needs; references outlive the actors.
struct sender_services {
  const storage::environment* store = nullptr;
  cluster_id cluster;
  replica_actor replica;
  security_actor security;
  clock_source* clock = &system_clock();
  std::shared_ptr<sender_counts> counts = std::make_shared<sender_counts>();
};

class sender_state {
public:
  static inline const char* name = "sender";
  explicit sender_state(sender_actor::pointer self) : self_{self} {}
  void start(sender_services services, const permalink& author);
  sender_actor::behavior_type make_behavior();

  caf::result<batch_answer> submit(const submit_batch& request);

private:
  batch_answer answer_with(const digest& root, std::span<const outcome> outcomes, std::span<const link> links) const;
  batch_answer refuse(ec problem, const digest& root, std::uint32_t retry_after_ms = 0) const;
  void report(security_kind kind, const permalink& subject, bytes_view object, std::string detail) const;

  sender_actor::pointer self_;
  sender_services services_;
  permalink author_;
  std::optional<lane_gate> gate_;
};

sender_actor::behavior_type sender(sender_actor::stateful_pointer<sender_state> self, sender_services services,
                                   permalink author);

class senders_state {
public:
  static inline const char* name = "senders";
  explicit senders_state(senders_actor::pointer self) : self_{self} {}
  /// Ends with its senders: what they had not answered has an unknown outcome.
  ~senders_state();
  void start(sender_services services);
  senders_actor::behavior_type make_behavior();

  caf::result<batch_answer> submit(submit_batch& request);
  void tick();
  void ended(const caf::down_msg& down);
  std::string status() const;

private:
  struct running {
    sender_actor handle;
    steady_ms last_used{};
  };
  senders_actor::pointer self_;
  sender_services services_;
  std::unordered_map<permalink, running, id_hash> running_;
  std::uint64_t failures_ = 0;
};

senders_actor::behavior_type senders(senders_actor::stateful_pointer<senders_state> self, sender_services services);

} // namespace signet
