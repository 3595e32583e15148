// Any bytes, cut anywhere, give what they give in one piece; memory follows what arrived, not what is claimed.
//
// Input: one byte of settings, one byte n, n cuts of one byte each (distances), then the stream.

#include "messages/mqtt/codec.hpp"

#include <cstdio>
#include <cstdlib>

namespace {

using namespace signet;
using namespace signet::mqtt;

void must(bool good, const char* what) {
  if (good)
    return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

struct transcript {
  std::vector<packet> packets;
  std::optional<decode_error> error;
  std::size_t buffered = 0;
  bool operator==(const transcript&) const = default;
};

void drain(decoder& d, transcript& into) {
  while (true) {
    auto one = d.next();
    if (auto* any = std::get_if<packet>(&one)) {
      into.packets.push_back(std::move(*any));
      continue;
    }
    if (auto* why = std::get_if<decode_error>(&one))
      into.error = *why;
    into.buffered = d.buffered();
    return;
  }
}

decoder decoder_for(std::uint8_t settings) {
  limits caps;
  caps.packet_size_max = (settings & 4) != 0 ? 1024 : 1 << 20;
  if ((settings & 8) != 0)
    caps = limits::none();
  if ((settings & 1) == 0)
    return decoder{role::client, caps};
  return decoder{role::server, caps, (settings & 2) != 0 ? protocol_version::v311 : protocol_version::v5};
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2)
    return 0;
  const auto settings = data[0];
  const bytes_view cuts{data + 2, std::min<std::size_t>(data[1], size - 2)};
  const bytes_view stream{data + 2 + cuts.size(), size - 2 - cuts.size()};

  transcript whole;
  auto one_shot = decoder_for(settings);
  one_shot.append(stream);
  drain(one_shot, whole);
  must(one_shot.consumed() <= stream.size(), "more given out than came in");
  must(whole.error || one_shot.consumed() + whole.buffered == stream.size(), "bytes are lost");
  must(!whole.error || (whole.error->offset <= stream.size() && !whole.error->what.empty()), "an error without a place");

  transcript parts;
  auto split = decoder_for(settings);
  std::size_t at = 0;
  for (std::size_t i = 0; at < stream.size(); ++i) {
    const auto size_next = cuts.empty() ? std::size_t{1} : std::size_t{cuts[i % cuts.size()]} + 1;
    const auto piece = stream.subspan(at, std::min(size_next, stream.size() - at));
    split.append(piece);
    at += piece.size();
    if (!parts.error)
      drain(split, parts);
    must(split.heap_bytes() <= 4 * at + 70'000, "memory follows claims");
    must(split.buffered() != 0 || split.heap_bytes() == 0, "an idle decoder holds memory");
  }
  must(stream.empty() || parts == whole, "a split stream differs");
  return 0;
}
