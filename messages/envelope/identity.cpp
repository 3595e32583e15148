#include "messages/envelope/identity.hpp"

#include "messages/envelope/canonical.hpp"
#include "messages/schema/identity.capnp.h"

#include <algorithm>

namespace signet {
namespace {
struct parsed_body {
  permalink who;
  link previous;
  std::uint32_t version = 0;
  std::vector<identity_key> keys;
  digest commitment;
  bytes profile;
};

result<parsed_body> read_identity_body(schema::IdentityBody::Reader body) {
  parsed_body out;
  const auto keys = body.getKeys();
  if (keys.size() > identity_keys_max)
    return fail(ec::too_large, std::to_string(keys.size()) + " keys, limit " + std::to_string(identity_keys_max));
  out.version = body.getVersion();
  const bool first = out.version == 1;
  if (out.version == 0)
    return fail(ec::malformed, "version 0");
  if (!optional_id(body.getPermalink(), out.who) || out.who.is_zero() != first)
    return fail(ec::malformed, "permalink");
  if (!optional_id(body.getPrevious(), out.previous) || out.previous.is_zero() != first)
    return fail(ec::malformed, "previous link");
  if (!optional_id(body.getNextUpdateKey(), out.commitment))
    return fail(ec::malformed, "commitment");
  bool can_update = false, can_sign = false;
  for (const auto key : keys) {
    const auto raw = required_id<public_key>(key.getPublicKey());
    const auto purpose = static_cast<std::uint16_t>(key.getPurpose());
    if (!raw || purpose > static_cast<std::uint16_t>(key_purpose::encrypt))
      return fail(ec::malformed, "key " + std::to_string(out.keys.size()));
    if (std::any_of(out.keys.begin(), out.keys.end(), [&](const auto& other) { return other.key == *raw; }))
      return fail(ec::malformed, "key " + std::to_string(out.keys.size()) + " stands there twice");
    const identity_key entry{static_cast<key_purpose>(purpose), *raw};
    can_update = can_update || entry.purpose == key_purpose::update;
    can_sign = can_sign || entry.purpose == key_purpose::sign;
    out.keys.push_back(entry);
  }
  if (!can_update || !can_sign)
    return fail(ec::malformed, "an identity holds at least one update key and one sign key");
  out.profile = to_bytes(view_of(body.getProfile()));
  return out;
}
} // namespace

std::string_view name(key_purpose purpose) {
  switch (purpose) {
    case key_purpose::update: return "update";
    case key_purpose::sign: return "sign";
    case key_purpose::encrypt: return "encrypt";
  }
  return "unknown";
}

digest commit_to(const public_key& update_key) { return hash(label::commitment, update_key.view()); }

result<identity_version> identity_version::parse(bytes_view serialised, bool check_possession) {
  return read_outer<schema::IdentityVersion>(
    serialised, identity_bytes_max, [&](schema::IdentityVersion::Reader version) -> result<identity_version> {
      const auto body = view_of(version.getBody());
      auto fields = read_body<schema::IdentityBody>(body, identity_bytes_max, read_identity_body);
      if (!fields)
        return tl::make_unexpected(std::move(fields).error());
      identity_version out;
      out.link_ = hash_link(label::identity, body);
      out.permalink_ = fields->version == 1 ? signet::permalink{out.link_.raw} : fields->who;
      out.previous_ = fields->previous;
      out.version_ = fields->version;
      out.keys_ = std::move(fields->keys);
      out.commitment_ = fields->commitment;
      out.profile_ = std::move(fields->profile);
      if (!optional_id(version.getUpdateSignature(), out.update_signature_) ||
          out.update_signature_.is_zero() != out.is_first())
        return fail(ec::malformed, "update signature");
      const auto possession = version.getPossession();
      if (possession.size() != out.keys_.size())
        return fail(ec::no_possession, "as many signatures as keys are needed");
      for (std::uint32_t i = 0; i < possession.size(); ++i) {
        const auto proof = signature::from(view_of(possession[i]));
        if (!proof)
          return fail(ec::malformed, "possession signature " + std::to_string(i));
        if (!check_possession)
          continue;
        const auto& key = out.keys_[i].key;
        if (!is_valid_public_key(key) ||
            !verify(key, label::possession, {out.link_.view(), big_endian(std::uint32_t{i})}, *proof))
          return fail(ec::no_possession, "key " + std::to_string(i));
      }
      out.serialised_ = to_bytes(serialised);
      return out;
    });
}

result<identity_version> identity_version::open(bytes_view serialised) { return parse(serialised, true); }
result<identity_version> identity_version::open_stored(bytes_view serialised) {
  auto out = parse(serialised, false);
  if (!out)
    return fail(ec::corrupt, "identity version: " + render(out.error()));
  return out;
}

std::optional<key_purpose> identity_version::find_purpose(const public_key& key) const {
  for (const auto& entry : keys_)
    if (entry.key == key)
      return entry.purpose;
  return std::nullopt;
}

status check_succession(const identity_version& previous, const identity_version& next) {
  if (next.is_first() || next.permalink() != previous.permalink() || next.previous() != previous.link() ||
      next.version() - 1 != previous.version())
    return fail(ec::version_conflict, "version " + std::to_string(previous.version()) + ' ' + previous.link().hex());
  const bool committed = !previous.commitment().is_zero();
  const auto may_sign = [&](const identity_key& entry) {
    return entry.purpose == key_purpose::update && (!committed || commit_to(entry.key) == previous.commitment());
  };
  const auto has_signed = [&](const identity_key& entry) {
    return may_sign(entry) && verify(entry.key, label::version, next.link().view(), next.update_signature());
  };
  if (std::any_of(previous.keys().begin(), previous.keys().end(), has_signed))
    return {};
  // A key that was kept secret until now proves with the new version that somebody holds it.
  if (committed && std::any_of(next.keys().begin(), next.keys().end(), has_signed))
    return {};
  return fail(ec::bad_signature, "no key that may sign this version has signed it");
}

result<std::vector<identity_version>> verify_chain(std::span<const bytes> versions, const permalink& who) {
  std::vector<identity_version> out;
  for (const auto& raw : versions) {
    auto version = identity_version::open(raw);
    if (!version)
      return tl::make_unexpected(std::move(version).error());
    if (out.empty()) {
      if (!version->is_first() || version->permalink() != who)
        return fail(ec::version_conflict, "the chain does not begin with the identity asked for");
    } else if (auto good = check_succession(out.back(), *version); !good) {
      return tl::make_unexpected(std::move(good).error());
    }
    out.push_back(std::move(*version));
  }
  if (out.empty())
    return fail(ec::unknown_identity, "empty chain");
  return out;
}

namespace {
result<identity_version> make_version(const identity_version* previous, const identity_draft& draft,
                                      const signing_key* update_key) {
  if (draft.keys.size() > identity_keys_max || draft.profile.size() > identity_bytes_max)
    return fail(ec::too_large, "identity");
  outer_builder<schema::IdentityBody> body_message;
  auto body = body_message.root();
  if (previous) {
    body.setPermalink(data_of(previous->permalink().view()));
    body.setPrevious(data_of(previous->link().view()));
  }
  body.setVersion(previous ? previous->version() + 1 : 1);
  auto keys = body.initKeys(static_cast<capnp::uint>(draft.keys.size()));
  for (capnp::uint i = 0; i < keys.size(); ++i) {
    keys[i].setPurpose(static_cast<schema::KeyPurpose>(draft.keys[i].purpose));
    keys[i].setPublicKey(data_of(draft.keys[i].key->public_half().view()));
  }
  if (draft.next_update_key)
    body.setNextUpdateKey(data_of(commit_to(*draft.next_update_key).view()));
  if (!draft.profile.empty())
    body.setProfile(data_of(draft.profile));
  const auto canonical = canonical_bytes(body.asReader());
  const auto link = hash_link(label::identity, canonical);

  outer_builder<schema::IdentityVersion> message{canonical.size() + 2048};
  auto version = message.root();
  version.setBody(data_of(canonical));
  auto possession = version.initPossession(keys.size());
  for (capnp::uint i = 0; i < keys.size(); ++i) {
    const auto proof = draft.keys[i].key->sign(label::possession, {link.view(), big_endian(std::uint32_t{i})});
    possession.set(i, data_of(proof.view()));
  }
  if (update_key)
    version.setUpdateSignature(data_of(update_key->sign(label::version, link.view()).view()));
  return identity_version::open(message.finish());
}
} // namespace

result<identity_version> make_first_identity(const identity_draft& draft) {
  return make_version(nullptr, draft, nullptr);
}
result<identity_version> make_next_identity(const identity_version& previous, const identity_draft& draft,
                                            const signing_key& update_key) {
  auto out = make_version(&previous, draft, &update_key);
  if (!out)
    return out;
  if (auto good = check_succession(previous, *out); !good)
    return tl::make_unexpected(std::move(good).error());
  return out;
}

} // namespace signet
