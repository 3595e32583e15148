#pragma once
// Receipts: what a node answers to one outbox publish, once its entry is committed and applied.

#include "messages/errors.hpp"
#include "messages/outcome.hpp"

#include <string>
#include <vector>

namespace signet {

/// Room for 1024 outcomes.
inline constexpr std::size_t receipt_bytes_max = 131072;

struct receipt {
  struct line {
    signet::outcome outcome;
    signet::link link;  ///< of the message; all zero: unknown
    bool operator==(const line&) const = default;
  };
  digest root;              ///< all zero: the batch could not be read
  std::vector<line> lines;  ///< in the order of the batch; empty: see problem
  std::string problem;      ///< name of the error that refused the whole batch; else empty
  std::uint32_t retry_after_ms = 0;
  bool operator==(const receipt&) const = default;

  bool all_good() const;
};

bytes make_receipt(const receipt& content);
/// What make_receipt() will take at most.
std::size_t receipt_size_bytes(const receipt& content);
/// `too_large`, `malformed`. An outcome code this version does not know is `malformed`.
result<receipt> open_receipt(bytes_view raw);

} // namespace signet
