#pragma once
// The supervisor actor. child_table decides; this carries out: it calls factories, monitors, sends exits, arms timers.
//
// Monitors its children, links nobody. Every reason but a normal exit is a failure, and so is a factory that throws.
// When the budget is spent it stops its children and ends with the failing child's reason, so that its parent decides.
// A killed supervisor takes its children along.

#include "actors/supervision/messages.hpp"
#include "messages/seams.hpp"

#include <caf/actor_cast.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <unordered_map>

namespace signet::supervision {

/// What a factory may use. Lives for the call only.
class starting {
public:
  virtual ~starting() = default;
  /// Spawns on the supervisor's system: `at.self().spawn(sender, …)`, also with caf::detached.
  virtual caf::local_actor& self() = 0;
  /// The running sibling of that id; throws std::runtime_error if there is none. Under rest_for_one a child may hold
  /// the handles of those in front of it; under other strategies hold them only if a stale one is acceptable.
  virtual caf::actor sibling(std::string_view id) = 0;
  template <class Handle>
  Handle get(std::string_view id) { return caf::actor_cast<Handle>(sibling(id)); }
};

/// How to make a child and how to treat it.
struct child_spec {
  std::string id;                             ///< unique among its siblings
  std::string kind;                           ///< for people: "replica", "bot"…
  std::function<caf::actor(starting&)> start;  ///< one call for each (re)start; failing = throwing or a null handle
  restart when = restart::permanent;
  std::chrono::milliseconds shutdown_timeout{5'000};  ///< then killed
  bool is_supervisor = false;                 ///< answers ask_report
  /// Called after each successful start, in the supervisor: hand the new handle on. Must not throw or block.
  std::function<void(const caf::actor&)> on_started;
};

/// A spec from a factory that returns any handle, typed or not: worker("sender", "sender", [=](starting& at) {…}).
template <class Factory>
child_spec worker(std::string id, std::string kind, Factory factory, restart when = restart::permanent) {
  child_spec spec;
  spec.id = std::move(id);
  spec.kind = std::move(kind);
  spec.start = [factory = std::move(factory)](starting& at) { return caf::actor_cast<caf::actor>(factory(at)); };
  spec.when = when;
  return spec;
}

struct supervisor_options {
  table_rules rules;
  random_source* random = &system_random();  ///< for the jitter; outlives the supervisor
};

class supervisor_state {
public:
  static inline const char* name = "supervisor";
  explicit supervisor_state(supervisor_actor::pointer self) : self_{self} {}
  ~supervisor_state();
  void start(const supervisor_options& options, std::vector<child_spec> specs);
  supervisor_actor::behavior_type make_behavior();

  caf::result<supervisor_report> report(const ask_report& request);
  caf::result<caf::actor> find(const find_child& request);
  caf::result<child_added> add(const add_child& request);
  caf::result<child_removed> remove(const remove_child& request);
  void fired(const timer_fired& request);

private:
  class start_context;
  struct child {
    std::shared_ptr<const child_spec> spec;
    caf::actor handle;  // null: does not run
    std::vector<caf::typed_response_promise<child_removed>> removals;
  };

  steady_ms now() const;
  void child_ended(const caf::down_msg& down);
  void told_to_exit(const caf::exit_msg& request);
  void carry_out();
  void carry_out(const start_child& order);
  void carry_out(const stop_child& order);
  void carry_out(const arm_timer& order);
  void carry_out(const forget_child& order);
  void carry_out(const finish& order);
  void remember_failure(const caf::error& reason);

  supervisor_actor::pointer self_;
  std::unique_ptr<child_table> table_;
  std::unordered_map<std::uint64_t, child> children_;               // by slot
  std::unordered_map<caf::actor_id, child_slot> running_;           // by actor; DOWN of others is ignored
  strategy how_ = strategy::one_for_one;
  caf::error exit_with_;                                            // our reason when finish comes
  bool carrying_out_ = false;
};

/// Starts its children, in the order given, before it handles its first message.
supervisor_actor::behavior_type supervisor(supervisor_actor::stateful_pointer<supervisor_state> self,
                                           supervisor_options options, std::vector<child_spec> specs);

/// A supervisor as somebody's child.
child_spec nested(std::string id, supervisor_options options, std::vector<child_spec> specs,
                  restart when = restart::permanent);

/// An exit that does not queue behind the mailbox. Any thread.
void send_exit_first(const caf::actor& whom, caf::exit_reason reason);

/// The tree as JSON: {"strategy","stopping","children":[{"id","kind","state","restarts","last_reason","in_state_ms","children"}]}.
std::string to_json(const supervisor_report& report);
/// The tree as lines for a terminal, indented by two spaces a level.
std::string to_text(const supervisor_report& report);

} // namespace signet::supervision
