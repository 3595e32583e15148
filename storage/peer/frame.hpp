#pragma once
// FRAME: what nodes of one cluster say to each other, as plain structs, and their form on the wire
// (messages/schema/peer.capnp). Links carry the bytes and know nothing of what they mean, but for hello, the first frame
// of every connection.
//
// A frame may be lost, doubled, delayed or overtaken by any other: nothing here relies on order, but that the first
// frame of a connection, the sender's position, comes in before the others (member_memory). The sender's NODE NAME is
// not in the frame: the link has proved it by its key. Server ids are in it, because a node that lost its disk comes back
// under the same name with another id, and what was meant for the old one must not reach the new one.
//
// Sizes: a frame is at most frame_bytes_max. Senders split what they append, propose and answer so that the payloads of
// one frame stay within payload_bytes_max, or are a single payload; an entry is below frame_bytes_max / 2.
//
// decode_* check every length, count, number and enum before it is used; whatever a rule of the schema forbids is
// ec::malformed, too_large above frame_bytes_max. How Cap'n Proto lays a frame out is not judged. What needs the state to be judged (terms that jump, configurations, who may send what) is not judged
// here: that is the business of raft::core and the replicator.

#include "storage/raft/types.hpp"

#include <array>

namespace signet::peer {

/// Of the frames below. Nodes of another version are refused at hello.
inline constexpr std::uint32_t protocol_version = 1;
inline constexpr std::size_t frame_bytes_max = 4U << 20;
inline constexpr std::size_t payload_bytes_max = 1U << 20;
/// In one append, one proposals frame, one proposals_answered frame.
inline constexpr std::size_t items_max = 4'096;
inline constexpr std::size_t node_name_bytes_max = 64;
inline constexpr std::size_t text_bytes_max = 64U << 10;

/// Names a store: drawn when the store is made, kept as long as it is. A node that lost its disk has a new one.
using store_id = id<struct store_id_tag, 16>;
/// Names a process: drawn at each start. Two at a time under one node name are a node and its twin.
using process_id = id<struct process_id_tag, 16>;

/// First frame of a connection, from who dialed. Nothing else is read before it is found to be right.
struct hello {
  std::uint32_t protocol = protocol_version;
  cluster_id cluster;
  std::string from;  ///< node name of the sender; must be the one whose key the link has verified
  std::string to;    ///< node name of the receiver
  process_id process;
  bool operator==(const hello&) const = default;
};

// ---- consensus -------------------------------------------------------------------------------------------------------

/// A message of consensus. Never install_snapshot: a node that is far behind is sent the log itself.
/// append_entries carries entries [prev_index + 1, …), fill_count is 0.
struct consensus {
  raft::message message;
  /// append_entries with prev_index > 0: hash of the sender's log record at prev_index (event_log's chain). A receiver
  /// that holds the same (prev_index, prev_term) under another hash has found a divergence. Zero: not told.
  digest prev_chain;
};

// ---- where a node stands ---------------------------------------------------------------------------------------------

/// Asks for a position. Sent by a leader that is about to ship the log.
struct position_asked {
  bool operator==(const position_asked&) const = default;
};

/// How far the sender's durable state goes: sent first on every new link, and when asked. frame.from is its server id (0:
/// a joining node, which has none) and frame.sender_term its durable term.
struct position {
  store_id store;
  process_id process;
  bool joining = false;  ///< a blank store that waits to be taken in; everything below is 0
  log_index last{};      ///< durable end of its log
  signet::term last_term{};
  log_index applied{};   ///< everything up to here is committed and applied
  signet::term applied_term{};
  digest applied_chain;  ///< hash of its log record at `applied`
  bool operator==(const position&) const = default;
};

/// Everything up to `index` is committed and applied: what two nodes must agree about at equal indexes.
struct checkpoint {
  log_index index{};
  digest chain;       ///< hash of the log record at `index`
  digest state_hash;  ///< of the state after it
  bool operator==(const checkpoint&) const = default;
};

/// To a member whose durable state shows less than what it has promised to the sender: its disk was rolled back or it is
/// a copy. The receiver fences itself; `signet recover` is the way back.
struct rolled_back {
  store_id store;  ///< of the receiver, as it told it; a receiver with another one ignores this
  signet::term term_seen{};
  log_index index_seen{};
  bool operator==(const rolled_back&) const = default;
};

// ---- proposals -------------------------------------------------------------------------------------------------------

/// Names a forwarded proposal for its proposer's process. Numbers begin at random at each start.
enum class forward_ticket : std::uint64_t {};

/// Follower → leader: append these. The follower answers its clients when it has applied them itself.
struct proposals {
  struct one {
    forward_ticket ticket{};
    bool from_reserve = false;
    bytes entry;  ///< serialised LogEntry; the leader sets its time
    bool operator==(const one&) const = default;
  };
  std::vector<one> list;
  bool operator==(const proposals&) const = default;
};

/// Leader → follower: where they stand in its log, not necessarily durable or committed yet: they have happened when the
/// entry applied at `index` has `term`. Or why they were not appended (nothing happened): not_leader, overloaded,
/// disk_full, malformed, bad_signature, no_possession; every other code travels as internal.
struct proposals_answered {
  struct one {
    forward_ticket ticket{};
    ec code = ec::ok;
    log_index index{};  ///< both 0 unless ok
    signet::term term{};
    bool operator==(const one&) const = default;
  };
  std::vector<one> list;
  bool operator==(const proposals_answered&) const = default;
};

// ---- membership and operation ----------------------------------------------------------------------------------------

/// Leader → joining node: you are taken in under this id. Sent after the change is committed, again until the node's
/// position shows it. The log follows from index 1 on.
struct member_assigned {
  cluster_id cluster;
  raft::server_id id{};
  store_id store;  ///< of the receiver, as it told it; another one ignores this
  bool operator==(const member_assigned&) const = default;
};

/// Any node → any node: a request of an operator, as JSON, that this node must answer. Opaque here.
struct admin_request {
  std::uint64_t number = 0;  ///< the sender's
  std::string text;
  bool operator==(const admin_request&) const = default;
};
struct admin_answer {
  std::uint64_t number = 0;
  bool done = false;  ///< false: `text` is the reason
  std::string text;
  bool operator==(const admin_answer&) const = default;
};

/// The cluster's secret, from which the keys of bots are derived: asked for by a member that has none yet.
struct secret_asked {
  bool operator==(const secret_asked&) const = default;
};
struct secret {
  std::array<std::uint8_t, 32> key{};
  bool operator==(const secret&) const = default;
};

// ---- the frame -------------------------------------------------------------------------------------------------------

using body = std::variant<consensus, position_asked, position, checkpoint, rolled_back, proposals, proposals_answered,
                          member_assigned, admin_request, admin_answer, secret_asked, secret>;

struct frame {
  raft::server_id from{};      ///< the sender's; 0: it has none
  raft::server_id to{};        ///< whom the sender means; 0: whoever stands under that node name
  signet::term sender_term{};  ///< the sender's durable term when it sent this
  peer::body body;
};

bytes encode(const hello& what);
result<hello> decode_hello(bytes_view raw);

/// Expects what the limits above allow. Throws std::logic_error for what is never sent: install_snapshot.
bytes encode(const frame& what);
result<frame> decode_frame(bytes_view raw);

} // namespace signet::peer
