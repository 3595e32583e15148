#include "tests/unit/messages/support.hpp"

#include <sodium.h>

namespace signet::test {

namespace {
bytes blake2b_256(bytes_view content) {
  bytes out(32);
  crypto_generichash(out.data(), out.size(), content.data(), content.size(), nullptr, 0);
  return out;
}
bytes labelled(label which, bytes_view content) {
  bytes out = to_bytes(as_bytes("signet/v1/"));
  append(out, as_bytes(name(which)));
  out.push_back(0);
  append(out, content);
  return out;
}
} // namespace

BOOST_AUTO_TEST_SUITE(labels)

BOOST_AUTO_TEST_CASE(the_hash_is_blake2b_256) {
  // From the BLAKE2 reference implementation's known answers.
  BOOST_TEST(to_hex(blake2b_256({})) == "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8");
  BOOST_TEST(to_hex(blake2b_256(as_bytes("abc"))) ==
             "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
}

BOOST_AUTO_TEST_CASE(a_hash_covers_its_label_before_its_content) {
  for (const auto& row : label_table) {
    const auto content = as_bytes("content");
    const auto expected = to_hex(blake2b_256(labelled(row.which, content)));
    BOOST_TEST(hash(row.which, content).hex() == expected);
    BOOST_TEST(hash_link(row.which, content).hex() == expected);
    BOOST_TEST(hash(row.which, {as_bytes("con"), as_bytes(""), as_bytes("tent")}).hex() == expected);
    BOOST_TEST(hasher{row.which}.add(as_bytes("cont")).add(as_bytes("ent")).finish().hex() == expected);
  }
}

BOOST_AUTO_TEST_CASE(no_two_labels_give_the_same_hash) {
  std::vector<digest> seen;
  for (const auto& row : label_table) {
    const auto now = hash(row.which, as_bytes("same content"));
    BOOST_TEST((std::find(seen.begin(), seen.end(), now) == seen.end()));
    seen.push_back(now);
  }
}

BOOST_AUTO_TEST_CASE(no_label_is_the_beginning_of_another) {
  for (const auto& one : label_table)
    for (const auto& other : label_table)
      if (one.which != other.which)
        BOOST_TEST(!name(other.which).starts_with(name(one.which)));
}

BOOST_AUTO_TEST_CASE(what_is_signed_under_one_label_verifies_under_that_one_only) {
  const auto signer = key(1);
  for (const auto cluster_byte : {0xc1, 0xc2}) {
    // The content names its cluster, as tokens and logins do: the other cluster's never passes either.
    const auto cluster = filled<cluster_id>(static_cast<std::uint8_t>(cluster_byte));
    const auto other_cluster = filled<cluster_id>(static_cast<std::uint8_t>(cluster_byte ^ 3));
    for (const auto& made : label_table) {
      const auto proof = signer.sign(made.which, {cluster.view(), as_bytes("content")});
      for (const auto& asked : label_table) {
        BOOST_TEST(verify(signer.public_half(), asked.which, {cluster.view(), as_bytes("content")}, proof) ==
                   (made.which == asked.which));
        BOOST_TEST(!verify(signer.public_half(), asked.which, {other_cluster.view(), as_bytes("content")}, proof));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(integers_are_hashed_big_endian) {
  const auto four = big_endian(std::uint32_t{0x01020304});
  const auto eight = big_endian(std::uint64_t{0x0102030405060708});
  BOOST_TEST(to_hex(four) == "01020304");
  BOOST_TEST(to_hex(eight) == "0102030405060708");
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace signet::test
