#pragma once
// FAN-OUT: follows the committed log by its own cursor and wakes whoever has something new. It wakes, it does not
// deliver: consumers pull from their own cursors, so a lost wake-up costs nothing but time.

#include "messages/actors.hpp"
#include "storage/lmdb/environment.hpp"

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <unordered_map>

namespace signet {

class fanout_state {
public:
  static inline const char* name = "fan-out";
  explicit fanout_state(fanout_actor::pointer self) : self_{self} {}
  /// `store` outlives the actor. Begins behind what is applied now: whoever follows looks at its inbox first.
  void start(const storage::environment& store);
  fanout_actor::behavior_type make_behavior();

  void advanced(const log_advanced& to);
  void follow(const permalink& who, const caf::actor& follower, const wake_flag& flag);
  void leave(const permalink& who, const caf::actor& follower);
  void watch(const caf::actor& registry);
  void ended(const caf::down_msg& down);
  std::string status() const;

private:
  void read_on();
  void forget(const permalink& who, const caf::actor_addr& follower);
  void wake(const permalink& who, log_index index, bool identity);

  fanout_actor::pointer self_;
  const storage::environment* store_ = nullptr;
  log_index cursor_{};   // everything up to here has been handed on
  log_index applied_{};  // what we have been told
  struct follower {
    caf::actor handle;
    wake_flag flag;
  };
  std::unordered_map<permalink, std::vector<follower>, id_hash> followers_;
  std::unordered_map<caf::actor_addr, permalink> follows_;  // a follower follows one inbox
  caf::actor registry_;  // wants to know of sessions; may be null
  std::uint64_t wakes_ = 0;
};

fanout_actor::behavior_type fanout(fanout_actor::stateful_pointer<fanout_state> self, const storage::environment* store);

} // namespace signet
