#include "tools/cli/home.hpp"

#include "tests/support/scratch_directory.hpp"

#include <boost/test/unit_test.hpp>
#include <fstream>
#include <sys/stat.h>

using namespace signet;
using namespace signet::cli;

namespace {
struct fixture {
  testing::scratch_directory scratch;
  home where{scratch.path() / "home"};
  static cluster_id cluster() { return *cluster_id::parse("000102030405060708090a0b0c0d0e0f"); }
};
mode_t mode_of(const std::filesystem::path& file) {
  struct stat facts {};
  BOOST_REQUIRE(::stat(file.c_str(), &facts) == 0);
  return facts.st_mode & 0777;
}
} // namespace

BOOST_FIXTURE_TEST_SUITE(home_tests, fixture)

BOOST_AUTO_TEST_CASE(an_identity_is_made_once_and_never_overwritten) {
  auto made = where.make_identity("alice");
  BOOST_REQUIRE_MESSAGE(made, (made ? std::string() : render(made.error())));
  auto again = where.make_identity("alice");
  BOOST_REQUIRE(!again);
  BOOST_TEST((again.error().code == ec::already_exists));
  auto loaded = where.load("alice");
  BOOST_REQUIRE(loaded);
  BOOST_TEST((loaded->who() == made->who()));
}

BOOST_AUTO_TEST_CASE(keys_are_for_their_owner_alone) {
  auto made = where.make_identity("alice");
  BOOST_REQUIRE(made);
  BOOST_TEST(mode_of(made->directory / "sign-1.seed") == 0600U);
  BOOST_TEST(mode_of(made->directory) == 0700U);
  ::chmod((made->directory / "sign-1.seed").c_str(), 0644);
  auto key = where.load_key(*made, key_purpose::sign);
  BOOST_REQUIRE(!key);
  BOOST_TEST((key.error().code == ec::configuration));
}

BOOST_AUTO_TEST_CASE(a_name_cannot_lead_out_of_the_home) {
  for (const char* name : {"", "..", "../x", "a/b", ".hidden", "-x"})
    BOOST_TEST(!where.make_identity(name), name);
}

BOOST_AUTO_TEST_CASE(rotation_gives_new_keys_and_keeps_the_permalink) {
  auto old = where.make_identity("alice");
  BOOST_REQUIRE(old);
  auto next = where.rotate(*old);
  BOOST_REQUIRE_MESSAGE(next, (next ? std::string() : render(next.error())));
  BOOST_TEST((next->who() == old->who()));
  BOOST_TEST(next->newest().version() == 2U);
  auto before = where.load_key(*old, key_purpose::sign), after = where.load_key(*next, key_purpose::sign);
  BOOST_REQUIRE(before);
  BOOST_REQUIRE(after);
  BOOST_TEST((before->public_half() != after->public_half()));
  BOOST_REQUIRE(where.forget_newest(*next));
  BOOST_TEST(where.load("alice")->newest().version() == 1U);
}

BOOST_AUTO_TEST_CASE(a_lane_comes_back_as_it_was_saved) {
  auto alice = where.make_identity("alice"), bob = where.make_identity("bob");
  BOOST_REQUIRE(alice && bob);
  auto key = where.load_key(*alice, key_purpose::sign);
  lane_file lane;
  lane.tail.n = lane_number{7};
  lane.tail.link.raw[3] = 9;
  lane.waiting.push_back({lane_number{7}, lane.tail.link, {1, 2, 3}});
  BOOST_REQUIRE(where.save_lane(*alice, key->public_half(), cluster(), bob->who(), lane));
  auto back = where.load_lane(*alice, key->public_half(), cluster(), bob->who());
  BOOST_REQUIRE(back);
  BOOST_TEST((back->tail == lane.tail));
  BOOST_REQUIRE(back->waiting.size() == 1U);
  BOOST_TEST((back->waiting[0].body == bytes{1, 2, 3}));
  // Another device, another lane.
  auto other = where.load_lane(*alice, bob->newest().keys()[0].key, cluster(), bob->who());
  BOOST_REQUIRE(other);
  BOOST_TEST((other->tail == lane_tail{}));
}

BOOST_AUTO_TEST_CASE(a_damaged_lane_file_is_an_error_and_not_a_new_lane) {
  auto alice = where.make_identity("alice");
  auto key = where.load_key(*alice, key_purpose::sign);
  BOOST_REQUIRE(where.save_lane(*alice, key->public_half(), cluster(), alice->who(), {}));
  for (const auto& file : std::filesystem::directory_iterator(alice->directory / "lanes"))
    std::ofstream(file.path(), std::ios::trunc) << "{\"n\":1";
  auto back = where.load_lane(*alice, key->public_half(), cluster(), alice->who());
  BOOST_REQUIRE(!back);
  BOOST_TEST((back.error().code == ec::corrupt));
}

BOOST_AUTO_TEST_CASE(a_node_is_pinned_at_first_use_and_another_one_is_refused) {
  pinned_node first{cluster(), {}};
  first.node_key.raw[0] = 1;
  auto second = first;
  second.node_key.raw[0] = 2;
  BOOST_REQUIRE(where.pin("mqtt://127.0.0.1:1", first));
  BOOST_REQUIRE(where.pin("mqtt://127.0.0.1:1", first));
  auto refused = where.pin("mqtt://127.0.0.1:1", second);
  BOOST_REQUIRE(!refused);
  BOOST_TEST(refused.error().context.find("another node key") != std::string::npos);
  BOOST_TEST(where.pin("mqtt://127.0.0.1:2", second).has_value());
}

BOOST_AUTO_TEST_CASE(a_contact_never_goes_back_to_an_older_history) {
  home theirs{scratch.path() / "theirs"};
  auto bob = theirs.make_identity("bob");
  auto newer = theirs.rotate(*bob);
  BOOST_REQUIRE(newer);
  std::vector<bytes> chain;
  for (const auto& version : newer->versions)
    chain.push_back(to_bytes(version.serialised()));
  BOOST_REQUIRE(where.save_contact(bob->who(), chain));
  chain.pop_back();
  auto older = where.save_contact(bob->who(), chain);
  BOOST_REQUIRE(!older);
  BOOST_TEST((older.error().code == ec::version_conflict));
  BOOST_TEST(where.load_chain(bob->who())->size() == 2U);
}

BOOST_AUTO_TEST_CASE(an_alias_resolves_and_does_not_hide_an_own_identity) {
  auto alice = where.make_identity("alice");
  permalink bob;
  bob.raw[0] = 5;
  BOOST_REQUIRE(where.set_alias("bob", bob));
  BOOST_TEST((*where.resolve("bob") == bob));
  BOOST_TEST(where.name_of(bob) == "bob");
  BOOST_TEST(!where.set_alias("alice", bob));
  BOOST_TEST(!where.resolve("carol"));
}

BOOST_AUTO_TEST_SUITE_END()
