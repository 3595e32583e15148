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
  for (const auto& key : node_table_keys()) {
    const auto path = "nodes.node-1." + key.path;
    BOOST_REQUIRE_MESSAGE(values.contains(path), path << " is not documented in cluster.conf");
    BOOST_TEST(values[path] == key.default_text, path << ": " << values[path] << " is not the default");
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

namespace {
// RFC 8032, section 7.1, tests 1 to 3.
constexpr const char* key_1 = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
constexpr const char* key_2 = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
constexpr const char* key_3 = "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025";

struct table_line {
  std::string name, link, key, zone = {}, more = {};
};
std::string table_of(std::vector<table_line> lines, const std::string& cluster = "00112233445566778899aabbccddeeff") {
  std::string out = "[cluster]\nid = \"" + cluster + "\"\n";
  for (const auto& line : lines) {
    out += "[nodes." + line.name + "]\nlink = \"" + line.link + "\"\nlink_key = \"" + line.key + "\"\n";
    if (!line.zone.empty())
      out += "zone = \"" + line.zone + "\"\n";
    out += line.more;
  }
  return out;
}
/// z, m, a: not in the order of their names.
std::vector<table_line> three() {
  return {{"z", "127.0.0.1:7601", key_1}, {"m", "127.0.0.1:7602", key_2}, {"a", "127.0.0.1:7603", key_3}};
}
std::string refusal(const std::string& text, const std::string& name = "a", std::map<std::string, std::string> environment = {}) {
  auto got = parse_settings(text, "x.conf", name, environment);
  return got ? "taken" : got.error().context;
}
std::string warnings_of(const std::string& text, const std::string& name = "a") {
  auto got = parse_settings(text, "x.conf", name, {});
  BOOST_REQUIRE_MESSAGE(got, (got ? std::string() : render(got.error())));
  std::string out;
  for (const auto& each : settings_warnings(*got))
    out += each + "\n";
  return out;
}
bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }
} // namespace

BOOST_AUTO_TEST_CASE(the_node_table_keeps_the_order_of_the_file) {
  auto lines = three();
  lines[0].more = "[nodes.z.listen]\nmqtt = \"127.0.0.1:1\"\n";
  lines[2].more = "founder = false\n";
  auto got = parse_settings(table_of(lines), "x.conf", "m", {});
  BOOST_REQUIRE_MESSAGE(got, (got ? std::string() : render(got.error())));
  BOOST_REQUIRE(got->nodes.size() == 3U);
  BOOST_TEST(got->nodes[0].name == "z");
  BOOST_TEST(got->nodes[1].name == "m");
  BOOST_TEST(got->nodes[2].name == "a");
  BOOST_TEST(got->nodes[0].link == "127.0.0.1:7601");
  BOOST_TEST(got->nodes[0].link_key->hex() == key_1);
  BOOST_TEST(!got->nodes[2].founder);
  BOOST_REQUIRE(got->own());
  BOOST_TEST(got->own()->name == "m");
  BOOST_REQUIRE(got->founders().size() == 2U);
  BOOST_TEST(got->founders()[1].name == "m");
  BOOST_TEST(got->listen.mqtt == "127.0.0.1:1883", "another node's own values are not ours");
}

BOOST_AUTO_TEST_CASE(order_holds_also_where_a_nodes_first_line_is_a_subsection) {
  auto got = parse_settings("[nodes.b.listen]\nmqtt = \"127.0.0.1:2\"\n[nodes.a]\nlink = \"\"\n[nodes.b]\nlink = \"\"\n",
                            "x.conf", "a", {});
  BOOST_REQUIRE_MESSAGE(got, (got ? std::string() : render(got.error())));
  BOOST_TEST(got->nodes.front().name == "b");
}

BOOST_AUTO_TEST_CASE(founders_are_those_with_a_link_or_the_node_alone) {
  auto lines = three();
  lines[1].link = "";
  auto with = parse_settings(table_of(lines), "x.conf", "a", {});
  auto without = parse_settings(table_of(lines), "x.conf", "m", {});
  BOOST_REQUIRE(with && without);
  BOOST_TEST(with->founders().size() == 2U);
  BOOST_REQUIRE(without->founders().size() == 1U);
  BOOST_TEST(without->founders()[0].name == "m");
  auto no_table = parse_settings("", "x.conf", "n", {});
  BOOST_REQUIRE(no_table && no_table->founders().size() == 1U);
  BOOST_TEST(no_table->founders()[0].name == "n");
  lines[2].more = "founder = false\n";
  BOOST_TEST(parse_settings(table_of(lines), "x.conf", "a", {})->founders().empty());
}

BOOST_AUTO_TEST_CASE(a_nodes_zone_wins_over_the_shared_one_and_the_environment_over_both) {
  auto lines = three();
  lines[0].zone = "east";
  const auto text = "[node]\nzone = \"west\"\n" + table_of(lines);
  auto z = parse_settings(text, "x.conf", "z", {});
  BOOST_REQUIRE(z);
  BOOST_TEST(z->zone == "east");
  BOOST_TEST(z->find_node("a")->zone == "west");
  auto overridden = parse_settings(text, "x.conf", "z", {{"SIGNET_NODE_ZONE", "north"}});
  BOOST_REQUIRE(overridden);
  BOOST_TEST(overridden->zone == "north");
  BOOST_TEST(overridden->own()->zone == "north");
}

