// signet cluster status | add | promote | remove | transfer: asks any running node of this machine; the leader answers.

#include "actors/admin/admin_server.hpp"
#include "tools/cli/commands.hpp"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>
#include <thread>

namespace signet::cli {
namespace {
using namespace std::chrono_literals;
using nlohmann::json;
using moment = std::chrono::steady_clock::time_point;

struct cluster_flags {
  std::string data = "signet-data", node;
  bool standby = false;
  unsigned wait_s = 120;
};

result<json> ask(const cluster_flags& flags, const json& what) {
  auto answer = ask_admin(std::filesystem::path(flags.data) / "admin.sock", "/cluster", what.dump());
  if (!answer)
    return tl::make_unexpected(answer.error());
  auto said = json::parse(*answer, nullptr, false);
  if (!said.is_object())
    return fail(ec::malformed, "the node's answer is no JSON");
  return said;
}

const json* find_member(const json& status, const std::string& node) {
  if (const auto members = status.find("members"); members != status.end())
    for (const auto& each : *members)
      if (each.value("node", "") == node)
        return &each;
  return nullptr;
}

std::string contact(const json& member) {
  if (!member.contains("heard_ms_ago"))
    return member.value("linked", false) ? "" : "never heard";
  const auto ms = member.value("heard_ms_ago", std::uint64_t{0});
  return ms < 1'000 ? "heard now" : "heard " + std::to_string(ms / 1'000) + " s ago";
}

int show(const cluster_flags& flags, const common_flags& common) {
  auto status = ask(flags, {{"do", "status"}});
  if (!status)
    return report(status.error(), common);
  if (common.json) {
    print(*status);
    return exit_good;
  }
  const auto leader = status->value("leader", "");
  std::cout << "cluster " << status->value("cluster", "") << "  term " << status->value("term", 0ULL) << "  leader "
            << (leader.empty() ? paint(colour::red, "none") : harmless(leader)) << "  committed "
            << status->value("committed_index", 0ULL) << " of " << status->value("last_index", 0ULL) << "\n";
  if (status->value("joining", false))
    std::cout << paint(colour::yellow, "  this node waits to be taken in; on a node of the cluster: signet cluster add NAME") << "\n";
  else if (status->value("stale", false))
    std::cout << paint(colour::red, "  stale: ") << "no leader could be asked; this is what node "
              << harmless(status->value("answered_by", "")) << " knows\n";
  for (const auto& each : status->value("members", json::array())) {
    const bool linked = each.value("linked", false);
    std::cout << "  " << harmless(each.value("node", "")) << "  id " << each.value("id", 0ULL) << "  " << each.value("role", "")
              << (each.value("leader", false) ? ", leads" : "") << "  "
              << (linked ? paint(colour::green, "linked") : paint(colour::red, "not linked"));
    if (each.contains("lag_entries"))
      std::cout << "  lag " << each.value("lag_entries", 0ULL);
    if (const auto zone = each.value("zone", ""); !zone.empty())
      std::cout << "  zone " << harmless(zone);
    if (!each.value("leader", false))
      std::cout << "  " << contact(each);
    std::cout << "\n";
  }
  for (const auto& each : status->value("waiting_to_join", json::array()))
    std::cout << "  " << harmless(each.get<std::string>()) << "  waits to be taken in: signet cluster add "
              << harmless(each.get<std::string>()) << "\n";
  if (const auto change = status->value("change", json()); change.is_object())
    std::cout << "  under way: " << change.value("what", "") << " " << harmless(change.value("node", "")) << ", "
              << change.value("step", "") << "\n";
  const auto zones = status->value("zones", json::array());
  if (zones.size() > 1) {
    std::cout << "  any one " << (status->value("zones_named", false) ? "zone" : "node") << " may fail: "
              << (status->value("survives_any", false) ? paint(colour::green, "yes") : paint(colour::red, "no")) << "\n";
    for (const auto& each : zones)
      if (!each.value("survives", false))
        std::cout << "    the loss of " << harmless(each.value("zone", "")) << " stops the cluster (" << each.value("voters", 0)
                  << " voters)\n";
  }
  return exit_good;
}

/// Works towards a goal that can be read from the status, whatever happens in between: another order under way, a leader
/// that is lost, a node that is not linked yet. `next`: the request that brings it nearer; nothing: reached.
int pursue(const cluster_flags& flags, const common_flags& common, const std::string& done,
           const std::function<std::optional<json>(const json& status)>& next) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(flags.wait_s);
  std::string told;
  const auto tell = [&](const std::string& what) {
    if (!common.json && what != told)
      std::cerr << paint(colour::dim, what, 2) << "\n";
    told = what;
  };
  error last{ec::unknown_outcome, "not done within " + std::to_string(flags.wait_s) + " s; look at signet cluster status"};
  std::optional<std::pair<std::string, std::uint64_t>> begun;  // leader, number of the order
  for (bool first = true; first || std::chrono::steady_clock::now() < until; first = false) {
    if (!first)
      std::this_thread::sleep_for(200ms);
    auto status = ask(flags, {{"do", "status"}});
    if (!status) {
      if (status.error().code == ec::not_found)
        return report(status.error(), common);  // no node here
      last = status.error();
      tell(render(last));
      continue;
    }
    if (status->value("stale", true)) {
      tell("waiting for a leader");
      continue;
    }
    const auto leader = status->value("leader", "");
    if (const auto change = status->value("change", json()); change.is_object()) {
      tell(change.value("what", "") + " " + change.value("node", "") + ": " + change.value("step", ""));
      continue;
    }
    if (begun && begun->first == leader)
      for (const auto& each : status->value("ended", json::array()))
        if (each.value("number", 0ULL) == begun->second && each.value("outcome", "") != "done")
          return report({ec::unknown_outcome, each.value("outcome", "")}, common);
    const auto request = next(*status);
    if (!request) {
      if (common.json)
        print({{"done", true}, {"leader", leader}});
      else if (!done.empty())
        std::cout << done << "\n";
      return exit_good;
    }
    auto answer = ask(flags, *request);
    if (answer) {
      if (answer->contains("number"))
        begun = {leader, answer->value("number", 0ULL)};
      continue;
    }
    last = answer.error();
    if (last.code == ec::configuration || last.code == ec::malformed)
      return report(last, common);
    tell(render(last));
  }
  return report(last, common);
}

