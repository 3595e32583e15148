// The runner. Exit codes: 0 nothing found, 1 something found, 73 wrong arguments.
//
//   simulation --seeds A..B [--jobs N] [--bug NAME]   all seeds from A to B
//   simulation --minutes M [--from A] [--jobs N]      as many as there is time for
//   simulation --list N,M,…                           these seeds
//   simulation --seed N [--trace] [--keep I,J,…]      one seed; only those decisions
//   simulation --same A..B                            each seed twice: must give the same run, event by event
//   simulation --scenarios                            the fixed orders of events
//   simulation --known-bugs [NAME…]                   each must be caught within its number of seeds

#include "tests/simulation/campaign.hpp"

#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <sys/wait.h>
#include <unistd.h>

namespace signet::simulation {
namespace {

struct arguments {
  std::uint64_t first = 1, last = 0;
  unsigned jobs = 1;
  double minutes = 0;
  std::optional<std::uint64_t> seed;
  bool trace = false, same = false, scenarios = false, known_bugs = false, quiet = false;
  std::string bug;
  std::optional<std::vector<std::uint64_t>> keep;
  std::vector<std::uint64_t> list;
  std::vector<std::string> names;
};

struct known_bug {
  const char* name;
  std::uint64_t seeds_max;
};
constexpr known_bug known_bugs[] = {
  {"FIG8", 2'000},          {"VOTE_LOST", 2'000},       {"ELECT_UNPERSISTED", 5'000}, {"TRUNC_COMMITTED", 2'000},
  {"DEDUP_FORGET", 2'000},  {"SHIP_OVER_NEWER", 2'000}, {"APPLY_NONDET", 500},
};

double clock_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

[[noreturn]] void wrong(const std::string& why) {
  std::fprintf(stderr, "simulation: %s; see the head of tests/simulation/main.cpp\n", why.c_str());
  std::exit(73);
}

std::uint64_t number(std::string_view text) {
  std::uint64_t out = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc{} || end != text.data() + text.size())
    wrong("'" + std::string{text} + "' is no number");
  return out;
}

std::vector<std::uint64_t> numbers(std::string_view text) {
  std::vector<std::uint64_t> out;
  while (!text.empty()) {
    auto comma = std::min(text.find(','), text.size());
    out.push_back(number(text.substr(0, comma)));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return out;
}

void take_range(arguments& into, std::string_view text) {
  auto dots = text.find("..");
  if (dots == std::string_view::npos)
    wrong("seeds are given as A..B");
  into.first = number(text.substr(0, dots));
  into.last = number(text.substr(dots + 2));
}

arguments read(int argc, char** argv) {
  arguments out;
  for (int i = 1; i < argc; ++i) {
    std::string_view word = argv[i];
    auto next = [&]() -> std::string_view {
      if (i + 1 >= argc)
        wrong(std::string{word} + " needs a value");
      return argv[++i];
    };
    if (word == "--seeds") {
      take_range(out, next());
    } else if (word == "--list") {
      for (auto seed : numbers(next()))
        out.list.push_back(seed);
    } else if (word == "--same") {
      take_range(out, next());
      out.same = true;
    } else if (word == "--seed") {
      out.seed = number(next());
    } else if (word == "--from") {
      out.first = number(next());
    } else if (word == "--jobs") {
      out.jobs = static_cast<unsigned>(number(next()));
    } else if (word == "--minutes") {
      out.minutes = std::stod(std::string{next()});
    } else if (word == "--bug") {
      out.bug = next();
    } else if (word == "--trace") {
      out.trace = true;
    } else if (word == "--quiet") {
      out.quiet = true;
    } else if (word == "--keep") {
      out.keep = numbers(next());
    } else if (word == "--scenarios") {
      out.scenarios = true;
    } else if (word == "--known-bugs") {
      out.known_bugs = true;
    } else if (word.starts_with("--")) {
      wrong("unknown argument '" + std::string{word} + "'");
    } else {
      out.names.emplace_back(word);
    }
  }
  return out;
}

void print_line(micros at, const std::string& line) {
  std::printf("%12.3f  %s\n", static_cast<double>(at) / 1000, line.c_str());
}

void print_frame(const frame_of_run& f) {
  std::printf("  %zu nodes, faults until %.0f ms, %u entries in flight, starts with a tail of %u, pre-vote %s, left behind:",
              f.nodes, static_cast<double>(f.faults_end) / 1000, f.in_flight_entries_max, f.start_tail_entries,
              f.pre_vote ? "on" : "off");
  for (auto node : f.left_behind)
    std::printf(" n%zu", node);
  std::printf("\n");
}

/// Everything that somebody needs who wants to understand it.
void report(std::uint64_t seed, const std::string& sentence, const arguments& with, const std::filesystem::path& scratch) {
  std::printf("FOUND in seed %llu: %s\n", static_cast<unsigned long long>(seed), sentence.c_str());
  std::fflush(stdout);
  if (with.quiet)
    return;
  auto whole = draw(seed);
  auto small = minimise(whole, scratch);
  std::printf("The smallest schedule found that fails (%zu of %zu decisions):\n", small.decisions.size(), whole.decisions.size());
  print_frame(small.frame);
  std::string keep;
  std::size_t at = 0;
  for (const auto& d : small.decisions) {
    // Decisions have no names but their places in the whole schedule.
    while (to_string(whole.decisions[at]) != to_string(d))
      ++at;
    keep += (keep.empty() ? "" : ",") + std::to_string(at);
    std::printf("  %4zu  %s\n", at, to_string(d).c_str());
    ++at;
  }
  std::vector<std::string> lines;
  auto again = run_once(small, scratch, nullptr, [&](micros when, const std::string& line) {
    char text[32];
    std::snprintf(text, sizeof text, "%12.3f  ", static_cast<double>(when) / 1000);
    lines.push_back(text + line);
  });
  constexpr std::size_t shown_lines = 120;
  std::printf("It then says: %s\nThe last %zu lines of its trace:\n", again ? again->c_str() : "nothing (?)",
              std::min(lines.size(), shown_lines));
  for (auto i = lines.size() > shown_lines ? lines.size() - shown_lines : 0; i < lines.size(); ++i)
    std::printf("%s\n", lines[i].c_str());
  std::printf("Again: tests/simulation/run --seed %llu --keep %s --trace%s%s\n", static_cast<unsigned long long>(seed),
              keep.c_str(), with.bug.empty() ? "" : " --bug ", with.bug.c_str());
  std::fflush(stdout);
}

int run_one(const arguments& how) {
  arena scratch;
  auto what = draw(*how.seed);
  if (how.keep) {
    std::vector<decision> kept;
    for (auto i : *how.keep)
      if (i < what.decisions.size())
        kept.push_back(what.decisions[i]);
    what.decisions = std::move(kept);
  }
  print_frame(what.frame);
  for (std::size_t i = 0; i < what.decisions.size(); ++i)
    std::printf("  %4zu  %s\n", i, to_string(what.decisions[i]).c_str());
  run_counts counts;
  auto found = run_once(what, scratch.path(), &counts, how.trace ? trace_sink{print_line} : nullptr);
  std::printf("%s: %llu events, %llu committed, %llu acknowledged, %llu leaderships, well after %.0f ms\n",
              found ? found->c_str() : "nothing found", static_cast<unsigned long long>(counts.events),
              static_cast<unsigned long long>(counts.committed), static_cast<unsigned long long>(counts.acknowledged),
              static_cast<unsigned long long>(counts.leaderships), static_cast<double>(counts.healed_in) / 1000);
  return found ? 1 : 0;
}

int run_list(const arguments& how) {
  arena scratch;
  for (auto seed : how.list)
    if (auto found = run_once(draw(seed), scratch.path())) {
      report(seed, *found, how, scratch.path());
      return 1;
    }
  std::printf("%zu seeds: nothing found\n", how.list.size());
  return 0;
}

int run_same(const arguments& how) {
  arena scratch;
  for (auto seed = how.first; seed <= how.last; ++seed) {
    std::uint64_t sums[2] = {};
    for (auto& sum : sums)
      (void)run_once(draw(seed), scratch.path(), nullptr, [&](micros at, const std::string& line) {
        sum = scramble(sum ^ at ^ std::hash<std::string>{}(line));
      });
    if (sums[0] != sums[1]) {
      std::printf("seed %llu gives two different runs\n", static_cast<unsigned long long>(seed));
      return 1;
    }
  }
  std::printf("seeds %llu..%llu: each gives the same run twice\n", static_cast<unsigned long long>(how.first),
              static_cast<unsigned long long>(how.last));
  return 0;
}

int run_scenarios(const arguments& how) {
  arena scratch;
  int failed = 0;
  for (const auto& each : all_scenarios()) {
    if (!how.names.empty() && std::find(how.names.begin(), how.names.end(), each.name) == how.names.end())
      continue;
    try {
      each.play(scratch.path(), how.trace ? trace_sink{print_line} : nullptr);
      std::printf("%s: holds\n", each.name);
    } catch (const std::exception& found) {
      std::printf("%s: FOUND: %s\n", each.name, found.what());
      ++failed;
    }
  }
  return failed == 0 ? 0 : 1;
}

/// What one process of a campaign says at its end.
struct share {
  run_counts counts;
  std::uint64_t seeds = 0, last_seed = 0, failed_seed = 0;
  bool failed = false;
};

share run_share(const arguments& how, std::uint64_t first, double until) {
  arena scratch;
  share out;
  for (auto seed = first; (how.last == 0 || seed <= how.last) && (until == 0 || clock_seconds() < until); seed += how.jobs) {
    auto found = run_once(draw(seed), scratch.path(), &out.counts);
    ++out.seeds;
    out.last_seed = seed;
    if (found) {
      out.failed = true;
      out.failed_seed = seed;
      report(seed, *found, how, scratch.path());
      break;
    }
  }
  return out;
}

int run_campaign(const arguments& how) {
  auto begun = clock_seconds();
  auto until = how.minutes > 0 ? begun + how.minutes * 60 : 0.0;
  if (until == 0 && how.last < how.first)
    wrong("no seeds");
  share all;
  auto add = [&](const share& one) {
    all.counts.add(one.counts);
    all.seeds += one.seeds;
    all.last_seed = std::max(all.last_seed, one.last_seed);
    if (one.failed && (!all.failed || one.failed_seed < all.failed_seed))
      all.failed_seed = one.failed_seed;
    all.failed = all.failed || one.failed;
  };
  if (how.jobs <= 1) {
    add(run_share(how, how.first, until));
  } else {
    std::vector<std::pair<pid_t, int>> children;
    for (unsigned job = 0; job < how.jobs; ++job) {
      int ends[2];
      if (::pipe(ends) != 0)
        wrong("no pipe");
      std::fflush(stdout);
      auto child = ::fork();
      if (child < 0)
        wrong("no process");
      if (child == 0) {
        auto mine = run_share(how, how.first + job, until);
        auto written = ::write(ends[1], &mine, sizeof mine);
        std::fflush(stdout);
        ::_exit(written == static_cast<ssize_t>(sizeof mine) ? 0 : 70);
      }
      ::close(ends[1]);
      children.emplace_back(child, ends[0]);
    }
    for (auto [child, end] : children) {
      share one;
      int state = 0;
      if (::read(end, &one, sizeof one) != static_cast<ssize_t>(sizeof one)) {
        one = {};
        one.failed = true;
        std::printf("a process of the campaign ended early\n");
      }
      ::close(end);
      ::waitpid(child, &state, 0);
      add(one);
    }
  }
  auto took = clock_seconds() - begun;
  const auto& c = all.counts;
  std::printf("%llu seeds from %llu to %llu in %.1f s, %u processes: %.1f seeds/s, %.0f events/s; %llu turns, %llu commits, "
              "%llu frames, %llu leaderships, %llu entries committed, %llu acknowledged, %llu crashes; well again after at "
              "most %.0f ms; %s\n",
              static_cast<unsigned long long>(all.seeds), static_cast<unsigned long long>(how.first),
              static_cast<unsigned long long>(all.last_seed), took, how.jobs, static_cast<double>(all.seeds) / took,
              static_cast<double>(c.events) / took, static_cast<unsigned long long>(c.turns),
              static_cast<unsigned long long>(c.commits), static_cast<unsigned long long>(c.frames),
              static_cast<unsigned long long>(c.leaderships), static_cast<unsigned long long>(c.committed),
              static_cast<unsigned long long>(c.acknowledged), static_cast<unsigned long long>(c.crashes),
              static_cast<double>(c.healed_in) / 1000, all.failed ? "FOUND something" : "nothing found");
  return all.failed ? 1 : 0;
}

/// Each in a process of its own, because a bug is chosen once a process.
int run_known_bugs(const arguments& how, const char* program) {
  int missed = 0;
  for (const auto& bug : known_bugs) {
    if (!how.names.empty() && std::find(how.names.begin(), how.names.end(), bug.name) == how.names.end())
      continue;
    std::fflush(stdout);
    auto begun = clock_seconds();
    auto child = ::fork();
    if (child == 0) {
      ::execl(program, program, "--bug", bug.name, "--quiet", "--seeds", ("1.." + std::to_string(bug.seeds_max)).c_str(),
              static_cast<char*>(nullptr));
      ::_exit(70);
    }
    int state = 0;
    ::waitpid(child, &state, 0);
    bool caught = WIFEXITED(state) && WEXITSTATUS(state) == 1;
    std::printf("%-18s %s (%.1f s)\n", bug.name, caught ? "caught" : "NOT CAUGHT", clock_seconds() - begun);
    missed += caught ? 0 : 1;
  }
  return missed == 0 ? 0 : 1;
}

} // namespace
} // namespace signet::simulation

int main(int argc, char** argv) {
  using namespace signet::simulation;
  auto how = read(argc, argv);
  if (!how.bug.empty())
    ::setenv("SIGNET_BUG", how.bug.c_str(), 1);
  if (how.known_bugs)
    return run_known_bugs(how, argv[0]);
  if (how.scenarios)
    return run_scenarios(how);
  if (how.seed)
    return run_one(how);
  if (how.same)
    return run_same(how);
  if (!how.list.empty())
    return run_list(how);
  return run_campaign(how);
}
