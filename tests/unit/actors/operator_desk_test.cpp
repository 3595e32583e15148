#include "actors/replica/operator_desk.hpp"
#include "tests/support/replicator_world.hpp"

#include <nlohmann/json.hpp>

namespace signet {
namespace {
using nlohmann::json;
using storage::testing::replicator_world;

/// A world of nodes with a desk each; what a turn brings for the shell goes to the desk, as in the replica actor.
struct desks {
  replicator_world world;
  std::map<std::string, std::unique_ptr<operator_desk>> all;
  std::map<std::uint64_t, result<std::string>> answers;

  explicit desks(std::uint64_t seed, std::vector<std::string> founders = {"a", "b", "c"}) : world{seed, std::move(founders)} {
    world.wait_for_leader();
    for (auto& [name, node] : world.nodes)
      add(name);
  }
  void add(const std::string& name) {
    all[name] = std::make_unique<operator_desk>(*world.nodes.at(name).running, world.random() >> 1);
  }
  void run(std::uint64_t ms) {
    for (std::uint64_t i = 0; i < ms; ++i) {
      world.run(1);
      for (auto& [name, desk] : all) {
        for (auto& each : std::exchange(world.nodes.at(name).requests, {}))
          desk->receive(each, steady_ms{world.now});
        for (auto& each : desk->answers(steady_ms{world.now}))
          answers.insert_or_assign(each.number, std::move(each.what));
      }
      for (auto& each : std::exchange(world.changes, {}))
        if (const auto leader = world.leader(); !leader.empty())
          all.at(leader)->note(each);
    }
  }
  result<std::string> ask(const std::string& node, const json& what, std::uint64_t ms = 7'000) {
    const auto number = all.at(node)->ask(what.dump(), steady_ms{world.now});
    for (std::uint64_t passed = 0; passed < ms && !answers.contains(number); passed += 5)
      run(5);
    BOOST_REQUIRE_MESSAGE(answers.contains(number), "no answer");
    return answers.at(number);
  }
  json must_ask(const std::string& node, const json& what) {
    auto said = ask(node, what);
    BOOST_REQUIRE_MESSAGE(said, (said ? std::string() : render(said.error())));
    return json::parse(*said);
  }
};
} // namespace

BOOST_AUTO_TEST_SUITE(operators)

BOOST_AUTO_TEST_CASE(any_node_gives_the_leaders_picture) {
  desks here(1);
  const auto leader = here.world.leader();
  for (const char* node : {"a", "b", "c"}) {
    const auto said = here.must_ask(node, {{"do", "status"}});
    BOOST_TEST(said["answered_by"] == leader);
    BOOST_TEST(said["leader"] == leader);
    BOOST_TEST(said["stale"] == false);
    BOOST_REQUIRE(said["members"].size() == 3U);
    for (const auto& each : said["members"]) {
      BOOST_TEST(each["role"] == "voter");
      BOOST_TEST(each["linked"] == true);
      BOOST_TEST(each.contains("lag_entries"));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_node_is_added_by_an_order_given_to_a_follower) {
  desks here(2);
  const auto follower = here.world.another(here.world.leader());
  here.world.start_blank("d");
  here.add("d");
  here.run(500);
  const auto before = here.must_ask(follower, {{"do", "status"}});
  BOOST_TEST(before["waiting_to_join"] == json({"d"}));
  const auto begun = here.must_ask(follower, {{"do", "add"}, {"node", "d"}, {"votes", true}});
  BOOST_TEST(begun["begun"] == true);
  here.run(5'000);
  const auto after = here.must_ask(follower, {{"do", "status"}});
  BOOST_REQUIRE(after["members"].size() == 4U);
  BOOST_TEST(after["members"][3]["node"] == "d");
  BOOST_TEST(after["members"][3]["role"] == "voter");
  BOOST_TEST(after["members"][3]["id"].get<std::uint64_t>() > 1'000U);
  BOOST_REQUIRE(!after["ended"].empty());
  BOOST_TEST(after["ended"].back()["outcome"] == "done");
  BOOST_TEST(after["ended"].back()["number"] == begun["number"]);
}

BOOST_AUTO_TEST_CASE(leadership_is_handed_over_where_it_is_asked) {
  desks here(3);
  const auto before = here.world.leader(), to = here.world.another(before);
  here.must_ask(to, {{"do", "transfer"}, {"node", to}});
  here.run(3'000);
  BOOST_TEST(here.world.leader() == to);
}

BOOST_AUTO_TEST_CASE(an_order_that_makes_no_sense_is_refused_by_the_leader_and_the_reason_arrives) {
  desks here(4);
  const auto leader = here.world.leader(), follower = here.world.another(leader);
  const auto removal = here.ask(follower, {{"do", "remove"}, {"node", leader}});
  BOOST_REQUIRE(!removal);
  BOOST_TEST((removal.error().code == ec::configuration));
  BOOST_TEST(removal.error().context.find("transfer") != std::string::npos);
  BOOST_TEST((here.ask(follower, {{"do", "add"}, {"node", "nobody"}}).error().code == ec::not_found));
  BOOST_TEST((here.ask(follower, {{"do", "dance"}}).error().code == ec::configuration));
  BOOST_TEST((here.ask(leader, {{"do", "add"}}).error().code == ec::configuration));
  BOOST_TEST((here.ask(leader, json::array()).error().code == ec::configuration));
}

BOOST_AUTO_TEST_CASE(without_a_leader_a_node_says_what_it_knows_and_that_it_is_stale) {
  desks here(5);
  const auto leader = here.world.leader();
  here.world.kill(leader);
  here.all.erase(leader);
  const auto last = here.world.another(leader);
  here.world.cut(last);
  here.run(3'000);
  const auto said = here.must_ask(last, {{"do", "status"}});
  BOOST_TEST(said["stale"] == true);
  BOOST_TEST(said["answered_by"] == last);
  BOOST_TEST((here.ask(last, {{"do", "remove"}, {"node", leader}}).error().code == ec::not_leader));
}

BOOST_AUTO_TEST_CASE(an_answer_that_is_lost_ends_in_an_unknown_outcome) {
  desks here(6);
  const auto follower = here.world.another(here.world.leader());
  here.world.lose = [&](const std::string&, const storage::outgoing_frame& frame) {
    return std::holds_alternative<peer::admin_answer>(frame.what.body);
  };
  const auto said = here.ask(follower, {{"do", "status"}});
  BOOST_REQUIRE(!said);
  BOOST_TEST((said.error().code == ec::unknown_outcome));
}

BOOST_AUTO_TEST_CASE(the_loss_of_a_zone_is_judged_by_voters) {
  const auto member = [](const char* node, const char* role) { return json{{"node", node}, {"role", role}}; };
  const json three{member("a", "voter"), member("b", "voter"), member("c", "voter"), member("d", "standby")};
  BOOST_TEST(zones_of(three, {{"a", "p"}, {"b", "q"}, {"c", "r"}, {"d", "p"}})["survives_any"] == true);
  const auto two = zones_of(three, {{"a", "p"}, {"b", "p"}, {"c", "r"}});
  BOOST_TEST(two["survives_any"] == false);
  BOOST_TEST(two["zones"][0] == json({{"zone", "p"}, {"voters", 2}, {"survives", false}}));
  BOOST_TEST(two["zones"][1]["survives"] == true);
  BOOST_TEST(zones_of(three, {})["survives_any"] == true);  // each stands for itself
  BOOST_TEST(zones_of(json{member("a", "voter")}, {})["survives_any"] == false);
  BOOST_TEST(zones_of(json{member("a", "voter"), member("b", "voter")}, {})["survives_any"] == false);
}

BOOST_AUTO_TEST_SUITE_END()
} // namespace signet
