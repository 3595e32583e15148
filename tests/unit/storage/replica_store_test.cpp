#include "storage/replica_store.hpp"

#include "messages/entries.hpp"
#include "storage/log/event_log.hpp"
#include "storage/tables.hpp"
#include "storage/views/entry.hpp"
#include "storage/views/read.hpp"
#include "tests/support/scratch_directory.hpp"

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <fcntl.h>
#include <map>
#include <random>
#include <set>
#include <sys/wait.h>
#include <unistd.h>

namespace signet::storage {
namespace {

using testing::scratch_directory;

const cluster_id the_cluster{{1, 2, 3}};
constexpr wall_ms noon{1'700'000'000'000};

/// An entry that any store applies and that names itself.
bytes note(std::uint64_t number, std::size_t padding = 0) {
  security_event what;
  what.what.kind = "login_failed";
  what.what.detail = "note " + std::to_string(number) + "." + std::string(padding, 'x');
  return security_events_entry({&what, 1});
}
std::optional<std::uint64_t> number_of(bytes_view payload) {
  auto text = as_text(payload);
  auto from = text.find("note ");
  if (from == std::string_view::npos)
    return std::nullopt;
  return std::stoull(std::string(text.substr(from + 5, 20)));
}

raft::configuration members(std::size_t voters) {
  raft::configuration out;
  for (std::size_t i = 1; i <= voters; ++i)
    out.push_back({raft::server_id{i}, "node " + std::to_string(i), raft::member_role::voter});
  return out;
}

replica_options options_in(const std::filesystem::path& directory, std::uint64_t self = 1) {
  replica_options out;
  out.directory = directory;
  out.map_bytes = 1ULL << 30;
  out.consensus.self = raft::server_id{self};
  out.consensus.seed = static_cast<std::uint32_t>(self);
  out.measure = [] { return space{1ULL << 30, 0, 100ULL << 30, 50ULL << 30}; };
  return out;
}

template <class T>
T must(result<T> r) {
  BOOST_REQUIRE_MESSAGE(r.has_value(), (r ? std::string{} : render(r.error())));
  return std::move(*r);
}
void must_status(const status& r) { BOOST_REQUIRE_MESSAGE(r.has_value(), (r ? std::string{} : render(r.error()))); }

/// A cluster of one.
struct single {
  scratch_directory scratch;
  replica_options options = options_in(scratch.path() / "data");
  std::unique_ptr<replica_store> store;
  std::uint64_t now = 1'000;
  wall_ms wall = noon;

