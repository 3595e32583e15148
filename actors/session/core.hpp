#pragma once
// SESSION CORE: the life of one connection, from its first byte to its last, as step(input, now) → outputs. Plain C++:
// no actors, no sockets, no clock; storage is read through an interface.
//
// The problem: a stranger talks first, the answers to what a session asks come later and in any order, and at every
// moment the link may break, another connection may take over, the proof may run out or the key be revoked. Invariants:
//   * Nothing but AUTH 0x18 and one CONNACK leaves before the proof is committed and the old connection of that client
//     id has stopped. Refusals look the same whether or not anything of what was named exists (see proof.hpp).
//   * A PUBACK leaves after the answer of whoever made it durable, in the order of arrival (see inbound.hpp).
//   * The cursor moves over acknowledged positions only (see actors/delivery/window.hpp).
//   * Rights are asked for in every step that publishes or delivers: epoch, expiry and key, as the views say now.
//   * After close_link there is no further output.
//
// The parts: proof (who is it), mqtt_rules (what may it ask for), inbound (what it published), delivery/window (what it
// gets), life (how long). This class is what happens when.
//
//   connecting ── CONNECT, enhanced ──▶ proving ── AUTH ──┐
//        └─────── CONNECT with a token ───────────────────┴▶ opening ── committed ──▶ attaching ── granted ──▶ attached
//   any ── refused, lost, expired, taken over ──▶ closed

#include "actors/delivery/window.hpp"
#include "actors/session/inbound.hpp"
#include "actors/session/life.hpp"
#include "actors/session/mqtt_rules.hpp"
#include "actors/session/proof.hpp"

namespace signet {

class session_core {
public:
  /// What it is given; outlives it.
  struct surroundings {
    proof_context proofs;      ///< settings, keys, cluster, channel
    random_source& random;
    session_reads& reads;
    session_gate& gate;
  };
  explicit session_core(surroundings around);

  /// `output_queued`: bytes that wait in the link. Throws what `reads` throws.
  session_outputs step(session_input input, moment now, std::size_t output_queued = 0);

  enum class phase : std::uint8_t { connecting, proving, opening, attaching, attached, closed };
  phase at() const { return phase_; }
  bool finished() const { return phase_ == phase::closed; }
  /// When it wants in::ticked; `never`: not at all.
  steady_ms next_deadline(moment now);

  const session_key& key() const { return key_; }
  std::uint64_t epoch() const { return epoch_; }
  bool waits_for_inbox() const { return phase_ == phase::attached && inbox_asked_; }

private:
  // inputs
  void on(in::started&);
  void on(in::packet_came&);
  void on(in::read_done&);
  void on(in::malformed&);
  void on(in::lost&);
  void on(in::ticked&);
  void on(in::output_refused&);
  void on(in::opening_answered&);
  void on(in::renewal_answered&);
  void on(in::identity_answered&);
  void on(in::batch_answered&);
  void on(in::attached&);
  void on(in::inbox_answered&);
  void on(in::inbox_grew&);
  void on(in::identity_moved&);
  void on(in::stale&);
  void on(in::close&);
  void on(in::yield&);

  // handshake (core_handshake.cpp)
  void take_connect(mqtt::connect& packet);
  void take_proof(mqtt::auth& packet);
  void judged(proof_verdict verdict);
  void refuse(mqtt::reason_code code);
  void fail_login(const disproved& why);

  // attached: packets (core_attached.cpp)
  void take_attached(mqtt::packet& packet);
  void take(mqtt::publish& packet);
  void take(mqtt::puback& packet);
  void take(mqtt::subscribe& packet);
  void take(mqtt::unsubscribe& packet);
  void take(mqtt::disconnect& packet);
  void take(mqtt::auth& packet);
  void take_position(std::uint64_t slot, bytes_view payload);
  void take_session_request(std::uint64_t slot, bytes_view payload);
  void take_identity_request(std::uint64_t slot, bytes_view payload);
  void renew_by_token(std::uint64_t slot, const std::string& token);
  void renewal_failed(const disproved& why);

  // attached: what follows from them
  void pump_inbound(bool all = false);
  void pump_delivery();
  bool deliver(inbox_position first, inbox_position last, std::size_t payload_bytes_max,
               const delivery_in_flight* again);
  bool standing();
  void moved(std::optional<inbox_position> cursor);
  void publish_if_subscribed(topic_role role, bytes payload);
  void refuse_request(std::uint64_t slot, ec why, mqtt::reason_code code);

  // the end
  void close_with(close_reason why);
  void close_with(close_reason why, mqtt::reason_code code, std::string_view detail = {});
  void say_goodbye(close_reason why, mqtt::reason_code code, std::string_view detail);
  void protocol_error(mqtt::reason_code code, std::string_view detail);
  void leave(std::string_view reason, bool park);
  void close_silently();
  parked_state park() const;
  std::size_t delivery_bytes_max() const;

  void put(session_output one) { outputs_.push_back(std::move(one)); }
  void send(mqtt::packet packet);
  void report(security_kind kind, std::string_view detail);
  bool v5() const { return facts_.v5(); }

  surroundings around_;
  const session_settings& settings_;

  // this step
  moment now_;
  std::size_t queued_ = 0;
  std::optional<bool> standing_;
  session_outputs outputs_;

  // handshake
  phase phase_ = phase::connecting;
  connect_facts facts_;
  login_challenger challenger_;
  session_key key_;
  std::uint64_t epoch_ = 0;
  wall_ms expires_{};
  bool connect_seen_ = false, lost_ = false;
  std::vector<mqtt::packet> early_;

  // attached
  session_life life_;
  topic_aliases aliases_;
  subscriptions subscribed_;
  inbound_window inbound_;
  delivery_window delivery_;
  std::size_t payload_bytes_max_ = 0;        // of a delivery, on this connection
  std::size_t resend_bytes_max_ = 0;         // of those that are sent again: as they were packed first
  std::optional<inbox_position> from_asked_;  // deliverFrom that came before the inbox was ours
  bool inbox_asked_ = false, inbox_mine_ = false, resumed_ = false, explicit_acks_ = false;
  bool stale_ = false;                       // this node is without a majority
  bool output_paused_ = false;
  steady_ms paused_since_{};
  std::size_t credit_held_ = 0;
  token_bucket lookups_, identities_;
  struct renewal {
    session_renewal what;
    std::optional<std::uint64_t> slot;       // asked for by a token; else by AUTH
  };
  std::optional<renewal> renewing_;
  bool reauthenticating_ = false;
  struct publication {
    std::uint64_t slot = 0, correlation = 0;
    permalink who;
  };
  std::vector<publication> publications_;
};

} // namespace signet
