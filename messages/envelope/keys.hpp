#pragma once
// Ed25519 keys: how they are made, kept, used and checked. The only file that signs, and the only one that verifies.
//
// Secret halves: 32-byte seeds in guarded memory (libsodium's), wiped on destruction, never printed, never copied.
// The expanded form is always derived from the seed here: a 64-byte secret key whose public half is wrong leaks the
// key when it signs, so none is ever accepted from outside.

#include "messages/envelope/labels.hpp"
#include "messages/errors.hpp"
#include "messages/seams.hpp"

#include <filesystem>
#include <initializer_list>
#include <memory>

namespace signet {

/// Move-only. Thread-safe for signing. Aborts if guarded memory cannot be had.
class signing_key {
public:
  static constexpr std::size_t seed_size = 32;

  static signing_key generate(random_source& random);
  /// For vectors and tests, and for what load() has read. The caller wipes its copy.
  static signing_key from_seed(std::span<const std::uint8_t, seed_size> seed);

  /// Reads a seed file. Refused: not a regular file, a symbolic link, another owner, readable or writable by group or
  /// others (`configuration`, with the command to type), other content (`malformed`), none there (`not_found`).
  static result<signing_key> load(const std::filesystem::path& file);
  /// Writes a seed file with mode 0600: temporary file, fsync, rename, fsync of the directory. Never overwrites:
  /// `already_exists`. After a crash either the whole file stands or none (and perhaps a temporary file beside it).
  status save(const std::filesystem::path& file) const;
  /// load(), or generate() and save() where no file stands. Two processes that do it at once get the same key. Errors: as
  /// load() but never not_found; io.
  static result<signing_key> load_or_make(const std::filesystem::path& file, random_source& random);

  /// Over prefix(which) and then the parts, one after another.
  signature sign(label which, std::initializer_list<bytes_view> parts) const;
  signature sign(label which, bytes_view content) const { return sign(which, {content}); }
  const public_key& public_half() const { return public_; }

  /// For what needs the key in its own form (TLS between nodes). `use` keeps no copy that outlives it.
  template <class F>
  void lend_seed(F&& use) const {
    use(std::span<const std::uint8_t, seed_size>{secret_.get(), seed_size});
  }

private:
  friend class root_secret;
  struct wipe {
    void operator()(std::uint8_t* memory) const noexcept;
  };
  signing_key() = default;

  /// seed (32) · expanded secret key (64)
  std::unique_ptr<std::uint8_t, wipe> secret_;
  public_key public_;
};

/// 32 secret bytes from which keys are derived, and that sign nothing themselves. In guarded memory, as seeds are.
class root_secret {
public:
  static root_secret generate(random_source& random);
  static root_secret from_bytes(std::span<const std::uint8_t, signing_key::seed_size> secret);
  /// The same files, the same errors as of signing_key.
  static result<root_secret> load(const std::filesystem::path& file);
  status save(const std::filesystem::path& file) const { return held_.save(file); }

  /// Seed = hash(label::derived_key, secret ‖ purpose u8 ‖ name): the same key wherever the secret is the same.
  signing_key derive(std::uint8_t purpose, std::string_view name) const;
  /// For handing it to another node of the cluster. The caller wipes its copy.
  void copy_to(std::span<std::uint8_t, signing_key::seed_size> out) const;

private:
  explicit root_secret(signing_key held) : held_{std::move(held)} {}
  signing_key held_;
};

/// True only if `who` signed exactly these parts under this label. Small-order keys, non-canonical encodings and
/// malleable signatures are refused. About 70 µs.
[[nodiscard]] bool verify(const public_key& who, label which, std::initializer_list<bytes_view> parts,
                          const signature& proof);
[[nodiscard]] inline bool verify(const public_key& who, label which, bytes_view content, const signature& proof) {
  return verify(who, which, {content}, proof);
}

/// A canonical encoding of a point of the main subgroup, not of small order. Checked once, where a key is registered.
[[nodiscard]] bool is_valid_public_key(const public_key& key);

} // namespace signet
