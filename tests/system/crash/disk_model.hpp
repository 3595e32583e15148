#pragma once
// What may stand on a disk after a power cut.
//
// Durable: what was written before a sync of the file that has returned, what was written through an O_DSYNC descriptor,
// and names (new, renamed, removed) whose directory was synced afterwards. Everything else is undecided, each write on its
// own: it is there, or not, or in part (blocks of the tearing size, aligned in the file, each on its own). A sync of a
// file does not make its name durable. Names that are undecided: of each directory a prefix of the changes in their
// order, or (a file system without a journal) each change on its own.
// The call at which the power fails has begun and may have happened in part; a sync that has not returned has no effect.
// Not modelled: wrong bytes (they are the matter of the tamper tests) and bytes of another file in a hole.

#include "tests/system/crash/trace.hpp"

#include <map>
#include <random>

namespace signet::crash {

using random_bits = std::mt19937_64;

/// Files and directories by path.
struct image {
  std::map<std::string, std::string> files;
  std::vector<std::string> directories;
};
image read_image(const std::filesystem::path& directory);
/// Into `directory`, which is emptied first.
void write_image(const image& what, const std::filesystem::path& directory);

struct tearing {
  std::size_t block_bytes = 512;
  /// A write of at most this many bytes within one 512-byte sector is whole or not at all: LMDB's meta page.
  std::size_t whole_bytes_max = 0;
};

class disk_model {
public:
  /// A disk on which `before` is durable.
  explicit disk_model(const image& before);

  /// The call has returned.
  void complete(const event& call);
  /// What the processes see as long as the power is on.
  image live() const;
  /// One of the images that may stand there if the power fails during `during` (null: between two calls). `story` tells
  /// what became of the undecided.
  image crash(random_bits& random, const tearing& how, const event* during, std::string& story) const;

private:
  static constexpr int directory_node = -1;
  struct change {  // of the content of one file
    bool truncates = false;
    std::uint64_t offset = 0;
    std::string data;
  };
  struct node {
    std::string content;
    std::vector<change> undecided;
  };
  struct name_change {
    trace_kind kind{};
    std::string path, path_to;
    int target = directory_node;
  };
  using names = std::map<std::string, int>;

  static void apply(const change& what, std::string& content);
  static void apply(const name_change& what, names& to);
  void change_name(const name_change& what);
  int& node_of(const event& call);

  std::vector<node> nodes_;
  std::map<std::uint32_t, int> node_by_file_;
  names durable_;
  names now_;
  std::map<std::string, std::vector<name_change>> undecided_names_;  // by directory
};

} // namespace signet::crash
