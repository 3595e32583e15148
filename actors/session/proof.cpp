#include "actors/session/proof.hpp"

#include "messages/envelope/identity.hpp"

#include <algorithm>

namespace signet {
namespace {

// Steps 2 and 3 of the order of work, with the verdict in words. `good`: what came before was in order.
struct standing_verdict {
  bool verified = false, known = false;
  std::string_view problem;  // empty: the key may speak for `who`
};

standing_verdict judge_key(bool signature_holds, const std::optional<key_standing>& found, const permalink& who) {
  standing_verdict out;
  out.verified = signature_holds;
  out.known = found.has_value();
  if (!signature_holds)
    out.problem = "bad_signature";
  else if (!found)
    out.problem = "unknown_key";
  else if (found->owner != who)
    out.problem = "foreign_key";
  else if (!found->signs)
    out.problem = "wrong_key_purpose";
  else if (found->revoked)
    out.problem = "revoked_key";
  return out;
}

tl::unexpected<disproved> refuse(std::string_view detail, security_kind kind = security_kind::login_failed) {
  return tl::make_unexpected(disproved{kind, detail, {}, {}, false});
}
// Behind a signature that verified.
tl::unexpected<disproved> refuse(std::string_view detail, const permalink& who, const public_key& device,
                                 security_kind kind = security_kind::login_failed) {
  return tl::make_unexpected(disproved{kind, detail, to_bytes(who.view()), to_bytes(device.view()), false});
}

// Something to verify when there is nothing: a real key and a real signature, of something else, so that the work is
// the whole work (a zero key or signature would be refused at a glance), and the answer is always no.
struct dummy {
  public_key key;
  signature proof;
};
const dummy& a_dummy() {
  static const dummy it = [] {
    const std::array<std::uint8_t, signing_key::seed_size> seed{1};
    const auto key = signing_key::from_seed(seed);
    return dummy{key.public_half(), key.sign(label::token, as_bytes("of something else"))};
  }();
  return it;
}
bool verify_dummy() { return verify(a_dummy().key, label::token, as_bytes("nothing"), a_dummy().proof); }

wall_ms proof_end(const session_settings& settings, wall_ms now) {
  return wall_ms{value(now) + std::uint64_t{settings.absolute_s} * 1000};
}

} // namespace

std::optional<bytes> login_challenger::challenge(const proof_context& context, bytes_view data,
                                                 const std::string& client_id, random_source& random) {
  transcript_.reset();
  auto hello = parse_login_hello(data);
  if (!hello || static_cast<std::uint8_t>(hello->channel.transport) != static_cast<std::uint8_t>(context.channel) ||
      (hello->channel.bound && !context.exporter))
    return std::nullopt;
  login_transcript transcript;
  transcript.cluster = context.cluster;
  transcript.node_key = context.node_key.public_half();
  transcript.server_nonce = random_id<login_nonce>(random);
  transcript.hello = *hello;
  if (hello->channel.bound)
    transcript.exporter = context.exporter;
  transcript.client_id = client_id;
  auto out = encode(sign_as_node(context.node_key, transcript));
  transcript_ = std::move(transcript);
  return out;
}

proof_verdict login_challenger::judge(const proof_context& context, bytes_view answer, moment now,
                                      session_reads& reads, session_gate& gate) {
  if (!transcript_)
    return refuse("no_challenge", security_kind::replayed_login);
  const auto transcript = std::move(*transcript_);
  transcript_.reset();

  auto given = parse_login_proof(answer);
  const bool holds = verify_client(transcript, given ? given->proof : a_dummy().proof);
  const auto found = reads.find_key(transcript.hello.device_key);
  if (!given)
    return refuse("malformed");

  const auto& who = transcript.hello.who;
  const auto& device = transcript.hello.device_key;
  const auto verdict = judge_key(holds, found, who);
  proven out;
  if (verdict.verified && !verdict.known && !given->identity.empty()) {
    if (!gate.may_create_identity(now.steady)) {
      auto refusal = refuse("identities", who, device, security_kind::rate_limit);
      refusal.value().rate_limited = true;
      return refusal;
    }
    auto identity = identity_version::open(given->identity);
    if (!identity)
      return refuse("malformed_identity", who, device);
    if (identity->permalink() != who || !identity->has(device, key_purpose::sign))
      return refuse("foreign_identity", who, device);
    out.identity = std::move(given->identity);
  } else if (!verdict.problem.empty()) {
    return verdict.verified ? refuse(verdict.problem, who, device) : refuse(verdict.problem);
  }
  out.key = {who, device, transcript.client_id};
  out.expires = proof_end(context.settings, now.wall);
  return out;
}

proof_verdict judge_token(const proof_context& context, std::string_view user_name, std::string_view text,
                          const std::string& client_id, moment now, session_reads& reads) {
  const auto who = permalink::parse(user_name);
  const auto token = parse_token(text);
  const bool readable = who && token;
  const bool holds = readable ? verify_token(*token, *who) : verify_dummy();
  const auto found = reads.find_key(readable ? token->claims().device_key : public_key{});
  if (!readable)
    return refuse("malformed");

  const auto& claims = token->claims();
  const auto verdict = judge_key(holds, found, *who);
  const auto& device = claims.device_key;
  if (!verdict.problem.empty())
    return verdict.verified ? refuse(verdict.problem, *who, device) : refuse(verdict.problem);
  if (claims.cluster != context.cluster)
    return refuse("foreign_cluster", *who, device);
  if (claims.client_id != client_id)
    return refuse("foreign_client_id", *who, device);
  const auto life_max = claims.reusable ? context.settings.reusable_token_s_max : context.settings.token_s_max;
  if (claims.life_s > life_max)
    return refuse("token_life", *who, device);
  if (!check_life(claims, now.wall))
    return refuse("token_expired", *who, device);
  const bool tls = context.channel == channel_kind::tls || context.channel == channel_kind::wss;
  if (claims.reusable && (!context.settings.reusable_tokens || !(tls || context.loopback)))
    return refuse("reusable_token", *who, device);

  proven out;
  out.key = {*who, claims.device_key, client_id};
  out.expires = proof_end(context.settings, now.wall);
  if (claims.reusable)
    out.expires = std::min(out.expires, claims.ends_at());
  out.token.issued = claims.issued_at;
  out.token.ends = claims.ends_at();
  if (!claims.reusable)
    out.token.nonce = claims.nonce;
  return out;
}

} // namespace signet
