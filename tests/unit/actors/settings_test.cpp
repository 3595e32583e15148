#include "actors/settings.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <fstream>
#include <sstream>

using namespace signet;

namespace {
std::string shipped_file() {
  std::ifstream in(std::string(SIGNET_SOURCE_DIR) + "/cluster.conf");
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}
} // namespace

BOOST_AUTO_TEST_SUITE(settings)

BOOST_AUTO_TEST_CASE(the_shipped_file_holds_every_key_with_its_default) {
  auto shipped = parse_settings(shipped_file(), "cluster.conf", "node-1", {});
  BOOST_REQUIRE_MESSAGE(shipped, (shipped ? std::string() : render(shipped.error())));
  std::string section, text = shipped_file();
  std::istringstream lines(text);
  std::map<std::string, std::string> values;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("["))
      section = line.substr(1, line.find(']') - 1);
    else if (auto equals = line.find(" = "); equals != std::string::npos && !line.starts_with("#")) {
      auto value = line.substr(equals + 3);
      std::erase(value, '"');
      values[section + "." + line.substr(0, equals)] = value == "[]" ? "" : value;
    }
  }
  for (const auto& key : settings_keys()) {
    BOOST_REQUIRE_MESSAGE(values.contains(key.path), key.path << " is not documented in cluster.conf");
    BOOST_TEST(values[key.path] == key.default_text, key.path << ": " << values[key.path] << " is not the default");
  }
}

BOOST_AUTO_TEST_CASE(an_unknown_key_is_an_error_with_a_suggestion) {
  auto got = parse_settings("[sessions]\nidel_s = 60\n", "x.conf", "n", {});
  BOOST_REQUIRE(!got);
  BOOST_TEST(got.error().context.find("line 2") != std::string::npos);
  BOOST_TEST(got.error().context.find("did you mean sessions.idle_s?") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(an_unknown_section_is_an_error_with_a_suggestion) {
  auto got = parse_settings("[session]\nidle_s = 60\n", "x.conf", "n", {});
  BOOST_REQUIRE(!got);
  BOOST_TEST(got.error().context.find("did you mean [sessions]?") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(every_mistake_is_reported_at_once) {
  auto got = parse_settings("[sessions]\nidle_s = 1\n[listen]\nmqtt = \"nowhere\"\n[log]\nlevel = 3\n", "x.conf", "n", {});
  BOOST_REQUIRE(!got);
  for (const char* part : {"sessions.idle_s is 1", "not host:port", "log.level must be a text"})
    BOOST_TEST(got.error().context.find(part) != std::string::npos, part);
}

BOOST_AUTO_TEST_CASE(the_environment_wins_over_the_file) {
  auto got = parse_settings("[sessions]\nidle_s = 60\n", "x.conf", "n", {{"SIGNET_SESSIONS_IDLE_S", "77"}});
  BOOST_REQUIRE(got);
  BOOST_TEST(got->sessions.idle_s == 77);
  BOOST_TEST(!parse_settings("", "x.conf", "n", {{"SIGNET_SESSIONS_IDLE_S", "soon"}}));
}

BOOST_AUTO_TEST_CASE(a_variable_that_names_a_section_but_no_key_is_refused_with_a_suggestion) {
  auto got = parse_settings("", "x.conf", "n", {{"SIGNET_SESSIONS_IDEL_S", "77"}});
  BOOST_REQUIRE(!got);
  BOOST_TEST(got.error().context.find("did you mean SIGNET_SESSIONS_IDLE_S?") != std::string::npos, got.error().context);
  BOOST_TEST(parse_settings("", "x.conf", "n", {{"SIGNET_HOME", "/x"}, {"SIGNET_NODE", "mqtt://x"}}).has_value());
}

BOOST_AUTO_TEST_CASE(an_unknown_variable_is_an_error_with_a_suggestion) {
  auto got = parse_settings("", "x.conf", "n", {{"SIGNET_SESSIONS_IDEL_S", "77"}});
  BOOST_REQUIRE(!got);
  BOOST_TEST(got.error().context.find("did you mean SIGNET_SESSIONS_IDLE_S?") != std::string::npos);
  BOOST_TEST(parse_settings("", "x.conf", "n", {{"SIGNET_HOME", "x"}, {"SIGNET_NODE", "mqtt://h"}}).has_value());
}

BOOST_AUTO_TEST_CASE(a_nodes_own_section_wins_over_the_shared_ones) {
  const char* text = "[listen]\nmqtt = \"127.0.0.1:1\"\n[nodes.a]\ndata = \"da\"\n[nodes.a.listen]\nmqtt = \"127.0.0.1:2\"\n"
                     "[nodes.b]\ndata = \"db\"\n";
  auto a = parse_settings(text, "x.conf", "a", {});
  auto b = parse_settings(text, "x.conf", "b", {});
  BOOST_REQUIRE(a);
  BOOST_REQUIRE(b);
  BOOST_TEST(a->listen.mqtt == "127.0.0.1:2");
  BOOST_TEST(b->listen.mqtt == "127.0.0.1:1");
  BOOST_TEST(b->data.string() == "db");
  auto c = parse_settings(text, "x.conf", "c", {});
  BOOST_REQUIRE(!c);
  BOOST_TEST(c.error().context.find("no section [nodes.c]") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(no_key_weakens_what_an_acknowledgement_means) {
  for (const auto& key : settings_keys()) {
    // Whole words: "packet" holds "ack" and means no harm.
    std::string words = "." + key.path + ".";
    std::replace(words.begin(), words.end(), '_', '.');
    for (const char* word : {"sync", "fsync", "durable", "durability", "ack", "acks", "quorum", "majority", "verify", "unsafe", "insecure"})
      BOOST_TEST(words.find("." + std::string(word) + ".") == std::string::npos, key.path);
  }
}

BOOST_AUTO_TEST_SUITE_END()
