#include "actors/fanout/news.hpp"

#include "messages/entries.hpp"
#include "messages/envelope/batch.hpp"
#include "messages/envelope/identity.hpp"

#include <boost/test/unit_test.hpp>

using namespace signet;

namespace {
permalink numbered(std::uint8_t n) {
  permalink out;
  out.raw[0] = n;
  return out;
}
bytes batch_to(const std::vector<permalink>& recipients) {
  auto key = signing_key::generate(system_random());
  std::vector<message_draft> drafts;
  for (const auto& to : recipients) {
    message_draft draft;
    draft.cluster.raw[0] = 1;
    draft.author = numbered(99);
    draft.recipient = to;
    draft.body = {'x'};
    drafts.push_back(draft);
  }
  std::vector<std::pair<permalink, lane_tail>> tails;
  auto made = make_batch(key, drafts, tails);
  BOOST_REQUIRE(made);
  return made->serialised;
}
} // namespace

BOOST_AUTO_TEST_SUITE(news_tests)

BOOST_AUTO_TEST_CASE(a_batch_is_news_for_each_recipient_once) {
  auto found = news_of(batch_entry(batch_to({numbered(1), numbered(2), numbered(1), numbered(2), numbered(2)})));
  BOOST_TEST((found.inboxes == std::vector{numbered(1), numbered(2)}));
  BOOST_TEST(found.identities.empty());
}

BOOST_AUTO_TEST_CASE(what_a_bot_sends_is_news_like_any_batch) {
  auto entry = bot_committed_entry(numbered(9), 1, inbox_position{1}, inbox_position{1}, batch_to({numbered(3)}));
  BOOST_TEST((news_of(entry).inboxes == std::vector{numbered(3)}));
  BOOST_TEST(news_of(bot_committed_entry(numbered(9), 1, inbox_position{1}, inbox_position{1}, {})).inboxes.empty());
}

BOOST_AUTO_TEST_CASE(a_next_version_is_news_for_its_identity_and_a_first_one_for_nobody) {
  auto update = signing_key::generate(system_random()), sign = signing_key::generate(system_random()),
       newer = signing_key::generate(system_random());
  auto first = make_first_identity({{{key_purpose::update, &update}, {key_purpose::sign, &sign}}, {}, {}});
  BOOST_REQUIRE(first);
  auto second = make_next_identity(*first, {{{key_purpose::update, &update}, {key_purpose::sign, &newer}}, {}, {}}, update);
  BOOST_REQUIRE(second);
  BOOST_TEST(news_of(identity_entry(first->serialised())).identities.empty());
  BOOST_TEST((news_of(identity_entry(second->serialised())).identities == std::vector{first->permalink()}));
}

BOOST_AUTO_TEST_CASE(openings_closings_and_taken_inboxes_are_news_of_their_sessions) {
  using kind = session_changed::kind;
  const auto key_of = [](std::uint8_t n) {
    public_key device;
    device.raw[0] = n;
    return signet::session_key{numbered(n), device, "client " + std::to_string(n)};
  };
  session_opening opening;
  opening.key = key_of(1);
  auto opened = news_of(session_opened_entry(opening), log_index{42}).sessions;
  BOOST_TEST_REQUIRE(opened.size() == 1u);
  BOOST_TEST((opened[0].what == kind::opened));
  BOOST_TEST((opened[0].identity == numbered(1)));
  BOOST_TEST(opened[0].client_id == "client 1");
  BOOST_TEST(opened[0].epoch == 42u);  // its index is its epoch
  const session_closing closings[] = {{key_of(2), 20, "idle"}, {key_of(3), 30, "administrative"}};
  auto closed = news_of(sessions_closed_entry(closings), log_index{43}).sessions;
  BOOST_TEST_REQUIRE(closed.size() == 2u);
  BOOST_TEST((closed[1].what == kind::closed));
  BOOST_TEST(closed[1].epoch == 30u);
  BOOST_TEST(closed[1].reason == "administrative");
  auto taken = news_of(inbox_taken_entry({key_of(4), 40}), log_index{44}).sessions;
  BOOST_TEST_REQUIRE(taken.size() == 1u);
  BOOST_TEST((taken[0].what == kind::inbox_taken));
  BOOST_TEST((taken[0].device == key_of(4).device));
  BOOST_TEST((taken[0].index == log_index{44}));
  BOOST_TEST(taken[0].epoch == 40u);
}

BOOST_AUTO_TEST_CASE(where_nobody_waits_for_an_inbox_batches_are_not_looked_into) {
  const auto entry = batch_entry(batch_to({numbered(1)}));
  BOOST_TEST(news_of(entry, log_index{1}, false).inboxes.empty());
  BOOST_TEST(news_of(entry, log_index{1}, true).inboxes.size() == 1u);
}

BOOST_AUTO_TEST_CASE(bytes_that_are_no_entry_are_no_news) {
  auto entry = batch_entry(batch_to({numbered(1), numbered(2)}));
  for (std::size_t size = 0; size < entry.size(); ++size)
    (void)news_of(bytes_view(entry).first(size));  // must not crash
  for (std::size_t at = 0; at < entry.size(); ++at) {
    auto damaged = entry;
    damaged[at] ^= 0xff;
    (void)news_of(damaged);
  }
  BOOST_TEST(news_of({}).inboxes.empty());
}

BOOST_AUTO_TEST_SUITE_END()
