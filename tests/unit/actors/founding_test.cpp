#include "actors/founding.hpp"
#include "storage/log/event_log.hpp"
#include "storage/tables.hpp"
#include "tests/support/scratch_directory.hpp"

#include <boost/test/unit_test.hpp>
#include <fstream>

namespace signet {
namespace {
namespace fs = std::filesystem;

/// cluster.conf of up to three nodes, and what an operator does with it.
struct cluster_file {
  struct line {
    std::string name, key = {}, more = {};
    bool linked = true;
  };
  testing::scratch_directory scratch;
  std::string id;
  std::vector<line> lines;

  explicit cluster_file(std::vector<line> lines) : lines{std::move(lines)} {}

  node_settings as(const std::string& name) const {
    std::string text = "[cluster]\nid = \"" + id + "\"\n[storage]\nmap_bytes = 67108864\n";
    int port = 7601;
    for (const auto& each : lines)
      text += "[nodes." + each.name + "]\ndata = \"" + (scratch.path() / each.name).string() + "\"\nlink_key = \"" + each.key +
              "\"\nlink = \"" + (each.linked ? "127.0.0.1:" + std::to_string(port++) : std::string()) + "\"\n" + each.more;
    auto read = parse_settings(text, "cluster.conf", name, {});
    BOOST_REQUIRE_MESSAGE(read, (read ? std::string() : render(read.error())));
    return *read;
  }
  /// Pastes what init printed.
  void paste(const std::string& name, const initialised& made) {
    for (const auto& line : made.lines) {
      const auto quote = line.find('"');
      const auto text = quote == std::string::npos ? std::string() : line.substr(quote + 1, line.size() - quote - 2);
      if (line.starts_with("id = "))
        id = text;
      if (line.starts_with("link_key = "))
        for (auto& each : lines)
          if (each.name == name)
            each.key = text;
    }
  }
};

initialised must(result<initialised> got) {
  BOOST_REQUIRE_MESSAGE(got.has_value(), (got ? std::string() : render(got.error())));
  return std::move(*got);
}

/// The configuration in the first record of a store, and its bytes.
std::pair<raft::configuration, bytes> founding_entry_of(const node_settings& settings) {
  auto env = storage::environment::open({.directory = settings.data, .read_only = true}, storage::all_tables());
  BOOST_REQUIRE(env.has_value());
  auto txn = (*env)->read();
  auto record = storage::event_log::find(txn, log_index{1});
  BOOST_REQUIRE(record.has_value());
  auto members = raft::decode_configuration(record->payload);
  BOOST_REQUIRE(members.has_value());
  return {*members, to_bytes(record->payload)};
}
} // namespace

BOOST_AUTO_TEST_SUITE(founding)

BOOST_AUTO_TEST_CASE(three_founders_make_the_same_store_once_the_file_names_all_keys) {
  cluster_file file({{"z"}, {"m"}, {"a"}});
  for (const char* name : {"a", "m", "z"}) {
    const auto made = must(init_node(file.as(name)));
    BOOST_TEST(!made.founded);
    BOOST_TEST(!made.missing.empty());
    BOOST_TEST(!storage::replica_store::present(file.as(name).data));
    file.paste(name, made);
  }
  BOOST_TEST(!file.id.empty());
  bytes first;
  for (const char* name : {"a", "m", "z"}) {
    const auto made = must(init_node(file.as(name)));
    BOOST_TEST(made.founded);
    BOOST_TEST(made.founders == 3U);
    BOOST_TEST(made.cluster->hex() == file.id);
    BOOST_TEST(made.lines.empty());
    const auto [members, payload] = founding_entry_of(file.as(name));
    BOOST_REQUIRE(members.size() == 3U);
    // In the order of the file, not of the names.
    BOOST_TEST(members[0].address == "z");
    BOOST_TEST(members[2].address == "a");
    BOOST_TEST(static_cast<std::uint64_t>(members[2].id) == 3U);
    BOOST_TEST((members[1].role == raft::member_role::voter));
    if (first.empty())
      first = payload;
    BOOST_TEST((payload == first));
  }
  for (const char* name : {"a", "m", "z"})
    BOOST_TEST((init_node(file.as(name)).error().code == ec::already_exists));
}

BOOST_AUTO_TEST_CASE(only_the_first_founder_draws_the_clusters_id) {
  cluster_file file({{"z"}, {"a"}});
  const auto a = must(init_node(file.as("a"))), z = must(init_node(file.as("z")));
  BOOST_TEST(a.lines.size() == 2U);
  BOOST_REQUIRE(z.lines.size() == 4U);
  BOOST_TEST(z.lines[0] == "[cluster]");
  BOOST_TEST(z.lines[2] == "[nodes.z]");
  BOOST_TEST(a.missing.front().find("--name z") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(keys_are_made_once_and_are_different) {
  cluster_file file({{"a"}, {"b"}});
  const auto first = must(init_node(file.as("a"))), again = must(init_node(file.as("a")));
  BOOST_TEST((first.link_key == again.link_key));
  BOOST_TEST((first.node_key == again.node_key));
  BOOST_TEST((first.link_key != first.node_key));
  const auto mode = fs::status(file.as("a").data / "keys" / "link.seed").permissions();
  BOOST_TEST((mode == (fs::perms::owner_read | fs::perms::owner_write)));
}

BOOST_AUTO_TEST_CASE(a_node_alone_is_founded_at_once) {
  cluster_file file({{"a", {}, {}, false}, {"b", {}, {}, false}});
  const auto made = must(init_node(file.as("a")));
  BOOST_TEST(made.founded);
  BOOST_TEST(made.founders == 1U);
  BOOST_REQUIRE(made.lines.size() == 2U);
  BOOST_TEST(made.lines[1] == "id = \"" + made.cluster->hex() + "\"");
  BOOST_TEST(founding_entry_of(file.as("a")).first.size() == 1U);
}

BOOST_AUTO_TEST_CASE(a_founded_node_that_gets_a_link_later_is_told_its_line_and_nothing_else_changes) {
  cluster_file alone({{"a", {}, {}, false}});
  const auto founded = must(init_node(alone.as("a")));
  alone.lines[0].linked = true;
  const auto later = must(init_node(alone.as("a")));
  BOOST_TEST(!later.founded);
  BOOST_REQUIRE(later.lines.size() == 2U);
  BOOST_TEST(later.lines[1] == "link_key = \"" + founded.link_key.hex() + "\"");
  alone.paste("a", later);
  BOOST_TEST((init_node(alone.as("a")).error().code == ec::already_exists));
}

BOOST_AUTO_TEST_CASE(another_key_than_the_file_names_is_refused) {
  cluster_file file({{"a"}, {"b"}});
  for (const char* name : {"a", "b"})
    file.paste(name, must(init_node(file.as(name))));
  std::swap(file.lines[0].key, file.lines[1].key);
  const auto refused = init_node(file.as("a"));
  BOOST_REQUIRE(!refused);
  BOOST_TEST((refused.error().code == ec::configuration));
  BOOST_TEST(refused.error().context.find(file.lines[1].key) != std::string::npos, refused.error().context);
  BOOST_TEST(!storage::replica_store::present(file.as("a").data));
}

BOOST_AUTO_TEST_CASE(a_store_that_was_lost_is_never_founded_again) {
  cluster_file file({{"a"}, {"b"}, {"c"}});
  for (int round = 0; round < 2; ++round)
    for (const char* name : {"a", "b", "c"})
      file.paste(name, must(init_node(file.as(name))));
  fs::remove(file.as("b").data / "data.mdb");
  const auto refused = init_node(file.as("b"));
  BOOST_REQUIRE(!refused);
  BOOST_TEST(refused.error().context.find("signet recover") != std::string::npos, refused.error().context);
  BOOST_TEST(!storage::replica_store::present(file.as("b").data));
  // Keys and all: the new key is not the one that the others know.
  fs::remove_all(file.as("c").data);
  BOOST_TEST((init_node(file.as("c")).error().code == ec::configuration));
  BOOST_TEST(!storage::replica_store::present(file.as("c").data));
}

BOOST_AUTO_TEST_CASE(a_node_that_joins_later_gets_an_empty_store) {
  cluster_file file({{"a"}, {"b", {}, "founder = false\n"}});
  file.paste("a", must(init_node(file.as("a"))));
  const auto early = must(init_node(file.as("b")));
  BOOST_TEST(!early.joining);  // its key is not in the file yet
  file.paste("b", early);
  const auto made = must(init_node(file.as("b")));
  BOOST_TEST(made.joining);
  BOOST_TEST(!made.founded);
  auto env = storage::environment::open({.directory = file.as("b").data, .read_only = true}, storage::all_tables());
  BOOST_REQUIRE(env.has_value());
  BOOST_TEST(!storage::event_log::find((*env)->read(), log_index{1}));
}

BOOST_AUTO_TEST_CASE(nobody_founds_anew_under_the_id_of_a_cluster_of_one) {
  cluster_file file({{"a"}});
  const auto a = must(init_node(file.as("a")));
  BOOST_TEST(is_of_one(*a.cluster));
  file.paste("a", a);
  file.lines.push_back({"b"});
  file.lines.push_back({"c"});
  for (const char* name : {"b", "c"}) {
    const auto refused = init_node(file.as(name));
    BOOST_REQUIRE(!refused);
    BOOST_TEST(refused.error().context.find("founder = false") != std::string::npos, refused.error().context);
    BOOST_TEST(!storage::replica_store::present(file.as(name).data));
  }
  cluster_file several({{"a"}, {"b"}, {"c"}});
  several.paste("a", must(init_node(several.as("a"))));
  BOOST_TEST(!is_of_one(*cluster_id::parse(several.id)));
}

BOOST_AUTO_TEST_CASE(recover_puts_the_old_store_aside_and_makes_an_empty_one) {
  cluster_file file({{"a"}, {"b"}, {"c"}});
  for (int round = 0; round < 2; ++round)
    for (const char* name : {"a", "b", "c"})
      file.paste(name, must(init_node(file.as(name))));
  auto done = recover_node(file.as("b"));
  BOOST_REQUIRE_MESSAGE(done, (done ? std::string() : render(done.error())));
  BOOST_TEST(done->lines.empty());  // its keys are the same
  BOOST_REQUIRE(done->aside.has_value());
  auto old = storage::environment::open({.directory = *done->aside, .read_only = true}, storage::all_tables());
  BOOST_REQUIRE(old.has_value());
  BOOST_TEST(storage::event_log::find((*old)->read(), log_index{1}).has_value());
  {
    auto now = storage::environment::open({.directory = file.as("b").data, .read_only = true}, storage::all_tables());
    BOOST_REQUIRE(now.has_value());
    BOOST_TEST(!storage::event_log::find((*now)->read(), log_index{1}));
  }
  BOOST_TEST((init_node(file.as("b")).error().code == ec::already_exists));
}

BOOST_AUTO_TEST_CASE(recover_after_the_loss_of_the_whole_disk_makes_new_keys_and_prints_the_line) {
  cluster_file file({{"a"}, {"b"}, {"c"}});
  for (int round = 0; round < 2; ++round)
    for (const char* name : {"a", "b", "c"})
      file.paste(name, must(init_node(file.as(name))));
  fs::remove_all(file.as("c").data);
  auto done = recover_node(file.as("c"));
  BOOST_REQUIRE_MESSAGE(done, (done ? std::string() : render(done.error())));
  BOOST_TEST(!done->aside);
  BOOST_REQUIRE(done->lines.size() == 2U);
  BOOST_TEST(done->lines[1] == "link_key = \"" + done->link_key.hex() + "\"");
  BOOST_TEST(storage::replica_store::founded(file.as("c").data).value());
}

BOOST_AUTO_TEST_CASE(a_node_alone_cannot_be_recovered) {
  cluster_file file({{"a"}});
  file.paste("a", must(init_node(file.as("a"))));
  const auto refused = recover_node(file.as("a"));
  BOOST_REQUIRE(!refused);
  BOOST_TEST(refused.error().context.find("backup") != std::string::npos);
  BOOST_TEST(founding_entry_of(file.as("a")).first.size() == 1U);  // and nothing was touched
}

BOOST_AUTO_TEST_CASE(a_directory_that_others_may_enter_is_refused) {
  cluster_file file({{"a"}});
  fs::create_directories(file.as("a").data);
  fs::permissions(file.as("a").data, fs::perms::owner_all | fs::perms::group_exec);
  BOOST_TEST((init_node(file.as("a")).error().code == ec::configuration));
}

BOOST_AUTO_TEST_SUITE_END()
} // namespace signet
