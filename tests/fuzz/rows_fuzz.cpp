// Rows of every table: what decodes is exactly what encoding would write, and nothing else decodes.
// Input: table u8 ‖ key size u8 ‖ key ‖ value.
#include "storage/tables.hpp"

#include <cstdlib>

using namespace signet;
using namespace signet::storage;

namespace {
void insist(bool holds) {
  if (!holds)
    std::abort();
}
bool same(bytes_view a, bytes_view b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }

template <class Table>
void try_row(std::uint8_t slot, bytes_view key, bytes_view value) {
  if (slot != Table::ref.slot)
    return;
  if (auto decoded = Table::key::decode(key))
    insist(same(encode_key(*decoded).view(), key));
  if (auto decoded = Table::value::decode(value)) {
    bytes again;
    decoded->encode(again);
    insist(same(again, value));
  }
}
template <class... Tables>
void try_each(std::uint8_t slot, bytes_view key, bytes_view value) {
  (try_row<Tables>(slot, key, value), ...);
}
} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2 || size - 2 < data[1])
    return 0;
  const bytes_view key{data + 2, data[1]}, value{data + 2 + data[1], size - 2 - data[1]};
  try_each<table::meta, table::log, table::state, table::identities, table::identity_versions, table::keys, table::links,
           table::lanes, table::inbox, table::sessions, table::session_ends, table::nonces, table::nonce_ends,
           table::cursors, table::security_events, table::event_counters, table::forks, table::bots,
           table::dead_letters, table::members_seen>(data[0], key, value);
  if (data[0] == table::state::ref.slot)
    if (auto applied = applied_row::decode(value)) {
      bytes again;
      applied->encode(again);
      insist(same(again, value));
    }
  return 0;
}
