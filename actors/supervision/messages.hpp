#pragma once
// What supervisors are asked and told. All of it stays inside the process and is never serialised: child_added carries
// functions. messages/actors.hpp holds the interfaces of the actors that are supervised.

#include "actors/supervision/child_table.hpp"

#include <caf/actor.hpp>
#include <caf/fwd.hpp>
#include <caf/replies_to.hpp>
#include <caf/type_id.hpp>
#include <caf/typed_actor.hpp>

#include <functional>
#include <memory>

namespace signet::supervision {

/// One child and, if it is a supervisor, what it supervises.
struct child_report {
  std::string id;
  std::string kind;                ///< of the spec: "supervisor", "replica", "bot"…
  child_state state = child_state::stopped;
  std::uint64_t restarts = 0;      ///< since its supervisor started
  std::string last_reason;         ///< why it failed last; empty: never
  std::uint64_t in_state_ms = 0;   ///< how long it has been in this state
  bool answered = true;            ///< false: a supervisor that did not answer in time; `children` is unknown
  std::vector<child_report> children;
};
/// A supervisor and its children, in start order.
struct supervisor_report {
  strategy how = strategy::one_for_one;
  bool stopping = false;
  std::vector<child_report> children;
};

struct child_spec;

/// ANYBODY → SUPERVISOR: a picture of yourself and of what is below. A nested supervisor gets half of `patience`.
struct ask_report { std::chrono::milliseconds patience{2'000}; };
/// ANYBODY → SUPERVISOR: the handle of this child as it is now. Error: no such child, or it does not run.
struct find_child { std::string id; };
/// ANYBODY → SUPERVISOR: append this child and start it. Error: that id exists, or the supervisor stops.
struct add_child { std::shared_ptr<const child_spec> spec; };
/// ANYBODY → SUPERVISOR: stop this child and forget it. The reply means: it has ended. Error: no such child.
struct remove_child { std::string id; };
struct child_added { caf::actor handle; };  ///< null: its first start failed or waits; it will be tried again
struct child_removed { bool abandoned = false; };  ///< true: it did not end even after a kill, and was left alone
/// INTERNAL: a timer of the child table.
struct timer_fired { timer_id timer{}; };

/// SHELL → OVERSEER: the handler failed on the input at the front. Answer with retry_job or drop_job, to the sender.
struct job_failed {
  std::uint64_t failure = 0;
  std::uint64_t attempt = 0;
  std::string reason;   ///< describe() of the exception: no contents
};
/// OVERSEER → SHELL: try again with a new handler; about failure `failure` only, so late ones do nothing.
struct retry_job { std::uint64_t failure = 0; };
/// OVERSEER → SHELL: the dead letter is durable; go on behind this input.
struct drop_job { std::uint64_t failure = 0; };

} // namespace signet::supervision

#define SIGNET_SUPERVISION_MESSAGE(type) CAF_ADD_TYPE_ID(signet_supervision, (signet::supervision::type))
CAF_BEGIN_TYPE_ID_BLOCK(signet_supervision, first_custom_type_id + 200)
SIGNET_SUPERVISION_MESSAGE(supervisor_report)
SIGNET_SUPERVISION_MESSAGE(ask_report)
SIGNET_SUPERVISION_MESSAGE(find_child)
SIGNET_SUPERVISION_MESSAGE(add_child)
SIGNET_SUPERVISION_MESSAGE(remove_child)
SIGNET_SUPERVISION_MESSAGE(child_added)
SIGNET_SUPERVISION_MESSAGE(child_removed)
SIGNET_SUPERVISION_MESSAGE(timer_fired)
SIGNET_SUPERVISION_MESSAGE(job_failed)
SIGNET_SUPERVISION_MESSAGE(retry_job)
SIGNET_SUPERVISION_MESSAGE(drop_job)
CAF_END_TYPE_ID_BLOCK(signet_supervision)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signet::supervision::supervisor_report)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signet::supervision::ask_report)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signet::supervision::find_child)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signet::supervision::add_child)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signet::supervision::remove_child)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signet::supervision::child_added)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signet::supervision::child_removed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signet::supervision::timer_fired)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signet::supervision::job_failed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signet::supervision::retry_job)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signet::supervision::drop_job)

namespace signet::supervision {

/// SUPERVISOR: starts, watches, restarts and stops its children. Told to exit it stops them in reverse order, then ends.
using supervisor_actor = caf::typed_actor<
  caf::replies_to<ask_report>::with<supervisor_report>,
  caf::replies_to<find_child>::with<caf::actor>,
  caf::replies_to<add_child>::with<child_added>,
  caf::replies_to<remove_child>::with<child_removed>,
  caf::reacts_to<timer_fired>>;  // INTERNAL

} // namespace signet::supervision
