#pragma once
// Bytes: owned strings of octets, views of them, and their text forms (lower-case hex, base64url without padding).

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace signet {

using bytes = std::vector<std::uint8_t>;
/// A view; it lives no longer than what it points at.
using bytes_view = std::span<const std::uint8_t>;

inline bytes_view as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(bytes_view raw) {
  return {reinterpret_cast<const char*>(raw.data()), raw.size()};
}
inline bytes to_bytes(bytes_view raw) { return {raw.begin(), raw.end()}; }

std::string to_hex(bytes_view raw);
/// Only whole pairs of [0-9a-fA-F]; anything else is nothing.
std::optional<bytes> from_hex(std::string_view text);

/// RFC 4648 section 5, without padding.
std::string to_base64url(bytes_view raw);
std::optional<bytes> from_base64url(std::string_view text);

/// Fixed-width integers as they stand in keys and fixed layouts: big-endian, so that byte order is number order.
void append_u16(bytes& out, std::uint16_t value);
void append_u32(bytes& out, std::uint32_t value);
void append_u64(bytes& out, std::uint64_t value);
void append(bytes& out, bytes_view raw);
std::uint16_t read_u16(const std::uint8_t* at);
std::uint32_t read_u32(const std::uint8_t* at);
std::uint64_t read_u64(const std::uint8_t* at);

} // namespace signet
