#include "messages/mqtt/topics.hpp"

#include <algorithm>
#include <cstdint>

namespace signet::mqtt {
namespace {

constexpr std::uint32_t broken = 0xFFFF'FFFF;

/// Takes one code point off the front of `rest` (not empty); `broken` if there is no well-formed one.
std::uint32_t take_code_point(std::string_view& rest) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(rest[i]); };
  const std::uint8_t first = byte(0);
  if (first < 0x80) {
    rest.remove_prefix(1);
    return first;
  }
  // C0, C1 would be overlong, F5… above U+10FFFF; a continuation byte starts nothing.
  const std::size_t size = first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : first < 0xF5 ? 4 : 0;
  if (size == 0 || rest.size() < size)
    return broken;
  std::uint32_t point = first & (0x7Fu >> size);
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0) != 0x80)
      return broken;
    point = point << 6 | (byte(i) & 0x3Fu);
  }
  const bool overlong = (size == 3 && point < 0x800) || (size == 4 && point < 0x1'0000);
  const bool surrogate = point >= 0xD800 && point <= 0xDFFF;
  if (overlong || surrogate || point > 0x10'FFFF)
    return broken;
  rest.remove_prefix(size);
  return point;
}

bool is_printable_ascii(char c) { return c >= 0x20 && c < 0x7F; }

bool is_allowed(std::uint32_t point) {
  const bool control = point < 0x20 || (point >= 0x7F && point <= 0x9F);
  const bool non_character = (point >= 0xFDD0 && point <= 0xFDEF) || (point & 0xFFFE) == 0xFFFE;
  return point != broken && !control && !non_character;
}

constexpr std::string_view share_prefix = "$share/";

/// Wildcards stand alone in their level, `#` only in the last one. `filter` is not empty.
bool wildcards_stand_alone(std::string_view filter) {
  for (std::size_t i = 0; i < filter.size(); ++i) {
    if (filter[i] != '+' && filter[i] != '#')
      continue;
    const bool starts_level = i == 0 || filter[i - 1] == '/';
    const bool is_last = i + 1 == filter.size();
    if (!starts_level || !(is_last || (filter[i] == '+' && filter[i + 1] == '/')))
      return false;
  }
  return true;
}

} // namespace

bool is_utf8(std::string_view text) {
  while (!text.empty())
    if (take_code_point(text) == broken)
      return false;
  return true;
}

bool is_text(std::string_view text) {
  while (true) {
    const auto special = std::find_if_not(text.begin(), text.end(), is_printable_ascii);
    text.remove_prefix(static_cast<std::size_t>(special - text.begin()));
    if (text.empty())
      return true;
    if (!is_allowed(take_code_point(text)))
      return false;
  }
}

bool is_topic_name(std::string_view topic) { return !topic.empty() && !has_wildcard(topic) && is_text(topic); }

bool is_topic_filter(std::string_view filter) {
  if (filter.empty() || !is_text(filter))
    return false;
  if (is_shared(filter)) {
    filter.remove_prefix(std::min(share_prefix.size(), filter.size()));
    const auto slash = filter.find('/');
    if (slash == 0 || slash == std::string_view::npos || has_wildcard(filter.substr(0, slash)))
      return false;
    filter.remove_prefix(slash + 1);
  }
  return !filter.empty() && wildcards_stand_alone(filter);
}

bool is_shared(std::string_view filter) {
  return filter.starts_with(share_prefix) || filter == share_prefix.substr(0, share_prefix.size() - 1);
}

bool has_wildcard(std::string_view filter) { return filter.find_first_of("+#") != std::string_view::npos; }

std::size_t depth(std::string_view topic) {
  return 1 + static_cast<std::size_t>(std::count(topic.begin(), topic.end(), '/'));
}

} // namespace signet::mqtt
