// The replica's turn over the real apply, as a cluster of one: people publish themselves, write to one another, open
// sessions, move cursors; some batches have gaps or come twice; a bot answers.
//
// What it says:  E index hash      a proposal was answered: the record at `index` has this hash
//
// A restart must show every such record, an unbroken chain, and views that are those of the log up to the applied index:
// all replicated rows are computed again from the log and compared one by one.

#include "messages/entries.hpp"
#include "messages/envelope/batch.hpp"
#include "messages/envelope/identity.hpp"
#include "messages/hooks.hpp"
#include "storage/log/event_log.hpp"
#include "storage/replica_store.hpp"
#include "storage/views/read.hpp"
#include "tests/system/crash/crash_store.hpp"

#include <map>
#include <random>
#include <set>
#include <sstream>

namespace signet::crash {
namespace {

using namespace storage;
namespace fs = std::filesystem;

template <class T>
T must(result<T> what, std::string_view doing) {
  if (!what && what.error().code == ec::io)
    throw storage_failure(ec::io, std::string{doing} + ": " + what.error().context);
  if (!what)
    throw broken_promise(std::string{doing} + ": " + render(what.error()));
  return std::move(*what);
}

signing_key key_number(std::uint8_t number) {
  std::array<std::uint8_t, signing_key::seed_size> seed{};
  seed[0] = number;
  return signing_key::from_seed(seed);
}

/// The same people in every run.
struct person {
  signing_key update, device;
  identity_version version;
  static person number(std::uint8_t n) {
    auto update = key_number(static_cast<std::uint8_t>(2 * n));
    auto device = key_number(static_cast<std::uint8_t>(2 * n + 1));
    identity_draft draft;
    draft.keys = {{key_purpose::update, &update}, {key_purpose::sign, &device}};
    auto version = must(make_first_identity(draft), "make an identity");
    return {std::move(update), std::move(device), std::move(version)};
  }
  const permalink& id() const { return version.permalink(); }
};

cluster_id the_cluster() {
  cluster_id out;
  out.raw.fill(0xc1);
  return out;
}

replica_options options_of(const fs::path& directory) {
  replica_options out;
  out.directory = directory / "data";
  out.map_bytes = 256 << 20;
  out.consensus.self = raft::server_id{1};
  // Small, so that entries are forgotten and read again from the log.
  out.consensus.in_flight_entries_max = 64;
  out.consensus.trailing_entries = 100;
  out.measure = [] { return space{1ULL << 40, 0, 1ULL << 40, 1ULL << 40}; };
  return out;
}

/// A store that is open and leads.
class open_replica {
public:
  explicit open_replica(const fs::path& directory) {
    auto options = options_of(directory);
    const founding first{the_cluster(), {{raft::server_id{1}, "one", raft::member_role::voter}}};
    auto opened = replica_store::open(options, now_, wall_);
    if (!opened && opened.error().code == ec::not_found) {
      if (auto founded = replica_store::found(options, first); !founded)
        must(result<int>{tl::make_unexpected(founded.error())}, "cannot be founded");
      opened = replica_store::open(options, now_, wall_);
    }
    store_ = must(std::move(opened), "does not open");
    for (int n = 0; n < 100 && !(store_->consensus().leads_surely() && !store_->work_queued() && is_founded()); ++n)
      turn();
    if (!is_founded())
      throw broken_promise("a cluster of one does not get to work");
  }

  turn_result turn() {
    now_ = steady_ms{value(now_) + 50};
    wall_ = wall_ms{value(wall_) + 50};
    return store_->turn(now_, wall_);
  }
  replica_store& operator*() { return *store_; }
  replica_store* operator->() { return store_.get(); }
  wall_ms wall() const { return wall_; }

private:
  /// With the bug ACK_EARLY nobody can see it yet.
  bool is_founded() { return SIGNET_BUG("ACK_EARLY") || find_cluster(store_->store().read()).has_value(); }

  steady_ms now_{1};
  wall_ms wall_{1'700'000'000'000};
  std::unique_ptr<replica_store> store_;
};

class workload {
public:
  workload(open_replica& store, std::uint64_t seed, const acknowledge& say) : store_{store}, random_{seed}, say_{say} {
    for (std::uint8_t n = 0; n < 4; ++n)
      people_.push_back(person::number(n));
    for (auto& each : people_)
      propose(identity_entry(each.version.serialised()));
    propose(bot_deployed_entry(people_[3].id(), "echo"));
    finish_turn();
  }

