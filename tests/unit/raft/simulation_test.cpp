// Random schedules. `unit_raft --run_test=raft_simulation -- --seeds 20000 [--from 1]` is the long campaign.

#include "tests/unit/raft/simulation.hpp"

#include <boost/test/unit_test.hpp>

using namespace signet;
using namespace signet::raft;
using namespace signet::raft::test;

namespace {

std::uint64_t argument(std::string_view name, std::uint64_t otherwise) {
  const auto& suite = boost::unit_test::framework::master_test_suite();
  for (int i = 1; i + 1 < suite.argc; ++i)
    if (suite.argv[i] == name)
      return std::stoull(suite.argv[i + 1]);
  return otherwise;
}

configuration servers(std::size_t voters, std::size_t standbys = 0) {
  configuration out;
  for (std::size_t i = 1; i <= voters + standbys; ++i)
    out.push_back({server_id{i}, "server " + std::to_string(i), i <= voters ? member_role::voter : member_role::standby});
  return out;
}

/// Runs the seeds; every one must be clean and the lot must have done something.
void campaign(const conditions& under, std::uint64_t seeds) {
  auto from = argument("--from", 1);
  auto count = argument("--seeds", seeds);
  std::size_t committed = 0, acknowledged = 0, leaderships = 0;
  for (auto seed = from; seed < from + count; ++seed) {
    auto done = simulate(under, seed);
    committed += done.committed;
    acknowledged += done.acknowledged;
    leaderships += done.leaderships;
    BOOST_TEST(done.broken == "", "seed " << seed << ": " << done.broken);
  }
  BOOST_TEST_MESSAGE(count << " seeds, " << committed << " commits, " << acknowledged << " acknowledged, " << leaderships
                           << " leaderships");
  BOOST_TEST(committed > 20 * count);
  BOOST_TEST(acknowledged > 10 * count);
  BOOST_TEST(leaderships >= count);
}

/// Whether one of so many seeds breaks something.
bool caught_within(const conditions& under, std::uint64_t seeds) {
  for (std::uint64_t seed = 1; seed <= seeds; ++seed)
    if (!simulate(under, seed).broken.empty())
      return true;
  return false;
}

} // namespace

BOOST_AUTO_TEST_SUITE(raft_simulation)

BOOST_AUTO_TEST_CASE(three_voters_keep_every_invariant_through_faults) {
  conditions under;
  under.founders = servers(3);
  campaign(under, 120);
}

BOOST_AUTO_TEST_CASE(five_voters_keep_every_invariant_through_faults) {
  conditions under;
  under.founders = servers(5);
  campaign(under, 30);
}

BOOST_AUTO_TEST_CASE(a_cluster_of_one_keeps_every_invariant_through_crashes) {
  conditions under;
  under.founders = servers(1);
  under.faulty_ms = 8'000;
  campaign(under, 60);
}

BOOST_AUTO_TEST_CASE(a_sole_voter_with_standbys_never_lets_them_diverge) {
  conditions under;
  under.founders = servers(1, 2);
  campaign(under, 60);
}

#ifdef SIGNET_TEST_HOOKS
// Without the hooks what the engine believes cannot be seen.
BOOST_AUTO_TEST_CASE(members_that_come_and_go_break_nothing) {
  conditions under;
  under.founders = servers(3);
  under.joiners = 2;
  under.changes = true;
  campaign(under, 60);
}
#endif

BOOST_AUTO_TEST_CASE(a_driver_that_does_not_wait_for_its_vote_is_caught) {
  conditions under;
  under.founders = servers(3);
  under.votes_leave_early = true;
  BOOST_TEST(caught_within(under, 3'000));
}

BOOST_AUTO_TEST_CASE(a_driver_that_claims_durability_early_is_caught) {
  conditions under;
  under.founders = servers(3);
  under.durable_is_claimed_early = true;
  BOOST_TEST(caught_within(under, 60));
}

BOOST_AUTO_TEST_SUITE_END()
