#pragma once
// Nodes that are nothing but links, on loopback, and a proxy between them that can listen, stop and forget.

#include "actors/links/links.hpp"

#include <boost/test/unit_test.hpp>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <list>
#include <map>
#include <mutex>
#include <thread>

namespace signet::testing {

inline constexpr std::chrono::seconds link_patience{20};

/// A port that was free a moment ago, so that peers can be told of it before its owner listens.
inline std::uint16_t free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  BOOST_REQUIRE(::bind(fd, reinterpret_cast<sockaddr*>(&at), size) == 0);
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size);
  ::close(fd);
  return ntohs(at.sin_port);
}
inline std::string loopback(std::uint16_t port) { return "127.0.0.1:" + std::to_string(port); }

inline int connect_to(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(port);
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0)
    return fd;
  ::close(fd);
  return -1;
}

struct cluster_of_test {
  cluster_id id = random_id<cluster_id>(system_random());
};

/// One node: its key, its links, and what they were told.
class link_node {
public:
  explicit link_node(std::string name, cluster_id cluster, std::uint16_t port = free_port())
    : name{std::move(name)}, key{signing_key::generate(system_random())}, port{port} {
    settings.cluster = cluster;
    settings.self = this->name;
    settings.listen = loopback(port);
    // Tests run beside compilers: what is dead is found dead no sooner than this.
    settings.heartbeat = std::chrono::milliseconds{100};
  }
  ~link_node() { stop(); }

  link_peer row() const { return {name, loopback(port), key.public_half()}; }
  /// The same node as others see it through a proxy.
  link_peer row_at(std::uint16_t other_port) const { return {name, loopback(other_port), key.public_half()}; }

  void start(std::vector<link_peer> peers) {
    settings.process = random_id<peer::process_id>(system_random());
    it = std::make_unique<links>();
    links_handlers handlers;
    handlers.up = [this](const std::string& peer, const peer::hello& said) {
      const std::lock_guard lock{mutex};
      ++ups[peer];
      is_up[peer] = true;
      hellos[peer] = said;
      changed.notify_all();
    };
    handlers.down = [this](const std::string& peer) {
      const std::lock_guard lock{mutex};
      out_of_turn += !is_up[peer];
      ++downs[peer];
      is_up[peer] = false;
      changed.notify_all();
    };
    handlers.frame = [this](const std::string& peer, shared_bytes frame, link_credit_ptr credit) {
      const std::lock_guard lock{mutex};
      out_of_turn += !is_up[peer];
      frames[peer].push_back(std::move(frame));
      if (hold_credit)
        credits.push_back(std::move(credit));
      changed.notify_all();
    };
    handlers.refused = [this](link_refusal reason, const std::string& peer, const std::string&) {
      const std::lock_guard lock{mutex};
      refused.emplace_back(reason, peer);
      changed.notify_all();
    };
    const auto started = it->start(settings, key, handlers, std::move(peers));
    BOOST_REQUIRE_MESSAGE(started, (started ? "" : render(started.error())));
  }
  void stop() {
    if (it)
      it->stop();
    it.reset();
    const std::lock_guard lock{mutex};
    is_up.clear();
    BOOST_TEST(out_of_turn == 0u);
  }

  template <class F>
  bool wait_for(F condition, std::chrono::milliseconds patience = link_patience) {
    std::unique_lock lock{mutex};
    return changed.wait_for(lock, patience, condition);
  }
  bool wait_up(const std::string& peer) {
    return wait_for([&] { return is_up[peer]; });
  }
  bool wait_down(const std::string& peer) {
    return wait_for([&] { return !is_up[peer]; });
  }
  bool wait_refused(link_refusal reason) {
    return wait_for([&] {
      return std::any_of(refused.begin(), refused.end(), [&](const auto& each) { return each.first == reason; });
    });
  }
  bool wait_frames(const std::string& peer, std::size_t count) {
    return wait_for([&] { return frames[peer].size() >= count; });
  }
  template <class F>
  auto with(F work) {
    const std::lock_guard lock{mutex};
    return work();
  }
  link_picture picture_of(const std::string& peer) const {
    for (auto& each : it->picture())
      if (each.name == peer)
        return each;
    return {};
  }

