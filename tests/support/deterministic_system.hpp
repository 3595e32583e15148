#pragma once
// An actor system on one thread with virtual time: the test decides which actor runs next and when time passes. A seed
// picks among the actors that could run, so one test covers many orders. Only the test thread may send; actors must not
// be detached (they would keep a thread of their own). The destructor kills what is left and waits for it.

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/exit_reason.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <caf/send.hpp>

#include <chrono>
#include <optional>
#include <random>
#include <vector>

namespace signet::testing {

struct deterministic_config : caf::actor_system_config {
  deterministic_config() {
    set("scheduler.policy", caf::atom("testing"));
    set("logger.verbosity", caf::atom("quiet"));
  }
};

class deterministic_system {
  deterministic_config config_;  // before the system, which refers to it

public:
  explicit deterministic_system(std::optional<std::uint64_t> seed = std::nullopt)
    : sys{config_}, sched_{dynamic_cast<caf::scheduler::test_coordinator&>(sys.scheduler())} {
    if (seed)
      random_.emplace(*seed);
  }
  deterministic_system(const deterministic_system&) = delete;
  ~deterministic_system() {
    for (const auto& handle : remembered_)
      caf::anon_send<caf::message_priority::high>(handle, caf::exit_msg{handle.address(), caf::exit_reason::kill});
    remembered_.clear();
    settle();
    sched_.clock().cancel_all();  // a pending delayed message would keep its dead target
    settle();
  }

  caf::actor_system sys;

  /// Spawns and remembers: an actor that nobody refers to would end by itself. Killed by the destructor.
  template <class F, class Arg, class... Args>
  auto spawn(F f, Arg&& arg, Args&&... args) {
    auto handle = sys.spawn(f, std::forward<Arg>(arg), std::forward<Args>(args)...);
    remember(handle);
    return handle;
  }
  /// A function of self alone. CAF 0.17 dereferences a null shared_ptr when an actor function gets no arguments, which
  /// _GLIBCXX_ASSERTIONS turns into an abort: so it gets one.
  template <class F>
  auto spawn(F f) {
    using arguments = typename caf::detail::get_callable_trait<F>::arg_types;
    using self_pointer = typename caf::detail::tl_head<arguments>::type;
    return spawn([f = std::move(f)](self_pointer self, int) { return f(self); }, 0);
  }
  template <class Handle>
  void remember(const Handle& handle) { remembered_.push_back(caf::actor_cast<caf::actor>(handle)); }

  /// One job, picked by the seed; without a seed the oldest. False: nobody can run.
  bool step() {
    auto& jobs = sched_.jobs;
    if (jobs.empty())
      return false;
    if (random_) {
      auto at = jobs.begin() + static_cast<std::ptrdiff_t>((*random_)() % jobs.size());
      std::rotate(jobs.begin(), at, at + 1);
    }
    return sched_.try_run_once();
  }
  /// Runs until nobody can run. Time stands still.
  void settle() {
    while (step()) {
    }
  }
  /// Lets time pass in steps no larger than `grain` (periodic timers re-arm in between), settling after each.
  void pass(std::chrono::nanoseconds time, std::chrono::nanoseconds grain = std::chrono::milliseconds{10}) {
    settle();
    while (time.count() > 0) {
      const auto now = std::min(time, grain);
      sched_.advance_time(now);
      settle();
      time -= now;
    }
  }
  std::chrono::steady_clock::time_point now() { return sched_.clock().now(); }
  caf::scheduler::test_coordinator& scheduler() { return sched_; }

  /// Asks and runs until the answer is there. Nothing: no answer (or an error: see `problem`).
  template <class Reply, class Handle, class Request>
  std::optional<Reply> ask(const Handle& whom, Request request, caf::error* problem = nullptr) {
    auto answer = std::make_shared<std::optional<Reply>>();
    auto error = std::make_shared<caf::error>();
    auto asker = spawn([=](caf::event_based_actor* self) {
      self->request(whom, std::chrono::seconds{3600}, request)
        .then([=](const Reply& reply) { answer->emplace(reply); }, [=](const caf::error& why) { *error = why; });
    });
    settle();
    caf::anon_send_exit(asker, caf::exit_reason::kill);
    settle();
    if (problem)
      *problem = *error;
    return *answer;
  }

private:
  caf::scheduler::test_coordinator& sched_;
  std::optional<std::mt19937_64> random_;
  std::vector<caf::actor> remembered_;
};

} // namespace signet::testing
