#pragma once
// The load generator behind `signet bench`: publishers and readers over real connections, one thread, one epoll set.
//
// The same engine drives Signet (signed batches, verifying readers) and any MQTT broker (plain QoS 1), so that both
// sides of a comparison carry the same generator. A message carries publisher, sequence and the time at which it was
// due. With a rate that is the time the schedule gave it, whether or not the window had room then: a stall shows up in
// the latency of all messages that it held up.

#include "messages/errors.hpp"
#include "tools/cli/bench_counts.hpp"

#include <functional>
#include <string>

namespace signet::cli {

struct load_plan {
  enum class target_kind { signet, mqtt };
  target_kind target = target_kind::signet;
  std::string host = "127.0.0.1";
  std::uint16_t port = 1883;
  bool v311 = false;             ///< plain MQTT only; else 5.0
  std::uint32_t pairs = 1;       ///< publishers
  std::uint32_t fan_out = 1;     ///< readers of each publisher
  std::uint32_t size_bytes = 256;
  std::uint32_t batch = 64;      ///< messages per signed batch; plain MQTT: messages that fall due together, each a publish
  std::uint32_t window = 16;     ///< publishes in flight, for each publisher
  double warmup_s = 1, seconds = 5;
  std::uint64_t messages = 0;    ///< of each publisher; then seconds and warm-up do not count
  bool presign = false;          ///< needs `messages`
  double rate = 0;               ///< messages a second of all publishers together; 0: as fast as the window allows
  double patience_s = 15;        ///< for logins, and for the rest at the end
  std::uint32_t logins_max = 32; ///< under way at the same time
  std::uint32_t idle = 0;        ///< only attach so many sessions and look at the node's memory
  int pid = 0;                   ///< of the node, for its CPU and memory; 0: not known
  std::function<void(const std::string&)> progress;
};

struct load_report {
  double seconds = 0;                ///< that were measured
  double sent_per_s = 0, acked_per_s = 0, received_per_s = 0;  ///< messages; received counts every reader
  std::uint64_t sent = 0, acked = 0, received = 0;             ///< whole run, messages
  std::uint64_t refused = 0;         ///< publishes answered with a refusal
  std::uint64_t missing = 0;         ///< acknowledged, never received
  std::uint64_t unacked = 0;         ///< sent, never acknowledged
  std::uint64_t unsent = 0;          ///< with a rate: due, but the window never had room; no latency speaks of them
  std::uint64_t duplicates = 0, reordered = 0;
  std::uint64_t unverified = 0;      ///< Signet: signature, link, lane or position wrong
  std::uint64_t closed = 0;          ///< connections that ended by themselves
  std::string first_problem;
  latency_histogram ack, end_to_end; ///< of what was due within the measured time
  double presign_s = 0, attach_s = 0;
  std::uint64_t attached = 0;
  double own_cpu_s = 0, node_cpu_s = 0;  ///< within the measured time
  std::uint64_t node_rss_before = 0, node_rss_after = 0;  ///< bytes; before: no session attached
  bool good() const {
    return missing == 0 && unacked == 0 && duplicates == 0 && reordered == 0 && unverified == 0 && refused == 0 && closed == 0;
  }
};

/// io, not_authorized: it could not even begin. What goes wrong later stands in the report.
result<load_report> run_load(const load_plan& plan);

} // namespace signet::cli
