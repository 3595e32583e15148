#pragma once
// A directory of its own for a test; gone with the object.

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace signet::testing {

class scratch_directory {
public:
  /// `base`: where to make it; null: TMPDIR, or /tmp.
  explicit scratch_directory(const char* base = nullptr) {
    if (base == nullptr)
      base = std::getenv("TMPDIR");
    std::string name = std::string{base != nullptr ? base : "/tmp"} + "/signet-test-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr)
      throw std::runtime_error("mkdtemp " + name);
    path_ = name;
  }
  scratch_directory(const scratch_directory&) = delete;
  scratch_directory& operator=(const scratch_directory&) = delete;
  ~scratch_directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }

private:
  std::filesystem::path path_;
};

} // namespace signet::testing
