#pragma once
// METRICS: a node's status in Prometheus' text format.
//
// What is exported stands in one table (metrics.cpp). Labels come from a closed list: node names of cluster.conf, names of
// bots, kinds and tables of this program. No identity, key, client id, address or topic ever becomes a label, so whoever
// may read metrics learns how much happens, and not between whom.

#include "messages/histogram.hpp"

#include <nlohmann/json.hpp>
#include <string>

namespace signet {

/// `status` as node::status_json gives it; parts that are missing (an actor did not answer) are left out.
std::string metrics_text(const nlohmann::json& status);

/// Of this process: {"resident_bytes", "open_fds", "start_time_s"}, for a status.
nlohmann::json process_picture();

/// A histogram as it travels inside a status.
template <std::size_t N>
nlohmann::json to_json(const histogram<N>& from) {
  return {{"bounds", from.bounds}, {"counts", from.counts}, {"sum", from.sum}};
}

} // namespace signet
