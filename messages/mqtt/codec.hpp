#pragma once
// MQTT 3.1.1 and 5.0 between bytes and packets, for both ends of a connection. No I/O, no clock.
//
// The problem: bytes arrive in arbitrary pieces from somebody who has not yet proved who they are. What the decoder
// promises:
//   * Every split of the input gives the packets, and the error, that one piece would have given.
//   * Nothing is allocated for a packet before its declared length passed packet_size_max; a count or a size inside a
//     packet is checked against the bytes that are there before anything is allocated for it.
//   * A packet that comes out is well-formed to the last byte: flags, lengths, strings, topics, filters, properties
//     (known, allowed in that packet from that side, of the right type, in range, not twice) and reason codes.
//   * After an error nothing more comes out.
// The decoder judges form. What needs the state of a session (rights, known aliases, quotas, packet ids in use, the
// session expiry of a DISCONNECT against that of CONNECT, the method of an AUTH against that of CONNECT, whether an AUTH
// may come at all) is the session's.
//
// Nothing here is thread-safe; different objects may be used in different threads.

#include "messages/errors.hpp"
#include "messages/mqtt/packets.hpp"

#include <memory>
#include <variant>

namespace signet::mqtt {

/// Largest packet the protocol can express, fixed header included.
inline constexpr std::size_t packet_size_limit = 268'435'455 + 5;

/// Caps on form. What exceeds one is refused with the code that stands beside it.
struct limits {
  std::size_t packet_size_max = 1024;      ///< bytes, whole packet with its fixed header · 0x95
  std::size_t topic_size_max = 256;        ///< bytes of a topic name or filter · 0x90, 0x8F
  std::size_t topic_depth_max = 16;        ///< levels of a topic name or filter · 0x90, 0x8F
  std::size_t filters_max = 64;            ///< filters of one SUBSCRIBE or UNSUBSCRIBE · 0x97
  std::size_t client_id_size_max = 128;    ///< bytes · 0x85
  std::size_t properties_max = 16;         ///< properties of a packet, those of its will included · 0x97
  std::size_t property_bytes_max = 8192;   ///< bytes of a packet's property lists, the will's included · 0x95
  std::uint16_t topic_alias_max = 8;       ///< highest topic alias, as announced to the peer · 0x94
  /// Everything the protocol can express; for trusted input and tests.
  static limits none();
};

/// All input is used up; call append.
struct need_more {
  bool operator==(const need_more&) const = default;
};

enum class fault : std::uint8_t {
  malformed,            ///< cannot be parsed as the standard asks
  protocol_error,       ///< parses, but may not be said: by this side, now, or beside what else it says
  too_large,            ///< above one of `limits`
  unsupported_version,  ///< CONNECT names a protocol that is neither 3.1.1 nor 5.0
};

struct decode_error {
  fault kind = fault::malformed;
  /// What 5.0 calls it.
  reason_code code = reason_code::malformed_packet;
  /// The form in which `code` may be answered before the connection is closed: CONNACK while none has been sent, else
  /// DISCONNECT (nearest_v311 gives the return code). Nothing: close without a byte.
  std::optional<protocol_version> answer_as;
  /// Of the byte or field that is wrong, counted from the first byte of the connection.
  std::uint64_t offset = 0;
  /// A sentence without content of the packet; a literal.
  std::string_view what;
  bool operator==(const decode_error&) const = default;
};

using decoded = std::variant<need_more, packet, decode_error>;

class decoder {
public:
  /// For the bytes that `peer` sends. A client's must begin with CONNECT, which names the version; for a server's the
  /// version is what our own CONNECT said.
  explicit decoder(role peer, limits caps = {}, std::optional<protocol_version> version = std::nullopt);

  /// Takes a copy of `input`. While an incomplete PUBLISH is under way its payload goes straight to its place.
  /// Whoever stops calling next() must also stop calling append(): it has no bound of its own.
  void append(bytes_view input);

  /// The next packet, or the error, or need_more. Call until it does not return a packet.
  decoded next();

  /// The state of the session decides how much a peer may say: 1 KiB until CONNECT is complete, more after proof.
  /// Counts for every packet whose length next() has not yet read.
  void set_packet_size_max(std::size_t bytes) { caps_.packet_size_max = bytes; }
  /// For the client's side, where no CONNECT comes in: before the first next().
  void set_version(protocol_version version) { version_ = version; }

  /// Nothing until a CONNECT named it or set_version was called.
  std::optional<protocol_version> version() const { return version_; }
  /// Bytes appended and not yet given out: whole packets that wait, and the started one.
  std::size_t buffered() const { return pending_.size() - head_ + partial_size_; }
  /// Bytes given out as packets since the connection began.
  std::uint64_t consumed() const { return offset_; }
  /// Heap in use, in bytes. 0 whenever buffered() is 0.
  std::size_t heap_bytes() const {
    return pending_.capacity() + (partial_ ? sizeof(publish) + partial_->payload.capacity() : 0);
  }

private:
  struct frame;  // a fixed header, read and judged
  std::variant<need_more, frame, decode_error> read_frame() const;
  decoded take_publish(const frame& what);
  decoded refuse(decode_error why);
  void drop(std::size_t count);

  role peer_;
  limits caps_;
  std::optional<protocol_version> version_;
  bool connect_seen_ = false;
  bytes pending_;               // bytes of the wire; those before head_ are done
  std::size_t head_ = 0;
  std::uint64_t offset_ = 0;    // of pending_[head_] (or of the started PUBLISH) in the stream
  // A PUBLISH whose header has been read and whose payload is still arriving.
  std::unique_ptr<publish> partial_;
  std::size_t partial_size_ = 0;   // wire bytes taken for it so far, header included
  std::size_t partial_total_ = 0;  // wire bytes of the whole packet
  std::optional<decode_error> failed_;
};

/// The bytes of a packet as `sender` may send it. Fails with
///   malformed: a packet that this side may not send in this version, a reason code or a property it may not hold,
///              a field out of range, text that is not is_text, a topic or filter that is none;
///   too_large: more than `packet_size_max`. Before that, a packet that is no PUBLISH, CONNECT, SUBSCRIBE or UNSUBSCRIBE
///              loses its reason string and then its user properties. (In 3.1.1 it loses them always; every other
///              property, and every reason code that has no form there, is refused.)
/// `packet_size_max` is the peer's Maximum Packet Size (packet_size_limit if it named none).
result<bytes> encode(const packet& any, role sender, protocol_version version,
                     std::size_t packet_size_max = packet_size_limit);

/// As encode, but appends to `out`, which is unchanged after an error.
status encode_to(bytes& out, const packet& any, role sender, protocol_version version,
                 std::size_t packet_size_max = packet_size_limit);

/// Everything of a PUBLISH but its payload, of which `payload_size` bytes are to follow: for writing header and payload
/// from two places, or one payload to many receivers. `head.payload` is not looked at.
result<bytes> encode_publish_head(const publish& head, std::size_t payload_size, role sender, protocol_version version,
                                  std::size_t packet_size_max = packet_size_limit);

/// For a peer whose CONNECT said Request Problem Information 0: takes reason string and user properties out of every
/// packet but PUBLISH, CONNACK and DISCONNECT [3.1.2-29].
void withhold_problem_information(packet& any);

/// The 3.1.1 return code that says nearest what a 5.0 code says, as the reason code that stands for it in `connack`:
/// retry later for what passes by itself, not_authorized for the rest.
reason_code nearest_v311(reason_code connack_code);

} // namespace signet::mqtt
