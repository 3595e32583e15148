#include "actors/session/settings.hpp"

#include "actors/settings.hpp"

#include <algorithm>

namespace signet {

session_settings session_settings_from(const node_settings& settings) {
  session_settings out;
  const auto u32 = [](std::int64_t x) {
    return static_cast<std::uint32_t>(std::clamp<std::int64_t>(x, 0, 0xFFFFFFFF));
  };
  const auto& life = settings.sessions;
  out.reusable_tokens = life.reusable_tokens;
  out.token_s_max = u32(life.token_s);
  out.reusable_token_s_max = u32(life.reusable_token_s);
  out.absolute_s = u32(life.absolute_s);
  out.idle_s = u32(life.idle_s);
  out.keep_alive_s_max = u32(life.keep_alive_s);
  out.parked_s_max = u32(life.parked_s);
  out.parked_max = static_cast<std::size_t>(life.parked_max);
  const auto& limits = settings.limits;
  out.inbound_packet_bytes = static_cast<std::size_t>(limits.inbound_packet_bytes);
  out.outbound_packet_bytes = static_cast<std::size_t>(limits.outbound_packet_bytes);
  out.receive_maximum = static_cast<std::uint16_t>(std::clamp<std::int64_t>(limits.receive_maximum, 1, 0xFFFF));
  out.inbound_bytes_max = std::max(out.inbound_packet_bytes, out.inbound_bytes_max);
  out.output_pause_bytes = static_cast<std::size_t>(limits.output_buffer_bytes) / 2;
  // What waits and one publish more must fit the buffer, or a client that reads could never get it.
  out.outbound_packet_bytes = std::min(out.outbound_packet_bytes, out.output_pause_bytes);
  out.batches_per_second = u32(limits.batches_per_second);
  return out;
}

} // namespace signet
