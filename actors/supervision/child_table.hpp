#pragma once
// What a supervisor decides: who is started, stopped, restarted, and when to give up. Plain C++: it knows neither
// actors nor clocks; events go in with their time, orders come out of next().
//
// The problem: children end at any moment, several at once, also while others are being stopped or wait for their
// restart, and timers arrive late. Invariants:
//  1. Children are started in the order of the table, and under one_for_all and rest_for_one from one event.
//  2. Children are stopped in reverse order, one after the other: each has ended (or was abandoned) before the next is told.
//  3. A failure costs one unit of the restart budget, however many siblings have to go with it. Without budget the whole
//     table stops and finish{gave_up} comes last.
//  4. Only the newest timer of a child (or of the group) has an effect; each arm_timer carries a number of its own.
//  5. After finish nothing is ordered any more.

#include "actors/supervision/backoff.hpp"
#include "actors/supervision/restart_budget.hpp"
#include "messages/errors.hpp"

#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

namespace signet::supervision {

/// Whom a failure takes along.
enum class strategy : std::uint8_t {
  one_for_one,   ///< nobody
  one_for_all,   ///< all siblings
  rest_for_one,  ///< the siblings that stand behind it in the table: those that may hold its handle
};

/// When a child is started again. A child that is `temporary` is forgotten when it ends, however it ends.
enum class restart : std::uint8_t {
  permanent,  ///< whenever it ends, also normally
  transient,  ///< when it failed: any reason but a normal exit
  temporary,  ///< never
};

enum class child_state : std::uint8_t {
  running,
  stopping,     ///< told to stop, has not ended yet
  backing_off,  ///< waits for its restart, or for siblings that stop
  stopped,      ///< transient and done, or the supervisor stops
};
std::string_view name(strategy x);
std::string_view name(restart x);
std::string_view name(child_state x);

/// A child's place in the table; rises in the order of adding, never used twice.
enum class child_slot : std::uint64_t {};
enum class timer_id : std::uint64_t {};

struct child_rule {
  std::string id;  ///< unique among its siblings
  restart when = restart::permanent;
  /// From "please stop" to kill, and once more from kill to "abandoned". 0: killed at once.
  std::chrono::milliseconds shutdown_timeout{5'000};
};

struct table_rules {
  strategy how = strategy::one_for_one;
  intensity_rule intensity;
  /// Waits grow with each failure in a row; a child (under the other strategies: the group) that ran for
  /// `intensity.window` since its last restart starts again at the first.
  backoff_rule backoff;
};

// Orders, to be carried out in the order in which next() returns them.
struct start_child { child_slot slot; };             ///< then call started() or start_failed() before the next next()
struct stop_child { child_slot slot; bool kill; };   ///< send an exit; ended() follows when it has ended
struct arm_timer { timer_id timer; std::chrono::milliseconds delay; };  ///< then call fired()
struct forget_child { child_slot slot; bool abandoned; };  ///< the row is gone; abandoned: it never ended after a kill
struct finish { bool gave_up; };                     ///< nothing runs any more: end, with the failure if gave_up
using order = std::variant<start_child, stop_child, arm_timer, forget_child, finish>;

/// A row as others may see it.
struct child_row {
  child_slot slot{};
  std::string id;
  child_state state = child_state::stopped;
  std::uint64_t restarts = 0;      ///< starts after the first
  std::string last_reason;         ///< of the last failure; empty: none
  std::chrono::milliseconds in_state{};  ///< how long it has been in this state
};

class child_table {
public:
  /// `random` must outlive the table.
  child_table(table_rules rules, random_source& random);

  /// Appends a child; it is ordered to start at once, or together with the group if the group waits for a restart.
  /// already_exists, or overloaded if the supervisor is stopping.
  result<child_slot> add(child_rule rule, steady_ms now);
  /// Stops the child and forgets it: forget_child follows, at once if it does not run. Siblings stay as they are.
  /// not_found.
  result<child_slot> remove(std::string_view id, steady_ms now);
  /// Stops everything in reverse order; finish follows. A second call changes nothing.
  void stop(steady_ms now);

  void started(child_slot slot, steady_ms now);
  /// The factory failed: counts like a child that ended.
  void start_failed(child_slot slot, std::string reason, steady_ms now);
  /// The child has ended; `normal` if that was a normal exit. Unknown slots are ignored.
  void ended(child_slot slot, bool normal, std::string reason, steady_ms now);
  /// A timer has fired; one that is no longer wanted is ignored.
  void fired(timer_id timer, steady_ms now);

  std::optional<order> next();

  /// True from the moment at which the budget was exceeded, or a killed child did not end.
  bool gave_up() const { return gave_up_; }
  bool stopping() const { return phase_ != phase::running; }
  std::optional<child_slot> find(std::string_view id) const;
  std::vector<child_row> rows(steady_ms now) const;
  std::size_t size() const { return rows_.size(); }

private:
  enum class phase : std::uint8_t { running, stopping, finished };
  struct row {
    child_rule rule;
    child_state state = child_state::backing_off;
    steady_ms since{};
    steady_ms started_at{};
    std::uint64_t starts = 0;
    std::uint64_t failures = 0;  // in a row; one_for_one only
    std::string last_reason;
    timer_id timer{};            // the one that counts; 0: none
    bool killed = false;         // while stopping
    bool removing = false;
  };
  using rows_map = std::map<child_slot, row>;

  void enter(row& r, child_state state, steady_ms now);
  void arm(child_slot slot, row& r, std::chrono::milliseconds delay);
  void disarm(row& r);
  void arm_group(std::chrono::milliseconds delay);
  void disarm_group();
  void begin_stop(child_slot slot, row& r, steady_ms now);
  void fail(rows_map::iterator at, std::string reason, steady_ms now);
  void open_round(rows_map::iterator failed, steady_ms now);
  void stop_next(steady_ms now);
  void stop_all(steady_ms now);
  void give_up(steady_ms now);
  rows_map::iterator erase(rows_map::iterator at, bool abandoned);
  void after_end(steady_ms now);

  table_rules rules_;
  random_source& random_;
  restart_budget budget_;
  rows_map rows_;
  std::map<std::string, child_slot, std::less<>> by_id_;
  std::deque<order> orders_;
  std::set<child_slot> due_;          // to be started
  std::set<child_slot> stop_wanted_;  // to be stopped, highest first, one at a time
  std::optional<child_slot> stop_ordered_;  // of stop_wanted_: told, has not ended
  std::size_t live_ = 0;              // running or stopping
  std::unordered_map<std::uint64_t, child_slot> timers_;  // the timers that count, but for the group's
  timer_id group_timer_{};
  bool round_ = false;                // a group waits for its restart
  std::uint64_t group_failures_ = 0;  // in a row
  steady_ms group_started_{};
  std::uint64_t last_slot_ = 0, last_timer_ = 0;
  phase phase_ = phase::running;
  bool gave_up_ = false;
};

} // namespace signet::supervision
