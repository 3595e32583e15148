#pragma once
// cluster.conf: every key with its unit, default and range, once, in one table. Unknown keys are errors with a
// suggestion. What a flag says wins over the environment, the environment over the file, the file over the default.

#include "messages/errors.hpp"
#include "messages/ids.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace signet {

struct listener_settings {
  std::string mqtt = "127.0.0.1:1883";
  std::string mqtts, ws, wss;              ///< empty: not listening
  std::string certificate, key;            ///< PEM files, for mqtts and wss
  std::vector<std::string> origins;        ///< for ws and wss; empty: pages of the same host only
};

struct limit_settings {
  std::int64_t connections = 20'000;
  std::int64_t unauthenticated_per_address = 32;
  std::int64_t unauthenticated_loopback = 4'096;
  std::int64_t verifications_per_address = 5;      ///< a second, before authentication
  std::int64_t verifications_loopback = 2'000;
  std::int64_t verifications_total = 500;          ///< a second, before authentication, loopback not counted
  std::int64_t failed_logins_per_address = 10;     ///< a minute
  std::int64_t identities_per_second = 1;          ///< for an address
  std::int64_t identities_loopback = 100;
  std::int64_t batches_per_second = 2'000;         ///< for an attached session
  std::int64_t inbound_packet_bytes = 1 << 20;
  std::int64_t outbound_packet_bytes = 256 << 10;
  std::int64_t receive_maximum = 32;
  std::int64_t output_buffer_bytes = 1 << 20;
};

struct session_life_settings {
  std::int64_t idle_s = 3'600;
  std::int64_t absolute_s = 12 * 3'600;
  std::int64_t token_s = 300;
  std::int64_t reusable_token_s = 12 * 3'600;
  bool reusable_tokens = true;
  std::int64_t keep_alive_s = 300;
  std::int64_t parked_s = 7 * 86'400;   ///< longest MQTT session expiry granted
  std::int64_t parked_max = 10'000;
};

struct storage_settings {
  std::int64_t map_bytes = 64LL << 30;
  std::int64_t free_bytes_min = 256LL << 20;
  std::int64_t free_percent_min = 5;
};

/// How fast a cluster notices that its leader is gone. The same on all nodes.
struct cluster_settings {
  std::int64_t election_ms = 300;    ///< a follower that hears nothing for one to two times this asks for votes
  std::int64_t heartbeat_ms = 50;    ///< at most a third of election_ms
};

/// One line of the node table, [nodes.NAME]: what every node must know of every other.
struct cluster_node {
  std::string name;                     ///< 1 to 64 of A-Z a-z 0-9 . _ -
  std::string link;                     ///< host:port that peers dial and the node listens on; empty: no cluster
  std::optional<public_key> link_key;   ///< pinned: peers talk to nobody else at that address
  std::string zone;                     ///< [nodes.NAME] zone, else [node] zone
  bool founder = true;                  ///< votes from the founding on
  bool operator==(const cluster_node&) const = default;
};

struct node_settings {
  std::string name = "node-1";
  std::filesystem::path data = "signet-data";
  std::string cluster;                  ///< 32 hex digits; empty: drawn at founding
  std::string zone;
  cluster_settings consensus;
  std::vector<cluster_node> nodes;      ///< in the order of the file; empty: the file names none
  std::string admin_listen;             ///< host:port for health and metrics over HTTP; empty: not listening
  listener_settings listen;
  limit_settings limits;
  session_life_settings sessions;
  storage_settings storage;
  bool echo_bot = false;
  std::string log_level = "info";
  std::string log_format = "text";
  std::int64_t threads = 0;             ///< pooled actors; 0: as many as cores, at least 2

  const cluster_node* find_node(std::string_view node) const;  ///< nullptr: the file does not name it
  /// This node's own line; nullptr in a file without a node table.
  const cluster_node* own() const { return find_node(name); }
  /// Those that found the cluster together with this one, in the order of the file: all founders that have a link, or
  /// this node alone if it has none. Empty: this node is no founder.
  std::vector<cluster_node> founders() const;
};

/// One key of cluster.conf, for `signet config check`, its documentation and its tests.
struct settings_key {
  std::string path;        ///< for example "sessions.idle_s"
  std::string type;        ///< "text", "number", "yes/no", "list"
  std::string default_text;
  std::int64_t min = 0, max = 0;  ///< numbers
};
std::vector<settings_key> settings_keys();
/// The keys of the node table, [nodes.NAME]: "link" and so on. Beside them a node's section takes every other key.
std::vector<settings_key> node_table_keys();
/// The environment variable that overrides a key: SIGNET_SESSIONS_IDLE_S, or SIGNET_NODES_NODE_1_LINK.
std::string variable_of(const std::string& path);

/// Reads the file for the node called `name`, then applies the environment (SIGNET_SESSIONS_IDLE_S for sessions.idle_s).
/// Every mistake of the file is reported, one a line, each with what to do about it.
result<node_settings> load_settings(const std::filesystem::path& file, const std::string& name,
                                    const std::map<std::string, std::string>& environment);
/// The same over text; `origin` names it in errors.
result<node_settings> parse_settings(std::string_view text, std::string_view origin, const std::string& name,
                                     const std::map<std::string, std::string>& environment);
/// What is allowed but seldom meant: an even number of founders, a zone whose loss stops the cluster, and so on. One
/// sentence each.
std::vector<std::string> settings_warnings(const node_settings& settings);
/// Environment over defaults, for `signet dev`.
status apply_environment(node_settings& settings, const std::map<std::string, std::string>& environment);
/// The process's variables that start with SIGNET_.
std::map<std::string, std::string> signet_environment();

/// The word of `known` closest to `word`, when it is close enough to be meant.
std::optional<std::string> closest(std::string_view word, const std::vector<std::string>& known);

/// "host:port" with [::1]:port for IPv6. Errors: configuration.
struct endpoint {
  std::string host;
  std::uint16_t port = 0;
};
result<endpoint> parse_endpoint(std::string_view text);

} // namespace signet
