#pragma once
// Messages and batches: 1 to 1024 messages of one author under one signature over the Merkle root of their links.
//
//   bytes → unverified_batch::open → verify() → verified_batch → log → stored_batch
//
// The types are the proof: a function that takes a verified_batch can rely on the signature. Whether a key may speak
// for the author, and whether a lane goes on, are questions for the state (storage/), not for bytes.

#include "messages/envelope/aligned.hpp"
#include "messages/envelope/keys.hpp"
#include "messages/envelope/merkle.hpp"
#include "messages/outcome.hpp"

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace signet {

inline constexpr std::size_t batch_messages_max = 1024;
inline constexpr std::size_t batch_bytes_max = 1048576;
inline constexpr std::size_t body_bytes_max = 196608;
/// Of object type and content type.
inline constexpr std::size_t type_bytes_max = 128;

/// What a message says about itself. All zero where a field is empty.
struct message_header {
  cluster_id cluster;
  permalink author;
  permalink recipient;
  lane_number n{};
  signet::link previous;  ///< of message n - 1; all zero if and only if n = 1
  wall_ms time{};         ///< data only
  signet::link thread;
  signet::link reply_to;
};

/// What a message carries. The views live as long as the bytes they were read from.
struct message_object {
  std::string_view type;
  signet::permalink permalink;
  signet::link previous;
  std::string_view content_type;
  bytes_view body;
};

/// One message of a batch. `header` means something only if there is no problem.
struct message_view {
  signet::link link;  ///< H(message, body), also of a body that cannot be read
  bytes_view body;    ///< as its author signed it; lives as long as its batch
  message_header header;
  /// Why it is refused whatever the state says: malformed or too_large. Nothing: it is well-formed.
  std::optional<outcome_code> problem;
};

/// Reads a body by itself: form and canonical check. `too_large`, `malformed`, `not_canonical`.
result<message_header> read_header(bytes_view body);
/// The object inside. Call it on bodies that read_header() has accepted; the views point into `body`.
result<message_object> read_object(bytes_view body);

/// What both kinds of batch from outside let one see. Move-only; moving does not invalidate views.
class opened_batch {
public:
  const public_key& signer() const { return signer_; }
  const signature& proof() const { return proof_; }
  /// In the order of Batch.bodies.
  std::span<const message_view> messages() const { return messages_; }
  std::size_t size() const { return messages_.size(); }
  /// The whole Batch as it arrived.
  bytes_view serialised() const { return raw_.view(); }

protected:
  opened_batch() = default;
  opened_batch(opened_batch&&) = default;
  opened_batch& operator=(opened_batch&&) = default;
  ~opened_batch() = default;

  friend class stored_batch;
  aligned_bytes raw_;
  public_key signer_;
  signature proof_;
  std::vector<message_view> messages_;
};

/// Well-formed as a batch; nothing is known about who made it.
class unverified_batch : public opened_batch {
public:
  /// `too_large` (before anything is copied), `malformed`: the batch as a whole. Single messages that cannot be read
  /// carry their problem and do not disturb the others.
  static result<unverified_batch> open(bytes_view raw);
};

/// Signed by signer(), whole.
class verified_batch : public opened_batch {
public:
  const digest& root() const { return root_; }

private:
  explicit verified_batch(opened_batch&& content) : opened_batch{std::move(content)} {}
  friend result<verified_batch> verify(unverified_batch&& batch);
  digest root_;
};

/// Root and one signature: about 70 µs and two short hashes a message. `bad_signature`: then `batch` is as it was.
result<verified_batch> verify(unverified_batch&& batch);
/// The root alone: receipts of refused batches name it.
digest root_of(const opened_batch& batch);

/// A batch that comes from the node's own log, or is about to: signatures are not checked again, links are computed when
/// asked for. One thread at a time (it caches). Move-only.
class stored_batch {
public:
  /// Copies. `corrupt`: not a batch.
  static result<stored_batch> open(bytes_view raw);
  /// Copies only what does not stand aligned: `raw` must outlive the stored_batch.
  static result<stored_batch> view(bytes_view raw);
  /// With all that verification has found out: nothing is hashed or parsed again. `batch` must outlive the stored_batch.
  explicit stored_batch(const verified_batch& batch);

  std::uint32_t size() const { return static_cast<std::uint32_t>(bodies_.size()); }
  const public_key& signer() const { return signer_; }
  const signature& proof() const { return proof_; }
  bytes_view body(std::uint32_t leaf) const { return bodies_[leaf]; }
  /// Computed at the first call, then kept.
  const signet::link& link(std::uint32_t leaf) const;
  /// Parsed at each call unless it is known, and well-formed or not as on arrival: the same problem is found again.
  message_view message(std::uint32_t leaf) const;
  /// All links and nodes; computed at the first call, then kept.
  const merkle_tree& tree() const;

private:
  stored_batch() = default;
  status parse(bytes_view aligned);

  aligned_bytes raw_;  ///< empty if it views bytes of somebody else
  public_key signer_;
  signature proof_;
  std::span<const message_view> known_;  ///< of a verified batch: all of them; else none
  std::vector<bytes_view> bodies_;
  mutable std::vector<std::optional<signet::link>> links_;
  mutable std::unique_ptr<merkle_tree> tree_;
};

/// Where a lane stands: the last message sent. n = 0 and a zero link: nothing yet.
struct lane_tail {
  lane_number n{};
  signet::link link;
  bool operator==(const lane_tail&) const = default;
};

/// What an author wants to say.
struct message_draft {
  cluster_id cluster;
  permalink author;
  permalink recipient;
  wall_ms time{};
  std::string type = "text";
  std::string content_type;
  bytes body;
  signet::permalink object_permalink;  ///< of a versioned object
  signet::link object_previous;
  signet::link thread;
  signet::link reply_to;
};

struct built_message {
  bytes body;
  signet::link link;
};
/// The next message of a lane; `tail` moves on to it. `too_large`, `malformed`; the tail stays then.
result<built_message> make_message(const message_draft& draft, lane_tail& tail);
/// With this number and previous link, whatever they are: for tests and tools that want gaps and forks.
result<built_message> make_message(const message_draft& draft, lane_number n, const signet::link& previous);

struct built_batch {
  bytes serialised;
  digest root;
  std::vector<link> links;
};
/// `too_large`: more than 1024 messages or 1 MiB; `malformed`: none.
result<built_batch> make_batch(const signing_key& key, std::span<const built_message> messages);
/// Drafts, chained lane by lane: `tails` holds where each recipient's lane stands, and moves on. On failure it stays.
result<built_batch> make_batch(const signing_key& key, std::span<const message_draft> drafts,
                               std::vector<std::pair<permalink, lane_tail>>& tails);

} // namespace signet
