// Before the client is attached: proofs, refusals, and what may be learnt from them.

#include "tests/support/session_world.hpp"

#include <boost/test/unit_test.hpp>

using namespace signet;
using namespace signet::testing;
using mqtt::protocol_version;
using mqtt::reason_code;

namespace {

struct fixture {
  session_world world;
  key_holder alice{world.random};
  key_holder mallory{world.random};
  key_holder unborn{world.random};  // never published
  fixture() {
    world.publish(alice);
    world.publish(mallory);
  }
};

reason_code token_refusal(session_world& world, const key_holder& who, const std::string& client_id,
                          const std::string& token, channel_kind channel = channel_kind::tcp, bool loopback = false,
                          bool commit = true) {
  session_client client{world, channel, loopback};
  client.connect_with_token(client.connect_packet(protocol_version::v5, client_id), who, token);
  if (client.openings.size() == 1 && commit) {
    client.commit_opening();
    if (client.closed())
      return client.connack().code;
    client.grant();
  }
  BOOST_TEST(client.faults.empty());
  return client.connack().code;
}

// The bytes a client sees until the end, and how many verifications it cost.
bytes answer_bytes(const session_client& client, protocol_version version) {
  bytes out;
  for (const auto& each : client.sent)
    append(out, *mqtt::encode(each, mqtt::role::server, version));
  return out;
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(session_handshake, fixture)

BOOST_AUTO_TEST_CASE(a_device_key_proved_over_the_transcript_opens_a_session) {
  session_client client{world};
  client.connect_enhanced(client.connect_packet(protocol_version::v5, "laptop"), client.hello(alice));
  BOOST_TEST_REQUIRE(client.sent.size() == 1U);
  BOOST_TEST(verify_node(client.transcript(),
                         parse_login_challenge(*std::get<mqtt::auth>(client.sent[0])
                                                  .props.find_binary(mqtt::property_id::authentication_data))
                           ->proof));
  client.prove(alice.devices[0]);
  BOOST_TEST_REQUIRE(client.openings.size() == 1U);
  BOOST_TEST(client.sent.size() == 1U);  // nothing before the entry is committed
  client.commit_opening();
  BOOST_TEST_REQUIRE(client.attaches.size() == 1U);
  BOOST_TEST(client.sent.size() == 1U);  // nothing before the old connection has stopped
  client.grant();
  BOOST_TEST(client.attached());
  const auto connack = client.connack();
  BOOST_TEST((connack.code == reason_code::success));
  BOOST_TEST(!connack.session_present);
  BOOST_TEST((*connack.props.find_text(mqtt::property_id::authentication_method) == login_method));
  BOOST_TEST(*connack.props.find_user("server-time") == fixed_time(world.now.wall));
  BOOST_TEST(*connack.props.find_user("session-expires-at") ==
             fixed_time(wall_ms{value(world.now.wall) + 12ULL * 3600 * 1000}));
  BOOST_TEST(client.faults.empty());
}

BOOST_AUTO_TEST_CASE(a_token_opens_a_session_in_both_versions) {
  for (const auto version : {protocol_version::v311, protocol_version::v5}) {
    session_client client{world};
    client.attach(alice, "pub", version);
    BOOST_TEST(client.attached());
    BOOST_TEST((client.connack().code == reason_code::success));
    BOOST_TEST(client.faults.empty());
  }
}

BOOST_AUTO_TEST_CASE(connack_says_what_is_granted) {
  session_client client{world};
  auto packet = client.connect_packet(protocol_version::v5, "x");
  packet.keep_alive_s = 0;
  packet.props.add(mqtt::property_id::session_expiry_interval, 0xFFFFFFFFU);
  client.connect_with_token(packet, alice, client.token(alice, "x"));
  client.commit_opening();
  client.grant();
  const auto& props = client.connack().props;
  BOOST_TEST(*props.find_number(mqtt::property_id::server_keep_alive) == 300U);
  BOOST_TEST(*props.find_number(mqtt::property_id::session_expiry_interval) == 7U * 86'400);
  BOOST_TEST(*props.find_number(mqtt::property_id::receive_maximum) == 32U);
  BOOST_TEST(*props.find_number(mqtt::property_id::maximum_packet_size) == 1U << 20);
  BOOST_TEST(*props.find_number(mqtt::property_id::maximum_qos) == 1U);
  for (const auto id : {mqtt::property_id::retain_available, mqtt::property_id::wildcard_subscription_available,
                        mqtt::property_id::subscription_identifiers_available,
                        mqtt::property_id::shared_subscription_available})
    BOOST_TEST(*props.find_number(id) == 0U);
}

BOOST_AUTO_TEST_CASE(a_first_time_client_hands_in_its_identity_with_the_proof) {
  session_client client{world};
  client.connect_enhanced(client.connect_packet(protocol_version::v5, "new"), client.hello(unborn));
  client.prove(unborn.devices[0], unborn.version);
  BOOST_TEST_REQUIRE(client.openings.size() == 1U);
  BOOST_TEST((client.openings[0].opening.identity == unborn.version));
  client.commit_opening();
  client.grant();
  BOOST_TEST(client.attached());
}

BOOST_AUTO_TEST_CASE(an_identity_is_not_looked_at_before_the_proof_verifies) {
  session_client client{world};
  client.connect_enhanced(client.connect_packet(protocol_version::v5, "new"), client.hello(unborn));
  world.creations = false;  // would be the answer if it were asked
  client.prove(mallory.devices[0], unborn.version);
  BOOST_TEST(client.openings.empty());
  BOOST_TEST((client.connack().code == reason_code::not_authorized));
  BOOST_TEST(client.reported(security_kind::login_failed, "bad_signature"));
}

BOOST_AUTO_TEST_CASE(an_identity_that_does_not_hold_the_proved_key_is_refused) {
  session_client client{world};
  auto hello = client.hello(unborn);
  key_holder other{world.random};
  hello.device_key = other.devices[0].public_half();
  client.connect_enhanced(client.connect_packet(protocol_version::v5, "new"), hello);
  client.prove(other.devices[0], unborn.version);
  BOOST_TEST(client.openings.empty());
  BOOST_TEST(client.reported(security_kind::login_failed, "foreign_identity"));
}

BOOST_AUTO_TEST_CASE(new_identities_are_rate_limited) {
  world.creations = false;
  session_client client{world};
  client.connect_enhanced(client.connect_packet(protocol_version::v5, "new"), client.hello(unborn));
  client.prove(unborn.devices[0], unborn.version);
  BOOST_TEST((client.connack().code == reason_code::connection_rate_exceeded));
  BOOST_TEST(client.reported(security_kind::rate_limit, "identities"));
}

BOOST_AUTO_TEST_CASE(refusals_are_the_same_bytes_for_known_and_unknown_identities) {
  // Enhanced: a stranger's key under a known, an unknown and a revoked name; a right key with a wrong signature.
  key_holder revoked{world.random};
  world.publish(revoked);
  world.keys[revoked.devices[0].public_half()].revoked = true;
  std::set<bytes> enhanced;
  std::set<std::size_t> sizes;
  const auto attempt = [&](const permalink& who, const public_key& device, const signing_key& signs) {
    session_client client{world};
    auto hello = client.hello(alice);
    hello.who = who;
    hello.device_key = device;
    client.connect_enhanced(client.connect_packet(protocol_version::v5, "x"), hello);
    BOOST_TEST_REQUIRE(client.sent.size() == 1U);
    client.prove(signs);
    BOOST_TEST(client.closed());
    BOOST_TEST(client.faults.empty());
    BOOST_TEST(client.bytes_before_attached <= 512U);
    enhanced.insert(*mqtt::encode(client.sent.at(1), mqtt::role::server, protocol_version::v5));
    sizes.insert(client.bytes_before_attached);
  };
  const auto stranger = signing_key::generate(world.random);
  const auto& mine = mallory.devices[0];
  attempt(alice.who, stranger.public_half(), stranger);
  attempt(unborn.who, stranger.public_half(), stranger);
  attempt(alice.who, mine.public_half(), mine);
  attempt(unborn.who, mine.public_half(), mine);
  attempt(alice.who, alice.devices[0].public_half(), stranger);
  attempt(unborn.who, unborn.devices[0].public_half(), stranger);
  attempt(unborn.who, unborn.devices[0].public_half(), unborn.devices[0]);
  attempt(revoked.who, revoked.devices[0].public_half(), revoked.devices[0]);
  attempt(alice.who, alice.update.public_half(), alice.update);
  BOOST_TEST(enhanced.size() == 1U);
  BOOST_TEST(sizes.size() == 1U);

  // Tokens, both versions.
  for (const auto version : {protocol_version::v311, protocol_version::v5}) {
    std::set<bytes> seen;
    const auto with_token = [&](const key_holder& named, const std::string& text) {
      session_client client{world};
      client.connect_with_token(client.connect_packet(version, "x"), named, text);
      BOOST_TEST(client.closed());
      BOOST_TEST(client.bytes_before_attached <= 512U);
      seen.insert(answer_bytes(client, version));
    };
    session_client maker{world};
    with_token(alice, maker.token(mallory, "x"));
    with_token(unborn, maker.token(mallory, "x"));
    with_token(unborn, maker.token(unborn, "x"));
    with_token(revoked, maker.token(revoked, "x"));
    with_token(alice, maker.token(alice, "another client id"));
    with_token(alice, "garbage");
    with_token(alice, "");
    BOOST_TEST(seen.size() == 1U);
  }
}

BOOST_AUTO_TEST_CASE(refusals_look_up_the_same_whoever_is_named_and_never_by_the_claimed_name) {
  const auto stranger = signing_key::generate(world.random);
  std::set<std::size_t> lookups;
  const auto count = [&](auto act) {
    world.key_lookups = 0;
    act();
    lookups.insert(world.key_lookups);
  };
  for (const auto* named : {&alice, &unborn, &mallory}) {
    count([&] {
      session_client client{world};
      auto hello = client.hello(*named);
      hello.device_key = stranger.public_half();
      client.connect_enhanced(client.connect_packet(protocol_version::v5, "x"), hello);
      client.prove(stranger);
    });
    count([&] {  // a right key, a wrong signature
      session_client client{world};
      client.connect_enhanced(client.connect_packet(protocol_version::v5, "x"), client.hello(*named));
      client.prove(stranger);
    });
    for (const auto& text : {std::string{}, std::string{"garbage"}, session_client{world}.token(mallory, "y")})
      count([&] {
        session_client client{world};
        client.connect_with_token(client.connect_packet(protocol_version::v5, "x"), *named, text);
      });
  }
  BOOST_TEST(lookups == std::set<std::size_t>{1}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(the_challenge_is_the_same_size_whoever_is_named) {
  std::set<std::size_t> sizes;
  for (const auto* who : {&alice, &unborn, &mallory}) {
    session_client client{world};
    client.connect_enhanced(client.connect_packet(protocol_version::v5, "x"), client.hello(*who));
    sizes.insert(client.bytes_before_attached);
  }
  BOOST_TEST(sizes.size() == 1U);
}

BOOST_AUTO_TEST_CASE(a_challenge_is_answered_once) {
  session_client client{world};
  client.connect_enhanced(client.connect_packet(protocol_version::v5, "x"), client.hello(alice));
  const auto proof = client.auth_packet(reason_code::continue_authentication,
                                        encode(login_proof{sign_as_client(alice.devices[0], client.transcript()), {}}));
  client.say(proof);
  client.commit_opening();
  client.grant();
  BOOST_TEST(client.attached());
  client.say(proof);  // the same connection
  BOOST_TEST(client.closed());
  BOOST_TEST((client.last_disconnect().code == reason_code::protocol_error));

  session_client another{world};  // another connection, the recorded answer
  another.connect_enhanced(another.connect_packet(protocol_version::v5, "x"), another.hello(alice));
  another.say(proof);
  BOOST_TEST(another.closed());
  BOOST_TEST((another.connack().code == reason_code::not_authorized));
}

BOOST_AUTO_TEST_CASE(a_proof_for_another_node_cluster_client_id_or_channel_is_worth_nothing) {
  const auto changed = [&](auto change) {
    session_client client{world};
    client.connect_enhanced(client.connect_packet(protocol_version::v5, "x"), client.hello(alice));
    auto transcript = client.transcript();
    change(transcript);
    client.say(client.auth_packet(reason_code::continue_authentication,
                                  encode(login_proof{sign_as_client(alice.devices[0], transcript), {}})));
    return client.closed() && client.openings.empty();
  };
  BOOST_TEST(changed([&](auto& t) { t.node_key = signing_key::generate(world.random).public_half(); }));
  BOOST_TEST(changed([&](auto& t) { t.cluster = random_id<cluster_id>(world.random); }));
  BOOST_TEST(changed([&](auto& t) { t.client_id = "y"; }));
  BOOST_TEST(changed([&](auto& t) { t.server_nonce = random_id<login_nonce>(world.random); }));
  BOOST_TEST(changed([&](auto& t) { t.hello.client_nonce = random_id<login_nonce>(world.random); }));
  BOOST_TEST(changed([&](auto& t) { t.hello.channel.transport = login_channel::kind::tls; }));
  BOOST_TEST(!changed([](auto&) {}));
}

BOOST_AUTO_TEST_CASE(a_hello_for_another_channel_is_refused_before_any_signature) {
  session_client client{world, channel_kind::tls};
  auto hello = client.hello(alice);
  hello.channel.transport = login_channel::kind::tcp;
  client.connect_enhanced(client.connect_packet(protocol_version::v5, "x"), hello);
  BOOST_TEST((client.connack().code == reason_code::not_authorized));
}

BOOST_AUTO_TEST_CASE(an_unanswered_challenge_expires_after_ten_seconds) {
  session_client client{world};
  client.connect_enhanced(client.connect_packet(protocol_version::v5, "x"), client.hello(alice));
  client.pass(9'999);
  BOOST_TEST(!client.closed());
  client.pass(1);
  BOOST_TEST(client.closed());
  BOOST_TEST((client.connack().code == reason_code::not_authorized));
  BOOST_TEST(client.reported(security_kind::challenge_expired));
}

BOOST_AUTO_TEST_CASE(a_connection_that_says_nothing_is_closed_after_five_seconds_without_a_byte) {
  session_client client{world};
  client.pass(5'000);
  BOOST_TEST(client.closed());
  BOOST_TEST(client.link_closed);
  BOOST_TEST(client.sent.empty());
}

BOOST_AUTO_TEST_CASE(a_foreign_method_is_named_as_such) {
  session_client client{world};
  auto packet = client.connect_packet(protocol_version::v5, "x");
  packet.props.add(mqtt::property_id::authentication_method, std::string{"SCRAM-SHA-256"});
  client.say(packet);
  BOOST_TEST((client.connack().code == reason_code::bad_authentication_method));
}

BOOST_AUTO_TEST_CASE(nothing_but_auth_may_follow_a_connect_that_named_a_method) {
  session_client client{world};
  client.connect_enhanced(client.connect_packet(protocol_version::v5, "x"), client.hello(alice));
  client.say(mqtt::pingreq{});
  BOOST_TEST(client.closed());
  BOOST_TEST((client.connack().code == reason_code::protocol_error));
  BOOST_TEST(client.reported(security_kind::malformed_packet));
}

BOOST_AUTO_TEST_CASE(packets_right_behind_connect_are_answered_after_connack) {
  session_client client{world};
  client.connect_with_token(client.connect_packet(protocol_version::v311, "x"), alice, client.token(alice, "x"));
  client.say(mqtt::pingreq{});
  BOOST_TEST(client.sent.empty());
  client.commit_opening();
  client.grant();
  BOOST_TEST_REQUIRE(client.sent.size() == 2U);
  BOOST_TEST(std::holds_alternative<mqtt::connack>(client.sent[0]));
  BOOST_TEST(std::holds_alternative<mqtt::pingresp>(client.sent[1]));
}

BOOST_AUTO_TEST_CASE(wills_are_refused_each_with_its_code) {
  const auto refusal = [&](protocol_version version, mqtt::qos quality, bool retain) {
    session_client client{world};
    auto packet = client.connect_packet(version, "x");
    packet.will = mqtt::will_message{"signet/v1/outbox", {}, quality, retain, {}};
    client.connect_with_token(packet, alice, client.token(alice, "x"));
    return client.connack().code;
  };
  BOOST_TEST((refusal(protocol_version::v5, mqtt::qos::exactly_once, false) == reason_code::qos_not_supported));
  BOOST_TEST((refusal(protocol_version::v5, mqtt::qos::at_least_once, true) == reason_code::retain_not_supported));
  BOOST_TEST((refusal(protocol_version::v5, mqtt::qos::at_least_once, false) == reason_code::topic_name_invalid));
  BOOST_TEST((refusal(protocol_version::v311, mqtt::qos::at_most_once, false) == reason_code::not_authorized));
}

BOOST_AUTO_TEST_CASE(an_empty_or_too_long_client_id_is_refused) {
  for (const auto& id : {std::string{}, std::string(129, 'x')}) {
    session_client client{world};
    client.say(client.connect_packet(protocol_version::v5, id));
    BOOST_TEST((client.connack().code == reason_code::client_identifier_not_valid));
  }
}

// ---- tokens

BOOST_AUTO_TEST_CASE(a_token_is_accepted_once_in_the_whole_cluster) {
  session_client maker{world};
  const auto token = maker.token(alice, "x");
  BOOST_TEST((token_refusal(world, alice, "x", token) == reason_code::success));
  BOOST_TEST((token_refusal(world, alice, "x", token) == reason_code::not_authorized));
  session_world elsewhere;  // another node with the same log says the same: the nonce is claimed by the entry
  elsewhere.cluster = world.cluster;
  elsewhere.claimed = world.claimed;
  elsewhere.publish(alice);
  BOOST_TEST((token_refusal(elsewhere, alice, "x", token) == reason_code::not_authorized));
}

BOOST_AUTO_TEST_CASE(a_token_holds_only_within_its_life_give_or_take_a_minute_at_its_start) {
  session_client maker{world};
  const auto token = maker.token(alice, "x");  // 60 s
  world.pass(59'999);
  BOOST_TEST((token_refusal(world, alice, "x", token, channel_kind::tcp, false, true) == reason_code::success));
  const auto second = maker.token(alice, "x");
  world.pass(60'000);
  BOOST_TEST((token_refusal(world, alice, "x", second) == reason_code::not_authorized));
  const auto early = maker.token(alice, "x");
  world.now.wall = wall_ms{value(world.now.wall) - 60'001};
  BOOST_TEST((token_refusal(world, alice, "x", early) == reason_code::not_authorized));
  world.now.wall = wall_ms{value(world.now.wall) + 1};
  BOOST_TEST((token_refusal(world, alice, "x", early) == reason_code::success));
}

BOOST_AUTO_TEST_CASE(a_token_is_bound_to_client_id_cluster_and_identity) {
  session_client maker{world};
  BOOST_TEST((token_refusal(world, alice, "y", maker.token(alice, "x")) == reason_code::not_authorized));
  BOOST_TEST((token_refusal(world, mallory, "x", maker.token(alice, "x")) == reason_code::not_authorized));
  const auto token = maker.token(alice, "x");
  world.cluster = random_id<cluster_id>(world.random);
  BOOST_TEST((token_refusal(world, alice, "x", token) == reason_code::not_authorized));
}

BOOST_AUTO_TEST_CASE(a_reusable_token_works_again_over_tls_and_loopback_only) {
  session_client maker{world};
  const auto token = maker.token(alice, "x", true);
  BOOST_TEST((token_refusal(world, alice, "x", token, channel_kind::tls) == reason_code::success));
  BOOST_TEST((token_refusal(world, alice, "x", token, channel_kind::wss) == reason_code::success));
  BOOST_TEST((token_refusal(world, alice, "x", token, channel_kind::tcp, true) == reason_code::success));
  BOOST_TEST((token_refusal(world, alice, "x", token, channel_kind::tcp, false) == reason_code::not_authorized));
  BOOST_TEST((token_refusal(world, alice, "x", token, channel_kind::ws, false) == reason_code::not_authorized));
  world.settings.reusable_tokens = false;
  BOOST_TEST((token_refusal(world, alice, "x", token, channel_kind::tls) == reason_code::not_authorized));
}

BOOST_AUTO_TEST_CASE(a_session_of_a_reusable_token_ends_with_the_token) {
  session_client client{world, channel_kind::tls};
  const auto token = client.token(alice, "x", true);
  client.connect_with_token(client.connect_packet(protocol_version::v5, "x"), alice, token);
  BOOST_TEST(value(client.openings.at(0).opening.expires) == value(world.now.wall) + 60'000);
  BOOST_TEST(client.openings[0].opening.token.nonce.is_zero());
}

BOOST_AUTO_TEST_CASE(a_revoked_key_opens_nothing) {
  world.keys[alice.devices[0].public_half()].revoked = true;
  session_client maker{world};
  BOOST_TEST((token_refusal(world, alice, "x", maker.token(alice, "x")) == reason_code::not_authorized));
}

BOOST_AUTO_TEST_CASE(a_key_revoked_between_check_and_commit_opens_nothing) {
  session_client client{world};
  client.connect_with_token(client.connect_packet(protocol_version::v5, "x"), alice, client.token(alice, "x"));
  BOOST_TEST_REQUIRE(client.openings.size() == 1U);
  world.keys[alice.devices[0].public_half()].revoked = true;
  client.commit_opening();
  BOOST_TEST((client.connack().code == reason_code::not_authorized));
  BOOST_TEST(client.attaches.empty());
}

// ---- limits and faults

BOOST_AUTO_TEST_CASE(limits_refuse_before_any_work) {
  world.verifications = false;
  session_client client{world};
  client.connect_with_token(client.connect_packet(protocol_version::v5, "x"), alice, client.token(alice, "x"));
  BOOST_TEST((client.connack().code == reason_code::connection_rate_exceeded));
  BOOST_TEST(client.reported(security_kind::rate_limit, "verifications"));
  world.tries = false;
  world.verified = 0;
  session_client second{world};
  second.connect_with_token(second.connect_packet(protocol_version::v311, "x"), alice, second.token(alice, "x"));
  BOOST_TEST(second.closed());
  BOOST_TEST((second.connack().code == reason_code::server_unavailable));  // 3: come again later
  BOOST_TEST(second.faults.empty());
  BOOST_TEST(world.verified == 0U);
  BOOST_TEST(second.reported(security_kind::rate_limit, "failed_logins"));
}

BOOST_AUTO_TEST_CASE(every_failed_login_counts) {
  session_client maker{world};
  token_refusal(world, alice, "x", "garbage");
  token_refusal(world, alice, "x", maker.token(mallory, "x"));
  const auto spent = maker.token(alice, "x");
  token_refusal(world, alice, "x", spent);
  token_refusal(world, alice, "x", spent);
  BOOST_TEST(world.failures == 3U);
}

BOOST_AUTO_TEST_CASE(without_a_majority_the_client_is_told_to_come_again) {
  for (const auto problem : {ec::overloaded, ec::not_leader, ec::unknown_outcome, ec::disk_full}) {
    session_client client{world};
    client.connect_with_token(client.connect_packet(protocol_version::v5, "x"), alice, client.token(alice, "x"));
    client.step(in::opening_answered{{problem, {}}});
    BOOST_TEST((client.connack().code == reason_code::server_unavailable));
    BOOST_TEST(client.closed());
  }
  BOOST_TEST(world.failures == 0U);
}

BOOST_AUTO_TEST_CASE(two_holders_of_one_client_id_are_made_to_wait) {
  world.storm_ms = 4'000;
  session_client client{world};
  client.connect_with_token(client.connect_packet(protocol_version::v5, "x"), alice, client.token(alice, "x"));
  BOOST_TEST((client.connack().code == reason_code::connection_rate_exceeded));
  BOOST_TEST(client.openings.empty());
  BOOST_TEST(client.reported(security_kind::takeover_storm));
}

BOOST_AUTO_TEST_CASE(a_client_that_goes_while_its_session_opens_leaves_an_ended_session_behind) {
  session_client client{world};
  client.connect_with_token(client.connect_packet(protocol_version::v5, "x"), alice, client.token(alice, "x"));
  client.step(in::lost{});
  BOOST_TEST(!client.closed());
  client.commit_opening();
  client.grant();
  BOOST_TEST(client.closed());
  BOOST_TEST_REQUIRE(client.left.has_value());
  BOOST_TEST(client.left->park_s == 0U);
  BOOST_TEST(client.sent.empty());
}

BOOST_AUTO_TEST_CASE(malformed_bytes_are_answered_in_the_form_of_their_state) {
  {
    session_client client{world};  // no CONNECT yet, and none can be seen
    client.step(in::malformed{reason_code::malformed_packet, std::nullopt});
    BOOST_TEST(client.sent.empty());
    BOOST_TEST(client.closed());
  }
  {
    session_client client{world};
    client.step(in::malformed{reason_code::protocol_error, protocol_version::v5});
    BOOST_TEST((client.connack().code == reason_code::protocol_error));
  }
  {
    session_client client{world};
    client.step(in::malformed{reason_code::malformed_packet, protocol_version::v311});
    BOOST_TEST(client.sent.empty());
  }
  {
    session_client client{world};
    client.step(in::malformed{reason_code::unsupported_protocol_version, protocol_version::v311});
    BOOST_TEST(client.sent.size() == 1U);
  }
  {
    session_client client{world};
    client.attach(alice, "x");
    client.step(in::malformed{reason_code::malformed_packet, protocol_version::v5});
    BOOST_TEST((client.last_disconnect().code == reason_code::malformed_packet));
    BOOST_TEST(client.left.has_value());
    BOOST_TEST(client.reported(security_kind::malformed_packet));
  }
}

BOOST_AUTO_TEST_SUITE_END()
