#pragma once
// ENTRY: a log entry as plain data. Everything is read out of the bytes before anybody acts on it, so that bytes which
// break half-way cannot have half an effect.

#include "messages/entries.hpp"
#include "messages/envelope/batch.hpp"
#include "storage/lmdb/environment.hpp"
#include "storage/views/apply.hpp"

#include <optional>
#include <variant>

namespace signet::storage {

/// Of one serialised LogEntry: a whole batch and room for what stands around it.
inline constexpr std::size_t entry_bytes_max = batch_bytes_max + 65536;

// One struct for each kind, where messages/entries.hpp has none that fits. Views live as long as the bytes.
struct founded_content { cluster_id cluster; };
struct identity_content { bytes_view published; };
struct opened_content {
  signet::session_key key;
  wall_ms expires{};
  token_claim token;
  bytes_view identity;
};
struct batch_content { bytes_view batch; };
struct deployed_content {
  permalink bot;
  std::string name;
};
struct committed_content {
  permalink bot;
  std::uint64_t epoch = 0;
  inbox_position from{}, input{};
  bytes_view batch;
};
struct attempted_content {
  permalink bot;
  std::uint64_t epoch = 0;
  inbox_position input{};
  std::uint32_t attempt = 0;
};
struct dead_lettered_content {
  permalink bot;
  std::uint64_t epoch = 0;
  inbox_position input{};
  std::uint32_t attempts = 0;
  std::string error;
};

struct entry_content {
  wall_ms time{};
  entry_kind kind = entry_kind::unreadable;
  std::variant<std::monostate, founded_content, identity_content, opened_content, session_renewal,
               std::vector<session_closing>, batch_content, std::vector<cursor_moved>, std::vector<security_event>,
               deployed_content, committed_content, attempted_content, dead_lettered_content, inbox_taking>
    what;
};

/// `aligned` must stand on a word boundary and outlive what is returned. `too_large`, `malformed`; `wrong_format`: a kind
/// that this version does not know.
result<entry_content> read_entry(bytes_view aligned);

/// The batch of one entry, and the memory it lives in.
struct loaded_batch {
  aligned_bytes raw;
  stored_batch batch;
};
/// From the payload of a record; nothing: the entry holds no batch, or none that can be read.
std::optional<loaded_batch> load_batch(bytes_view payload);
/// The batch at an index that a view refers to. Throws storage_failure (corrupt) if there is none.
loaded_batch load_batch(const read_txn& txn, log_index index);

} // namespace signet::storage
