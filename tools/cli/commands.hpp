#pragma once
// The subcommands of signet. Each function adds its own to the app; what it does runs after parsing and leaves its exit
// code in `code`.

#include "tools/cli/output.hpp"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

namespace signet::cli {

struct invocation {
  common_flags flags;
  int code = exit_good;
};

/// Adds --json.
void add_json(CLI::App& command, invocation& call);
/// Adds --home, and --node where the command talks to a node.
void add_home(CLI::App& command, invocation& call);
void add_node(CLI::App& command, invocation& call);
/// The example that stands under a command's help.
void example(CLI::App& command, const std::string& text);

void add_node_commands(CLI::App& app, invocation& call);      // dev, node, config
void add_cluster_commands(CLI::App& app, invocation& call);   // cluster
void add_identity_commands(CLI::App& app, invocation& call);  // id, token
void add_message_commands(CLI::App& app, invocation& call);   // send, inbox, encode, decode
void add_data_commands(CLI::App& app, invocation& call);      // log, verify, status
void add_bench_command(CLI::App& app, invocation& call);      // bench

/// All of signet.
int run(int argc, char** argv);

} // namespace signet::cli
