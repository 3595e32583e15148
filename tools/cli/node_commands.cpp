// signet dev, signet node, signet node init, signet config check

#include "actors/founding.hpp"
#include "actors/node.hpp"
#include "actors/settings.hpp"
#include "messages/envelope/keys.hpp"
#include "messages/seams.hpp"
#include "storage/lmdb/map_fault.hpp"
#include "tools/cli/commands.hpp"
#include "tools/cli/home.hpp"

#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

namespace signet::cli {
namespace {

struct node_flags {
  std::string config, name = "node-1", data = "signet-data";
  std::uint16_t mqtt = 1883, ws = 8083;
  bool no_echo = false;
};

int run_node(const node_settings& settings, const node_options& options, const common_flags& flags, bool dev) {
  block_stop_signals();
  storage::exit_on_map_fault();
  start_logging(settings.log_level, settings.log_format);
  auto started = node::start(settings, options);
  if (!started)
    return report(started.error(), flags);
  auto& node = **started;
  nlohmann::json urls = nlohmann::json::array(), bots = nlohmann::json::object();
  for (const auto& at : node.listening())
    urls.push_back(at.url);
  for (const auto& bot : node.bots()) {
    bots[bot.name] = bot.who.hex();
    // So that `--to echo` works at once for whoever tries this out.
    if (dev)
      (void)home::find(flags.home).set_alias(bot.name, bot.who);
  }
  if (flags.json) {
    print({{"ready", !node.joining()}, {"node", settings.name}, {"cluster", node.cluster().hex()}, {"node_key", node.node_key().hex()},
           {"data", std::filesystem::absolute(settings.data).string()}, {"listening", urls}, {"bots", bots}});
  } else {
    std::cout << (node.joining() ? paint(colour::yellow, "joining") : paint(colour::green, "ready")) << "  node " << settings.name << "  cluster " << node.cluster().hex() << "\n";
    for (const auto& url : urls)
      std::cout << "  listening on " << url.get<std::string>() << "\n";
    std::cout << "  data in " << std::filesystem::absolute(settings.data).string() << "\n";
    if (node.joining())
      std::cout << "  it takes no clients before it is a member; on a node of the cluster: signet cluster add "
                << settings.name << "\n";
    for (const auto& [name, who] : bots.items())
      std::cout << "  bot " << name << " is " << who.get<std::string>() << "\n";
    if (dev)
      std::cout << "  next, in another terminal:  signet id new alice   signet send --as alice --to echo \"hello\"   "
                   "signet inbox --as alice\n";
    std::cout.flush();
  }
  const int code = node.wait();
  node.stop();
  return code;
}

void print_lines(const std::vector<std::string>& lines, const std::string& file) {
  if (lines.empty())
    return;
  std::cout << "for " << file << ", on every node:\n";
  for (const auto& line : lines)
    std::cout << "  " << line << "\n";
}

int run_init(const node_settings& settings, const std::string& file, const common_flags& flags) {
  auto made = init_node(settings);
  if (!made)
    return report(made.error(), flags);
  const auto data = std::filesystem::absolute(settings.data).string();
  if (flags.json) {
    print({{"founded", made->founded}, {"joining", made->joining}, {"founders", made->founders},
           {"cluster", made->cluster ? nlohmann::json(made->cluster->hex()) : nlohmann::json()},
           {"node_key", made->node_key.hex()}, {"link_key", made->link_key.hex()}, {"data", data},
           {"lines", made->lines}, {"missing", made->missing}});
    return exit_good;
  }
  if (made->founded)
    std::cout << paint(colour::green, "founded") << "  a cluster of " << (made->founders == 1 ? "one" : std::to_string(made->founders))
              << " in " << data << "\n";
  else if (made->joining)
    std::cout << paint(colour::green, "ready to join") << "  an empty store is in " << data << "\n";
  else
    std::cout << "keys of node " << settings.name << " are in " << data << "/keys\n";
  std::cout << "  node key " << made->node_key.hex() << "  (clients pin it at first use)\n";
  print_lines(made->lines, file);
  if (!made->missing.empty()) {
    std::cout << paint(colour::yellow, "no store yet") << "; the file still needs:\n";
    for (const auto& each : made->missing)
      std::cout << "  " << each << "\n";
    std::cout << "then again:  signet node init --config " << file << " --name " << settings.name << "\n";
  } else {
    std::cout << "next:  signet node --config " << file << " --name " << settings.name << "\n";
    if (made->joining)
      std::cout << "and on a node of the cluster:  signet cluster add " << settings.name << "\n";
  }
  return exit_good;
}

int run_recover(const node_settings& settings, const std::string& file, const common_flags& flags) {
  auto done = recover_node(settings);
  if (!done)
    return report(done.error(), flags);
  if (flags.json) {
    print({{"recovering", true}, {"set_aside", done->aside ? nlohmann::json(std::filesystem::absolute(*done->aside).string()) : nlohmann::json()},
           {"node_key", done->node_key.hex()}, {"link_key", done->link_key.hex()}, {"lines", done->lines}});
    return exit_good;
  }
  if (done->aside)
    std::cout << "the old store is in " << std::filesystem::absolute(*done->aside).string() << "; delete it when you do not need it\n";
  std::cout << paint(colour::green, "ready to join") << "  an empty store is in "
            << std::filesystem::absolute(settings.data).string() << "\n"
            << "  node key " << done->node_key.hex() << "\n";
  print_lines(done->lines, file);
  std::cout << "next:  signet node --config " << file << " --name " << settings.name
            << "   the leader brings it up to date by itself\n";
  return exit_good;
}

int run_grow(const node_settings& settings, const std::string& file, const common_flags& flags) {
  auto voters = grow_node(settings);
  if (!voters)
    return report(voters.error(), flags);
  if (flags.json) {
    print({{"grown", true}, {"voters", *voters}});
    return exit_good;
  }
  std::cout << paint(colour::green, "grown") << "  these vote from now on:";
  for (const auto& each : *voters)
    std::cout << " " << each;
  std::cout << "\nnext:  signet node --config " << file << " --name " << settings.name << "\n";
  return exit_good;
}

std::string loopback_port(std::uint16_t port) { return "127.0.0.1:" + std::to_string(port); }

} // namespace

void add_node_commands(CLI::App& app, invocation& call) {
  auto flags = std::make_shared<node_flags>();

  auto* dev = app.add_subcommand("dev", "start a node for yourself: no configuration, loopback only, with an echo bot");
  dev->add_option("--data", flags->data, "its data directory, made if absent")->capture_default_str()->option_text("DIR");
  dev->add_option("--mqtt", flags->mqtt, "MQTT port; 0: a free one")->capture_default_str()->option_text("PORT");
  dev->add_option("--ws", flags->ws, "MQTT over WebSocket port; 0: a free one")->capture_default_str()->option_text("PORT");
  dev->add_flag("--no-echo", flags->no_echo, "without the echo bot");
  add_home(*dev, call);
  add_json(*dev, call);
  example(*dev, "signet dev --data /tmp/signet-demo --mqtt 1883");
  dev->callback([flags, dev, &call] {
    node_settings settings;
    settings.data = flags->data;
    settings.echo_bot = !flags->no_echo;
    settings.listen.ws = loopback_port(flags->ws);
    settings.listen.mqtt = loopback_port(flags->mqtt);
    if (auto taken = apply_environment(settings, signet_environment()); !taken) {
      call.code = report(taken.error(), call.flags);
      return;
    }
    // A flag that was given wins over the environment.
    if (dev->count("--data") > 0)
      settings.data = flags->data;
    if (dev->count("--mqtt") > 0)
      settings.listen.mqtt = loopback_port(flags->mqtt);
    if (dev->count("--ws") > 0)
      settings.listen.ws = loopback_port(flags->ws);
    if (dev->count("--no-echo") > 0)
      settings.echo_bot = false;
    call.code = run_node(settings, {.found_if_absent = true, .config = {}}, call.flags, true);
  });

  auto* node_command = app.add_subcommand("node", "run a node as cluster.conf says");
  node_command->require_subcommand(0, 1);
  node_command->add_option("--config", flags->config, "the configuration file")->option_text("FILE");
  node_command->add_option("--name", flags->name, "which of its nodes this is")->capture_default_str()->option_text("NODE");
  add_json(*node_command, call);
  example(*node_command, "signet node --config cluster.conf --name node-1");

  auto* init = node_command->add_subcommand("init", "make a node's keys, print its lines for cluster.conf, found its store when the file is complete; touches nothing that stands");
  init->add_option("--config", flags->config, "the configuration file")->required()->option_text("FILE");
  init->add_option("--name", flags->name, "which of its nodes this is")->capture_default_str()->option_text("NODE");
  add_json(*init, call);
  example(*init, "signet node init --config cluster.conf --name node-1");

  auto* grow = node_command->add_subcommand("grow", "from a cluster of one to one of three or five: on its stopped only voter, when the "
                                                    "others have been added as standbys");
  grow->add_option("--config", flags->config, "the configuration file")->required()->option_text("FILE");
  grow->add_option("--name", flags->name, "which of its nodes this is")->capture_default_str()->option_text("NODE");
  add_json(*grow, call);
  example(*grow, "signet node grow --config cluster.conf --name node-1");

  auto* recover = app.add_subcommand("recover", "a node whose store was lost, damaged or fenced: put the old store aside and let the "
                                                "other nodes bring a new one up to date");
  recover->add_option("--config", flags->config, "the configuration file")->required()->option_text("FILE");
  recover->add_option("--name", flags->name, "which of its nodes this is")->required()->option_text("NODE");
  add_json(*recover, call);
  example(*recover, "signet recover --config cluster.conf --name node-2");
  recover->callback([flags, &call] {
    auto settings = load_settings(flags->config, flags->name, signet_environment());
    call.code = settings ? run_recover(*settings, flags->config, call.flags) : report(settings.error(), call.flags);
  });

  node_command->callback([flags, init, grow, &call] {
    if (flags->config.empty()) {
      call.code = report({ec::configuration, "--config FILE is missing; for a trial without a file: signet dev"}, call.flags);
      return;
    }
    auto settings = load_settings(flags->config, flags->name, signet_environment());
    if (!settings) {
      call.code = report(settings.error(), call.flags);
      return;
    }
    if (init->parsed())
      call.code = run_init(*settings, flags->config, call.flags);
    else if (grow->parsed())
      call.code = run_grow(*settings, flags->config, call.flags);
    else
      call.code = run_node(*settings, {.config = flags->config}, call.flags, false);
  });

  auto* config = app.add_subcommand("config", "check a configuration file");
  config->require_subcommand(1);
  auto* check = config->add_subcommand("check", "read FILE as the node would; every mistake is listed");
  check->add_option("FILE", flags->config, "a cluster.conf")->required();
  check->add_option("--name", flags->name, "as this node")->capture_default_str()->option_text("NODE");
  add_json(*check, call);
  example(*check, "signet config check cluster.conf");
  check->callback([flags, &call] {
    auto settings = load_settings(flags->config, flags->name, signet_environment());
    if (!settings) {
      call.code = report(settings.error(), call.flags);
      return;
    }
    nlohmann::json overridden = nlohmann::json::array();
    const auto environment = signet_environment();
    auto note = [&](const std::string& path) {
      if (const auto variable = variable_of(path); environment.contains(variable))
        overridden.push_back(variable);
    };
    for (const auto& key : settings_keys())
      note(key.path);
    for (const auto& node : settings->nodes)
      for (const auto& key : node_table_keys())
        note("nodes." + node.name + "." + key.path);
    const auto warnings = settings_warnings(*settings);
    if (call.flags.json) {
      print({{"good", true}, {"node", settings->name}, {"warnings", warnings}, {"overridden_by_environment", overridden}});
      return;
    }
    std::cout << flags->config << " is good for node " << settings->name << "\n";
    for (const auto& each : warnings)
      std::cout << paint(colour::yellow, "  warning: ") << each << "\n";
    for (const auto& each : overridden)
      std::cout << "  the environment overrides it: " << each.get<std::string>() << "\n";
  });
}

} // namespace signet::cli
