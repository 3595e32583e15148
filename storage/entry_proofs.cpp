#include "storage/entry_proofs.hpp"

#include "messages/envelope/identity.hpp"
#include "storage/views/entry.hpp"

namespace signet::storage {
namespace {

/// What stands signed in an entry; views of its bytes, or empty.
struct signed_parts {
  bytes_view batch, version;
};

signed_parts parts_of(bytes_view aligned) {
  signed_parts out;
  auto entry = read_entry(aligned);
  if (!entry)
    return out;
  if (auto* accepted = std::get_if<batch_content>(&entry->what))
    out.batch = accepted->batch;
  else if (auto* committed = std::get_if<committed_content>(&entry->what))
    out.batch = committed->batch;
  else if (auto* published = std::get_if<identity_content>(&entry->what))
    out.version = published->published;
  else if (auto* session = std::get_if<opened_content>(&entry->what))
    out.version = session->identity;
  return out;
}

} // namespace

void proven_batches::remember(bytes_view entry) {
  const aligned_bytes copy{entry};
  const auto parts = parts_of(copy.view());
  if (parts.batch.empty() || batches_max_ == 0)
    return;
  auto batch = unverified_batch::open(parts.batch);
  if (!batch)
    return;
  if (!roots_.emplace(name{batch->signer(), batch->proof()}, root_of(*batch)).second)
    return;
  order_.push_back({batch->signer(), batch->proof()});
  if (order_.size() > batches_max_) {
    roots_.erase(order_.front());
    order_.pop_front();
  }
}

bool proven_batches::contains(const public_key& signer, const signature& proof, const digest& root) const {
  auto found = roots_.find({signer, proof});
  return found != roots_.end() && found->second == root;
}

result<proofs_checked> check_proofs(bytes_view payload, const proven_batches* known) {
  proofs_checked out;
  const aligned_bytes copy{payload};
  const auto parts = parts_of(copy.view());
  if (!parts.batch.empty())
    if (auto batch = unverified_batch::open(parts.batch)) {
      if (known != nullptr && known->contains(batch->signer(), batch->proof(), root_of(*batch)))
        ++out.known;
      else if (!verify(std::move(*batch)))
        return fail(ec::bad_signature, "the batch is not what its signing key has signed");
      else
        ++out.verified;
    }
  if (!parts.version.empty()) {
    auto version = identity_version::open(parts.version);
    if (version)
      out.verified += static_cast<std::uint32_t>(version->keys().size());
    else if (version.error().code == ec::no_possession)
      return fail(ec::no_possession, "a key of this identity version does not prove its possession");
  }
  return out;
}

} // namespace signet::storage
