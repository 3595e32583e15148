#include "storage/lmdb/environment.hpp"
#include "storage/lmdb/map_fault.hpp"
#include "tests/support/scratch_directory.hpp"

#include <boost/test/unit_test.hpp>
#include <fstream>
#include <functional>
#include <atomic>
#include <csignal>
#include <map>
#include <random>
#include <sys/resource.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace signet::storage {
namespace {

namespace fs = std::filesystem;
using testing::scratch_directory;

constexpr table_ref alpha{0, "alpha"};
constexpr table_ref beta{1, "beta"};
constexpr table_ref gamma_table{7, "gamma"};
const std::vector<table_ref> two{alpha, beta};
const std::vector<table_ref> three{alpha, beta, gamma_table};

environment_options in(const fs::path& directory) {
  environment_options out;
  out.directory = directory;
  out.map_bytes = 64 << 20;
  return out;
}

std::unique_ptr<environment> must_open(const environment_options& options, std::span<const table_ref> tables = two) {
  auto opened = environment::open(options, tables);
  BOOST_REQUIRE_MESSAGE(opened.has_value(), (opened ? std::string{} : render(opened.error())));
  return std::move(*opened);
}

void put(environment& env, table_ref where, std::string_view key, std::string_view value) {
  auto txn = env.write();
  txn.put(where, as_bytes(key), as_bytes(value));
  txn.commit();
}

std::optional<std::string> get(const environment& env, table_ref where, std::string_view key) {
  auto txn = env.read();
  auto found = txn.get(where, as_bytes(key));
  if (!found)
    return std::nullopt;
  return std::string{as_text(*found)};
}

std::string key_of(const std::optional<row>& found) { return found ? std::string{as_text(found->key)} : "nothing"; }

/// Runs `act` in a child process and returns its exit code.
int in_a_child(const std::function<int()>& act) {
  auto pid = ::fork();
  BOOST_REQUIRE(pid >= 0);
  if (pid == 0)
    ::_exit(act());
  int how = 0;
  ::waitpid(pid, &how, 0);
  return WIFEXITED(how) ? WEXITSTATUS(how) : -WTERMSIG(how);
}

} // namespace

BOOST_AUTO_TEST_SUITE(lmdb_environment)

BOOST_AUTO_TEST_CASE(what_is_committed_is_there_after_a_restart) {
  scratch_directory scratch;
  {
    auto env = must_open(in(scratch.path() / "deep" / "data"));
    put(*env, alpha, "key", "value");
    put(*env, beta, "key", "");
  }
  auto env = must_open(in(scratch.path() / "deep" / "data"));
  BOOST_TEST(get(*env, alpha, "key").value() == "value");
  BOOST_TEST(get(*env, beta, "key").value().empty());
  BOOST_TEST(!get(*env, alpha, "other"));
}

BOOST_AUTO_TEST_CASE(without_a_commit_everything_is_undone) {
  scratch_directory scratch;
  auto env = must_open(in(scratch.path()));
  put(*env, alpha, "kept", "1");
  {
    auto txn = env->write();
    txn.put(alpha, as_bytes("lost"), as_bytes("2"));
    BOOST_TEST(txn.erase(alpha, as_bytes("kept")));
    BOOST_TEST(!txn.erase(alpha, as_bytes("never there")));
    BOOST_TEST(!txn.get(alpha, as_bytes("kept")));
    BOOST_TEST(as_text(txn.get(alpha, as_bytes("lost")).value()) == "2");
  }
  BOOST_TEST(get(*env, alpha, "kept").value() == "1");
  BOOST_TEST(!get(*env, alpha, "lost"));
}

BOOST_AUTO_TEST_CASE(a_read_transaction_keeps_its_view_while_others_write) {
  scratch_directory scratch;
  auto env = must_open(in(scratch.path()));
  put(*env, alpha, "key", "old");
  auto before = env->read();
  put(*env, alpha, "key", "new");
  BOOST_TEST(as_text(before.get(alpha, as_bytes("key")).value()) == "old");
  BOOST_TEST(get(*env, alpha, "key").value() == "new");
}

