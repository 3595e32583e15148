// Each workaround of storage/raft/shim.c by its number: with it the library behaves, without it the defect shows. A test
// that passes in both cases would be worthless, so both are asked. Needs SIGNET_TEST_HOOKS to switch them off.
#ifdef SIGNET_TEST_HOOKS

#include "storage/raft/shim.h"
#include "tests/unit/raft/by_hand.hpp"

#include <boost/test/unit_test.hpp>
#include <malloc.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace signet;
using namespace signet::raft;
using namespace signet::raft::test;

namespace {

const configuration three{voter(1), voter(2), voter(3)};

/// `misbehaves(workarounds_off)`: whether the defect shows.
template <class Scenario>
void is_needed(unsigned number, Scenario misbehaves) {
  BOOST_TEST(!misbehaves(0U), "W" << number << " does not help");
  BOOST_TEST(misbehaves(1U << number), "nothing happens without W" << number);
}

/// The same in a process of its own, for defects that are undefined behaviour: a crash is one too.
template <class Scenario>
auto in_a_child(Scenario misbehaves) {
  return [misbehaves](std::uint32_t off) {
    auto child = ::fork();
    BOOST_REQUIRE(child >= 0);
    if (child == 0) {
      rlimit none{0, 0};
      ::setrlimit(RLIMIT_CORE, &none);
      for (int signal : {SIGSEGV, SIGABRT, SIGBUS})
        ::signal(signal, SIG_DFL);
      ::close(STDERR_FILENO);
      ::_exit(misbehaves(off) ? 1 : 0);
    }
    int ended = 0;
    ::waitpid(child, &ended, 0);
    return !WIFEXITED(ended) || WEXITSTATUS(ended) != 0;
  };
}

/// A follower of server 1 in term 2 whose log is the founding entry and `entries`.
server_by_hand follower(std::uint32_t off, const std::vector<entry>& entries, std::uint64_t commit = 1,
                        const configuration& founders = three) {
  server_by_hand s{2, founders, off};
  s.how.in_flight_entries_max = 1;
  s.how.trailing_entries = 2;
  s.start();
  s.receive(1, append_entries{in_term(2), at(1), in_term(1), at(commit), entries});
  return s;
}

/// Server 1 leads in term 2 by the vote of server 2.
server_by_hand leader(std::uint32_t off, const configuration& founders = three) {
  server_by_hand s{1, founders, off};
  s.how.pre_vote = false;
  s.start();
  s.timeout();
  s.receive(2, request_vote_result{in_term(2), true, false});
  BOOST_REQUIRE((s.core->role() == role::leader));
  s.sent.clear();
  return s;
}

} // namespace

BOOST_AUTO_TEST_SUITE(raft_workarounds)

BOOST_AUTO_TEST_CASE(w1_a_change_in_the_middle_of_a_message_is_pending_under_its_own_index) {
  is_needed(1, [](std::uint32_t off) {
    auto wider = three;
    wider.push_back(standby(4));
    auto s = follower(off, {command(2), command(2), change_to(2, wider)});
    return s.core->pending_change_inside() != at(4);
  });
}

BOOST_AUTO_TEST_CASE(w2_a_lost_change_gives_way_to_the_one_before_it_in_the_log) {
  is_needed(2, [](std::uint32_t off) {
    auto four = three, five = three;
    four.push_back(standby(4));
    five = four;
    five.push_back(standby(5));
    auto s = follower(off, {change_to(2, four)});
    s.receive(1, append_entries{in_term(2), at(2), in_term(2), at(2), {change_to(2, five)}});
    s.receive(3, append_entries{in_term(3), at(2), in_term(2), at(2), {command(3)}});  // takes the second one back
    BOOST_TEST(s.core->members().size() == 4);
    return s.core->members_inside().size() != 4;
  });
}

BOOST_AUTO_TEST_CASE(w3_entries_below_a_compacted_log_do_not_destroy_it) {
  is_needed(3, in_a_child([](std::uint32_t off) {
    auto s = follower(off, std::vector<entry>(9, command(2)), 10);
    s.take(s.core->snapshot_taken(at(10), in_term(2), s.clock()));
    std::vector<entry> from_the_start(s.log.begin(), s.log.begin() + 5);
    auto u = s.core->receive({nr(1), in_term(2), append_entries{in_term(2), at(0), in_term(0), at(10), from_the_start}},
                             s.clock());
    return !u || u->entries.has_value() || s.core->last_index() != at(10);
  }));
}

BOOST_AUTO_TEST_CASE(w4_a_late_rejection_does_not_take_back_what_is_known_to_match) {
  is_needed(4, [](std::uint32_t off) {
    auto s = leader(off);
    for (auto text : {"a", "b", "c"})
      s.submit(text);
    s.receive(2, append_entries_result{in_term(2), at(0), at(5)});
    BOOST_TEST((s.core->match_index(nr(2)) == at(5)));
    // Server 2 falls silent long enough to be probed again, server 3 keeps us in office.
    for (int i = 0; i < 30; ++i) {
      s.timeout();
      s.receive(3, append_entries_result{in_term(2), at(0), at(5)});
    }
    s.sent.clear();
    s.receive(2, append_entries_result{in_term(2), at(5), at(2)});
    auto again = s.take_sent<append_entries>(2);
    return again && again->prev_index < at(5);
  });
}

