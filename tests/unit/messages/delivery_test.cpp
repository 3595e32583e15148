#include "messages/envelope/canonical.hpp"
#include "messages/envelope/delivery.hpp"
#include "messages/envelope/receipt.hpp"
#include "messages/schema/message.capnp.h"
#include "tests/unit/messages/support.hpp"

#include <functional>
#include <random>

namespace signet::test {

namespace {
const signing_key author_key = key(31);

stored_batch stored(std::size_t count, std::size_t body_step = 3) {
  return stored_batch::open(batch_of(author_key, count, body_step).serialised).value();
}
/// Rebuilds a Delivery with something changed.
bytes changed_delivery(bytes_view raw, const std::function<void(schema::Delivery::Builder)>& change) {
  return read_outer<schema::Delivery>(raw, delivery_bytes_max, [&](schema::Delivery::Reader from) -> result<bytes> {
    capnp::MallocMessageBuilder message;
    message.setRoot(from);
    change(message.getRoot<schema::Delivery>());
    outer_builder<schema::Delivery> out{raw.size() + 4096};
    // An orphaned copy: whatever the change has left behind stays behind.
    out.root().setItems(message.getRoot<schema::Delivery>().asReader().getItems());
    return out.finish();
  }).value();
}
ec outcome_of(bytes_view raw) {
  const auto items = open_delivery(raw);
  if (!items)
    return items.error().code;
  for (const auto& item : *items)
    if (const auto* bundle = std::get_if<unverified_bundle>(&item))
      if (const auto messages = verify_bundle(*bundle); !messages)
        return messages.error().code;
  return ec::ok;
}
} // namespace

BOOST_AUTO_TEST_SUITE(deliveries)

BOOST_AUTO_TEST_CASE(what_a_node_packs_a_client_verifies) {
  const auto one = stored(9), other = stored(1);
  delivery_builder builder{65536};
  BOOST_TEST(builder.empty());
  std::uint64_t position = 41;
  for (const std::uint32_t leaf : {0U, 3U, 4U, 8U})
    BOOST_REQUIRE(builder.add(inbox_position{position++}, log_index{100}, one, leaf));
  BOOST_REQUIRE(builder.add_reference(inbox_position{position++}, log_index{101}, filled<link>(5), 180'000));
  BOOST_REQUIRE(builder.add(inbox_position{position++}, log_index{102}, other, 0));
  BOOST_REQUIRE(builder.add(inbox_position{position++}, log_index{103}, one, 2));
  BOOST_REQUIRE(builder.add(inbox_position{position++}, log_index{103}, one, 1));  // lower leaf: a bundle of its own
  BOOST_TEST(value(builder.first()) == 41U);
  BOOST_TEST(value(builder.last()) == 48U);
  BOOST_TEST(builder.message_count() == 8U);
  const auto counted = builder.size_bytes();
  const auto raw = builder.finish();
  BOOST_TEST(raw.size() == counted);
  BOOST_TEST(builder.empty());

  const auto items = open_delivery(raw).value();
  BOOST_REQUIRE_EQUAL(items.size(), 5U);
  const auto messages = verify_bundle(std::get<unverified_bundle>(items[0])).value();
  BOOST_REQUIRE_EQUAL(messages.size(), 4U);
  BOOST_TEST(value(messages[3].position) == 44U);
  BOOST_TEST(value(messages[3].index) == 100U);
  BOOST_TEST(messages[3].link == one.link(8));
  BOOST_TEST(messages[3].signer == author_key.public_half());
  BOOST_TEST(messages[3].header.author == filled<permalink>(0xa1));
  BOOST_TEST(value(messages[3].header.n) == 9U);
  BOOST_TEST((messages[3].body == to_bytes(one.body(8))));
  const auto& reference = std::get<delivered_reference>(items[1]);
  BOOST_TEST(value(reference.position) == 45U);
  BOOST_TEST(value(reference.index) == 101U);
  BOOST_TEST(reference.link == filled<link>(5));
  BOOST_TEST(reference.body_size_bytes == 180'000U);
  BOOST_TEST(outcome_of(raw) == ec::ok);
}

BOOST_AUTO_TEST_CASE(sizes_are_counted_exactly_and_never_exceeded) {
  std::mt19937 random{11};
  for (int round = 0; round < 300; ++round) {
    const auto batch = stored(1 + random() % 70, 1 + random() % 50);
    const std::size_t limit = 200 + random() % 6000;
    delivery_builder builder{limit};
    std::uint64_t position = 1 + random() % 1000;
    std::size_t refused = 0;
    for (std::uint32_t leaf = 0; leaf < batch.size(); ++leaf) {
      const auto before = builder.size_bytes();
      const auto kind = random() % 10;
      const bool added = kind == 0   ? builder.add_reference(inbox_position{position}, log_index{1}, filled<link>(1), 1)
                         : kind <= 6 ? builder.add(inbox_position{position}, log_index{7}, batch, leaf)
                                     : true;
      if (!added) {
        BOOST_TEST(builder.size_bytes() == before);
        ++refused;
        break;
      }
      if (kind <= 6)
        ++position;
    }
    const auto counted = builder.size_bytes();
    BOOST_TEST(counted <= std::max<std::size_t>(limit, 32));
    const auto raw = builder.finish();
    BOOST_TEST(raw.size() == counted);
    BOOST_TEST(outcome_of(raw) == ec::ok);
  }
}

BOOST_AUTO_TEST_CASE(the_size_of_one_message_alone_is_known_beforehand) {
  for (const std::size_t count : {1U, 2U, 3U, 17U, 64U, 1000U}) {
    const auto batch = stored(count);
    const auto last = static_cast<std::uint32_t>(count - 1);
    for (const std::uint32_t leaf : {0U, last / 2, last}) {
      const auto size = delivery_size_alone(batch.size(), leaf, batch.body(leaf).size());
      BOOST_TEST(fits_alone(size, batch, leaf));
      BOOST_TEST(!fits_alone(size - 1, batch, leaf));
      delivery_builder too_small{size - 8}, enough{size};
      BOOST_TEST(!too_small.add(inbox_position{1}, log_index{1}, batch, leaf));
      BOOST_REQUIRE(enough.add(inbox_position{1}, log_index{1}, batch, leaf));
      BOOST_TEST(enough.finish().size() == size);
    }
  }
  delivery_builder smallest{delivery_bytes_min};
  BOOST_TEST(smallest.add_reference(inbox_position{1}, log_index{1}, filled<link>(1), 1));
}

BOOST_AUTO_TEST_CASE(the_largest_body_fits_the_default_packet) {
  auto draft = draft_to(filled<permalink>(2));
  lane_tail tail;
  draft.body = bytes(body_bytes_max - 1024, 1);
  std::vector<built_message> messages{make_message(draft, tail).value()};
  for (int i = 0; i < 500; ++i)
    messages.push_back(make_message(draft_to(filled<permalink>(2)), tail).value());
  const auto batch = stored_batch::open(make_batch(author_key, messages).value().serialised).value();
  BOOST_TEST(fits_alone(262'144 - 64, batch, 0));
}

BOOST_AUTO_TEST_CASE(a_caller_that_skips_a_position_is_told_at_once) {
  const auto batch = stored(3);
  delivery_builder builder{65536};
  BOOST_REQUIRE(builder.add(inbox_position{5}, log_index{1}, batch, 0));
  BOOST_CHECK_THROW(static_cast<void>(builder.add(inbox_position{7}, log_index{1}, batch, 1)), std::logic_error);
  BOOST_CHECK_THROW(static_cast<void>(builder.add_reference(inbox_position{5}, log_index{1}, filled<link>(1), 1)),
                    std::logic_error);
  BOOST_CHECK_THROW(static_cast<void>(builder.add(inbox_position{6}, log_index{1}, batch, 3)), std::logic_error);
}

BOOST_AUTO_TEST_CASE(a_changed_bundle_is_refused) {
  const auto batch = stored(9);
  delivery_builder builder{65536};
  for (std::uint32_t leaf = 2; leaf < 5; ++leaf)
    BOOST_REQUIRE(builder.add(inbox_position{leaf}, log_index{3}, batch, leaf));
  const auto raw = builder.finish();
  const auto changed = [&](const std::function<void(schema::Bundle::Builder)>& change) {
    return outcome_of(changed_delivery(raw, [&](auto delivery) { change(delivery.getItems()[0].getBundle()); }));
  };
  BOOST_TEST(changed([](auto) {}) == ec::ok);
  BOOST_TEST(changed([&](auto bundle) { bundle.getMessages()[1].setBody(data_of(batch.body(7))); }) ==
             ec::bad_signature);
  BOOST_TEST(changed([&](auto bundle) { bundle.getMessages()[1].setBody(data_of(bytes(16, 1))); }) != ec::ok);
  BOOST_TEST(changed([&](auto bundle) { bundle.getProof()[0][0] ^= 1; }) == ec::bad_signature);
  BOOST_TEST(changed([&](auto bundle) { bundle.getSignature()[0] ^= 1; }) == ec::bad_signature);
  BOOST_TEST(changed([&](auto bundle) { bundle.setSigningKey(data_of(key(32).public_half().view())); }) ==
             ec::bad_signature);
  BOOST_TEST(changed([&](auto bundle) { bundle.setLeafCount(10); }) != ec::ok);
  BOOST_TEST(changed([&](auto bundle) { bundle.setLeafCount(0); }) == ec::malformed);
  BOOST_TEST(changed([&](auto bundle) { bundle.setLeafCount(0xffffffff); }) == ec::malformed);
  BOOST_TEST(changed([&](auto bundle) { bundle.initProof(0); }) == ec::malformed);
  BOOST_TEST(changed([&](auto bundle) { bundle.initProof(1).set(0, data_of(bytes(31, 1))); }) == ec::malformed);
  BOOST_TEST(changed([&](auto bundle) { bundle.initMessages(0); }) == ec::malformed);
  BOOST_TEST(changed([&](auto bundle) { bundle.getMessages()[0].setLeaf(3); }) == ec::malformed);
  BOOST_TEST(changed([&](auto bundle) { bundle.getMessages()[2].setLeaf(9); }) == ec::malformed);
  // Already when it is opened, before anything is hashed.
  BOOST_TEST(code_of(open_delivery(changed_delivery(raw, [](auto delivery) {
               delivery.getItems()[0].getBundle().getMessages()[0].setLeaf(3);
             }))) == ec::malformed);
  BOOST_TEST(changed([&](auto bundle) { bundle.getMessages()[2].setLeaf(5); }) != ec::ok);
  BOOST_TEST(changed([&](auto bundle) { bundle.getMessages()[1].setPosition(9); }) == ec::malformed);
  BOOST_TEST(changed([&](auto bundle) { bundle.getMessages()[0].setPosition(0); }) == ec::malformed);
}

BOOST_AUTO_TEST_CASE(no_truncation_of_a_delivery_opens) {
  const auto batch = stored(4);
  delivery_builder builder{65536};
  BOOST_REQUIRE(builder.add(inbox_position{1}, log_index{3}, batch, 1));
  BOOST_REQUIRE(builder.add_reference(inbox_position{2}, log_index{4}, filled<link>(1), 1));
  const auto raw = builder.finish();
  for (std::size_t size = 0; size < raw.size(); ++size)
    BOOST_TEST(!open_delivery(bytes_view{raw}.first(size)).has_value());
  BOOST_TEST(code_of(open_delivery(bytes(delivery_bytes_max + 8, 0))) == ec::too_large);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(receipts)

BOOST_AUTO_TEST_CASE(a_receipt_says_what_became_of_each_message) {
  receipt made;
  made.root = filled<digest>(1);
  for (std::uint8_t code = 0; code <= 10; ++code)
    made.lines.push_back({{static_cast<outcome_code>(code), log_index{code + 100U}, lane_number{code}},
                          code == 0 ? link{} : filled<link>(code)});
  const auto raw = make_receipt(made);
  BOOST_TEST(raw.size() <= receipt_size_bytes(made));
  BOOST_TEST((open_receipt(raw).value() == made));
  BOOST_TEST(!made.all_good());
  made.lines.resize(3);
  made.lines.erase(made.lines.begin());
  BOOST_TEST(made.all_good());  // accepted and duplicate
}

BOOST_AUTO_TEST_CASE(a_receipt_says_why_a_batch_as_a_whole_was_refused) {
  receipt made;
  made.problem = "rate_limited";
  made.retry_after_ms = 1500;
  const auto raw = make_receipt(made);
  BOOST_TEST(raw.size() <= receipt_size_bytes(made));
  BOOST_TEST((open_receipt(raw).value() == made));
  BOOST_TEST(!made.all_good());
}

BOOST_AUTO_TEST_CASE(a_receipt_for_1024_messages_fits_its_limit) {
  receipt made;
  made.root = filled<digest>(1);
  made.lines.assign(1024, {{outcome_code::accepted, log_index{1}, {}}, filled<link>(1)});
  BOOST_TEST(make_receipt(made).size() == receipt_size_bytes(made) - 8);
  BOOST_TEST(receipt_size_bytes(made) <= receipt_bytes_max);
  BOOST_TEST(open_receipt(make_receipt(made)).value().lines.size() == 1024U);
}

BOOST_AUTO_TEST_CASE(a_receipt_out_of_form_is_refused) {
  const auto changed = [](const std::function<void(schema::Receipt::Builder)>& change) {
    outer_builder<schema::Receipt> message;
    auto root = message.root();
    root.setRoot(data_of(filled<digest>(1).view()));
    root.initOutcomes(1)[0].setLink(data_of(filled<link>(1).view()));
    change(root);
    return code_of(open_receipt(message.finish()));
  };
  BOOST_TEST(changed([](auto) {}) == ec::ok);
  BOOST_TEST(changed([](auto root) { root.setRoot(data_of(bytes(31, 1))); }) == ec::malformed);
  BOOST_TEST(changed([](auto root) { root.getOutcomes()[0].setLink(data_of(bytes(33, 1))); }) == ec::malformed);
  BOOST_TEST(changed([](auto root) { root.getOutcomes()[0].setCode(static_cast<schema::OutcomeCode>(11)); }) ==
             ec::malformed);
  BOOST_TEST(changed([](auto root) { root.setProblem("\xff"); }) == ec::malformed);
  const auto raw = make_receipt({filled<digest>(1), {{}}, "x", 1});
  for (std::size_t size = 0; size < raw.size(); ++size)
    BOOST_TEST(!open_receipt(bytes_view{raw}.first(size)).has_value());
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace signet::test
