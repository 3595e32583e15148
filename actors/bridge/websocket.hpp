#pragma once
// MQTT over WebSocket, the server's side: bytes in, a stream of MQTT bytes out. No I/O, no clock.
//
// Why the framing is written here although Beast has one: Beast keeps a read buffer and a pending operation for every
// idle connection, and must own the socket; here an idle connection holds some 100 bytes, and TLS and plain sockets
// share one read path. The request itself is parsed by Beast. (The tests talk to this code with Beast's own client.)
//
// Invariants: every split of the input gives the same payload bytes and the same end; what is not a masked binary frame
// or a lawful control frame ends the connection; extensions are never agreed on; memory does not depend on the lengths
// a peer claims.

#include "messages/bytes.hpp"

#include <array>
#include <optional>
#include <string>
#include <vector>

namespace signet::websocket {

/// Largest request that is read, in bytes, headers included.
inline constexpr std::size_t request_bytes_max = 8 * 1024;

/// What a request is answered with.
struct answer {
  bool accepted = false;
  unsigned status = 0;    ///< HTTP's number
  std::string response;   ///< to be written as it is; after a refusal the connection is closed
};

/// Bytes of the request including its empty line, or nothing while that has not come.
std::optional<std::size_t> find_request_end(bytes_view input);
/// Judges a complete request. Accepted: GET on /mqtt or /, HTTP/1.1, an upgrade to WebSocket version 13, `mqtt` among
/// the offered subprotocols, and an Origin, if there is one, that is on the list ("https://app.example", or "*" for
/// every page). An empty list means: only pages of the host that the request itself names. `date` is for the Date
/// header.
answer judge_request(bytes_view request, const std::vector<std::string>& origins, const std::string& date);
/// The answer to a request above request_bytes_max.
answer too_large(const std::string& date);
/// The time in the form of HTTP's Date header.
std::string http_date(std::uint64_t seconds_since_1970);

/// Close codes that are used here.
enum class close_code : std::uint16_t { normal = 1000, going_away = 1001, protocol_error = 1002, unacceptable = 1003 };

/// A whole close frame.
bytes close_frame(close_code code);
/// Room that a frame's head may take in front of its payload.
inline constexpr std::size_t frame_head_bytes_max = 10;
/// Writes the head of a binary frame so that it ends at `end`, which has frame_head_bytes_max bytes before it.
/// Returns its size.
std::size_t write_frame_head(std::uint8_t* end, std::size_t payload_bytes);

/// Takes the frames of a client apart.
class frame_reader {
public:
  enum class end : std::uint8_t { none, closed, text_frame, violation };
  struct outcome {
    std::size_t payload_bytes = 0;  ///< these bytes at the front of `data` are MQTT
    end what = end::none;           ///< not none: nothing that follows is looked at
    bytes reply;                    ///< control frames to write: pongs, the answer to a close
  };
  /// Unmasks `data` in place and moves the payload to its front. After an end, does nothing.
  outcome read(std::span<std::uint8_t> data);
  /// A head or a control frame has begun and is not complete.
  bool started() const { return head_size_ > 0 || (in_payload_ && is_control()); }

private:
  bool is_control() const { return (opcode_ & 0x8) != 0; }
  bool open_frame();
  void close_control(outcome& out);
  outcome finish(outcome out, end what, close_code code);

  std::array<std::uint8_t, 14> head_{};
  std::array<std::uint8_t, 4> mask_{};
  std::uint64_t left_ = 0;       // payload bytes of this frame still to come
  std::uint8_t head_size_ = 0;
  std::uint8_t opcode_ = 0;
  std::uint8_t mask_at_ = 0;
  bool final_ = false;
  bool in_payload_ = false;
  bool in_message_ = false;      // a message of several frames is under way
  end ended_ = end::none;
  bytes control_;                // payload of the control frame under way, at most 125 bytes
};

} // namespace signet::websocket
