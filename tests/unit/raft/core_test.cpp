#include "storage/raft/core.hpp"

#include "tests/unit/raft/by_hand.hpp"

#include <boost/test/unit_test.hpp>
#include <random>

using namespace signet;
using namespace signet::raft;
using namespace signet::raft::test;

namespace {

const configuration one{voter(1)};
const configuration three{voter(1), voter(2), voter(3)};
constexpr auto everybody = [](auto, auto) { return true; };

servers_by_hand started(const configuration& founders, std::uint32_t in_flight_max = 256) {
  servers_by_hand out;
  for (const auto& m : founders) {
    out.add(value(m.id), founders);
    out[value(m.id)].how.in_flight_entries_max = in_flight_max;
    out[value(m.id)].start();
  }
  return out;
}

/// Time passes and messages flow.
void run(servers_by_hand& c, std::uint64_t ms) {
  for (std::uint64_t passed = 0; passed < ms; passed += 10) {
    for (auto& [self, s] : c.all) {
      s.now += 10;
      if (s.core && value(s.core->next_timeout()) <= s.now)
        s.take(s.core->timeout(s.clock()));
    }
    c.deliver(everybody);
  }
}

ec code_of(const result<update>& r) { return r ? ec::ok : r.error().code; }

} // namespace

// ---- configurations --------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_SUITE(raft_configuration_bytes)

BOOST_AUTO_TEST_CASE(the_documented_example_is_what_is_written) {
  auto raw = encode({{nr(1), "a", member_role::voter}});
  BOOST_TEST(to_hex(raw) == "010100000000000000010000000000000061000100000000");
  BOOST_TEST((decode_configuration(raw) == configuration{{nr(1), "a", member_role::voter}}));
}

BOOST_AUTO_TEST_CASE(what_is_written_is_read_again) {
  for (std::uint64_t count = 1; count <= configuration_members_max; ++count) {
    configuration members;
    for (std::uint64_t i = 1; i <= count; ++i)
      members.push_back({nr(i * 77), std::string(i, 'a'), static_cast<member_role>((i + 2) % 3)});
    members[0].role = member_role::voter;
    BOOST_TEST((decode_configuration(encode(members)) == members));
  }
}

BOOST_AUTO_TEST_CASE(every_shorter_or_longer_form_is_refused) {
  auto raw = encode(three);
  for (std::size_t size = 0; size < raw.size(); ++size)
    BOOST_TEST(!decode_configuration(bytes_view{raw}.first(size)));
  raw.resize(raw.size() + 8);
  BOOST_TEST(!decode_configuration(raw));
}

BOOST_AUTO_TEST_CASE(impossible_configurations_are_refused) {
  BOOST_TEST(!check({}));
  BOOST_TEST(!check({standby(1)}));
  BOOST_TEST(!check({voter(0)}));
  BOOST_TEST(!check({voter(1), voter(1)}));
  BOOST_TEST(!check({voter(1), {nr(2), "server 1", member_role::voter}}));
  BOOST_TEST(!check({{nr(1), "", member_role::voter}}));
  BOOST_TEST(!check({{nr(1), std::string("a\0b", 3), member_role::voter}}));
  BOOST_TEST(!check({{nr(1), std::string(256, 'a'), member_role::voter}}));
  BOOST_TEST(!check({{nr(1), "a", static_cast<member_role>(3)}, voter(2)}));
  configuration many;
  for (std::uint64_t i = 1; i <= configuration_members_max + 1; ++i)
    many.push_back(voter(i));
  BOOST_TEST(!check(many));
}

