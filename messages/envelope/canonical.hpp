#pragma once
// The one door for Cap'n Proto bytes from outside. Nothing else constructs a reader.
//
// Two forms travel:
//   outer   a flat message: segment table (8 bytes: u32 0, u32 words, little-endian), then exactly one segment.
//   body    one segment without table, in canonical form. This is what is hashed and signed; it travels as it was
//           made, inside a Data field, and nobody serialises it again.
// Every door checks the size before it copies, requires one segment that fills the bytes exactly, and limits what
// reading may cost: traversal to 4 × size + 64 words, nesting to 16. Readers are handed to a function and do not
// outlive it; what they throw becomes `malformed`. Data and Text that were read point into the words, and live as long
// as those.

#include "messages/envelope/aligned.hpp"
#include "messages/errors.hpp"

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/exception.h>

#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>

namespace signet {

/// True if `words` (aligned, whole words, no segment table) is in the canonical form of Cap'n Proto: objects in
/// pre-order without holes, trailing zeros of structs cut off, padding zero, no far pointers, no capabilities.
/// Depth is limited to 16. Never throws; reads each word at most twice.
[[nodiscard]] bool is_canonical(bytes_view words);

namespace detail {
/// The one segment of an outer message, or why not. `raw` is aligned.
result<kj::ArrayPtr<const capnp::word>> outer_segment(bytes_view raw, std::size_t size_bytes_max);
/// The words of a body, or why not. `raw` is aligned.
result<kj::ArrayPtr<const capnp::word>> body_segment(bytes_view raw, std::size_t size_bytes_max);
capnp::ReaderOptions limits_for(std::size_t words);
error from_kj(const kj::Exception& what);

template <class Root, class Read>
auto read_segment(kj::ArrayPtr<const capnp::word> segment, Read&& read)
  -> std::invoke_result_t<Read, typename Root::Reader> {
  try {
    const kj::ArrayPtr<const capnp::word> segments[] = {segment};
    capnp::SegmentArrayMessageReader reader{kj::arrayPtr(segments, 1), limits_for(segment.size())};
    return read(reader.getRoot<Root>());
  } catch (const kj::Exception& what) {
    return tl::make_unexpected(from_kj(what));
  }
}
} // namespace detail

/// Calls read(Root::Reader), which returns a result<…>, on an outer message that stands aligned (see aligned_bytes).
template <class Root, class Read>
auto read_outer_aligned(bytes_view raw, std::size_t size_bytes_max, Read&& read)
  -> std::invoke_result_t<Read, typename Root::Reader> {
  auto segment = detail::outer_segment(raw, size_bytes_max);
  if (!segment)
    return tl::make_unexpected(std::move(segment).error());
  return detail::read_segment<Root>(*segment, std::forward<Read>(read));
}

/// The same for bytes that stand anywhere: they are copied if need be, so nothing that points into them may be kept.
template <class Root, class Read>
auto read_outer(bytes_view raw, std::size_t size_bytes_max, Read&& read)
  -> std::invoke_result_t<Read, typename Root::Reader> {
  if (is_word_aligned(raw) || raw.size() > size_bytes_max)
    return read_outer_aligned<Root>(raw, size_bytes_max, std::forward<Read>(read));
  const aligned_bytes copy{raw};
  return read_outer_aligned<Root>(copy.view(), size_bytes_max, std::forward<Read>(read));
}

/// Calls read(Root::Reader) on a body that stands aligned, after the canonical check (`not_canonical`).
template <class Root, class Read>
auto read_body_aligned(bytes_view raw, std::size_t size_bytes_max, Read&& read)
  -> std::invoke_result_t<Read, typename Root::Reader> {
  auto segment = detail::body_segment(raw, size_bytes_max);
  if (!segment)
    return tl::make_unexpected(std::move(segment).error());
  return detail::read_segment<Root>(*segment, std::forward<Read>(read));
}
template <class Root, class Read>
auto read_body(bytes_view raw, std::size_t size_bytes_max, Read&& read)
  -> std::invoke_result_t<Read, typename Root::Reader> {
  if (is_word_aligned(raw) || raw.size() > size_bytes_max)
    return read_body_aligned<Root>(raw, size_bytes_max, std::forward<Read>(read));
  const aligned_bytes copy{raw};
  return read_body_aligned<Root>(copy.view(), size_bytes_max, std::forward<Read>(read));
}

/// Builds an outer message. `size_hint_bytes`: what it will take, so that one segment suffices; too small costs a copy.
template <class Root>
class outer_builder {
public:
  explicit outer_builder(std::size_t size_hint_bytes = 4096)
    : message_{static_cast<capnp::uint>(size_hint_bytes / sizeof(capnp::word) + 8)},
      root_{message_.initRoot<Root>()} {}
  typename Root::Builder root() { return root_; }
  bytes finish() {
    if (message_.getSegmentsForOutput().size() == 1)
      return flat(message_);
    const auto reader = root_.asReader();
    capnp::MallocMessageBuilder one{static_cast<capnp::uint>(reader.totalSize().wordCount + 1)};
    one.setRoot(reader);
    return flat(one);
  }

private:
  static bytes flat(capnp::MessageBuilder& message) {
    const auto segment = message.getSegmentsForOutput()[0];
    const auto raw = segment.asBytes();
    const auto words = static_cast<std::uint32_t>(segment.size());
    bytes out;
    out.reserve(8 + raw.size());
    out.insert(out.end(), {0, 0, 0, 0, static_cast<std::uint8_t>(words), static_cast<std::uint8_t>(words >> 8),
                           static_cast<std::uint8_t>(words >> 16), static_cast<std::uint8_t>(words >> 24)});
    out.insert(out.end(), raw.begin(), raw.end());
    return out;
  }
  capnp::MallocMessageBuilder message_;
  typename Root::Builder root_;
};

/// The canonical words of a struct: what is hashed and signed.
template <class Reader>
bytes canonical_bytes(Reader&& content) {
  const auto words = capnp::canonicalize(std::forward<Reader>(content));
  const auto raw = words.asBytes();
  return {raw.begin(), raw.end()};
}

// Fields of schemas, read and written.
inline bytes_view view_of(capnp::Data::Reader data) { return {data.begin(), data.size()}; }
inline capnp::Data::Reader data_of(bytes_view raw) { return {raw.data(), raw.size()}; }
/// Exactly Id::size bytes, and not all zero.
template <class Id>
std::optional<Id> required_id(capnp::Data::Reader data) {
  auto id = Id::from(view_of(data));
  return id && !id->is_zero() ? id : std::nullopt;
}
/// The same, or empty: all zero then. Returns false for anything else.
template <class Id>
[[nodiscard]] bool optional_id(capnp::Data::Reader data, Id& out) {
  if (data.size() == 0)
    return true;
  auto id = required_id<Id>(data);
  if (id)
    out = *id;
  return id.has_value();
}
/// Well-formed UTF-8 without U+0000, at most `size_bytes_max` bytes.
[[nodiscard]] bool is_clean_text(bytes_view text, std::size_t size_bytes_max);

} // namespace signet
