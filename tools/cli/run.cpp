#include "tools/cli/commands.hpp"

#include <iostream>
#include <nlohmann/json.hpp>
#include <sodium.h>
#include <sys/resource.h>

namespace signet::cli {

void add_json(CLI::App& command, invocation& call) { command.add_flag("--json", call.flags.json, "print JSON, an object a line"); }
void add_home(CLI::App& command, invocation& call) {
  command.add_option("--home", call.flags.home, "identity home; else SIGNET_HOME, else ~/.signet")->option_text("DIR");
}
void add_node(CLI::App& command, invocation& call) {
  command.add_option("--node", call.flags.node, "mqtt://, mqtts://, ws:// or wss:// address of a node")
    ->envname("SIGNET_NODE")->default_str("mqtt://127.0.0.1:1883")->option_text("URL");
}
void example(CLI::App& command, const std::string& text) { command.footer("Example:\n  " + text); }

int run(int argc, char** argv) {
  if (sodium_init() < 0) {
    std::cerr << "signet: libsodium does not start on this machine\n";
    return exit_internal;
  }
  // Keys live in this process: no core dump may hold them.
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  invocation call;
  call.flags.node = "mqtt://127.0.0.1:1883";
  CLI::App app{"Signet: signed messages over MQTT, durable and in order, to people and to bots."};
  app.name("signet");
  app.set_version_flag("--version", std::string("signet ") + SIGNET_VERSION);
  app.require_subcommand(1);
  app.footer("First steps:\n"
             "  signet dev                      start a node for yourself, with an echo bot\n"
             "  signet id new alice             make an identity\n"
             "  signet send --as alice --to bob \"hello\"\n"
             "  signet COMMAND --help           every command shows an example\n"
             "Exit codes: 0 done, 1 refused, 70 a defect, 71 input or output, 72 fenced, 73 a flag or a file makes no sense.");
  add_node_commands(app, call);
  add_cluster_commands(app, call);
  add_identity_commands(app, call);
  add_message_commands(app, call);
  add_data_commands(app, call);
  add_bench_command(app, call);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& problem) {
    app.exit(problem);
    return exit_configuration;
  } catch (const std::exception& defect) {
    return report({ec::internal, defect.what()}, call.flags);
  }
  return call.code;
}

} // namespace signet::cli
