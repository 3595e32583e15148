#pragma once
// OPERATOR DESK: what an operator asks of the cluster, on whichever node he asks it: how it stands, and who belongs to it.
//
// Only the leader can answer. Any other node sends the question to it as a peer frame and hands back the answer; without a
// leader it answers `status` with what it knows itself (marked stale) and refuses the rest. An answer that does not come
// within answer_ms is unknown_outcome: all requests may be repeated.
//
// A request is JSON: {"do": "status"}, {"do": "add" | "promote" | "remove", "node": NAME, "votes": bool},
// {"do": "transfer", "node": NAME or ""}. Answers are JSON too. Orders are answered when they have begun; how they end
// stands in the status ("change", "ended").
//
// Whoever has a link may ask: the node table names him, and his key is pinned. Decides nothing itself; one thread.

#include "storage/replicator.hpp"

#include <deque>
#include <map>
#include <nlohmann/json_fwd.hpp>

namespace signet {

class operator_desk {
public:
  static constexpr std::uint64_t answer_ms = 5'000;
  static constexpr std::size_t pending_max = 64;
  static constexpr std::size_t ended_max = 16;

  /// `replicator` outlives the desk; `first` is drawn at start, so that answers to an earlier process are not mistaken.
  operator_desk(storage::replicator& replicator, std::uint64_t first) : replicator_{replicator}, next_{first} {}

  struct answered {
    std::uint64_t number = 0;
    result<std::string> what;
  };
  /// Its answer comes with a later answers(), perhaps the next.
  std::uint64_t ask(const std::string& text, steady_ms now);
  /// What a turn of the replicator brought for the shell; other kinds than admin requests and answers are ignored.
  void receive(const storage::peer_request& what, steady_ms now);
  void note(const storage::member_changes::finished& what);
  /// Those that are ready or have waited too long.
  std::vector<answered> answers(steady_ms now);
  bool waiting() const { return !forwarded_.empty() || !ready_.empty(); }

private:
  result<std::string> answer_here(const std::string& text, steady_ms now);
  nlohmann::json status(steady_ms now) const;

  storage::replicator& replicator_;
  std::uint64_t next_;
  std::map<std::uint64_t, steady_ms> forwarded_;  // number → when to give up
  std::vector<answered> ready_;
  struct ended {
    std::uint64_t number = 0;
    storage::member_order order;
    std::string outcome;  // "done", or why not
  };
  std::deque<ended> ended_;
};

/// What a person needs to know of failure domains: {"zones": [{"zone", "voters", "survives"}], "survives_any": bool}.
/// `zone_of`: by node name. Voters without a zone each stand in one of their own.
nlohmann::json zones_of(const nlohmann::json& members, const std::map<std::string, std::string>& zone_of);

} // namespace signet
