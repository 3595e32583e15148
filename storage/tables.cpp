#include "storage/tables.hpp"

#include "messages/envelope/labels.hpp"

#include <algorithm>

namespace signet::storage {
namespace {

/// Takes a row apart from the front. After the first miss everything is a miss.
class reader {
public:
  explicit reader(bytes_view raw) : rest_{raw} {}

  std::uint8_t u8() { return take(1) ? taken_[0] : std::uint8_t{0}; }
  std::uint16_t u16() { return take(2) ? read_u16(taken_.data()) : std::uint16_t{0}; }
  std::uint32_t u32() { return take(4) ? read_u32(taken_.data()) : 0U; }
  std::uint64_t u64() { return take(8) ? read_u64(taken_.data()) : 0U; }
  template <number E>
  E as() { return static_cast<E>(u64()); }
  template <class Id>
  Id as() {
    Id out;
    if (take(Id::size))
      std::copy(taken_.begin(), taken_.end(), out.raw.begin());
    return out;
  }
  bytes_view raw(std::size_t n) { return take(n) ? taken_ : bytes_view{}; }
  bytes_view rest() {
    auto out = rest_;
    rest_ = {};
    return out;
  }
  std::string text() { return std::string{as_text(rest())}; }
  bool good() const { return good_; }
  /// Nothing missing and nothing left over.
  bool done() const { return good_ && rest_.empty(); }

private:
  bool take(std::size_t n) {
    good_ = good_ && rest_.size() >= n;
    if (!good_)
      return false;
    taken_ = rest_.first(n);
    rest_ = rest_.subspan(n);
    return true;
  }
  bytes_view rest_, taken_;
  bool good_ = true;
};

template <class T>
std::optional<T> whole(const reader& in, T&& out) {
  return in.done() ? std::optional<T>{std::forward<T>(out)} : std::nullopt;
}

void append_field(bytes& out, bytes_view field) {
  append_u16(out, static_cast<std::uint16_t>(field.size()));
  append(out, field);
}
std::string text_field(reader& in) { return std::string{as_text(in.raw(in.u16()))}; }
bytes bytes_field(reader& in) { return to_bytes(in.raw(in.u16())); }

} // namespace

// ---- bytes of keys and values ----------------------------------------------------------------------------------------

void key_bytes::raw(bytes_view x) {
  if (x.size() > raw_.size() - size_)
    throw storage_failure(ec::internal, "a key that is longer than any table allows");
  std::copy(x.begin(), x.end(), raw_.begin() + static_cast<std::ptrdiff_t>(size_));
  size_ += x.size();
}
void key_bytes::u16(std::uint16_t x) {
  const std::uint8_t big_endian[] = {static_cast<std::uint8_t>(x >> 8), static_cast<std::uint8_t>(x)};
  raw(big_endian);
}
void key_bytes::u32(std::uint32_t x) {
  u16(static_cast<std::uint16_t>(x >> 16));
  u16(static_cast<std::uint16_t>(x));
}
void key_bytes::u64(std::uint64_t x) {
  u32(static_cast<std::uint32_t>(x >> 32));
  u32(static_cast<std::uint32_t>(x));
}

void leaf_list::add(std::uint16_t leaf) {
  ++size_;
  if (!ranges_.empty() && ranges_.back().first + ranges_.back().count == leaf)
    ++ranges_.back().count;
  else
    ranges_.push_back({leaf, 1});
}
std::uint16_t leaf_list::at(std::size_t i) const {
  for (const auto& range : ranges_) {
    if (i < range.count)
      return static_cast<std::uint16_t>(range.first + i);
    i -= range.count;
  }
  throw storage_failure(ec::internal, "a leaf beyond the end of its run");
}
void leaf_list::encode(bytes& out) const {
  append_u16(out, static_cast<std::uint16_t>(ranges_.size()));
  for (const auto& range : ranges_) {
    append_u16(out, range.first);
    append_u16(out, range.count);
  }
}
std::optional<leaf_list> leaf_list::decode(bytes_view raw) {
  reader in{raw};
  leaf_list out;
  std::size_t end = 0;
  for (auto left = in.u16(); left > 0; --left) {
    leaf_range range{in.u16(), in.u16()};
    // Rising, not touching (touching ranges would have been one), not beyond what a leaf number can say.
    if (!in.good() || range.count == 0 || range.first + range.count > 0x10000 ||
        (!out.ranges_.empty() && range.first <= end))
      return std::nullopt;
    end = static_cast<std::size_t>(range.first) + range.count;
    out.size_ += range.count;
    out.ranges_.push_back(range);
  }
  return whole(in, std::move(out));
}

// ---- keys ------------------------------------------------------------------------------------------------------------

void name_key::encode(key_bytes& out) const { out.raw(as_bytes(name)); }
std::optional<name_key> name_key::decode(bytes_view raw) {
  if (raw.empty() || raw.size() > 64)
    return std::nullopt;
  return name_key{std::string{as_text(raw)}};
}

void log_key::encode(key_bytes& out) const {
  out.u16(log_group);
  out.u64(value(index));
}
std::optional<log_key> log_key::decode(bytes_view raw) {
  reader in{raw};
  if (in.u16() != log_group)
    return std::nullopt;
  log_key out{in.as<log_index>()};
  return whole(in, std::move(out));
}

void identity_version_key::encode(key_bytes& out) const {
  out.raw(identity.view());
  out.u32(version);
}
std::optional<identity_version_key> identity_version_key::decode(bytes_view raw) {
  reader in{raw};
  identity_version_key out{in.as<permalink>(), in.u32()};
  return whole(in, std::move(out));
}

void lane_run_key::encode(key_bytes& out) const {
  out.raw(lane.signer.view());
  out.raw(lane.recipient.view());
  out.u64(value(last));
}
std::optional<lane_run_key> lane_run_key::decode(bytes_view raw) {
  reader in{raw};
  lane_run_key out;
  out.lane.signer = in.as<public_key>();
  out.lane.recipient = in.as<permalink>();
  out.last = in.as<lane_number>();
  return whole(in, std::move(out));
}

void inbox_run_key::encode(key_bytes& out) const {
  out.raw(recipient.view());
  out.u64(value(last));
}
std::optional<inbox_run_key> inbox_run_key::decode(bytes_view raw) {
  reader in{raw};
  inbox_run_key out{in.as<permalink>(), in.as<inbox_position>()};
  return whole(in, std::move(out));
}

void session_row_key::encode(key_bytes& out) const {
  out.raw(identity.view());
  out.raw(as_bytes(client_id));
}
std::optional<session_row_key> session_row_key::decode(bytes_view raw) {
  reader in{raw};
  session_row_key out{in.as<permalink>(), in.text()};
  if (out.client_id.empty() || out.client_id.size() > client_id_bytes_max)
    return std::nullopt;
  return whole(in, std::move(out));
}

void session_end_key::encode(key_bytes& out) const {
  out.u64(value(expires));
  session.encode(out);
}
std::optional<session_end_key> session_end_key::decode(bytes_view raw) {
  reader in{raw};
  session_end_key out;
  out.expires = in.as<wall_ms>();
  auto session = session_row_key::decode(in.rest());
  if (!session)
    return std::nullopt;
  out.session = std::move(*session);
  return whole(in, std::move(out));
}

void nonce_key::encode(key_bytes& out) const {
  out.raw(device.view());
  out.raw(nonce.view());
}
std::optional<nonce_key> nonce_key::decode(bytes_view raw) {
  reader in{raw};
  nonce_key out{in.as<public_key>(), in.as<token_nonce>()};
  return whole(in, std::move(out));
}

void nonce_end_key::encode(key_bytes& out) const {
  out.u64(value(ends));
  nonce.encode(out);
}
std::optional<nonce_end_key> nonce_end_key::decode(bytes_view raw) {
  reader in{raw};
  nonce_end_key out;
  out.ends = in.as<wall_ms>();
  auto nonce = nonce_key::decode(in.rest());
  if (!nonce)
    return std::nullopt;
  out.nonce = *nonce;
  return whole(in, std::move(out));
}

void cursor_key::encode(key_bytes& out) const {
  out.raw(identity.view());
  out.raw(device.view());
}
std::optional<cursor_key> cursor_key::decode(bytes_view raw) {
  reader in{raw};
  cursor_key out{in.as<permalink>(), in.as<public_key>()};
  return whole(in, std::move(out));
}

void event_key::encode(key_bytes& out) const {
  out.u64(value(index));
  out.u32(ordinal);
}
std::optional<event_key> event_key::decode(bytes_view raw) {
  reader in{raw};
  event_key out{in.as<log_index>(), in.u32()};
  return whole(in, std::move(out));
}

void fork_key::encode(key_bytes& out) const {
  out.raw(lane.signer.view());
  out.raw(lane.recipient.view());
  out.u64(value(n));
  out.raw(refused.view());
}
std::optional<fork_key> fork_key::decode(bytes_view raw) {
  reader in{raw};
  fork_key out;
  out.lane.signer = in.as<public_key>();
  out.lane.recipient = in.as<permalink>();
  out.n = in.as<lane_number>();
  out.refused = in.as<signet::link>();
  return whole(in, std::move(out));
}

void dead_letter_key::encode(key_bytes& out) const {
  out.raw(bot.view());
  out.u64(value(input));
}
std::optional<dead_letter_key> dead_letter_key::decode(bytes_view raw) {
  reader in{raw};
  dead_letter_key out{in.as<permalink>(), in.as<inbox_position>()};
  return whole(in, std::move(out));
}

// ---- values ----------------------------------------------------------------------------------------------------------

void log_record::encode(bytes& out) const {
  append_u64(out, value(term));
  out.push_back(type);
  append(out, previous.view());
  append(out, payload);
}
std::optional<log_record> log_record::decode(bytes_view raw) {
  reader in{raw};
  log_record out;
  out.term = in.as<signet::term>();
  out.type = in.u8();
  out.previous = in.as<digest>();
  out.payload = in.rest();
  return whole(in, std::move(out));
}
digest record_hash(log_index index, const log_record& record) {
  bytes head;
  head.reserve(8 + 8 + 1 + 32);
  append_u64(head, value(index));
  append_u64(head, value(record.term));
  head.push_back(record.type);
  append(head, record.previous.view());
  return hash(label::log_record, {head, record.payload});
}

void format_row::encode(bytes& out) const {
  append_u32(out, version);
  append_u32(out, min_reader);
}
std::optional<format_row> format_row::decode(bytes_view raw) {
  reader in{raw};
  format_row out{in.u32(), in.u32()};
  return whole(in, std::move(out));
}

void applied_row::encode(bytes& out) const {
  append_u64(out, value(index));
  append(out, state_hash.view());
  append_u64(out, value(last_time));
}
std::optional<applied_row> applied_row::decode(bytes_view raw) {
  reader in{raw};
  applied_row out{in.as<log_index>(), in.as<digest>(), in.as<wall_ms>()};
  return whole(in, std::move(out));
}

void identity_row::encode(bytes& out) const {
  append_u32(out, version);
  append(out, link.view());
  append_u64(out, value(index));
  append(out, next_update_key.view());
}
std::optional<identity_row> identity_row::decode(bytes_view raw) {
  reader in{raw};
  identity_row out{in.u32(), in.as<signet::link>(), in.as<log_index>(), in.as<digest>()};
  return whole(in, std::move(out));
}

void identity_version_row::encode(bytes& out) const {
  append_u64(out, value(index));
  append(out, published);
}
std::optional<identity_version_row> identity_version_row::decode(bytes_view raw) {
  reader in{raw};
  identity_version_row out{in.as<log_index>(), in.rest()};
  return whole(in, std::move(out));
}

void key_row::encode(bytes& out) const {
  append(out, identity.view());
  out.push_back(static_cast<std::uint8_t>(purpose));
  append_u64(out, value(since));
  append_u64(out, value(revoked));
}
std::optional<key_row> key_row::decode(bytes_view raw) {
  reader in{raw};
  key_row out;
  out.identity = in.as<permalink>();
  auto purpose = in.u8();
  if (purpose > static_cast<std::uint8_t>(key_purpose::encrypt))
    return std::nullopt;
  out.purpose = static_cast<key_purpose>(purpose);
  out.since = in.as<log_index>();
  out.revoked = in.as<log_index>();
  return whole(in, std::move(out));
}

void link_row::encode(bytes& out) const {
  append(out, identity.view());
  append_u32(out, version);
}
std::optional<link_row> link_row::decode(bytes_view raw) {
  reader in{raw};
  link_row out{in.as<permalink>(), in.u32()};
  return whole(in, std::move(out));
}

void lane_run::encode(bytes& out) const {
  append_u64(out, value(index));
  append_u64(out, value(first));
  append(out, last_link.view());
  leaves.encode(out);
}
std::optional<lane_run> lane_run::decode(bytes_view raw) {
  reader in{raw};
  lane_run out;
  out.index = in.as<log_index>();
  out.first = in.as<lane_number>();
  out.last_link = in.as<signet::link>();
  auto leaves = leaf_list::decode(in.rest());
  if (!leaves)
    return std::nullopt;
  out.leaves = std::move(*leaves);
  return whole(in, std::move(out));
}

void inbox_run::encode(bytes& out) const {
  append_u64(out, value(index));
  append_u64(out, value(first));
  append_u32(out, size_bytes);
  leaves.encode(out);
}
std::optional<inbox_run> inbox_run::decode(bytes_view raw) {
  reader in{raw};
  inbox_run out;
  out.index = in.as<log_index>();
  out.first = in.as<inbox_position>();
  out.size_bytes = in.u32();
  auto leaves = leaf_list::decode(in.rest());
  if (!leaves)
    return std::nullopt;
  out.leaves = std::move(*leaves);
  return whole(in, std::move(out));
}

void session_row::encode(bytes& out) const {
  append(out, device.view());
  append_u64(out, epoch);
  append_u64(out, value(opened));
  append_u64(out, value(expires));
}
std::optional<session_row> session_row::decode(bytes_view raw) {
  reader in{raw};
  session_row out{in.as<public_key>(), in.u64(), in.as<wall_ms>(), in.as<wall_ms>()};
  return whole(in, std::move(out));
}

void nonce_row::encode(bytes& out) const { append_u64(out, value(ends)); }
std::optional<nonce_row> nonce_row::decode(bytes_view raw) {
  reader in{raw};
  nonce_row out{in.as<wall_ms>()};
  return whole(in, std::move(out));
}

void cursor_row::encode(bytes& out) const { append_u64(out, value(position)); }
std::optional<cursor_row> cursor_row::decode(bytes_view raw) {
  reader in{raw};
  cursor_row out{in.as<inbox_position>()};
  return whole(in, std::move(out));
}

void event_row::encode(bytes& out) const {
  append_u64(out, value(time));
  append_u32(out, count);
  append_field(out, as_bytes(kind));
  append_field(out, subject);
  append_field(out, object);
  append_field(out, as_bytes(detail));
  append_field(out, as_bytes(source));
}
std::optional<event_row> event_row::decode(bytes_view raw) {
  reader in{raw};
  event_row out;
  out.time = in.as<wall_ms>();
  out.count = in.u32();
  out.kind = text_field(in);
  out.subject = bytes_field(in);
  out.object = bytes_field(in);
  out.detail = text_field(in);
  out.source = text_field(in);
  return whole(in, std::move(out));
}

void counter_row::encode(bytes& out) const {
  append_u64(out, count);
  append_u64(out, value(last));
}
std::optional<counter_row> counter_row::decode(bytes_view raw) {
  reader in{raw};
  counter_row out{in.u64(), in.as<log_index>()};
  return whole(in, std::move(out));
}

void fork_row::encode(bytes& out) const {
  append_u64(out, value(index));
  append_u16(out, leaf);
  append_u64(out, value(standing));
}
std::optional<fork_row> fork_row::decode(bytes_view raw) {
  reader in{raw};
  fork_row out{in.as<log_index>(), in.u16(), in.as<log_index>()};
  return whole(in, std::move(out));
}

void bot_row::encode(bytes& out) const {
  append_u64(out, epoch);
  append_u64(out, value(position));
  append_u32(out, attempts);
  append_u64(out, committed);
  append_u64(out, dead_letters);
  append(out, as_bytes(name));
}
std::optional<bot_row> bot_row::decode(bytes_view raw) {
  reader in{raw};
  bot_row out;
  out.epoch = in.u64();
  out.position = in.as<inbox_position>();
  out.attempts = in.u32();
  out.committed = in.u64();
  out.dead_letters = in.u64();
  out.name = in.text();
  return whole(in, std::move(out));
}

void dead_letter_row::encode(bytes& out) const {
  append_u64(out, value(index));
  append_u64(out, value(time));
  append_u32(out, attempts);
  append(out, as_bytes(error));
}
std::optional<dead_letter_row> dead_letter_row::decode(bytes_view raw) {
  reader in{raw};
  dead_letter_row out{in.as<log_index>(), in.as<wall_ms>(), in.u32(), in.text()};
  return whole(in, std::move(out));
}

void member_seen_row::encode(bytes& out) const {
  append(out, store.view());
  append_u64(out, server_id);
  append_u64(out, value(term));
  append_u64(out, value(promised));
  append_u64(out, value(committed));
  append_u64(out, value(seen));
  for (const auto& each : older_stores)
    append(out, each.view());
}
std::optional<member_seen_row> member_seen_row::decode(bytes_view raw) {
  constexpr std::size_t fixed = peer::store_id::size + 5 * 8;
  if (raw.size() < fixed || (raw.size() - fixed) % peer::store_id::size != 0 ||
      (raw.size() - fixed) / peer::store_id::size > older_stores_max)
    return std::nullopt;
  reader in{raw};
  member_seen_row out;
  out.store = in.as<peer::store_id>();
  out.server_id = in.u64();
  out.term = in.as<signet::term>();
  out.promised = in.as<log_index>();
  out.committed = in.as<log_index>();
  out.seen = in.as<wall_ms>();
  for (auto left = (raw.size() - fixed) / peer::store_id::size; left > 0; --left)
    out.older_stores.push_back(in.as<peer::store_id>());
  return whole(in, std::move(out));
}

// ---- the tables ------------------------------------------------------------------------------------------------------

std::span<const table_ref> all_tables() {
  static constexpr table_ref all[] = {
    table::meta::ref,         table::log::ref,           table::state::ref,          table::identities::ref,
    table::identity_versions::ref, table::keys::ref,     table::links::ref,          table::lanes::ref,
    table::inbox::ref,        table::sessions::ref,      table::session_ends::ref,   table::nonces::ref,
    table::nonce_ends::ref,   table::cursors::ref,       table::security_events::ref, table::event_counters::ref,
    table::forks::ref,        table::bots::ref,          table::dead_letters::ref,   table::members_seen::ref,
  };
  static_assert([] {
    for (std::size_t i = 0; i < std::size(all); ++i)
      if (all[i].slot != i)
        return false;
    return true;
  }(), "a table's slot is its place in this list");
  return all;
}

bool is_replicated(table_ref where) {
  return where.slot != table::meta::ref.slot && where.slot != table::log::ref.slot &&
         where.slot != table::members_seen::ref.slot;
}

namespace detail {
void throw_undecodable(table_ref where, bytes_view key) {
  throw storage_failure(ec::corrupt, "table " + std::string{where.name} + ", key " + to_hex(key) +
                                       ": the row does not have the shape of its table; run: signet verify DATA");
}
bytes& value_buffer() {
  thread_local bytes buffer;
  buffer.clear();
  return buffer;
}
} // namespace detail

} // namespace signet::storage
