#include "actors/session/stored_reads.hpp"

#include "actors/delivery/puller.hpp"
#include "storage/views/read.hpp"

namespace signet {

const storage::read_txn& stored_reads::txn() {
  if (!txn_)
    txn_.emplace(disk_.read());
  return *txn_;
}

std::optional<key_standing> stored_reads::find_key(const public_key& key) {
  const auto row = storage::find_key(txn(), key);
  if (!row)
    return std::nullopt;
  return key_standing{row->identity, row->purpose == key_purpose::sign, !row->stands()};
}

std::optional<session_standing> stored_reads::find_session(const permalink& identity, const std::string& client_id) {
  const auto row = storage::find_session(txn(), identity, client_id);
  return row ? std::optional{session_standing{row->epoch, row->expires}} : std::nullopt;
}

inbox_position stored_reads::cursor_of(const permalink& identity, const public_key& device) {
  return storage::read_cursor(txn(), identity, device);
}

inbox_position stored_reads::inbox_end(const permalink& identity) { return storage::read_inbox_head(txn(), identity); }

std::optional<pulled> stored_reads::pull(const permalink& identity, inbox_position first, inbox_position last,
                                         std::size_t payload_bytes_max) {
  auto found = pull_inbox(txn(), identity, first, last, payload_bytes_max);
  return found ? std::optional{pulled{std::move(found->payload), found->last}} : std::nullopt;
}

std::optional<identity_chain> stored_reads::chain_of(const permalink& who) {
  auto chain = storage::read_identity_chain(txn(), who);
  if (chain.versions.empty() || !chain.complete)
    return std::nullopt;
  return identity_chain{std::move(chain.versions), chain.index};
}

std::optional<permalink> stored_reads::owner_of(const signet::link& version) {
  const auto row = storage::find_version(txn(), version);
  return row ? std::optional{row->identity} : std::nullopt;
}

} // namespace signet