  void step() {
    tails_.clear();
    const auto count = 1 + random_() % 6;
    for (std::uint64_t n = 0; n < count; ++n)
      propose_something();
    finish_turn();
  }

private:
  std::size_t pick(std::size_t below) { return random_() % below; }

  void propose(bytes entry) { must(store_->propose(entry), "is not accepted"); ++asked_; }

  void propose_something() {
    const auto dice = pick(100);
    auto& who = people_[pick(people_.size())];
    auto txn = std::optional{store_->store().read()};
    if (dice < 55) {
      txn.reset();
      propose(batch_entry(batch_of(who)));
    } else if (dice < 60 && !last_batch_.empty()) {
      propose(batch_entry(last_batch_));  // sent again: the same answer, no effect
    } else if (dice < 72) {
      const cursor_moved moved{who.id(), who.device.public_half(), read_inbox_head(*txn, who.id())};
      propose(cursors_entry({&moved, 1}));
    } else if (dice < 80) {
      session_opening opening;
      opening.key = {who.id(), who.device.public_half(), "client " + std::to_string(pick(3))};
      opening.expires = wall_ms{value(store_.wall()) + 3'600'000};
      if (pick(2) == 0) {
        for (auto& each : opening.token.nonce.raw)
          each = static_cast<std::uint8_t>(random_());
        opening.token.issued = store_.wall();
        opening.token.ends = wall_ms{value(store_.wall()) + 5'000};
      }
      propose(session_opened_entry(opening));
    } else if (dice < 85) {
      std::vector<session_closing> closings;
      for (auto& session : read_sessions(*txn, who.id()))
        closings.push_back({{who.id(), session.row.device, session.client_id}, session.row.epoch, "disconnected"});
      if (!closings.empty())
        propose(sessions_closed_entry(closings));
    } else if (dice < 90) {
      const security_event event{{"login_failed", {}, {}, "wrong proof", "127.0.0.1"}, 3};
      propose(security_events_entry({&event, 1}));
    } else {
      let_the_bot_work(*txn);
    }
  }

  /// Messages to several people; now and then one that does not follow.
  bytes batch_of(const person& who) {
    std::vector<built_message> messages;
    const auto count = 1 + pick(6);
    for (std::size_t n = 0; n < count; ++n) {
      message_draft draft;
      draft.cluster = the_cluster();
      draft.author = who.id();
      draft.recipient = people_[pick(people_.size())].id();
      draft.time = store_.wall();
      draft.body.assign(pick(20) == 0 ? 5'000 + pick(20'000) : 10 + pick(200), static_cast<std::uint8_t>(random_()));
      auto& tail = tail_of({who.device.public_half(), draft.recipient});
      if (pick(40) == 0)
        messages.push_back(must(make_message(draft, lane_number{value(tail.n) + 5}, *link::from(who.id().view())), "a gap"));
      else
        messages.push_back(must(make_message(draft, tail), "a message"));
    }
    last_batch_ = must(make_batch(who.device, messages), "a batch").serialised;
    return last_batch_;
  }

  lane_tail& tail_of(const lane_id& lane) {
    auto [found, is_new] = tails_.try_emplace(lane);
    if (is_new) {
      auto stands = read_lane(store_->store().read(), lane);
      found->second = {stands.n, stands.link};
    }
    return found->second;
  }

  void let_the_bot_work(const read_txn& txn) {
    auto& bot = people_[3];
    auto row = find_bot(txn, bot.id());
    if (!row || read_inbox_head(txn, bot.id()) <= row->position)
      return;
    auto input = next(row->position);
    const auto dice = pick(4);
    if (dice == 0)
      propose(bot_attempted_entry(bot.id(), row->epoch, input, 1));
    else if (dice == 1)
      propose(bot_dead_lettered_entry(bot.id(), row->epoch, input, 5, "it does not understand"));
    else
      propose(bot_committed_entry(bot.id(), row->epoch, input, input, {}));
  }