  single() {
    must_status(replica_store::found(options, {the_cluster, members(1)}));
    reopen();
  }
  void reopen() {
    store.reset();
    store = must(replica_store::open(options, steady_ms{now}, wall));
    opened = turn();
  }
  turn_result opened;  ///< what opening did
  turn_result turn() { return store->turn(steady_ms{++now}, wall); }
  entry_result propose(bytes entry) {
    auto ticket = must(store->propose(entry));
    auto done = turn();
    BOOST_REQUIRE_EQUAL(done.answers.size(), 1);
    BOOST_REQUIRE(done.answers[0].ticket == ticket);
    return must(std::move(done.answers[0].outcome));
  }
  event_log::head head() { return event_log::find_head(store->store().read()); }
};

std::vector<std::pair<log_index, bytes>> commands_in(environment& env) {
  std::vector<std::pair<log_index, bytes>> out;
  auto txn = env.read();
  scan<table::log>(txn, encode_key(log_key{log_index{1}}), [&](const log_key& key, const log_record& record) {
    if (record.type == 1)
      out.emplace_back(key.index, to_bytes(record.payload));
    return true;
  });
  return out;
}

} // namespace

BOOST_AUTO_TEST_SUITE(replica_store_of_one)

BOOST_AUTO_TEST_CASE(a_founded_store_opens_with_its_cluster_applied) {
  single s;
  auto picture = s.store->picture();
  BOOST_TEST((picture.cluster == the_cluster));
  BOOST_TEST((picture.role == raft::role::leader));
  BOOST_TEST((picture.term == term{2}));  // the founding term is 1
  BOOST_TEST((picture.applied == picture.last));
  auto stored = get<table::state>(s.store->store().read(), {"cluster"});
  BOOST_TEST(stored.has_value());
  BOOST_TEST((cluster_id::from(stored->raw) == the_cluster));
  BOOST_TEST(event_log::verify(s.store->store().read()).broken.has_value() == false);
}

BOOST_AUTO_TEST_CASE(a_store_is_founded_once) {
  single s;
  s.store.reset();
  auto again = replica_store::found(s.options, {the_cluster, members(1)});
  BOOST_TEST((again.error().code == ec::already_exists));
}

BOOST_AUTO_TEST_CASE(a_founding_needs_this_node_and_sound_members) {
  scratch_directory scratch;
  auto options = options_in(scratch.path() / "data", 2);
  BOOST_TEST((replica_store::found(options, {the_cluster, members(1)}).error().code == ec::configuration));
  BOOST_TEST((replica_store::found(options, {the_cluster, {}}).error().code == ec::malformed));
  BOOST_TEST(!replica_store::present(options.directory));
}

BOOST_AUTO_TEST_CASE(what_is_not_there_or_not_ours_is_refused) {
  single s;
  s.store.reset();
  auto elsewhere = s.options;
  elsewhere.directory = s.scratch.path() / "nothing";
  BOOST_TEST((replica_store::open(elsewhere, steady_ms{1}, noon).error().code == ec::not_found));
  BOOST_TEST(!std::filesystem::exists(elsewhere.directory));
  auto other_cluster = s.options;
  other_cluster.expected_cluster = cluster_id{{9}};
  BOOST_TEST((replica_store::open(other_cluster, steady_ms{1}, noon).error().code == ec::configuration));
  auto other_node = s.options;
  other_node.consensus.self = raft::server_id{2};
  BOOST_TEST((replica_store::open(other_node, steady_ms{1}, noon).error().code == ec::configuration));
  s.reopen();
}

BOOST_AUTO_TEST_CASE(a_store_written_by_a_newer_version_is_refused) {
  single s;
  s.store.reset();
  {
    auto env = must(environment::open({s.options.directory, 1ULL << 30}, all_tables()));
    auto txn = env->write();
    bytes raw;
    format_row{99, 99}.encode(raw);
    put<table::meta>(txn, {"format"}, {raw});
    txn.commit();
  }
  BOOST_TEST((replica_store::open(s.options, steady_ms{1}, noon).error().code == ec::wrong_format));
}

BOOST_AUTO_TEST_CASE(a_store_that_lost_the_end_of_its_log_is_corrupt) {
  single s;
  s.propose(note(1));
  auto last = s.head().index;
  s.store.reset();
  {
    auto env = must(environment::open({s.options.directory, 1ULL << 30}, all_tables()));
    auto txn = env->write();
    erase<table::log>(txn, {last});
    txn.commit();
  }
  BOOST_TEST((replica_store::open(s.options, steady_ms{1}, noon).error().code == ec::corrupt));
}

BOOST_AUTO_TEST_CASE(an_answer_means_durable_and_applied) {
  single s;
  auto before = s.store->applied();
  auto answer = s.propose(note(7));
  BOOST_TEST((answer.code == ec::ok));
  BOOST_TEST((answer.index == next(before)));
  BOOST_TEST((s.store->applied() == answer.index));
  s.reopen();
  auto record = event_log::find(s.store->store().read(), answer.index);
  BOOST_REQUIRE(record.has_value());
  BOOST_TEST(number_of(record->payload).value_or(0) == 7);
  BOOST_TEST(read_events(s.store->store().read(), answer.index, 1).size() == 1);
}

BOOST_AUTO_TEST_CASE(fifty_proposals_of_one_turn_share_one_commit) {
  single s;
  std::vector<proposal_ticket> tickets;
  for (std::uint64_t i = 0; i < 50; ++i)
    tickets.push_back(must(s.store->propose(note(i))));
  auto done = s.turn();
  BOOST_TEST(done.commits == 1);
  BOOST_TEST(done.advanced);
  BOOST_TEST(!done.more);
  BOOST_REQUIRE_EQUAL(done.answers.size(), 50);
  for (std::size_t i = 0; i < 50; ++i) {
    BOOST_TEST((done.answers[i].ticket == tickets[i]));
    BOOST_TEST((done.answers[i].outcome->index == log_index{value(done.answers[0].outcome->index) + i}));
  }
  BOOST_TEST(s.turn().commits == 0);
}

BOOST_AUTO_TEST_CASE(a_turn_takes_what_fits_and_says_that_more_is_queued) {
  single s;
  s.options.turn_entries_max = 10;
  s.reopen();
  for (std::uint64_t i = 0; i < 25; ++i)
    must(s.store->propose(note(i)));
  auto one = s.turn();
  BOOST_TEST(one.answers.size() == 10);
  BOOST_TEST(one.more);
  BOOST_TEST(s.turn().answers.size() == 10);
  auto three = s.turn();
  BOOST_TEST(three.answers.size() == 5);
  BOOST_TEST(!three.more);
}

BOOST_AUTO_TEST_CASE(too_much_in_flight_is_overload_until_it_is_answered) {
  single s;
  s.options.in_flight_entries_max = 3;
  s.reopen();
  for (std::uint64_t i = 0; i < 3; ++i)
    must(s.store->propose(note(i)));
  BOOST_TEST((s.store->propose(note(4)).error().code == ec::overloaded));
  s.turn();
  must(s.store->propose(note(5)));
  s.turn();
  BOOST_TEST(s.store->picture().in_flight_entries == 0);
  BOOST_TEST(s.store->picture().in_flight_bytes == 0);

  s.options.in_flight_bytes_max = 10'000;
  s.reopen();
  BOOST_TEST((s.store->propose(note(6, 20'000)).error().code == ec::overloaded));
  must(s.store->propose(note(7)));
}

BOOST_AUTO_TEST_CASE(bytes_that_are_no_entry_are_refused_at_once) {
  single s;
  BOOST_TEST((s.store->propose(as_bytes("not an entry")).error().code == ec::malformed));
  BOOST_TEST((s.store->propose({}).error().code == ec::malformed));
  BOOST_TEST(!s.store->work_queued());
}

BOOST_AUTO_TEST_CASE(a_low_disk_refuses_proposals_before_any_write_and_recovers_without_a_restart) {
  single s;
  std::uint64_t free_bytes = 50ULL << 30;
  s.options.measure = [&] { return space{1ULL << 40, 0, 100ULL << 30, free_bytes}; };
  s.reopen();
  s.propose(note(1));
  auto last = s.head().index;
  free_bytes = (5ULL << 30) - (1 << 20);  // just below 5 % of 100 GiB
  s.turn();
  BOOST_TEST((s.store->propose(note(2)).error().code == ec::disk_full));
  BOOST_TEST(s.store->picture().disk_low);
  s.turn();
  BOOST_TEST((s.head().index == last));
  // Cursor advances and closings go on from the reserve…
  must(s.store->propose(note(3), true));
  BOOST_TEST(s.turn().answers.size() == 1);
  // …but not to the last byte.
  free_bytes = 100 << 20;
  s.turn();
  BOOST_TEST((s.store->propose(note(4), true).error().code == ec::disk_full));
  free_bytes = 6ULL << 30;
  s.turn();
  BOOST_TEST((s.propose(note(5)).code == ec::ok));
}

BOOST_AUTO_TEST_CASE(a_full_map_is_met_before_lmdb_meets_it) {
  single s;
  s.options.measure = [] { return space{1ULL << 30, (1ULL << 30) - (50ULL << 20), 100ULL << 30, 50ULL << 30}; };
  s.reopen();
  BOOST_TEST((s.store->propose(note(1)).error().code == ec::disk_full));
}

BOOST_AUTO_TEST_CASE(entry_times_never_decrease_whatever_the_wall_clock_does) {
  single s;
  for (auto shift : {0, 5'000, -60'000, 10, 7'000, -1}) {
    s.wall = wall_ms{value(noon) + static_cast<std::uint64_t>(shift)};
    s.propose(note(1));
  }
  s.wall = wall_ms{value(noon) - 3'600'000};
  s.reopen();
  s.propose(note(2));
  wall_ms before{};
  for (const auto& [index, payload] : commands_in(s.store->store())) {
    auto time = must(entry_time(payload));
    BOOST_TEST((time >= before));
    before = time;
  }
  BOOST_TEST((before == wall_ms{value(noon) + 7'000}));
  BOOST_TEST((read_applied(s.store->store().read()).last_time == before));
}

BOOST_AUTO_TEST_CASE(every_start_begins_a_new_term_and_keeps_everything) {
  single s;
  s.propose(note(1));
  auto was = s.store->picture();
  for (int i = 0; i < 5; ++i) {
    s.reopen();
    auto now = s.store->picture();
    BOOST_TEST((now.term == next(was.term)));
    BOOST_TEST((now.applied > was.applied));  // the barrier of the new term
    was = now;
  }
  auto commands = commands_in(s.store->store());
  BOOST_TEST(commands.size() == 2);  // Founded, note 1
  BOOST_TEST(event_log::verify(s.store->store().read()).broken.has_value() == false);
}

BOOST_AUTO_TEST_CASE(what_was_durable_but_not_applied_is_applied_when_the_store_opens) {
  single s;
  s.propose(note(1));
  auto picture = s.store->picture();
  s.store.reset();
  constexpr std::uint64_t tail = 5'000;  // more than one transaction replays
  {
    auto env = must(environment::open({s.options.directory, 1ULL << 30}, all_tables()));
    auto txn = env->write();
    auto head = event_log::find_head(txn);
    for (std::uint64_t i = 0; i < tail; ++i) {
      auto payload = note(100 + i);
      must_status(set_entry_time(payload, noon));
      head = event_log::append(txn, head, {picture.term, 1, payload});
    }
    txn.commit();
  }
  s.reopen();
  BOOST_TEST(value(s.store->applied()) == value(picture.applied) + tail + 1);
  auto events = read_events(s.store->store().read(), next(picture.applied), 10'000);
  BOOST_TEST(events.size() == tail);
}

BOOST_AUTO_TEST_CASE(a_long_log_opens_fast) {
  single s;
  for (std::uint64_t i = 0; i < 20'000;) {
    for (int j = 0; j < 1'000; ++j)
      must(s.store->propose(note(i++)));
    BOOST_REQUIRE_EQUAL(s.turn().answers.size(), 1'000);
  }
  auto hash = s.store->picture().state_hash;
  auto index = s.store->applied();
  auto begin = std::chrono::steady_clock::now();
  s.reopen();
  auto took = std::chrono::steady_clock::now() - begin;
  BOOST_TEST(std::chrono::duration_cast<std::chrono::milliseconds>(took).count() < 1'000);
  BOOST_TEST((s.store->applied() == next(index)));
  BOOST_TEST((s.store->picture().state_hash != hash));
}

BOOST_AUTO_TEST_CASE(two_stores_that_applied_the_same_entries_have_the_same_state_hash) {
  single a, b;
  for (std::uint64_t i = 0; i < 30; ++i) {
    a.propose(note(i));
    must(b.store->propose(note(i)));
  }
  b.turn();
  BOOST_TEST((a.store->applied() == b.store->applied()));
  BOOST_TEST((a.store->picture().state_hash == b.store->picture().state_hash));
}

BOOST_AUTO_TEST_CASE(a_leader_without_work_takes_no_transaction) {
  single s;
  auto applied = s.store->applied();
  for (int i = 0; i < 20; ++i) {
    s.now += 400;
    auto done = s.turn();
    BOOST_TEST(done.commits == 0);
    BOOST_TEST(!done.advanced);
  }
  BOOST_TEST((s.store->applied() == applied));
  BOOST_TEST((s.store->picture().role == raft::role::leader));
}

BOOST_AUTO_TEST_SUITE_END()

// ---- kill ------------------------------------------------------------------------------------------------------------

namespace {

/// Proposes numbered notes until it is killed, and writes each acknowledged one to `acks` after its turn: number and index.
[[noreturn]] void work_until_killed(const replica_options& options, std::uint64_t first, int acks) {
  auto store = replica_store::open(options, steady_ms{1}, noon);
  if (!store)
    _exit(3);
  std::mt19937_64 random(first);
  std::map<proposal_ticket, std::uint64_t> proposed;
  for (std::uint64_t now = 2;; ++now) {
    for (auto count = 1 + random() % 20; count > 0; --count) {
      auto ticket = (*store)->propose(note(first, random() % 200));
      if (!ticket)
        _exit(4);
      proposed[*ticket] = first++;
    }
    auto done = (*store)->turn(steady_ms{now}, noon);
    for (const auto& answer : done.answers) {
      if (!answer.outcome || answer.outcome->code != ec::ok)
        _exit(5);
      std::uint64_t line[2] = {proposed[answer.ticket], value(answer.outcome->index)};
      if (::write(acks, line, sizeof line) != sizeof line)
        _exit(6);
    }
  }
}

} // namespace

BOOST_AUTO_TEST_SUITE(replica_store_killed)

BOOST_AUTO_TEST_CASE(a_kill_at_any_moment_loses_and_doubles_nothing_that_was_answered) {
  scratch_directory scratch;
  auto options = options_in(scratch.path() / "data");
  must_status(replica_store::found(options, {the_cluster, members(1)}));
  std::mt19937_64 random(42);
  std::map<std::uint64_t, std::uint64_t> acknowledged;
  std::uint64_t first = 1;
  for (int cycle = 0; cycle < 25; ++cycle) {
    int pipe_ends[2];
    BOOST_REQUIRE_EQUAL(::pipe(pipe_ends), 0);
    auto child = ::fork();
    BOOST_REQUIRE(child >= 0);
    if (child == 0) {
      ::close(pipe_ends[0]);
      work_until_killed(options, first, pipe_ends[1]);
    }
    ::close(pipe_ends[1]);
    ::usleep(static_cast<useconds_t>(2'000 + random() % 60'000));
    ::kill(child, SIGKILL);
    std::uint64_t line[2];
    while (::read(pipe_ends[0], line, sizeof line) == sizeof line)
      acknowledged[line[0]] = line[1];
    ::close(pipe_ends[0]);
    int ended = 0;
    ::waitpid(child, &ended, 0);
    BOOST_REQUIRE_MESSAGE(WIFSIGNALED(ended), "the worker ended by itself with " << WEXITSTATUS(ended));

    auto store = must(replica_store::open(options, steady_ms{1}, noon));
    auto picture = store->picture();
    BOOST_TEST((picture.applied == picture.last));
    std::map<std::uint64_t, std::uint64_t> found;
    for (const auto& [index, payload] : commands_in(store->store()))
      if (auto number = number_of(payload))
        BOOST_TEST(found.emplace(*number, value(index)).second, "note " << *number << " stands twice");
    for (const auto& [number, index] : acknowledged)
      BOOST_TEST(found[number] == index, "note " << number << " was answered with index " << index);
    BOOST_TEST(read_events(store->store().read(), log_index{1}, 1'000'000).size() == found.size());
    BOOST_TEST(event_log::verify(store->store().read()).broken.has_value() == false);
    first = (found.empty() ? 0 : found.rbegin()->first) + 1;
  }
  BOOST_TEST(acknowledged.size() > 100);
}

#ifdef SIGNET_TEST_HOOKS
BOOST_AUTO_TEST_CASE(a_store_that_answers_before_its_commit_is_caught) {
  // A process of its own: the bug is chosen once in the life of a process.
  auto program = std::filesystem::read_symlink("/proc/self/exe").string();
  auto child = ::fork();
  BOOST_REQUIRE(child >= 0);
  if (child == 0) {
    ::setenv("SIGNET_BUG", "ACK_EARLY", 1);
    auto nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    ::dup2(nowhere, STDOUT_FILENO);
    ::dup2(nowhere, STDERR_FILENO);
    ::execl(program.c_str(), program.c_str(), "--run_test=replica_store_killed/a_kill_at_any_moment*", nullptr);
    ::_exit(0);
  }
  int ended = 0;
  ::waitpid(child, &ended, 0);
  BOOST_TEST(WIFEXITED(ended));
  BOOST_TEST(WEXITSTATUS(ended) == 201);  // Boost.Test: some tests have failed
}
#endif

BOOST_AUTO_TEST_SUITE_END()

// ---- three -----------------------------------------------------------------------------------------------------------

namespace {

/// Three stores, virtual time, a network that delivers at once what is not cut off.
struct trio {
  scratch_directory scratch;
  std::map<std::uint64_t, std::unique_ptr<replica_store>> nodes;
  std::uint64_t now = 1'000;
  std::vector<proposal_answer> answers;
  std::set<std::uint64_t> cut_off;

  trio() {
    for (std::uint64_t i = 1; i <= 3; ++i) {
      must_status(replica_store::found(options(i), {the_cluster, members(3)}));
      open(i);
    }
  }
  replica_options options(std::uint64_t i) const {
    return options_in(scratch.path() / ("data" + std::to_string(i)), i);
  }
  void open(std::uint64_t i) { nodes[i] = must(replica_store::open(options(i), steady_ms{now}, noon)); }
  void turn(std::uint64_t i) {
    auto done = nodes[i]->turn(steady_ms{now}, noon);
    for (auto& a : done.answers)
      answers.push_back(std::move(a));
    BOOST_TEST(done.refused_messages.empty());
    auto sender_term = nodes[i]->picture().term;
    for (auto& m : done.messages)
      if (auto to = nodes.find(value(m.to)); to != nodes.end() && !cut_off.contains(i) && !cut_off.contains(value(m.to)))
        to->second->receive({raft::server_id{i}, sender_term, std::move(m.body)});
  }
  void run(std::uint64_t ms) {
    for (auto end = now + ms; now < end; now += 5)
      for (auto& [i, node] : nodes)
        if (node->work_queued() || value(node->next_timeout()) <= now)
          turn(i);
  }
  std::uint64_t leader() {
    for (auto& [i, node] : nodes)
      if (!cut_off.contains(i) && node->picture().role == raft::role::leader)
        return i;
    return 0;
  }
  std::uint64_t wait_for_leader() {
    for (int i = 0; i < 100 && leader() == 0; ++i)
      run(100);
    BOOST_REQUIRE(leader() != 0);
    run(200);
    return leader();
  }
};

} // namespace

BOOST_AUTO_TEST_SUITE(replica_store_of_three)

BOOST_AUTO_TEST_CASE(three_nodes_answer_when_a_majority_has_it_and_agree_on_the_state) {
  trio t;
  auto leader = t.wait_for_leader();
  for (std::uint64_t i = 0; i < 40; ++i)
    must(t.nodes[leader]->propose(note(i)));
  t.turn(leader);
  BOOST_TEST(t.answers.empty());  // durable here is not yet committed
  t.run(300);
  BOOST_REQUIRE_EQUAL(t.answers.size(), 40);
  for (const auto& a : t.answers)
    BOOST_TEST(a.outcome.has_value());
  auto picture = t.nodes[1]->picture();
  for (auto& [i, node] : t.nodes) {
    BOOST_TEST((node->picture().applied == picture.applied));
    BOOST_TEST((node->picture().state_hash == picture.state_hash));
    BOOST_TEST((node->picture().cluster == the_cluster));
  }
}

BOOST_AUTO_TEST_CASE(a_follower_refuses_proposals_and_a_lost_leader_answers_when_it_knows) {
  trio t;
  auto leader = t.wait_for_leader();
  auto follower = leader % 3 + 1;
  must(t.nodes[follower]->propose(note(1)));
  t.run(50);
  BOOST_REQUIRE_EQUAL(t.answers.size(), 1);
  BOOST_TEST((t.answers[0].outcome.error().code == ec::not_leader));
  t.answers.clear();

  t.cut_off = {leader};
  must(t.nodes[leader]->propose(note(2)));
  t.run(3'000);
  BOOST_TEST(t.answers.empty());  // whether it survives is not decided yet
  BOOST_TEST((t.nodes[leader]->picture().role != raft::role::leader));

  // The others go on; when the old leader is back, its tail gives way.
  auto next_leader = t.wait_for_leader();
  BOOST_TEST(next_leader != leader);
  must(t.nodes[next_leader]->propose(note(3)));
  t.run(300);
  BOOST_REQUIRE_EQUAL(t.answers.size(), 1);
  BOOST_TEST(t.answers[0].outcome.has_value());
  t.answers.clear();
  t.cut_off.clear();
  t.run(2'000);
  BOOST_REQUIRE_EQUAL(t.answers.size(), 1);
  BOOST_TEST((t.answers[0].outcome.error().code == ec::not_leader));  // another entry has taken its place
  BOOST_TEST(t.nodes[leader]->picture().in_flight_entries == 0);
  for (auto& [i, node] : t.nodes) {
    BOOST_TEST((node->picture().state_hash == t.nodes[1]->picture().state_hash));
    std::set<std::uint64_t> numbers;
    for (const auto& [index, payload] : commands_in(node->store()))
      if (auto number = number_of(payload))
        numbers.insert(*number);
    BOOST_TEST((numbers == std::set<std::uint64_t>{3}));
    BOOST_TEST(event_log::verify(node->store().read()).broken.has_value() == false);
  }
}

BOOST_AUTO_TEST_CASE(a_node_that_was_away_catches_up_from_the_log) {
  trio t;
  auto leader = t.wait_for_leader();
  auto away = leader % 3 + 1;
  t.nodes.erase(away);
  for (std::uint64_t i = 0; i < 600; ++i)
    must(t.nodes[leader]->propose(note(i)));
  t.run(500);
  BOOST_TEST(t.answers.size() == 600);
  t.open(away);
  t.run(3'000);
  BOOST_TEST((t.nodes[away]->picture().applied == t.nodes[leader]->picture().applied));
  BOOST_TEST((t.nodes[away]->picture().state_hash == t.nodes[leader]->picture().state_hash));
}

BOOST_AUTO_TEST_CASE(leadership_is_handed_over_on_request) {
  trio t;
  auto leader = t.wait_for_leader();
  auto to = leader % 3 + 1;
  must_status(t.nodes[leader]->hand_over(raft::server_id{to}, steady_ms{t.now}));
  t.turn(leader);
  t.run(1'000);
  BOOST_TEST(t.leader() == to);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace signet::storage
