#include "storage/peer/chain_check.hpp"

#include "storage/tables.hpp"

namespace signet::peer {
namespace {

std::string differs(log_index index, const char* how) {
  return "log record " + to_string(index) + " of this node " + how +
         ". Next: stop it, run signet verify on its data directory, then signet recover";
}

} // namespace

std::optional<std::string> find_divergence(const raft::append_entries& append, const digest& prev_chain,
                                           log_index applied, const known_records& own) {
  if (append.prev_index != log_index{}) {
    const auto before = own(append.prev_index);
    if (!before)
      return std::nullopt;  // a gap: the core refuses it, and is told what lies before
    if (before->term != append.prev_term) {
      if (append.prev_index <= applied)
        return differs(append.prev_index, "is applied, and the leader has one of another term");
      return std::nullopt;
    }
    if (!prev_chain.is_zero() && before->chain != prev_chain)
      return differs(append.prev_index, "has the same term as the leader's and another hash");
  }
  const bool comparable = append.prev_index == log_index{} || !prev_chain.is_zero();
  auto chain = prev_chain;
  auto index = append.prev_index;
  for (const auto& e : append.entries) {
    index = next(index);
    const auto mine = own(index);
    if (!mine)
      return std::nullopt;  // from here on everything is new
    if (mine->term != e.term) {
      if (index <= applied)
        return differs(index, "is applied, and the leader has one of another term");
      return std::nullopt;  // the core truncates from here on
    }
    if (!comparable)
      continue;
    storage::log_record record;
    record.term = e.term;
    record.type = static_cast<std::uint8_t>(e.type);
    record.previous = chain;
    record.payload = e.payload;
    chain = storage::record_hash(index, record);
    if (chain != mine->chain)
      return differs(index, "has the same term as the leader's and another hash");
  }
  return std::nullopt;
}

} // namespace signet::peer
