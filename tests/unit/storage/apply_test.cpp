#include "storage/views/apply.hpp"

#include "tests/support/view_world.hpp"

#include <boost/test/unit_test.hpp>

namespace signet {
inline std::ostream& operator<<(std::ostream& out, ec code) { return out << name(code); }
inline std::ostream& operator<<(std::ostream& out, outcome_code code) { return out << name(code); }
template <number E>
std::ostream& operator<<(std::ostream& out, E x) { return out << value(x); }
} // namespace signet

namespace signet::storage {
namespace {

using testing::must;
using testing::person;
using testing::view_world;

std::uint64_t events_of(view_world& world, std::string_view kind) {
  auto counter = get<table::event_counters>(world.txn(), {std::string{kind}});
  return counter ? counter->count : 0;
}

/// A world with a cluster and two people.
struct pair_of_people {
  view_world world;
  person alice, bob;
  pair_of_people() : alice{(world.found(), world.join())}, bob{world.join()} {}

  entry_result send(bytes_view batch) { return world.apply(batch_entry(batch)); }
  /// One message with these numbers, whatever they are.
  built_batch crafted(lane_number n, const link& previous, std::string_view text = "crafted") {
    auto message = must(make_message(world.draft(alice, bob.id(), text), n, previous));
    return must(make_batch(alice.sign, std::span{&message, 1}));
  }
};

session_opening opening(const person& who, const view_world& world, std::string client = "phone") {
  return {{who.id(), who.device(), std::move(client)}, wall_ms{value(world.now) + 3'600'000}, {}, {}};
}
token_claim token_of(view_world& world) {
  return {random_id<token_nonce>(world.random), world.now, wall_ms{value(world.now) + 300'000}};
}

identity_version next_version(const person& who, std::vector<identity_draft::entry> keys, const signing_key& by) {
  identity_draft draft;
  draft.keys = std::move(keys);
  return must(make_next_identity(who.version, draft, by));
}

BOOST_AUTO_TEST_SUITE(apply)

// ---- every entry -----------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(each_entry_moves_the_applied_index_and_the_state_hash) {
  view_world world;
  auto before = read_applied(world.txn());
  BOOST_CHECK_EQUAL(before.index, log_index{});
  world.found();
  auto after = read_applied(world.txn());
  BOOST_CHECK_EQUAL(after.index, log_index{1});
  BOOST_CHECK(after.state_hash != before.state_hash);
  world.pass();
  auto passed = read_applied(world.txn());
  BOOST_CHECK_EQUAL(passed.index, log_index{2});
  BOOST_CHECK(passed.state_hash != after.state_hash);
  BOOST_CHECK_EQUAL(passed.last_time, after.last_time);
}

BOOST_AUTO_TEST_CASE(an_entry_out_of_order_is_a_defect_not_an_answer) {
  view_world world;
  world.found();
  BOOST_CHECK_THROW(world.applier.apply(world.txn(), log_index{1}, founded_entry(world.cluster)), storage_failure);
  BOOST_CHECK_THROW(world.applier.apply(world.txn(), log_index{3}, founded_entry(world.cluster)), storage_failure);
}

BOOST_AUTO_TEST_CASE(bytes_that_are_no_entry_are_refused_and_passed) {
  view_world world;
  const std::uint8_t junk[24] = {1, 2, 3};
  auto answer = world.apply_raw(junk);
  BOOST_CHECK_EQUAL(answer.code, ec::malformed);
  BOOST_CHECK(answer.kind == entry_kind::unreadable);
  BOOST_CHECK_EQUAL(read_applied(world.txn()).index, log_index{1});
}

BOOST_AUTO_TEST_CASE(time_never_falls) {
  view_world world;
  world.apply_at(founded_entry(world.cluster), wall_ms{5000});
  world.apply_at(founded_entry(world.cluster), wall_ms{10});
  BOOST_CHECK_EQUAL(read_applied(world.txn()).last_time, wall_ms{5000});
}

BOOST_AUTO_TEST_CASE(a_cluster_is_founded_once) {
  view_world world;
  world.found();
  BOOST_CHECK_EQUAL(world.apply(founded_entry(world.cluster)).code, ec::ok);
  BOOST_CHECK_EQUAL(world.apply(founded_entry(random_id<cluster_id>(world.random))).code, ec::already_exists);
  BOOST_CHECK(find_cluster(world.txn()) == world.cluster);
}

BOOST_AUTO_TEST_CASE(two_stores_that_apply_the_same_entries_hold_the_same_state) {
  // The same seed gives the same people and the same bytes; commits fall in different places.
  digest hashes[2];
  for (int run = 0; run < 2; ++run) {
    view_world world{42};
    world.found();
    std::vector<person> people;
    for (int i = 0; i < 5; ++i)
      people.push_back(world.join());
    for (int i = 0; i < 60; ++i) {
      auto& from = people[world.random.below(5)];
      auto& to = people[world.random.below(5)];
      world.apply(batch_entry(world.batch(from, to.id(), 1 + world.random.below(9)).serialised));
      if (i % 7 == 0)
        world.apply(session_opened_entry(opening(from, world, "c" + std::to_string(i))));
      if (i % 5 == 0) {
        const cursor_moved moved{to.id(), to.device(), read_inbox_head(world.txn(), to.id())};
        world.apply(cursors_entry(std::span{&moved, 1}));
      }
      if (run == 1 && i % 10 == 0)
        world.commit();
    }
    hashes[run] = read_applied(world.txn()).state_hash;
  }
  BOOST_CHECK(hashes[0] == hashes[1]);
  view_world other{42};
  other.found();
  BOOST_CHECK(read_applied(other.txn()).state_hash != hashes[0]);
}

BOOST_AUTO_TEST_CASE(what_verification_found_out_spares_work_and_changes_nothing) {
  view_world plain{5}, helped{5};
  for (auto* world : {&plain, &helped})
    world->found();
  auto alice = plain.join(), same_alice = helped.join();
  auto bob = plain.join(), same_bob = helped.join();
  BOOST_REQUIRE(alice.id() == same_alice.id());
  lane_tail tail;
  std::vector<built_message> messages;
  for (int i = 0; i < 5; ++i)
    messages.push_back(must(make_message(plain.draft(alice, bob.id(), "text"), tail)));
  const bytes malformed(16, 0xff);
  messages.push_back({malformed, hash_link(label::message, malformed)});
  messages.push_back(must(make_message(plain.draft(alice, bob.id()), lane_number{9}, tail.link)));  // a gap
  messages.push_back(must(make_message(plain.draft(alice, bob.id(), "other"), lane_number{3}, messages[1].link)));  // a fork
  const auto raw = must(make_batch(alice.sign, messages)).serialised;
  const auto proven = must(verify(must(unverified_batch::open(raw))));
  const auto other = must(make_batch(alice.sign, std::span{messages}.first(2))).serialised;
  const auto proven_other = must(verify(must(unverified_batch::open(other))));

  // The third time with what is known about another batch: it must not be believed.
  const verified_batch* known[] = {&proven, &proven, &proven_other};
  for (const auto* each : known) {
    auto expected = plain.apply_raw(batch_entry(raw)), got = helped.apply_raw(batch_entry(raw), each);
    BOOST_REQUIRE_EQUAL(got.outcomes.size(), messages.size());
    for (std::size_t i = 0; i < messages.size(); ++i) {
      BOOST_CHECK_EQUAL(got.outcomes[i].code, expected.outcomes[i].code);
      BOOST_CHECK_EQUAL(got.outcomes[i].index, expected.outcomes[i].index);
    }
    BOOST_TEST((read_applied(helped.txn()) == read_applied(plain.txn())));
  }
  BOOST_CHECK_EQUAL(events_of(helped, "fork"), 3U);
}

BOOST_AUTO_TEST_CASE(an_aborted_transaction_leaves_nothing_and_the_applier_goes_on) {
  view_world world;
  world.found();
  world.commit();
  const auto before = read_applied(world.txn());
  auto alice = world.join();
  const auto with_alice = read_applied(world.txn());
  world.abort();
  BOOST_CHECK(read_applied(world.txn()) == before);
  BOOST_CHECK(!find_identity(world.txn(), alice.id()));
  BOOST_CHECK_EQUAL(world.apply_at(alice.entry(), world.now).code, ec::ok);
  BOOST_CHECK(read_applied(world.txn()) == with_alice);
}

// ---- identities ------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(an_identity_is_found_by_permalink_key_and_link_right_after_its_publication) {
  view_world world;
  world.found();
  auto alice = person::make(world.random);
  auto answer = world.apply(alice.entry());
  BOOST_CHECK_EQUAL(answer.code, ec::ok);
  BOOST_CHECK(answer.identity == alice.id());
  BOOST_CHECK(answer.standing == alice.version.link());
  BOOST_CHECK_EQUAL(answer.published, answer.index);
  BOOST_CHECK_EQUAL(find_identity(world.txn(), alice.id())->version, 1U);
  BOOST_CHECK(find_key(world.txn(), alice.device())->identity == alice.id());
  BOOST_CHECK(find_version(world.txn(), alice.version.link())->identity == alice.id());
  auto chain = read_identity_chain(world.txn(), alice.id());
  BOOST_REQUIRE_EQUAL(chain.versions.size(), 1U);
  BOOST_CHECK(std::equal(chain.versions[0].begin(), chain.versions[0].end(), alice.version.serialised().begin(),
                         alice.version.serialised().end()));
  BOOST_CHECK_EQUAL(events_of(world, "identity_created"), 1U);
}

BOOST_AUTO_TEST_CASE(publishing_the_same_version_again_gives_the_same_answer_and_changes_no_row) {
  view_world world;
  world.found();
  auto alice = person::make(world.random);
  auto first = world.apply(alice.entry());
  const auto rows = count_rows(world.txn());
  auto again = world.apply(alice.entry());
  BOOST_CHECK_EQUAL(again.code, ec::ok);
  BOOST_CHECK_EQUAL(again.published, first.published);
  BOOST_CHECK(again.standing == first.standing);
  const auto after = count_rows(world.txn());
  for (std::size_t i = 0; i < rows.size(); ++i)
    if (rows[i].name != table::log::ref.name)
      BOOST_CHECK_EQUAL(rows[i].rows, after[i].rows);
  BOOST_CHECK_EQUAL(events_of(world, "identity_created"), 1U);
}

BOOST_AUTO_TEST_CASE(fifty_identities_that_claim_one_key_have_one_winner) {
  view_world world;
  world.found();
  auto shared = signing_key::generate(world.random);
  std::size_t won = 0, refused = 0;
  permalink winner;
  for (int i = 0; i < 50; ++i) {
    auto update = signing_key::generate(world.random), sign = signing_key::generate(world.random);
    identity_draft draft;
    // Also in the last place: every key is checked, not the first one only.
    draft.keys = {{key_purpose::update, &update}, {key_purpose::sign, &sign}, {key_purpose::sign, &shared}};
    auto version = must(make_first_identity(draft));
    auto answer = world.apply(identity_entry(version.serialised()));
    if (answer.code == ec::ok) {
      ++won;
      winner = version.permalink();
      continue;
    }
    ++refused;
    BOOST_CHECK_EQUAL(answer.code, ec::key_collision);
    BOOST_CHECK(answer.object == winner);
    BOOST_CHECK(!find_identity(world.txn(), version.permalink()));
    BOOST_CHECK(!find_key(world.txn(), sign.public_half()));
  }
  BOOST_CHECK_EQUAL(won, 1U);
  BOOST_CHECK_EQUAL(refused, 49U);
  BOOST_CHECK_EQUAL(events_of(world, "key_collision"), 49U);
  auto events = read_events(world.txn(), world.index(), 10);
  BOOST_REQUIRE_EQUAL(events.size(), 1U);
  BOOST_CHECK(events[0].event.object == to_bytes(winner.view()));
  BOOST_CHECK_EQUAL(events[0].event.subject.size(), 32U);
}

BOOST_AUTO_TEST_CASE(a_later_version_cannot_take_a_foreign_key_and_its_owner_goes_on) {
  pair_of_people both;
  auto stolen = next_version(both.bob, {{key_purpose::update, &both.bob.update}, {key_purpose::sign, &both.alice.sign}},
                             both.bob.update);
  auto answer = both.world.apply(identity_entry(stolen.serialised()));
  BOOST_CHECK_EQUAL(answer.code, ec::key_collision);
  BOOST_CHECK(answer.identity == both.bob.id());
  BOOST_CHECK(answer.object == both.alice.id());
  BOOST_CHECK_EQUAL(find_identity(both.world.txn(), both.bob.id())->version, 1U);
  auto sent = both.send(both.world.batch(both.alice, both.bob.id()).serialised);
  BOOST_CHECK(sent.all_good());
}

BOOST_AUTO_TEST_CASE(a_rotated_key_is_revoked_from_that_entry_on_and_never_comes_back) {
  pair_of_people both;
  auto& world = both.world;
  auto fresh = signing_key::generate(world.random);
  auto second = next_version(both.alice, {{key_purpose::update, &both.alice.update}, {key_purpose::sign, &fresh}},
                             both.alice.update);
  auto accepted = both.world.batch(both.alice, both.bob.id());
  BOOST_CHECK(both.send(accepted.serialised).all_good());

  auto answer = world.apply(identity_entry(second.serialised()));
  BOOST_CHECK_EQUAL(answer.code, ec::ok);
  BOOST_CHECK(answer.standing == second.link());
  auto key = find_key(world.txn(), both.alice.device());
  BOOST_CHECK(!key->stands());
  BOOST_CHECK_EQUAL(key->revoked, answer.index);
  BOOST_CHECK_EQUAL(judge_key(world.txn(), both.alice.id(), both.alice.device(), key_purpose::sign), ec::revoked_key);

  auto late = both.send(world.batch(both.alice, both.bob.id()).serialised);
  BOOST_CHECK_EQUAL(late.outcomes[0].code, outcome_code::revoked_key);
  // What stood before is a duplicate, not a refusal: its author may ask again after an unknown outcome.
  auto again = both.send(accepted.serialised);
  BOOST_CHECK_EQUAL(again.outcomes[0].code, outcome_code::duplicate);
  BOOST_CHECK_EQUAL(events_of(world, "permission_denied"), 1U);

  identity_draft draft;
  draft.keys = {{key_purpose::update, &both.alice.update}, {key_purpose::sign, &both.alice.sign}};
  auto third = must(make_next_identity(second, draft, both.alice.update));
  BOOST_CHECK_EQUAL(world.apply(identity_entry(third.serialised())).code, ec::revoked_key);
  draft.keys = {{key_purpose::update, &both.alice.update}, {key_purpose::sign, &fresh},
                {key_purpose::sign, &both.alice.encrypt}};
  auto other = must(make_next_identity(second, draft, both.alice.update));
  BOOST_CHECK_EQUAL(world.apply(identity_entry(other.serialised())).code, ec::wrong_key_purpose);
  BOOST_CHECK_EQUAL(read_identity_chain(world.txn(), both.alice.id()).versions.size(), 2U);
}

BOOST_AUTO_TEST_CASE(of_two_next_versions_one_wins_and_the_other_is_told_what_stands) {
  pair_of_people both;
  auto& world = both.world;
  auto one = signing_key::generate(world.random), two = signing_key::generate(world.random);
  auto first = next_version(both.alice, {{key_purpose::update, &both.alice.update}, {key_purpose::sign, &one}},
                            both.alice.update);
  auto second = next_version(both.alice, {{key_purpose::update, &both.alice.update}, {key_purpose::sign, &two}},
                             both.alice.update);
  BOOST_CHECK_EQUAL(world.apply(identity_entry(first.serialised())).code, ec::ok);
  auto answer = world.apply(identity_entry(second.serialised()));
  BOOST_CHECK_EQUAL(answer.code, ec::version_conflict);
  BOOST_CHECK(answer.standing == first.link());
  // The older version again is an old answer, not a way back.
  auto old = world.apply(both.alice.entry());
  BOOST_CHECK_EQUAL(old.code, ec::ok);
  BOOST_CHECK(old.standing == first.link());
  BOOST_CHECK_EQUAL(find_identity(world.txn(), both.alice.id())->version, 2U);
}

BOOST_AUTO_TEST_CASE(a_version_that_no_update_key_signed_is_refused_and_noted) {
  pair_of_people both;
  auto forged = next_version(both.alice, {{key_purpose::update, &both.alice.update}, {key_purpose::sign, &both.alice.sign}},
                             both.alice.update);
  auto raw = to_bytes(forged.serialised());
  // The update signature stands last in what make_next_identity writes; find it by its bytes.
  const auto& proof = forged.update_signature();
  auto at = std::search(raw.begin(), raw.end(), proof.raw.begin(), proof.raw.end());
  BOOST_REQUIRE(at != raw.end());
  *at ^= 1;
  BOOST_CHECK_EQUAL(both.world.apply(identity_entry(raw)).code, ec::bad_signature);
  BOOST_CHECK_EQUAL(events_of(both.world, "bad_signature"), 1U);
}

BOOST_AUTO_TEST_CASE(a_successor_of_nobody_and_bytes_that_are_no_version_are_refused) {
  pair_of_people both;
  auto stranger = person::make(both.world.random);
  auto second = next_version(stranger, {{key_purpose::update, &stranger.update}, {key_purpose::sign, &stranger.sign}},
                             stranger.update);
  BOOST_CHECK_EQUAL(both.world.apply(identity_entry(second.serialised())).code, ec::unknown_identity);
  BOOST_CHECK_EQUAL(both.world.apply(identity_entry(as_bytes("nonsense"))).code, ec::malformed);
}

// ---- sessions --------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(a_session_is_opened_renewed_and_closed_by_its_epoch_only) {
  pair_of_people both;
  auto& world = both.world;
  auto first = world.apply(session_opened_entry(opening(both.alice, world)));
  BOOST_CHECK_EQUAL(first.code, ec::ok);
  BOOST_CHECK_EQUAL(first.epoch, value(first.index));
  BOOST_CHECK_EQUAL(first.replaced_epoch, 0U);
  auto second = world.apply(session_opened_entry(opening(both.alice, world)));
  BOOST_CHECK_EQUAL(second.replaced_epoch, first.epoch);

