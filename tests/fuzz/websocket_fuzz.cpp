// WebSocket from a stranger. First byte odd: frames; every split gives the same payload, replies and end, and never
// more payload than came in. First byte even: a request; it is accepted only if it offered mqtt.

#include "actors/bridge/websocket.hpp"

#include <cstdlib>

namespace {

using namespace signet;
using websocket::frame_reader;

struct seen {
  bytes payload, reply;
  frame_reader::end what = frame_reader::end::none;
  bool operator==(const seen&) const = default;
};

/// Pieces of 1, 1 + step, 1 + 2 * step… bytes, modulo 64; step 0: everything at once.
seen read_all(bytes_view input, std::size_t step) {
  frame_reader reader;
  seen out;
  for (std::size_t piece = 1; !input.empty(); piece = 1 + (piece + step) % 64) {
    auto part = to_bytes(input.first(step == 0 ? input.size() : std::min(input.size(), piece)));
    input = input.subspan(part.size());
    const auto outcome = reader.read(part);
    if (outcome.payload_bytes > part.size())
      std::abort();
    append(out.payload, bytes_view{part}.first(outcome.payload_bytes));
    append(out.reply, outcome.reply);
    if (out.what == frame_reader::end::none)
      out.what = outcome.what;
  }
  return out;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0)
    return 0;
  const bytes_view input{data + 1, size - 1};
  if (data[0] % 2 == 1) {
    const auto whole = read_all(input, 0);
    if (read_all(input, 63) != whole || read_all(input, 1 + data[0] / 2u) != whole)  // 63: byte by byte
      std::abort();
    return 0;
  }
  if (const auto end = websocket::find_request_end(input)) {
    const auto request = input.first(*end);
    const auto answer = websocket::judge_request(request, {}, "Sun, 06 Nov 1994 08:49:37 GMT");
    if (answer.accepted != (answer.status == 101))
      std::abort();
    if (answer.accepted && as_text(request).find("mqtt") == std::string_view::npos)
      std::abort();
    if (answer.response.find("\r\n\r\n") == std::string::npos)
      std::abort();
  }
  return 0;
}
