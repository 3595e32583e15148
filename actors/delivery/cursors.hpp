#pragma once
// CURSORS: gathers the positions that devices have acknowledged and writes them in batches. A crash before the write
// costs a redelivery, never a message.

#include "messages/actors.hpp"
#include "messages/entries.hpp"

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <map>

namespace signet {

class cursors_state {
public:
  static inline const char* name = "cursors";
  explicit cursors_state(cursors_actor::pointer self) : self_{self} {}
  void start(replica_actor replica);
  cursors_actor::behavior_type make_behavior();

  void moved(const cursor_moved& to);
  caf::result<caf::unit_t> drain();
  void tick();
  std::string status() const;

private:
  void write();
  void arm();

  using device = std::pair<permalink, public_key>;
  cursors_actor::pointer self_;
  replica_actor replica_;
  std::map<device, inbox_position> pending_;
  bool tick_pending_ = false, writing_ = false;
  std::uint64_t written_ = 0, entries_ = 0;
  std::vector<caf::typed_response_promise<caf::unit_t>> drained_;  // wait for all that is pending now
};

cursors_actor::behavior_type cursors(cursors_actor::stateful_pointer<cursors_state> self, replica_actor replica);

} // namespace signet
