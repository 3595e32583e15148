#include "messages/envelope/keys.hpp"

#include "messages/hooks.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <new>
#include <sodium.h>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

namespace signet {
namespace {
static_assert(public_key::size == crypto_sign_PUBLICKEYBYTES && signature::size == crypto_sign_BYTES &&
              signing_key::seed_size == crypto_sign_SEEDBYTES);

/// Prefix and parts as one string: on the stack if it is short, as nearly everything that is signed is.
class signed_content {
public:
  signed_content(label which, std::initializer_list<bytes_view> parts) {
    const auto head = as_bytes(prefix(which));
    size_ = head.size();
    for (const auto part : parts)
      size_ += part.size();
    if (size_ > few_.size())
      many_.resize(size_);
    auto* at = std::copy(head.begin(), head.end(), many_.empty() ? few_.data() : many_.data());
    for (const auto part : parts)
      at = std::copy(part.begin(), part.end(), at);
  }
  const std::uint8_t* data() const { return many_.empty() ? few_.data() : many_.data(); }
  std::size_t size() const { return size_; }

private:
  std::array<std::uint8_t, 512> few_;
  bytes many_;
  std::size_t size_;
};

/// "signet-seed-v1 " · 64 hex digits · "\n"
constexpr std::string_view seed_file_head = "signet-seed-v1 ";
constexpr std::size_t seed_file_size = seed_file_head.size() + 2 * signing_key::seed_size + 1;
using seed_file_text = std::array<char, seed_file_size + 1>;

class descriptor {
public:
  explicit descriptor(int fd) : fd_{fd} {}
  ~descriptor() { close(); }
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int close() {
    const int fd = std::exchange(fd_, -1);
    return fd >= 0 ? ::close(fd) : 0;
  }

private:
  int fd_;
};

tl::unexpected<error> io_failure(const std::filesystem::path& file, std::string_view what, int code) {
  return fail(ec::io, file.string().append(": ").append(what).append(": ").append(std::strerror(code)));
}

bool write_all(int fd, const char* data, std::size_t size) {
  while (size > 0) {
    const auto done = ::write(fd, data, size);
    if (done < 0 && errno == EINTR)
      continue;
    if (done <= 0)
      return false;
    data += done;
    size -= static_cast<std::size_t>(done);
  }
  return true;
}
std::size_t read_some(int fd, char* data, std::size_t size) {
  std::size_t got = 0;
  while (got < size) {
    const auto done = ::read(fd, data + got, size - got);
    if (done < 0 && errno == EINTR)
      continue;
    if (done <= 0)
      break;
    got += static_cast<std::size_t>(done);
  }
  return got;
}

/// rename() that never overwrites. 0, or errno.
int rename_to_new(const char* from, const char* to) {
  if (::renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
    return 0;
  if (errno != EINVAL && errno != ENOSYS)
    return errno;
  // Some filesystems cannot: a hard link refuses to overwrite just as well.
  if (::link(from, to) != 0)
    return errno;
  ::unlink(from);
  return 0;
}
} // namespace

void signing_key::wipe::operator()(std::uint8_t* memory) const noexcept { sodium_free(memory); }

signing_key signing_key::from_seed(std::span<const std::uint8_t, seed_size> seed) {
  if (sodium_init() < 0)
    throw std::bad_alloc{};
  signing_key out;
  out.secret_.reset(static_cast<std::uint8_t*>(sodium_malloc(seed_size + crypto_sign_SECRETKEYBYTES)));
  if (!out.secret_)
    throw std::bad_alloc{};
  std::copy(seed.begin(), seed.end(), out.secret_.get());
  crypto_sign_seed_keypair(out.public_.raw.data(), out.secret_.get() + seed_size, out.secret_.get());
  sodium_mprotect_readonly(out.secret_.get());
  return out;
}

signing_key signing_key::generate(random_source& random) {
  std::array<std::uint8_t, seed_size> seed;
  random.fill(seed);
  auto out = from_seed(seed);
  sodium_memzero(seed.data(), seed.size());
  return out;
}

signature signing_key::sign(label which, std::initializer_list<bytes_view> parts) const {
  const signed_content content{which, parts};
  signature out;
  crypto_sign_detached(out.raw.data(), nullptr, content.data(), content.size(), secret_.get() + seed_size);
  return out;
}

result<signing_key> signing_key::load(const std::filesystem::path& file) {
  const descriptor in{::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)};
  if (!in) {
    const int code = errno;
    if (code == ENOENT)
      return fail(ec::not_found, file.string());
    if (code == ELOOP)
      return fail(ec::configuration, file.string() + " is a symbolic link; name the key file itself");
    return io_failure(file, "open", code);
  }
  struct stat about {};
  if (::fstat(in.get(), &about) != 0)
    return io_failure(file, "stat", errno);
  if (!S_ISREG(about.st_mode))
    return fail(ec::configuration, file.string() + " is not a regular file");
  if ((about.st_mode & 077) != 0)
    return fail(ec::configuration, "others may read the key file; type: chmod 600 " + file.string());
  if (about.st_uid != ::geteuid())
    return fail(ec::configuration, file.string() + " belongs to another user; type: chown to the user of this program");
  seed_file_text text{};
  const auto size = read_some(in.get(), text.data(), text.size());
  std::array<std::uint8_t, seed_size> seed{};
  std::size_t decoded = 0;
  const bool good = size == seed_file_size && std::string_view{text.data(), seed_file_head.size()} == seed_file_head &&
                    text[seed_file_size - 1] == '\n' &&
                    sodium_hex2bin(seed.data(), seed.size(), text.data() + seed_file_head.size(), 2 * seed_size,
                                   nullptr, &decoded, nullptr) == 0 &&
                    decoded == seed_size;
  sodium_memzero(text.data(), text.size());
  if (!good) {
    sodium_memzero(seed.data(), seed.size());
    return fail(ec::malformed, file.string() + " is not a seed file");
  }
  auto out = from_seed(seed);
  sodium_memzero(seed.data(), seed.size());
  return out;
}

status signing_key::save(const std::filesystem::path& file) const {
  struct stat about {};
  if (::lstat(file.c_str(), &about) == 0)
    return fail(ec::already_exists, file.string());
  const auto folder = file.has_parent_path() ? file.parent_path() : std::filesystem::path{"."};
  std::string temporary = (folder / ".signet-seed-XXXXXX").string();
  descriptor out{::mkostemp(temporary.data(), O_CLOEXEC)};  // mode 0600, whatever the umask leaves of it
  if (!out)
    return io_failure(folder, "create a file in it", errno);
  seed_file_text text{};
  std::copy(seed_file_head.begin(), seed_file_head.end(), text.begin());
  sodium_bin2hex(text.data() + seed_file_head.size(), 2 * seed_size + 1, secret_.get(), seed_size);
  text[seed_file_size - 1] = '\n';
  const bool written = ::fchmod(out.get(), 0600) == 0 && write_all(out.get(), text.data(), seed_file_size) &&
                       ::fsync(out.get()) == 0;
  const int write_code = errno;
  sodium_memzero(text.data(), text.size());
  if (!written || out.close() != 0) {
    ::unlink(temporary.c_str());
    return io_failure(file, "write", write_code);
  }
  // A crash before the rename leaves a temporary file that nobody reads; after it, the whole key.
  if (const int code = rename_to_new(temporary.c_str(), file.c_str()); code != 0) {
    ::unlink(temporary.c_str());
    if (code == EEXIST)
      return fail(ec::already_exists, file.string());
    return io_failure(file, "rename", code);
  }
  if (SIGNET_BUG("RENAME_NOSYNCDIR"))
    return {};
  const descriptor directory{::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!directory || ::fsync(directory.get()) != 0)
    return io_failure(folder, "fsync", errno);
  return {};
}

result<signing_key> signing_key::load_or_make(const std::filesystem::path& file, random_source& random) {
  auto found = load(file);
  if (found || found.error().code != ec::not_found)
    return found;
  auto made = generate(random);
  auto saved = made.save(file);
  if (saved)
    return made;
  if (saved.error().code == ec::already_exists)
    return load(file);  // another process was faster
  return tl::make_unexpected(saved.error());
}

root_secret root_secret::generate(random_source& random) { return root_secret{signing_key::generate(random)}; }

root_secret root_secret::from_bytes(std::span<const std::uint8_t, signing_key::seed_size> secret) {
  return root_secret{signing_key::from_seed(secret)};
}

result<root_secret> root_secret::load(const std::filesystem::path& file) {
  auto held = signing_key::load(file);
  if (!held)
    return tl::make_unexpected(held.error());
  return root_secret{std::move(*held)};
}

signing_key root_secret::derive(std::uint8_t purpose, std::string_view name) const {
  const bytes_view secret{held_.secret_.get(), signing_key::seed_size};
  auto seed = hash(label::derived_key, {secret, bytes_view{&purpose, 1}, as_bytes(name)});
  auto out = signing_key::from_seed(seed.raw);
  sodium_memzero(seed.raw.data(), seed.raw.size());
  return out;
}

void root_secret::copy_to(std::span<std::uint8_t, signing_key::seed_size> out) const {
  std::copy_n(held_.secret_.get(), signing_key::seed_size, out.data());
}

bool verify(const public_key& who, label which, std::initializer_list<bytes_view> parts, const signature& proof) {
  const signed_content content{which, parts};
  return crypto_sign_verify_detached(proof.raw.data(), content.data(), content.size(), who.raw.data()) == 0;
}

bool is_valid_public_key(const public_key& key) {
  return crypto_core_ed25519_is_valid_point(key.raw.data()) == 1;
}

} // namespace signet
