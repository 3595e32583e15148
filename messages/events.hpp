#pragma once
// What actors say to each other, as plain structs. Noun-like or past: the verbs are the actors' members.
// Large payloads are shared and immutable: handing one on costs a pointer.

#include "messages/errors.hpp"
#include "messages/ids.hpp"
#include "messages/outcome.hpp"

#include <atomic>
#include <memory>
#include <string>

namespace signet {
namespace peer {
struct frame;  // storage/peer/frame.hpp
} // namespace peer

class verified_batch;  // messages/envelope/batch.hpp

/// Immutable bytes, shared between actors without a copy.
using shared_bytes = std::shared_ptr<const bytes>;
inline shared_bytes share(bytes data) { return std::make_shared<const bytes>(std::move(data)); }

/// SESSION, BOT → SENDERS: a batch arrived from this author. The answer means: durable on a majority and applied, or
/// refused for good; never "maybe" (that is an error: unknown_outcome, overloaded, disk_full).
struct submit_batch {
  permalink author;       ///< who proved to be on the other side; batches of others are refused
  public_key device;      ///< the key of that proof
  shared_bytes raw;       ///< serialised Batch as it arrived
};
struct batch_answer {
  ec problem = ec::ok;    ///< the batch as a whole was refused: malformed, bad_signature, too_large, rate_limited…
  bool all_good = false;  ///< every message accepted or duplicate
  shared_bytes receipt;   ///< serialised Receipt for signet/v1/receipts; always there
};

/// What apply says of one entry; see storage/views/apply.hpp for the meaning of each field by entry kind.
struct entry_answer {
  log_index index{};
  ec code = ec::ok;
  std::vector<outcome> outcomes;  ///< batches: one for each message
  std::uint64_t epoch = 0;        ///< sessions, bots
  std::uint64_t replaced_epoch = 0;  ///< session opened: the connection that lost this client id; 0: none
  link standing;                  ///< identity published, session opened: the newest version that stands
  permalink identity;             ///< whom it is about
  log_index published{};          ///< identity published: the entry that published this version
  inbox_position position{};      ///< bots: inputs up to here are handled or set aside
};

/// ANYBODY → REPLICA: append this entry. Answered when committed and applied, never before.
struct propose_entry {
  shared_bytes entry;      ///< serialised LogEntry; timeMs is set by the replica
  bool from_reserve = false;  ///< may be written when the disk is nearly full: cursors, closings, security events
  /// Saying it twice has the effect of saying it once: it is sent again when a leader is lost. Else: unknown_outcome.
  bool idempotent = false;
  /// What a batch entry holds, if it was verified in this process: spares apply to hash and parse it again. May be null.
  std::shared_ptr<const verified_batch> verified{};
};

/// LINKS → REPLICA: another node says this. The credit goes back when the frame is processed.
struct peer_frame_arrived {
  std::string node;  ///< whose key the link has verified
  std::shared_ptr<peer::frame> frame;
  std::shared_ptr<const void> credit;
};
/// LINKS → REPLICA: what is sent to this node may arrive from now on, or what is under way may be lost.
struct peer_link_changed {
  std::string node;
  bool up = false;
};
/// NODE, ADMIN → REPLICA: if this node leads, let another one lead: this, or whoever is furthest. Answered when asked,
/// not when done.
struct hand_over_asked {
  std::string to;  ///< node name; empty: whoever is furthest
};

/// ADMIN → REPLICA: a request of the operator, as JSON (see operator_desk).
struct operator_asked { std::string text; };

/// REPLICA → FAN-OUT: the log is applied up to here. Carries nothing else, so losing one costs nothing.
struct log_advanced { log_index index{}; };

/// REPLICA → whoever watches it (BOTS, SESSION REGISTRY): what this node is now. Sent once when the watch begins, then
/// at every change.
struct leadership {
  bool surely = false;     ///< leads, and an entry of its own term is committed: no other node leads surely in this term
  std::uint64_t term = 0;  ///< the term of this node
  /// What this node proposes can be committed as far as it knows: it leads surely, or follows a leader that it hears.
  /// False also for the moment of an election.
  bool majority = false;
  bool operator==(const leadership&) const = default;
};

/// What one entry of the log says of one session. Whether it took effect is for the views to say.
struct session_changed {
  enum class kind : std::uint8_t { opened, closed, inbox_taken };
  kind what{};
  log_index index{};
  permalink identity;
  public_key device;
  std::string client_id;
  std::uint64_t epoch = 0;  ///< the session's; of an opening: its index
  std::string reason;       ///< closed: as the entry says
};
/// FAN-OUT → SESSION REGISTRY: in the order of the log, each once, whichever node has proposed it.
struct sessions_changed { std::vector<session_changed> all; };

/// Shared by FAN-OUT and one follower: up while an inbox_advanced is on its way, so a busy follower finds one of them, not
/// one for each commit that it missed. The follower lowers it first, then looks. Thread-safe.
class wake_flag {
public:
  /// False: it was up already.
  bool raise() const { return !up_->exchange(true); }
  void lower() const { up_->store(false); }

private:
  std::shared_ptr<std::atomic<bool>> up_ = std::make_shared<std::atomic<bool>>(false);
};

/// FAN-OUT → SESSION, BOT: your inbox may hold something up to this log index: pull from your cursor.
struct inbox_advanced { log_index index{}; };
/// FAN-OUT → SESSION: a new version of your identity is published: check whether your key still stands.
struct identity_changed { log_index index{}; };

/// SESSION → CURSORS: everything up to this position has been acknowledged by this device.
struct cursor_moved {
  permalink identity;
  public_key device;
  inbox_position position{};
};

/// ANYBODY → SECURITY: somebody tried something. Counted and written to the log in batches.
struct security_event_seen {
  std::string kind;          ///< docs/security-events.md
  bytes subject, object;     ///< ids; may be empty
  std::string detail;        ///< from a closed set of words
  std::string source;        ///< address without port; may be empty
};

/// ADMIN → ANY ACTOR: a picture of yourself, as JSON text.
struct status_asked {};

} // namespace signet