  const signet::session_key key{both.alice.id(), both.alice.device(), "phone"};
  const session_closing stale{key, first.epoch, "disconnected"};
  world.apply(sessions_closed_entry(std::span{&stale, 1}));
  BOOST_CHECK_EQUAL(find_session(world.txn(), both.alice.id(), "phone")->epoch, second.epoch);

  session_renewal renewal{key, first.epoch, wall_ms{value(world.now) + 7'200'000}, {}};
  auto refused = world.apply(session_renewed_entry(renewal));
  BOOST_CHECK_EQUAL(refused.code, ec::taken_over);
  BOOST_CHECK_EQUAL(refused.epoch, second.epoch);
  renewal.epoch = second.epoch;
  BOOST_CHECK_EQUAL(world.apply(session_renewed_entry(renewal)).code, ec::ok);
  BOOST_CHECK_EQUAL(find_session(world.txn(), both.alice.id(), "phone")->expires, renewal.expires);
  BOOST_CHECK_EQUAL(world.txn().count(table::session_ends::ref), 1U);

  const session_closing current{key, second.epoch, "disconnected"};
  BOOST_CHECK_EQUAL(world.apply(sessions_closed_entry(std::span{&current, 1})).code, ec::ok);
  BOOST_CHECK(!find_session(world.txn(), both.alice.id(), "phone"));
  BOOST_CHECK_EQUAL(world.txn().count(table::session_ends::ref), 0U);
  BOOST_CHECK_EQUAL(world.apply(session_renewed_entry(renewal)).code, ec::session_expired);
}

BOOST_AUTO_TEST_CASE(only_the_session_that_stands_may_say_that_it_reads_the_inbox_and_no_row_changes) {
  pair_of_people both;
  auto& world = both.world;
  const signet::session_key key{both.alice.id(), both.alice.device(), "phone"};
  BOOST_CHECK_EQUAL(world.apply(inbox_taken_entry({key, 7})).code, ec::session_expired);
  const auto first = world.apply(session_opened_entry(opening(both.alice, world)));
  const auto second = world.apply(session_opened_entry(opening(both.alice, world)));
  BOOST_CHECK_EQUAL(world.apply(inbox_taken_entry({key, first.epoch})).code, ec::taken_over);
  BOOST_CHECK_EQUAL(world.apply(inbox_taken_entry({{key.identity, both.bob.device(), key.client_id}, second.epoch})).code,
                    ec::taken_over);
  const auto row = find_session(world.txn(), key.identity, key.client_id);
  for (int twice = 0; twice < 2; ++twice) {
    const auto taken = world.apply(inbox_taken_entry({key, second.epoch}));
    BOOST_CHECK_EQUAL(taken.code, ec::ok);
    BOOST_CHECK(taken.kind == entry_kind::inbox_taken);
    BOOST_CHECK_EQUAL(taken.epoch, second.epoch);
  }
  BOOST_CHECK(find_session(world.txn(), key.identity, key.client_id) == row);
  world.now = row->expires;
  BOOST_CHECK_EQUAL(world.apply(inbox_taken_entry({key, second.epoch})).code, ec::session_expired);
}

BOOST_AUTO_TEST_CASE(a_token_nonce_is_claimed_once_by_opening_and_by_renewal) {
  pair_of_people both;
  auto& world = both.world;
  auto open = opening(both.alice, world);
  open.token = token_of(world);
  auto first = world.apply(session_opened_entry(open));
  BOOST_CHECK_EQUAL(first.code, ec::ok);
  BOOST_CHECK_EQUAL(world.apply(session_opened_entry(open)).code, ec::token_spent);
  open.key.client_id = "laptop";
  BOOST_CHECK_EQUAL(world.apply(session_opened_entry(open)).code, ec::token_spent);
  session_renewal renewal{{both.alice.id(), both.alice.device(), "phone"}, first.epoch,
                          wall_ms{value(world.now) + 7'200'000}, open.token};
  BOOST_CHECK_EQUAL(world.apply(session_renewed_entry(renewal)).code, ec::token_spent);
  BOOST_CHECK_EQUAL(events_of(world, "replayed_login"), 3U);
  BOOST_CHECK(!find_session(world.txn(), both.alice.id(), "laptop"));
  // Another device's token with the same nonce is another token.
  auto other = opening(both.bob, world);
  other.token = open.token;
  BOOST_CHECK_EQUAL(world.apply(session_opened_entry(other)).code, ec::ok);
}

BOOST_AUTO_TEST_CASE(a_token_outside_its_life_is_refused_also_after_its_nonce_is_forgotten) {
  pair_of_people both;
  auto& world = both.world;
  auto open = opening(both.alice, world);
  open.expires = wall_ms{value(world.now) + 36'000'000};
  open.token = token_of(world);
  BOOST_CHECK_EQUAL(world.apply(session_opened_entry(open)).code, ec::ok);
  BOOST_CHECK_EQUAL(world.txn().count(table::nonces::ref), 1U);
  world.now = open.token.ends;
  BOOST_CHECK_EQUAL(world.apply_at(session_opened_entry(open), world.now).code, ec::token_expired);
  BOOST_CHECK_EQUAL(world.txn().count(table::nonces::ref), 0U);
  BOOST_CHECK_EQUAL(world.txn().count(table::nonce_ends::ref), 0U);
  BOOST_CHECK_EQUAL(world.apply(session_opened_entry(open)).code, ec::token_expired);

  open.token = token_of(world);
  open.token.issued = wall_ms{value(world.now) + 120'000};
  open.token.ends = wall_ms{value(world.now) + 180'000};
  BOOST_CHECK_EQUAL(world.apply(session_opened_entry(open)).code, ec::token_expired);
  open.token = token_of(world);
  open.token.ends = wall_ms{value(open.token.issued) + 300'001};
  BOOST_CHECK_EQUAL(world.apply(session_opened_entry(open)).code, ec::malformed);
}

BOOST_AUTO_TEST_CASE(ended_nonces_are_dropped_a_bounded_number_per_entry) {
  pair_of_people both;
  auto& world = both.world;
  for (int i = 0; i < 10; ++i) {
    auto open = opening(both.alice, world, "c" + std::to_string(i));
    open.token = token_of(world);
    BOOST_REQUIRE_EQUAL(world.apply(session_opened_entry(open)).code, ec::ok);
  }
  world.now = wall_ms{value(world.now) + 1'000'000};
  for (std::size_t left : {6U, 2U, 0U}) {
    world.apply(founded_entry(world.cluster));
    BOOST_CHECK_EQUAL(world.txn().count(table::nonces::ref), left);
  }
}

BOOST_AUTO_TEST_CASE(a_session_needs_a_sign_key_of_its_identity_that_stands) {
  pair_of_people both;
  auto& world = both.world;
  auto open = opening(both.alice, world);
  open.key.device = both.bob.device();
  BOOST_CHECK_EQUAL(world.apply(session_opened_entry(open)).code, ec::unknown_identity);
  open.key.device = both.alice.update.public_half();
  BOOST_CHECK_EQUAL(world.apply(session_opened_entry(open)).code, ec::wrong_key_purpose);
  open = opening(both.alice, world);
  open.expires = world.now;
  BOOST_CHECK_EQUAL(world.apply(session_opened_entry(open)).code, ec::session_expired);
  auto stranger = person::make(world.random);
  BOOST_CHECK_EQUAL(world.apply(session_opened_entry(opening(stranger, world))).code, ec::unknown_identity);
  open = opening(both.alice, world, std::string(129, 'x'));
  BOOST_CHECK_EQUAL(world.apply(session_opened_entry(open)).code, ec::malformed);
  BOOST_CHECK_EQUAL(world.txn().count(table::sessions::ref), 0U);
}

BOOST_AUTO_TEST_CASE(a_first_time_client_publishes_and_opens_in_one_entry_or_does_neither) {
  view_world world;
  world.found();
  auto alice = person::make(world.random);
  auto open = opening(alice, world);
  open.identity = to_bytes(alice.version.serialised());
  auto late = open;
  late.expires = wall_ms{1};
  BOOST_CHECK_EQUAL(world.apply(session_opened_entry(late)).code, ec::session_expired);
  BOOST_CHECK(!find_identity(world.txn(), alice.id()));

  auto wrong = open;
  wrong.key.device = alice.encrypt.public_half();
  BOOST_CHECK_EQUAL(world.apply(session_opened_entry(wrong)).code, ec::wrong_key_purpose);
  BOOST_CHECK(!find_identity(world.txn(), alice.id()));

  auto foreign = open;
  foreign.key.identity = person::make(world.random).id();
  BOOST_CHECK_EQUAL(world.apply(session_opened_entry(foreign)).code, ec::malformed);

  auto answer = world.apply(session_opened_entry(open));
  BOOST_CHECK_EQUAL(answer.code, ec::ok);
  BOOST_CHECK(answer.standing == alice.version.link());
  BOOST_CHECK(find_identity(world.txn(), alice.id()));
  auto again = world.apply(session_opened_entry(open));
  BOOST_CHECK_EQUAL(again.code, ec::ok);
  BOOST_CHECK_EQUAL(events_of(world, "identity_created"), 1U);
  BOOST_CHECK_EQUAL(events_of(world, "login_ok"), 2U);
}

BOOST_AUTO_TEST_CASE(a_rotation_ends_the_sessions_of_the_keys_it_revokes_and_no_others) {
  pair_of_people both;
  auto& world = both.world;
  auto laptop = signing_key::generate(world.random);
  auto second = next_version(both.alice, {{key_purpose::update, &both.alice.update},
                                          {key_purpose::sign, &both.alice.sign},
                                          {key_purpose::sign, &laptop}}, both.alice.update);
  BOOST_REQUIRE_EQUAL(world.apply(identity_entry(second.serialised())).code, ec::ok);
  auto on_phone = opening(both.alice, world, "phone");
  auto on_laptop = opening(both.alice, world, "laptop");
  on_laptop.key.device = laptop.public_half();
  BOOST_REQUIRE_EQUAL(world.apply(session_opened_entry(on_phone)).code, ec::ok);
  BOOST_REQUIRE_EQUAL(world.apply(session_opened_entry(on_laptop)).code, ec::ok);

  identity_draft draft;
  draft.keys = {{key_purpose::update, &both.alice.update}, {key_purpose::sign, &laptop}};
  auto third = must(make_next_identity(second, draft, both.alice.update));
  BOOST_REQUIRE_EQUAL(world.apply(identity_entry(third.serialised())).code, ec::ok);
  BOOST_CHECK(!find_session(world.txn(), both.alice.id(), "phone"));
  BOOST_CHECK(find_session(world.txn(), both.alice.id(), "laptop"));
  BOOST_CHECK_EQUAL(events_of(world, "session_revoked"), 1U);
  BOOST_CHECK_EQUAL(world.apply(session_opened_entry(on_phone)).code, ec::revoked_key);
}

BOOST_AUTO_TEST_CASE(an_identity_has_a_bounded_number_of_sessions) {
  pair_of_people both;
  auto& world = both.world;
  for (std::size_t i = 0; i < sessions_per_identity_max + 3; ++i)
    BOOST_REQUIRE_EQUAL(world.apply(session_opened_entry(opening(both.alice, world, "c" + std::to_string(i)))).code,
                        ec::ok);
  BOOST_CHECK_EQUAL(read_sessions(world.txn(), both.alice.id()).size(), sessions_per_identity_max);
  BOOST_CHECK_EQUAL(world.txn().count(table::session_ends::ref), sessions_per_identity_max);
  BOOST_CHECK(!find_session(world.txn(), both.alice.id(), "c0"));
  BOOST_CHECK(find_session(world.txn(), both.alice.id(), "c3"));
  BOOST_CHECK_EQUAL(events_of(world, "quota"), 3U);
}

BOOST_AUTO_TEST_CASE(the_janitor_sees_ended_sessions_and_closing_them_leaves_nothing) {
  pair_of_people both;
  auto& world = both.world;
  for (int i = 0; i < 5; ++i)
    world.apply(session_opened_entry(opening(both.alice, world, "c" + std::to_string(i))));
  BOOST_CHECK(read_ended_sessions(world.txn(), world.now, 100).empty());
  auto later = wall_ms{value(world.now) + 3'600'001};
  auto ended = read_ended_sessions(world.txn(), later, 3);
  BOOST_REQUIRE_EQUAL(ended.size(), 3U);
  world.apply_at(sessions_closed_entry(ended), later);
  ended = read_ended_sessions(world.txn(), later, 100);
  BOOST_CHECK_EQUAL(ended.size(), 2U);
  world.apply_at(sessions_closed_entry(ended), later);
  BOOST_CHECK_EQUAL(world.txn().count(table::sessions::ref), 0U);
  BOOST_CHECK_EQUAL(events_of(world, "session_expired"), 5U);
}

// ---- batches ---------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(a_batch_moves_lane_and_inbox_and_is_answered_for_each_message) {
  pair_of_people both;
  auto& world = both.world;
  auto answer = both.send(world.batch(both.alice, both.bob.id(), 5).serialised);
  BOOST_CHECK(answer.all_good());
  BOOST_REQUIRE_EQUAL(answer.outcomes.size(), 5U);
  for (const auto& each : answer.outcomes)
    BOOST_CHECK(each == (outcome{outcome_code::accepted, answer.index, {}}));
  auto lane = read_lane(world.txn(), {both.alice.device(), both.bob.id()});
  BOOST_CHECK_EQUAL(lane.n, lane_number{5});
  BOOST_CHECK_EQUAL(read_inbox_head(world.txn(), both.bob.id()), inbox_position{5});
  // One row each, however many messages.
  BOOST_CHECK_EQUAL(world.txn().count(table::lanes::ref), 1U);
  BOOST_CHECK_EQUAL(world.txn().count(table::inbox::ref), 1U);
}

BOOST_AUTO_TEST_CASE(the_same_batch_again_is_a_duplicate_at_the_same_index_wherever_in_the_lane_it_stands) {
  pair_of_people both;
  auto& world = both.world;
  auto first = world.batch(both.alice, both.bob.id(), 4);
  auto at = both.send(first.serialised).index;
  both.send(world.batch(both.alice, both.bob.id(), 3).serialised);
  const auto rows = count_rows(world.txn());
  for (int i = 0; i < 3; ++i) {
    auto again = both.send(first.serialised);
    BOOST_CHECK(again.all_good());
    for (const auto& each : again.outcomes)
      BOOST_CHECK(each == (outcome{outcome_code::duplicate, at, {}}));
  }
  const auto after = count_rows(world.txn());
  for (std::size_t i = 0; i < rows.size(); ++i)
    if (rows[i].name != table::log::ref.name)
      BOOST_CHECK_EQUAL(rows[i].rows, after[i].rows);
}

BOOST_AUTO_TEST_CASE(a_gap_names_the_number_that_is_expected_and_stops_its_lane_only) {
  pair_of_people both;
  auto& world = both.world;
  auto carol = world.join();
  both.send(world.batch(both.alice, both.bob.id(), 2).serialised);
  auto lost = world.batch(both.alice, both.bob.id(), 1);  // n = 3 never arrives
  std::vector<message_draft> drafts{world.draft(both.alice, both.bob.id()), world.draft(both.alice, carol.id()),
                                    world.draft(both.alice, both.bob.id())};
  auto answer = both.send(must(make_batch(both.alice.sign, drafts, both.alice.tails)).serialised);
  BOOST_CHECK(answer.outcomes[0] == (outcome{outcome_code::gap, {}, lane_number{3}}));
  BOOST_CHECK_EQUAL(answer.outcomes[1].code, outcome_code::accepted);
  BOOST_CHECK(answer.outcomes[2] == (outcome{outcome_code::gap, {}, lane_number{3}}));
  BOOST_CHECK_EQUAL(events_of(world, "gap"), 2U);
  BOOST_CHECK(both.send(lost.serialised).all_good());
  BOOST_CHECK_EQUAL(read_inbox_head(world.txn(), both.bob.id()), inbox_position{3});
}

BOOST_AUTO_TEST_CASE(another_message_under_a_number_that_stands_is_a_fork_with_evidence_and_event) {
  pair_of_people both;
  auto& world = both.world;
  auto batch = world.batch(both.alice, both.bob.id(), 5);
  auto stands = both.send(batch.serialised);
  const std::uint64_t numbers[] = {1, 3, 5};
  for (auto n : numbers) {
    auto forged = both.crafted(lane_number{n}, n == 1 ? link{} : batch.links[n - 2]);
    auto answer = both.send(forged.serialised);
    BOOST_CHECK(answer.outcomes[0] == (outcome{outcome_code::fork, {}, lane_number{6}}));
    const fork_key key{{both.alice.device(), both.bob.id()}, lane_number{n}, forged.links[0]};
    auto evidence = get<table::forks>(world.txn(), key);
    BOOST_REQUIRE(evidence.has_value());
    BOOST_CHECK_EQUAL(evidence->index, answer.index);
    BOOST_CHECK_EQUAL(evidence->standing, stands.index);
    // The evidence is complete: the log holds the refused message under its author's signature.
    BOOST_CHECK(load_batch(world.txn(), evidence->index).batch.link(evidence->leaf) == forged.links[0]);
  }
  BOOST_CHECK_EQUAL(events_of(world, "fork"), 3U);
  BOOST_CHECK_EQUAL(read_lane(world.txn(), {both.alice.device(), both.bob.id()}).n, lane_number{5});
  BOOST_CHECK_EQUAL(read_inbox_head(world.txn(), both.bob.id()), inbox_position{5});
}

BOOST_AUTO_TEST_CASE(a_message_that_follows_another_predecessor_is_a_fork) {
  pair_of_people both;
  both.send(both.world.batch(both.alice, both.bob.id(), 2).serialised);
  link other;
  other.raw.fill(9);
  auto answer = both.send(both.crafted(lane_number{3}, other).serialised);
  BOOST_CHECK(answer.outcomes[0] == (outcome{outcome_code::fork, {}, lane_number{3}}));
}

BOOST_AUTO_TEST_CASE(within_one_batch_a_repeated_message_is_a_duplicate_and_a_changed_one_a_fork) {
  pair_of_people both;
  auto& world = both.world;
  lane_tail tail;
  auto one = must(make_message(world.draft(both.alice, both.bob.id(), "one"), tail));
  auto two = must(make_message(world.draft(both.alice, both.bob.id(), "two"), tail));
  auto fork = must(make_message(world.draft(both.alice, both.bob.id(), "other"), lane_number{1}, {}));
  auto three = must(make_message(world.draft(both.alice, both.bob.id(), "three"), tail));
  const built_message all[] = {one, two, one, fork, three};
  auto answer = both.send(must(make_batch(both.alice.sign, all)).serialised);
  BOOST_CHECK_EQUAL(answer.outcomes[0].code, outcome_code::accepted);
  BOOST_CHECK_EQUAL(answer.outcomes[1].code, outcome_code::accepted);
  BOOST_CHECK(answer.outcomes[2] == (outcome{outcome_code::duplicate, answer.index, {}}));
  BOOST_CHECK(answer.outcomes[3] == (outcome{outcome_code::fork, {}, lane_number{3}}));
  BOOST_CHECK(answer.outcomes[4] == (outcome{outcome_code::gap, {}, lane_number{3}}));
  BOOST_CHECK_EQUAL(read_inbox_head(world.txn(), both.bob.id()), inbox_position{2});
}

BOOST_AUTO_TEST_CASE(messages_for_strangers_or_another_cluster_are_not_for_here) {
  pair_of_people both;
  auto& world = both.world;
  auto stranger = person::make(world.random);
  auto answer = both.send(world.batch(both.alice, stranger.id(), 2).serialised);
  BOOST_CHECK_EQUAL(answer.outcomes[0].code, outcome_code::not_for_here);
  BOOST_CHECK_EQUAL(answer.outcomes[1].code, outcome_code::not_for_here);
  auto draft = world.draft(both.alice, both.bob.id());
  draft.cluster = random_id<cluster_id>(world.random);
  auto message = must(make_message(draft, lane_number{1}, {}));
  auto elsewhere = both.send(must(make_batch(both.alice.sign, std::span{&message, 1})).serialised);
  BOOST_CHECK_EQUAL(elsewhere.outcomes[0].code, outcome_code::not_for_here);
  BOOST_CHECK_EQUAL(world.txn().count(table::inbox::ref), 0U);
}

BOOST_AUTO_TEST_CASE(a_batch_under_a_foreign_unknown_or_wrong_key_delivers_nothing) {
  pair_of_people both;
  auto& world = both.world;
  auto message = must(make_message(world.draft(both.alice, both.bob.id()), lane_number{1}, {}));
  const std::span one{&message, 1};
  auto by_bob = both.send(must(make_batch(both.bob.sign, one)).serialised);
  BOOST_CHECK_EQUAL(by_bob.outcomes[0].code, outcome_code::bad_signature);
  auto by_nobody = both.send(must(make_batch(signing_key::generate(world.random), one)).serialised);
  BOOST_CHECK_EQUAL(by_nobody.outcomes[0].code, outcome_code::bad_signature);
  auto by_update = both.send(must(make_batch(both.alice.update, one)).serialised);
  BOOST_CHECK_EQUAL(by_update.outcomes[0].code, outcome_code::wrong_key_purpose);
  BOOST_CHECK_EQUAL(both.send(as_bytes("no batch")).code, ec::malformed);
  BOOST_CHECK_EQUAL(world.txn().count(table::inbox::ref), 0U);
  BOOST_CHECK_EQUAL(events_of(world, "permission_denied"), 3U);
}

BOOST_AUTO_TEST_CASE(equal_and_falling_times_of_authors_order_nothing) {
  pair_of_people both;
  auto& world = both.world;
  for (std::uint64_t i = 0; i < 40; ++i) {
    auto draft = world.draft(both.alice, both.bob.id());
    draft.time = wall_ms{i < 20 ? 1000 : 2000 - i};
    auto answer = both.send(must(make_batch(both.alice.sign, std::span{&draft, 1}, both.alice.tails)).serialised);
    BOOST_CHECK(answer.all_good());
  }
  BOOST_CHECK_EQUAL(read_inbox_head(world.txn(), both.bob.id()), inbox_position{40});
}

// ---- cursors and events ----------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(a_cursor_never_moves_back_nor_beyond_the_head_nor_for_a_foreign_device) {
  pair_of_people both;
  auto& world = both.world;
  both.send(world.batch(both.alice, both.bob.id(), 5).serialised);
  const auto move = [&](const public_key& device, std::uint64_t position) {
    const cursor_moved moved{both.bob.id(), device, inbox_position{position}};
    BOOST_CHECK_EQUAL(world.apply(cursors_entry(std::span{&moved, 1})).code, ec::ok);
    return value(read_cursor(world.txn(), both.bob.id(), device));
  };
  BOOST_CHECK_EQUAL(move(both.bob.device(), 3), 3U);
  BOOST_CHECK_EQUAL(move(both.bob.device(), 2), 3U);
  BOOST_CHECK_EQUAL(move(both.bob.device(), 6), 3U);
  BOOST_CHECK_EQUAL(move(both.bob.device(), 5), 5U);
  BOOST_CHECK_EQUAL(move(both.alice.device(), 4), 0U);
}

BOOST_AUTO_TEST_CASE(security_events_are_stored_and_counted) {
  view_world world;
  const security_event events[] = {
    {{"login_failed", bytes(32, 1), {}, "unknown_key", "192.0.2.1"}, 40},
    {{"rate_limit", {}, {}, "attempts", "192.0.2.1"}, 2},
    {{"login_failed", bytes(32, 2), {}, "bad_proof", "192.0.2.2"}, 1},
  };
  auto answer = world.apply(security_events_entry(events));
  BOOST_CHECK_EQUAL(answer.code, ec::ok);
  BOOST_CHECK_EQUAL(events_of(world, "login_failed"), 41U);
  BOOST_CHECK_EQUAL(events_of(world, "rate_limit"), 2U);
  auto stored = read_events(world.txn(), answer.index, 10);
  BOOST_REQUIRE_EQUAL(stored.size(), 3U);
  BOOST_CHECK_EQUAL(stored[0].event.count, 40U);
  BOOST_CHECK_EQUAL(stored[2].event.detail, "bad_proof");
  BOOST_CHECK_EQUAL(read_event_counts(world.txn()).size(), 2U);
  const security_event nameless[] = {{{"", {}, {}, "", ""}, 1}};
  BOOST_CHECK_EQUAL(world.apply(security_events_entry(nameless)).code, ec::malformed);
}

// ---- bots ------------------------------------------------------------------------------------------------------------

struct bot_world : pair_of_people {
  std::uint64_t epoch = 0;
  bot_world() { epoch = world.apply(bot_deployed_entry(bob.id(), "echo")).epoch; }
  void receive(std::size_t count) { BOOST_REQUIRE(send(world.batch(alice, bob.id(), count).serialised).all_good()); }
  entry_result commit(std::uint64_t from, std::uint64_t input, bytes_view batch = {}) {
    return world.apply(bot_committed_entry(bob.id(), epoch, inbox_position{from}, inbox_position{input}, batch));
  }
  entry_result attempt(std::uint64_t input, std::uint32_t number) {
    return world.apply(bot_attempted_entry(bob.id(), epoch, inbox_position{input}, number));
  }
  entry_result bury(std::uint64_t input) {
    return world.apply(bot_dead_lettered_entry(bob.id(), epoch, inbox_position{input}, 5, "it threw"));
  }
  bot_row row() { return *find_bot(world.txn(), bob.id()); }
};

BOOST_AUTO_TEST_CASE(a_bot_commits_inputs_in_order_and_its_replies_in_the_same_entry) {
  bot_world bot;
  bot.receive(3);
  auto reply = bot.world.batch(bot.bob, bot.alice.id(), 2);
  auto answer = bot.commit(1, 2, reply.serialised);
  BOOST_CHECK(answer.all_good());
  BOOST_CHECK_EQUAL(answer.position, inbox_position{2});
  BOOST_CHECK_EQUAL(read_inbox_head(bot.world.txn(), bot.alice.id()), inbox_position{2});
  BOOST_CHECK_EQUAL(bot.row().committed, 2U);
  // The same entry again: the same answer, no second effect.
  auto again = bot.commit(1, 2, reply.serialised);
  BOOST_CHECK(again.all_good());
  BOOST_CHECK_EQUAL(read_inbox_head(bot.world.txn(), bot.alice.id()), inbox_position{2});
  BOOST_CHECK_EQUAL(bot.row().committed, 2U);
  BOOST_CHECK(bot.commit(3, 3).all_good());
}

BOOST_AUTO_TEST_CASE(a_bot_that_skips_repeats_or_reads_ahead_is_refused_with_what_stands) {
  bot_world bot;
  bot.receive(3);
  BOOST_CHECK_EQUAL(bot.commit(2, 2).code, ec::version_conflict);
  BOOST_CHECK_EQUAL(bot.commit(1, 4).code, ec::version_conflict);
  BOOST_CHECK(bot.commit(1, 1).all_good());
  auto other = bot.world.batch(bot.bob, bot.alice.id());
  auto repeated = bot.commit(1, 1, other.serialised);
  BOOST_CHECK_EQUAL(repeated.code, ec::version_conflict);
  BOOST_CHECK_EQUAL(repeated.position, inbox_position{1});
  BOOST_CHECK(!repeated.outcomes[0].good());
  BOOST_CHECK_EQUAL(read_inbox_head(bot.world.txn(), bot.alice.id()), inbox_position{});
}

BOOST_AUTO_TEST_CASE(an_older_epoch_of_a_bot_is_refused) {
  bot_world bot;
  bot.receive(2);
  auto newer = bot.world.apply(bot_deployed_entry(bot.bob.id(), "echo 2"));
  auto refused = bot.commit(1, 1);
  BOOST_CHECK_EQUAL(refused.code, ec::taken_over);
  BOOST_CHECK_EQUAL(refused.epoch, newer.epoch);
  BOOST_CHECK_EQUAL(bot.attempt(1, 1).code, ec::taken_over);
  BOOST_CHECK_EQUAL(bot.bury(1).code, ec::taken_over);
  bot.epoch = newer.epoch;
  BOOST_CHECK(bot.commit(1, 1).all_good());
  BOOST_CHECK_EQUAL(bot.row().name, "echo 2");
}

BOOST_AUTO_TEST_CASE(one_bad_reply_and_nothing_of_the_entry_has_happened) {
  bot_world bot;
  bot.receive(1);
  auto good = must(make_message(bot.world.draft(bot.bob, bot.alice.id()), lane_number{1}, {}));
  link other;
  other.raw.fill(3);
  auto gap = must(make_message(bot.world.draft(bot.bob, bot.alice.id()), lane_number{3}, other));
  const built_message both[] = {good, gap};
  auto answer = bot.commit(1, 1, must(make_batch(bot.bob.sign, both)).serialised);
  BOOST_CHECK_EQUAL(answer.code, ec::version_conflict);
  BOOST_CHECK_EQUAL(answer.outcomes[1].code, outcome_code::gap);
  BOOST_CHECK(!answer.outcomes[0].good());
  BOOST_CHECK_EQUAL(bot.row().position, inbox_position{});
  BOOST_CHECK_EQUAL(read_inbox_head(bot.world.txn(), bot.alice.id()), inbox_position{});
  // Signed by somebody else, however well.
  auto foreign = bot.world.batch(bot.alice, bot.bob.id());
  BOOST_CHECK_EQUAL(bot.commit(1, 1, foreign.serialised).code, ec::bad_signature);
  BOOST_CHECK_EQUAL(read_inbox_head(bot.world.txn(), bot.bob.id()), inbox_position{1});
}

BOOST_AUTO_TEST_CASE(attempts_are_counted_and_a_dead_letter_can_be_committed_later) {
  bot_world bot;
  bot.receive(2);
  BOOST_CHECK_EQUAL(bot.attempt(1, 2).code, ec::version_conflict);
  BOOST_CHECK_EQUAL(bot.attempt(1, 1).code, ec::ok);
  BOOST_CHECK_EQUAL(bot.attempt(1, 1).code, ec::ok);
  BOOST_CHECK_EQUAL(bot.attempt(1, 2).code, ec::ok);
  BOOST_CHECK_EQUAL(bot.row().attempts, 2U);
  BOOST_CHECK_EQUAL(bot.bury(2).code, ec::version_conflict);
  auto buried = bot.bury(1);
  BOOST_CHECK_EQUAL(buried.code, ec::ok);
  BOOST_CHECK_EQUAL(buried.position, inbox_position{1});
  BOOST_CHECK_EQUAL(bot.bury(1).code, ec::ok);
  BOOST_CHECK_EQUAL(bot.row().dead_letters, 1U);
  BOOST_CHECK_EQUAL(bot.row().attempts, 0U);
  auto letters = read_dead_letters(bot.world.txn(), bot.bob.id(), inbox_position{1}, 10);
  BOOST_REQUIRE_EQUAL(letters.size(), 1U);
  BOOST_CHECK_EQUAL(letters[0].row.error, "it threw");
  BOOST_CHECK(bot.commit(2, 2).all_good());

  auto reply = bot.world.batch(bot.bob, bot.alice.id());
  BOOST_CHECK(bot.commit(1, 1, reply.serialised).all_good());
  BOOST_CHECK_EQUAL(bot.row().dead_letters, 0U);
  BOOST_CHECK_EQUAL(bot.row().committed, 2U);
  BOOST_CHECK_EQUAL(bot.row().position, inbox_position{2});
  BOOST_CHECK_EQUAL(bot.bury(1).code, ec::version_conflict);
}

BOOST_AUTO_TEST_CASE(only_a_deployed_bot_of_a_known_identity_can_do_anything) {
  pair_of_people both;
  auto stranger = person::make(both.world.random);
  BOOST_CHECK_EQUAL(both.world.apply(bot_deployed_entry(stranger.id(), "x")).code, ec::unknown_identity);
  auto answer = both.world.apply(bot_committed_entry(both.bob.id(), 1, inbox_position{1}, inbox_position{1}, {}));
  BOOST_CHECK_EQUAL(answer.code, ec::not_found);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace
} // namespace signet::storage
