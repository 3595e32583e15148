#pragma once
// Every table once: key → value, the bytes on disk, who writes it, in which transaction.
//
// All integers are big-endian, so that byte order is number order. "text" is UTF-8 to the end of the row unless a length
// stands before it. The 8-byte row check that storage/lmdb/ adds behind each value is not shown.
//
// Two kinds of tables:
//   local        log, meta and members_seen: written by the replica's turn; differ between nodes (term, vote, what it has
//                seen of others) or are what all else is computed from. Not part of the state hash.
//   replicated   everything else: written by `applier::apply` alone, in the transaction of the entry that changed it.
//                Equal on every node at the same applied index; part of the state hash (except state/applied itself).
//
// Typed access: get<table::lanes>(txn, key), put<table::lanes>(txn, key, value), erase<table::lanes>(txn, key),
// scan<table::lanes>(txn, from, visit). The transaction is the first parameter: many effects go into one commit, and
// nobody here opens a transaction. A row that does not decode throws storage_failure (corrupt): the process must stop.
// Values are copied out unless their comment says that they point into the map.

#include "messages/envelope/identity.hpp"
#include "messages/envelope/token.hpp"
#include "storage/lmdb/environment.hpp"

#include <boost/container/small_vector.hpp>

#include <array>
#include <optional>
#include <string>

namespace signet::peer {
/// As in storage/peer/frame.hpp: the name of one store of one node.
using store_id = id<struct store_id_tag, 16>;
} // namespace signet::peer

