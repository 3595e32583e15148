#pragma once
// WORLD: one cluster, its network, its disks, its clocks, its clients, and everything that is done to them, in one thread and
// in virtual time.
//
//   nodes     take turns; a turn's frames and answers leave when its commits are through (`disk_slow`)
//   disks     LMDB in memory. A crash leaves what was committed; crashes happen between turns and at commits, before
//             them and behind them. (What a power cut leaves of a commit is tests/system/crash.)
//   network   frames may be lost, doubled, late, overtaken, or held. Each node dials each other one and sends on what it has
//             dialed, and its first frame is never overtaken; a cut ends that link after a while at either side, or is never noticed
//   clocks    each node has its own: another speed, and a wall clock that jumps
//   clients   publish, sign, send again what was not answered with the identical bytes, move cursors, open and close
//             sessions; some write two messages under one number. A bot runs where somebody leads
//
// Two phases: faults until frame.faults_end; then everything heals at once, and within 10 seconds all nodes must be equal,
// every client answered, the bot done, and a new entry committed through every node.

#include "tests/simulation/cast.hpp"
#include "tests/simulation/chance.hpp"
#include "tests/simulation/decisions.hpp"
#include "tests/simulation/judge.hpp"
#include "tests/simulation/member.hpp"

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <queue>

namespace signet::simulation {

struct run_counts {
  std::uint64_t events = 0, turns = 0, commits = 0, frames = 0, acknowledged = 0, committed = 0, leaderships = 0, crashes = 0,
                starts = 0;
  micros healed_in = 0;  ///< how long after the faults everything was well
  void add(const run_counts& other);
};

/// Told of everything that happens, when somebody wants to read it.
using trace_sink = std::function<void(micros at, const std::string& line)>;

class client;

class world {
public:
  /// `scratch`: a directory in memory, for the stores.
  world(schedule what, std::filesystem::path scratch, trace_sink trace = nullptr);
  ~world();
  world(const world&) = delete;

  /// The whole run. Throws finding.
  void run();
  const run_counts& counts() const { return counts_; }

  // -- for scenarios, which bring their own order of events -------------------------------------------------------------
  void run_until(micros end);
  micros now() const { return now_; }
  void at(micros when, std::function<void()> what);
  void start_node(std::size_t node);
  void crash_node(std::size_t node);
  bool up(std::size_t node) const { return nodes_[node].software != nullptr; }
  /// Frames from one to the other are lost (+1) until undone (-1). Links end when that lasts.
  void cut(std::size_t from, std::size_t to, int by);
  /// Keeps the disk of a node that is up as it is now, and puts it back to that, with the node down in between.
  void keep_disk(std::size_t node);
  void roll_back(std::size_t node);
  bool fenced(std::size_t node) const { return nodes_[node].fenced; }
  /// `signet recover` on a node that is down, and its start.
  void recover(std::size_t node) { lose_disk(nodes_[node], 20 * ms); }
  void add_client(std::size_t number) { do_deed({now_, 0, deed::client, number}); }
  void do_deed(const decision& what);
  std::optional<std::size_t> find_leader() const;
  const member& software(std::size_t node) const { return *nodes_[node].software; }
  class judge& judge() { return judge_; }
  /// What the node's people ask of it; the answer comes when it leaves the node. Not reachable: ec::io.
  using on_answer = std::function<void(std::size_t node, result<storage::entry_result>)>;
  struct request {
    bytes entry;
    bool from_reserve = false, idempotent = false;
  };
  void ask(std::size_t node, const request& what, on_answer then);
  /// Asked again and again, everywhere, with the identical bytes, until there is an answer.
  using on_done = std::function<void(std::size_t node, const storage::entry_result&)>;
  void insist(request what, std::uint64_t who, on_done then);
  const storage::environment& store(std::size_t node) const { return nodes_[node].software->store(); }
  /// Heals everything and waits until all is well; throws finding if it takes longer than 10 s.
  void heal_and_settle();

