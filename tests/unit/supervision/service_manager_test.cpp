#include "actors/supervision/service_manager.hpp"
#include "tests/support/scratch_directory.hpp"

#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <cstring>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace signet {
namespace {
/// What a service manager would hear.
class ear {
public:
  explicit ear(const std::string& path) : fd_{::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)} {
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    BOOST_REQUIRE(path.size() < sizeof at.sun_path);
    std::memcpy(at.sun_path, path.data(), path.size());
    BOOST_REQUIRE(::bind(fd_, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0);
  }
  ~ear() { ::close(fd_); }
  std::string heard() {
    char text[64];
    const auto size = ::recv(fd_, text, sizeof text, 0);
    return size < 0 ? "nothing" : std::string(text, static_cast<std::size_t>(size));
  }

private:
  int fd_;
};
} // namespace

BOOST_AUTO_TEST_SUITE(service_managers)

BOOST_AUTO_TEST_CASE(it_hears_that_the_node_is_ready_lives_and_stops) {
  testing::scratch_directory scratch;
  const auto path = (scratch.path() / "notify").string();
  ear manager(path);
  ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
  auto told = service_manager::from_environment();
  BOOST_TEST(std::getenv("NOTIFY_SOCKET") == nullptr);
  told.ready();
  BOOST_TEST(manager.heard() == "READY=1");
  told.alive();
  told.alive();
  BOOST_TEST(manager.heard() == "WATCHDOG=1");
  BOOST_TEST(manager.heard() == "nothing");  // once a second is enough
  told.stopping();
  BOOST_TEST(manager.heard() == "STOPPING=1");
}

BOOST_AUTO_TEST_CASE(where_nobody_asked_nothing_is_said) {
  ::unsetenv("NOTIFY_SOCKET");
  auto told = service_manager::from_environment();
  BOOST_TEST(!told.listens());
  told.ready();
  told.alive();
  service_manager nobody{"/nonexistent/notify"};
  nobody.ready();
  service_manager too_long{std::string(500, 'x')};
  too_long.ready();
}

BOOST_AUTO_TEST_SUITE_END()
} // namespace signet
