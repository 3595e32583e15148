#include "actors/admin/metrics.hpp"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>
#include <prometheus/text_serializer.h>
#include <unistd.h>

namespace signet {
namespace {
using nlohmann::json;
using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

/// One value of the status, found by a JSON pointer.
struct plain {
  const char* name;
  const char* help;
  MetricType type;
  const char* where;
};
constexpr auto gauge = MetricType::Gauge;
constexpr auto counter = MetricType::Counter;

constexpr plain plain_metrics[] = {
  {"signet_ready", "1 while clients are served: a leader is known, the state is fresh, listeners stand", gauge, "/ready"},
  {"signet_raft_term", "Current term", gauge, "/replica/term"},
  {"signet_raft_leads_surely", "1 while this node leads and has committed an entry of its term", gauge, "/replica/leads_surely"},
  {"signet_log_last_index", "End of the log on this node", gauge, "/replica/last_index"},
  {"signet_log_committed_index", "Everything up to here is on a majority, as this node knows it", gauge, "/replica/committed_index"},
  {"signet_log_applied_index", "Everything up to here is visible on this node", gauge, "/replica/applied_index"},
  {"signet_in_flight_entries", "Proposals taken and not yet answered", gauge, "/replica/in_flight_entries"},
  {"signet_in_flight_bytes", "Bytes of proposals taken and not yet answered", gauge, "/replica/in_flight_bytes"},
  {"signet_replica_turns_total", "Turns of the replica's loop", counter, "/replica/turns"},
  {"signet_proposals_answered_total", "Proposals answered", counter, "/replica/answers"},
  {"signet_disk_low", "1 while new messages are refused for want of space", gauge, "/replica/disk_low"},
  {"signet_disk_free_bytes", "Free space where the store lies", gauge, "/replica/disk_free_bytes"},
  {"signet_map_bytes", "Upper bound of the store's size", gauge, "/replica/map_bytes"},
  {"signet_map_used_bytes", "How much of it is used", gauge, "/replica/map_used_bytes"},
  {"signet_sessions_attached", "Clients attached to this node", gauge, "/sessions/attached"},
  {"signet_sessions_parked", "Detached clients whose subscriptions are kept", gauge, "/sessions/parked"},
  {"signet_sessions_attached_total", "Attachments", counter, "/sessions/attached_total"},
  {"signet_sessions_takeovers_total", "Client ids taken over by the same identity", counter, "/sessions/takeovers"},
  {"signet_senders_running", "Authors with an actor", gauge, "/senders/running"},
  {"signet_connections_open", "Open connections", gauge, "/connections/open"},
  {"signet_connections_strangers", "Connections that have not authenticated", gauge, "/connections/strangers"},
  {"signet_connections_accepted_total", "Connections accepted", counter, "/connections/accepted"},
  {"signet_client_bytes_in_total", "Bytes read from clients", counter, "/connections/bytes_in"},
  {"signet_client_bytes_out_total", "Bytes written to clients", counter, "/connections/bytes_out"},
  {"signet_client_packets_in_total", "MQTT packets read", counter, "/connections/packets_in"},
  {"signet_cursors_written_total", "Cursor advances written", counter, "/cursors/written"},
  {"signet_fanout_wakes_total", "Wake-ups of readers", counter, "/fan-out/wakes"},
  {"signet_cluster_members", "Members of the newest configuration", gauge, "/cluster_size/members"},
  {"signet_cluster_voters", "Those of them that vote", gauge, "/cluster_size/voters"},
  {"process_resident_memory_bytes", "Memory of the process", gauge, "/process/resident_bytes"},
  {"process_open_fds", "Open file descriptors", gauge, "/process/open_fds"},
  {"process_start_time_seconds", "When the process started, since 1970", gauge, "/process/start_time_s"},
};

/// One label, whose values are our own words, for several values of the status.
struct part {
  const char* name;
  const char* help;
  MetricType type;
  const char* label;
  const char* value;
  const char* where;
};
constexpr part part_metrics[] = {
  {"signet_refusals_total", "What was refused, by kind", counter, "kind", "proposal", "/replica/refused"},
  {"signet_refusals_total", "", counter, "kind", "malformed", "/connections/malformed"},
  {"signet_refusals_total", "", counter, "kind", "output_full", "/connections/output_full"},
  {"signet_refusals_total", "", counter, "kind", "gate", "/connections/gate_refusals"},
  {"signet_refusals_total", "", counter, "kind", "closing_dropped", "/sessions/closings_dropped"},
  {"signet_queue_length", "Entries that wait, by queue", gauge, "queue", "cursors", "/cursors/pending"},
  {"signet_queue_length", "", gauge, "queue", "closings", "/sessions/closings_waiting"},
  {"signet_queue_length", "", gauge, "queue", "wake_ups", "/sessions/waking"},
  {"signet_queue_length", "", gauge, "queue", "security", "/security/pending"},
};

/// Objects of the status whose keys are our own words: kinds of events, tables.
struct keyed {
  const char* name;
  const char* help;
  MetricType type;
  const char* label;
  const char* where;
};
constexpr keyed keyed_metrics[] = {
  {"signet_security_events_total", "Security events in the log, by kind", counter, "kind", "/security_events"},
  {"signet_messages_total", "Messages handed in on this node, by outcome", counter, "outcome", "/senders/messages"},
  {"signet_batches_refused_total", "Batches refused as a whole on this node, by reason", counter, "reason", "/senders/refused_batches"},
  {"signet_link_refusals_total", "Connections of nodes that were refused, by reason", counter, "reason", "/links/refused"},
  {"signet_rows", "Rows of the store, by table", gauge, "table", "/rows"},
};

/// Lists of the status, an object each; one member of it is the label.
struct listed {
  const char* name;
  const char* help;
  MetricType type;
  const char* label;
  const char* list;
  const char* label_from;
  const char* value_from;
  double unit = 1;  ///< what one of the value is in the unit of the name
};
constexpr listed listed_metrics[] = {
  {"signet_peer_linked", "1 while this node can send to the peer", gauge, "peer", "/cluster_members", "node", "linked"},
  {"signet_peer_voter", "1 if the peer votes", gauge, "peer", "/cluster_members", "node", "voter"},
  {"signet_peer_lag_entries", "Entries the peer has not yet reported durable; on the leader", gauge, "peer", "/cluster_members",
   "node", "lag"},
  {"signet_peer_match_index", "End of what the peer reported durable; on the leader", gauge, "peer", "/cluster_members", "node",
   "match_index"},
  {"signet_peer_contact_age_seconds", "Since something came in from the peer", gauge, "peer", "/cluster_members", "node",
   "contact_age_s"},
  {"signet_link_up", "1 while the link stands in both directions", gauge, "peer", "/links/peers", "node", "up"},
  {"signet_link_round_trip_seconds", "Smoothed", gauge, "peer", "/links/peers", "node", "round_trip_us", 1e-6},
  {"signet_link_sent_bytes_total", "Bytes sent to the peer", counter, "peer", "/links/peers", "node", "sent_bytes"},
  {"signet_link_received_bytes_total", "Bytes received from the peer", counter, "peer", "/links/peers", "node", "received_bytes"},
  {"signet_link_queued_bytes", "Bytes that wait to be sent to the peer", gauge, "peer", "/links/peers", "node", "queued_bytes"},
  {"signet_link_unprocessed_bytes", "Bytes of the peer that wait for the replica", gauge, "peer", "/links/peers", "node",
   "unprocessed_bytes"},
  {"signet_link_frames_dropped_total", "Frames to the peer that were lost here", counter, "peer", "/links/peers", "node", "dropped"},
  {"signet_link_reconnects_total", "How often the link came up again", counter, "peer", "/links/peers", "node", "reconnects"},
  {"signet_bot_pending", "Inbox entries that the bot has not handled", gauge, "bot", "/bots", "name", "pending"},
  {"signet_bot_dead_letters", "Inbox entries that the bot gave up", gauge, "bot", "/bots", "name", "dead_letters"},
  {"signet_bot_attempts", "Attempts at the entry that the bot is at", gauge, "bot", "/bots", "name", "attempts"},
  {"signet_child_restarts_total", "Restarts of a child of the top supervisor", counter, "child", "/tree/children", "id", "restarts"},
};

struct histogram_metric {
  const char* name;
  const char* help;
  const char* where;
};
constexpr histogram_metric histogram_metrics[] = {
  {"signet_commit_seconds", "From a proposal to its answer: durable on a majority and applied", "/replica/commit_seconds"},
  {"signet_sync_seconds", "One commit of the store: write and fsync", "/replica/sync_seconds"},
  {"signet_turn_entries", "Proposals answered by one turn", "/replica/turn_entries"},
};

const json* find(const json& from, const char* where) {
  const json::json_pointer at(where);
  return from.contains(at) ? &from.at(at) : nullptr;
}

/// What the table cannot say: sizes, links as numbers, what is left of a bot's inbox.
json prepared(const json& status) {
  auto out = status;
  const auto members = status.value(json::json_pointer("/replica/members"), json::array());
  if (!members.empty())
    out["cluster_size"] = {{"members", members.size()},
                           {"voters", std::count_if(members.begin(), members.end(),
                                                    [](const json& each) { return each.value("voter", false); })}};
  if (const auto links = out.find("links"); links != out.end() && links->is_object() && links->contains("peers"))
    for (auto& each : (*links)["peers"])
      each["up"] = each.value("state", "") == "up";
  if (const auto bots = out.find("bots"); bots != out.end() && bots->is_array())
    for (auto& each : *bots) {
      const auto inbox = each.value("inbox", std::uint64_t{0});
      each["pending"] = inbox - std::min(inbox, each.value("position", std::uint64_t{0}));
    }
  return out;
}

std::optional<double> number_of(const json* from) {
  if (from && from->is_boolean())
    return from->get<bool>() ? 1 : 0;
  if (from && from->is_number())
    return from->get<double>();
  return std::nullopt;
}

/// Only what cluster.conf, a bot's definition or this program could have named. Ids and keys are 32 hexadecimal digits and
/// more: whatever looks like one is not exported, wherever it came from.
bool may_be_a_label(const std::string& text) {
  const auto is_hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); };
  std::size_t run = 0, longest = 0;
  for (char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
    if (!plain)
      return false;
    run = is_hex(c) ? run + 1 : 0;
    longest = std::max(longest, run);
  }
  return !text.empty() && text.size() <= 64 && longest < 32;
}