  void finish_turn() {
    for (int n = 0; asked_ > 0; ++n) {
      if (n == 50)
        throw broken_promise("proposals are not answered");
      auto turned = store_.turn();
      for (auto& each : turned.answers) {
        --asked_;
        auto outcome = must(std::move(each.outcome), "an answer");
        auto txn = store_->store().read();
        auto record = event_log::find(txn, outcome.index);
        // With the bug ACK_EARLY nothing stands there yet when the answer comes: the index alone is promised.
        say_("E " + to_string(outcome.index) + " " +
             (record ? record_hash(outcome.index, *record).hex() : std::string{"-"}));
      }
    }
  }

  open_replica& store_;
  std::mt19937_64 random_;
  const acknowledge& say_;
  std::vector<person> people_;
  std::map<lane_id, lane_tail> tails_;
  bytes last_batch_;
  std::size_t asked_ = 0;
};

using table_rows = std::vector<std::pair<bytes, bytes>>;

table_rows rows_of(const read_txn& txn, table_ref where) {
  table_rows out;
  txn.scan(where, {}, [&](const row& each) {
    out.emplace_back(to_bytes(each.key), to_bytes(each.value));
    return true;
  });
  return out;
}

/// Computes the views again from the log, in a store of its own.
void compare_with_replay(const read_txn& stands, const fs::path& scratch) {
  fs::remove_all(scratch);
  {
    environment_options options;
    options.directory = scratch;
    options.map_bytes = 256 << 20;
    auto env = must(environment::open(options, all_tables()), "the store for the replay");
    auto replay = env->write();
    const auto applied = read_applied(stands).index;
    applier again;
    event_log::head head;
    event_log::verify(stands, {}, [&](const event_log::stored_record& each) {
      if (each.index > applied)
        return;
      head = event_log::append(replay, head, {each.record.term, each.record.type, each.record.payload});
      if (each.record.type == static_cast<std::uint8_t>(raft::entry_type::command))
        again.apply(replay, each.index, each.record.payload);
      else
        again.pass(replay, each.index);
    });
    if (head.index != applied)
      throw broken_promise("applied up to " + to_string(applied) + ", but the log ends at " + to_string(head.index));
    for (auto where : all_tables())
      if (is_replicated(where) && rows_of(stands, where) != rows_of(replay, where))
        throw broken_promise("table " + std::string{where.name} + " is not what the log up to " + to_string(applied) +
                             " gives");
  }
  fs::remove_all(scratch);
}

std::string digest_of_content(const read_txn& txn) {
  hasher everything{label::state};
  for (auto where : all_tables())
    if (is_replicated(where))
      for (auto& [key, value] : rows_of(txn, where))
        if (as_text(key) != "applied")  // barriers move it
          everything.add(key).add(value);
  event_log::verify(txn, {}, [&](const event_log::stored_record& each) {
    if (each.record.type == static_cast<std::uint8_t>(raft::entry_type::command))
      everything.add(each.record.payload);
  });
  return everything.finish().hex();
}

class replica_case final : public crash_store {
public:
  void run(const fs::path& directory, std::uint64_t seed, unsigned steps, const acknowledge& say) override {
    open_replica store{directory};
    workload work{store, seed, say};
    for (unsigned step = 0; step < steps; ++step)
      work.step();
  }

  std::string check(const fs::path& directory, std::span<const std::string> said) override {
    open_replica store{directory};
    auto txn = store->store().read();
    std::map<std::uint64_t, std::string> hashes;
    auto walked = event_log::verify(txn, {}, [&](const auto& each) { hashes[value(each.index)] = each.hash.hex(); });
    if (walked.broken)
      throw broken_promise(render(*walked.broken));
    for (auto& line : said) {
      std::istringstream in{line};
      std::string what, hash;
      std::uint64_t index = 0;
      in >> what >> index >> hash;
      auto found = hashes.find(index);
      if (found == hashes.end())
        throw broken_promise("acknowledged record " + std::to_string(index) + " is lost: the log ends at " +
                             to_string(walked.last.index));
      if (hash != "-" && found->second != hash)
        throw broken_promise("acknowledged record " + std::to_string(index) + " has become another one");
      if (value(store->applied()) < index)
        throw broken_promise("acknowledged entry " + std::to_string(index) + " is not applied");
    }
    compare_with_replay(txn, directory.parent_path() / "replay");
    return digest_of_content(txn);
  }

  std::string show(const fs::path& directory) override {
    return digest_of_content(open_replica{directory}->store().read());
  }
};

} // namespace

std::unique_ptr<crash_store> make_replica_case() { return std::make_unique<replica_case>(); }

} // namespace signet::crash
