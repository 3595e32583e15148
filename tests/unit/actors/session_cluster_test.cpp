// Sessions of two nodes over one log: two registries over two stores that apply the same entries. What one node proposes
// must end connections of the other, with their reason, and nothing may rely on having proposed it here.

#include "actors/session/inbox_book.hpp"
#include "messages/envelope/delivery.hpp"
#include "messages/envelope/receipt.hpp"
#include "messages/schema/session.capnp.h"
#include "messages/envelope/canonical.hpp"
#include "tests/support/session_system.hpp"

#include <boost/test/unit_test.hpp>
#include <set>

using namespace signet;
using namespace signet::testing;
using mqtt::reason_code;

namespace {

std::vector<std::uint64_t> positions_of(const mqtt::publish& packet) {
  std::vector<std::uint64_t> out;
  const auto items = open_delivery(packet.payload);
  if (!items)
    return out;
  for (const auto& item : *items)
    if (const auto* bundle = std::get_if<unverified_bundle>(&item))
      for (const auto& each : bundle->messages)
        out.push_back(value(each.position));
    else
      out.push_back(value(std::get<delivered_reference>(item).position));
  return out;
}

std::string closing_of(const wire_client& client) {
  for (const auto& packet : client.published(topic_role::session)) {
    auto text = read_outer<schema::SessionNotice>(packet.payload, 4096,
                                                  [](schema::SessionNotice::Reader in) -> result<std::string> {
      return std::string{in.isClosing() ? in.getClosing().cStr() : ""};
    });
    if (text && !text->empty())
      return *text;
  }
  return "none";
}

struct two_nodes {
  played_log log;
  session_system a, b;
  person alice, bob;