class page {
public:
  void add(const char* name, const char* help, MetricType type, std::optional<double> value, const char* label = nullptr,
           const std::string& label_value = {}) {
    if (!value || (label && !may_be_a_label(label_value)))
      return;
    ClientMetric one;
    if (label)
      one.label.push_back({label, label_value});
    (type == counter ? one.counter.value : one.gauge.value) = *value;
    family(name, help, type).metric.push_back(std::move(one));
  }
  void add_histogram(const histogram_metric& what, const json& from) {
    const auto bounds = from.value("bounds", std::vector<double>{});
    const auto counts = from.value("counts", std::vector<std::uint64_t>{});
    if (counts.size() != bounds.size() + 1)
      return;
    ClientMetric one;
    for (std::size_t i = 0; i < counts.size(); ++i) {
      one.histogram.sample_count += counts[i];
      one.histogram.bucket.push_back(
        {one.histogram.sample_count, i < bounds.size() ? bounds[i] : std::numeric_limits<double>::infinity()});
    }
    one.histogram.sample_sum = from.value("sum", 0.0);
    family(what.name, what.help, MetricType::Histogram).metric.push_back(std::move(one));
  }
  std::string text() const { return prometheus::TextSerializer{}.Serialize(families_); }

private:
  MetricFamily& family(const char* name, const char* help, MetricType type) {
    for (auto& each : families_)
      if (each.name == name)
        return each;
    return families_.emplace_back(MetricFamily{name, help, type, {}});
  }
  std::vector<MetricFamily> families_;
};
} // namespace

