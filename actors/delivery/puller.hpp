#pragma once
// Pulls an inbox: from views and log to the payload of one publish on signet/v1/inbox. A function of one read
// transaction; keeps nothing. The author's bytes and signature go through as they came.

#include "messages/ids.hpp"
#include "storage/lmdb/environment.hpp"

namespace signet {

struct pulled_delivery {
  bytes payload;          ///< encoded Delivery, at most payload_bytes_max
  inbox_position last{};  ///< positions [first, last] are in it
};

/// Packs positions from `first` on, up to `last` (at least `first`) or as much as fits. A message that would not fit
/// even alone goes by reference, so it never blocks those behind it. Nothing: the inbox ends before `first`.
/// `payload_bytes_max` ≥ delivery_bytes_min. Throws storage_failure.
std::optional<pulled_delivery> pull_inbox(const storage::read_txn& txn, const permalink& who, inbox_position first,
                                          inbox_position last, std::size_t payload_bytes_max);

} // namespace signet
