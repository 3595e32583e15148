// Writes tests/vectors/envelope/*.json: for every rule of bytes in docs/protocol.md examples that hold, and examples
// that must be refused. The same in every run. Ends with 1 if our own code does not judge an example as the file says.
//
//   make_envelope_vectors DIRECTORY
#include "messages/envelope/canonical.hpp"
#include "messages/envelope/delivery.hpp"
#include "messages/envelope/identity.hpp"
#include "messages/envelope/login.hpp"
#include "messages/envelope/receipt.hpp"
#include "messages/envelope/token.hpp"
#include "messages/schema/identity.capnp.h"
#include "messages/schema/message.capnp.h"

#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace signet::vectors {
namespace {
using json = nlohmann::ordered_json;

void insist(bool holds, const std::string& what) {
  if (!holds)
    throw std::runtime_error{"our own code disagrees: " + what};
}
template <class T>
void insist_refused(const result<T>& outcome, ec expected, const std::string& what) {
  insist(!outcome && outcome.error().code == expected,
         what + " (" + (outcome ? "accepted" : render(outcome.error())) + ")");
}

template <class Id>
Id filled(std::uint8_t byte) {
  Id out;
  out.raw.fill(byte);
  return out;
}
struct seeded_key {
  std::array<std::uint8_t, 32> seed;
  signing_key key;
  json described() const {
    return {{"seed", to_hex(seed)}, {"public_key", key.public_half().hex()}};
  }
};
seeded_key seeded(std::uint8_t byte) {
  std::array<std::uint8_t, 32> seed;
  for (std::size_t i = 0; i < seed.size(); ++i)
    seed[i] = static_cast<std::uint8_t>(byte + i);
  return {seed, signing_key::from_seed(seed)};
}
template <class Id>
std::string hex_or_empty(const Id& id) {
  return id.is_zero() ? std::string{} : id.hex();
}

// --- labels, signatures ---

json labels() {
  json out{{"about", "hash = BLAKE2b-256 of (signet/v1/ label 0x00 content)"}, {"hashes", json::array()}};
  for (const auto& row : label_table)
    for (const auto content : {"", "signet"})
      out["hashes"].push_back({{"label", name(row.which)},
                               {"content", to_hex(as_bytes(content))},
                               {"hash", hash(row.which, as_bytes(content)).hex()}});
  return out;
}

signature with_added_order(signature proof) {
  const auto order = from_hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").value();
  unsigned carry = 0;
  for (std::size_t i = 0; i < 32; ++i) {
    carry += static_cast<unsigned>(proof.raw[32 + i]) + order[i];
    proof.raw[32 + i] = static_cast<std::uint8_t>(carry);
    carry >>= 8;
  }
  return proof;
}

json signatures() {
  const auto signer = seeded(1), other = seeded(2);
  const auto cluster = filled<cluster_id>(0xc1), other_cluster = filled<cluster_id>(0xc2);
  json out{{"about", "signature = Ed25519 over (signet/v1/ label 0x00 content)"},
           {"key", signer.described()},
           {"holds", json::array()},
           {"refused", json::array()}};
  const auto content_of = [](const cluster_id& where) {
    auto out = to_bytes(where.view());
    append(out, as_bytes("content"));
    return out;
  };
  for (const auto& row : label_table) {
    const auto content = content_of(cluster);
    const auto proof = signer.key.sign(row.which, content);
    insist(verify(signer.key.public_half(), row.which, content, proof), "signature");
    out["holds"].push_back({{"label", name(row.which)}, {"content", to_hex(content)}, {"signature", proof.hex()}});
  }
  const auto refuse = [&](const std::string& why, const public_key& key, label which, bytes_view content,
                          const signature& proof) {
    insist(!verify(key, which, content, proof), why);
    out["refused"].push_back({{"why", why},
                              {"public_key", key.hex()},
                              {"label", name(which)},
                              {"content", to_hex(content)},
                              {"signature", proof.hex()}});
  };
  const auto content = content_of(cluster);
  const auto proof = signer.key.sign(label::token, content);
  const auto& half = signer.key.public_half();
  refuse("another label", half, label::batch, content, proof);
  refuse("another cluster id in the content", half, label::token, content_of(other_cluster), proof);
  refuse("another key", other.key.public_half(), label::token, content, proof);
  auto changed = proof;
  changed.raw[0] ^= 1;
  refuse("R changed", half, label::token, content, changed);
  changed = proof;
  changed.raw[40] ^= 1;
  refuse("S changed", half, label::token, content, changed);
  refuse("S + L: malleable", half, label::token, content, with_added_order(proof));
  for (const auto small :
       {"0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"}) {
    const auto key = public_key::parse(small).value();
    insist(!is_valid_public_key(key), "small order");
    signature forged{};
    forged.raw[0] = 1;  // R = the neutral point, S = 0
    refuse("a key of small order, with R neutral and S = 0", key, label::token, content, forged);
  }
  return out;
}

// --- identities ---

json described(const identity_version& version) {
  bytes body;
  std::vector<std::string> possession;
  insist(read_outer<schema::IdentityVersion>(version.serialised(), identity_bytes_max,
                                             [&](schema::IdentityVersion::Reader raw) -> status {
                                               body = to_bytes(view_of(raw.getBody()));
                                               for (const auto proof : raw.getPossession())
                                                 possession.push_back(to_hex(view_of(proof)));
                                               return {};
                                             })
           .has_value(),
         "identity");
  json keys = json::array();
  for (const auto& entry : version.keys())
    keys.push_back({{"purpose", name(entry.purpose)}, {"public_key", entry.key.hex()}});
  return {{"version", version.version()},
          {"permalink", version.is_first() ? "" : version.permalink().hex()},
          {"previous", hex_or_empty(version.previous())},
          {"keys", keys},
          {"next_update_key", hex_or_empty(version.commitment())},
          {"profile", to_hex(version.profile())},
          {"body", to_hex(body)},
          {"link", version.link().hex()},
          {"possession", possession},
          {"update_signature", hex_or_empty(version.update_signature())},
          {"serialised", to_hex(version.serialised())}};
}

/// An IdentityVersion with any field wrong that somebody may want wrong.
struct wrong_identity {
  struct entry {
    std::uint16_t purpose;
    const signing_key* key;
  };
  std::vector<entry> keys;
  bytes permalink, previous, commitment, profile;
  std::uint32_t version = 1;
  const signing_key* update_key = nullptr;
  bytes append_to_body;
  std::function<void(std::vector<bytes>&)> change_possession = [](auto&) {};

