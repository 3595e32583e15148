#include "messages/envelope/batch.hpp"

#include "messages/envelope/canonical.hpp"
#include "messages/schema/message.capnp.h"

#include <algorithm>

namespace signet {
namespace {
// An empty Text may have no bytes at all, not even the closing 0x00.
bytes_view view_of_text(capnp::Text::Reader text) {
  return {reinterpret_cast<const std::uint8_t*>(text.begin()), text.size()};
}

result<message_header> header_of(schema::MessageBody::Reader body) {
  message_header out;
  const auto cluster = required_id<cluster_id>(body.getClusterId());
  const auto author = required_id<permalink>(body.getAuthor());
  const auto recipient = required_id<permalink>(body.getRecipient());
  if (!cluster || !author || !recipient)
    return fail(ec::malformed, "cluster, author and recipient must be named");
  out.cluster = *cluster;
  out.author = *author;
  out.recipient = *recipient;
  out.n = lane_number{body.getN()};
  if (out.n == lane_number{})
    return fail(ec::malformed, "n is 0");
  if (!optional_id(body.getPrevious(), out.previous) || out.previous.is_zero() != (out.n == lane_number{1}))
    return fail(ec::malformed, "previous link");
  if (!optional_id(body.getThread(), out.thread) || !optional_id(body.getReplyTo(), out.reply_to))
    return fail(ec::malformed, "thread or reply link");
  out.time = wall_ms{body.getTimeMs()};
  // Nodes do not use the object, but what they store is well-formed for everybody.
  const auto object = body.getObject();
  permalink object_permalink;
  link object_previous;
  if (!optional_id(object.getPermalink(), object_permalink) || !optional_id(object.getPrevious(), object_previous))
    return fail(ec::malformed, "object links");
  if (!is_clean_text(view_of_text(object.getType()), type_bytes_max) ||
      !is_clean_text(view_of_text(object.getContentType()), type_bytes_max))
    return fail(ec::malformed, "object type");
  static_cast<void>(object.getBody());
  return out;
}

/// Everything about one body but its link. `aligned` lives at least as long as the view.
message_view view_message(bytes_view aligned) {
  message_view out;
  out.body = aligned;
  if (aligned.size() > body_bytes_max) {
    out.problem = outcome_code::too_large;
    return out;
  }
  auto header = read_body_aligned<schema::MessageBody>(aligned, body_bytes_max, header_of);
  if (header)
    out.header = *header;
  else
    out.problem = outcome_code::malformed;
  return out;
}

/// Fields of a Batch; visit(count) once, then visit(body) for each.
template <class Begin, class Each>
status read_batch(bytes_view aligned, public_key& signer, signature& proof, Begin&& begin, Each&& each) {
  return read_outer_aligned<schema::Batch>(aligned, batch_bytes_max, [&](schema::Batch::Reader batch) -> status {
    const auto key = required_id<public_key>(batch.getSigningKey());
    const auto made = signature::from(view_of(batch.getSignature()));
    if (!key || !made)
      return fail(ec::malformed, "signing key or signature");
    const auto bodies = batch.getBodies();
    if (bodies.size() == 0)
      return fail(ec::malformed, "no messages");
    if (bodies.size() > batch_messages_max)
      return fail(ec::too_large, std::to_string(bodies.size()) + " messages, limit " +
                                   std::to_string(batch_messages_max));
    signer = *key;
    proof = *made;
    begin(bodies.size());
    for (const auto body : bodies)
      each(view_of(body));
    return {};
  });
}

digest root_of(std::span<const message_view> messages) {
  std::vector<link> links;
  links.reserve(messages.size());
  for (const auto& message : messages)
    links.push_back(message.link);
  return merkle_root(links);
}
} // namespace

result<message_header> read_header(bytes_view body) {
  return read_body<schema::MessageBody>(body, body_bytes_max, header_of);
}

result<message_object> read_object(bytes_view body) {
  // The reader may work on an aligned copy; what it finds is carried over to the caller's bytes by its offset.
  const aligned_bytes copy{body.size() <= body_bytes_max ? body : bytes_view{}};
  const auto here = [&](const void* at, std::size_t size) -> bytes_view {
    if (size == 0)
      return {};
    return body.subspan(static_cast<std::size_t>(static_cast<const std::uint8_t*>(at) - copy.view().data()), size);
  };
  if (body.size() > body_bytes_max)
    return fail(ec::too_large, std::to_string(body.size()) + " bytes");
  return read_body_aligned<schema::MessageBody>(
    copy.view(), body_bytes_max, [&](schema::MessageBody::Reader message) -> result<message_object> {
      if (auto header = header_of(message); !header)
        return tl::make_unexpected(std::move(header).error());
      const auto object = message.getObject();
      message_object out;
      const auto type = object.getType(), content_type = object.getContentType();
      const auto data = object.getBody();
      out.type = as_text(here(type.begin(), type.size()));
      out.content_type = as_text(here(content_type.begin(), content_type.size()));
      out.body = here(data.begin(), data.size());
      if (!optional_id(object.getPermalink(), out.permalink) || !optional_id(object.getPrevious(), out.previous))
        return fail(ec::malformed, "object links");
      return out;
    });
}

result<unverified_batch> unverified_batch::open(bytes_view raw) {
  if (raw.size() > batch_bytes_max)
    return fail(ec::too_large, std::to_string(raw.size()) + " bytes, limit " + std::to_string(batch_bytes_max));
  unverified_batch out;
  out.raw_ = aligned_bytes{raw};
  auto good = read_batch(
    out.raw_.view(), out.signer_, out.proof_, [&](std::size_t count) { out.messages_.reserve(count); },
    [&](bytes_view body) {
      out.messages_.push_back(view_message(body));
      out.messages_.back().link = hash_link(label::message, body);
    });
  if (!good)
    return tl::make_unexpected(std::move(good).error());
  return out;
}

digest root_of(const opened_batch& batch) { return root_of(batch.messages()); }

result<verified_batch> verify(unverified_batch&& batch) {
  const auto root = root_of(batch);
  if (!verify(batch.signer(), label::batch, {root.view(), big_endian(std::uint64_t{batch.size()})}, batch.proof()))
    return fail(ec::bad_signature, "batch of " + std::to_string(batch.size()));
  verified_batch out{std::move(batch)};
  out.root_ = root;
  return out;
}

status stored_batch::parse(bytes_view aligned) {
  auto good = read_batch(
    aligned, signer_, proof_, [&](std::size_t count) { bodies_.reserve(count); },
    [&](bytes_view body) { bodies_.push_back(body); });
  if (!good)
    return fail(ec::corrupt, "stored batch: " + render(good.error()));
  links_.resize(bodies_.size());
  return {};
}

result<stored_batch> stored_batch::open(bytes_view raw) {
  stored_batch out;
  out.raw_ = aligned_bytes{raw};
  if (auto good = out.parse(out.raw_.view()); !good)
    return tl::make_unexpected(std::move(good).error());
  return out;
}

result<stored_batch> stored_batch::view(bytes_view raw) {
  if (!is_word_aligned(raw))
    return open(raw);
  stored_batch out;
  if (auto good = out.parse(raw); !good)
    return tl::make_unexpected(std::move(good).error());
  return out;
}

stored_batch::stored_batch(const verified_batch& batch)
  : signer_{batch.signer_}, proof_{batch.proof_}, known_{batch.messages_} {
  bodies_.reserve(known_.size());
  links_.reserve(known_.size());
  for (const auto& message : known_) {
    bodies_.push_back(message.body);
    links_.emplace_back(message.link);
  }
}

const signet::link& stored_batch::link(std::uint32_t leaf) const {
  auto& link = links_[leaf];
  if (!link)
    link = hash_link(label::message, bodies_[leaf]);
  return *link;
}

message_view stored_batch::message(std::uint32_t leaf) const {
  if (!known_.empty())
    return known_[leaf];
  auto out = view_message(bodies_[leaf]);
  out.link = link(leaf);
  return out;
}

const merkle_tree& stored_batch::tree() const {
  if (!tree_) {
    std::vector<signet::link> links;
    links.reserve(bodies_.size());
    for (std::uint32_t leaf = 0; leaf < size(); ++leaf)
      links.push_back(link(leaf));
    tree_ = std::make_unique<merkle_tree>(links);
  }
  return *tree_;
}

result<built_message> make_message(const message_draft& draft, lane_number n, const link& previous) {
  if (draft.body.size() > body_bytes_max)
    return fail(ec::too_large, std::to_string(draft.body.size()) + " bytes, limit " + std::to_string(body_bytes_max));
  outer_builder<schema::MessageBody> message{draft.body.size() + 1024};
  auto body = message.root();
  const auto set_link = [](auto&& id, auto&& set) {
    if (!id.is_zero())
      set(data_of(id.view()));
  };
  const auto text = [](const std::string& from) { return capnp::Text::Reader{from.c_str(), from.size()}; };
  body.setClusterId(data_of(draft.cluster.view()));
  body.setAuthor(data_of(draft.author.view()));
  body.setRecipient(data_of(draft.recipient.view()));
  body.setN(value(n));
  set_link(previous, [&](auto data) { body.setPrevious(data); });
  body.setTimeMs(value(draft.time));
  auto object = body.initObject();
  if (!draft.type.empty())
    object.setType(text(draft.type));
  set_link(draft.object_permalink, [&](auto data) { object.setPermalink(data); });
  set_link(draft.object_previous, [&](auto data) { object.setPrevious(data); });
  if (!draft.content_type.empty())
    object.setContentType(text(draft.content_type));
  if (!draft.body.empty())
    object.setBody(data_of(draft.body));
  set_link(draft.thread, [&](auto data) { body.setThread(data); });
  set_link(draft.reply_to, [&](auto data) { body.setReplyTo(data); });

  built_message out;
  out.body = canonical_bytes(body.asReader());
  if (auto header = read_header(out.body); !header)
    return tl::make_unexpected(std::move(header).error());
  out.link = hash_link(label::message, out.body);
  return out;
}

result<built_message> make_message(const message_draft& draft, lane_tail& tail) {
  auto out = make_message(draft, next(tail.n), tail.link);
  if (out)
    tail = {next(tail.n), out->link};
  return out;
}

result<built_batch> make_batch(const signing_key& key, std::span<const built_message> messages) {
  if (messages.empty())
    return fail(ec::malformed, "no messages");
  if (messages.size() > batch_messages_max)
    return fail(ec::too_large, std::to_string(messages.size()) + " messages, limit " +
                                 std::to_string(batch_messages_max));
  built_batch out;
  std::size_t size = 256;
  for (const auto& message : messages) {
    size += message.body.size() + 8;
    out.links.push_back(message.link);
  }
  if (size > batch_bytes_max + 256)
    return fail(ec::too_large, std::to_string(size) + " bytes, limit " + std::to_string(batch_bytes_max));
  out.root = merkle_root(out.links);
  const auto proof = key.sign(label::batch, {out.root.view(), big_endian(std::uint64_t{messages.size()})});
  outer_builder<schema::Batch> message{size};
  auto batch = message.root();
  batch.setSigningKey(data_of(key.public_half().view()));
  batch.setSignature(data_of(proof.view()));
  auto bodies = batch.initBodies(static_cast<capnp::uint>(messages.size()));
  for (capnp::uint i = 0; i < bodies.size(); ++i)
    bodies.set(i, data_of(messages[i].body));
  out.serialised = message.finish();
  if (out.serialised.size() > batch_bytes_max)
    return fail(ec::too_large, std::to_string(out.serialised.size()) + " bytes, limit " +
                                 std::to_string(batch_bytes_max));
  return out;
}

result<built_batch> make_batch(const signing_key& key, std::span<const message_draft> drafts,
                               std::vector<std::pair<permalink, lane_tail>>& tails) {
  auto moved = tails;
  std::vector<built_message> messages;
  messages.reserve(drafts.size());
  for (const auto& draft : drafts) {
    auto at = std::find_if(moved.begin(), moved.end(), [&](const auto& lane) { return lane.first == draft.recipient; });
    if (at == moved.end())
      at = moved.insert(moved.end(), {draft.recipient, lane_tail{}});
    auto message = make_message(draft, at->second);
    if (!message)
      return tl::make_unexpected(std::move(message).error());
    messages.push_back(std::move(*message));
  }
  auto out = make_batch(key, messages);
  if (out)
    tails = std::move(moved);
  return out;
}

} // namespace signet
