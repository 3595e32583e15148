// signet log, signet verify, signet status

#include "actors/admin/admin_server.hpp"
#include "storage/describe.hpp"
#include "storage/log/event_log.hpp"
#include "storage/tables.hpp"
#include "storage/verify.hpp"
#include "tools/cli/commands.hpp"

#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

namespace signet::cli {
namespace {

struct data_flags {
  std::string data = "signet-data";
  bool tree = false, contents = false, ready = false;
  std::uint64_t from = 1, limit = 0;
  std::vector<std::string> heads;
};

int log(const data_flags& flags, const common_flags& common) {
  auto opened = storage::environment::open({.directory = flags.data, .read_only = true}, storage::all_tables());
  if (!opened)
    return report(opened.error(), common);
  const auto& store = **opened;
  std::uint64_t shown = 0;
  auto next_index = log_index{std::max<std::uint64_t>(flags.from, 1)};
  try {
    for (bool more = true; more && (flags.limit == 0 || shown < flags.limit);) {
      // A read transaction for a few hundred records: a long reader would make a running node's file grow.
      auto txn = store.read();
      for (int i = 0; more && i < 256 && (flags.limit == 0 || shown < flags.limit); ++i) {
        if (!storage::event_log::find(txn, next_index)) {
          more = false;
          break;
        }
        storage::describe_options how;
        how.with_content = flags.contents;
        auto entry = storage::describe_record(txn, next_index, how);
        ++shown;
        next_index = next(next_index);
        if (common.json) {
          print(entry);
          continue;
        }
        auto inner = entry.value("entry", nlohmann::json::object());
        const auto kind = inner.value("kind", entry.value("type", std::string()));
        std::cout << entry.value("index", 0ULL) << "  "
                  << (inner.contains("time_ms") ? utc_text(inner.value("time_ms", 0ULL)) : std::string(24, ' ')) << "  "
                  << harmless(kind) << "  ";
        for (const char* shown_already : {"time_ms", "kind"})
          inner.erase(shown_already);
        if (entry.contains("events") && !entry["events"].empty())
          inner["events"] = entry["events"];
        std::cout << paint(colour::dim, inner.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)) << "\n";
      }
    }
  } catch (const storage::storage_failure& why) {
    return report({why.code(), why.what()}, common);
  }
  return exit_good;
}

int verify(const data_flags& flags, const common_flags& common) {
  storage::verify_options how;
  for (const auto& text : flags.heads) {
    const auto colon = text.find(':');
    auto hash = colon == std::string::npos ? std::nullopt : digest::parse(text.substr(colon + 1));
    if (!hash)
      return report({ec::configuration, "--head takes INDEX:HASH, as printed by an earlier verify"}, common);
    how.heads.push_back({log_index{std::strtoull(text.c_str(), nullptr, 10)}, *hash});
  }
  const bool progress = is_terminal(2) && !common.json;
  if (progress)
    how.progress = [](const storage::verify_progress& at) {
      std::cerr << "\r" << at.stage << " " << at.done << (at.total ? " of " + std::to_string(at.total) : "") << "      " << std::flush;
    };
  auto done = storage::verify(flags.data, how);
  if (progress)
    std::cerr << "\r" << std::string(60, ' ') << "\r";
  if (!done)
    return report(done.error(), common);
  if (common.json) {
    print(storage::to_json(*done));
    return static_cast<int>(done->level);
  }
  for (const auto& each : done->findings)
    std::cout << paint(colour::red, each.kind) << (each.table.empty() ? "" : "  " + each.table) << (each.key.empty() ? "" : "  " + each.key)
              << "  " << harmless(each.what) << "\n";
  if (done->findings_total > done->findings.size())
    std::cout << "and " << done->findings_total - done->findings.size() << " more findings\n";
  std::cout << done->records << " log records, " << done->signatures << " signatures, " << done->rows << " rows; head "
            << value(done->head) << ":" << done->head_hash.hex() << "\n";
  switch (done->level) {
    case storage::verify_level::clean: std::cout << paint(colour::green, "verify OK") << "\n"; break;
    case storage::verify_level::repairable: std::cout << "REPAIRABLE: the log is whole; its views are damaged\n"; break;
    case storage::verify_level::needs_resync: std::cout << "DAMAGED: put this directory aside; restore it from a backup or from peers\n"; break;
    case storage::verify_level::tampering: std::cout << "EVIDENCE OF TAMPERING: keep this directory as it is, and find out who wrote to it\n"; break;
  }
  return static_cast<int>(done->level);
}

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

/// For scripts that wait: exit code 0 or 1.
int ready(const data_flags& flags, const common_flags& common) {
  auto answer = ask_admin(std::filesystem::path(flags.data) / "admin.sock", "/readyz");
  if (!answer)
    return report(answer.error().code == ec::io ? error{ec::not_leader, answer.error().context} : answer.error(), common);
  if (common.json)
    print({{"ready", true}});
  else
    std::cout << "ready\n";
  return exit_good;
}

int status(const data_flags& flags, const common_flags& common) {
  if (flags.ready)
    return ready(flags, common);
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

  auto* logged = app.add_subcommand("log", "print the event log of a data directory, also of a running node; read-only");
  logged->add_option("DATA", flags->data, "the data directory")->capture_default_str();
  logged->add_option("--from", flags->from, "first index")->capture_default_str()->option_text("N");
  logged->add_option("--limit", flags->limit, "at most so many entries; 0: all")->capture_default_str()->option_text("N");
  logged->add_flag("--contents", flags->contents, "with message contents");
  add_json(*logged, call);
  example(*logged, "signet log signet-data --json --from 10 --limit 5");
  logged->callback([flags, &call] { call.code = log(*flags, call.flags); });

  auto* verified = app.add_subcommand("verify", "recompute everything from the log: chain, signatures, views; the node must be stopped");
  verified->add_option("DATA", flags->data, "the data directory")->capture_default_str();
  verified->add_option("--head", flags->heads, "a head that must still stand: INDEX:HASH; repeatable")->option_text("HEAD");
  add_json(*verified, call);
  verified->footer("Exit codes: 0 clean, 1 repairable, 2 damaged, 3 evidence of tampering, 71 cannot read it.\nExample:\n  signet verify signet-data");
  verified->callback([flags, &call] { call.code = verify(*flags, call.flags); });
  auto* shown = app.add_subcommand("status", "what a running node on this machine is doing");
  shown->add_option("--data", flags->data, "its data directory")->capture_default_str()->option_text("DIR");
  shown->add_flag("--ready", flags->ready, "only whether clients are served: exit code 0 or 1");
  shown->add_flag("--tree", flags->tree, "with the supervision tree");
  add_json(*shown, call);
  example(*shown, "signet status --data signet-data --tree");
  shown->callback([flags, &call] { call.code = status(*flags, call.flags); });
}

} // namespace signet::cli