BOOST_AUTO_TEST_CASE(a_value_read_in_the_transaction_can_be_written_back_under_another_key) {
  scratch_directory scratch;
  auto env = must_open(in(scratch.path()));
  auto txn = env->write();
  txn.put(alpha, as_bytes("from"), bytes(900, 7));
  for (int n = 0; n < 200; ++n) {
    auto key = "to" + std::to_string(n);
    txn.put(alpha, as_bytes(key), txn.get(alpha, as_bytes("from")).value());
  }
  for (int n = 0; n < 200; ++n) {
    auto key = "to" + std::to_string(n);
    auto value = txn.get(alpha, as_bytes(key)).value();
    BOOST_TEST(to_bytes(value) == bytes(900, 7), boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_CASE(the_last_row_with_a_prefix_is_found_anywhere_in_the_table) {
  scratch_directory scratch;
  auto env = must_open(in(scratch.path()));
  {
    auto empty = env->read();
    BOOST_TEST(key_of(empty.last_with_prefix(alpha, as_bytes("a"))) == "nothing");
    BOOST_TEST(key_of(empty.last_with_prefix(alpha, {})) == "nothing");
  }
  for (auto key : {"a1", "a2", "b", "b9", "\xff\xff", "\xff\xff\x01"})
    put(*env, alpha, key, "x");
  auto txn = env->read();
  BOOST_TEST(key_of(txn.last_with_prefix(alpha, as_bytes("a"))) == "a2");
  BOOST_TEST(key_of(txn.last_with_prefix(alpha, as_bytes("b"))) == "b9");
  BOOST_TEST(key_of(txn.last_with_prefix(alpha, as_bytes("a1"))) == "a1");
  BOOST_TEST(key_of(txn.last_with_prefix(alpha, as_bytes("0"))) == "nothing");
  BOOST_TEST(key_of(txn.last_with_prefix(alpha, as_bytes("c"))) == "nothing");
  BOOST_TEST(key_of(txn.last_with_prefix(alpha, as_bytes("\xff"))) == "\xff\xff\x01");
  BOOST_TEST(key_of(txn.last_with_prefix(alpha, as_bytes("\xff\xff"))) == "\xff\xff\x01");
  BOOST_TEST(key_of(txn.last_with_prefix(alpha, {})) == "\xff\xff\x01");
}

BOOST_AUTO_TEST_CASE(reads_agree_with_an_ordered_map) {
  scratch_directory scratch;
  auto env = must_open(in(scratch.path()));
  std::map<std::string, std::string> model;
  std::mt19937_64 random{7};
  auto word = [&](std::size_t longest) {
    std::string out(1 + random() % longest, ' ');
    for (auto& letter : out)
      letter = "\x01" "a\xfe\xff"[random() % 4];
    return out;
  };
  for (int round = 0; round < 40; ++round) {
    {
      auto txn = env->write();
      for (int n = 0; n < 20; ++n) {
        auto key = word(5);
        if (random() % 3 == 0) {
          BOOST_TEST(txn.erase(alpha, as_bytes(key)) == (model.erase(key) == 1));
        } else {
          auto value = word(3000);
          txn.put(alpha, as_bytes(key), as_bytes(value));
          model[key] = value;
        }
      }
      txn.commit();
    }
    auto txn = env->read();
    BOOST_TEST(txn.count(alpha) == model.size());
    auto from = word(4);
    auto expected = model.lower_bound(from);
    auto found = txn.at_or_after(alpha, as_bytes(from));
    BOOST_TEST(key_of(found) == (expected == model.end() ? "nothing" : expected->first));
    std::size_t seen = 0;
    txn.scan(alpha, as_bytes(from), [&](const row& each) {
      BOOST_REQUIRE(expected != model.end());
      BOOST_TEST(as_text(each.key) == expected->first);
      BOOST_TEST(as_text(each.value) == expected->second);
      ++expected;
      return ++seen < 50;
    });
    BOOST_TEST((seen == 50 || expected == model.end()));
    auto prefix = word(2);
    std::string last = "nothing";
    for (auto& [key, value] : model)
      if (key.starts_with(prefix))
        last = key;
    BOOST_TEST(key_of(txn.last_with_prefix(alpha, as_bytes(prefix))) == last);
  }
}

BOOST_AUTO_TEST_CASE(a_cursor_walks_both_ways) {
  scratch_directory scratch;
  auto env = must_open(in(scratch.path()));
  for (auto key : {"a", "b", "c"})
    put(*env, alpha, key, key);
  auto txn = env->read();
  row_cursor cursor{txn, alpha};
  BOOST_TEST(key_of(cursor.seek(as_bytes("b"))) == "b");
  BOOST_TEST(key_of(cursor.previous()) == "a");
  BOOST_TEST(key_of(cursor.previous()) == "nothing");
  BOOST_TEST(key_of(cursor.seek({})) == "a");
  BOOST_TEST(key_of(cursor.next()) == "b");
  BOOST_TEST(key_of(cursor.next()) == "c");
  BOOST_TEST(key_of(cursor.next()) == "nothing");
}

BOOST_AUTO_TEST_CASE(a_damaged_row_is_refused_by_name_and_its_neighbours_are_served) {
  scratch_directory scratch;
  auto write = [&] {
    auto env = must_open(in(scratch.path()));
    put(*env, alpha, "neighbour", "untouched");
    put(*env, alpha, "victim", "a value that is easy to find");
  };
  write();
  auto path = scratch.path() / "data.mdb";
  std::string whole;
  {
    std::ifstream file{path, std::ios::binary};
    whole.assign(std::istreambuf_iterator<char>{file}, {});
  }
  // Every copy: the pages of earlier transactions hold the row too.
  std::size_t copies = 0;
  for (auto at = whole.find("easy"); at != std::string::npos; at = whole.find("easy", at + 1), ++copies)
    whole[at] = 'E';
  BOOST_REQUIRE(copies > 0);
  std::ofstream{path, std::ios::binary}.write(whole.data(), static_cast<std::streamsize>(whole.size()));
  auto env = must_open(in(scratch.path()));
  BOOST_TEST(get(*env, alpha, "neighbour").value() == "untouched");
  auto names_it = [](const storage_failure& failure) {
    std::string text = failure.what();
    return failure.code() == ec::corrupt && text.find("table alpha, key " + to_hex(as_bytes("victim"))) != text.npos;
  };
  BOOST_CHECK_EXCEPTION(get(*env, alpha, "victim"), storage_failure, names_it);
  auto txn = env->read();
  auto all = [](const row&) { return true; };
  BOOST_CHECK_EXCEPTION(txn.scan(alpha, {}, all), storage_failure, names_it);
  BOOST_CHECK_EXCEPTION(txn.at_or_after(alpha, as_bytes("o")), storage_failure, names_it);
  BOOST_CHECK_EXCEPTION(txn.last_with_prefix(alpha, as_bytes("v")), storage_failure, names_it);
}

BOOST_AUTO_TEST_CASE(a_second_writer_is_refused_in_this_process_and_in_another) {
  scratch_directory scratch;
  auto path = scratch.path();
  auto env = must_open(in(path));
  auto again = environment::open(in(path), two);
  BOOST_REQUIRE(!again);
  BOOST_TEST((again.error().code == ec::locked));
  auto there = in_a_child([&] {
    // A process of its own forgets what its parent has open: the lock file alone must refuse it.
    ::execl("/usr/bin/flock", "flock", "--nonblock", "--conflict-exit-code", "75", (path / "writer.lock").c_str(),
            "true", nullptr);
    return 1;
  });
  BOOST_TEST(there == 75);
  env.reset();
  BOOST_TEST(static_cast<bool>(environment::open(in(path), two)));
}

BOOST_AUTO_TEST_CASE(a_reader_in_another_process_is_allowed_beside_the_writer) {
  scratch_directory scratch;
  int ready[2];
  int done[2];
  BOOST_REQUIRE(::pipe(ready) == 0 && ::pipe(done) == 0);
  auto writer = ::fork();
  BOOST_REQUIRE(writer >= 0);
  if (writer == 0) {
    auto env = environment::open(in(scratch.path()), two);
    if (!env)
      ::_exit(1);
    put(**env, alpha, "key", "value");
    char byte = 'r';
    if (::write(ready[1], &byte, 1) != 1 || ::read(done[0], &byte, 1) != 1)
      ::_exit(2);
    ::_exit(0);
  }
  char byte = 0;
  BOOST_REQUIRE(::read(ready[0], &byte, 1) == 1);
  {
    auto options = in(scratch.path());
    auto refused = environment::open(options, two);
    BOOST_REQUIRE(!refused);
    BOOST_TEST((refused.error().code == ec::locked));
    options.read_only = true;
    auto env = must_open(options);
    BOOST_TEST(get(*env, alpha, "key").value() == "value");
    BOOST_CHECK_THROW(env->write(), storage_failure);
  }
  BOOST_REQUIRE(::write(done[1], &byte, 1) == 1);
  int how = 0;
  ::waitpid(writer, &how, 0);
  BOOST_TEST(how == 0);
  for (int fd : {ready[0], ready[1], done[0], done[1]})
    ::close(fd);
}

BOOST_AUTO_TEST_CASE(a_read_only_open_creates_nothing) {
  scratch_directory scratch;
  auto options = in(scratch.path() / "absent");
  options.read_only = true;
  auto opened = environment::open(options, two);
  BOOST_REQUIRE(!opened);
  BOOST_TEST((opened.error().code == ec::not_found));
  BOOST_TEST(!fs::exists(scratch.path() / "absent"));
}

BOOST_AUTO_TEST_CASE(a_newer_program_may_bring_a_new_table) {
  scratch_directory scratch;
  { put(*must_open(in(scratch.path())), alpha, "key", "value"); }
  auto options = in(scratch.path());
  options.read_only = true;
  auto reader = environment::open(options, three);
  BOOST_REQUIRE(!reader);
  BOOST_TEST((reader.error().code == ec::wrong_format));
  auto env = must_open(in(scratch.path()), three);
  put(*env, gamma_table, "key", "new");
  BOOST_TEST(get(*env, alpha, "key").value() == "value");
  BOOST_TEST(get(*env, gamma_table, "key").value() == "new");
}

BOOST_AUTO_TEST_CASE(an_emptied_data_file_is_damage_and_never_a_fresh_store) {
  scratch_directory scratch;
  { put(*must_open(in(scratch.path())), alpha, "key", "value"); }
  fs::resize_file(scratch.path() / "data.mdb", 0);
  auto opened = environment::open(in(scratch.path()), two);
  BOOST_REQUIRE(!opened);
  BOOST_TEST((opened.error().code == ec::corrupt));
}

BOOST_AUTO_TEST_CASE(a_full_map_says_what_to_do_and_nothing_may_be_written_after_it) {
  scratch_directory scratch;
  auto options = in(scratch.path());
  options.map_bytes = 1 << 20;
  auto env = must_open(options);
  put(*env, alpha, "kept", "1");
  auto fill = [&] {
    for (int n = 0;; ++n) {
      auto txn = env->write();
      txn.put(alpha, as_bytes("fill" + std::to_string(n)), bytes(100'000, 1));
      txn.commit();
    }
  };
  BOOST_CHECK_EXCEPTION(fill(), storage_failure, [](const storage_failure& failure) {
    return failure.code() == ec::disk_full && std::string_view{failure.what()}.find("raise the map size") != std::string::npos;
  });
  BOOST_CHECK_THROW(env->write(), storage_failure);
  BOOST_TEST(get(*env, alpha, "kept").value() == "1");
  auto measured = env->measure();
  BOOST_TEST(measured.map_bytes == options.map_bytes);
  BOOST_TEST(measured.map_used_bytes > options.map_bytes * 8 / 10);
  BOOST_TEST(measured.disk_free_bytes <= measured.disk_bytes);
}

BOOST_AUTO_TEST_CASE(keys_outside_the_limits_are_refused) {
  scratch_directory scratch;
  auto env = must_open(in(scratch.path()));
  auto txn = env->write();
  txn.put(alpha, bytes(511, 1), as_bytes("longest"));
  BOOST_CHECK_THROW(txn.put(alpha, bytes(512, 1), as_bytes("too long")), storage_failure);
  BOOST_CHECK_THROW(txn.put(alpha, {}, as_bytes("none")), storage_failure);
}

BOOST_AUTO_TEST_CASE(an_observer_hears_of_every_change) {
  struct listener : write_observer {
    std::vector<std::string> heard;
    void put(table_ref where, bytes_view key, bytes_view value) override {
      heard.push_back(std::string{where.name} + " " + std::string{as_text(key)} + "=" + std::string{as_text(value)});
    }
    void erased(table_ref where, bytes_view key) override {
      heard.push_back(std::string{where.name} + " -" + std::string{as_text(key)});
    }
  } listener;
  scratch_directory scratch;
  auto env = must_open(in(scratch.path()));
  auto txn = env->write();
  txn.put(alpha, as_bytes("before"), as_bytes("1"));
  txn.observe(&listener);
  txn.put(beta, as_bytes("a"), as_bytes("2"));
  txn.erase(alpha, as_bytes("before"));
  txn.erase(alpha, as_bytes("nobody"));
  txn.observe(nullptr);
  txn.put(beta, as_bytes("b"), as_bytes("3"));
  BOOST_TEST(listener.heard == (std::vector<std::string>{"beta a=2", "alpha -before"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_copy_opens_and_holds_the_same_rows) {
  scratch_directory scratch;
  {
    auto env = must_open(in(scratch.path() / "live"));
    for (int n = 0; n < 500; ++n)
      put(*env, alpha, std::to_string(n), "value");
    BOOST_TEST(static_cast<bool>(env->copy_to(scratch.path() / "copy")));
    auto refused = env->copy_to(scratch.path() / "copy");
    BOOST_REQUIRE(!refused);
    BOOST_TEST((refused.error().code == ec::already_exists));
  }
  auto env = must_open(in(scratch.path() / "copy"));
  BOOST_TEST(env->read().count(alpha) == 500U);
}

BOOST_AUTO_TEST_CASE(what_is_set_aside_is_whole_and_leaves_room_for_a_fresh_one) {
  scratch_directory scratch;
  put(*must_open(in(scratch.path())), alpha, "key", "old");
  BOOST_REQUIRE(environment::set_aside(scratch.path(), "aside").has_value());
  BOOST_TEST(get(*must_open(in(scratch.path() / "aside")), alpha, "key").value() == "old");
  put(*must_open(in(scratch.path())), alpha, "key", "new");
  BOOST_TEST((environment::set_aside(scratch.path(), "aside").error().code == ec::already_exists));
  BOOST_TEST(get(*must_open(in(scratch.path())), alpha, "key").value() == "new");
}

BOOST_AUTO_TEST_CASE(nothing_is_set_aside_that_is_in_use_or_not_there) {
  scratch_directory scratch;
  BOOST_TEST((environment::set_aside(scratch.path(), "aside").error().code == ec::not_found));
  auto env = must_open(in(scratch.path()));
  BOOST_TEST((environment::set_aside(scratch.path(), "aside").error().code == ec::locked));
  BOOST_TEST(in_a_child([&] {
    auto refused = environment::set_aside(scratch.path(), "aside");
    return refused || refused.error().code != ec::locked ? 1 : 0;
  }) == 0);
  BOOST_TEST(!fs::exists(scratch.path() / "aside"));
  put(*env, alpha, "key", "still here");
  BOOST_TEST(get(*env, alpha, "key").value() == "still here");
}

BOOST_AUTO_TEST_CASE(many_threads_read_while_one_writes) {
  scratch_directory scratch;
  auto env = must_open(in(scratch.path()));
  put(*env, alpha, "a", "0");
  put(*env, beta, "a", "0");
  std::atomic<bool> stop = false;
  std::atomic<int> torn = 0;
  std::vector<std::thread> readers;
  for (int n = 0; n < 4; ++n)
    readers.emplace_back([&] {
      while (!stop) {
        auto txn = env->read();
        // Both rows are written in one transaction: a reader never sees one without the other.
        if (as_text(txn.get(alpha, as_bytes("a")).value()) != as_text(txn.get(beta, as_bytes("a")).value()))
          ++torn;
      }
    });
  for (int n = 1; n < 100; ++n) {
    auto txn = env->write();
    auto text = std::to_string(n);
    txn.put(alpha, as_bytes("a"), as_bytes(text));
    txn.put(beta, as_bytes("a"), as_bytes(text));
    txn.commit();
  }
  stop = true;
  for (auto& each : readers)
    each.join();
  BOOST_TEST(torn == 0);
  BOOST_TEST(env->clear_stale_readers() == 0);
}

BOOST_AUTO_TEST_CASE(a_data_file_that_is_cut_short_while_it_is_read_ends_the_process_as_a_failed_disk_does) {
  scratch_directory scratch;
  const auto read_behind_the_end = [&](bool prepared) {
    return in_a_child([&] {
      const rlimit no_core{0, 0};
      ::setrlimit(RLIMIT_CORE, &no_core);
      std::signal(SIGBUS, SIG_DFL);
      if (prepared)
        exit_on_map_fault();
      auto directory = scratch.path() / (prepared ? "prepared" : "unprepared");
      auto env = must_open(in(directory));
      put(*env, alpha, "key", std::string(4 << 20, 'v'));
      fs::resize_file(directory / "data.mdb", 32 << 10);
      return get(*env, alpha, "key") ? 1 : 0;
    });
  };
  BOOST_TEST(read_behind_the_end(false) == -SIGBUS);  // what it is for
  BOOST_TEST(read_behind_the_end(true) == 71);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace signet::storage
