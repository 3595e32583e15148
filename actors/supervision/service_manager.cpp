#include "actors/supervision/service_manager.hpp"

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace signet {
namespace {
constexpr auto alive_every = std::chrono::seconds(1);
}

service_manager service_manager::from_environment() {
  const char* socket = std::getenv("NOTIFY_SOCKET");
  service_manager out{socket ? socket : ""};
  ::unsetenv("NOTIFY_SOCKET");
  return out;
}

void service_manager::alive() {
  if (socket_.empty())
    return;
  const auto now = std::chrono::steady_clock::now();
  if (now - said_ < alive_every)
    return;
  said_ = now;
  say("WATCHDOG=1");
}

void service_manager::say(const char* what) const {
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  if (socket_.empty() || socket_.size() >= sizeof to.sun_path)
    return;
  std::memcpy(to.sun_path, socket_.data(), socket_.size());
  if (socket_.front() == '@')
    to.sun_path[0] = '\0';  // an abstract name
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0)
    return;
  // Lost if the manager does not read: it hears the next one.
  (void)!::sendto(fd, what, std::strlen(what), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&to),
                  static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_.size()));
  ::close(fd);
}

} // namespace signet
