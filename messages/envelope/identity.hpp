#pragma once
// Identities: chains of versions, each with keys that prove their own possession.
//
// An `identity_version` exists only if it stands on its own: within the limits, canonical, well-formed, and every key
// has signed (label possession, over link · index). Whether it may follow another is check_succession(); whether its
// keys are free is the store's question. Limits are checked before the first signature is.

#include "messages/envelope/keys.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace signet {

/// Numbers are those of messages/schema/identity.capnp.
enum class key_purpose : std::uint8_t {
  update = 0,   ///< signs the next version
  sign = 1,     ///< signs batches and logins; one for each device
  encrypt = 2,  ///< used in its X25519 form
};
std::string_view name(key_purpose purpose);

struct identity_key {
  key_purpose purpose = key_purpose::sign;
  public_key key;
  bool operator==(const identity_key&) const = default;
};

inline constexpr std::size_t identity_keys_max = 16;
/// Of a serialised version, body and signatures together.
inline constexpr std::size_t identity_bytes_max = 8192;

/// Immutable; copies are cheap enough (≤ 8 KiB). Thread-safe.
class identity_version {
public:
  /// From anybody's bytes. `too_large`, `malformed`, `not_canonical`, `no_possession`.
  static result<identity_version> open(bytes_view serialised);
  /// From bytes that open() has accepted before and that were kept safe: the same without signatures. `corrupt`.
  static result<identity_version> open_stored(bytes_view serialised);

  /// Link of this version.
  const signet::link& link() const { return link_; }
  /// Name of the identity: the link of its first version.
  const signet::permalink& permalink() const { return permalink_; }
  /// All zero in the first version.
  const signet::link& previous() const { return previous_; }
  /// 1, 2, 3…
  std::uint32_t version() const { return version_; }
  bool is_first() const { return version_ == 1; }
  /// 1 to 16, each public key once.
  std::span<const identity_key> keys() const { return keys_; }
  std::optional<key_purpose> find_purpose(const public_key& key) const;
  bool has(const public_key& key, key_purpose purpose) const { return find_purpose(key) == purpose; }
  /// To the update key that signs the next version; all zero: none was made.
  const digest& commitment() const { return commitment_; }
  bytes_view profile() const { return profile_; }
  /// All zero in the first version.
  const signature& update_signature() const { return update_signature_; }
  /// As it came; publish, store and hand out these bytes.
  bytes_view serialised() const { return serialised_; }

private:
  identity_version() = default;
  static result<identity_version> parse(bytes_view serialised, bool check_possession);

  bytes serialised_;
  signet::link link_;
  signet::permalink permalink_;
  signet::link previous_;
  std::uint32_t version_ = 0;
  std::vector<identity_key> keys_;
  digest commitment_;
  bytes profile_;
  signature update_signature_;
};

/// May `next` follow `previous`? `version_conflict`: not its successor (permalink, previous link, number).
/// `bad_signature`: not signed by a key that may. Which may: without a commitment in `previous`, any of its update
/// keys; with one, only the key it commits to: an update key of `previous`, or one kept secret until now, of `next`.
status check_succession(const identity_version& previous, const identity_version& next);

/// A whole chain, oldest first, as a node answers a lookup: every version stands alone, follows the one before, and
/// the first is the one that `who` names.
result<std::vector<identity_version>> verify_chain(std::span<const bytes> versions, const permalink& who);

/// H(commitment, key)
digest commit_to(const public_key& update_key);

/// What a new version shall hold. The keys must outlive the call; at least one update and one sign key.
struct identity_draft {
  struct entry {
    key_purpose purpose;
    const signing_key* key;
  };
  std::vector<entry> keys;
  std::optional<public_key> next_update_key;  ///< commit to it
  bytes profile;
};
/// Signs with every key, and opens the outcome as anybody would before it hands it out.
result<identity_version> make_first_identity(const identity_draft& draft);
/// `update_key`: of `previous`, or the one it commits to.
result<identity_version> make_next_identity(const identity_version& previous, const identity_draft& draft,
                                            const signing_key& update_key);

} // namespace signet
