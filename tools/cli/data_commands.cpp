// signet status (signet log and signet verify follow storage/verify)

#include "actors/admin/admin_server.hpp"
#include "tools/cli/commands.hpp"

#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

namespace signet::cli {
namespace {

struct data_flags {
  std::string data = "signet-data";
  bool tree = false;
};

void print_tree(const nlohmann::json& node, int depth) {
  for (const auto& child : node.value("children", nlohmann::json::array())) {
    const auto state = child.value("state", "");
    std::cout << std::string(static_cast<std::size_t>(depth) * 2, ' ') << harmless(child.value("id", "")) << "  "
              << (state == "running" ? paint(colour::green, state) : paint(colour::yellow, state));
    if (child.value("restarts", 0) > 0)
      std::cout << "  restarts " << child["restarts"] << ", last: " << harmless(child.value("last_reason", ""));
    std::cout << "\n";
    print_tree(child, depth + 1);
  }
}

int status(const data_flags& flags, const common_flags& common) {
  auto answer = ask_admin(std::filesystem::path(flags.data) / "admin.sock", "/status");
  if (!answer)
    return report(answer.error(), common);
  auto picture = nlohmann::json::parse(*answer, nullptr, false);
  if (picture.is_discarded())
    return report({ec::malformed, "the node's answer is no JSON"}, common);
  if (common.json) {
    print(picture);
    return exit_good;
  }
  const auto& replica = picture["replica"];
  std::cout << "node " << harmless(picture.value("node", "")) << "  cluster " << picture.value("cluster", "") << "\n"
            << "  role " << replica.value("role", "?") << "  term " << replica.value("term", 0ULL) << "  log index "
            << replica.value("last_index", 0ULL) << "  applied " << replica.value("applied_index", 0ULL) << "\n"
            << "  connections " << picture.value("connections", nlohmann::json::object()).value("open", 0ULL) << "  sessions "
            << picture.value("sessions", nlohmann::json::object()).dump() << "\n"
            << "  disk free " << (replica.value("disk_free_bytes", 0ULL) >> 20) << " MiB  map used "
            << (replica.value("map_used_bytes", 0ULL) >> 20) << " MiB of " << (replica.value("map_bytes", 0ULL) >> 20) << " MiB\n";
  if (replica.value("disk_low", false))
    std::cout << paint(colour::red, "  disk low: new messages are refused; make space, nothing else is needed") << "\n";
  for (const auto& bot : picture.value("bots", nlohmann::json::array()))
    std::cout << "  bot " << harmless(bot.value("name", "")) << "  handled " << bot.value("position", 0ULL) << " of "
              << bot.value("inbox", 0ULL) << "  dead letters " << bot.value("dead_letters", 0ULL) << "\n";
  if (flags.tree)
    print_tree(picture.value("tree", nlohmann::json::object()), 1);
  return exit_good;
}

} // namespace

void add_data_commands(CLI::App& app, invocation& call) {
  auto flags = std::make_shared<data_flags>();
  auto* shown = app.add_subcommand("status", "what a running node on this machine is doing");
  shown->add_option("--data", flags->data, "its data directory")->capture_default_str()->option_text("DIR");
  shown->add_flag("--tree", flags->tree, "with the supervision tree");
  add_json(*shown, call);
  example(*shown, "signet status --data signet-data --tree");
  shown->callback([flags, &call] { call.code = status(*flags, call.flags); });
}

} // namespace signet::cli
