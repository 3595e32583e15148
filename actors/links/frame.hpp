#pragma once
// What stands on a link between two nodes, inside TLS, as bytes:
//
//   frame := length u32 little-endian (of what follows, 1…) · kind u8 · content
//
//   kind     content                                  from            when
//   hello    peer::hello (storage/peer/frame.hpp)     who dialed      first, once
//   welcome  peer::hello                              who accepted    answers the hello, once
//   refused  reason u8 (link_refusal)                 who accepted    instead of welcome or later; then it closes
//   ping     u64                                      who dialed      every two heartbeats
//   pong     the same u64                             who accepted    answers a ping
//   alive    nothing                                  who accepted    every two heartbeats
//   data     opaque, 0…frame_bytes_max                who dialed      after the welcome
//
// Example, a ping that says 7: 09 00 00 00 · 04 · 07 00 00 00 00 00 00 00. The version stands in the hello, which keeps
// its place and the first field of its content in all versions.
//
// No I/O. Not thread-safe.

#include "messages/events.hpp"

#include <functional>

namespace signet {

enum class link_frame_kind : std::uint8_t {
  hello = 1, welcome = 2, refused = 3, ping = 4, pong = 5, alive = 6, data = 7,
};

/// Of the content of a data frame.
inline constexpr std::size_t link_data_bytes_max = 4U << 20;
/// Of the content of every other frame: also what is read before the other side has said hello.
inline constexpr std::size_t link_control_bytes_max = 1'024;
inline constexpr std::size_t link_frame_head_bytes = 5;

/// Appends a frame to `out`.
void append_link_frame(bytes& out, link_frame_kind kind, bytes_view content = {});
void append_link_number(bytes& out, link_frame_kind kind, std::uint64_t number);
/// The content of ping and pong; nothing if it has another length.
std::optional<std::uint64_t> read_link_number(bytes_view content);

/// Cuts what arrives into frames. Memory: the frame that has begun, never more than what has arrived of it (vectors
/// double), never more than a frame may have.
class link_splitter {
public:
  enum class outcome : std::uint8_t {
    fine,       ///< everything was taken; a frame may have begun
    stopped,    ///< the sink said so; the rest was not looked at
    oversize,   ///< a length above what this kind may have
    malformed,  ///< length 0, or a kind that does not exist
  };
  /// A whole frame. False: no more.
  using sink = std::function<bool(link_frame_kind, bytes)>;

  /// After an outcome other than fine the splitter is used up.
  outcome feed(bytes_view arrived, const sink& each);
  /// Data frames are oversize until this is called, whatever their length.
  void allow_data() { data_bytes_max_ = link_data_bytes_max; }

private:
  std::size_t data_bytes_max_ = 0;
  std::array<std::uint8_t, link_frame_head_bytes> head_{};
  std::size_t head_size_ = 0;
  std::size_t wanted_ = 0;  // content of the frame that has begun
  bytes content_;
};

} // namespace signet
