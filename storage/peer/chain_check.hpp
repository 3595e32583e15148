#pragma once
// CHAIN CHECK: does what a leader appends fit what this node holds? Consensus compares indexes and terms; here the content
// is compared, by the hash chain of the log, before the core sees the message.
//
// The rule behind it: (index, term) names one entry and everything before it. So two records with the same index and term
// under another hash are a fault, wherever they stand. An entry that this node has applied is committed, so another one in
// its place is a fault too. Both mean: one of the two nodes has diverged, and this one must not go on. A conflict above what
// is applied is Raft's daily work: the core truncates. What this node holds already in equal form is skipped by the core.
//
// Pure. Cost: nothing to speak of for an append that continues the log (one comparison); one hash for each entry that this
// node holds already (what is sent twice).

#include "storage/raft/types.hpp"

#include <functional>

namespace signet::peer {

/// A record of the log, as far as it is compared.
struct known_record {
  signet::term term{};
  digest chain;  ///< hash of the record
};
/// Of this node's own log; nothing: it has no such record.
using known_records = std::function<std::optional<known_record>(log_index)>;

/// Nothing: `append` may go to the core. Else what is wrong, as a sentence: fence this node. `prev_chain` zero: not told, and
/// nothing is compared but terms at what is applied.
std::optional<std::string> find_divergence(const raft::append_entries& append, const digest& prev_chain,
                                           log_index applied, const known_records& own);

} // namespace signet::peer
