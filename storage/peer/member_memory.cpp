#include "storage/peer/member_memory.hpp"

#include <algorithm>

namespace signet::peer {
namespace {

using storage::member_seen_row;
using storage::table::members_seen;

template <number E>
bool raise(E& what, E to) {
  if (to <= what)
    return false;
  what = to;
  return true;
}

/// Nothing of it is less than what was promised: empty.
std::string less_than_promised(const member_seen_row& seen, term at, const position& where) {
  if (at < seen.term)
    return "it shows term " + to_string(at) + " and was in term " + to_string(seen.term);
  if (at == seen.term && where.last < seen.promised)
    return "its log ends at " + to_string(where.last) + ", and in this term " + to_string(at) +
           " it has acknowledged entries up to " + to_string(seen.promised);
  if (where.last < seen.committed)
    return "its log ends at " + to_string(where.last) + ", and it held committed entries up to " +
           to_string(seen.committed);
  return {};
}

} // namespace

std::string_view name(member_verdict x) {
  switch (x) {
    case member_verdict::fine: return "fine";
    case member_verdict::rolled_back: return "rolled_back";
    case member_verdict::old_store: return "old_store";
    case member_verdict::twin: return "twin";
  }
  return "fine";
}

member_memory::member_memory(const storage::read_txn& from) {
  storage::scan<members_seen>(from, {}, [&](const storage::name_key& key, const member_seen_row& row) {
    members_[key.name].row = row;
    return true;
  });
}

member_judgement member_memory::judge(const std::string& node, raft::server_id id, term at, const position& where,
                                      wall_ms now) {
  auto found = members_.find(node);
  if (found == members_.end()) {
    if (members_.size() >= members_max)
      return {};
    found = members_.emplace(node, member{}).first;
    found->second.row.store = where.store;
  }
  auto& who = found->second;
  auto& row = who.row;
  const auto refuse = [&](member_verdict verdict, std::string why) {
    return member_judgement{verdict, {where.store, row.term, std::max(row.promised, row.committed)},
                            "node " + node + ": " + std::move(why)};
  };

  if (where.store != row.store) {
    if (std::find(row.older_stores.begin(), row.older_stores.end(), where.store) != row.older_stores.end())
      return refuse(member_verdict::old_store,
                    "it has come back with a store that it had given up: a copy, or the old disk was put back");
    if (id != raft::server_id{} && value(id) == row.server_id)
      return refuse(member_verdict::rolled_back, "another store claims server id " + to_string(id) +
                                                   ", which belongs to the store that was lost");
    // It was recovered: the store before it never counts again.
    auto older = std::move(row.older_stores);
    older.push_back(row.store);
    if (older.size() > member_seen_row::older_stores_max)
      older.erase(older.begin());
    who = {};
    row.store = where.store;
    row.older_stores = std::move(older);
  }

  auto& known = who.processes;
  if (known.empty() || known.back() != where.process) {
    if (std::find(known.begin(), known.end(), where.process) != known.end())
      return refuse(member_verdict::twin, "two processes run with the same store, and write the same log twice");
    if (row.server_id != 0 && value(id) != row.server_id)
      return refuse(member_verdict::rolled_back, "its store is that of server " + std::to_string(row.server_id) +
                                                   ", and now it says that it is server " + to_string(id));
    if (auto why = less_than_promised(row, at, where); !why.empty())
      return refuse(member_verdict::rolled_back, std::move(why));
    known.push_back(where.process);
    if (known.size() > processes_max)
      known.pop_front();
  }
  who.fine = true;
  row.server_id = std::max(row.server_id, value(id));
  if (raise(row.term, at))
    row.promised = {};
  raise(row.committed, where.applied);
  moved(node, who, now);
  return {};
}

void member_memory::link_lost(const std::string& node) {
  if (auto found = members_.find(node); found != members_.end())
    found->second.fine = false;
}

member_memory::member* member_memory::find_noted(const std::string& node, raft::server_id id) {
  auto found = members_.find(node);
  if (found == members_.end() || id == raft::server_id{} || found->second.row.server_id != value(id) ||
      !found->second.fine)
    return nullptr;
  return &found->second;
}

void member_memory::moved(const std::string& node, member& whose, wall_ms now) {
  whose.row.seen = now;
  unwritten_.insert(node);
}

void member_memory::note_term(const std::string& node, raft::server_id id, term at, wall_ms now) {
  auto* who = find_noted(node, id);
  if (who == nullptr || !raise(who->row.term, at))
    return;
  who->row.promised = {};
  moved(node, *who, now);
}

void member_memory::note_acknowledged(const std::string& node, raft::server_id id, term at, log_index index,
                                      log_index committed, wall_ms now) {
  note_term(node, id, at, now);
  auto* who = find_noted(node, id);
  if (who == nullptr || at != who->row.term)
    return;  // of a leadership that is over: a later one may have truncated it since
  const bool promised = raise(who->row.promised, index);
  if (raise(who->row.committed, std::min(index, committed)) || promised)
    moved(node, *who, now);
}

void member_memory::note_committed(const std::string& node, raft::server_id id, log_index index, wall_ms now) {
  auto* who = find_noted(node, id);
  if (who != nullptr && raise(who->row.committed, index))
    moved(node, *who, now);
}

const member_seen_row* member_memory::find(const std::string& node) const {
  auto found = members_.find(node);
  return found == members_.end() ? nullptr : &found->second.row;
}

void member_memory::write(storage::write_txn& to) {
  for (const auto& node : unwritten_)
    storage::put<members_seen>(to, {node}, members_.at(node).row);
  unwritten_.clear();
}

} // namespace signet::peer
