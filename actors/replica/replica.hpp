#pragma once
// REPLICA: the only writer. Gathers what has arrived into one turn of the replica store, answers what it has committed
// and applied, tells FAN-OUT how far the log is. Detached: it blocks in the disk.
//
// With other nodes it is the shell of the replicator: their frames come in from LINKS and count as unprocessed until
// the turn that took them is over; what is for them is handed to LINKS, what need not wait for the disk before the commit.
//
// It is never restarted: after a failed write or sync nothing may be committed in this process any more, so it asks the
// node to stop (exit 71; 72 when the node must not go on because of what others know). What had been answered is
// durable; what had not has an unknown outcome.

#include "actors/replica/operator_desk.hpp"
#include "messages/actors.hpp"
#include "messages/histogram.hpp"
#include "messages/seams.hpp"
#include "storage/replicator.hpp"

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <filesystem>
#include <functional>
#include <unordered_map>

namespace signet {

class links;

struct replica_services {
  std::shared_ptr<storage::replicator> replicator;  ///< used by this actor's thread alone, but for its readers
  clock_source* clock = &system_clock();
  /// Called once, with exit code (70: a defect, 71: the disk, 72: fenced) and reason; ends the process.
  std::function<void(int, const std::string&)> fail_stop;
  std::shared_ptr<links> to_peers;  ///< null: this node stands alone
  /// Where the secret of the cluster lies or will lie; empty: it is neither given to peers nor asked for.
  std::filesystem::path keys_directory{};
  /// Called by every turn and timer of the loop; empty: nobody wants to know.
  std::function<void()> alive{};
};

class replica_state {
public:
  static inline const char* name = "replica";
  explicit replica_state(replica_actor::pointer self) : self_{self} {}
  void start(replica_services services);
  replica_actor::behavior_type make_behavior();

  caf::result<entry_answer> propose(const propose_entry& request);
  void link_changed(const peer_link_changed& what);
  void frame_arrived(const peer_frame_arrived& what);
  caf::result<caf::unit_t> hand_over(const hand_over_asked& request);
  caf::result<std::string> operate(const operator_asked& request);
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
  void tell_role();
  void send_frames(std::vector<storage::outgoing_frame> frames);

  replica_actor::pointer self_;
  replica_services services_;
  fanout_actor fanout_;
  std::vector<caf::actor> watchers_;  // until they end
  leadership told_;
  void answer_operators();
  void ask_for_secret(const std::string& node);
  void share_secret(const storage::peer_request& what);

  struct waiting_proposal {
    caf::typed_response_promise<entry_answer> promise;
    std::chrono::steady_clock::time_point since;
  };
  std::unordered_map<std::uint64_t, waiting_proposal> waiting_;  // by ticket
  std::optional<operator_desk> desk_;
  std::unordered_map<std::uint64_t, caf::typed_response_promise<std::string>> operators_;  // by number of the desk
  latency_histogram commit_seconds_{latency_bounds};
  count_histogram turn_entries_{count_bounds};
  std::vector<std::shared_ptr<const void>> credits_;  // of frames that the next turn takes
  std::string told_role_;
  std::uint64_t armed_for_ = 0;  // ms of the clock
  bool turn_pending_ = false, tick_pending_ = false;
  bool has_secret_ = true;
  steady_ms secret_asked_{};
  std::uint64_t turns_ = 0, answers_ = 0, refused_ = 0, frames_in_ = 0, frames_out_ = 0, frames_unsent_ = 0;
};

replica_actor::behavior_type replica(replica_actor::stateful_pointer<replica_state> self, replica_services services);

/// An error value of ours as CAF carries it, and back. Errors of CAF itself (timeout, receiver down) come back as
/// unknown_outcome: whoever asked sends the identical bytes again.
caf::error to_caf(const error& what);
error from_caf(const caf::error& what);

} // namespace signet
