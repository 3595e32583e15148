#pragma once
// A client's connection as actors see it: the network seam. The bridge implements it over TCP, TLS and WebSocket;
// tests implement it in memory.

#include "messages/ids.hpp"
#include "messages/mqtt/packets.hpp"

#include <memory>

namespace signet {

/// Over what the client came; part of the login transcript.
enum class channel_kind : std::uint8_t { tcp = 1, tls = 2, ws = 3, wss = 4 };

/// Which packets may leave. The socket writer itself keeps this (nothing before authentication): what a state does
/// not list is not written, whoever asks, and at most 512 bytes leave before `attached`.
enum class link_state : std::uint8_t {
  connecting,  ///< nothing, but a refusing CONNACK
  proving,     ///< AUTH 0x18, or one CONNACK
  attached,    ///< everything, but CONNACK and AUTH only as the session says
  closing,     ///< nothing more
};

class client_link {
public:
  virtual ~client_link() = default;

  /// Any thread. False: the output buffer (1 MiB) is full, or the link is closed, and nothing was queued; a client
  /// that does not read is disconnected by its session, and loses nothing.
  [[nodiscard]] virtual bool offer(const mqtt::packet& packet) = 0;
  /// Any thread. Bytes queued and not yet written.
  virtual std::size_t queued() const = 0;
  /// Any thread. Gives back the credit of packets that have been dealt with; reading stops without credit
  /// (256 KiB), so that TCP slows the client down instead of our memory growing.
  virtual void done(std::size_t credit) = 0;
  /// Any thread. From now on packets up to this size are taken, and leave under this state's list. Until `attached` the
  /// link hands over one packet, and decodes the next only after allow() was called again: nothing that a client sends
  /// behind its CONNECT is looked at before the CONNECT is answered.
  virtual void allow(link_state state, std::size_t packet_bytes_max) = 0;
  /// Any thread. No packet with an encoded size above this is ever sent (the client's Maximum Packet Size).
  virtual void limit_output(std::size_t packet_bytes_max) = 0;
  /// Any thread. Writes what is queued, half-closes, reads and discards for at most 1 s, closes. Idempotent.
  virtual void close() = 0;

  virtual channel_kind channel() const = 0;
  /// Exporter value of the TLS connection; 32 bytes, or empty.
  virtual bytes exporter() const = 0;
  /// Address without port, as text.
  virtual std::string source() const = 0;
  /// Whether the peer is on this machine.
  virtual bool loopback() const = 0;
};
using client_link_ptr = std::shared_ptr<client_link>;

/// BRIDGE → SESSION: packets in order of arrival, one message a read. `credit` goes back through client_link::done.
struct packets_arrived {
  std::vector<mqtt::packet> packets;
  std::size_t credit = 0;
};
/// BRIDGE → SESSION: bytes that are no packet. Everything before them has been delivered. Nothing follows.
struct packets_malformed {
  mqtt::reason_code reason{};
  /// The form in which the reason may be told; nothing: close without a byte. See mqtt::decode_error.
  std::optional<mqtt::protocol_version> answer_as;
  std::string what;  ///< for the operator; no content
};
/// BRIDGE → SESSION: the connection is gone. Nothing follows.
struct link_lost {
  std::string why;
};

} // namespace signet
