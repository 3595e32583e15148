// What a lone message cannot be faster than: one LMDB commit on this disk, and one round trip over loopback.
//   bench_commit DIRECTORY      prints JSON

#include "storage/lmdb/environment.hpp"
#include "storage/tables.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {
using namespace signet;
using clock_type = std::chrono::steady_clock;
constexpr std::size_t rounds = 1'000, size_bytes = 1'024;

double us_since(clock_type::time_point from) {
  return std::chrono::duration<double, std::micro>(clock_type::now() - from).count();
}
double quantile(std::vector<double>& all, double share) {
  std::sort(all.begin(), all.end());
  return all[static_cast<std::size_t>(share * static_cast<double>(all.size() - 1))];
}

std::vector<double> commits(const char* directory) {
  storage::environment_options options;
  options.directory = directory;
  auto env = storage::environment::open(options, storage::all_tables());
  if (!env) {
    std::fprintf(stderr, "bench_commit: %s\n", render(env.error()).c_str());
    std::exit(71);
  }
  const bytes value(size_bytes, 0x5A);
  std::vector<double> out;
  for (std::size_t i = 0; i < rounds; ++i) {
    const auto from = clock_type::now();
    auto txn = (*env)->write();
    storage::put<storage::table::meta>(txn, {std::to_string(i)}, {value});
    txn.commit();
    out.push_back(us_since(from));
  }
  return out;
}

bool move_all(int socket, std::array<char, size_bytes>& data, bool out) {
  for (std::size_t done = 0; done < data.size();) {
    const auto n = out ? ::send(socket, data.data() + done, data.size() - done, MSG_NOSIGNAL)
                       : ::recv(socket, data.data() + done, data.size() - done, 0);
    if (n <= 0)
      return false;
    done += static_cast<std::size_t>(n);
  }
  return true;
}

std::vector<double> round_trips() {
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t at_size = sizeof at;
  if (::bind(listener, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0 || ::listen(listener, 1) != 0 ||
      ::getsockname(listener, reinterpret_cast<sockaddr*>(&at), &at_size) != 0)
    std::exit(71);
  std::thread echo([listener] {
    const int peer = ::accept(listener, nullptr, nullptr);
    const int on = 1;
    ::setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    std::array<char, size_bytes> data{};
    while (move_all(peer, data, false) && move_all(peer, data, true))
      ;
    ::close(peer);
  });
  const int client = ::socket(AF_INET, SOCK_STREAM, 0);
  const int on = 1;
  ::setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  std::vector<double> out;
  if (::connect(client, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0) {
    std::array<char, size_bytes> data{};
    for (std::size_t i = 0; i < rounds; ++i) {
      const auto from = clock_type::now();
      if (!move_all(client, data, true) || !move_all(client, data, false))
        break;
      out.push_back(us_since(from));
    }
  }
  ::close(client);
  echo.join();
  ::close(listener);
  return out;
}
} // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: bench_commit DIRECTORY\n");
    return 73;
  }
  auto commit = commits(argv[1]);
  auto trip = round_trips();
  if (trip.empty())
    return 71;
  std::printf("{\"commit_p50_us\": %.1f, \"commit_p99_us\": %.1f, \"round_trip_p50_us\": %.1f, \"round_trip_p99_us\": %.1f}\n",
              quantile(commit, 0.5), quantile(commit, 0.99), quantile(trip, 0.5), quantile(trip, 0.99));
}
