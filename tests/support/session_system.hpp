#pragma once
// Sessions as they run: registry, sessions, senders, fan-out, cursors and security as actors over a real store, on one
// thread with virtual time; links in memory. Only the replica is played: it appends, applies and commits at once.

#include "actors/bridge/gate.hpp"
#include "actors/delivery/cursors.hpp"
#include "actors/fanout/fanout.hpp"
#include "actors/replica/replica.hpp"
#include "actors/security/security.hpp"
#include "actors/sender/sender.hpp"
#include "actors/session/admission.hpp"
#include "actors/session/registry.hpp"
#include "actors/session/session.hpp"
#include "messages/envelope/login.hpp"
#include "messages/envelope/token.hpp"
#include "messages/mqtt/codec.hpp"
#include "tests/support/deterministic_system.hpp"
#include "tests/support/view_world.hpp"

#include <list>

namespace signet::testing {

class played_clock final : public clock_source {
public:
  wall_ms wall() const override { return wall_ms{1'000'000'000 + at_}; }
  steady_ms steady() const override { return steady_ms{1'000'000 + at_}; }
  void pass(std::uint64_t ms) { at_ += ms; }

private:
  std::uint64_t at_ = 0;
};

/// A connection in memory; keeps the rules of the real one (gate) and remembers what left.
class memory_link final : public client_link {
public:
  explicit memory_link(channel_kind channel = channel_kind::tcp) : channel_{channel} {}

  bool offer(const mqtt::packet& packet) override {
    if (closed)
      return false;
    const auto raw = mqtt::encode(packet, mqtt::role::server, version);
    if (!raw) {
      faults.push_back("cannot be encoded");
      return false;
    }
    if (rules.may_leave(packet) != gate::verdict::pass || rules.may_leave(raw->size()) != gate::verdict::pass) {
      faults.push_back("may not leave: " + std::string{mqtt::name(mqtt::type_of(packet))});
      return false;
    }
    rules.left(packet, raw->size());
    sent.push_back(packet);
    return true;
  }
  std::size_t queued() const override { return 0; }
  void done(std::size_t given) override { credit += given; }
  void allow(link_state state, std::size_t) override { rules.advance(state); }
  void limit_output(std::size_t) override {}
  void close() override { closed = true; }
  channel_kind channel() const override { return channel_; }
  bytes exporter() const override { return {}; }
  std::string source() const override { return "127.0.0.1"; }
  bool loopback() const override { return true; }

  gate rules;
  mqtt::protocol_version version = mqtt::protocol_version::v5;
  std::vector<mqtt::packet> sent;
  std::vector<std::string> faults;
  std::size_t credit = 0;
  bool closed = false;

private:
  channel_kind channel_;
};

/// The log of a played cluster: what one of its replicas appends is committed at once.
struct played_log {
  std::vector<std::pair<bytes, wall_ms>> entries;
};

/// What the played replica is told by the test.
struct played_replica {
  view_world* world = nullptr;
  played_log alone;
  played_log* log = &alone;        ///< several replicas may share one
  std::size_t applied = 0;         ///< of log->entries
  std::vector<played_replica*> others;
  bool lags = false;               ///< does not hear of what the others append until it proposes itself, or catch_up()
  /// Applies what it has not applied yet; what the last entry answers.
  storage::entry_result catch_up() {
    storage::entry_result out;
    if (applied == log->entries.size())
      return out;
    while (applied < log->entries.size()) {
      const auto& [entry, time] = log->entries[applied++];
      out = world->apply_at(bytes{entry}, time);
    }
    world->commit();
    if (fanout)
      caf::anon_send(fanout, log_advanced{out.index});
    return out;
  }
  played_clock* clock = nullptr;
  fanout_actor fanout;
  leadership leads{true, 1, true};
  ec refuse = ec::ok;          ///< answers this instead, and does nothing
  std::uint64_t entries = 0;
};
inline replica_actor::behavior_type play_replica(replica_actor::pointer, played_replica* play) {
  return {[play](const propose_entry& request) -> caf::result<entry_answer> {
            if (play->refuse != ec::ok)
              return to_caf(error{play->refuse, {}});
            play->log->entries.emplace_back(*request.entry, play->clock->wall());
            ++play->entries;
            const auto applied = play->catch_up();
            for (auto* other : play->others)
              if (!other->lags)
                other->catch_up();
            entry_answer out;
            out.index = applied.index;
            out.code = applied.code;
            out.outcomes = applied.outcomes;
            out.epoch = applied.epoch;
            out.replaced_epoch = applied.replaced_epoch;
            out.standing = applied.standing;
            out.identity = applied.identity;
            return out;
          },
          [](const peer_link_changed&) {},
          [](const peer_frame_arrived&) {},
          [](const hand_over_asked&) { return caf::unit; },
          [](const operator_asked&) { return std::string{"{}"}; },
          [](follow_atom, const caf::actor&) {},
          [play](watch_atom, const caf::actor& watcher) { caf::anon_send(watcher, play->leads); },
          [](turn_atom) {},
          [](tick_atom) {},
          [](status_asked) { return std::string{"{}"}; }};
}

class session_system {
public:
  explicit session_system(std::optional<std::uint64_t> seed = std::nullopt, session_settings settings = {})
    : store{seed.value_or(1)}, node_key{std::make_shared<const signing_key>(signing_key::generate(store.random))} {
    store.found();
    store.commit();
    actors.emplace(seed);
    play.world = &store;
    play.clock = &clock;
    replica = actors->spawn(play_replica, &play);
    security_of = actors->spawn(security, replica);
    fanout_of = actors->spawn(fanout, static_cast<const storage::environment*>(store.env.get()));
    play.fanout = fanout_of;
    cursors_of = actors->spawn(cursors, replica);
    senders_of = actors->spawn(senders, sender_services{store.env.get(), store.cluster, replica, security_of, &clock});
    admission_settings limits;
    limits.storm_ms_min = limits.storm_ms_max = 0;
    limits.loopback = {100'000, 1'000'000, 6'000'000, 100'000};
    limits.connections_max = 100'000;
    gate_of = std::make_shared<admission>(limits);
    registry = spawn_session_registry(
      actors->sys, registry_services{settings, store.env.get(), replica, fanout_of, security_of, gate_of, &clock});
    actors->remember(registry);
    auto made = std::make_shared<session_services>();
    made->settings = settings;
    made->disk = store.env.get();
    made->senders = senders_of;
    made->replica = replica;
    made->fanout = fanout_of;
    made->cursors = cursors_of;
    made->security = security_of;
    made->registry = registry;
    made->node_key = node_key;
    made->cluster = store.cluster;
    made->gate = gate_of;
    made->clock = &clock;
    made->random = &store.random;
    services = made;
    actors->settle();
  }
  ~session_system() {
    services.reset();
    destroy(registry);
    destroy(senders_of);
    destroy(cursors_of);
    destroy(fanout_of);
    destroy(play.fanout);
    destroy(security_of);
    destroy(replica);
    actors.reset();
  }

  /// Time passes for the clock and for CAF's timers alike.
  void pass(std::uint64_t ms) {
    while (ms > 0) {
      const auto now = std::min<std::uint64_t>(ms, 20);
      clock.pass(now);
      actors->pass(std::chrono::milliseconds{now});
      ms -= now;
    }
  }
  result<std::vector<storage::event_count>> events() {
    auto txn = store.env->read();
    return storage::read_event_counts(txn);
  }
  std::uint64_t count_of(std::string_view kind) {
    auto txn = store.env->read();
    for (const auto& each : storage::read_event_counts(txn))
      if (each.kind == kind)
        return each.counter.count;
    return 0;
  }
  std::string status_of_registry() { return actors->ask<std::string>(registry, status_asked{}).value_or("no answer"); }

  view_world store;
  played_clock clock;
  played_replica play;
  std::shared_ptr<const signing_key> node_key;
  std::shared_ptr<admission> gate_of;
  std::optional<deterministic_system> actors;
  replica_actor replica;
  security_actor security_of;
  fanout_actor fanout_of;
  cursors_actor cursors_of;
  senders_actor senders_of;
  session_registry_actor registry;
  session_services_ptr services;
};

/// A client over a memory link. Its session is an actor: let the system run to see what becomes of what it says.
class wire_client {
public:
  wire_client(session_system& system, mqtt::protocol_version version = mqtt::protocol_version::v5)
    : system_{system}, link{std::make_shared<memory_link>()} {
    link->version = version;
    session = spawn_session(system.actors->sys, system.services, link);
    system.actors->remember(session);
  }

  void say(mqtt::packet packet) {
    packets_arrived read;
    read.packets.push_back(std::move(packet));
    read.credit = 100;
    caf::anon_send(session, std::move(read));
  }
  void connect(const person& who, const std::string& client_id, bool clean = true, std::uint32_t expiry_s = 0) {
    mqtt::connect packet;
    packet.version = link->version;
    packet.client_id = client_id;
    packet.clean_start = clean;
    packet.keep_alive_s = 300;
    if (expiry_s > 0)
      packet.props.add(mqtt::property_id::session_expiry_interval, expiry_s);
    token_claims claims;
    claims.cluster = system_.store.cluster;
    claims.device_key = who.device();
    claims.issued_at = system_.clock.wall();
    claims.life_s = 60;
    claims.nonce = random_id<token_nonce>(system_.store.random);
    claims.client_id = client_id;
    packet.user_name = who.id().hex();
    packet.password = to_bytes(as_bytes(must(make_token(who.sign, who.id(), claims))));
    say(std::move(packet));
  }
  void subscribe(topic_role role, mqtt::qos quality = mqtt::qos::at_least_once) {
    mqtt::subscribe packet;
    packet.id = 1;
    packet.filters.push_back({std::string{topic_of(role)}, quality});
    say(std::move(packet));
  }
  void publish(topic_role role, mqtt::packet_id id, bytes payload) {
    mqtt::publish packet;
    packet.topic = topic_of(role);
    packet.id = id;
    packet.quality = id == 0 ? mqtt::qos::at_most_once : mqtt::qos::at_least_once;
    packet.payload = std::move(payload);
    say(std::move(packet));
  }
  void ack(mqtt::packet_id id) {
    mqtt::puback packet;
    packet.id = id;
    say(std::move(packet));
  }
  void lose() { caf::anon_send(session, link_lost{"gone"}); }

  template <class Packet>
  std::vector<Packet> all() const {
    std::vector<Packet> out;
    for (const auto& each : link->sent)
      if (const auto* one = std::get_if<Packet>(&each))
        out.push_back(*one);
    return out;
  }
  bool attached() const {
    const auto answers = all<mqtt::connack>();
    return !answers.empty() && answers[0].code == mqtt::reason_code::success && !link->closed;
  }
  std::vector<mqtt::publish> published(topic_role role) const {
    std::vector<mqtt::publish> out;
    for (const auto& each : all<mqtt::publish>())
      if (role_of(each.topic) == role)
        out.push_back(each);
    return out;
  }

private:
  session_system& system_;

public:
  std::shared_ptr<memory_link> link;
  caf::actor session;
};

} // namespace signet::testing
