#pragma once
// BOT: an actor with an identity of its own. Follows its inbox from its durable position, runs the handler, proposes the
// effects. bot_core decides; this reads, proposes, arms timers. One on every node; it works where the node leads surely
// (REPLICA says so) and rests elsewhere. Under a supervisor: killed at any point and started again it deploys anew and
// goes on from what the log says.

#include "actors/bots/bot_core.hpp"
#include "actors/bots/bot_keys.hpp"
#include "actors/supervision/supervisor.hpp"
#include "messages/actors.hpp"
#include "storage/lmdb/environment.hpp"

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

namespace signet {

struct bot_timer_due { std::uint64_t timer = 0; };

} // namespace signet

CAF_BEGIN_TYPE_ID_BLOCK(signet_bots, first_custom_type_id + 300)
CAF_ADD_TYPE_ID(signet_bots, (signet::bot_timer_due))
CAF_END_TYPE_ID_BLOCK(signet_bots)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signet::bot_timer_due)

namespace signet {

/// BOT: woken by FAN-OUT.
using bot_actor = caf::typed_actor<
  caf::reacts_to<inbox_advanced>,                       // FAN-OUT
  caf::reacts_to<identity_changed>,                     // FAN-OUT: of no interest
  caf::reacts_to<leadership>,                           // REPLICA
  caf::reacts_to<tick_atom>,                            // INTERNAL: look again for keys
  caf::reacts_to<bot_timer_due>,                        // INTERNAL
  caf::replies_to<status_asked>::with<std::string>>;    // ADMIN

/// What every bot of a node shares. Pointers outlive the bots.
struct bot_services {
  const storage::environment* store = nullptr;
  replica_actor replica;
  fanout_actor fanout;
  std::filesystem::path keys_directory;
  clock_source* clock = &system_clock();
  random_source* random = &system_random();
  std::chrono::milliseconds propose_timeout{10'000};
  /// Called when a row of the store is not what was written; must end the process.
  std::function<void(const std::string&)> fail_stop;
};

struct bot_definition {
  std::string name;  ///< is_bot_name
  bots::bot_factory make;
  bot_rules rules;
};

class bot_state {
public:
  static inline const char* name = "bot";
  explicit bot_state(bot_actor::pointer self) : self_{self} {}
  /// Throws std::runtime_error if the keys are damaged or no cluster is founded yet: the supervisor tries again.
  void start(bot_services services, bot_definition what);
  bot_actor::behavior_type make_behavior();

  void woken(const inbox_advanced& news);
  void fired(const bot_timer_due& timer);
  void lead(const leadership& to);
  void prepare();
  std::string status() const;

private:
  void wait_for_keys(std::string why);
  void publish(const identity_version& version);
  void begin(bot_identity_here here, const permalink& who);
  void tell_leadership();
  void feed(bot_event event);
  void row_is_bad(const storage::storage_failure& why);
  void carry_out(const read_bot_inbox& order);
  void carry_out(const read_bot_lanes& order);
  void carry_out(const propose_for_bot& order);
  void carry_out(const arm_bot_timer& order);
  void carry_out(const stop_bot& order);
  bot_inbox read_inbox(const read_bot_inbox& order) const;

  bot_actor::pointer self_;
  bot_services services_;
  std::string name_;
  bots::bot_factory make_;
  bot_rules rules_;
  leadership leads_;
  std::string waits_because_;  // no keys yet; empty: it has some
  permalink who_;
  std::optional<bot_keys> keys_;
  std::unique_ptr<bot_core> core_;
  wake_flag wake_;
};

bot_actor::behavior_type bot_runner(bot_actor::stateful_pointer<bot_state> self, bot_services services, bot_definition what);

/// A bot as a child of a supervisor.
supervision::child_spec bot_child(const bot_services& services, const bot_definition& what);

} // namespace signet
