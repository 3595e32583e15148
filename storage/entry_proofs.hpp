#pragma once
// ENTRY PROOFS: what authors have signed in a log entry, checked again. Whoever proposes an entry has verified it before;
// these checks are for who has it from somebody else: a follower that gets it from its leader, and `signet verify`.
//
// What is checked: the signature of a batch over the Merkle root of its messages (also of a bot's), and that every key of an
// identity version has signed it. What is not, because it depends on the state, and apply judges it on every node: whether a
// key may speak for an author, and whether an update key of the version before has signed the next one. What cannot be,
// because it is not in the log: the proof behind the opening of a session. So a leader that lies can open and close
// sessions, move cursors and write security events; it cannot say anything in an author's name, or publish an identity.
//
// Cost: one signature is about 60 µs; a batch costs that and two short hashes a message, an identity version that for each
// of its keys; every other entry less than 1 µs. So a follower checks 15,000 batches a second on one core, of any size up to
// 1,024 messages.

#include "messages/envelope/batch.hpp"
#include "messages/errors.hpp"

#include <deque>
#include <unordered_map>

namespace signet::storage {

/// Batches whose signature this process has verified already: those of its own clients, which come back from the leader.
/// Only what is in flight needs to be here; the oldest goes first. One thread.
class proven_batches {
public:
  explicit proven_batches(std::size_t batches_max = 8'192) : batches_max_{batches_max} {}

  /// `entry` holds a batch that was verified here; anything else is passed over.
  void remember(bytes_view entry);
  /// Signed by this key over exactly this root.
  bool contains(const public_key& signer, const signature& proof, const digest& root) const;
  std::size_t size() const { return roots_.size(); }

private:
  struct name {
    public_key signer;
    signature proof;
    bool operator==(const name&) const = default;
  };
  struct name_hash {
    std::size_t operator()(const name& x) const { return id_hash{}(x.signer) * 31 + id_hash{}(x.proof); }
  };
  std::size_t batches_max_;
  std::unordered_map<name, digest, name_hash> roots_;
  std::deque<name> order_;
};

struct proofs_checked {
  std::uint32_t verified = 0;  ///< signatures that hold
  std::uint32_t known = 0;     ///< batches that were proven before
};
/// `payload`: of a log record of type command. Errors: bad_signature (a batch), no_possession (an identity version), with a
/// sentence. What cannot be read as an entry, or holds a batch that cannot be read as one, claims nothing and is fine here:
/// apply refuses it.
result<proofs_checked> check_proofs(bytes_view payload, const proven_batches* known = nullptr);

} // namespace signet::storage