BOOST_AUTO_TEST_CASE(the_environment_overrides_a_line_of_the_node_table) {
  std::vector<table_line> lines{{"node-1", "127.0.0.1:7601", key_1}, {"b", "127.0.0.1:7602", key_2}};
  auto got = parse_settings(table_of(lines), "x.conf", "b",
                            {{"SIGNET_NODES_NODE_1_LINK", "10.0.0.1:7601"}, {"SIGNET_NODES_B_FOUNDER", "false"}});
  BOOST_REQUIRE_MESSAGE(got, (got ? std::string() : render(got.error())));
  BOOST_TEST(got->nodes[0].link == "10.0.0.1:7601");
  BOOST_TEST(!got->own()->founder);
  BOOST_TEST(holds(refusal(table_of(lines), "b", {{"SIGNET_NODES_B_LNIK", "x"}}), "did you mean SIGNET_NODES_B_LINK?"));
}

BOOST_AUTO_TEST_CASE(a_mistake_in_the_node_table_is_refused_with_what_to_do) {
  auto lines = three();
  lines[0].more = "lnik = \"x\"\n";
  BOOST_TEST(holds(refusal(table_of(lines)), "unknown key nodes.z.lnik; did you mean nodes.z.link?"));
  lines = three();
  lines[0].link = "127.0.0.1";
  lines[1].link = "0.0.0.0:7602";
  lines[2].link = "127.0.0.1:0";
  lines[2].key = "abcd";
  const auto all = refusal(table_of(lines));
  for (const char* part : {"nodes.z.link: \"127.0.0.1\" is not host:port", "nodes.m.link: peers dial this address",
                           "nodes.a.link: port 0", "nodes.a.link_key is not a key", "signet node init"})
    BOOST_TEST(holds(all, part), part << " is not in " << all);
  lines = three();
  lines[1].link = lines[0].link;
  lines[2].key = lines[0].key;
  BOOST_TEST(holds(refusal(table_of(lines)), "nodes.m.link is the same as that of nodes.z"));
  BOOST_TEST(holds(refusal(table_of(lines)), "nodes.a.link_key is the same as that of nodes.z"));
  // All zero is a point of small order: no key.
  lines = three();
  lines[2].key = std::string(64, '0');
  BOOST_TEST(holds(refusal(table_of(lines)), "nodes.a.link_key is not a key"));
  BOOST_TEST(holds(refusal("[nodes.\"a b\"]\nlink = \"\"\n", "a b"), "a node's name is"));
  BOOST_TEST(holds(refusal(table_of(three()) + "[nodes.a.cluster]\nid = \"\"\n"), "unknown key nodes.a.cluster"));
}

BOOST_AUTO_TEST_CASE(a_mistake_in_another_nodes_section_is_reported_too) {
  auto lines = three();
  lines[0].more = "[nodes.z.listen]\nmqqt = \"127.0.0.1:1\"\n";
  BOOST_TEST(holds(refusal(table_of(lines), "a"), "did you mean listen.mqtt?"));
}

BOOST_AUTO_TEST_CASE(a_heartbeat_leaves_room_for_two_lost_ones) {
  BOOST_TEST(holds(refusal("[cluster]\nelection_ms = 100\nheartbeat_ms = 50\n"), "at most a third"));
  auto got = parse_settings("[cluster]\nelection_ms = 900\nheartbeat_ms = 300\n", "x.conf", "n", {});
  BOOST_REQUIRE(got);
  BOOST_TEST(got->consensus.election_ms == 900);
  BOOST_TEST(got->consensus.heartbeat_ms == 300);
}

BOOST_AUTO_TEST_CASE(three_founders_in_three_zones_give_no_warning) {
  auto lines = three();
  BOOST_TEST(warnings_of(table_of(lines)) == "");
  for (std::size_t i = 0; i < 3; ++i)
    lines[i].zone = std::string(1, static_cast<char>('p' + i));
  BOOST_TEST(warnings_of(table_of(lines)) == "");
  BOOST_TEST(warnings_of("", "n") == "");
}

BOOST_AUTO_TEST_CASE(what_is_seldom_meant_is_warned_of) {
  auto lines = three();
  lines[1].more = "founder = false\n";
  BOOST_TEST(holds(warnings_of(table_of(lines)), "2 founders: an even number"));
  lines = three();
  lines[0].zone = lines[1].zone = "p";
  lines[2].zone = "q";
  BOOST_TEST(holds(warnings_of(table_of(lines)), "zone p holds 2 of 3 founders: its loss loses the majority"));
  BOOST_TEST(!holds(warnings_of(table_of(lines)), "zone q"));
  lines[2].zone = "p";
  BOOST_TEST(holds(warnings_of(table_of(lines)), "all founders are in zone p"));
  lines[2].zone = "";
  BOOST_TEST(holds(warnings_of(table_of(lines)), "name the zone of each"));
  lines = three();
  lines[1].key = "";
  lines[2].link = "";
  BOOST_TEST(holds(warnings_of(table_of(lines)), "nodes.m has no link_key"));
  BOOST_TEST(holds(warnings_of(table_of(lines)), "nodes.a has no link"));
  BOOST_TEST(holds(warnings_of(table_of(three(), "")), "cluster.id is empty"));
  BOOST_TEST(holds(warnings_of("[admin]\nlisten = \"0.0.0.0:9100\"\n", "n"), "is not loopback"));
  BOOST_TEST(warnings_of("[admin]\nlisten = \"127.0.0.1:9100\"\n", "n") == "");
}

BOOST_AUTO_TEST_SUITE_END()
