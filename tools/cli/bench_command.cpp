// signet bench: load as real clients make it, on Signet or on any MQTT broker.

#include "messages/envelope/batch.hpp"
#include "tools/cli/bench_load.hpp"
#include "tools/cli/commands.hpp"
#include "tools/cli/transport.hpp"

#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace signet::cli {
namespace {

struct bench_flags {
  load_plan plan;
  std::string target = "signet", mqtt_version = "5";
};

const char* meaning_of_ack(load_plan::target_kind target) {
  return target == load_plan::target_kind::signet
           ? "PUBACK after commit: every message of the batch was verified, fsynced and applied; it stands in its recipient's inbox"
           : "PUBACK of plain QoS 1: what it promises is the broker's affair (mosquitto: it is in memory)";
}

double us(std::uint64_t ns) { return static_cast<double>(ns) / 1e3; }

nlohmann::json to_json(const latency_histogram& from) {
  return {{"count", from.count()},           {"p50_us", us(from.quantile(0.5))},    {"p99_us", us(from.quantile(0.99))},
          {"p999_us", us(from.quantile(0.999))}, {"max_us", us(from.max())}};
}

void print_latency(const char* what, const latency_histogram& from) {
  if (from.count() == 0)
    return static_cast<void>(std::printf("  %-11s nothing that was due within the measured time\n", what));
  std::printf("  %-11s p50 %9.0f us   p99 %9.0f us   p99.9 %9.0f us   max %9.0f us\n", what, us(from.quantile(0.5)),
              us(from.quantile(0.99)), us(from.quantile(0.999)), us(from.max()));
}

void print_idle(const load_plan& plan, const load_report& got, const common_flags& common) {
  const auto grown = got.node_rss_after > got.node_rss_before ? got.node_rss_after - got.node_rss_before : 0;
  const double each = got.attached ? static_cast<double>(grown) / static_cast<double>(got.attached) : 0;
  if (common.json)
    return print({{"target", plan.target == load_plan::target_kind::signet ? "signet" : "mqtt"},
                  {"idle_sessions", got.attached},
                  {"attach_seconds", got.attach_s},
                  {"closed", got.closed},
                  {"node_memory_before_bytes", got.node_rss_before},
                  {"node_memory_after_bytes", got.node_rss_after},
                  {"bytes_per_session", each},
                  {"node_cpu_seconds", got.node_cpu_s},
                  {"seconds", got.seconds}});
  std::printf("%llu idle sessions attached in %.1f s (%.0f a second), %llu closed by themselves\n",
              static_cast<unsigned long long>(got.attached), got.attach_s, static_cast<double>(got.attached) / got.attach_s,
              static_cast<unsigned long long>(got.closed));
  if (plan.pid)
    std::printf("  anonymous memory of the node: %.1f MiB before, %.1f MiB after: %.1f KiB a session\n"
                "  its CPU while they idle: %.2f s in %.0f s\n",
                static_cast<double>(got.node_rss_before) / 1048576, static_cast<double>(got.node_rss_after) / 1048576, each / 1024,
                got.node_cpu_s, got.seconds);
}

void print_load(const load_plan& plan, const load_report& got, const common_flags& common) {
  const bool signet = plan.target == load_plan::target_kind::signet;
  const char* signing = !signet ? "none" : plan.presign ? "in advance, outside the measured time" : "by the generator, within the measured time";
  const char* checks = signet ? "every bundle: signature, links, lanes, positions, completeness" : "order and completeness only";
  if (common.json)
    return print({{"target", signet ? "signet" : "mqtt"},
                  {"pairs", plan.pairs},
                  {"fan_out", plan.fan_out},
                  {"size_bytes", plan.size_bytes},
                  {"batch", plan.batch},
                  {"window", plan.window},
                  {"rate", plan.rate},
                  {"presigned", plan.presign},
                  {"signing", signing},
                  {"checks", checks},
                  {"acknowledgement", meaning_of_ack(plan.target)},
                  {"seconds", got.seconds},
                  {"sent_per_s", got.sent_per_s},
                  {"acked_per_s", got.acked_per_s},
                  {"received_per_s", got.received_per_s},
                  {"sent", got.sent},
                  {"acked", got.acked},
                  {"received", got.received},
                  {"refused_publishes", got.refused},
                  {"missing", got.missing},
                  {"unacked", got.unacked},
                  {"unsent", got.unsent},
                  {"duplicates", got.duplicates},
                  {"reordered", got.reordered},
                  {"unverified", got.unverified},
                  {"closed", got.closed},
                  {"first_problem", got.first_problem},
                  {"ack", to_json(got.ack)},
                  {"end_to_end", to_json(got.end_to_end)},
                  {"presign_seconds", got.presign_s},
                  {"own_cpu_seconds", got.own_cpu_s},
                  {"node_cpu_seconds", got.node_cpu_s},
                  {"node_memory_bytes", got.node_rss_after},
                  {"good", got.good()}});
  std::printf("%s, %u publisher%s, %u reader%s each, %u B, %s %u, window %u%s\n", signet ? "signet" : "plain MQTT QoS 1", plan.pairs,
              plan.pairs == 1 ? "" : "s", plan.fan_out, plan.fan_out == 1 ? "" : "s", plan.size_bytes, signet ? "batches of" : "groups of",
              plan.batch, plan.window, plan.rate > 0 ? (", " + std::to_string(static_cast<long>(plan.rate)) + " messages/s asked for").c_str() : "");
  std::printf("  messages/s  sent %.0f   acknowledged %.0f   received %.0f   (over %.2f s)\n", got.sent_per_s, got.acked_per_s,
              got.received_per_s, got.seconds);
  print_latency("ack", got.ack);
  print_latency("end to end", got.end_to_end);
  if (got.unsent > 0)
    std::printf("  behind      %llu messages were due and not sent: the target did not keep up, and no latency speaks of them\n",
                static_cast<unsigned long long>(got.unsent));
  std::printf("  all in all  sent %llu   acknowledged %llu   received %llu   refused publishes %llu\n",
              static_cast<unsigned long long>(got.sent), static_cast<unsigned long long>(got.acked),
              static_cast<unsigned long long>(got.received), static_cast<unsigned long long>(got.refused));
  std::printf("  faults      missing %llu   unacknowledged %llu   duplicate %llu   reordered %llu   unverified %llu   closed %llu\n",
              static_cast<unsigned long long>(got.missing), static_cast<unsigned long long>(got.unacked),
              static_cast<unsigned long long>(got.duplicates), static_cast<unsigned long long>(got.reordered),
              static_cast<unsigned long long>(got.unverified), static_cast<unsigned long long>(got.closed));
  if (!got.first_problem.empty())
    std::printf("  first fault %s\n", harmless(got.first_problem).c_str());
  std::printf("  CPU         generator %.2f s", got.own_cpu_s);
  if (plan.pid)
    std::printf("   node %.2f s   anonymous memory of the node %.1f MiB", got.node_cpu_s, static_cast<double>(got.node_rss_after) / 1048576);
  std::printf("\n  signing     %s\n  checked     %s\n  an acknowledgement is %s\n", signing, checks, meaning_of_ack(plan.target));
  std::fflush(stdout);
}

status check(const bench_flags& flags) {
  const auto& plan = flags.plan;
  const bool signet = plan.target == load_plan::target_kind::signet;
  if (flags.target != "signet" && flags.target != "mqtt")
    return fail(ec::configuration, "--target is signet or mqtt");
  if (plan.size_bytes < 24)
    return fail(ec::configuration, "--size is at least 24: publisher, sequence and time stand in each message");
  if (signet && std::uint64_t{plan.batch} * plan.fan_out > batch_messages_max)
    return fail(ec::configuration, "--batch times --fan-out is at most 1024: a message to several readers is one for each");
  if (signet && std::uint64_t{plan.batch} * plan.fan_out * (plan.size_bytes + 320) > batch_bytes_max)
    return fail(ec::configuration, "such a batch is larger than 1 MiB; take a smaller --batch or --size");
  if (plan.presign && plan.messages == 0)
    return fail(ec::configuration, "--presign needs --messages: so many are signed before the clock starts");
  if (signet && plan.v311)
    return fail(ec::configuration, "--target signet speaks MQTT 5");
  return {};
}

int bench(bench_flags& flags, const common_flags& common) {
  auto& plan = flags.plan;
  plan.target = flags.target == "mqtt" ? load_plan::target_kind::mqtt : load_plan::target_kind::signet;
  plan.v311 = flags.mqtt_version == "3.1.1";
  if (auto good = check(flags); !good)
    return report(good.error(), common);
  auto url = parse_node_url(common.node);
  if (!url)
    return report(url.error(), common);
  if (url->scheme != node_url::scheme_kind::mqtt)
    return report({ec::configuration, "the generator speaks plain mqtt:// only"}, common);
  plan.host = url->host;
  plan.port = url->port;
  if (is_terminal(2))
    plan.progress = [](const std::string& what) { std::cerr << paint(colour::dim, what + "…", 2) << "\n"; };
  auto got = run_load(plan);
  if (!got)
    return report(got.error(), common);
  if (plan.idle > 0)
    print_idle(plan, *got, common);
  else
    print_load(plan, *got, common);
  return got->good() ? exit_good : exit_refused;
}

} // namespace

