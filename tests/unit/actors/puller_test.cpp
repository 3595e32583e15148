#include "actors/delivery/puller.hpp"

#include "messages/envelope/delivery.hpp"
#include "tests/support/view_world.hpp"

#include <boost/test/unit_test.hpp>
#include <numeric>

using namespace signet;
using namespace signet::testing;

namespace {
/// Pulls until the inbox is read; every publish must verify, and positions must join without a gap.
struct reading {
  std::vector<std::size_t> messages, bundles, cut;  ///< in each publish; cut: bundles that need a proof
};
reading read_all(const storage::read_txn& txn, const permalink& who, std::size_t payload_bytes_max) {
  reading out;
  inbox_position last{};
  while (auto pulled = pull_inbox(txn, who, next(last), inbox_position{1'000'000}, payload_bytes_max)) {
    BOOST_TEST(pulled->payload.size() <= payload_bytes_max);
    auto items = open_delivery(pulled->payload);
    BOOST_REQUIRE(items);
    out.messages.push_back(0);
    out.bundles.push_back(items->size());
    out.cut.push_back(0);
    for (const auto& item : *items) {
      const auto& bundle = std::get<unverified_bundle>(item);
      out.cut.back() += bundle.proof.empty() ? 0 : 1;
      auto verified = verify_bundle(bundle);
      BOOST_REQUIRE(verified);
      for (const auto& message : *verified) {
        BOOST_TEST((message.position == next(last)));
        last = message.position;
        ++out.messages.back();
      }
    }
    BOOST_TEST((pulled->last == last));
  }
  return out;
}

struct world_with_two : view_world {
  world_with_two() { found(); }
  person alice = join(), bob = join();
  void send(std::size_t count, std::size_t size) {
    BOOST_REQUIRE(apply(batch_entry(batch(alice, bob.id(), count, std::string(size, 'x')).serialised)).all_good());
  }
};
} // namespace

BOOST_AUTO_TEST_SUITE(puller_tests)

BOOST_AUTO_TEST_CASE(a_batch_that_would_be_cut_goes_whole_into_the_next_publish) {
  world_with_two world;
  for (int i = 0; i < 5; ++i)
    world.send(10, 500);
  // Two and a half batches of about 8 KiB fit.
  const auto got = read_all(world.txn(), world.bob.id(), 20'000);
  BOOST_TEST(got.messages == (std::vector<std::size_t>{20, 20, 10}), boost::test_tools::per_element());
  BOOST_TEST(got.bundles == (std::vector<std::size_t>{2, 2, 1}), boost::test_tools::per_element());
  BOOST_TEST(got.cut == (std::vector<std::size_t>{0, 0, 0}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_batch_larger_than_a_publish_is_cut_and_each_part_proves_itself) {
  world_with_two world;
  world.send(1, 500);
  world.send(40, 500);
  world.send(1, 500);
  const auto got = read_all(world.txn(), world.bob.id(), 10'000);
  BOOST_TEST(std::accumulate(got.messages.begin(), got.messages.end(), std::size_t{0}) == 42U);
  BOOST_TEST(got.cut.front() == 1U);
  BOOST_TEST(got.messages.front() > 1U);  // the first one does not travel alone: the next has to be cut anyway
}

BOOST_AUTO_TEST_SUITE_END()