BOOST_AUTO_TEST_CASE(no_damaged_byte_reads_beyond_its_buffer_or_gives_an_impossible_configuration) {
  std::mt19937_64 random(1);
  auto raw = encode(three);
  for (int i = 0; i < 20'000; ++i) {
    auto damaged = raw;
    for (auto changes = 1 + random() % 4; changes > 0; --changes)
      damaged[random() % damaged.size()] = static_cast<std::uint8_t>(random());
    if (auto members = decode_configuration(damaged)) {
      BOOST_TEST(check(*members).has_value());
      BOOST_TEST((encode(*members) == damaged));
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

// ---- start -----------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_SUITE(raft_start)

BOOST_AUTO_TEST_CASE(a_sole_voter_begins_a_new_term_and_it_must_be_durable_first) {
  options how;
  how.self = nr(1);
  std::vector<entry> log{founding_entry(one)};
  auto ready = boot::examine(how, founding_hard_state, std::nullopt, at(1), log);
  BOOST_REQUIRE(ready.has_value());
  BOOST_TEST((ready->must_be_durable() == hard_state{in_term(2), nr(1)}));
  update first;
  auto forgotten = core::start(*ready, founding_hard_state, steady_ms{1}, first);
  BOOST_TEST((forgotten.error().code == ec::internal));
  auto good = core::start(*ready, {in_term(2), nr(1)}, steady_ms{1}, first);
  BOOST_REQUIRE(good.has_value());
  BOOST_TEST((good->role() == role::leader));
  BOOST_TEST((good->current_term() == in_term(2)));
}

BOOST_AUTO_TEST_CASE(whoever_does_not_vote_alone_starts_with_what_is_stored) {
  for (const auto& [self, members] : std::vector<std::pair<std::uint64_t, configuration>>{
         {1, three}, {2, {voter(1), standby(2)}}, {9, one}}) {
    options how;
    how.self = nr(self);
    auto ready = boot::examine(how, {in_term(7), nr(3)}, std::nullopt, at(1), {founding_entry(members)});
    BOOST_REQUIRE(ready.has_value());
    BOOST_TEST((ready->must_be_durable() == hard_state{in_term(7), nr(3)}));
  }
}

BOOST_AUTO_TEST_CASE(the_newest_configuration_in_the_log_decides_who_votes_alone) {
  options how;
  how.self = nr(1);
  hard_state stored{in_term(4), nr(0)};
  std::vector<entry> log{founding_entry({voter(1), voter(2)}), command(2), change_to(3, {voter(1), standby(2)})};
  BOOST_TEST((boot::examine(how, stored, std::nullopt, at(1), log)->must_be_durable().term == in_term(5)));
  log.push_back(change_to(4, {voter(1), voter(2)}));
  BOOST_TEST((boot::examine(how, stored, std::nullopt, at(1), log)->must_be_durable() == stored));
  // A snapshot counts where the log behind it says nothing.
  snapshot_meta snapshot{at(10), in_term(3), at(8), one};
  BOOST_TEST((boot::examine(how, stored, snapshot, at(11), {})->must_be_durable().term == in_term(5)));
  BOOST_TEST((boot::examine(how, stored, snapshot, at(9), {change_to(3, three), command(3), command(4)})->must_be_durable() ==
              stored));
}

BOOST_AUTO_TEST_CASE(a_store_that_no_core_has_written_is_corrupt) {
  options how;
  how.self = nr(1);
  auto refused = [&](hard_state stored, std::optional<snapshot_meta> snapshot, std::uint64_t first, std::vector<entry> log) {
    auto r = boot::examine(how, stored, std::move(snapshot), at(first), std::move(log));
    return !r && r.error().code == ec::corrupt;
  };
  hard_state five{in_term(5), nr(0)};
  snapshot_meta good{at(10), in_term(3), at(8), three};
  BOOST_TEST(!refused(five, good, 11, {}));
  BOOST_TEST(!refused({}, std::nullopt, 1, {}));                                       // joins later
  BOOST_TEST(refused({in_term(0), nr(1)}, std::nullopt, 1, {}));                       // a vote in no term
  BOOST_TEST(refused({}, std::nullopt, 1, {founding_entry(three)}));                   // a log in no term
  BOOST_TEST(refused(five, std::nullopt, 1, {command(1)}));                            // no founding configuration
  BOOST_TEST(refused(five, std::nullopt, 2, {founding_entry(three)}));                 // begins in the middle
  BOOST_TEST(refused(five, std::nullopt, 1, {founding_entry(three), command(6)}));     // a term that never was
  BOOST_TEST(refused(five, std::nullopt, 1, {founding_entry(three), command(3), command(2)}));  // terms go back
  BOOST_TEST(refused(five, std::nullopt, 1, {founding_entry(three), command(0)}));
  BOOST_TEST(refused(five, std::nullopt, 1, {{in_term(1), entry_type::change, bytes(16, 0xff)}}));
  BOOST_TEST(refused(five, std::nullopt, 1, {founding_entry(three), {in_term(1), static_cast<entry_type>(9), {}}}));
  BOOST_TEST(refused(five, good, 12, {}));                                             // a hole behind the snapshot
  BOOST_TEST(refused(five, good, 9, {command(3)}));                                    // ends before it
  BOOST_TEST(refused(five, good, 9, {command(2), command(2)}));                        // another term at the snapshot
  BOOST_TEST(refused(five, good, 11, {command(2)}));                                   // an older term behind it
  BOOST_TEST(refused(five, snapshot_meta{at(10), in_term(6), at(8), three}, 11, {}));
  BOOST_TEST(refused(five, snapshot_meta{at(10), in_term(3), at(11), three}, 11, {}));
  BOOST_TEST(refused(five, snapshot_meta{at(10), in_term(3), at(8), {}}, 11, {}));
  how.in_flight_entries_max = how.trailing_entries;
  BOOST_TEST((boot::examine(how, five, good, at(11), {}).error().code == ec::configuration));
}

BOOST_AUTO_TEST_CASE(a_snapshot_is_committed_and_a_long_log_needs_only_its_end) {
  options how;
  how.self = nr(1);
  snapshot_meta snapshot{at(100'000), in_term(3), at(8), one};
  std::vector<entry> tail(50, command(3));  // 50 before and at the snapshot, 5 behind
  tail.insert(tail.end(), 5, command(4));
  auto ready = boot::examine(how, {in_term(4), nr(1)}, snapshot, at(99'951), tail);
  BOOST_REQUIRE(ready.has_value());
  update first;
  auto c = core::start(*ready, ready->must_be_durable(), steady_ms{1}, first);
  BOOST_REQUIRE(c.has_value());
  BOOST_TEST((first.committed == at(100'005)));
  BOOST_TEST((first.entries->first == at(100'006)));  // the barrier of the new term
  BOOST_TEST((c->members_index() == at(8)));
}

BOOST_AUTO_TEST_SUITE_END()

// ---- a cluster of one ------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_SUITE(raft_of_one)

BOOST_AUTO_TEST_CASE(it_leads_at_once_and_commits_by_making_durable) {
  server_by_hand s{1, one};
  s.durable_at_once = false;
  s.start();
  BOOST_TEST((s.core->role() == role::leader));
  BOOST_TEST(s.core->sole_voter());
  BOOST_REQUIRE(s.last.entries.has_value());
  BOOST_TEST((s.last.entries->entries[0].type == entry_type::barrier));
  BOOST_TEST(!s.core->leads_surely());
  s.sync();
  BOOST_TEST(s.core->leads_surely());

  auto u = s.submit("hello");
  BOOST_TEST((u.entries->first == at(3)));
  BOOST_TEST((u.entries->entries[0] == command(2, "hello")));
  BOOST_TEST(!u.committed.has_value());
  BOOST_TEST(u.messages.empty());
  s.sync();
  BOOST_TEST((s.core->commit_index() == at(3)));
}

BOOST_AUTO_TEST_CASE(it_goes_on_leading_while_time_passes) {
  server_by_hand s{1, one};
  s.start();
  for (int i = 0; i < 200; ++i) {
    auto u = s.timeout();
    BOOST_TEST(u.empty());
    BOOST_TEST((s.core->role() == role::leader));
    BOOST_TEST(value(s.core->next_timeout()) > s.now);
  }
  BOOST_TEST((s.core->current_term() == in_term(2)));
}

BOOST_AUTO_TEST_CASE(each_start_is_a_term_of_its_own_and_everything_durable_is_committed) {
  server_by_hand s{1, one};
  for (std::uint64_t start = 1; start <= 5; ++start) {
    s.start();
    BOOST_TEST((s.core->current_term() == in_term(1 + start)));
    s.submit("a");
    s.durable_at_once = false;
    s.submit("lost");  // never durable
    s.crash();
    s.durable_at_once = true;
    BOOST_TEST(s.log.size() == 1 + 2 * start);
  }
  s.start();
  BOOST_TEST((s.core->commit_index() == at(12)));
  for (const auto& e : s.log)
    BOOST_TEST(as_text(e.payload) != "lost");
}

BOOST_AUTO_TEST_CASE(a_standby_never_sees_two_entries_under_one_name) {
  const configuration with_standby{voter(1), standby(2)};
  server_by_hand s{1, with_standby};
  s.start();
  s.durable_at_once = false;
  s.submit("sent but lost");
  auto first_term = s.core->current_term();
  s.crash();
  s.durable_at_once = true;
  s.start();
  s.submit("in its place");
  BOOST_TEST((s.seen[2].term > first_term));
}

BOOST_AUTO_TEST_CASE(many_commands_in_one_step_are_one_write) {
  server_by_hand s{1, one};
  s.durable_at_once = false;
  s.start();
  s.sync();
  std::vector<bytes> commands(500, bytes{1, 2, 3});
  auto u = s.take(s.core->submit(std::move(commands), s.clock()));
  BOOST_TEST(u.entries->entries.size() == 500);
  BOOST_TEST((u.entries->last() == at(502)));
  s.sync();
  BOOST_TEST((s.core->commit_index() == at(502)));
  BOOST_TEST(s.core->submit({}, s.clock())->empty());
}

BOOST_AUTO_TEST_CASE(the_same_snapshot_twice_and_one_of_the_future_do_nothing) {
  server_by_hand s{1, one};
  s.how.in_flight_entries_max = 2;
  s.how.trailing_entries = 3;
  s.start();
  for (int i = 0; i < 10; ++i)
    s.submit("x");
  BOOST_TEST(s.core->snapshot_taken(at(8), in_term(2), s.clock())->empty());
  BOOST_TEST(s.core->snapshot_taken(at(8), in_term(2), s.clock())->empty());
  BOOST_TEST(s.core->snapshot_taken(at(800), in_term(2), s.clock())->empty());
  s.submit("y");
  BOOST_TEST((s.core->commit_index() == at(13)));
}

BOOST_AUTO_TEST_SUITE_END()

// ---- three and more --------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_SUITE(raft_of_several)

BOOST_AUTO_TEST_CASE(one_of_three_is_elected_and_a_command_reaches_all) {
  auto c = started(three);
  run(c, 2'000);
  std::uint64_t leader = 0;
  for (auto& [self, s] : c.all)
    if (s.core->role() == role::leader)
      leader = self;
  BOOST_REQUIRE(leader != 0);
  c[leader].submit("hello");
  run(c, 200);
  for (auto& [self, s] : c.all) {
    BOOST_TEST((s.core->leader() == nr(leader)));
    BOOST_TEST((s.core->commit_index() == c[leader].core->last_index()));
    BOOST_TEST((s.log == c[leader].log));
  }
}

BOOST_AUTO_TEST_CASE(a_message_waits_for_nothing_but_the_vote_before_it) {
  // Entries go out beside the leader's own write, and a follower claims nothing that is not durable.
  auto c = started(three);
  c.elect(1, everybody);
  c.deliver(everybody);
  c[1].durable_at_once = false;
  c[2].durable_at_once = false;
  auto u = c[1].submit("x");
  BOOST_TEST(u.messages.size() == 2);
  c[2].receive(1, *c[1].take_sent<append_entries>(2));
  BOOST_TEST(!c[2].take_sent<append_entries_result>(1).has_value());
  c[2].sync();
  auto answer = c[2].take_sent<append_entries_result>(1);
  BOOST_REQUIRE(answer.has_value());
  BOOST_TEST((answer->last_index == at(3)));
}

BOOST_AUTO_TEST_CASE(a_write_that_was_truncated_meanwhile_is_not_claimed) {
  server_by_hand s{2, three};
  s.start();
  s.durable_at_once = false;
  auto first = s.receive(1, append_entries{in_term(2), at(1), in_term(1), at(1), {command(2, "a"), command(2, "b")}});
  auto second = s.receive(3, append_entries{in_term(3), at(2), in_term(2), at(1), {command(3, "c")}});
  BOOST_TEST((second.entries->first == at(3)));
  // The first write ends: index 3 of it is gone, index 2 stands.
  s.take(s.core->persisted(first.write, s.clock()));
  auto answer = s.take_sent<append_entries_result>(3);
  BOOST_REQUIRE(answer.has_value());
  BOOST_TEST((answer->last_index == at(2)));
  s.take(s.core->persisted(second.write, s.clock()));
  BOOST_TEST((s.take_sent<append_entries_result>(3)->last_index == at(3)));
}

BOOST_AUTO_TEST_CASE(an_entry_of_an_older_term_is_not_committed_by_counting_copies) {
  // Figure 8 of the Raft paper, step by step.
  const configuration five{voter(1), voter(2), voter(3), voter(4), voter(5)};
  auto c = started(five, 1);
  auto among = [](std::initializer_list<std::uint64_t> who) {
    std::vector<std::uint64_t> all{who};
    return [all](std::uint64_t a, std::uint64_t b) {
      return std::count(all.begin(), all.end(), a) == 1 && std::count(all.begin(), all.end(), b) == 1;
    };
  };
  // (a) Server 1 leads and its entry at index 2 reaches server 2 only.
  c.elect(1, among({1, 2, 3}));
  auto old_term = c[1].core->current_term();
  c.deliver(among({1, 2}));
  BOOST_TEST((c[2].core->last_index() == at(2)));
  BOOST_TEST((c[1].core->commit_index() == at(1)));
  // (b) It dies; server 5 is elected by 3 and 4, and has another entry at index 2, for itself.
  c[1].crash();
  c.elect(5, among({3, 4, 5}));
  BOOST_TEST((c[5].core->current_term() > old_term));
  BOOST_TEST((c[5].core->last_index() == at(2)));
  c[5].crash();
  // (c) Server 1 is back and leads; its old entry reaches server 3: now a majority has it. One entry at a time, so that
  // the one of its new term has not followed yet.
  for (auto& [self, s] : c.all)
    s.sent.clear();
  c[1].start();
  c.elect(1, among({1, 2, 3, 4}));
  auto new_term = c[1].core->current_term();
  auto& leader = c[1];
  auto& third = c[3];
  for (int i = 0; i < 20 && third.core->last_index() < at(2); ++i) {
    if (auto append = leader.take_sent<append_entries>(3)) {
      third.receive(1, *append);
      // Its answer comes back, so that the leader can count it.
      if (auto answer = third.take_sent<append_entries_result>(1))
        leader.receive(3, *answer);
    } else {
      leader.timeout();
    }
  }
  BOOST_TEST((third.core->last_index() == at(2)));
  BOOST_TEST((third.log[1].term == old_term));
  BOOST_TEST((leader.core->match_index(nr(3)) == at(2)));
  BOOST_TEST((leader.core->last_index() == at(3)));
  leader.receive(2, append_entries_result{new_term, at(0), at(2)});
  BOOST_TEST((leader.core->match_index(nr(2)) == at(2)));
  BOOST_TEST((leader.core->commit_index() == at(1)));  // three of five have index 2, and it is NOT committed
  // (d) Server 1 dies again; server 5 can win and replaces it everywhere.
  leader.crash();
  for (std::uint64_t self : {2, 3, 4})
    c[self].timeout();  // they have heard nothing of a leader for long enough
  for (auto& [self, s] : c.all)
    s.sent.clear();
  c[5].start();
  c.elect(5, among({2, 3, 4, 5}));
  for (int i = 0; i < 20; ++i) {
    c.deliver(among({2, 3, 4, 5}));
    c[5].timeout();
  }
  c.deliver(among({2, 3, 4, 5}));
  for (std::uint64_t self : {2, 3, 4})
    BOOST_TEST((c[self].log == c[5].log));
  BOOST_TEST((c[5].core->commit_index() == c[5].core->last_index()));
  BOOST_TEST((c[3].log[1].term != old_term));
}

BOOST_AUTO_TEST_CASE(leadership_is_handed_over_and_proposals_wait_meanwhile) {
  auto c = started(three);
  c.elect(1, everybody);
  c.deliver(everybody);
  c[1].take(c[1].core->transfer(nr(2), c[1].clock()));
  BOOST_TEST((code_of(c[1].core->submit({bytes{1}}, c[1].clock())) == ec::not_leader));
  c.deliver(everybody);
  BOOST_TEST((c[2].core->role() == role::leader));
  BOOST_TEST((c[1].core->role() == role::follower));
}

BOOST_AUTO_TEST_CASE(a_follower_that_is_too_far_behind_is_told_of_a_snapshot) {
  auto c = started(three, 2);
  c[1].how.trailing_entries = 3;
  c[1].start();
  c[3].crash();
  c.elect(1, everybody);
  c.deliver(everybody);
  for (int i = 0; i < 20; ++i) {
    c[1].submit("x");
    c.deliver(everybody);
  }
  c[1].take(c[1].core->snapshot_taken(at(15), c[1].core->current_term(), c[1].clock()));
  c[3].start();
  std::optional<install_snapshot> found;
  for (int i = 0; i < 40 && !found; ++i) {
    c[1].timeout();
    // Everything from 1 to 3 by hand, so that the announcement is seen and not delivered.
    while (auto append = c[1].take_sent<append_entries>(3)) {
      c[3].receive(1, *append);
      if (auto answer = c[3].take_sent<append_entries_result>(1))
        c[1].receive(3, *answer);
    }
    found = c[1].take_sent<install_snapshot>(3);
    c.deliver([](auto from, auto to) { return from + to == 3; });
  }
  BOOST_REQUIRE(found.has_value());
  BOOST_TEST((found->snapshot.index == at(15)));
  BOOST_TEST((found->snapshot.configuration == three));
  BOOST_TEST((found->snapshot.configuration_index == at(1)));

  auto u = c[3].receive(1, *found);
  BOOST_REQUIRE(u.install.has_value());
  BOOST_TEST(c[3].core->installing());
  c[3].seen.assign(15, command(1));
  c[3].log = c[3].seen;
  c[3].take(c[3].core->snapshot_persisted(*u.install, c[3].clock()));
  BOOST_TEST(!c[3].core->installing());
  BOOST_TEST((c[3].core->commit_index() == at(15)));
  run(c, 1'000);
  BOOST_TEST((c[3].core->last_index() == c[1].core->last_index()));
}

// ---- bad input -------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(messages_against_the_rules_are_refused_and_change_nothing) {
  server_by_hand s{2, three};
  s.start();
  s.receive(1, append_entries{in_term(2), at(1), in_term(1), at(1), {command(2), command(2)}});
  s.sent.clear();
  auto refused = [&](std::uint64_t from, message body, std::uint64_t sender_term = 2) {
    auto r = s.core->receive({nr(from), in_term(sender_term), std::move(body)}, s.clock());
    auto unchanged = s.core->current_term() == in_term(2) && s.core->last_index() == at(3) && !s.core->failed();
    return !r && r.error().code == ec::malformed && unchanged;
  };
  auto append = [](std::uint64_t term, std::uint64_t prev, std::uint64_t prev_term, std::vector<entry> entries) {
    return append_entries{in_term(term), at(prev), in_term(prev_term), at(0), std::move(entries)};
  };
  BOOST_TEST(refused(0, append(2, 3, 2, {})));
  BOOST_TEST(refused(2, append(2, 3, 2, {})));                          // from ourselves
  BOOST_TEST(refused(1, append(0, 3, 2, {})));
  BOOST_TEST(refused(1, append(~0ULL, 3, 2, {}), ~0ULL));               // would end the cluster
  BOOST_TEST(refused(1, append(2, 3, 2, {}), ~0ULL));                   // in the envelope too
  BOOST_TEST(refused(1, append(2, 3, 0, {})));
  BOOST_TEST(refused(1, append(2, 0, 2, {})));
  BOOST_TEST(refused(1, append(2, 3, 3, {})));                          // the anchor is newer than the leader
  BOOST_TEST(refused(1, append(2, ~0ULL, 2, {command(2)})));            // the index overflows
  BOOST_TEST(refused(1, append(2, 3, 2, {command(0)})));
  BOOST_TEST(refused(1, append(2, 3, 2, {command(3)})));                // newer than the leader
  BOOST_TEST(refused(1, append(2, 3, 2, {command(1)})));                // older than the anchor
  BOOST_TEST(refused(1, append(9, 3, 2, {command(5), command(4)}), 9));
  BOOST_TEST(refused(1, append(2, 3, 2, {{in_term(2), static_cast<entry_type>(0), {}}})));
  BOOST_TEST(refused(1, append(2, 3, 2, {{in_term(2), entry_type::change, bytes(24, 0xff)}})));
  BOOST_TEST(refused(1, append(2, 3, 2, {{in_term(2), entry_type::change, {}}})));
  BOOST_TEST(refused(1, append(2, 3, 2, std::vector<entry>(70'000, command(2)))));
  BOOST_TEST(refused(1, request_vote{in_term(3), nr(3), at(9), in_term(2), true, false}));   // for somebody else
  BOOST_TEST(refused(1, request_vote_result{in_term(9), true, true}));
  BOOST_TEST(refused(1, append_entries_result{in_term(2), at(0), at(~0ULL)}));
  BOOST_TEST(refused(1, install_snapshot{in_term(2), {at(0), in_term(2), at(0), three}}));
  BOOST_TEST(refused(1, install_snapshot{in_term(2), {at(9), in_term(0), at(1), three}}));
  BOOST_TEST(refused(1, install_snapshot{in_term(2), {at(9), in_term(3), at(1), three}}));
  BOOST_TEST(refused(1, install_snapshot{in_term(2), {at(9), in_term(2), at(10), three}}));
  BOOST_TEST(refused(1, install_snapshot{in_term(2), {at(9), in_term(2), at(1), {}}}));
  // Merely late or from nobody who matters: dropped without a word.
  BOOST_TEST(s.core->receive({nr(9), in_term(2), append_entries_result{in_term(2), at(0), at(3)}}, s.clock())->empty());
  BOOST_TEST(s.core->receive({nr(3), in_term(2), timeout_now{in_term(2), at(3), in_term(2)}}, s.clock())->empty());
  BOOST_TEST((s.core->role() == role::follower));
}

BOOST_AUTO_TEST_CASE(two_leaders_in_one_term_are_reported) {
  auto c = started(three);
  c.elect(1, everybody);
  auto term = c[1].core->current_term();
  auto r = c[1].core->receive({nr(2), term, append_entries{term, at(1), in_term(1), at(1), {}}}, c[1].clock());
  BOOST_TEST((code_of(r) == ec::malformed));
  BOOST_TEST((c[1].core->role() == role::leader));
}

BOOST_AUTO_TEST_CASE(a_conflict_with_what_is_committed_stops_the_core_for_good) {
  server_by_hand s{2, three};
  s.start();
  s.receive(1, append_entries{in_term(2), at(1), in_term(1), at(3), {command(2), command(2)}});
  auto r = s.core->receive({nr(3), in_term(3), append_entries{in_term(3), at(1), in_term(1), at(1), {command(3)}}}, s.clock());
  BOOST_TEST((code_of(r) == ec::corrupt));
  BOOST_TEST(s.core->failed());
  BOOST_TEST((code_of(s.core->timeout(s.clock())) == ec::corrupt));
  BOOST_TEST((code_of(s.core->submit({bytes{1}}, s.clock())) == ec::corrupt));
}

// ---- membership ------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(only_safe_steps_change_the_configuration) {
  auto c = started(three);
  c.elect(1, everybody);
  auto& l = c[1];
  auto change = [&](const configuration& to) { return code_of(l.core->change(to, l.clock())); };
  auto with = three;
  with.push_back(standby(4));
  BOOST_TEST((change(with) == ec::overloaded));  // nothing of this leadership is committed yet
  run(c, 200);
  BOOST_TEST(l.core->leads_surely());
  BOOST_TEST((change(three) == ec::configuration));                                  // no step at all
  BOOST_TEST((change({voter(2), voter(1), voter(3)}) == ec::configuration));         // another order
  BOOST_TEST((change({voter(1), voter(2), standby(4)}) == ec::configuration));       // a swap
  BOOST_TEST((change({voter(1), voter(2), voter(3), voter(4)}) == ec::configuration));
  BOOST_TEST((change({voter(2), voter(3)}) == ec::configuration));                   // the leader itself
  BOOST_TEST((change({voter(1), standby(2), standby(3)}) == ec::configuration));     // two at once
  BOOST_TEST((change({}) == ec::malformed));
  BOOST_TEST((code_of(c[2].core->change(with, c[2].clock())) == ec::not_leader));

  c.add(4, three);
  c[4].stored = {};
  c[4].log.clear();
  c[4].now = l.now;
  c[4].start();
  l.take(l.core->change(with, l.clock()));
  BOOST_TEST((change({voter(1), voter(2), voter(3)}) == ec::overloaded));            // one after the other
  run(c, 500);
  BOOST_TEST((l.core->members() == with));
  BOOST_TEST((c[4].core->members() == with));
  auto promoted = with;
  promoted[3].role = member_role::voter;
  BOOST_TEST((change(promoted) == ec::overloaded));                                  // has not caught up
  l.take(l.core->catch_up(nr(4), l.clock()));
  run(c, 500);
  BOOST_TEST((l.core->caught_up(nr(4)) == core::learner_state::finished));
  l.take(l.core->change(promoted, l.clock()));
  run(c, 500);
  for (auto& [self, s] : c.all)
    BOOST_TEST((s.core->members() == promoted));
}

BOOST_AUTO_TEST_CASE(one_voter_never_becomes_two_online_nor_two_one) {
  auto c = started({voter(1), standby(2)});
  run(c, 500);
  c[1].take(c[1].core->catch_up(nr(2), c[1].clock()));
  run(c, 500);
  BOOST_TEST((code_of(c[1].core->change({voter(1), voter(2)}, c[1].clock())) == ec::configuration));
  auto pair = started({voter(1), voter(2)});
  pair.elect(1, everybody);
  run(pair, 500);
  BOOST_TEST((code_of(pair[1].core->change({voter(1), standby(2)}, pair[1].clock())) == ec::configuration));
}

BOOST_AUTO_TEST_SUITE_END()
