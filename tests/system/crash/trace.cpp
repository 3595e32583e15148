#include "tests/system/crash/trace.hpp"

#include <cstring>
#include <fstream>
#include <stdexcept>

namespace signet::crash {
namespace {
std::string below(const std::string& path, const std::string& root) {
  if (path == root)
    return "";
  if (path.compare(0, root.size() + 1, root + "/") != 0)
    throw std::runtime_error("a traced path outside the directory: " + path);
  return path.substr(root.size() + 1);
}
} // namespace

std::vector<event> read_trace(const std::filesystem::path& file, const std::string& root) {
  std::ifstream in{file, std::ios::binary};
  if (!in)
    throw std::runtime_error("no trace at " + file.string());
  std::vector<event> out;
  for (trace_header header; in.read(reinterpret_cast<char*>(&header), sizeof header);) {
    if (header.magic != TRACE_MAGIC)
      throw std::runtime_error("not a trace: " + file.string());
    std::string data(header.size, '\0');
    if (!in.read(data.data(), static_cast<std::streamsize>(data.size())))
      break;
    event next;
    next.kind = static_cast<trace_kind>(header.kind);
    next.file = header.file;
    next.flags = header.flags;
    next.offset = header.offset;
    switch (next.kind) {
      case trace_write:
      case trace_ack: next.data = std::move(data); break;
      case trace_truncate:
      case trace_sync: break;
      case trace_rename:
      case trace_link: {
        auto middle = data.find('\0');
        if (middle == std::string::npos)
          throw std::runtime_error("a rename without a second name");
        next.path = below(data.substr(0, middle), root);
        next.path_to = below(data.substr(middle + 1), root);
        break;
      }
      case trace_open:
      case trace_sync_dir:
      case trace_unlink:
      case trace_make_dir:
      case trace_remove_dir: next.path = below(data, root); break;
      default: throw std::runtime_error("a trace of another version: " + file.string());
    }
    out.push_back(std::move(next));
  }
  return out;
}

} // namespace signet::crash
