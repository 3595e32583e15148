// What a decoder promises besides the meaning of single packets: caps, memory, states, the end after an error.

#include "messages/mqtt/aliases.hpp"
#include "messages/mqtt/codec.hpp"

#include <boost/test/unit_test.hpp>

namespace {

using namespace signet;
using namespace signet::mqtt;

bytes wire(const packet& any, role sender = role::client, protocol_version version = protocol_version::v5) {
  return encode(any, sender, version).value();
}
connect hello(protocol_version version = protocol_version::v5) {
  connect out;
  out.version = version;
  out.client_id = "c";
  return out;
}
decoder attached(protocol_version version = protocol_version::v5) {
  decoder out{role::client};
  out.append(wire(hello(version), role::client, version));
  BOOST_REQUIRE(std::holds_alternative<packet>(out.next()));
  out.set_packet_size_max(1 << 20);
  return out;
}
publish message(std::size_t payload_size) {
  publish out;
  out.topic = "t";
  out.quality = qos::at_least_once;
  out.id = 1;
  out.payload.assign(payload_size, 0xAB);
  return out;
}
bool needs_more(decoder& d) { return std::holds_alternative<need_more>(d.next()); }
decode_error error_of(decoder& d) { return std::get<decode_error>(d.next()); }
template <class P>
P take(decoder& d) {
  return std::get<P>(std::get<packet>(d.next()));
}

} // namespace

BOOST_AUTO_TEST_SUITE(mqtt_decoder)

