// The bridge over TLS, WebSocket, and both.

#include "tests/support/bridge_world.hpp"
#include "messages/envelope/login.hpp"
#include "tests/support/scratch_directory.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket/stream.hpp>

#include <fstream>
#include <thread>

namespace signet {
namespace {

using namespace testing;
using namespace std::chrono_literals;

} // namespace

BOOST_AUTO_TEST_SUITE(bridge_tls)

BOOST_AUTO_TEST_CASE(a_client_over_tls_is_served_and_both_sides_see_one_exporter_value) {
  scratch_directory directory;
  world w{secured(channel_kind::tls, make_certificate(directory.path()))};
  std::size_t number = 0;
  std::vector<bytes> values;
  for (const auto version : {TLS1_3_VERSION, TLS1_2_VERSION}) {
    raw_client client{w.port()};
    BOOST_REQUIRE(client.start_tls(version));
    BOOST_TEST(client.tls_version() == version);
    attach(client);
    const auto session = w.session(number++);
    BOOST_TEST((session->link->channel() == channel_kind::tls));
    const auto ours = session->link->exporter();
    BOOST_TEST(ours.size() == 32u);
    BOOST_TEST((ours == client.exporter(login_exporter_label)));
    values.push_back(ours);
    // 600 KB each way, through many records.
    bytes all;
    for (std::uint16_t id = 1; id <= 30; ++id)
      append(all, wire(message(id, 20'000)));
    BOOST_REQUIRE(client.send(all));
    BOOST_REQUIRE(session->wait_for_packets(31));
    for (std::uint16_t id = 1; id <= 30; ++id) {
      BOOST_TEST((std::get<mqtt::publish>(session->packets[id]) == message(id, 20'000)));
      BOOST_TEST(session->link->offer(message(id, 20'000)));
    }
    BOOST_TEST((client.read(all.size()) == all));
    session->link->close();
    BOOST_TEST(client.read_to_end().empty());
  }
  BOOST_TEST((values[0] != values[1]));
  BOOST_TEST(w.wait_until_empty());
}

BOOST_AUTO_TEST_CASE(one_byte_in_each_tls_record_gives_the_same_packets) {
  scratch_directory directory;
  world w{secured(channel_kind::tls, make_certificate(directory.path()))};
  raw_client client{w.port()};
  BOOST_REQUIRE(client.start_tls());
  for (const auto each : wire(hello()))
    BOOST_REQUIRE(client.send(bytes{each}));
  BOOST_TEST((client.read(connack_bytes.size()) == connack_bytes));
}

BOOST_AUTO_TEST_CASE(what_is_no_tls_gets_no_session_and_old_versions_are_refused) {
  scratch_directory directory;
  world w{secured(channel_kind::tls, make_certificate(directory.path()))};
  raw_client plain{w.port()};
  BOOST_REQUIRE(plain.send(wire(hello())));
  plain.read_to_end();  // an alert, at most
  raw_client old{w.port()};
  BOOST_TEST(!old.start_tls(TLS1_1_VERSION));
  BOOST_TEST(w.wait_until_empty());
  BOOST_TEST(w.sessions() == 0u);
  BOOST_TEST(w.it().counters().tls_failures.load() == 2u);
}

BOOST_AUTO_TEST_CASE(certificates_can_be_changed_while_it_runs) {
  scratch_directory directory;
  const auto files = make_certificate(directory.path());
  world w{secured(channel_kind::tls, files)};
  raw_client before{w.port()};
  BOOST_REQUIRE(before.start_tls());
  make_certificate(directory.path());  // in the same place
  BOOST_TEST(w.it().reload_certificates().has_value());
  raw_client after{w.port()};
  BOOST_REQUIRE(after.start_tls());
  attach(before);
  attach(after);
  std::ofstream{files.key} << "no key";
  BOOST_TEST(!w.it().reload_certificates().has_value());
  raw_client still{w.port()};
  BOOST_REQUIRE(still.start_tls());
  attach(still);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(bridge_ws)

namespace {

namespace beast = boost::beast;
using tcp = boost::asio::ip::tcp;

/// Beast's own client, so that two implementations talk to each other.
struct beast_client {
  explicit beast_client(std::uint16_t port, const std::string& protocol = "mqtt", const std::string& path = "/mqtt")
    : stream{io} {
    stream.next_layer().connect({boost::asio::ip::address_v4::loopback(), port});
    const timeval time{patience.count() / 1'000, 0};
    ::setsockopt(stream.next_layer().native_handle(), SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
    stream.set_option(beast::websocket::stream_base::decorator{[protocol](beast::websocket::request_type& request) {
      request.set(beast::http::field::sec_websocket_protocol, protocol);
    }});
    stream.handshake(response, "127.0.0.1:" + std::to_string(port), path, problem);
    stream.binary(true);
  }
  void send(bytes_view data) { stream.write(boost::asio::buffer(data.data(), data.size()), problem); }
  bytes read(std::size_t count) {
    beast::flat_buffer buffer;
    while (buffer.size() < count && !problem)
      stream.read(buffer, problem);
    const auto* at = static_cast<const std::uint8_t*>(buffer.data().data());
    return {at, at + buffer.size()};
  }
  boost::asio::io_context io;
  beast::websocket::stream<tcp::socket> stream;
  beast::websocket::response_type response;
  boost::system::error_code problem;
};

} // namespace

BOOST_AUTO_TEST_CASE(a_browser_like_client_is_served_on_both_paths) {
  world w{world::one(channel_kind::ws)};
  std::size_t number = 0;
  for (const auto* path : {"/mqtt", "/"}) {
    beast_client client{w.port(), "mqtt", path};
    BOOST_REQUIRE(!client.problem);
    BOOST_TEST(client.response[beast::http::field::sec_websocket_protocol] == "mqtt");
    client.send(wire(hello()));
    BOOST_TEST((client.read(connack_bytes.size()) == connack_bytes));
    BOOST_TEST(client.stream.got_binary());
    const auto session = w.session(number++);
    BOOST_TEST((session->link->channel() == channel_kind::ws));
    for (const std::size_t size : {10u, 200u, 70'000u}) {
      client.send(wire(message(1, size)));
      BOOST_TEST(session->link->offer(message(1, size)));
      BOOST_TEST((client.read(1) == wire(message(1, size))));
    }
    BOOST_TEST(session->wait_for_packets(4));
    client.stream.close(beast::websocket::close_code::normal, client.problem);
    BOOST_TEST(!client.problem);
    BOOST_TEST(session->wait_for_loss());
  }
  BOOST_TEST(w.wait_until_empty());
}

BOOST_AUTO_TEST_CASE(packets_may_span_frames_and_share_them) {
  world w{world::one(channel_kind::ws)};
  beast_client client{w.port()};
  // As MQTT.js does on Node: one CONNECT in many small frames.
  const auto first = wire(hello());
  for (std::size_t at = 0; at < first.size(); at += 2)
    client.send(bytes_view{first}.subspan(at, std::min<std::size_t>(2, first.size() - at)));
  BOOST_TEST((client.read(connack_bytes.size()) == connack_bytes));
  // As it does in browsers: many packets in one frame, which Beast in turn cuts into fragments.
  bytes many;
  for (std::uint16_t id = 1; id <= 40; ++id)
    append(many, wire(message(id, 500)));
  client.stream.auto_fragment(true);
  client.send(many);
  const auto session = w.session();
  BOOST_REQUIRE(session->wait_for_packets(41));
  for (std::uint16_t id = 1; id <= 40; ++id)
    BOOST_TEST((std::get<mqtt::publish>(session->packets[id]) == message(id, 500)));
}

BOOST_AUTO_TEST_CASE(frames_that_come_byte_by_byte_behind_the_request_in_one_go_are_read) {
  world w{world::one(channel_kind::ws)};
  raw_client client{w.port()};
  std::string all = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                    "Sec-WebSocket-Protocol: mqtt\r\n\r\n";
  const auto first = wire(hello());
  all += static_cast<char>(0x82);
  all += static_cast<char>(0x80 | first.size());
  all += std::string(4, '\0');
  all += as_text(first);
  for (std::size_t i = 0; i < 100; ++i)
    BOOST_REQUIRE(client.send(std::string_view{all}.substr(i, 1)));
  BOOST_REQUIRE(client.send(std::string_view{all}.substr(100)));
  const auto head = client.read_until("\r\n\r\n");
  BOOST_TEST(head.starts_with("HTTP/1.1 101 "));
  BOOST_TEST((client.read(7) == bytes{0x82, 0x05, 0x20, 0x03, 0x00, 0x00, 0x00}));
  BOOST_TEST(w.session()->wait_for_packets(1));
  // A ping is answered, a close too, and then nothing comes.
  BOOST_REQUIRE(client.send(bytes{0x89, 0x82, 0, 0, 0, 0, 'h', 'i', 0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE8}));
  BOOST_TEST((client.read_to_end() == bytes{0x8A, 0x02, 'h', 'i', 0x88, 0x02, 0x03, 0xE8}));
}

BOOST_AUTO_TEST_CASE(a_text_frame_ends_the_connection_with_code_1003) {
  world w{world::one(channel_kind::ws)};
  beast_client client{w.port()};
  client.send(wire(hello()));
  client.read(connack_bytes.size());
  client.stream.text(true);
  client.send(as_bytes("hello"));
  client.read(1);
  BOOST_TEST((client.problem == beast::websocket::error::closed));
  BOOST_TEST(client.stream.reason().code == 1003);
  BOOST_TEST(w.session()->wait_for_loss());
}

BOOST_AUTO_TEST_CASE(requests_that_are_no_mqtt_are_refused_in_http) {
  world w{world::one(channel_kind::ws)};
  beast_client wrong{w.port(), "mqttv3.1"};
  BOOST_TEST((wrong.problem == beast::websocket::error::upgrade_declined));
  raw_client elsewhere{w.port()};
  BOOST_REQUIRE(elsewhere.send("GET /admin HTTP/1.1\r\nHost: localhost\r\n\r\n"));
  BOOST_TEST(as_text(elsewhere.read_to_end()).starts_with("HTTP/1.1 404 "));
  raw_client no_protocol{w.port()};
  BOOST_REQUIRE(no_protocol.send("GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                                 "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                 "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: MQTT\r\n\r\n"));
  BOOST_TEST(as_text(no_protocol.read_to_end()).starts_with("HTTP/1.1 400 "));
  raw_client large{w.port()};
  BOOST_REQUIRE(large.send("GET /mqtt HTTP/1.1\r\nX: " + std::string(8'200, 'x')));
  BOOST_TEST(as_text(large.read_to_end()).starts_with("HTTP/1.1 431 "));
  BOOST_TEST(w.sessions() == 0u);
  BOOST_TEST(w.it().counters().upgrade_refusals.load() == 4u);
}

BOOST_AUTO_TEST_CASE(closing_a_websocket_says_so) {
  world w{world::one(channel_kind::ws)};
  beast_client client{w.port()};
  client.send(wire(hello()));
  client.read(connack_bytes.size());
  const auto session = w.session();
  BOOST_TEST(session->link->offer(mqtt::disconnect{reason_code::server_shutting_down, {}}));
  session->link->close();
  BOOST_TEST((client.read(3) == bytes{0xE0, 0x01, 0x8B}));
  client.read(1);
  BOOST_TEST((client.problem == beast::websocket::error::closed));
  BOOST_TEST(client.stream.reason().code == 1000);
}

BOOST_AUTO_TEST_CASE(a_websocket_client_that_does_not_read_gets_its_buffer_and_then_every_byte) {
  world w{world::one(channel_kind::ws)};
  beast_client client{w.port()};
  client.send(wire(hello()));
  client.read(connack_bytes.size());
  const auto session = w.session();
  std::size_t taken = 0;
  while (session->link->offer(message(1, 50'000))) {
    ++taken;
    BOOST_REQUIRE(taken < 4'000u);
    std::this_thread::sleep_for(200us);
  }
  const auto size = wire(message(1, 50'000)).size();
  std::size_t got = 0;
  while (got < taken * size && !client.problem)
    got += client.read(1).size();
  BOOST_TEST(got == taken * size);
  BOOST_TEST(world::eventually([&] { return session->link->queued() == 0; }));
}

BOOST_AUTO_TEST_CASE(websocket_over_tls_is_both) {
  scratch_directory directory;
  world w{secured(channel_kind::wss, make_certificate(directory.path()))};
  raw_client client{w.port()};
  BOOST_REQUIRE(client.start_tls());
  BOOST_REQUIRE(client.send("GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                            "Sec-WebSocket-Protocol: mqtt\r\n\r\n"));
  BOOST_TEST(client.read_until("\r\n\r\n").starts_with("HTTP/1.1 101 "));
  const auto first = wire(hello());
  bytes framed{0x82, static_cast<std::uint8_t>(0x80 | first.size()), 0, 0, 0, 0};
  append(framed, first);
  BOOST_REQUIRE(client.send(framed));
  BOOST_TEST((client.read(7) == bytes{0x82, 0x05, 0x20, 0x03, 0x00, 0x00, 0x00}));
  BOOST_TEST((w.session()->link->channel() == channel_kind::wss));
  BOOST_TEST((w.session()->link->exporter() == client.exporter(login_exporter_label)));
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace signet
