// The bridge with real sockets on loopback. The session is a recorder: what it was told can be waited for, and what it
// answers is set by the test.

#include "actors/bridge/bridge.hpp"
#include "actors/bridge/stream.hpp"
#include "actors/session/messages.hpp"
#include "messages/mqtt/codec.hpp"
#include "tests/support/certificates.hpp"
#include "tests/support/raw_client.hpp"
#include "tests/support/scratch_directory.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <boost/test/unit_test.hpp>
#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>

#include <sys/resource.h>

#include <condition_variable>
#include <deque>
#include <fstream>
#include <mutex>
#include <thread>

namespace signet {
namespace {

using testing::raw_client;
using namespace std::chrono_literals;
using mqtt::reason_code;

constexpr auto patience = raw_client::patience;

caf::actor_system& actors() {
  static caf::actor_system_config* const config = [] {
    auto* made = new caf::actor_system_config;
    made->set("scheduler.max-threads", 2);
    return made;
  }();
  static caf::actor_system system{*config};
  return system;
}

/// What one session was told, and how it behaves.
class record {
public:
  explicit record(client_link_ptr link) : link{std::move(link)} {}
  const client_link_ptr link;

  template <class F>
  bool wait_for(F condition) {
    std::unique_lock lock{mutex_};
    return changed_.wait_for(lock, patience, [&] { return condition(*this); });
  }
  bool wait_for_packets(std::size_t count) {
    return wait_for([&](record& me) { return me.packets.size() >= count; });
  }
  bool wait_for_loss() {
    return wait_for([](record& me) { return me.lost.has_value(); });
  }
  template <class F>
  auto with(F work) {
    const std::lock_guard lock{mutex_};
    return work(*this);
  }
  void told(packets_arrived& batch) {
    const std::lock_guard lock{mutex_};
    ++messages;
    credit += batch.credit;
    for (auto& each : batch.packets)
      packets.push_back(std::move(each));
    changed_.notify_all();
  }
  void told(packets_malformed& what) {
    const std::lock_guard lock{mutex_};
    malformed = std::move(what);
    changed_.notify_all();
  }
  void told(link_lost& what) {
    const std::lock_guard lock{mutex_};
    lost = std::move(what.why);
    changed_.notify_all();
  }

  // Under the lock: look at them by wait_for and with.
  std::deque<mqtt::packet> packets;
  std::size_t messages = 0, credit = 0;
  std::optional<packets_malformed> malformed;
  std::optional<std::string> lost;

private:
  std::mutex mutex_;
  std::condition_variable changed_;
};
using record_ptr = std::shared_ptr<record>;

struct behaviour {
  bool attach_at_connect = true;  ///< CONNACK and `attached` as soon as CONNECT is there
  bool give_back = true;          ///< credit at once
  std::size_t packet_bytes_max = 1 << 20;
};

behaviour silent() {
  behaviour out;
  out.attach_at_connect = false;
  return out;
}

struct session_state {
  record_ptr seen;
};
caf::behavior recorder(caf::stateful_actor<session_state>* self, record_ptr seen, behaviour how) {
  self->state.seen = seen;
  return {
    [=](packets_arrived& batch) {
      const auto credit = batch.credit;
      const bool first = !batch.packets.empty() && mqtt::type_of(batch.packets.front()) == mqtt::packet_type::connect;
      seen->told(batch);
      if (how.give_back)
        seen->link->done(credit);
      if (first && how.attach_at_connect) {
        seen->link->allow(link_state::attached, how.packet_bytes_max);
        BOOST_TEST_WARN(seen->link->offer(mqtt::connack{}));
      }
    },
    [=](packets_malformed& what) { seen->told(what); },
    [=](link_lost& what) {
      seen->told(what);
      self->quit();
    },
    [=](drain_atom) -> void { self->quit(caf::exit_reason::unhandled_exception); },
  };
}

/// A bridge, its sessions, and the ports it listens on.
class world {
public:
  explicit world(bridge_settings settings = one(channel_kind::tcp), behaviour how = {}) : bridge_{std::move(settings)} {
    const auto started = bridge_.start([this, how](client_link_ptr link) {
      auto seen = std::make_shared<record>(std::move(link));
      auto session = actors().spawn(recorder, seen, how);
      const std::lock_guard lock{mutex_};
      sessions_.push_back(seen);
      handles_.push_back(session);
      changed_.notify_all();
      return session;
    });
    BOOST_REQUIRE_MESSAGE(started, (started ? "" : render(started.error())));
  }
  ~world() {
    bridge_.stop();
    for (auto& each : handles_)
      caf::anon_send_exit(each, caf::exit_reason::user_shutdown);
  }

