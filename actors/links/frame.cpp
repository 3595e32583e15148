#include "actors/links/frame.hpp"

namespace signet {
namespace {

void append_head(bytes& out, link_frame_kind kind, std::size_t content) {
  const auto length = static_cast<std::uint32_t>(content + 1);
  for (int shift = 0; shift < 32; shift += 8)
    out.push_back(static_cast<std::uint8_t>(length >> shift));
  out.push_back(static_cast<std::uint8_t>(kind));
}

} // namespace

void append_link_frame(bytes& out, link_frame_kind kind, bytes_view content) {
  append_head(out, kind, content.size());
  append(out, content);
}

void append_link_number(bytes& out, link_frame_kind kind, std::uint64_t number) {
  append_head(out, kind, 8);
  for (int shift = 0; shift < 64; shift += 8)
    out.push_back(static_cast<std::uint8_t>(number >> shift));
}

std::optional<std::uint64_t> read_link_number(bytes_view content) {
  if (content.size() != 8)
    return std::nullopt;
  std::uint64_t out = 0;
  for (std::size_t i = 0; i < 8; ++i)
    out |= std::uint64_t{content[i]} << (8 * i);
  return out;
}

link_splitter::outcome link_splitter::feed(bytes_view arrived, const sink& each) {
  while (!arrived.empty()) {
    if (head_size_ < head_.size()) {
      const auto part = std::min(head_.size() - head_size_, arrived.size());
      std::copy_n(arrived.begin(), part, head_.begin() + static_cast<std::ptrdiff_t>(head_size_));
      head_size_ += part;
      arrived = arrived.subspan(part);
      if (head_size_ < head_.size())
        break;
      std::size_t length = 0;
      for (std::size_t i = 0; i < 4; ++i)
        length |= std::size_t{head_[i]} << (8 * i);
      if (length == 0 || head_[4] < static_cast<std::uint8_t>(link_frame_kind::hello)
          || head_[4] > static_cast<std::uint8_t>(link_frame_kind::data))
        return outcome::malformed;
      const bool data = head_[4] == static_cast<std::uint8_t>(link_frame_kind::data);
      if (data ? data_bytes_max_ == 0 || length - 1 > data_bytes_max_ : length - 1 > link_control_bytes_max)
        return outcome::oversize;
      wanted_ = length - 1;
    }
    const auto part = std::min(wanted_ - content_.size(), arrived.size());
    if (content_.empty() && part == wanted_)
      content_.reserve(wanted_);
    append(content_, arrived.first(part));
    arrived = arrived.subspan(part);
    if (content_.size() < wanted_)
      break;
    const auto kind = static_cast<link_frame_kind>(head_[4]);
    head_size_ = 0;
    wanted_ = 0;
    if (!each(kind, std::exchange(content_, {})))
      return outcome::stopped;
  }
  return outcome::fine;
}

} // namespace signet
