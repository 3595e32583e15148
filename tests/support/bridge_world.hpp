#pragma once
// A bridge with real sockets on loopback, for tests. The session is a recorder: what it was told can be waited for, and
// what it answers is set by the test.

#include "actors/bridge/bridge.hpp"
#include "actors/session/messages.hpp"
#include "messages/mqtt/codec.hpp"
#include "tests/support/certificates.hpp"
#include "tests/support/raw_client.hpp"

#include <boost/test/unit_test.hpp>
#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

namespace signet::testing {

using mqtt::reason_code;

inline constexpr auto patience = raw_client::patience;

inline caf::actor_system& actors() {
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

inline behaviour silent() {
  behaviour out;
  out.attach_at_connect = false;
  return out;
}

struct session_state {
  record_ptr seen;
};
inline caf::behavior recorder(caf::stateful_actor<session_state>* self, record_ptr seen, behaviour how) {
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
      std::this_thread::sleep_for(std::chrono::milliseconds{2});
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

inline bytes wire(const mqtt::packet& packet, mqtt::protocol_version version = mqtt::protocol_version::v5) {
  auto out = mqtt::encode(packet, mqtt::role::client, version);
  BOOST_REQUIRE_MESSAGE(out, (out ? "" : render(out.error())));
  return *out;
}
inline mqtt::packet hello() {
  mqtt::connect out;
  out.client_id = "alice-1";
  out.keep_alive_s = 60;
  return out;
}
inline mqtt::publish message(std::uint16_t id, std::size_t size = 256) {
  mqtt::publish out;
  out.quality = mqtt::qos::at_least_once;
  out.topic = "signet/v1/outbox";
  out.id = id;
  out.payload = bytes(size, static_cast<std::uint8_t>(id));
  return out;
}
inline const bytes connack_bytes{0x20, 0x03, 0x00, 0x00, 0x00};

inline bridge_settings secured(channel_kind kind, const certificate_files& files) {
  auto out = world::one(kind);
  out.listeners[0].certificate = files.certificate;
  out.listeners[0].key = files.key;
  return out;
}

/// CONNECT and CONNACK.
inline void attach(raw_client& client) {
  BOOST_REQUIRE(client.send(wire(hello())));
  BOOST_REQUIRE((client.read(connack_bytes.size()) == connack_bytes));
}

} // namespace signet::testing