  bytes build() const {
    capnp::MallocMessageBuilder body_message;
    auto body = body_message.initRoot<schema::IdentityBody>();
    if (!permalink.empty())
      body.setPermalink(data_of(permalink));
    if (!previous.empty())
      body.setPrevious(data_of(previous));
    body.setVersion(version);
    auto list = body.initKeys(static_cast<capnp::uint>(keys.size()));
    for (capnp::uint i = 0; i < list.size(); ++i) {
      list[i].setPurpose(static_cast<schema::KeyPurpose>(keys[i].purpose));
      list[i].setPublicKey(data_of(keys[i].key->public_half().view()));
    }
    if (!commitment.empty())
      body.setNextUpdateKey(data_of(commitment));
    if (!profile.empty())
      body.setProfile(data_of(profile));
    auto raw = canonical_bytes(body.asReader());
    append(raw, append_to_body);
    const auto link = hash_link(label::identity, raw);
    std::vector<bytes> proofs;
    for (std::uint32_t i = 0; i < keys.size(); ++i)
      proofs.push_back(to_bytes(keys[i].key->sign(label::possession, {link.view(), big_endian(i)}).view()));
    change_possession(proofs);
    outer_builder<schema::IdentityVersion> message{raw.size() + 4096};
    auto out = message.root();
    out.setBody(data_of(raw));
    auto possession = out.initPossession(static_cast<capnp::uint>(proofs.size()));
    for (capnp::uint i = 0; i < possession.size(); ++i)
      possession.set(i, data_of(proofs[i]));
    if (update_key)
      out.setUpdateSignature(data_of(update_key->sign(label::version, link.view()).view()));
    return message.finish();
  }
};

json identities() {
  const auto update_1 = seeded(11), update_2 = seeded(12), update_3 = seeded(13), sign_1 = seeded(21),
             sign_2 = seeded(22), encrypt_1 = seeded(31);
  const auto profile = to_bytes(as_bytes("alice"));
  using entries = std::vector<identity_draft::entry>;
  const auto first = make_first_identity(
    {entries{{key_purpose::update, &update_1.key}, {key_purpose::sign, &sign_1.key}}, {}, profile}).value();
  const auto second = make_next_identity(first,
                                         {entries{{key_purpose::update, &update_1.key},
                                                  {key_purpose::sign, &sign_1.key},
                                                  {key_purpose::sign, &sign_2.key},
                                                  {key_purpose::encrypt, &encrypt_1.key}},
                                          update_2.key.public_half(),
                                          profile},
                                         update_1.key).value();
  const identity_draft rotated{entries{{key_purpose::update, &update_2.key}, {key_purpose::sign, &sign_2.key}}, {}, {}};
  const auto third = make_next_identity(second, rotated, update_2.key).value();
  const auto chosen = make_first_identity({entries{{key_purpose::update, &update_1.key},
                                                   {key_purpose::update, &update_3.key},
                                                   {key_purpose::sign, &sign_1.key}},
                                           update_3.key.public_half(),
                                           {}}).value();
  const identity_draft kept{entries{{key_purpose::update, &update_3.key}, {key_purpose::sign, &sign_1.key}}, {}, {}};
  const auto chosen_next = make_next_identity(chosen, kept, update_3.key).value();

  json out{{"about", "chains of identity versions; refused versions do not stand alone, refused successions do, but "
                     "not one after the other"},
           {"keys",
            {{"update_1", update_1.described()},
             {"update_2", update_2.described()},
             {"update_3", update_3.described()},
             {"sign_1", sign_1.described()},
             {"sign_2", sign_2.described()},
             {"encrypt_1", encrypt_1.described()}}},
           {"chains",
            {{{"about", "a device and an encryption key are added, with a commitment to a secret update key; then "
                        "rotation by that key, which revokes sign_1 and encrypt_1"},
              {"permalink", first.permalink().hex()},
              {"versions", {described(first), described(second), described(third)}}},
             {{"about", "a commitment to one of two published update keys"},
              {"permalink", chosen.permalink().hex()},
              {"versions", {described(chosen), described(chosen_next)}}}}},
           {"refused_versions", json::array()},
           {"refused_successions", json::array()}};

  const auto refuse = [&](const std::string& why, ec expected, const wrong_identity& made) {
    const auto raw = made.build();
    insist_refused(identity_version::open(raw), expected, why);
    out["refused_versions"].push_back({{"why", why}, {"error", name(expected)}, {"serialised", to_hex(raw)}});
  };
  const wrong_identity good{{{0, &update_1.key}, {1, &sign_1.key}}, {}, {}, {}, {}, 1, nullptr, {}};
  insist(identity_version::open(good.build()).has_value(), "good identity");
  auto made = good;
  made.append_to_body = bytes(8, 0);
  refuse("body not canonical: a word behind its end", ec::not_canonical, made);
  made = good;
  made.change_possession = [](auto& proofs) { proofs[1][0] ^= 1; };
  refuse("one possession signature wrong", ec::no_possession, made);
  made = good;
  made.change_possession = [](auto& proofs) { std::swap(proofs[0], proofs[1]); };
  refuse("possession signatures exchanged", ec::no_possession, made);
  made = good;
  made.change_possession = [](auto& proofs) { proofs.pop_back(); };
  refuse("one possession signature missing", ec::no_possession, made);
  made = good;
  made.keys = {{0, &update_1.key}};
  refuse("no sign key", ec::malformed, made);
  made.keys = {{1, &sign_1.key}};
  refuse("no update key", ec::malformed, made);
  made.keys = {{0, &update_1.key}, {1, &update_1.key}};
  refuse("one key twice", ec::malformed, made);
  made.keys = {{0, &update_1.key}, {1, &sign_1.key}, {3, &sign_2.key}};
  refuse("unknown purpose", ec::malformed, made);
  std::vector<seeded_key> many;
  for (std::uint8_t i = 0; i < 17; ++i)
    many.push_back(seeded(static_cast<std::uint8_t>(100 + i)));
  made = good;
  made.keys.clear();
  for (std::size_t i = 0; i < many.size(); ++i)
    made.keys.push_back({static_cast<std::uint16_t>(i == 0 ? 0 : 1), &many[i].key});
  refuse("17 keys", ec::too_large, made);
  made = good;
  made.profile = bytes(8192, 1);
  refuse("more than 8 KiB", ec::too_large, made);
  made = good;
  made.version = 0;
  refuse("version 0", ec::malformed, made);
  made = good;
  made.previous = bytes(32, 1);
  refuse("a first version with a previous link", ec::malformed, made);
  made = good;
  made.update_key = &update_1.key;
  refuse("a first version with an update signature", ec::malformed, made);
  made = good;
  made.commitment = bytes(31, 1);
  refuse("a commitment of 31 bytes", ec::malformed, made);

  const auto refuse_next = [&](const std::string& why, ec expected, const identity_version& previous,
                               const wrong_identity& next) {
    const auto raw = next.build();
    const auto version = identity_version::open(raw).value();
    insist_refused(check_succession(previous, version), expected, why);
    out["refused_successions"].push_back({{"why", why},
                                          {"error", name(expected)},
                                          {"previous", to_hex(previous.serialised())},
                                          {"next", to_hex(raw)}});
  };
  const auto successor = [&](const identity_version& previous, const signing_key& key) {
    wrong_identity next = good;
    next.keys = {{0, &update_2.key}, {1, &sign_1.key}};
    next.permalink = to_bytes(previous.permalink().view());
    next.previous = to_bytes(previous.link().view());
    next.version = previous.version() + 1;
    next.update_key = &key;
    return next;
  };
  made = successor(first, update_1.key);
  made.previous = bytes(32, 1);
  refuse_next("another previous link", ec::version_conflict, first, made);
  made = successor(first, update_1.key);
  made.permalink = bytes(32, 1);
  refuse_next("another permalink", ec::version_conflict, first, made);
  made = successor(first, update_1.key);
  made.version = 3;
  refuse_next("a number left out", ec::version_conflict, first, made);
  refuse_next("signed by the new version's own update key", ec::bad_signature, first, successor(first, update_2.key));
  refuse_next("signed by a sign key", ec::bad_signature, first, successor(first, sign_1.key));
  refuse_next("signed by an update key that is not the committed one", ec::bad_signature, chosen,
              successor(chosen, update_1.key));
  refuse_next("signed by the old update key although a secret one was committed to", ec::bad_signature, second,
              successor(second, update_1.key));
  return out;
}

// --- messages, batches ---

struct body_fields {
  bytes cluster = to_bytes(filled<cluster_id>(0xc1).view());
  bytes author = to_bytes(filled<permalink>(0xa1).view());
  bytes recipient = to_bytes(filled<permalink>(0xb2).view());
  std::uint64_t n = 1;
  bytes previous;
  std::uint64_t time_ms = 1'700'000'000'000;
  std::string type = "text";
  bytes object_permalink, object_previous;
  std::string content_type;
  bytes content = to_bytes(as_bytes("hello"));
  bytes thread, reply_to;

