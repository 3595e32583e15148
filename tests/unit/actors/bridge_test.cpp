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

bridge_settings secured(channel_kind kind, const testing::certificate_files& files) {
  auto out = world::one(kind);
  out.listeners[0].certificate = files.certificate;
  out.listeners[0].key = files.key;
  return out;
}

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


BOOST_AUTO_TEST_CASE(what_is_malformed_is_told_once_with_the_form_of_its_answer_and_the_answer_arrives) {
  world w;
  raw_client client{w.port()};
  attach(client);
  auto bad = wire(message(1));
  append(bad, bytes{0xC0, 0x01, 0x00});  // PINGREQ with a body
  append(bad, wire(message(2)));         // never looked at
  BOOST_REQUIRE(client.send(bad));
  const auto session = w.session();
  BOOST_REQUIRE(session->wait_for([](auto& me) { return me.malformed.has_value(); }));
  BOOST_TEST(session->packets.size() == 2u);  // what was good before is delivered
  BOOST_TEST((session->malformed->reason == reason_code::malformed_packet));
  BOOST_TEST((session->malformed->answer_as == mqtt::protocol_version::v5));
  BOOST_TEST(session->link->offer(mqtt::disconnect{reason_code::malformed_packet, {}}));
  session->link->close();
  const auto last = client.read_to_end();
  BOOST_TEST((last == bytes{0xE0, 0x01, 0x81}));
  client.hang_up();
  BOOST_TEST(w.wait_until_empty());
  BOOST_TEST(!session->with([](auto& me) { return me.lost.has_value(); }));
}

BOOST_AUTO_TEST_CASE(a_connect_of_an_unknown_version_can_be_answered_in_the_form_it_understands) {
  world w{world::one(channel_kind::tcp), silent()};
  raw_client client{w.port()};
  BOOST_REQUIRE(client.send(bytes{0x10, 0x0E, 0, 6, 'M', 'Q', 'I', 's', 'd', 'p', 3, 2, 0, 60, 0, 0}));
  const auto session = w.session();
  BOOST_REQUIRE(session->wait_for([](auto& me) { return me.malformed.has_value(); }));
  BOOST_REQUIRE((session->malformed->answer_as == mqtt::protocol_version::v311));
  BOOST_TEST(session->link->offer(mqtt::connack{false, reason_code::unsupported_protocol_version, {}}));
  session->link->close();
  BOOST_TEST((client.read_to_end() == bytes{0x20, 0x02, 0x00, 0x01}));
}

BOOST_AUTO_TEST_CASE(a_packet_above_the_limit_is_refused_when_its_length_is_known_not_when_it_has_arrived) {
  behaviour small;
  small.packet_bytes_max = 10'000;
  world w{world::one(channel_kind::tcp), small};
  raw_client client{w.port()};
  attach(client);
  BOOST_REQUIRE(client.send(bytes{0x32, 0x80, 0x80, 0x80, 0x01}));  // 2 MiB are announced, none are sent
  const auto session = w.session();
  BOOST_REQUIRE(session->wait_for([](auto& me) { return me.malformed.has_value(); }));
  BOOST_TEST((session->malformed->reason == reason_code::packet_too_large));
}

BOOST_AUTO_TEST_CASE(a_connect_above_one_kibibyte_is_refused_before_it_is_there) {
  world w;
  raw_client client{w.port()};
  BOOST_REQUIRE(client.send(bytes{0x10, 0x81, 0x08}));  // 1025 bytes are announced
  BOOST_TEST(client.read_to_end().empty());
  BOOST_TEST(w.sessions() == 0u);
}

