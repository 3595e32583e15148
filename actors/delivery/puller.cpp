#include "actors/delivery/puller.hpp"

#include "messages/envelope/delivery.hpp"
#include "storage/views/read.hpp"

#include <algorithm>
#include <deque>

namespace signet {
namespace {
// One publish; more small messages than this go into the next.
constexpr std::size_t messages_max = 4'096;
// What a message takes in a delivery beside its body, and a bundle beside its messages, at most.
constexpr std::size_t message_overhead_bytes = 32, bundle_overhead_bytes = 256;

/// Whether the rest of a batch, from this leaf on, is better left for the next publish: it fits there whole, and here it
/// would be cut. A cut batch costs a Merkle tree here and a second signature check at the reader.
bool goes_whole_into_the_next(const stored_batch& batch, std::uint32_t leaf, std::size_t used_bytes,
                              std::size_t payload_bytes_max) {
  std::size_t rest = bundle_overhead_bytes;
  for (; leaf < batch.size(); ++leaf)
    rest += batch.body(leaf).size() + message_overhead_bytes;
  return used_bytes + rest > payload_bytes_max && rest <= payload_bytes_max;
}
} // namespace

std::optional<pulled_delivery> pull_inbox(const storage::read_txn& txn, const permalink& who, inbox_position first,
                                          inbox_position last, std::size_t payload_bytes_max) {
  delivery_builder builder{payload_bytes_max};
  std::deque<storage::loaded_batch> batches;  // must not move until finish()
  bool full = false;
  auto position = first;
  while (!full && position <= last) {
    const auto slices = storage::read_inbox(txn, who, position, messages_max,
                                            payload_bytes_max - std::min(payload_bytes_max, builder.size_bytes()));
    if (slices.empty())
      break;
    const auto before = position;
    for (const auto& slice : slices) {
      batches.push_back(storage::load_batch(txn, slice.index));
      const auto& batch = batches.back().batch;
      if (!builder.empty() && !slice.leaves.empty() &&
          goes_whole_into_the_next(batch, slice.leaves.front(), builder.size_bytes(), payload_bytes_max)) {
        full = true;
        break;
      }
      for (const auto leaf : slice.leaves) {
        if (position > last || builder.message_count() >= messages_max) {
          full = true;
          break;
        }
        const bool fitted = fits_alone(payload_bytes_max, batch, leaf)
                              ? builder.add(position, slice.index, batch, leaf)
                              : builder.add_reference(position, slice.index, batch.link(leaf),
                                                      static_cast<std::uint32_t>(batch.body(leaf).size()));
        if (!fitted) {
          full = true;
          break;
        }
        position = next(position);
      }
      if (full)
        break;
    }
    if (position == before)
      break;
  }
  if (builder.empty())
    return std::nullopt;
  const auto end = builder.last();
  return pulled_delivery{builder.finish(), end};
}

} // namespace signet
