#include "messages/failpoints.hpp"

#ifdef SIGNET_TEST_HOOKS

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <unistd.h>

namespace signet::failpoints {

namespace {

enum class action : std::uint8_t { kill, panic, sleep, count };
struct order {
  action what = action::count;
  unsigned sleep_ms = 0;
  std::uint64_t at = 0;  ///< 0: each time
  std::uint64_t times = 0;
};

std::function<void(std::string_view)> handler;
std::atomic<bool> handled{false};
std::mutex guard;

[[noreturn]] void wrong(std::string_view text) {
  std::fprintf(stderr, "signet: SIGNET_FAILPOINTS: cannot read '%.*s'\n", static_cast<int>(text.size()), text.data());
  std::_Exit(73);
}

std::map<std::string, order, std::less<>> read_orders() {
  std::map<std::string, order, std::less<>> out;
  const char* given = std::getenv("SIGNET_FAILPOINTS");
  std::string_view rest = given != nullptr ? given : "";
  while (!rest.empty()) {
    auto one = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(one.size() + 1, rest.size()));
    auto equals = one.find('=');
    if (equals == std::string_view::npos)
      wrong(one);
    order each;
    auto what = one.substr(equals + 1);
    if (auto at = what.find('@'); at != std::string_view::npos) {
      each.at = std::strtoull(std::string(what.substr(at + 1)).c_str(), nullptr, 10);
      what = what.substr(0, at);
    }
    if (what == "kill")
      each.what = action::kill;
    else if (what == "panic")
      each.what = action::panic;
    else if (what.starts_with("sleep:")) {
      each.what = action::sleep;
      each.sleep_ms = static_cast<unsigned>(std::strtoul(std::string(what.substr(6)).c_str(), nullptr, 10));
    } else if (what != "count")
      wrong(one);
    out.emplace(one.substr(0, equals), each);
  }
  return out;
}

void log(std::string_view name, std::uint64_t times) {
  const char* path = std::getenv("SIGNET_FAILPOINTS_LOG");
  if (path == nullptr)
    return;
  auto line = std::string(name) + " " + std::to_string(times) + "\n";
  if (int to = ::open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600); to >= 0) {
    if (::write(to, line.data(), line.size()) < 0)
      std::fprintf(stderr, "signet: SIGNET_FAILPOINTS_LOG cannot be written\n");
    ::close(to);
  }
}

} // namespace

void set_handler(std::function<void(std::string_view)> next) {
  handler = std::move(next);
  handled = static_cast<bool>(handler);
}

void reached(std::string_view name) {
  if (handled) {
    handler(name);
    return;
  }
  static const bool wanted = std::getenv("SIGNET_FAILPOINTS") != nullptr;
  if (!wanted)
    return;
  std::unique_lock lock{guard};
  static auto orders = read_orders();
  auto found = orders.find(name);
  if (found == orders.end())
    return;
  auto& each = found->second;
  if (++each.times != each.at && each.at != 0)
    return;
  log(name, each.times);
  auto [what, sleep_ms] = std::pair{each.what, each.sleep_ms};
  lock.unlock();
  switch (what) {
    case action::kill:
      ::kill(::getpid(), SIGKILL);
      for (;;)
        ::pause();
    case action::panic:
      std::abort();
    case action::sleep:
      std::this_thread::sleep_for(std::chrono::milliseconds(sleep_ms));
      return;
    case action::count:
      return;
  }
}

} // namespace signet::failpoints

#endif
