#pragma once
// DECISIONS: everything that is done to a cluster in one run, drawn from the seed before the run begins. A run is a function
// of (seed, decisions): the runner can leave out any of them and run again, and that is how a failing schedule is made
// small. Every decision undoes itself after its time, so that each subset is a sound schedule.

#include "messages/ids.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace signet::simulation {

/// Virtual time, in microseconds since the run began.
using micros = std::uint64_t;
inline constexpr micros ms = 1000;

enum class deed : std::uint8_t {
  client,        ///< a: this client works from `at` on
  equivocator,   ///< a: this client writes two messages under one number now and then
  loss,          ///< x ‰ of all frames
  doubling,      ///< x ‰ of all frames
  reordering,    ///< frames may overtake each other
  delay,         ///< mean x µs on top of the shortest way
  lost_answers,  ///< x ‰ of what clients are answered never reaches them
  drift,         ///< node a: its clocks run y ppm fast (or slow)
  clock_step,    ///< node a: its wall clock jumps by y ms
  crash,         ///< node a: stops between two turns
  crash_in_commit,  ///< node a: stops at its next commit but x: before it (y = 0) or behind it (y = 1)
  disk_error,    ///< node a: its next commit but x fails with EIO
  disk_slow,     ///< node a: every commit takes x µs
  disk_full,     ///< node a: the disk guard sees no room
  pause,         ///< node a: does nothing
  isolate,       ///< node a: alone; x = 1 nothing comes in, 2 nothing goes out, 3 both
  partition,     ///< bit mask a: these nodes against the others
  one_way,       ///< frames from node a to node b are lost
  ring,          ///< every node reaches its two neighbours only; a: which order
  bridge,        ///< two halves that have node a in common only
  half_open,     ///< frames from node a to node b are lost, and neither side's link notices
  clog,          ///< frames from node a to node b wait until it is over
  hand_over,     ///< who leads hands over to node a
  lost_disk,     ///< node a: crashes and loses its disk; comes back by way of recovery
};

/// As a node: the one that leads in the newest term when it happens; nothing happens if nobody does.
inline constexpr std::uint64_t whoever_leads = 1ULL << 40;

struct decision {
  micros at = 0;
  micros lasts = 0;  ///< 0: to the end of the faults
  deed what{};
  std::uint64_t a = 0, b = 0, x = 0;
  std::int64_t y = 0;
};
using signet::to_string;
std::string to_string(const decision& what);

/// What does not change when decisions are left out.
struct frame_of_run {
  std::uint64_t seed = 0;
  std::size_t nodes = 3;
  micros faults_end = 0;   ///< when the world heals
  /// Of the core; small numbers make old entries travel, and be lost, one by one.
  std::uint32_t in_flight_entries_max = 64, start_tail_entries = 128;
  std::uint32_t election_timeout_ms = 300, heartbeat_ms = 50;
  bool pre_vote = true;
  /// Nodes that stay down when the world heals: a minority.
  std::vector<std::size_t> left_behind;
};

struct schedule {
  frame_of_run frame;
  std::vector<decision> decisions;
};

/// Swarm testing: each class of faults is left out of a third of all seeds.
schedule draw(std::uint64_t seed);

} // namespace signet::simulation