  static bridge_settings one(channel_kind kind) {
    bridge_settings out;
    out.listeners.emplace_back().kind = kind;
    return out;
  }

  record_ptr session(std::size_t number = 0) {
    std::unique_lock lock{mutex_};
    BOOST_REQUIRE(changed_.wait_for(lock, patience, [&] { return sessions_.size() > number; }));
    return sessions_[number];
  }
  caf::actor handle(std::size_t number = 0) {
    session(number);
    const std::lock_guard lock{mutex_};
    return handles_[number];
  }
  std::size_t sessions() {
    const std::lock_guard lock{mutex_};
    return sessions_.size();
  }
  std::uint16_t port(std::size_t listener = 0) { return bridge_.listening().at(listener).port; }
  bridge& it() { return bridge_; }
  bool wait_until_empty() { return eventually([&] { return bridge_.connections() == 0; }); }

  static bool eventually(const std::function<bool()>& condition) {
    for (const auto end = std::chrono::steady_clock::now() + patience; std::chrono::steady_clock::now() < end;) {
      if (condition())
        return true;
      std::this_thread::sleep_for(2ms);
    }
    return condition();
  }

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<record_ptr> sessions_;
  std::vector<caf::actor> handles_;
  bridge bridge_;
};

bytes wire(const mqtt::packet& packet, mqtt::protocol_version version = mqtt::protocol_version::v5) {
  auto out = mqtt::encode(packet, mqtt::role::client, version);
  BOOST_REQUIRE_MESSAGE(out, (out ? "" : render(out.error())));
  return *out;
}
mqtt::packet hello() {
  mqtt::connect out;
  out.client_id = "alice-1";
  out.keep_alive_s = 60;
  return out;
}
mqtt::publish message(std::uint16_t id, std::size_t size = 256) {
  mqtt::publish out;
  out.quality = mqtt::qos::at_least_once;
  out.topic = "signet/v1/outbox";
  out.id = id;
  out.payload = bytes(size, static_cast<std::uint8_t>(id));
  return out;
}
const bytes connack_bytes{0x20, 0x03, 0x00, 0x00, 0x00};

/// CONNECT and CONNACK.
void attach(raw_client& client) {
  BOOST_REQUIRE(client.send(wire(hello())));
  BOOST_REQUIRE((client.read(connack_bytes.size()) == connack_bytes));
}

} // namespace

BOOST_AUTO_TEST_SUITE(bridge_tcp)

BOOST_AUTO_TEST_CASE(a_client_connects_publishes_and_gets_its_answers) {
  world w;
  raw_client client{w.port()};
  attach(client);
  BOOST_REQUIRE(client.send(wire(message(7))));
  const auto session = w.session();
  BOOST_REQUIRE(session->wait_for_packets(2));
  BOOST_TEST((std::get<mqtt::publish>(session->packets[1]) == message(7)));
  BOOST_TEST(session->link->offer(mqtt::puback{7, reason_code::success, {}}));
  BOOST_TEST((client.read(4) == bytes{0x40, 0x02, 0x00, 0x07}));
  BOOST_TEST((session->link->channel() == channel_kind::tcp));
  BOOST_TEST(session->link->source() == "127.0.0.1");
  BOOST_TEST(session->link->loopback());
  BOOST_TEST(session->link->exporter().empty());
  client.hang_up();
  BOOST_TEST(session->wait_for_loss());
  BOOST_TEST(w.wait_until_empty());
  BOOST_TEST(!session->link->offer(mqtt::pingresp{}));
}

BOOST_AUTO_TEST_CASE(bytes_that_come_one_by_one_give_the_same_packets) {
  world w;
  raw_client client{w.port()};
  for (const auto each : wire(hello()))
    BOOST_REQUIRE(client.send(bytes{each}));
  BOOST_REQUIRE((client.read(connack_bytes.size()) == connack_bytes));
  for (const auto each : wire(message(9, 40)))
    BOOST_REQUIRE(client.send(bytes{each}));
  const auto session = w.session();
  BOOST_REQUIRE(session->wait_for_packets(2));
  BOOST_TEST((session->packets[0] == hello()));
  BOOST_TEST((std::get<mqtt::publish>(session->packets[1]) == message(9, 40)));
}

BOOST_AUTO_TEST_CASE(packets_glued_behind_the_connect_wait_until_it_is_answered) {
  world w{world::one(channel_kind::tcp), silent()};
  raw_client client{w.port()};
  auto all = wire(hello());
  for (std::uint16_t id = 1; id <= 20; ++id)
    append(all, wire(message(id, 3'000)));  // each far above what a stranger may send
  BOOST_REQUIRE(client.send(all));
  const auto session = w.session();
  BOOST_REQUIRE(session->wait_for_packets(1));
  std::this_thread::sleep_for(50ms);
  BOOST_TEST(session->with([](auto& me) { return me.packets.size(); }) == 1u);
  session->link->allow(link_state::connecting, 1'024);  // nothing new: still only the CONNECT
  std::this_thread::sleep_for(50ms);
  BOOST_TEST(session->with([](auto& me) { return me.packets.size(); }) == 1u);
  BOOST_TEST(session->link->offer(mqtt::connack{}) == false);  // not in this state: the gate
  session->link->allow(link_state::attached, 1 << 20);
  BOOST_TEST(session->link->offer(mqtt::connack{}));
  BOOST_REQUIRE(session->wait_for_packets(21));
  for (std::uint16_t id = 1; id <= 20; ++id)
    BOOST_TEST((std::get<mqtt::publish>(session->packets[id]) == message(id, 3'000)));
  BOOST_TEST((client.read(connack_bytes.size()) == connack_bytes));
}

BOOST_AUTO_TEST_CASE(a_stranger_in_proof_is_heard_one_packet_at_a_time) {
  world w{world::one(channel_kind::tcp), silent()};
  raw_client client{w.port()};
  const mqtt::auth answer{reason_code::continue_authentication,
                          {{mqtt::property_id::authentication_method, std::string{"signet-ed25519"}}}};
  auto all = wire(hello());
  append(all, wire(answer));
  append(all, wire(answer));
  BOOST_REQUIRE(client.send(all));
  const auto session = w.session();
  BOOST_REQUIRE(session->wait_for_packets(1));
  session->link->allow(link_state::proving, 16 * 1'024);
  BOOST_REQUIRE(session->wait_for_packets(2));
  std::this_thread::sleep_for(50ms);
  BOOST_TEST(session->with([](auto& me) { return me.packets.size(); }) == 2u);
  session->link->allow(link_state::attached, 1 << 20);
  BOOST_TEST(session->wait_for_packets(3));
}

BOOST_AUTO_TEST_CASE(many_packets_are_few_actor_messages) {
  world w;
  raw_client client{w.port()};
  attach(client);
  bytes all;
  for (std::uint16_t id = 1; id <= 500; ++id)
    append(all, wire(message(id, 20)));
  BOOST_REQUIRE(client.send(all));
  const auto session = w.session();
  BOOST_REQUIRE(session->wait_for_packets(501));
  BOOST_TEST(session->messages <= 50u);
  for (std::uint16_t id = 1; id <= 500; ++id)
    BOOST_TEST(std::get<mqtt::publish>(session->packets[id]).id == id);
}

BOOST_AUTO_TEST_CASE(a_first_packet_that_is_no_connect_gets_no_byte_and_costs_no_session) {
  world w;
  for (const auto& bad : {bytes{0xC0, 0x00}, to_bytes(as_bytes("GET / HTTP/1.1\r\n\r\n")),
                          bytes{0x10, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F}, wire(message(1))}) {
    raw_client client{w.port()};
    BOOST_REQUIRE(client.send(bad));
    BOOST_TEST(client.read_to_end().empty());
  }
  BOOST_TEST(w.wait_until_empty());
  BOOST_TEST(w.sessions() == 0u);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace signet
