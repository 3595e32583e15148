#pragma once
// SERVICE MANAGER: tells whoever started this process how it is, as systemd asks for it (sd_notify): a datagram to the
// Unix socket that NOTIFY_SOCKET names. Nothing happens where nobody asked. "alive" is said by the replica's loop itself
// and by nothing else, so a loop that stands still is noticed (WatchdogSec) although other threads live.

#include <chrono>
#include <string>

namespace signet {

class service_manager {
public:
  /// Reads NOTIFY_SOCKET and takes it out of the environment, so that no child speaks for this process.
  static service_manager from_environment();
  explicit service_manager(std::string socket) : socket_{std::move(socket)} {}

  void ready() const { say("READY=1"); }
  void stopping() const { say("STOPPING=1"); }
  /// Cheap; says it at most once a second. One thread.
  void alive();
  bool listens() const { return !socket_.empty(); }

private:
  void say(const char* what) const;

  std::string socket_;  // a path, or @ and a name
  std::chrono::steady_clock::time_point said_{};
};

} // namespace signet
