#include "storage/lmdb/map_fault.hpp"

#include <csignal>
#include <string_view>
#include <unistd.h>

namespace signet::storage {
namespace {

constexpr int exit_storage = 71;

// Only what is safe in a signal handler.
void on_bus_error(int number, siginfo_t* about, void*) {
  if (about->si_code == BUS_ADRALN) {
    // A misaligned access is a defect, not a disk.
    ::signal(number, SIG_DFL);
    ::raise(number);
    return;
  }
  constexpr std::string_view line =
    "signet: input or output failed: the disk gave no page of the data file (it is damaged, or was cut short while the node "
    "ran). Next: signet verify DATA; a cluster member is then rebuilt from its peers\n";
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
  ::_exit(exit_storage);
}

} // namespace

void exit_on_map_fault() {
  struct sigaction action {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGBUS, &action, nullptr);
}

} // namespace signet::storage
