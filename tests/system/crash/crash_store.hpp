#pragma once
// A store under the explorer: a workload that says what it has promised, and a check that holds the disk to it.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace signet::crash {

/// Tells the world one line: from then on it is a promise.
using acknowledge = std::function<void(const std::string& line)>;

/// A promise that does not hold.
class broken_promise : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

class crash_store {
public:
  virtual ~crash_store() = default;
  /// Opens what stands in `directory` or makes it, recovers, and goes on for `steps` steps.
  virtual void run(const std::filesystem::path& directory, std::uint64_t seed, unsigned steps, const acknowledge& say) = 0;
  /// Opens the store as a restart does and verifies it against what was said, in order. Throws broken_promise, or whatever
  /// the store throws. Returns what show() returns.
  virtual std::string check(const std::filesystem::path& directory, std::span<const std::string> said) = 0;
  /// Opens the store as another restart does and returns a digest of everything in it that a restart must not change.
  virtual std::string show(const std::filesystem::path& directory) = 0;
};

std::vector<std::string_view> store_names();
/// Null for a name that is not among them.
std::unique_ptr<crash_store> make_store(std::string_view name);

std::unique_ptr<crash_store> make_log_store();
std::unique_ptr<crash_store> make_key_store();
std::unique_ptr<crash_store> make_replica_case();
std::unique_ptr<crash_store> make_follower_case();

} // namespace signet::crash
