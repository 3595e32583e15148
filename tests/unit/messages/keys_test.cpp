#include "tests/unit/messages/support.hpp"

#include <filesystem>
#include <fstream>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

namespace signet::test {

namespace {
struct rfc8032_vector {
  std::string_view seed, key, message, signature;
};
constexpr rfc8032_vector rfc8032[] = {
  {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
   "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
   "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe246"
   "55141438e7a100b"},
  {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
   "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
   "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aee"
   "b00d291612bb0c00"},
  {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
   "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
   "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28d"
   "c027beceea1ec40a"},
};

/// Every encoding of a point of small order, canonical or not.
constexpr std::string_view small_order_keys[] = {
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0000000000000000000000000000000000000000000000000000000000000080",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000080",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
};

/// Order of the base point, little-endian.
constexpr std::string_view group_order = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";

/// S + L: the same number modulo L, hence the same equation. A lax verifier takes it.
signature with_added_order(signature proof) {
  const auto order = unhex(group_order);
  unsigned carry = 0;
  for (std::size_t i = 0; i < 32; ++i) {
    carry += static_cast<unsigned>(proof.raw[32 + i]) + order[i];
    proof.raw[32 + i] = static_cast<std::uint8_t>(carry);
    carry >>= 8;
  }
  return proof;
}

class folder {
public:
  folder() {
    char name[] = "/tmp/signet-keys-XXXXXX";
    BOOST_REQUIRE(::mkdtemp(name) != nullptr);
    path_ = name;
  }
  ~folder() { std::filesystem::remove_all(path_); }
  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }
  std::size_t files() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator{path_}, {}));
  }

private:
  std::filesystem::path path_;
};
} // namespace

BOOST_AUTO_TEST_SUITE(keys)

BOOST_AUTO_TEST_CASE(the_signature_scheme_is_that_of_rfc_8032) {
  for (const auto& vector : rfc8032) {
    std::array<std::uint8_t, 32> seed;
    const auto raw_seed = unhex(vector.seed);
    std::copy(raw_seed.begin(), raw_seed.end(), seed.begin());
    BOOST_TEST(signing_key::from_seed(seed).public_half().hex() == vector.key);
    bytes secret(64), key(32), proof(64);
    const auto message = unhex(vector.message);
    crypto_sign_seed_keypair(key.data(), secret.data(), seed.data());
    crypto_sign_detached(proof.data(), nullptr, message.data(), message.size(), secret.data());
    BOOST_TEST(to_hex(proof) == vector.signature);
  }
}

BOOST_AUTO_TEST_CASE(a_signature_covers_the_label_and_every_part) {
  const auto signer = key(7);
  const auto proof = signer.sign(label::batch, {as_bytes("one"), as_bytes("two")});
  bytes secret(64), half(32), expected(64), seed(32, 7), content = to_bytes(as_bytes("signet/v1/batch"));
  content.push_back(0);
  append(content, as_bytes("onetwo"));
  crypto_sign_seed_keypair(half.data(), secret.data(), seed.data());
  crypto_sign_detached(expected.data(), nullptr, content.data(), content.size(), secret.data());
  BOOST_TEST(proof.hex() == to_hex(expected));
  BOOST_TEST(verify(signer.public_half(), label::batch, as_bytes("onetwo"), proof));
  BOOST_TEST(!verify(signer.public_half(), label::batch, as_bytes("onetwO"), proof));
  BOOST_TEST(!verify(key(8).public_half(), label::batch, as_bytes("onetwo"), proof));
}

