#include "tools/cli/home.hpp"

#include <algorithm>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sys/file.h>
#include <unistd.h>

namespace signet::cli {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t lane_file_bytes_max = 256 << 20;

std::string why() { return std::strerror(errno); }

bool good_name(const std::string& name) {
  return !name.empty() && name.size() <= 64 && name.front() != '.' && name.front() != '-' &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) || c == '-' || c == '_' || c == '.'; });
}

status make_directory(const fs::path& directory) {
  std::error_code problem;
  if (fs::create_directories(directory, problem))
    fs::permissions(directory, fs::perms::owner_all, problem);
  if (problem)
    return fail(ec::io, "cannot make " + directory.string() + ": " + problem.message());
  return {};
}

std::string key_file(key_purpose purpose, std::uint32_t version) {
  return std::string(signet::name(purpose)) + "-" + std::to_string(version) + ".seed";
}

/// The three keys that a version brings. Made where they are not there yet: a crash between them leaves some behind, and
/// the next try uses those.
struct key_set {
  signing_key update, sign, encrypt;
  identity_draft draft(bytes profile) const {
    return {{{key_purpose::update, &update}, {key_purpose::sign, &sign}, {key_purpose::encrypt, &encrypt}}, {}, std::move(profile)};
  }
};
result<key_set> make_keys(const fs::path& directory, std::uint32_t version) {
  auto update = signing_key::load_or_make(directory / key_file(key_purpose::update, version), system_random());
  if (!update)
    return tl::make_unexpected(update.error());
  auto sign = signing_key::load_or_make(directory / key_file(key_purpose::sign, version), system_random());
  if (!sign)
    return tl::make_unexpected(sign.error());
  auto encrypt = signing_key::load_or_make(directory / key_file(key_purpose::encrypt, version), system_random());
  if (!encrypt)
    return tl::make_unexpected(encrypt.error());
  return key_set{std::move(*update), std::move(*sign), std::move(*encrypt)};
}

result<std::vector<bytes>> read_versions(const fs::path& directory) {
  std::vector<bytes> out;
  for (std::uint32_t k = 1;; ++k) {
    auto file = directory / ("v" + std::to_string(k));
    if (!fs::exists(file))
      return out;
    auto raw = read_file(file, identity_bytes_max);
    if (!raw)
      return tl::make_unexpected(raw.error());
    out.push_back(std::move(*raw));
  }
}

} // namespace

status write_file(const fs::path& file, bytes_view content, bool replace) {
  auto temporary = file;
  temporary += ".new-" + std::to_string(::getpid());
  const int descriptor = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (descriptor < 0)
    return fail(ec::io, temporary.string() + ": " + why());
  bool good = true;
  for (std::size_t done = 0; good && done < content.size();) {
    const auto n = ::write(descriptor, content.data() + done, content.size() - done);
    good = n > 0;
    done += good ? static_cast<std::size_t>(n) : 0;
  }
  good = good && ::fsync(descriptor) == 0;
  ::close(descriptor);
  if (good && !replace && ::link(temporary.c_str(), file.c_str()) != 0) {
    const bool there = errno == EEXIST;
    auto text = why();
    ::unlink(temporary.c_str());
    return fail(there ? ec::already_exists : ec::io, file.string() + (there ? "" : ": " + text));
  }
  if (good && replace)
    good = ::rename(temporary.c_str(), file.c_str()) == 0;
  const auto text = good ? std::string() : why();
  if (!good || !replace)
    ::unlink(temporary.c_str());
  if (!good)
    return fail(ec::io, file.string() + ": " + text);
  const int directory = ::open(file.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory >= 0) {
    good = ::fsync(directory) == 0;
    ::close(directory);
  }
  return good ? status{} : fail(ec::io, file.parent_path().string() + ": " + why());
}

result<bytes> read_file(const fs::path& file, std::size_t bytes_max) {
  std::ifstream in(file, std::ios::binary | std::ios::ate);
  if (!in)
    return fail(ec::not_found, file.string());
  const auto size = static_cast<std::size_t>(in.tellg());
  if (size > bytes_max)
    return fail(ec::too_large, file.string() + ", at most " + std::to_string(bytes_max) + " bytes");
  bytes out(size);
  in.seekg(0);
  if (size > 0 && !in.read(reinterpret_cast<char*>(out.data()), static_cast<std::streamsize>(size)))
    return fail(ec::io, "cannot read " + file.string());
  return out;
}

