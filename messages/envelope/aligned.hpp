#pragma once
// Bytes that stand on a word boundary, as Cap'n Proto reads them.

#include "messages/bytes.hpp"

#include <memory>

namespace signet {

/// An aligned, owned copy. Moving it does not move the bytes, so views of them stay good.
class aligned_bytes {
public:
  aligned_bytes() = default;
  explicit aligned_bytes(bytes_view raw);
  bytes_view view() const { return {reinterpret_cast<const std::uint8_t*>(words_.get()), size_}; }

private:
  std::unique_ptr<std::uint64_t[]> words_;
  std::size_t size_ = 0;
};

inline bool is_word_aligned(bytes_view raw) {
  return reinterpret_cast<std::uintptr_t>(raw.data()) % sizeof(std::uint64_t) == 0;
}

} // namespace signet