  const std::string name;
  const signing_key key;
  const std::uint16_t port;
  links_settings settings;
  std::unique_ptr<links> it;

  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::string, std::size_t> ups, downs;
  std::map<std::string, bool> is_up;
  std::map<std::string, peer::hello> hellos;
  std::map<std::string, std::vector<shared_bytes>> frames;
  std::vector<link_credit_ptr> credits;
  std::vector<std::pair<link_refusal, std::string>> refused;
  std::size_t out_of_turn = 0;  // frames and downs of a link that was not up
  bool hold_credit = false;
};

/// Forwards TCP to a port; keeps what passed; when frozen it takes and gives nothing, but closes nothing either.
class tcp_proxy {
public:
  explicit tcp_proxy(std::uint16_t to) : to_{to} {
    door_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    BOOST_REQUIRE(::bind(door_, reinterpret_cast<sockaddr*>(&at), size) == 0);
    BOOST_REQUIRE(::listen(door_, 16) == 0);
    ::getsockname(door_, reinterpret_cast<sockaddr*>(&at), &size);
    port_ = ntohs(at.sin_port);
    thread_ = std::thread{[this] { run(); }};
  }
  ~tcp_proxy() {
    over_ = true;
    thread_.join();
    ::close(door_);
    for (const auto& each : pairs_)
      for (const int fd : each.fd)
        ::close(fd);
  }
  std::uint16_t port() const { return port_; }
  /// Connections that are here now stop; new ones are forwarded.
  void freeze() {
    const std::lock_guard lock{mutex_};
    for (auto& each : pairs_)
      each.frozen = true;
  }
  std::size_t accepted() {
    const std::lock_guard lock{mutex_};
    return pairs_.size();
  }
  bytes seen() {
    const std::lock_guard lock{mutex_};
    return seen_;
  }

private:
  struct pair {
    int fd[2];
    bytes waiting[2];  // to be written to fd[i]
    bool frozen = false, over = false;
  };
  void run() {
    while (!over_) {
      {
        const std::lock_guard lock{mutex_};
        const int fd = ::accept4(door_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
          const int other = connect_to(to_);
          if (other >= 0) {
            ::fcntl(other, F_SETFL, O_NONBLOCK);
            pairs_.push_back({{fd, other}, {}, false, false});
          } else {
            ::close(fd);
          }
        }
        for (auto& each : pairs_)
          if (!each.frozen && !each.over)
            move(each);
      }
      std::this_thread::sleep_for(std::chrono::milliseconds{1});
    }
  }
  void move(pair& each) {
    for (int from = 0; from < 2; ++from) {
      auto& waiting = each.waiting[1 - from];
      if (waiting.size() < 65'536) {
        bytes part(65'536);
        const auto count = ::recv(each.fd[from], part.data(), part.size(), 0);
        if (count == 0 || (count < 0 && errno != EAGAIN)) {
          ::shutdown(each.fd[0], SHUT_RDWR);
          ::shutdown(each.fd[1], SHUT_RDWR);
          each.over = true;
          return;
        }
        if (count > 0) {
          append(waiting, bytes_view{part}.first(static_cast<std::size_t>(count)));
          append(seen_, bytes_view{part}.first(static_cast<std::size_t>(count)));
        }
      }
      const auto count = ::send(each.fd[1 - from], waiting.data(), waiting.size(), MSG_NOSIGNAL);
      if (count > 0)
        waiting.erase(waiting.begin(), waiting.begin() + count);
    }
  }

  const std::uint16_t to_;
  std::uint16_t port_ = 0;
  int door_;
  std::atomic<bool> over_{false};
  std::mutex mutex_;
  std::list<pair> pairs_;
  bytes seen_;
  std::thread thread_;
};

} // namespace signet::testing
