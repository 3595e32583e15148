// An attached client: topics as roles, acknowledgements in order, back-pressure, lives and their ends.

#include "tests/support/session_world.hpp"

#include <boost/test/unit_test.hpp>

using namespace signet;
using namespace signet::testing;
using mqtt::protocol_version;
using mqtt::qos;
using mqtt::reason_code;

namespace {

struct fixture {
  session_world world;
  key_holder alice{world.random, 2};
  key_holder mallory{world.random};
  fixture() {
    world.publish(alice);
    world.publish(mallory);
  }
  std::vector<reason_code> puback_codes(const session_client& client) {
    std::vector<reason_code> out;
    for (const auto& each : client.all<mqtt::puback>())
      out.push_back(each.code);
    return out;
  }
  std::vector<mqtt::packet_id> puback_ids(const session_client& client) {
    std::vector<mqtt::packet_id> out;
    for (const auto& each : client.all<mqtt::puback>())
      out.push_back(each.id);
    return out;
  }
};
using codes = std::vector<reason_code>;
using ids = std::vector<mqtt::packet_id>;

} // namespace

BOOST_FIXTURE_TEST_SUITE(session_attached, fixture)

// ---- topics are roles

BOOST_AUTO_TEST_CASE(every_filter_of_a_subscribe_is_judged_by_itself) {
  session_client client{world};
  client.attach(alice, "x");
  client.subscribe({"signet/v1/receipts", "signet/v1/outbox", "signet/v1/#", "signet/v1/session", "#", "+/v1/inbox",
                    "$share/g/signet/v1/inbox", "$SYS/broker", "signet/v1/ack", "signet/v2/inbox",
                    "signet/v1/identity"});
  const auto answer = client.all<mqtt::suback>().at(0);
  BOOST_TEST(answer.id == 77);
  BOOST_TEST((answer.codes == codes{reason_code::granted_qos_1, reason_code::not_authorized,
                                    reason_code::wildcard_subscriptions_not_supported, reason_code::granted_qos_1,
                                    reason_code::wildcard_subscriptions_not_supported,
                                    reason_code::wildcard_subscriptions_not_supported,
                                    reason_code::shared_subscriptions_not_supported, reason_code::not_authorized,
                                    reason_code::not_authorized, reason_code::not_authorized,
                                    reason_code::granted_qos_1}));
  BOOST_TEST(client.attached());
  BOOST_TEST(client.reported(security_kind::permission_denied, "subscribe"));
  BOOST_TEST(client.inbox_asked == 0U);
}

BOOST_AUTO_TEST_CASE(v311_knows_one_refusal_for_filters) {
  session_client client{world};
  client.attach(alice, "x", protocol_version::v311);
  client.subscribe({"#", "signet/v1/inbox", "signet/v1/outbox"});
  BOOST_TEST((client.all<mqtt::suback>().at(0).codes ==
              codes{reason_code::unspecified_error, reason_code::granted_qos_1, reason_code::unspecified_error}));
}

BOOST_AUTO_TEST_CASE(qos_2_is_granted_as_1_and_subscription_identifiers_are_refused) {
  session_client client{world};
  client.attach(alice, "x");
  client.subscribe({"signet/v1/inbox"}, qos::exactly_once);
  BOOST_TEST((client.all<mqtt::suback>().at(0).codes == codes{reason_code::granted_qos_1}));
  mqtt::subscribe packet;
  packet.id = 5;
  packet.filters.push_back({"signet/v1/receipts"});
  packet.props.add(mqtt::property_id::subscription_identifier, 7U);
  client.say(packet);
  BOOST_TEST((client.all<mqtt::suback>().at(1).codes == codes{reason_code::subscription_identifiers_not_supported}));
}

BOOST_AUTO_TEST_CASE(unsubscribe_answers_each_filter_and_stops_deliveries) {
  session_client client{world};
  client.attach(alice, "x");
  client.read_inbox();
  mqtt::unsubscribe packet;
  packet.id = 6;
  packet.filters = {"signet/v1/inbox", "signet/v1/receipts"};
  client.say(packet);
  BOOST_TEST((client.all<mqtt::unsuback>().at(0).codes ==
              codes{reason_code::success, reason_code::no_subscription_existed}));
  BOOST_TEST(client.inbox_left == 1U);
  world.deliver(alice.who, 3);
  client.step(in::inbox_grew{});
  BOOST_TEST(client.published(topic_role::inbox).empty());
}