  // -- for clients -----------------------------------------------------------------------------------------------------
  std::size_t nodes() const { return frame_.nodes; }
  bool quiet() const { return quiet_; }
  std::uint64_t seed() const { return frame_.seed; }
  bool equivocates(std::size_t client) const { return equivocators_.contains(client); }
  wall_ms true_time() const;
  void say(const std::string& line) const {
    if (trace_)
      trace_(now_, line);
  }
  bool traced() const { return trace_ != nullptr; }
  std::vector<bool> published;  ///< of the cast: acknowledged somewhere

private:
  struct event {
    micros at = 0;
    std::uint64_t number = 0;
    std::function<void()> what;
    bool operator>(const event& other) const { return at != other.at ? at > other.at : number > other.number; }
  };
  struct asked {
    on_answer then;
  };
  struct armed_disk {
    std::uint64_t commits = 0;
    bool behind = false, error = false;
    micros down_for = 0;
  };
  struct bot_runner {
    std::uint64_t epoch = 0, position = 0;
    bool waiting = false;
  };
  struct node {
    std::size_t number = 0;
    std::filesystem::path directory;
    std::unique_ptr<member> software;
    std::uint64_t life = 0, next_turn = 0;
    std::uint64_t turns_in = 0, turns_there = 0;  ///< which 100 ms, and how many turns in them
    micros turn_at = 0, busy_until = 0, paused_until = 0;
    double speed = 1;
    std::int64_t wall_step_ms = 0;
    micros slow_commit = 0;
    int disk_full = 0;
    bool stays_down = false;
    bool rolled_back = false, fenced = false;
    bool recovering = false;  ///< its disk was lost, and it does not vote again yet
    std::vector<armed_disk> armed;
    std::map<storage::proposal_ticket, asked> waiting;
    bot_runner bot;
  };

  // time
  steady_ms steady(const node& x) const;
  wall_ms wall(const node& x) const;
  micros world_time(const node& x, steady_ms at) const;
  // nodes
  member_options options_of(const node& x);
  void wake(node& x, micros when);
  void turn(node& x);
  bool inside(node& x, const std::function<void()>& what);
  void after_turn(node& x, member::turned done);
  void release(node& x, std::uint64_t life, member::turned done);
  void fell(node& x, micros down_for, const std::string& why);
  static void on_commit(storage::commit_moment when, const std::filesystem::path& directory);
  void bot_tick(std::size_t node);
  void lose_disk(node& x, micros down_for);
  void operate();
  // network
  struct link {
    std::uint64_t connection = 0;  ///< the newest; frames of older ones are lost
    bool up = false, dialing = false;
    int cut = 0;      ///< how many faults stop frames here
    int muted = 0;    ///< the same, unnoticed
    micros cut_since = 0, held_until = 0, last_arrival = 0;
    std::optional<micros> opened;  ///< when the first frame of this connection arrives: before all others, as links see to it
    chance frames, life;
    link(std::uint64_t seed, std::uint64_t which) : frames{seed, 5, which}, life{seed, 7, which} {}
  };
  link& between(std::size_t from, std::size_t to) { return links_[from * frame_.nodes + to]; }
  const link& between(std::size_t from, std::size_t to) const { return links_[from * frame_.nodes + to]; }
  bool passable(std::size_t one, std::size_t other) const {
    return between(one, other).cut == 0 && between(other, one).cut == 0;
  }
  void send(std::size_t from, sent_frame what);
  void deliver(std::size_t from, std::size_t to, std::uint64_t connection, const wire_frame& frame);
  void dial(std::size_t from, std::size_t to, micros after);
  void lose_link(std::size_t from, std::size_t to);
  void lose_links_of(std::size_t node);
  void cut_groups(const std::function<bool(std::size_t, std::size_t)>& apart, micros lasts);
  void undo_after(micros lasts, std::function<void()> undo);
  void insist_again(std::shared_ptr<struct errand> what);
  bool all_well(std::string* why_not);
  void verify_stores();

  frame_of_run frame_;
  std::vector<decision> decisions_;
  std::filesystem::path scratch_;
  trace_sink trace_;
  class judge judge_;
  run_counts counts_;

  micros now_ = 0;
  std::uint64_t event_numbers_ = 0;
  std::priority_queue<event, std::vector<event>, std::greater<>> future_;
  bool healed_ = false, quiet_ = false;
  std::uint64_t unanswered_ = 0;

  std::deque<node> nodes_;
  node* running_ = nullptr;  ///< whose code is on the stack
  std::vector<link> links_;
  std::uint64_t loss_ = 0, doubling_ = 0, delay_ = 0, lost_answers_ = 0;
  bool reordering_ = false;
  chance answers_;

  std::set<std::size_t> equivocators_;
  std::vector<std::unique_ptr<client>> clients_;
};

} // namespace signet::simulation
