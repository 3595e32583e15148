// How fast an empty follower takes over a log. First the follower alone, the leader being a list of entries in memory: frames
// decoded, proofs checked or not, records and effects written, synced. Then a whole cluster of three replicators in this
// one thread, where the third one was never there: whatever shipping takes on both sides but the network. Prints one line a
// case; CPU seconds are told beside the wall clock, because the latter says little on a machine that does something else
// as well.
//
// Usage: bench_catch_up [entries] [directory, default: the system's for temporary files]

#include "storage/entry_proofs.hpp"
#include "storage/peer/frame.hpp"
#include "storage/replicator.hpp"
#include "tests/support/view_world.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>

namespace {

using namespace signet;
using namespace signet::storage;
using testing::must;
using testing::person;

double cpu_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}
double wall_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

const raft::configuration members{{raft::server_id{1}, "a", raft::member_role::voter},
                                  {raft::server_id{2}, "b", raft::member_role::voter},
                                  {raft::server_id{3}, "c", raft::member_role::voter}};

/// The log of a cluster in which so many people have spoken; entries of one kind.
std::vector<raft::entry> make_log(const char* kind, std::size_t entries, std::size_t messages) {
  testing::seeded_random random{7};
  const auto cluster = random_id<cluster_id>(random);
  std::vector<raft::entry> log{raft::founding_entry(members)};
  const auto add = [&](bytes entry) {
    if (!set_entry_time(entry, wall_ms{1'700'000'000'000 + log.size()}))
      std::abort();
    log.push_back({term{1}, raft::entry_type::command, std::move(entry)});
  };
  add(founded_entry(cluster));
  std::vector<person> people;
  for (int i = 0; i < 20; ++i) {
    people.push_back(person::make(random));
    add(people.back().entry());
  }
  for (std::size_t i = 0; i < entries; ++i) {
    auto& from = people[i % people.size()];
    const auto& to = people[(i * 7 + 3) % people.size()];
    if (std::string_view{kind} == "events") {
      security_event seen;
      seen.what.kind = "login_failed";
      seen.what.source = "10.0.0." + std::to_string(i % 250);
      add(security_events_entry({&seen, 1}));
      continue;
    }
    message_draft draft;
    draft.cluster = cluster;
    draft.author = from.id();
    draft.recipient = to.id();
    draft.time = wall_ms{1};
    draft.body = bytes(100, 'x');
    std::vector<message_draft> drafts(messages, draft);
    add(batch_entry(must(make_batch(from.sign, drafts, from.tails)).serialised));
  }
  return log;
}

void run(const char* kind, const std::vector<raft::entry>& log, std::size_t messages, const char* base, std::size_t frames,
         bool proofs) {
  testing::scratch_directory scratch{base};
  replica_options options;
  options.directory = scratch.path() / "data";
  options.map_bytes = 8ULL << 30;
  options.consensus.self = raft::server_id{2};
  options.measure = [] { return space{8ULL << 30, 0, 100ULL << 30, 50ULL << 30}; };
  if (!replica_store::found(options, {cluster_id{{1}}, members}))
    std::abort();
  std::uint64_t now = 1'000;
  auto store = must(replica_store::open(options, steady_ms{now}, wall_ms{1'700'000'000'000}));

  // What the link hands over: encoded frames.
  std::vector<bytes> wire;
  std::size_t wire_bytes = 0;
  for (std::size_t at = 1; at < log.size();) {
    raft::append_entries append;
    append.term = term{2};
    append.prev_index = log_index{at};
    append.prev_term = log[at - 1].term;
    std::size_t used = 0;
    while (at < log.size() && append.entries.size() < 1'024 && used + log[at].payload.size() <= peer::payload_bytes_max) {
      used += log[at].payload.size();
      append.entries.push_back(log[at++]);
    }
    append.leader_commit = log_index{log.size()};
    wire.push_back(encode(peer::frame{raft::server_id{1}, raft::server_id{2}, term{2}, peer::consensus{append, {}}}));
    wire_bytes += wire.back().size();
  }

  const auto cpu = cpu_seconds(), wall = wall_seconds();
  std::size_t commits = 0;
  for (std::size_t next = 0; store->applied() < log_index{log.size()};) {
    for (std::size_t i = 0; i < frames && next < wire.size(); ++i) {
      auto frame = must(peer::decode_frame(wire[next++]));
      auto& append = std::get<raft::append_entries>(std::get<peer::consensus>(frame.body).message);
      if (proofs)
        for (const auto& e : append.entries)
          if (e.type == raft::entry_type::command)
            must(check_proofs(e.payload));
      store->receive({frame.from, frame.sender_term, std::move(append)});
    }
    commits += store->turn(steady_ms{++now}, wall_ms{1'700'000'000'000}).commits;
  }
  const auto used = cpu_seconds() - cpu, passed = wall_seconds() - wall;
  const auto n = static_cast<double>(log.size());
  std::printf("%-7s %4zu message(s), %2zu frame(s) a turn, %-7s: %8.0f entries/s, %8.0f entries per CPU second, %6.2f us "
              "each, %4.0f bytes each, %zu commits\n",
              kind, messages, frames, proofs ? "proofs" : "trusted", n / passed, n / used, used / n * 1e6,
              static_cast<double>(wire_bytes) / n, commits);
  std::fflush(stdout);
}

