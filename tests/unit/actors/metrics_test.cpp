#include "actors/admin/metrics.hpp"

#include <boost/test/unit_test.hpp>
#include <regex>
#include <sstream>

namespace signet {
namespace {
using nlohmann::json;

constexpr const char* canary = "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00";

json node_status() {
  latency_histogram sync{latency_bounds};
  sync.observe(std::chrono::microseconds(90));
  sync.observe(std::chrono::milliseconds(3));
  sync.observe(std::chrono::seconds(60));
  return {{"version", "0.1.0"},
          {"ready", true},
          {"replica",
           {{"role", "leader"}, {"term", 7}, {"last_index", 120}, {"committed_index", 119}, {"applied_index", 118},
            {"disk_low", false}, {"disk_free_bytes", 1'000'000}, {"refused", 3}, {"sync_seconds", to_json(sync)},
            {"members", {{{"node", "a"}, {"voter", true}}, {{"node", "b"}, {"voter", true}}, {{"node", "c"}, {"voter", false}}}}}},
          {"cluster_members",
           {{{"node", "b"}, {"voter", true}, {"linked", true}, {"lag", 2}, {"contact_age_s", 0.25}},
            {{"node", "c"}, {"voter", false}, {"linked", false}, {"lag", 99}}}},
          {"links",
           {{"peers", {{{"node", "b"}, {"state", "up"}, {"sent_bytes", 5'000}, {"dropped", 1}}, {{"node", "c"}, {"state", "waiting"}}}},
            {"refused", {{"wrong_key", 4}}}}},
          {"security_events", {{"login_failed", 5}, {"key_collision", 1}}},
          {"connections", {{"open", 10}, {"strangers", 2}, {"malformed", 4}}},
          {"bots", {{{"name", "echo"}, {"inbox", 8}, {"position", 7}, {"dead_letters", 0}, {"attempts", 0}}}}};
}

bool has_line(const std::string& text, const std::string& line) {
  std::istringstream lines(text);
  for (std::string each; std::getline(lines, each);)
    if (each == line)
      return true;
  BOOST_TEST_MESSAGE("no line \"" << line << "\" in\n" << text);
  return false;
}
} // namespace

BOOST_AUTO_TEST_SUITE(metrics)

BOOST_AUTO_TEST_CASE(what_an_operator_watches_is_there) {
  const auto text = metrics_text(node_status());
  for (const char* line : {"signet_raft_role{role=\"leader\"} 1", "signet_raft_role{role=\"follower\"} 0", "signet_raft_term 7",
                           "signet_log_committed_index 119", "signet_log_applied_index 118", "signet_peer_lag_entries{peer=\"b\"} 2",
                           "signet_peer_linked{peer=\"c\"} 0", "signet_security_events_total{kind=\"login_failed\"} 5",
                           "signet_connections_strangers 2", "signet_refusals_total{kind=\"malformed\"} 4",
                           "signet_refusals_total{kind=\"proposal\"} 3", "signet_disk_low 0", "signet_bot_pending{bot=\"echo\"} 1",
                           "signet_ready 1", "signet_peer_voter{peer=\"c\"} 0", "signet_peer_contact_age_seconds{peer=\"b\"} 0.25",
                           "signet_cluster_voters 2", "signet_cluster_members 3", "signet_link_up{peer=\"b\"} 1",
                           "signet_link_up{peer=\"c\"} 0", "signet_link_sent_bytes_total{peer=\"b\"} 5000",
                           "signet_link_refusals_total{reason=\"wrong_key\"} 4"})
    BOOST_TEST(has_line(text, line), line);
}

BOOST_AUTO_TEST_CASE(a_histogram_is_cumulative_and_ends_with_everything) {
  const auto text = metrics_text(node_status());
  for (const char* line : {"# TYPE signet_sync_seconds histogram", "signet_sync_seconds_count 3", "signet_sync_seconds_bucket{le=\"0.0001\"} 1",
                           "signet_sync_seconds_bucket{le=\"0.0025\"} 1", "signet_sync_seconds_bucket{le=\"0.005\"} 2",
                           "signet_sync_seconds_bucket{le=\"10\"} 2", "signet_sync_seconds_bucket{le=\"+Inf\"} 3"})
    BOOST_TEST(has_line(text, line), line);
}

BOOST_AUTO_TEST_CASE(every_line_follows_the_grammar_and_every_name_is_announced_once) {
  const auto text = metrics_text(node_status());
  const std::regex sample(R"re([a-z_]+(\{[a-z_]+="[^"\\]*"\})? [-+0-9.eInfNa]+)re"), head(R"(# (HELP|TYPE) [a-z_]+ .+)");
  std::istringstream lines(text);
  std::map<std::string, int> announced;
  for (std::string line; std::getline(lines, line);) {
    BOOST_TEST((std::regex_match(line, sample) || std::regex_match(line, head)), line);
    if (line.starts_with("# TYPE "))
      ++announced[line.substr(7, line.find(' ', 7) - 7)];
  }
  BOOST_TEST(announced.size() > 10U);
  for (const auto& [name, times] : announced)
    BOOST_TEST(times == 1, name);
}

BOOST_AUTO_TEST_CASE(nothing_that_looks_like_an_identity_becomes_a_label) {
  auto status = node_status();
  status["bots"].push_back({{"name", canary}, {"pending", 1}, {"bot", canary}});
  status["bots"][0]["bot"] = canary;
  status["security_events"][canary] = 1;
  status["rows"][canary] = 1;
  status["rows"]["a\"b\nc"] = 1;
  status["cluster_members"][0]["node_key"] = canary;
  status["cluster_members"].push_back({{"node", std::string("x-") + canary}, {"linked", true}});
  status["links"]["peers"][0]["last_error"] = canary;
  status["version"] = canary;
  status["node_key"] = canary;
  status["sessions"] = {{"attached", 1}, {"who", canary}, {canary, 1}};
  const auto text = metrics_text(status);
  BOOST_TEST(text.find("c0ffee") == std::string::npos);
  BOOST_TEST(text.find("a\"b") == std::string::npos);
  BOOST_TEST(has_line(text, "signet_sessions_attached 1"));
}

BOOST_AUTO_TEST_CASE(what_did_not_answer_is_left_out) {
  const auto text = metrics_text({{"version", "0.1.0"}, {"replica", {{"problem", "timeout"}}}, {"bots", "none"}, {"links", nullptr}});
  BOOST_TEST(has_line(text, "signet_build_info{version=\"0.1.0\"} 1"));
  BOOST_TEST(text.find("signet_raft_term") == std::string::npos);
  BOOST_TEST(metrics_text(json::object()).find("nan") == std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
} // namespace signet
