#include "tools/cli/bench_counts.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <random>

using namespace signet::cli;

BOOST_AUTO_TEST_SUITE(bench_counts_tests)

BOOST_AUTO_TEST_CASE(quantiles_agree_with_a_sorted_list_within_two_percent) {
  std::mt19937_64 random{7};
  latency_histogram histogram;
  std::vector<std::uint64_t> all;
  for (int i = 0; i < 20'000; ++i) {
    all.push_back(random() >> (random() % 60));
    histogram.add(all.back());
  }
  std::sort(all.begin(), all.end());
  for (double share : {0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    const auto exact = static_cast<double>(all[static_cast<std::size_t>(std::ceil(share * 20'000)) - 1]);
    const auto got = static_cast<double>(histogram.quantile(share));
    BOOST_TEST(got >= exact);
    BOOST_TEST(got <= exact * 1.02 + 1);
  }
  BOOST_TEST(histogram.max() == all.back());
  BOOST_TEST(histogram.count() == 20'000U);
}

BOOST_AUTO_TEST_CASE(a_histogram_of_nothing_is_all_zero) {
  latency_histogram empty;
  BOOST_TEST(empty.quantile(0.5) == 0U);
  BOOST_TEST(empty.max() == 0U);
}

BOOST_AUTO_TEST_CASE(the_largest_number_there_is_has_a_place) {
  latency_histogram histogram;
  histogram.add(~std::uint64_t{0});
  BOOST_TEST(histogram.quantile(1) == ~std::uint64_t{0});
}

BOOST_AUTO_TEST_CASE(a_ledger_tells_in_order_late_and_duplicate_apart) {
  using verdict = arrival_ledger::verdict;
  arrival_ledger ledger;
  BOOST_TEST((ledger.arrived(0) == verdict::in_order));
  BOOST_TEST((ledger.arrived(2) == verdict::in_order));
  BOOST_TEST((ledger.arrived(1) == verdict::late));
  BOOST_TEST((ledger.arrived(1) == verdict::duplicate));
  BOOST_TEST((ledger.arrived(2) == verdict::duplicate));
  BOOST_TEST((ledger.arrived(1'000) == verdict::in_order));
  BOOST_TEST(ledger.distinct() == 4U);
  BOOST_TEST(ledger.duplicates() == 2U);
  BOOST_TEST(ledger.reordered() == 1U);
  BOOST_TEST(ledger.has(1'000));
  BOOST_TEST(!ledger.has(999));
  BOOST_TEST(!ledger.has(1'000'000));
}

BOOST_AUTO_TEST_SUITE_END()