home home::find(const std::string& flag) {
  if (!flag.empty())
    return home(flag);
  if (const char* set = std::getenv("SIGNET_HOME"); set && *set)
    return home(set);
  const char* user = std::getenv("HOME");
  return home(fs::path(user && *user ? user : ".") / ".signet");
}

result<own_identity> home::make_identity(const std::string& name) const {
  if (!good_name(name))
    return fail(ec::configuration, "\"" + name + "\": a name has 1 to 64 letters, digits, '-', '_' or '.'");
  const auto directory = identity_directory(name);
  if (fs::exists(directory / "v1"))
    return fail(ec::already_exists, "identity " + name + " in " + directory.string() + "; choose another name, or see it with: signet id show " + name);
  if (auto made = make_directory(directory_); !made)
    return tl::make_unexpected(made.error());
  if (auto made = make_directory(directory); !made)
    return tl::make_unexpected(made.error());
  // Keys first: a version without its keys would be lost for ever, keys without a version harm nobody.
  auto keys = make_keys(directory, 1);
  if (!keys)
    return tl::make_unexpected(keys.error());
  auto first = make_first_identity(keys->draft({}));
  if (!first)
    return tl::make_unexpected(first.error());
  if (auto saved = write_file(directory / "v1", first->serialised(), false); !saved)
    return tl::make_unexpected(saved.error());
  return load(name);
}

result<own_identity> home::rotate(const own_identity& from) const {
  auto old_update = load_key(from, key_purpose::update);
  if (!old_update)
    return tl::make_unexpected(old_update.error());
  const auto k = from.newest().version() + 1;
  auto keys = make_keys(from.directory, k);
  if (!keys)
    return tl::make_unexpected(keys.error());
  auto next = make_next_identity(from.newest(), keys->draft(to_bytes(from.newest().profile())), *old_update);
  if (!next)
    return tl::make_unexpected(next.error());
  if (auto saved = write_file(from.directory / ("v" + std::to_string(k)), next->serialised(), false); !saved)
    return tl::make_unexpected(saved.error());
  return load(from.name);
}

status home::forget_newest(const own_identity& from) const {
  const auto k = from.newest().version();
  std::error_code problem;
  // The version first: without it the keys are of no use to anybody.
  fs::remove(from.directory / ("v" + std::to_string(k)), problem);
  for (auto purpose : {key_purpose::update, key_purpose::sign, key_purpose::encrypt})
    fs::remove(from.directory / key_file(purpose, k), problem);
  return problem ? fail(ec::io, problem.message()) : status{};
}

result<own_identity> home::load(const std::string& name) const {
  const auto directory = identity_directory(name);
  auto versions = good_name(name) ? read_versions(directory) : result<std::vector<bytes>>{};
  if (!versions)
    return tl::make_unexpected(versions.error());
  if (versions->empty()) {
    auto known = names();
    std::string list;
    for (const auto& each : known)
      list += (list.empty() ? "" : ", ") + each;
    return fail(ec::not_found, "no identity \"" + name + "\" in " + directory_.string() +
                                 (known.empty() ? "" : " (there are: " + list + ")") + "; make it with: signet id new " + name);
  }
  auto first = identity_version::open(versions->front());
  if (!first)
    return tl::make_unexpected(first.error());
  auto chain = verify_chain(*versions, first->permalink());
  if (!chain)
    return fail(chain.error().code, "the identity in " + directory.string() + " is damaged: " + chain.error().context);
  return own_identity{name, directory, std::move(*chain)};
}

std::vector<std::string> home::names() const {
  std::vector<std::string> out;
  std::error_code problem;
  for (const auto& each : fs::directory_iterator(directory_ / "identities", problem))
    if (fs::exists(each.path() / "v1"))
      out.push_back(each.path().filename().string());
  std::sort(out.begin(), out.end());
  return out;
}

result<signing_key> home::load_key(const own_identity& whose, key_purpose purpose) const {
  return load_key(whose, whose.newest(), purpose);
}

result<signing_key> home::load_key(const own_identity& whose, const identity_version& of, key_purpose purpose) const {
  for (auto k = of.version(); k >= 1; --k) {
    auto key = signing_key::load(whose.directory / key_file(purpose, k));
    if (!key && key.error().code == ec::not_found)
      continue;
    if (!key || of.has(key->public_half(), purpose))
      return key;
  }
  return fail(ec::not_found, "no " + std::string(signet::name(purpose)) + " key of " + whose.name + " in " + whose.directory.string());
}

