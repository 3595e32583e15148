#pragma once
// MEMBER CHANGES: who belongs to the cluster, one change at a time, driven by the leader's turn.
//
//   add      a linked node with a blank store becomes a member: appended as standby under a new id, told that id, and if it
//            is to vote, brought up to date and promoted
//   promote  a standby is brought up to date and votes
//   remove   a member is taken out of the configuration (never the leader itself)
//   recover  a member whose store is blank again: its old id is removed, then as add, with the role it had. The leader
//            does that by itself as soon as such a node is linked.
//
// Each step is one committed configuration; between two of them everything is safe, so a leader that is lost in the middle
// leaves a sound cluster and an order half done. The next leader does not know the order: the operator looks at
// `signet cluster status` and repeats it, which goes on where it stood. A node that was added but never told its id is
// recovered, under yet another id. Server ids are 1000 + the log index of the entry that adds them: never used twice.
//
// What raft::core refuses as a step that must never happen online (between one and two voters) ends the order; what it
// refuses for now is tried again, until nothing has moved for patience_ms.
//
// Decides only. Belongs to one thread.

#include "storage/peer/frame.hpp"
#include "storage/raft/core.hpp"

#include <functional>
#include <map>

namespace signet::storage {

inline constexpr std::uint64_t added_ids_from = 1'000;

struct member_order {
  enum class kind : std::uint8_t { add, promote, remove, recover };
  kind what = kind::add;
  std::string node;
  bool votes = false;  ///< add: promote it, too
  bool operator==(const member_order&) const = default;
};
std::string_view name(member_order::kind what);

/// What the leader knows of the node that an order is about.
struct candidate {
  bool linked = false;
  bool joining = false;        ///< it has a blank store…
  peer::store_id store;        ///< …of this name
  raft::server_id speaks_as{};  ///< the id under which it has told its position
};

class member_changes {
public:
  struct limits {
    std::uint32_t patience_ms = 60'000;       ///< without any progress
    std::uint32_t tell_every_ms = 200;        ///< the id, until the node has it
    std::uint32_t recover_again_after_ms = 30'000;
    std::uint32_t push_every_ms = 500;        ///< a catch-up that waits for something to be appended
    std::uint64_t nearly_there_entries = 1'000;  ///< behind by so much at most: worth a catch-up
  };
  member_changes() = default;
  explicit member_changes(limits how) : limits_{how} {}

  /// What the world looks like to a step, and what it may do. Every function is called at most once a step; a change that
  /// was accepted is visible in the next one.
  struct leader_view {
    const raft::core& core;
    std::function<candidate(const std::string&)> find;
    std::function<status(const raft::configuration&)> change;
    std::function<status(raft::server_id)> catch_up;
    std::function<void(const std::string&, peer::member_assigned)> tell;
    cluster_id cluster;
  };

  /// Begins. overloaded: another change is under way. configuration, not_found: it makes no sense; why is in the context.
  result<std::uint64_t> begin(const member_order& order, const leader_view& view, steady_ms now);
  struct finished {
    std::uint64_t number = 0;
    member_order order;
    status outcome;
  };
  /// Leader: to be called in every turn.
  std::optional<finished> step(const leader_view& view, steady_ms now);
  /// No leader any more.
  std::optional<finished> leadership_lost();
  /// Begins a recovery if one of these nodes needs it.
  void look_for_lost(const std::vector<std::string>& linked, const leader_view& view, steady_ms now);

  steady_ms next_timeout(steady_ms now) const;
  struct picture {
    member_order order;
    std::string step;
  };
  std::optional<picture> current() const;

private:
  enum class stage : std::uint8_t { take_out, take_in, assign, catch_up, promote, done };
  struct order_under_way {
    std::uint64_t number = 0;
    member_order order;
    stage at = stage::take_in;
    bool votes = false;
    bool submitted = false;      ///< the change of this stage stands in the log
    raft::server_id id{};        ///< of the node, once it has one
    peer::store_id store;
    steady_ms moved{};           ///< when something moved last
    steady_ms told{}, pushed{};
    log_index match{};
    std::string last_refusal;
  };

  status advance(order_under_way& each, const leader_view& view, steady_ms now);
  status submit(order_under_way& each, const leader_view& view, const raft::configuration& next, steady_ms now);
  void enter(order_under_way& each, stage next, steady_ms now);

  limits limits_;
  std::uint64_t numbers_ = 0;
  std::optional<order_under_way> current_;
  std::map<std::string, steady_ms> recovered_;  ///< when a recovery of this node began last
};

} // namespace signet::storage
