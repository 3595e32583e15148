// The stream of a link from the other side: every split gives the same frames and the same end, nothing above the
// limits is handed up, and a hello that is accepted is the one that was expected.

#include "actors/links/frame.hpp"
#include "actors/links/judge.hpp"

#include <cstdlib>

namespace {

using namespace signet;

struct seen {
  std::vector<std::pair<link_frame_kind, bytes>> frames;
  link_splitter::outcome end = link_splitter::outcome::fine;
  bool operator==(const seen&) const = default;
};

/// Pieces of 1, 1 + step… bytes, modulo 64; step 0: everything at once.
seen cut(bytes_view input, bool data, std::size_t step) {
  link_splitter splitter;
  if (data)
    splitter.allow_data();
  seen out;
  for (std::size_t piece = 1; !input.empty() && out.end == link_splitter::outcome::fine;
       piece = 1 + (piece + step) % 64) {
    const auto part = input.first(step == 0 ? input.size() : std::min(input.size(), piece));
    input = input.subspan(part.size());
    out.end = splitter.feed(part, [&](link_frame_kind kind, bytes content) {
      if (content.size() > (kind == link_frame_kind::data ? link_data_bytes_max : link_control_bytes_max))
        std::abort();
      if (kind == link_frame_kind::data && !data)
        std::abort();
      out.frames.emplace_back(kind, std::move(content));
      return true;
    });
  }
  return out;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0)
    return 0;
  const bytes_view input{data + 1, size - 1};
  const bool allowed = data[0] % 2 == 1;
  const auto whole = cut(input, allowed, 0);
  if (cut(input, allowed, 63) != whole || cut(input, allowed, 1 + data[0] / 2u) != whole)
    std::abort();
  const hello_expected expected{{}, "a", "b"};
  for (const auto& [kind, content] : whole.frames) {
    if (kind == link_frame_kind::ping || kind == link_frame_kind::pong) {
      bytes again;
      if (const auto number = read_link_number(content)) {
        append_link_number(again, kind, *number);
        if (!std::equal(content.begin(), content.end(), again.begin() + link_frame_head_bytes, again.end()))
          std::abort();
      }
    }
    if (kind != link_frame_kind::hello && kind != link_frame_kind::welcome)
      continue;
    const auto said = peer::decode_hello(content);
    if (said && !judge_hello(expected, *said)
        && (said->protocol != peer::protocol_version || said->from != "b" || said->to != "a"
            || !said->cluster.is_zero()))
      std::abort();
  }
  return 0;
}
