#include "actors/bridge/bridge.hpp"

#include "actors/bridge/connection.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <spdlog/spdlog.h>

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

namespace signet {
namespace {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;
using acceptor = asio::basic_socket_acceptor<tcp, connection::executor>;
using work_guard = asio::executor_work_guard<connection::executor>;

/// Connections taken in one turn; then those that are here get theirs.
constexpr int accepts_per_turn = 64;
/// How long to leave the listen queue alone when the system has no socket for us.
constexpr std::chrono::milliseconds accept_pause{100};
/// Descriptors that are not connections: the log, the store, other nodes, the listeners themselves.
constexpr std::size_t other_descriptors = 256;
/// Unsent bytes the kernel may hold for a connection: more would only age there.
constexpr int unsent_bytes_max = 128 * 1024;

std::size_t raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
    return 1'024;
  if (limit.rlim_cur < limit.rlim_max) {
    auto raised = limit;
    raised.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
      limit = raised;
  }
  return limit.rlim_cur == RLIM_INFINITY ? 1'000'000 : static_cast<std::size_t>(limit.rlim_cur);
}

/// Lowers what the descriptors do not allow.
bridge_settings fitted(bridge_settings settings) {
  const auto descriptors = raise_descriptor_limit();
  const auto allowed = descriptors > 2 * other_descriptors ? descriptors - other_descriptors : descriptors / 2;
  auto& wanted = settings.limits.connections_max;
  if (wanted > allowed) {
    spdlog::warn("connections limited by descriptors: connections_max={} wanted={} descriptors={} advice=\"raise "
                 "LimitNOFILE or ulimit -n\"", allowed, wanted, descriptors);
    wanted = allowed;
  }
  settings.threads = std::max(1u, settings.threads);
  return settings;
}

std::string name_of(const listen_at& at) {
  const auto host = at.address.find(':') == std::string::npos ? at.address : "[" + at.address + "]";
  return std::string{scheme_of(at.kind)} + "://" + host + ":" + std::to_string(at.port);
}

tl::unexpected<error> cannot_listen(const listen_at& at, const boost::system::error_code& problem) {
  const auto key = at.kind == channel_kind::tcp ? "listen.mqtt"
                   : at.kind == channel_kind::tls ? "listen.mqtts" : at.kind == channel_kind::ws ? "listen.ws"
                                                                                                : "listen.wss";
  auto text = "cannot listen on " + name_of(at) + " (" + problem.message() + "): ";
  if (problem == asio::error::address_in_use)
    text += "another program has that port; `ss -ltnp 'sport = :" + std::to_string(at.port) + "'` shows it, or set "
            + key + " to another port";
  else if (problem == asio::error::access_denied)
    text += "ports below 1024 need a privilege; set " + std::string{key} + " to a port above 1023, or give the program "
            "CAP_NET_BIND_SERVICE";
  else if (problem.value() == EADDRNOTAVAIL)
    text += "no interface of this machine has that address; `ip address` lists them, 127.0.0.1 is always there";
  else
    text += "check " + std::string{key};
  return fail(ec::io, text);
}

} // namespace

std::string_view scheme_of(channel_kind kind) {
  switch (kind) {
    case channel_kind::tcp:
      return "mqtt";
    case channel_kind::tls:
      return "mqtts";
    case channel_kind::ws:
      return "ws";
    case channel_kind::wss:
      return "wss";
  }
  return "?";
}

struct bridge::inside {
  struct thread_of {
    std::shared_ptr<connection::io_thread> home;
    std::optional<work_guard> guard;
    std::thread thread;
  };
  struct door_keeper {
    door_keeper(asio::io_context& io, std::shared_ptr<listener_shared> at, std::size_t number)
      : socket{io}, pause{io}, shared{std::move(at)}, settings_at{number} {}
    acceptor socket;
    asio::steady_timer pause;
    std::shared_ptr<listener_shared> shared;
    std::size_t settings_at;  // its place in the settings
  };

  explicit inside(bridge_settings settings) : all{std::make_shared<bridge_shared>(fitted(std::move(settings)))} {}

  status open(std::size_t number);
  void accept_later(door_keeper& keeper);
  void accept_turn(door_keeper& keeper);
  void admit(door_keeper& keeper, int descriptor, const sockaddr_storage& peer, socklen_t peer_size);
  void report_no_socket(int problem);

