#pragma once
// PEERING: this node among the others. Puts the node table of cluster.conf, the links and the replica together: who may
// be spoken to, what arrives becomes messages of the replica, what is refused becomes a security event; and the table
// is read again when the file changes.
//
// Threads: any, but open(), run() and stop(), which the node calls in this order.

#include "actors/links/links.hpp"
#include "actors/settings.hpp"
#include "messages/actors.hpp"

#include <caf/typed_event_based_actor.hpp>
#include <filesystem>
#include <mutex>
#include <optional>

namespace signet {

class peering {
public:
  /// `file`: cluster.conf; empty: the table never changes. `process` as in links_settings.
  peering(const node_settings& settings, const cluster_id& cluster, std::filesystem::path file,
          peer::process_id process);

  /// For whoever sends. Never null.
  const std::shared_ptr<links>& wire() const { return wire_; }
  /// Takes the port. Errors of links::open.
  status open(const signing_key& link_key);
  /// Accepts and dials; the replica hears of it. Once.
  void run(const replica_actor& replica);
  /// Who writes down what was refused; may be given anew.
  void report_to(const security_actor& security);
  /// Reads the node table again if the file has changed since the last call. A file with mistakes changes nothing and
  /// is reported once.
  void reread_if_changed();
  /// The node table as it stands.
  std::vector<cluster_node> table() const;
  /// JSON text: {"listening", "peers": […], "refused": {reason: count}}
  std::string picture() const;
  void stop();

private:
  std::vector<link_peer> peers_of(const std::vector<cluster_node>& table) const;

  const node_settings settings_;
  const cluster_id cluster_;
  const std::filesystem::path file_;
  const peer::process_id process_;
  const std::shared_ptr<links> wire_;

  mutable std::mutex mutex_;
  security_actor security_;
  std::vector<cluster_node> table_;
  std::optional<std::string> read_as_;  // what identifies the version of the file that was read last
};

} // namespace signet