std::size_t home::count_waiting(const own_identity& whose, const public_key& device) const {
  std::size_t out = 0;
  std::error_code problem;
  for (const auto& file : fs::directory_iterator(whose.directory / "lanes", problem))
    if (file.path().filename().string().starts_with(device.hex().substr(0, 16)))
      if (auto raw = read_file(file.path(), lane_file_bytes_max))
        if (auto parsed = nlohmann::json::parse(raw->begin(), raw->end(), nullptr, false); parsed.is_object())
          out += parsed.value("waiting", nlohmann::json::array()).size();
  return out;
}

result<permalink> home::resolve(const std::string& who) const {
  if (auto hex = permalink::parse(who))
    return *hex;
  auto own = load(who);
  if (own)
    return own->who();
  const auto named = aliases();
  if (auto found = named.find(who); found != named.end())
    return found->second;
  return fail(ec::unknown_identity, "\"" + who + "\" is neither a permalink (64 hexadecimal digits) nor a name known in " +
                                      directory_.string() + "; name a permalink with: signet id alias " + who + " PERMALINK");
}

std::string home::name_of(const permalink& who) const {
  for (const auto& each : names())
    if (auto own = load(each); own && own->who() == who)
      return each;
  for (const auto& [name, permalink] : aliases())
    if (permalink == who)
      return name;
  return who.hex();
}

std::map<std::string, permalink> home::aliases() const {
  std::map<std::string, permalink> out;
  if (auto raw = read_file(directory_ / "aliases.json", 1 << 20))
    if (auto parsed = nlohmann::json::parse(raw->begin(), raw->end(), nullptr, false); parsed.is_object())
      for (const auto& [name, hex] : parsed.items())
        if (auto who = hex.is_string() ? permalink::parse(hex.get<std::string>()) : std::nullopt)
          out.emplace(name, *who);
  return out;
}

status home::set_alias(const std::string& name, const permalink& who) const {
  if (!good_name(name))
    return fail(ec::configuration, "\"" + name + "\": a name has 1 to 64 letters, digits, '-', '_' or '.'");
  if (std::filesystem::exists(identity_directory(name) / "v1"))
    return fail(ec::configuration, "\"" + name + "\" is an identity of yours; choose another name");
  if (auto made = make_directory(directory_); !made)
    return made;
  nlohmann::json all = nlohmann::json::object();
  for (const auto& [known, permalink] : aliases())
    all[known] = permalink.hex();
  all[name] = who.hex();
  return write_file(directory_ / "aliases.json", as_bytes(all.dump(2) + "\n"), true);
}

status home::save_contact(const permalink& who, std::span<const bytes> chain) const {
  auto checked = verify_chain(chain, who);
  if (!checked)
    return tl::make_unexpected(checked.error());
  const auto directory = directory_ / "contacts" / who.hex();
  auto here = read_versions(directory);
  if (!here)
    return tl::make_unexpected(here.error());
  for (std::size_t i = 0; i < here->size(); ++i)
    if (i >= chain.size() || (*here)[i] != chain[i])
      return fail(ec::version_conflict, "the node shows an older or another history of " + who.hex() + " than the one kept in " +
                                          directory.string() + "; do not trust it before you know why");
  if (auto made = make_directory(directory); !made)
    return made;
  for (std::size_t i = here->size(); i < chain.size(); ++i)
    if (auto saved = write_file(directory / ("v" + std::to_string(i + 1)), chain[i], true); !saved)
      return saved;
  return {};
}

result<std::vector<identity_version>> home::load_chain(const permalink& who) const {
  for (const auto& each : names())
    if (auto own = load(each); own && own->who() == who)
      return own->versions;
  auto versions = read_versions(directory_ / "contacts" / who.hex());
  if (!versions)
    return tl::make_unexpected(versions.error());
  if (versions->empty())
    return fail(ec::not_found, "identity " + who.hex() + " is not known here; fetch it with: signet id show " + who.hex());
  return verify_chain(*versions, who);
}

