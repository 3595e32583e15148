#pragma once
// Connect tokens: how a stock MQTT client proves a device key. User name = permalink in hex, password = the token.
//
//   version u8 = 1 · flags u8 · cluster id 16 · device key 32 · issued at u64 ms · life u32 s · nonce 16
//   · length u8 · client id · signature 64          integers big-endian; text: base64url without padding
//
// flags: bit 0 = reusable; the others are 0. The signature is by the device key, label token, over permalink (32) · all
// bytes before it. Clocks and lives are judged here; that a single-use nonce is claimed once is the log's part.

#include "messages/envelope/keys.hpp"

#include <string>
#include <string_view>

namespace signet {

inline constexpr std::uint32_t token_life_s_max = 300;
inline constexpr std::uint32_t token_life_reusable_s_max = 12 * 60 * 60;
/// A token may come from a clock this far ahead.
inline constexpr std::uint64_t token_skew_ms = 60'000;
/// MQTT client identifiers, here and in logins: 1 to 128 bytes of clean UTF-8.
inline constexpr std::size_t client_id_bytes_max = 128;
inline constexpr std::size_t token_text_max = 512;

struct token_claims {
  bool reusable = false;
  cluster_id cluster;
  public_key device_key;
  wall_ms issued_at{};
  std::uint32_t life_s = 0;
  token_nonce nonce;
  std::string client_id;
  bool operator==(const token_claims&) const = default;

  wall_ms ends_at() const { return wall_ms{value(issued_at) + std::uint64_t{life_s} * 1000}; }
};

/// `malformed`: a life of 0 or above the limit, a client id that cannot be, a device key that is not `key`'s.
result<std::string> make_token(const signing_key& key, const permalink& who, const token_claims& claims);

/// Its form is right; nothing is proved.
class unverified_token {
public:
  const token_claims& claims() const { return claims_; }

private:
  friend result<unverified_token> parse_token(std::string_view text);
  friend bool verify_token(const unverified_token& token, const permalink& who);
  token_claims claims_;
  bytes signed_part_;
  signature proof_;
};
/// `malformed`: also an unknown version or flag, a life above its limit.
result<unverified_token> parse_token(std::string_view text);

/// Signed by its device key for this identity. Whether that key is a sign key of the identity, and not revoked, is the
/// state's question.
[[nodiscard]] bool verify_token(const unverified_token& token, const permalink& who);

/// issued_at ≤ now + skew and now < issued_at + life; no grace after the end. `token_expired`.
status check_life(const token_claims& claims, wall_ms now);

} // namespace signet