BOOST_AUTO_TEST_CASE(long_content_is_signed_like_short_content) {
  const auto signer = key(7);
  for (const std::size_t size : {0U, 490U, 496U, 497U, 512U, 513U, 100'000U}) {
    const bytes content(size, 0x5a);
    const auto proof = signer.sign(label::batch, content);
    BOOST_TEST(verify(signer.public_half(), label::batch, content, proof));
    auto other = content;
    other.push_back(0);
    BOOST_TEST(!verify(signer.public_half(), label::batch, other, proof));
  }
}

BOOST_AUTO_TEST_CASE(no_bit_of_a_signature_or_a_key_may_change) {
  const auto signer = key(3);
  const auto proof = signer.sign(label::token, as_bytes("content"));
  for (std::size_t bit = 0; bit < 512; ++bit) {
    auto changed = proof;
    changed.raw[bit / 8] = static_cast<std::uint8_t>(changed.raw[bit / 8] ^ 1U << bit % 8);
    BOOST_TEST(!verify(signer.public_half(), label::token, as_bytes("content"), changed));
  }
  for (std::size_t bit = 0; bit < 256; ++bit) {
    auto changed = signer.public_half();
    changed.raw[bit / 8] = static_cast<std::uint8_t>(changed.raw[bit / 8] ^ 1U << bit % 8);
    BOOST_TEST(!verify(changed, label::token, as_bytes("content"), proof));
  }
}

BOOST_AUTO_TEST_CASE(a_malleable_signature_is_refused) {
  for (std::uint8_t byte = 1; byte < 20; ++byte) {
    const auto signer = key(byte);
    const auto proof = signer.sign(label::token, as_bytes("content"));
    BOOST_TEST(verify(signer.public_half(), label::token, as_bytes("content"), proof));
    BOOST_TEST(!verify(signer.public_half(), label::token, as_bytes("content"), with_added_order(proof)));
  }
}

BOOST_AUTO_TEST_CASE(keys_and_commitments_of_small_order_are_refused) {
  for (const auto raw : small_order_keys) {
    const auto small = id_from<public_key>(raw);
    BOOST_TEST(!is_valid_public_key(small), raw);
    // With a key of small order, some R of small order and S = 0 satisfy a lax equation for many contents.
    for (const auto r : small_order_keys)
      for (const auto content : {"a", "b", "c", "d"}) {
        signature proof{};
        const auto point = unhex(r);
        std::copy(point.begin(), point.end(), proof.raw.begin());
        BOOST_TEST(!verify(small, label::token, as_bytes(content), proof));
      }
    // The R of an otherwise good key.
    auto proof = key(5).sign(label::token, as_bytes("a"));
    const auto point = unhex(raw);
    std::copy(point.begin(), point.end(), proof.raw.begin());
    BOOST_TEST(!verify(key(5).public_half(), label::token, as_bytes("a"), proof));
  }
}

BOOST_AUTO_TEST_CASE(a_key_outside_the_main_subgroup_or_off_the_curve_is_not_valid) {
  BOOST_TEST(is_valid_public_key(key(1).public_half()));
  // A good point plus one of order 8.
  bytes mixed(32);
  const auto small = unhex(small_order_keys[4]);
  const auto good = key(1).public_half();
  BOOST_REQUIRE_EQUAL(crypto_core_ed25519_add(mixed.data(), good.raw.data(), small.data()), 0);
  BOOST_TEST(!is_valid_public_key(*public_key::from(mixed)));
  std::size_t refused = 0;
  for (std::uint8_t byte = 0; byte < 64; ++byte)
    refused += is_valid_public_key(filled<public_key>(byte)) ? 0U : 1U;
  BOOST_TEST(refused > 32U);  // half of all strings are no point, and 7 of 8 points are outside the subgroup
  // y = p + 3, which a lax decoder reads as y = 3.
  const auto not_canonical = "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f";
  BOOST_TEST(!is_valid_public_key(id_from<public_key>(not_canonical)));
}

BOOST_AUTO_TEST_CASE(a_seed_file_gives_the_same_key_back) {
  const folder here;
  const auto made = signing_key::generate(system_random());
  BOOST_REQUIRE(made.save(here / "a").has_value());
  const auto read = signing_key::load(here / "a");
  BOOST_REQUIRE(read.has_value());
  BOOST_TEST(read->public_half() == made.public_half());
  struct stat about {};
  BOOST_REQUIRE_EQUAL(::stat((here / "a").c_str(), &about), 0);
  BOOST_TEST((about.st_mode & 07777) == 0600U);
  BOOST_TEST(here.files() == 1U);
}

BOOST_AUTO_TEST_CASE(a_seed_file_is_never_overwritten) {
  const folder here;
  const auto first = key(1);
  BOOST_REQUIRE(first.save(here / "a").has_value());
  BOOST_TEST(code_of(key(2).save(here / "a")) == ec::already_exists);
  BOOST_TEST(signing_key::load(here / "a").value().public_half() == first.public_half());
  // Neither through a link that points nowhere yet.
  std::filesystem::create_symlink(here / "target", here / "dangling");
  BOOST_TEST(code_of(key(2).save(here / "dangling")) == ec::already_exists);
  BOOST_TEST(!std::filesystem::exists(here / "target"));
  BOOST_TEST(here.files() == 2U);
}

BOOST_AUTO_TEST_CASE(a_seed_file_that_others_may_read_is_refused_with_the_command_to_type) {
  const folder here;
  BOOST_REQUIRE(key(1).save(here / "a").has_value());
  for (const mode_t mode : {0640, 0604, 0660, 0610, 0601}) {
    BOOST_REQUIRE_EQUAL(::chmod((here / "a").c_str(), mode), 0);
    const auto read = signing_key::load(here / "a");
    BOOST_TEST(code_of(read) == ec::configuration);
    BOOST_TEST(render(read.error()).find("chmod 600") != std::string::npos);
  }
  BOOST_REQUIRE_EQUAL(::chmod((here / "a").c_str(), 0400), 0);
  BOOST_TEST(signing_key::load(here / "a").has_value());
}

BOOST_AUTO_TEST_CASE(what_is_not_a_seed_file_is_refused) {
  const folder here;
  BOOST_TEST(code_of(signing_key::load(here / "none")) == ec::not_found);
  BOOST_REQUIRE(key(1).save(here / "good").has_value());
  std::filesystem::create_symlink(here / "good", here / "link");
  BOOST_TEST(code_of(signing_key::load(here / "link")) == ec::configuration);
  std::filesystem::create_directory(here / "folder");
  std::filesystem::permissions(here / "folder", std::filesystem::perms::owner_all);
  BOOST_TEST(code_of(signing_key::load(here / "folder")) == ec::configuration);
  BOOST_REQUIRE_EQUAL(::mkfifo((here / "pipe").c_str(), 0600), 0);
  BOOST_TEST(code_of(signing_key::load(here / "pipe")) == ec::configuration);  // and does not hang

  std::ifstream in(here / "good");
  const std::string good{std::istreambuf_iterator<char>{in}, {}};
  const auto reads_as = [&](std::string_view content) {
    const auto file = here / "changed";
    std::filesystem::remove(file);
    std::ofstream{file} << content;
    std::filesystem::permissions(file, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    return code_of(signing_key::load(file));
  };
  BOOST_TEST(reads_as(good) == ec::ok);
  for (std::size_t size = 0; size < good.size(); ++size)
    BOOST_TEST(reads_as(good.substr(0, size)) == ec::malformed);
  BOOST_TEST(reads_as(good + "\n") == ec::malformed);
  BOOST_TEST(reads_as("signet-seed-v2" + good.substr(14)) == ec::malformed);
  auto wrong_digit = good;
  wrong_digit[20] = 'g';
  BOOST_TEST(reads_as(wrong_digit) == ec::malformed);
}

BOOST_AUTO_TEST_CASE(a_key_that_is_missing_is_made_once) {
  const folder here;
  const auto file = here / "a";
  const auto made = signing_key::load_or_make(file, system_random());
  BOOST_REQUIRE(made.has_value());
  BOOST_TEST(signing_key::load_or_make(file, system_random()).value().public_half() == made->public_half());
  BOOST_TEST(signing_key::load(file).value().public_half() == made->public_half());
  // What stands there and is no key is never replaced.
  std::ofstream(here / "b") << "not a key";
  std::filesystem::permissions(here / "b", std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  BOOST_TEST(code_of(signing_key::load_or_make(here / "b", system_random())) == ec::malformed);
  BOOST_TEST(code_of(signing_key::load_or_make(here / "missing/a", system_random())) == ec::io);
}

BOOST_AUTO_TEST_CASE(a_key_cannot_be_saved_where_there_is_no_folder) {
  const folder here;
  BOOST_TEST(code_of(key(1).save(here / "missing/a")) == ec::io);
}

BOOST_AUTO_TEST_CASE(a_signing_key_can_be_moved_but_not_copied) {
  static_assert(std::is_nothrow_move_constructible_v<signing_key> && !std::is_copy_constructible_v<signing_key>);
  auto one = key(1);
  const auto half = one.public_half();
  const auto other = std::move(one);
  BOOST_TEST(verify(half, label::token, as_bytes("x"), other.sign(label::token, as_bytes("x"))));
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace signet::test
