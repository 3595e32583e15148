#include "messages/envelope/delivery.hpp"

#include "messages/envelope/canonical.hpp"
#include "messages/schema/message.capnp.h"

#include <stdexcept>

namespace signet {
namespace {
// Words of the encoded parts. Each struct: its data and pointer words; each list of structs: a tag; each Data:
// its bytes, rounded up.
constexpr std::size_t words_of(std::size_t bytes) { return (bytes + 7) / 8; }
constexpr std::size_t words_base = 1 + 1 + 1 + 1;           // segment table, root pointer, Delivery, tag of items
constexpr std::size_t words_item = 2;                       // discriminant, pointer
constexpr std::size_t words_bundle = 2 + 4 + 4 + 8 + 1;     // index, leafCount · pointers · key · signature · tag
constexpr std::size_t words_message = 2 + 1;                // position, leaf · pointer; without the body
constexpr std::size_t words_proof_hash = 1 + 4;             // pointer, hash
constexpr std::size_t words_reference = 3 + 1 + 4;          // position, index, sizeBytes · pointer · link

static_assert(delivery_bytes_min >= 8 * (words_base + words_item + words_reference));

} // namespace

std::size_t delivery_size_alone(std::uint32_t leaf_count, std::uint32_t leaf, std::size_t body_size_bytes) {
  const std::size_t proof = merkle_cover_count(leaf_count, 0, leaf) +
                            merkle_cover_count(leaf_count, leaf + 1, leaf_count);
  return 8 * (words_base + words_item + words_bundle + words_message + words_of(body_size_bytes) +
              proof * words_proof_hash);
}

delivery_builder::delivery_builder(std::size_t size_bytes_max) : words_max_{size_bytes_max / 8} { reset(); }

void delivery_builder::reset() {
  words_ = words_base;
  count_ = 0;
  first_ = last_ = {};
  items_.clear();
}

void delivery_builder::moved_to(inbox_position position) {
  if (items_.empty())
    first_ = position;
  last_ = position;
  ++count_;
}

bool delivery_builder::add(inbox_position position, log_index index, const stored_batch& batch, std::uint32_t leaf) {
  if (leaf >= batch.size() || (!items_.empty() && position != next(last_)))
    throw std::logic_error{"delivery: position " + to_string(position) + " after " + to_string(last_)};
  const auto leaves = batch.size();
  auto* open = items_.empty() ? nullptr : std::get_if<bundle>(&items_.back());
  const bool joins = open && open->index == index && open->batch == &batch && open->leaves.back().leaf < leaf;
  const auto behind = merkle_cover_count(leaves, leaf + 1, leaves);
  auto words = words_ + words_message + words_of(batch.body(leaf).size());
  std::uint32_t proof = behind;
  if (joins) {
    // What lay behind the last leaf was proved by whole subtrees; now it falls apart at this leaf.
    const auto last = open->leaves.back().leaf;
    proof += open->proof_count - merkle_cover_count(leaves, last + 1, leaves) +
             merkle_cover_count(leaves, last + 1, leaf);
    words = words - open->proof_count * words_proof_hash + proof * words_proof_hash;
  } else {
    proof += merkle_cover_count(leaves, 0, leaf);
    words += words_item + words_bundle + proof * words_proof_hash;
  }
  if (words > words_max_)
    return false;
  words_ = words;
  moved_to(position);
  if (joins) {
    open->leaves.push_back({position, leaf});
    open->proof_count = proof;
  } else {
    items_.emplace_back(bundle{index, &batch, {{position, leaf}}, proof});
  }
  return true;
}

bool delivery_builder::add_reference(inbox_position position, log_index index, const signet::link& link,
                                     std::uint32_t body_size_bytes) {
  if (!items_.empty() && position != next(last_))
    throw std::logic_error{"delivery: position " + to_string(position) + " after " + to_string(last_)};
  const auto words = words_ + words_item + words_reference;
  if (words > words_max_)
    return false;
  words_ = words;
  moved_to(position);
  items_.emplace_back(reference{position, index, link, body_size_bytes});
  return true;
}

bytes delivery_builder::finish() {
  outer_builder<schema::Delivery> message{words_ * 8};
  auto items = message.root().initItems(static_cast<capnp::uint>(items_.size()));
  for (capnp::uint i = 0; i < items.size(); ++i) {
    if (const auto* from = std::get_if<reference>(&items_[i])) {
      auto to = items[i].initReference();
      to.setPosition(value(from->position));
      to.setIndex(value(from->index));
      to.setLink(data_of(from->link.view()));
      to.setSizeBytes(from->body_size_bytes);
      continue;
    }
    const auto& from = std::get<bundle>(items_[i]);
    auto to = items[i].initBundle();
    to.setIndex(value(from.index));
    to.setSigningKey(data_of(from.batch->signer().view()));
    to.setSignature(data_of(from.batch->proof().view()));
    to.setLeafCount(from.batch->size());
    auto messages = to.initMessages(static_cast<capnp::uint>(from.leaves.size()));
    std::vector<std::uint32_t> chosen;
    chosen.reserve(from.leaves.size());
    for (capnp::uint k = 0; k < messages.size(); ++k) {
      const auto [position, leaf] = from.leaves[k];
      messages[k].setPosition(value(position));
      messages[k].setLeaf(leaf);
      if (const auto body = from.batch->body(leaf); !body.empty())
        messages[k].setBody(data_of(body));
      chosen.push_back(leaf);
    }
    if (from.proof_count == 0)
      continue;  // the whole batch: nothing to prove it with, and no hashing here
    const auto hashes = from.batch->tree().proof(chosen);
    auto proof = to.initProof(static_cast<capnp::uint>(hashes.size()));
    for (capnp::uint k = 0; k < proof.size(); ++k)
      proof.set(k, data_of(hashes[k].view()));
  }
  auto out = message.finish();
  if (out.size() != size_bytes())
    throw std::logic_error{"delivery of " + std::to_string(out.size()) + " bytes was counted as " +
                           std::to_string(size_bytes())};
  reset();
  return out;
}

namespace {
result<unverified_bundle> read_bundle(schema::Bundle::Reader from) {
  unverified_bundle out;
  const auto signer = required_id<public_key>(from.getSigningKey());
  const auto proof_signature = signature::from(view_of(from.getSignature()));
  if (!signer || !proof_signature)
    return fail(ec::malformed, "signing key or signature");
  out.index = log_index{from.getIndex()};
  out.signer = *signer;
  out.proof_signature = *proof_signature;
  out.leaf_count = from.getLeafCount();
  const auto messages = from.getMessages();
  const auto proof = from.getProof();
  if (out.leaf_count == 0 || out.leaf_count > batch_messages_max || messages.size() == 0 ||
      messages.size() > out.leaf_count || proof.size() > out.leaf_count)
    return fail(ec::malformed, "counts");
  out.messages.reserve(messages.size());
  for (const auto message : messages) {
    const auto leaf = message.getLeaf();
    if (leaf >= out.leaf_count || (!out.messages.empty() && leaf <= out.messages.back().leaf))
      return fail(ec::malformed, "leaves must rise");
    out.messages.push_back({inbox_position{message.getPosition()}, leaf, to_bytes(view_of(message.getBody()))});
  }
  out.proof.reserve(proof.size());
  for (const auto raw : proof) {
    const auto hash = digest::from(view_of(raw));
    if (!hash)
      return fail(ec::malformed, "proof");
    out.proof.push_back(*hash);
  }
  return out;
}

result<delivered_reference> read_reference(schema::Reference::Reader from) {
  const auto link = required_id<signet::link>(from.getLink());
  if (!link)
    return fail(ec::malformed, "link");
  return delivered_reference{inbox_position{from.getPosition()}, log_index{from.getIndex()}, *link,
                             from.getSizeBytes()};
}
} // namespace

result<std::vector<delivery_item>> open_delivery(bytes_view raw) {
  return read_outer<schema::Delivery>(
    raw, delivery_bytes_max, [](schema::Delivery::Reader from) -> result<std::vector<delivery_item>> {
      std::vector<delivery_item> out;
      inbox_position last{};
      const auto follows = [&](inbox_position position) {
        const bool good = position != inbox_position{} && (last == inbox_position{} || position == next(last));
        last = position;
        return good;
      };
      const auto items = from.getItems();
      if (items.size() > delivery_bytes_max / 16)
        return fail(ec::malformed, "more items than fit");
      for (const auto item : items) {
        if (item.isBundle()) {
          auto bundle = read_bundle(item.getBundle());
          if (!bundle)
            return tl::make_unexpected(std::move(bundle).error());
          for (const auto& message : bundle->messages)
            if (!follows(message.position))
              return fail(ec::malformed, "positions must rise by one");
          out.emplace_back(std::move(*bundle));
        } else if (item.isReference()) {
          auto reference = read_reference(item.getReference());
          if (!reference)
            return tl::make_unexpected(std::move(reference).error());
          if (!follows(reference->position))
            return fail(ec::malformed, "positions must rise by one");
          out.emplace_back(*reference);
        } else {
          return fail(ec::malformed, "unknown item");
        }
      }
      return out;
    });
}

result<std::vector<delivered_message>> verify_bundle(const unverified_bundle& bundle) {
  std::vector<std::uint32_t> chosen;
  std::vector<link> links;
  std::vector<delivered_message> out;
  for (const auto& message : bundle.messages) {
    auto header = read_header(message.body);
    if (!header)
      return tl::make_unexpected(std::move(header).error());
    chosen.push_back(message.leaf);
    links.push_back(hash_link(label::message, message.body));
    out.push_back({message.position, bundle.index, bundle.signer, links.back(), *header, message.body});
  }
  const auto root = merkle_rebuild(bundle.leaf_count, chosen, links, bundle.proof);
  if (!root)
    return fail(ec::malformed, "the proof does not fit the leaves");
  if (!verify(bundle.signer, label::batch, {root->view(), big_endian(std::uint64_t{bundle.leaf_count})},
              bundle.proof_signature))
    return fail(ec::bad_signature, "bundle at index " + to_string(bundle.index));
  return out;
}

} // namespace signet