BOOST_AUTO_TEST_CASE(a_publish_to_a_foreign_topic_is_refused_in_the_protocols_own_words) {
  for (const auto* topic : {"signet/v1/inbox", "signet/v1/receipts", "signet/v1/outbox/", "SIGNET/V1/OUTBOX", "a"}) {
    session_client client{world};
    client.attach(alice, "x");
    client.say(client.publish_packet(topic, 9));
    BOOST_TEST((puback_codes(client) == codes{reason_code::not_authorized}));
    BOOST_TEST(client.attached());
    BOOST_TEST(client.reported(security_kind::permission_denied, "publish"));
    client.say(client.publish_packet(topic, 0));
    BOOST_TEST((client.last_disconnect().code == reason_code::not_authorized));

    session_client old{world};
    old.attach(alice, "y", protocol_version::v311);
    old.say(old.publish_packet(topic, 9));
    BOOST_TEST(old.closed());
    BOOST_TEST(old.all<mqtt::puback>().empty());
  }
}

BOOST_AUTO_TEST_CASE(retain_qos_2_and_unknown_aliases_end_the_connection_each_with_its_code) {
  const auto refusal = [&](auto change) {
    session_client client{world};
    client.attach(alice, "x");
    auto packet = client.publish_packet("signet/v1/outbox", 3);
    change(packet);
    client.say(packet);
    BOOST_TEST(client.submitted.empty());
    return client.last_disconnect().code;
  };
  BOOST_TEST((refusal([](auto& p) { p.retain = true; }) == reason_code::retain_not_supported));
  BOOST_TEST((refusal([](auto& p) { p.quality = qos::exactly_once; }) == reason_code::qos_not_supported));
  BOOST_TEST((refusal([](auto& p) {
                p.topic.clear();
                p.props.add(mqtt::property_id::topic_alias, 3U);
              }) == reason_code::topic_alias_invalid));
  BOOST_TEST((refusal([](auto& p) { p.props.add(mqtt::property_id::topic_alias, 9U); }) ==
              reason_code::topic_alias_invalid));
}

BOOST_AUTO_TEST_CASE(a_topic_alias_stands_for_its_topic_on_this_connection) {
  session_client client{world};
  client.attach(alice, "x");
  auto packet = client.publish_packet("signet/v1/outbox", 1);
  packet.props.add(mqtt::property_id::topic_alias, 8U);
  client.say(packet);
  packet.topic.clear();
  packet.id = 2;
  client.say(packet);
  BOOST_TEST(client.submitted.size() == 2U);
}

BOOST_AUTO_TEST_CASE(exchanges_that_cannot_exist_are_protocol_errors) {
  const std::vector<mqtt::packet> packets{mqtt::pubrec{}, mqtt::pubrel{}, mqtt::pubcomp{}, mqtt::connect{}};
  for (const auto& each : packets) {
    session_client client{world};
    client.attach(alice, "x");
    client.say(each);
    BOOST_TEST((client.last_disconnect().code == reason_code::protocol_error));
    BOOST_TEST(client.reported(security_kind::malformed_packet));
  }
}

BOOST_AUTO_TEST_CASE(a_ping_is_answered) {
  session_client client{world};
  client.attach(alice, "x");
  client.say(mqtt::pingreq{});
  BOOST_TEST(client.all<mqtt::pingresp>().size() == 1U);
}

// ---- the outbox

BOOST_AUTO_TEST_CASE(a_puback_leaves_after_the_answer_and_in_the_order_of_arrival) {
  session_client client{world};
  client.attach(alice, "x");
  for (const mqtt::packet_id id : ids{11, 12, 13})
    client.publish(topic_role::outbox, id);
  BOOST_TEST_REQUIRE(client.submitted.size() == 3U);
  BOOST_TEST((client.submitted[0].batch.author == alice.who));
  client.answer_batch(2);
  client.answer_batch(1);
  BOOST_TEST(client.all<mqtt::puback>().empty());
  client.answer_batch(0);
  BOOST_TEST((puback_ids(client) == ids{11, 12, 13}));
}

