// The explorer's idea of a disk, by itself.

#include "tests/system/crash/disk_model.hpp"

#include <boost/test/unit_test.hpp>
#include <set>

namespace signet::crash {
namespace {

event call(trace_kind kind, std::uint32_t file = 0, std::uint64_t offset = 0, std::string data = {},
           std::uint32_t flags = 0) {
  event out;
  out.kind = kind;
  out.file = file;
  out.offset = offset;
  out.data = std::move(data);
  out.flags = flags;
  return out;
}
event named(trace_kind kind, std::string path, std::string path_to = {}, std::uint32_t file = 0) {
  event out;
  out.kind = kind;
  out.path = std::move(path);
  out.path_to = std::move(path_to);
  out.file = file;
  out.flags = kind == trace_open ? trace_created : 0;
  return out;
}

/// Every content that the file can be left with; "absent" when it is not there.
std::set<std::string> outcomes(const disk_model& disk, const std::string& path, const tearing& how = {},
                               const event* during = nullptr) {
  std::set<std::string> out;
  random_bits random{1};
  std::string story;
  for (int n = 0; n < 600; ++n) {
    auto left = disk.crash(random, how, during, story);
    auto found = left.files.find(path);
    out.insert(found == left.files.end() ? "absent" : found->second);
  }
  return out;
}

disk_model one_file(const std::string& content) { return disk_model{image{{{"f", content}}, {}}}; }

void open_f(disk_model& disk) {
  auto opened = named(trace_open, "f", {}, 1);
  opened.flags = 0;
  disk.complete(opened);
}

} // namespace

BOOST_AUTO_TEST_SUITE(disk_model_suite)

BOOST_AUTO_TEST_CASE(an_unsynced_write_is_kept_or_lost_and_a_synced_one_is_there) {
  auto disk = one_file("old");
  open_f(disk);
  disk.complete(call(trace_write, 1, 0, "new"));
  BOOST_TEST(outcomes(disk, "f") == (std::set<std::string>{"old", "new"}), boost::test_tools::per_element());
  disk.complete(call(trace_sync, 1));
  BOOST_TEST(outcomes(disk, "f") == (std::set<std::string>{"new"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(writes_are_lost_independently_of_their_order) {
  auto disk = one_file("");
  open_f(disk);
  disk.complete(call(trace_write, 1, 0, "a"));
  disk.complete(call(trace_write, 1, 1, "b"));
  BOOST_TEST(outcomes(disk, "f") == (std::set<std::string>{"", "a", "ab", std::string("\0b", 2)}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_write_tears_at_block_borders_of_the_file) {
  auto disk = one_file(std::string(1536, 'o'));
  open_f(disk);
  disk.complete(call(trace_write, 1, 256, std::string(1024, 'n')));
  std::set<std::size_t> changes;
  for (auto& each : outcomes(disk, "f"))
    for (std::size_t i = 1; i < each.size(); ++i)
      if (each[i] != each[i - 1])
        changes.insert(i);
  BOOST_TEST(changes == (std::set<std::size_t>{256, 512, 1024, 1280}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_small_write_within_a_sector_stays_whole_when_told_so) {
  auto disk = one_file(std::string(512, 'o'));
  open_f(disk);
  disk.complete(call(trace_write, 1, 16, std::string(120, 'n')));
  BOOST_TEST(outcomes(disk, "f", {64, 120}).size() == 2U);
  BOOST_TEST(outcomes(disk, "f", {64, 0}).size() > 2U);
}

BOOST_AUTO_TEST_CASE(a_synced_write_is_durable_when_it_has_returned_and_undecided_while_it_runs) {
  auto disk = one_file("old");
  open_f(disk);
  auto synced = call(trace_write, 1, 0, "new", trace_synced);
  BOOST_TEST(outcomes(disk, "f", {}, &synced) == (std::set<std::string>{"old", "new"}), boost::test_tools::per_element());
  disk.complete(synced);
  BOOST_TEST(outcomes(disk, "f") == (std::set<std::string>{"new"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_sync_that_has_not_returned_has_no_effect) {
  auto disk = one_file("old");
  open_f(disk);
  disk.complete(call(trace_write, 1, 0, "new"));
  auto sync = call(trace_sync, 1);
  BOOST_TEST(outcomes(disk, "f", {}, &sync).size() == 2U);
}

BOOST_AUTO_TEST_CASE(the_sync_of_a_file_does_not_make_its_name_durable) {
  disk_model disk{{}};
  disk.complete(named(trace_open, "d", {}, 1));
  disk.complete(call(trace_write, 1, 0, "x"));
  disk.complete(call(trace_sync, 1));
  BOOST_TEST(outcomes(disk, "d") == (std::set<std::string>{"absent", "x"}), boost::test_tools::per_element());
  disk.complete(named(trace_sync_dir, ""));
  BOOST_TEST(outcomes(disk, "d") == (std::set<std::string>{"x"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_rename_is_lost_or_kept_until_the_directory_is_synced) {
  disk_model disk{image{{{"dir/f", "old"}}, {"dir"}}};
  disk.complete(named(trace_open, "dir/t", {}, 1));
  disk.complete(call(trace_write, 1, 0, "new"));
  disk.complete(call(trace_sync, 1));
  disk.complete(named(trace_rename, "dir/t", "dir/f"));
  BOOST_TEST(outcomes(disk, "dir/f") == (std::set<std::string>{"old", "new"}), boost::test_tools::per_element());
  disk.complete(named(trace_sync_dir, "dir"));
  BOOST_TEST(outcomes(disk, "dir/f") == (std::set<std::string>{"new"}), boost::test_tools::per_element());
  BOOST_TEST(outcomes(disk, "dir/t") == (std::set<std::string>{"absent"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_rename_before_the_sync_of_the_file_can_leave_it_empty) {
  disk_model disk{image{{{"f", "old"}}, {}}};
  disk.complete(named(trace_open, "t", {}, 1));
  disk.complete(call(trace_write, 1, 0, "new"));
  disk.complete(named(trace_rename, "t", "f"));
  disk.complete(named(trace_sync_dir, ""));
  BOOST_TEST(outcomes(disk, "f") == (std::set<std::string>{"", "new"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(what_lies_in_a_lost_directory_is_lost) {
  disk_model disk{{}};
  disk.complete(named(trace_make_dir, "dir"));
  disk.complete(named(trace_open, "dir/f", {}, 1));
  disk.complete(call(trace_write, 1, 0, "x"));
  disk.complete(call(trace_sync, 1));
  disk.complete(named(trace_sync_dir, "dir"));
  BOOST_TEST(outcomes(disk, "dir/f") == (std::set<std::string>{"absent", "x"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(an_unlink_and_a_truncation_are_lost_or_kept) {
  auto disk = one_file("content");
  open_f(disk);
  disk.complete(call(trace_truncate, 1, 3));
  BOOST_TEST(outcomes(disk, "f") == (std::set<std::string>{"content", "con"}), boost::test_tools::per_element());
  disk.complete(call(trace_sync, 1));
  disk.complete(named(trace_unlink, "f"));
  BOOST_TEST(outcomes(disk, "f") == (std::set<std::string>{"con", "absent"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace signet::crash
