// What the bridge does not let a peer do: floods, slow readers, dribbles, crowds.

#include "tests/support/bridge_world.hpp"

#include <sys/resource.h>

#include <array>
#include <thread>

namespace signet {
namespace {

using namespace testing;
using namespace std::chrono_literals;

} // namespace

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

} // namespace signet
