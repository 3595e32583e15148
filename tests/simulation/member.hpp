#pragma once
// MEMBER: the product in one node, from a start to its end. The only part of the simulator that knows how the product is
// driven.

#include "storage/replica_store.hpp"
#include "tests/simulation/decisions.hpp"
#include "tests/simulation/judge.hpp"

#include <filesystem>

namespace signet::simulation {

/// What one node sends to another.
using wire_frame = raft::incoming;

struct member_options {
  std::filesystem::path directory;
  std::size_t node = 0;   ///< 0…; its server id as a founder is one more
  std::uint64_t life = 0; ///< how often it has started
  frame_of_run frame;
  std::function<storage::space()> measure;
};

class member {
public:
  /// All founders' stores are made with the same words.
  static void found(const member_options& options);
  /// Throws what the disk throws.
  member(const member_options& options, steady_ms now, wall_ms wall);

  result<storage::proposal_ticket> propose(bytes_view entry, bool from_reserve);
  void receive(std::size_t from, const wire_frame& frame);
  void link_up(std::size_t peer);
  void link_down(std::size_t peer);
  void hand_over(std::size_t to, steady_ms now);

  struct turned {
    std::vector<storage::proposal_answer> answers;
    std::vector<std::pair<std::size_t, wire_frame>> frames;
    std::size_t commits = 0;
    bool more = false;
  };
  turned turn(steady_ms now, wall_ms wall);
  steady_ms next_timeout() const;

  shown show() const;
  bool leads_surely() const;
  storage::environment& store() const;

private:
  std::size_t node_;
  std::unique_ptr<storage::replica_store> store_;
};

} // namespace signet::simulation
