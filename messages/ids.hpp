#pragma once
// Ids and numbers as distinct types: a link cannot be handed over where a key is asked for, nor a position where an
// index is. Text forms are lower-case hex.

#include "messages/bytes.hpp"

#include <algorithm>
#include <array>
#include <compare>
#include <functional>
#include <type_traits>
#include <cstring>

namespace signet {

/// N bytes with a meaning. All zero means "none" where a schema says so.
template <class Tag, std::size_t N>
struct id {
  static constexpr std::size_t size = N;
  std::array<std::uint8_t, N> raw{};

  auto operator<=>(const id&) const = default;
  bytes_view view() const { return {raw.data(), N}; }
  bool is_zero() const {
    return std::all_of(raw.begin(), raw.end(), [](auto byte) { return byte == 0; });
  }
  std::string hex() const { return to_hex(view()); }

  static std::optional<id> from(bytes_view data) {
    if (data.size() != N)
      return std::nullopt;
    id out;
    std::copy(data.begin(), data.end(), out.raw.begin());
    return out;
  }
  static std::optional<id> parse(std::string_view hex) {
    auto data = from_hex(hex);
    return data ? from(*data) : std::nullopt;
  }
};
template <class Tag, std::size_t N>
std::string to_string(const id<Tag, N>& x) { return x.hex(); }

/// Hash of a body (of a message, of an identity version): its name.
using link = id<struct link_tag, 32>;
/// Link of the first version of an identity: its name for ever.
using permalink = id<struct permalink_tag, 32>;
/// Ed25519 public key.
using public_key = id<struct public_key_tag, 32>;
/// Ed25519 signature.
using signature = id<struct signature_tag, 64>;
/// BLAKE2b-256 where it names nothing: Merkle nodes, chain hashes, commitments, state hashes.
using digest = id<struct digest_tag, 32>;
/// Names the cluster in which a lane lives; drawn at random when the cluster is founded.
using cluster_id = id<struct cluster_id_tag, 16>;
/// 32 random bytes, used once, in a handshake.
using login_nonce = id<struct login_nonce_tag, 32>;
/// 16 random bytes, claimed once in the whole cluster, in a connect token.
using token_nonce = id<struct token_nonce_tag, 16>;

/// Index of an entry in the event log: 1, 2, 3… The index of an accepted message is that of its entry.
enum class log_index : std::uint64_t {};
/// Raft's term.
enum class term : std::uint64_t {};
/// Number of a message in its lane: 1, 2, 3…; 0 means "none yet".
enum class lane_number : std::uint64_t {};
/// Position in the inbox of an identity: dense, 1, 2, 3…; 0 means "before the first".
enum class inbox_position : std::uint64_t {};
/// Milliseconds since 1970, of some wall clock. Data: it never orders anything.
enum class wall_ms : std::uint64_t {};

template <class E>
concept number = std::is_enum_v<E> && std::is_same_v<std::underlying_type_t<E>, std::uint64_t>;
template <number E>
constexpr std::uint64_t value(E x) { return static_cast<std::uint64_t>(x); }
template <number E>
constexpr E next(E x) { return static_cast<E>(value(x) + 1); }
template <number E>
std::string to_string(E x) { return std::to_string(value(x)); }

/// A lane: messages of one signing key to one recipient, numbered without gaps. Each device has its own signing key,
/// hence its own lanes: two devices, or a restored backup, cannot fork a lane unnoticed.
struct lane_id {
  public_key signer;
  permalink recipient;
  auto operator<=>(const lane_id&) const = default;
};

struct id_hash {
  template <class Tag, std::size_t N>
  std::size_t operator()(const id<Tag, N>& x) const {
    // Ids are hashes or keys: their first bytes are as good as random.
    std::size_t out;
    static_assert(N >= sizeof out);
    std::memcpy(&out, x.raw.data(), sizeof out);
    return out;
  }
  std::size_t operator()(const lane_id& x) const { return (*this)(x.signer) * 31 + (*this)(x.recipient); }
};

} // namespace signet
