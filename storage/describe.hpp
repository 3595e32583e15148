#pragma once
// DESCRIBE: the event log for people and scripts, as JSON. Without `with_content` nothing that only author and recipient
// should read: links, numbers and sizes, no bodies, no profiles, no error texts of bots.

#include "storage/tables.hpp"

#include <nlohmann/json_fwd.hpp>

namespace signet::storage {

struct verify_report;

struct describe_options {
  bool with_content = false;  ///< bodies in hex, content types, texts
};

/// One serialised LogEntry: {"time_ms", "kind", …}. Never fails: what cannot be read has kind "unreadable".
nlohmann::json describe_entry(bytes_view entry, const describe_options& options = {});

/// The record at `index`: {"index", "term", "type", "hash", "previous", "entry"?, "applied", "events"}. Messages of a batch
/// say whether this entry placed them ("accepted"); `events` are the security events that the entry caused. Null: there
/// is no such record.
nlohmann::json describe_record(const read_txn& txn, log_index index, const describe_options& options = {});

nlohmann::json to_json(const verify_report& report);

} // namespace signet::storage