BOOST_AUTO_TEST_CASE(w5_the_best_log_in_a_lower_term_finds_its_voters) {
  is_needed(5, [](std::uint32_t off) {
    servers_by_hand c;  // server 3 stays down
    for (std::uint64_t self : {1, 2}) {
      c.add(self, three, off);
      c[self].log.insert(c[self].log.end(), self == 1 ? 9 : 7, command(5));
      c[self].stored = {in_term(self == 1 ? 5 : 7), nr(0)};
      c[self].start();
    }
    for (std::uint64_t now = 1'000; now < 60'000; now += 10) {
      for (auto& [self, s] : c.all) {
        s.now = now;
        if (value(s.core->next_timeout()) <= now)
          s.take(s.core->timeout(s.clock()));
      }
      c.deliver([](auto, auto) { return true; });
      if (c[1].core->role() == role::leader)
        return false;
    }
    return true;
  });
}

BOOST_AUTO_TEST_CASE(w6_a_sole_voter_elects_itself_in_a_new_term_only) {
  const configuration two{voter(1), voter(2)};
  const configuration alone{standby(1), voter(2)};
  is_needed(6, [&](std::uint32_t off) {
    auto s = follower(off, {change_to(2, alone)}, 1, two);
    for (int i = 0; i < 10 && s.core->role() != role::leader; ++i)
      s.timeout();
    BOOST_TEST((s.core->role() == role::leader));
    BOOST_TEST((s.stored.term == s.core->current_term()));
    return s.core->current_term() == in_term(2);
  });
  // The same when the old leader hands over.
  is_needed(6, [&](std::uint32_t off) {
    auto s = follower(off, {change_to(2, alone)}, 1, two);
    s.receive(1, timeout_now{in_term(2), at(2), in_term(2)});
    return s.core->role() == role::leader && s.core->current_term() == in_term(2);
  });
}

BOOST_AUTO_TEST_CASE(w7_a_server_votes_although_its_own_log_does_not_know_that_it_may) {
  is_needed(7, [](std::uint32_t off) {
    server_by_hand s{2, {voter(1), standby(2), voter(3)}, off};
    s.start();
    s.receive(3, request_vote{in_term(2), nr(3), at(5), in_term(1), false, false});
    auto answer = s.take_sent<request_vote_result>(3);
    BOOST_REQUIRE(answer.has_value());
    BOOST_TEST((s.core->members_inside()[1].role == member_role::standby));
    return !answer->granted;
  });
}

BOOST_AUTO_TEST_CASE(w8_a_vote_that_nobody_waits_for_moves_nothing) {
  is_needed(8, [](std::uint32_t off) {
    server_by_hand s{2, three, off};
    s.start();
    s.receive(1, request_vote_result{in_term(6), false, false});
    return s.core->current_term() != in_term(1);
  });
}

BOOST_AUTO_TEST_CASE(w9_the_timer_of_a_leader_with_a_spare_lies_ahead) {
  is_needed(9, [](std::uint32_t off) {
    server_by_hand s{1, {voter(1), spare(2)}, off};
    s.start();
    // The spare is caught up with, and then no longer written to.
    s.take(s.core->catch_up(nr(2), s.clock()));
    s.receive(2, append_entries_result{in_term(2), at(0), s.core->last_index()});
    BOOST_TEST((s.core->caught_up(nr(2)) == core::learner_state::finished));
    bool stuck = false;
    for (int i = 0; i < 5; ++i) {
      s.now += 1'000;
      s.take(s.core->timeout(s.clock()));
      stuck = stuck || value(s.core->next_timeout()) <= s.now;
    }
    return stuck;
  });
}

BOOST_AUTO_TEST_CASE(w10_what_is_committed_stays_committed) {
  is_needed(10, [](std::uint32_t off) {
    auto s = follower(off, std::vector<entry>(5, command(2)), 6);
    BOOST_TEST((s.core->commit_index() == at(6)));
    s.receive(1, append_entries{in_term(2), at(2), in_term(2), at(7), {}});  // late and short
    return s.core->commit_index() < at(6);
  });
}