json process_picture() {
  static const auto start = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  json out{{"start_time_s", start}};
  std::ifstream statm("/proc/self/statm");
  if (std::uint64_t size = 0, resident = 0; statm >> size >> resident)
    out["resident_bytes"] = resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  std::error_code failed;
  std::size_t open = 0;
  for (std::filesystem::directory_iterator each("/proc/self/fd", failed), end; !failed && each != end; each.increment(failed))
    ++open;
  if (!failed)
    out["open_fds"] = open;
  return out;
}

std::string metrics_text(const json& given) {
  const auto status = prepared(given);
  page out;
  out.add("signet_build_info", "1, with the version of this program", gauge, 1, "version", status.value("version", ""));
  const auto replica = status.value("replica", json::object());
  if (replica.contains("role"))
    for (const char* role : {"follower", "candidate", "leader", "joining"})
      out.add("signet_raft_role", "1 for the role that this node has", gauge, replica["role"] == role ? 1 : 0, "role", role);
  for (const auto& each : plain_metrics)
    out.add(each.name, each.help, each.type, number_of(find(status, each.where)));
  for (const auto& each : part_metrics)
    out.add(each.name, each.help, each.type, number_of(find(status, each.where)), each.label, each.value);
  for (const auto& each : keyed_metrics)
    if (const auto* found = find(status, each.where); found && found->is_object())
      for (const auto& [key, value] : found->items())
        out.add(each.name, each.help, each.type, number_of(&value), each.label, key);
  for (const auto& each : listed_metrics)
    if (const auto* found = find(status, each.list); found && found->is_array())
      for (const auto& item : *found)
        if (item.is_object() && item.contains(each.value_from))
          if (const auto value = number_of(&item[each.value_from]))
            out.add(each.name, each.help, each.type, *value * each.unit, each.label, item.value(each.label_from, ""));
  for (const auto& each : histogram_metrics)
    if (const auto* found = find(status, each.where); found && found->is_object())
      out.add_histogram(each, *found);
  return out.text();
}

} // namespace signet
