#include "messages/envelope/login.hpp"

#include "messages/envelope/identity.hpp"

#include <stdexcept>

namespace signet {
namespace {
constexpr std::uint8_t channel_bound = 0x10;

class field_reader {
public:
  explicit field_reader(bytes_view raw) : raw_{raw} {}
  template <class Id>
  Id take() {
    const auto out = *Id::from(raw_.first(Id::size));
    raw_ = raw_.subspan(Id::size);
    return out;
  }
  std::uint8_t take_byte() {
    const auto out = raw_[0];
    raw_ = raw_.subspan(1);
    return out;
  }

private:
  bytes_view raw_;
};
} // namespace

std::uint8_t login_channel::byte() const {
  return static_cast<std::uint8_t>(static_cast<unsigned>(transport) | (bound ? channel_bound : 0U));
}
std::optional<login_channel> login_channel::from(std::uint8_t byte) {
  const auto kind_byte = static_cast<std::uint8_t>(byte & ~channel_bound);
  const bool bound = (byte & channel_bound) != 0;
  if (kind_byte < 1 || kind_byte > 4)
    return std::nullopt;
  const auto transport = static_cast<kind>(kind_byte);
  if (bound && transport != kind::tls && transport != kind::wss)
    return std::nullopt;
  return login_channel{transport, bound};
}

bytes encode(const login_hello& hello) {
  bytes out;
  out.reserve(login_hello_size);
  append_u16(out, login_version);
  append(out, hello.who.view());
  append(out, hello.device_key.view());
  append(out, hello.client_nonce.view());
  out.push_back(hello.channel.byte());
  return out;
}
result<login_hello> parse_login_hello(bytes_view raw) {
  if (raw.size() != login_hello_size || read_u16(raw.data()) != login_version)
    return fail(ec::malformed, "login hello");
  field_reader fields{raw.subspan(2)};
  login_hello out;
  out.who = fields.take<permalink>();
  out.device_key = fields.take<public_key>();
  out.client_nonce = fields.take<login_nonce>();
  const auto channel = login_channel::from(fields.take_byte());
  if (!channel || out.who.is_zero() || out.device_key.is_zero() || out.client_nonce.is_zero())
    return fail(ec::malformed, "login hello");
  out.channel = *channel;
  return out;
}

bytes encode(const login_challenge& challenge) {
  bytes out;
  out.reserve(login_challenge_size);
  append_u16(out, login_version);
  append(out, challenge.cluster.view());
  append(out, challenge.node_key.view());
  append(out, challenge.server_nonce.view());
  append(out, challenge.proof.view());
  return out;
}
result<login_challenge> parse_login_challenge(bytes_view raw) {
  if (raw.size() != login_challenge_size || read_u16(raw.data()) != login_version)
    return fail(ec::malformed, "login challenge");
  field_reader fields{raw.subspan(2)};
  login_challenge out;
  out.cluster = fields.take<cluster_id>();
  out.node_key = fields.take<public_key>();
  out.server_nonce = fields.take<login_nonce>();
  out.proof = fields.take<signature>();
  if (out.cluster.is_zero() || out.node_key.is_zero() || out.server_nonce.is_zero())
    return fail(ec::malformed, "login challenge");
  return out;
}

bytes encode(const login_proof& proof) {
  bytes out = to_bytes(proof.proof.view());
  append(out, proof.identity);
  return out;
}
result<login_proof> parse_login_proof(bytes_view raw) {
  if (raw.size() < signature::size)
    return fail(ec::malformed, "login proof");
  if (raw.size() > signature::size + identity_bytes_max)
    return fail(ec::too_large, "identity in a login proof");
  return login_proof{*signature::from(raw.first(signature::size)), to_bytes(raw.subspan(signature::size))};
}

bytes login_transcript::encoded() const {
  if (exporter.has_value() != hello.channel.bound)
    throw std::logic_error{"login transcript: exporter value and channel must agree"};
  bytes out;
  append_u16(out, login_version);
  append(out, cluster.view());
  append(out, node_key.view());
  append(out, server_nonce.view());
  append(out, hello.client_nonce.view());
  append(out, hello.who.view());
  append(out, hello.device_key.view());
  out.push_back(hello.channel.byte());
  if (exporter)
    append(out, exporter->view());
  append(out, as_bytes(client_id));
  return out;
}

login_challenge sign_as_node(const signing_key& node, const login_transcript& transcript) {
  if (transcript.node_key != node.public_half())
    throw std::logic_error{"login transcript: it names another node"};
  return {transcript.cluster, transcript.node_key, transcript.server_nonce,
          node.sign(label::login_node, transcript.encoded())};
}
bool verify_node(const login_transcript& transcript, const signature& proof) {
  return verify(transcript.node_key, label::login_node, transcript.encoded(), proof);
}
signature sign_as_client(const signing_key& device, const login_transcript& transcript) {
  if (transcript.hello.device_key != device.public_half())
    throw std::logic_error{"login transcript: it names another device key"};
  return device.sign(label::login_client, transcript.encoded());
}
bool verify_client(const login_transcript& transcript, const signature& proof) {
  return verify(transcript.hello.device_key, label::login_client, transcript.encoded(), proof);
}

} // namespace signet
