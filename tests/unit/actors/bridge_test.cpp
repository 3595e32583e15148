// The bridge over TCP: packets, sessions, endings, and stopping.

#include "tests/support/bridge_world.hpp"
#include "tests/support/scratch_directory.hpp"

#include <thread>

namespace signet {
namespace {

using namespace testing;
using namespace std::chrono_literals;

} // namespace

BOOST_AUTO_TEST_SUITE(bridge_tcp)

BOOST_AUTO_TEST_CASE(a_client_connects_publishes_and_gets_its_answers) {
  world w;
  raw_client client{w.port()};
  attach(client);
  BOOST_REQUIRE(client.send(wire(message(7))));
  const auto session = w.session();
  BOOST_REQUIRE(session->wait_for_packets(2));
  BOOST_TEST((std::get<mqtt::publish>(session->packets[1]) == message(7)));
  BOOST_TEST(session->link->offer(mqtt::puback{7, reason_code::success, {}}));
  BOOST_TEST((client.read(4) == bytes{0x40, 0x02, 0x00, 0x07}));
  BOOST_TEST((session->link->channel() == channel_kind::tcp));
  BOOST_TEST(session->link->source() == "127.0.0.1");
  BOOST_TEST(session->link->loopback());
  BOOST_TEST(session->link->exporter().empty());
  client.hang_up();
  BOOST_TEST(session->wait_for_loss());
  BOOST_TEST(w.wait_until_empty());
  BOOST_TEST(!session->link->offer(mqtt::pingresp{}));
}

BOOST_AUTO_TEST_CASE(bytes_that_come_one_by_one_give_the_same_packets) {
  world w;
  raw_client client{w.port()};
  for (const auto each : wire(hello()))
    BOOST_REQUIRE(client.send(bytes{each}));
  BOOST_REQUIRE((client.read(connack_bytes.size()) == connack_bytes));
  for (const auto each : wire(message(9, 40)))
    BOOST_REQUIRE(client.send(bytes{each}));
  const auto session = w.session();
  BOOST_REQUIRE(session->wait_for_packets(2));
  BOOST_TEST((session->packets[0] == hello()));
  BOOST_TEST((std::get<mqtt::publish>(session->packets[1]) == message(9, 40)));
}

BOOST_AUTO_TEST_CASE(packets_glued_behind_the_connect_wait_until_it_is_answered) {
  world w{world::one(channel_kind::tcp), silent()};
  raw_client client{w.port()};
  auto all = wire(hello());
  for (std::uint16_t id = 1; id <= 20; ++id)
    append(all, wire(message(id, 3'000)));  // each far above what a stranger may send
  BOOST_REQUIRE(client.send(all));
  const auto session = w.session();
  BOOST_REQUIRE(session->wait_for_packets(1));
  std::this_thread::sleep_for(50ms);
  BOOST_TEST(session->with([](auto& me) { return me.packets.size(); }) == 1u);
  session->link->allow(link_state::connecting, 1'024);  // nothing new: still only the CONNECT
  std::this_thread::sleep_for(50ms);
  BOOST_TEST(session->with([](auto& me) { return me.packets.size(); }) == 1u);
  BOOST_TEST(session->link->offer(mqtt::connack{}) == false);  // not in this state: the gate
  session->link->allow(link_state::attached, 1 << 20);
  BOOST_TEST(session->link->offer(mqtt::connack{}));
  BOOST_REQUIRE(session->wait_for_packets(21));
  for (std::uint16_t id = 1; id <= 20; ++id)
    BOOST_TEST((std::get<mqtt::publish>(session->packets[id]) == message(id, 3'000)));
  BOOST_TEST((client.read(connack_bytes.size()) == connack_bytes));
}

BOOST_AUTO_TEST_CASE(a_stranger_in_proof_is_heard_one_packet_at_a_time) {
  world w{world::one(channel_kind::tcp), silent()};
  raw_client client{w.port()};
  const mqtt::auth answer{reason_code::continue_authentication,
                          {{mqtt::property_id::authentication_method, std::string{"signet-ed25519"}}}};
  auto all = wire(hello());
  append(all, wire(answer));
  append(all, wire(answer));
  BOOST_REQUIRE(client.send(all));
  const auto session = w.session();
  BOOST_REQUIRE(session->wait_for_packets(1));
  session->link->allow(link_state::proving, 16 * 1'024);
  BOOST_REQUIRE(session->wait_for_packets(2));
  std::this_thread::sleep_for(50ms);
  BOOST_TEST(session->with([](auto& me) { return me.packets.size(); }) == 2u);
  session->link->allow(link_state::attached, 1 << 20);
  BOOST_TEST(session->wait_for_packets(3));
}

BOOST_AUTO_TEST_CASE(many_packets_are_few_actor_messages) {
  world w;
  raw_client client{w.port()};
  attach(client);
  bytes all;
  for (std::uint16_t id = 1; id <= 500; ++id)
    append(all, wire(message(id, 20)));
  BOOST_REQUIRE(client.send(all));
  const auto session = w.session();
  BOOST_REQUIRE(session->wait_for_packets(501));
  BOOST_TEST(session->messages <= 50u);
  for (std::uint16_t id = 1; id <= 500; ++id)
    BOOST_TEST(std::get<mqtt::publish>(session->packets[id]).id == id);
}

BOOST_AUTO_TEST_CASE(a_first_packet_that_is_no_connect_gets_no_byte_and_costs_no_session) {
  world w;
  for (const auto& bad : {bytes{0xC0, 0x00}, to_bytes(as_bytes("GET / HTTP/1.1\r\n\r\n")),
                          bytes{0x10, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F}, wire(message(1))}) {
    raw_client client{w.port()};
    BOOST_REQUIRE(client.send(bad));
    BOOST_TEST(client.read_to_end().empty());
  }
  BOOST_TEST(w.wait_until_empty());
  BOOST_TEST(w.sessions() == 0u);
}


BOOST_AUTO_TEST_CASE(what_is_malformed_is_told_once_with_the_form_of_its_answer_and_the_answer_arrives) {
  world w;
  raw_client client{w.port()};
  attach(client);
  auto bad = wire(message(1));
  append(bad, bytes{0xC0, 0x01, 0x00});  // PINGREQ with a body
  append(bad, wire(message(2)));         // never looked at
  BOOST_REQUIRE(client.send(bad));
  const auto session = w.session();
  BOOST_REQUIRE(session->wait_for([](auto& me) { return me.malformed.has_value(); }));
  BOOST_TEST(session->packets.size() == 2u);  // what was good before is delivered
  BOOST_TEST((session->malformed->reason == reason_code::malformed_packet));
  BOOST_TEST((session->malformed->answer_as == mqtt::protocol_version::v5));
  BOOST_TEST(session->link->offer(mqtt::disconnect{reason_code::malformed_packet, {}}));
  session->link->close();
  const auto last = client.read_to_end();
  BOOST_TEST((last == bytes{0xE0, 0x01, 0x81}));
  client.hang_up();
  BOOST_TEST(w.wait_until_empty());
  BOOST_TEST(!session->with([](auto& me) { return me.lost.has_value(); }));
}

BOOST_AUTO_TEST_CASE(a_connect_of_an_unknown_version_can_be_answered_in_the_form_it_understands) {
  world w{world::one(channel_kind::tcp), silent()};
  raw_client client{w.port()};
  BOOST_REQUIRE(client.send(bytes{0x10, 0x0E, 0, 6, 'M', 'Q', 'I', 's', 'd', 'p', 3, 2, 0, 60, 0, 0}));
  const auto session = w.session();
  BOOST_REQUIRE(session->wait_for([](auto& me) { return me.malformed.has_value(); }));
  BOOST_REQUIRE((session->malformed->answer_as == mqtt::protocol_version::v311));
  BOOST_TEST(session->link->offer(mqtt::connack{false, reason_code::unsupported_protocol_version, {}}));
  session->link->close();
  BOOST_TEST((client.read_to_end() == bytes{0x20, 0x02, 0x00, 0x01}));
}

BOOST_AUTO_TEST_CASE(a_packet_above_the_limit_is_refused_when_its_length_is_known_not_when_it_has_arrived) {
  behaviour small;
  small.packet_bytes_max = 10'000;
  world w{world::one(channel_kind::tcp), small};
  raw_client client{w.port()};
  attach(client);
  BOOST_REQUIRE(client.send(bytes{0x32, 0x80, 0x80, 0x80, 0x01}));  // 2 MiB are announced, none are sent
  const auto session = w.session();
  BOOST_REQUIRE(session->wait_for([](auto& me) { return me.malformed.has_value(); }));
  BOOST_TEST((session->malformed->reason == reason_code::packet_too_large));
}

BOOST_AUTO_TEST_CASE(a_connect_above_one_kibibyte_is_refused_before_it_is_there) {
  world w;
  raw_client client{w.port()};
  BOOST_REQUIRE(client.send(bytes{0x10, 0x81, 0x08}));  // 1025 bytes are announced
  BOOST_TEST(client.read_to_end().empty());
  BOOST_TEST(w.sessions() == 0u);
}

BOOST_AUTO_TEST_CASE(last_words_arrive_although_the_client_was_still_talking) {
  // Without the half-close the kernel would answer unread input with a reset, which takes the last words with it.
  behaviour hold;
  hold.give_back = false;
  world w{world::one(channel_kind::tcp), hold};
  raw_client client{w.port()};
  attach(client);
  const auto one = wire(message(1, 4'000));
  while (client.send_at_once(one) > 0) {
  }
  const auto session = w.session();
  BOOST_REQUIRE(session->wait_for_packets(20));
  BOOST_TEST(session->link->offer(mqtt::disconnect{reason_code::administrative_action, {}}));
  session->link->close();
  session->link->close();  // idempotent
  BOOST_TEST((client.read_to_end() == bytes{0xE0, 0x01, 0x98}));
  client.hang_up();
  BOOST_TEST(w.wait_until_empty());
}

BOOST_AUTO_TEST_CASE(a_session_that_dies_takes_its_link_along) {
  world w;
  raw_client client{w.port()};
  attach(client);
  caf::anon_send(w.handle(), drain_atom::value);
  BOOST_TEST(client.read_to_end().empty());
  client.hang_up();
  BOOST_TEST(w.wait_until_empty());
}

BOOST_AUTO_TEST_CASE(a_link_without_a_session_is_closed) {
  bridge one{world::one(channel_kind::tcp)};
  BOOST_REQUIRE(one.start([](client_link_ptr) { return caf::actor{}; }));
  raw_client client{one.listening().at(0).port};
  BOOST_REQUIRE(client.send(wire(hello())));
  BOOST_TEST(client.read_to_end().empty());
}

BOOST_AUTO_TEST_CASE(what_came_before_the_end_of_a_connection_is_delivered_before_the_loss_is_told) {
  behaviour hold;
  hold.give_back = false;
  world w{world::one(channel_kind::tcp), hold};
  {
    raw_client client{w.port()};
    attach(client);
    bytes all;
    for (std::uint16_t id = 1; id <= 300; ++id)
      append(all, wire(message(id, 2'000)));  // 600 KB: more than the credit
    BOOST_REQUIRE(client.send(all));
  }
  const auto session = w.session();
  BOOST_REQUIRE(session->wait_for_packets(50));
  std::size_t given = 0;
  while (!session->with([](auto& me) { return me.lost.has_value(); })) {
    const auto have = session->with([](auto& me) { return me.credit; });
    session->link->done(have - given);
    given = have;
    std::this_thread::sleep_for(1ms);
  }
  BOOST_TEST(session->packets.size() == 301u);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(bridge_life)

BOOST_AUTO_TEST_CASE(stopping_writes_what_is_queued_and_frees_the_port) {
  auto w = std::make_unique<world>();
  const auto port = w->port();
  raw_client client{port};
  attach(client);
  const auto session = w->session();
  for (std::uint16_t i = 1; i <= 50; ++i)
    BOOST_REQUIRE(session->link->offer(message(i, 10'000)));
  bytes all;
  std::thread reader{[&] { all = client.read_to_end(), client.hang_up(); }};
  w->it().stop();
  reader.join();
  const auto size = mqtt::encode(message(1, 10'000), mqtt::role::server, mqtt::protocol_version::v5)->size();
  BOOST_TEST(all.size() == 50 * size);
  BOOST_TEST(!session->link->offer(mqtt::pingresp{}));
  session->link->done(100);  // late calls harm nothing
  session->link->allow(link_state::attached, 100);
  session->link->close();
  w->it().stop();
  w.reset();
  auto again = world::one(channel_kind::tcp);
  again.listeners[0].port = port;
  world next{again};
  BOOST_TEST(next.port() == port);
}

BOOST_AUTO_TEST_CASE(after_stop_accepting_nobody_comes_in_and_those_inside_go_on) {
  world w;
  const auto port = w.port();
  raw_client client{port};
  attach(client);
  w.it().stop_accepting();
  BOOST_TEST(world::eventually([&] {
    try {
      raw_client late{port};
      return false;
    } catch (const std::exception&) {
      return true;
    }
  }));
  BOOST_REQUIRE(client.send(wire(message(3))));
  BOOST_TEST(w.session()->wait_for_packets(2));
}

BOOST_AUTO_TEST_CASE(what_cannot_be_bound_is_said_in_a_sentence_that_helps) {
  const auto error_of = [](const listen_at& at) {
    bridge_settings settings;
    settings.listeners = {at};
    bridge one{settings};
    const auto started = one.start([](client_link_ptr) { return caf::actor{}; });
    BOOST_REQUIRE(!started);
    BOOST_TEST(one.listening().empty());
    return started.error();
  };
  const auto says = [](const error& what, ec code, std::string_view words) {
    BOOST_TEST((what.code == code));
    BOOST_TEST(what.context.find(words) != std::string::npos, what.context);
  };
  world taken;
  listen_at at;
  at.port = taken.port();
  says(error_of(at), ec::io, "another program has that port");
  at.port = 0;
  at.address = "example.com";
  says(error_of(at), ec::configuration, "is no IP address");
  at.address = "192.0.2.77";
  says(error_of(at), ec::io, "no interface of this machine has that address");
  at.address = "127.0.0.1";
  at.kind = channel_kind::tls;
  says(error_of(at), ec::configuration, "listen.certificate");
  scratch_directory directory;
  const auto one = make_certificate(directory.path(), "one");
  const auto two = make_certificate(directory.path(), "two");
  at.certificate = one.certificate + ".missing";
  at.key = one.key;
  says(error_of(at), ec::configuration, "readable PEM file");
  at.certificate = one.certificate;
  at.key = two.key;
  says(error_of(at), ec::configuration, "the key of");
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace signet
