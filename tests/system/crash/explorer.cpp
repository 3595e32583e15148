// Crash-state explorer. Runs the workload of a store under the recorder; then, state by state, cuts the power somewhere,
// builds one of the disks that may be left, and lets a child process restart the store on it and hold it to what had been
// said before the cut. The child has five seconds; to hang or to die is a failure like any other.
//
// Every cut point is visited before one is visited again. On one state in ten the restarted store goes on working and the
// power is cut again, inside recovery or shortly after it. On one in four the restarted store must also take new work.
// Lock files of LMDB, whose contents nothing keeps in order, are filled with garbage in half of the states.

#include "tests/system/crash/crash_store.hpp"
#include "tests/system/crash/disk_model.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <iostream>
#include <optional>
#include <set>
#include <sys/wait.h>
#include <unistd.h>

namespace signet::crash {
namespace {

namespace fs = std::filesystem;

struct settings {
  std::string store = "log";
  std::uint64_t states = 5'000;
  std::uint64_t seed = 1;
  unsigned steps = 200;
  std::string recorder;
  std::string workload;
  std::string scratch = "/dev/shm";
  std::string keep;
  std::size_t tear_bytes = 512;
  std::string bug;
};

/// What a child says: nothing is well.
using verdict = std::optional<std::string>;

/// The harness is at fault, not the store.
class recorder_is_blind : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

class explorer {
public:
  explicit explorer(const settings& how) : how_{how}, random_{how.seed}, store_{make_store(how.store)} {
    auto name = how.scratch + "/signet-crash-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr)
      throw std::runtime_error("mkdtemp " + name + ": " + std::strerror(errno));
    base_ = name;
    for (auto each : {"first", "state", "again"})
      fs::create_directory(base_ / each);
    tear_ = {how.tear_bytes, how.tear_bytes < 512 ? 120U : 0U};
  }
  ~explorer() {
    std::error_code ignored;
    fs::remove_all(base_, ignored);
  }

