#include "actors/supervision/restartable.hpp"

#include <boost/test/unit_test.hpp>
#include <random>
#include <stdexcept>
#include <vector>

using signet::supervision::restartable;

namespace {

struct bench {
  std::vector<int> done;
  int made = 0;
  std::function<bool(int)> poison = [](int) { return false; };
  restartable<int>::handler operator()() {
    ++made;
    return [this](const int& input) {
      if (poison(input))
        throw std::runtime_error("poison");
      done.push_back(input);
    };
  }
};

} // namespace

BOOST_AUTO_TEST_SUITE(restartable_handler)

BOOST_AUTO_TEST_CASE(a_failed_input_stays_in_front_and_nothing_overtakes_it) {
  bench b;
  int tries = 0;
  b.poison = [&](int x) { return x == 2 && ++tries < 3; };
  restartable<int> work{[&] { return b(); }, 10};
  for (int x : {1, 2, 3})
    BOOST_TEST(work.offer(x));
  auto failed = work.run();
  BOOST_REQUIRE(failed.has_value());
  BOOST_TEST(failed->attempt == 1u);
  BOOST_TEST(!work.run().has_value());  // waits for an order
  BOOST_TEST((b.done == std::vector<int>{1}));
  BOOST_TEST(work.retry(failed->failure));
  auto again = work.run();
  BOOST_REQUIRE(again.has_value());
  BOOST_TEST(again->attempt == 2u);
  BOOST_TEST(work.retry(again->failure));
  BOOST_TEST(!work.run().has_value());
  BOOST_TEST((b.done == std::vector<int>{1, 2, 3}));
  BOOST_TEST(b.made == 3);  // a new handler after each failure
}

BOOST_AUTO_TEST_CASE(late_and_repeated_orders_do_nothing) {
  bench b;
  b.poison = [](int x) { return x == 1; };
  restartable<int> work{[&] { return b(); }, 10};
  BOOST_TEST(work.offer(1));
  BOOST_TEST(work.offer(2));
  auto first = work.run();
  BOOST_TEST(work.retry(first->failure));
  auto second = work.run();
  BOOST_TEST(!work.retry(first->failure));
  BOOST_TEST(!work.drop(first->failure));
  BOOST_TEST(work.drop(second->failure));
  BOOST_TEST(!work.drop(second->failure));
  BOOST_TEST(!work.run().has_value());
  BOOST_TEST((b.done == std::vector<int>{2}));
}

BOOST_AUTO_TEST_CASE(the_count_of_attempts_starts_anew_with_each_input) {
  bench b;
  b.poison = [](int) { return true; };
  restartable<int> work{[&] { return b(); }, 10};
  BOOST_TEST(work.offer(1));
  BOOST_TEST(work.offer(2));
  work.resume_at(3);
  auto failed = work.run();
  BOOST_TEST(failed->attempt == 4u);
  BOOST_TEST(work.drop(failed->failure));
  BOOST_TEST(work.run()->attempt == 1u);
}

BOOST_AUTO_TEST_CASE(a_full_stash_refuses_and_keeps_what_it_has) {
  bench b;
  b.poison = [](int x) { return x == 0; };
  restartable<int> work{[&] { return b(); }, 2};
  BOOST_TEST(work.offer(0));
  BOOST_TEST(work.offer(1));
  BOOST_TEST(!work.offer(2));
  auto failed = work.run();
  BOOST_TEST(!work.offer(3));
  BOOST_TEST(work.drop(failed->failure));
  BOOST_TEST(work.offer(4));
  BOOST_TEST(!work.run().has_value());
  BOOST_TEST((b.done == std::vector<int>{1, 4}));
}

BOOST_AUTO_TEST_CASE(a_maker_that_throws_is_a_failure_of_the_input_in_front) {
  int made = 0;
  std::vector<int> done;
  restartable<int> work{[&]() -> restartable<int>::handler {
                          if (++made == 1)
                            throw std::runtime_error("not yet");
                          return [&](const int& x) { done.push_back(x); };
                        },
                        4};
  BOOST_TEST(work.offer(7));
  auto failed = work.run();
  BOOST_REQUIRE(failed.has_value());
  BOOST_TEST(work.retry(failed->failure));
  BOOST_TEST(!work.run().has_value());
  BOOST_TEST((done == std::vector<int>{7}));
}

BOOST_AUTO_TEST_CASE(twenty_thousand_inputs_with_random_failures_come_through_in_order) {
  std::mt19937_64 random{7};
  bench b;
  b.poison = [&](int x) { return x == 4'711 || random() % 100 == 0; };
  restartable<int> work{[&] { return b(); }, 1'000};
  std::vector<int> expected;
  int next = 0;
  std::size_t failures = 0;
  while (next < 20'000 || work.waiting() > 0) {
    while (next < 20'000 && work.offer(next)) {
      if (next != 4'711)
        expected.push_back(next);
      ++next;
    }
    if (auto failed = work.run()) {
      ++failures;
      const bool give_up = *work.front() == 4'711 && failed->attempt == 3;
      for (int twice = 0; twice < 2; ++twice)
        give_up ? work.drop(failed->failure) : work.retry(failed->failure);
    }
  }
  BOOST_TEST(failures > 150u);
  BOOST_TEST((b.done == expected));
}

BOOST_AUTO_TEST_SUITE_END()
