// Whatever may be sent is read as it was meant, however it is cut.

#include "tests/support/mqtt_json.hpp"
#include "tests/support/mqtt_random.hpp"

#include <boost/test/unit_test.hpp>
#include <rapidcheck.h>

namespace {

using namespace signet;
using namespace signet::mqtt;

/// Choices out of drawn bytes; 0 when they are used up, so that shrinking them shrinks the packet.
auto picker(std::vector<std::uint8_t>& choices, std::size_t& at) {
  return [&](std::uint32_t n) {
    std::uint32_t out = 0;
    for (std::uint32_t span = n - 1; span > 0; span >>= 8)
      out = out << 8 | (at < choices.size() ? choices[at++] : 0);
    return out % n;
  };
}

struct stream {
  std::vector<packet> meant;
  bytes wire;
};

stream draw_stream(role sender, protocol_version version, std::size_t count) {
  const auto any_byte = rc::gen::resize(rc::kNominalSize, rc::gen::arbitrary<std::uint8_t>());
  auto choices = *rc::gen::container<std::vector<std::uint8_t>>(400 * count, any_byte);
  std::size_t at = 0;
  random_packets packets{picker(choices, at), sender, version};
  stream out;
  if (sender == role::client)
    out.meant.push_back(packets.make_connect());
  while (out.meant.size() < count)
    out.meant.push_back(packets.next());
  for (const auto& each : out.meant) {
    const auto done = encode_to(out.wire, each, sender, version);
    RC_ASSERT(done.has_value());
  }
  return out;
}

decoder decoder_for(role sender, protocol_version version) {
  return decoder{sender, limits::none(), sender == role::server ? std::optional{version} : std::nullopt};
}

const auto any_role = [] { return rc::gen::element(role::client, role::server); };
const auto any_version = [] { return rc::gen::element(protocol_version::v311, protocol_version::v5); };

} // namespace

BOOST_AUTO_TEST_SUITE(mqtt_round_trip)

BOOST_AUTO_TEST_CASE(a_decoded_stream_is_the_encoded_one) {
  BOOST_CHECK(rc::check("round trip", [] {
    const auto sender = *any_role();
    const auto version = *any_version();
    const auto sent = draw_stream(sender, version, 40);
    auto under_test = decoder_for(sender, version);
    const auto got = replay(under_test, sent.wire);
    if (got.error)
      RC_FAIL(std::string{got.error->what});
    RC_ASSERT(got.packets.size() == sent.meant.size());
    for (std::size_t i = 0; i < got.packets.size(); ++i)
      RC_ASSERT(to_json(got.packets[i]).dump() == to_json(sent.meant[i]).dump());
    RC_ASSERT(got.packets == sent.meant);
    RC_ASSERT(under_test.buffered() == 0u);
    RC_ASSERT(under_test.heap_bytes() == 0u);
    RC_ASSERT(under_test.consumed() == sent.wire.size());
  }));
}

BOOST_AUTO_TEST_CASE(every_single_cut_gives_the_same_packets) {
  BOOST_CHECK(rc::check("one cut", [] {
    const auto sender = *any_role();
    const auto version = *any_version();
    const auto sent = draw_stream(sender, version, 3);
    for (std::size_t cut = 0; cut <= sent.wire.size(); ++cut) {
      auto under_test = decoder_for(sender, version);
      const auto got = replay(under_test, sent.wire, {cut});
      RC_ASSERT(!got.error);
      RC_ASSERT(got.packets == sent.meant);
    }
  }));
}

BOOST_AUTO_TEST_CASE(damaged_streams_give_the_same_error_however_they_are_cut) {
  BOOST_CHECK(rc::check("damage and cuts", [] {
    const auto sender = *any_role();
    const auto version = *any_version();
    auto sent = draw_stream(sender, version, 12);
    const auto at = *rc::gen::inRange<std::size_t>(0, sent.wire.size());
    sent.wire[at] = *rc::gen::arbitrary<std::uint8_t>();
    auto one_shot = decoder_for(sender, version);
    const auto expected = replay(one_shot, sent.wire);
    std::vector<std::size_t> cuts;
    for (std::size_t i = 0; i < sent.wire.size(); i += *rc::gen::inRange<std::size_t>(1, 9))
      cuts.push_back(i);
    auto under_test = decoder_for(sender, version);
    RC_ASSERT(replay(under_test, sent.wire, cuts) == expected);
    RC_ASSERT(under_test.buffered() == one_shot.buffered());
  }));
}

BOOST_AUTO_TEST_CASE(an_ack_sheds_its_diagnostics_before_it_is_too_large) {
  BOOST_CHECK(rc::check("diagnostics", [] {
    puback full{1, reason_code::quota_exceeded, {}};
    full.props.add_user("k", std::string(*rc::gen::inRange<std::size_t>(0, 40), 'u'));
    full.props.add(property_id::reason_string, std::string(*rc::gen::inRange<std::size_t>(0, 40), 'r'));
    const auto size_max = *rc::gen::inRange<std::size_t>(0, 120);
    const auto wire = encode(full, role::server, protocol_version::v5, size_max);
    RC_ASSERT(wire.has_value() == (size_max >= 5));
    if (!wire) {
      RC_ASSERT(wire.error().code == ec::too_large);
      return;
    }
    RC_ASSERT(wire->size() <= size_max);
    decoder peer{role::server, limits::none(), protocol_version::v5};
    peer.append(*wire);
    const auto got = std::get<puback>(std::get<packet>(peer.next()));
    RC_ASSERT(got.id == full.id);
    RC_ASSERT(got.code == full.code);
    // The reason goes first: it is never there without the user properties.
    RC_ASSERT(got.props.has(property_id::user_property) || got.props.empty());
    // And nothing goes that had room.
    const auto whole = encode(full, role::server, protocol_version::v5).value();
    if (whole.size() <= size_max)
      RC_ASSERT(got == full);
  }));
}

BOOST_AUTO_TEST_SUITE_END()
