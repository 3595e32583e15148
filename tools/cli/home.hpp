#pragma once
// The identity home: where a person's identities live on this machine (--home, SIGNET_HOME, default ~/.signet).
//
//   HOME/identities/NAME/v1, v2…        published versions (serialised IdentityVersion)
//   HOME/identities/NAME/*.seed         keys: update-K, sign-K, encrypt-K for the version K that brought them; 0600
//   HOME/identities/NAME/lanes/C-R      lane of this device in cluster C to recipient R: JSON (lane_file)
//   HOME/contacts/PERMALINK/v1…         identities of others, checked when they were fetched
//   HOME/aliases.json                   names given to permalinks of others
//   HOME/clusters.json                  URL → cluster id and node key, pinned at first use
//
// Nothing is overwritten: keys are new files, lanes are replaced whole (temporary file, fsync, rename, fsync).

#include "messages/envelope/batch.hpp"
#include "messages/envelope/identity.hpp"

#include <filesystem>
#include <map>

namespace signet::cli {

struct own_identity {
  std::string name;
  std::filesystem::path directory;
  std::vector<identity_version> versions;  ///< oldest first
  const identity_version& newest() const { return versions.back(); }
  permalink who() const { return versions.front().permalink(); }
};

struct pinned_node {
  cluster_id cluster;
  public_key node_key;
};

/// Messages of a lane that are signed and not known to be accepted, and where the lane stands.
struct lane_file {
  lane_tail tail;                  ///< of the last message signed
  struct pending {
    lane_number n{};
    signet::link link;
    bytes body;
  };
  std::vector<pending> waiting;    ///< oldest first, dense, ending at the tail
};

class home {
public:
  explicit home(std::filesystem::path directory) : directory_{std::move(directory)} {}
  /// --home, else SIGNET_HOME, else ~/.signet.
  static home find(const std::string& flag);
  const std::filesystem::path& directory() const { return directory_; }

  /// New keys and a first version. already_exists: nothing is touched.
  result<own_identity> make_identity(const std::string& name) const;
  /// New update, sign and encryption keys; the version is written, and the caller publishes it.
  result<own_identity> rotate(const own_identity& from) const;
  /// Throws away the newest version and its keys: the node refused it.
  status forget_newest(const own_identity& from) const;
  result<own_identity> load(const std::string& name) const;
  std::vector<std::string> names() const;
  /// The key of this purpose that the newest version holds, or an older one of `whose`.
  result<signing_key> load_key(const own_identity& whose, key_purpose purpose) const;
  result<signing_key> load_key(const own_identity& whose, const identity_version& of, key_purpose purpose) const;
  /// Signed messages of this device in any lane whose receipt was not seen.
  std::size_t count_waiting(const own_identity& whose, const public_key& device) const;

  /// A permalink in hex, the name of an identity here, or the name of a contact.
  result<permalink> resolve(const std::string& who) const;
  /// Calls somebody else by a name. configuration: not a name, or the name of an own identity.
  status set_alias(const std::string& name, const permalink& who) const;
  /// For people: the name, if this home knows one, else the permalink.
  std::string name_of(const permalink& who) const;

  /// Checks the chain, then keeps it. An older chain than the one here is refused (version_conflict).
  status save_contact(const permalink& who, std::span<const bytes> chain) const;
  /// Own identities too. not_found.
  result<std::vector<identity_version>> load_chain(const permalink& who) const;

  std::optional<pinned_node> find_pin(const std::string& url) const;
  /// configuration: another node, or another cluster, was pinned under this URL. Says what to do.
  status pin(const std::string& url, const pinned_node& node) const;

  /// Lanes belong to the device key, so a rotated identity starts new ones.
  result<lane_file> load_lane(const own_identity& whose, const public_key& device, const cluster_id& cluster,
                              const permalink& recipient) const;
  status save_lane(const own_identity& whose, const public_key& device, const cluster_id& cluster,
                   const permalink& recipient, const lane_file& lane) const;
  /// One process at a time works on an identity's lanes. Held until destroyed.
  class lock {
  public:
    explicit lock(int descriptor) : descriptor_{descriptor} {}
    lock(lock&& from) noexcept : descriptor_{std::exchange(from.descriptor_, -1)} {}
    ~lock();

  private:
    int descriptor_;
  };
  result<lock> lock_lanes(const own_identity& whose) const;

private:
  std::map<std::string, permalink> aliases() const;
  std::filesystem::path identity_directory(const std::string& name) const { return directory_ / "identities" / name; }
  std::filesystem::path directory_;
};

/// Whole files: temporary file, fsync, rename, fsync of the directory.
status write_file(const std::filesystem::path& file, bytes_view content, bool replace);
result<bytes> read_file(const std::filesystem::path& file, std::size_t bytes_max);

} // namespace signet::cli