std::optional<pinned_node> home::find_pin(const std::string& url) const {
  auto raw = read_file(directory_ / "clusters.json", 1 << 20);
  if (!raw)
    return std::nullopt;
  auto all = nlohmann::json::parse(raw->begin(), raw->end(), nullptr, false);
  if (!all.is_object() || !all.contains(url) || !all[url].is_object())
    return std::nullopt;
  auto cluster = cluster_id::parse(all[url].value("cluster", ""));
  auto key = public_key::parse(all[url].value("node_key", ""));
  if (!cluster || !key)
    return std::nullopt;
  return pinned_node{*cluster, *key};
}

status home::pin(const std::string& url, const pinned_node& node) const {
  if (auto known = find_pin(url)) {
    if (known->cluster == node.cluster && known->node_key == node.node_key)
      return {};
    return fail(ec::configuration, "the node at " + url + " is not the one known here (" +
                                     (known->cluster == node.cluster ? "another node key" : "another cluster") +
                                     "). If that is right, remove its entry from " + (directory_ / "clusters.json").string() +
                                     "; if not, somebody stands between");
  }
  if (auto made = make_directory(directory_); !made)
    return made;
  nlohmann::json all = nlohmann::json::object();
  if (auto raw = read_file(directory_ / "clusters.json", 1 << 20))
    if (auto parsed = nlohmann::json::parse(raw->begin(), raw->end(), nullptr, false); parsed.is_object())
      all = std::move(parsed);
  all[url] = {{"cluster", node.cluster.hex()}, {"node_key", node.node_key.hex()}};
  return write_file(directory_ / "clusters.json", as_bytes(all.dump(2) + "\n"), true);
}

namespace {
fs::path lane_path(const own_identity& whose, const public_key& device, const cluster_id& cluster, const permalink& recipient) {
  return whose.directory / "lanes" / (device.hex().substr(0, 16) + "-" + cluster.hex() + "-" + recipient.hex());
}
} // namespace

result<lane_file> home::load_lane(const own_identity& whose, const public_key& device, const cluster_id& cluster,
                                  const permalink& recipient) const {
  const auto file = lane_path(whose, device, cluster, recipient);
  auto raw = read_file(file, lane_file_bytes_max);
  if (!raw && raw.error().code == ec::not_found)
    return lane_file{};
  if (!raw)
    return tl::make_unexpected(raw.error());
  auto parsed = nlohmann::json::parse(raw->begin(), raw->end(), nullptr, false);
  const auto damaged = fail(ec::corrupt, file.string());
  if (!parsed.is_object())
    return damaged;
  lane_file out;
  out.tail.n = lane_number{parsed.value("n", std::uint64_t{0})};
  auto tail_link = link::parse(parsed.value("link", ""));
  if (!tail_link)
    return damaged;
  out.tail.link = *tail_link;
  for (const auto& each : parsed.value("waiting", nlohmann::json::array())) {
    auto body = from_base64url(each.value("body", ""));
    auto own = link::parse(each.value("link", ""));
    if (!body || !own)
      return damaged;
    out.waiting.push_back({lane_number{each.value("n", std::uint64_t{0})}, *own, std::move(*body)});
  }
  return out;
}

status home::save_lane(const own_identity& whose, const public_key& device, const cluster_id& cluster,
                       const permalink& recipient, const lane_file& lane) const {
  const auto file = lane_path(whose, device, cluster, recipient);
  if (auto made = make_directory(file.parent_path()); !made)
    return made;
  nlohmann::json out{{"n", value(lane.tail.n)}, {"link", lane.tail.link.hex()}, {"waiting", nlohmann::json::array()}};
  for (const auto& each : lane.waiting)
    out["waiting"].push_back({{"n", value(each.n)}, {"link", each.link.hex()}, {"body", to_base64url(each.body)}});
  return write_file(file, as_bytes(out.dump()), true);
}

home::lock::~lock() {
  if (descriptor_ >= 0)
    ::close(descriptor_);
}

result<home::lock> home::lock_lanes(const own_identity& whose) const {
  const auto file = whose.directory / "lock";
  const int descriptor = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor < 0)
    return fail(ec::io, file.string() + ": " + why());
  lock held(descriptor);
  // Another signet command works on the same lanes: wait for it, they are short.
  while (::flock(descriptor, LOCK_EX) != 0)
    if (errno != EINTR)
      return fail(ec::locked, file.string() + ": " + why());
  return held;
}

} // namespace signet::cli
