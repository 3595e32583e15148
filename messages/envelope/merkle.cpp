#include "messages/envelope/merkle.hpp"

#include "messages/envelope/labels.hpp"

#include <algorithm>
#include <bit>

namespace signet {
namespace {
digest leaf_hash(const link& of) { return hash(label::leaf, of.view()); }
digest node_hash(const digest& left, const digest& right) { return hash(label::node, {left.view(), right.view()}); }

/// In [begin, end) of a tree of n leaves: where the largest subtree that starts at `begin` and stays inside ends, and
/// its level. A subtree of level k starts at a multiple of 2^k; the last one of a level may be cut short by n.
struct subtree {
  std::uint32_t end;
  unsigned level;
};
subtree largest_subtree(std::uint32_t n, std::uint32_t begin, std::uint32_t end) {
  unsigned level = begin == 0 ? 31U : static_cast<unsigned>(std::countr_zero(begin));
  for (;; --level) {
    const auto stop = static_cast<std::uint32_t>(std::min<std::uint64_t>(n, begin + (std::uint64_t{1} << level)));
    if (stop <= end)
      return {stop, level};
  }
}

/// rebuild() of the header, over [lo, hi). Depth is at most 32.
class rebuilding {
public:
  rebuilding(std::span<const std::uint32_t> chosen, std::span<const link> links, std::span<const digest> proof)
    : chosen_{chosen}, links_{links}, proof_{proof} {}

  digest over(std::uint32_t lo, std::uint32_t hi) {
    if (leaf_ == chosen_.size() || chosen_[leaf_] >= hi)
      return proof_[hash_++];
    if (hi - lo == 1)
      return leaf_hash(links_[leaf_++]);
    const auto middle = lo + std::bit_floor(hi - lo - 1);
    const auto left = over(lo, middle);
    return node_hash(left, over(middle, hi));
  }

private:
  std::span<const std::uint32_t> chosen_;
  std::span<const link> links_;
  std::span<const digest> proof_;
  std::size_t leaf_ = 0;
  std::size_t hash_ = 0;
};

/// Calls visit(begin, end) for each stretch of leaves that is not chosen, left to right.
template <class Visit>
void each_gap(std::uint32_t n, std::span<const std::uint32_t> chosen, Visit&& visit) {
  std::uint32_t begin = 0;
  for (const auto leaf : chosen) {
    visit(begin, leaf);
    begin = leaf + 1;
  }
  visit(begin, n);
}
} // namespace

digest merkle_root(std::span<const link> leaves) {
  if (leaves.empty())
    return {};
  std::vector<digest> row;
  row.reserve(leaves.size());
  for (const auto& leaf : leaves)
    row.push_back(leaf_hash(leaf));
  // Level by level in place; the odd one at the end moves up as it is.
  for (auto count = row.size(); count > 1; count = (count + 1) / 2) {
    for (std::size_t i = 0; i + 1 < count; i += 2)
      row[i / 2] = node_hash(row[i], row[i + 1]);
    if (count % 2 != 0)
      row[count / 2] = row[count - 1];
  }
  return row.front();
}

merkle_tree::merkle_tree(std::span<const link> leaves) : leaf_count_{static_cast<std::uint32_t>(leaves.size())} {
  nodes_.reserve(2 * leaves.size() + 32);
  level_begin_.push_back(0);
  for (const auto& leaf : leaves)
    nodes_.push_back(leaf_hash(leaf));
  if (leaves.empty())
    nodes_.emplace_back();
  for (auto count = leaves.size(); count > 1; count = (count + 1) / 2) {
    const auto below = level_begin_.back();
    level_begin_.push_back(nodes_.size());
    for (std::size_t i = 0; i + 1 < count; i += 2)
      nodes_.push_back(node_hash(nodes_[below + i], nodes_[below + i + 1]));
    if (count % 2 != 0)
      nodes_.push_back(nodes_[below + count - 1]);
  }
}

std::vector<digest> merkle_tree::proof(std::span<const std::uint32_t> chosen) const {
  std::vector<digest> out;
  each_gap(leaf_count_, chosen, [&](std::uint32_t begin, std::uint32_t end) {
    while (begin < end) {
      const auto part = largest_subtree(leaf_count_, begin, end);
      const auto level = std::min<std::size_t>(part.level, level_begin_.size() - 1);
      out.push_back(nodes_[level_begin_[level] + (begin >> level)]);
      begin = part.end;
    }
  });
  return out;
}

std::uint32_t merkle_cover_count(std::uint32_t leaf_count, std::uint32_t begin, std::uint32_t end) {
  std::uint32_t out = 0;
  for (; begin < end; ++out)
    begin = largest_subtree(leaf_count, begin, end).end;
  return out;
}

std::optional<digest> merkle_rebuild(std::uint32_t leaf_count, std::span<const std::uint32_t> chosen,
                                     std::span<const link> links, std::span<const digest> proof) {
  if (chosen.empty() || chosen.size() != links.size() || chosen.back() >= leaf_count)
    return std::nullopt;
  for (std::size_t i = 1; i < chosen.size(); ++i)
    if (chosen[i - 1] >= chosen[i])
      return std::nullopt;
  std::size_t needed = 0;
  each_gap(leaf_count, chosen, [&](std::uint32_t begin, std::uint32_t end) {
    needed += merkle_cover_count(leaf_count, begin, end);
  });
  if (needed != proof.size())
    return std::nullopt;
  return rebuilding{chosen, links, proof}.over(0, leaf_count);
}

} // namespace signet
