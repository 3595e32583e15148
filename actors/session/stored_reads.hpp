#pragma once
// session_reads over LMDB: one short read transaction, opened when the first question comes and ended with release().

#include "actors/session/ports.hpp"
#include "storage/lmdb/environment.hpp"

namespace signet {

/// Belongs to one actor; between release() and the next question it holds nothing, so the thread may change.
class stored_reads final : public session_reads {
public:
  explicit stored_reads(const storage::environment& disk) : disk_{disk} {}
  void release() { txn_.reset(); }

  std::optional<key_standing> find_key(const public_key& key) override;
  std::optional<session_standing> find_session(const permalink& identity, const std::string& client_id) override;
  inbox_position cursor_of(const permalink& identity, const public_key& device) override;
  inbox_position inbox_end(const permalink& identity) override;
  std::optional<pulled> pull(const permalink& identity, inbox_position first, inbox_position last,
                             std::size_t payload_bytes_max) override;
  std::optional<identity_chain> chain_of(const permalink& who) override;
  std::optional<permalink> owner_of(const signet::link& version) override;

private:
  const storage::read_txn& txn();
  const storage::environment& disk_;
  std::optional<storage::read_txn> txn_;
};

} // namespace signet