/// Replicators that hear each other at once, as bytes; one millisecond passes for each round.
struct cluster {
  struct node {
    replicator_options options;
    std::unique_ptr<replicator> running;
    double cpu = 0;
  };
  testing::scratch_directory scratch;
  std::map<std::string, node> nodes;
  std::vector<std::tuple<std::string, std::string, bytes>> on_the_way;
  std::uint64_t now = 1'000;
  testing::seeded_random random{5};

  cluster(const cluster_id& id, const char* base) : scratch{base} {
    for (const auto& member : members) {
      auto& each = nodes[member.address];
      each.options.node = member.address;
      each.options.store.directory = scratch.path() / member.address;
      each.options.store.map_bytes = 8ULL << 30;
      each.options.store.start_tail_entries = 257;
      each.options.store.consensus.seed = static_cast<std::uint32_t>(value(member.id));
      each.options.store.consensus.self = member.id;
      each.options.store.measure = [] { return space{8ULL << 30, 0, 100ULL << 30, 50ULL << 30}; };
      if (!replica_store::found(each.options.store, {id, members}))
        std::abort();
      each.options.store.consensus.self = {};
    }
  }
  void start(const std::string& name) {
    auto& each = nodes.at(name);
    each.running.reset();
    random.fill(each.options.process.raw);
    each.options.first_forward = random.below(1 << 30);
    each.running = must(replicator::open(each.options, steady_ms{now}, wall_ms{1'700'000'000'000}));
    for (auto& [other, there] : nodes)
      if (other != name && there.running) {
        each.running->link_up(other, steady_ms{now});
        there.running->link_up(name, steady_ms{now});
      }
  }
  void round() {
    ++now;
    for (auto& [from, to, raw] : std::exchange(on_the_way, {})) {
      const auto begin = cpu_seconds();
      auto& there = nodes.at(to);
      if (there.running)
        there.running->receive(from, must(peer::decode_frame(raw)));
      there.cpu += cpu_seconds() - begin;
    }
    for (auto& [name, each] : nodes) {
      if (!each.running)
        continue;
      const auto begin = cpu_seconds();
      const auto send = [&, from = name](std::vector<outgoing_frame> frames) {
        for (auto& frame : frames)
          on_the_way.emplace_back(from, frame.to, encode(frame.what));
      };
      auto done = each.running->turn(steady_ms{now}, wall_ms{1'700'000'000'000}, send);
      send(std::move(done.frames));
      for (const auto& alarm : done.alarms)
        std::printf("alarm: %s\n", alarm.c_str());
      each.cpu += cpu_seconds() - begin;
    }
  }
  replicator* leader() {
    for (auto& [name, each] : nodes)
      if (each.running && each.running->consensus().leads_surely())
        return each.running.get();
    return nullptr;
  }
};

void run_cluster(const char* kind, const std::vector<raft::entry>& log, const char* base) {
  cluster three{cluster_id{{1}}, base};
  three.start("a");
  three.start("b");
  while (three.leader() == nullptr)
    three.round();
  for (std::size_t next = 2; next < log.size();) {
    for (int i = 0; i < 500 && next < log.size(); ++i)
      if (auto* leads = three.leader(); leads != nullptr && leads->propose({share(bytes{log[next].payload}), false, true},
                                                                         steady_ms{three.now}))
        ++next;
    three.round();
  }
  const auto everywhere = [&] {
    log_index last{};
    for (auto& [name, each] : three.nodes)
      if (each.running)
        last = std::max(last, each.running->consensus().last_index());
    return std::all_of(three.nodes.begin(), three.nodes.end(),
                       [&](auto& x) { return !x.second.running || x.second.running->applied() == last; });
  };
  while (!everywhere())
    three.round();
  for (const auto* name : {"a", "b"})
    three.start(name);  // so that they remember little
  for (int i = 0; i < 5'000 || three.leader() == nullptr; ++i)
    three.round();
  three.start("c");
  for (auto& [name, each] : three.nodes)
    each.cpu = 0;
  const auto cpu = cpu_seconds(), wall = wall_seconds();
  while (!everywhere())
    three.round();
  const auto used = cpu_seconds() - cpu, passed = wall_seconds() - wall;
  const auto n = static_cast<double>(value(three.nodes["c"].running->applied()));
  const auto lead = three.leader() == three.nodes["a"].running.get() ? "a" : "b";
  std::printf("%-7s whole cluster, one thread: %8.0f entries/s; per CPU second %8.0f in all, %8.0f of the follower, %8.0f of "
              "the leader\n",
              kind, n / passed, n / used, n / three.nodes["c"].cpu, n / three.nodes[lead].cpu);
}

} // namespace

int main(int argc, char** argv) {
  const auto entries = argc > 1 ? static_cast<std::size_t>(std::strtoul(argv[1], nullptr, 10)) : 100'000;
  const char* base = argc > 2 ? argv[2] : nullptr;
  const auto events = make_log("events", entries, 0);
  const auto small = make_log("batches", entries, 1);
  const auto large = make_log("batches", entries / 64, 64);
  for (std::size_t frames : {1U, 8U}) {
    run("events", events, 0, base, frames, false);
    run("batches", small, 1, base, frames, false);
  }
  run("batches", large, 64, base, 8, false);
  run("batches", small, 1, base, 8, true);
  run_cluster("events", events, base);
  run_cluster("batches", small, base);
  return 0;
}
