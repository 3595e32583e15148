// The replica's turn as one of three voters, with a leader played by this file: votes, entries of several terms, tails that
// a newer leader replaces, commits that move the applied index.
//
// It says V, D, A and T (promises.hpp): V when the vote leaves, D when the answer to an append leaves, A when an applied
// index becomes visible, T before a newer leader may replace records.

#include "messages/entries.hpp"
#include "storage/log/event_log.hpp"
#include "storage/tables.hpp"
#include "storage/views/read.hpp"
#include "tests/system/crash/replica_parts.hpp"

#include <algorithm>
#include <random>

namespace signet::crash {
namespace {

using namespace storage;
namespace fs = std::filesystem;

const raft::configuration three_voters{{raft::server_id{1}, "one", raft::member_role::voter},
                                       {raft::server_id{2}, "two", raft::member_role::voter},
                                       {raft::server_id{3}, "three", raft::member_role::voter}};

class leader_and_follower {
public:
  leader_and_follower(const fs::path& directory, std::uint64_t seed, const acknowledge& say) : random_{seed}, say_{say} {
    store_ = open_or_found(directory, three_voters, now_, wall_);
    for (std::uint8_t n = 0; n < 3; ++n)
      people_.push_back(person::number(n));
    // The played leaders hold what the follower holds; only what is applied is sure to be committed.
    auto txn = store_->store().read();
    event_log::verify(txn, {}, [&](const event_log::stored_record& each) {
      log_.push_back({each.record.term, static_cast<raft::entry_type>(each.record.type), to_bytes(each.record.payload)});
    });
    committed_ = committed_before_ = match_ = value(store_->applied());
    is_founded_ = find_cluster(txn).has_value();
    term_ = value(store_->consensus().current_term());
  }

  void elect() {
    const auto had = log_.size();
    ++term_;
    if (random_() % 2 == 0) {
      // The new leader lacks a tail of ours that was never committed, and holds an entry of a term that we missed.
      log_.resize(committed_ + random_() % (log_.size() - committed_ + 1));
      if (log_.size() < had)
        say_("T " + std::to_string(log_.size() + 1));
      log_.push_back({term{term_}, raft::entry_type::barrier, bytes(8)});
      ++term_;
    }
    candidate_ = raft::server_id{2 + random_() % 2};
    raft::request_vote asked{term{term_}, candidate_, log_index{log_.size()}, log_.back().term, true, false};
    send(candidate_, asked);
    if (random_() % 3 == 0) {
      // The other one wants the same term: refused, also after a restart.
      asked.candidate = raft::server_id{5 - value(candidate_)};
      send(asked.candidate, asked);
    }
    match_ = std::min<std::uint64_t>(match_, committed_);
    log_.push_back({term{term_}, raft::entry_type::barrier, bytes(8)});
    append();
  }

  void append() {
    for (auto count = random_() % 5; count > 0; --count)
      log_.push_back({term{term_}, raft::entry_type::command, command()});
    raft::append_entries sent;
    sent.term = term{term_};
    sent.prev_index = log_index{match_};
    sent.prev_term = match_ == 0 ? term{} : log_[match_ - 1].term;
    // Only entries of its own term make a leader count; together with us that is a majority.
    if (match_ > committed_ && log_[match_ - 1].term == term{term_} && random_() % 3 != 0)
      committed_ = match_ - random_() % (match_ - committed_);
    while (committed_ > committed_before_ && log_[committed_ - 1].term != term{term_})
      --committed_;
    committed_before_ = committed_;
    sent.leader_commit = log_index{committed_};
    sent.entries.assign(log_.begin() + static_cast<std::ptrdiff_t>(match_), log_.end());
    send(candidate_, sent);
  }

private:
  bytes command() {
    wall_ = wall_ms{value(wall_) + 20};
    auto out = make_command();
    if (!set_entry_time(out, wall_))
      throw std::runtime_error("an entry without a time");
    return out;
  }
  bytes make_command() {
    if (!std::exchange(is_founded_, true))
      return founded_entry(the_cluster());
    auto& who = people_[random_() % people_.size()];
    switch (random_() % 4) {
      case 0: return identity_entry(who.version.serialised());
      case 1: {
        const security_event event{{"login_failed", {}, {}, "wrong proof", "127.0.0.1"}, 1};
        return security_events_entry({&event, 1});
      }
      default: break;
    }
    // Follows what is applied here; what has been proposed since makes some of it a gap, a fork or a duplicate.
    std::vector<built_message> messages;
    std::vector<std::pair<permalink, lane_tail>> tails;
    for (auto count = 1 + random_() % 4; count > 0; --count) {
      message_draft draft;
      draft.cluster = the_cluster();
      draft.author = who.id();
      draft.recipient = people_[random_() % people_.size()].id();
      draft.body.assign(10 + random_() % 300, static_cast<std::uint8_t>(random_()));
      auto known = std::find_if(tails.begin(), tails.end(), [&](auto& each) { return each.first == draft.recipient; });
      if (known == tails.end()) {
        auto stands = read_lane(store_->store().read(), {who.device.public_half(), draft.recipient});
        known = tails.insert(tails.end(), {draft.recipient, {stands.n, stands.link}});
      }
      messages.push_back(must(make_message(draft, known->second), "a message"));
    }
    return batch_entry(must(make_batch(who.device, messages), "a batch").serialised);
  }

