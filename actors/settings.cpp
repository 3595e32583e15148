#include "actors/settings.hpp"

#include "messages/envelope/keys.hpp"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>
#include <variant>
#include <toml++/toml.h>

extern char** environ;

namespace signet {
namespace {

using target = std::variant<std::string*, std::int64_t*, bool*, std::vector<std::string>*>;

struct binding {
  std::string path;
  target where;
  std::int64_t min = 0, max = 0;
};

constexpr std::int64_t day_s = 86'400;

/// The table. `s` may be a scratch value when only the keys are wanted.
std::vector<binding> bind(node_settings& s, std::string& data) {
  auto& listen = s.listen;
  auto& limits = s.limits;
  auto& life = s.sessions;
  return {
    {"cluster.id", &s.cluster},
    {"cluster.election_ms", &s.consensus.election_ms, 100, 60'000},
    {"cluster.heartbeat_ms", &s.consensus.heartbeat_ms, 10, 10'000},
    {"node.data", &data},
    {"node.zone", &s.zone},
    {"node.threads", &s.threads, 0, 256},
    {"node.echo_bot", &s.echo_bot},
    {"listen.mqtt", &listen.mqtt},
    {"listen.mqtts", &listen.mqtts},
    {"listen.ws", &listen.ws},
    {"listen.wss", &listen.wss},
    {"listen.certificate", &listen.certificate},
    {"listen.key", &listen.key},
    {"listen.origins", &listen.origins},
    {"sessions.idle_s", &life.idle_s, 10, 30 * day_s},
    {"sessions.absolute_s", &life.absolute_s, 10, 30 * day_s},
    {"sessions.token_s", &life.token_s, 10, 300},
    {"sessions.reusable_tokens", &life.reusable_tokens},
    {"sessions.reusable_token_s", &life.reusable_token_s, 10, 12 * 3'600},
    {"sessions.keep_alive_s", &life.keep_alive_s, 10, 300},
    {"sessions.parked_s", &life.parked_s, 0, 30 * day_s},
    {"sessions.parked_max", &life.parked_max, 0, 1'000'000},
    {"limits.connections", &limits.connections, 1, 1'000'000},
    {"limits.unauthenticated_per_address", &limits.unauthenticated_per_address, 1, 100'000},
    {"limits.unauthenticated_loopback", &limits.unauthenticated_loopback, 1, 100'000},
    {"limits.verifications_per_address", &limits.verifications_per_address, 1, 100'000},
    {"limits.verifications_loopback", &limits.verifications_loopback, 1, 100'000},
    {"limits.verifications_total", &limits.verifications_total, 1, 100'000},
    {"limits.failed_logins_per_address", &limits.failed_logins_per_address, 1, 100'000},
    {"limits.identities_per_second", &limits.identities_per_second, 1, 100'000},
    {"limits.identities_loopback", &limits.identities_loopback, 1, 100'000},
    {"limits.batches_per_second", &limits.batches_per_second, 1, 1'000'000},
    {"limits.inbound_packet_bytes", &limits.inbound_packet_bytes, 16 << 10, 1 << 20},
    {"limits.outbound_packet_bytes", &limits.outbound_packet_bytes, 4 << 10, 1 << 20},
    {"limits.receive_maximum", &limits.receive_maximum, 1, 32},
    {"limits.output_buffer_bytes", &limits.output_buffer_bytes, 64 << 10, 64 << 20},
    {"storage.map_bytes", &s.storage.map_bytes, 64 << 20, 16LL << 40},
    {"storage.free_bytes_min", &s.storage.free_bytes_min, 0, 1LL << 40},
    {"storage.free_percent_min", &s.storage.free_percent_min, 0, 50},
    {"admin.listen", &s.admin_listen},
    {"log.level", &s.log_level},
    {"log.format", &s.log_format},
  };
}

/// A line of the node table while it is read: the key still as text.
struct node_line {
  cluster_node node;
  std::string link_key;
};

std::vector<binding> bind_line(node_line& line) {
  const auto path = "nodes." + line.node.name + ".";
  return {{path + "link", &line.node.link},
          {path + "link_key", &line.link_key},
          {path + "zone", &line.node.zone},
          {path + "founder", &line.node.founder}};
}

std::string text_of(const target& where) {
  return std::visit(
    [](auto* at) -> std::string {
      using T = std::remove_pointer_t<decltype(at)>;
      if constexpr (std::is_same_v<T, std::string>)
        return *at;
      else if constexpr (std::is_same_v<T, std::int64_t>)
        return std::to_string(*at);
      else if constexpr (std::is_same_v<T, bool>)
        return *at ? "true" : "false";
      else {
        std::string out;
        for (const auto& item : *at)
          out += (out.empty() ? "" : ",") + item;
        return out;
      }
    },
    where);
}

std::string type_of(const target& where) {
  static constexpr const char* names[] = {"text", "number", "yes/no", "list"};
  return names[where.index()];
}

std::string out_of_range(const binding& key, std::int64_t got) {
  return key.path + " is " + std::to_string(got) + "; it must be " + std::to_string(key.min) + " to " +
         std::to_string(key.max);
}

/// Nothing when it fits; else what is wrong.
std::string assign(const binding& key, const toml::node& value) {
  return std::visit(
    [&](auto* at) -> std::string {
      using T = std::remove_pointer_t<decltype(at)>;
      if constexpr (std::is_same_v<T, std::vector<std::string>>) {
        const auto* array = value.as_array();
        if (!array)
          return key.path + " must be a list of texts, such as [\"https://example.org\"]";
        at->clear();
        for (const auto& item : *array) {
          const auto* text = item.as_string();
          if (!text)
            return key.path + " must hold only texts";
          at->push_back(text->get());
        }
        return {};
      } else {
        const auto* typed = value.as<T>();
        if (!typed)
          return key.path + " must be a " + type_of(key.where) +
                 (std::is_same_v<T, bool> ? " (true or false)" : "");
        if constexpr (std::is_same_v<T, std::int64_t>)
          if (typed->get() < key.min || typed->get() > key.max)
            return out_of_range(key, typed->get());
        *at = typed->get();
        return {};
      }
    },
    key.where);
}

std::string assign_text(const binding& key, const std::string& value) {
  return std::visit(
    [&](auto* at) -> std::string {
      using T = std::remove_pointer_t<decltype(at)>;
      if constexpr (std::is_same_v<T, std::string>)
        *at = value;
      else if constexpr (std::is_same_v<T, bool>) {
        if (value != "true" && value != "false")
          return key.path + " must be true or false, not \"" + value + "\"";
        *at = value == "true";
      } else if constexpr (std::is_same_v<T, std::int64_t>) {
        std::int64_t number = 0;
        auto [end, problem] = std::from_chars(value.data(), value.data() + value.size(), number);
        if (problem != std::errc{} || end != value.data() + value.size())
          return key.path + " must be a whole number, not \"" + value + "\"";
        if (number < key.min || number > key.max)
          return out_of_range(key, number);
        *at = number;
      } else {
        at->clear();
        std::istringstream items(value);
        for (std::string item; std::getline(items, item, ',');)
          at->push_back(item);
      }
      return {};
    },
    key.where);
}

/// What no single key can tell.
void check_whole(const node_settings& s, std::vector<std::string>& problems) {
  for (const auto& [key, text] : {std::pair{"listen.mqtt", s.listen.mqtt}, {"listen.mqtts", s.listen.mqtts},
                                  {"listen.ws", s.listen.ws}, {"listen.wss", s.listen.wss}})
    if (!text.empty())
      if (auto parsed = parse_endpoint(text); !parsed)
        problems.push_back(std::string(key) + ": " + parsed.error().context);
  if ((!s.listen.mqtts.empty() || !s.listen.wss.empty()) && (s.listen.certificate.empty() || s.listen.key.empty()))
    problems.push_back("listen.mqtts and listen.wss need listen.certificate and listen.key (PEM files)");
  if (s.listen.mqtt.empty() && s.listen.mqtts.empty() && s.listen.ws.empty() && s.listen.wss.empty())
    problems.push_back("nothing listens: set at least one of listen.mqtt, listen.mqtts, listen.ws, listen.wss");
  if (!s.cluster.empty() && !cluster_id::parse(s.cluster))
    problems.push_back("cluster.id must be 32 hexadecimal digits; leave it empty to have one drawn");
  if (s.consensus.heartbeat_ms * 3 > s.consensus.election_ms)
    problems.push_back("cluster.heartbeat_ms must be at most a third of cluster.election_ms, or followers elect too often");
  if (!s.admin_listen.empty())
    if (auto parsed = parse_endpoint(s.admin_listen); !parsed)
      problems.push_back("admin.listen: " + parsed.error().context);
  if (s.sessions.idle_s > s.sessions.absolute_s)
    problems.push_back("sessions.idle_s is longer than sessions.absolute_s");
  static const std::vector<std::string> levels{"trace", "debug", "info", "warn", "error"};
  if (std::find(levels.begin(), levels.end(), s.log_level) == levels.end())
    problems.push_back("log.level must be one of trace, debug, info, warn, error");
  if (s.log_format != "text" && s.log_format != "json")
    problems.push_back("log.format must be text or json");
}

bool is_node_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
  });
}

/// The addresses that mean "all of this machine": good to listen on, but nobody can dial them.
bool is_wildcard(const std::string& host) { return host == "0.0.0.0" || host == "::" || host == "*"; }

/// From lines to nodes, and what is wrong between them.
std::vector<cluster_node> check_nodes(std::vector<node_line>& lines, std::vector<std::string>& problems) {
  std::vector<cluster_node> out;
  for (auto& line : lines) {
    const auto path = "nodes." + line.node.name;
    if (!is_node_name(line.node.name))
      problems.push_back(path + ": a node's name is 1 to 64 of A-Z a-z 0-9 . _ -");
    if (!line.node.link.empty()) {
      if (auto parsed = parse_endpoint(line.node.link); !parsed)
        problems.push_back(path + ".link: " + parsed.error().context);
      else if (parsed->port == 0)
        problems.push_back(path + ".link: port 0 cannot be dialed; name a port");
      else if (is_wildcard(parsed->host))
        problems.push_back(path + ".link: peers dial this address, so " + parsed->host + " will not do; name the node's own");
    }
    if (!line.link_key.empty()) {
      line.node.link_key = public_key::parse(line.link_key);
      if (!line.node.link_key || !is_valid_public_key(*line.node.link_key)) {
        line.node.link_key.reset();
        problems.push_back(path + ".link_key is not a key (64 hexadecimal digits); node " + line.node.name +
                           " prints its own: signet node init --config FILE --name " + line.node.name);
      }
    }
    for (const auto& other : out) {
      if (!line.node.link.empty() && other.link == line.node.link)
        problems.push_back(path + ".link is the same as that of nodes." + other.name);
      if (line.node.link_key && other.link_key == line.node.link_key)
        problems.push_back(path + ".link_key is the same as that of nodes." + other.name + "; every node has a key of its own");
    }
    out.push_back(line.node);
  }
  return out;
}

status verdict(const std::vector<std::string>& problems) {
  if (problems.empty())
    return {};
  std::string all;
  for (const auto& problem : problems)
    all += "\n  " + problem;
  return fail(ec::configuration, all);
}

void take_environment(std::vector<binding>& keys, const std::map<std::string, std::string>& environment,
                      std::vector<std::string>& problems) {
  std::vector<std::string> known;
  for (auto& key : keys) {
    known.push_back(variable_of(key.path));
    if (auto found = environment.find(known.back()); found != environment.end())
      if (auto problem = assign_text(key, found->second); !problem.empty())
        problems.push_back(found->first + ": " + problem);
  }
  // A variable that names a section, but none of its keys, is a mistake like an unknown key of the file. Others, like
  // SIGNET_HOME, are not ours to judge.
  for (const auto& [name, value] : environment) {
    if (std::find(known.begin(), known.end(), name) != known.end())
      continue;
    for (const auto& key : keys)
      if (name.starts_with(variable_of(key.path.substr(0, key.path.find('.') + 1)))) {
        auto meant = closest(name, known);
        problems.push_back("unknown variable " + name +
                           (meant ? "; did you mean " + *meant + "?" : "; see cluster.conf for all keys"));
        break;
      }
  }
}

std::string where(const toml::node& value) {
  return "line " + std::to_string(value.source().begin.line) + ": ";
}

/// Where something begins in the file: tables are sorted by name, so that the order of the file is read from here.
std::pair<std::uint32_t, std::uint32_t> position(const toml::node& value) {
  auto first = std::pair(value.source().begin.line, value.source().begin.column);
  if (const auto* table = value.as_table())
    for (auto&& [name, inner] : *table)
      first = std::min(first, position(inner));
  return first;
}

/// Fills what the table holds. Sections are those of the paths.
void take_table(const toml::table& table, const std::string& prefix, std::vector<binding>& keys,
                std::vector<std::string>& problems) {
  std::vector<std::string> known;
  for (const auto& key : keys)
    if (key.path.starts_with(prefix + "."))
      known.push_back(key.path.substr(prefix.size() + 1));
  for (auto&& [name, value] : table) {
    const std::string path = prefix + "." + std::string(name.str());
    auto found = std::find_if(keys.begin(), keys.end(), [&](const binding& key) { return key.path == path; });
    if (found != keys.end()) {
      if (auto problem = assign(*found, value); !problem.empty())
        problems.push_back(where(value) + problem);
      continue;
    }
    auto meant = closest(name.str(), known);
    problems.push_back(where(value) + "unknown key " + path +
                       (meant ? "; did you mean " + prefix + "." + *meant + "?" : "; see cluster.conf for all keys"));
  }
}

/// Fills what [nodes.NAME] holds: its line of the node table, keys of [node] and, below it, those of other sections.
void take_node(const toml::table& table, node_line& line, std::vector<binding>& keys,
               const std::vector<std::string>& sections, std::vector<std::string>& problems) {
  const auto prefix = "nodes." + line.node.name;
  auto own = bind_line(line);
  for (auto&& [key, value] : table) {
    const std::string name{key.str()};
    auto assign_to = [&](std::vector<binding>& bindings, const std::string& path) {
      auto found = std::find_if(bindings.begin(), bindings.end(), [&](const binding& each) { return each.path == path; });
      if (found == bindings.end())
        return false;
      if (auto problem = assign(*found, value); !problem.empty())
        problems.push_back(where(value) + problem);
      return true;
    };
    if (assign_to(own, prefix + "." + name) || assign_to(keys, "node." + name))
      continue;
    const bool section = std::find(sections.begin(), sections.end(), name) != sections.end();
    if (section && value.is_table()) {
      take_table(*value.as_table(), name, keys, problems);
      continue;
    }
    std::vector<std::string> known;
    for (const auto& each : own)
      known.push_back(each.path.substr(prefix.size() + 1));
    for (const auto& each : keys)
      if (each.path.starts_with("node."))
        known.push_back(each.path.substr(5));
    known.insert(known.end(), sections.begin(), sections.end());
    auto meant = closest(name, known);
    problems.push_back(where(value) + "unknown key " + prefix + "." + name +
                       (meant ? "; did you mean " + prefix + "." + *meant + "?" : "; see cluster.conf for all keys"));
  }
}

} // namespace

std::string variable_of(const std::string& path) {
  std::string out = "SIGNET_";
  for (char c : path) {
    const auto letter = static_cast<unsigned char>(c);
    out.push_back(std::isalnum(letter) ? static_cast<char>(std::toupper(letter)) : '_');
  }
  return out;
}

const cluster_node* node_settings::find_node(std::string_view node) const {
  auto found = std::find_if(nodes.begin(), nodes.end(), [&](const cluster_node& each) { return each.name == node; });
  return found == nodes.end() ? nullptr : &*found;
}

std::vector<cluster_node> node_settings::founders() const {
  const auto* self = own();
  if (!self)
    return {{name, {}, {}, zone, true}};
  if (!self->founder)
    return {};
  if (self->link.empty())
    return {*self};
  std::vector<cluster_node> out;
  std::copy_if(nodes.begin(), nodes.end(), std::back_inserter(out),
               [](const cluster_node& each) { return each.founder && !each.link.empty(); });
  return out;
}

std::vector<std::string> settings_warnings(const node_settings& settings) {
  std::vector<std::string> out;
  if (!settings.admin_listen.empty())
    if (auto at = parse_endpoint(settings.admin_listen); at && !at->host.starts_with("127.") && at->host != "::1" &&
                                                         at->host != "localhost")
      out.push_back("admin.listen = " + settings.admin_listen + " is not loopback: whoever reaches it reads health and metrics");
  std::vector<cluster_node> linked;
  for (const auto& node : settings.nodes)
    if (!node.link.empty())
      linked.push_back(node);
  if (linked.empty())
    return out;
  for (const auto& node : settings.nodes) {
    if (node.link.empty())
      out.push_back("nodes." + node.name + " has no link: it stands alone, outside of the cluster");
    else if (!node.link_key)
      out.push_back("nodes." + node.name + " has no link_key: nobody can link with it; on that node: signet node init");
  }
  if (settings.cluster.empty())
    out.push_back("cluster.id is empty: nodes link only within a named cluster; signet node init prints one");
  std::size_t founders = 0;
  std::map<std::string, std::size_t> zones;  // of founders, they vote
  for (const auto& node : linked)
    if (node.founder) {
      ++founders;
      ++zones[node.zone];
    }
  if (founders == 0)
    out.push_back("no node is a founder: nobody can found this cluster");
  else if (founders % 2 == 0)
    out.push_back(std::to_string(founders) + " founders: an even number survives no more losses than " +
                  std::to_string(founders - 1) + "; use 1, 3 or 5");
  const bool zones_given = zones.size() > 1 || (zones.size() == 1 && !zones.begin()->first.empty());
  if (founders > 1 && zones_given) {
    const auto majority = founders / 2 + 1;
    if (zones.contains(""))
      out.push_back("some founders have a zone and others none: name the zone of each");
    if (zones.size() == 1)
      out.push_back("all founders are in zone " + zones.begin()->first + ": its loss stops the cluster");
    else
      for (const auto& [zone, count] : zones)
        if (!zone.empty() && founders - count < majority)
          out.push_back("zone " + zone + " holds " + std::to_string(count) + " of " + std::to_string(founders) +
                        " founders: its loss loses the majority and stops the cluster");
  }
  return out;
}

std::vector<settings_key> node_table_keys() {
  node_line defaults;
  std::vector<settings_key> out;
  for (const auto& key : bind_line(defaults))
    out.push_back({key.path.substr(key.path.rfind('.') + 1), type_of(key.where), text_of(key.where), 0, 0});
  return out;
}

std::vector<settings_key> settings_keys() {
  node_settings defaults;
  std::string data = defaults.data.string();
  std::vector<settings_key> out;
  for (const auto& key : bind(defaults, data))
    out.push_back({key.path, type_of(key.where), text_of(key.where), key.min, key.max});
  return out;
}

std::optional<std::string> closest(std::string_view word, const std::vector<std::string>& known) {
  std::optional<std::string> best;
  std::size_t best_distance = std::max<std::size_t>(2, word.size() / 3) + 1;
  for (const auto& candidate : known) {
    // Levenshtein distance, one row at a time.
    std::vector<std::size_t> row(candidate.size() + 1);
    for (std::size_t j = 0; j < row.size(); ++j)
      row[j] = j;
    for (std::size_t i = 1; i <= word.size(); ++i) {
      std::size_t diagonal = row[0];
      row[0] = i;
      for (std::size_t j = 1; j < row.size(); ++j) {
        std::size_t replaced = diagonal + (word[i - 1] == candidate[j - 1] ? 0 : 1);
        diagonal = row[j];
        row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
      }
    }
    if (row.back() < best_distance) {
      best_distance = row.back();
      best = candidate;
    }
  }
  return best;
}

result<endpoint> parse_endpoint(std::string_view text) {
  auto colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0)
    return fail(ec::configuration, "\"" + std::string(text) + "\" is not host:port, such as 127.0.0.1:1883 or [::1]:1883");
  endpoint out;
  auto host = text.substr(0, colon), port = text.substr(colon + 1);
  if (host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  out.host = host;
  auto [end, problem] = std::from_chars(port.data(), port.data() + port.size(), out.port);
  if (problem != std::errc{} || end != port.data() + port.size())
    return fail(ec::configuration, "\"" + std::string(port) + "\" is not a port (0 to 65535)");
  return out;
}

result<node_settings> parse_settings(std::string_view text, std::string_view origin, const std::string& name,
                                     const std::map<std::string, std::string>& environment) {
  toml::table parsed;
  try {
    parsed = toml::parse(text, origin);
  } catch (const toml::parse_error& problem) {
    return fail(ec::configuration, std::string(origin) + ", line " + std::to_string(problem.source().begin.line) + ": " +
                                     std::string(problem.description()));
  }
  node_settings out;
  out.name = name;
  std::string data = out.data.string();
  auto keys = bind(out, data);
  std::vector<std::string> problems;
  std::vector<std::string> sections{"nodes"};
  for (const auto& key : keys)
    if (auto section = key.path.substr(0, key.path.find('.'));
        std::find(sections.begin(), sections.end(), section) == sections.end())
      sections.push_back(section);

  std::vector<std::pair<std::string, const toml::table*>> found_nodes;
  for (auto&& [key, value] : parsed) {
    std::string section{key.str()};
    const auto* table = value.as_table();
    if (std::find(sections.begin(), sections.end(), section) == sections.end()) {
      auto meant = closest(section, sections);
      problems.push_back(where(value) + "unknown section [" + section + "]" +
                         (meant ? "; did you mean [" + *meant + "]?" : "; see cluster.conf for all sections"));
    } else if (!table) {
      problems.push_back(where(value) + section + " must be a section: write [" + section + "]");
    } else if (section == "nodes") {
      for (auto&& [node_name, node_value] : *table) {
        const std::string node{node_name.str()};
        if (const auto* inner = node_value.as_table())
          found_nodes.emplace_back(node, inner);
        else
          problems.push_back(where(node_value) + "nodes." + node + " must be a section: write [nodes." + node + "]");
      }
    } else {
      take_table(*table, section, keys, problems);
    }
  }
  // The sections that a node's own one may repeat for itself: [nodes.n1.listen] and so on.
  std::erase_if(sections, [](const std::string& each) { return each == "nodes" || each == "cluster" || each == "node"; });
  std::sort(found_nodes.begin(), found_nodes.end(),
            [](const auto& a, const auto& b) { return position(*a.second) < position(*b.second); });
  std::vector<node_line> lines;
  std::vector<binding> node_keys;
  lines.reserve(found_nodes.size());
  const bool zone_in_environment = environment.contains(variable_of("node.zone"));
  node_line* own = nullptr;
  for (const auto& [node, table] : found_nodes) {
    auto& line = lines.emplace_back();
    line.node.name = node;
    line.node.zone = out.zone;
  }
  for (std::size_t i = 0; i < lines.size(); ++i) {
    // The values of others are checked and forgotten, but for their line.
    node_settings scratch;
    std::string scratch_data;
    auto others = bind(scratch, scratch_data);
    const bool self = lines[i].node.name == name;
    take_node(*found_nodes[i].second, lines[i], self ? keys : others, sections, problems);
    if (self)
      own = &lines[i];
    for (auto& key : bind_line(lines[i]))
      node_keys.push_back(key);
  }
  if (!own && !lines.empty()) {
    std::vector<std::string> names;
    for (const auto& line : lines)
      names.push_back(line.node.name);
    auto meant = closest(name, names);
    problems.push_back("no section [nodes." + name + "]; give --name one of the nodes in this file" +
                       (meant ? ", for example " + *meant : ": " + names.front()));
  }
  std::vector<binding> all = keys;
  all.insert(all.end(), node_keys.begin(), node_keys.end());
  take_environment(all, environment, problems);
  if (own && zone_in_environment)
    own->node.zone = out.zone;
  else if (own)
    out.zone = own->node.zone;
  out.nodes = check_nodes(lines, problems);
  out.data = data;
  check_whole(out, problems);
  if (auto good = verdict(problems); !good)
    return fail(ec::configuration, std::string(origin) + good.error().context);
  return out;
}

result<node_settings> load_settings(const std::filesystem::path& file, const std::string& name,
                                    const std::map<std::string, std::string>& environment) {
  std::ifstream in(file);
  if (!in)
    return fail(ec::configuration, "cannot read " + file.string() + "; copy cluster.conf from the source as a start");
  std::ostringstream text;
  text << in.rdbuf();
  return parse_settings(text.str(), file.string(), name, environment);
}

status apply_environment(node_settings& settings, const std::map<std::string, std::string>& environment) {
  std::string data = settings.data.string();
  auto keys = bind(settings, data);
  std::vector<std::string> problems;
  take_environment(keys, environment, problems);
  settings.data = data;
  check_whole(settings, problems);
  return verdict(problems);
}

std::map<std::string, std::string> signet_environment() {
  std::map<std::string, std::string> out;
  for (char** at = environ; *at; ++at) {
    std::string_view pair{*at};
    if (auto equals = pair.find('='); pair.starts_with("SIGNET_") && equals != std::string_view::npos)
      out.emplace(pair.substr(0, equals), pair.substr(equals + 1));
  }
  return out;
}

} // namespace signet
