#pragma once
// What became of one message: the protocol's words, in receipts and in the log's answers.

#include "messages/ids.hpp"

#include <string_view>

namespace signet {

/// Every message starts as refused (malformed) and is accepted as the last act. Numbers are those of
/// messages/schema/message.capnp and never change.
enum class outcome_code : std::uint8_t {
  malformed = 0,
  accepted = 1,          ///< durable on a majority and applied, at `index`
  duplicate = 2,         ///< same n, same link: it stands at `index` already
  fork = 3,              ///< same n, another link: refused, evidence kept, a security event
  gap = 4,               ///< the lane expects `expected` next
  not_for_here = 5,      ///< unknown recipient, or a body made for another cluster
  revoked_key = 6,
  wrong_key_purpose = 7,
  too_large = 8,
  rate_limited = 9,
  bad_signature = 10,
};
std::string_view name(outcome_code code);

struct outcome {
  outcome_code code = outcome_code::malformed;
  log_index index{};       ///< accepted, duplicate; else 0
  lane_number expected{};  ///< gap, and refusals that stop a lane; else 0
  bool operator==(const outcome&) const = default;
  bool good() const { return code == outcome_code::accepted || code == outcome_code::duplicate; }
};

} // namespace signet
