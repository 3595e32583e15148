#pragma once
// SECURITY: writes what was tried into the log, counted, at most one entry a second (and at once when drained).

#include "actors/security/event_counter.hpp"
#include "messages/actors.hpp"

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

namespace signet {

class security_state {
public:
  static inline const char* name = "security";
  explicit security_state(security_actor::pointer self) : self_{self} {}
  void start(replica_actor replica);
  security_actor::behavior_type make_behavior();

  void seen(const security_event_seen& event);
  void tick();
  caf::result<caf::unit_t> drain();
  std::string status() const;

private:
  void write();
  void written();

  security_actor::pointer self_;
  replica_actor replica_;
  event_counter counter_;
  bool tick_pending_ = false, writing_ = false;
  std::vector<caf::typed_response_promise<caf::unit_t>> drained_;
};

security_actor::behavior_type security(security_actor::stateful_pointer<security_state> self, replica_actor replica);

} // namespace signet
