#pragma once
// PEERS: the other nodes as this one knows them: names, server ids, links.
//
// A name is proved by the link. Which server ids it may speak for is told by the newest configuration in the log; a node
// that lags behind accepts a name it does not know yet, and a higher id than the one it knows, because ids only grow.

#include "messages/seams.hpp"
#include "storage/peer/frame.hpp"

#include <deque>
#include <map>
#include <unordered_set>

namespace signet::storage {

/// Numbers that have come in, the newest few thousand: a doubled frame must not be taken twice.
class taken_numbers {
public:
  /// False: it had been taken before.
  bool take(std::uint64_t number) {
    if (!taken_.insert(number).second)
      return false;
    in_order_.push_back(number);
    if (in_order_.size() > remembered_max) {
      taken_.erase(in_order_.front());
      in_order_.pop_front();
    }
    return true;
  }

private:
  static constexpr std::size_t remembered_max = 16'384;
  std::unordered_set<std::uint64_t> taken_;
  std::deque<std::uint64_t> in_order_;
};

struct known_peer {
  bool linked = false;
  raft::server_id id{};                    ///< last one it has spoken under; 0: none yet
  std::optional<peer::position> position;  ///< what it told last over this link
  bool quarantined = false;                ///< what it told is not to be trusted: nothing of it goes to consensus
  steady_ms asked{};                       ///< for its position, by the leader
  std::optional<steady_ms> heard;
  taken_numbers proposals;                 ///< its forward tickets
  log_index commit_told{};                 ///< the highest commit index that was sent to it over this link
};

class peers {
public:
  known_peer& operator[](const std::string& node) { return known_[node]; }
  const std::map<std::string, known_peer>& all() const { return known_; }
  bool linked(const std::string& node) const;
  /// In the newest configuration.
  bool member(const std::string& node) const;

  /// Follows the newest configuration.
  void follow(log_index index, const raft::configuration& members);
  /// Whether `node` may speak for server `id`; remembers it.
  bool admit(const std::string& node, raft::server_id id);
  std::optional<std::string> name_of(raft::server_id id) const;

private:
  std::map<std::string, known_peer> known_;
  raft::configuration members_;
  std::optional<log_index> followed_;
};

} // namespace signet::storage
