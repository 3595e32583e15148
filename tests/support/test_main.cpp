#define BOOST_TEST_MODULE signet
#include <boost/test/unit_test.hpp>

#include <sodium.h>

struct sodium_is_ready {
  sodium_is_ready() { BOOST_REQUIRE(sodium_init() >= 0); }
};
BOOST_TEST_GLOBAL_FIXTURE(sodium_is_ready);