void add_bench_command(CLI::App& app, invocation& call) {
  auto flags = std::make_shared<bench_flags>();
  auto& plan = flags->plan;
  auto* command = app.add_subcommand("bench", "generate load, check every message that comes back, and print throughput and latency");
  command->add_option("--target", flags->target, "signet: signed batches, verifying readers; mqtt: plain QoS 1 on any broker")
    ->capture_default_str()->option_text("signet|mqtt");
  command->add_option("--mqtt-version", flags->mqtt_version, "for --target mqtt")->check(CLI::IsMember({"3.1.1", "5"}))->capture_default_str();
  command->add_option("--pairs", plan.pairs, "publishers")->check(CLI::Range(1, 10'000))->capture_default_str();
  command->add_option("--fan-out", plan.fan_out, "readers of each publisher")->check(CLI::Range(1, 1'000))->capture_default_str();
  command->add_option("--size", plan.size_bytes, "bytes of a message's content")->check(CLI::Range(24, 190'000))->capture_default_str();
  command->add_option("--batch", plan.batch, "messages per signed batch; with --target mqtt so many publishes fall due together")
    ->check(CLI::Range(1, 1'024))->capture_default_str();
  command->add_option("--window", plan.window, "publishes in flight, for each publisher; Signet allows 32")
    ->check(CLI::Range(1, 60'000))->capture_default_str();
  command->add_option("--seconds", plan.seconds, "how long to measure")->check(CLI::Range(0.1, 86'400.0))->capture_default_str();
  command->add_option("--warmup", plan.warmup_s, "seconds of load before that")->check(CLI::Range(0.0, 3'600.0))->capture_default_str();
  command->add_option("--messages", plan.messages, "of each publisher, instead of a time")->option_text("N");
  command->add_flag("--presign", plan.presign, "sign everything before the clock starts; needs --messages");
  command->add_option("--rate", plan.rate, "messages a second, of all publishers together, on a fixed schedule; latency counts from the "
                                           "time on the schedule; 0: as fast as the window allows")->capture_default_str();
  command->add_option("--logins", plan.logins_max, "logins under way at the same time")->check(CLI::Range(1, 4'000))->capture_default_str();
  command->add_option("--idle", plan.idle, "only attach so many idle sessions and look at the node's memory (--pid)")->option_text("N");
  command->add_option("--patience", plan.patience_s, "seconds without any progress before it gives up")->capture_default_str();
  command->add_option("--pid", plan.pid, "process of the node on this machine, for its CPU and memory")->option_text("PID");
  add_node(*command, call);
  add_json(*command, call);
  example(*command, "signet bench --pairs 50 --batch 64 --seconds 10\n"
                    "  signet bench --target mqtt --node mqtt://127.0.0.1:1884 --pairs 50 --window 100");
  command->callback([flags, &call] { call.code = bench(*flags, call.flags); });
}

} // namespace signet::cli
