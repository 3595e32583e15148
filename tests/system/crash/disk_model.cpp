#include "tests/system/crash/disk_model.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <stdexcept>
#include <sys/stat.h>
#include <unistd.h>

namespace signet::crash {
namespace fs = std::filesystem;
namespace {

std::string parent_of(const std::string& path) {
  auto slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

bool coin(random_bits& random, double chance) { return std::uniform_real_distribution<>{}(random) < chance; }

} // namespace

image read_image(const fs::path& directory) {
  image out;
  for (auto& each : fs::recursive_directory_iterator{directory}) {
    auto path = fs::relative(each.path(), directory).string();
    if (each.is_directory()) {
      out.directories.push_back(path);
      continue;
    }
    std::ifstream in{each.path(), std::ios::binary};
    out.files[path].assign(std::istreambuf_iterator<char>{in}, {});
  }
  std::sort(out.directories.begin(), out.directories.end());
  return out;
}

void write_image(const image& what, const fs::path& directory) {
  for (auto& each : fs::directory_iterator{directory})
    fs::remove_all(each.path());
  for (auto& path : what.directories)
    if (::mkdir((directory / path).c_str(), 0700) != 0)
      throw std::runtime_error("mkdir " + path + ": " + std::strerror(errno));
  for (auto& [path, content] : what.files) {
    int fd = ::open((directory / path).c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    auto done = fd < 0 ? -1 : ::write(fd, content.data(), content.size());
    if (fd >= 0)
      ::close(fd);
    if (done != static_cast<ssize_t>(content.size()))
      throw std::runtime_error("write " + path + ": " + std::strerror(errno));
  }
}

disk_model::disk_model(const image& before) {
  for (auto& path : before.directories)
    durable_[path] = directory_node;
  for (auto& [path, content] : before.files) {
    durable_[path] = static_cast<int>(nodes_.size());
    nodes_.push_back({content, {}});
  }
  now_ = durable_;
}

void disk_model::apply(const change& what, std::string& content) {
  if (what.truncates) {
    content.resize(what.offset);
    return;
  }
  if (content.size() < what.offset + what.data.size())
    content.resize(what.offset + what.data.size());
  std::copy(what.data.begin(), what.data.end(), content.begin() + static_cast<std::ptrdiff_t>(what.offset));
}

void disk_model::apply(const name_change& what, names& to) {
  switch (what.kind) {
    case trace_open:
    case trace_make_dir: to[what.path] = what.target; return;
    case trace_link: to[what.path_to] = what.target; return;
    case trace_rename:
      to.erase(what.path);
      to[what.path_to] = what.target;
      return;
    default: to.erase(what.path); return;
  }
}

void disk_model::change_name(const name_change& what) {
  apply(what, now_);
  undecided_names_[parent_of(what.path_to.empty() ? what.path : what.path_to)].push_back(what);
}

int& disk_model::node_of(const event& call) {
  auto found = node_by_file_.find(call.file);
  if (found == node_by_file_.end())
    throw std::runtime_error("a call to a file that was not opened");
  return found->second;
}

void disk_model::complete(const event& call) {
  switch (call.kind) {
    case trace_open:
      if ((call.flags & trace_created) != 0) {
        node_by_file_[call.file] = static_cast<int>(nodes_.size());
        nodes_.emplace_back();
        change_name({trace_open, call.path, {}, node_by_file_[call.file]});
      } else if (auto found = now_.find(call.path); found != now_.end()) {
        node_by_file_[call.file] = found->second;
      } else {
        throw std::runtime_error("opened, but not there: " + call.path);
      }
      return;
    case trace_write: {
      auto& target = nodes_[static_cast<std::size_t>(node_of(call))];
      change what{false, call.offset, call.data};
      if ((call.flags & trace_synced) == 0) {
        target.undecided.push_back(std::move(what));
        return;
      }
      // O_DSYNC: these bytes are durable; they lie over whatever else is undecided there.
      apply(what, target.content);
      for (auto& each : target.undecided)
        if (!each.truncates && each.offset < what.offset + what.data.size() && what.offset < each.offset + each.data.size())
          throw std::runtime_error("a synced write over an unsynced one: not modelled");
      return;
    }
    case trace_truncate:
      nodes_[static_cast<std::size_t>(node_of(call))].undecided.push_back({true, call.offset, {}});
      return;
    case trace_sync: {
      auto& target = nodes_[static_cast<std::size_t>(node_of(call))];
      for (auto& each : target.undecided)
        apply(each, target.content);
      target.undecided.clear();
      return;
    }
    case trace_sync_dir: {
      for (auto& each : undecided_names_[call.path])
        apply(each, durable_);
      undecided_names_.erase(call.path);
      return;
    }
    case trace_rename:
    case trace_link: {
      auto found = now_.find(call.path);
      if (found == now_.end())
        throw std::runtime_error("renamed, but not there: " + call.path);
      change_name({call.kind, call.path, call.path_to, found->second});
      return;
    }
    case trace_make_dir:
    case trace_unlink:
    case trace_remove_dir: change_name({call.kind, call.path, {}, directory_node}); return;
    case trace_ack: return;
  }
}

image disk_model::live() const {
  image out;
  for (auto& [path, target] : now_) {
    if (target == directory_node) {
      out.directories.push_back(path);
      continue;
    }
    auto& file = nodes_[static_cast<std::size_t>(target)];
    auto& content = out.files[path];
    content = file.content;
    for (auto& each : file.undecided)
      apply(each, content);
  }
  return out;
}

image disk_model::crash(random_bits& random, const tearing& how, const event* during, std::string& story) const {
  // The call under way counts as begun; as a sync it counts as nothing.
  if (during != nullptr && during->kind != trace_sync && during->kind != trace_sync_dir && during->kind != trace_ack) {
    auto begun = *this;
    auto call = *during;
    call.flags &= ~static_cast<std::uint32_t>(trace_synced);
    begun.complete(call);
    return begun.crash(random, how, nullptr, story);
  }
  // How kind this crash is: some states lose nearly everything, some nearly nothing.
  constexpr double chances[] = {0, 0.1, 0.5, 0.9, 1};
  const double kept = chances[random() % 5];
  const double torn = chances[random() % 3];
  const bool journal = coin(random, 0.5);
  std::size_t lost_count = 0, kept_count = 0, torn_count = 0;

  auto after = durable_;
  for (auto& [directory, changes] : undecided_names_) {
    auto prefix = std::uniform_int_distribution<std::size_t>{0, changes.size()}(random);
    for (std::size_t i = 0; i < changes.size(); ++i)
      if (journal ? i < prefix : coin(random, kept)) {
        apply(changes[i], after);
        ++kept_count;
      } else {
        ++lost_count;
      }
  }
  image out;
  auto stands = [&](const std::string& path) {
    for (auto parent = parent_of(path); !parent.empty(); parent = parent_of(parent)) {
      auto found = after.find(parent);
      if (found == after.end() || found->second != directory_node)
        return false;
    }
    return true;
  };
  for (auto& [path, target] : after) {
    if (!stands(path))
      continue;
    if (target == directory_node) {
      out.directories.push_back(path);
      continue;
    }
    auto& file = nodes_[static_cast<std::size_t>(target)];
    auto content = file.content;
    for (auto& each : file.undecided) {
      const auto end = each.offset + each.data.size();
      const bool whole = each.truncates || (each.data.size() <= how.whole_bytes_max &&
                                            each.offset / 512 == (end == 0 ? 0 : (end - 1) / 512));
      if (!whole && coin(random, torn)) {
        ++torn_count;
        for (auto at = each.offset; at < end;) {
          auto next = std::min<std::uint64_t>((at / how.block_bytes + 1) * how.block_bytes, end);
          if (coin(random, 0.5))
            apply({false, at, each.data.substr(at - each.offset, next - at)}, content);
          at = next;
        }
      } else if (coin(random, kept)) {
        ++kept_count;
        apply(each, content);
      } else {
        ++lost_count;
      }
    }
    out.files.emplace(path, std::move(content));
  }
  story = std::to_string(kept_count) + " undecided calls kept, " + std::to_string(lost_count) + " lost, " +
          std::to_string(torn_count) + " torn";
  return out;
}

} // namespace signet::crash
