#pragma once
// FOUNDING: what happens to a data directory before its node runs: keys, and the store of a new cluster.
//
// The problem: the founders of a cluster must begin with identical stores, and a node that lost its store must never
// begin with one again: it has promised votes and entries that it would forget. A lost store is not a fresh one.
// The idea: keys first, then the store. Whoever has keys prints a line for cluster.conf; when the file names the link keys
// of all founders, each makes its own store from the file alone. A mark beside the keys remembers that this was done.
//
// DATA/keys/node.seed   proves this node to clients        DATA/keys/link.seed   proves it to other nodes
// DATA/keys/cluster.seed  the secret of the cluster, from which the keys of bots follow; the same on all its nodes
// DATA/keys/founded     the cluster's id as text; written after the store

#include "actors/settings.hpp"
#include "messages/envelope/keys.hpp"
#include "storage/replica_store.hpp"

namespace signet {

/// Mode 0700, made if absent. configuration: one stands there that lets others in.
status make_private_directory(const std::filesystem::path& directory);

/// The number under which a founder votes: 1, 2, 3… in the order of the file. A node alone is number 1; 0: no founder.
raft::server_id founder_id(const node_settings& settings);
/// consensus.self stays 0: the store knows. A founder that was recovered has another number.
storage::replica_options replica_options_from(const node_settings& settings);

/// The key that clients pin. Made once, while the store is founded (`founding`): a store without its key is a copy.
result<signing_key> load_node_key(const node_settings& settings, bool founding);
/// The key that peers pin. configuration: there is none (and what to type), or cluster.conf names another one.
result<signing_key> load_link_key(const node_settings& settings);

/// A cluster of this node alone, whatever else the file says: for `signet dev`.
result<cluster_id> found_alone(const node_settings& settings);

/// What init_node found or made.
struct initialised {
  bool founded = false;                 ///< made the store of a founder
  bool joining = false;                 ///< made a blank store, which waits to be taken in
  std::optional<cluster_id> cluster;    ///< of the store; or, before that, the file's
  std::size_t founders = 1;
  public_key node_key, link_key;
  std::vector<std::string> lines;       ///< for cluster.conf; empty: it holds them
  std::vector<std::string> missing;     ///< what the file needs before the store can be made
};
/// Makes the keys that are missing, and the store when cluster.conf names everything it needs. Run it again after the
/// file has changed. already_exists: a store stands and there is nothing to print. configuration: the file names another
/// key than this node has, or the store was lost. locked, io.
result<initialised> init_node(const node_settings& settings);

/// What recover_node did.
struct recovered {
  std::optional<std::filesystem::path> aside;  ///< where the old store is; none stood
  public_key node_key, link_key;
  std::vector<std::string> lines;              ///< for cluster.conf of every node; empty: it holds them
};
/// For a member whose store was lost, damaged, rolled back or fenced: puts the old store aside (never deletes it) and makes
/// a blank one; the others bring it up to date. Makes keys where they are lost, too. configuration: this node could not
/// join anything. locked, io.
result<recovered> recover_node(const node_settings& settings);

/// From a cluster of one to one of three or five: gives the standbys votes, while this only voter stands still. Returns
/// the names of the voters: this node and all others that the file links. Errors of storage::grow.
result<std::vector<std::string>> grow_node(const node_settings& settings);

/// Whether this id was drawn for a cluster of one: then no several founders may begin with it, because that cluster lives.
bool is_of_one(const cluster_id& cluster);

/// Makes sure that the mark stands beside the store; each start does it, in case the process was killed in between.
status remember_founding(const node_settings& settings, const cluster_id& cluster);

} // namespace signet
