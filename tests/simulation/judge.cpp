#include "tests/simulation/judge.hpp"

#include "messages/envelope/identity.hpp"

#include <algorithm>

namespace signet::simulation {

using namespace storage;

namespace {

bytes without_time(bytes_view entry) {
  auto copy = to_bytes(entry);
  if (auto good = set_entry_time(copy, wall_ms{}); !good)
    throw finding("an entry that is no entry");
  return copy;
}

std::string name_of(const permalink& who) { return who.hex().substr(0, 8); }

} // namespace

// ---- the model -------------------------------------------------------------------------------------------------------

const model::standing* model::message(const lane_id& lane, std::uint64_t n) const {
  auto found = lanes_.find(lane);
  return found == lanes_.end() || n == 0 || n > found->second.size() ? nullptr : &found->second[n - 1];
}
std::uint64_t model::lane_length(const lane_id& lane) const {
  auto found = lanes_.find(lane);
  return found == lanes_.end() ? 0 : found->second.size();
}

/// `only_from`: a bot's batch, which happens as a whole or not at all. Whether it happened.
bool model::take_batch(bytes_view raw, log_index index, const permalink* only_from) {
  auto batch = stored_batch::view(raw);
  if (!batch)
    return false;
  auto signer = sign_keys_.find(batch->signer());
  struct fresh_message {
    lane_id lane;
    signet::link own;
    permalink to;
    std::uint32_t leaf;
  };
  std::vector<fresh_message> fresh;
  std::set<permalink> stopped;
  std::map<lane_id, std::pair<std::uint64_t, signet::link>> tails;
  for (std::uint32_t leaf = 0; leaf < batch->size(); ++leaf) {
    auto message = batch->message(leaf);
    if (message.problem || signer == sign_keys_.end() || message.header.author != signer->second)
      continue;
    const auto& to = message.header.recipient;
    const lane_id lane{batch->signer(), to};
    auto [tail, first] = tails.try_emplace(lane);
    if (first) {
      auto length = lane_length(lane);
      tail->second = {length, length == 0 ? signet::link{} : lanes_[lane].back().link};
    }
    auto n = value(message.header.n);
    if (n <= lane_length(lane)) {
      if (lanes_[lane][n - 1].link != message.link)
        stopped.insert(to);
      continue;
    }
    if (stopped.contains(to) || n != tail->second.first + 1 || message.header.previous != tail->second.second ||
        !known_.contains(to)) {
      stopped.insert(to);
      continue;
    }
    tail->second = {n, message.link};
    fresh.push_back({lane, message.link, to, leaf});
  }
  if (only_from != nullptr && (signer == sign_keys_.end() || signer->second != *only_from || fresh.size() != batch->size()))
    return false;
  for (const auto& each : fresh) {
    lanes_[each.lane].push_back({each.own, index});
    inboxes_[each.to].push_back({index, each.leaf});
  }
  return true;
}

void model::take(log_index index, const log_record& record) {
  if (value(index) != value(upto_) + 1)
    throw finding("the model was handed record " + to_string(index) + " behind " + to_string(upto_));
  upto_ = index;
  if (record.type != static_cast<std::uint8_t>(raft::entry_type::command))
    return;
  aligned_bytes copy{record.payload};
  auto entry = read_entry(copy.view());
  if (!entry)
    throw finding("log record " + to_string(index) + " cannot be read: " + render(entry.error()));
  time_ = std::max(time_, entry->time);
  if (auto* published = std::get_if<identity_content>(&entry->what)) {
    auto version = identity_version::open_stored(published->published);
    if (!version)
      return;
    known_.insert(version->permalink());
    for (const auto& key : version->keys())
      if (key.purpose == key_purpose::sign)
        sign_keys_.emplace(key.key, version->permalink());
  } else if (auto* batch = std::get_if<batch_content>(&entry->what)) {
    take_batch(batch->batch, index, nullptr);
  } else if (auto* moved = std::get_if<std::vector<cursor_moved>>(&entry->what)) {
    for (const auto& each : *moved) {
      auto key = sign_keys_.find(each.device);
      auto& cursor = cursors_[{each.identity, each.device}];
      if (key != sign_keys_.end() && key->second == each.identity && value(each.position) > cursor &&
          value(each.position) <= inboxes_[each.identity].size())
        cursor = value(each.position);
    }
  } else if (auto* opened = std::get_if<opened_content>(&entry->what)) {
    auto key = sign_keys_.find(opened->key.device);
    const auto& token = opened->token;
    bool may = key != sign_keys_.end() && key->second == opened->key.identity;
    if (may && value(token.issued) != 0) {
      may = value(token.issued) <= value(time_) + token_skew_ms && time_ < token.ends &&
            !spent_.contains({opened->key.device, token.nonce});
      if (may)
        spent_.emplace(opened->key.device, token.nonce);
    }
    if (may)
      sessions_[{opened->key.identity, opened->key.client_id}] = {opened->key.device, value(index)};
  } else if (auto* closed = std::get_if<std::vector<session_closing>>(&entry->what)) {
    for (const auto& each : *closed) {
      auto found = sessions_.find({each.key.identity, each.key.client_id});
      if (found != sessions_.end() && found->second.epoch == each.epoch && found->second.device == each.key.device)
        sessions_.erase(found);
    }
  } else if (auto* deployed = std::get_if<deployed_content>(&entry->what)) {
    if (known_.contains(deployed->bot))
      bots_[deployed->bot].epoch = value(index);
  } else if (auto* committed = std::get_if<committed_content>(&entry->what)) {
    auto bot = bots_.find(committed->bot);
    if (bot == bots_.end() || bot->second.epoch != committed->epoch ||
        value(committed->from) != bot->second.position + 1 || value(committed->input) > inboxes_[committed->bot].size())
      return;
    if (!committed->batch.empty() && !take_batch(committed->batch, index, &committed->bot))
      return;
    for (auto input = value(committed->from); input <= value(committed->input); ++input)
      ++handled_[{committed->bot, input}];
    bot->second.position = value(committed->input);
  }
}

void model::compare(const read_txn& with) const {
  for (const auto& [lane, messages] : lanes_) {
    auto stands = read_lane(with, lane);
    if (value(stands.n) != messages.size() || (!messages.empty() && stands.link != messages.back().link) ||
        (!messages.empty() && stands.index != messages.back().index))
      throw finding("lane of " + name_of(sign_keys_.at(lane.signer)) + " to " + name_of(lane.recipient) + " ends at " +
                    to_string(stands.n) + ", but the log gives " + std::to_string(messages.size()));
  }
  for (const auto& who : known_) {
    auto found = inboxes_.find(who);
    static const std::vector<placed> nothing;
    const auto& expected = found == inboxes_.end() ? nothing : found->second;
    if (value(read_inbox_head(with, who)) != expected.size())
      throw finding("inbox of " + name_of(who) + " ends at " + to_string(read_inbox_head(with, who)) +
                    ", but the log gives " + std::to_string(expected.size()));
    std::size_t at = 0;
    for (const auto& slice : read_inbox(with, who, inbox_position{1}, SIZE_MAX, SIZE_MAX)) {
      if (value(slice.first) != at + 1)
        throw finding("inbox of " + name_of(who) + " has a gap at " + std::to_string(at + 1));
      for (auto leaf : slice.leaves) {
        if (at >= expected.size() || expected[at] != placed{slice.index, leaf})
          throw finding("inbox of " + name_of(who) + ", position " + std::to_string(at + 1) +
                        ", is not what the log gives");
        ++at;
      }
    }
    if (at != expected.size())
      throw finding("inbox of " + name_of(who) + " can be read up to " + std::to_string(at) + " only");
  }
  for (const auto& [whose, position] : cursors_)
    if (value(read_cursor(with, whose.first, whose.second)) != position)
      throw finding("cursor of " + name_of(whose.first) + " is not what the log gives");
  for (const auto& [who, bot] : bots_) {
    auto row = find_bot(with, who);
    if (!row || row->epoch != bot.epoch || value(row->position) != bot.position)
      throw finding("bot " + name_of(who) + " is not where the log puts it");
  }
  for (const auto& [whose, session] : sessions_) {
    auto row = find_session(with, whose.first, whose.second);
    if (!row || row->epoch != session.epoch || row->device != session.device)
      throw finding("session " + whose.second + " of " + name_of(whose.first) + " is not what the log gives");
  }
}

// ---- the judge -------------------------------------------------------------------------------------------------------

void judge::find(const shown& what, const std::string& sentence) {
  throw finding("node " + std::to_string(what.node) + " (server " + to_string(what.id) + "): " + sentence);
}

void judge::check_votes(const shown& what, node_record& mine) {
  if (what.term < mine.term)
    find(what, "its term went back from " + to_string(mine.term) + " to " + to_string(what.term));
  if (what.term == mine.term && mine.voted_for != raft::server_id{} && what.voted_for != mine.voted_for)
    find(what, "in term " + to_string(what.term) + " it had voted for " + to_string(mine.voted_for) + " and now for " +
                 to_string(what.voted_for));
  mine.term = what.term;
  mine.voted_for = what.voted_for;
}

/// Brings the record of a node's log up to what stands in its store, and looks at every record that is new there.
void judge::follow_log(const shown& what, node_record& mine, const read_txn& from) {
  auto head = event_log::find_head(from);
  std::vector<known_record> fresh;  // newest first
  auto index = value(head.index);
  // Every record names the hash of the one before it: the chain is walked by what it says of itself.
  for (auto hash = head.hash; index > 0 && !(index <= mine.log.size() && mine.log[index - 1].hash == hash); --index) {
    auto record = event_log::find(from, log_index{index});
    if (!record)
      find(what, "log record " + std::to_string(index) + " is missing");
    if (record_hash(log_index{index}, *record) != hash)
      find(what, "log record " + std::to_string(index + 1) + " does not name the one before it");
    fresh.push_back({record->term, hash});
    hash = record->previous;
  }
  if (index == mine.log.size() && fresh.empty())
    return;
  if (index < mine.committed)
    find(what, "it dropped log record " + std::to_string(index + 1) + ", though it had called " +
                 std::to_string(mine.committed) + " committed");
  mine.log.resize(index);
  for (auto record = fresh.rbegin(); record != fresh.rend(); ++record) {
    mine.log.push_back(*record);
    auto [known, first] = records_.try_emplace({mine.log.size(), value(record->term)}, record->hash);
    if (!first && known->second != record->hash)
      find(what, "log record " + std::to_string(mine.log.size()) + " of term " + to_string(record->term) +
                   " is another one here, or follows others");
  }
}

void judge::after_turn(const shown& what) {
  auto& mine = nodes_[what.node];
  auto from = what.store->read();
  check_votes(what, mine);
  follow_log(what, mine, from);

  if (what.role == raft::role::leader && mine.led != what.term) {
    mine.led = what.term;
    auto [leader, first] = leaders_.try_emplace(what.term, what.id);
    if (!first && leader->second != what.id)
      find(what, "it leads in term " + to_string(what.term) + ", in which server " + to_string(leader->second) + " led");
    auto least = committed_.size();
    while (least > 0 && committed_in_[least - 1] >= what.term)
      --least;
    if (mine.log.size() < least || (least > 0 && mine.log[least - 1] != committed_[least - 1]))
      find(what, "it leads in term " + to_string(what.term) + " without the committed entry " + std::to_string(least));
  }

  auto committed = std::min<std::uint64_t>(value(what.committed), mine.log.size());
  for (auto i = mine.committed; i < committed; ++i) {
    if (i == committed_.size()) {
      committed_.push_back(mine.log[i]);
      committed_in_.push_back(what.term);
    } else if (committed_[i] != mine.log[i]) {
      find(what, "it calls another entry committed at " + std::to_string(i + 1) + ": of term " +
                   to_string(mine.log[i].term) + " and not " + to_string(committed_[i].term));
    }
  }
  mine.committed = std::max(mine.committed, committed);

  auto applied = value(what.applied);
  if (applied > mine.log.size())
    find(what, "it has applied " + std::to_string(applied) + ", but its log ends at " + std::to_string(mine.log.size()));
  if (applied > value(what.committed) && !what.sole_voter)
    find(what, "it has applied " + std::to_string(applied) + ", but only " + to_string(what.committed) + " is committed");
  if (applied > 0) {
    if (state_hashes_.size() < applied)
      state_hashes_.resize(applied);
    auto& known = state_hashes_[applied - 1];
    if (!known)
      known = what.state_hash;
    else if (*known != what.state_hash)
      find(what, "its state at index " + std::to_string(applied) + " is not that of the others");
  }
}

void judge::restarted(const shown& what) {
  auto& mine = nodes_[what.node];
  mine.committed = 0;
  mine.led = {};
  after_turn(what);
}

void judge::lost_disk(std::size_t node) { nodes_[node] = {}; }

void judge::acknowledged_message(const read_txn& seen_by, const lane_id& lane, std::uint64_t n, const signet::link& own,
                                 log_index index, log_index floor) {
  auto stands = find_message(seen_by, lane, lane_number{n});
  if (!stands || stands->own != own || stands->index != index)
    throw finding("message " + std::to_string(n) + " was acknowledged at " + to_string(index) +
                  ", but cannot be read there on the node that answered");
  if (index <= floor)
    throw finding("message " + std::to_string(n) + " stands at " + to_string(index) +
                  ", below what was acknowledged before it was sent (" + to_string(floor) + ")");
  acknowledged_ = std::max(acknowledged_, index);
  messages_.push_back({lane, n, own, index});
}

void judge::acknowledged_entry(const read_txn& seen_by, bytes_view proposed, log_index index, log_index floor) {
  auto record = event_log::find(seen_by, index);
  if (!record || without_time(record->payload) != to_bytes(proposed))
    throw finding("an entry was acknowledged at " + to_string(index) + ", but the node that answered has another there");
  if (index > read_applied(seen_by).index)
    throw finding("an entry was acknowledged at " + to_string(index) + " before it was applied");
  if (index <= floor)
    throw finding("an entry stands at " + to_string(index) + ", below what was acknowledged before it was sent (" +
                  to_string(floor) + ")");
  acknowledged_ = std::max(acknowledged_, index);
  entries_.emplace_back(index, to_bytes(proposed));
}

void judge::check_views(const environment& store) {
  auto from = store.read();
  auto applied = read_applied(from).index;
  // The model goes on from where it stands; behind it, a new one begins.
  if (applied < views_.upto())
    views_ = model{};
  for (auto i = next(views_.upto()); i <= applied; i = next(i)) {
    auto record = event_log::find(from, i);
    if (!record)
      throw finding("log record " + to_string(i) + " is missing");
    views_.take(i, *record);
  }
  views_.compare(from);
}

void judge::check_acknowledged(const environment& store) {
  check_views(store);
  auto from = store.read();
  for (const auto& each : messages_) {
    auto stands = views_.message(each.lane, each.n);
    if (stands == nullptr || stands->link != each.own || stands->index != each.index)
      throw finding("message " + std::to_string(each.n) + ", acknowledged at " + to_string(each.index) +
                    ", does not stand there at the end");
  }
  for (const auto& [index, proposed] : entries_) {
    auto record = event_log::find(from, index);
    if (!record || without_time(record->payload) != proposed)
      throw finding("the entry acknowledged at " + to_string(index) + " does not stand there at the end");
  }
  std::map<bytes, std::uint64_t> times;
  scan<table::log>(from, encode_key(log_key{log_index{1}}), [&](const log_key&, const log_record& record) {
    if (record.type == static_cast<std::uint8_t>(raft::entry_type::command))
      if (auto known = expected_times_.find(without_time(record.payload)); known != expected_times_.end())
        ++times[known->first];
    return true;
  });
  for (const auto& [proposed, expected] : expected_times_)
    if (auto stands = times[proposed]; stands < expected.first || stands > expected.second)
      throw finding("an entry stands " + std::to_string(stands) + " times in the log; a node's answer allows " +
                    std::to_string(expected.first) + " to " + std::to_string(expected.second));
  for (const auto& [input, handled] : views_.handled())
    if (handled != 1)
      throw finding("input " + std::to_string(input.second) + " of a bot was handled " + std::to_string(handled) + " times");
}

} // namespace signet::simulation
