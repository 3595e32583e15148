// Bytes of an outbox publish, and bytes of a body. A batch opens or it does not; if it does, everything that is said
// about its messages is consistent, and our canonical check says what Cap'n Proto's own says.
#include "messages/envelope/batch.hpp"
#include "messages/envelope/canonical.hpp"

#include <cstdlib>

using namespace signet;

namespace {
void insist(bool holds) {
  if (!holds)
    std::abort();
}

bool judged_canonical(bytes_view aligned) {
  if (aligned.empty() || aligned.size() % 8 != 0)
    return false;
  const kj::ArrayPtr<const capnp::word> segment{reinterpret_cast<const capnp::word*>(aligned.data()),
                                                aligned.size() / 8};
  const kj::ArrayPtr<const capnp::word> segments[] = {segment};
  try {
    capnp::ReaderOptions limits;
    limits.traversalLimitInWords = UINT64_MAX;  // our walk has its own bound: each word twice
    limits.nestingLimit = 16;
    capnp::SegmentArrayMessageReader reader{kj::arrayPtr(segments, 1), limits};
    return reader.isCanonical();
  } catch (const kj::Exception&) {
    return false;
  }
}

void judge_body(bytes_view aligned) {
  // An empty struct in the root is canonical for Cap'n Proto, too; there is no body that says so little.
  const bool canonical = is_canonical(aligned);
  if (canonical)
    insist(judged_canonical(aligned));
  const auto header = read_header(aligned);
  if (!header)
    return;
  insist(canonical && judged_canonical(aligned));
  insist(value(header->n) > 0 && header->previous.is_zero() == (header->n == lane_number{1}));
  const auto object = read_object(aligned);
  insist(object.has_value());
  insist(object->type.size() <= type_bytes_max && object->body.size() <= aligned.size());
}
} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const bytes_view raw{data, size};
  judge_body(aligned_bytes{raw}.view());

  auto opened = unverified_batch::open(raw);
  const auto stored = stored_batch::open(raw);
  insist(opened.has_value() == stored.has_value());
  if (!opened)
    return 0;
  insist(opened->size() >= 1 && opened->size() <= batch_messages_max && stored->size() == opened->size());
  for (std::uint32_t leaf = 0; leaf < stored->size(); ++leaf) {
    const auto& message = opened->messages()[leaf];
    insist(message.link == stored->link(leaf));
    insist(message.problem == stored->message(leaf).problem);
    insist(!message.problem == read_header(message.body).has_value());
    if (leaf < 4)
      judge_body(message.body);
  }
  insist(root_of(*opened) == stored->tree().root());
  const auto verified = verify(std::move(*opened));
  insist(!verified || verified->root() == stored->tree().root());
  return 0;
}