namespace signet::storage {

/// Written into meta/format when a data directory is made. A reader refuses a store whose min_reader is above it.
inline constexpr std::uint32_t format_version = 1;
inline constexpr std::uint32_t format_min_reader = 1;
/// The log key starts with a group number, so that the log can be split into partitions later. One group today.
inline constexpr std::uint16_t log_group = 0;

// ---- bytes of keys and values ----------------------------------------------------------------------------------------

/// A key being written: on the stack, no heap. Longest: session_ends, 8 + 32 + 128; LMDB takes 511.
class key_bytes {
public:
  void u16(std::uint16_t x);
  void u32(std::uint32_t x);
  void u64(std::uint64_t x);
  void raw(bytes_view x);
  bytes_view view() const { return {raw_.data(), size_}; }
  operator bytes_view() const { return view(); }

private:
  std::array<std::uint8_t, 192> raw_;
  std::size_t size_ = 0;
};

/// Some leaves of one batch, rising: ranges {first, count}. Bytes: range count u16 ‖ ranges × { first u16 ‖ count u16 }.
struct leaf_range {
  std::uint16_t first = 0, count = 0;
  bool operator==(const leaf_range&) const = default;
};
class leaf_list {
public:
  /// `leaf` is larger than all leaves so far.
  void add(std::uint16_t leaf);
  std::size_t size() const { return size_; }
  /// The i-th leaf, i < size().
  std::uint16_t at(std::size_t i) const;
  auto begin() const { return ranges_.begin(); }
  auto end() const { return ranges_.end(); }
  bool operator==(const leaf_list&) const = default;
  void encode(bytes& out) const;
  static std::optional<leaf_list> decode(bytes_view raw);

private:
  boost::container::small_vector<leaf_range, 4> ranges_;
  std::size_t size_ = 0;
};

// ---- keys and values -------------------------------------------------------------------------------------------------

/// A name: 1 to 64 bytes of text.
struct name_key {
  std::string name;
  bool operator==(const name_key&) const = default;
  void encode(key_bytes& out) const;
  static std::optional<name_key> decode(bytes_view raw);
};

/// Free bytes; a view into the map as long as the row lives.
struct raw_value {
  bytes_view raw;
  void encode(bytes& out) const { append(out, raw); }
  static std::optional<raw_value> decode(bytes_view raw) { return raw_value{raw}; }
};

/// No bytes: the key says everything.
struct empty_value {
  bool operator==(const empty_value&) const = default;
  void encode(bytes&) const {}
  static std::optional<empty_value> decode(bytes_view raw) {
    return raw.empty() ? std::optional<empty_value>{empty_value{}} : std::nullopt;
  }
};

/// An id alone as a key.
template <class Id>
struct id_key {
  Id id;
  bool operator==(const id_key&) const = default;
  void encode(key_bytes& out) const { out.raw(id.view()); }
  static std::optional<id_key> decode(bytes_view raw) {
    auto found = Id::from(raw);
    return found ? std::optional<id_key>{id_key{*found}} : std::nullopt;
  }
};

/// group u16 ‖ index u64
struct log_key {
  log_index index{};
  bool operator==(const log_key&) const = default;
  void encode(key_bytes& out) const;
  static std::optional<log_key> decode(bytes_view raw);
};

/// term u64 ‖ type u8 ‖ previous 32 ‖ payload to the end
struct log_record {
  signet::term term{};
  std::uint8_t type = 0;  ///< raft::entry_type: 1 command (payload: serialised LogEntry), 2 barrier, 3 change
  digest previous;        ///< hash of the record before (record_hash); zero for the first record
  bytes_view payload;     ///< a view into the map as long as the row lives
  void encode(bytes& out) const;
  static std::optional<log_record> decode(bytes_view raw);
};
/// The link of the chain: hash, label "log-record", over index u64 ‖ term u64 ‖ type u8 ‖ previous 32 ‖ payload.
digest record_hash(log_index index, const log_record& record);

/// version u32 ‖ min_reader u32
struct format_row {
  std::uint32_t version = format_version, min_reader = format_min_reader;
  bool operator==(const format_row&) const = default;
  void encode(bytes& out) const;
  static std::optional<format_row> decode(bytes_view raw);
};

/// index u64 ‖ state hash 32 ‖ last time u64
struct applied_row {
  log_index index{};   ///< every entry up to here has been applied
  digest state_hash;   ///< rolling: hash, label "state", over state hash before ‖ index ‖ all writes in order
  wall_ms last_time{}; ///< time of the newest command; the next one is judged by max(its time, this)
  bool operator==(const applied_row&) const = default;
  void encode(bytes& out) const;
  static std::optional<applied_row> decode(bytes_view raw);
};

/// version u32 ‖ link 32 ‖ index u64 ‖ next update key commitment 32 (zero: none)
struct identity_row {
  std::uint32_t version = 0;  ///< newest
  signet::link link;          ///< of the newest version
  log_index index{};          ///< of the entry that published it
  digest next_update_key;
  bool operator==(const identity_row&) const = default;
  void encode(bytes& out) const;
  static std::optional<identity_row> decode(bytes_view raw);
};

/// permalink 32 ‖ version u32
struct identity_version_key {
  permalink identity;
  std::uint32_t version = 0;
  bool operator==(const identity_version_key&) const = default;
  void encode(key_bytes& out) const;
  static std::optional<identity_version_key> decode(bytes_view raw);
};

/// index u64 ‖ serialised IdentityVersion to the end
struct identity_version_row {
  log_index index{};
  bytes_view published;  ///< a view into the map as long as the row lives
  void encode(bytes& out) const;
  static std::optional<identity_version_row> decode(bytes_view raw);
};

/// permalink 32 ‖ purpose u8 ‖ since u64 ‖ revoked u64
struct key_row {
  permalink identity;
  key_purpose purpose{};
  log_index since{};    ///< first version that held it
  log_index revoked{};  ///< first version that no longer held it; 0: it stands
  bool operator==(const key_row&) const = default;
  bool stands() const { return value(revoked) == 0; }
  void encode(bytes& out) const;
  static std::optional<key_row> decode(bytes_view raw);
};

/// permalink 32 ‖ version u32
struct link_row {
  permalink identity;
  std::uint32_t version = 0;
  bool operator==(const link_row&) const = default;
  void encode(bytes& out) const;
  static std::optional<link_row> decode(bytes_view raw);
};

/// signer 32 ‖ recipient 32 ‖ last n u64
struct lane_run_key {
  lane_id lane;
  lane_number last{};
  bool operator==(const lane_run_key&) const = default;
  void encode(key_bytes& out) const;
  static std::optional<lane_run_key> decode(bytes_view raw);
};

/// index u64 ‖ first n u64 ‖ link of the last message 32 ‖ leaf list
struct lane_run {
  log_index index{};
  lane_number first{};
  signet::link last_link;
  leaf_list leaves;  ///< leaf i is the message first + i
  bool operator==(const lane_run&) const = default;
  void encode(bytes& out) const;
  static std::optional<lane_run> decode(bytes_view raw);
};

/// recipient 32 ‖ last position u64
struct inbox_run_key {
  permalink recipient;
  inbox_position last{};
  bool operator==(const inbox_run_key&) const = default;
  void encode(key_bytes& out) const;
  static std::optional<inbox_run_key> decode(bytes_view raw);
};

/// index u64 ‖ first position u64 ‖ size u32 ‖ leaf list
struct inbox_run {
  log_index index{};
  inbox_position first{};
  std::uint32_t size_bytes = 0;  ///< of the bodies of this run together
  leaf_list leaves;              ///< leaf i stands at first + i
  bool operator==(const inbox_run&) const = default;
  void encode(bytes& out) const;
  static std::optional<inbox_run> decode(bytes_view raw);
};

/// permalink 32 ‖ client id, 1 to 128 bytes, to the end
struct session_row_key {
  permalink identity;
  std::string client_id;
  bool operator==(const session_row_key&) const = default;
  void encode(key_bytes& out) const;
  static std::optional<session_row_key> decode(bytes_view raw);
};

/// device key 32 ‖ epoch u64 ‖ opened u64 ‖ expires u64
struct session_row {
  public_key device;
  std::uint64_t epoch = 0;  ///< index of the entry that opened it
  wall_ms opened{};         ///< time of that entry
  wall_ms expires{};        ///< absolute end of the proof
  bool operator==(const session_row&) const = default;
  void encode(bytes& out) const;
  static std::optional<session_row> decode(bytes_view raw);
};

/// expires u64 ‖ session key
struct session_end_key {
  wall_ms expires{};
  session_row_key session;
  bool operator==(const session_end_key&) const = default;
  void encode(key_bytes& out) const;
  static std::optional<session_end_key> decode(bytes_view raw);
};

/// device key 32 ‖ nonce 16: nobody's nonce can spend another's token.
struct nonce_key {
  public_key device;
  token_nonce nonce;
  bool operator==(const nonce_key&) const = default;
  void encode(key_bytes& out) const;
  static std::optional<nonce_key> decode(bytes_view raw);
};

/// ends u64
struct nonce_row {
  wall_ms ends{};  ///< of the token; the row is dropped by the first entries at or after this time
  bool operator==(const nonce_row&) const = default;
  void encode(bytes& out) const;
  static std::optional<nonce_row> decode(bytes_view raw);
};

/// ends u64 ‖ nonce key
struct nonce_end_key {
  wall_ms ends{};
  nonce_key nonce;
  bool operator==(const nonce_end_key&) const = default;
  void encode(key_bytes& out) const;
  static std::optional<nonce_end_key> decode(bytes_view raw);
};

/// permalink 32 ‖ device key 32
struct cursor_key {
  permalink identity;
  public_key device;
  bool operator==(const cursor_key&) const = default;
  void encode(key_bytes& out) const;
  static std::optional<cursor_key> decode(bytes_view raw);
};

/// position u64
struct cursor_row {
  inbox_position position{};  ///< everything up to here has been acknowledged
  bool operator==(const cursor_row&) const = default;
  void encode(bytes& out) const;
  static std::optional<cursor_row> decode(bytes_view raw);
};

/// index u64 ‖ ordinal u32
struct event_key {
  log_index index{};
  std::uint32_t ordinal = 0;  ///< among the events of one entry, from 0
  bool operator==(const event_key&) const = default;
  void encode(key_bytes& out) const;
  static std::optional<event_key> decode(bytes_view raw);
};

/// time u64 ‖ count u32 ‖ five fields, each with its length u16 before it: kind, subject, object, detail, source
struct event_row {
  wall_ms time{};
  std::uint32_t count = 1;
  std::string kind;
  bytes subject, object;
  std::string detail, source;
  bool operator==(const event_row&) const = default;
  void encode(bytes& out) const;
  static std::optional<event_row> decode(bytes_view raw);
};

/// count u64 ‖ last index u64
struct counter_row {
  std::uint64_t count = 0;
  log_index last{};
  bool operator==(const counter_row&) const = default;
  void encode(bytes& out) const;
  static std::optional<counter_row> decode(bytes_view raw);
};

/// signer 32 ‖ recipient 32 ‖ n u64 ‖ link of the refused message 32
struct fork_key {
  lane_id lane;
  lane_number n{};
  signet::link refused;
  bool operator==(const fork_key&) const = default;
  void encode(key_bytes& out) const;
  static std::optional<fork_key> decode(bytes_view raw);
};

/// index u64 ‖ leaf u16 ‖ standing index u64
struct fork_row {
  log_index index{};      ///< the entry whose batch holds the refused message and the signature over it
  std::uint16_t leaf = 0;
  log_index standing{};   ///< the entry that holds the message that stands under the same n
  bool operator==(const fork_row&) const = default;
  void encode(bytes& out) const;
  static std::optional<fork_row> decode(bytes_view raw);
};

/// epoch u64 ‖ position u64 ‖ attempts u32 ‖ committed u64 ‖ dead letters u64 ‖ name
struct bot_row {
  std::uint64_t epoch = 0;      ///< index of the newest BotDeployed
  inbox_position position{};    ///< inputs up to here are handled or set aside
  std::uint32_t attempts = 0;   ///< at input position + 1
  std::uint64_t committed = 0;  ///< inputs whose effects are in the log
  std::uint64_t dead_letters = 0;  ///< set aside and not committed since
  std::string name;
  bool operator==(const bot_row&) const = default;
  void encode(bytes& out) const;
  static std::optional<bot_row> decode(bytes_view raw);
};

/// permalink 32 ‖ input u64
struct dead_letter_key {
  permalink bot;
  inbox_position input{};
  bool operator==(const dead_letter_key&) const = default;
  void encode(key_bytes& out) const;
  static std::optional<dead_letter_key> decode(bytes_view raw);
};

/// index u64 ‖ time u64 ‖ attempts u32 ‖ error text
struct dead_letter_row {
  log_index index{};
  wall_ms time{};
  std::uint32_t attempts = 0;
  std::string error;
  bool operator==(const dead_letter_row&) const = default;
  void encode(bytes& out) const;
  static std::optional<dead_letter_row> decode(bytes_view raw);
};

/// store 16 ‖ server id u64 ‖ term u64 ‖ promised u64 ‖ committed u64 ‖ seen u64 ‖ older stores, 16 each, to the end
struct member_seen_row {
  peer::store_id store;         ///< that it has now
  std::uint64_t server_id = 0;  ///< that belongs to this store; 0: none seen yet
  signet::term term{};          ///< the highest one that it has told us
  log_index promised{};         ///< it has acknowledged entries up to here to the leader of that very term
  log_index committed{};        ///< it holds everything up to here, and that is committed
  wall_ms seen{};               ///< when one of these moved; data only
  std::vector<peer::store_id> older_stores;  ///< that it had before, newest last; at most older_stores_max
  static constexpr std::size_t older_stores_max = 8;
  bool operator==(const member_seen_row&) const = default;
  void encode(bytes& out) const;
  static std::optional<member_seen_row> decode(bytes_view raw);
};

// ---- the tables ------------------------------------------------------------------------------------------------------

namespace table {

/// Local. Named rows of this node: "format" (format_row), "hard-state", "snapshot" and whatever else the replica must
/// not forget. Written by the replica's turn; "format" when the directory is made.
struct meta {
  static constexpr table_ref ref{0, "meta"};
  using key = name_key;
  using value = raw_value;
};
/// Local. The event log: group ‖ index → record. Written by the replica's turn, in the transaction that makes the entry
/// durable; a conflicting uncommitted tail is erased there too. Never anything below the applied index.
struct log {
  static constexpr table_ref ref{1, "log"};
  using key = log_key;
  using value = log_record;
};
/// "applied" (applied_row): written with every entry, last. "cluster" (16 bytes): written once, by Founded.
struct state {
  static constexpr table_ref ref{2, "state"};
  using key = name_key;
  using value = raw_value;
};
/// Permalink → newest version. Written by identityPublished, and by sessionOpened that carries an identity.
struct identities {
  static constexpr table_ref ref{3, "identities"};
  using key = id_key<permalink>;
  using value = identity_row;
};
/// Permalink ‖ version → the version as it was published. Never erased. Written with `identities`.
struct identity_versions {
  static constexpr table_ref ref{4, "identity_versions"};
  using key = identity_version_key;
  using value = identity_version_row;
};
/// Public key → whose, for what, from when to when. Never erased: a key belongs to one identity for ever, keeps its
/// purpose, and does not come back once revoked. Written with `identities`.
struct keys {
  static constexpr table_ref ref{5, "keys"};
  using key = id_key<public_key>;
  using value = key_row;
};
/// Link of an identity version → where it stands. Written with `identities`.
struct links {
  static constexpr table_ref ref{6, "links"};
  using key = id_key<signet::link>;
  using value = link_row;
};
/// Runs of lanes: what one entry added to one lane is one row, keyed by its last n, so that "first key >= n" finds the
/// run of n and the last row of a lane is its tail. Written by batchAccepted and botCommitted. Also the outbox of a
/// person: the lanes of their sign keys.
struct lanes {
  static constexpr table_ref ref{7, "lanes"};
  using key = lane_run_key;
  using value = lane_run;
};
/// Runs of inboxes: what one entry added to one inbox is one row, keyed by its last position; the last row of an inbox
/// is its head. Dense: 1, 2, 3… Written with `lanes`.
struct inbox {
  static constexpr table_ref ref{8, "inbox"};
  using key = inbox_run_key;
  using value = inbox_run;
};
/// One row for each client id of an identity: a newer connection of the same client id takes over whatever its device.
/// Written by sessionOpened, sessionRenewed, sessionsClosed.
struct sessions {
  static constexpr table_ref ref{9, "sessions"};
  using key = session_row_key;
  using value = session_row;
};
/// Sessions by their end, for the janitor. Written with `sessions`.
struct session_ends {
  static constexpr table_ref ref{10, "session_ends"};
  using key = session_end_key;
  using value = empty_value;
};
/// Claimed nonces of connect tokens. Written by sessionOpened and sessionRenewed; dropped by later entries, a bounded
/// number each, when the token's life is over by entry time.
struct nonces {
  static constexpr table_ref ref{11, "nonces"};
  using key = nonce_key;
  using value = nonce_row;
};
/// Nonces by their end. Written with `nonces`.
struct nonce_ends {
  static constexpr table_ref ref{12, "nonce_ends"};
  using key = nonce_end_key;
  using value = empty_value;
};
/// Delivery cursors of devices. Written by cursorsAdvanced.
struct cursors {
  static constexpr table_ref ref{13, "cursors"};
  using key = cursor_key;
  using value = cursor_row;
};
/// What was tried: index ‖ ordinal → event. Written by securityEvents, and by entries whose refusal is an event itself
/// (key_collision, fork, gap, replayed_login, takeover, identity_created…).
struct security_events {
  static constexpr table_ref ref{14, "security_events"};
  using key = event_key;
  using value = event_row;
};
/// Kind of event → how often since the cluster was founded. Written with `security_events`.
struct event_counters {
  static constexpr table_ref ref{15, "event_counters"};
  using key = name_key;
  using value = counter_row;
};
/// Evidence of forks: where the refused message, under its author's signature, stands in the log. Written with the entry
/// that holds it; the same refused message again changes nothing.
struct forks {
  static constexpr table_ref ref{16, "forks"};
  using key = fork_key;
  using value = fork_row;
};
/// Bots deployed here. Written by botDeployed, botAttempted, botCommitted, botDeadLettered.
struct bots {
  static constexpr table_ref ref{17, "bots"};
  using key = id_key<permalink>;
  using value = bot_row;
};
/// Inputs set aside after their last attempt; erased when a botCommitted handles one after all.
struct dead_letters {
  static constexpr table_ref ref{18, "dead_letters"};
  using key = dead_letter_key;
  using value = dead_letter_row;
};

/// Local. Node name → what this node has seen of that member, and must not forget: see storage/peer/member_memory.hpp.
/// Written lazily by the replica's turn, in a transaction that is made anyway.
struct members_seen {
  static constexpr table_ref ref{19, "members_seen"};
  using key = name_key;
  using value = member_seen_row;
};

} // namespace table

/// All of them, by slot: what environment::open is called with.
std::span<const table_ref> all_tables();
/// Whether the rows are a function of the log: part of the state hash, and recomputed by verify.
bool is_replicated(table_ref where);

// ---- typed access ----------------------------------------------------------------------------------------------------

namespace detail {
[[noreturn]] void throw_undecodable(table_ref where, bytes_view key);
/// This thread's buffer for one value; valid until the next call on the same thread.
bytes& value_buffer();
} // namespace detail

template <class Key>
key_bytes encode_key(const Key& key) {
  key_bytes out;
  key.encode(out);
  return out;
}

template <class Table>
typename Table::key decode_key(const row& found) {
  auto key = Table::key::decode(found.key);
  if (!key)
    detail::throw_undecodable(Table::ref, found.key);
  return std::move(*key);
}
template <class Table>
typename Table::value decode_value(const row& found) {
  auto value = Table::value::decode(found.value);
  if (!value)
    detail::throw_undecodable(Table::ref, found.key);
  return std::move(*value);
}

template <class Table>
std::optional<typename Table::value> get(const read_txn& txn, const typename Table::key& key) {
  auto encoded = encode_key(key);
  auto found = txn.get(Table::ref, encoded);
  if (!found)
    return std::nullopt;
  return decode_value<Table>(row{encoded, *found});
}
template <class Table>
void put(write_txn& txn, const typename Table::key& key, const typename Table::value& value) {
  auto& buffer = detail::value_buffer();
  value.encode(buffer);
  txn.put(Table::ref, encode_key(key), buffer);
}
/// Whether there was such a row.
template <class Table>
bool erase(write_txn& txn, const typename Table::key& key) {
  return txn.erase(Table::ref, encode_key(key));
}
/// Rows in key order from `from` on, as visit(key, value), until it returns false. `visit` must not write.
template <class Table, class Visit>
void scan(const read_txn& txn, bytes_view from, Visit&& visit) {
  txn.scan(Table::ref, from, [&](const row& found) {
    return visit(decode_key<Table>(found), decode_value<Table>(found));
  });
}

} // namespace signet::storage
