// Bringing up who is far behind, and not believing who is not right.

#include "storage/tables.hpp"
#include "tests/support/replicator_world.hpp"
#include "tests/support/view_world.hpp"

namespace signet::storage {
namespace {

using kind = member_order::kind;
using testing::replicator_world;

void write_notes(replicator_world& w, const std::string& node, std::uint64_t from, std::uint64_t end) {
  for (auto number = from; number < end; ++number)
    BOOST_REQUIRE(w.propose(node, number, true).has_value());
  BOOST_REQUIRE(w.run_until([&] {
    std::size_t answered = 0;
    for (const auto& each : w.answers)
      answered += each.note >= from && each.note < end && each.outcome.has_value();
    return answered == end - from;
  }, 10'000));
}

/// Leaders remember as little as they may.
void forgetful(replicator_world& w) {
  for (auto& [name, node] : w.nodes)
    node.options.store.start_tail_entries = 257;
}

void copy_store(replicator_world& w, const std::string& node, const std::string& to) {
  std::filesystem::remove_all(w.scratch.path() / to);
  std::filesystem::copy(w.nodes[node].options.store.directory, w.scratch.path() / to,
                        std::filesystem::copy_options::recursive);
}
void put_store_back(replicator_world& w, const std::string& node, const std::string& from) {
  std::filesystem::remove_all(w.nodes[node].options.store.directory);
  std::filesystem::copy(w.scratch.path() / from, w.nodes[node].options.store.directory,
                        std::filesystem::copy_options::recursive);
}

/// A batch that its author has signed, as an entry that any node takes.
bytes signed_entry() {
  signet::testing::view_world people;
  auto alice = signet::testing::person::make(people.random), bob = signet::testing::person::make(people.random);
  return batch_entry(people.batch(alice, bob.id(), 3, "what alice said").serialised);
}
void write_entry(replicator_world& w, const std::string& node, std::uint64_t number, bytes entry) {
  auto ticket = w.nodes[node].running->propose({share(std::move(entry)), false, true}, steady_ms{w.now});
  BOOST_REQUIRE(ticket.has_value());
  w.nodes[node].asked[*ticket] = number;
  BOOST_REQUIRE(w.run_until([&] { return w.answer_of(number) != nullptr; }, 5'000));
}

/// Leaders that alter what alice said on its way to one node, and make the chain fit.
struct forger {
  std::string to;
  std::map<log_index, digest> chain;  ///< of the forged log

  void alter(peer::frame& what) {
    auto* said = std::get_if<peer::consensus>(&what.body);
    auto* append = said != nullptr ? std::get_if<raft::append_entries>(&said->message) : nullptr;
    if (append == nullptr)
      return;
    if (auto found = chain.find(append->prev_index); found != chain.end())
      said->prev_chain = found->second;
    else if (!chain.empty() && append->prev_index > chain.begin()->first)
      said->prev_chain = {};
    auto hash = said->prev_chain;
    auto index = append->prev_index;
    for (auto& e : append->entries) {
      index = next(index);
      constexpr std::string_view truth = "what alice said";
      auto at = std::search(e.payload.begin(), e.payload.end(), truth.begin(), truth.end());
      const bool forged = at != e.payload.end();
      if (forged)
        *at = 'W';
      log_record record;
      record.term = e.term;
      record.type = static_cast<std::uint8_t>(e.type);
      record.previous = hash;
      record.payload = e.payload;
      hash = record_hash(index, record);
      if (forged || !chain.empty())
        chain[index] = hash;
    }
  }
};

/// Three nodes; one was away for long, and what is shipped to it is forged. Its name.
std::string forge_what_is_shipped(replicator_world& w, forger& hand, bool with_checkpoints) {
  forgetful(w);
  auto leader = w.wait_for_leader();
  auto away = w.another(leader);
  write_notes(w, leader, 1, 20);
  w.kill(away);
  write_notes(w, w.wait_for_leader(), 20, 700);
  write_entry(w, w.wait_for_leader(), 5'000, signed_entry());
  write_notes(w, w.wait_for_leader(), 700, 1'500);
  for (auto& [name, node] : w.nodes)
    if (node.running) {
      w.kill(name);
      w.start(name);
    }
  w.wait_for_leader();
  w.run(500);
  hand.to = away;
  w.overtaking = false;
  w.lose = [&, with_checkpoints](const std::string&, const outgoing_frame& frame) {
    if (frame.to != hand.to)
      return false;
    hand.alter(const_cast<peer::frame&>(frame.what));
    return !with_checkpoints && std::holds_alternative<peer::checkpoint>(frame.what.body);
  };
  w.start(away);
  return away;
}

} // namespace

BOOST_AUTO_TEST_SUITE(far_behind)

BOOST_AUTO_TEST_CASE(what_is_shipped_must_be_signed_as_long_as_nobody_else_vouches_for_it) {
  replicator_world w(31);
  forger hand;
  auto away = forge_what_is_shipped(w, hand, false);
  const auto complained = [&] {
    return std::any_of(w.alarms.begin(), w.alarms.end(), [](const std::string& each) {
      return each.find("nobody has signed") != std::string::npos;
    });
  };
  BOOST_TEST(w.run_until(complained, 5'000));
  w.run(2'000);
  BOOST_REQUIRE(!hand.chain.empty());
  BOOST_TEST((w.nodes[away].running->applied() < hand.chain.begin()->first));
  BOOST_TEST(!w.nodes[away].fenced.has_value());
  write_notes(w, w.wait_for_leader(), 2'000, 2'010);  // the others go on
}

BOOST_AUTO_TEST_CASE(what_is_shipped_without_proofs_is_compared_with_what_a_majority_holds) {
  replicator_world w(32);
  forger hand;
  auto away = forge_what_is_shipped(w, hand, true);
  BOOST_TEST(w.run_until([&] { return w.nodes[away].fenced.has_value(); }, 5'000));
  BOOST_REQUIRE(!hand.chain.empty());
  BOOST_TEST(w.nodes[away].fenced->context.find("majority of the voters") != std::string::npos);
  BOOST_TEST((w.nodes[away].running->applied() >= hand.chain.begin()->first));  // it was appended, and found
  for (const auto& each : w.alarms)
    BOOST_TEST(each.find("nobody has signed") == std::string::npos);
  w.lose = nullptr;
  write_notes(w, w.wait_for_leader(), 2'000, 2'010);
}

BOOST_AUTO_TEST_CASE(who_was_away_for_longer_than_the_leader_remembers_is_sent_the_log) {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    replicator_world w(seed);
    forgetful(w);
    auto leader = w.wait_for_leader();
    auto away = w.another(leader);
    write_notes(w, leader, 1, 20);
    w.kill(away);
    write_notes(w, w.wait_for_leader(), 20, 1'500);
    for (auto& [name, node] : w.nodes)
      if (node.running) {
        w.kill(name);
        w.start(name);
      }
    w.wait_for_leader();
    w.start(away);
    if (seed == 3)
      w.lose = [&](const std::string&, const outgoing_frame&) { return w.random() % 10 == 0; };
    auto caught_up = [&] {
      auto now = w.leader();
      return !now.empty() && w.nodes[away].running->applied() == w.nodes[now].running->applied();
    };
    BOOST_TEST(w.run_until(caught_up, 20'000), "seed " << seed);
    w.lose = nullptr;
    write_notes(w, away, 2'000, 2'010);
    w.run(500);
    w.check_agreement();
    BOOST_TEST(w.notes(away).size() == 1'509);
    BOOST_TEST(w.alarms.empty());
  }
}

BOOST_AUTO_TEST_CASE(a_blank_node_gets_a_long_log_and_a_vote) {
  replicator_world w(7);
  forgetful(w);
  write_notes(w, w.wait_for_leader(), 1, 1'200);
  for (const auto* name : {"a", "b", "c"}) {
    w.kill(name);
    w.start(name);
  }
  w.wait_for_leader();
  w.start_blank("d");
  w.run(100);
  auto done = w.order({kind::add, "d", true});
  BOOST_TEST(done.has_value(), (done ? "" : render(done.error())));
  w.run(500);
  w.check_agreement();
  BOOST_TEST(w.notes("d").size() == 1'199);
  BOOST_TEST((w.member("d")->role == raft::member_role::voter));
}

BOOST_AUTO_TEST_CASE(a_leader_that_is_lost_while_it_ships_is_replaced_by_one_that_goes_on) {
  replicator_world w(8);
  forgetful(w);
  auto leader = w.wait_for_leader();
  auto away = w.another(leader);
  w.kill(away);
  for (int i = 0; i < 6; ++i)
    write_notes(w, leader, 1 + 200 * static_cast<std::uint64_t>(i), 201 + 200 * static_cast<std::uint64_t>(i));
  for (auto& [name, node] : w.nodes)
    if (node.running) {
      w.kill(name);
      w.start(name);
    }
  w.wait_for_leader();
  w.start(away);
  w.run(15);
  auto gone = w.leader();
  w.kill(gone);
  w.run(3'000);
  w.start(gone);
  w.run(5'000);
  w.check_agreement();
  BOOST_TEST(w.notes(away).size() == 1'200);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(whom_to_believe)

BOOST_AUTO_TEST_CASE(a_disk_that_was_put_back_to_an_older_state_is_fenced) {
  replicator_world w(21);
  auto leader = w.wait_for_leader();
  auto victim = w.another(leader);
  write_notes(w, leader, 1, 20);
  w.kill(victim);
  copy_store(w, victim, "copy");
  w.start(victim);
  write_notes(w, victim, 20, 60);
  w.run(200);
  w.kill(victim);
  put_store_back(w, victim, "copy");
  w.start(victim);
  BOOST_TEST(w.run_until([&] { return w.nodes[victim].fenced.has_value(); }, 3'000));
  BOOST_TEST(w.nodes[victim].fenced->context.find("signet recover") != std::string::npos);
  BOOST_TEST(!w.alarms.empty());
  write_notes(w, w.wait_for_leader(), 60, 70);  // the others go on
  // And the way back: a blank store.
  w.nodes[victim].fenced.reset();
  w.kill(victim);
  w.start_blank(victim);
  BOOST_TEST(w.run_until([&] { return !w.changes.empty() && w.changes.back().outcome.has_value(); }, 20'000));
  w.run(500);
  w.check_agreement();
}

BOOST_AUTO_TEST_CASE(a_restart_with_the_newest_state_raises_no_suspicion) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    replicator_world w(seed);
    w.wait_for_leader();
    std::uint64_t number = 0;
    for (int i = 0; i < 30; ++i) {
      std::string name(1, static_cast<char>('a' + w.random() % 3));
      if (w.nodes[name].running && w.random() % 2 == 0)
        w.kill(name);
      else if (!w.nodes[name].running)
        w.start(name);
      for (auto& [other, node] : w.nodes)
        if (node.running)
          static_cast<void>(w.propose(other, ++number, true));
      w.run(w.random() % 700);
    }
    for (auto& [name, node] : w.nodes) {
      if (!node.running)
        w.start(name);
      BOOST_TEST(!node.fenced.has_value());
    }
    w.run(3'000);
    w.check_agreement();
    BOOST_TEST(w.alarms.empty(), "seed " << seed << ": " << (w.alarms.empty() ? "" : w.alarms.front()));
  }
}

BOOST_AUTO_TEST_CASE(a_node_whose_state_is_another_one_fences_itself) {
  replicator_world w(22);
  auto leader = w.wait_for_leader();
  auto victim = w.another(leader);
  write_notes(w, leader, 1, 20);
  w.kill(victim);
  {
    auto env = environment::open({w.nodes[victim].options.store.directory, 1ULL << 30}, all_tables());
    BOOST_REQUIRE(env.has_value());
    auto txn = (*env)->write();
    auto applied = get<table::state>(txn, {"applied"});
    BOOST_REQUIRE(applied.has_value());
    auto raw = to_bytes(applied->raw);
    raw.at(10) ^= 1;  // index u64, then the state hash
    put<table::state>(txn, {"applied"}, {raw});
    txn.commit();
  }
  w.start(victim);
  write_notes(w, w.wait_for_leader(), 20, 30);
  BOOST_TEST(w.run_until([&] { return w.nodes[victim].fenced.has_value(); }, 15'000));
  for (auto& [name, node] : w.nodes)
    BOOST_TEST(node.fenced.has_value() == (name == victim), "node " << name);
  write_notes(w, w.wait_for_leader(), 30, 40);
}

BOOST_AUTO_TEST_CASE(an_entry_that_nobody_signed_is_not_appended) {
  replicator_world w(23);
  auto leader = w.wait_for_leader();
  auto follower = w.another(leader);
  write_notes(w, leader, 1, 10);
  w.run(200);
  // The leader has altered what an author signed.
  signet::testing::view_world people;
  auto alice = signet::testing::person::make(people.random), bob = signet::testing::person::make(people.random);
  auto entry = batch_entry(people.batch(alice, bob.id(), 3, "what alice said").serialised);
  auto said = as_bytes("what alice said");
  *std::search(entry.begin(), entry.end(), said.begin(), said.end()) = 'W';
  auto& to = *w.nodes[follower].running;
  auto before = to.picture();
  const auto& core = w.nodes[leader].running->consensus();
  raft::append_entries append;
  append.term = core.current_term();
  append.prev_index = before.last;
  append.prev_term = core.current_term();
  append.leader_commit = core.commit_index();
  append.entries.push_back({core.current_term(), raft::entry_type::command, entry});
  auto self = w.nodes[leader].running->picture().self;
  to.receive(leader, {self, before.self, core.current_term(), peer::consensus{append, {}}});
  auto done = to.turn(steady_ms{w.now}, testing::world_noon);
  BOOST_REQUIRE(done.alarms.size() == 1);
  BOOST_TEST(done.alarms[0].find("nobody has signed") != std::string::npos);
  BOOST_TEST((to.picture().last == before.last));
  // Nor does a leader take it from a follower.
  auto& lead = *w.nodes[leader].running;
  auto standing = lead.picture();
  lead.receive(follower, {before.self, {}, core.current_term(),
                          peer::proposals{{{peer::forward_ticket{77}, false, entry}}}});
  auto answered = lead.turn(steady_ms{w.now}, testing::world_noon);
  bool refused = false;
  for (const auto& frame : answered.frames)
    if (const auto* refusal = std::get_if<peer::proposals_answered>(&frame.what.body))
      for (const auto& each : refusal->list)
        refused = refused || (each.ticket == peer::forward_ticket{77} && each.code == ec::bad_signature);
  BOOST_TEST(refused);
  BOOST_TEST((lead.picture().last == standing.last));
}

BOOST_AUTO_TEST_CASE(who_speaks_for_another_server_is_refused) {
  replicator_world w(24);
  auto leader = w.wait_for_leader();
  auto follower = w.another(leader);
  auto& to = *w.nodes[leader].running;
  auto other = w.nodes[follower].running->picture().self;
  std::string liar = "a";
  for (const auto* name : {"a", "b", "c"})
    if (name != leader && name != follower)
      liar = name;
  raft::request_vote vote;
  vote.term = next(to.consensus().current_term());
  vote.candidate = other;
  to.receive(liar, {other, to.picture().self, vote.term, peer::consensus{vote, {}}});
  auto done = to.turn(steady_ms{w.now}, testing::world_noon);
  BOOST_REQUIRE(done.refused.size() == 1);
  BOOST_TEST(done.refused[0].find("speaks as server") != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace signet::storage