  void fill(schema::MessageBody::Builder body) const {
    const auto set = [](const bytes& value, auto&& setter) {
      if (!value.empty())
        setter(data_of(value));
    };
    const auto set_text = [](const std::string& value, auto&& setter) {
      if (!value.empty())
        setter(capnp::Text::Reader{value.c_str(), value.size()});
    };
    set(cluster, [&](auto data) { body.setClusterId(data); });
    set(author, [&](auto data) { body.setAuthor(data); });
    set(recipient, [&](auto data) { body.setRecipient(data); });
    body.setN(n);
    set(previous, [&](auto data) { body.setPrevious(data); });
    body.setTimeMs(time_ms);
    auto object = body.initObject();
    set_text(type, [&](auto text) { object.setType(text); });
    set(object_permalink, [&](auto data) { object.setPermalink(data); });
    set(object_previous, [&](auto data) { object.setPrevious(data); });
    set_text(content_type, [&](auto text) { object.setContentType(text); });
    set(content, [&](auto data) { object.setBody(data); });
    set(thread, [&](auto data) { body.setThread(data); });
    set(reply_to, [&](auto data) { body.setReplyTo(data); });
  }
  bytes canonical() const {
    capnp::MallocMessageBuilder message;
    fill(message.initRoot<schema::MessageBody>());
    return canonical_bytes(message.getRoot<schema::MessageBody>().asReader());
  }
  bytes as_built() const {
    capnp::MallocMessageBuilder message;
    fill(message.initRoot<schema::MessageBody>());
    const auto raw = message.getSegmentsForOutput()[0].asBytes();
    return {raw.begin(), raw.end()};
  }
  json described() const {
    return {{"cluster_id", to_hex(cluster)},
            {"author", to_hex(author)},
            {"recipient", to_hex(recipient)},
            {"n", n},
            {"previous", to_hex(previous)},
            {"time_ms", time_ms},
            {"type", type},
            {"object_permalink", to_hex(object_permalink)},
            {"object_previous", to_hex(object_previous)},
            {"content_type", content_type},
            {"content", to_hex(content)},
            {"thread", to_hex(thread)},
            {"reply_to", to_hex(reply_to)}};
  }
};

json messages() {
  json out{{"about", "body = canonical MessageBody from these fields; link = H(message, body)"},
           {"bodies", json::array()},
           {"refused", json::array()}};
  const auto hold = [&](const std::string& about, const body_fields& fields) {
    const auto body = fields.canonical();
    insist(read_header(body).has_value(), about);
    out["bodies"].push_back({{"about", about},
                             {"fields", fields.described()},
                             {"body", to_hex(body)},
                             {"link", hash_link(label::message, body).hex()}});
    return hash_link(label::message, body);
  };
  const auto refuse = [&](const std::string& why, ec expected, const bytes& body) {
    insist_refused(read_header(body), expected, why);
    out["refused"].push_back({{"why", why}, {"error", name(expected)}, {"body", to_hex(body)}});
  };
  const body_fields first;
  const auto first_link = hold("the first message of a lane", first);
  auto second = first;
  second.n = 2;
  second.previous = to_bytes(first_link.view());
  second.content_type = "text/plain";
  second.thread = to_bytes(first_link.view());
  second.reply_to = bytes(32, 0x77);
  second.object_permalink = bytes(32, 0x55);
  second.object_previous = bytes(32, 0x66);
  second.content = to_bytes(as_bytes("h\xc3\xa9llo, with every field"));
  hold("the second one, with every field", second);
  auto least = first;
  least.time_ms = 0;
  least.type.clear();
  least.content.clear();
  hold("no time, no type, no content: an empty object", least);

  auto changed = first.canonical();
  changed.insert(changed.end(), 8, 0);
  refuse("not canonical: a word behind its end", ec::not_canonical, changed);
  refuse("not canonical: fields at the end of the struct that hold nothing", ec::not_canonical, first.as_built());
  changed = first.canonical();
  changed.back() = 1;  // "hello" ends three bytes before its word does
  refuse("not canonical: padding is not zero", ec::not_canonical, changed);
  changed = first.canonical();
  changed.resize(changed.size() - 8);
  refuse("cut short by a word", ec::not_canonical, changed);
  changed = first.canonical();
  changed.pop_back();
  refuse("not whole words", ec::malformed, changed);
  refuse("nothing", ec::malformed, {});
  const auto refuse_field = [&](const std::string& why, const std::function<void(body_fields&)>& change) {
    auto fields = second;
    change(fields);
    refuse(why, ec::malformed, fields.canonical());
  };
  refuse_field("n is 0", [](auto& fields) { fields.n = 0; });
  refuse_field("n is 1 and there is a previous link", [](auto& fields) { fields.n = 1; });
  refuse_field("n is 2 and there is no previous link", [](auto& fields) { fields.previous.clear(); });
  refuse_field("no cluster id", [](auto& fields) { fields.cluster.clear(); });
  refuse_field("a cluster id of 15 bytes", [](auto& fields) { fields.cluster.pop_back(); });
  refuse_field("no author", [](auto& fields) { fields.author.clear(); });
  refuse_field("a recipient of 33 bytes", [](auto& fields) { fields.recipient.push_back(1); });
  refuse_field("a link of zeros", [](auto& fields) { fields.thread = bytes(32, 0); });
  refuse_field("a type that is not UTF-8", [](auto& fields) { fields.type = "\xff"; });
  refuse_field("a type of 129 bytes", [](auto& fields) { fields.type = std::string(129, 'x'); });
  return out;
}

json described_batch(const std::string& about, const seeded_key& signer, const bytes& serialised) {
  const auto batch = verify(unverified_batch::open(serialised).value());
  insist(batch.has_value(), about);
  json bodies = json::array(), links = json::array(), problems = json::array();
  for (const auto& message : batch->messages()) {
    bodies.push_back(to_hex(message.body));
    links.push_back(message.link.hex());
    problems.push_back(message.problem ? json(name(*message.problem)) : json());
  }
  return {{"about", about},
          {"seed", to_hex(signer.seed)},
          {"signing_key", batch->signer().hex()},
          {"bodies", bodies},
          {"links", links},
          {"root", batch->root().hex()},
          {"signature", batch->proof().hex()},
          {"problems", problems},
          {"serialised", to_hex(batch->serialised())}};
}
std::vector<built_message> lane_of(std::size_t count) {
  std::vector<built_message> out;
  body_fields fields;
  for (std::size_t i = 0; i < count; ++i) {
    fields.n = i + 1;
    fields.content = to_bytes(as_bytes("message " + std::to_string(i + 1)));
    out.push_back({fields.canonical(), {}});
    out.back().link = hash_link(label::message, out.back().body);
    fields.previous = to_bytes(out.back().link.view());
  }
  return out;
}

json batches() {
  const auto signer = seeded(41), other = seeded(42);
  json out{{"about",
            "signature by signing_key under the label batch over root (32) and number of bodies (u64, big-endian)"},
           {"batches", json::array()},
           {"refused", json::array()}};
  for (const std::size_t count : {1U, 2U, 7U})
    out["batches"].push_back(described_batch(std::to_string(count) + " in one lane", signer,
                                             make_batch(signer.key, lane_of(count)).value().serialised));
  auto mixed = lane_of(3);
  mixed[1].body.insert(mixed[1].body.end(), 8, 0);
  mixed[1].link = hash_link(label::message, mixed[1].body);
  out["batches"].push_back(described_batch("the second of three is not canonical: a leaf all the same", signer,
                                           make_batch(signer.key, mixed).value().serialised));

  const auto refuse = [&](const std::string& why, ec expected, const bytes& raw) {
    auto opened = unverified_batch::open(raw);
    if (opened)
      insist_refused(verify(std::move(*opened)), expected, why);
    else
      insist_refused(opened, expected, why);
    out["refused"].push_back({{"why", why}, {"error", name(expected)}, {"serialised", to_hex(raw)}});
  };
  const auto rebuilt = [&](const std::function<void(schema::Batch::Builder)>& change) {
    const auto messages = lane_of(3);
    std::vector<link> links;
    for (const auto& message : messages)
      links.push_back(message.link);
    const auto root = merkle_root(links);
    outer_builder<schema::Batch> message{8192};
    auto batch = message.root();
    batch.setSigningKey(data_of(signer.key.public_half().view()));
    batch.setSignature(data_of(signer.key.sign(label::batch, {root.view(), big_endian(std::uint64_t{3})}).view()));
    auto bodies = batch.initBodies(3);
    for (capnp::uint i = 0; i < 3; ++i)
      bodies.set(i, data_of(messages[i].body));
    change(batch);
    return message.finish();
  };
  const auto good = rebuilt([](auto) {});
  insist(verify(unverified_batch::open(good).value()).has_value(), "good batch");
  refuse("two bodies exchanged", ec::bad_signature, rebuilt([](auto batch) {
           const auto messages = lane_of(3);
           batch.getBodies().set(0, data_of(messages[1].body));
           batch.getBodies().set(1, data_of(messages[0].body));
         }));
  refuse("one body missing", ec::bad_signature, rebuilt([](auto batch) {
           const auto messages = lane_of(2);
           auto bodies = batch.initBodies(2);
           bodies.set(0, data_of(messages[0].body));
           bodies.set(1, data_of(messages[1].body));
         }));
  refuse("another key", ec::bad_signature,
         rebuilt([&](auto batch) { batch.setSigningKey(data_of(other.key.public_half().view())); }));
  refuse("signed for another count", ec::bad_signature, rebuilt([&](auto batch) {
           std::vector<link> links;
           for (const auto& message : lane_of(3))
             links.push_back(message.link);
           const auto proof = signer.key.sign(label::batch, {merkle_root(links).view(), big_endian(std::uint64_t{4})});
           batch.setSignature(data_of(proof.view()));
         }));
  refuse("no messages", ec::malformed, rebuilt([](auto batch) { batch.initBodies(0); }));
  refuse("a signature of 63 bytes", ec::malformed,
         rebuilt([](auto batch) { batch.setSignature(data_of(bytes(63, 1))); }));
  auto changed = good;
  changed[0] = 1;
  refuse("a segment table that promises two segments", ec::malformed, changed);
  changed = good;
  changed.resize(changed.size() - 8);
  refuse("cut short by a word", ec::malformed, changed);
  changed = good;
  changed.insert(changed.end(), 8, 0);
  refuse("a word behind its end", ec::malformed, changed);
  return out;
}

// --- Merkle trees ---

json trees() {
  std::vector<link> links;
  for (std::uint8_t i = 0; i < 70; ++i)
    links.push_back(filled<link>(i));
  json out{{"about", "link i is 32 bytes of value i"}, {"roots", json::array()}, {"proofs", json::array()}};
  for (std::size_t n = 1; n <= links.size(); ++n)
    out["roots"].push_back({{"n", n}, {"root", merkle_root(std::span{links}.first(n)).hex()}});
  const std::vector<std::pair<std::uint32_t, std::vector<std::uint32_t>>> cases{
    {1, {0}},        {2, {0}},          {2, {1}},          {2, {0, 1}},     {3, {2}},
    {3, {0, 2}},     {7, {3}},          {7, {0, 6}},       {7, {2, 3, 4}},  {8, {7}},
    {11, {2, 3, 9}}, {11, {10}},        {33, {0, 32}},     {64, {0, 1, 2}}, {64, {63}},
    {70, {69}},      {70, {5, 40, 41}}, {70, {0, 64, 69}},
  };
  for (const auto& [n, chosen] : cases) {
    const merkle_tree tree{std::span{links}.first(n)};
    json proof = json::array();
    const auto hashes = tree.proof(chosen);
    for (const auto& hash : hashes)
      proof.push_back(hash.hex());
    std::vector<link> picked;
    for (const auto leaf : chosen)
      picked.push_back(links[leaf]);
    insist(merkle_rebuild(n, chosen, picked, hashes) == tree.root(), "proof");
    out["proofs"].push_back({{"n", n}, {"leaves", chosen}, {"proof", proof}, {"root", tree.root().hex()}});
  }
  return out;
}

// --- tokens, logins ---

json tokens() {
  const auto device = seeded(51);
  const auto who = filled<permalink>(0xa1);
  token_claims claims;
  claims.cluster = filled<cluster_id>(0xc1);
  claims.device_key = device.key.public_half();
  claims.issued_at = wall_ms{1'700'000'000'000};
  claims.life_s = 300;
  claims.nonce = filled<token_nonce>(0x55);
  claims.client_id = "alice-phone";
  json out{{"about", "user name = permalink, password = token"},
           {"key", device.described()},
           {"tokens", json::array()},
           {"lives", json::array()},
           {"refused", json::array()}};
  const auto hold = [&](const token_claims& of) {
    const auto text = make_token(device.key, who, of).value();
    insist(verify_token(parse_token(text).value(), who), "token");
    out["tokens"].push_back({{"permalink", who.hex()},
                             {"reusable", of.reusable},
                             {"cluster_id", of.cluster.hex()},
                             {"device_key", of.device_key.hex()},
                             {"issued_at_ms", value(of.issued_at)},
                             {"life_s", of.life_s},
                             {"nonce", of.nonce.hex()},
                             {"client_id", of.client_id},
                             {"raw", to_hex(from_base64url(text).value())},
                             {"token", text}});
    return text;
  };
  const auto text = hold(claims);
  auto reusable = claims;
  reusable.reusable = true;
  reusable.life_s = 43'200;
  reusable.client_id = "mosquitto|caf\xc3\xa9";
  hold(reusable);
  for (const std::int64_t offset : {-60'001, -60'000, 0, 299'999, 300'000}) {
    const auto now = static_cast<std::uint64_t>(1'700'000'000'000 + offset);
    out["lives"].push_back({{"issued_at_ms", value(claims.issued_at)},
                            {"life_s", claims.life_s},
                            {"now_ms", now},
                            {"good", check_life(claims, wall_ms{now}).has_value()}});
  }
  const auto refuse = [&](const std::string& why, const permalink& user, const std::string& password) {
    const auto token = parse_token(password);
    insist(!token || !verify_token(*token, user), why);
    out["refused"].push_back({{"why", why}, {"permalink", user.hex()}, {"token", password}});
  };
  const auto raw = from_base64url(text).value();
  const auto resigned = [&](const std::function<void(bytes&)>& change) {
    auto body = raw;
    body.resize(body.size() - 64);
    change(body);
    append(body, device.key.sign(label::token, {who.view(), body}).view());
    return to_base64url(body);
  };
  insist(resigned([](auto&) {}) == text, "deterministic signature");
  refuse("another identity", filled<permalink>(0xa2), text);
  auto changed = raw;
  changed.back() ^= 1;
  refuse("signature changed", who, to_base64url(changed));
  changed = raw;
  changed[2] ^= 1;
  refuse("cluster id changed", who, to_base64url(changed));
  refuse("version 2", who, resigned([](auto& body) { body[0] = 2; }));
  refuse("unknown flag", who, resigned([](auto& body) { body[1] = 2; }));
  refuse("single use, but 301 s", who, resigned([](auto& body) { body[61] = 0x2d; }));
  refuse("a life of 0 s", who, resigned([](auto& body) { body[60] = body[61] = 0; }));
  refuse("client id longer than the token", who, resigned([](auto& body) { body[78] = 12; }));
  refuse("client id that is not UTF-8", who, resigned([](auto& body) { body[80] = 0xff; }));
  refuse("padding", who, text + "=");
  refuse("cut short", who, text.substr(0, 100));
  return out;
}

json logins() {
  const auto node = seeded(61), device = seeded(62);
  json out{{"about", "hello, challenge, proof: authentication data of CONNECT, AUTH 0x18 from the node, AUTH 0x18 from "
                     "the client; both signatures are over the transcript"},
           {"node", node.described()},
           {"device", device.described()},
           {"handshakes", json::array()}};
  const auto hold = [&](login_channel channel, std::optional<tls_exporter> exporter, const bytes& identity) {
    login_transcript transcript;
    transcript.cluster = filled<cluster_id>(0xc1);
    transcript.node_key = node.key.public_half();
    transcript.server_nonce = filled<login_nonce>(0x5e);
    transcript.hello = {filled<permalink>(0xa1), device.key.public_half(), filled<login_nonce>(0xce), channel};
    transcript.exporter = exporter;
    transcript.client_id = "alice-phone";
    const auto challenge = sign_as_node(node.key, transcript);
    const auto proof = sign_as_client(device.key, transcript);
    insist(verify_node(transcript, challenge.proof) && verify_client(transcript, proof), "login");
    out["handshakes"].push_back({{"cluster_id", transcript.cluster.hex()},
                                 {"permalink", transcript.hello.who.hex()},
                                 {"client_nonce", transcript.hello.client_nonce.hex()},
                                 {"server_nonce", transcript.server_nonce.hex()},
                                 {"channel", channel.byte()},
                                 {"exporter", exporter ? exporter->hex() : ""},
                                 {"client_id", transcript.client_id},
                                 {"hello", to_hex(encode(transcript.hello))},
                                 {"transcript", to_hex(transcript.encoded())},
                                 {"node_signature", challenge.proof.hex()},
                                 {"challenge", to_hex(encode(challenge))},
                                 {"client_signature", proof.hex()},
                                 {"identity", to_hex(identity)},
                                 {"proof", to_hex(encode(login_proof{proof, identity}))}});
  };
  hold({login_channel::kind::tcp, false}, {}, {});
  hold({login_channel::kind::wss, false}, {}, {});
  const auto update = seeded(11), sign = seeded(21);
  const auto identity = make_first_identity(
    {{{key_purpose::update, &update.key}, {key_purpose::sign, &sign.key}}, {}, {}}).value();
  hold({login_channel::kind::tls, true}, filled<tls_exporter>(0xee), to_bytes(identity.serialised()));
  return out;
}

// --- receipts, deliveries ---

json receipts() {
  json out{{"about", "one for each outbox publish"}, {"receipts", json::array()}};
  const auto hold = [&](const receipt& made) {
    const auto raw = make_receipt(made);
    insist(open_receipt(raw).value() == made, "receipt");
    json lines = json::array();
    for (const auto& line : made.lines)
      lines.push_back({{"code", name(line.outcome.code)},
                       {"index", value(line.outcome.index)},
                       {"expected", value(line.outcome.expected)},
                       {"link", hex_or_empty(line.link)}});
    out["receipts"].push_back({{"root", hex_or_empty(made.root)},
                               {"outcomes", lines},
                               {"problem", made.problem},
                               {"retry_after_ms", made.retry_after_ms},
                               {"serialised", to_hex(raw)}});
  };
  receipt every;
  every.root = filled<digest>(0x11);
  for (std::uint8_t code = 0; code <= 10; ++code)
    every.lines.push_back({{static_cast<outcome_code>(code), log_index{code == 1 || code == 2 ? 1000U + code : 0U},
                            lane_number{code == 3 || code == 4 ? 7U : 0U}},
                           filled<link>(static_cast<std::uint8_t>(code + 1))});
  hold(every);
  hold({{}, {}, "rate_limited", 1500});
  return out;
}

json deliveries() {
  const auto signer = seeded(41);
  const auto nine = stored_batch::open(make_batch(signer.key, lane_of(9)).value().serialised).value();
  const auto one = stored_batch::open(make_batch(signer.key, lane_of(1)).value().serialised).value();
  json out{{"about", "items in order; root and signature as in batches"},
           {"deliveries", json::array()},
           {"refused", json::array()}};
  delivery_builder builder{65536};
  std::uint64_t position = 41;
  for (const std::uint32_t leaf : {0U, 3U, 4U, 8U})
    insist(builder.add(inbox_position{position++}, log_index{100}, nine, leaf), "fits");
  insist(builder.add_reference(inbox_position{position++}, log_index{101}, filled<link>(5), 180'000), "fits");
  insist(builder.add(inbox_position{position++}, log_index{102}, one, 0), "fits");
  const auto raw = builder.finish();
  json items = json::array();
  const auto opened = open_delivery(raw).value();
  for (const auto& item : opened) {
    if (const auto* reference = std::get_if<delivered_reference>(&item)) {
      items.push_back({{"reference",
                        {{"position", value(reference->position)},
                         {"index", value(reference->index)},
                         {"link", reference->link.hex()},
                         {"size_bytes", reference->body_size_bytes}}}});
      continue;
    }
    const auto& bundle = std::get<unverified_bundle>(item);
    const auto verified = verify_bundle(bundle);
    insist(verified.has_value(), "bundle");
    json of_messages = json::array(), proof = json::array();
    for (std::size_t i = 0; i < verified->size(); ++i)
      of_messages.push_back({{"position", value((*verified)[i].position)},
                             {"leaf", bundle.messages[i].leaf},
                             {"link", (*verified)[i].link.hex()},
                             {"body", to_hex((*verified)[i].body)}});
    for (const auto& hash : bundle.proof)
      proof.push_back(hash.hex());
    items.push_back({{"bundle",
                      {{"index", value(bundle.index)},
                       {"signing_key", bundle.signer.hex()},
                       {"signature", bundle.proof_signature.hex()},
                       {"leaf_count", bundle.leaf_count},
                       {"messages", of_messages},
                       {"proof", proof}}}});
  }
  out["deliveries"].push_back({{"items", items}, {"serialised", to_hex(raw)}});

  const auto refuse = [&](const std::string& why, ec expected,
                          const std::function<void(schema::Bundle::Builder)>& change) {
    capnp::MallocMessageBuilder message;
    insist(read_outer<schema::Delivery>(raw, delivery_bytes_max, [&](schema::Delivery::Reader from) -> status {
             message.setRoot(from);
             return {};
           }).has_value(), why);
    change(message.getRoot<schema::Delivery>().getItems()[0].getBundle());
    outer_builder<schema::Delivery> rebuilt{raw.size() + 4096};
    rebuilt.root().setItems(message.getRoot<schema::Delivery>().asReader().getItems());
    const auto changed = rebuilt.finish();
    const auto items_of = open_delivery(changed);
    if (!items_of)
      insist_refused(items_of, expected, why);
    else
      insist_refused(verify_bundle(std::get<unverified_bundle>(items_of->front())), expected, why);
    out["refused"].push_back({{"why", why}, {"error", name(expected)}, {"serialised", to_hex(changed)}});
  };
  refuse("a body exchanged for another of the batch", ec::bad_signature,
         [&](auto bundle) { bundle.getMessages()[1].setBody(data_of(nine.body(7))); });
  refuse("a proof hash changed", ec::bad_signature, [](auto bundle) { bundle.getProof()[0][0] ^= 1; });
  refuse("a proof hash missing", ec::malformed, [](auto bundle) {
    auto shorter = bundle.initProof(1);
    shorter.set(0, data_of(bytes(32, 1)));
  });
  refuse("the signature changed", ec::bad_signature, [](auto bundle) { bundle.getSignature()[0] ^= 1; });
  refuse("leaves do not rise", ec::malformed, [](auto bundle) { bundle.getMessages()[1].setLeaf(0); });
  refuse("a leaf out of range", ec::malformed, [](auto bundle) { bundle.getMessages()[3].setLeaf(9); });
  refuse("positions leave a gap", ec::malformed, [](auto bundle) { bundle.getMessages()[3].setPosition(50); });
  return out;
}

void write(const std::filesystem::path& file, const json& content) {
  std::ofstream out{file};
  out << content.dump(1) << '\n';
  out.close();
  if (!out)
    throw std::runtime_error{"cannot write " + file.string()};
}

void write_all(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  write(folder / "labels.json", labels());
  write(folder / "signatures.json", signatures());
  write(folder / "identity.json", identities());
  write(folder / "message.json", messages());
  write(folder / "batch.json", batches());
  write(folder / "merkle.json", trees());
  write(folder / "token.json", tokens());
  write(folder / "login.json", logins());
  write(folder / "receipt.json", receipts());
  write(folder / "delivery.json", deliveries());
}
} // namespace
} // namespace signet::vectors

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: make_envelope_vectors DIRECTORY\n";
    return 2;
  }
  try {
    signet::vectors::write_all(argv[1]);
  } catch (const std::exception& what) {
    std::cerr << what.what() << '\n';
    return 1;
  }
}
