#pragma once
// Two small books of the registry, plain C++: MQTT sessions that wait for their client, and who wants to be woken when.

#include "actors/session/state.hpp"
#include "messages/entries.hpp"
#include "messages/seams.hpp"

#include <map>
#include <optional>
#include <tuple>

namespace signet {

/// A client id in the scope of its identity: what a connection takes over.
struct client_name {
  permalink identity;
  std::string client_id;
  auto operator<=>(const client_name&) const = default;
};

/// MQTT state of detached clients, each until its time is over; in memory only. At most `max`: the one that would end
/// first makes room (its next attach has session present 0, and loses nothing: the cursor is in the log).
class parking_lot {
public:
  explicit parking_lot(std::size_t max) : max_{max} {}

  void park(const client_name& who, parked_state state, steady_ms until);
  /// The log says that a connection with this epoch was opened, here or on another node.
  void opened(const client_name& who, std::uint64_t epoch);
  /// The connection `epoch`, which replaced the row of `replaced` (0: there was none), takes what is parked; then nothing
  /// is. It gets it only if nobody came between the connection that left it and this one: a client that was attached to
  /// another node meanwhile has gone on there, with other packet ids and other subscriptions.
  /// Nothing: never parked, its time is over, or somebody came between.
  std::optional<parked_state> take(const client_name& who, steady_ms now, std::uint64_t epoch, std::uint64_t replaced);
  void drop(const client_name& who);
  void tidy(steady_ms now);
  std::size_t size() const { return parked_.size(); }

private:
  struct place {
    parked_state state;
    steady_ms until{};
    std::uint64_t next_epoch = 0;  // of the first connection after the one that left it; 0: none is known
  };
  using place_ref = std::map<client_name, place>::iterator;
  void erase(place_ref at);

  std::size_t max_;
  std::map<client_name, place> parked_;
  std::multimap<steady_ms, client_name> ends_;
};

/// Detached sessions whose row in the log is to be closed when they have been idle for too long.
class idle_list {
public:
  void add(const session_key& key, std::uint64_t epoch, steady_ms at);
  /// Attached again, or closed.
  void remove(const client_name& who);
  /// The same, if it is about an epoch below this one.
  void opened(const client_name& who, std::uint64_t epoch);
  /// Those whose time has come.
  std::vector<session_closing> take_due(steady_ms now);
  std::size_t size() const { return idle_.size(); }

private:
  struct entry {
    session_key key;
    std::uint64_t epoch = 0;
    steady_ms at{};
  };
  std::map<client_name, entry> idle_;
  std::multimap<steady_ms, client_name> due_;
};

} // namespace signet