int add(const cluster_flags& flags, const common_flags& common) {
  // Beside a sole voter a new one is never made online: it becomes a standby, and `signet node grow` gives it its vote.
  bool grows = false;
  return pursue(flags, common, "", [&](const json& status) -> std::optional<json> {
    std::size_t voters = 0;
    for (const auto& each : status.value("members", json::array()))
      voters += each.value("role", "") == "voter";
    const bool votes = !flags.standby && voters > 1;
    grows = !flags.standby && voters == 1;
    const auto* standing = find_member(status, flags.node);
    const auto waiting = status.value("waiting_to_join", std::vector<std::string>{});
    const bool blank = std::find(waiting.begin(), waiting.end(), flags.node) != waiting.end();
    if (standing && !blank && (!votes || standing->value("role", "") == "voter")) {
      if (!common.json) {
        std::cout << flags.node << " is a " << standing->value("role", "") << " with id " << standing->value("id", 0ULL) << "\n";
        if (grows && standing->value("role", "") != "voter")
          std::cout << "next:  when all nodes are added, stop the only voter, and there:  signet node grow --config FILE --name NAME\n";
        else if (votes && voters % 2 == 0)
          std::cout << "note:  " << voters << " voters survive no more losses than " << voters - 1 << "; add another one\n";
      }
      return std::nullopt;
    }
    return json{{"do", "add"}, {"node", flags.node}, {"votes", votes}};
  });
}

int remove(const cluster_flags& flags, const common_flags& common) {
  return pursue(flags, common, flags.node + " is no member", [&](const json& status) -> std::optional<json> {
    const auto* standing = find_member(status, flags.node);
    if (!standing)
      return std::nullopt;
    if (standing->value("leader", false))
      return json{{"do", "transfer"}, {"node", ""}};  // a leader is not removed: another one first
    return json{{"do", "remove"}, {"node", flags.node}};
  });
}

int transfer(const cluster_flags& flags, const common_flags& common) {
  std::string before;
  return pursue(flags, common, "leadership has been handed over", [&](const json& status) -> std::optional<json> {
    const auto leader = status.value("leader", "");
    if (before.empty())
      before = leader;
    if (flags.node.empty() ? leader != before : leader == flags.node)
      return std::nullopt;
    return json{{"do", "transfer"}, {"node", flags.node}};
  });
}

} // namespace

void add_cluster_commands(CLI::App& app, invocation& call) {
  auto flags = std::make_shared<cluster_flags>();
  auto* cluster = app.add_subcommand("cluster", "the nodes of the cluster: how they stand, and who belongs to it");
  cluster->require_subcommand(1);
  const auto common = [&](CLI::App& command) {
    command.add_option("--data", flags->data, "data directory of a running node of this machine")->capture_default_str()->option_text("DIR");
    add_json(command, call);
  };
  const auto patient = [&](CLI::App& command) {
    command.add_option("--wait", flags->wait_s, "seconds to wait until it is done")->capture_default_str()->option_text("S");
  };

  auto* status = cluster->add_subcommand("status", "members, who leads, how far each is behind, what may fail");
  common(*status);
  example(*status, "signet cluster status --data signet-data");
  status->callback([flags, &call] { call.code = show(*flags, call.flags); });

  auto* added = cluster->add_subcommand("add", "take a node in that runs with an empty store; it votes when it has caught up");
  added->add_option("NAME", flags->node, "its name in cluster.conf")->required();
  added->add_flag("--standby", flags->standby, "without a vote");
  common(*added);
  patient(*added);
  example(*added, "signet cluster add node-4");
  added->callback([flags, &call] { call.code = add(*flags, call.flags); });

  auto* removed = cluster->add_subcommand("remove", "take a node out; if it leads, another one leads first");
  removed->add_option("NAME", flags->node, "its name in cluster.conf")->required();
  common(*removed);
  patient(*removed);
  example(*removed, "signet cluster remove node-2");
  removed->callback([flags, &call] { call.code = remove(*flags, call.flags); });

  auto* transferred = cluster->add_subcommand("transfer", "hand leadership over, to NAME or to whoever is furthest");
  transferred->add_option("NAME", flags->node, "a voter");
  common(*transferred);
  patient(*transferred);
  example(*transferred, "signet cluster transfer node-1");
  transferred->callback([flags, &call] { call.code = transfer(*flags, call.flags); });
}

} // namespace signet::cli
