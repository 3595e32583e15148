#pragma once
// BRIDGE: bytes ↔ MQTT packets. The first step of a message's path, and the last. Takes no decisions about messages: it
// listens (TCP, TLS, WebSocket, WebSocket over TLS), makes a link of each connection, gives it a session once a first
// packet is there, and hands packets over, one actor message a read.
//
// What it keeps, whatever a peer does:
//   * Before its first packet a connection costs no actor, and it has 5 s for it; a started packet must grow by 64 B/s.
//   * Nothing is read without credit (256 KiB a link), nothing is queued above 1 MiB a link.
//   * Nothing leaves that the gate (gate.hpp) does not let pass.
//   * An idle attached connection holds no buffer and no timer: 1.1 KiB in all, over WebSocket 1.2. TLS adds the 14 KiB
//     that OpenSSL 3.0 keeps for a connection whose buffers are released (7.6 of them one object), which is theirs.
//     Measured by tools/bench/idle_connections; the session is not in these figures.
//
// Threads: the public functions of bridge belong to one thread (the node's); links are used from any thread. A bridge
// that crashes does not exist: its handlers do not throw but for lack of memory, and that stops the node.

#include "actors/bridge/door.hpp"
#include "actors/bridge/link.hpp"
#include "messages/errors.hpp"

#include <caf/actor.hpp>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace signet {

/// One address to listen on.
struct listen_at {
  channel_kind kind = channel_kind::tcp;
  std::string address = "127.0.0.1";  ///< of an interface; "::" or "0.0.0.0" for all
  std::uint16_t port = 0;             ///< 0: a free one; bridge::listening() tells which
  std::string certificate, key;       ///< PEM files; tls and wss
  std::vector<std::string> origins;   ///< ws and wss; see websocket.hpp
};

struct bridge_settings {
  std::vector<listen_at> listeners;
  unsigned threads = 1;
  door_limits limits;

  std::size_t first_packet_bytes_max = 1024;             ///< until allow() says otherwise
  std::size_t in_credit_max = 256 * 1024;                ///< bytes of packets handed over and not given back
  std::size_t out_bytes_max = 1024 * 1024;               ///< queued for one link
  std::size_t started_bytes_per_s_min = 64;              ///< of a packet that has begun
  std::chrono::milliseconds started_grace{5'000};        ///< before that is asked for
  std::chrono::milliseconds first_packet_max{5'000};     ///< TLS handshake and upgrade included
  /// From accept to `attached`. The session's own limit is shorter; this one holds when a session does not.
  std::chrono::milliseconds authentication_max{12'000};
  std::chrono::milliseconds flush_max{2'000};            ///< for what is queued when a link is closed
  std::chrono::milliseconds linger_max{1'000};           ///< after the half-close
};

/// Numbers since the start; for metrics. Any thread.
struct bridge_counters {
  std::atomic<std::uint64_t> accepted{0}, refused_full{0}, refused_strangers{0}, refused_address{0};
  std::atomic<std::uint64_t> accept_failures{0};   ///< the system gave no socket: descriptors or memory ran out
  std::atomic<std::uint64_t> tls_failures{0}, upgrade_refusals{0}, frame_violations{0};
  std::atomic<std::uint64_t> first_packet_late{0}, authentication_late{0}, packet_too_slow{0}, malformed{0};
  std::atomic<std::uint64_t> output_full{0};       ///< offers refused because a client does not read
  std::atomic<std::uint64_t> too_large_for_client{0};  ///< never sent, as the client's Maximum Packet Size asks
  std::atomic<std::uint64_t> gate_refusals{0};     ///< a defect of a session; each is logged
  std::atomic<std::uint64_t> bytes_in{0}, bytes_out{0}, packets_in{0};
};

class bridge {
public:
  /// Called on an I/O thread, with the link of a connection whose first packet (or the CONNECT that is refused) is
  /// there: packets_arrived or packets_malformed follows at once. The session is sent messages until it closes the
  /// link, or until link_lost; when it ends, its link is closed. A null handle closes the link.
  using session_maker = std::function<caf::actor(client_link_ptr)>;

  explicit bridge(bridge_settings settings);
  /// Stops, if that has not been done.
  ~bridge();
  bridge(const bridge&) = delete;
  bridge& operator=(const bridge&) = delete;

  /// Binds every address, then accepts. Once. Errors: configuration (a certificate, an address), io (a port that is
  /// taken, a privilege that is missing); then nothing listens. Raises the soft limit of descriptors to the hard one,
  /// and lowers limits.connections_max to what that allows.
  status start(session_maker new_session);

  /// No new connections; those that are here go on. Idempotent.
  void stop_accepting();
  /// stop_accepting(), then closes every link (queued output is written, then a half-close), waits at most
  /// flush_max + linger_max, ends the threads. Sessions should have said goodbye before. Idempotent. Links that actors
  /// still hold refuse offers from then on.
  void stop();

  struct listening_at {
    channel_kind kind;
    std::string address;
    std::uint16_t port;
  };
  /// What is bound, in the order of the settings. Empty before start() and after stop_accepting().
  std::vector<listening_at> listening() const;

  /// Reads certificates and keys again; connections from now on use them. After an error the old ones stay.
  status reload_certificates();

  const bridge_counters& counters() const;
  std::size_t connections() const;
  std::size_t strangers() const;

private:
  struct inside;
  std::unique_ptr<inside> inside_;
};

/// "mqtt", "mqtts", "ws", "wss": the schemes of URLs.
std::string_view scheme_of(channel_kind kind);

} // namespace signet
