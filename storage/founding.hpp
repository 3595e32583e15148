#pragma once
// GROW: from a cluster of one to one of three or five, while its only voter stands still.
//
// Never online: between one and two voters a cluster can end with two leaders or with none. So the new nodes are added as
// standbys first, which is safe; then the only voter is stopped, and the entry that gives them votes is written into its log,
// in a new term. Started again it stands for election under that entry; the others vote for it, or, once they have the
// entry, for each other. Nothing is lost, because whoever can be elected holds that entry and everything before it.

#include "storage/replica_store.hpp"

namespace signet::storage {

/// `voters`: the node names of all voters to be, this node's included; 3 or 5. One transaction: a crash leaves the store as
/// it was, or grown. configuration (and what to do instead), already_exists (it has grown), not_found, locked, io.
status grow(const replica_options& options, const std::vector<std::string>& voters);

} // namespace signet::storage