  const std::shared_ptr<bridge_shared> all;
  std::vector<thread_of> threads;
  std::vector<std::unique_ptr<door_keeper>> keepers;  // on the first thread
  std::vector<listening_at> listening;
  std::size_t next_thread = 0;
  steady_point last_report{};
  bool started = false, stopped = false;
};

status bridge::inside::open(std::size_t number) {
  const auto& at = all->settings.listeners[number];
  boost::system::error_code problem;
  const auto address = asio::ip::make_address(at.address == "localhost" ? "127.0.0.1" : at.address, problem);
  if (problem)
    return fail(ec::configuration, "\"" + at.address + "\" is no IP address: write one of an interface of this "
                "machine, such as 127.0.0.1, or 0.0.0.0 for all of them; names are not looked up");
  auto shared = std::make_shared<listener_shared>();
  shared->kind = at.kind;
  shared->origins = at.origins;
  if (at.kind == channel_kind::tls || at.kind == channel_kind::wss) {
    auto tls = tls_context::load(at.certificate, at.key);
    if (!tls)
      return tl::make_unexpected(tls.error());
    shared->tls = *tls;
  }
  auto keeper = std::make_unique<door_keeper>(threads.front().home->io, std::move(shared), number);
  const tcp::endpoint endpoint{address, at.port};
  auto& socket = keeper->socket;
  if (socket.open(endpoint.protocol(), problem))
    return cannot_listen(at, problem);
  ::fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
  socket.set_option(asio::socket_base::reuse_address{true}, problem);
  if (socket.bind(endpoint, problem) || socket.listen(4'096, problem) || socket.native_non_blocking(true, problem))
    return cannot_listen(at, problem);
  listening.push_back({at.kind, address.to_string(), socket.local_endpoint(problem).port()});
  keepers.push_back(std::move(keeper));
  return {};
}

void bridge::inside::accept_later(door_keeper& keeper) {
  keeper.socket.async_wait(tcp::socket::wait_read, [this, &keeper](const boost::system::error_code& problem) {
    if (!problem)
      accept_turn(keeper);
  });
}

void bridge::inside::accept_turn(door_keeper& keeper) {
  for (int i = 0; i < accepts_per_turn; ++i) {
    sockaddr_storage peer{};
    socklen_t peer_size = sizeof peer;
    const auto descriptor = ::accept4(keeper.socket.native_handle(), reinterpret_cast<sockaddr*>(&peer), &peer_size,
                                      SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor >= 0) {
      admit(keeper, descriptor, peer, peer_size);
      continue;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK)
      break;
    if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM)
      continue;  // that client has gone already
    // The connection stays in the queue and would wake us at once: leave it there for a while.
    report_no_socket(errno);
    keeper.pause.expires_after(accept_pause);
    keeper.pause.async_wait([this, &keeper](const boost::system::error_code& problem) {
      if (!problem)
        accept_turn(keeper);
    });
    return;
  }
  accept_later(keeper);
}

void bridge::inside::report_no_socket(int problem) {
  ++all->counters.accept_failures;
  const auto now = std::chrono::steady_clock::now();
  if (last_report != steady_point{} && now - last_report < std::chrono::seconds{1})
    return;
  last_report = now;
  spdlog::warn("no socket for a new client: problem=\"{}\" connections={} failures={} advice=\"raise LimitNOFILE or "
               "lower limits.connections\"", std::generic_category().message(problem), all->entrance.connections(),
               all->counters.accept_failures.load());
}

void bridge::inside::admit(door_keeper& keeper, int descriptor, const sockaddr_storage& peer, socklen_t peer_size) {
  tcp::endpoint from;
  if (peer_size > from.capacity()) {
    ::close(descriptor);
    return;
  }
  std::memcpy(from.data(), &peer, peer_size);
  from.resize(peer_size);
  auto address = from.address();
  if (address.is_v6() && address.to_v6().is_v4_mapped())
    address = asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
  switch (all->entrance.enter(address)) {
    case door::answer::welcome:
      break;
    case door::answer::full:
      ++all->counters.refused_full;
      ::close(descriptor);
      return;
    case door::answer::too_many_strangers:
      ++all->counters.refused_strangers;
      ::close(descriptor);
      return;
    case door::answer::too_many_from_address:
      ++all->counters.refused_address;
      ::close(descriptor);
      return;
  }
  ++all->counters.accepted;
  const int on = 1;
  ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  ::setsockopt(descriptor, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent_bytes_max, sizeof unsent_bytes_max);

  const auto& home = threads[next_thread++ % threads.size()].home;
  connection::socket socket{home->io};
  boost::system::error_code problem;
  socket.assign(from.protocol(), descriptor, problem);
  if (problem) {
    report_no_socket(problem.value());
    ::close(descriptor);
    all->entrance.leave(address, false);
    return;
  }
  auto made = std::make_shared<connection>(home, all, keeper.shared, std::move(socket), address);
  if (home == threads.front().home)
    return made->start();
  asio::post(home->io, [made = std::move(made)] { made->start(); });
}

bridge::bridge(bridge_settings settings) : inside_{std::make_unique<inside>(std::move(settings))} {}

bridge::~bridge() { stop(); }

status bridge::start(session_maker new_session) {
  auto& in = *inside_;
  if (in.started)
    return fail(ec::internal, "the bridge has been started before");
  in.started = true;
  in.all->new_session = std::move(new_session);
  for (unsigned i = 0; i < in.all->settings.threads; ++i) {
    auto home = std::make_shared<connection::io_thread>();
    auto guard = asio::make_work_guard(home->io);
    in.threads.push_back({std::move(home), std::move(guard), {}});
  }
  for (std::size_t i = 0; i < in.all->settings.listeners.size(); ++i)
    if (auto opened = in.open(i); !opened) {
      in.keepers.clear();
      in.listening.clear();
      return opened;
    }
  for (auto& keeper : in.keepers)
    in.accept_later(*keeper);
  for (auto& each : in.threads)
    each.thread = std::thread{[home = each.home] { home->io.run(); }};
  return {};
}

void bridge::stop_accepting() {
  auto& in = *inside_;
  if (in.keepers.empty())
    return;
  // The sockets belong to the first thread, and are closed there.
  asio::post(in.threads.front().home->io, [&in] {
    boost::system::error_code ignored;
    for (auto& keeper : in.keepers) {
      keeper->pause.cancel();
      keeper->socket.close(ignored);
    }
  });
  in.listening.clear();
}

void bridge::stop() {
  auto& in = *inside_;
  if (std::exchange(in.stopped, true) || in.threads.empty())
    return;
  stop_accepting();
  const auto on_each = [&](void (*work)(connection::io_thread&)) {
    for (auto& each : in.threads)
      asio::post(each.home->io, [home = each.home.get(), work] { work(*home); });
  };
  const auto& settings = in.all->settings;
  const auto deadline = std::chrono::steady_clock::now() + settings.flush_max + settings.linger_max
                        + 2 * connection::io_thread::tick;
  // Asked again and again: one that was just accepted may still be on its way to its thread.
  do {
    on_each([](connection::io_thread& home) { home.for_all([](connection& one) { one.close(); }); });
    std::this_thread::sleep_for(std::chrono::milliseconds{10});
  } while (in.all->entrance.connections() > 0 && std::chrono::steady_clock::now() < deadline);
  on_each([](connection::io_thread& home) { home.end_all("the node stops"); });
  for (auto& each : in.threads)
    each.guard.reset();
  for (auto& each : in.threads)
    if (each.thread.joinable())
      each.thread.join();
  in.keepers.clear();
  in.all->new_session = nullptr;
}

std::vector<bridge::listening_at> bridge::listening() const { return inside_->listening; }

status bridge::reload_certificates() {
  auto& in = *inside_;
  std::vector<std::pair<listener_shared*, std::shared_ptr<const tls_context>>> fresh;
  for (const auto& keeper : in.keepers) {
    const auto& at = in.all->settings.listeners[keeper->settings_at];
    if (at.kind != channel_kind::tls && at.kind != channel_kind::wss)
      continue;
    auto tls = tls_context::load(at.certificate, at.key);
    if (!tls)
      return tl::make_unexpected(tls.error());
    fresh.emplace_back(keeper->shared.get(), std::move(*tls));
  }
  for (auto& [shared, tls] : fresh)
    shared->tls = std::move(tls);
  return {};
}

const bridge_counters& bridge::counters() const { return inside_->all->counters; }
std::size_t bridge::connections() const { return inside_->all->entrance.connections(); }
std::size_t bridge::strangers() const { return inside_->all->entrance.strangers(); }

} // namespace signet
