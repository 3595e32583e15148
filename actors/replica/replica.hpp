#pragma once
// REPLICA: the only writer. Gathers what has arrived into one turn of the replica store, answers what it has committed
// and applied, tells FAN-OUT how far the log is. Detached: it blocks in the disk.
//
// It is never restarted: after a failed write or sync nothing may be committed in this process any more, so it asks the
// node to stop (exit 71). What had been answered is durable; what had not has an unknown outcome.

#include "messages/actors.hpp"
#include "messages/seams.hpp"
#include "storage/replica_store.hpp"

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <functional>
#include <unordered_map>

namespace signet {

struct replica_services {
  std::shared_ptr<storage::replica_store> store;  ///< used by this actor's thread alone, but for its readers
  clock_source* clock = &system_clock();
  /// Called once, with exit code (71: the disk, 70: a defect) and reason; ends the process.
  std::function<void(int, const std::string&)> fail_stop;
};

class replica_state {
public:
  static inline const char* name = "replica";
  explicit replica_state(replica_actor::pointer self) : self_{self} {}
  void start(replica_services services);
  replica_actor::behavior_type make_behavior();

  caf::result<entry_answer> propose(const propose_entry& request);
  void follow(const caf::actor& fanout);
  void watch(const caf::actor& watcher);
  void turn();
  void tick();
  std::string status();

private:
  template <class Verb>
  auto guarded(Verb&& verb) -> decltype(verb());
  void arm_tick();
  void ask_for_turn();
  leadership leads_now() const;
  void tell_watchers();

  replica_actor::pointer self_;
  replica_services services_;
  fanout_actor fanout_;
  std::vector<caf::actor> watchers_;  // until they end
  leadership told_;
  std::unordered_map<std::uint64_t, caf::typed_response_promise<entry_answer>> waiting_;  // by ticket
  bool turn_pending_ = false, tick_pending_ = false;
  std::uint64_t turns_ = 0, answers_ = 0, refused_ = 0;
};

replica_actor::behavior_type replica(replica_actor::stateful_pointer<replica_state> self, replica_services services);

/// An error value of ours as CAF carries it, and back. Errors of CAF itself (timeout, receiver down) come back as
/// unknown_outcome: whoever asked sends the identical bytes again.
caf::error to_caf(const error& what);
error from_caf(const caf::error& what);

} // namespace signet