  explicit two_nodes(std::uint64_t seed = 1)
    : a{seed}, b{seed}, alice{person::make(a.store.random)}, bob{person::make(a.store.random)} {
    // Their stores begin alike: founded. From here on each draws its own numbers: the nonces of tokens must differ.
    BOOST_REQUIRE((a.store.cluster == b.store.cluster));
    b.store.random = seeded_random{~seed};
    for (auto* each : {&a, &b})
      each->play.log = &log;
    a.play.others = {&b.play};
    b.play.others = {&a.play};
    propose(a, alice.entry());
    propose(b, bob.entry());
  }
  ~two_nodes() {
    a.play.others.clear();
    b.play.others.clear();
  }
  void settle() {
    for (int i = 0; i < 3; ++i) {
      a.actors->settle();
      b.actors->settle();
    }
  }
  void pass(std::uint64_t ms) {
    for (; ms > 0; ms -= std::min<std::uint64_t>(ms, 100)) {
      a.pass(std::min<std::uint64_t>(ms, 100));
      b.pass(std::min<std::uint64_t>(ms, 100));
    }
  }
  void propose(session_system& at, bytes entry) {
    caf::anon_send(at.replica, propose_entry{share(std::move(entry))});
    settle();
  }
  bytes next_batch(std::size_t count = 1, std::size_t size = 5) {
    return a.store.batch(alice, bob.id(), count, std::string(size, 'x')).serialised;
  }
  std::uint64_t cursor_of(session_system& at, const person& who) {
    auto txn = at.store.env->read();
    return value(storage::read_cursor(txn, who.id(), who.device()));
  }
  void same_state() {
    for (auto* each : {&a, &b})
      each->play.catch_up();
    auto one = a.store.env->read();
    auto other = b.store.env->read();
    BOOST_TEST((storage::read_applied(one) == storage::read_applied(other)));
  }
  wire_client& attach(std::list<wire_client>& all, session_system& at, const person& who, const std::string& client_id,
                      bool clean = true, std::uint32_t expiry_s = 0) {
    auto& out = all.emplace_back(at);
    out.connect(who, client_id, clean, expiry_s);
    settle();
    BOOST_TEST_REQUIRE(out.attached());
    return out;
  }
  std::list<wire_client> clients;
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(sessions_of_two_nodes, two_nodes)

BOOST_AUTO_TEST_CASE(an_opening_through_another_node_takes_the_connection_here_over_at_once) {
  auto& here = attach(clients, a, bob, "phone", false, 600);
  here.subscribe(topic_role::session);
  settle();
  auto& there = attach(clients, b, bob, "phone", false, 600);
  BOOST_TEST(here.link->closed);
  BOOST_TEST((here.all<mqtt::disconnect>().at(0).code == reason_code::session_taken_over));
  BOOST_TEST(closing_of(here) == "taken_over");
  BOOST_TEST(!there.all<mqtt::connack>().at(0).session_present);  // the state stayed on the other node
  pass(2'000);
  BOOST_TEST(there.attached());
  BOOST_TEST(a.count_of("takeover") == 1U);
  BOOST_TEST(here.link->faults.empty());
  same_state();
}

BOOST_AUTO_TEST_CASE(what_was_left_here_is_not_inherited_after_the_client_was_elsewhere) {
  const auto come_and_go = [&](session_system& at) {
    wire_client client{at};
    client.connect(bob, "phone", false, 600);
    settle();
    const bool present = client.all<mqtt::connack>().at(0).session_present;
    client.subscribe(topic_role::inbox);
    settle();
    client.lose();
    settle();
    return present;
  };
  BOOST_TEST(!come_and_go(a));
  BOOST_TEST(come_and_go(a));
  BOOST_TEST(!come_and_go(b));
  BOOST_TEST(!come_and_go(a));  // its packet ids and subscriptions are those of before
  BOOST_TEST(come_and_go(a));
  // Also when the session elsewhere has ended since, so that no row tells of it.
  {
    wire_client client{b};
    client.connect(bob, "phone", true);
    settle();
    client.say(mqtt::disconnect{});
    pass(300);
    auto txn = a.store.env->read();
    BOOST_TEST_REQUIRE(storage::read_sessions(txn, bob.id()).empty());
  }
  BOOST_TEST(!come_and_go(a));
}

BOOST_AUTO_TEST_CASE(a_takeover_on_one_node_still_hands_the_state_over) {
  auto& first = attach(clients, a, bob, "phone", false, 600);
  first.subscribe(topic_role::inbox);
  settle();
  propose(b, batch_entry(next_batch(2)));
  BOOST_TEST_REQUIRE(first.published(topic_role::inbox).size() == 1U);
  auto& second = attach(clients, a, bob, "phone", false, 600);
  BOOST_TEST(second.all<mqtt::connack>().at(0).session_present);
  BOOST_TEST_REQUIRE(second.published(topic_role::inbox).size() == 1U);
  BOOST_TEST(second.published(topic_role::inbox)[0].dup);
  pass(1'500);
  BOOST_TEST(a.count_of("takeover") == 1U);
}

BOOST_AUTO_TEST_CASE(a_key_revoked_through_another_node_ends_its_connection_here) {
  auto& here = attach(clients, a, bob, "phone");
  auto next_key = signing_key::generate(a.store.random);
  identity_draft draft;
  draft.keys = {{key_purpose::update, &bob.update}, {key_purpose::sign, &next_key}};
  propose(b, identity_entry(must(make_next_identity(bob.version, draft, bob.update)).serialised()));
  BOOST_TEST(here.link->closed);
  BOOST_TEST((here.all<mqtt::disconnect>().at(0).code == reason_code::not_authorized));
}

BOOST_AUTO_TEST_CASE(a_closing_written_by_another_node_ends_the_connection_with_its_reason) {
  struct row { const char* reason; reason_code code; };
  for (const auto& [reason, code] : {row{"administrative", reason_code::administrative_action},
                                     row{"session_expired", reason_code::maximum_connect_time},
                                     row{"expired", reason_code::maximum_connect_time}}) {
    auto& here = attach(clients, a, bob, "phone");
    here.subscribe(topic_role::session);
    settle();
    std::uint64_t epoch = 0;
    {
      auto txn = b.store.env->read();
      epoch = storage::find_session(txn, bob.id(), "phone")->epoch;
    }
    // One about another epoch touches nothing.
    const session_closing old{{bob.id(), bob.device(), "phone"}, epoch - 1, reason};
    propose(b, sessions_closed_entry({&old, 1}));
    BOOST_TEST(here.attached());
    const session_closing now{{bob.id(), bob.device(), "phone"}, epoch, reason};
    propose(b, sessions_closed_entry({&now, 1}));
    BOOST_TEST(here.link->closed);
    BOOST_TEST((here.all<mqtt::disconnect>().at(0).code == code));
  }
}

BOOST_AUTO_TEST_CASE(a_wake_up_that_is_lost_costs_nothing_but_time) {
  auto& here = attach(clients, a, bob, "phone");
  auto& reader = attach(clients, a, alice, "desk");
  auto fanout_of_a = a.play.fanout;
  a.play.fanout = nullptr;  // it applies, and tells nobody
  auto& there = attach(clients, b, bob, "phone");
  BOOST_TEST(here.attached());
  a.play.fanout = fanout_of_a;
  propose(b, identity_entry(alice.version.serialised()));  // anything
  BOOST_TEST(here.link->closed);
  BOOST_TEST((here.all<mqtt::disconnect>().at(0).code == reason_code::session_taken_over));
  BOOST_TEST(there.attached());
  BOOST_TEST(reader.attached());
}

BOOST_AUTO_TEST_CASE(a_connection_that_comes_late_to_its_place_hears_that_a_newer_one_is_elsewhere) {
  // Both are opened before either is attached: the older one must not stand.
  a.play.lags = false;
  wire_client here{a}, there{b};
  here.connect(bob, "phone");
  // Its entry is written, and the answer is on its way.
  while (a.play.applied < 3 && a.actors->step()) {
  }
  there.connect(bob, "phone");
  b.actors->settle();
  settle();
  BOOST_TEST(there.attached());
  BOOST_TEST(!here.attached());
  BOOST_TEST(here.link->closed);
  same_state();
}

BOOST_AUTO_TEST_CASE(a_reader_on_another_node_takes_the_inbox_of_the_device) {
  auto& here = attach(clients, a, bob, "one");
  auto& beside = attach(clients, a, bob, "writes only");
  here.subscribe(topic_role::session);
  here.subscribe(topic_role::inbox);
  settle();
  auto& there = attach(clients, b, bob, "two");
  BOOST_TEST(here.attached());  // until it wants to read
  there.subscribe(topic_role::inbox);
  settle();
  BOOST_TEST(here.link->closed);
  BOOST_TEST((here.all<mqtt::disconnect>().at(0).code == reason_code::session_taken_over));
  BOOST_TEST(closing_of(here) == "inbox_taken");
  BOOST_TEST(beside.attached());
  BOOST_TEST(there.attached());
  propose(a, batch_entry(next_batch()));
  BOOST_TEST(here.published(topic_role::inbox).empty());
  BOOST_TEST(there.published(topic_role::inbox).size() == 1U);
  // And back again.
  auto& again = attach(clients, a, bob, "one");
  again.subscribe(topic_role::inbox);
  settle();
  BOOST_TEST(there.link->closed);
  BOOST_TEST(again.attached());
  same_state();
}

BOOST_AUTO_TEST_CASE(a_reader_alone_writes_no_entry) {
  auto& here = attach(clients, a, bob, "one");
  const auto entries = log.entries.size();
  here.subscribe(topic_role::inbox);
  settle();
  BOOST_TEST(log.entries.size() == entries);
  propose(b, batch_entry(next_batch()));
  BOOST_TEST(here.published(topic_role::inbox).size() == 1U);
}

BOOST_AUTO_TEST_CASE(a_reader_that_does_not_know_of_the_other_yet_gives_way_when_it_hears_of_it) {
  auto& here = attach(clients, a, bob, "one");
  a.play.lags = true;
  auto& there = attach(clients, b, bob, "two");
  there.subscribe(topic_role::inbox);
  settle();
  BOOST_TEST(there.attached());
  here.subscribe(topic_role::inbox);  // here nobody else is known
  settle();
  BOOST_TEST(here.attached());
  a.play.lags = false;
  a.play.catch_up();
  settle();
  BOOST_TEST(here.link->closed);
  BOOST_TEST(there.attached());
}

BOOST_AUTO_TEST_CASE(without_a_majority_who_reads_goes_on_and_who_wants_to_take_the_inbox_waits) {
  auto& here = attach(clients, a, bob, "one");
  here.subscribe(topic_role::inbox);
  auto& there = attach(clients, b, bob, "two");
  settle();
  b.play.refuse = ec::not_leader;
  there.subscribe(topic_role::inbox);
  pass(3'000);
  BOOST_TEST(here.attached());
  BOOST_TEST(there.attached());
  b.play.refuse = ec::ok;
  pass(1'000);
  BOOST_TEST(here.link->closed);
  propose(a, batch_entry(next_batch()));
  BOOST_TEST(there.published(topic_role::inbox).size() == 1U);
}

BOOST_AUTO_TEST_CASE(what_enters_at_one_node_reaches_a_client_of_the_other_and_its_cursor_counts_on_both) {
  auto& sender = attach(clients, b, alice, "desk");
  {
    auto& reader = attach(clients, a, bob, "phone", false, 600);
    reader.subscribe(topic_role::inbox);
    settle();
    sender.publish(topic_role::outbox, 1, next_batch(3));
    settle();
    const auto deliveries = reader.published(topic_role::inbox);
    BOOST_TEST_REQUIRE(deliveries.size() == 1U);
    reader.ack(deliveries[0].id);
    pass(300);
    BOOST_TEST(cursor_of(a, bob) == 3U);
    BOOST_TEST(cursor_of(b, bob) == 3U);
    sender.publish(topic_role::outbox, 2, next_batch(2));
    settle();  // 4 and 5 are in flight here
    BOOST_TEST(reader.published(topic_role::inbox).size() == 2U);
  }
  auto& moved = attach(clients, b, bob, "phone", false, 600);
  moved.subscribe(topic_role::inbox);
  settle();
  const auto again = moved.published(topic_role::inbox);
  BOOST_TEST_REQUIRE(again.size() == 1U);
  BOOST_TEST((positions_of(again[0]) == std::vector<std::uint64_t>{4, 5}));
  moved.ack(again[0].id);
  pass(300);
  // Back on the first node: from the durable cursor, whatever that node remembers.
  auto& back = attach(clients, a, bob, "phone", false, 600);
  BOOST_TEST(!back.all<mqtt::connack>().at(0).session_present);
  back.subscribe(topic_role::inbox);
  settle();
  BOOST_TEST(back.published(topic_role::inbox).empty());
  propose(b, batch_entry(next_batch()));
  BOOST_TEST_REQUIRE(back.published(topic_role::inbox).size() == 1U);
  BOOST_TEST((positions_of(back.published(topic_role::inbox)[0]) == std::vector<std::uint64_t>{6}));
}

BOOST_AUTO_TEST_CASE(one_lane_may_be_written_through_one_node_and_then_through_the_other) {
  auto& at_a = attach(clients, a, alice, "desk");
  auto& at_b = attach(clients, b, alice, "lap");
  mqtt::packet_id id = 0;
  for (int round = 0; round < 5; ++round)
    for (auto* each : {&at_a, &at_b}) {
      each->publish(topic_role::outbox, ++id, next_batch(2));
      settle();
      const auto acks = each->all<mqtt::puback>();
      BOOST_TEST_REQUIRE(!acks.empty());
      BOOST_TEST((acks.back().id == id));
      BOOST_TEST((acks.back().code == reason_code::success));
    }
  // And several at once, behind what went through the other.
  const auto first = next_batch(), second = next_batch(), third = next_batch();
  at_a.publish(topic_role::outbox, ++id, first);
  settle();
  at_b.publish(topic_role::outbox, ++id, second);
  at_b.publish(topic_role::outbox, ++id, third);
  settle();
  for (const auto& ack : at_b.all<mqtt::puback>())
    BOOST_TEST((ack.code == reason_code::success));
  auto txn = a.store.env->read();
  BOOST_TEST(value(storage::read_inbox_head(txn, bob.id())) == 23U);
}

BOOST_AUTO_TEST_CASE(who_leads_closes_what_has_ended_and_the_others_only_what_it_leaves_standing) {
  for (auto* each : {&a, &b})
    caf::anon_send(each->registry, leadership{false, 2, true});
  session_opening opening;
  opening.key = {bob.id(), bob.device(), "of a node that died"};
  opening.expires = wall_ms{value(a.clock.wall()) + 5'000};
  propose(a, session_opened_entry(opening));
  const auto rows = [&] {
    auto txn = a.store.env->read();
    return storage::read_sessions(txn, bob.id()).size();
  };
  pass(12'000);
  BOOST_TEST(rows() == 1U);
  pass(6'000);
  BOOST_TEST(rows() == 0U);  // nobody leads surely for so long: one of the others does it
  opening.expires = wall_ms{value(a.clock.wall()) + 5'000};
  propose(a, session_opened_entry(opening));
  caf::anon_send(b.registry, leadership{true, 3, true});
  const auto entries = log.entries.size();
  pass(5'000);
  BOOST_TEST(rows() == 1U);
  pass(2'500);
  BOOST_TEST(rows() == 0U);
  pass(30'000);
  BOOST_TEST(log.entries.size() == entries + 1);  // once, not once a node
  BOOST_TEST(a.count_of("session_expired") == 2U);
}

BOOST_AUTO_TEST_CASE(the_end_of_a_proof_ends_the_connection_wherever_it_is_attached) {
  session_settings brief;
  brief.absolute_s = 60;
  // Two systems of their own, with short lives.
  session_system one{7, brief};
  auto carol = one.store.join();
  one.store.commit();
  wire_client client{one};
  client.connect(carol, "phone");
  one.actors->settle();
  BOOST_TEST_REQUIRE(client.attached());
  caf::anon_send(one.registry, leadership{false, 1, true});  // it does not lead
  one.pass(60'500);
  BOOST_TEST(client.link->closed);
  BOOST_TEST((client.all<mqtt::disconnect>().at(0).code == reason_code::maximum_connect_time));
}

BOOST_AUTO_TEST_CASE(a_login_while_nobody_leads_is_told_to_come_again) {
  for (const auto problem : {ec::not_leader, ec::unknown_outcome, ec::overloaded}) {
    b.play.refuse = problem;
    wire_client five{b}, three{b, mqtt::protocol_version::v311};
    five.connect(bob, "five");
    three.connect(bob, "three");
    settle();
    BOOST_TEST((five.all<mqtt::connack>().at(0).code == reason_code::server_unavailable));
    // As an encoder writes it for 3.1.1: return code 3.
    const auto raw = mqtt::encode(three.link->sent.at(0), mqtt::role::server, mqtt::protocol_version::v311);
    BOOST_TEST_REQUIRE(raw.has_value());
    BOOST_TEST(raw->at(3) == 3);
    b.play.refuse = ec::ok;
    wire_client again{b};
    again.connect(bob, "five");
    settle();
    BOOST_TEST(again.attached());
  }
}

BOOST_AUTO_TEST_CASE(without_a_majority_new_publishes_are_refused_by_name_in_two_seconds_and_the_inbox_is_marked_stale) {
  auto& reader = attach(clients, a, bob, "phone");
  reader.subscribe(topic_role::inbox);
  reader.subscribe(topic_role::session);
  auto& five = attach(clients, a, alice, "five");
  wire_client three{a, mqtt::protocol_version::v311};
  three.connect(alice, "three");
  settle();
  propose(b, batch_entry(next_batch(2)));
  const auto stale_notices = [](const wire_client& client) {
    std::vector<bool> out;
    for (const auto& packet : client.published(topic_role::session))
      (void)read_outer<schema::SessionNotice>(packet.payload, 4096, [&](schema::SessionNotice::Reader in) -> result<int> {
        if (in.isStale())
          out.push_back(in.getStale());
        return 0;
      });
    return out;
  };
  a.play.refuse = ec::not_leader;
  caf::anon_send(a.registry, leadership{false, 2, false});
  const auto batch = next_batch();
  five.publish(topic_role::outbox, 1, batch);
  three.publish(topic_role::outbox, 1, batch);
  pass(1'800);
  BOOST_TEST(five.all<mqtt::puback>().empty());
  BOOST_TEST(stale_notices(reader).empty());  // an election takes less
  pass(1'500);
  BOOST_TEST_REQUIRE(five.all<mqtt::puback>().size() == 1U);
  BOOST_TEST((five.all<mqtt::puback>()[0].code == reason_code::implementation_specific_error));
  BOOST_TEST((five.all<mqtt::puback>()[0].props.find_text(mqtt::property_id::reason_string) == "no_quorum"));
  BOOST_TEST(five.attached());
  // 3.1.1 can only be acknowledged or closed: the client sends it again elsewhere.
  BOOST_TEST(three.link->closed);
  BOOST_TEST(three.all<mqtt::puback>().empty());
  // The inbox is still read.
  BOOST_TEST(reader.attached());
  BOOST_TEST((stale_notices(reader) == std::vector{true}));
  const auto deliveries = reader.published(topic_role::inbox);
  BOOST_TEST_REQUIRE(deliveries.size() == 1U);
  BOOST_TEST((positions_of(deliveries[0]) == std::vector<std::uint64_t>{1, 2}));
  // Who asks for notices now is told at once.
  five.subscribe(topic_role::session);
  settle();
  BOOST_TEST((stale_notices(five) == std::vector{true}));
  a.play.refuse = ec::ok;
  caf::anon_send(a.registry, leadership{false, 3, true});
  settle();
  BOOST_TEST((stale_notices(reader) == std::vector{true, false}));
  five.publish(topic_role::outbox, 2, batch);
  settle();
  BOOST_TEST((five.all<mqtt::puback>().back().code == reason_code::success));
}

BOOST_AUTO_TEST_CASE(what_may_have_been_proposed_is_never_refused_and_its_client_is_sent_elsewhere) {
  auto& five = attach(clients, a, alice, "five");
  five.subscribe(topic_role::session);
  settle();
  a.play.refuse = ec::unknown_outcome;
  five.publish(topic_role::outbox, 1, next_batch());
  settle();
  a.play.refuse = ec::not_leader;
  pass(9'000);
  BOOST_TEST(five.all<mqtt::puback>().empty());
  BOOST_TEST(five.attached());
  pass(4'000);
  BOOST_TEST(five.all<mqtt::puback>().empty());
  BOOST_TEST(five.link->closed);
  BOOST_TEST((five.all<mqtt::disconnect>().at(0).code == reason_code::use_another_server));
  BOOST_TEST(closing_of(five) == "no_quorum");
  BOOST_TEST(five.link->faults.empty());
}

BOOST_AUTO_TEST_SUITE_END()

// ---- one device that wanders between two nodes, in random order

BOOST_AUTO_TEST_SUITE(session_cluster_model)

namespace {

void run(std::uint64_t seed) {
  BOOST_TEST_CONTEXT("seed " << seed) {
    two_nodes nodes{seed};
    std::mt19937_64 random{seed};
    const auto chance = [&](unsigned percent) { return random() % 100 < percent; };
    session_system* const systems[] = {&nodes.a, &nodes.b};

    struct connection {
      std::unique_ptr<wire_client> client;
      std::size_t seen = 0;
      std::uint64_t highest = 0;
      std::map<mqtt::packet_id, std::vector<std::uint64_t>> unacked;
      bool subscribed = false, gone = false;
    };
    std::list<connection> connections;
    std::set<std::uint64_t> acknowledged, received;

    const auto look = [&](connection& one) {
      const auto& sent = one.client->link->sent;
      for (; one.seen < sent.size(); ++one.seen) {
        const auto* packet = std::get_if<mqtt::publish>(&sent[one.seen]);
        if (!packet || role_of(packet->topic) != topic_role::inbox)
          continue;
        const auto positions = positions_of(*packet);
        BOOST_TEST_REQUIRE(!positions.empty());
        if (!packet->dup) {
          BOOST_TEST_REQUIRE(positions.front() > one.highest);
          BOOST_TEST_REQUIRE(!one.unacked.contains(packet->id));
        }
        one.highest = std::max(one.highest, positions.back());
        one.unacked[packet->id] = positions;
        received.insert(positions.begin(), positions.end());
      }
      BOOST_TEST_REQUIRE(one.client->link->faults.empty());
    };
    const auto check = [&] {
      for (auto& each : connections)
        look(each);
      for (auto* system : systems)
        for (std::uint64_t position = 1, at = nodes.cursor_of(*system, nodes.bob); position <= at; ++position)
          BOOST_TEST_REQUIRE(acknowledged.contains(position));
    };
    const auto any_live = [&]() -> connection* {
      std::vector<connection*> live;
      for (auto& each : connections)
        if (!each.gone && !each.client->link->closed)
          live.push_back(&each);
      return live.empty() ? nullptr : live[random() % live.size()];
    };

    for (int step = 0; step < 80; ++step) {
      switch (random() % 9) {
        case 0: {
          auto& one = connections.emplace_back();
          one.client = std::make_unique<wire_client>(*systems[random() % 2]);
          one.client->connect(nodes.bob, chance(70) ? "phone" : "tablet", chance(30), chance(80) ? 600 : 0);
          break;
        }
        case 1:
          if (auto* one = any_live(); one && chance(50)) {
            one->client->lose();
            one->gone = true;
          }
          break;
        case 2:
        case 3:
          caf::anon_send(systems[random() % 2]->replica,
                         propose_entry{share(batch_entry(nodes.next_batch(1 + random() % 3, random() % 3 ? 10 : 90'000)))});
          // A lane is written in order: the next batch is made behind this one.
          nodes.a.actors->settle();
          nodes.b.actors->settle();
          break;
        case 4:
          if (auto* one = any_live(); one && one->client->attached() && !one->subscribed) {
            one->client->subscribe(topic_role::inbox);
            one->subscribed = true;
          }
          break;
        case 5:
        case 6:
          if (auto* one = any_live()) {
            look(*one);
            if (!one->unacked.empty()) {
              const auto at =
                std::next(one->unacked.begin(), static_cast<std::ptrdiff_t>(random() % one->unacked.size()));
              acknowledged.insert(at->second.begin(), at->second.end());
              one->client->ack(at->first);
              one->unacked.erase(at);
            }
          }
          break;
        case 7:
          for (auto* system : systems)
            system->play.lags = chance(25);
          break;
        default:
          if (chance(50))
            nodes.pass(random() % 400);
      }
      for (auto jobs = random() % 14; jobs > 0; --jobs)
        systems[random() % 2]->actors->step();
      check();
    }
    for (auto* system : systems) {
      system->play.lags = false;
      system->play.catch_up();
    }
    nodes.pass(3'000);
    check();
    std::map<std::string, int> alive;  // connections of a client id, and readers of the device
    for (const auto& each : connections)
      if (!each.gone && each.client->attached())
        ++alive[each.subscribed ? "reads" : "idle"];
    BOOST_TEST_REQUIRE(alive["reads"] <= 1);
    BOOST_TEST_REQUIRE(alive["reads"] + alive["idle"] <= 2);  // phone and tablet
    nodes.same_state();
    std::uint64_t written = 0;
    {
      auto txn = nodes.a.store.env->read();
      written = value(storage::read_inbox_head(txn, nodes.bob.id()));
    }
    auto& last = connections.emplace_back();
    last.client = std::make_unique<wire_client>(*systems[random() % 2]);
    last.client->connect(nodes.bob, "phone", true);
    nodes.pass(1'000);
    for (const auto& answer : last.client->all<mqtt::connack>())
      BOOST_TEST_REQUIRE((answer.code == reason_code::success), mqtt::name(answer.code));
    BOOST_TEST_REQUIRE(last.client->attached());
    last.client->subscribe(topic_role::inbox);
    for (int round = 0; round < 100 && nodes.cursor_of(nodes.a, nodes.bob) < written; ++round) {
      nodes.pass(300);
      look(last);
      for (const auto& [id, positions] : std::exchange(last.unacked, {})) {
        acknowledged.insert(positions.begin(), positions.end());
        last.client->ack(id);
      }
    }
    check();
    BOOST_TEST_REQUIRE(nodes.cursor_of(nodes.a, nodes.bob) == written);
    BOOST_TEST_REQUIRE(nodes.cursor_of(nodes.b, nodes.bob) == written);
    BOOST_TEST_REQUIRE(received.size() == written);
  }
}

} // namespace

BOOST_AUTO_TEST_CASE(a_device_that_wanders_between_two_nodes_loses_nothing_and_reads_on_one_of_them) {
  const char* seeds = std::getenv("SIGNET_MODEL_SEEDS");
  const std::uint64_t last = seeds ? std::strtoull(seeds, nullptr, 10) : 30;
  for (std::uint64_t seed = 1; seed <= last; ++seed)
    run(seed);
}

BOOST_AUTO_TEST_SUITE_END()

// ---- the book of readers

BOOST_AUTO_TEST_SUITE(inbox_book_tests)

namespace {
const inbox_name inbox{};
using loser = std::optional<std::uint64_t>;
} // namespace

BOOST_AUTO_TEST_CASE(the_newest_claim_in_the_log_counts_whatever_is_heard_first) {
  // Two connections of this node, claims at 20 (of 5) and 21 (of 6): answers and news in every order.
  enum what { answer_5, answer_6, news_5, news_6 };
  std::vector<what> order{answer_5, answer_6, news_5, news_6};
  do {
    inbox_book book;
    book.claim(inbox, 5);
    book.claim(inbox, 6);
    std::set<std::uint64_t> lost;
    const auto note = [&](loser who) {
      if (who)
        lost.insert(*who);
    };
    for (const auto each : order)
      switch (each) {
        case answer_5: {
          const auto verdict = book.claimed(inbox, 5, log_index{20});
          note(verdict.loser);
          if (!verdict.yours)
            lost.insert(5);
          break;
        }
        case answer_6: {
          const auto verdict = book.claimed(inbox, 6, log_index{21});
          BOOST_TEST(verdict.yours);
          note(verdict.loser);
          break;
        }
        case news_5: note(book.taken(inbox, 5, log_index{20})); break;
        case news_6: note(book.taken(inbox, 6, log_index{21})); break;
      }
    BOOST_TEST((book.reader_of(inbox) == loser{6}));
    BOOST_TEST((lost == std::set<std::uint64_t>{5}));
  } while (std::next_permutation(order.begin(), order.end()));
}

BOOST_AUTO_TEST_CASE(who_found_itself_alone_gives_way_to_every_later_claim_and_to_no_earlier_one) {
  inbox_book book;
  BOOST_TEST(book.take(inbox, 5, log_index{30}).yours);
  BOOST_TEST((book.taken(inbox, 4, log_index{30}) == loser{}));
  BOOST_TEST((book.taken(inbox, 5, log_index{35}) == loser{}));
  BOOST_TEST((book.taken(inbox, 4, log_index{31}) == loser{5}));
  BOOST_TEST((book.reader_of(inbox) == loser{}));
  BOOST_TEST(book.readers() == 0U);
}

BOOST_AUTO_TEST_CASE(a_claim_that_fails_or_a_reader_that_leaves_changes_nothing_for_others) {
  inbox_book book;
  BOOST_TEST(book.take(inbox, 5, log_index{30}).yours);
  book.claim(inbox, 6);
  book.claim_failed(inbox, 6);
  book.leave(inbox, 6);
  BOOST_TEST((book.reader_of(inbox) == loser{5}));
  book.leave(inbox, 5);
  BOOST_TEST(book.readers() == 0U);
  BOOST_TEST((book.taken(inbox, 9, log_index{40}) == loser{}));
}

BOOST_AUTO_TEST_SUITE_END()
