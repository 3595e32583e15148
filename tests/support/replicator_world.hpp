#pragma once
// REPLICATOR WORLD: replicators in one thread on virtual time. Frames travel 1 to 5 ms and may overtake one another; links
// can be cut, nodes killed and started again from what is durable. Everything random comes from one seed.

#include "messages/entries.hpp"
#include "messages/failpoints.hpp"
#include "storage/log/event_log.hpp"
#include "storage/replica_rows.hpp"
#include "storage/replicator.hpp"
#include "storage/views/read.hpp"
#include "tests/support/scratch_directory.hpp"

#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <map>
#include <random>
#include <set>

namespace signet::storage::testing {

inline const cluster_id world_cluster{{7, 7, 7}};
inline constexpr wall_ms world_noon{1'700'000'000'000};

/// An entry that any store applies and that names itself.
inline bytes note(std::uint64_t number, std::size_t padding = 0) {
  security_event what;
  what.what.kind = "login_failed";
  what.what.detail = "note " + std::to_string(number) + "." + std::string(padding, 'x');
  return security_events_entry({&what, 1});
}
inline std::optional<std::uint64_t> number_of(bytes_view payload) {
  auto text = as_text(payload);
  auto from = text.find("note ");
  if (from == std::string_view::npos)
    return std::nullopt;
  return std::stoull(std::string(text.substr(from + 5, 20)));
}

struct world_node {
  std::string name;
  replicator_options options;
  std::unique_ptr<replicator> running;
  std::map<proposal_ticket, std::uint64_t> asked;  ///< the notes of unanswered tickets
  std::optional<error> fenced;
  std::vector<peer_request> requests;
};

/// What became of a note; the node that answered it.
struct world_answer {
  std::uint64_t note = 0;
  std::string node;
  result<entry_result> outcome;
  std::uint64_t at = 0;      ///< when
  log_index applied{};       ///< what readers of that node saw then
};

class replicator_world {
public:
  explicit replicator_world(std::uint64_t seed, std::vector<std::string> founders = {"a", "b", "c"})
      : random{seed}, scratch{std::filesystem::exists("/dev/shm") ? "/dev/shm" : nullptr} {
    for (std::size_t i = 0; i < founders.size(); ++i)
      members.push_back({raft::server_id{i + 1}, founders[i], raft::member_role::voter});
    for (const auto& member : members) {
      auto& node = add(member.address);
      node.options.store.consensus.self = member.id;
      auto founded = replica_store::found(node.options.store, {world_cluster, members});
      BOOST_REQUIRE_MESSAGE(founded.has_value(), (founded ? "" : render(founded.error())));
      node.options.store.consensus.self = {};
    }
    for (const auto& founder : founders)
      start(founder);
  }

  /// A node that is not running and has no store yet.
  world_node& add(const std::string& name) {
    auto& node = nodes[name];
    node.name = name;
    auto& options = node.options;
    options.node = name;
    options.store.directory = scratch.path() / name;
    options.store.map_bytes = 1ULL << 30;
    options.store.consensus.seed = static_cast<std::uint32_t>(random());
    options.store.measure = [] { return space{1ULL << 30, 0, 100ULL << 30, 50ULL << 30}; };
    return node;
  }

  void start(const std::string& name) {
    auto& node = nodes.at(name);
    for (auto& byte : node.options.process.raw)
      byte = static_cast<std::uint8_t>(random());
    node.options.first_forward = random();
    auto opened = replicator::open(node.options, steady_ms{now}, wall());
    BOOST_REQUIRE_MESSAGE(opened.has_value(), (opened ? "" : render(opened.error())));
    node.running = std::move(*opened);
    relink(name);
  }
  /// A running node that waits to be taken in.
  void start_blank(const std::string& name) {
    auto& node = nodes.contains(name) ? nodes.at(name) : add(name);
    std::filesystem::remove_all(node.options.store.directory);
    auto made = replica_store::make_blank(node.options.store, world_cluster);
    BOOST_REQUIRE_MESSAGE(made.has_value(), (made ? "" : render(made.error())));
    start(name);
  }
  void kill(const std::string& name) {
    auto& node = nodes.at(name);
    node.running.reset();
    node.asked.clear();
    for (auto& [other, each] : nodes)
      unlink(name, other);
  }
  /// No link between `name` and anybody else, until heal().
  void cut(const std::string& name) {
    cut_off.insert(name);
    for (auto& [other, each] : nodes)
      unlink(name, other);
  }
  void heal() {
    auto names = std::exchange(cut_off, {});
    for (const auto& name : names)
      relink(name);
  }

