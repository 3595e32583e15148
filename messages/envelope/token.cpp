#include "messages/envelope/token.hpp"

#include "messages/envelope/canonical.hpp"

namespace signet {
namespace {
constexpr std::uint8_t token_version = 1;
constexpr std::uint8_t flag_reusable = 1;
constexpr std::size_t size_before_client_id = 1 + 1 + 16 + 32 + 8 + 4 + 16 + 1;

bool life_is_possible(const token_claims& claims) {
  return claims.life_s > 0 && claims.life_s <= (claims.reusable ? token_life_reusable_s_max : token_life_s_max) &&
         value(claims.issued_at) <= UINT64_MAX - std::uint64_t{token_life_reusable_s_max} * 1000;
}
bool client_id_is_possible(std::string_view client_id) {
  return !client_id.empty() && is_clean_text(as_bytes(client_id), client_id_bytes_max);
}

/// Takes fields off the front; the caller has checked the whole length.
class field_reader {
public:
  explicit field_reader(bytes_view raw) : raw_{raw} {}
  bytes_view take(std::size_t size) {
    const auto out = raw_.first(size);
    raw_ = raw_.subspan(size);
    return out;
  }
  template <class Id>
  Id take_id() {
    return *Id::from(take(Id::size));
  }

private:
  bytes_view raw_;
};
} // namespace

result<std::string> make_token(const signing_key& key, const permalink& who, const token_claims& claims) {
  if (!life_is_possible(claims))
    return fail(ec::malformed, "a token's life is 1 to 300 s, of a reusable one up to 12 h");
  if (!client_id_is_possible(claims.client_id))
    return fail(ec::malformed, "a client id has 1 to 128 bytes of UTF-8");
  if (claims.device_key != key.public_half())
    return fail(ec::malformed, "the device key must be the one that signs");
  bytes out;
  out.reserve(size_before_client_id + claims.client_id.size() + signature::size);
  out.push_back(token_version);
  out.push_back(claims.reusable ? flag_reusable : 0);
  append(out, claims.cluster.view());
  append(out, claims.device_key.view());
  append_u64(out, value(claims.issued_at));
  append_u32(out, claims.life_s);
  append(out, claims.nonce.view());
  out.push_back(static_cast<std::uint8_t>(claims.client_id.size()));
  append(out, as_bytes(claims.client_id));
  append(out, key.sign(label::token, {who.view(), out}).view());
  return to_base64url(out);
}

result<unverified_token> parse_token(std::string_view text) {
  if (text.size() > token_text_max)
    return fail(ec::malformed, "too long for a token");
  const auto raw = from_base64url(text);
  if (!raw || raw->size() < size_before_client_id + signature::size)
    return fail(ec::malformed, "not a token");
  field_reader fields{*raw};
  const auto version = fields.take(1)[0], flags = fields.take(1)[0];
  if (version != token_version || (flags & ~flag_reusable) != 0)
    return fail(ec::malformed, "unknown token version or flag");
  unverified_token out;
  out.claims_.reusable = (flags & flag_reusable) != 0;
  out.claims_.cluster = fields.take_id<cluster_id>();
  out.claims_.device_key = fields.take_id<public_key>();
  out.claims_.issued_at = wall_ms{read_u64(fields.take(8).data())};
  out.claims_.life_s = read_u32(fields.take(4).data());
  out.claims_.nonce = fields.take_id<token_nonce>();
  const std::size_t client_id_size = fields.take(1)[0];
  if (raw->size() != size_before_client_id + client_id_size + signature::size)
    return fail(ec::malformed, "a token's length must fit its client id");
  out.claims_.client_id = as_text(fields.take(client_id_size));
  out.proof_ = fields.take_id<signature>();
  if (!life_is_possible(out.claims_) || !client_id_is_possible(out.claims_.client_id))
    return fail(ec::malformed, "life or client id out of range");
  out.signed_part_ = to_bytes(bytes_view{*raw}.first(raw->size() - signature::size));
  return out;
}

bool verify_token(const unverified_token& token, const permalink& who) {
  return verify(token.claims_.device_key, label::token, {who.view(), token.signed_part_}, token.proof_);
}

status check_life(const token_claims& claims, wall_ms now) {
  if (value(claims.issued_at) > value(now) + token_skew_ms)
    return fail(ec::token_expired, "issued in the future; check the clock of the client");
  if (value(now) >= value(claims.ends_at()))
    return fail(ec::token_expired);
  return {};
}

} // namespace signet
