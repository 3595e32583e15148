#pragma once
// JUDGE: what must hold, whatever happens. It keeps its own records and believes no node.
//
//   after every turn of a node     one leader per term; term and vote never go back, over crashes too; (index, term) names
//                                  one entry and all before it; what a node has called committed is what the others call
//                                  so, and stays; a new leader holds everything committed; nothing applied that is not
//                                  committed; nothing durable that is claimed is missing; equal state hash at equal index
//   at every acknowledgement       the entry stands at that index on the node that answered, its effects are readable
//                                  there, the index is above all that was acknowledged before it was begun, and an author
//                                  who kept the rules is not refused
//   every 200 ms, one node; and    lanes, inboxes, cursors and bots are what the log gives, computed here again by a slow and
//   at the end, every node         obvious model
//   at the end                     every acknowledged message stands once, at its index; every bot input is handled once;
//                                  what was proposed once stands at most once, and not at all if a node has said so
//   every 64th seed, at the end    `signet verify` finds nothing in the stores

#include "storage/log/event_log.hpp"
#include "storage/raft/types.hpp"
#include "storage/replica_store.hpp"
#include "storage/views/read.hpp"

#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

namespace signet::simulation {

/// Something does not hold.
struct finding : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// What one node shows after a turn; everything is durable.
struct shown {
  std::size_t node = 0;
  raft::server_id id{};
  raft::role role{};
  signet::term term{};
  raft::server_id voted_for{};
  bool sole_voter = false;
  log_index committed{}, applied{};
  digest state_hash;
  const storage::environment* store = nullptr;
};

/// What the log says happened: computed from its records alone.
class model {
public:
  void take(log_index index, const storage::log_record& record);
  log_index upto() const { return upto_; }

  struct standing {
    signet::link link;
    log_index index{};
  };
  const standing* message(const lane_id& lane, std::uint64_t n) const;
  std::uint64_t lane_length(const lane_id& lane) const;
  /// Throws finding unless the views of that store, which has applied exactly upto(), are these.
  void compare(const storage::read_txn& with) const;
  /// In how many entries an input of a bot has been handled.
  const std::map<std::pair<permalink, std::uint64_t>, std::uint64_t>& handled() const { return handled_; }

private:
  struct placed {
    log_index index{};
    std::uint32_t leaf = 0;
    bool operator==(const placed&) const = default;
  };
  struct bot_model {
    std::uint64_t epoch = 0, position = 0;
  };
  struct session_model {
    public_key device;
    std::uint64_t epoch = 0;
  };
  bool take_batch(bytes_view batch, log_index index, const permalink* only_from);

  log_index upto_{};
  wall_ms time_{};
  std::set<std::pair<public_key, token_nonce>> spent_;
  std::map<public_key, permalink> sign_keys_;
  std::set<permalink> known_;
  std::map<lane_id, std::vector<standing>> lanes_;
  std::map<permalink, std::vector<placed>> inboxes_;
  std::map<std::pair<permalink, public_key>, std::uint64_t> cursors_;
  std::map<permalink, bot_model> bots_;
  std::map<std::pair<permalink, std::string>, session_model> sessions_;
  std::map<std::pair<permalink, std::uint64_t>, std::uint64_t> handled_;
};

class judge {
public:
  explicit judge(std::size_t nodes) : nodes_(nodes) {}

  void after_turn(const shown& what);
  /// Before its first turn of a new life, and with what it found on its disk.
  void restarted(const shown& what);
  /// Its disk is not what it was: nothing that it promised is expected of it.
  void lost_disk(std::size_t node);

  /// The highest index that any client has seen acknowledged.
  log_index acknowledged() const { return acknowledged_; }
  /// A message: stands at `index`, says the node whose store this is.
  void acknowledged_message(const storage::read_txn& seen_by, const lane_id& lane, std::uint64_t n, const signet::link& own,
                            log_index index, log_index floor);
  /// Any other entry.
  void acknowledged_entry(const storage::read_txn& seen_by, bytes_view proposed, log_index index, log_index floor);

  /// How often these very bytes may stand in the log at the end.
  void expect_times(bytes_view proposed, std::uint64_t least, std::uint64_t most) {
    expected_times_[to_bytes(proposed)] = {least, most};
  }

  /// Lanes, inboxes… of one store, at whatever it has applied.
  void check_views(const storage::environment& store);
  /// Of the whole run, with one store that has applied everything.
  void check_acknowledged(const storage::environment& store);

  log_index committed() const { return log_index{committed_.size()}; }
  std::size_t acknowledgements() const { return messages_.size() + entries_.size(); }
  std::size_t leaderships() const { return leaders_.size(); }

private:
  struct known_record {
    signet::term term{};
    digest hash;
    bool operator==(const known_record&) const = default;
  };
  struct node_record {
    signet::term term{};
    raft::server_id voted_for{};
    std::vector<known_record> log;  ///< as it stands in its store
    std::uint64_t committed = 0;    ///< what it has called committed in this life
    signet::term led{};
  };
  struct acknowledged_one {
    lane_id lane;
    std::uint64_t n = 0;
    signet::link own;
    log_index index{};
  };
  void follow_log(const shown& what, node_record& mine, const storage::read_txn& from);
  void check_votes(const shown& what, node_record& mine);
  [[noreturn]] static void find(const shown& what, const std::string& sentence);

  std::vector<node_record> nodes_;
  std::map<signet::term, raft::server_id> leaders_;
  std::map<std::pair<std::uint64_t, std::uint64_t>, digest> records_;  ///< (index, term) → hash
  std::vector<known_record> committed_;                                ///< index 1 first
  /// For each of them, the term of the node that called it committed first. An entry of an old term may be committed in
  /// a later one: only leaders of terms after that must hold it (a late leader of a term in between need not).
  std::vector<term> committed_in_;
  std::vector<std::optional<digest>> state_hashes_;                    ///< index 1 first
  log_index acknowledged_{};
  std::vector<acknowledged_one> messages_;
  std::vector<std::pair<log_index, bytes>> entries_;
  std::map<bytes, std::pair<std::uint64_t, std::uint64_t>> expected_times_;
  model views_;
};

} // namespace signet::simulation
