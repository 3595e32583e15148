// The framing alone: every split of the input gives the same bytes and the same end.

#include "actors/bridge/websocket.hpp"

#include <boost/test/unit_test.hpp>
#include <rapidcheck.h>

#include <functional>

namespace signet::websocket {
namespace {

const std::string date = "Sun, 06 Nov 1994 08:49:37 GMT";

std::string request(const std::string& path = "/mqtt", const std::string& protocol = "mqtt",
                    const std::string& more = "", const std::string& version = "13") {
  return "GET " + path + " HTTP/1.1\r\nHost: example.com:8083\r\nUpgrade: websocket\r\n"
         "Connection: keep-alive, Upgrade\r\n"
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: " + version
         + "\r\nSec-WebSocket-Protocol: " + protocol + "\r\n" + more + "\r\n";
}
unsigned status(const std::string& text, const std::vector<std::string>& origins = {}) {
  return judge_request(as_bytes(text), origins, date).status;
}
std::string without(std::string text, const std::string& line_start) {
  const auto at = text.find(line_start);
  BOOST_REQUIRE(at != std::string::npos);
  return text.erase(at, text.find("\r\n", at) + 2 - at);
}

bytes frame(std::uint8_t first, bytes_view payload, bool masked = true) {
  bytes out{first};
  const std::uint8_t mask_bit = masked ? 0x80 : 0;
  if (payload.size() < 126) {
    out.push_back(static_cast<std::uint8_t>(mask_bit | payload.size()));
  } else if (payload.size() <= 0xFFFF) {
    out.push_back(mask_bit | 126);
    append_u16(out, static_cast<std::uint16_t>(payload.size()));
  } else {
    out.push_back(mask_bit | 127);
    append_u64(out, payload.size());
  }
  const bytes mask{0x37, 0xFA, 0x21, 0x3D};
  if (masked)
    append(out, mask);
  for (std::size_t i = 0; i < payload.size(); ++i)
    out.push_back(masked ? payload[i] ^ mask[i & 3] : payload[i]);
  return out;
}

struct seen {
  bytes payload, reply;
  frame_reader::end what = frame_reader::end::none;
  bool operator==(const seen&) const = default;
};
seen read_all(bytes_view input, const std::function<std::size_t()>& piece) {
  frame_reader reader;
  seen out;
  while (!input.empty()) {
    auto part = to_bytes(input.first(std::min(input.size(), std::max<std::size_t>(1, piece()))));
    input = input.subspan(part.size());
    const auto outcome = reader.read(part);
    append(out.payload, bytes_view{part}.first(outcome.payload_bytes));
    append(out.reply, outcome.reply);
    if (out.what == frame_reader::end::none)
      out.what = outcome.what;
  }
  return out;
}
seen read_all(bytes_view input) { return read_all(input, [&] { return input.size(); }); }

} // namespace

BOOST_AUTO_TEST_SUITE(bridge_websocket)

BOOST_AUTO_TEST_CASE(the_answer_to_the_example_of_rfc_6455_is_the_one_that_stands_there) {
  const auto answer = judge_request(as_bytes(request()), {}, date);
  BOOST_TEST(answer.accepted);
  BOOST_TEST(answer.response.find("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n") != std::string::npos);
  BOOST_TEST(answer.response.find("Sec-WebSocket-Protocol: mqtt\r\n") != std::string::npos);
  BOOST_TEST(answer.response.find("Date: " + date) != std::string::npos);
  BOOST_TEST(answer.response.find("Sec-WebSocket-Extensions") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(requests_are_accepted_or_refused_with_the_status_that_says_why) {
  BOOST_TEST(status(request()) == 101u);
  BOOST_TEST(status(request("/")) == 101u);
  BOOST_TEST(status(request("/mqtt?x=1")) == 101u);
  BOOST_TEST(status(request("/mqtt", "mqttv3.1, mqtt")) == 101u);
  BOOST_TEST(status(request("/mqtt", "mqtt", "Sec-WebSocket-Extensions: permessage-deflate\r\n")) == 101u);
  BOOST_TEST(status(request("/other")) == 404u);
  BOOST_TEST(status(request("/mqtt", "MQTT")) == 400u);
  BOOST_TEST(status(request("/mqtt", "mqttv3.1")) == 400u);
  BOOST_TEST(status(request("/mqtt", "mqtt", "", "8")) == 426u);
  BOOST_TEST(status(without(request(), "Sec-WebSocket-Protocol")) == 400u);
  BOOST_TEST(status(without(request(), "Sec-WebSocket-Key")) == 400u);
  BOOST_TEST(status(without(request(), "Host")) == 400u);
  BOOST_TEST(status(without(request(), "Upgrade")) == 426u);
  BOOST_TEST(status(request("/mqtt", "mqtt", "Content-Length: 3\r\n")) == 400u);
  BOOST_TEST(status("POST" + request().substr(3)) == 405u);
  BOOST_TEST(status("\x10\x20MQTT\r\n\r\n") == 400u);
  auto bad_key = request();
  bad_key.replace(bad_key.find("dGhl"), 4, "dG!l");
  BOOST_TEST(status(bad_key) == 400u);
}

BOOST_AUTO_TEST_CASE(pages_may_connect_from_the_same_host_or_from_the_list_only) {
  const auto from = [](const std::string& origin) { return request("/mqtt", "mqtt", "Origin: " + origin + "\r\n"); };
  BOOST_TEST(status(from("http://example.com:8083")) == 101u);
  BOOST_TEST(status(from("https://EXAMPLE.com:8083")) == 101u);
  BOOST_TEST(status(from("http://example.com")) == 403u);
  BOOST_TEST(status(from("http://evil.example")) == 403u);
  BOOST_TEST(status(from("null")) == 403u);
  BOOST_TEST(status(from("http://evil.example"), {"http://evil.example"}) == 101u);
  BOOST_TEST(status(from("http://example.com:8083"), {"http://evil.example"}) == 403u);
  BOOST_TEST(status(from("null"), {"*"}) == 101u);
  BOOST_TEST(status(request("/mqtt", "mqtt", "Origin: http://a\r\nOrigin: http://example.com:8083\r\n")) == 403u);
}

BOOST_AUTO_TEST_CASE(a_date_is_written_as_http_wants_it) {
  BOOST_TEST(http_date(784111777) == "Sun, 06 Nov 1994 08:49:37 GMT");
}

BOOST_AUTO_TEST_CASE(frames_of_every_length_form_come_out_unmasked) {
  for (const std::size_t size : {0u, 1u, 125u, 126u, 127u, 65'535u, 65'536u, 200'000u}) {
    bytes payload(size);
    for (std::size_t i = 0; i < size; ++i)
      payload[i] = static_cast<std::uint8_t>(i * 7);
    const auto out = read_all(frame(0x82, payload));
    BOOST_TEST((out.payload == payload), "size " << size);
    BOOST_TEST((out.what == frame_reader::end::none));
  }
}

BOOST_AUTO_TEST_CASE(the_heads_we_write_name_the_length_in_the_shortest_form) {
  for (const std::size_t size : {0u, 125u, 126u, 65'535u, 65'536u, 1'048'576u}) {
    std::array<std::uint8_t, frame_head_bytes_max> room{};
    const auto head = write_frame_head(room.data() + room.size(), size);
    const bytes written(room.end() - static_cast<std::ptrdiff_t>(head), room.end());
    auto expected = frame(0x82, bytes(size), false);
    expected.resize(expected.size() - size);
    BOOST_TEST((written == expected), "size " << size);
  }
}

BOOST_AUTO_TEST_CASE(any_split_gives_the_same_bytes_replies_and_end) {
  const auto good = rc::check("splits", [] {
    bytes wire;
    const auto count = *rc::gen::inRange(1, 8);
    for (int i = 0; i < count; ++i) {
      const auto size = static_cast<std::size_t>(*rc::gen::element(0, 1, 5, 125, 126, 300, 70'000));
      const auto kind = *rc::gen::element<std::uint8_t>(0x82, 0x82, 0x82, 0x02, 0x00, 0x80, 0x89, 0x8A, 0x88, 0x81,
                                                        0xC2, 0x83);
      const bool masked = *rc::gen::weightedElement<bool>({{20, true}, {1, false}});
      append(wire, frame(kind, bytes(size, static_cast<std::uint8_t>(i + 1)), masked));
    }
    const auto whole = read_all(wire);
    RC_ASSERT(read_all(wire, [] { return 1; }) == whole);
    RC_ASSERT(read_all(wire, [] { return static_cast<std::size_t>(*rc::gen::inRange(1, 4'000)); }) == whole);
  });
  BOOST_TEST(good);
}

BOOST_AUTO_TEST_CASE(a_fragmented_message_is_one_stream_and_pings_may_stand_between_its_frames) {
  bytes wire;
  append(wire, frame(0x02, as_bytes("ab")));
  append(wire, frame(0x89, as_bytes("now?")));
  append(wire, frame(0x00, as_bytes("cd")));
  append(wire, frame(0x80, as_bytes("ef")));
  append(wire, frame(0x82, as_bytes("gh")));
  const auto out = read_all(wire);
  BOOST_TEST(as_text(out.payload) == "abcdefgh");
  BOOST_TEST((out.reply == bytes{0x8A, 4, 'n', 'o', 'w', '?'}));
  BOOST_TEST((out.what == frame_reader::end::none));
}

BOOST_AUTO_TEST_CASE(what_breaks_the_rules_ends_the_connection_with_the_code_that_says_so) {
  const auto ends = [](const bytes& wire, frame_reader::end what, std::uint16_t code) {
    const auto out = read_all(wire);
    BOOST_TEST((out.what == what));
    BOOST_TEST((out.reply == bytes{0x88, 2, static_cast<std::uint8_t>(code >> 8), static_cast<std::uint8_t>(code)}));
  };
  using enum frame_reader::end;
  const auto one = as_bytes("x");
  ends(frame(0x81, one), text_frame, 1003);
  ends(frame(0x82, one, false), violation, 1002);   // not masked
  ends(frame(0xC2, one), violation, 1002);          // reserved bit: compression nobody agreed on
  ends(frame(0x83, one), violation, 1002);          // unknown opcode
  ends(frame(0x80, one), violation, 1002);          // continues nothing
  ends(frame(0x09, one), violation, 1002);          // a control frame in pieces
  ends(frame(0x89, bytes(126)), violation, 1002);   // too large for a control frame
  ends({0x82, 0xFE, 0x00, 0x05, 0, 0, 0, 0}, violation, 1002);  // not the shortest length
  ends({0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, violation, 1002);
  ends(frame(0x88, one), violation, 1002);          // half a close code
  ends(frame(0x88, bytes{0x03, 0xE8}), closed, 1000);
  ends(frame(0x88, {}), closed, 1000);
  bytes two = frame(0x02, one);
  append(two, frame(0x82, one));
  ends(two, violation, 1002);                       // a new message inside another
}

BOOST_AUTO_TEST_CASE(nothing_is_looked_at_behind_a_close) {
  bytes wire = frame(0x82, as_bytes("before"));
  append(wire, frame(0x88, {}));
  append(wire, frame(0x82, as_bytes("behind")));
  BOOST_TEST(as_text(read_all(wire).payload) == "before");
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace signet::websocket