  result<proposal_ticket> propose(const std::string& name, std::uint64_t number, bool idempotent = false,
                                  std::size_t padding = 0) {
    auto& node = nodes.at(name);
    auto ticket = node.running->propose({share(note(number, padding)), false, idempotent}, steady_ms{now});
    if (ticket)
      node.asked[*ticket] = number;
    return ticket;
  }

  void run(std::uint64_t ms) {
    for (auto end = now + ms; now < end; ++now) {
      deliver();
      for (auto& [name, node] : nodes)
        if (node.running && !node.fenced &&
            (node.running->work_queued(steady_ms{now}) || value(node.running->next_timeout()) <= now))
          turn(node);
    }
  }
  template <class Condition>
  bool run_until(Condition&& holds, std::uint64_t ms_max) {
    for (auto end = now + ms_max; now < end;) {
      if (holds())
        return true;
      run(1);
    }
    return holds();
  }

  /// What a handler of failpoints throws to kill the node whose turn it is.
  struct killed {};
  void turn(world_node& node) {
    turning = node.name;
    try {
      take_turn(node);
    } catch (const killed&) {
      kill(node.name);
    }
    turning.clear();
  }
  std::string turning;

  void take_turn(world_node& node) {
    auto send_all = [&](std::vector<outgoing_frame> frames) {
      for (auto& frame : frames)
        send(node.name, std::move(frame));
    };
    auto done = node.running->turn(steady_ms{now}, wall(), send_all);
    for (const auto& each : done.refused)
      refused.push_back(node.name + ": " + each);
    for (auto& each : done.answers) {
      auto asked = node.asked.find(each.ticket);
      BOOST_REQUIRE_MESSAGE(asked != node.asked.end(), "an answer that nobody waits for, or a second one");
      answers.push_back({asked->second, node.name, std::move(each.outcome), now, node.running->applied()});
      node.asked.erase(asked);
    }
    for (auto& each : done.alarms)
      alarms.push_back(node.name + ": " + each);
    for (auto& each : done.changes)
      changes.push_back(std::move(each));
    for (auto& each : done.requests)
      node.requests.push_back(std::move(each));
    node.fenced = done.fenced;
    send_all(std::move(done.frames));
  }

