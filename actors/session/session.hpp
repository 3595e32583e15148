#pragma once
// SESSION: one actor for each connection. Receives, asks session_core, does what it says. Lives as long as its
// connection: it ends after link_lost, or after it has closed the link itself.

#include "actors/session/messages.hpp"
#include "actors/session/settings.hpp"
#include "messages/seams.hpp"

#include <caf/fwd.hpp>

#include <functional>
#include <memory>

namespace signet {

class admission;
class signing_key;
namespace storage {
class environment;
}

/// What a session needs; shared by all of them, and immutable. What stands here by reference outlives the actors.
struct session_services {
  session_settings settings;
  const storage::environment* disk = nullptr;  ///< for short read transactions
  senders_actor senders;
  replica_actor replica;
  fanout_actor fanout;
  cursors_actor cursors;
  security_actor security;
  session_registry_actor registry;
  std::shared_ptr<const signing_key> node_key;
  cluster_id cluster;
  std::shared_ptr<admission> gate;
  clock_source* clock = &system_clock();
  random_source* random = &system_random();
};
using session_services_ptr = std::shared_ptr<const session_services>;

/// Spawns the session of a connection that was just accepted. It says by client_link::allow when reading may begin.
/// The caller sends it packets_arrived, packets_malformed and link_lost; after link_lost, or once the link is closed,
/// nothing more, and lets the handle go. Any thread.
caf::actor spawn_session(caf::actor_system& system, session_services_ptr services, client_link_ptr link);

/// The bridge's callback, one call for each connection.
using session_maker = std::function<caf::actor(client_link_ptr)>;
session_maker make_session_maker(caf::actor_system& system, session_services_ptr services);

} // namespace signet
