#pragma once
// MEMBER MEMORY: what this node has seen of every other member, so that a member that has forgotten it can be told.
//
// The problem: a disk that is put back to an older state (a restored copy, a reverted virtual machine) has forgotten votes
// and entries that its node has promised to others. If it takes part again, two leaders of one term and lost entries become
// possible, and it cannot notice that by itself. A copy of a data directory under the same key is the same problem twice.
// The idea: the others remember what was promised to them, durably, and compare whenever a member says where it stands.
//
// What is remembered of a member, and why it can never be less than that again in the same store:
//   term       it has told us this term, and a term leaves a node only after it is durable there;
//   promised   in that very term it has acknowledged entries up to here to us, its leader: in one term nobody truncates
//              what its leader has. (In a later term an uncommitted tail may go, so a new term begins at 0.)
//   committed  it holds entries up to here, and they are committed: they never go, in any term.
// And a server id belongs to one store for ever: another store under the same id is a founding that was done again over a
// lost disk, which denies everything the lost one has promised.
//
// A store forgets only between two processes, so a process is judged when it is met for the first time; what it says later
// can be older than what it did since, but no reason for suspicion.
//
// Limits: only who has seen a promise can remind of it, and what was noted since the last write is lost when this node
// crashes; so a member that was rolled back and meets only those who saw nothing newer is not found. Two processes that
// write the same store (twins) are found when the first one shows up again after the second, which takes that frames of an
// older connection do not come in behind those of a newer one.
//
// Rows stand in table::members_seen, which is local. Belongs to one thread. Throws what the store throws.

#include "storage/peer/frame.hpp"
#include "storage/tables.hpp"

#include <deque>
#include <map>
#include <set>

namespace signet::peer {

enum class member_verdict : std::uint8_t {
  fine,
  rolled_back,  ///< shows less than it has promised: `reminder` is what to send it
  old_store,    ///< a store that its node has given up (recovered since): a copy, or the old disk put back
  twin,         ///< another process with the same store has been here in between: talk to neither, and raise an alarm
};
std::string_view name(member_verdict x);

struct member_judgement {
  member_verdict verdict = member_verdict::fine;
  rolled_back reminder;  ///< not if fine; what was seen of its store, for old_store and twin, too
  std::string why;       ///< a sentence with numbers; empty if fine
};

class member_memory {
public:
  /// More names than any cluster has members; those above are not remembered.
  static constexpr std::size_t members_max = 256;
  static constexpr std::size_t processes_max = 16;

  member_memory() = default;
  /// Everything this node remembers.
  explicit member_memory(const storage::read_txn& from);

  /// A member says where it stands, over the link that is up: `id` and `at` are frame.from and frame.sender_term of that
  /// frame. If it is fine, what it shows is remembered as seen.
  member_judgement judge(const std::string& node, raft::server_id id, term at, const position& where, wall_ms now);

  /// The link to this member is gone: until judge() has found it fine again, nothing is noted of it, because another process
  /// may speak then.
  void link_lost(const std::string& node);

  /// What this store of `node` has been seen to hold since. Ignored for a member that was not judged over this link, or
  /// under another id.
  /// Any frame of it: its durable term.
  void note_term(const std::string& node, raft::server_id id, term at, wall_ms now);
  /// It has acknowledged entries up to `index` to this node, leader of term `at`; `committed`: our commit index, so
  /// entries up to the smaller of both can never go.
  void note_acknowledged(const std::string& node, raft::server_id id, term at, log_index index, log_index committed,
                         wall_ms now);
  /// It has applied entries up to here (its checkpoint, its position).
  void note_committed(const std::string& node, raft::server_id id, log_index index, wall_ms now);

  /// What is remembered; null: never seen.
  const storage::member_seen_row* find(const std::string& node) const;

  /// Something would be lost with this process.
  bool unwritten() const { return !unwritten_.empty(); }
  /// Writes what has changed since the last call. After an aborted transaction the process must stop.
  void write(storage::write_txn& to);

private:
  struct member {
    storage::member_seen_row row;
    /// Of row.store in this process's life, newest last.
    std::deque<process_id> processes;
    bool fine = false;  ///< judged over the link that is up
  };
  member* find_noted(const std::string& node, raft::server_id id);
  void moved(const std::string& node, member& whose, wall_ms now);

  std::map<std::string, member> members_;
  std::set<std::string> unwritten_;
};

} // namespace signet::peer
