#include "storage/views/read.hpp"

namespace signet::storage {
namespace {

bool starts_with(bytes_view key, bytes_view prefix) {
  return key.size() >= prefix.size() && std::equal(prefix.begin(), prefix.end(), key.begin());
}

bytes lane_prefix(const lane_id& lane) {
  bytes out;
  out.reserve(64);
  append(out, lane.signer.view());
  append(out, lane.recipient.view());
  return out;
}

[[noreturn]] void throw_hole(std::string_view where, const std::string& at) {
  throw storage_failure(ec::corrupt, std::string{where} + " has a hole at " + at + "; run: signet verify DATA");
}

} // namespace

// ---- the cluster -----------------------------------------------------------------------------------------------------

std::optional<cluster_id> find_cluster(const read_txn& txn) {
  auto stored = get<table::state>(txn, {"cluster"});
  if (!stored)
    return std::nullopt;
  auto cluster = cluster_id::from(stored->raw);
  if (!cluster)
    detail::throw_undecodable(table::state::ref, as_bytes("cluster"));
  return cluster;
}

applied_state read_applied(const read_txn& txn) {
  auto stored = get<table::state>(txn, {"applied"});
  if (!stored)
    return {};
  auto applied = applied_row::decode(stored->raw);
  if (!applied)
    detail::throw_undecodable(table::state::ref, as_bytes("applied"));
  return {applied->index, applied->state_hash, applied->last_time};
}

// ---- identities ------------------------------------------------------------------------------------------------------

std::optional<identity_row> find_identity(const read_txn& txn, const permalink& who) {
  return get<table::identities>(txn, {who});
}
std::optional<key_row> find_key(const read_txn& txn, const public_key& key) { return get<table::keys>(txn, {key}); }
std::optional<link_row> find_version(const read_txn& txn, const link& version) {
  return get<table::links>(txn, {version});
}

ec judge_key(const read_txn& txn, const permalink& who, const public_key& key, key_purpose purpose) {
  auto found = find_key(txn, key);
  if (!found || found->identity != who)
    return ec::unknown_identity;
  if (found->purpose != purpose)
    return ec::wrong_key_purpose;
  return found->stands() ? ec::ok : ec::revoked_key;
}

identity_chain read_identity_chain(const read_txn& txn, const permalink& who, std::size_t size_bytes_max) {
  identity_chain out;
  auto newest = find_identity(txn, who);
  if (!newest)
    return out;
  out.index = newest->index;
  std::size_t size_bytes = 0;
  scan<table::identity_versions>(txn, encode_key(identity_version_key{who, 1}),
                                 [&](const identity_version_key& key, const identity_version_row& version) {
                                   if (key.identity != who)
                                     return false;
                                   size_bytes += version.published.size();
                                   if (size_bytes > size_bytes_max) {
                                     out.complete = false;
                                     return false;
                                   }
                                   out.versions.push_back(to_bytes(version.published));
                                   return true;
                                 });
  if (out.complete && out.versions.size() != newest->version)
    throw_hole("the chain of identity " + who.hex(), "version " + std::to_string(out.versions.size() + 1));
  return out;
}

// ---- lanes -----------------------------------------------------------------------------------------------------------

lane_state read_lane(const read_txn& txn, const lane_id& lane) {
  std::uint8_t prefix[64];
  std::copy(lane.signer.raw.begin(), lane.signer.raw.end(), prefix);
  std::copy(lane.recipient.raw.begin(), lane.recipient.raw.end(), prefix + 32);
  auto found = txn.last_with_prefix(table::lanes::ref, prefix);
  if (!found)
    return {};
  auto key = decode_key<table::lanes>(*found);
  auto run = decode_value<table::lanes>(*found);
  return {key.last, run.last_link, run.index};
}

std::optional<standing_message> find_message(const read_txn& txn, const lane_id& lane, lane_number n) {
  if (value(n) == 0)
    return std::nullopt;
  auto found = txn.at_or_after(table::lanes::ref, encode_key(lane_run_key{lane, n}));
  if (!found || !starts_with(found->key, lane_prefix(lane)))
    return std::nullopt;
  auto last = decode_key<table::lanes>(*found).last;
  auto run = decode_value<table::lanes>(*found);
  if (n < run.first || value(last) - value(run.first) + 1 != run.leaves.size())
    throw_hole("lane " + lane.signer.hex() + " to " + lane.recipient.hex(), "n = " + to_string(n));
  if (n == last)
    return standing_message{run.last_link, run.index};
  auto loaded = load_batch(txn, run.index);
  auto leaf = run.leaves.at(value(n) - value(run.first));
  if (leaf >= loaded.batch.size())
    throw_hole("log record " + to_string(run.index), "leaf " + std::to_string(leaf));
  return standing_message{loaded.batch.link(leaf), run.index};
}

// ---- inboxes ---------------------------------------------------------------------------------------------------------

inbox_position read_inbox_head(const read_txn& txn, const permalink& who) {
  auto found = txn.last_with_prefix(table::inbox::ref, who.view());
  return found ? decode_key<table::inbox>(*found).last : inbox_position{};
}

std::vector<inbox_slice> read_inbox(const read_txn& txn, const permalink& who, inbox_position from,
                                    std::size_t messages_max, std::size_t size_bytes_max) {
  std::vector<inbox_slice> out;
  std::size_t messages = 0, size_bytes = 0;
  auto expected = std::max(from, inbox_position{1});
  scan<table::inbox>(txn, encode_key(inbox_run_key{who, expected}), [&](const inbox_run_key& key, const inbox_run& run) {
    if (key.recipient != who)
      return false;
    // Only the first run may begin before what was asked for; all others join without a hole.
    if (run.first > expected || (!out.empty() && run.first != expected) ||
        value(key.last) - value(run.first) + 1 != run.leaves.size())
      throw_hole("the inbox of " + who.hex(), "position " + to_string(expected));
    const auto skipped = value(expected) - value(run.first);
    const auto size_each = run.size_bytes / run.leaves.size();
    inbox_slice slice{expected, run.index, {}};
    std::size_t at = 0;
    for (const auto& range : run.leaves)
      for (std::uint32_t leaf = range.first; leaf < std::uint32_t{range.first} + range.count; ++leaf, ++at) {
        if (at < skipped)
          continue;
        if (messages > 0 && (messages >= messages_max || size_bytes + size_each > size_bytes_max)) {
          if (!slice.leaves.empty())
            out.push_back(std::move(slice));
          return false;
        }
        slice.leaves.push_back(leaf);
        ++messages;
        size_bytes += size_each;
      }
    out.push_back(std::move(slice));
    expected = next(key.last);
    return messages < messages_max && size_bytes < size_bytes_max;
  });
  return out;
}

inbox_position read_cursor(const read_txn& txn, const permalink& who, const public_key& device) {
  auto found = get<table::cursors>(txn, {who, device});
  return found ? found->position : inbox_position{};
}

// ---- sessions --------------------------------------------------------------------------------------------------------

std::optional<session_row> find_session(const read_txn& txn, const permalink& who, std::string_view client_id) {
  if (client_id.empty() || client_id.size() > client_id_bytes_max)
    return std::nullopt;
  return get<table::sessions>(txn, {who, std::string{client_id}});
}

std::vector<session_found> read_sessions(const read_txn& txn, const permalink& who) {
  std::vector<session_found> out;
  scan<table::sessions>(txn, who.view(), [&](session_row_key key, const session_row& row) {
    if (key.identity != who)
      return false;
    out.push_back({std::move(key.client_id), row});
    return true;
  });
  return out;
}

std::vector<session_closing> read_ended_sessions(const read_txn& txn, wall_ms now, std::size_t max) {
  std::vector<session_row_key> ended;
  scan<table::session_ends>(txn, {}, [&](session_end_key key, empty_value) {
    if (key.expires > now || ended.size() >= max)
      return false;
    ended.push_back(std::move(key.session));
    return true;
  });
  std::vector<session_closing> out;
  out.reserve(ended.size());
  for (auto& key : ended) {
    auto row = get<table::sessions>(txn, key);
    if (!row)
      throw_hole("table sessions", "client id " + key.client_id);
    out.push_back({{key.identity, row->device, std::move(key.client_id)}, row->epoch, "expired"});
  }
  return out;
}

// ---- security events -------------------------------------------------------------------------------------------------

std::vector<event_found> read_events(const read_txn& txn, log_index from, std::size_t max) {
  std::vector<event_found> out;
  scan<table::security_events>(txn, encode_key(event_key{from, 0}), [&](const event_key& key, event_row event) {
    if (out.size() >= max)
      return false;
    out.push_back({key, std::move(event)});
    return true;
  });
  return out;
}

std::vector<event_count> read_event_counts(const read_txn& txn) {
  std::vector<event_count> out;
  scan<table::event_counters>(txn, {}, [&](name_key key, const counter_row& counter) {
    out.push_back({std::move(key.name), counter});
    return true;
  });
  return out;
}

// ---- bots ------------------------------------------------------------------------------------------------------------

std::optional<bot_row> find_bot(const read_txn& txn, const permalink& bot) { return get<table::bots>(txn, {bot}); }

std::vector<bot_found> read_bots(const read_txn& txn) {
  std::vector<bot_found> out;
  scan<table::bots>(txn, {}, [&](const id_key<permalink>& key, bot_row row) {
    out.push_back({key.id, std::move(row)});
    return true;
  });
  return out;
}

std::vector<dead_letter_found> read_dead_letters(const read_txn& txn, const permalink& bot, inbox_position from,
                                                 std::size_t max) {
  std::vector<dead_letter_found> out;
  scan<table::dead_letters>(txn, encode_key(dead_letter_key{bot, from}),
                            [&](const dead_letter_key& key, dead_letter_row row) {
                              if (key.bot != bot || out.size() >= max)
                                return false;
                              out.push_back({key.input, std::move(row)});
                              return true;
                            });
  return out;
}

// ---- status ----------------------------------------------------------------------------------------------------------

std::vector<table_count> count_rows(const read_txn& txn) {
  std::vector<table_count> out;
  for (auto where : all_tables())
    out.push_back({where.name, txn.count(where)});
  return out;
}

} // namespace signet::storage