#ifndef __SANITIZE_ADDRESS__  // which counts for itself
BOOST_AUTO_TEST_CASE(w11_announcing_a_snapshot_again_and_again_costs_no_memory) {
  is_needed(11, [](std::uint32_t off) {
    configuration many;
    for (std::uint64_t i = 1; i <= configuration_members_max; ++i)
      many.push_back(voter(i));
    server_by_hand s{2, three, off};
    s.start();
    snapshot_meta there{at(100), in_term(2), at(90), many};
    BOOST_TEST(s.receive(1, install_snapshot{in_term(2), there}).install.has_value());
    auto in_use = [] { return static_cast<long long>(::mallinfo2().uordblks); };
    auto before = in_use();
    for (int i = 0; i < 1'000; ++i)
      s.receive(1, install_snapshot{in_term(2), there});
    return in_use() - before > 1'000'000;
  });
}
#endif

BOOST_AUTO_TEST_CASE(w12_catching_up_somebody_unknown_is_refused) {
  is_needed(12, in_a_child([](std::uint32_t off) {
    auto s = leader(off);
    auto refused = s.core->catch_up(nr(77), s.clock());
    return refused || refused.error().code != ec::configuration;
  }));
  auto s = follower(0, {});
  BOOST_TEST((s.core->catch_up(nr(3), s.clock()).error().code == ec::not_leader));
  auto l = leader(0);
  BOOST_TEST((l.core->catch_up(nr(1), l.clock()).error().code == ec::configuration));
  BOOST_TEST((l.core->catch_up(nr(2), l.clock()).error().code == ec::configuration));  // votes already
}

BOOST_AUTO_TEST_CASE(w13_a_refused_change_among_other_entries_leaves_nothing_behind) {
  is_needed(13, [](std::uint32_t off) {
    auto members = encode({voter(1), standby(2)});
    shim_options how{};
    how.id = 1;
    how.election_ms = 300;
    how.heartbeat_ms = 50;
    how.install_snapshot_ms = 1'000;
    how.in_flight_max = 8;
    how.workarounds_off = off;
    auto* s = shim_open(&how);
    shim_output out{};
    shim_entry first{1, 3, {members.data(), members.size()}};
    BOOST_REQUIRE(shim_start(s, 1, 2, 1, nullptr, 1, &first, 1, &out) == SHIM_OK);
    auto change = encode({voter(1), standby(2), standby(3)});
    shim_entry pending{0, 3, {change.data(), change.size()}};
    BOOST_REQUIRE(shim_submit(s, 1, &pending, 1, &out) == SHIM_OK);
    auto last = shim_last_index(s);
    shim_entry both[2] = {{0, 1, {nullptr, 0}}, pending};
    BOOST_TEST(shim_submit(s, 1, both, 2, &out) == SHIM_BUSY);
    bool phantom = shim_last_index(s) != last;
    shim_close(s);
    return phantom;
  });
}

BOOST_AUTO_TEST_CASE(w14_the_first_entry_after_a_silence_does_not_wait_for_a_heartbeat) {
  is_needed(14, [](std::uint32_t off) {
    auto s = leader(off);
    // Followers answer at once, but get their heartbeats at different times.
    auto answer = [&](std::uint64_t who) {
      while (auto got = s.take_sent<append_entries>(who)) {
        auto end = at(value(got->prev_index) + got->entries.size());
        s.receive(who, append_entries_result{in_term(2), {}, end});
      }
    };
    s.timeout();
    s.submit("first");
    answer(2);
    s.now += 20;
    answer(3);
    for (int i = 0; i < 30; ++i) {
      s.timeout();
      s.now += 2;
      answer(2);
      answer(3);
    }
    BOOST_TEST((s.core->role() == role::leader));
    s.submit("after a silence");
    for (std::uint64_t who : {2, 3}) {
      auto got = s.take_sent<append_entries>(who);
      if (!got || got->entries.empty())
        return true;
    }
    return false;
  });
}

BOOST_AUTO_TEST_CASE(w14_a_leader_that_nobody_answers_steps_down) {
  auto s = leader(0);
  auto began = s.now;
  while (s.core->role() == role::leader && s.now < began + 10'000)
    s.timeout();
  BOOST_TEST((s.core->role() == role::follower));
  BOOST_TEST(s.now - began >= 300U);
  BOOST_TEST(s.now - began <= 700U);
}

BOOST_AUTO_TEST_CASE(w15_a_standby_whose_leader_is_silent_gives_its_vote) {
  is_needed(15, [](std::uint32_t off) {
    auto s = follower(off, {command(2)}, 1, {voter(1), standby(2), standby(3)});
    BOOST_TEST((s.core->leader() == nr(1)));
    // While it hears of its leader nobody gets a vote.
    request_vote asked{in_term(4), nr(1), at(9), in_term(3), false, false};
    s.receive(1, asked);
    auto early = s.take_sent<request_vote_result>(1);
    BOOST_REQUIRE(early.has_value());
    BOOST_TEST(!early->granted);
    s.now += 2'000;
    s.take(s.core->timeout(s.clock()));
    s.receive(1, asked);
    auto answer = s.take_sent<request_vote_result>(1);
    BOOST_REQUIRE(answer.has_value());
    return !answer->granted;
  });
}

BOOST_AUTO_TEST_SUITE_END()
#endif
