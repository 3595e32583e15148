// What an attached client gets: from the cursor, in order, within its limits, again after a reconnect.

#include "tests/support/session_world.hpp"

#include <boost/test/unit_test.hpp>

using namespace signet;
using namespace signet::testing;
using mqtt::protocol_version;
using mqtt::qos;
using mqtt::reason_code;

namespace {

using numbers = std::vector<std::uint64_t>;

struct fixture {
  session_world world;
  key_holder alice{world.random, 2};
  fixture() { world.publish(alice); }

  numbers positions(const session_client& client, std::size_t size = 100) {
    numbers out;
    for (const auto& each : client.published(topic_role::inbox))
      for (const auto position : positions_in(each, size))
        out.push_back(position);
    return out;
  }
  numbers range(std::uint64_t first, std::uint64_t last) {
    numbers out;
    for (auto at = first; at <= last; ++at)
      out.push_back(at);
    return out;
  }
  std::uint64_t cursor() { return value(world.cursor_of(alice.who, alice.devices[0].public_half())); }
  std::vector<mqtt::packet_id> ids(const session_client& client) {
    std::vector<mqtt::packet_id> out;
    for (const auto& each : client.published(topic_role::inbox))
      out.push_back(each.id);
    return out;
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(session_delivery, fixture)

BOOST_AUTO_TEST_CASE(nothing_is_delivered_before_it_is_subscribed) {
  world.deliver(alice.who, 3);
  session_client client{world};
  client.attach(alice, "x");
  client.step(in::inbox_grew{});
  BOOST_TEST(client.published(topic_role::inbox).empty());
  client.subscribe({"signet/v1/inbox"});
  BOOST_TEST(client.published(topic_role::inbox).empty());  // not before the inbox is ours
  client.step(in::inbox_answered{true});
  BOOST_TEST(positions(client) == range(1, 3), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_publish_carries_as_many_messages_as_fit) {
  world.deliver(alice.who, 50);
  session_client client{world};
  auto packet = client.connect_packet(protocol_version::v5, "x");
  packet.props.add(mqtt::property_id::maximum_packet_size, 1'032U);  // ten of 100 bytes, and what stands around them
  client.connect_with_token(packet, alice, client.token(alice, "x"));
  client.commit_opening();
  client.grant();
  client.read_inbox();
  BOOST_TEST(client.published(topic_role::inbox).size() == 5U);
  BOOST_TEST(positions(client) == range(1, 50), boost::test_tools::per_element());
  BOOST_TEST(client.faults.empty());
}

BOOST_AUTO_TEST_CASE(at_most_the_smaller_of_both_receive_maxima_is_in_flight) {
  for (const auto& [asked, granted] : std::vector<std::pair<std::uint16_t, std::size_t>>{{3, 3}, {100, 32}}) {
    session_client client{world};
    world.inboxes[alice.who].clear();
    world.cursors.clear();
    world.deliver(alice.who, 100, 200'000);  // one message a publish
    world.settings.output_pause_bytes = std::size_t{1} << 30;
    client.attach(alice, "x", protocol_version::v5, true, 0, std::nullopt, 0, asked);
    client.read_inbox();
    BOOST_TEST(client.published(topic_role::inbox).size() == granted);
    client.ack(client.published(topic_role::inbox)[0].id);
    BOOST_TEST(client.published(topic_role::inbox).size() == granted + 1);
    BOOST_TEST(cursor() == 1U);
  }
}

BOOST_AUTO_TEST_CASE(the_cursor_moves_over_contiguous_acknowledgements_only) {
  world.deliver(alice.who, 4, 200'000);
  session_client client{world};
  client.attach(alice, "x");
  client.read_inbox();
  const auto sent = ids(client);
  BOOST_TEST_REQUIRE(sent.size() >= 3U);
  client.ack(sent[1]);
  BOOST_TEST(cursor() == 0U);
  client.ack(sent[0]);
  BOOST_TEST(cursor() == 2U);
  client.ack(sent[0]);  // again, and one that never was
  client.ack(999);
  BOOST_TEST(cursor() == 2U);
  BOOST_TEST(client.attached());
  client.ack(sent[2]);
  BOOST_TEST(cursor() == 3U);
}

BOOST_AUTO_TEST_CASE(nothing_is_sent_again_on_one_connection) {
  world.deliver(alice.who, 5);
  session_client client{world};
  client.attach(alice, "x");
  client.read_inbox();
  for (int at = 0; at < 10; ++at) {
    client.step(in::inbox_grew{});
    client.pass(5'000);
    client.say(mqtt::pingreq{});
  }
  BOOST_TEST(positions(client) == range(1, 5), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_resumed_session_gets_everything_after_its_cursor) {
  world.deliver(alice.who, 5);
  session_client client{world};
  client.attach(alice, "x");
  client.read_inbox();
  client.ack(ids(client)[0]);
  BOOST_TEST(cursor() == 5U);
  world.deliver(alice.who, 4);
  client.step(in::inbox_grew{});
  client.step(in::lost{});

  session_client again{world};  // clean start drops the MQTT session, never the cursor
  again.attach(alice, "x");
  again.read_inbox();
  BOOST_TEST(positions(again) == range(6, 9), boost::test_tools::per_element());
  BOOST_TEST(!again.published(topic_role::inbox)[0].dup);
}

BOOST_AUTO_TEST_CASE(with_the_session_present_the_same_publishes_come_again_with_dup_and_in_order) {
  world.deliver(alice.who, 3, 100'000);
  session_client client{world};
  client.attach(alice, "x", protocol_version::v5, false, 600);
  client.read_inbox();
  const auto before = client.published(topic_role::inbox);
  BOOST_TEST_REQUIRE(before.size() == 2U);
  client.ack(before[1].id);  // out of order: it is not sent again
  client.step(in::lost{});
  BOOST_TEST_REQUIRE(client.left.has_value());
  BOOST_TEST(client.left->park_s == 600U);
  world.deliver(alice.who, 1, 100);

  session_client again{world};
  again.attach(alice, "x", protocol_version::v5, false, 600, client.left->state);
  BOOST_TEST(again.connack().session_present);
  BOOST_TEST(again.inbox_asked == 1U);  // the subscription is still there
  again.step(in::inbox_answered{true});
  const auto after = again.published(topic_role::inbox);
  BOOST_TEST_REQUIRE(after.size() == 2U);
  BOOST_TEST(after[0].dup);
  BOOST_TEST(after[0].id == before[0].id);
  BOOST_TEST((after[0].payload == before[0].payload));
  BOOST_TEST(!after[1].dup);
  again.ack(after[0].id);
  BOOST_TEST(cursor() == 3U);  // over the one acknowledged before as well
  again.ack(after[1].id);
  BOOST_TEST(cursor() == 4U);
}

BOOST_AUTO_TEST_CASE(what_the_cursor_covers_already_is_not_sent_again_after_a_resume) {
  world.deliver(alice.who, 3, 100'000);
  session_client client{world};
  client.attach(alice, "x", protocol_version::v5, false, 600);
  client.read_inbox();
  client.step(in::lost{});
  // by another connection of the device
  world.cursors[{alice.who, alice.devices[0].public_half()}] = inbox_position{2};
  session_client again{world};
  again.attach(alice, "x", protocol_version::v5, false, 600, client.left->state);
  again.step(in::inbox_answered{true});
  BOOST_TEST(positions(again, 100'000) == range(3, 3), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_state_parked_before_others_read_on_begins_behind_the_cursor) {
  session_client client{world};
  client.attach(alice, "x", protocol_version::v5, false, 600);
  client.read_inbox();
  client.step(in::lost{});
  world.deliver(alice.who, 3);
  world.cursors[{alice.who, alice.devices[0].public_half()}] = inbox_position{2};
  session_client again{world};
  again.attach(alice, "x", protocol_version::v5, false, 600, client.left->state);
  again.step(in::inbox_answered{true});
  BOOST_TEST(positions(again) == range(3, 3), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(state_that_does_not_fit_the_new_connection_makes_the_session_absent) {
  world.deliver(alice.who, 3, 200'000);
  session_client client{world};
  client.attach(alice, "x", protocol_version::v5, false, 600);
  client.read_inbox();
  client.step(in::lost{});
  const auto state = client.left->state;
  BOOST_TEST_REQUIRE(state.in_flight.size() == 3U);

  session_client narrow{world};  // fewer in flight than are on their way
  narrow.attach(alice, "x", protocol_version::v5, false, 600, state, 0, 2);
  BOOST_TEST(!narrow.connack().session_present);
  session_client small{world};  // smaller packets
  auto packet = small.connect_packet(protocol_version::v5, "x");
  packet.clean_start = false;
  packet.props.add(mqtt::property_id::maximum_packet_size, 1'000U);
  small.connect_with_token(packet, alice, small.token(alice, "x"));
  small.commit_opening();
  small.grant(state);
  BOOST_TEST(!small.connack().session_present);
  session_client other{world};  // another device of the same person: its inbox has a cursor of its own
  other.attach(alice, "x", protocol_version::v5, false, 600, state, 1);
  BOOST_TEST(!other.connack().session_present);
  session_client clean{world};
  clean.attach(alice, "x", protocol_version::v5, true, 600, state);
  BOOST_TEST(!clean.connack().session_present);
}

BOOST_AUTO_TEST_CASE(at_qos_0_only_explicit_positions_move_the_cursor) {
  world.deliver(alice.who, 5);
  session_client client{world};
  client.attach(alice, "x");
  client.read_inbox(qos::at_most_once);
  BOOST_TEST(positions(client) == range(1, 5), boost::test_tools::per_element());
  BOOST_TEST(ids(client)[0] == 0);
  BOOST_TEST(cursor() == 0U);
  client.publish(topic_role::ack, 1, position_payload(4));
  BOOST_TEST(cursor() == 4U);
}

BOOST_AUTO_TEST_CASE(a_client_that_asked_for_explicit_positions_moves_the_cursor_by_them_alone) {
  world.deliver(alice.who, 5, 200'000);
  session_client client{world};
  client.attach(alice, "x", protocol_version::v5, true, 0, std::nullopt, 0, 2);
  client.publish(topic_role::session, 1, explicit_acks_payload());
  client.read_inbox();
  for (const auto id : ids(client))
    client.ack(id);
  BOOST_TEST(cursor() == 0U);
  BOOST_TEST(client.published(topic_role::inbox).size() == 4U);  // the window moves on all the same
  client.publish(topic_role::ack, 2, position_payload(2));
  BOOST_TEST(cursor() == 2U);
}

BOOST_AUTO_TEST_CASE(positions_beyond_the_inbox_are_refused_and_smaller_ones_change_nothing) {
  world.deliver(alice.who, 5);
  session_client client{world};
  client.attach(alice, "x");
  client.subscribe({"signet/v1/session"});
  client.publish(topic_role::ack, 1, position_payload(6));
  BOOST_TEST((client.all<mqtt::puback>()[0].code == reason_code::implementation_specific_error));
  BOOST_TEST(read_notice(client.published(topic_role::session).at(0)) == "refused not_found");
  BOOST_TEST(client.reported(security_kind::permission_denied, "position"));
  client.publish(topic_role::ack, 2, position_payload(5));
  client.publish(topic_role::ack, 3, position_payload(1));
  BOOST_TEST(cursor() == 5U);
  BOOST_TEST((client.all<mqtt::puback>()[2].code == reason_code::success));
}

BOOST_AUTO_TEST_CASE(deliver_from_sends_again_and_leaves_the_cursor_where_it_is) {
  world.deliver(alice.who, 5);
  session_client client{world};
  client.attach(alice, "x");
  client.subscribe({"signet/v1/session"});
  client.read_inbox();
  client.ack(ids(client)[0]);
  BOOST_TEST(cursor() == 5U);
  client.forget();
  client.publish(topic_role::session, 1, deliver_from_payload(3));
  BOOST_TEST(read_notice(client.published(topic_role::session).at(0)) == "cursor 5");
  BOOST_TEST(positions(client) == range(3, 5), boost::test_tools::per_element());
  client.ack(ids(client)[0]);
  BOOST_TEST(cursor() == 5U);
  BOOST_TEST(client.cursors.empty());
  client.publish(topic_role::session, 2, deliver_from_payload(0));
  client.publish(topic_role::session, 3, deliver_from_payload(7));
  BOOST_TEST(read_notice(client.published(topic_role::session).at(1)) == "refused not_found");
  BOOST_TEST(read_notice(client.published(topic_role::session).at(2)) == "refused not_found");
}

BOOST_AUTO_TEST_CASE(deliver_from_asked_before_the_subscription_holds_when_it_comes) {
  world.deliver(alice.who, 5);
  world.cursors[{alice.who, alice.devices[0].public_half()}] = inbox_position{4};
  session_client client{world};
  client.attach(alice, "x");
  client.publish(topic_role::session, 1, deliver_from_payload(2));
  client.read_inbox();
  BOOST_TEST(positions(client) == range(2, 5), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(subscribing_again_does_not_lift_the_limit_of_what_is_in_flight) {
  world.deliver(alice.who, 40, 100'000);
  session_client client{world};
  client.attach(alice, "x", protocol_version::v5, true, 0, std::nullopt, 0, 2);
  client.read_inbox();
  BOOST_TEST(ids(client).size() == 2U);
  mqtt::unsubscribe packet;
  packet.id = 78;
  packet.filters = {"signet/v1/inbox"};
  client.say(std::move(packet));
  client.forget();
  client.read_inbox();
  BOOST_TEST(ids(client).size() == 0U);
}

BOOST_AUTO_TEST_CASE(the_cursor_never_jumps_over_what_a_client_skipped) {
  session_client client{world};
  client.attach(alice, "x");
  client.read_inbox();
  world.deliver(alice.who, 5);
  client.publish(topic_role::session, 1, deliver_from_payload(4));
  BOOST_TEST(positions(client) == range(4, 5), boost::test_tools::per_element());
  client.ack(ids(client).at(0));
  BOOST_TEST(cursor() == 0U);
  client.forget();
  client.publish(topic_role::session, 2, deliver_from_payload(1));
  BOOST_TEST(positions(client) == range(1, 5), boost::test_tools::per_element());
  client.ack(ids(client).at(0));
  BOOST_TEST(cursor() == 5U);
}

BOOST_AUTO_TEST_CASE(where_tells_the_durable_cursor) {
  world.cursors[{alice.who, alice.devices[0].public_half()}] = inbox_position{42};
  session_client client{world};
  client.attach(alice, "x");
  client.subscribe({"signet/v1/session"});
  client.publish(topic_role::session, 1, where_payload());
  BOOST_TEST(read_notice(client.published(topic_role::session).at(0)) == "cursor 42");
}

BOOST_AUTO_TEST_CASE(deliveries_pause_while_the_link_has_enough_to_write) {
  world.deliver(alice.who, 30, 100'000);
  session_client client{world};
  client.attach(alice, "x", protocol_version::v5, true, 0, std::nullopt, 0, 32);
  client.read_inbox();
  const auto first = client.published(topic_role::inbox).size();
  BOOST_TEST(first < 10U);
  client.output_queued = 600'000;
  client.pass(1'000);
  BOOST_TEST(client.published(topic_role::inbox).size() == first);
  client.output_queued = 0;
  client.pass(1'000);
  BOOST_TEST(client.published(topic_role::inbox).size() > first);
  BOOST_TEST(client.attached());
}

BOOST_AUTO_TEST_CASE(a_client_that_reads_nothing_for_half_a_minute_is_disconnected_and_loses_nothing) {
  world.deliver(alice.who, 30, 100'000);
  session_client client{world};
  client.attach(alice, "x");
  client.read_inbox();
  client.output_queued = 600'000;
  client.pass(30'000);
  client.say(mqtt::pingreq{});
  client.pass(200);
  BOOST_TEST((client.last_disconnect().code == reason_code::quota_exceeded));
  BOOST_TEST(client.reported(security_kind::slow_consumer, "stalled"));
  session_client again{world};
  again.attach(alice, "x");
  again.read_inbox();
  BOOST_TEST(positions(again, 100'000).at(0) == 1U);
}

BOOST_AUTO_TEST_CASE(a_full_output_buffer_disconnects) {
  session_client client{world};
  client.attach(alice, "x");
  client.step(in::output_refused{});
  BOOST_TEST(client.closed());
  BOOST_TEST(client.reported(security_kind::slow_consumer));
}

BOOST_AUTO_TEST_CASE(a_newer_reader_of_the_device_takes_the_inbox) {
  session_client client{world};
  client.attach(alice, "x");
  client.subscribe({"signet/v1/session", "signet/v1/inbox"});
  client.step(in::inbox_answered{false});
  BOOST_TEST(client.closed());
  BOOST_TEST(read_notice(client.published(topic_role::session).at(0)) == "closing inbox_taken");
}

BOOST_AUTO_TEST_CASE(a_client_too_small_for_a_reference_may_not_subscribe_to_the_inbox) {
  session_client client{world};
  auto packet = client.connect_packet(protocol_version::v5, "x");
  packet.props.add(mqtt::property_id::maximum_packet_size, 150U);
  client.connect_with_token(packet, alice, client.token(alice, "x"));
  client.commit_opening();
  client.grant();
  client.subscribe({"signet/v1/inbox"});
  BOOST_TEST((client.all<mqtt::suback>()[0].codes == std::vector{reason_code::quota_exceeded}));
}

BOOST_AUTO_TEST_CASE(a_session_that_yields_hands_over_its_state_and_says_why) {
  world.deliver(alice.who, 2, 100'000);
  session_client client{world};
  client.attach(alice, "x", protocol_version::v5, false, 600);
  client.subscribe({"signet/v1/session"});
  client.read_inbox();
  client.step(in::yield{});
  BOOST_TEST_REQUIRE(client.handed_over.has_value());
  BOOST_TEST_REQUIRE(client.handed_over->state.has_value());
  BOOST_TEST(client.handed_over->state->in_flight.size() == 1U);
  BOOST_TEST(!client.left.has_value());  // the registry knows already
  BOOST_TEST(read_notice(client.published(topic_role::session).at(0)) == "closing taken_over");
  BOOST_TEST((client.last_disconnect().code == reason_code::session_taken_over));
  client.forget();
  client.ack(1);
  client.step(in::inbox_grew{});
  BOOST_TEST(client.sent.empty());
  BOOST_TEST(client.cursors.empty());
}

BOOST_AUTO_TEST_CASE(a_session_that_ends_with_its_connection_is_not_inherited) {
  session_client client{world};
  client.attach(alice, "x", protocol_version::v5, false, 0);
  client.step(in::yield{});
  BOOST_TEST_REQUIRE(client.handed_over.has_value());
  BOOST_TEST(!client.handed_over->state.has_value());
}

BOOST_AUTO_TEST_SUITE_END()

// ---- the window alone

BOOST_AUTO_TEST_SUITE(delivery_window_rules)

BOOST_AUTO_TEST_CASE(packet_ids_in_flight_are_never_used_twice) {
  delivery_window window;
  window.start(inbox_position{0}, 3);
  std::set<mqtt::packet_id> in_flight;
  for (std::uint64_t at = 1; at < 200'000; ++at) {
    const auto id = window.sent(inbox_position{at});
    BOOST_TEST_REQUIRE(id != 0);
    BOOST_TEST_REQUIRE(in_flight.insert(id).second);
    if (!window.has_room()) {
      const auto gone = *in_flight.begin();
      // the oldest has the smallest position, not the smallest id: acknowledge all of them
      for (const auto each : std::exchange(in_flight, {}))
        (void)window.acknowledged(each, false);
      BOOST_TEST_REQUIRE(gone != 0);
    }
  }
}

BOOST_AUTO_TEST_CASE(the_cursor_equals_a_slow_obvious_one_under_any_order_of_acknowledgements) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    std::mt19937_64 random{seed};
    delivery_window window;
    const std::uint64_t start = random() % 5;
    window.start(inbox_position{start}, 8);
    std::map<mqtt::packet_id, std::pair<std::uint64_t, std::uint64_t>> in_flight;
    std::set<std::uint64_t> acknowledged;
    std::uint64_t next = start + 1;
    const auto obvious = [&] {
      auto at = start;
      while (acknowledged.contains(at + 1))
        ++at;
      return at;
    };
    for (int step = 0; step < 200; ++step) {
      if (window.has_room() && random() % 2) {
        const auto last = next + random() % 3;
        in_flight[window.sent(inbox_position{last})] = {next, last};
        next = last + 1;
      } else if (!in_flight.empty()) {
        const auto at = std::next(in_flight.begin(), static_cast<std::ptrdiff_t>(random() % in_flight.size()));
        for (auto position = at->second.first; position <= at->second.second; ++position)
          acknowledged.insert(position);
        const auto before = value(window.acked());
        const auto moved = window.acknowledged(at->first, false);
        in_flight.erase(at);
        BOOST_TEST_REQUIRE(value(window.acked()) == obvious());
        BOOST_TEST_REQUIRE(moved.has_value() == (obvious() > before));
      }
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
