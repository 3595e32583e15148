#include "storage/peer/member_memory.hpp"

#include "tests/support/view_world.hpp"

#include <boost/test/unit_test.hpp>

namespace signet::peer {
namespace {

template <class Id>
Id numbered(std::uint8_t number) {
  Id out;
  out.raw[0] = number;
  return out;
}
constexpr wall_ms noon{1'700'000'000'000};

/// A member b of id 2, as it says where it stands.
struct telling {
  std::uint8_t store = 1, process = 1;
  std::uint64_t id = 2, at = 5, last = 100, applied = 90;
  bool joining = false;

  position where() const {
    position out;
    out.store = numbered<store_id>(store);
    out.process = numbered<process_id>(process);
    out.joining = joining;
    if (joining)
      return out;
    out.last = log_index{last};
    out.last_term = term{at};
    out.applied = log_index{applied};
    out.applied_term = term{at};
    out.applied_chain = numbered<digest>(1);
    return out;
  }
};
telling joining_with(std::uint8_t store) {
  telling out;
  out.store = store;
  out.process = store;
  out.id = out.at = 0;
  out.joining = true;
  return out;
}

member_verdict judge(member_memory& memory, const telling& b) {
  auto judged = memory.judge("b", raft::server_id{b.id}, term{b.at}, b.where(), noon);
  BOOST_TEST((judged.verdict == member_verdict::fine) == judged.why.empty());
  if (judged.verdict != member_verdict::fine)
    BOOST_TEST((judged.reminder.store == b.where().store));
  return judged.verdict;
}
void acknowledge(member_memory& memory, std::uint64_t at, std::uint64_t index, std::uint64_t committed) {
  memory.note_acknowledged("b", raft::server_id{2}, term{at}, log_index{index}, log_index{committed}, noon);
}

} // namespace

BOOST_AUTO_TEST_SUITE(member_memory_of_peers)

BOOST_AUTO_TEST_CASE(a_member_that_is_met_for_the_first_time_is_fine) {
  member_memory memory;
  BOOST_TEST((judge(memory, telling{}) == member_verdict::fine));
  BOOST_TEST((memory.find("b")->term == term{5}));
  BOOST_TEST((memory.find("b")->committed == log_index{90}));
  BOOST_TEST((memory.find("c") == nullptr));
}

BOOST_AUTO_TEST_CASE(a_member_that_goes_on_where_it_was_is_fine_also_after_a_restart) {
  member_memory memory;
  judge(memory, {});
  acknowledge(memory, 5, 120, 110);
  telling b;
  b.last = 120;
  b.process = 2;
  BOOST_TEST((judge(memory, b) == member_verdict::fine));
  b.at = 9;
  b.last = 125;
  b.process = 3;
  BOOST_TEST((judge(memory, b) == member_verdict::fine));
}

BOOST_AUTO_TEST_CASE(a_member_that_lacks_what_it_acknowledged_in_its_term_is_rolled_back) {
  member_memory memory;
  judge(memory, {});
  acknowledge(memory, 5, 120, 50);
  telling b;
  b.last = 119;
  b.process = 2;
  auto judged = memory.judge("b", raft::server_id{2}, term{5}, b.where(), noon);
  BOOST_TEST((judged.verdict == member_verdict::rolled_back));
  BOOST_TEST((judged.reminder.index_seen == log_index{120}));
  BOOST_TEST((judged.reminder.term_seen == term{5}));
  BOOST_TEST(judged.why.find("120") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(an_uncommitted_tail_may_go_in_a_later_term) {
  member_memory memory;
  judge(memory, {});
  acknowledge(memory, 5, 120, 100);
  telling b;
  b.at = 6;
  b.last = 104;  // cut by the leader of term 6, whose log was shorter
  b.process = 2;
  BOOST_TEST((judge(memory, b) == member_verdict::fine));
  b.last = 99;   // but what was committed does not go
  b.process = 3;
  BOOST_TEST((judge(memory, b) == member_verdict::rolled_back));
}

BOOST_AUTO_TEST_CASE(an_acknowledgement_of_an_earlier_term_promises_nothing_for_a_later_one) {
  member_memory memory;
  judge(memory, {});
  memory.note_term("b", raft::server_id{2}, term{7}, noon);
  acknowledge(memory, 5, 120, 120);  // overtaken by the new term
  BOOST_TEST((memory.find("b")->promised == log_index{}));
  telling b;
  b.at = 7;
  BOOST_TEST((judge(memory, b) == member_verdict::fine));
}

BOOST_AUTO_TEST_CASE(a_member_that_has_forgotten_a_term_may_have_forgotten_a_vote) {
  member_memory memory;
  judge(memory, {});
  memory.note_term("b", raft::server_id{2}, term{6}, noon);
  telling b;
  b.process = 2;
  BOOST_TEST((judge(memory, b) == member_verdict::rolled_back));
}

BOOST_AUTO_TEST_CASE(what_the_same_process_said_before_it_acknowledged_more_is_no_reason_for_suspicion) {
  member_memory memory;
  judge(memory, {});
  acknowledge(memory, 5, 120, 120);
  BOOST_TEST((judge(memory, {}) == member_verdict::fine));  // its position, overtaken by its acknowledgement
  BOOST_TEST((memory.find("b")->promised == log_index{120}));
}

BOOST_AUTO_TEST_CASE(nothing_is_noted_between_the_end_of_a_link_and_the_next_position) {
  member_memory memory;
  judge(memory, {});
  memory.link_lost("b");
  acknowledge(memory, 5, 120, 120);  // a new process may have said this
  BOOST_TEST((memory.find("b")->promised == log_index{}));
  judge(memory, {});
  acknowledge(memory, 5, 120, 120);
  BOOST_TEST((memory.find("b")->promised == log_index{120}));
}

BOOST_AUTO_TEST_CASE(a_member_that_lacks_what_it_had_applied_is_rolled_back) {
  member_memory memory;
  judge(memory, {});
  memory.note_committed("b", raft::server_id{2}, log_index{150}, noon);
  telling b;
  b.at = 8;
  b.last = 149;
  b.process = 2;
  BOOST_TEST((judge(memory, b) == member_verdict::rolled_back));
  b.last = 150;
  BOOST_TEST((judge(memory, b) == member_verdict::fine));
}

BOOST_AUTO_TEST_CASE(a_recovered_member_is_fine_under_a_new_id_and_its_old_store_is_not) {
  member_memory memory;
  judge(memory, {});
  acknowledge(memory, 5, 120, 120);
  BOOST_TEST((judge(memory, joining_with(2)) == member_verdict::fine));
  telling recovered;
  recovered.store = recovered.process = 2;
  recovered.id = 1'121;
  recovered.last = recovered.applied = 3;
  BOOST_TEST((judge(memory, recovered) == member_verdict::fine));
  telling old;
  old.last = 120;
  old.process = 3;
  BOOST_TEST((judge(memory, old) == member_verdict::old_store));
  BOOST_TEST((judge(memory, recovered) == member_verdict::fine));  // the refused one has left no trace
}

BOOST_AUTO_TEST_CASE(a_store_that_was_founded_again_under_the_id_of_a_lost_one_is_refused) {
  member_memory memory;
  judge(memory, {});
  telling again;
  again.store = again.process = 2;
  again.at = 1;
  again.last = again.applied = 1;
  BOOST_TEST((judge(memory, again) == member_verdict::rolled_back));
  BOOST_TEST((memory.find("b")->store == numbered<store_id>(1)));
}

BOOST_AUTO_TEST_CASE(a_store_that_has_forgotten_its_id_or_has_another_one_is_rolled_back) {
  member_memory memory;
  judge(memory, {});
  telling b;
  b.id = 3;
  b.process = 2;
  BOOST_TEST((judge(memory, b) == member_verdict::rolled_back));
  auto blank = joining_with(1);
  blank.process = 2;
  BOOST_TEST((judge(memory, blank) == member_verdict::rolled_back));
}

BOOST_AUTO_TEST_CASE(a_process_that_comes_back_after_another_one_of_its_store_is_a_twin) {
  member_memory memory;
  telling b;
  BOOST_TEST((judge(memory, b) == member_verdict::fine));
  BOOST_TEST((judge(memory, b) == member_verdict::fine));  // a new connection of the same process
  b.process = 2;
  BOOST_TEST((judge(memory, b) == member_verdict::fine));  // a restart, as far as anybody can tell
  b.process = 1;
  BOOST_TEST((judge(memory, b) == member_verdict::twin));
}

BOOST_AUTO_TEST_CASE(what_another_store_or_an_unjudged_member_says_is_not_noted) {
  member_memory memory;
  memory.note_term("b", raft::server_id{2}, term{99}, noon);
  BOOST_TEST((memory.find("b") == nullptr));
  judge(memory, {});
  memory.note_term("b", raft::server_id{3}, term{99}, noon);
  memory.note_committed("b", raft::server_id{3}, log_index{999}, noon);
  BOOST_TEST((memory.find("b")->term == term{5}));
  BOOST_TEST((memory.find("b")->committed == log_index{90}));
}

BOOST_AUTO_TEST_CASE(a_node_remembers_its_peers_across_its_own_restart) {
  testing::view_world world;
  member_memory memory;
  judge(memory, {});
  acknowledge(memory, 5, 120, 110);
  judge(memory, joining_with(2));
  telling recovered;
  recovered.store = recovered.process = 2;
  recovered.id = 1'121;
  recovered.at = 6;
  judge(memory, recovered);
  BOOST_TEST(memory.unwritten());
  memory.write(world.txn());
  BOOST_TEST(!memory.unwritten());
  world.commit();

  member_memory after{world.txn()};
  BOOST_TEST((*after.find("b") == *memory.find("b")));
  recovered.last = 80;
  BOOST_TEST((judge(after, recovered) == member_verdict::rolled_back));
  telling old;
  BOOST_TEST((judge(after, old) == member_verdict::old_store));
}

BOOST_AUTO_TEST_CASE(what_a_node_remembers_of_its_peers_does_not_touch_the_state_hash) {
  testing::view_world one{7}, two{7};
  for (auto* world : {&one, &two})
    world->found();
  member_memory memory;
  judge(memory, {});
  memory.write(one.txn());
  one.pass();
  two.pass();
  BOOST_TEST((storage::read_applied(one.txn()) == storage::read_applied(two.txn())));
}

BOOST_AUTO_TEST_CASE(only_what_has_changed_is_written) {
  testing::view_world world;
  member_memory memory;
  judge(memory, {});
  memory.write(world.txn());
  memory.note_term("b", raft::server_id{2}, term{5}, noon);
  acknowledge(memory, 4, 500, 500);
  BOOST_TEST(!memory.unwritten());
  acknowledge(memory, 5, 101, 0);
  BOOST_TEST(memory.unwritten());
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace signet::peer
