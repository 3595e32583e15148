#pragma once
// The Merkle tree of a batch: leaf i is H(leaf, link of body i), a node is H(node, left · right), and [lo, hi) splits
// at lo + the largest power of two below hi - lo (RFC 6962): an odd node is promoted, never doubled.
//
// One proof serves many leaves of one tree. It holds, left to right, the hashes of the largest subtrees without any
// of them:
//   rebuild(lo, hi): no given leaf in [lo, hi) → the next hash of the proof
//                    hi - lo == 1             → H(leaf, link)
//                    else                     → H(node, rebuild(lo, lo + k) · rebuild(lo + k, hi))

#include "messages/ids.hpp"

#include <optional>
#include <span>
#include <vector>

namespace signet {

/// Root of 1 or more leaves. (No leaves: all zero; no protocol object has an empty tree.)
digest merkle_root(std::span<const link> leaves);

/// All nodes of one tree: the root once, then proofs by copying. 64 bytes a leaf.
class merkle_tree {
public:
  explicit merkle_tree(std::span<const link> leaves);
  std::uint32_t leaf_count() const { return leaf_count_; }
  const digest& root() const { return nodes_.back(); }
  /// `chosen`: at least one leaf, rising, each below leaf_count().
  std::vector<digest> proof(std::span<const std::uint32_t> chosen) const;

private:
  std::uint32_t leaf_count_;
  std::vector<digest> nodes_;            ///< level after level, leaves first
  std::vector<std::size_t> level_begin_;
};

/// The root that these leaves and this proof give, or nothing if they do not fit together: leaves not rising or out of
/// range, as many links as leaves, a proof too short or too long. Does no hashing in that case.
std::optional<digest> merkle_rebuild(std::uint32_t leaf_count, std::span<const std::uint32_t> chosen,
                                     std::span<const link> links, std::span<const digest> proof);

/// How many hashes a proof takes for what lies strictly between two chosen leaves of a tree of `leaf_count`: leaves
/// [begin, end), end <= leaf_count. A whole proof is the sum over [0, first), the gaps, and [last + 1, leaf_count).
std::uint32_t merkle_cover_count(std::uint32_t leaf_count, std::uint32_t begin, std::uint32_t end);

} // namespace signet
