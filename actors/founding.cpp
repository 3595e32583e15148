#include "actors/founding.hpp"

#include "actors/bots/bot_keys.hpp"

#include "messages/seams.hpp"
#include "storage/founding.hpp"

#include <algorithm>
#include <fcntl.h>
#include <fstream>
#include <unistd.h>

namespace signet {
namespace {
namespace fs = std::filesystem;

fs::path keys_of(const node_settings& settings) { return settings.data / "keys"; }
fs::path mark_of(const node_settings& settings) { return keys_of(settings) / "founded"; }

std::uint32_t random_seed() {
  std::array<std::uint8_t, 4> raw;
  system_random().fill(raw);
  return read_u32(raw.data());
}

status sync_directory(const fs::path& directory) {
  const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool good = fd >= 0 && ::fsync(fd) == 0;
  if (fd >= 0)
    ::close(fd);
  return good ? status{} : status{fail(ec::io, "cannot sync " + directory.string())};
}

/// Of the last four bytes, from the twelve random ones in front of them.
std::uint32_t mark_of_one(const cluster_id& cluster) {
  const auto* raw = cluster.raw.data();
  return read_u32(raw) ^ read_u32(raw + 4) ^ read_u32(raw + 8) ^ 0x6f'6e'65'21U;
}
cluster_id draw_id(bool of_one) {
  auto out = random_id<cluster_id>(system_random());
  const auto mark = mark_of_one(out);
  if (of_one)
    for (std::size_t i = 0; i < 4; ++i)
      out.raw[12 + i] = static_cast<std::uint8_t>(mark >> (24 - 8 * i));
  return is_of_one(out) == of_one ? out : draw_id(of_one);
}

result<cluster_id> found_store(const node_settings& settings, const std::vector<cluster_node>& founders, raft::server_id self) {
  auto how = replica_options_from(settings);
  how.consensus.self = self;
  storage::founding what{how.expected_cluster.value_or(draw_id(founders.size() == 1)), {}};
  // The first founder makes the secret of the cluster and hands it to the others over the link. Nobody else ever makes one:
  // a node that lost its disk gets back the one that stands.
  if (self == raft::server_id{1})
    if (auto secret = load_or_make_cluster_secret(settings.data / "keys", system_random()); !secret)
      return tl::make_unexpected(secret.error());
  for (const auto& founder : founders)
    what.members.push_back({raft::server_id{what.members.size() + 1}, founder.name, raft::member_role::voter});
  if (auto founded = storage::replica_store::found(how, what); !founded)
    return tl::make_unexpected(founded.error());
  if (auto marked = remember_founding(settings, what.cluster); !marked)
    return tl::make_unexpected(marked.error());
  return what.cluster;
}

} // namespace

status make_private_directory(const fs::path& directory) {
  std::error_code problem;
  if (fs::create_directories(directory, problem))
    fs::permissions(directory, fs::perms::owner_all, problem);
  if (problem)
    return fail(ec::io, "cannot make " + directory.string() + ": " + problem.message());
  // One that was there already keeps its mode, but must not let others in: keys will stand below it.
  const auto mode = fs::status(directory, problem).permissions();
  if (problem || (mode & (fs::perms::group_all | fs::perms::others_all)) != fs::perms::none)
    return fail(ec::configuration, directory.string() + " is open to others; name another data directory, or: chmod 700 " +
                                     directory.string());
  return {};
}

raft::server_id founder_id(const node_settings& settings) {
  const auto founders = settings.founders();
  for (std::size_t i = 0; i < founders.size(); ++i)
    if (founders[i].name == settings.name)
      return raft::server_id{i + 1};
  return raft::server_id{};
}

storage::replica_options replica_options_from(const node_settings& settings) {
  storage::replica_options out;
  out.directory = settings.data;
  out.map_bytes = static_cast<std::uint64_t>(settings.storage.map_bytes);
  out.reserve_bytes = static_cast<std::uint64_t>(settings.storage.free_bytes_min);
  out.reserve_percent = static_cast<unsigned>(settings.storage.free_percent_min);
  out.consensus.election_timeout_ms = static_cast<std::uint32_t>(settings.consensus.election_ms);
  out.consensus.heartbeat_ms = static_cast<std::uint32_t>(settings.consensus.heartbeat_ms);
  out.consensus.seed = random_seed();
  if (!settings.cluster.empty())
    out.expected_cluster = cluster_id::parse(settings.cluster);
  return out;
}

result<signing_key> load_node_key(const node_settings& settings, bool founding) {
  if (auto made = make_private_directory(keys_of(settings)); !made)
    return tl::make_unexpected(made.error());
  const auto file = keys_of(settings) / "node.seed";
  if (founding)
    return signing_key::load_or_make(file, system_random());
  auto key = signing_key::load(file);
  if (!key && key.error().code == ec::not_found)
    return fail(ec::configuration, "the store in " + settings.data.string() + " has no node key; put " + file.string() +
                                     " back from where this store was copied");
  return key;
}

result<signing_key> load_link_key(const node_settings& settings) {
  const auto file = keys_of(settings) / "link.seed";
  auto key = signing_key::load(file);
  if (!key)
    return key.error().code != ec::not_found
             ? std::move(key)
             : fail(ec::configuration, "no link key in " + file.string() + "; make one: signet node init --config FILE --name " +
                                         settings.name);
  if (const auto* own = settings.own(); own && own->link_key && *own->link_key != key->public_half())
    return fail(ec::configuration, "nodes." + settings.name + ".link_key is not the key in " + file.string() +
                                     "; that one is " + key->public_half().hex() +
                                     ". Name it in the file; a founded node that lost its disk: signet recover --config FILE "
                                     "--name " + settings.name);
  return key;
}

result<cluster_id> found_alone(const node_settings& settings) {
  return found_store(settings, {{settings.name, {}, {}, settings.zone, true}}, raft::server_id{1});
}

bool is_of_one(const cluster_id& cluster) { return read_u32(cluster.raw.data() + 12) == mark_of_one(cluster); }

status remember_founding(const node_settings& settings, const cluster_id& cluster) {
  const auto mark = mark_of(settings);
  std::error_code ignored;
  if (fs::exists(mark, ignored))
    return {};
  auto fresh = mark;
  fresh += ".new";
  std::ofstream out(fresh, std::ios::trunc);
  out << cluster.hex() << "\n";
  out.close();
  if (!out)
    return fail(ec::io, "cannot write " + fresh.string());
  fs::permissions(fresh, fs::perms::owner_read | fs::perms::owner_write, ignored);
  if (::rename(fresh.c_str(), mark.c_str()) != 0)
    return fail(ec::io, "cannot write " + mark.string());
  return sync_directory(keys_of(settings));
}

result<initialised> init_node(const node_settings& settings) {
  // 1. keys
  if (auto made = make_private_directory(settings.data); !made)
    return tl::make_unexpected(made.error());
  auto standing = storage::replica_store::founded(settings.data);
  if (!standing)
    return tl::make_unexpected(standing.error());
  auto node_key = load_node_key(settings, !*standing);
  if (!node_key)
    return tl::make_unexpected(node_key.error());
  if (auto link_key = signing_key::load_or_make(keys_of(settings) / "link.seed", system_random()); !link_key)
    return tl::make_unexpected(link_key.error());
  auto link_key = load_link_key(settings);
  if (!link_key)
    return tl::make_unexpected(link_key.error());
  initialised out;
  out.node_key = node_key->public_half();
  out.link_key = link_key->public_half();
  if (!settings.cluster.empty())
    out.cluster = cluster_id::parse(settings.cluster);

  // 2. what the file still needs
  const auto* own = settings.own();
  const auto founders = settings.founders();
  out.founders = founders.size();
  const bool linked = own && !own->link.empty();
  if (linked && !own->link_key)
    out.lines = {"[nodes." + settings.name + "]", "link_key = \"" + out.link_key.hex() + "\""};
  if (*standing) {
    if (out.lines.empty())
      return fail(ec::already_exists, "a store stands in " + settings.data.string() + "; it is left as it is");
    return out;
  }
  std::error_code ignored;
  if (fs::exists(mark_of(settings), ignored))
    return fail(ec::configuration,
                "the store of " + settings.data.string() + " is gone, and this node has made promises that it held; " +
                  (linked ? "let it join again: signet recover --config FILE --name " + settings.name
                          : std::string("restore a backup; to begin a new cluster, name another data directory")));
  if (founders.size() != 1) {
    const auto joins = founders.empty();
    const auto& known = joins ? settings.nodes : founders;
    for (const auto& other : known)
      if (!other.link_key && other.name != settings.name && !other.link.empty() && other.founder)
        out.missing.push_back("nodes." + other.name + ".link_key, printed by: signet node init --config FILE --name " + other.name);
    if (!linked)
      out.missing.push_back("nodes." + settings.name + ".link, the address on which the others reach this node");
    else if (!own->link_key)
      out.missing.push_back("nodes." + settings.name + ".link_key, printed above");
    if (!out.cluster && joins) {
      out.missing.insert(out.missing.begin(), "cluster.id, the one that the founders have");
    } else if (!out.cluster && founders.front().name == settings.name) {
      out.lines.insert(out.lines.begin(), {"[cluster]", "id = \"" + draw_id(false).hex() + "\""});
      out.missing.insert(out.missing.begin(), "cluster.id, printed above");
    } else if (!out.cluster) {
      out.missing.insert(out.missing.begin(),
                         "cluster.id, printed by: signet node init --config FILE --name " + founders.front().name);
    }
    if (out.cluster && !joins && is_of_one(*out.cluster))
      return fail(ec::configuration, "cluster.id is that of a cluster which one node has founded; nodes that join it need "
                                     "founder = false. For a new cluster empty cluster.id");
    if (!out.missing.empty())
      return out;
    if (joins) {
      if (auto made = storage::replica_store::make_blank(replica_options_from(settings), *out.cluster); !made)
        return tl::make_unexpected(made.error());
      if (auto marked = remember_founding(settings, *out.cluster); !marked)
        return tl::make_unexpected(marked.error());
      out.joining = true;
      return out;
    }
  }

  // 3. the store
  auto founded = found_store(settings, founders, founder_id(settings));
  if (!founded)
    return tl::make_unexpected(founded.error());
  out.founded = true;
  if (settings.cluster.empty())
    out.lines.insert(out.lines.begin(), {"[cluster]", "id = \"" + founded->hex() + "\""});
  out.cluster = *founded;
  return out;
}

result<recovered> recover_node(const node_settings& settings) {
  const auto* own = settings.own();
  const bool others = std::any_of(settings.nodes.begin(), settings.nodes.end(), [&](const cluster_node& each) {
    return each.name != settings.name && !each.link.empty();
  });
  if (!own || own->link.empty() || !others)
    return fail(ec::configuration, "no other node could bring this one up to date; a node alone is restored from a backup of its data directory");
  const auto cluster = cluster_id::parse(settings.cluster);
  if (!cluster)
    return fail(ec::configuration, "cluster.id is empty in the file; take it from another node: signet status");
  if (auto made = make_private_directory(settings.data); !made)
    return tl::make_unexpected(made.error());
  if (auto made = make_private_directory(keys_of(settings)); !made)
    return tl::make_unexpected(made.error());
  auto node_key = signing_key::load_or_make(keys_of(settings) / "node.seed", system_random());
  if (!node_key)
    return tl::make_unexpected(node_key.error());
  auto link_key = signing_key::load_or_make(keys_of(settings) / "link.seed", system_random());
  if (!link_key)
    return tl::make_unexpected(link_key.error());
  recovered out;
  out.node_key = node_key->public_half();
  out.link_key = link_key->public_half();
  if (own->link_key != out.link_key)
    out.lines = {"[nodes." + settings.name + "]", "link_key = \"" + out.link_key.hex() + "\""};
  // A crash from here on leaves no store or a blank one: recover again.
  if (storage::replica_store::present(settings.data)) {
    const auto folder = "set-aside-" + std::to_string(value(system_clock().wall()));
    if (auto moved = storage::environment::set_aside(settings.data, folder); !moved)
      return tl::make_unexpected(moved.error());
    out.aside = settings.data / folder;
  }
  if (auto made = storage::replica_store::make_blank(replica_options_from(settings), *cluster); !made)
    return tl::make_unexpected(made.error());
  if (auto marked = remember_founding(settings, *cluster); !marked)
    return tl::make_unexpected(marked.error());
  return out;
}

result<std::vector<std::string>> grow_node(const node_settings& settings) {
  std::vector<std::string> voters;
  for (const auto& each : settings.nodes)
    if (!each.link.empty())
      voters.push_back(each.name);
  if (auto grown = storage::grow(replica_options_from(settings), voters); !grown)
    return tl::make_unexpected(grown.error());
  return voters;
}

} // namespace signet
