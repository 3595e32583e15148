#pragma once
// What goes into session_core and what comes out. Everything the core knows of the world stands here: the time is
// numbers, storage is an interface of reads, network and actors are lists of things to do.

#include "actors/bridge/link.hpp"
#include "actors/session/payloads.hpp"
#include "actors/session/state.hpp"
#include "messages/entries.hpp"
#include "messages/outcome.hpp"
#include "messages/security_events.hpp"
#include "messages/seams.hpp"

#include <variant>

namespace signet {

/// The two clocks at one instant.
struct moment {
  steady_ms steady{};
  wall_ms wall{};
};
constexpr steady_ms operator+(steady_ms at, std::uint64_t ms) { return steady_ms{value(at) + ms}; }
/// Further away than any deadline.
inline constexpr steady_ms never{~std::uint64_t{0}};

// ---- storage, read only ---------------------------------------------------------------------------------------------

/// Whose a key is, and whether it may speak for them now.
struct key_standing {
  permalink owner;
  bool signs = false;    ///< published for signing
  bool revoked = false;
};
struct session_standing {
  std::uint64_t epoch = 0;
  wall_ms expires{};
};
/// One payload for signet/v1/inbox.
struct pulled {
  bytes payload;          ///< encoded Delivery
  inbox_position last{};  ///< positions from the one asked for up to here are in it
};

/// The views, as one step sees them. A storage_failure goes through: the process must stop.
class session_reads {
public:
  virtual ~session_reads() = default;
  virtual std::optional<key_standing> find_key(const public_key& key) = 0;
  /// The row of this client id, whichever device opened it last.
  virtual std::optional<session_standing> find_session(const permalink& identity, const std::string& client_id) = 0;
  /// 0: nothing acknowledged yet.
  virtual inbox_position cursor_of(const permalink& identity, const public_key& device) = 0;
  /// Last position; 0: empty.
  virtual inbox_position inbox_end(const permalink& identity) = 0;
  /// Packs from `first` on, up to `last` or as much as fits. Nothing: there is nothing from `first` on.
  virtual std::optional<pulled> pull(const permalink& identity, inbox_position first, inbox_position last,
                                     std::size_t payload_bytes_max) = 0;
  virtual std::optional<identity_chain> chain_of(const permalink& who) = 0;
  virtual std::optional<permalink> owner_of(const signet::link& version) = 0;
};

/// Limits shared with other connections; see admission. The core asks before it spends.
class session_gate {
public:
  virtual ~session_gate() = default;
  virtual bool may_try(steady_ms now) = 0;            ///< not too many failed logins from this address
  virtual bool may_verify(steady_ms now) = 0;         ///< one attempt: at most a signature and a verification
  virtual bool may_create_identity(steady_ms now) = 0;
  virtual void login_failed(steady_ms now) = 0;
  virtual void authenticated() = 0;
  virtual std::uint64_t storm_wait_ms(const session_key& key, steady_ms now) = 0;
};

// ---- inputs ---------------------------------------------------------------------------------------------------------

/// What the replica said of an entry, or that it is not known (unknown_outcome), or that nothing happened (any other
/// error).
struct entry_outcome {
  ec problem = ec::ok;   ///< no answer of apply: overloaded, disk_full, not_leader, unknown_outcome
  entry_answer answer;   ///< if there is no problem
};

namespace in {
struct started {};
struct packet_came { mqtt::packet packet; };
/// The last packet of one read has been handed in: this credit is ours to give back.
struct read_done { std::size_t credit = 0; };
struct malformed { mqtt::reason_code reason{}; std::optional<mqtt::protocol_version> answer_as; };
struct lost {};
struct ticked {};
struct output_refused {};                     ///< client_link::offer said false
struct opening_answered { entry_outcome outcome; };
struct renewal_answered { entry_outcome outcome; };
struct identity_answered { std::uint64_t slot = 0; entry_outcome outcome; };
struct batch_answered {
  std::uint64_t slot = 0;
  std::uint32_t attempt = 0;
  ec problem = ec::ok;                        ///< no answer: overloaded, disk_full, not_leader, unknown_outcome
  batch_answer answer;
};
struct attached { bool accepted = false; std::optional<parked_state> state; };
struct inbox_answered { bool yours = false; };
struct inbox_grew {};
struct identity_moved {};
struct stale { bool stale = false; };         ///< the node has (no longer) been without a majority for a while
struct close { close_reason reason{}; };
struct yield {};
} // namespace in
using session_input =
  std::variant<in::started, in::packet_came, in::read_done, in::malformed, in::lost, in::ticked, in::output_refused,
               in::opening_answered, in::renewal_answered, in::identity_answered, in::batch_answered, in::attached,
               in::inbox_answered, in::inbox_grew, in::identity_moved, in::stale, in::close, in::yield>;

// ---- outputs, to be done in order -----------------------------------------------------------------------------------

namespace out {
struct allow { link_state state{}; std::size_t packet_bytes_max = 0; };
struct limit_output { std::size_t packet_bytes_max = 0; };
struct send { mqtt::packet packet; };
struct give_credit { std::size_t credit = 0; };
struct close_link {};
struct open_session { session_opening opening; };        ///< propose; answer: opening_answered
struct renew_session { session_renewal renewal; };       ///< propose; answer: renewal_answered
struct publish_identity { std::uint64_t slot = 0; bytes version; };  ///< propose; answer: identity_answered
struct submit { std::uint64_t slot = 0; std::uint32_t attempt = 0; submit_batch batch; };
struct attach {
  session_key key;
  std::uint64_t epoch = 0, replaced_epoch = 0;
  bool clean_start = true;
};
struct follow { permalink who; };
struct ask_inbox {};
struct leave_inbox {};
struct move_cursor { cursor_moved to; };
struct report { security_kind kind{}; bytes subject, object; std::string_view detail; };
/// Answer to yield; the connection is being closed.
struct hand_over { std::optional<parked_state> state; };
/// The session of this epoch is over for this connection.
struct leave { std::string_view reason; std::uint32_t park_s = 0; parked_state state; };
} // namespace out
using session_output = std::variant<out::allow, out::limit_output, out::send, out::give_credit, out::close_link,
                                    out::open_session, out::renew_session, out::publish_identity, out::submit,
                                    out::attach, out::follow, out::ask_inbox, out::leave_inbox, out::move_cursor,
                                    out::report, out::hand_over, out::leave>;
using session_outputs = std::vector<session_output>;

} // namespace signet
