#pragma once
// SESSION REGISTRY: who is attached, who reads which inbox, what is parked; the janitor; the ticker of all sessions.
//
// Sessions are opened and closed by entries, and another node may have proposed them: the registry follows the log
// (FAN-OUT tells it what entries say of sessions, the views say what came of them) and ends a connection of this node
// whose session was taken over, closed or revoked elsewhere, with its reason. Nothing relies on having proposed it here.

#include "actors/session/messages.hpp"
#include "actors/session/settings.hpp"
#include "messages/seams.hpp"

#include <caf/fwd.hpp>

#include <memory>

namespace signet {

class admission;
namespace storage {
class environment;
}

struct registry_services {
  session_settings settings;
  const storage::environment* disk = nullptr;  ///< the janitor reads the sessions view
  replica_actor replica;
  fanout_actor fanout;
  security_actor security;
  std::shared_ptr<admission> gate;
  clock_source* clock = &system_clock();
};

session_registry_actor spawn_session_registry(caf::actor_system& system, registry_services services);

} // namespace signet
