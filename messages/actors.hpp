#pragma once
// Who acts: every actor's interface on one page, in the order in which a message travels. A reply says what it
// promises. Every request has a finite timeout; plain sends carry nothing that may not be lost.

#include "messages/events.hpp"

#include <caf/fwd.hpp>
#include <caf/replies_to.hpp>
#include <caf/type_id.hpp>
#include <caf/typed_actor.hpp>

// ids and numbers travel inside structs; the structs are local to the process and never serialised.
#define SIGNET_MESSAGE(type) CAF_ADD_TYPE_ID(signet_messages, (signet::type))

CAF_BEGIN_TYPE_ID_BLOCK(signet_messages, first_custom_type_id)
SIGNET_MESSAGE(submit_batch)
SIGNET_MESSAGE(batch_answer)
SIGNET_MESSAGE(propose_entry)
SIGNET_MESSAGE(peer_frame_arrived)
SIGNET_MESSAGE(peer_link_changed)
SIGNET_MESSAGE(hand_over_asked)
SIGNET_MESSAGE(operator_asked)
SIGNET_MESSAGE(entry_answer)
SIGNET_MESSAGE(log_advanced)
SIGNET_MESSAGE(leadership)
SIGNET_MESSAGE(sessions_changed)
SIGNET_MESSAGE(wake_flag)
SIGNET_MESSAGE(inbox_advanced)
SIGNET_MESSAGE(identity_changed)
SIGNET_MESSAGE(cursor_moved)
SIGNET_MESSAGE(security_event_seen)
SIGNET_MESSAGE(status_asked)
SIGNET_MESSAGE(error)
SIGNET_MESSAGE(permalink)
CAF_ADD_ATOM(signet_messages, signet, turn_atom, "turn")
CAF_ADD_ATOM(signet_messages, signet, tick_atom, "tick")
CAF_ADD_ATOM(signet_messages, signet, drain_atom, "drain")
CAF_ADD_ATOM(signet_messages, signet, follow_atom, "follow")
CAF_ADD_ATOM(signet_messages, signet, leave_atom, "leave")
CAF_ADD_ATOM(signet_messages, signet, watch_atom, "watch")
CAF_END_TYPE_ID_BLOCK(signet_messages)

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signet::submit_batch)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signet::batch_answer)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signet::propose_entry)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signet::peer_frame_arrived)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signet::peer_link_changed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signet::hand_over_asked)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signet::operator_asked)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signet::entry_answer)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signet::log_advanced)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signet::leadership)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signet::sessions_changed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signet::wake_flag)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signet::inbox_advanced)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signet::identity_changed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signet::cursor_moved)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signet::security_event_seen)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signet::status_asked)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signet::error)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signet::permalink)

namespace signet {

/// SENDER: one for each author, behind SENDERS. Verifies, checks lane order, refuses.
using sender_actor = caf::typed_actor<
  // SESSION, BOT (through SENDERS): a batch. Reply: committed and applied, or refused for good. Error: ask again.
  caf::replies_to<submit_batch>::with<batch_answer>>;

/// SENDERS: finds or starts the author's SENDER and hands the batch on.
using senders_actor = caf::typed_actor<
  caf::replies_to<submit_batch>::with<batch_answer>,
  caf::reacts_to<tick_atom>,  // INTERNAL: let idle senders go
  caf::replies_to<status_asked>::with<std::string>>;

/// REPLICA: the only writer; a thread of its own. Its failure stops the node.
using replica_actor = caf::typed_actor<
  // ANYBODY: append. Reply: committed and applied at this index; entry_answer.code tells what apply decided.
  // Error: overloaded, disk_full (nothing happened), unknown_outcome, not_leader.
  caf::replies_to<propose_entry>::with<entry_answer>,
  caf::reacts_to<peer_link_changed>,        // LINKS
  caf::reacts_to<peer_frame_arrived>,       // LINKS: between up and down of its node
  caf::replies_to<hand_over_asked>::with<caf::unit_t>,  // NODE. Error: not_leader, configuration
  caf::replies_to<operator_asked>::with<std::string>,   // ADMIN: the leader's answer, as JSON. Error: see operator_desk
  caf::reacts_to<follow_atom, caf::actor>,  // NODE: tell this FAN-OUT how far the log is applied
  caf::reacts_to<watch_atom, caf::actor>,   // BOT, SESSION REGISTRY: tell me leadership, now and at every change
  caf::reacts_to<turn_atom>,  // INTERNAL: everything that arrived before this belongs to one turn
  caf::reacts_to<tick_atom>,  // INTERNAL: Raft's timer
  caf::replies_to<status_asked>::with<std::string>>;

/// FAN-OUT: follows the committed log by cursor and wakes whoever has something new.
using fanout_actor = caf::typed_actor<
  caf::reacts_to<log_advanced>,                          // REPLICA
  // SESSION, BOT: wake me for this inbox and this identity
  caf::reacts_to<follow_atom, permalink, caf::actor, wake_flag>,
  caf::reacts_to<leave_atom, permalink, caf::actor>,     // the same: no more
  caf::reacts_to<watch_atom, caf::actor>,                // SESSION REGISTRY: tell me what the log says of sessions
  caf::replies_to<status_asked>::with<std::string>>;

/// CURSORS: gathers acknowledged positions and writes them in batches.
using cursors_actor = caf::typed_actor<
  caf::reacts_to<cursor_moved>,                          // SESSION
  caf::replies_to<drain_atom>::with<caf::unit_t>,        // SESSION, NODE: write what is gathered. Reply: durable
  caf::reacts_to<tick_atom>,
  caf::replies_to<status_asked>::with<std::string>>;

/// SECURITY: counts what is tried, and writes it to the log in batches: a flood costs one entry a second.
using security_actor = caf::typed_actor<
  caf::reacts_to<security_event_seen>,
  caf::reacts_to<tick_atom>,
  caf::replies_to<drain_atom>::with<caf::unit_t>,
  caf::replies_to<status_asked>::with<std::string>>;

} // namespace signet
