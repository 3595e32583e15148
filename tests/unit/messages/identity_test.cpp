#include "messages/envelope/canonical.hpp"
#include "messages/schema/identity.capnp.h"
#include "tests/unit/messages/support.hpp"

#include <functional>

namespace signet::test {

namespace {
using entries = std::vector<identity_draft::entry>;

identity_version first_with(const signing_key& update, const signing_key& sign) {
  return make_first_identity({entries{{key_purpose::update, &update}, {key_purpose::sign, &sign}}, {}, {}}).value();
}

/// A version as somebody else's program would build it: any field may be made wrong before it is signed.
struct hand_made {
  struct entry {
    std::uint16_t purpose;
    const signing_key* key;
  };
  std::vector<entry> keys;
  bytes permalink, previous, commitment, profile;
  std::uint32_t version = 1;
  const signing_key* update_key = nullptr;

  std::function<bytes(bytes)> change_body = [](bytes body) { return body; };
  std::function<void(std::vector<bytes>&)> change_possession = [](auto&) {};
  std::function<bytes(bytes)> change_update_signature = [](bytes proof) { return proof; };

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
    const auto raw = change_body(canonical_bytes(body.asReader()));
    const auto link = hash_link(label::identity, raw);
    std::vector<bytes> proofs;
    for (std::uint32_t i = 0; i < keys.size(); ++i)
      proofs.push_back(to_bytes(keys[i].key->sign(label::possession, {link.view(), big_endian(i)}).view()));
    change_possession(proofs);
    bytes update_proof;
    if (update_key)
      update_proof = to_bytes(update_key->sign(label::version, link.view()).view());
    update_proof = change_update_signature(update_proof);

    outer_builder<schema::IdentityVersion> message{raw.size() + 4096};
    auto out = message.root();
    out.setBody(data_of(raw));
    auto possession = out.initPossession(static_cast<capnp::uint>(proofs.size()));
    for (capnp::uint i = 0; i < possession.size(); ++i)
      possession.set(i, data_of(proofs[i]));
    if (!update_proof.empty())
      out.setUpdateSignature(data_of(update_proof));
    return message.finish();
  }
};

const signing_key update_1 = key(1), update_2 = key(2), update_3 = key(3), sign_1 = key(11), sign_2 = key(12);

hand_made good_first() { return {{{0, &update_1}, {1, &sign_1}}, {}, {}, {}, {}, 1, nullptr}; }
hand_made good_next(const identity_version& previous) {
  hand_made out;
  out.keys = {{0, &update_2}, {1, &sign_1}};
  out.permalink = to_bytes(previous.permalink().view());
  out.previous = to_bytes(previous.link().view());
  out.version = previous.version() + 1;
  out.update_key = &update_1;
  return out;
}
ec opened(const hand_made& made) { return code_of(identity_version::open(made.build())); }
ec follows(const identity_version& previous, const hand_made& next) {
  const auto version = identity_version::open(next.build());
  BOOST_REQUIRE(version.has_value());
  return code_of(check_succession(previous, *version));
}
} // namespace

BOOST_AUTO_TEST_SUITE(identities)

BOOST_AUTO_TEST_CASE(a_first_version_says_who_it_is) {
  const auto version = first_with(update_1, sign_1);
  BOOST_TEST(version.is_first());
  BOOST_TEST(version.version() == 1U);
  BOOST_TEST(version.permalink().hex() == version.link().hex());
  BOOST_TEST(version.previous().is_zero());
  BOOST_TEST(version.keys().size() == 2U);
  BOOST_TEST(version.has(update_1.public_half(), key_purpose::update));
  BOOST_TEST(version.has(sign_1.public_half(), key_purpose::sign));
  BOOST_TEST(!version.has(sign_1.public_half(), key_purpose::update));
  BOOST_TEST(!version.find_purpose(sign_2.public_half()).has_value());
  const auto again = identity_version::open(version.serialised());
  BOOST_TEST(again.value().link() == version.link());
  BOOST_TEST(identity_version::open_stored(version.serialised()).value().link() == version.link());
}

BOOST_AUTO_TEST_CASE(what_the_tests_build_by_hand_is_good_before_it_is_changed) {
  BOOST_TEST(opened(good_first()) == ec::ok);
  const auto first = identity_version::open(good_first().build()).value();
  BOOST_TEST(follows(first, good_next(first)) == ec::ok);
}

