#include "messages/envelope/canonical.hpp"

#include <bit>
#include <cstring>

namespace signet {
namespace {
constexpr std::size_t word_size = sizeof(std::uint64_t);
constexpr int nesting_max = 16;

/// Walks the objects of one segment in the order in which canonical form lays them out: each must begin where the one
/// before it ended. So every word is looked at once as content and at most once more as the last of its struct.
class canonical_walk {
public:
  explicit canonical_walk(bytes_view raw) : raw_{raw.data()}, count_{raw.size() / word_size} {}

  bool whole() {
    const auto root = word(0);
    if ((root & 3) != kind_struct || root == 0)
      return false;
    return pointer(0, nesting_max) && next_ == count_;
  }

private:
  static constexpr std::uint64_t kind_struct = 0, kind_list = 1;

  std::uint64_t word(std::size_t at) const {
    std::uint64_t out;
    std::memcpy(&out, raw_ + at * word_size, word_size);
    if constexpr (std::endian::native == std::endian::big)
      out = __builtin_bswap64(out);
    return out;
  }
  std::size_t left() const { return count_ - next_; }

  /// The pointer in word `at`, and what it points to.
  bool pointer(std::size_t at, int depth) {
    const auto value = word(at);
    if (value == 0)
      return true;
    if (depth == 0)
      return false;
    const auto offset = static_cast<std::int32_t>(static_cast<std::uint32_t>(value)) >> 2;
    const auto target = static_cast<std::int64_t>(at) + 1 + offset;
    if ((value & 3) == kind_struct) {
      const std::size_t data = value >> 32 & 0xffff, pointers = value >> 48;
      if (data + pointers == 0)
        return offset == -1;
      bool data_cut = false, pointers_cut = false;
      if (target != static_cast<std::int64_t>(next_) || left() < data + pointers)
        return false;
      const auto begin = next_;
      next_ += data + pointers;
      return fields(begin, data, pointers, depth, data_cut, pointers_cut) && data_cut && pointers_cut;
    }
    if ((value & 3) == kind_list)
      return target == static_cast<std::int64_t>(next_) && list(value >> 32 & 7, value >> 35, depth);
    return false;  // far pointers and capabilities
  }

  /// One struct's words; notes whether data and pointers end with something other than zero.
  bool fields(std::size_t begin, std::size_t data, std::size_t pointers, int depth, bool& data_cut,
              bool& pointers_cut) {
    data_cut = data_cut || data == 0 || word(begin + data - 1) != 0;
    pointers_cut = pointers_cut || pointers == 0 || word(begin + data + pointers - 1) != 0;
    for (std::size_t i = 0; i < pointers; ++i)
      if (!pointer(begin + data + i, depth - 1))
        return false;
    return true;
  }

  bool list(std::uint64_t element, std::size_t count, int depth) {
    static constexpr std::size_t bits[] = {0, 1, 8, 16, 32, 64};
    if (element < std::size(bits))
      return flat_list(count * bits[element]);
    if (element == 6) {
      if (left() < count)
        return false;
      const auto begin = next_;
      next_ += count;
      for (std::size_t i = 0; i < count; ++i)
        if (!pointer(begin + i, depth - 1))
          return false;
      return true;
    }
    return struct_list(count, depth);
  }

  bool flat_list(std::size_t bits) {
    const auto words = (bits + 63) / 64;
    if (left() < words)
      return false;
    if (bits % 64 != 0 && word(next_ + words - 1) >> (bits % 64) != 0)
      return false;  // padding
    next_ += words;
    return true;
  }

  bool struct_list(std::size_t words, int depth) {
    if (left() < 1 + words)
      return false;
    const auto tag = word(next_);
    const std::size_t count = static_cast<std::uint32_t>(tag) >> 2, data = tag >> 32 & 0xffff, pointers = tag >> 48;
    if ((tag & 3) != kind_struct || count * (data + pointers) != words)
      return false;
    const auto begin = next_ + 1;
    next_ += 1 + words;
    if (data + pointers == 0)
      return true;
    bool data_cut = false, pointers_cut = false;
    for (std::size_t i = 0; i < count; ++i)
      if (!fields(begin + i * (data + pointers), data, pointers, depth, data_cut, pointers_cut))
        return false;
    return data_cut && pointers_cut;
  }

  const std::uint8_t* raw_;
  std::size_t count_;
  std::size_t next_ = 1;
};

kj::ArrayPtr<const capnp::word> as_words(bytes_view raw) {
  return {reinterpret_cast<const capnp::word*>(raw.data()), raw.size() / word_size};
}
} // namespace

bool is_canonical(bytes_view words) {
  return !words.empty() && words.size() % word_size == 0 && canonical_walk{words}.whole();
}

namespace detail {

result<kj::ArrayPtr<const capnp::word>> outer_segment(bytes_view raw, std::size_t size_bytes_max) {
  if (raw.size() > size_bytes_max)
    return fail(ec::too_large, std::to_string(raw.size()) + " bytes, limit " + std::to_string(size_bytes_max));
  if (raw.size() < 2 * word_size || raw.size() % word_size != 0)
    return fail(ec::malformed, "not a whole message");
  const auto table = [&](std::size_t at) {
    return static_cast<std::uint32_t>(raw[at] | raw[at + 1] << 8 | raw[at + 2] << 16) |
           static_cast<std::uint32_t>(raw[at + 3]) << 24;
  };
  if (table(0) != 0)
    return fail(ec::malformed, "not one segment");
  if (table(4) != raw.size() / word_size - 1)
    return fail(ec::malformed, "the segment does not fill the message");
  return as_words(raw.subspan(word_size));
}

result<kj::ArrayPtr<const capnp::word>> body_segment(bytes_view raw, std::size_t size_bytes_max) {
  if (raw.size() > size_bytes_max)
    return fail(ec::too_large, std::to_string(raw.size()) + " bytes, limit " + std::to_string(size_bytes_max));
  if (raw.empty() || raw.size() % word_size != 0)
    return fail(ec::malformed, "not whole words");
  if (!is_canonical(raw))
    return fail(ec::not_canonical);
  return as_words(raw);
}

capnp::ReaderOptions limits_for(std::size_t words) {
  capnp::ReaderOptions out;
  out.traversalLimitInWords = 4 * words + 64;
  out.nestingLimit = nesting_max;
  return out;
}

error from_kj(const kj::Exception& what) {
  const auto text = what.getDescription();
  // Cap'n Proto's own words, shortened: they name the broken rule, never content.
  return {ec::malformed, std::string{text.cStr(), std::min<std::size_t>(text.size(), 80)}};
}

} // namespace detail

bool is_clean_text(bytes_view text, std::size_t size_bytes_max) {
  if (text.size() > size_bytes_max)
    return false;
  for (std::size_t i = 0; i < text.size();) {
    const auto first = text[i];
    if (first < 0x80) {
      if (first == 0)
        return false;
      ++i;
      continue;
    }
    const std::size_t more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
    if (first < 0xc2 || first > 0xf4 || text.size() - i <= more)
      return false;
    std::uint32_t code = first & (0x3fU >> more);
    for (std::size_t k = 1; k <= more; ++k) {
      if ((text[i + k] & 0xc0) != 0x80)
        return false;
      code = code << 6 | (text[i + k] & 0x3fU);
    }
    constexpr std::uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    if (code < least[more] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
      return false;
    i += more + 1;
  }
  return true;
}

} // namespace signet
