// The client's byte stream against a bridge: all four schemes, trust, deadlines, and addresses that make no sense.

#include "tools/cli/transport.hpp"

#include "tests/support/bridge_world.hpp"
#include "tests/support/scratch_directory.hpp"

#include <boost/test/unit_test.hpp>

#include <thread>

namespace signet::cli {
namespace {

using namespace testing;

deadline soon() { return in(patience); }

bytes read_exactly(client_transport& from, std::size_t count) {
  bytes out;
  while (out.size() < count) {
    const auto more = from.read(soon());
    BOOST_REQUIRE_MESSAGE(more, (more ? "" : render(more.error())));
    BOOST_REQUIRE(!more->empty());
    append(out, *more);
  }
  return out;
}

struct case_of {
  channel_kind kind;
  const char* scheme;
};
const case_of all_kinds[] = {{channel_kind::tcp, "mqtt"}, {channel_kind::tls, "mqtts"}, {channel_kind::ws, "ws"},
                             {channel_kind::wss, "wss"}};

node_url url_of(const char* scheme, std::uint16_t port, const char* host = "127.0.0.1") {
  return parse_node_url(std::string{scheme} + "://" + host + ":" + std::to_string(port)).value();
}

} // namespace

BOOST_AUTO_TEST_SUITE(client_transport_to_a_bridge)

BOOST_AUTO_TEST_CASE(every_scheme_carries_bytes_both_ways_in_pieces_of_any_size) {
  scratch_directory directory;
  const auto files = make_certificate(directory.path());
  for (const auto& [kind, scheme] : all_kinds) {
    BOOST_TEST_CONTEXT(scheme) {
      world w{secured(kind, files)};
      tls_trust trust;
      trust.ca_file = files.certificate;
      auto opened = client_transport::connect(url_of(scheme, w.port()), trust, soon());
      BOOST_REQUIRE_MESSAGE(opened, (opened ? "" : render(opened.error())));
      auto& client = **opened;
      BOOST_REQUIRE(client.write(wire(hello()), soon()));
      BOOST_TEST((read_exactly(client, connack_bytes.size()) == connack_bytes));
      const auto session = w.session();
      for (const std::size_t size : {1u, 1'000u, 200'000u}) {
        BOOST_REQUIRE(client.write(wire(message(5, size)), soon()));
        BOOST_TEST(session->link->offer(message(6, size)));
        BOOST_TEST((read_exactly(client, wire(message(6, size)).size()) == wire(message(6, size))));
      }
      BOOST_REQUIRE(session->wait_for_packets(4));
      BOOST_TEST((std::get<mqtt::publish>(session->packets[3]) == message(5, 200'000)));
      const auto exporter = client.exporter("EXPORTER-signet-login");
      BOOST_TEST((exporter.value_or(bytes{}) == session->link->exporter()));
      BOOST_TEST(exporter.has_value() == (kind == channel_kind::tls || kind == channel_kind::wss));
      client.close();
      BOOST_TEST(session->wait_for_loss());
    }
  }
}

BOOST_AUTO_TEST_CASE(a_certificate_nobody_vouches_for_is_refused_unless_that_is_asked_for) {
  scratch_directory directory;
  const auto files = make_certificate(directory.path(), "server");
  const auto other = make_certificate(directory.path(), "other");
  world w{secured(channel_kind::tls, files)};
  const auto url = url_of("mqtts", w.port());
  for (const auto& ca : {std::string{}, other.certificate}) {
    tls_trust trust;
    trust.ca_file = ca;
    const auto refused = client_transport::connect(url, trust, soon());
    BOOST_REQUIRE(!refused);
    BOOST_TEST((refused.error().code == ec::io));
    BOOST_TEST(refused.error().context.find("--ca") != std::string::npos);
  }
  tls_trust missing;
  missing.ca_file = files.certificate + ".missing";
  BOOST_TEST((client_transport::connect(url, missing, soon()).error().code == ec::configuration));
  tls_trust insecure;
  insecure.insecure = true;
  BOOST_TEST(client_transport::connect(url, insecure, soon()).has_value());
}

BOOST_AUTO_TEST_CASE(a_read_that_misses_its_deadline_harms_nothing) {
  world w;
  auto client = client_transport::connect(url_of("mqtt", w.port()), {}, soon()).value();
  const auto nothing = client->read(in(std::chrono::milliseconds{30}));
  BOOST_REQUIRE(nothing.has_value());
  BOOST_TEST(nothing->empty());
  BOOST_REQUIRE(client->write(wire(hello()), soon()));
  BOOST_TEST((read_exactly(*client, connack_bytes.size()) == connack_bytes));
  w.session()->link->close();
  const auto end = client->read(soon());
  BOOST_REQUIRE(!end.has_value());
  BOOST_TEST((end.error().code == ec::io));
}

BOOST_AUTO_TEST_CASE(nobody_there_is_said_in_a_sentence_that_helps) {
  std::uint16_t free_port = 0;
  {
    world w;
    free_port = w.port();
  }
  const auto refused = client_transport::connect(url_of("mqtt", free_port), {}, soon());
  BOOST_REQUIRE(!refused);
  BOOST_TEST((refused.error().code == ec::io));
  BOOST_TEST(refused.error().context.find("signet dev") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(addresses_are_read_with_their_usual_ports_and_refused_with_an_example) {
  const auto good = [](const std::string& text, node_url::scheme_kind scheme, const std::string& host,
                       std::uint16_t port, const std::string& path = "/mqtt") {
    const auto url = parse_node_url(text);
    BOOST_REQUIRE_MESSAGE(url, text);
    BOOST_TEST((url->scheme == scheme), text);
    BOOST_TEST(url->host == host, text);
    BOOST_TEST(url->port == port, text);
    BOOST_TEST(url->path == path, text);
  };
  using enum node_url::scheme_kind;
  good("mqtt://127.0.0.1", mqtt, "127.0.0.1", 1883);
  good("mqtts://node.example", mqtts, "node.example", 8883);
  good("mqtt://[::1]:2000", mqtt, "::1", 2000);
  good("ws://node.example", ws, "node.example", 80);
  good("wss://node.example:8084/x/y", wss, "node.example", 8084, "/x/y");
  for (const auto* bad : {"", "127.0.0.1:1883", "http://a", "mqtt://", "mqtt://:1883", "mqtt://a:0", "mqtt://a:65536",
                          "mqtt://a:x", "mqtt://[::1", "mqtt://a:1883x"}) {
    const auto url = parse_node_url(bad);
    BOOST_REQUIRE_MESSAGE(!url, bad);
    BOOST_TEST((url.error().code == ec::configuration), bad);
    BOOST_TEST(url.error().context.find("mqtt://127.0.0.1:1883") != std::string::npos, bad);
  }
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace signet::cli