BOOST_AUTO_TEST_CASE(the_link_covers_the_body_and_not_the_signatures) {
  const auto first = first_with(update_1, sign_1);
  auto other = good_first();
  other.profile = to_bytes(as_bytes("another profile"));
  BOOST_TEST(identity_version::open(other.build()).value().link() != first.link());
  BOOST_TEST(identity_version::open(good_first().build()).value().link() == first.link());
}

BOOST_AUTO_TEST_CASE(every_key_must_prove_its_possession) {
  for (std::size_t i = 0; i < 2; ++i) {
    auto made = good_first();
    made.change_possession = [&](auto& proofs) { proofs[i][0] ^= 1; };
    BOOST_TEST(opened(made) == ec::no_possession);
    made.change_possession = [&](auto& proofs) { proofs[i] = bytes(64, 0); };
    BOOST_TEST(opened(made) == ec::no_possession);
    made.change_possession = [&](auto& proofs) { proofs[i].pop_back(); };
    BOOST_TEST(opened(made) == ec::malformed);
  }
  auto made = good_first();
  made.change_possession = [](auto& proofs) { proofs.pop_back(); };
  BOOST_TEST(opened(made) == ec::no_possession);
  made.change_possession = [](auto& proofs) { proofs.push_back(proofs[0]); };
  BOOST_TEST(opened(made) == ec::no_possession);
  made.change_possession = [](auto& proofs) { proofs.clear(); };
  BOOST_TEST(opened(made) == ec::no_possession);
}

BOOST_AUTO_TEST_CASE(a_proof_of_possession_holds_for_its_own_key_index_and_version_only) {
  auto made = good_first();
  made.change_possession = [](auto& proofs) { std::swap(proofs[0], proofs[1]); };
  BOOST_TEST(opened(made) == ec::no_possession);
  // Somebody else's key, with a proof that was published for another identity.
  const auto victim = first_with(update_3, sign_2);
  const auto stolen = [&](bytes_view) {
    return read_outer<schema::IdentityVersion>(victim.serialised(), identity_bytes_max,
                                               [](auto version) -> result<bytes> {
                                                 return to_bytes(view_of(version.getPossession()[1]));
                                               })
      .value();
  };
  made = good_first();
  made.keys[1].key = &sign_2;
  made.change_possession = [&](auto& proofs) { proofs[1] = stolen({}); };
  BOOST_TEST(opened(made) == ec::no_possession);
}

BOOST_AUTO_TEST_CASE(stored_versions_are_opened_without_signatures_and_damaged_ones_are_corrupt) {
  auto made = good_first();
  made.change_possession = [](auto& proofs) { proofs[0][0] ^= 1; };
  BOOST_TEST(code_of(identity_version::open_stored(made.build())) == ec::ok);
  auto raw = good_first().build();
  raw.resize(raw.size() - 8);
  BOOST_TEST(code_of(identity_version::open_stored(raw)) == ec::corrupt);
}

BOOST_AUTO_TEST_CASE(a_version_holds_an_update_key_and_a_sign_key) {
  auto made = good_first();
  made.keys = {{0, &update_1}};
  BOOST_TEST(opened(made) == ec::malformed);
  made.keys = {{1, &sign_1}};
  BOOST_TEST(opened(made) == ec::malformed);
  made.keys = {};
  BOOST_TEST(opened(made) == ec::malformed);
  made.keys = {{0, &update_1}, {1, &sign_1}, {2, &sign_2}};
  BOOST_TEST(opened(made) == ec::ok);
  made.keys = {{0, &update_1}, {1, &sign_1}, {3, &sign_2}};  // a purpose of the future
  BOOST_TEST(opened(made) == ec::malformed);
}

BOOST_AUTO_TEST_CASE(no_key_stands_twice) {
  auto made = good_first();
  made.keys = {{0, &update_1}, {1, &update_1}};
  BOOST_TEST(opened(made) == ec::malformed);
  made.keys = {{0, &update_1}, {1, &sign_1}, {1, &sign_1}};
  BOOST_TEST(opened(made) == ec::malformed);
}

BOOST_AUTO_TEST_CASE(a_version_holds_at_most_16_keys_and_8_kib) {
  std::vector<signing_key> many;
  for (std::uint8_t i = 0; i < 17; ++i)
    many.push_back(key(static_cast<std::uint8_t>(100 + i)));
  hand_made made;
  for (std::size_t i = 0; i < 16; ++i)
    made.keys.push_back({static_cast<std::uint16_t>(i == 0 ? 0 : 1), &many[i]});
  BOOST_TEST(opened(made) == ec::ok);
  made.keys.push_back({1, &many[16]});
  BOOST_TEST(opened(made) == ec::too_large);
  made = good_first();
  made.profile = bytes(7500, 1);
  BOOST_TEST(opened(made) == ec::ok);
  made.profile = bytes(8192, 1);
  BOOST_TEST(opened(made) == ec::too_large);
}

