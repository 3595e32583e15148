// Links of two or three nodes on loopback.

#include "actors/links/frame.hpp"
#include "tests/support/link_world.hpp"

#include <numeric>

namespace signet {
namespace {

using namespace testing;
using namespace std::chrono_literals;

struct two {
  cluster_id cluster = random_id<cluster_id>(system_random());
  link_node a{"a", cluster}, b{"b", cluster};
  void start() {
    a.start({b.row()});
    b.start({a.row()});
    BOOST_REQUIRE(a.wait_up("b"));
    BOOST_REQUIRE(b.wait_up("a"));
  }
};

bytes numbered(std::uint32_t number, std::size_t size) {
  bytes out;
  append_u32(out, number);
  out.resize(std::max<std::size_t>(size, 4), static_cast<std::uint8_t>(number));
  return out;
}

template <class F>
bool soon(F condition) {
  for (int i = 0; i < 400 && !condition(); ++i)
    std::this_thread::sleep_for(50ms);
  return condition();
}

} // namespace

BOOST_AUTO_TEST_SUITE(links_between_nodes)

BOOST_AUTO_TEST_CASE(frames_of_all_sizes_arrive_whole_and_in_order_both_ways) {
  two w;
  w.start();
  BOOST_TEST(w.a.with([&] { return w.a.hellos["b"].from; }) == "b");
  BOOST_TEST((w.a.with([&] { return w.a.hellos["b"].process; }) == w.b.settings.process));
  const std::size_t sizes[] = {4, 100, 5'000, 70'000, 1'000'000, link_data_bytes_max, 17, 0};
  std::uint32_t number = 0;
  std::vector<bytes> sent;
  for (int round = 0; round < 2; ++round)
    for (const auto size : sizes)
      sent.push_back(size == 0 ? bytes{} : numbered(number++, size));
  for (const auto& each : sent) {
    BOOST_TEST((w.a.it->send("b", share(each)) == link_sent::queued));
    BOOST_TEST((w.b.it->send("a", share(each)) == link_sent::queued));
  }
  BOOST_REQUIRE(w.b.wait_frames("a", sent.size()));
  BOOST_REQUIRE(w.a.wait_frames("b", sent.size()));
  for (std::size_t i = 0; i < sent.size(); ++i) {
    BOOST_TEST((*w.b.with([&] { return w.b.frames["a"][i]; }) == sent[i]));
    BOOST_TEST((*w.a.with([&] { return w.a.frames["b"][i]; }) == sent[i]));
  }
  const auto picture = w.a.picture_of("b");
  BOOST_TEST(picture.state == "up");
  BOOST_TEST(picture.frames_in == sent.size());
  BOOST_TEST(picture.dropped == 0u);
  BOOST_TEST(w.a.with([&] { return w.a.refused.empty() && w.a.downs["b"] == 0; }));
}

BOOST_AUTO_TEST_CASE(many_small_frames_from_many_threads_keep_their_order_in_each) {
  two w;
  w.start();
  constexpr std::uint32_t each = 5'000, threads = 3;
  std::vector<std::thread> senders;
  for (std::uint32_t t = 0; t < threads; ++t)
    senders.emplace_back([&, t] {
      for (std::uint32_t i = 0; i < each; ++i)
        while (w.a.it->send("b", share(numbered(t * each + i, 64))) != link_sent::queued)
          std::this_thread::yield();
    });
  for (auto& thread : senders)
    thread.join();
  BOOST_REQUIRE(w.b.wait_frames("a", each * threads));
  std::array<std::uint32_t, threads> next{};
  w.b.with([&] {
    for (const auto& frame : w.b.frames["a"]) {
      const auto number = read_u32(frame->data());
      BOOST_REQUIRE(number / each < threads);
      BOOST_REQUIRE(number % each == next[number / each]++);
    }
  });
}

BOOST_AUTO_TEST_CASE(three_nodes_and_their_round_trips) {
  const auto cluster = random_id<cluster_id>(system_random());
  link_node a{"a", cluster}, b{"b", cluster}, c{"c", cluster};
  const std::vector<link_peer> table{a.row(), b.row(), c.row()};
  for (auto* each : {&a, &b, &c})
    each->start(table);
  for (auto* each : {&a, &b, &c})
    for (const std::string other : {"a", "b", "c"})
      if (other != each->name)
        BOOST_TEST(each->wait_up(other));
  BOOST_TEST(a.it->picture().size() == 2u);
  BOOST_TEST(soon([&] { return a.picture_of("c").round_trip_us > 0; }));
  BOOST_TEST((a.it->send("nobody", share(bytes(1))) == link_sent::no_link));
}

BOOST_AUTO_TEST_CASE(a_stranger_with_another_key_gets_nothing) {
  two w;
  w.start();
  // It knows the cluster id, b's name and a's key; its own key is in nobody's table.
  link_node stranger{"b", w.cluster};
  stranger.start({w.a.row()});
  BOOST_TEST(w.a.wait_refused(link_refusal::unknown_key));
  std::this_thread::sleep_for(300ms);
  BOOST_TEST(stranger.with([&] { return stranger.ups["a"]; }) == 0u);
  BOOST_TEST((stranger.it->send("a", share(bytes(1))) == link_sent::no_link));
  BOOST_TEST(!stranger.picture_of("a").last_error.empty());
  BOOST_TEST(w.a.with([&] { return w.a.downs["b"]; }) == 0u);
  BOOST_TEST(!w.a.it->refusals().empty());
}

BOOST_AUTO_TEST_CASE(who_answers_with_another_key_than_the_pinned_one_is_not_talked_to) {
  const auto cluster = random_id<cluster_id>(system_random());
  link_node a{"a", cluster}, impostor{"b", cluster}, real{"b", cluster};
  impostor.start({a.row()});
  a.start({real.row_at(impostor.port)});
  BOOST_TEST(a.wait_refused(link_refusal::wrong_key));
  BOOST_TEST(a.with([&] { return a.ups["b"]; }) == 0u);
}

BOOST_AUTO_TEST_CASE(a_member_may_not_speak_under_the_name_of_another) {
  const auto cluster = random_id<cluster_id>(system_random());
  link_node a{"a", cluster}, b{"b", cluster}, c{"c", cluster, free_port()};
  // c's key, b's name.
  c.settings.self = "b";
  a.start({b.row(), c.row()});
  c.start({a.row()});
  BOOST_TEST(a.wait_refused(link_refusal::wrong_key));
  BOOST_TEST(a.with([&] { return a.ups["b"] + a.ups["c"]; }) == 0u);
}

BOOST_AUTO_TEST_CASE(nodes_of_another_cluster_or_for_another_receiver_are_refused) {
  const auto cluster = random_id<cluster_id>(system_random());
  link_node a{"a", cluster}, b{"b", random_id<cluster_id>(system_random())}, c{"c", cluster};
  a.start({b.row(), c.row()});
  b.start({a.row()});
  auto renamed = a.row();
  renamed.name = "z";
  c.start({renamed});
  BOOST_TEST(a.wait_refused(link_refusal::other_cluster));
  BOOST_TEST(a.wait_refused(link_refusal::wrong_receiver));
  BOOST_TEST(a.with([&] { return a.ups["b"] + a.ups["c"]; }) == 0u);
  BOOST_TEST(c.with([&] { return c.ups["z"]; }) == 0u);
}

BOOST_AUTO_TEST_CASE(plain_bytes_and_silence_are_refused_and_strangers_are_few) {
  const auto cluster = random_id<cluster_id>(system_random());
  link_node a{"a", cluster}, b{"b", cluster};
  a.settings.hello_max = 600ms;
  a.settings.strangers_max = 4;
  a.start({b.row()});
  const int talker = connect_to(a.port);
  BOOST_REQUIRE(talker >= 0);
  const std::string_view plain = "GET / HTTP/1.1\r\n\r\n and much more that is no TLS";
  BOOST_TEST(::send(talker, plain.data(), plain.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(plain.size()));
  BOOST_TEST(a.wait_refused(link_refusal::tls));
  ::close(talker);
  std::vector<int> silent;
  for (int i = 0; i < 8; ++i)
    silent.push_back(connect_to(a.port));
  BOOST_TEST(a.wait_refused(link_refusal::too_many));
  BOOST_TEST(a.wait_refused(link_refusal::late));
  // All places are free again.
  b.start({a.row()});
  BOOST_TEST(b.wait_up("a"));
  for (const int fd : silent)
    ::close(fd);
}

BOOST_AUTO_TEST_CASE(no_plaintext_passes_on_the_wire) {
  const auto cluster = random_id<cluster_id>(system_random());
  link_node a{"node-alpha", cluster}, b{"node-beta", cluster};
  tcp_proxy to_a{a.port}, to_b{b.port};
  a.start({b.row_at(to_b.port())});
  b.start({a.row_at(to_a.port())});
  BOOST_REQUIRE(a.wait_up("node-beta"));
  const std::string canary = "CANARY-5a17-IN-A-FRAME";
  for (int i = 0; i < 50; ++i)
    a.it->send("node-beta", share(to_bytes(as_bytes(canary))));
  BOOST_REQUIRE(b.wait_frames("node-alpha", 50));
  BOOST_TEST((*b.with([&] { return b.frames["node-alpha"][0]; }) == to_bytes(as_bytes(canary))));
  for (auto* proxy : {&to_a, &to_b}) {
    const auto seen = proxy->seen();
    BOOST_TEST(seen.size() > 500u);
    const auto text = as_text(seen);
    for (const std::string_view word : {std::string_view{canary}, std::string_view{"node-beta"},
                                        std::string_view{"node-alpha"}, as_text(a.key.public_half().view()), as_text(cluster.view())})
      BOOST_TEST((text.find(word) == std::string_view::npos));
  }
}

BOOST_AUTO_TEST_CASE(a_half_open_connection_is_found_dead_and_replaced) {
  const auto cluster = random_id<cluster_id>(system_random());
  link_node a{"a", cluster}, b{"b", cluster};
  tcp_proxy to_b{b.port}, to_a{a.port};
  a.start({b.row_at(to_b.port())});
  b.start({a.row_at(to_a.port())});
  BOOST_REQUIRE(a.wait_up("b"));
  BOOST_REQUIRE(b.wait_up("a"));
  const auto begin = std::chrono::steady_clock::now();
  to_b.freeze();
  to_a.freeze();
  BOOST_REQUIRE(a.wait_for([&] { return a.downs["b"] >= 1; }));
  const auto found = std::chrono::steady_clock::now() - begin;
  BOOST_TEST((found >= 700ms));  // ten heartbeats, less what had passed, and no sooner
  BOOST_TEST((found < 5s));
  BOOST_REQUIRE(b.wait_for([&] { return b.downs["a"] >= 1; }));
  BOOST_REQUIRE(a.wait_for([&] { return a.ups["b"] >= 2; }));
  BOOST_REQUIRE(a.wait_up("b"));
  BOOST_REQUIRE(b.wait_up("a"));
  for (int i = 0; i < 100 && b.with([&] { return b.frames["a"].empty(); }); ++i) {
    a.it->send("b", share(bytes{1}));
    std::this_thread::sleep_for(50ms);
  }
  BOOST_TEST(b.wait_frames("a", 1));
  BOOST_TEST(a.picture_of("b").reconnects >= 1u);
}

BOOST_AUTO_TEST_CASE(a_peer_that_restarts_is_up_again_and_has_another_process) {
  two w;
  w.start();
  const auto before = w.b.settings.process;
  w.b.stop();
  BOOST_REQUIRE(w.a.wait_down("b"));
  BOOST_TEST((w.a.it->send("b", share(bytes{1})) == link_sent::no_link));
  std::this_thread::sleep_for(200ms);
  w.b.start({w.a.row()});
  BOOST_REQUIRE(w.a.wait_up("b"));
  BOOST_REQUIRE(w.b.wait_up("a"));
  BOOST_TEST((w.a.with([&] { return w.a.hellos["b"].process; }) != before));
  BOOST_TEST((w.a.it->send("b", share(bytes{2})) == link_sent::queued));
  BOOST_TEST(w.b.wait_frames("a", 1));
}

BOOST_AUTO_TEST_CASE(a_copy_of_a_running_node_is_refused_while_the_first_is_alive) {
  const auto cluster = random_id<cluster_id>(system_random());
  link_node a{"a", cluster};
  auto b = std::make_unique<link_node>("b", cluster);
  std::array<std::uint8_t, signing_key::seed_size> seed{};
  b->key.lend_seed([&](auto from) { std::copy(from.begin(), from.end(), seed.begin()); });
  a.start({b->row()});
  b->start({a.row()});
  BOOST_REQUIRE(a.wait_up("b"));
  BOOST_REQUIRE(b->wait_up("a"));
  links twin;
  auto settings = b->settings;
  settings.process = random_id<peer::process_id>(system_random());
  settings.listen = "127.0.0.1:0";
  std::atomic<int> twin_ups{0};
  links_handlers handlers;
  handlers.up = [&](const std::string&, const peer::hello&) { ++twin_ups; };
  BOOST_REQUIRE(twin.start(settings, signing_key::from_seed(seed), handlers, {a.row()}));
  BOOST_TEST(a.wait_refused(link_refusal::second_incarnation));
  BOOST_TEST(a.with([&] { return a.downs["b"]; }) == 0u);
  BOOST_TEST(twin_ups == 0);
  const auto told = [&] { return twin.picture().at(0).last_error.find("second_incarnation") != std::string::npos; };
  BOOST_TEST(soon(told));
  twin.stop();
}

BOOST_AUTO_TEST_CASE(a_slow_reader_is_held_back_by_credit_loses_what_finds_no_place_and_holds_nobody_else) {
  const auto cluster = random_id<cluster_id>(system_random());
  link_node a{"a", cluster}, slow{"slow", cluster}, c{"c", cluster};
  a.settings.send_queue_bytes_max = 4U << 20;
  slow.settings.receive_credit_bytes = 1U << 20;
  slow.hold_credit = true;
  const std::vector<link_peer> table{a.row(), slow.row(), c.row()};
  for (auto* each : {&a, &slow, &c})
    each->start(table);
  BOOST_REQUIRE(a.wait_up("slow"));
  BOOST_REQUIRE(a.wait_up("c"));
  BOOST_REQUIRE(slow.wait_up("a"));
  BOOST_REQUIRE(c.wait_up("a"));
  const auto frame = share(bytes(100'000, 3));
  std::size_t queued = 0, full = 0;
  for (int i = 0; i < 400; ++i) {  // 40 MB
    (a.it->send("slow", frame) == link_sent::queued ? queued : full) += 1;
    std::this_thread::sleep_for(1ms);
  }
  BOOST_TEST(full > 0u);
  BOOST_TEST(a.picture_of("slow").dropped == full);
  // c is not held, and slow's silence is not taken for death.
  for (std::uint32_t i = 0; i < 100; ++i)
    BOOST_TEST((a.it->send("c", share(numbered(i, 1'000))) == link_sent::queued));
  BOOST_TEST(c.wait_frames("a", 100));
  std::this_thread::sleep_for(1'500ms);
  BOOST_TEST(a.with([&] { return a.downs["slow"]; }) == 0u);
  const auto got = slow.with([&] { return slow.frames["a"].size(); });
  BOOST_TEST(got < queued);
  BOOST_TEST(got * 100'000 <= (1U << 20) + 200'000);
  BOOST_TEST(slow.picture_of("a").unprocessed_bytes > 1U << 20);
  // Processed: everything that had a place arrives.
  slow.with([&] { slow.hold_credit = false; });
  auto credits = slow.with([&] { return std::exchange(slow.credits, {}); });
  credits.clear();
  BOOST_TEST(slow.wait_frames("a", queued));
  BOOST_TEST(soon([&] { return slow.picture_of("a").unprocessed_bytes == 0; }));
}

BOOST_AUTO_TEST_CASE(credits_may_outlive_the_links) {
  two w;
  w.b.hold_credit = true;
  w.b.settings.receive_credit_bytes = 1'000;
  w.start();
  for (int i = 0; i < 10; ++i)
    w.a.it->send("b", share(bytes(500)));
  BOOST_REQUIRE(w.b.wait_frames("a", 2));
  w.b.stop();
  w.b.with([&] { w.b.credits.clear(); });
}

BOOST_AUTO_TEST_CASE(peers_come_and_go_while_it_runs) {
  const auto cluster = random_id<cluster_id>(system_random());
  link_node a{"a", cluster}, b{"b", cluster}, c{"c", cluster};
  a.start({b.row()});
  b.start({a.row()});
  c.start({a.row(), b.row()});
  BOOST_REQUIRE(a.wait_up("b"));
  BOOST_TEST(a.with([&] { return a.ups["c"]; }) == 0u);
  a.it->set_peers({a.row(), b.row(), c.row()});
  BOOST_TEST(a.wait_up("c"));
  BOOST_TEST(a.with([&] { return a.downs["b"]; }) == 0u);
  a.it->set_peers({c.row()});
  BOOST_TEST(a.wait_down("b"));
  BOOST_TEST(b.wait_down("a"));
  BOOST_TEST((a.it->send("b", share(bytes{1})) == link_sent::no_link));
  BOOST_TEST(a.with([&] { return a.downs["c"]; }) == 0u);
  BOOST_TEST(a.it->picture().size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_port_that_is_taken_is_said_so) {
  two w;
  w.a.start({});
  links second;
  auto settings = w.a.settings;
  const auto started = second.start(settings, w.b.key, {}, {});
  BOOST_REQUIRE(!started);
  BOOST_TEST((started.error().code == ec::io));
  BOOST_TEST(started.error().context.find("another program has that port") != std::string::npos);
  settings.listen = "somewhere:7601";
  links third;
  const auto named = third.start(settings, w.b.key, {}, {});
  BOOST_REQUIRE(!named);
  BOOST_TEST((named.error().code == ec::configuration));
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace signet