BOOST_AUTO_TEST_CASE(last_words_arrive_although_the_client_was_still_talking) {
  // Without the half-close the kernel would answer unread input with a reset, which takes the last words with it.
  behaviour hold;
  hold.give_back = false;
  world w{world::one(channel_kind::tcp), hold};
  raw_client client{w.port()};
  attach(client);
  const auto one = wire(message(1, 4'000));
  while (client.send_at_once(one) > 0) {
  }
  const auto session = w.session();
  BOOST_REQUIRE(session->wait_for_packets(20));
  BOOST_TEST(session->link->offer(mqtt::disconnect{reason_code::administrative_action, {}}));
  session->link->close();
  session->link->close();  // idempotent
  BOOST_TEST((client.read_to_end() == bytes{0xE0, 0x01, 0x98}));
  client.hang_up();
  BOOST_TEST(w.wait_until_empty());
}

BOOST_AUTO_TEST_CASE(a_session_that_dies_takes_its_link_along) {
  world w;
  raw_client client{w.port()};
  attach(client);
  caf::anon_send(w.handle(), drain_atom::value);
  BOOST_TEST(client.read_to_end().empty());
  client.hang_up();
  BOOST_TEST(w.wait_until_empty());
}

BOOST_AUTO_TEST_CASE(a_link_without_a_session_is_closed) {
  bridge one{world::one(channel_kind::tcp)};
  BOOST_REQUIRE(one.start([](client_link_ptr) { return caf::actor{}; }));
  raw_client client{one.listening().at(0).port};
  BOOST_REQUIRE(client.send(wire(hello())));
  BOOST_TEST(client.read_to_end().empty());
}

BOOST_AUTO_TEST_CASE(what_came_before_the_end_of_a_connection_is_delivered_before_the_loss_is_told) {
  behaviour hold;
  hold.give_back = false;
  world w{world::one(channel_kind::tcp), hold};
  {
    raw_client client{w.port()};
    attach(client);
    bytes all;
    for (std::uint16_t id = 1; id <= 300; ++id)
      append(all, wire(message(id, 2'000)));  // 600 KB: more than the credit
    BOOST_REQUIRE(client.send(all));
  }
  const auto session = w.session();
  BOOST_REQUIRE(session->wait_for_packets(50));
  std::size_t given = 0;
  while (!session->with([](auto& me) { return me.lost.has_value(); })) {
    const auto have = session->with([](auto& me) { return me.credit; });
    session->link->done(have - given);
    given = have;
    std::this_thread::sleep_for(1ms);
  }
  BOOST_TEST(session->packets.size() == 301u);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(bridge_limits)

BOOST_AUTO_TEST_CASE(a_flood_without_credit_is_held_back_by_tcp) {
  behaviour hold;
  hold.give_back = false;
  world w{world::one(channel_kind::tcp), hold};
  raw_client client{w.port()};
  attach(client);
  const auto one = wire(message(1, 4'000));
  // Until the kernel takes nothing more, for a while.
  std::size_t sent = 0;
  for (auto quiet_since = std::chrono::steady_clock::now(); std::chrono::steady_clock::now() - quiet_since < 300ms;) {
    const auto count = client.send_at_once(one);
    sent += count;
    BOOST_REQUIRE(sent < 64u << 20);
    if (count > 0)
      quiet_since = std::chrono::steady_clock::now();
  }
  const auto session = w.session();
  const auto held = session->with([](auto& me) { return me.credit; });
  BOOST_TEST(held >= 200u * 1'024);
  BOOST_TEST(held <= 256u * 1'024 + 5'000);  // at most one packet above
  // With credit it goes on from where it stopped.
  const auto before = session->with([](auto& me) { return me.packets.size(); });
  session->link->done(held);
  BOOST_TEST(session->wait_for_packets(before + 10));
}

BOOST_AUTO_TEST_CASE(the_smallest_packets_cost_credit_too) {
  behaviour hold;
  hold.give_back = false;
  world w{world::one(channel_kind::tcp), hold};
  raw_client client{w.port()};
  attach(client);
  bytes pings;
  for (int i = 0; i < 30'000; ++i)
    append(pings, bytes{0xC0, 0x00});
  client.send_at_once(pings);
  const auto session = w.session();
  BOOST_REQUIRE(session->wait_for_packets(1'000));
  std::this_thread::sleep_for(100ms);
  BOOST_TEST(session->with([](auto& me) { return me.packets.size(); }) <= 1'400u);
}

BOOST_AUTO_TEST_CASE(a_client_that_does_not_read_gets_its_buffer_and_no_more_and_others_do_not_notice) {
  world w;
  raw_client slow{w.port(), 4'096};
  attach(slow);
  raw_client quick{w.port()};
  attach(quick);
  const auto session = w.session(0), other = w.session(1);
  const auto packet = mqtt::packet{message(1, 16'000)};
  std::size_t taken = 0;
  while (session->link->offer(packet)) {
    ++taken;
    BOOST_REQUIRE(taken < 4'000u);
    BOOST_TEST(session->link->queued() <= 1u << 20);
    std::this_thread::sleep_for(100us);
  }
  BOOST_TEST(taken >= 60u);
  BOOST_TEST(session->link->queued() > 1'000'000u);
  BOOST_TEST(w.it().counters().output_full.load() == 1u);
  BOOST_TEST(other->link->offer(mqtt::pingresp{}));
  BOOST_TEST((quick.read(2) == bytes{0xD0, 0x00}));
  // Once it reads, every byte that was taken arrives, in whole packets, and there is room again.
  const auto size = mqtt::encode(packet, mqtt::role::server, mqtt::protocol_version::v5)->size();
  BOOST_TEST(slow.read(size * taken).size() == size * taken);
  BOOST_TEST(world::eventually([&] { return session->link->queued() == 0; }));
  BOOST_TEST(session->link->offer(packet));
}

BOOST_AUTO_TEST_CASE(a_client_that_never_reads_cannot_hold_up_the_close) {
  auto settings = world::one(channel_kind::tcp);
  settings.flush_max = 200ms;
  world w{settings};
  raw_client slow{w.port(), 4'096};
  attach(slow);
  const auto session = w.session();
  while (session->link->offer(message(1, 16'000)))
    std::this_thread::sleep_for(100us);
  session->link->close();
  BOOST_TEST(w.wait_until_empty());
}

BOOST_AUTO_TEST_CASE(who_says_nothing_or_dribbles_is_closed) {
  auto settings = world::one(channel_kind::tcp);
  settings.first_packet_max = 300ms;
  world w{settings};
  raw_client silent_one{w.port()}, dribbling{w.port()};
  const auto first = wire(hello());
  for (std::size_t i = 0; i < first.size() - 1; ++i) {
    if (!dribbling.send(bytes{first[i]}) || dribbling.readable_within(40ms))
      break;
  }
  BOOST_TEST(dribbling.read_to_end().empty());
  BOOST_TEST(silent_one.read_to_end().empty());
  BOOST_TEST(w.it().counters().first_packet_late.load() == 2u);
  BOOST_TEST(w.sessions() == 0u);
}

BOOST_AUTO_TEST_CASE(a_packet_that_has_begun_must_go_on) {
  auto settings = world::one(channel_kind::tcp);
  settings.started_grace = 200ms;
  settings.started_bytes_per_s_min = 1'000;
  world w{settings};
  raw_client stuck{w.port()}, steady{w.port()}, idle{w.port()};
  attach(stuck);
  attach(steady);
  attach(idle);
  const auto packet = wire(message(1, 6'000));
  BOOST_REQUIRE(stuck.send(bytes_view{packet}.first(100)));
  for (std::size_t at = 0; at < packet.size(); at += 100) {  // 1.2 s at about 5 KB/s
    BOOST_REQUIRE(steady.send(bytes_view{packet}.subspan(at, std::min<std::size_t>(100, packet.size() - at))));
    std::this_thread::sleep_for(20ms);
  }
  BOOST_TEST(w.session(1)->wait_for_packets(2));
  BOOST_TEST(stuck.read_to_end().empty());
  BOOST_TEST(w.session(0)->wait_for_loss());
  BOOST_TEST(w.it().counters().packet_too_slow.load() == 1u);
  BOOST_TEST(!idle.readable_within(0ms));
}

BOOST_AUTO_TEST_CASE(who_is_not_attached_in_time_is_closed_even_if_its_session_sleeps) {
  auto settings = world::one(channel_kind::tcp);
  settings.authentication_max = 400ms;
  settings.first_packet_max = 300ms;
  world w{settings, silent()};
  raw_client client{w.port()};
  BOOST_REQUIRE(client.send(wire(hello())));
  BOOST_TEST(client.read_to_end().empty());
  BOOST_TEST(w.session()->wait_for_loss());
  BOOST_TEST(w.it().counters().authentication_late.load() == 1u);
}

BOOST_AUTO_TEST_CASE(strangers_above_the_limit_are_turned_away_until_one_of_them_attaches_or_leaves) {
  auto settings = world::one(channel_kind::tcp);
  settings.limits.strangers_loopback_max = 2;
  world w{settings};
  raw_client first{w.port()}, second{w.port()};
  BOOST_REQUIRE(world::eventually([&] { return w.it().strangers() == 2; }));
  {
    raw_client third{w.port()};
    BOOST_TEST(third.read_to_end().empty());
  }
  attach(first);
  raw_client fourth{w.port()};
  attach(second);
  attach(fourth);
  BOOST_TEST(w.it().counters().refused_address.load() == 1u);
  BOOST_TEST(w.it().connections() == 3u);
  BOOST_TEST(w.it().strangers() == 0u);
}

BOOST_AUTO_TEST_CASE(what_is_larger_than_the_client_wants_is_left_out_as_if_it_had_been_sent) {
  world w;
  raw_client client{w.port()};
  attach(client);
  const auto session = w.session();
  session->link->limit_output(1'000);
  BOOST_TEST(session->link->offer(message(1, 2'000)));
  BOOST_TEST(session->link->offer(mqtt::pingresp{}));
  BOOST_TEST((client.read(2) == bytes{0xD0, 0x00}));
  BOOST_TEST(w.it().counters().too_large_for_client.load() == 1u);
}

BOOST_AUTO_TEST_CASE(nothing_leaves_that_the_gate_holds_back) {
  world w{world::one(channel_kind::tcp), silent()};
  raw_client client{w.port()};
  BOOST_REQUIRE(client.send(wire(hello())));
  const auto session = w.session();
  BOOST_REQUIRE(session->wait_for_packets(1));
  const mqtt::publish secret{false, mqtt::qos::at_least_once, false, "signet/v1/inbox", 1, {}, bytes(100)};
  const auto& link = session->link;
  BOOST_TEST(!link->offer(secret));
  BOOST_TEST(!link->offer(mqtt::connack{}));
  BOOST_TEST(!link->offer(mqtt::disconnect{}));
  link->allow(link_state::proving, 16 * 1'024);
  BOOST_TEST(!link->offer(secret));
  const auto challenge = [](std::size_t size) {
    return mqtt::auth{reason_code::continue_authentication,
                      {{mqtt::property_id::authentication_method, std::string{"signet-ed25519"}},
                       {mqtt::property_id::authentication_data, bytes(size)}}};
  };
  BOOST_TEST(!link->offer(challenge(600)));
  BOOST_TEST(link->offer(challenge(100)));
  BOOST_TEST(!link->offer(challenge(400)));
  const auto refusals = w.it().counters().gate_refusals.load();
  BOOST_TEST(refusals == 6u);
  BOOST_TEST(link->offer(mqtt::connack{false, reason_code::not_authorized, {}}));
  link->allow(link_state::attached, 1 << 20);
  BOOST_TEST(!link->offer(secret));  // behind a refusal nothing leaves, not even by mistake
  link->close();
  const auto all = client.read_to_end();
  const auto expected_auth = *mqtt::encode(challenge(100), mqtt::role::server, mqtt::protocol_version::v5);
  BOOST_TEST(all.size() == expected_auth.size() + 5);
  BOOST_TEST(all.size() <= 512u);
}

BOOST_AUTO_TEST_CASE(when_descriptors_run_out_clients_wait_and_are_served_when_there_are_some_again) {
  world w;
  raw_client before{w.port()};
  attach(before);
  rlimit usual{};
  BOOST_REQUIRE(getrlimit(RLIMIT_NOFILE, &usual) == 0);
  raw_client waiting{w.port()};  // its own end needs a descriptor; made before they run out
  attach(waiting);
  const auto probe = ::dup(before.native());
  BOOST_REQUIRE(probe >= 0);
  ::close(probe);
  std::vector<int> hoard;
  auto tight = usual;
  tight.rlim_cur = static_cast<rlim_t>(probe) + 2;
  BOOST_REQUIRE(setrlimit(RLIMIT_NOFILE, &tight) == 0);
  const auto late = std::make_unique<raw_client>(w.port());  // takes one
  for (int more = ::dup(before.native()); more >= 0; more = ::dup(before.native()))
    hoard.push_back(more);
  BOOST_REQUIRE(late->send(wire(hello())));
  const bool served_at_once = late->readable_within(0ms);
  if (!served_at_once) {
    // The listener may have been quicker than the hoarder; mostly it was not.
    world::eventually([&] { return w.it().counters().accept_failures.load() > 0 || late->readable_within(0ms); });
  }
  for (const auto each : hoard)
    ::close(each);
  BOOST_REQUIRE(setrlimit(RLIMIT_NOFILE, &usual) == 0);
  BOOST_TEST((late->read(connack_bytes.size()) == connack_bytes));
  BOOST_TEST(w.it().counters().accept_failures.load() < 200u);  // it backs off, it does not spin
}

BOOST_AUTO_TEST_CASE(offers_from_many_threads_all_arrive_each_threads_in_its_order) {
  auto settings = world::one(channel_kind::tcp);
  settings.threads = 2;
  world w{settings};
  std::vector<std::unique_ptr<raw_client>> clients;
  for (std::size_t i = 0; i < 4; ++i)
    attach(*clients.emplace_back(std::make_unique<raw_client>(w.port())));
  constexpr std::uint16_t each_sends = 2'000;
  std::vector<std::thread> threads;
  for (std::uint16_t t = 0; t < 3; ++t)
    threads.emplace_back([&, t] {
      for (std::uint16_t i = 0; i < each_sends; ++i)
        for (std::size_t c = 0; c < clients.size(); ++c)
          while (!w.session(c)->link->offer(
            mqtt::puback{static_cast<std::uint16_t>(1 + t * each_sends + i), reason_code::success, {}}))
            std::this_thread::sleep_for(1ms);
    });
  for (auto& client : clients) {
    const auto all = client->read(4u * 3 * each_sends);
    BOOST_REQUIRE(all.size() == 4u * 3 * each_sends);
    std::array<int, 3> last{-1, -1, -1};
    for (std::size_t at = 0; at < all.size(); at += 4) {
      const auto number = static_cast<int>(read_u16(all.data() + at + 2)) - 1;
      auto& before = last.at(static_cast<std::size_t>(number / each_sends));
      BOOST_REQUIRE(number % each_sends == before + 1);
      before = number % each_sends;
    }
  }
  for (auto& each : threads)
    each.join();
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(bridge_life)

BOOST_AUTO_TEST_CASE(stopping_writes_what_is_queued_and_frees_the_port) {
  auto w = std::make_unique<world>();
  const auto port = w->port();
  raw_client client{port};
  attach(client);
  const auto session = w->session();
  for (std::uint16_t i = 1; i <= 50; ++i)
    BOOST_REQUIRE(session->link->offer(message(i, 10'000)));
  bytes all;
  std::thread reader{[&] { all = client.read_to_end(), client.hang_up(); }};
  w->it().stop();
  reader.join();
  const auto size = mqtt::encode(message(1, 10'000), mqtt::role::server, mqtt::protocol_version::v5)->size();
  BOOST_TEST(all.size() == 50 * size);
  BOOST_TEST(!session->link->offer(mqtt::pingresp{}));
  session->link->done(100);  // late calls harm nothing
  session->link->allow(link_state::attached, 100);
  session->link->close();
  w->it().stop();
  w.reset();
  auto again = world::one(channel_kind::tcp);
  again.listeners[0].port = port;
  world next{again};
  BOOST_TEST(next.port() == port);
}

BOOST_AUTO_TEST_CASE(after_stop_accepting_nobody_comes_in_and_those_inside_go_on) {
  world w;
  const auto port = w.port();
  raw_client client{port};
  attach(client);
  w.it().stop_accepting();
  BOOST_TEST(world::eventually([&] {
    try {
      raw_client late{port};
      return false;
    } catch (const std::exception&) {
      return true;
    }
  }));
  BOOST_REQUIRE(client.send(wire(message(3))));
  BOOST_TEST(w.session()->wait_for_packets(2));
}

BOOST_AUTO_TEST_CASE(what_cannot_be_bound_is_said_in_a_sentence_that_helps) {
  const auto error_of = [](const listen_at& at) {
    bridge_settings settings;
    settings.listeners = {at};
    bridge one{settings};
    const auto started = one.start([](client_link_ptr) { return caf::actor{}; });
    BOOST_REQUIRE(!started);
    BOOST_TEST(one.listening().empty());
    return started.error();
  };
  const auto says = [](const error& what, ec code, std::string_view words) {
    BOOST_TEST((what.code == code));
    BOOST_TEST(what.context.find(words) != std::string::npos, what.context);
  };
  world taken;
  listen_at at;
  at.port = taken.port();
  says(error_of(at), ec::io, "another program has that port");
  at.port = 0;
  at.address = "example.com";
  says(error_of(at), ec::configuration, "is no IP address");
  at.address = "192.0.2.77";
  says(error_of(at), ec::io, "no interface of this machine has that address");
  at.address = "127.0.0.1";
  at.kind = channel_kind::tls;
  says(error_of(at), ec::configuration, "listen.certificate");
  testing::scratch_directory directory;
  const auto one = testing::make_certificate(directory.path(), "one");
  const auto two = testing::make_certificate(directory.path(), "two");
  at.certificate = one.certificate + ".missing";
  at.key = one.key;
  says(error_of(at), ec::configuration, "readable PEM file");
  at.certificate = one.certificate;
  at.key = two.key;
  says(error_of(at), ec::configuration, "the key of");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(bridge_tls)

BOOST_AUTO_TEST_CASE(a_client_over_tls_is_served_and_both_sides_see_one_exporter_value) {
  testing::scratch_directory directory;
  world w{secured(channel_kind::tls, testing::make_certificate(directory.path()))};
  std::size_t number = 0;
  std::vector<bytes> values;
  for (const auto version : {TLS1_3_VERSION, TLS1_2_VERSION}) {
    raw_client client{w.port()};
    BOOST_REQUIRE(client.start_tls(version));
    BOOST_TEST(client.tls_version() == version);
    attach(client);
    const auto session = w.session(number++);
    BOOST_TEST((session->link->channel() == channel_kind::tls));
    const auto ours = session->link->exporter();
    BOOST_TEST(ours.size() == 32u);
    BOOST_TEST((ours == client.exporter(login_exporter_label)));
    values.push_back(ours);
    // 600 KB each way, through many records.
    bytes all;
    for (std::uint16_t id = 1; id <= 30; ++id)
      append(all, wire(message(id, 20'000)));
    BOOST_REQUIRE(client.send(all));
    BOOST_REQUIRE(session->wait_for_packets(31));
    for (std::uint16_t id = 1; id <= 30; ++id) {
      BOOST_TEST((std::get<mqtt::publish>(session->packets[id]) == message(id, 20'000)));
      BOOST_TEST(session->link->offer(message(id, 20'000)));
    }
    BOOST_TEST((client.read(all.size()) == all));
    session->link->close();
    BOOST_TEST(client.read_to_end().empty());
  }
  BOOST_TEST((values[0] != values[1]));
  BOOST_TEST(w.wait_until_empty());
}

BOOST_AUTO_TEST_CASE(one_byte_in_each_tls_record_gives_the_same_packets) {
  testing::scratch_directory directory;
  world w{secured(channel_kind::tls, testing::make_certificate(directory.path()))};
  raw_client client{w.port()};
  BOOST_REQUIRE(client.start_tls());
  for (const auto each : wire(hello()))
    BOOST_REQUIRE(client.send(bytes{each}));
  BOOST_TEST((client.read(connack_bytes.size()) == connack_bytes));
}

BOOST_AUTO_TEST_CASE(what_is_no_tls_gets_no_session_and_old_versions_are_refused) {
  testing::scratch_directory directory;
  world w{secured(channel_kind::tls, testing::make_certificate(directory.path()))};
  raw_client plain{w.port()};
  BOOST_REQUIRE(plain.send(wire(hello())));
  plain.read_to_end();  // an alert, at most
  raw_client old{w.port()};
  BOOST_TEST(!old.start_tls(TLS1_1_VERSION));
  BOOST_TEST(w.wait_until_empty());
  BOOST_TEST(w.sessions() == 0u);
  BOOST_TEST(w.it().counters().tls_failures.load() == 2u);
}

BOOST_AUTO_TEST_CASE(certificates_can_be_changed_while_it_runs) {
  testing::scratch_directory directory;
  const auto files = testing::make_certificate(directory.path());
  world w{secured(channel_kind::tls, files)};
  raw_client before{w.port()};
  BOOST_REQUIRE(before.start_tls());
  testing::make_certificate(directory.path());  // in the same place
  BOOST_TEST(w.it().reload_certificates().has_value());
  raw_client after{w.port()};
  BOOST_REQUIRE(after.start_tls());
  attach(before);
  attach(after);
  std::ofstream{files.key} << "no key";
  BOOST_TEST(!w.it().reload_certificates().has_value());
  raw_client still{w.port()};
  BOOST_REQUIRE(still.start_tls());
  attach(still);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(bridge_ws)

namespace {

namespace beast = boost::beast;
using tcp = boost::asio::ip::tcp;

/// Beast's own client, so that two implementations talk to each other.
struct beast_client {
  explicit beast_client(std::uint16_t port, const std::string& protocol = "mqtt", const std::string& path = "/mqtt")
    : stream{io} {
    stream.next_layer().connect({boost::asio::ip::address_v4::loopback(), port});
    const timeval time{patience.count() / 1'000, 0};
    ::setsockopt(stream.next_layer().native_handle(), SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
    stream.set_option(beast::websocket::stream_base::decorator{[protocol](beast::websocket::request_type& request) {
      request.set(beast::http::field::sec_websocket_protocol, protocol);
    }});
    stream.handshake(response, "127.0.0.1:" + std::to_string(port), path, problem);
    stream.binary(true);
  }
  void send(bytes_view data) { stream.write(boost::asio::buffer(data.data(), data.size()), problem); }
  bytes read(std::size_t count) {
    beast::flat_buffer buffer;
    while (buffer.size() < count && !problem)
      stream.read(buffer, problem);
    const auto* at = static_cast<const std::uint8_t*>(buffer.data().data());
    return {at, at + buffer.size()};
  }
  boost::asio::io_context io;
  beast::websocket::stream<tcp::socket> stream;
  beast::websocket::response_type response;
  boost::system::error_code problem;
};

} // namespace

BOOST_AUTO_TEST_CASE(a_browser_like_client_is_served_on_both_paths) {
  world w{world::one(channel_kind::ws)};
  std::size_t number = 0;
  for (const auto* path : {"/mqtt", "/"}) {
    beast_client client{w.port(), "mqtt", path};
    BOOST_REQUIRE(!client.problem);
    BOOST_TEST(client.response[beast::http::field::sec_websocket_protocol] == "mqtt");
    client.send(wire(hello()));
    BOOST_TEST((client.read(connack_bytes.size()) == connack_bytes));
    BOOST_TEST(client.stream.got_binary());
    const auto session = w.session(number++);
    BOOST_TEST((session->link->channel() == channel_kind::ws));
    for (const std::size_t size : {10u, 200u, 70'000u}) {
      client.send(wire(message(1, size)));
      BOOST_TEST(session->link->offer(message(1, size)));
      BOOST_TEST((client.read(1) == wire(message(1, size))));
    }
    BOOST_TEST(session->wait_for_packets(4));
    client.stream.close(beast::websocket::close_code::normal, client.problem);
    BOOST_TEST(!client.problem);
    BOOST_TEST(session->wait_for_loss());
  }
  BOOST_TEST(w.wait_until_empty());
}

BOOST_AUTO_TEST_CASE(packets_may_span_frames_and_share_them) {
  world w{world::one(channel_kind::ws)};
  beast_client client{w.port()};
  // As MQTT.js does on Node: one CONNECT in many small frames.
  const auto first = wire(hello());
  for (std::size_t at = 0; at < first.size(); at += 2)
    client.send(bytes_view{first}.subspan(at, std::min<std::size_t>(2, first.size() - at)));
  BOOST_TEST((client.read(connack_bytes.size()) == connack_bytes));
  // As it does in browsers: many packets in one frame, which Beast in turn cuts into fragments.
  bytes many;
  for (std::uint16_t id = 1; id <= 40; ++id)
    append(many, wire(message(id, 500)));
  client.stream.auto_fragment(true);
  client.send(many);
  const auto session = w.session();
  BOOST_REQUIRE(session->wait_for_packets(41));
  for (std::uint16_t id = 1; id <= 40; ++id)
    BOOST_TEST((std::get<mqtt::publish>(session->packets[id]) == message(id, 500)));
}

BOOST_AUTO_TEST_CASE(frames_that_come_byte_by_byte_behind_the_request_in_one_go_are_read) {
  world w{world::one(channel_kind::ws)};
  raw_client client{w.port()};
  std::string all = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                    "Sec-WebSocket-Protocol: mqtt\r\n\r\n";
  const auto first = wire(hello());
  all += static_cast<char>(0x82);
  all += static_cast<char>(0x80 | first.size());
  all += std::string(4, '\0');
  all += as_text(first);
  for (std::size_t i = 0; i < 100; ++i)
    BOOST_REQUIRE(client.send(std::string_view{all}.substr(i, 1)));
  BOOST_REQUIRE(client.send(std::string_view{all}.substr(100)));
  const auto head = client.read_until("\r\n\r\n");
  BOOST_TEST(head.starts_with("HTTP/1.1 101 "));
  BOOST_TEST((client.read(7) == bytes{0x82, 0x05, 0x20, 0x03, 0x00, 0x00, 0x00}));
  BOOST_TEST(w.session()->wait_for_packets(1));
  // A ping is answered, a close too, and then nothing comes.
  BOOST_REQUIRE(client.send(bytes{0x89, 0x82, 0, 0, 0, 0, 'h', 'i', 0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE8}));
  BOOST_TEST((client.read_to_end() == bytes{0x8A, 0x02, 'h', 'i', 0x88, 0x02, 0x03, 0xE8}));
}

BOOST_AUTO_TEST_CASE(a_text_frame_ends_the_connection_with_code_1003) {
  world w{world::one(channel_kind::ws)};
  beast_client client{w.port()};
  client.send(wire(hello()));
  client.read(connack_bytes.size());
  client.stream.text(true);
  client.send(as_bytes("hello"));
  client.read(1);
  BOOST_TEST((client.problem == beast::websocket::error::closed));
  BOOST_TEST(client.stream.reason().code == 1003);
  BOOST_TEST(w.session()->wait_for_loss());
}

BOOST_AUTO_TEST_CASE(requests_that_are_no_mqtt_are_refused_in_http) {
  world w{world::one(channel_kind::ws)};
  beast_client wrong{w.port(), "mqttv3.1"};
  BOOST_TEST((wrong.problem == beast::websocket::error::upgrade_declined));
  raw_client elsewhere{w.port()};
  BOOST_REQUIRE(elsewhere.send("GET /admin HTTP/1.1\r\nHost: localhost\r\n\r\n"));
  BOOST_TEST(as_text(elsewhere.read_to_end()).starts_with("HTTP/1.1 404 "));
  raw_client no_protocol{w.port()};
  BOOST_REQUIRE(no_protocol.send("GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                                 "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                                 "Sec-WebSocket-Protocol: MQTT\r\n\r\n"));
  BOOST_TEST(as_text(no_protocol.read_to_end()).starts_with("HTTP/1.1 400 "));
  raw_client large{w.port()};
  BOOST_REQUIRE(large.send("GET /mqtt HTTP/1.1\r\nX: " + std::string(8'200, 'x')));
  BOOST_TEST(as_text(large.read_to_end()).starts_with("HTTP/1.1 431 "));
  BOOST_TEST(w.sessions() == 0u);
  BOOST_TEST(w.it().counters().upgrade_refusals.load() == 4u);
}

BOOST_AUTO_TEST_CASE(closing_a_websocket_says_so) {
  world w{world::one(channel_kind::ws)};
  beast_client client{w.port()};
  client.send(wire(hello()));
  client.read(connack_bytes.size());
  const auto session = w.session();
  BOOST_TEST(session->link->offer(mqtt::disconnect{reason_code::server_shutting_down, {}}));
  session->link->close();
  BOOST_TEST((client.read(3) == bytes{0xE0, 0x01, 0x8B}));
  client.read(1);
  BOOST_TEST((client.problem == beast::websocket::error::closed));
  BOOST_TEST(client.stream.reason().code == 1000);
}

BOOST_AUTO_TEST_CASE(a_websocket_client_that_does_not_read_gets_its_buffer_and_then_every_byte) {
  world w{world::one(channel_kind::ws)};
  beast_client client{w.port()};
  client.send(wire(hello()));
  client.read(connack_bytes.size());
  const auto session = w.session();
  std::size_t taken = 0;
  while (session->link->offer(message(1, 50'000))) {
    ++taken;
    BOOST_REQUIRE(taken < 4'000u);
    std::this_thread::sleep_for(200us);
  }
  const auto size = wire(message(1, 50'000)).size();
  std::size_t got = 0;
  while (got < taken * size && !client.problem)
    got += client.read(1).size();
  BOOST_TEST(got == taken * size);
  BOOST_TEST(world::eventually([&] { return session->link->queued() == 0; }));
}

BOOST_AUTO_TEST_CASE(websocket_over_tls_is_both) {
  testing::scratch_directory directory;
  world w{secured(channel_kind::wss, testing::make_certificate(directory.path()))};
  raw_client client{w.port()};
  BOOST_REQUIRE(client.start_tls());
  BOOST_REQUIRE(client.send("GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                            "Sec-WebSocket-Protocol: mqtt\r\n\r\n"));
  BOOST_TEST(client.read_until("\r\n\r\n").starts_with("HTTP/1.1 101 "));
  const auto first = wire(hello());
  bytes framed{0x82, static_cast<std::uint8_t>(0x80 | first.size()), 0, 0, 0, 0};
  append(framed, first);
  BOOST_REQUIRE(client.send(framed));
  BOOST_TEST((client.read(7) == bytes{0x82, 0x05, 0x20, 0x03, 0x00, 0x00, 0x00}));
  BOOST_TEST((w.session()->link->channel() == channel_kind::wss));
  BOOST_TEST((w.session()->link->exporter() == client.exporter(login_exporter_label)));
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace signet
