#pragma once
// Deliveries: what a node publishes to an inbox, and how a client checks it.
//
// The node side packs messages into one publish by exact encoded size. The client side opens one into items; a bundle
// becomes messages only through verify_bundle().

#include "messages/envelope/batch.hpp"

#include <variant>

namespace signet {

// --- node ---

/// Packs one Delivery. Sizes are exact: size_bytes() is what finish() returns.
class delivery_builder {
public:
  /// `size_bytes_max`: of the encoded Delivery, so of the publish's payload.
  explicit delivery_builder(std::size_t size_bytes_max);

  /// Adds the next message. False, and nothing has changed, if it does not fit any more. Positions rise by one from
  /// call to call. A message of the same entry as the one before, at a higher leaf, joins its bundle. `batch` must
  /// live, and not move, until finish().
  [[nodiscard]] bool add(inbox_position position, log_index index, const stored_batch& batch, std::uint32_t leaf);
  /// Stands for a message that would not fit even alone: see fits_alone().
  [[nodiscard]] bool add_reference(inbox_position position, log_index index, const signet::link& link,
                                   std::uint32_t body_size_bytes);

  bool empty() const { return items_.empty(); }
  std::size_t message_count() const { return count_; }
  std::size_t size_bytes() const { return words_ * 8; }
  /// First and last position inside; meaningless while empty.
  inbox_position first() const { return first_; }
  inbox_position last() const { return last_; }
  /// The encoded Delivery; the builder is empty again.
  bytes finish();

private:
  struct leaf_at {
    inbox_position position;
    std::uint32_t leaf;
  };
  struct bundle {
    log_index index;
    const stored_batch* batch;
    std::vector<leaf_at> leaves;
    std::uint32_t proof_count;  ///< hashes of its proof
  };
  struct reference {
    inbox_position position;
    log_index index;
    signet::link link;
    std::uint32_t body_size_bytes;
  };
  void reset();
  void moved_to(inbox_position position);

  std::size_t words_max_;
  std::size_t words_ = 0;
  std::size_t count_ = 0;
  inbox_position first_{};
  inbox_position last_{};
  std::vector<std::variant<bundle, reference>> items_;
};

/// Size of a Delivery that holds this one message and nothing else.
std::size_t delivery_size_alone(std::uint32_t leaf_count, std::uint32_t leaf, std::size_t body_size_bytes);
/// Would it fit into a publish of its own? If not, it goes by reference.
inline bool fits_alone(std::size_t size_bytes_max, const stored_batch& batch, std::uint32_t leaf) {
  return delivery_size_alone(batch.size(), leaf, batch.body(leaf).size()) <= size_bytes_max;
}
/// The smallest limit that makes sense: a reference must fit.
inline constexpr std::size_t delivery_bytes_min = 128;

// --- client ---

/// What came, not yet checked.
struct unverified_bundle {
  struct message {
    inbox_position position;
    std::uint32_t leaf;
    bytes body;
  };
  log_index index{};
  public_key signer;
  signature proof_signature;
  std::uint32_t leaf_count = 0;
  std::vector<message> messages;  ///< rising positions, rising leaves
  std::vector<digest> proof;
};

struct delivered_reference {
  inbox_position position{};
  log_index index{};
  signet::link link;
  std::uint32_t body_size_bytes = 0;
};

using delivery_item = std::variant<unverified_bundle, delivered_reference>;

/// Largest Delivery a client of this code accepts.
inline constexpr std::size_t delivery_bytes_max = 1048576;

/// Form only: lengths, rising positions without gap, rising leaves, counts. `too_large`, `malformed`.
result<std::vector<delivery_item>> open_delivery(bytes_view raw);

/// A message whose author has signed it, if `signer` is a key of `header.author`: ask the author's identity chain.
struct delivered_message {
  inbox_position position{};
  log_index index{};
  public_key signer;
  signet::link link;
  message_header header;
  bytes body;  ///< read_object() takes it
};

/// Links, root by multi-proof, signature; every body well-formed. `malformed`, `bad_signature`.
result<std::vector<delivered_message>> verify_bundle(const unverified_bundle& bundle);

} // namespace signet