  void send(raft::server_id from, raft::message body) {
    store_->receive({from, term{term_}, std::move(body)});
    now_ = steady_ms{value(now_) + 10};
    auto turned = store_->turn(now_, wall_);
    if (!turned.refused_messages.empty())
      throw std::runtime_error("the played leader broke the rules: " + render(turned.refused_messages.front()));
    for (auto& each : turned.messages)
      take(each);
    if (turned.advanced)
      say_("A " + to_string(turned.applied));
  }

  void take(const storage::outgoing_message& answer) {
    if (auto* vote = std::get_if<raft::request_vote_result>(&answer.body); vote != nullptr && !vote->pre_vote) {
      if (vote->granted)
        say_("V " + to_string(vote->term) + " " + to_string(answer.to));
      else if (answer.to == candidate_)
        throw broken_promise("the vote for a good candidate was refused");
    } else if (auto* appended = std::get_if<raft::append_entries_result>(&answer.body)) {
      if (value(appended->rejected) != 0)
        throw broken_promise("rejected at " + to_string(appended->rejected) + ", but everything up to there was committed");
      match_ = std::min<std::uint64_t>(value(appended->last_index), log_.size());
      auto record = event_log::find(store_->store().read(), appended->last_index);
      say_("D " + to_string(appended->last_index) + " " +
           (record ? record_hash(appended->last_index, *record).hex() : std::string{"-"}));
    }
  }

  std::mt19937_64 random_;
  const acknowledge& say_;
  steady_ms now_{1};
  wall_ms wall_{1'700'000'000'000};
  std::unique_ptr<replica_store> store_;
  std::vector<person> people_;
  std::vector<raft::entry> log_;
  std::uint64_t term_ = 0, committed_ = 0, committed_before_ = 0, match_ = 0;
  raft::server_id candidate_{};
  bool is_founded_ = false;
};

class follower_case final : public crash_store {
public:
  void run(const fs::path& directory, std::uint64_t seed, unsigned steps, const acknowledge& say) override {
    leader_and_follower both{directory, seed, say};
    std::mt19937_64 random{seed + 1};
    both.elect();
    for (unsigned step = 0; step < steps; ++step)
      if (random() % 6 == 0)
        both.elect();
      else
        both.append();
  }

  std::string check(const fs::path& directory, std::span<const std::string> said) override {
    auto store = open(directory);
    judge(*store, store->store(), directory, said);
    return digest_of_content(store->store().read());
  }
  std::string show(const fs::path& directory) override { return digest_of_content(open(directory)->store().read()); }

private:
  static std::unique_ptr<replica_store> open(const fs::path& directory) {
    return open_or_found(directory, three_voters, steady_ms{1}, wall_ms{1'700'000'000'000});
  }
};

} // namespace

std::unique_ptr<crash_store> make_follower_case() { return std::make_unique<follower_case>(); }

} // namespace signet::crash