  int run() {
    const auto began = std::chrono::steady_clock::now();
    auto calls = record({}, base_ / "first", base_ / "first.trace", how_.seed, how_.steps);
    std::cout << how_.store << ": " << calls.size() << " calls recorded, "
              << std::count_if(calls.begin(), calls.end(), [](auto& each) { return each.kind == trace_ack; })
              << " promises\n";
    auto cuts = draw_cuts(calls.size());
    disk_model disk{{}};
    std::vector<std::string> said;
    std::size_t done = 0;
    std::uint64_t state = 0;
    for (; state < cuts.size() && (how_.bug.empty() || failures_ == 0); ++state) {
      for (; done < cuts[state]; ++done) {
        disk.complete(calls[done]);
        if (calls[done].kind == trace_ack)
          add_lines(calls[done].data, said);
      }
      judge(state, disk, done < calls.size() ? &calls[done] : nullptr, done, said);
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    std::cout << how_.store << ": " << state << " states (" << twice_ << " with a second crash, " << distinct_.size()
              << " different disks) in " << took.count() << " s, " << static_cast<double>(state) / took.count()
              << " states/s, seed " << how_.seed << ", torn at " << how_.tear_bytes << " bytes: " << failures_
              << " failures\n";
    if (!how_.bug.empty()) {
      std::cout << how_.bug
                << (failures_ > 0 ? ": caught after " + std::to_string(state) + " states\n"
                                  : ": NOT CAUGHT: the explorer is blind to this bug\n");
      return failures_ > 0 ? 0 : 1;
    }
    if (twice_ * 20 < state || distinct_.size() * 4 < std::min<std::size_t>(state, calls.size())) {
      std::cout << "FAILED: too few states differ from one another\n";
      return 1;
    }
    std::cout << (failures_ == 0 ? "OK\n" : "FAILED\n");
    return failures_ == 0 ? 0 : 1;
  }

private:
  /// Runs the workload under the recorder, in a process of its own. Made upon `before`, the recorded calls must give what
  /// then stands in the directory: otherwise the recorder has missed some, and no verdict is worth anything.
  std::vector<event> record(const image& before, const fs::path& directory, const fs::path& trace, std::uint64_t seed, unsigned steps) {
    auto pid = ::fork();
    if (pid == 0) {
      ::setenv("LD_PRELOAD", how_.recorder.c_str(), 1);
      ::setenv("SIGNET_RECORD_DIR", directory.c_str(), 1);
      ::setenv("SIGNET_RECORD_TRACE", trace.c_str(), 1);
      ::setenv("SIGNET_RECORD_ACKS", "3", 1);
      if (!how_.bug.empty())
        ::setenv("SIGNET_BUG", how_.bug.c_str(), 1);
      int nowhere = ::open("/dev/null", O_WRONLY);
      ::dup2(nowhere, 3);
      ::alarm(60);
      ::execl(how_.workload.c_str(), how_.workload.c_str(), "run", how_.store.c_str(), directory.c_str(),
              std::to_string(seed).c_str(), std::to_string(steps).c_str(), nullptr);
      ::_exit(127);
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
      throw std::runtime_error("the workload of " + how_.store + " ended with status " + std::to_string(status));
    auto out = read_trace(trace, directory.string());
    if (out.size() < steps)
      throw std::runtime_error("the recorder saw nothing: is it preloaded?");
    disk_model disk{before};
    for (auto& each : out)
      disk.complete(each);
    auto modelled = disk.live();
    auto real = read_image(directory);
    for (auto* each : {&modelled, &real})
      std::erase_if(each->files, [](auto& file) { return fs::path{file.first}.filename() == "lock.mdb"; });
    if (modelled.files != real.files || modelled.directories != real.directories)
      throw recorder_is_blind("the recorded calls do not give what stands in the directory");
    return out;
  }

  /// `how_.states` cut points in order, all different ones before any is drawn again.
  std::vector<std::size_t> draw_cuts(std::size_t calls) {
    std::vector<std::size_t> out;
    std::vector<std::size_t> all(calls + 1);
    for (std::size_t i = 0; i <= calls; ++i)
      all[i] = i;
    while (out.size() < how_.states) {
      std::shuffle(all.begin(), all.end(), random_);
      auto part = std::min<std::size_t>(all.size(), how_.states - out.size());
      out.insert(out.end(), all.begin(), all.begin() + static_cast<std::ptrdiff_t>(part));
    }
    std::sort(out.begin(), out.end());
    return out;
  }

  static void add_lines(const std::string& text, std::vector<std::string>& to) {
    std::size_t at = 0;
    for (auto end = text.find('\n'); end != std::string::npos; at = end + 1, end = text.find('\n', at))
      to.push_back(text.substr(at, end - at));
  }

  image cut(const disk_model& disk, const event* during, std::string& story) {
    auto out = disk.crash(random_, tear_, during, story);
    const bool garbage = random_() % 2 == 0;
    for (auto& [path, content] : out.files)
      if (garbage && fs::path{path}.filename() == "lock.mdb")
        for (auto& each : content)
          each = static_cast<char>(random_());
    return out;
  }

  /// Of everything that a restart can depend on.
  static std::size_t fingerprint(const image& what) {
    std::size_t out = 0;
    for (auto& [path, content] : what.files)
      if (!path.ends_with(".lock") && fs::path{path}.filename() != "lock.mdb")
        out = out * 1'000'003 + std::hash<std::string>{}(path) + 31 * std::hash<std::string>{}(content);
    return out;
  }

  void judge(std::uint64_t state, const disk_model& disk, const event* during, std::size_t at,
             const std::vector<std::string>& said) {
    std::string story;
    auto left = cut(disk, during, story);
    story = "cut at call " + std::to_string(at) + ": " + story;
    distinct_.insert(fingerprint(left));
    write_image(left, base_ / "state");
    if (state % 10 != 3) {
      tell(state, in_a_child(base_ / "state", said, state % 4 == 1), story, left);
      return;
    }
    // The store restarts, recovers, goes on a little; and the power fails again.
    ++twice_;
    std::vector<event> calls;
    try {
      calls = record(left, base_ / "state", base_ / "second.trace", random_(), 2);
    } catch (const recorder_is_blind&) {
      throw;
    } catch (const std::exception& failure) {
      tell(state, failure.what(), story, left);
      return;
    }
    disk_model second{left};
    auto said_in_all = said;
    auto stop = random_() % (calls.size() + 1);
    for (std::size_t i = 0; i < stop; ++i) {
      second.complete(calls[i]);
      if (calls[i].kind == trace_ack)
        add_lines(calls[i].data, said_in_all);
    }
    std::string second_story;
    auto left_again = cut(second, stop < calls.size() ? &calls[stop] : nullptr, second_story);
    write_image(left_again, base_ / "again");
    tell(state, in_a_child(base_ / "again", said_in_all, false),
         story + "; again at call " + std::to_string(stop) + ": " + second_story, left_again);
  }

  void tell(std::uint64_t state, const verdict& what, const std::string& story, const image& left) {
    if (!what)
      return;
    if (++failures_ > 5)
      return;
    std::cout << "  state " << state << ": " << *what << " (" << story << ")\n";
    if (!how_.keep.empty()) {
      fs::create_directories(how_.keep);
      write_image(left, how_.keep);
    }
  }

  /// Restarts the store on `directory` twice; both times it must hold what was said and show the same.
  verdict in_a_child(const fs::path& directory, const std::vector<std::string>& said, bool also_new_work) {
    int talk[2];
    if (::pipe2(talk, O_CLOEXEC) != 0)
      throw std::runtime_error("pipe");
    std::cout.flush();
    auto pid = ::fork();
    if (pid == 0) {
      ::alarm(5);
      std::string wrong;
      try {
        auto first = store_->check(directory, said);
        if (store_->show(directory) != first)
          wrong = "a second restart shows something else";
        if (also_new_work) {
          auto more = said;
          store_->run(directory, random_(), 2, [&](const std::string& line) { more.push_back(line); });
          store_->check(directory, more);
        }
      } catch (const std::exception& failure) {
        wrong = failure.what();
      }
      if (!wrong.empty() && ::write(talk[1], wrong.data(), wrong.size()) < 0)
        ::_exit(2);
      ::_exit(wrong.empty() ? 0 : 1);
    }
    ::close(talk[1]);
    std::string heard(4096, '\0');
    auto size = ::read(talk[0], heard.data(), heard.size());
    heard.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    ::close(talk[0]);
    int status = 0;
    ::waitpid(pid, &status, 0);
    if (WIFSIGNALED(status))
      return WTERMSIG(status) == SIGALRM ? "hangs on restart" : "dies of signal " + std::to_string(WTERMSIG(status));
    if (WEXITSTATUS(status) != 0)
      return heard.empty() ? "exit " + std::to_string(WEXITSTATUS(status)) : heard;
    return std::nullopt;
  }

  settings how_;
  random_bits random_;
  std::unique_ptr<crash_store> store_;
  fs::path base_;
  tearing tear_;
  std::uint64_t failures_ = 0, twice_ = 0;
  std::set<std::size_t> distinct_;
};

} // namespace
} // namespace signet::crash

int main(int argc, char** argv) {
  using namespace signet::crash;
  settings how;
  CLI::App app{"Crash-state explorer"};
  app.add_option("--store", how.store, "which store")->capture_default_str();
  app.add_option("--states", how.states, "how many states")->capture_default_str();
  app.add_option("--seed", how.seed, "of the workload and of every choice")->capture_default_str();
  app.add_option("--steps", how.steps, "of the workload")->capture_default_str();
  app.add_option("--recorder", how.recorder, "libcrash_recorder.so")->required();
  app.add_option("--workload", how.workload, "crash_workload")->required();
  app.add_option("--scratch", how.scratch, "where images are built; memory is fastest")->capture_default_str();
  app.add_option("--keep", how.keep, "a directory for the image of the last state that failed");
  app.add_option("--tear", how.tear_bytes, "block of a torn write; below 512 the 120-byte meta write stays whole")
    ->capture_default_str();
  app.add_option("--bug", how.bug, "a control: the workload has this bug (messages/hooks.hpp); succeed as soon as a state "
                                   "fails, and fail if none does");
  CLI11_PARSE(app, argc, argv);
#ifndef SIGNET_TEST_HOOKS
  if (!how.bug.empty()) {
    std::cout << how.bug << ": not run, this build has no hooks\n";
    return 3;
  }
#endif
  if (!make_store(how.store)) {
    std::cerr << "no store is called " << how.store << "\n";
    return 2;
  }
  try {
    return explorer{how}.run();
  } catch (const std::exception& failure) {
    std::cerr << "the explorer itself failed: " << failure.what() << "\n";
    return 2;
  }
}
