#include "storage/tables.hpp"

#include <boost/test/unit_test.hpp>
#include <rapidcheck.h>

#include <random>
#include <set>

namespace signet::storage {
namespace {

template <class Id>
Id some_id(std::mt19937_64& random) {
  Id out;
  for (auto& each : out.raw)
    each = static_cast<std::uint8_t>(random());
  return out;
}
template <number E>
E some_number(std::mt19937_64& random) { return E{random() >> (random() % 64)}; }
std::string some_text(std::mt19937_64& random, std::size_t max) {
  std::string out(random() % (max + 1), 'x');
  for (auto& each : out)
    each = static_cast<char>('a' + random() % 26);
  return out;
}
bytes some_bytes(std::mt19937_64& random, std::size_t max) {
  bytes out(random() % (max + 1));
  for (auto& each : out)
    each = static_cast<std::uint8_t>(random());
  return out;
}
leaf_list some_leaves(std::mt19937_64& random) {
  leaf_list out;
  for (std::uint16_t leaf = 0; leaf < 40; ++leaf)
    if (random() % 3 != 0)
      out.add(leaf);
  return out;
}

/// What was encoded decodes to the same, and no shorter or longer row decodes at all.
template <class Key>
void check_key(const Key& key, bool open_ended = false) {
  auto raw = to_bytes(encode_key(key).view());
  auto back = Key::decode(raw);
  BOOST_REQUIRE(back.has_value());
  BOOST_CHECK(*back == key);
  if (open_ended)
    return;
  raw.push_back(0);
  BOOST_CHECK(!Key::decode(raw));
  raw.resize(raw.size() - 2);
  BOOST_CHECK(!Key::decode(raw));
}
template <class Value>
void check_value(const Value& value, bool open_ended = false) {
  bytes raw;
  value.encode(raw);
  auto back = Value::decode(raw);
  BOOST_REQUIRE(back.has_value());
  BOOST_CHECK(*back == value);
  if (open_ended)
    return;
  raw.push_back(0);
  BOOST_CHECK(!Value::decode(raw));
  raw.resize(raw.size() - 2);
  BOOST_CHECK(!Value::decode(raw));
}

BOOST_AUTO_TEST_SUITE(tables)

BOOST_AUTO_TEST_CASE(every_table_has_its_own_slot_and_name) {
  std::set<std::string_view> names;
  std::size_t slot = 0;
  for (auto where : all_tables()) {
    BOOST_CHECK_EQUAL(where.slot, slot++);
    BOOST_CHECK(names.insert(where.name).second);
  }
  BOOST_CHECK(!is_replicated(table::log::ref));
  BOOST_CHECK(!is_replicated(table::meta::ref));
  BOOST_CHECK(!is_replicated(table::members_seen::ref));
  BOOST_CHECK(is_replicated(table::lanes::ref));
}

BOOST_AUTO_TEST_CASE(every_row_decodes_to_what_was_encoded_and_to_nothing_when_cut_or_extended) {
  std::mt19937_64 random{7};
  for (int round = 0; round < 200; ++round) {
    check_key(log_key{some_number<log_index>(random)});
    check_key(identity_version_key{some_id<permalink>(random), static_cast<std::uint32_t>(random())});
    check_key(lane_run_key{{some_id<public_key>(random), some_id<permalink>(random)}, some_number<lane_number>(random)});
    check_key(inbox_run_key{some_id<permalink>(random), some_number<inbox_position>(random)});
    const session_row_key session{some_id<permalink>(random), "c" + some_text(random, 127)};
    check_key(session, true);
    check_key(session_end_key{some_number<wall_ms>(random), session}, true);
    const nonce_key nonce{some_id<public_key>(random), some_id<token_nonce>(random)};
    check_key(nonce);
    check_key(nonce_end_key{some_number<wall_ms>(random), nonce});
    check_key(cursor_key{some_id<permalink>(random), some_id<public_key>(random)});
    check_key(event_key{some_number<log_index>(random), static_cast<std::uint32_t>(random())});
    check_key(fork_key{{some_id<public_key>(random), some_id<permalink>(random)}, some_number<lane_number>(random),
                       some_id<link>(random)});
    check_key(dead_letter_key{some_id<permalink>(random), some_number<inbox_position>(random)});
    check_key(id_key<public_key>{some_id<public_key>(random)});

    check_value(format_row{});
    check_value(applied_row{some_number<log_index>(random), some_id<digest>(random), some_number<wall_ms>(random)});
    check_value(identity_row{static_cast<std::uint32_t>(random()), some_id<link>(random), some_number<log_index>(random),
                             some_id<digest>(random)});
    check_value(key_row{some_id<permalink>(random), key_purpose::encrypt, some_number<log_index>(random),
                        some_number<log_index>(random)});
    check_value(link_row{some_id<permalink>(random), static_cast<std::uint32_t>(random())});
    check_value(lane_run{some_number<log_index>(random), some_number<lane_number>(random), some_id<link>(random),
                         some_leaves(random)});
    check_value(inbox_run{some_number<log_index>(random), some_number<inbox_position>(random),
                          static_cast<std::uint32_t>(random()), some_leaves(random)});
    check_value(session_row{some_id<public_key>(random), random(), some_number<wall_ms>(random),
                            some_number<wall_ms>(random)});
    check_value(nonce_row{some_number<wall_ms>(random)});
    check_value(cursor_row{some_number<inbox_position>(random)});
    check_value(event_row{some_number<wall_ms>(random), static_cast<std::uint32_t>(random()), some_text(random, 64),
                          some_bytes(random, 64), some_bytes(random, 64), some_text(random, 200),
                          some_text(random, 60)});
    check_value(counter_row{random(), some_number<log_index>(random)});
    check_value(fork_row{some_number<log_index>(random), static_cast<std::uint16_t>(random()),
                         some_number<log_index>(random)});
    check_value(bot_row{random(), some_number<inbox_position>(random), static_cast<std::uint32_t>(random()), random(),
                        random(), some_text(random, 60)},
                true);
    member_seen_row seen{some_id<peer::store_id>(random), random(), some_number<term>(random),
                         some_number<log_index>(random), some_number<log_index>(random), some_number<wall_ms>(random), {}};
    for (auto left = random() % (member_seen_row::older_stores_max + 1); left > 0; --left)
      seen.older_stores.push_back(some_id<peer::store_id>(random));
    check_value(seen);
    check_value(dead_letter_row{some_number<log_index>(random), some_number<wall_ms>(random),
                                static_cast<std::uint32_t>(random()), some_text(random, 200)},
                true);
  }
}

BOOST_AUTO_TEST_CASE(keys_stand_in_the_order_of_their_numbers) {
  std::mt19937_64 random{3};
  const lane_id lane{some_id<public_key>(random), some_id<permalink>(random)};
  for (int round = 0; round < 1000; ++round) {
    auto a = some_number<lane_number>(random), b = some_number<lane_number>(random);
    auto left = encode_key(lane_run_key{lane, a}), right = encode_key(lane_run_key{lane, b});
    const bool before = std::lexicographical_compare(left.view().begin(), left.view().end(), right.view().begin(),
                                                     right.view().end());
    BOOST_CHECK_EQUAL(before, a < b);
  }
}

BOOST_AUTO_TEST_CASE(a_leaf_list_keeps_what_was_added) {
  BOOST_CHECK(rc::check([] {
    const auto chosen = *rc::gen::container<std::set<std::uint16_t>>(rc::gen::inRange<std::uint16_t>(0, 1024));
    leaf_list list;
    for (auto leaf : chosen)
      list.add(leaf);
    RC_ASSERT(list.size() == chosen.size());
    bytes raw;
    list.encode(raw);
    auto back = leaf_list::decode(raw);
    RC_ASSERT(back.has_value() && *back == list);
    std::size_t at = 0;
    for (auto leaf : chosen)
      RC_ASSERT(back->at(at++) == leaf);
  }));
}

BOOST_AUTO_TEST_CASE(a_leaf_list_that_no_encoder_wrote_is_refused) {
  const auto refused = [](std::string_view hex) { return !leaf_list::decode(*from_hex(hex)); };
  BOOST_CHECK(!refused("000100050002"));
  BOOST_CHECK(refused("0001000500"));                // cut
  BOOST_CHECK(refused("00010005000200"));            // too long
  BOOST_CHECK(refused("000100050000"));              // an empty range
  BOOST_CHECK(refused("00020005000200040001"));      // falling
  BOOST_CHECK(refused("00020005000200070001"));      // touching: would have been one range
  BOOST_CHECK(refused("0001ffff0002"));              // beyond the largest leaf number
}

BOOST_AUTO_TEST_CASE(a_key_that_is_longer_than_any_table_allows_throws_instead_of_being_cut) {
  const session_row_key key{{}, std::string(300, 'x')};
  BOOST_CHECK_THROW(encode_key(key), storage_failure);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace
} // namespace signet::storage