BOOST_AUTO_TEST_CASE(limits_are_judged_before_the_first_signature) {
  // 17 keys whose proofs are all wrong: the answer is about the limit.
  std::vector<signing_key> many;
  hand_made made;
  for (std::uint8_t i = 0; i < 17; ++i)
    many.push_back(key(static_cast<std::uint8_t>(100 + i)));
  for (std::size_t i = 0; i < 17; ++i)
    made.keys.push_back({static_cast<std::uint16_t>(i == 0 ? 0 : 1), &many[i]});
  made.change_possession = [](auto& proofs) { for (auto& proof : proofs) proof[0] ^= 1; };
  BOOST_TEST(opened(made) == ec::too_large);
}

BOOST_AUTO_TEST_CASE(a_first_version_names_no_predecessor) {
  auto made = good_first();
  made.permalink = bytes(32, 1);
  BOOST_TEST(opened(made) == ec::malformed);
  made = good_first();
  made.previous = bytes(32, 1);
  BOOST_TEST(opened(made) == ec::malformed);
  made = good_first();
  made.version = 0;
  BOOST_TEST(opened(made) == ec::malformed);
  made = good_first();
  made.update_key = &update_1;
  BOOST_TEST(opened(made) == ec::malformed);
}

BOOST_AUTO_TEST_CASE(a_later_version_names_its_predecessor) {
  const auto first = first_with(update_1, sign_1);
  auto made = good_next(first);
  made.permalink.clear();
  BOOST_TEST(opened(made) == ec::malformed);
  made = good_next(first);
  made.previous.clear();
  BOOST_TEST(opened(made) == ec::malformed);
  made = good_next(first);
  made.update_key = nullptr;
  BOOST_TEST(opened(made) == ec::malformed);
  for (const std::size_t size : {1U, 31U, 33U}) {
    made = good_next(first);
    made.previous.resize(size, 1);
    BOOST_TEST(opened(made) == ec::malformed);
    made = good_next(first);
    made.permalink.resize(size, 1);
    BOOST_TEST(opened(made) == ec::malformed);
    made = good_next(first);
    made.commitment = bytes(size, 1);
    BOOST_TEST(opened(made) == ec::malformed);
  }
}

BOOST_AUTO_TEST_CASE(a_body_that_is_not_canonical_is_refused) {
  auto made = good_first();
  made.change_body = [](bytes body) {
    body.insert(body.end(), 8, 0);
    return body;
  };
  BOOST_TEST(opened(made) == ec::not_canonical);
}

BOOST_AUTO_TEST_CASE(no_truncation_of_a_version_opens) {
  const auto raw = good_first().build();
  for (std::size_t size = 0; size < raw.size(); ++size)
    BOOST_TEST(!identity_version::open(bytes_view{raw}.first(size)).has_value());
}

BOOST_AUTO_TEST_CASE(a_successor_names_the_newest_version) {
  const auto first = first_with(update_1, sign_1);
  auto made = good_next(first);
  made.previous[0] ^= 1;
  BOOST_TEST(follows(first, made) == ec::version_conflict);
  made = good_next(first);
  made.permalink[0] ^= 1;
  BOOST_TEST(follows(first, made) == ec::version_conflict);
  made = good_next(first);
  made.version = 3;
  BOOST_TEST(follows(first, made) == ec::version_conflict);
  BOOST_TEST(code_of(check_succession(first, first)) == ec::version_conflict);
}

BOOST_AUTO_TEST_CASE(only_an_update_key_of_the_version_before_signs_the_next) {
  const auto first = first_with(update_1, sign_1);
  auto made = good_next(first);
  made.update_key = &update_2;  // of the new version itself
  BOOST_TEST(follows(first, made) == ec::bad_signature);
  made.update_key = &sign_1;  // of the version before, for another purpose
  BOOST_TEST(follows(first, made) == ec::bad_signature);
  made.update_key = &update_3;
  BOOST_TEST(follows(first, made) == ec::bad_signature);
  made.update_key = &update_1;
  made.change_update_signature = [](bytes proof) {
    proof[10] ^= 1;
    return proof;
  };
  BOOST_TEST(follows(first, made) == ec::bad_signature);
}