BOOST_AUTO_TEST_CASE(an_answer_at_once_waits_behind_a_batch_that_came_before) {
  session_client client{world};
  client.attach(alice, "x");
  world.deliver(alice.who, 5);
  client.publish(topic_role::outbox, 1);
  client.publish(topic_role::ack, 2, position_payload(3));
  client.say(client.publish_packet("elsewhere", 3));
  BOOST_TEST(client.all<mqtt::puback>().empty());
  client.answer_batch(0);
  BOOST_TEST((puback_ids(client) == ids{1, 2, 3}));
  BOOST_TEST((puback_codes(client) == codes{reason_code::success, reason_code::success, reason_code::not_authorized}));
}

BOOST_AUTO_TEST_CASE(v5_says_if_not_all_was_accepted_and_v311_has_one_ack) {
  for (const auto version : {protocol_version::v5, protocol_version::v311}) {
    session_client client{world};
    client.attach(alice, "x", version);
    for (const mqtt::packet_id id : ids{1, 2, 3, 4})
      client.publish(topic_role::outbox, id);
    client.answer_batch(0, true);
    client.answer_batch(1, false);
    client.answer_batch(2, false, ec::bad_signature);
    client.answer_batch(3, false, ec::rate_limited);
    const auto expected = version == protocol_version::v5
                            ? codes{reason_code::success, reason_code::implementation_specific_error,
                                    reason_code::implementation_specific_error, reason_code::quota_exceeded}
                            : codes(4, reason_code::success);
    BOOST_TEST((puback_codes(client) == expected));
    BOOST_TEST(client.faults.empty());
  }
}

BOOST_AUTO_TEST_CASE(a_receipt_precedes_its_puback_if_receipts_are_subscribed) {
  session_client client{world};
  client.attach(alice, "x");
  client.publish(topic_role::outbox, 1);
  client.answer_batch(0);
  BOOST_TEST(client.published(topic_role::receipts).empty());
  client.subscribe({"signet/v1/receipts"});
  client.forget();
  client.publish(topic_role::outbox, 2);
  client.publish(topic_role::outbox, 0);  // QoS 0 has a receipt too, but no PUBACK
  client.answer_batch(0);
  client.answer_batch(1);
  BOOST_TEST_REQUIRE(client.sent.size() == 3U);
  BOOST_TEST(std::holds_alternative<mqtt::publish>(client.sent[0]));
  BOOST_TEST(std::holds_alternative<mqtt::puback>(client.sent[1]));
  BOOST_TEST(std::holds_alternative<mqtt::publish>(client.sent[2]));
}

