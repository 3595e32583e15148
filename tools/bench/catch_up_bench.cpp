// How fast an empty follower takes over a log that its leader ships: frames decoded, proofs and chain checked or not, records
// and effects written, synced. The leader is a list of entries in memory. Prints one line a case; CPU seconds are told
// beside the wall clock, because the latter says little on a machine that does something else as well.
//
// Usage: bench_catch_up [entries] [directory, default: the system's for temporary files]

#include "storage/entry_proofs.hpp"
#include "storage/peer/frame.hpp"
#include "storage/replica_store.hpp"
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
  return 0;
}
