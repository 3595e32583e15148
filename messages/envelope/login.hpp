#pragma once
// MQTT 5 enhanced authentication, method "signet-ed25519": layouts and the transcript both sides sign. Functions of
// bytes and keys; who may, and when, is the session's part.
//
//   C → S  CONNECT, AUTH 0x19  hello      version u16 = 1 · permalink 32 · device key 32 · client nonce 32 · channel
//   S → C  AUTH 0x18           challenge  version u16 · cluster id 16 · node key 32 · server nonce 32 · signature 64
//   C → S  AUTH 0x18           proof      signature 64 · serialised IdentityVersion, or nothing
//
// transcript = version u16 · cluster id 16 · node key 32 · server nonce 32 · client nonce 32 · permalink 32
//              · device key 32 · channel u8 · exporter 32 (if channel & 0x10) · client id
// The node signs it under login-node, the device key under login-client. The client checks the node first, against the
// node keys it knows, so it never signs for a stranger.

#include "messages/envelope/keys.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace signet {

inline constexpr std::string_view login_method = "signet-ed25519";
inline constexpr std::string_view login_exporter_label = "EXPORTER-signet-login";
inline constexpr std::uint16_t login_version = 1;

/// Value of the TLS exporter for login_exporter_label, without context.
using tls_exporter = id<struct tls_exporter_tag, 32>;

/// What the connection runs over, as both sides see it.
struct login_channel {
  enum class kind : std::uint8_t { tcp = 1, tls = 2, ws = 3, wss = 4 };
  kind transport = kind::tcp;
  bool bound = false;  ///< to the TLS exporter; only with tls and wss

  std::uint8_t byte() const;
  static std::optional<login_channel> from(std::uint8_t byte);
  bool operator==(const login_channel&) const = default;
};

struct login_hello {
  permalink who;
  public_key device_key;
  login_nonce client_nonce;
  login_channel channel;
  bool operator==(const login_hello&) const = default;
};
inline constexpr std::size_t login_hello_size = 2 + 32 + 32 + 32 + 1;
bytes encode(const login_hello& hello);
/// `malformed`: another length, version or channel, or an all-zero field.
result<login_hello> parse_login_hello(bytes_view raw);

struct login_challenge {
  cluster_id cluster;
  public_key node_key;
  login_nonce server_nonce;
  signature proof;
  bool operator==(const login_challenge&) const = default;
};
inline constexpr std::size_t login_challenge_size = 2 + 16 + 32 + 32 + 64;
bytes encode(const login_challenge& challenge);
result<login_challenge> parse_login_challenge(bytes_view raw);

struct login_proof {
  signature proof;
  bytes identity;  ///< serialised IdentityVersion of a first-time client, not yet opened; else empty
  bool operator==(const login_proof&) const = default;
};
bytes encode(const login_proof& proof);
/// `malformed`: no signature; `too_large`: an identity above its limit.
result<login_proof> parse_login_proof(bytes_view raw);

/// Everything both sides know before either signs.
struct login_transcript {
  cluster_id cluster;
  public_key node_key;
  login_nonce server_nonce;
  login_hello hello;
  std::optional<tls_exporter> exporter;  ///< there if and only if hello.channel.bound
  std::string client_id;

  bytes encoded() const;
};

/// Node: makes the challenge. The transcript must hold the node's own key.
login_challenge sign_as_node(const signing_key& node, const login_transcript& transcript);
/// Client: is this the node it names? (That the key is one the client trusts is for the caller to check.)
[[nodiscard]] bool verify_node(const login_transcript& transcript, const signature& proof);
/// Client: proves its device key. Call it only after verify_node().
signature sign_as_client(const signing_key& device, const login_transcript& transcript);
[[nodiscard]] bool verify_client(const login_transcript& transcript, const signature& proof);

} // namespace signet
