// What the bridge alone costs: memory of an idle attached connection, and how many small publishes a second one
// connection gets through (decoded, handed to an actor, acknowledged). No sessions, no storage. The clients live in a
// process of their own, so that only the node's side is counted.
//
// Usage: bench_idle [connections, default 5000] [publishes, default 1000000]

#include "actors/bridge/bridge.hpp"
#include "actors/session/messages.hpp"
#include "messages/mqtt/codec.hpp"
#include "tests/support/certificates.hpp"
#include "tests/support/raw_client.hpp"
#include "tests/support/scratch_directory.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>

#include <malloc.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <future>
#include <thread>

namespace {

using namespace signet;
using testing::raw_client;

bytes wire(const mqtt::packet& packet) {
  return *mqtt::encode(packet, mqtt::role::client, mqtt::protocol_version::v5);
}
bytes hello() {
  mqtt::connect out;
  out.client_id = "bench";
  return wire(out);
}
constexpr std::size_t connack_size = 5;
constexpr std::string_view upgrade = "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                                     "Connection: Upgrade\r\n"
                                     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                                     "Sec-WebSocket-Protocol: mqtt\r\n\r\n";

void attach(raw_client& client, channel_kind kind) {
  if (kind == channel_kind::tls || kind == channel_kind::wss)
    client.start_tls();
  const auto first = hello();
  if (kind == channel_kind::tcp || kind == channel_kind::tls) {
    client.send(first);
    client.read(connack_size);
    return;
  }
  client.send(upgrade);
  client.read_until("\r\n\r\n");
  bytes framed{0x82, static_cast<std::uint8_t>(0x80 | first.size()), 0, 0, 0, 0};
  append(framed, first);
  client.send(framed);
  client.read(2 + connack_size);
}

/// Runs `work` in a process of its own that gets a port by pipe and says one byte when it is done; it ends when it is
/// told to.
class client_process {
public:
  explicit client_process(const std::function<void(std::uint16_t, const std::function<void()>&)>& work) {
    if (::pipe(to_) != 0 || ::pipe(from_) != 0)
      std::abort();
    pid_ = ::fork();
    if (pid_ == 0) {
      std::uint16_t port = 0;
      if (::read(to_[0], &port, sizeof port) == sizeof port)
        work(port, [this] {
          char byte = 1;
          if (::write(from_[1], &byte, 1) == 1 && ::read(to_[0], &byte, 1) == 1)
            return;
        });
      std::_Exit(0);
    }
  }
  ~client_process() {
    tell();
    ::waitpid(pid_, nullptr, 0);
    for (const auto each : {to_[0], to_[1], from_[0], from_[1]})
      ::close(each);
  }
  void start(std::uint16_t port) {
    if (::write(to_[1], &port, sizeof port) != sizeof port)
      std::abort();
  }
  void wait() {
    char byte = 0;
    if (::read(from_[0], &byte, 1) != 1)
      std::abort();
  }
  void tell() {
    const char byte = 1;
    if (::write(to_[1], &byte, 1) != 1)
      std::abort();
  }

private:
  int to_[2]{}, from_[2]{};
  pid_t pid_ = 0;
};

std::size_t resident_bytes() {
  std::size_t all = 0, resident = 0;
  std::ifstream{"/proc/self/statm"} >> all >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}
std::size_t heap_bytes() {
  const auto info = ::mallinfo2();
  return info.uordblks + info.hblkhd;
}
double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

bridge_settings settings_for(channel_kind kind, const testing::certificate_files& files) {
  bridge_settings out;
  auto& at = out.listeners.emplace_back();
  at.kind = kind;
  at.certificate = files.certificate;
  at.key = files.key;
  out.limits.strangers_loopback_max = 100'000;
  out.limits.strangers_max = 100'000;
  return out;
}

/// One actor for all links: sessions are not what is measured.
// (The argument: CAF 0.17 stumbles over actor functions without one when assertions are on.)
caf::behavior sink(caf::event_based_actor*, int) {
  return {[](packets_arrived&) {}, [](packets_malformed&) {}, [](link_lost&) {}};
}

void measure_idle(caf::actor_system& actors, channel_kind kind, std::size_t count,
                  const testing::certificate_files& files) {
  client_process clients{[=](std::uint16_t port, const std::function<void()>& done) {
    std::vector<std::unique_ptr<raw_client>> all;
    for (std::size_t i = 0; i < count; ++i)
      attach(*all.emplace_back(std::make_unique<raw_client>(port)), kind);
    done();
  }};
  const auto everybody = actors.spawn(sink, 0);
  bridge one{settings_for(kind, files)};
  const auto started = one.start([&](client_link_ptr link) {
    link->allow(link_state::attached, 1 << 20);
    std::ignore = link->offer(mqtt::connack{});
    return everybody;
  });
  if (!started) {
    std::printf("%s\n", render(started.error()).c_str());
    std::exit(1);
  }
  ::malloc_trim(0);
  const auto resident = resident_bytes(), heap = heap_bytes();
  const auto begin = std::chrono::steady_clock::now();
  clients.start(one.listening().at(0).port);
  clients.wait();
  const auto took = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::this_thread::sleep_for(std::chrono::milliseconds{500});
  const auto per = [&](std::size_t after, std::size_t before) {
    return (static_cast<double>(after) - static_cast<double>(before)) / static_cast<double>(count);
  };
  std::printf("idle %-5s connections=%zu resident_bytes_each=%.0f heap_bytes_each=%.0f connects_per_s=%.0f\n",
              std::string{scheme_of(kind)}.c_str(), one.connections(), per(resident_bytes(), resident),
              per(heap_bytes(), heap), static_cast<double>(count) / took);
  std::fflush(stdout);
  one.stop();
  caf::anon_send_exit(everybody, caf::exit_reason::user_shutdown);
}

struct acknowledger_state {
  std::size_t seen = 0, messages = 0;
};
caf::behavior acknowledger(caf::stateful_actor<acknowledger_state>* self, std::shared_ptr<client_link_ptr> link,
                           std::size_t count, std::function<void(std::size_t)> finished) {
  return {[=](packets_arrived& batch) {
            ++self->state.messages;
            for (const auto& each : batch.packets)
              if (const auto* message = std::get_if<mqtt::publish>(&each)) {
                ++self->state.seen;
                std::ignore = (*link)->offer(mqtt::puback{message->id, mqtt::reason_code::success, {}});
              }
            (*link)->done(batch.credit);
            if (self->state.seen >= count)
              finished(self->state.messages);
          },
          [](packets_malformed&) {}, [](link_lost&) {}};
}

void measure_publishes(caf::actor_system& actors, channel_kind kind, std::size_t size, std::size_t count,
                       const testing::certificate_files& files) {
  client_process client{[=](std::uint16_t port, const std::function<void()>& done) {
    raw_client one{port};
    attach(one, kind);
    bytes chunk;
    mqtt::publish message;
    message.quality = mqtt::qos::at_least_once;
    message.topic = "signet/v1/outbox";
    message.payload = bytes(size);
    for (std::uint16_t id = 1; id <= 100; ++id) {
      message.id = id;
      append(chunk, wire(message));
    }
    done();
    std::thread reader;
    if (kind == channel_kind::tcp)  // OpenSSL's objects belong to one thread
      reader = std::thread{[&] { one.read(4 * count); }};
    for (std::size_t sent = 0; sent < count; sent += 100)
      if (!one.send(chunk))
        break;
    if (reader.joinable())
      reader.join();
    else
      one.read(4 * count);
    done();
  }};
  auto link = std::make_shared<client_link_ptr>();
  std::promise<std::size_t> finished;
  const auto session = actors.spawn(acknowledger, link, count,
                                    [&](std::size_t messages) { finished.set_value(messages); });
  auto settings = settings_for(kind, files);
  settings.out_bytes_max = 64 << 20;  // under TLS the client reads when it has sent everything
  bridge one{settings};
  if (!one.start([&](client_link_ptr made) {
        *link = made;
        made->allow(link_state::attached, 1 << 20);
        std::ignore = made->offer(mqtt::connack{});
        return session;
      }))
    std::exit(1);
  client.start(one.listening().at(0).port);
  client.wait();
  const auto cpu = cpu_seconds();
  const auto begin = std::chrono::steady_clock::now();
  client.tell();
  const auto messages = finished.get_future().get();
  const auto took = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const auto burnt = cpu_seconds() - cpu;
  client.wait();
  std::printf("publishes %-5s payload_bytes=%zu per_s=%.0f cpu_us_each=%.2f packets_per_actor_message=%.0f\n",
              std::string{scheme_of(kind)}.c_str(), size, static_cast<double>(count) / took,
              burnt * 1e6 / static_cast<double>(count), static_cast<double>(count) / static_cast<double>(messages));
  std::fflush(stdout);
  one.stop();
  link->reset();
  caf::anon_send_exit(session, caf::exit_reason::user_shutdown);
}

} // namespace

int main(int argc, char** argv) {
  const auto number = [&](int at, std::size_t otherwise) {
    return argc > at ? static_cast<std::size_t>(std::strtoull(argv[at], nullptr, 10)) : otherwise;
  };
  const auto connections = number(1, 5'000), publishes = number(2, 1'000'000) / 100 * 100;
  testing::scratch_directory directory;
  const auto files = testing::make_certificate(directory.path());
  caf::actor_system_config config;
  config.set("scheduler.max-threads", 2);
  caf::actor_system actors{config};
  if (connections > 0)
    for (const auto kind : {channel_kind::tcp, channel_kind::ws, channel_kind::tls, channel_kind::wss})
      measure_idle(actors, kind, connections, files);
  if (publishes > 0) {
    for (const std::size_t size : {64u, 256u})
      measure_publishes(actors, channel_kind::tcp, size, publishes, files);
    measure_publishes(actors, channel_kind::tls, 256, publishes / 2, files);
  }
}