BOOST_AUTO_TEST_CASE(an_idle_decoder_holds_no_heap) {
  auto d = attached();
  BOOST_CHECK_EQUAL(d.heap_bytes(), 0u);
  d.append(wire(message(100'000)));
  BOOST_CHECK_EQUAL(take<publish>(d).payload.size(), 100'000u);
  BOOST_CHECK_EQUAL(d.heap_bytes(), 0u);
  BOOST_CHECK_EQUAL(d.buffered(), 0u);
}

BOOST_AUTO_TEST_CASE(a_claimed_length_is_not_believed_before_the_bytes_come) {
  auto d = attached();
  auto head = encode_publish_head(message(0), 1'000'000, role::client, protocol_version::v5).value();
  d.append(head);
  BOOST_CHECK(needs_more(d));
  BOOST_CHECK_LE(d.heap_bytes(), 70'000u);
  const bytes chunk(1000, 1);
  for (int i = 0; i < 1000; ++i) {
    BOOST_CHECK(needs_more(d));
    d.append(chunk);
    BOOST_CHECK_LE(d.heap_bytes(), 70'000u + 2000u * static_cast<std::size_t>(i + 1));
  }
  const auto got = take<publish>(d);
  BOOST_CHECK_EQUAL(got.payload.size(), 1'000'000u);
  BOOST_CHECK_EQUAL(got.payload.capacity(), 1'000'000u);
  BOOST_CHECK_EQUAL(d.heap_bytes(), 0u);
}

BOOST_AUTO_TEST_CASE(the_length_is_refused_before_the_body_is_waited_for) {
  decoder d{role::client};
  d.append(bytes{0x10, 0x80, 0x80, 0x01});
  const auto why = error_of(d);
  BOOST_CHECK(why.kind == fault::too_large);
  BOOST_CHECK(why.code == reason_code::packet_too_large);
  BOOST_CHECK(!why.answer_as);
  BOOST_CHECK_EQUAL(d.heap_bytes(), 0u);
}

BOOST_AUTO_TEST_CASE(the_largest_packet_counts_with_its_fixed_header) {
  const auto sent = wire(message(100));
  for (const bool fits : {true, false}) {
    auto d = attached();
    d.set_packet_size_max(sent.size() - (fits ? 0 : 1));
    d.append(sent);
    BOOST_CHECK_EQUAL(std::holds_alternative<packet>(d.next()), fits);
  }
}

BOOST_AUTO_TEST_CASE(the_cap_follows_the_state_of_the_session) {
  decoder d{role::client};
  d.append(wire(hello()));
  d.append(wire(message(5000)));
  BOOST_CHECK(take<connect>(d).client_id == "c");
  // Not read until the session has decided: packets behind CONNECT wait.
  BOOST_CHECK_GT(d.buffered(), 5000u);
  d.set_packet_size_max(1 << 20);
  BOOST_CHECK_EQUAL(take<publish>(d).payload.size(), 5000u);
}

BOOST_AUTO_TEST_CASE(after_an_error_nothing_more_comes_out) {
  auto d = attached();
  d.append(bytes{0xC0, 0x01, 0x00});
  const auto first = error_of(d);
  d.append(wire(pingreq{}));
  BOOST_CHECK(error_of(d) == first);
  BOOST_CHECK_EQUAL(d.heap_bytes(), 0u);
  BOOST_CHECK_EQUAL(d.buffered(), 0u);
}

BOOST_AUTO_TEST_CASE(packets_before_an_error_come_out) {
  auto d = attached();
  auto input = wire(pingreq{});
  input.push_back(0x00);
  d.append(input);
  BOOST_CHECK(std::holds_alternative<packet>(d.next()));
  const auto why = error_of(d);
  BOOST_CHECK_EQUAL(why.offset, d.consumed());
}

BOOST_AUTO_TEST_CASE(offsets_count_from_the_first_byte_of_the_connection) {
  auto d = attached();
  const auto start = d.consumed();
  BOOST_CHECK_EQUAL(start, wire(hello()).size());
  d.append(wire(message(3)));
  take<publish>(d);
  // SUBSCRIBE whose options byte has reserved bits: 2 fixed, 2 id, 1 no properties, 3 filter.
  d.append(bytes{0x82, 0x07, 0, 1, 0, 0, 1, 'a', 0x40});
  BOOST_CHECK_EQUAL(error_of(d).offset, start + wire(message(3)).size() + 8);
}

BOOST_AUTO_TEST_CASE(a_publish_with_a_broken_head_is_refused_before_its_payload_comes) {
  auto d = attached();
  publish bad = message(0);
  auto head = encode_publish_head(bad, 500'000, role::client, protocol_version::v5).value();
  head[head.size() - 4] = '#';  // the topic
  d.append(head);
  BOOST_CHECK(error_of(d).code == reason_code::topic_name_invalid);
}

BOOST_AUTO_TEST_CASE(many_packets_in_one_piece_and_one_packet_in_many_are_the_same) {
  auto d = attached();
  bytes input;
  for (std::size_t i = 0; i < 200; ++i)
    BOOST_REQUIRE(encode_to(input, message(i * 7), role::client, protocol_version::v5));
  d.append(input);
  for (std::size_t i = 0; i < 200; ++i)
    BOOST_CHECK_EQUAL(take<publish>(d).payload.size(), i * 7);
  BOOST_CHECK(needs_more(d));
  for (const auto byte : input)
    d.append({&byte, 1});
  for (std::size_t i = 0; i < 200; ++i)
    BOOST_CHECK(take<publish>(d).payload == bytes(i * 7, 0xAB));
  BOOST_CHECK(needs_more(d));
}

BOOST_AUTO_TEST_CASE(a_reader_that_pauses_loses_nothing) {
  // The session stops in the middle of what arrived, more arrives, it goes on.
  auto d = attached();
  bytes input;
  for (std::size_t i = 0; i < 50; ++i)
    BOOST_REQUIRE(encode_to(input, message(900), role::client, protocol_version::v5));
  std::size_t out = 0, at = 0;
  while (out < 50) {
    const auto size = std::min<std::size_t>(1300, input.size() - at);
    d.append(bytes_view{input}.subspan(at, size));
    at += size;
    auto one = d.next();
    if (auto* any = std::get_if<packet>(&one)) {
      BOOST_CHECK(std::get<publish>(*any).payload == bytes(900, 0xAB));
      ++out;
    }
  }
  BOOST_CHECK_EQUAL(d.buffered(), 0u);
}

BOOST_AUTO_TEST_CASE(a_client_reads_what_a_server_sends) {
  decoder d{role::server};
  d.set_version(protocol_version::v311);
  d.append(wire(connack{}, role::server, protocol_version::v311));
  BOOST_CHECK(take<connack>(d).code == reason_code::success);
  d.append(wire(message(10), role::server, protocol_version::v311));
  BOOST_CHECK(take<publish>(d).topic == "t");
  d.append(bytes{0x12, 0x00});
  const auto why = error_of(d);
  BOOST_CHECK(why.kind == fault::malformed);
  BOOST_CHECK(!why.answer_as);
}

BOOST_AUTO_TEST_CASE(limits_are_as_the_owner_says) {
  limits narrow;
  narrow.packet_size_max = 10'000;
  narrow.topic_size_max = 3;
  narrow.topic_depth_max = 2;
  narrow.filters_max = 1;
  narrow.client_id_size_max = 1;
  narrow.properties_max = 1;
  narrow.property_bytes_max = 12;
  narrow.topic_alias_max = 0;
  const auto code_for = [&](const packet& any) {
    decoder d{role::client, narrow};
    d.append(wire(hello()));
    d.append(wire(any));
    BOOST_REQUIRE(std::holds_alternative<packet>(d.next()));
    auto one = d.next();
    const auto* why = std::get_if<decode_error>(&one);
    return why ? why->code : reason_code::success;
  };
  const auto to = [](std::string topic, properties props = {}) {
    publish out;
    out.topic = std::move(topic);
    out.props = std::move(props);
    return out;
  };
  BOOST_CHECK(code_for(to("a/b")) == reason_code::success);
  BOOST_CHECK(code_for(to("abcd")) == reason_code::topic_name_invalid);
  BOOST_CHECK(code_for(to("a//")) == reason_code::topic_name_invalid);
  BOOST_CHECK(code_for(to("a", properties{}.add_user("", "1234567"))) == reason_code::success);
  BOOST_CHECK(code_for(to("a", properties{}.add_user("", "12345678"))) == reason_code::packet_too_large);
  BOOST_CHECK(code_for(to("a", properties{}.add_user("", "").add_user("", ""))) == reason_code::quota_exceeded);
  BOOST_CHECK(code_for(to("a", properties{}.add(property_id::topic_alias, 1))) == reason_code::topic_alias_invalid);
  BOOST_CHECK(code_for(unsubscribe{1, {}, {"a"}}) == reason_code::success);
  BOOST_CHECK(code_for(unsubscribe{1, {}, {"a", "b"}}) == reason_code::quota_exceeded);
  BOOST_CHECK(code_for(unsubscribe{1, {}, {"a//"}}) == reason_code::topic_filter_invalid);
}

BOOST_AUTO_TEST_CASE(an_alias_stands_for_the_topic_it_was_set_to) {
  topic_aliases aliases{2};
  publish first = message(0);
  first.props.add(property_id::topic_alias, 2);
  BOOST_CHECK(!aliases.resolve(first));
  publish second = first;
  second.topic.clear();
  BOOST_CHECK(!aliases.resolve(second));
  BOOST_CHECK_EQUAL(second.topic, "t");
  publish unknown;
  unknown.props.add(property_id::topic_alias, 1);
  BOOST_CHECK(aliases.resolve(unknown) == reason_code::protocol_error);
  publish above = message(0);
  above.props.add(property_id::topic_alias, 3);
  BOOST_CHECK(aliases.resolve(above) == reason_code::topic_alias_invalid);
  publish again = message(0);
  again.topic = "u";
  again.props.add(property_id::topic_alias, 2);
  BOOST_CHECK(!aliases.resolve(again));
  second.topic.clear();
  BOOST_CHECK(!aliases.resolve(second));
  BOOST_CHECK_EQUAL(second.topic, "u");
  publish plain = message(0);
  BOOST_CHECK(!aliases.resolve(plain));
}

BOOST_AUTO_TEST_SUITE_END()
