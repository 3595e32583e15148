#include "messages/bytes.hpp"

#include <array>

namespace signet {

std::string to_hex(bytes_view raw) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  out.reserve(raw.size() * 2);
  for (auto byte : raw) {
    out.push_back(digits[byte >> 4]);
    out.push_back(digits[byte & 15]);
  }
  return out;
}

namespace {
int hex_digit(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  if (c >= 'A' && c <= 'F')
    return c - 'A' + 10;
  return -1;
}

constexpr std::string_view base64url_alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

constexpr std::array<int, 256> base64url_values = [] {
  std::array<int, 256> values{};
  values.fill(-1);
  for (std::size_t i = 0; i < base64url_alphabet.size(); ++i)
    values[static_cast<unsigned char>(base64url_alphabet[i])] = static_cast<int>(i);
  return values;
}();
} // namespace

std::optional<bytes> from_hex(std::string_view text) {
  if (text.size() % 2 != 0)
    return std::nullopt;
  bytes out;
  out.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    int high = hex_digit(text[i]), low = hex_digit(text[i + 1]);
    if (high < 0 || low < 0)
      return std::nullopt;
    out.push_back(static_cast<std::uint8_t>(high << 4 | low));
  }
  return out;
}

std::string to_base64url(bytes_view raw) {
  std::string out;
  out.reserve((raw.size() * 4 + 2) / 3);
  std::uint32_t window = 0;
  int bits = 0;
  for (auto byte : raw) {
    window = window << 8 | byte;
    bits += 8;
    while (bits >= 6) {
      bits -= 6;
      out.push_back(base64url_alphabet[window >> bits & 63]);
    }
  }
  if (bits > 0)
    out.push_back(base64url_alphabet[window << (6 - bits) & 63]);
  return out;
}

std::optional<bytes> from_base64url(std::string_view text) {
  if (text.size() % 4 == 1)
    return std::nullopt;
  bytes out;
  out.reserve(text.size() * 3 / 4);
  std::uint32_t window = 0;
  int bits = 0;
  for (char c : text) {
    int value = base64url_values[static_cast<unsigned char>(c)];
    if (value < 0)
      return std::nullopt;
    window = window << 6 | static_cast<std::uint32_t>(value);
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out.push_back(static_cast<std::uint8_t>(window >> bits));
    }
  }
  // One byte string has one text form: bits that carry nothing must be zero.
  if (bits > 0 && (window & ((1U << bits) - 1)) != 0)
    return std::nullopt;
  return out;
}

void append_u16(bytes& out, std::uint16_t value) {
  out.push_back(static_cast<std::uint8_t>(value >> 8));
  out.push_back(static_cast<std::uint8_t>(value));
}
void append_u32(bytes& out, std::uint32_t value) {
  append_u16(out, static_cast<std::uint16_t>(value >> 16));
  append_u16(out, static_cast<std::uint16_t>(value));
}
void append_u64(bytes& out, std::uint64_t value) {
  append_u32(out, static_cast<std::uint32_t>(value >> 32));
  append_u32(out, static_cast<std::uint32_t>(value));
}
void append(bytes& out, bytes_view raw) { out.insert(out.end(), raw.begin(), raw.end()); }

std::uint16_t read_u16(const std::uint8_t* at) { return static_cast<std::uint16_t>(at[0] << 8 | at[1]); }
std::uint32_t read_u32(const std::uint8_t* at) {
  return static_cast<std::uint32_t>(read_u16(at)) << 16 | read_u16(at + 2);
}
std::uint64_t read_u64(const std::uint8_t* at) {
  return static_cast<std::uint64_t>(read_u32(at)) << 32 | read_u32(at + 4);
}

} // namespace signet
