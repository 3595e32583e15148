#include "actors/sender/lane_gate.hpp"

#include <boost/test/unit_test.hpp>
#include <map>

using namespace signet;

namespace {

template <class Id>
Id numbered(std::uint8_t n) {
  Id out;
  out.raw[0] = n;
  return out;
}
const permalink alice = numbered<permalink>(1), bob = numbered<permalink>(2), carol = numbered<permalink>(3),
                nobody = numbered<permalink>(9);
const cluster_id here = numbered<cluster_id>(7);
const public_key key = numbered<public_key>(4);

signet::link link_of(std::uint64_t n, std::uint8_t salt = 0) {
  signet::link out;
  out.raw[0] = static_cast<std::uint8_t>(n);
  out.raw[1] = salt;
  out.raw[31] = 1;
  return out;
}

/// Lanes that hold 1 … n, each message with link_of(n), in entry 100 + n.
struct state : lane_lookup {
  std::map<permalink, std::uint64_t> lanes;
  lane_tail tail(const lane_id& lane) override {
    auto n = lanes[lane.recipient];
    return {lane_number{n}, n ? link_of(n) : signet::link{}};
  }
  storage::standing_message standing(const lane_id&, lane_number n) override {
    return {link_of(value(n)), log_index{100 + value(n)}};
  }
  bool recipient_known(const permalink& who) override { return who != nobody; }
  bool evidence_stands = false;
  bool fork_known(const lane_id&, lane_number, const signet::link&) override { return evidence_stands; }
};

message_view message(const permalink& to, std::uint64_t n, std::uint8_t salt = 0) {
  message_view out;
  out.header.cluster = here;
  out.header.author = alice;
  out.header.recipient = to;
  out.header.n = lane_number{n};
  out.header.previous = n > 1 ? link_of(n - 1) : signet::link{};
  out.link = link_of(n, salt);
  return out;
}

std::string said(const lane_gate::verdict& verdict) {
  std::string out;
  for (const auto& one : verdict.outcomes) {
    out += std::string(name(one.code));
    if (one.code == outcome_code::gap)
      out += "(" + to_string(one.expected) + ")";
    out += " ";
  }
  return out + (verdict.uncertain ? "later" : verdict.anything_to_write ? "write" : "answer");
}

struct fixture {
  state applied;
  lane_gate gate{alice, here};
  lane_gate::verdict judge(std::vector<message_view> batch, std::optional<outcome_code> barred = {}) {
    return gate.judge(key, batch, barred, applied);
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(lane_gate_tests, fixture)

BOOST_AUTO_TEST_CASE(a_gap_stops_its_own_lane_and_nothing_else) {
  BOOST_TEST(said(judge({message(bob, 1), message(bob, 2), message(bob, 4), message(bob, 3), message(carol, 1)})) ==
             "accepted accepted gap(3) gap(3) accepted write");
}

BOOST_AUTO_TEST_CASE(a_batch_of_duplicates_is_answered_without_the_log) {
  applied.lanes[bob] = 3;
  auto verdict = judge({message(bob, 2), message(bob, 3)});
  BOOST_TEST(said(verdict) == "duplicate duplicate answer");
  BOOST_TEST(value(verdict.outcomes[0].index) == 102u);
}

BOOST_AUTO_TEST_CASE(a_fork_is_written_because_its_evidence_must_stand_in_the_log) {
  applied.lanes[bob] = 3;
  BOOST_TEST(said(judge({message(bob, 3, 99)})) == "fork write");
}

BOOST_AUTO_TEST_CASE(a_fork_whose_evidence_stands_is_answered_without_the_log) {
  applied.lanes[bob] = 3;
  applied.evidence_stands = true;
  BOOST_TEST(said(judge({message(bob, 3, 99)})) == "fork answer");
}

BOOST_AUTO_TEST_CASE(after_a_failure_a_lane_is_uncertain_until_all_its_batches_are_answered) {
  auto first = judge({message(bob, 1)});
  auto second = judge({message(bob, 2)});
  gate.settled(second.ticket, {});  // refused: overloaded
  // The second comes again while the first is still on its way: it is no gap.
  BOOST_TEST(said(judge({message(bob, 2)})) == "duplicate later");
  BOOST_TEST(said(judge({message(bob, 3)})) == "accepted later");
  applied.lanes[bob] = 1;
  gate.settled(first.ticket, std::vector<outcome>{{outcome_code::accepted, log_index{5}, {}}});
  BOOST_TEST(gate.lanes_in_flight() == 0u);
  BOOST_TEST(said(judge({message(bob, 2)})) == "accepted write");
}

BOOST_AUTO_TEST_CASE(a_late_answer_does_not_disturb_a_lane_that_began_anew) {
  auto old = judge({message(bob, 1)});
  gate.settled(old.ticket, {});
  auto fresh = judge({message(bob, 1)});
  gate.settled(old.ticket, std::vector<outcome>{{outcome_code::accepted, log_index{5}, {}}});
  BOOST_TEST(gate.lanes_in_flight() == 1u);
  BOOST_TEST(said(judge({message(bob, 2)})) == "accepted write");
  gate.settled(fresh.ticket, {});
}

BOOST_AUTO_TEST_CASE(the_next_batch_is_judged_behind_the_one_in_flight) {
  auto first = judge({message(bob, 1), message(bob, 2)});
  BOOST_TEST(said(judge({message(bob, 3)})) == "accepted write");
  BOOST_TEST(said(judge({message(bob, 5)})) == "gap(4) answer");
  BOOST_TEST(first.ticket != 0u);
}

BOOST_AUTO_TEST_CASE(a_repeat_of_what_is_in_flight_is_left_to_apply) {
  judge({message(bob, 1)});
  BOOST_TEST(said(judge({message(bob, 1)})) == "duplicate write");
}

BOOST_AUTO_TEST_CASE(when_the_answer_is_not_as_predicted_the_lane_is_read_anew) {
  auto first = judge({message(bob, 1), message(bob, 2)});
  gate.settled(first.ticket, std::vector<outcome>{{outcome_code::revoked_key, {}, {}}, {outcome_code::revoked_key, {}, {}}});
  BOOST_TEST(gate.lanes_in_flight() == 0u);
  BOOST_TEST(said(judge({message(bob, 3)})) == "gap(1) answer");
}

BOOST_AUTO_TEST_CASE(an_unknown_outcome_makes_the_gate_forget_the_lane) {
  auto first = judge({message(bob, 1)});
  gate.settled(first.ticket, {});
  BOOST_TEST(gate.lanes_in_flight() == 0u);
}

BOOST_AUTO_TEST_CASE(answered_lanes_are_forgotten) {
  auto first = judge({message(bob, 1)});
  auto second = judge({message(bob, 2)});
  applied.lanes[bob] = 1;
  gate.settled(first.ticket, std::vector<outcome>{{outcome_code::accepted, log_index{5}, {}}});
  BOOST_TEST(gate.lanes_in_flight() == 1u);
  applied.lanes[bob] = 2;
  gate.settled(second.ticket, std::vector<outcome>{{outcome_code::accepted, log_index{6}, {}}});
  BOOST_TEST(gate.lanes_in_flight() == 0u);
}

BOOST_AUTO_TEST_CASE(foreign_authors_unknown_recipients_and_other_clusters_are_refused_one_by_one) {
  auto foreign = message(bob, 1);
  foreign.header.author = carol;
  auto elsewhere = message(carol, 1);
  elsewhere.header.cluster = numbered<cluster_id>(8);
  BOOST_TEST(said(judge({foreign, elsewhere, message(nobody, 1)})) == "malformed not_for_here not_for_here answer");
}

BOOST_AUTO_TEST_CASE(a_revoked_key_sends_nothing_new_but_is_told_what_stands) {
  applied.lanes[bob] = 2;
  BOOST_TEST(said(judge({message(bob, 2), message(bob, 3)}, outcome_code::revoked_key)) == "duplicate revoked_key answer");
}

BOOST_AUTO_TEST_SUITE_END()
