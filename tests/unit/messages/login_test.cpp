#include "messages/envelope/login.hpp"
#include "messages/envelope/token.hpp"
#include "tests/unit/messages/support.hpp"

#include <functional>

namespace signet::test {

namespace {
const signing_key device = key(41), node = key(42), stranger = key(43);
const auto alice = filled<permalink>(0xa1);

token_claims good_claims() {
  token_claims out;
  out.cluster = filled<cluster_id>(0xc1);
  out.device_key = device.public_half();
  out.issued_at = wall_ms{1'700'000'000'000};
  out.life_s = 300;
  out.nonce = filled<token_nonce>(0x55);
  out.client_id = "alice-phone";
  return out;
}
login_transcript good_transcript() {
  login_transcript out;
  out.cluster = filled<cluster_id>(0xc1);
  out.node_key = node.public_half();
  out.server_nonce = filled<login_nonce>(1);
  out.hello = {alice, device.public_half(), filled<login_nonce>(2), {login_channel::kind::tcp, false}};
  out.client_id = "alice-phone";
  return out;
}
} // namespace

BOOST_AUTO_TEST_SUITE(tokens)

BOOST_AUTO_TEST_CASE(a_token_says_who_may_attach_where_and_until_when) {
  for (const bool reusable : {false, true}) {
    auto claims = good_claims();
    claims.reusable = reusable;
    const auto text = make_token(device, alice, claims).value();
    BOOST_TEST(text.size() <= token_text_max);
    const auto token = parse_token(text).value();
    BOOST_TEST((token.claims() == claims));
    BOOST_TEST(verify_token(token, alice));
    BOOST_TEST(!verify_token(token, filled<permalink>(0xa2)));
  }
}

BOOST_AUTO_TEST_CASE(the_longest_token_fits) {
  auto claims = good_claims();
  claims.client_id = std::string(128, 'x');
  const auto text = make_token(device, alice, claims).value();
  BOOST_TEST(text.size() <= token_text_max);
  BOOST_TEST(verify_token(parse_token(text).value(), alice));
}

BOOST_AUTO_TEST_CASE(no_byte_of_a_token_may_change) {
  const auto raw = from_base64url(make_token(device, alice, good_claims()).value()).value();
  for (std::size_t at = 0; at < raw.size(); ++at)
    for (const unsigned bit : {0U, 7U}) {
      auto changed = raw;
      changed[at] = static_cast<std::uint8_t>(changed[at] ^ 1U << bit);
      const auto token = parse_token(to_base64url(changed));
      BOOST_TEST((!token || !verify_token(*token, alice)));
    }
}

BOOST_AUTO_TEST_CASE(no_truncation_of_a_token_parses) {
  const auto text = make_token(device, alice, good_claims()).value();
  for (std::size_t size = 0; size < text.size(); ++size)
    BOOST_TEST(code_of(parse_token(text.substr(0, size))) == ec::malformed);
  BOOST_TEST(code_of(parse_token(text + "AAAA")) == ec::malformed);
  BOOST_TEST(code_of(parse_token(text + "=")) == ec::malformed);
  BOOST_TEST(code_of(parse_token(std::string(513, 'A'))) == ec::malformed);
}

BOOST_AUTO_TEST_CASE(a_token_lives_300_s_or_reusable_12_h) {
  const auto made_with = [](bool reusable, std::uint32_t life_s) {
    auto claims = good_claims();
    claims.reusable = reusable;
    claims.life_s = life_s;
    return code_of(make_token(device, alice, claims));
  };
  BOOST_TEST(made_with(false, 0) == ec::malformed);
  BOOST_TEST(made_with(false, 1) == ec::ok);
  BOOST_TEST(made_with(false, 300) == ec::ok);
  BOOST_TEST(made_with(false, 301) == ec::malformed);
  BOOST_TEST(made_with(true, 43'200) == ec::ok);
  BOOST_TEST(made_with(true, 43'201) == ec::malformed);

  // Nor does a signed one parse: somebody else's program made it.
  auto claims = good_claims();
  claims.reusable = true;
  claims.life_s = 3600;
  auto raw = from_base64url(make_token(device, alice, claims).value()).value();
  raw.resize(raw.size() - 64);
  raw[1] = 0;  // not reusable any more
  const auto proof = device.sign(label::token, {alice.view(), raw});
  append(raw, proof.view());
  BOOST_TEST(code_of(parse_token(to_base64url(raw))) == ec::malformed);
}

BOOST_AUTO_TEST_CASE(unknown_versions_and_flags_are_refused) {
  const auto signed_with = [](std::size_t at, std::uint8_t byte) {
    auto raw = from_base64url(make_token(device, alice, good_claims()).value()).value();
    raw.resize(raw.size() - 64);
    raw[at] = byte;
    append(raw, device.sign(label::token, {alice.view(), raw}).view());
    return code_of(parse_token(to_base64url(raw)));
  };
  BOOST_TEST(signed_with(0, 1) == ec::ok);
  BOOST_TEST(signed_with(0, 0) == ec::malformed);
  BOOST_TEST(signed_with(0, 2) == ec::malformed);
  BOOST_TEST(signed_with(1, 1) == ec::ok);
  BOOST_TEST(signed_with(1, 2) == ec::malformed);
}

BOOST_AUTO_TEST_CASE(a_client_id_is_1_to_128_bytes_of_text) {
  for (const auto& client_id : {std::string{}, std::string(129, 'x'), std::string{"\xff"}, std::string{"a\0b", 3}}) {
    auto claims = good_claims();
    claims.client_id = client_id;
    BOOST_TEST(code_of(make_token(device, alice, claims)) == ec::malformed);
  }
}

BOOST_AUTO_TEST_CASE(a_token_is_made_by_the_key_it_names) {
  BOOST_TEST(code_of(make_token(stranger, alice, good_claims())) == ec::malformed);
}

BOOST_AUTO_TEST_CASE(a_token_is_good_from_60_s_before_its_issue_until_the_millisecond_its_life_ends) {
  const auto claims = good_claims();
  const auto at = [&](std::int64_t offset_ms) {
    return code_of(check_life(claims, wall_ms{static_cast<std::uint64_t>(1'700'000'000'000 + offset_ms)}));
  };
  BOOST_TEST(at(-60'001) == ec::token_expired);
  BOOST_TEST(at(-60'000) == ec::ok);
  BOOST_TEST(at(0) == ec::ok);
  BOOST_TEST(at(299'999) == ec::ok);
  BOOST_TEST(at(300'000) == ec::token_expired);
  auto far_future = claims;
  far_future.issued_at = wall_ms{UINT64_MAX - 1};
  BOOST_TEST(code_of(check_life(far_future, wall_ms{1'700'000'000'000})) == ec::token_expired);
  BOOST_TEST(code_of(make_token(device, alice, far_future)) == ec::malformed);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(logins)

BOOST_AUTO_TEST_CASE(both_sides_prove_their_keys) {
  // The client's side
  const login_hello hello{alice, device.public_half(), filled<login_nonce>(2), {login_channel::kind::ws, false}};
  const auto hello_bytes = encode(hello);
  BOOST_TEST(hello_bytes.size() == login_hello_size);
  // The node's
  login_transcript seen_by_node = good_transcript();
  seen_by_node.hello = parse_login_hello(hello_bytes).value();
  BOOST_TEST((seen_by_node.hello == hello));
  const auto challenge_bytes = encode(sign_as_node(node, seen_by_node));
  BOOST_TEST(challenge_bytes.size() == login_challenge_size);
  // The client's again
  const auto challenge = parse_login_challenge(challenge_bytes).value();
  const login_transcript seen_by_client{challenge.cluster, challenge.node_key, challenge.server_nonce,
                                        hello, {}, "alice-phone"};
  BOOST_REQUIRE(verify_node(seen_by_client, challenge.proof));
  const auto proof_bytes = encode(login_proof{sign_as_client(device, seen_by_client), to_bytes(as_bytes("identity"))});
  // The node's again
  const auto proof = parse_login_proof(proof_bytes).value();
  BOOST_TEST(verify_client(seen_by_node, proof.proof));
  BOOST_TEST(as_text(proof.identity) == "identity");
}

BOOST_AUTO_TEST_CASE(the_two_signatures_cannot_stand_for_each_other) {
  auto transcript = good_transcript();
  transcript.node_key = device.public_half();  // even if one key played both roles
  const auto as_client = sign_as_client(device, transcript);
  const auto as_node = sign_as_node(device, transcript).proof;
  BOOST_TEST(verify_client(transcript, as_client));
  BOOST_TEST(verify_node(transcript, as_node));
  BOOST_TEST(!verify_node(transcript, as_client));
  BOOST_TEST(!verify_client(transcript, as_node));
}

BOOST_AUTO_TEST_CASE(every_field_of_the_transcript_is_signed) {
  const auto good = good_transcript();
  const auto as_client = sign_as_client(device, good);
  const auto as_node = sign_as_node(node, good).proof;
  BOOST_TEST(verify_client(good, as_client));
  BOOST_TEST(verify_node(good, as_node));
  const std::vector<std::function<void(login_transcript&)>> changes{
    [](auto& t) { t.cluster.raw[15] ^= 1; },
    [](auto& t) { t.server_nonce.raw[31] ^= 1; },
    [](auto& t) { t.hello.client_nonce.raw[0] ^= 1; },
    [](auto& t) { t.hello.who.raw[0] ^= 1; },
    [](auto& t) { t.hello.channel.transport = login_channel::kind::tls; },
    [](auto& t) {
      t.hello.channel = {login_channel::kind::tls, true};
      t.exporter = filled<tls_exporter>(9);
    },
    [](auto& t) { t.client_id = "alice-phonf"; },
    [](auto& t) { t.client_id += "x"; },
    [](auto& t) { t.client_id.clear(); },
  };
  for (const auto& change : changes) {
    auto changed = good;
    change(changed);
    BOOST_TEST(!verify_client(changed, as_client));
    BOOST_TEST(!verify_node(changed, as_node));
  }
  auto changed = good;
  changed.node_key = stranger.public_half();
  BOOST_TEST(!verify_client(changed, as_client));
  BOOST_TEST(!verify_node(changed, as_node));
  changed = good;
  changed.hello.device_key = stranger.public_half();
  BOOST_TEST(!verify_client(changed, as_client));
  BOOST_TEST(!verify_node(changed, as_node));
}

BOOST_AUTO_TEST_CASE(a_bound_channel_covers_the_exporter_value) {
  auto bound = good_transcript();
  bound.hello.channel = {login_channel::kind::tls, true};
  bound.exporter = filled<tls_exporter>(9);
  const auto proof = sign_as_client(device, bound);
  BOOST_TEST(verify_client(bound, proof));
  bound.exporter = filled<tls_exporter>(8);
  BOOST_TEST(!verify_client(bound, proof));
  bound.exporter.reset();
  BOOST_CHECK_THROW(bound.encoded(), std::logic_error);
  // 32 bytes of exporter can not pass for the beginning of a client id: the channel byte says which it is.
  auto plain = good_transcript();
  plain.exporter = filled<tls_exporter>(9);
  BOOST_CHECK_THROW(plain.encoded(), std::logic_error);
}

BOOST_AUTO_TEST_CASE(nobody_signs_in_anothers_name) {
  BOOST_CHECK_THROW(sign_as_node(stranger, good_transcript()), std::logic_error);
  BOOST_CHECK_THROW(sign_as_client(stranger, good_transcript()), std::logic_error);
}

BOOST_AUTO_TEST_CASE(channels_have_eight_bits_and_six_values) {
  std::size_t known = 0;
  for (unsigned byte = 0; byte < 256; ++byte)
    if (const auto channel = login_channel::from(static_cast<std::uint8_t>(byte))) {
      BOOST_TEST(channel->byte() == byte);
      ++known;
    }
  BOOST_TEST(known == 6U);
  BOOST_TEST(!login_channel::from(0x11).has_value());  // tcp has no exporter
  BOOST_TEST(login_channel::from(0x14).has_value());
}

BOOST_AUTO_TEST_CASE(messages_of_the_handshake_have_exactly_their_length) {
  const auto hello = encode(good_transcript().hello);
  const auto challenge = encode(sign_as_node(node, good_transcript()));
  for (std::size_t size = 0; size < hello.size(); ++size)
    BOOST_TEST(code_of(parse_login_hello(bytes_view{hello}.first(size))) == ec::malformed);
  for (std::size_t size = 0; size < challenge.size(); ++size)
    BOOST_TEST(code_of(parse_login_challenge(bytes_view{challenge}.first(size))) == ec::malformed);
  auto longer = hello;
  longer.push_back(0);
  BOOST_TEST(code_of(parse_login_hello(longer)) == ec::malformed);
  longer = challenge;
  longer.push_back(0);
  BOOST_TEST(code_of(parse_login_challenge(longer)) == ec::malformed);
  auto other_version = hello;
  other_version[1] = 2;
  BOOST_TEST(code_of(parse_login_hello(other_version)) == ec::malformed);
  BOOST_TEST(code_of(parse_login_proof(bytes(63, 1))) == ec::malformed);
  BOOST_TEST(code_of(parse_login_proof(bytes(64, 1))) == ec::ok);
  BOOST_TEST(code_of(parse_login_proof(bytes(64 + 8193, 1))) == ec::too_large);
}

BOOST_AUTO_TEST_CASE(empty_fields_are_refused) {
  auto hello = good_transcript().hello;
  hello.client_nonce = {};
  BOOST_TEST(code_of(parse_login_hello(encode(hello))) == ec::malformed);
  hello = good_transcript().hello;
  hello.device_key = {};
  BOOST_TEST(code_of(parse_login_hello(encode(hello))) == ec::malformed);
  auto challenge = sign_as_node(node, good_transcript());
  challenge.server_nonce = {};
  BOOST_TEST(code_of(parse_login_challenge(encode(challenge))) == ec::malformed);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace signet::test
