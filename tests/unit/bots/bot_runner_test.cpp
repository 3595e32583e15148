// Replica, fan-out and bots as actors over a real store, with virtual time and seeded orders.
#include "actors/bots/bots.hpp"
#include "actors/fanout/fanout.hpp"
#include "actors/replica/replica.hpp"
#include "messages/entries.hpp"
#include "storage/views/read.hpp"
#include "tests/support/deterministic_system.hpp"
#include "tests/support/view_world.hpp"

#include <boost/test/unit_test.hpp>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

using namespace signet;
using namespace std::chrono_literals;
using signet::testing::deterministic_system;
using signet::testing::must;
using signet::testing::person;

namespace {

struct quiet {
  quiet() { spdlog::set_level(spdlog::level::off); }
};
const quiet no_output;

/// The virtual clock of the actors, for those who ask for the time themselves.
struct virtual_clock final : clock_source {
  deterministic_system* world = nullptr;
  std::uint64_t ms() const {
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(world->now().time_since_epoch()).count());
  }
  wall_ms wall() const override { return wall_ms{1'700'000'000'000 + ms()}; }
  steady_ms steady() const override { return steady_ms{1'000 + ms()}; }
};

/// A data directory that outlives the nodes on it.
struct disk {
  signet::testing::scratch_directory scratch;
  signet::testing::seeded_random random{1};
  storage::replica_options options;
  cluster_id cluster = random_id<cluster_id>(random);
  person alice = person::make(random);

  disk() {
    options.directory = scratch.path() / "data";
    options.map_bytes = 64 << 20;
    options.consensus.self = raft::server_id{1};
    options.reserve_bytes = 0;
    options.reserve_percent = 0;
    (void) must(load_or_make_cluster_secret(scratch.path() / "keys", random));
    auto founded = storage::replica_store::found(
      options, {cluster, {{raft::server_id{1}, "one", raft::member_role::voter}}});
    if (!founded)
      throw std::runtime_error(render(founded.error()));
  }
};

struct node_of_a_test {
  disk& on;
  virtual_clock clock;
  deterministic_system world;
  std::shared_ptr<storage::replicator> store;
  replica_actor writer;
  fanout_actor waker;
  supervision::supervisor_actor root;
  std::string disaster;

  node_of_a_test(disk& from, std::uint64_t seed, std::vector<bot_definition> bots) : on{from}, world{seed} {
    clock.world = &world;
    store = must(storage::replicator::open({.store = on.options, .node = "one", .proposals = {}, .changes = {}, .process = {}},
                                           clock.steady(), clock.wall()));
    auto fail_stop = [this](const std::string& why) { disaster = why; };
    writer = world.spawn(replica, replica_services{store, &clock, [fail_stop](int, const std::string& why) { fail_stop(why); },
                                                   nullptr});
    waker = world.spawn(fanout, &store->store());
    caf::anon_send(writer, follow_atom_v, caf::actor_cast<caf::actor>(waker));
    bot_services services;
    services.store = &store->store();
    services.replica = writer;
    services.fanout = waker;
    services.keys_directory = on.scratch.path() / "keys";
    services.clock = &clock;
    services.random = &on.random;
    services.fail_stop = fail_stop;
    std::vector<supervision::child_spec> children;
    children.push_back(bots_child("bots", [services](supervision::starting&) { return services; }, std::move(bots)));
    root = world.spawn(supervision::supervisor, supervision::supervisor_options{}, std::move(children));
    world.settle();
  }

  entry_answer propose(bytes entry) {
    auto answer = world.ask<entry_answer>(writer, propose_entry{share(std::move(entry))});
    if (!answer)
      throw std::runtime_error("no answer to a proposal");
    return *answer;
  }
  permalink echo_id() {
    return must(find_bot_identity(on.scratch.path() / "keys", "echo")).who;
  }
  message_draft draft(std::string_view text) {
    message_draft out;
    out.cluster = on.cluster;
    out.author = on.alice.id();
    out.recipient = echo_id();
    out.body = to_bytes(as_bytes(text));
    return out;
  }
  bytes say(std::string_view text) {
    const message_draft drafts[] = {draft(text)};
    return batch_entry(must(make_batch(on.alice.sign, drafts, on.alice.tails)).serialised);
  }
  std::vector<std::string> replies() {
    std::vector<std::string> out;
    auto txn = store->store().read();
    for (const auto& slice : storage::read_inbox(txn, on.alice.id(), inbox_position{1}, 100'000, 100 << 20)) {
      const auto loaded = storage::load_batch(txn, slice.index);
      for (auto leaf : slice.leaves)
        out.emplace_back(as_text(must(read_object(loaded.batch.message(leaf).body)).body));
    }
    return out;
  }
  std::optional<storage::bot_row> row() {
    auto txn = store->store().read();
    return storage::find_bot(txn, echo_id());
  }
  caf::actor bot_now() {
    auto bots = world.ask<caf::actor>(root, supervision::find_child{"bots"});
    if (!bots)
      return nullptr;
    return world.ask<caf::actor>(caf::actor_cast<supervision::supervisor_actor>(*bots), supervision::find_child{"echo"})
      .value_or(caf::actor{});
  }
};

} // namespace

BOOST_AUTO_TEST_SUITE(bots_as_actors)

BOOST_AUTO_TEST_CASE(a_text_comes_back_without_anybody_asking_the_bot) {
  disk on;
  node_of_a_test node{on, 1, {echo_bot_definition()}};
  BOOST_TEST(node.row().has_value());
  BOOST_TEST((node.propose(on.alice.entry()).code == ec::ok));
  BOOST_TEST((node.propose(node.say("hello")).code == ec::ok));
  node.world.settle();
  BOOST_TEST(node.replies() == std::vector<std::string>{"hello"}, boost::test_tools::per_element());
  BOOST_TEST(node.disaster.empty());
}

BOOST_AUTO_TEST_CASE(the_tree_shows_the_bot_and_the_bot_shows_itself) {
  disk on;
  node_of_a_test node{on, 1, {echo_bot_definition()}};
  auto report = node.world.ask<supervision::supervisor_report>(node.root, supervision::ask_report{});
  BOOST_REQUIRE(report.has_value());
  BOOST_REQUIRE_EQUAL(report->children.size(), 1u);
  BOOST_REQUIRE_EQUAL(report->children[0].children.size(), 1u);
  BOOST_TEST(report->children[0].children[0].id == "echo");
  BOOST_TEST(report->children[0].children[0].kind == "bot");
  auto text = node.world.ask<std::string>(caf::actor_cast<bot_actor>(node.bot_now()), status_asked{});
  BOOST_REQUIRE(text.has_value());
  const auto status = nlohmann::json::parse(*text);
  BOOST_TEST(status["phase"] == "idle");
  BOOST_TEST(status["identity"] == node.echo_id().hex());
}

BOOST_AUTO_TEST_CASE(killed_at_any_moment_it_neither_loses_nor_doubles_a_reply) {
  disk on;
  int number = 0;
  std::vector<std::string> expected;
  std::uint64_t last_epoch = 0;
  for (std::uint64_t seed = 1; seed <= 25; ++seed) {
    // Each round is a new node on the same directory.
    node_of_a_test node{on, seed, {echo_bot_definition()}};
    std::mt19937_64 dice{seed};
    if (seed == 1)
      BOOST_REQUIRE((node.propose(on.alice.entry()).code == ec::ok));
    for (int round = 0; round < 6; ++round) {
      for (auto count = dice() % 4; count > 0; --count) {
        expected.push_back(std::to_string(++number));
        caf::anon_send(node.writer, propose_entry{share(node.say(expected.back()))});
      }
      for (auto steps = dice() % 40; steps > 0; --steps)
        node.world.step();
      if (dice() % 2 == 0)
        if (auto bot = node.bot_now())
          caf::anon_send<caf::message_priority::high>(bot, caf::exit_msg{bot.address(), caf::exit_reason::kill});
      if (dice() % 3 == 0)
        node.world.pass(std::chrono::milliseconds{dice() % 3'000}, 50ms);
    }
    if (dice() % 2 == 0) {  // else the node ends in the middle of it
      node.world.pass(120s, 1s);
      const auto got = node.replies();
      BOOST_REQUIRE_EQUAL_COLLECTIONS(got.begin(), got.end(), expected.begin(), expected.end());
      BOOST_REQUIRE(node.row()->epoch > last_epoch);
      last_epoch = node.row()->epoch;
    } else {
      node.world.settle();  // what alice has sent shall arrive; her client would repeat it
    }
    BOOST_REQUIRE(node.disaster.empty());
  }
  node_of_a_test node{on, 99, {echo_bot_definition()}};
  node.world.pass(10s, 1s);
  const auto got = node.replies();
  BOOST_REQUIRE_EQUAL_COLLECTIONS(got.begin(), got.end(), expected.begin(), expected.end());
  BOOST_TEST(node.row()->committed == expected.size());
  BOOST_TEST(number > 100);
}

BOOST_AUTO_TEST_CASE(a_bot_that_fails_does_not_disturb_its_neighbour) {
  struct broken final : bots::bot {
    void handle(const bots::incoming&, bots::effects&) override { throw bots::handler_error("broken"); }
  };
  disk on;
  node_of_a_test node{on, 1, {{"broken", [] { return std::make_unique<broken>(); }, {}}, echo_bot_definition()}};
  BOOST_REQUIRE((node.propose(on.alice.entry()).code == ec::ok));
  const auto broken_id = must(find_bot_identity(on.scratch.path() / "keys", "broken")).who;
  auto to_broken = node.draft("x");
  to_broken.recipient = broken_id;
  const message_draft drafts[] = {to_broken, node.draft("hello")};
  BOOST_REQUIRE(
    (node.propose(batch_entry(must(make_batch(on.alice.sign, drafts, on.alice.tails)).serialised)).code == ec::ok));
  node.world.settle();
  BOOST_TEST(node.replies() == std::vector<std::string>{"hello"}, boost::test_tools::per_element());
  node.world.pass(10s, 50ms);
  auto txn = node.store->store().read();
  const auto dead = storage::read_dead_letters(txn, broken_id, inbox_position{1}, 10);
  BOOST_REQUIRE_EQUAL(dead.size(), 1u);
  BOOST_TEST(dead[0].row.attempts == 5u);
}

BOOST_AUTO_TEST_CASE(a_bot_with_old_key_files_goes_on_under_its_name_with_the_keys_of_the_cluster) {
  disk on;
  const auto directory = on.scratch.path() / "keys";
  const bot_keys old_keys{signing_key::generate(on.random), signing_key::generate(on.random)};
  std::filesystem::create_directories(directory / "bots");
  BOOST_REQUIRE(old_keys.update.save(directory / "bots" / "echo.update.seed").has_value());
  BOOST_REQUIRE(old_keys.sign.save(directory / "bots" / "echo.sign.seed").has_value());
  const auto who = must(first_bot_identity(old_keys, "echo")).permalink();
  {
    node_of_a_test node{on, 1, {echo_bot_definition()}};
    BOOST_REQUIRE((node.propose(on.alice.entry()).code == ec::ok));
    BOOST_TEST((node.echo_id() == who));
    BOOST_REQUIRE((node.propose(node.say("one")).code == ec::ok));
    node.world.pass(5s, 100ms);
    BOOST_TEST(node.replies() == std::vector<std::string>{"one"}, boost::test_tools::per_element());
    auto txn = node.store->store().read();
    BOOST_TEST((storage::judge_key(txn, who, old_keys.sign.public_half(), key_purpose::sign) == ec::revoked_key));
  }
  // A node that has the secret only knows the bot by its derived key.
  std::filesystem::remove_all(directory / "bots");
  node_of_a_test node{on, 2, {echo_bot_definition()}};
  auto draft = node.draft("two");
  draft.recipient = who;
  const message_draft drafts[] = {draft};
  BOOST_REQUIRE(
    (node.propose(batch_entry(must(make_batch(on.alice.sign, drafts, on.alice.tails)).serialised)).code == ec::ok));
  node.world.pass(5s, 100ms);
  BOOST_TEST(node.replies() == (std::vector<std::string>{"one", "two"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_node_without_the_secret_waits_for_it) {
  disk on;
  std::filesystem::rename(on.scratch.path() / "keys" / "cluster.seed", on.scratch.path() / "kept");
  node_of_a_test node{on, 1, {echo_bot_definition()}};
  BOOST_REQUIRE((node.propose(on.alice.entry()).code == ec::ok));
  node.world.pass(5s, 100ms);
  auto text = node.world.ask<std::string>(caf::actor_cast<bot_actor>(node.bot_now()), status_asked{});
  BOOST_REQUIRE(text.has_value());
  BOOST_TEST(nlohmann::json::parse(*text)["phase"] == "no keys");
  std::filesystem::rename(on.scratch.path() / "kept", on.scratch.path() / "keys" / "cluster.seed");
  node.world.pass(2s, 100ms);
  BOOST_REQUIRE((node.propose(node.say("hello")).code == ec::ok));
  node.world.settle();
  BOOST_TEST(node.replies() == std::vector<std::string>{"hello"}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_key_file_that_others_can_read_keeps_the_bot_away_and_nothing_else) {
  disk on;
  {
    node_of_a_test node{on, 1, {echo_bot_definition()}};
  }
  const auto file = on.scratch.path() / "keys" / "cluster.seed";
  std::filesystem::permissions(file, std::filesystem::perms::others_read, std::filesystem::perm_options::add);
  node_of_a_test node{on, 2, {echo_bot_definition()}};
  node.world.pass(300s, 1s);
  auto report = node.world.ask<supervision::supervisor_report>(node.root, supervision::ask_report{});
  BOOST_REQUIRE(report.has_value());
  const auto& bots = report->children.at(0);
  BOOST_TEST(bots.restarts == 0u);
  BOOST_TEST(bots.children.at(0).restarts > 3u);
  BOOST_TEST(bots.children.at(0).last_reason.find("cluster.seed") != std::string::npos);
  std::filesystem::permissions(file, std::filesystem::perms::others_read, std::filesystem::perm_options::remove);
  node.world.pass(120s, 1s);
  report = node.world.ask<supervision::supervisor_report>(node.root, supervision::ask_report{});
  BOOST_TEST((report->children.at(0).children.at(0).state == supervision::child_state::running));
}

BOOST_AUTO_TEST_SUITE_END()
