#pragma once
// A stable address in front of a handler that may fail: the mailbox does not die with it. The handler runs inside the
// shell; when it throws, the overseer is told (job_failed) and decides: retry_job after a back-off, or drop_job once the
// dead letter is durable. Until then inputs wait, at most `inputs_max`; beyond that a request is refused with
// sec::unavailable_or_would_block.
//
//   caf::actor address = sys.spawn(shell<job>, make_handler, overseer, 1000);

#include "actors/supervision/guard.hpp"
#include "actors/supervision/messages.hpp"
#include "actors/supervision/restartable.hpp"

#include <caf/event_based_actor.hpp>
#include <caf/stateful_actor.hpp>

namespace signet::supervision {

template <class Job>
struct shell_state {
  static inline const char* name = "shell";
  std::optional<restartable<Job>> work;
};

template <class Job>
caf::behavior shell(caf::stateful_actor<shell_state<Job>>* self, std::function<typename restartable<Job>::handler()> make,
                    caf::actor overseer, std::size_t inputs_max) {
  guard(self);
  self->state.work.emplace(std::move(make), inputs_max);
  auto run = [self, overseer] {
    if (auto failed = self->state.work->run())
      self->send(overseer, job_failed{failed->failure, failed->attempt, describe(failed->why)});
  };
  return {[self, run](Job& input) -> caf::result<void> {
            if (!self->state.work->offer(std::move(input)))
              return caf::make_error(caf::sec::unavailable_or_would_block);
            run();
            return caf::unit;
          },
          [self, run](const retry_job& order) {
            if (self->state.work->retry(order.failure))
              run();
          },
          [self, run](const drop_job& order) {
            if (self->state.work->drop(order.failure))
              run();
          }};
}

} // namespace signet::supervision