BOOST_AUTO_TEST_CASE(with_the_window_full_credit_is_kept_and_reading_stops) {
  session_client client{world};
  client.attach(alice, "x");
  client.credit = 0;
  for (mqtt::packet_id id = 1; id <= 31; ++id)
    client.publish(topic_role::outbox, id);
  client.step(in::read_done{1'000});
  BOOST_TEST(client.credit == 1'000U);
  client.publish(topic_role::outbox, 0);  // QoS 0 counts
  client.publish(topic_role::outbox, 40);  // a client that ignores our Receive Maximum is slowed, not punished
  client.step(in::read_done{500});
  BOOST_TEST(client.credit == 1'000U);
  BOOST_TEST(client.submitted.size() == 32U);
  client.answer_batch(0);
  BOOST_TEST(client.submitted.size() == 33U);
  client.answer_batch(1);
  client.answer_batch(2);
  BOOST_TEST(client.credit == 1'500U);
  BOOST_TEST(client.attached());
}

BOOST_AUTO_TEST_CASE(large_batches_fill_the_window_by_their_bytes) {
  session_client client{world};
  client.attach(alice, "x");
  client.credit = 0;
  client.publish(topic_role::outbox, 1, bytes(600'000));
  client.step(in::read_done{1});
  BOOST_TEST(client.credit == 1U);
  client.publish(topic_role::outbox, 2, bytes(600'000));
  client.step(in::read_done{1});
  BOOST_TEST(client.credit == 1U);
  client.answer_batch(0);
  BOOST_TEST(client.credit == 2U);
}

BOOST_AUTO_TEST_CASE(a_packet_id_still_unanswered_may_not_be_used_again) {
  session_client client{world};
  client.attach(alice, "x");
  client.publish(topic_role::outbox, 5);
  client.publish(topic_role::outbox, 5);
  BOOST_TEST((client.last_disconnect().code == reason_code::protocol_error));

  session_client again{world};
  again.attach(alice, "y");
  again.publish(topic_role::outbox, 5);
  again.answer_batch(0);
  again.publish(topic_role::outbox, 5);
  BOOST_TEST(again.attached());
  BOOST_TEST(again.submitted.size() == 2U);
}

BOOST_AUTO_TEST_CASE(an_unknown_outcome_is_withheld_and_the_same_bytes_are_sent_again_with_all_behind_them) {
  session_client client{world};
  client.attach(alice, "x");
  for (const mqtt::packet_id id : ids{1, 2, 3})
    client.publish(topic_role::outbox, id, bytes{static_cast<std::uint8_t>(id)});
  client.answer_batch(0);
  client.fail_batch(1, ec::unknown_outcome);
  client.answer_batch(2, false);  // a gap, since 2 is missing
  BOOST_TEST((puback_ids(client) == ids{1}));
  client.forget();
  client.pass(50);
  BOOST_TEST_REQUIRE(client.submitted.size() == 2U);
  BOOST_TEST(client.submitted[0].batch.raw->at(0) == 2);
  BOOST_TEST(client.submitted[1].batch.raw->at(0) == 3);
  client.answer_batch(0);
  client.answer_batch(1);
  BOOST_TEST((puback_codes(client) == codes{reason_code::success, reason_code::success}));
}

BOOST_AUTO_TEST_CASE(answers_of_an_earlier_attempt_are_ignored) {
  session_client client{world};
  client.attach(alice, "x");
  client.publish(topic_role::outbox, 1);
  client.publish(topic_role::outbox, 2);
  client.fail_batch(0, ec::overloaded);
  client.answer_batch(1, false);  // attempt 0 of the second
  client.pass(50);
  BOOST_TEST_REQUIRE(client.submitted.size() == 4U);
  client.answer_batch(1, false);  // once more
  client.answer_batch(2);
  BOOST_TEST((puback_ids(client) == ids{1}));
  client.answer_batch(3);
  BOOST_TEST((puback_codes(client) == codes{reason_code::success, reason_code::success}));
}

BOOST_AUTO_TEST_CASE(retries_wait_longer_and_longer_up_to_a_second) {
  session_client client{world};
  client.attach(alice, "x");
  client.publish(topic_role::outbox, 1);
  std::vector<std::uint64_t> waits;
  for (int round = 0; round < 9; ++round) {
    client.fail_batch(client.submitted.size() - 1, ec::unknown_outcome);
    const auto before = client.submitted.size();
    const auto start = value(world.now.steady);
    while (client.submitted.size() == before)
      client.pass(1);
    waits.push_back(value(world.now.steady) - start);
  }
  BOOST_TEST(waits == (std::vector<std::uint64_t>{20, 40, 80, 160, 320, 640, 1'000, 1'000, 1'000}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(only_what_cannot_have_happened_is_refused) {
  {
    session_client client{world};  // the disk is full, nothing was proposed
    client.attach(alice, "x");
    client.publish(topic_role::outbox, 1);
    client.fail_batch(0, ec::disk_full);
    BOOST_TEST((puback_codes(client) == codes{reason_code::quota_exceeded}));
  }
  {
    session_client client{world};  // it may have been proposed before the disk was full
    client.attach(alice, "x");
    client.publish(topic_role::outbox, 1);
    client.fail_batch(0, ec::unknown_outcome);
    client.pass(50);
    client.fail_batch(1, ec::disk_full);
    BOOST_TEST(client.all<mqtt::puback>().empty());
  }
  {
    session_client client{world};  // 3.1.1 has no refusal: it waits
    client.attach(alice, "x", protocol_version::v311);
    client.publish(topic_role::outbox, 1);
    client.fail_batch(0, ec::disk_full);
    BOOST_TEST(client.all<mqtt::puback>().empty());
    client.credit = 0;
    client.step(in::read_done{10});
    BOOST_TEST(client.credit == 0U);
    client.pass(100);
    client.answer_batch(1);
    BOOST_TEST((puback_codes(client) == codes{reason_code::success}));
    BOOST_TEST(client.credit == 10U);
  }
  {
    session_client client{world};  // no leader for two seconds
    client.attach(alice, "x");
    client.publish(topic_role::outbox, 1);
    const auto start = value(world.now.steady);
    std::size_t at = 0;
    while (client.all<mqtt::puback>().empty() && value(world.now.steady) - start < 10'000) {
      while (at < client.submitted.size())
        client.fail_batch(at++, ec::not_leader);
      client.pass(10);
    }
    BOOST_TEST((puback_codes(client) == codes{reason_code::implementation_specific_error}));
    BOOST_TEST(*client.all<mqtt::puback>()[0].props.find_text(mqtt::property_id::reason_string) == "no_quorum");
    BOOST_TEST(value(world.now.steady) - start >= 2'000U);
    BOOST_TEST(value(world.now.steady) - start <= 3'100U);
  }
}

BOOST_AUTO_TEST_CASE(batches_above_the_rate_wait_and_are_never_refused) {
  world.settings.batches_per_second = 10;
  session_client client{world};
  client.attach(alice, "x");
  for (mqtt::packet_id id = 1; id <= 15; ++id)
    client.publish(topic_role::outbox, id);
  BOOST_TEST(client.submitted.size() == 10U);
  BOOST_TEST(client.reported(security_kind::rate_limit, "batches"));
  client.pass(520);
  BOOST_TEST(client.submitted.size() == 15U);
}

BOOST_AUTO_TEST_CASE(what_came_before_a_disconnect_is_submitted_all_the_same) {
  session_client client{world};
  client.attach(alice, "x", protocol_version::v311);
  for (int at = 0; at < 50; ++at)
    client.publish(topic_role::outbox, 0);
  BOOST_TEST(client.submitted.size() == 32U);
  client.say(mqtt::disconnect{});
  BOOST_TEST(client.submitted.size() == 50U);
  BOOST_TEST(client.closed());
}

// ---- what revokes rights

BOOST_AUTO_TEST_CASE(a_revoked_key_publishes_nothing_more_and_gets_nothing_more) {
  session_client client{world};
  client.attach(alice, "x");
  client.subscribe({"signet/v1/session"});
  client.read_inbox();
  world.keys[alice.devices[0].public_half()].revoked = true;
  world.deliver(alice.who, 1);
  client.step(in::inbox_grew{});
  BOOST_TEST(client.closed());
  BOOST_TEST(client.published(topic_role::inbox).empty());
  BOOST_TEST(read_notice(client.published(topic_role::session).at(0)) == "closing revoked_key");
  BOOST_TEST((client.last_disconnect().code == reason_code::not_authorized));
  BOOST_TEST(client.left->park_s == 0U);

  session_client second{world};
  world.keys[alice.devices[0].public_half()].revoked = false;
  second.attach(alice, "y");
  world.keys[alice.devices[0].public_half()].revoked = true;
  second.publish(topic_role::outbox, 1);
  BOOST_TEST(second.submitted.empty());
  BOOST_TEST(second.closed());

  session_client third{world};
  world.keys[alice.devices[0].public_half()].revoked = false;
  third.attach(alice, "z");
  world.keys[alice.devices[0].public_half()].revoked = true;
  third.step(in::identity_moved{});
  BOOST_TEST(third.closed());
}

BOOST_AUTO_TEST_CASE(a_newer_epoch_in_the_log_ends_the_older_connection) {
  session_client client{world};
  client.attach(alice, "x");
  world.sessions[{alice.who, "x"}].epoch += 5;
  client.publish(topic_role::outbox, 1);
  BOOST_TEST(client.submitted.empty());
  BOOST_TEST((client.last_disconnect().code == reason_code::session_taken_over));
}

// ---- lives

BOOST_AUTO_TEST_CASE(silence_for_one_and_a_half_keep_alives_closes) {
  session_client client{world};
  client.attach(alice, "x");  // 60 s
  client.pass(89'999);
  BOOST_TEST(client.attached());
  client.say(mqtt::pingreq{});
  client.pass(89'999);
  BOOST_TEST(client.attached());
  client.pass(1);
  BOOST_TEST((client.last_disconnect().code == reason_code::keep_alive_timeout));
}

BOOST_AUTO_TEST_CASE(v311_without_keep_alive_is_closed_after_450_seconds) {
  session_client client{world};
  auto packet = client.connect_packet(protocol_version::v311, "x");
  packet.keep_alive_s = 0;
  client.connect_with_token(packet, alice, client.token(alice, "x"));
  client.commit_opening();
  client.grant();
  client.pass(449'999);
  BOOST_TEST(client.attached());
  client.pass(1);
  BOOST_TEST(client.closed());
}

BOOST_AUTO_TEST_CASE(the_keep_alive_clock_stands_while_we_hold_back_reading) {
  session_client client{world};
  client.attach(alice, "x");
  for (mqtt::packet_id id = 1; id <= 32; ++id)
    client.publish(topic_role::outbox, id);
  client.pass(200'000);
  BOOST_TEST(client.attached());
  client.answer_batch(0);
  client.pass(89'999);
  BOOST_TEST(client.attached());
  client.pass(1);
  BOOST_TEST(client.closed());
}

BOOST_AUTO_TEST_CASE(the_end_of_the_proof_is_announced_twice_and_then_kept) {
  world.settings.absolute_s = 3'600;
  session_client client{world};
  client.attach(alice, "x");
  client.subscribe({"signet/v1/session"});
  const auto end = value(world.now.wall) + 3'600'000;
  const auto notices = [&] { return client.published(topic_role::session); };
  const auto live = [&](std::uint64_t ms) {
    for (std::uint64_t at = 0; at < ms; at += 30'000) {
      client.pass(std::min<std::uint64_t>(30'000, ms - at));
      client.say(mqtt::pingreq{});
    }
  };
  live(3'240'000 - 1);
  BOOST_TEST(notices().empty());
  live(1);
  BOOST_TEST_REQUIRE(notices().size() == 1U);
  BOOST_TEST(read_notice(notices()[0]) == "expiring " + std::to_string(end));
  live(299'999);
  BOOST_TEST(notices().size() == 1U);
  live(1);
  BOOST_TEST(notices().size() == 2U);
  live(59'999);
  BOOST_TEST(client.attached());
  live(1);
  BOOST_TEST(client.closed());
  BOOST_TEST(read_notice(notices().at(2)) == "closing session_expired");
  BOOST_TEST((client.last_disconnect().code == reason_code::maximum_connect_time));
}

BOOST_AUTO_TEST_CASE(a_proof_is_renewed_in_place_by_auth) {
  world.settings.absolute_s = 3'600;
  session_client client{world};
  client.connect_enhanced(client.connect_packet(protocol_version::v5, "x"), client.hello(alice));
  client.prove(alice.devices[0]);
  client.commit_opening();
  client.grant();
  client.subscribe({"signet/v1/session"});
  client.pass(80'000);
  client.reauthenticate(client.hello(alice));
  client.publish(topic_role::outbox, 1);  // traffic goes on under the old proof
  BOOST_TEST(client.submitted.size() == 1U);
  client.prove(alice.devices[0]);
  BOOST_TEST_REQUIRE(client.renewals.size() == 1U);
  BOOST_TEST(client.renewals[0].renewal.epoch == client.core().epoch());
  BOOST_TEST(client.all<mqtt::auth>().size() == 2U);  // not before the entry is committed
  client.commit_renewal();
  BOOST_TEST((client.all<mqtt::auth>().at(2).code == reason_code::success));
  BOOST_TEST(read_notice(client.published(topic_role::session).at(0)) ==
             "renewed " + std::to_string(value(world.now.wall) + 3'600'000));
  BOOST_TEST(client.attached());
}

BOOST_AUTO_TEST_CASE(a_failed_renewal_by_auth_ends_the_connection) {
  const auto begin = [&](session_client& client) {
    client.connect_enhanced(client.connect_packet(protocol_version::v5, "x"), client.hello(alice));
    client.prove(alice.devices[0]);
    client.commit_opening();
    client.grant();
  };
  {
    session_client client{world};  // another key
    begin(client);
    client.reauthenticate(client.hello(alice));
    client.prove(mallory.devices[0]);
    BOOST_TEST((client.last_disconnect().code == reason_code::not_authorized));
  }
  {
    session_client client{world};  // another device of the same person
    begin(client);
    client.reauthenticate(client.hello(alice, 1));
    client.prove(alice.devices[1]);
    BOOST_TEST((client.last_disconnect().code == reason_code::not_authorized));
    BOOST_TEST(client.renewals.empty());
  }
  {
    session_client client{world};  // too slow
    begin(client);
    client.reauthenticate(client.hello(alice));
    client.pass(10'000);
    BOOST_TEST(client.closed());
    BOOST_TEST(client.reported(security_kind::challenge_expired, "renewal"));
  }
  {
    session_client client{world};  // two at a time
    begin(client);
    client.reauthenticate(client.hello(alice));
    client.reauthenticate(client.hello(alice));
    BOOST_TEST((client.last_disconnect().code == reason_code::protocol_error));
  }
  {
    session_client client{world};  // its CONNECT named no method
    client.attach(alice, "x");
    client.reauthenticate(client.hello(alice));
    BOOST_TEST((client.last_disconnect().code == reason_code::protocol_error));
  }
}

BOOST_AUTO_TEST_CASE(a_proof_is_renewed_by_a_fresh_token_in_both_versions) {
  for (const auto version : {protocol_version::v311, protocol_version::v5}) {
    session_client client{world};
    client.attach(alice, "x", version);
    client.subscribe({"signet/v1/session"});
    client.pass(1'000);
    const auto token = client.token(alice, "x");
    client.publish(topic_role::session, 4, renew_payload(token));
    BOOST_TEST(client.all<mqtt::puback>().empty());
    client.commit_renewal();
    BOOST_TEST((puback_codes(client) == codes{reason_code::success}));
    BOOST_TEST(read_notice(client.published(topic_role::session).at(0)).starts_with("renewed "));

    client.publish(topic_role::session, 5, renew_payload(token));  // spent
    client.commit_renewal();
    BOOST_TEST(read_notice(client.published(topic_role::session).at(1)) == "refused not_authorized");
    BOOST_TEST(client.attached());
    const auto refused = client.renewals.size();
    client.publish(topic_role::session, 6, renew_payload(client.token(alice, "y")));
    client.publish(topic_role::session, 7, renew_payload(client.token(alice, "x", false, 1)));
    client.publish(topic_role::session, 8, renew_payload(client.token(mallory, "x")));
    client.publish(topic_role::session, 9, renew_payload("garbage"));
    BOOST_TEST(client.renewals.size() == refused);
    BOOST_TEST(client.published(topic_role::session).size() == 6U);
    BOOST_TEST(client.attached());
  }
}

BOOST_AUTO_TEST_CASE(an_operator_and_a_stopping_node_say_why_they_close) {
  for (const auto& [why, code] : std::vector<std::pair<close_reason, reason_code>>{
         {close_reason::shutting_down, reason_code::server_shutting_down},
         {close_reason::administrative, reason_code::administrative_action},
         {close_reason::inbox_taken, reason_code::session_taken_over}}) {
    session_client client{world};
    client.attach(alice, "x", protocol_version::v5, false, 100);
    client.subscribe({"signet/v1/session"});
    client.step(in::close{why});
    BOOST_TEST(read_notice(client.published(topic_role::session).at(0)) == "closing " + std::string{name(why)});
    BOOST_TEST((client.last_disconnect().code == code));
    BOOST_TEST(client.link_closed);
    BOOST_TEST(client.left->park_s == 100U);
  }
}

BOOST_AUTO_TEST_CASE(a_disconnect_may_shorten_the_life_of_the_session_but_not_begin_one) {
  session_client client{world};
  client.attach(alice, "x", protocol_version::v5, false, 100);
  mqtt::disconnect packet;
  packet.props.add(mqtt::property_id::session_expiry_interval, 0U);
  client.say(packet);
  BOOST_TEST(client.left->park_s == 0U);

  session_client other{world};
  other.attach(alice, "y");
  packet.props = {};
  packet.props.add(mqtt::property_id::session_expiry_interval, 10U);
  other.say(packet);
  BOOST_TEST((other.last_disconnect().code == reason_code::protocol_error));
}

BOOST_AUTO_TEST_CASE(reason_strings_stay_away_from_clients_that_do_not_want_them) {
  session_client client{world};
  auto packet = client.connect_packet(protocol_version::v5, "x");
  packet.props.add(mqtt::property_id::request_problem_information, 0U);
  client.connect_with_token(packet, alice, client.token(alice, "x"));
  client.commit_opening();
  client.grant();
  client.publish(topic_role::outbox, 1);
  client.answer_batch(0, false, ec::malformed);
  BOOST_TEST(client.all<mqtt::puback>().at(0).props.empty());
}

// ---- small topics

BOOST_AUTO_TEST_CASE(identities_are_looked_up_by_name_key_and_link) {
  session_client client{world};
  client.attach(alice, "x");
  client.subscribe({"signet/v1/identity"});
  const auto ask = [&](auto fill) {
    outer_builder<schema::IdentityRequest> request;
    request.root().setCorrelation(99);
    fill(request.root());
    client.forget();
    client.publish(topic_role::identity, 3, request.finish());
    const auto answers = client.published(topic_role::identity);
    BOOST_TEST_REQUIRE(answers.size() == 1U);
    return *read_outer<schema::IdentityAnswer>(answers[0].payload, 65'536,
                                               [](schema::IdentityAnswer::Reader in) -> result<std::string> {
      return std::string{in.getCode().cStr()} + " " + std::to_string(in.getVersions().size()) + " " +
             std::to_string(in.getCorrelation());
    });
  };
  const auto first = identity_version::open(mallory.version)->link();
  BOOST_TEST(ask([&](auto r) { r.setByPermalink(data_of(mallory.who.view())); }) == "ok 1 99");
  BOOST_TEST(ask([&](auto r) { r.setByKey(data_of(mallory.devices[0].public_half().view())); }) == "ok 1 99");
  BOOST_TEST(ask([&](auto r) { r.setByLink(data_of(first.view())); }) == "ok 1 99");
  BOOST_TEST(ask([&](auto r) { r.setByPermalink(data_of(signet::link{{1}}.view())); }) == "unknown_identity 0 99");
  BOOST_TEST(ask([&](auto r) { r.setByPermalink(data_of(bytes_view{})); }) == "malformed 0 0");
}

BOOST_AUTO_TEST_CASE(an_identity_is_published_and_answered_with_its_chain) {
  session_client client{world};
  client.attach(alice, "x");
  client.subscribe({"signet/v1/identity"});
  key_holder bob{world.random};
  outer_builder<schema::IdentityRequest> request;
  request.root().setCorrelation(7);
  BOOST_TEST_REQUIRE(read_outer<schema::IdentityVersion>(bob.version, 8192,
                                                         [&](schema::IdentityVersion::Reader in) -> result<bool> {
    request.root().setPublish(in);
    return true;
  }).has_value());
  client.forget();
  client.publish(topic_role::identity, 3, request.finish());
  BOOST_TEST_REQUIRE(client.publications.size() == 1U);
  BOOST_TEST((identity_version::open(client.publications[0].version)->permalink() == bob.who));
  BOOST_TEST(client.sent.empty());
  world.publish(bob);
  client.step(in::identity_answered{client.publications[0].slot, {}});
  BOOST_TEST(client.published(topic_role::identity).size() == 1U);
  BOOST_TEST((puback_codes(client) == codes{reason_code::success}));
}

BOOST_AUTO_TEST_CASE(payloads_that_do_not_follow_their_grammar_are_refused_and_reported) {
  session_client client{world};
  client.attach(alice, "x");
  client.subscribe({"signet/v1/session"});
  client.publish(topic_role::ack, 1, bytes{1, 2, 3});
  client.publish(topic_role::session, 2, bytes{});
  client.publish(topic_role::identity, 3, bytes(64, 0xFF));
  BOOST_TEST((puback_codes(client) == codes(3, reason_code::payload_format_invalid)));
  BOOST_TEST(client.reported(security_kind::malformed_payload, "ack"));
  BOOST_TEST(client.reported(security_kind::malformed_payload, "session"));
  BOOST_TEST(client.reported(security_kind::malformed_payload, "identity"));
  BOOST_TEST(client.attached());
}

BOOST_AUTO_TEST_SUITE_END()
