#include "tests/simulation/campaign.hpp"

namespace signet::simulation {

namespace {

/// A cluster without chance faults: nothing happens that a scenario does not do.
schedule calm(std::size_t nodes, std::uint32_t in_flight) {
  schedule out;
  out.frame.seed = 8;
  out.frame.nodes = nodes;
  out.frame.faults_end = 60'000 * ms;
  out.frame.in_flight_entries_max = in_flight;
  out.frame.start_tail_entries = in_flight + 64;
  return out;
}

class stage {
public:
  stage(const schedule& what, const std::filesystem::path& scratch, const trace_sink& trace)
    : on{what, scratch, trace}, nodes_{what.frame.nodes} {
    for (std::size_t i = 0; i < nodes_; ++i)
      on.start_node(i);
  }
  /// Lets time pass until it is so; steps are shorter than any frame travels.
  template <class Condition>
  void until(const char* what, Condition&& so) {
    on.say(std::string{"-- until "} + what);
    for (auto end = on.now() + 20'000 * ms; !so();) {
      if (on.now() >= end)
        throw finding(std::string{"the scenario does not get to: "} + what);
      on.run_until(on.now() + 50);
    }
  }
  /// Only frames between `centre` and each of `others` pass.
  void star(std::size_t centre, std::vector<std::size_t> others) {
    on.say("-- only n" + std::to_string(centre) + " is reached, by " + std::to_string(others.size()) + " nodes");
    for (std::size_t i = 0; i < nodes_; ++i)
      for (std::size_t j = 0; j < nodes_; ++j) {
        auto among = [&](std::size_t k) { return std::find(others.begin(), others.end(), k) != others.end(); };
        passes(i, j, (i == centre && among(j)) || (j == centre && among(i)));
      }
  }
  void passes(std::size_t from, std::size_t to, bool pass) {
    auto& now = cut_[{from, to}];
    if (now == pass) {
      on.cut(from, to, pass ? -1 : 1);
      now = !pass;
    }
  }
  shown of(std::size_t node) const { return on.software(node).show(); }
  log_index last(std::size_t node) const { return storage::event_log::find_head(on.store(node).read()).index; }
  bool leads(std::size_t node) const { return on.up(node) && of(node).role == raft::role::leader; }

  world on;

private:
  std::size_t nodes_;
  std::map<std::pair<std::size_t, std::size_t>, bool> cut_;  ///< true: cut
};

bytes some_entry(const std::string& text) {
  security_event what;
  what.what.kind = "login_failed";
  what.what.detail = text;
  return security_events_entry({&what, 1});
}

/// Raft, figure 8: an entry of an earlier term stands on a majority and is no more committed for it.
void figure_8(const std::filesystem::path& scratch, const trace_sink& trace) {
  stage s{calm(5, 1), scratch, trace};
  auto& on = s.on;
  bool answered = false;

  s.star(0, {1, 2, 3, 4});
  s.until("n0 leads and everybody has all it has", [&] {
    if (!s.leads(0) || !on.software(0).leads_surely())
      return false;
    for (std::size_t i = 1; i < 5; ++i)
      if (s.last(i) != s.last(0) || s.of(i).committed != s.of(0).committed)
        return false;
    return s.of(0).applied == s.last(0);
  });
  auto common = s.last(0);

  // (a) One entry reaches n1 alone.
  s.star(0, {1});
  on.ask(0, {some_entry("figure 8")}, [&](std::size_t, result<storage::entry_result> said) { answered = said.has_value(); });
  s.until("n1 has the entry", [&] { return s.last(1) > common; });
  auto disputed = next(common);
  on.crash_node(0);

  // (b) n4 is elected by n2 and n3, and stops before anybody has what it appends.
  s.star(4, {2, 3});
  auto elected_by = [&](std::size_t voter) { return s.of(voter).voted_for == s.of(4).id && s.of(voter).term > term{1}; };
  auto before = s.of(4).term;
  s.until("n2 and n3 vote for n4", [&] { return s.of(4).term > before && elected_by(2) && elected_by(3) &&
                                                s.of(2).term == s.of(4).term && s.of(3).term == s.of(4).term; });
  s.passes(4, 2, false);
  s.passes(4, 3, false);
  s.until("n4 leads", [&] { return s.leads(4) && s.last(4) == disputed; });
  on.crash_node(4);

  // (c) n0 is back, is elected by n1 and n2, and hands n2 the old entry but nothing of its new term.
  on.start_node(0);
  s.star(0, {1, 2});
  s.until("n2 has the entry of the old term", [&] { return s.last(2) == disputed; });
  s.passes(0, 2, false);
  on.run_until(on.now() + 20 * ms);  // n0 is told
  on.crash_node(0);

  // (d) n4 is back, is elected by n2 and n3, and its entry takes that place.
  on.start_node(4);
  s.star(4, {2, 3});
  s.until("n4 leads for sure", [&] { return s.leads(4) && on.software(4).leads_surely(); });
  if (answered)
    throw finding("an entry was acknowledged that another one has replaced");
  on.start_node(0);
  on.heal_and_settle();
}

/// Every frame arrives twice. What is proposed once through a follower must stand once.
void doubled_frames(const std::filesystem::path& scratch, const trace_sink& trace) {
  stage s{calm(3, 64), scratch, trace};
  auto& on = s.on;
  on.do_deed({0, 0, deed::doubling, 0, 0, 1'000});
  s.until("somebody leads", [&] { return on.find_leader().has_value(); });
  std::size_t answered = 0;
  for (std::size_t i = 0; i < 12; ++i) {
    auto entry = some_entry("once " + std::to_string(i));
    on.judge().expect_times(entry, 1, 1);
    on.ask(i % 3, {entry}, [&](std::size_t, result<storage::entry_result> said) { answered += said.has_value(); });
  }
  s.until("all are answered", [&] { return answered == 12; });
  on.heal_and_settle();
}

/// A disk is put back to what it was half a second before, under load: its node is told so by the others within a second
/// of its start, stops, and comes back by recovery; nothing that was acknowledged is lost.
void rolled_back_disk(const std::filesystem::path& scratch, const trace_sink& trace) {
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    auto what = calm(3, 64);
    what.frame.seed = seed;
    stage s{what, scratch, trace};
    auto& on = s.on;
    s.until("somebody leads", [&] { return on.find_leader().has_value(); });
    for (std::size_t i = 0; i < 4; ++i)
      on.add_client(i);
    on.run_until(on.now() + (300 + seed * 20) * ms);
    // The leader in a third of all cases.
    auto victim = (*on.find_leader() + seed) % 3;
    on.keep_disk(victim);
    on.run_until(on.now() + 500 * ms);
    on.roll_back(victim);
    on.run_until(on.now() + 1'000 * ms);
    if (!on.fenced(victim))
      throw finding("seed " + std::to_string(seed) + ": a node whose disk was put back goes on");
    on.recover(victim);
    on.heal_and_settle();
  }
}

} // namespace

const std::vector<scenario>& all_scenarios() {
  static const std::vector<scenario> all{
    {"figure_8", "an entry of an earlier term on a majority is not committed by counting", figure_8},
    {"doubled_frames", "what is proposed once stands once, though every frame arrives twice", doubled_frames},
    {"rolled_back_disk", "a node whose disk was put back is fenced, and nothing is lost", rolled_back_disk},
  };
  return all;
}

} // namespace signet::simulation
