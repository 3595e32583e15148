#include "tests/simulation/decisions.hpp"

#include "tests/simulation/chance.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

namespace signet::simulation {

namespace {

std::string_view name(deed what) {
  switch (what) {
    case deed::client: return "client";
    case deed::equivocator: return "equivocator";
    case deed::loss: return "loss";
    case deed::doubling: return "doubling";
    case deed::reordering: return "reordering";
    case deed::delay: return "delay";
    case deed::lost_answers: return "lost_answers";
    case deed::drift: return "drift";
    case deed::clock_step: return "clock_step";
    case deed::crash: return "crash";
    case deed::crash_in_commit: return "crash_in_commit";
    case deed::disk_error: return "disk_error";
    case deed::disk_slow: return "disk_slow";
    case deed::disk_full: return "disk_full";
    case deed::pause: return "pause";
    case deed::isolate: return "isolate";
    case deed::partition: return "partition";
    case deed::one_way: return "one_way";
    case deed::ring: return "ring";
    case deed::bridge: return "bridge";
    case deed::half_open: return "half_open";
    case deed::clog: return "clog";
    case deed::hand_over: return "hand_over";
    case deed::lost_disk: return "lost_disk";
  }
  return "?";
}

/// Draws the decisions of one seed.
class drawing {
public:
  explicit drawing(std::uint64_t seed) : swarm_{seed, 1}, seed_{seed} { out_.frame.seed = seed; }