BOOST_AUTO_TEST_CASE(a_commitment_leaves_one_key_that_may_sign_the_next_version) {
  const auto first = make_first_identity({entries{{key_purpose::update, &update_1},
                                                  {key_purpose::update, &update_3},
                                                  {key_purpose::sign, &sign_1}},
                                          update_3.public_half(),
                                          {}})
                       .value();
  BOOST_TEST(first.commitment() == commit_to(update_3.public_half()));
  auto made = good_next(first);
  made.update_key = &update_1;
  BOOST_TEST(follows(first, made) == ec::bad_signature);
  made.update_key = &update_3;
  BOOST_TEST(follows(first, made) == ec::ok);
}

BOOST_AUTO_TEST_CASE(a_committed_key_may_stay_secret_until_it_signs) {
  const auto first = make_first_identity({entries{{key_purpose::update, &update_1}, {key_purpose::sign, &sign_1}},
                                          update_2.public_half(),
                                          {}})
                       .value();
  auto made = good_next(first);  // its update key is update_2
  made.update_key = &update_1;   // the thief of the first update key
  BOOST_TEST(follows(first, made) == ec::bad_signature);
  made.update_key = &update_2;
  BOOST_TEST(follows(first, made) == ec::ok);
  made.keys = {{0, &update_3}, {1, &sign_1}};  // the committed key signs, but is published nowhere
  BOOST_TEST(follows(first, made) == ec::bad_signature);
  made.keys = {{0, &update_3}, {1, &update_2}, {1, &sign_1}};  // published for another purpose
  BOOST_TEST(follows(first, made) == ec::bad_signature);
}

BOOST_AUTO_TEST_CASE(a_chain_is_verified_from_its_permalink_on) {
  const auto first = first_with(update_1, sign_1);
  const identity_draft to_second{entries{{key_purpose::update, &update_2}, {key_purpose::sign, &sign_2}}, {}, {}};
  const identity_draft to_third{entries{{key_purpose::update, &update_3}, {key_purpose::sign, &sign_2}}, {}, {}};
  const auto second = make_next_identity(first, to_second, update_1).value();
  const auto third = make_next_identity(second, to_third, update_2).value();
  BOOST_TEST(third.version() == 3U);
  BOOST_TEST(third.permalink() == first.permalink());
  const auto raw = [](const identity_version& version) { return to_bytes(version.serialised()); };
  const auto check = [&](std::vector<bytes> chain) { return code_of(verify_chain(chain, first.permalink())); };
  const std::vector<bytes> whole{raw(first), raw(second), raw(third)};
  BOOST_TEST(verify_chain(whole, first.permalink()).value().size() == 3U);
  BOOST_TEST(check({raw(first), raw(second), raw(third)}) == ec::ok);
  BOOST_TEST(check({raw(first)}) == ec::ok);
  BOOST_TEST(check({}) == ec::unknown_identity);
  BOOST_TEST(check({raw(second), raw(third)}) == ec::version_conflict);
  BOOST_TEST(check({raw(first), raw(third)}) == ec::version_conflict);
  BOOST_TEST(check({raw(first), raw(first)}) == ec::version_conflict);
  BOOST_TEST(check({raw(first), raw(third), raw(second)}) == ec::version_conflict);
  BOOST_TEST(code_of(verify_chain(std::vector<bytes>{raw(first)}, filled<permalink>(5))) == ec::version_conflict);
  auto damaged = raw(second);
  damaged[damaged.size() - 1] ^= 1;
  BOOST_TEST(check({raw(first), damaged}) != ec::ok);
}

BOOST_AUTO_TEST_CASE(a_builder_refuses_what_nobody_would_accept) {
  const auto first = first_with(update_1, sign_1);
  BOOST_TEST(code_of(make_first_identity({entries{{key_purpose::sign, &sign_1}}, {}, {}})) == ec::malformed);
  BOOST_TEST(code_of(make_next_identity(
               first, {entries{{key_purpose::update, &update_2}, {key_purpose::sign, &sign_1}}, {}, {}}, update_2)) ==
             ec::bad_signature);
  BOOST_TEST(code_of(make_first_identity(
               {entries{{key_purpose::update, &update_1}, {key_purpose::sign, &sign_1}}, {}, bytes(9000, 1)})) ==
             ec::too_large);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace signet::test
