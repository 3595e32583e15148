#pragma once
// The recorder's trace, read back (trace_format.h).

#include "tests/system/crash/trace_format.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace signet::crash {

struct event {
  trace_kind kind{};
  std::uint32_t file = 0;
  std::uint32_t flags = 0;
  std::uint64_t offset = 0;
  std::string data;     ///< what is written, or the acknowledgement
  std::string path;     ///< below the traced directory, without it; "" is the directory itself
  std::string path_to;
};

/// Throws std::runtime_error unless the file is a whole trace. An unfinished last record (the process was killed) is left
/// out. Paths lose `root`.
std::vector<event> read_trace(const std::filesystem::path& file, const std::string& root);

} // namespace signet::crash
