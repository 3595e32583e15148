// What a decoder lets through can be sent again, and means the same when it comes back.
//
// Input: one byte of settings (who sends, which version), then packets. Before a client's bytes stands a CONNECT of ours,
// unless the settings ask to read the client's own.

#include "messages/mqtt/codec.hpp"
#include "messages/mqtt/topics.hpp"

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

void check_again(const packet& any, role sender, protocol_version version) {
  const auto wire = encode(any, sender, version);
  if (!wire)
    std::fprintf(stderr, "%s\n", wire.error().context.c_str());
  must(wire.has_value(), "a decoded packet cannot be encoded");
  decoder again{sender, limits::none(), version};
  if (sender == role::client && type_of(any) != packet_type::connect) {
    connect hello;
    hello.version = version;
    hello.client_id = "c";
    again.append(encode(hello, sender, version).value());
    must(std::holds_alternative<packet>(again.next()), "our CONNECT is refused");
  }
  again.append(*wire);
  const auto back = again.next();
  must(std::holds_alternative<packet>(back) && std::get<packet>(back) == any, "a packet comes back changed");
  must(again.buffered() == 0, "bytes are left over");

  // However little the peer takes: never more than that, and an ack at most loses what it may lose.
  for (const auto size_max : {std::size_t{0}, std::size_t{4}, wire->size() / 2, wire->size() - 1}) {
    const auto smaller = encode(any, sender, version, size_max);
    must(smaller ? smaller->size() <= size_max : smaller.error().code == ec::too_large, "larger than the peer takes");
  }
  if (const auto* message = std::get_if<publish>(&any)) {
    const auto head = encode_publish_head(*message, message->payload.size(), sender, version);
    must(head && head->size() + message->payload.size() == wire->size(), "the head of a PUBLISH differs");
    must(message->topic.empty() || is_topic_name(message->topic), "a bad topic came through");
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1)
    return 0;
  const auto settings = data[0];
  const auto sender = (settings & 1) != 0 ? role::server : role::client;
  const auto version = (settings & 2) != 0 ? protocol_version::v311 : protocol_version::v5;
  limits caps = (settings & 8) != 0 ? limits{} : limits::none();
  caps.packet_size_max = 1 << 20;
  decoder d{sender, caps, sender == role::server ? std::optional{version} : std::nullopt};
  if (sender == role::client && (settings & 4) == 0) {
    connect hello;
    hello.version = version;
    hello.client_id = "c";
    d.append(encode(hello, sender, version).value());
  }
  d.append({data + 1, size - 1});
  for (auto one = d.next(); std::holds_alternative<packet>(one); one = d.next())
    check_again(std::get<packet>(one), sender, *d.version());
  return 0;
}
