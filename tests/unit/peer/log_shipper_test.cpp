#include "storage/peer/log_shipper.hpp"

#include "storage/peer/chain_check.hpp"
#include "storage/tables.hpp"

#include <boost/test/unit_test.hpp>
#include <random>

namespace signet::peer {
namespace {

using raft::append_entries;
using raft::append_entries_result;
using raft::entry;
using raft::entry_type;

/// A log in memory, with its chain.
struct plain_log {
  std::vector<entry> entries;
  std::vector<digest> chain;

  log_index last() const { return log_index{entries.size()}; }
  void add(entry e) {
    storage::log_record record;
    record.term = e.term;
    record.type = static_cast<std::uint8_t>(e.type);
    record.previous = chain.empty() ? digest{} : chain.back();
    record.payload = e.payload;
    chain.push_back(storage::record_hash(next(last()), record));
    entries.push_back(std::move(e));
  }
  void add_command(std::uint64_t at, std::size_t size_bytes = 10, std::uint8_t fill = 1) {
    add({term{at}, entry_type::command, bytes(size_bytes, fill)});
  }
  void cut(log_index from) {
    entries.resize(value(from) - 1);
    chain.resize(value(from) - 1);
  }
  std::optional<known_record> find(log_index index) const {
    if (index == log_index{} || index > last())
      return std::nullopt;
    return known_record{entries[value(index) - 1].term, chain[value(index) - 1]};
  }
  slice_reader reader() const {
    return [this](log_index from, std::size_t entries_max, std::size_t bytes_max) -> std::optional<log_slice> {
      log_slice out;
      if (from > log_index{1}) {
        auto before = find(log_index{value(from) - 1});
        if (!before)
          return std::nullopt;
        out.prev_term = before->term;
        out.prev_chain = before->chain;
      }
      std::size_t used = 0;
      for (auto i = value(from); i <= entries.size() && out.entries.size() < entries_max; ++i) {
        used += entries[i - 1].payload.size();
        if (!out.entries.empty() && used > bytes_max)
          break;
        out.entries.push_back(entries[i - 1]);
      }
      return out;
    };
  }
};

position standing_at(const plain_log& log, std::uint64_t applied) {
  position out;
  out.store.raw[0] = out.process.raw[0] = 1;
  out.last = log.last();
  out.applied = log_index{applied};
  if (applied > 0) {
    out.applied_term = log.find(log_index{applied})->term;
    out.applied_chain = log.find(log_index{applied})->chain;
    out.last_term = log.find(log.last())->term;
  }
  return out;
}

/// A follower as consensus has it: refuses what does not fit, skips what it has, truncates what conflicts.
struct follower {
  plain_log log;
  log_index applied{};
  std::optional<std::string> diverged;

