#include "messages/envelope/aligned.hpp"

#include <cstring>

namespace signet {

aligned_bytes::aligned_bytes(bytes_view raw)
  : words_{std::make_unique_for_overwrite<std::uint64_t[]>((raw.size() + 7) / 8 + 1)}, size_{raw.size()} {
  if (!raw.empty())
    std::memcpy(words_.get(), raw.data(), raw.size());
}

} // namespace signet
