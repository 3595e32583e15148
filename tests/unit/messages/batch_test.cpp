#include "messages/envelope/canonical.hpp"
#include "messages/schema/message.capnp.h"
#include "tests/unit/messages/support.hpp"

#include <functional>

namespace signet::test {

namespace {
const signing_key author_key = key(21);
const auto bob = filled<permalink>(0xb2), carol = filled<permalink>(0xca);

/// A Batch as somebody else's program would build it, signed over whatever it holds.
bytes hand_made_batch(const std::vector<bytes>& bodies, std::function<void(schema::Batch::Builder)> change = {}) {
  std::vector<link> links;
  std::size_t size = 1024;
  for (const auto& body : bodies) {
    links.push_back(hash_link(label::message, body));
    size += body.size() + 16;
  }
  const auto root = merkle_root(links);
  const auto proof = author_key.sign(label::batch, {root.view(), big_endian(std::uint64_t{bodies.size()})});
  outer_builder<schema::Batch> message{size};
  auto batch = message.root();
  batch.setSigningKey(data_of(author_key.public_half().view()));
  batch.setSignature(data_of(proof.view()));
  auto list = batch.initBodies(static_cast<capnp::uint>(bodies.size()));
  for (capnp::uint i = 0; i < list.size(); ++i)
    list.set(i, data_of(bodies[i]));
  if (change)
    change(batch);
  return message.finish();
}

/// A canonical body with one field changed.
bytes body_with(const std::function<void(schema::MessageBody::Builder)>& change) {
  capnp::MallocMessageBuilder message;
  auto body = message.initRoot<schema::MessageBody>();
  body.setClusterId(data_of(filled<cluster_id>(0xc1).view()));
  body.setAuthor(data_of(filled<permalink>(0xa1).view()));
  body.setRecipient(data_of(bob.view()));
  body.setN(2);
  body.setPrevious(data_of(filled<link>(7).view()));
  body.setTimeMs(5);
  body.initObject().setType("text");
  change(body);
  return canonical_bytes(body.asReader());
}
bytes good_body() {
  return body_with([](auto) {});
}
ec verified(bytes_view raw) {
  auto opened = unverified_batch::open(raw);
  return opened ? code_of(verify(std::move(*opened))) : opened.error().code;
}
std::optional<outcome_code> problem_of(const bytes& body) {
  return unverified_batch::open(hand_made_batch({good_body(), body})).value().messages()[1].problem;
}
} // namespace

BOOST_AUTO_TEST_SUITE(batches)

BOOST_AUTO_TEST_CASE(what_is_sent_is_what_is_read) {
  lane_tail to_bob, to_carol;
  auto draft = draft_to(bob, "hello bob");
  draft.content_type = "text/plain";
  draft.thread = filled<link>(1);
  draft.reply_to = filled<link>(2);
  draft.object_permalink = filled<permalink>(3);
  draft.object_previous = filled<link>(4);
  std::vector<built_message> messages;
  messages.push_back(make_message(draft, to_bob).value());
  messages.push_back(make_message(draft_to(carol, "hello carol"), to_carol).value());
  messages.push_back(make_message(draft_to(bob, ""), to_bob).value());
  const auto built = make_batch(author_key, messages).value();
  const auto batch = verify(unverified_batch::open(built.serialised).value()).value();

  BOOST_TEST(batch.signer() == author_key.public_half());
  BOOST_TEST(batch.root() == built.root);
  BOOST_TEST((to_bytes(batch.serialised()) == built.serialised));
  BOOST_REQUIRE_EQUAL(batch.size(), 3U);
  const auto& first = batch.messages()[0];
  BOOST_TEST(!first.problem.has_value());
  BOOST_TEST(first.link == built.links[0]);
  BOOST_TEST(first.header.cluster == draft.cluster);
  BOOST_TEST(first.header.author == draft.author);
  BOOST_TEST(first.header.recipient == bob);
  BOOST_TEST(value(first.header.n) == 1U);
  BOOST_TEST(first.header.previous.is_zero());
  BOOST_TEST(value(first.header.time) == value(draft.time));
  BOOST_TEST(first.header.thread == draft.thread);
  BOOST_TEST(first.header.reply_to == draft.reply_to);
  const auto object = read_object(first.body).value();
  BOOST_TEST(object.type == "text");
  BOOST_TEST(object.content_type == "text/plain");
  BOOST_TEST(as_text(object.body) == "hello bob");
  BOOST_TEST(object.permalink == draft.object_permalink);
  BOOST_TEST(object.previous == draft.object_previous);
  // The views of an object point into the bytes it was read from, wherever they stand.
  bytes shifted{0};
  append(shifted, first.body);
  const auto elsewhere = read_object(bytes_view{shifted}.subspan(1)).value();
  BOOST_TEST(as_text(elsewhere.body) == "hello bob");
  BOOST_TEST((elsewhere.body.data() > shifted.data() && elsewhere.body.data() < shifted.data() + shifted.size()));

  const auto& third = batch.messages()[2];
  BOOST_TEST(value(third.header.n) == 2U);
  BOOST_TEST(third.header.previous == first.link);
  BOOST_TEST(read_object(third.body).value().body.empty());
  BOOST_TEST(value(batch.messages()[1].header.n) == 1U);
}

BOOST_AUTO_TEST_CASE(drafts_are_chained_lane_by_lane) {
  std::vector<std::pair<permalink, lane_tail>> tails{{bob, {lane_number{7}, filled<link>(9)}}};
  const std::vector<message_draft> drafts{draft_to(bob), draft_to(carol), draft_to(bob)};
  const auto batch = unverified_batch::open(make_batch(author_key, drafts, tails).value().serialised).value();
  BOOST_TEST(value(batch.messages()[0].header.n) == 8U);
  BOOST_TEST(batch.messages()[0].header.previous == filled<link>(9));
  BOOST_TEST(value(batch.messages()[1].header.n) == 1U);
  BOOST_TEST(value(batch.messages()[2].header.n) == 9U);
  BOOST_TEST(batch.messages()[2].header.previous == batch.messages()[0].link);
  BOOST_REQUIRE_EQUAL(tails.size(), 2U);
  BOOST_TEST((tails[0].second == lane_tail{lane_number{9}, batch.messages()[2].link}));
  BOOST_TEST((tails[1].second == lane_tail{lane_number{1}, batch.messages()[1].link}));

  const auto before = tails;
  auto too_big = drafts;
  too_big[2].body = bytes(body_bytes_max + 1, 1);
  BOOST_TEST(code_of(make_batch(author_key, too_big, tails)) == ec::too_large);
  BOOST_TEST((tails == before));
}

BOOST_AUTO_TEST_CASE(one_signature_covers_all_messages_and_their_number) {
  for (const std::size_t count : {1U, 2U, 3U, 64U, 1024U})
    BOOST_TEST(verified(batch_of(author_key, count).serialised) == ec::ok);
  std::vector<bytes> bodies;
  for (int i = 0; i < 3; ++i)
    bodies.push_back(body_with([&](auto body) { body.setTimeMs(static_cast<std::uint64_t>(i + 1)); }));
  BOOST_TEST(verified(hand_made_batch(bodies)) == ec::ok);
  const auto changed = [&](auto change) { return verified(hand_made_batch(bodies, change)); };
  BOOST_TEST(changed([&](schema::Batch::Builder batch) { batch.initBodies(0); }) == ec::malformed);
  BOOST_TEST(changed([&](schema::Batch::Builder batch) {
               auto list = batch.initBodies(2);
               list.set(0, data_of(bodies[0]));
               list.set(1, data_of(bodies[1]));
             }) == ec::bad_signature);
  BOOST_TEST(changed([&](schema::Batch::Builder batch) {
               batch.getBodies().set(0, data_of(bodies[1]));
               batch.getBodies().set(1, data_of(bodies[0]));
             }) == ec::bad_signature);
  BOOST_TEST(changed([&](schema::Batch::Builder batch) {
               batch.setSigningKey(data_of(key(22).public_half().view()));
             }) == ec::bad_signature);
  // The same root signed without its count, or as another number of leaves.
  std::vector<link> links;
  for (const auto& body : bodies)
    links.push_back(hash_link(label::message, body));
  const auto root = merkle_root(links);
  const auto signed_as = [&](std::initializer_list<bytes_view> parts) {
    const auto proof = author_key.sign(label::batch, parts);
    return changed([&](schema::Batch::Builder batch) { batch.setSignature(data_of(proof.view())); });
  };
  BOOST_TEST(signed_as({root.view()}) == ec::bad_signature);
  BOOST_TEST(signed_as({root.view(), big_endian(std::uint64_t{4})}) == ec::bad_signature);
  BOOST_TEST(signed_as({root.view(), big_endian(std::uint64_t{3})}) == ec::ok);
}

BOOST_AUTO_TEST_CASE(any_flipped_bit_of_a_batch_is_refused_or_leaves_what_is_signed_as_it_is) {
  const auto built = batch_of(author_key, 3);
  for (std::size_t at = 0; at < built.serialised.size(); ++at) {
    auto changed = built.serialised;
    changed[at] = static_cast<std::uint8_t>(changed[at] ^ 1U << at % 8);
    auto opened = unverified_batch::open(changed);
    if (!opened)
      continue;
    const auto batch = verify(std::move(*opened));
    if (!batch)
      continue;
    BOOST_TEST(batch->root() == built.root);
    BOOST_TEST(batch->signer() == author_key.public_half());
  }
}

BOOST_AUTO_TEST_CASE(no_truncation_of_a_batch_opens) {
  const auto raw = batch_of(author_key, 5).serialised;
  for (std::size_t size = 0; size < raw.size(); ++size)
    BOOST_TEST(code_of(unverified_batch::open(bytes_view{raw}.first(size))) == ec::malformed);
  // Neither when the segment table says that this is all.
  for (std::size_t words = 1; words < raw.size() / 8 - 1; ++words) {
    bytes cut{raw.begin(), raw.begin() + static_cast<std::ptrdiff_t>(8 + 8 * words)};
    cut[4] = static_cast<std::uint8_t>(words);
    cut[5] = static_cast<std::uint8_t>(words >> 8);
    BOOST_TEST(verified(cut) != ec::ok);
  }
}

BOOST_AUTO_TEST_CASE(a_body_that_cannot_be_read_disturbs_nobody_else) {
  auto not_canonical = good_body();
  not_canonical.insert(not_canonical.end(), 8, 0);
  const auto raw = hand_made_batch({good_body(), not_canonical, {}, good_body()});
  const auto batch = verify(unverified_batch::open(raw).value());
  BOOST_REQUIRE(batch.has_value());
  BOOST_TEST(!batch->messages()[0].problem.has_value());
  BOOST_TEST((batch->messages()[1].problem == outcome_code::malformed));
  BOOST_TEST((batch->messages()[2].problem == outcome_code::malformed));
  BOOST_TEST(!batch->messages()[3].problem.has_value());
  // They are leaves of the tree all the same.
  BOOST_TEST(batch->messages()[1].link == hash_link(label::message, not_canonical));
  BOOST_TEST(batch->messages()[2].link == hash_link(label::message, {}));
}

BOOST_AUTO_TEST_CASE(each_field_of_a_body_has_its_form) {
  using builder = schema::MessageBody::Builder;
  const auto refused = [](const std::function<void(builder)>& change) {
    return problem_of(body_with(change)) == outcome_code::malformed;
  };
  BOOST_TEST(!problem_of(good_body()).has_value());
  for (const std::size_t size : {0U, 15U, 17U, 32U})
    BOOST_TEST(refused([&](builder body) { body.setClusterId(data_of(bytes(size, 1))); }));
  for (const std::size_t size : {0U, 31U, 33U}) {
    BOOST_TEST(refused([&](builder body) { body.setAuthor(data_of(bytes(size, 1))); }));
    BOOST_TEST(refused([&](builder body) { body.setRecipient(data_of(bytes(size, 1))); }));
    BOOST_TEST(refused([&](builder body) { body.setPrevious(data_of(bytes(size, 1))); }));
  }
  for (const std::size_t size : {1U, 31U, 33U}) {
    BOOST_TEST(refused([&](builder body) { body.setThread(data_of(bytes(size, 1))); }));
    BOOST_TEST(refused([&](builder body) { body.setReplyTo(data_of(bytes(size, 1))); }));
    BOOST_TEST(refused([&](builder body) { body.getObject().setPermalink(data_of(bytes(size, 1))); }));
    BOOST_TEST(refused([&](builder body) { body.getObject().setPrevious(data_of(bytes(size, 1))); }));
  }
  const bytes zeros(32, 0);
  BOOST_TEST(refused([&](builder body) { body.setAuthor(data_of(zeros)); }));
  BOOST_TEST(refused([&](builder body) { body.setPrevious(data_of(zeros)); }));
  BOOST_TEST(refused([&](builder body) { body.setN(0); }));
  BOOST_TEST(refused([&](builder body) { body.setN(1); }));  // with a previous link
  BOOST_TEST(!refused([&](builder body) {
    body.setN(1);
    body.setPrevious(data_of({}));
  }));
  BOOST_TEST(refused([&](builder body) { body.getObject().setType("\xff"); }));
  BOOST_TEST(refused([&](builder body) { body.getObject().setType(std::string(129, 'x').c_str()); }));
  BOOST_TEST(refused([&](builder body) { body.getObject().setContentType("\xc0\x80"); }));
  BOOST_TEST(!refused([&](builder body) { body.getObject().setType(std::string(128, 'x').c_str()); }));
  BOOST_TEST(!refused([&](builder body) { body.disownObject(); }));
  BOOST_TEST(!refused([&](builder body) { body.setN(UINT64_MAX); }));
}

BOOST_AUTO_TEST_CASE(a_body_above_its_limit_is_too_large_and_the_rest_of_its_batch_is_not) {
  const auto sized = [](std::size_t size) {
    return body_with([&](auto body) { body.getObject().setBody(data_of(bytes(size, 1))); });
  };
  const auto rest = sized(8).size() - 8;
  BOOST_TEST(!problem_of(sized(body_bytes_max - rest)).has_value());
  BOOST_TEST((problem_of(sized(body_bytes_max - rest + 1)) == outcome_code::too_large));
  BOOST_TEST(verified(hand_made_batch({sized(body_bytes_max), good_body()})) == ec::ok);
}

BOOST_AUTO_TEST_CASE(a_batch_holds_1_to_1024_messages_and_1_mib) {
  BOOST_TEST(verified(hand_made_batch({})) == ec::malformed);
  BOOST_TEST(verified(hand_made_batch(std::vector<bytes>(1024, good_body()))) == ec::ok);
  BOOST_TEST(verified(hand_made_batch(std::vector<bytes>(1025, good_body()))) == ec::too_large);
  BOOST_TEST(code_of(unverified_batch::open(bytes(batch_bytes_max + 8, 0))) == ec::too_large);
  BOOST_TEST(code_of(make_batch(author_key, std::span<const built_message>{})) == ec::malformed);
  const built_message small{good_body(), {}};
  BOOST_TEST(code_of(make_batch(author_key, std::vector<built_message>(1025, small))) == ec::too_large);
  const built_message large{bytes(180'000, 1), {}};
  BOOST_TEST(code_of(make_batch(author_key, std::vector<built_message>(5, large))) == ec::ok);
  BOOST_TEST(code_of(make_batch(author_key, std::vector<built_message>(6, large))) == ec::too_large);
}

BOOST_AUTO_TEST_CASE(key_and_signature_have_their_lengths) {
  const auto with = [](auto change) { return verified(hand_made_batch({good_body()}, change)); };
  for (const std::size_t size : {0U, 31U, 33U})
    BOOST_TEST(with([&](auto batch) { batch.setSigningKey(data_of(bytes(size, 1))); }) == ec::malformed);
  for (const std::size_t size : {0U, 63U, 65U})
    BOOST_TEST(with([&](auto batch) { batch.setSignature(data_of(bytes(size, 1))); }) == ec::malformed);
}

BOOST_AUTO_TEST_CASE(a_refused_batch_still_tells_its_root) {
  const auto raw = hand_made_batch({good_body()}, [](auto batch) { batch.setSignature(data_of(bytes(64, 1))); });
  auto opened = unverified_batch::open(raw).value();
  BOOST_TEST(code_of(verify(std::move(opened))) == ec::bad_signature);
  BOOST_TEST(root_of(opened) == merkle_root(std::vector{hash_link(label::message, good_body())}));
}

BOOST_AUTO_TEST_CASE(a_stored_batch_says_what_the_verified_one_said) {
  auto not_canonical = good_body();
  not_canonical.insert(not_canonical.end(), 8, 0);
  const auto raw = hand_made_batch({good_body(), not_canonical, good_body()});
  const auto verified_one = verify(unverified_batch::open(raw).value()).value();
  bytes shifted{0};
  append(shifted, raw);
  std::vector<stored_batch> stored;
  stored.push_back(stored_batch::open(raw).value());
  stored.push_back(stored_batch::view(raw).value());
  stored.push_back(stored_batch::view(bytes_view{shifted}.subspan(1)).value());
  stored.push_back(stored_batch{verified_one});
  for (const auto& batch : stored) {
    BOOST_REQUIRE_EQUAL(batch.size(), 3U);
    BOOST_TEST(batch.signer() == verified_one.signer());
    BOOST_TEST(batch.proof() == verified_one.proof());
    BOOST_TEST(batch.tree().root() == verified_one.root());
    for (std::uint32_t leaf = 0; leaf < 3; ++leaf) {
      const auto& expected = verified_one.messages()[leaf];
      const auto message = batch.message(leaf);
      BOOST_TEST(batch.link(leaf) == expected.link);
      BOOST_TEST(message.link == expected.link);
      BOOST_TEST((message.problem == expected.problem));
      BOOST_TEST((to_bytes(batch.body(leaf)) == to_bytes(expected.body)));
      BOOST_TEST(value(message.header.n) == value(expected.header.n));
    }
  }
  auto damaged = raw;
  damaged.resize(damaged.size() - 8);
  BOOST_TEST(code_of(stored_batch::open(damaged)) == ec::corrupt);
  BOOST_TEST(code_of(stored_batch::view(damaged)) == ec::corrupt);
}

BOOST_AUTO_TEST_CASE(a_moved_batch_keeps_its_views) {
  auto one = unverified_batch::open(batch_of(author_key, 4).serialised).value();
  const auto* at = one.messages()[3].body.data();
  const auto batch = verify(std::move(one)).value();
  BOOST_TEST(batch.messages()[3].body.data() == at);
  BOOST_TEST(hash_link(label::message, batch.messages()[3].body) == batch.messages()[3].link);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace signet::test
