#include "storage/log/event_log.hpp"

#include "messages/envelope/labels.hpp"
#include "tests/support/scratch_directory.hpp"

#include <boost/test/unit_test.hpp>
#include <fstream>
#include <random>

namespace signet::storage {
namespace {

using testing::scratch_directory;

struct store {
  scratch_directory scratch;
  std::unique_ptr<environment> env = open();

  std::unique_ptr<environment> open() {
    environment_options options;
    options.directory = scratch.path() / "data";
    options.map_bytes = 64 << 20;
    auto opened = environment::open(options, all_tables());
    BOOST_REQUIRE_MESSAGE(opened.has_value(), (opened ? std::string{} : render(opened.error())));
    return std::move(*opened);
  }
  void reopen() {
    env.reset();
    env = open();
  }
  event_log::head append(term at, std::string_view payload, std::uint8_t type = 1) {
    auto txn = env->write();
    auto head = event_log::append(txn, event_log::find_head(txn), {at, type, as_bytes(payload)});
    txn.commit();
    return head;
  }
  void fill(std::uint64_t count, std::size_t payload_size = 10) {
    auto txn = env->write();
    auto head = event_log::find_head(txn);
    std::vector<bytes> payloads;
    std::vector<event_log::new_record> records;
    for (std::uint64_t n = 0; n < count; ++n)
      payloads.emplace_back(payload_size, static_cast<std::uint8_t>(n));
    for (auto& each : payloads)
      records.push_back({term{1}, 1, each});
    event_log::append(txn, head, records);
    txn.commit();
  }
  /// Writes the bytes of a record again, with a good row check: what a forger with the disk can do.
  void forge(log_index index, bytes_view value) {
    auto txn = env->write();
    txn.put(table::log::ref, encode_key(log_key{index}), value);
    txn.commit();
  }
  bytes raw(log_index index) const {
    auto txn = env->read();
    return to_bytes(txn.get(table::log::ref, encode_key(log_key{index})).value());
  }
  void set_applied(log_index index) {
    auto txn = env->write();
    applied_row row;
    row.index = index;
    bytes encoded;
    row.encode(encoded);
    put<table::state>(txn, {"applied"}, {encoded});
    txn.commit();
  }
};

bool is_corrupt(const storage_failure& failure) { return failure.code() == ec::corrupt; }
bool is_internal(const storage_failure& failure) { return failure.code() == ec::internal; }

} // namespace

BOOST_AUTO_TEST_SUITE(event_log_suite)

BOOST_AUTO_TEST_CASE(an_empty_log_has_no_head_and_no_first_record) {
  store s;
  auto txn = s.env->read();
  BOOST_TEST((event_log::find_head(txn) == event_log::head{}));
  BOOST_TEST(!event_log::find_first(txn));
  BOOST_TEST(!event_log::find(txn, log_index{1}));
  BOOST_TEST(!event_log::find_linked(txn, log_index{1}));
  BOOST_TEST(event_log::range(txn, log_index{1}, log_index{9}, 100).empty());
  auto walked = event_log::verify(txn);
  BOOST_TEST(walked.records == 0U);
  BOOST_TEST(!walked.broken);
}

BOOST_AUTO_TEST_CASE(the_bytes_on_disk_are_those_of_the_documented_example) {
  store s;
  auto head = s.append(term{2}, "hi");
  auto value = s.raw(log_index{1});
  BOOST_TEST(to_hex(value) == "000000000000000201" + std::string(64, '0') + "6869");
  BOOST_TEST(to_hex(encode_key(log_key{log_index{1}}).view()) == "00000000000000000001");
  bytes content;
  append_u64(content, 1);
  append(content, value);
  BOOST_TEST((head.hash == hash(label::log_record, content)));
}

BOOST_AUTO_TEST_CASE(records_follow_one_another_and_survive_a_restart) {
  store s;
  auto first = s.append(term{1}, "one");
  auto second = s.append(term{1}, "two", 2);
  auto third = s.append(term{4}, "");
  s.reopen();
  auto txn = s.env->read();
  BOOST_TEST((event_log::find_head(txn) == third));
  BOOST_TEST((event_log::find_first(txn) == log_index{1}));
  auto found = event_log::find_linked(txn, log_index{2}).value();
  BOOST_TEST(as_text(found.record.payload) == "two");
  BOOST_TEST(found.record.type == 2);
  BOOST_TEST((found.record.term == term{1}));
  BOOST_TEST((found.record.previous == first.hash));
  BOOST_TEST((found.hash == second.hash));
  BOOST_TEST((event_log::find(txn, log_index{3})->previous == second.hash));
  BOOST_TEST((third.index == log_index{3} && third.term == term{4}));
}

BOOST_AUTO_TEST_CASE(what_was_not_committed_is_not_in_the_log) {
  store s;
  auto head = s.append(term{1}, "kept");
  {
    auto txn = s.env->write();
    event_log::append(txn, head, {term{1}, 1, as_bytes("lost")});
  }
  auto txn = s.env->read();
  BOOST_TEST((event_log::find_head(txn) == head));
}

BOOST_AUTO_TEST_CASE(a_term_never_goes_back) {
  store s;
  auto head = s.append(term{3}, "three");
  auto txn = s.env->write();
  BOOST_CHECK_EXCEPTION(event_log::append(txn, head, {term{2}, 1, {}}), storage_failure, is_internal);
}

BOOST_AUTO_TEST_CASE(a_tail_is_truncated_and_another_takes_its_place) {
  store s;
  s.append(term{1}, "a");
  auto kept = s.append(term{1}, "b");
  s.append(term{1}, "c");
  s.append(term{1}, "d");
  {
    auto txn = s.env->write();
    BOOST_TEST((event_log::truncate(txn, log_index{3}) == kept));
    BOOST_TEST((event_log::truncate(txn, log_index{99}) == kept));
    event_log::append(txn, kept, {term{2}, 1, as_bytes("C")});
    txn.commit();
  }
  auto txn = s.env->read();
  BOOST_TEST(as_text(event_log::find_linked(txn, log_index{3})->record.payload) == "C");
  BOOST_TEST(!event_log::find(txn, log_index{4}));
  BOOST_TEST(event_log::verify(txn).records == 3U);
}

BOOST_AUTO_TEST_CASE(what_is_applied_cannot_be_truncated) {
  store s;
  s.fill(5);
  s.set_applied(log_index{3});
  auto txn = s.env->write();
  BOOST_CHECK_EXCEPTION(event_log::truncate(txn, log_index{3}), storage_failure, is_internal);
  BOOST_CHECK_EXCEPTION(event_log::truncate(txn, log_index{1}), storage_failure, is_internal);
  BOOST_TEST((event_log::truncate(txn, log_index{4}).index == log_index{3}));
}

BOOST_AUTO_TEST_CASE(a_range_ends_at_its_budget_but_gives_one_record_at_least) {
  store s;
  s.fill(10, 100);
  auto txn = s.env->read();
  auto count = [&](std::uint64_t from, std::uint64_t end, std::size_t budget) {
    return event_log::range(txn, log_index{from}, log_index{end}, budget).size();
  };
  BOOST_TEST(count(1, 11, 10'000) == 10U);
  BOOST_TEST(count(1, 11, 1'000) == 10U);
  BOOST_TEST(count(1, 11, 999) == 9U);
  BOOST_TEST(count(1, 11, 0) == 1U);
  BOOST_TEST(count(4, 6, 10'000) == 2U);
  BOOST_TEST(count(4, 4, 10'000) == 0U);
  BOOST_TEST(count(10, 99, 10'000) == 1U);
  BOOST_TEST(count(11, 99, 10'000) == 0U);
  auto part = event_log::range(txn, log_index{4}, log_index{7}, 10'000);
  BOOST_TEST((part.front().index == log_index{4} && part.back().index == log_index{6}));
  BOOST_TEST((part[1].record.previous == part[0].hash));
}

BOOST_AUTO_TEST_CASE(a_change_of_any_byte_of_a_record_breaks_the_chain_even_with_a_good_row_check) {
  store s;
  s.append(term{1}, "before");
  s.append(term{1}, "the victim");
  s.append(term{1}, "after");
  auto good = s.raw(log_index{2});
  for (std::size_t at = 0; at < good.size(); ++at) {
    auto bad = good;
    bad[at] ^= static_cast<std::uint8_t>(1U << (at % 8));
    s.forge(log_index{2}, bad);
    auto txn = s.env->read();
    BOOST_CHECK_EXCEPTION(event_log::find_linked(txn, log_index{2}), storage_failure, is_corrupt);
    BOOST_CHECK_EXCEPTION(event_log::find_linked(txn, log_index{3}), storage_failure, is_corrupt);
    BOOST_CHECK_EXCEPTION(event_log::range(txn, log_index{1}, log_index{4}, 1'000), storage_failure, is_corrupt);
    // The record behind the range is looked at as well.
    BOOST_CHECK_EXCEPTION(event_log::range(txn, log_index{2}, log_index{3}, 1'000), storage_failure, is_corrupt);
    auto walked = event_log::verify(txn);
    BOOST_REQUIRE(walked.broken);
    BOOST_TEST((walked.broken->code == ec::corrupt));
    BOOST_TEST(walked.records <= 2U);
  }
  s.forge(log_index{2}, good);
  auto txn = s.env->read();
  BOOST_TEST(!event_log::verify(txn).broken);
}

BOOST_AUTO_TEST_CASE(a_change_of_any_byte_of_the_newest_record_changes_the_head) {
  store s;
  s.append(term{1}, "before");
  auto head = s.append(term{1}, "newest");
  auto good = s.raw(log_index{2});
  for (std::size_t at = 0; at < good.size(); ++at) {
    auto bad = good;
    bad[at] ^= 0x40;
    s.forge(log_index{2}, bad);
    auto txn = s.env->read();
    BOOST_TEST((event_log::find_head(txn).hash != head.hash));
  }
}

BOOST_AUTO_TEST_CASE(a_flip_of_any_stored_byte_of_a_record_on_disk_is_found) {
  store s;
  std::string needle = "a payload that stands nowhere else";
  s.append(term{1}, "before");
  s.append(term{0x11}, needle);
  auto value = s.raw(log_index{2});
  s.env.reset();
  auto path = s.scratch.path() / "data" / "data.mdb";
  std::string whole;
  {
    std::ifstream file{path, std::ios::binary};
    whole.assign(std::istreambuf_iterator<char>{file}, {});
  }
  // The whole value and the row check behind it, wherever a page holds a copy.
  std::vector<std::size_t> copies;
  for (auto at = whole.find(as_text(value)); at != std::string::npos; at = whole.find(as_text(value), at + 1))
    copies.push_back(at);
  BOOST_REQUIRE(!copies.empty());
  for (std::size_t at = 0; at < value.size() + 8; ++at) {
    auto damaged = whole;
    for (auto copy : copies)
      damaged[copy + at] = static_cast<char>(damaged[copy + at] ^ (1 << (at % 8)));
    std::ofstream{path, std::ios::binary}.write(damaged.data(), static_cast<std::streamsize>(damaged.size()));
    s.env = s.open();
    {
      auto txn = s.env->read();
      BOOST_CHECK_EXCEPTION(event_log::find(txn, log_index{2}), storage_failure, is_corrupt);
      BOOST_CHECK_EXCEPTION(event_log::find_head(txn), storage_failure, is_corrupt);
      auto walked = event_log::verify(txn);
      BOOST_REQUIRE(walked.broken);
      BOOST_TEST(walked.records == 1U);
    }
    s.env.reset();
  }
}

BOOST_AUTO_TEST_CASE(a_missing_record_is_found) {
  store s;
  s.fill(4);
  {
    auto txn = s.env->write();
    erase<table::log>(txn, {log_index{2}});
    txn.commit();
  }
  auto txn = s.env->read();
  BOOST_CHECK_EXCEPTION(event_log::range(txn, log_index{1}, log_index{4}, 1'000), storage_failure, is_corrupt);
  auto walked = event_log::verify(txn);
  BOOST_REQUIRE(walked.broken);
  BOOST_TEST((walked.last.index == log_index{1}));
}

BOOST_AUTO_TEST_CASE(a_record_moved_to_another_index_is_found) {
  store s;
  s.fill(4);
  s.forge(log_index{3}, s.raw(log_index{2}));
  auto txn = s.env->read();
  BOOST_TEST(event_log::verify(txn).broken.has_value());
  BOOST_CHECK_EXCEPTION(event_log::find_linked(txn, log_index{3}), storage_failure, is_corrupt);
}

BOOST_AUTO_TEST_CASE(a_walk_can_begin_behind_a_known_record) {
  store s;
  s.fill(6);
  auto txn = s.env->read();
  auto known = event_log::find_linked(txn, log_index{4}).value();
  std::vector<std::uint64_t> seen;
  auto walked = event_log::verify(txn, {known.index, known.record.term, known.hash},
                                  [&](const auto& each) { seen.push_back(value(each.index)); });
  BOOST_TEST(!walked.broken);
  BOOST_TEST(seen == (std::vector<std::uint64_t>{5, 6}), boost::test_tools::per_element());
  BOOST_TEST((walked.last == event_log::find_head(txn)));
  auto other = known.hash;
  other.raw[0] ^= 1;
  BOOST_TEST(event_log::verify(txn, {known.index, known.record.term, other}).broken.has_value());
}

BOOST_AUTO_TEST_CASE(large_records_are_whole) {
  store s;
  std::string large(1 << 20, 'x');
  std::mt19937 random{3};
  for (auto& each : large)
    each = static_cast<char>(random());
  s.append(term{1}, large);
  s.append(term{1}, "small");
  s.reopen();
  auto txn = s.env->read();
  BOOST_TEST((as_text(event_log::find_linked(txn, log_index{1})->record.payload) == large));
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace signet::storage
