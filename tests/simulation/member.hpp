#pragma once
// MEMBER: the product in one node, from a start to its end. The only part of the simulator that knows how the product is
// driven.

#include "storage/replicator.hpp"
#include "tests/simulation/decisions.hpp"
#include "tests/simulation/judge.hpp"

#include <filesystem>

namespace signet::simulation {

/// What one node sends to another: a peer::frame as it travels.
using wire_frame = bytes;
using sent_frame = std::pair<std::size_t, wire_frame>;  ///< and to whom

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
  /// What `signet recover` leaves where a store was lost.
  static void make_blank(const member_options& options);
  /// Throws what the disk throws.
  member(const member_options& options, steady_ms now, wall_ms wall);

  result<storage::proposal_ticket> propose(const bytes& entry, bool from_reserve, bool idempotent, steady_ms now);
  void receive(std::size_t from, const wire_frame& frame);
  void link_up(std::size_t peer, steady_ms now);
  void link_down(std::size_t peer, steady_ms now);
  void hand_over(std::size_t to, steady_ms now);

  struct turned {
    std::vector<storage::proposal_answer> answers;
    std::vector<sent_frame> frames;
    std::vector<std::string> refused, alarms;
    std::optional<error> fenced;
    std::size_t commits = 0;
    bool more = false;
  };
  /// `early` takes what leaves before the commit.
  turned turn(steady_ms now, wall_ms wall, const std::function<void(sent_frame)>& early);
  steady_ms next_timeout() const;

  /// What an operator does whose node is not what it should be: adds it, or makes it vote.
  void order(const storage::member_order& what, steady_ms now) { (void)software_->order(what, now); }
  storage::cluster_picture cluster() const { return software_->cluster(); }
  bool joining() const { return software_->joining(); }

  shown show() const;
  bool leads_surely() const;
  storage::environment& store() const;

private:
  std::size_t node_;
  std::unique_ptr<storage::replicator> software_;
};

} // namespace signet::simulation
