#include "tests/unit/messages/support.hpp"

#include <numeric>
#include <random>

namespace signet::test {

namespace {
link nth_link(std::uint32_t i) {
  link out;
  const auto number = big_endian(i + 1);
  std::copy(number.begin(), number.end(), out.raw.begin());
  return out;
}
std::vector<link> links_of(std::uint32_t count) {
  std::vector<link> out;
  for (std::uint32_t i = 0; i < count; ++i)
    out.push_back(nth_link(i));
  return out;
}

// The judge: RFC 6962's recursion, word for word, and proofs by asking at every subtree.
std::size_t largest_power_below(std::size_t n) {
  std::size_t k = 1;
  while (k * 2 < n)
    k *= 2;
  return k;
}
digest naive_root(std::span<const link> leaves) {
  if (leaves.size() == 1)
    return hash(label::leaf, leaves[0].view());
  const auto k = largest_power_below(leaves.size());
  return hash(label::node, {naive_root(leaves.first(k)).view(), naive_root(leaves.subspan(k)).view()});
}
void naive_proof(std::span<const link> leaves, std::uint32_t lo, const std::vector<std::uint32_t>& chosen,
                 std::vector<digest>& out) {
  bool holds_one = false;
  for (const auto leaf : chosen)
    holds_one = holds_one || (leaf >= lo && leaf < lo + leaves.size());
  if (!holds_one) {
    out.push_back(naive_root(leaves));
    return;
  }
  if (leaves.size() == 1)
    return;
  const auto k = largest_power_below(leaves.size());
  naive_proof(leaves.first(k), lo, chosen, out);
  naive_proof(leaves.subspan(k), lo + static_cast<std::uint32_t>(k), chosen, out);
}
std::vector<std::uint32_t> some_of(std::uint32_t count, std::mt19937& random) {
  std::vector<std::uint32_t> out;
  const auto share = random() % 100;
  for (std::uint32_t i = 0; i < count; ++i)
    if (random() % 100 <= share)
      out.push_back(i);
  if (out.empty())
    out.push_back(static_cast<std::uint32_t>(random() % count));
  return out;
}
std::vector<link> pick(const std::vector<link>& links, const std::vector<std::uint32_t>& chosen) {
  std::vector<link> out;
  for (const auto leaf : chosen)
    out.push_back(links[leaf]);
  return out;
}
} // namespace

BOOST_AUTO_TEST_SUITE(merkle)

BOOST_AUTO_TEST_CASE(the_root_is_that_of_the_naive_tree) {
  for (std::uint32_t n = 1; n <= 70; ++n) {
    const auto links = links_of(n);
    BOOST_TEST(merkle_root(links) == naive_root(links));
    BOOST_TEST(merkle_tree{links}.root() == naive_root(links));
  }
  for (const std::uint32_t n : {127U, 128U, 129U, 1000U, 1023U, 1024U})
    BOOST_TEST(merkle_root(links_of(n)) == naive_root(links_of(n)));
}

BOOST_AUTO_TEST_CASE(a_leaf_and_a_node_never_hash_alike) {
  const auto links = links_of(2);
  // A tree of one whose "link" were the two leaf hashes: impossible by length, and by label.
  const auto left = hash(label::leaf, links[0].view()), right = hash(label::leaf, links[1].view());
  BOOST_TEST(merkle_root(links) == hash(label::node, {left.view(), right.view()}));
  BOOST_TEST(merkle_root(links) != hash(label::leaf, {left.view(), right.view()}));
}

BOOST_AUTO_TEST_CASE(an_odd_leaf_is_promoted_and_not_doubled) {
  auto three = links_of(3);
  auto four = three;
  four.push_back(three.back());
  BOOST_TEST(merkle_root(three) != merkle_root(four));
}

BOOST_AUTO_TEST_CASE(proofs_of_random_subsets_are_the_naive_ones_and_rebuild_the_root) {
  std::mt19937 random{20240101};
  for (std::uint32_t n = 1; n <= 70; ++n) {
    const auto links = links_of(n);
    const merkle_tree tree{links};
    for (int round = 0; round < 20; ++round) {
      const auto chosen = round == 0 ? std::vector<std::uint32_t>{static_cast<std::uint32_t>(random() % n)}
                                     : some_of(n, random);
      const auto proof = tree.proof(chosen);
      std::vector<digest> expected;
      naive_proof(links, 0, chosen, expected);
      BOOST_TEST((proof == expected));
      std::uint32_t count = 0, begin = 0;
      for (const auto leaf : chosen) {
        count += merkle_cover_count(n, begin, leaf);
        begin = leaf + 1;
      }
      count += merkle_cover_count(n, begin, n);
      BOOST_TEST(count == proof.size());
      const auto root = merkle_rebuild(n, chosen, pick(links, chosen), proof);
      BOOST_REQUIRE(root.has_value());
      BOOST_TEST(*root == tree.root());
    }
  }
}

BOOST_AUTO_TEST_CASE(all_leaves_need_no_proof_and_one_needs_a_path) {
  const auto links = links_of(1024);
  const merkle_tree tree{links};
  std::vector<std::uint32_t> all(1024);
  std::iota(all.begin(), all.end(), 0U);
  BOOST_TEST(tree.proof(all).empty());
  BOOST_TEST(tree.proof(std::vector<std::uint32_t>{77}).size() == 10U);
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_together_rebuilds_nothing) {
  const auto links = links_of(11);
  const merkle_tree tree{links};
  const std::vector<std::uint32_t> chosen{2, 3, 9};
  const auto picked = pick(links, chosen);
  const auto proof = tree.proof(chosen);
  const auto rebuild = [&](std::uint32_t n, std::vector<std::uint32_t> leaves, std::vector<link> given,
                           std::vector<digest> hashes) { return merkle_rebuild(n, leaves, given, hashes); };
  BOOST_TEST(rebuild(11, chosen, picked, proof).has_value());
  auto shorter = proof, longer = proof;
  shorter.pop_back();
  longer.push_back(proof.back());
  BOOST_TEST(!rebuild(11, chosen, picked, shorter).has_value());
  BOOST_TEST(!rebuild(11, chosen, picked, longer).has_value());
  BOOST_TEST(!rebuild(11, {}, {}, {tree.root()}).has_value());  // "believe me"
  BOOST_TEST(!rebuild(11, {3, 2, 9}, picked, proof).has_value());
  BOOST_TEST(!rebuild(11, {2, 2, 9}, picked, proof).has_value());
  BOOST_TEST(!rebuild(11, {2, 3, 11}, picked, proof).has_value());
  BOOST_TEST(!rebuild(9, chosen, picked, proof).has_value());
  BOOST_TEST(!rebuild(0, {0}, {links[0]}, {}).has_value());
  BOOST_TEST(!rebuild(11, {2, 3}, picked, proof).has_value());
  // The largest count: bounded depth, and no answer without 32 hashes.
  BOOST_TEST(!rebuild(UINT32_MAX, {0}, {links[0]}, proof).has_value());
}

BOOST_AUTO_TEST_CASE(another_leaf_position_or_hash_gives_another_root) {
  const auto links = links_of(13);
  const merkle_tree tree{links};
  for (std::uint32_t leaf = 0; leaf < 13; ++leaf) {
    const std::vector<std::uint32_t> chosen{leaf};
    auto proof = tree.proof(chosen);
    for (std::uint32_t other = 0; other < 13; ++other)
      if (other != leaf) {
        const auto at_other = merkle_rebuild(13, std::vector{other}, std::vector{links[leaf]}, proof);
        BOOST_TEST((!at_other || *at_other != tree.root()));
        BOOST_TEST(*merkle_rebuild(13, chosen, std::vector{links[other]}, proof) != tree.root());
      }
    for (auto& hash : proof) {
      hash.raw[0] ^= 1;
      BOOST_TEST(*merkle_rebuild(13, chosen, std::vector{links[leaf]}, proof) != tree.root());
      hash.raw[0] ^= 1;
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace signet::test