  /// Of the nodes that are not cut off; empty: none.
  std::string leader() const {
    for (const auto& [name, node] : nodes)
      if (node.running && !node.fenced && !cut_off.contains(name) && !node.running->joining() &&
          node.running->consensus().leads_surely())
        return name;
    return {};
  }
  std::string wait_for_leader() {
    BOOST_REQUIRE(run_until([&] { return !leader().empty(); }, 20'000));
    return leader();
  }
  std::string another(const std::string& than) const {
    for (const auto& [name, node] : nodes)
      if (name != than && node.running && !cut_off.contains(name))
        return name;
    return {};
  }
  const world_answer* answer_of(std::uint64_t number) const {
    for (const auto& each : answers)
      if (each.note == number)
        return &each;
    return nullptr;
  }
  /// Begins it on the leader and waits until it has ended.
  status order(const member_order& what, std::uint64_t ms_max = 30'000) {
    auto begun = nodes.at(wait_for_leader()).running->order(what, steady_ms{now});
    if (!begun)
      return tl::make_unexpected(begun.error());
    auto before = changes.size();
    if (!run_until([&] { return changes.size() > before; }, ms_max))
      return fail(ec::internal, "the order has not ended");
    return changes.back().outcome;
  }
  std::optional<member_picture> member(const std::string& node) {
    for (auto& each : nodes.at(leader()).running->cluster().members)
      if (each.node == node)
        return each;
    return std::nullopt;
  }
  /// How often each note stands in the log of a node.
  std::map<std::uint64_t, std::size_t> notes(const std::string& name) {
    std::map<std::uint64_t, std::size_t> out;
    auto txn = nodes.at(name).running->store().read();
    scan<table::log>(txn, encode_key(log_key{log_index{1}}), [&](const log_key&, const log_record& record) {
      if (record.type == 1)
        if (auto number = number_of(record.payload))
          ++out[*number];
      return true;
    });
    return out;
  }
  /// Every running node holds the same log and state, and its chain is sound.
  void check_agreement() {
    std::optional<replica_status> first;
    for (auto& [name, node] : nodes) {
      if (!node.running)
        continue;
      auto picture = node.running->picture();
      if (!first)
        first = picture;
      BOOST_TEST(value(picture.applied) == value(first->applied), "node " << name);
      BOOST_TEST((picture.state_hash == first->state_hash), "node " << name);
      BOOST_TEST(!event_log::verify(node.running->store().read()).broken.has_value(), "node " << name);
    }
  }

  std::mt19937_64 random;
  signet::testing::scratch_directory scratch;
  raft::configuration members;
  std::map<std::string, world_node> nodes;
  std::uint64_t now = 1'000;
  std::vector<world_answer> answers;
  std::vector<std::string> refused, alarms;
  std::vector<member_changes::finished> changes;
  std::set<std::string> cut_off;
  std::size_t frames_sent = 0;
  bool overtaking = true;
  /// Frames for which this says true are lost.
  std::function<bool(const std::string& from, const outgoing_frame&)> lose;

private:
  struct travelling {
    std::string from, to;
    peer::frame what;
    std::uint64_t arrives = 0;
  };

  wall_ms wall() const { return wall_ms{value(world_noon) + now}; }

  bool can_talk(const std::string& a, const std::string& b) const {
    return a != b && !cut_off.contains(a) && !cut_off.contains(b) && nodes.at(a).running && nodes.at(b).running;
  }
  void relink(const std::string& name) {
    for (auto& [other, each] : nodes)
      if (can_talk(name, other)) {
        nodes.at(name).running->link_up(other, steady_ms{now});
        each.running->link_up(name, steady_ms{now});
      }
  }
  void unlink(const std::string& a, const std::string& b) {
    if (a == b)
      return;
    std::erase_if(on_the_way, [&](const auto& each) {
      return (each.from == a && each.to == b) || (each.from == b && each.to == a);
    });
    if (nodes.at(a).running)
      nodes.at(a).running->link_down(b, steady_ms{now});
    if (nodes.at(b).running)
      nodes.at(b).running->link_down(a, steady_ms{now});
  }
  void send(const std::string& from, outgoing_frame frame) {
    BOOST_REQUIRE_MESSAGE(can_talk(from, frame.to), from << " sends to " << frame.to << ", to whom it has no link");
    ++frames_sent;
    auto durable = find_hard_state(nodes.at(from).running->store().read());
    BOOST_REQUIRE_MESSAGE(durable && frame.what.sender_term <= durable->term,
                          from << " sends in term " << to_string(frame.what.sender_term) << ", and "
                               << to_string(durable->term) << " is durable; body " << frame.what.body.index());
    if (lose && lose(from, frame))
      return;
    auto arrives = now + 1 + random() % 5;
    if (!overtaking)
      for (const auto& each : on_the_way)
        if (each.from == from && each.to == frame.to)
          arrives = std::max(arrives, each.arrives);
    on_the_way.push_back({from, frame.to, std::move(frame.what), arrives});
  }
  void deliver() {
    std::vector<travelling> due;
    for (auto each = on_the_way.begin(); each != on_the_way.end();) {
      if (each->arrives > now) {
        ++each;
        continue;
      }
      due.push_back(std::move(*each));
      each = on_the_way.erase(each);
    }
    if (overtaking)
      std::shuffle(due.begin(), due.end(), random);
    for (auto& each : due)
      nodes.at(each.to).running->receive(each.from, std::move(each.what));
  }

  std::vector<travelling> on_the_way;
};

} // namespace signet::storage::testing
