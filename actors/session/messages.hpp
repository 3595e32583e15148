#pragma once
// What sessions and their registry are told. All of it stays inside the process and is never serialised.
//
//   BRIDGE  → SESSION    packets_arrived, packets_malformed, link_lost       (actors/bridge/link.hpp)
//   FAN-OUT → SESSION    inbox_advanced, identity_changed                    (messages/events.hpp)
//   FAN-OUT → REGISTRY   sessions_changed                                    (messages/events.hpp)
//   REPLICA → REGISTRY   leadership                                          (messages/events.hpp)
//   REGISTRY, NODE → SESSION   close_asked, yield_asked, staleness, tick_atom
//   SESSION → REGISTRY   attach_asked, session_left, inbox_asked, inbox_left, wake_asked

#include "actors/bridge/link.hpp"
#include "actors/session/state.hpp"
#include "messages/actors.hpp"
#include "messages/entries.hpp"
#include "messages/seams.hpp"

#include <caf/actor.hpp>
#include <caf/replies_to.hpp>
#include <caf/typed_actor.hpp>

namespace signet {

/// REGISTRY, NODE → SESSION: tell the client why, then close.
struct close_asked {
  close_reason reason = close_reason::shutting_down;
};

/// REGISTRY → SESSION: a newer connection of your client id is committed. Close with taken_over, and hand over your
/// MQTT state. Nothing leaves on this connection, and no cursor moves, after the answer.
struct yield_asked {};
struct yielded {
  std::optional<parked_state> state;  ///< nothing: none to inherit (expiry 0)
};

/// SESSION → REGISTRY: the sessionOpened entry of this connection is committed with this epoch. Answered when the old
/// connection of that client id, if there was one, has stopped. Not accepted: one with a higher epoch is there already.
struct attach_asked {
  session_key key;
  std::uint64_t epoch = 0;
  std::uint64_t replaced_epoch = 0;   ///< whose row the opening replaced; 0: there was none
  bool clean_start = true;
  caf::actor session;
};
struct attach_answered {
  bool accepted = false;
  std::optional<parked_state> state;  ///< to go on with; the session decides whether it can
};

/// SESSION → REGISTRY: this connection is over. With `park_s` > 0 its MQTT state is kept that long; otherwise the
/// session ends, and an entry says so.
struct session_left {
  session_key key;
  std::uint64_t epoch = 0;
  std::string reason;                 ///< for the log: disconnected, link_lost, or the name of a close_reason
  std::uint32_t park_s = 0;
  parked_state state;
  wall_ms expires{};                  ///< of the proof
};

/// SESSION → REGISTRY: I want to read the inbox of my device. Whoever does so now, on whichever node, is closed with
/// inbox_taken. Answered when it is mine; while another session of the device stands, that takes an entry.
struct inbox_asked {
  session_key key;
  std::uint64_t epoch = 0;
  caf::actor session;
};
struct inbox_granted {
  bool yours = false;
  bool later = false;                 ///< the entry could not be written now: ask again
};
/// SESSION → REGISTRY: unsubscribed.
struct inbox_left {
  permalink identity;
  public_key device;
  std::uint64_t epoch = 0;
};

/// SESSION → REGISTRY: send me a tick at this time of the node's steady clock, up to 100 ms late. Replaces the wish
/// before. One ticker for all sessions: an idle one costs no timer.
struct wake_asked {
  caf::actor session;
  steady_ms at{};
};

/// REGISTRY → SESSION: this node has (no longer) lost its majority for a while. Tell the client.
struct staleness {
  bool stale = false;
};

/// ADMIN → REGISTRY: close the connections of this identity (all zero: of everybody).
struct close_sessions {
  permalink identity;
  close_reason reason = close_reason::administrative;
};

} // namespace signet

#define SIGNET_SESSION_MESSAGE(type) CAF_ADD_TYPE_ID(signet_sessions, (signet::type))
CAF_BEGIN_TYPE_ID_BLOCK(signet_sessions, first_custom_type_id + 100)
SIGNET_SESSION_MESSAGE(packets_arrived)
SIGNET_SESSION_MESSAGE(packets_malformed)
SIGNET_SESSION_MESSAGE(link_lost)
SIGNET_SESSION_MESSAGE(close_asked)
SIGNET_SESSION_MESSAGE(yield_asked)
SIGNET_SESSION_MESSAGE(yielded)
SIGNET_SESSION_MESSAGE(attach_asked)
SIGNET_SESSION_MESSAGE(attach_answered)
SIGNET_SESSION_MESSAGE(session_left)
SIGNET_SESSION_MESSAGE(inbox_asked)
SIGNET_SESSION_MESSAGE(inbox_granted)
SIGNET_SESSION_MESSAGE(inbox_left)
SIGNET_SESSION_MESSAGE(wake_asked)
SIGNET_SESSION_MESSAGE(staleness)
SIGNET_SESSION_MESSAGE(close_sessions)
CAF_END_TYPE_ID_BLOCK(signet_sessions)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signet::packets_arrived)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signet::packets_malformed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signet::link_lost)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signet::close_asked)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signet::yield_asked)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signet::yielded)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signet::attach_asked)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signet::attach_answered)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signet::session_left)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signet::inbox_asked)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signet::inbox_granted)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signet::inbox_left)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signet::wake_asked)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signet::staleness)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signet::close_sessions)

namespace signet {

/// SESSION REGISTRY: who is attached, who reads which inbox, what is parked.
using session_registry_actor = caf::typed_actor<
  caf::replies_to<attach_asked>::with<attach_answered>,   // SESSION
  caf::reacts_to<session_left>,                           // SESSION
  caf::replies_to<inbox_asked>::with<inbox_granted>,      // SESSION
  caf::reacts_to<inbox_left>,                             // SESSION
  caf::reacts_to<wake_asked>,                             // SESSION
  caf::reacts_to<sessions_changed>,                       // FAN-OUT: whichever node proposed it
  caf::reacts_to<leadership>,                             // REPLICA
  caf::reacts_to<close_sessions>,                         // ADMIN, NODE
  caf::reacts_to<tick_atom>,                              // INTERNAL: deadlines; janitor; closings in batches
  caf::replies_to<status_asked>::with<std::string>>;

} // namespace signet
