#include "storage/entry_proofs.hpp"

#include "tests/support/view_world.hpp"

#include <boost/test/unit_test.hpp>

namespace signet::storage {
namespace {

using testing::must;
using testing::person;
using testing::view_world;

/// The entry with every one of these bytes exchanged where they stand in it.
bytes with_exchanged(bytes entry, bytes_view old, bytes_view fresh) {
  auto at = std::search(entry.begin(), entry.end(), old.begin(), old.end());
  BOOST_REQUIRE((at != entry.end()));
  std::copy(fresh.begin(), fresh.end(), at);
  return entry;
}
bytes at_time(bytes entry, std::uint64_t ms) {
  BOOST_REQUIRE(set_entry_time(entry, wall_ms{ms}).has_value());
  return entry;
}
ec code_of(bytes_view entry, const proven_batches* known = nullptr) {
  auto checked = check_proofs(entry, known);
  return checked ? ec::ok : checked.error().code;
}

struct world {
  view_world views;
  person alice = person::make(views.random), bob = person::make(views.random);
  built_batch batch = views.batch(alice, bob.id(), 3, "what alice said");
  bytes entry = batch_entry(batch.serialised);
};

} // namespace

BOOST_AUTO_TEST_SUITE(entry_proofs)

BOOST_AUTO_TEST_CASE(a_batch_holds_as_its_author_signed_it) {
  world w;
  auto checked = must(check_proofs(w.entry));
  BOOST_TEST(checked.verified == 1u);
  BOOST_TEST(checked.known == 0u);
  // Also in another bot's entry, and at another time.
  BOOST_TEST((code_of(bot_committed_entry(w.alice.id(), 1, inbox_position{1}, inbox_position{1}, w.batch.serialised)) ==
              ec::ok));
  BOOST_TEST((code_of(at_time(w.entry, 12'345)) == ec::ok));
}

BOOST_AUTO_TEST_CASE(a_message_that_a_leader_has_altered_is_found) {
  world w;
  auto altered = with_exchanged(w.entry, as_bytes("what alice said"), as_bytes("what mallory s."));
  BOOST_TEST((code_of(altered) == ec::bad_signature));
  auto by_bot = bot_committed_entry(w.alice.id(), 1, inbox_position{1}, inbox_position{1}, w.batch.serialised);
  BOOST_TEST((code_of(with_exchanged(by_bot, as_bytes("what alice said"), as_bytes("what mallory s."))) ==
              ec::bad_signature));
}

BOOST_AUTO_TEST_CASE(a_batch_under_another_key_or_signature_is_found) {
  world w;
  BOOST_TEST((code_of(with_exchanged(w.entry, w.alice.device().view(), w.bob.device().view())) == ec::bad_signature));
  auto other = w.views.batch(w.alice, w.bob.id(), 3, "something else");
  auto opened = must(unverified_batch::open(w.batch.serialised)), foreign = must(unverified_batch::open(other.serialised));
  BOOST_TEST((code_of(with_exchanged(w.entry, opened.proof().view(), foreign.proof().view())) == ec::bad_signature));
}

BOOST_AUTO_TEST_CASE(an_identity_version_holds_only_if_each_of_its_keys_has_signed_it) {
  world w;
  auto checked = must(check_proofs(w.alice.entry()));
  BOOST_TEST(checked.verified == 3u);
  session_opening opening;
  opening.key = {w.alice.id(), w.alice.device(), "phone"};
  opening.expires = wall_ms{1};
  opening.identity = to_bytes(w.alice.version.serialised());
  BOOST_TEST(must(check_proofs(session_opened_entry(opening))).verified == 3u);

  // Somebody else's key in it, which its owner has not signed.
  auto stolen = with_exchanged(w.alice.entry(), w.alice.device().view(), w.bob.device().view());
  BOOST_TEST((code_of(stolen) == ec::no_possession));
}

BOOST_AUTO_TEST_CASE(an_entry_in_which_nobody_signed_anything_is_fine) {
  world w;
  security_event seen;
  seen.what.kind = "login_failed";
  for (const auto& entry : {security_events_entry({&seen, 1}), founded_entry(w.views.cluster), bytes(40, 7), bytes{}}) {
    auto checked = must(check_proofs(entry));
    BOOST_TEST(checked.verified == 0u);
  }
}

BOOST_AUTO_TEST_CASE(what_a_node_has_proven_itself_is_not_verified_again) {
  world w;
  proven_batches known;
  known.remember(w.entry);
  known.remember(w.entry);
  BOOST_TEST(known.size() == 1u);
  auto checked = must(check_proofs(at_time(w.entry, 777), &known));  // as the leader appends it
  BOOST_TEST(checked.verified == 0u);
  BOOST_TEST(checked.known == 1u);
}

BOOST_AUTO_TEST_CASE(a_known_signature_over_altered_messages_is_no_proof) {
  world w;
  proven_batches known;
  known.remember(w.entry);
  auto altered = with_exchanged(w.entry, as_bytes("what alice said"), as_bytes("what mallory s."));
  BOOST_TEST((code_of(altered, &known) == ec::bad_signature));
}

BOOST_AUTO_TEST_CASE(the_oldest_proven_batch_is_forgotten_first) {
  world w;
  proven_batches known{2};
  auto second = w.views.batch(w.alice, w.bob.id()), third = w.views.batch(w.alice, w.bob.id());
  for (const auto& entry : {w.entry, batch_entry(second.serialised), batch_entry(third.serialised)})
    known.remember(entry);
  BOOST_TEST(known.size() == 2u);
  BOOST_TEST(must(check_proofs(w.entry, &known)).verified == 1u);
  BOOST_TEST(must(check_proofs(batch_entry(third.serialised), &known)).known == 1u);
  known.remember(bytes(10, 1));
  known.remember(w.alice.entry());
  BOOST_TEST(known.size() == 2u);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace signet::storage
