#include "actors/peering.hpp"

#include "messages/security_events.hpp"
#include "storage/peer/frame.hpp"

#include <caf/send.hpp>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

namespace signet {
namespace {

/// Another text: the file has been written or replaced.
std::string version_of(const std::filesystem::path& file) {
  struct stat found {};
  if (file.empty() || ::stat(file.c_str(), &found) != 0)
    return {};
  return std::to_string(found.st_ino) + " " + std::to_string(found.st_size) + " " +
         std::to_string(found.st_mtim.tv_sec) + "." + std::to_string(found.st_mtim.tv_nsec);
}

} // namespace

peering::peering(const node_settings& settings, const cluster_id& cluster, std::filesystem::path file,
                 peer::process_id process)
    : settings_{settings}, cluster_{cluster}, file_{std::move(file)}, process_{process},
      wire_{std::make_shared<links>()}, table_{settings.nodes}, read_as_{version_of(file_)} {}

std::vector<link_peer> peering::peers_of(const std::vector<cluster_node>& table) const {
  std::vector<link_peer> out;
  for (const auto& each : table) {
    if (each.name == settings_.name || each.link.empty())
      continue;
    if (each.link_key)
      out.push_back({each.name, each.link, *each.link_key});
    else
      spdlog::warn("peer_without_key peer={} next=\"signet node init on that node prints its link_key for cluster.conf\"",
                   each.name);
  }
  return out;
}

status peering::open(const signing_key& link_key) {
  links_settings how;
  how.cluster = cluster_;
  how.self = settings_.name;
  how.listen = settings_.own()->link;
  how.process = process_;
  how.heartbeat = std::chrono::milliseconds{settings_.consensus.heartbeat_ms};
  return wire_->open(std::move(how), link_key);
}

void peering::run(const replica_actor& replica) {
  links_handlers handlers;
  handlers.up = [replica](const std::string& node, const peer::hello&) {
    caf::anon_send(replica, peer_link_changed{node, true});
  };
  handlers.down = [replica](const std::string& node) { caf::anon_send(replica, peer_link_changed{node, false}); };
  handlers.frame = [replica](const std::string& node, shared_bytes raw, link_credit_ptr credit) {
    auto frame = peer::decode_frame(*raw);
    if (!frame) {
      spdlog::warn("peer_frame_malformed peer={} bytes={} problem=\"{}\"", node, raw->size(), render(frame.error()));
      return;
    }
    caf::anon_send(replica, peer_frame_arrived{node, std::make_shared<peer::frame>(std::move(*frame)),
                                               std::move(credit)});
  };
  handlers.refused = [this](link_refusal reason, const std::string&, const std::string& address) {
    const std::lock_guard lock{mutex_};
    if (security_)
      caf::anon_send(security_, security_event_seen{std::string{name(security_kind::peer_handshake_failed)}, {}, {},
                                                    std::string{name(reason)}, address});
  };
  wire_->run(std::move(handlers), peers_of(table()));
}

void peering::report_to(const security_actor& security) {
  const std::lock_guard lock{mutex_};
  security_ = security;
}

void peering::reread_if_changed() {
  const auto version = version_of(file_);
  {
    const std::lock_guard lock{mutex_};
    // Absent: an editor is replacing it, or it is gone; what stands goes on.
    if (version.empty() || read_as_ == version)
      return;
    read_as_ = version;
  }
  const auto read = load_settings(file_, settings_.name, signet_environment());
  if (!read) {
    spdlog::warn("node_table_not_read file={} problem=\"{}\" next=\"signet config check {}\"", file_.string(),
                 render(read.error()), file_.string());
    return;
  }
  {
    const std::lock_guard lock{mutex_};
    if (read->nodes == table_)
      return;
    table_ = read->nodes;
  }
  const auto peers = peers_of(read->nodes);
  spdlog::info("node_table_changed peers={}", peers.size());
  wire_->set_peers(peers);
}

std::vector<cluster_node> peering::table() const {
  const std::lock_guard lock{mutex_};
  return table_;
}

std::string peering::picture() const {
  auto peers = nlohmann::json::array();
  for (const auto& each : wire_->picture())
    peers.push_back({{"node", each.name},
                     {"endpoint", each.endpoint},
                     {"state", each.state},
                     {"round_trip_us", each.round_trip_us},
                     {"received_bytes", each.bytes_in},
                     {"sent_bytes", each.bytes_out},
                     {"frames_in", each.frames_in},
                     {"frames_out", each.frames_out},
                     {"queued_bytes", each.queued_bytes},
                     {"unprocessed_bytes", each.unprocessed_bytes},
                     {"dropped", each.dropped},
                     {"reconnects", each.reconnects},
                     {"last_error", each.last_error}});
  auto refused = nlohmann::json::object();
  for (const auto& [reason, count] : wire_->refusals())
    refused[std::string{name(reason)}] = count;
  return nlohmann::json{{"listening", wire_->listening()}, {"peers", peers}, {"refused", refused}}.dump();
}

void peering::stop() {
  wire_->stop();
  const std::lock_guard lock{mutex_};
  security_ = nullptr;
}

} // namespace signet