  append_entries_result take(const consensus& what) {
    const auto& append = std::get<append_entries>(what.message);
    diverged = find_divergence(append, what.prev_chain, applied, [&](log_index index) { return log.find(index); });
    if (append.prev_index != log_index{}) {
      auto before = log.find(append.prev_index);
      if (!before || before->term != append.prev_term)
        return {append.term, append.prev_index, log.last()};
    }
    auto index = append.prev_index;
    for (const auto& e : append.entries) {
      index = next(index);
      if (auto mine = log.find(index)) {
        if (mine->term == e.term)
          continue;
        log.cut(index);
      }
      log.add(e);
    }
    applied = std::max(applied, std::min(append.leader_commit, index));
    return {append.term, {}, log.last()};
  }
};

constexpr term this_term{9};

} // namespace

BOOST_AUTO_TEST_SUITE(log_shipping)

BOOST_AUTO_TEST_CASE(an_empty_follower_gets_the_whole_log_in_frames_within_their_limits) {
  plain_log log;
  for (int i = 0; i < 5'000; ++i)
    log.add_command(1 + static_cast<std::uint64_t>(i) / 1'000, 50);
  follower empty;
  ship_options options;
  options.frame_entries_max = 100;
  options.frame_bytes_max = 2'000;
  options.frames_in_flight_max = 4;
  log_shipper shipper{standing_at(empty.log, 0), options};
  BOOST_TEST((shipper.compare(log.reader()) == log_shipper::beginning::ships));
  std::uint64_t now = 0;
  int rounds = 0;
  while (!shipper.done(log.last()) && ++rounds < 1'000) {
    auto frames = shipper.frames(steady_ms{++now}, this_term, log.last(), log.reader());
    BOOST_REQUIRE(!frames.empty() && frames.size() <= 4u);
    for (const auto& frame : frames) {
      const auto& append = std::get<append_entries>(frame.message);
      BOOST_REQUIRE(append.entries.size() == 40u);
      BOOST_REQUIRE((append.term == this_term && append.fill_count == 0));
      shipper.on_result(empty.take(frame), steady_ms{now});
      BOOST_REQUIRE(!empty.diverged);
    }
  }
  BOOST_TEST((empty.log.entries == log.entries));
  BOOST_TEST((empty.applied == log.last()));
  BOOST_TEST(shipper.restarts() == 0u);
}

BOOST_AUTO_TEST_CASE(an_entry_larger_than_a_frame_goes_alone) {
  plain_log log;
  log.add_command(1, 10);
  log.add_command(1, 5'000);
  log.add_command(1, 10);
  ship_options options;
  options.frame_bytes_max = 1'000;
  log_shipper shipper{standing_at({}, 0), options};
  auto frames = shipper.frames(steady_ms{1}, this_term, {}, log.reader());
  BOOST_REQUIRE(frames.size() == 3u);
  for (const auto& frame : frames)
    BOOST_TEST(std::get<append_entries>(frame.message).entries.size() == 1u);
}

BOOST_AUTO_TEST_CASE(shipping_begins_at_what_the_follower_has_applied_and_replaces_a_stale_tail) {
  plain_log log;
  for (int i = 0; i < 100; ++i)
    log.add_command(3);
  follower stale;
  for (int i = 0; i < 40; ++i)
    stale.log.add(log.entries[static_cast<std::size_t>(i)]);
  stale.applied = log_index{30};
  stale.log.cut(log_index{36});
  for (int i = 0; i < 20; ++i)
    stale.log.add_command(2, 10, 7);  // of a leader that was never followed by a majority
  log_shipper shipper{standing_at(stale.log, 30)};
  BOOST_TEST((shipper.compare(log.reader()) == log_shipper::beginning::ships));
  for (const auto& frame : shipper.frames(steady_ms{1}, this_term, log.last(), log.reader())) {
    BOOST_TEST((std::get<append_entries>(frame.message).prev_index == log_index{30}));
    shipper.on_result(stale.take(frame), steady_ms{1});
    BOOST_TEST(!stale.diverged);
  }
  BOOST_TEST(shipper.done(log.last()));
  BOOST_TEST((stale.log.entries == log.entries));
}

BOOST_AUTO_TEST_CASE(a_follower_that_has_applied_something_else_or_more_is_not_shipped_to) {
  plain_log log, other;
  for (int i = 0; i < 10; ++i) {
    log.add_command(3);
    other.add_command(3, 10, static_cast<std::uint8_t>(i == 4 ? 9 : 1));
  }
  BOOST_TEST((log_shipper{standing_at(other, 4)}.compare(log.reader()) == log_shipper::beginning::ships));
  BOOST_TEST((log_shipper{standing_at(other, 5)}.compare(log.reader()) == log_shipper::beginning::diverged));
  BOOST_TEST((log_shipper{standing_at(other, 10)}.compare(log.reader()) == log_shipper::beginning::diverged));
  BOOST_TEST((log_shipper{standing_at(log, 10)}.compare(log.reader()) == log_shipper::beginning::ships));
  other.add_command(3);
  BOOST_TEST((log_shipper{standing_at(other, 11)}.compare(log.reader()) == log_shipper::beginning::ahead));
}

BOOST_AUTO_TEST_CASE(nothing_accepted_for_a_while_sends_again_from_what_was_accepted_and_waits_longer_each_time) {
  plain_log log;
  for (int i = 0; i < 100; ++i)
    log.add_command(1);
  ship_options options;
  options.frame_entries_max = 10;
  options.frames_in_flight_max = 3;
  follower one;
  log_shipper shipper{standing_at({}, 0), options};
  auto first = shipper.frames(steady_ms{1'000}, this_term, {}, log.reader());
  shipper.on_result(one.take(first[0]), steady_ms{1'100});
  BOOST_TEST((shipper.matched() == log_index{10}));
  BOOST_TEST(shipper.frames(steady_ms{1'100}, this_term, {}, log.reader()).size() == 1u);  // the window moves on
  BOOST_TEST((shipper.next_timeout() == steady_ms{2'100}));
  BOOST_TEST(shipper.frames(steady_ms{2'099}, this_term, {}, log.reader()).empty());
  auto again = shipper.frames(steady_ms{2'100}, this_term, {}, log.reader());
  BOOST_REQUIRE(again.size() == 3u);
  BOOST_TEST((std::get<append_entries>(again[0].message).prev_index == log_index{10}));
  BOOST_TEST((shipper.next_timeout() == steady_ms{4'100}));
  for (std::uint64_t now = 4'100; now < 100'000; now += 100)
    shipper.frames(steady_ms{now}, this_term, {}, log.reader());
  BOOST_TEST(shipper.restarts() >= 10u);
  BOOST_TEST(shipper.restarts() <= 16u);
}

BOOST_AUTO_TEST_CASE(one_lost_frame_is_sent_again_at_the_first_refusal_and_the_others_change_nothing) {
  plain_log log;
  for (int i = 0; i < 100; ++i)
    log.add_command(1);
  ship_options options;
  options.frame_entries_max = 10;
  options.frames_in_flight_max = 8;
  follower one;
  log_shipper shipper{standing_at({}, 0), options};
  auto sent = shipper.frames(steady_ms{1}, this_term, {}, log.reader());
  std::size_t sent_again = 0;
  for (std::size_t i = 0; i < sent.size(); ++i) {
    if (i == 1)
      continue;  // lost
    shipper.on_result(one.take(sent[i]), steady_ms{2});
    if (i > 1)
      sent_again += shipper.frames(steady_ms{2}, this_term, {}, log.reader()).size();
  }
  BOOST_TEST(shipper.restarts() == 1u);
  BOOST_TEST(sent_again == 8u);
}

BOOST_AUTO_TEST_CASE(a_result_that_claims_more_than_was_sent_is_not_believed) {
  plain_log log;
  for (int i = 0; i < 100; ++i)
    log.add_command(1);
  ship_options options;
  options.frame_entries_max = 10;
  options.frames_in_flight_max = 2;
  log_shipper shipper{standing_at({}, 0), options};
  shipper.frames(steady_ms{1}, this_term, {}, log.reader());
  shipper.on_result({this_term, {}, log_index{1'000'000}}, steady_ms{1});
  BOOST_TEST((shipper.matched() == log_index{20}));
}

BOOST_AUTO_TEST_CASE(over_a_network_that_loses_doubles_and_reorders_every_follower_gets_the_leaders_log) {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    std::mt19937_64 random{seed};
    plain_log log;
    std::uint64_t at = 1;
    for (auto left = 200 + random() % 800; left > 0; --left) {
      at += random() % 50 == 0;
      log.add_command(at, 1 + random() % 60, static_cast<std::uint8_t>(random()));
    }
    follower other;
    const auto common = random() % value(log.last());
    for (std::size_t i = 0; i < common; ++i)
      other.log.add(log.entries[i]);
    other.applied = log_index{common == 0 ? 0 : random() % common};
    ship_options options;
    options.frame_entries_max = 1 + random() % 50;
    options.frames_in_flight_max = 1 + random() % 8;
    log_shipper shipper{standing_at(other.log, value(other.applied)), options};
    BOOST_REQUIRE((shipper.compare(log.reader()) == log_shipper::beginning::ships));

    std::vector<consensus> there;
    std::vector<append_entries_result> back;
    std::uint64_t now = 0;
    const auto some = [&](auto& queue, auto&& deliver) {
      if (queue.empty())
        return;
      const auto i = random() % std::min<std::size_t>(queue.size(), 4);
      auto one = queue[i];
      if (random() % 10 != 0)  // else it comes twice
        queue.erase(queue.begin() + static_cast<std::ptrdiff_t>(i));
      if (random() % 5 != 0)
        deliver(one);
    };
    while (!shipper.done(log.last()) && now < 2'000'000) {
      now += 5;
      for (auto& frame : shipper.frames(steady_ms{now}, this_term, log.last(), log.reader()))
        there.push_back(std::move(frame));
      some(there, [&](const consensus& frame) {
        back.push_back(other.take(frame));
        BOOST_REQUIRE_MESSAGE(!other.diverged, other.diverged.value_or(""));
      });
      some(back, [&](const append_entries_result& result) { shipper.on_result(result, steady_ms{now}); });
    }
    BOOST_REQUIRE_MESSAGE(other.log.entries == log.entries, "seed " << seed);
    BOOST_REQUIRE(other.applied == log.last());
  }
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(chain_of_appended_entries)

struct two_logs {
  plain_log mine, leaders;
  two_logs() {
    for (int i = 0; i < 10; ++i) {
      mine.add_command(3);
      leaders.add_command(3);
    }
  }
  std::optional<std::string> check(std::uint64_t prev, std::uint64_t count, std::uint64_t applied, bool told = true) const {
    append_entries append;
    append.term = this_term;
    append.prev_index = log_index{prev};
    if (prev > 0)
      append.prev_term = leaders.find(log_index{prev})->term;
    for (auto i = prev; i < prev + count; ++i)
      append.entries.push_back(leaders.entries[i]);
    return find_divergence(append, told && prev > 0 ? leaders.find(log_index{prev})->chain : digest{}, log_index{applied},
                           [&](log_index index) { return mine.find(index); });
  }
};

BOOST_FIXTURE_TEST_CASE(what_continues_the_log_or_repeats_it_fits, two_logs) {
  for (int i = 0; i < 5; ++i)
    leaders.add_command(4);
  for (std::uint64_t prev = 0; prev <= 15; ++prev)
    for (std::uint64_t count = 0; prev + count <= 15; ++count)
      for (bool told : {true, false})
        BOOST_TEST(!check(prev, count, 10, told));
}

BOOST_FIXTURE_TEST_CASE(another_hash_before_the_entries_is_a_divergence_also_above_what_is_applied, two_logs) {
  mine.cut(log_index{8});
  for (int i = 0; i < 3; ++i)
    mine.add_command(3, 10, 9);  // the same terms, other content
  BOOST_TEST(!check(7, 0, 5));
  BOOST_TEST(check(8, 0, 5).has_value());
  BOOST_TEST(check(10, 0, 5).has_value());
  BOOST_TEST(check(10, 0, 5)->find("record 10 ") != std::string::npos);
  BOOST_TEST(!check(10, 0, 5, false));  // it was not told
}

BOOST_FIXTURE_TEST_CASE(an_entry_with_our_term_and_other_content_is_a_divergence, two_logs) {
  mine.cut(log_index{8});
  for (int i = 0; i < 3; ++i)
    mine.add_command(3, 10, 9);
  BOOST_TEST(!check(0, 7, 10));
  BOOST_TEST(check(0, 8, 10).has_value());
  BOOST_TEST(check(5, 5, 5)->find("record 8 ") != std::string::npos);
}

BOOST_FIXTURE_TEST_CASE(another_term_above_what_is_applied_is_for_the_core_and_below_it_a_divergence, two_logs) {
  mine.cut(log_index{8});
  for (int i = 0; i < 3; ++i)
    mine.add_command(2);
  BOOST_TEST(!check(5, 5, 7));
  BOOST_TEST(check(5, 5, 8).has_value());
  BOOST_TEST(!check(9, 1, 7));
  BOOST_TEST(check(9, 1, 9).has_value());
}

BOOST_FIXTURE_TEST_CASE(entries_behind_a_gap_are_for_the_core, two_logs) {
  for (int i = 0; i < 5; ++i)
    leaders.add_command(4);
  BOOST_TEST(!check(12, 2, 10));
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace signet::peer
