#include "storage/log/event_log.hpp"

namespace signet::storage::event_log {
namespace {

using table::log;

key_bytes group_prefix() {
  key_bytes out;
  out.u16(log_group);
  return out;
}

std::string at(log_index index) { return "log record " + to_string(index); }

[[noreturn]] void break_chain(log_index index, std::string_view why) {
  throw storage_failure(ec::corrupt, at(index) + " " + std::string{why});
}

log_index index_of(const row& found) { return decode_key<log>(found).index; }

stored_record with_hash(log_index index, const log_record& record) {
  return {index, record, record_hash(index, record)};
}

constexpr log_index before(log_index index) { return log_index{value(index) - 1}; }

void must_name(const stored_record& earlier, log_index index, const log_record& later) {
  if (later.previous != earlier.hash)
    break_chain(index, "does not name the hash of the record before it: one of the two has been changed");
}

} // namespace

head find_head(const read_txn& txn) {
  auto found = txn.last_with_prefix(log::ref, group_prefix());
  if (!found)
    return {};
  auto index = index_of(*found);
  auto record = decode_value<log>(*found);
  return {index, record.term, record_hash(index, record)};
}

std::optional<log_index> find_first(const read_txn& txn) {
  auto found = txn.at_or_after(log::ref, group_prefix());
  if (!found)
    return std::nullopt;
  return index_of(*found);
}

head append(write_txn& txn, const head& at_head, const new_record& record) {
  if (record.term < at_head.term)
    throw storage_failure(ec::internal, "term " + to_string(record.term) + " was to follow term " +
                                          to_string(at_head.term) + " at " + at(next(at_head.index)));
  log_record row;
  row.term = record.term;
  row.type = record.type;
  row.previous = at_head.hash;
  row.payload = record.payload;
  auto index = next(at_head.index);
  head out{index, record.term, record_hash(index, row)};
  put<log>(txn, {index}, row);
  return out;
}

head append(write_txn& txn, head at_head, std::span<const new_record> records) {
  for (const auto& each : records)
    at_head = append(txn, at_head, each);
  return at_head;
}

head truncate(write_txn& txn, log_index from) {
  if (value(from) == 0)
    throw storage_failure(ec::internal, "a truncation from index 0");
  if (auto raw = get<table::state>(txn, {"applied"})) {
    auto applied = applied_row::decode(raw->raw);
    if (!applied)
      throw storage_failure(ec::corrupt, "table state, row applied");
    if (from <= applied->index)
      throw storage_failure(ec::internal, "a truncation from " + at(from) + ", but everything up to " +
                                            to_string(applied->index) + " is applied");
  }
  // From the end, so that the log has no gap at any moment.
  for (auto last = txn.last_with_prefix(log::ref, group_prefix()); last && index_of(*last) >= from;
       last = txn.last_with_prefix(log::ref, group_prefix()))
    erase<log>(txn, {index_of(*last)});
  return find_head(txn);
}

std::optional<log_record> find(const read_txn& txn, log_index index) { return get<log>(txn, {index}); }

std::optional<stored_record> find_linked(const read_txn& txn, log_index index) {
  auto record = find(txn, index);
  if (!record)
    return std::nullopt;
  auto out = with_hash(index, *record);
  if (value(index) > 1) {
    if (auto earlier = find(txn, before(index)))
      must_name(with_hash(before(index), *earlier), index, *record);
  } else if (!record->previous.is_zero()) {
    break_chain(index, "is the first and names a predecessor");
  }
  if (auto later = find(txn, next(index)))
    must_name(out, next(index), *later);
  return out;
}

std::vector<stored_record> range(const read_txn& txn, log_index from, log_index end, std::size_t payload_bytes_max) {
  std::vector<stored_record> out;
  std::size_t used = 0;
  scan<log>(txn, encode_key(log_key{from}), [&](const log_key& key, const log_record& record) {
    auto expected = out.empty() ? from : next(out.back().index);
    if (key.index != expected) {
      if (out.empty())
        return false;  // `from` is not kept, or not there yet
      break_chain(expected, "is missing");
    }
    if (!out.empty())
      must_name(out.back(), key.index, record);
    auto fits = out.empty() || record.payload.size() <= payload_bytes_max - std::min(used, payload_bytes_max);
    if (key.index >= end || !fits)
      return false;
    used += record.payload.size();
    out.push_back(with_hash(key.index, record));
    return true;
  });
  return out;
}

walk verify(const read_txn& txn, const head& before_first, const std::function<void(const stored_record&)>& visit) {
  walk out;
  out.last = before_first;
  try {
    scan<log>(txn, encode_key(log_key{next(before_first.index)}), [&](const log_key& key, const log_record& record) {
      auto expected = next(out.last.index);
      if (key.index != expected)
        break_chain(expected, "is missing");
      must_name({out.last.index, {}, out.last.hash}, key.index, record);
      if (record.term < out.last.term)
        break_chain(key.index, "has a smaller term than the record before it");
      auto sound = with_hash(key.index, record);
      if (visit)
        visit(sound);
      out.last = {key.index, record.term, sound.hash};
      ++out.records;
      return true;
    });
  } catch (const storage_failure& failure) {
    out.broken = error{failure.code(), "behind " + at(out.last.index) + ": " + failure.why().context};
  }
  return out;
}

} // namespace signet::storage::event_log