  schedule draw() {
    auto& f = out_.frame;
    auto size = swarm_.below(20);
    f.nodes = size < 11 ? 3 : size < 18 ? 5 : 7;
    f.faults_end = swarm_.between(2'000, 7'000) * ms;
    f.in_flight_entries_max = swarm_.percent(50) ? 64 : static_cast<std::uint32_t>(swarm_.between(1, 4));
    f.start_tail_entries = f.in_flight_entries_max + 1 + static_cast<std::uint32_t>(swarm_.below(8));
    f.pre_vote = !swarm_.percent(10);
    if (swarm_.percent(30)) {
      // The same minority for every run of this seed.
      chance who{seed_, 2};
      std::vector<std::size_t> all(f.nodes);
      for (std::size_t i = 0; i < f.nodes; ++i)
        all[i] = i;
      for (std::size_t i = f.nodes - 1; i > 0; --i)
        std::swap(all[i], all[who.below(i + 1)]);
      f.left_behind.assign(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(who.between(1, (f.nodes - 1) / 2)));
    }

    // A storm: leaders fall as soon as they stand, and entries travel one by one, so that logs end in many different ways.
    storm_ = swarm_.percent(20);
    if (storm_) {
      f.nodes = swarm_.percent(70) ? 5 : 3;
      f.in_flight_entries_max = static_cast<std::uint32_t>(swarm_.between(1, 2));
      f.start_tail_entries = f.in_flight_entries_max + 1 + static_cast<std::uint32_t>(swarm_.below(64));
      f.election_timeout_ms = static_cast<std::uint32_t>(swarm_.between(60, 150));
      f.heartbeat_ms = f.election_timeout_ms / 5;
      f.pre_vote = swarm_.percent(50);
      f.left_behind.clear();
    }

    clients();
    whole_run();
    const auto node = [this](chance& how) {
      return how.percent(storm_ ? 70 : 35) ? whoever_leads : how.below(out_.frame.nodes);
    };
    const auto other = [this](chance& how, std::uint64_t than) {
      return than == whoever_leads ? how.below(out_.frame.nodes)
                                   : (than + 1 + how.below(out_.frame.nodes - 1)) % out_.frame.nodes;
    };
    // Faults of nodes. The mean distance in ms; then what one of them is.
    some(deed::crash, {400, 3'000}, [&](chance& how, decision& d) {
      d.a = node(how);
      d.lasts = stretch(how, 600);
    });
    some(deed::crash_in_commit, {300, 2'000}, [&](chance& how, decision& d) {
      d.a = node(how);
      d.x = how.below(4);
      d.y = static_cast<std::int64_t>(how.below(2));
      d.lasts = stretch(how, 300);
    });
    some(deed::disk_error, {800, 4'000}, [&](chance& how, decision& d) {
      d.a = node(how);
      d.x = how.below(4);
      d.lasts = stretch(how, 300);
    });
    some(deed::disk_slow, {800, 3'000}, [&](chance& how, decision& d) {
      d.a = node(how);
      d.x = how.between(1'000, how.percent(30) ? 200'000 : 20'000);
      d.lasts = stretch(how, 700);
    });
    some(deed::disk_full, {1'000, 4'000}, [&](chance& how, decision& d) {
      d.a = node(how);
      d.lasts = stretch(how, 500);
    });
    some(deed::pause, {500, 3'000}, [&](chance& how, decision& d) {
      d.a = node(how);
      d.lasts = stretch(how, 500);
    });
    some(deed::clock_step, {300, 2'000}, [&](chance& how, decision& d) {
      constexpr std::array<std::int64_t, 5> sizes{500, 60'000, 3'600'000, 36'000'000, 31'536'000'000};
      d.a = node(how);
      d.y = sizes[how.below(sizes.size())] * (how.percent(50) ? 1 : -1);
    });
    some(deed::hand_over, {400, 2'000}, [&](chance& how, decision& d) { d.a = how.below(out_.frame.nodes); });

    if (swarm_.percent(15)) {
      f.left_behind.clear();  // one node less is all that a small cluster can do without
      some(deed::lost_disk, {1'000, 4'000}, [&](chance& how, decision& d) {
        d.a = node(how);
        d.lasts = stretch(how, 300);
      });
    }

    // Faults of the network.
    some(deed::isolate, {600, 3'000}, [&](chance& how, decision& d) {
      d.a = node(how);
      d.x = how.between(1, 3);
      d.lasts = stretch(how, 800);
    });
    some(deed::partition, {600, 3'000}, [&](chance& how, decision& d) {
      d.a = how.between(1, (1ULL << out_.frame.nodes) - 2);
      d.lasts = stretch(how, 800);
    });
    some(deed::one_way, {400, 3'000}, [&](chance& how, decision& d) {
      d.a = node(how);
      d.b = other(how, d.a);
      d.lasts = stretch(how, 800);
    });
    some(deed::half_open, {400, 3'000}, [&](chance& how, decision& d) {
      d.a = node(how);
      d.b = other(how, d.a);
      d.lasts = stretch(how, 800);
    });
    some(deed::clog, {300, 2'000}, [&](chance& how, decision& d) {
      d.a = node(how);
      d.b = other(how, d.a);
      d.lasts = stretch(how, 500);
    });
    if (f.nodes > 3) {
      some(deed::ring, {1'500, 4'000}, [&](chance& how, decision& d) {
        d.a = how.below(1'000);
        d.lasts = stretch(how, 800);
      });
      some(deed::bridge, {1'500, 4'000}, [&](chance& how, decision& d) {
        d.a = how.below(out_.frame.nodes);
        d.lasts = stretch(how, 800);
      });
    }
    std::stable_sort(out_.decisions.begin(), out_.decisions.end(),
                     [](const decision& l, const decision& r) { return l.at < r.at; });
    return std::move(out_);
  }

private:
  void clients() {
    chance how{seed_, 3};
    auto count = storm_ ? 6 : how.between(1, 6);
    for (std::uint64_t i = 0; i < count; ++i)
      out_.decisions.push_back({how.below(300) * ms, 0, deed::client, i});
    if (on())
      for (std::uint64_t i = 0; i < count; ++i)
        if (how.percent(30))
          out_.decisions.push_back({0, 0, deed::equivocator, i});
  }
  void whole_run() {
    chance how{seed_, 4};
    auto add = [&](deed what, std::uint64_t x) { out_.decisions.push_back({0, 0, what, 0, 0, x}); };
    if (on())
      add(deed::loss, how.between(5, 300));
    if (on())
      add(deed::doubling, how.between(5, 300));
    if (on())
      add(deed::reordering, 0);
    if (on())
      add(deed::delay, storm_ ? how.between(500, 10'000) : how.percent(70) ? how.between(500, 20'000) : how.between(20'000, 200'000));
    if (on())
      add(deed::lost_answers, how.between(10, 300));
    if (on())
      for (std::uint64_t i = 0; i < out_.frame.nodes; ++i)
        if (how.percent(50))
          out_.decisions.push_back({0, 0, deed::drift, i, 0, 0, static_cast<std::int64_t>(how.below(100'000)) - 50'000});
  }
  bool on() { return !swarm_.percent(33); }
  micros stretch(chance& how, std::uint64_t mean_ms) const {
    mean_ms = storm_ ? 1 + mean_ms / 3 : mean_ms;
    return how.percent(20) ? how.between(1, 20) * ms : how.between(1, 2 * mean_ms) * ms;
  }

  struct distance {
    std::uint64_t least_ms, most_ms;
  };
  template <class Fill>
  void some(deed what, distance mean, Fill&& fill) {
    chance how{seed_, 100 + static_cast<std::uint64_t>(what)};
    auto apart = how.between(mean.least_ms, mean.most_ms) * ms / (storm_ ? 4 : 1);
    if (!on())
      return;
    for (micros at = 200 * ms + how.below(2 * apart); at < out_.frame.faults_end; at += 1 + how.below(2 * apart)) {
      decision d{at, 0, what};
      fill(how, d);
      out_.decisions.push_back(d);
    }
  }

  chance swarm_;
  bool storm_ = false;
  std::uint64_t seed_;
  schedule out_;
};

} // namespace

std::string to_string(const decision& d) {
  char text[160];
  std::snprintf(text, sizeof text, "at %8.3f ms", static_cast<double>(d.at) / 1000);
  std::string out = text;
  if (d.lasts != 0) {
    std::snprintf(text, sizeof text, " for %7.1f ms", static_cast<double>(d.lasts) / 1000);
    out += text;
  }
  std::snprintf(text, sizeof text, "  %-15s a=%llu b=%llu x=%llu y=%lld", std::string{name(d.what)}.c_str(),
                static_cast<unsigned long long>(d.a), static_cast<unsigned long long>(d.b),
                static_cast<unsigned long long>(d.x), static_cast<long long>(d.y));
  return out + text;
}

schedule draw(std::uint64_t seed) { return drawing{seed}.draw(); }

} // namespace signet::simulation
