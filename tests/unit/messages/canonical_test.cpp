#include "messages/envelope/canonical.hpp"
#include "messages/schema/message.capnp.h"
#include "tests/unit/messages/support.hpp"

#include <capnp/any.h>

#include <algorithm>
#include <random>

namespace signet::test {

namespace {
/// The judge of our check: Cap'n Proto's own check, and the bytes are those that it writes itself from what it reads.
/// Its check alone accepts more than one encoding of a value: it moves a pointer that leaves the segment to the segment's
/// end, where an empty list may stand, and it does not look at words that a struct list claims beyond its elements.
bool judged_canonical(bytes_view raw) {
  if (raw.empty() || raw.size() % 8 != 0)
    return false;
  const aligned_bytes copy{raw};
  const kj::ArrayPtr<const capnp::word> segment{reinterpret_cast<const capnp::word*>(copy.view().data()),
                                                raw.size() / 8};
  const kj::ArrayPtr<const capnp::word> segments[] = {segment};
  try {
    capnp::ReaderOptions limits;
    limits.nestingLimit = 16;
    capnp::SegmentArrayMessageReader reader{kj::arrayPtr(segments, 1), limits};
    if (!reader.isCanonical())
      return false;
    const auto again = reader.getRoot<capnp::AnyStruct>().canonicalize();
    return std::ranges::equal(again.asBytes(), raw);
  } catch (const kj::Exception&) {
    return false;
  }
}
bool ours(bytes_view raw) { return is_canonical(aligned_bytes{raw}.view()); }

bytes good_body() {
  lane_tail tail{lane_number{4}, filled<signet::link>(9)};
  return make_message(draft_to(filled<permalink>(2), "some text that is no multiple of eight"), tail).value().body;
}
bytes segment_of(capnp::MessageBuilder& message) {
  const auto raw = message.getSegmentsForOutput()[0].asBytes();
  return {raw.begin(), raw.end()};
}
void fill(schema::MessageBody::Builder body) {
  body.setClusterId(data_of(filled<cluster_id>(1).view()));
  body.setAuthor(data_of(filled<permalink>(1).view()));
  body.setRecipient(data_of(filled<permalink>(2).view()));
  body.setN(1);
}
status accept(schema::MessageBody::Reader) { return {}; }
ec opened(bytes_view raw, std::size_t size_max = body_bytes_max) {
  return code_of(read_body<schema::MessageBody>(raw, size_max, accept));
}
status accept_batch(schema::Batch::Reader batch) {
  static_cast<void>(batch.getBodies().size());
  return {};
}
} // namespace

BOOST_AUTO_TEST_SUITE(canonical)

BOOST_AUTO_TEST_CASE(a_canonical_body_opens) {
  BOOST_TEST(opened(good_body()) == ec::ok);
  BOOST_TEST(judged_canonical(good_body()));
}

BOOST_AUTO_TEST_CASE(a_body_that_stands_unaligned_opens_too) {
  bytes shifted{0};
  append(shifted, good_body());
  BOOST_TEST(opened(bytes_view{shifted}.subspan(1)) == ec::ok);
}

BOOST_AUTO_TEST_CASE(a_struct_with_trailing_zeros_is_not_canonical) {
  capnp::MallocMessageBuilder message;
  fill(message.initRoot<schema::MessageBody>());  // keeps room for timeMs, thread and replyTo
  BOOST_TEST(opened(segment_of(message)) == ec::not_canonical);
}

BOOST_AUTO_TEST_CASE(words_behind_the_last_object_are_not_canonical) {
  auto body = good_body();
  body.insert(body.end(), 8, 0);
  BOOST_TEST(opened(body) == ec::not_canonical);
}

BOOST_AUTO_TEST_CASE(objects_in_another_order_are_not_canonical) {
  capnp::MallocMessageBuilder message;
  auto body = message.initRoot<schema::MessageBody>();
  body.setTimeMs(1);
  body.setReplyTo(data_of(filled<signet::link>(3).view()));  // last field first in memory
  body.setThread(data_of(filled<signet::link>(4).view()));
  fill(body);
  BOOST_TEST(opened(segment_of(message)) == ec::not_canonical);
  BOOST_TEST(opened(canonical_bytes(body.asReader())) == ec::ok);
}

BOOST_AUTO_TEST_CASE(padding_must_be_zero) {
  auto body = good_body();
  // The last object is the object's body: 38 bytes, two of padding.
  BOOST_REQUIRE_EQUAL(body[body.size() - 1], 0);
  BOOST_REQUIRE_EQUAL(body[body.size() - 3], 't');
  body[body.size() - 1] = 1;
  BOOST_TEST(opened(body) == ec::not_canonical);
}

BOOST_AUTO_TEST_CASE(two_pointers_to_one_object_are_not_canonical) {
  auto body = good_body();
  // Pointers of MessageBody begin behind the root pointer and two data words; author and recipient are 2nd and 3rd.
  const std::size_t author = 8 * 4, recipient = 8 * 5;
  const auto offset = (body[author] | body[author + 1] << 8) >> 2;
  const auto shared = (offset - 1) << 2 | 1;
  body[recipient] = static_cast<std::uint8_t>(shared);
  body[recipient + 1] = static_cast<std::uint8_t>(shared >> 8);
  BOOST_TEST(opened(body) == ec::not_canonical);
}

BOOST_AUTO_TEST_CASE(far_pointers_and_capabilities_are_not_canonical) {
  for (const int kind : {2, 3}) {
    auto body = good_body();
    body[8 * 3] = static_cast<std::uint8_t>((body[8 * 3] & ~3) | kind);
    BOOST_TEST(opened(body) == ec::not_canonical);
  }
}

BOOST_AUTO_TEST_CASE(nesting_is_bounded) {
  // Structs of one pointer each, one inside the other, in canonical order.
  const auto nested = [](std::size_t depth) {
    bytes out;
    for (std::size_t i = 0; i < depth; ++i)
      append(out, unhex(i + 1 == depth ? "0000000001000000" : "0000000000000100"));
    append(out, unhex("0100000000000000"));
    return out;
  };
  for (std::size_t depth = 1; depth <= 16; ++depth)
    BOOST_TEST(ours(nested(depth)), depth);
  BOOST_TEST(!ours(nested(17)));
  BOOST_TEST(!ours(nested(10'000)));
}

BOOST_AUTO_TEST_CASE(no_truncation_opens) {
  const auto body = good_body();
  for (std::size_t size = 0; size < body.size(); ++size)
    BOOST_TEST(opened(bytes_view{body}.first(size)) != ec::ok);
}

BOOST_AUTO_TEST_CASE(size_is_checked_before_anything_else) {
  BOOST_TEST(opened(good_body(), 16) == ec::too_large);
  BOOST_TEST(code_of(read_outer<schema::Batch>(batch_of(key(1), 3).serialised, 100, accept_batch)) == ec::too_large);
}

BOOST_AUTO_TEST_CASE(our_check_says_what_cap_n_protos_says_about_changed_bodies) {
  std::mt19937 random{7};  // one number a statement: the order of evaluation differs between compilers
  const auto below = [&](std::size_t end) { return static_cast<std::size_t>(random()) % end; };
  const auto body = good_body();
  std::size_t canonical = 0, other = 0;
  for (int round = 0; round < 60'000; ++round) {
    auto changed = body;
    for (auto times = below(3); times < 3; ++times) {
      const bool anywhere = below(4) == 0;
      const auto at = below(anywhere ? changed.size() : 8 * 14);
      const bool one_bit = below(2) == 0;
      const auto value = below(256);
      changed[at] = static_cast<std::uint8_t>(one_bit ? changed[at] ^ 1U << value % 8 : value);
    }
    if (below(8) == 0)
      changed.resize(below(changed.size() / 8 + 1) * 8);
    BOOST_TEST_INFO("round " << round);
    const bool judge = judged_canonical(changed);
    BOOST_REQUIRE_EQUAL(ours(changed), judge);
    (judge ? canonical : other) += 1;
  }
  BOOST_TEST(canonical > 1000U);
  BOOST_TEST(other > 1000U);
}

BOOST_AUTO_TEST_CASE(a_pointer_that_leaves_the_body_is_not_canonical_even_to_an_empty_list) {
  // Offset 0x2c of a list of 40,960 voids in the last field, where 14 words follow; Cap'n Proto's check says yes.
  auto body = good_body();
  body.resize(8 * 22);
  const auto out = unhex("b100000000000500");
  std::ranges::copy(out, body.begin() + 8 * 7);
  BOOST_TEST(!ours(body));
  BOOST_TEST(opened(body) == ec::not_canonical);
  const auto end = unhex("3900000000000500");  // the same list, where it belongs
  std::ranges::copy(end, body.begin() + 8 * 7);
  BOOST_TEST(ours(body));
}

BOOST_AUTO_TEST_CASE(an_outer_message_has_one_segment_that_fills_it) {
  const auto good = batch_of(key(1), 2).serialised;
  const auto open = [](bytes_view raw) {
    return code_of(read_outer<schema::Batch>(raw, batch_bytes_max, accept_batch));
  };
  BOOST_TEST(open(good) == ec::ok);
  auto changed = good;
  changed[0] = 1;  // two segments
  BOOST_TEST(open(changed) == ec::malformed);
  changed = good;
  std::fill_n(changed.begin(), 4, std::uint8_t{0xff});  // 2^32 segments
  BOOST_TEST(open(changed) == ec::malformed);
  changed = good;
  changed[4] = static_cast<std::uint8_t>(changed[4] + 1);
  BOOST_TEST(open(changed) == ec::malformed);
  changed = good;
  changed.insert(changed.end(), 8, 0);
  BOOST_TEST(open(changed) == ec::malformed);
  for (std::size_t size = 0; size < good.size(); ++size)
    BOOST_TEST(open(bytes_view{good}.first(size)) == ec::malformed);
}

BOOST_AUTO_TEST_CASE(a_builder_that_outgrows_its_first_segment_still_writes_one) {
  outer_builder<schema::Batch> message{8};
  const bytes body(5000, 1);
  auto bodies = message.root().initBodies(20);
  for (capnp::uint i = 0; i < bodies.size(); ++i)
    bodies.set(i, data_of(body));
  const auto raw = message.finish();
  std::size_t sum = 0;
  const auto outcome = read_outer<schema::Batch>(raw, batch_bytes_max, [&](schema::Batch::Reader batch) -> status {
    for (const auto one : batch.getBodies())
      sum += one.size();
    return {};
  });
  BOOST_TEST(outcome.has_value());
  BOOST_TEST(sum == 100'000U);
}

BOOST_AUTO_TEST_CASE(reading_may_not_cost_more_than_its_size_allows) {
  // A list of 1000 pointers that all point to the same 8 KB: 64 bytes of attack for each 8 KB of reads.
  outer_builder<schema::Batch> message{65536};
  auto bodies = message.root().initBodies(1000);
  bodies.set(0, data_of(bytes(8192, 1)));
  auto raw = message.finish();
  // segment table, root pointer, Batch (3 pointers), then the list's pointers
  const std::size_t list = 8 * (1 + 1 + 3);
  for (std::size_t i = 1; i < 1000; ++i) {
    const auto low = static_cast<std::uint32_t>(999 - i) << 2 | 1;
    for (std::size_t byte = 0; byte < 4; ++byte)
      raw[list + 8 * i + byte] = static_cast<std::uint8_t>(low >> 8 * byte);
    std::copy_n(raw.begin() + list + 4, 4, raw.begin() + list + 8 * static_cast<std::ptrdiff_t>(i) + 4);
  }
  std::size_t read = 0;
  const auto outcome = read_outer<schema::Batch>(raw, batch_bytes_max, [&](schema::Batch::Reader batch) -> status {
    for (const auto body : batch.getBodies())
      read += body.size();
    return {};
  });
  BOOST_TEST(code_of(outcome) == ec::malformed);
  BOOST_TEST(read <= 4 * raw.size() + 512);
  BOOST_TEST(read > raw.size());  // the attack is what it claims to be
}

BOOST_AUTO_TEST_CASE(clean_text_is_well_formed_utf_8_without_zero) {
  const auto clean = [](std::string_view text) { return is_clean_text(as_bytes(text), 128); };
  for (const auto good :
       {"", "text", "caf\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf", "\xef\xbf\xbd"})
    BOOST_TEST(clean(good), good);
  for (const auto bad :
       {"\x80", "\xc0\xaf", "\xc1\xbf", "\xc3", "\xe2\x82", "\xe0\x80\x80", "\xed\xa0\x80", "\xf0\x80\x80\x80",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "a\xc3(", "\xe2(\xac"})
    BOOST_TEST(!clean(bad), to_hex(as_bytes(bad)));
  BOOST_TEST(!clean(std::string_view{"a\0b", 3}));
  BOOST_TEST(clean(std::string(128, 'a')));
  BOOST_TEST(!clean(std::string(129, 'a')));
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace signet::test
