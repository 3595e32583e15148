#include "messages/envelope/canonical.hpp"
#include "messages/schema/peer.capnp.h"
#include "tests/unit/peer/peer_samples.hpp"

#include <boost/test/unit_test.hpp>
#include <set>

namespace signet::peer {
namespace {

using testing::frame_samples;

bool same(const raft::append_entries& a, const raft::append_entries& b) {
  return a.term == b.term && a.prev_index == b.prev_index && a.prev_term == b.prev_term &&
         a.leader_commit == b.leader_commit && a.entries == b.entries && a.fill_count == b.fill_count;
}
bool same(const raft::append_entries_result& a, const raft::append_entries_result& b) {
  return a.term == b.term && a.rejected == b.rejected && a.last_index == b.last_index;
}
bool same(const raft::request_vote& a, const raft::request_vote& b) {
  return a.term == b.term && a.candidate == b.candidate && a.last_index == b.last_index && a.last_term == b.last_term &&
         a.disrupt_leader == b.disrupt_leader && a.pre_vote == b.pre_vote;
}
bool same(const raft::request_vote_result& a, const raft::request_vote_result& b) {
  return a.term == b.term && a.granted == b.granted && a.pre_vote == b.pre_vote;
}
bool same(const raft::timeout_now& a, const raft::timeout_now& b) {
  return a.term == b.term && a.last_index == b.last_index && a.last_term == b.last_term;
}
bool same(const raft::install_snapshot&, const raft::install_snapshot&) { return false; }
bool same(const consensus& a, const consensus& b) {
  return a.prev_chain == b.prev_chain && a.message.index() == b.message.index() &&
         std::visit([&](const auto& x) { return same(x, std::get<std::decay_t<decltype(x)>>(b.message)); }, a.message);
}
template <class T>
bool same(const T& a, const T& b) { return a == b; }
bool same(const frame& a, const frame& b) {
  return a.from == b.from && a.to == b.to && a.sender_term == b.sender_term && a.body.index() == b.body.index() &&
         std::visit([&](const auto& x) { return same(x, std::get<std::decay_t<decltype(x)>>(b.body)); }, a.body);
}

/// Refused, or a frame that encodes and decodes to itself.
void must_be_refused_or_whole(bytes_view raw) {
  auto found = decode_frame(raw);
  if (!found) {
    BOOST_REQUIRE((found.error().code == ec::malformed || found.error().code == ec::too_large));
    return;
  }
  auto again = decode_frame(encode(*found));
  BOOST_REQUIRE(again.has_value());
  BOOST_REQUIRE(same(*found, *again));
}

bool refused(const frame& what) {
  auto found = decode_frame(encode(what));
  return !found && found.error().code == ec::malformed;
}
frame of(peer::body what) { return {raft::server_id{1}, raft::server_id{2}, term{9}, std::move(what)}; }
raft::append_entries some_append() {
  return {term{5}, log_index{10}, term{4}, log_index{9}, {{term{4}, raft::entry_type::command, bytes{1, 2}}}, 0};
}

} // namespace

BOOST_AUTO_TEST_SUITE(peer_frame)

BOOST_AUTO_TEST_CASE(every_kind_of_frame_comes_back_as_it_was_sent) {
  frame_samples samples{1};
  std::set<std::size_t> messages;
  for (std::size_t kind = 0; kind < std::variant_size_v<body>; ++kind)
    for (int i = 0; i < 200; ++i) {
      auto sent = samples.some_frame(kind);
      if (const auto* x = std::get_if<consensus>(&sent.body))
        messages.insert(x->message.index());
      auto found = decode_frame(encode(sent));
      BOOST_REQUIRE_MESSAGE(found.has_value(), (found ? std::string{} : render(found.error())));
      BOOST_REQUIRE(same(*found, sent));
    }
  BOOST_TEST(messages.size() == 5u);  // all but install_snapshot
}

BOOST_AUTO_TEST_CASE(a_hello_comes_back_as_it_was_sent_also_of_another_protocol) {
  frame_samples samples{2};
  for (int i = 0; i < 200; ++i) {
    auto sent = samples.some_hello();
    sent.protocol = static_cast<std::uint32_t>(1 + samples.below(3));
    auto found = decode_hello(encode(sent));
    BOOST_REQUIRE(found.has_value());
    BOOST_TEST((*found == sent));
  }
}

BOOST_AUTO_TEST_CASE(a_frame_that_was_cut_anywhere_is_refused) {
  frame_samples samples{3};
  for (int i = 0; i < 60; ++i) {
    auto raw = encode(samples.some_frame());
    for (std::size_t size = 0; size < raw.size(); ++size)
      BOOST_REQUIRE(!decode_frame(bytes_view{raw}.first(size)));
    raw.resize(raw.size() + 1 + samples.below(20));
    BOOST_REQUIRE(!decode_frame(raw));
  }
}

BOOST_AUTO_TEST_CASE(a_frame_with_any_bit_flipped_is_refused_or_is_another_whole_frame) {
  frame_samples samples{4};
  for (int i = 0; i < 60; ++i) {
    auto raw = encode(samples.some_frame());
    for (std::size_t bit = 0; bit < raw.size() * 8; ++bit) {
      auto flipped = raw;
      flipped[bit / 8] = static_cast<std::uint8_t>(flipped[bit / 8] ^ 1U << bit % 8);
      must_be_refused_or_whole(flipped);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_hello_with_any_bit_flipped_is_refused_or_is_another_whole_hello) {
  frame_samples samples{5};
  for (int i = 0; i < 20; ++i) {
    auto raw = encode(samples.some_hello());
    for (std::size_t bit = 0; bit < raw.size() * 8; ++bit) {
      auto flipped = raw;
      flipped[bit / 8] = static_cast<std::uint8_t>(flipped[bit / 8] ^ 1U << bit % 8);
      if (auto found = decode_hello(flipped)) {
        auto again = decode_hello(encode(*found));
        BOOST_REQUIRE(again.has_value());
        BOOST_REQUIRE((*again == *found));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(noise_is_refused_or_is_a_whole_frame) {
  frame_samples samples{6};
  for (int i = 0; i < 2'000; ++i)
    must_be_refused_or_whole(samples.some_bytes(samples.below(400)));
  // With a segment table that fits, the content is looked at.
  for (int i = 0; i < 20'000; ++i) {
    const auto words = 1 + samples.below(40);
    bytes raw{0, 0, 0, 0, static_cast<std::uint8_t>(words), 0, 0, 0};
    for (std::size_t k = 0; k < 8 * words; ++k)
      raw.push_back(static_cast<std::uint8_t>(samples.coin() ? 0 : samples.below(256)));
    must_be_refused_or_whole(raw);
  }
}

BOOST_AUTO_TEST_CASE(entries_break_no_rule_of_consensus) {
  BOOST_TEST(!refused(of(consensus{some_append(), {}})));
  auto broken = [](auto&& change) {
    auto append = some_append();
    change(append);
    return refused(of(consensus{std::move(append), {}}));
  };
  BOOST_TEST(broken([](auto& a) { a.term = term{}; }));
  BOOST_TEST(broken([](auto& a) { a.prev_term = term{}; }));
  BOOST_TEST(broken([](auto& a) { a.prev_index = log_index{}; }));
  BOOST_TEST(broken([](auto& a) { a.prev_term = term{6}; }));
  BOOST_TEST(broken([](auto& a) { a.entries[0].term = term{3}; }));
  BOOST_TEST(broken([](auto& a) { a.entries[0].term = term{6}; }));
  BOOST_TEST(broken([](auto& a) { a.entries[0].term = term{}; }));
  BOOST_TEST(broken([](auto& a) { a.entries[0].payload.clear(); }));
  BOOST_TEST(broken([](auto& a) { a.entries[0].type = raft::entry_type{0}; }));
  BOOST_TEST(broken([](auto& a) { a.entries[0].type = raft::entry_type{4}; }));
  BOOST_TEST(broken([](auto& a) { a.entries[0].type = raft::entry_type::barrier; }));
  BOOST_TEST(broken([](auto& a) { a.entries[0].type = raft::entry_type::change; }));
  BOOST_TEST(broken([](auto& a) { a.prev_index = log_index{UINT64_MAX - 1}; }));
  BOOST_TEST(broken([](auto& a) { a.leader_commit = log_index{(std::uint64_t{1} << 62) + 1}; }));
  BOOST_TEST(broken([](auto& a) { a.term = term{UINT64_MAX}; }));
  BOOST_TEST(broken([](auto& a) {
    a.entries.push_back({term{3}, raft::entry_type::command, bytes{1}});  // a term that goes back
  }));
}

BOOST_AUTO_TEST_CASE(a_hash_of_the_entry_before_the_first_is_refused) {
  auto append = some_append();
  append.prev_index = log_index{};
  append.prev_term = term{};
  digest chain;
  chain.raw[0] = 1;
  BOOST_TEST(refused(of(consensus{append, chain})));
  BOOST_TEST(!refused(of(consensus{append, {}})));
}

BOOST_AUTO_TEST_CASE(votes_are_asked_with_a_candidate_and_a_log_that_makes_sense) {
  BOOST_TEST(!refused(of(consensus{raft::request_vote{term{5}, raft::server_id{2}, log_index{7}, term{4}, false, true}, {}})));
  BOOST_TEST(refused(of(consensus{raft::request_vote{term{5}, raft::server_id{}, log_index{7}, term{4}, false, true}, {}})));
  BOOST_TEST(refused(of(consensus{raft::request_vote{term{5}, raft::server_id{2}, log_index{7}, term{}, false, true}, {}})));
  BOOST_TEST(refused(of(consensus{raft::request_vote{term{5}, raft::server_id{2}, log_index{7}, term{6}, false, true}, {}})));
  BOOST_TEST(refused(of(consensus{raft::request_vote_result{term{}, true, false}, {}})));
  BOOST_TEST(refused(of(consensus{raft::timeout_now{term{5}, log_index{1}, term{6}}, {}})));
}

BOOST_AUTO_TEST_CASE(a_snapshot_is_never_sent) {
  BOOST_CHECK_THROW(encode(of(consensus{raft::install_snapshot{}, {}})), std::logic_error);
}

BOOST_AUTO_TEST_CASE(a_position_that_cannot_be_is_refused) {
  frame_samples samples{7};
  position good{samples.some_id<store_id>(), samples.some_id<process_id>(), false, log_index{9}, term{3}, log_index{8},
                term{2}, samples.some_id<digest>()};
  BOOST_TEST(!refused(of(good)));
  auto broken = [&](auto&& change) {
    auto x = good;
    change(x);
    return refused(of(x));
  };
  BOOST_TEST(broken([](auto& x) { x.store = {}; }));
  BOOST_TEST(broken([](auto& x) { x.process = {}; }));
  BOOST_TEST(broken([](auto& x) { x.joining = true; }));
  BOOST_TEST(broken([](auto& x) { x.applied = log_index{10}; }));
  BOOST_TEST(broken([](auto& x) { x.applied_term = term{4}; }));
  BOOST_TEST(broken([](auto& x) { x.applied_chain = {}; }));
  BOOST_TEST(broken([](auto& x) { x.last_term = {}; }));
  BOOST_TEST(broken([](auto& x) { x.applied = {}; }));
}

BOOST_AUTO_TEST_CASE(proposals_and_their_answers_keep_to_their_limits) {
  proposals none;
  BOOST_TEST(refused(of(none)));
  proposals many;
  many.list.resize(items_max, {forward_ticket{1}, false, bytes{1}});
  BOOST_TEST(!refused(of(many)));
  many.list.push_back({forward_ticket{1}, false, bytes{1}});
  BOOST_TEST(refused(of(many)));
  BOOST_TEST(!refused(of(proposals{{{forward_ticket{1}, false, bytes(frame_bytes_max / 2 - 1, 7)}}})));
  BOOST_TEST(refused(of(proposals{{{forward_ticket{1}, false, bytes(frame_bytes_max / 2, 7)}}})));
  BOOST_TEST(!refused(of(proposals{{{forward_ticket{1}, false, bytes(payload_bytes_max - 1, 7)}, {{}, true, bytes{1}}}})));
  BOOST_TEST(refused(of(proposals{{{forward_ticket{1}, false, bytes(payload_bytes_max, 7)}, {{}, true, bytes{1}}}})));
  BOOST_TEST(refused(of(proposals{{{forward_ticket{1}, false, {}}}})));

  BOOST_TEST(refused(of(proposals_answered{})));
  BOOST_TEST(refused(of(proposals_answered{{{forward_ticket{1}, ec::ok, {}, {}}}})));
  BOOST_TEST(refused(of(proposals_answered{{{forward_ticket{1}, ec::overloaded, log_index{1}, term{1}}}})));
  // What no version has a word for.
  auto other = decode_frame(encode(of(proposals_answered{{{forward_ticket{1}, ec::corrupt, {}, {}}}})));
  BOOST_REQUIRE(other.has_value());
  BOOST_TEST((std::get<proposals_answered>(other->body).list[0].code == ec::internal));
}

BOOST_AUTO_TEST_CASE(payloads_that_share_their_bytes_are_refused) {
  // 1,000 entries that all point to the same 4,000 bytes: a small frame that would become 4 MB.
  outer_builder<schema::PeerFrame> out{200'000};
  auto frame = out.root();
  auto list = frame.initProposals(1'000);
  for (auto each : list)
    each.setEntry(data_of(bytes(8, 1)));
  list[0].setEntry(data_of(bytes(4'000, 1)));
  auto raw = out.finish();
  // Every entry is a data word or two and one pointer; the pointer of entry 0 is copied with its distance corrected.
  const std::size_t words = raw.size() / 8;
  auto word = [&](std::size_t at) { return reinterpret_cast<std::uint64_t*>(raw.data()) + at; };
  std::size_t tag = 0;
  for (std::size_t i = 1; i < words && tag == 0; ++i)
    if ((*word(i) & 3) == 0 && static_cast<std::uint32_t>(*word(i)) >> 2 == 1'000 && (*word(i) >> 48) == 1)
      tag = i;
  BOOST_REQUIRE(tag != 0);
  const auto data_words = *word(tag) >> 32 & 0xffff, each_words = data_words + 1;
  const auto first = tag + 1 + data_words;
  const auto target = first + 1 + static_cast<std::size_t>(static_cast<std::int32_t>(*word(first)) >> 2);
  for (std::size_t i = 1; i < 1'000; ++i) {
    const auto at = first + i * each_words;
    *word(at) = (*word(first) & 0xffffffff00000000ULL) | static_cast<std::uint32_t>(
      static_cast<std::uint32_t>(static_cast<std::int32_t>(target) - static_cast<std::int32_t>(at) - 1) << 2 | 1U);
  }
  auto found = decode_frame(raw);
  BOOST_REQUIRE(!found);
  BOOST_TEST((found.error().code == ec::malformed));
}

BOOST_AUTO_TEST_CASE(what_is_above_the_largest_frame_is_not_even_copied) {
  auto found = decode_frame(bytes(frame_bytes_max + 8, 0));
  BOOST_REQUIRE(!found);
  BOOST_TEST((found.error().code == ec::too_large));
}

BOOST_AUTO_TEST_CASE(small_things_with_a_wrong_size_or_a_zero_are_refused) {
  frame_samples samples{8};
  BOOST_TEST(refused(of(checkpoint{{}, samples.some_id<digest>(), samples.some_id<digest>()})));
  BOOST_TEST(refused(of(checkpoint{log_index{1}, {}, samples.some_id<digest>()})));
  BOOST_TEST(refused(of(checkpoint{log_index{1}, samples.some_id<digest>(), {}})));
  BOOST_TEST(refused(of(secret{})));
  BOOST_TEST(refused(of(member_assigned{samples.some_id<cluster_id>(), {}, samples.some_id<store_id>()})));
  BOOST_TEST(refused(of(admin_request{1, std::string(text_bytes_max + 1, 'x')})));
  BOOST_TEST(refused(of(admin_answer{1, true, "\xff"})));
  auto nameless = samples.some_hello();
  nameless.from.clear();
  BOOST_TEST(!decode_hello(encode(nameless)));
  nameless.from = std::string(node_name_bytes_max + 1, 'a');
  BOOST_TEST(!decode_hello(encode(nameless)));
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace signet::peer
