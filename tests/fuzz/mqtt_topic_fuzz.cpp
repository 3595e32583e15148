// Text, topics and filters against the slow obvious reading of the standard.

#include "messages/mqtt/topics.hpp"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

namespace {

using namespace signet::mqtt;

void must(bool good, const char* what) {
  if (good)
    return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

/// Code points, by writing each candidate again in its shortest form and comparing.
std::optional<std::vector<std::uint32_t>> code_points(std::string_view text) {
  std::vector<std::uint32_t> out;
  for (std::size_t at = 0; at < text.size();) {
    bool found = false;
    for (std::size_t size = 1; size <= 4 && at + size <= text.size() && !found; ++size) {
      std::uint32_t point = static_cast<std::uint8_t>(text[at]);
      if (size > 1)
        point &= 0xFFu >> (size + 1);
      for (std::size_t i = 1; i < size; ++i)
        point = point << 6 | (static_cast<std::uint8_t>(text[at + i]) & 0x3Fu);
      std::string again;
      if (point < 0x80) {
        again = {static_cast<char>(point)};
      } else if (point < 0x800) {
        again = {static_cast<char>(0xC0 | point >> 6), static_cast<char>(0x80 | (point & 0x3F))};
      } else if (point < 0x1'0000) {
        again = {static_cast<char>(0xE0 | point >> 12), static_cast<char>(0x80 | (point >> 6 & 0x3F)),
                 static_cast<char>(0x80 | (point & 0x3F))};
      } else {
        again = {static_cast<char>(0xF0 | point >> 18), static_cast<char>(0x80 | (point >> 12 & 0x3F)),
                 static_cast<char>(0x80 | (point >> 6 & 0x3F)), static_cast<char>(0x80 | (point & 0x3F))};
      }
      if (again == text.substr(at, size) && point <= 0x10'FFFF && (point < 0xD800 || point > 0xDFFF)) {
        out.push_back(point);
        at += size;
        found = true;
      }
    }
    if (!found)
      return std::nullopt;
  }
  return out;
}

std::vector<std::string> levels(std::string_view topic) {
  std::vector<std::string> out(1);
  for (const char c : topic)
    if (c == '/')
      out.emplace_back();
    else
      out.back() += c;
  return out;
}

bool plain_filter(const std::vector<std::string>& all, std::size_t from) {
  for (std::size_t i = from; i < all.size(); ++i) {
    if (all[i] == "+" || (all[i] == "#" && i + 1 == all.size()))
      continue;
    if (has_wildcard(all[i]))
      return false;
  }
  return true;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text{reinterpret_cast<const char*>(data), size};
  const auto points = code_points(text);
  must(is_utf8(text) == points.has_value(), "is_utf8");
  bool allowed = points.has_value();
  if (points)
    for (const auto p : *points)
      if (p < 0x20 || (p >= 0x7F && p < 0xA0) || (p >= 0xFDD0 && p < 0xFDF0) || p % 0x1'0000 >= 0xFFFE)
        allowed = false;
  must(is_text(text) == allowed, "is_text");

  const auto all = levels(text);
  must(depth(text) == all.size(), "depth");
  bool wild = false;
  for (const char c : text)
    wild = wild || c == '+' || c == '#';
  must(has_wildcard(text) == wild, "has_wildcard");
  must(is_topic_name(text) == (allowed && !wild && !text.empty()), "is_topic_name");

  bool filter = allowed && !text.empty();
  if (all[0] == "$share") {
    const bool has_rest = all.size() > 3 || (all.size() == 3 && !all[2].empty());
    filter = filter && has_rest && !all[1].empty() && !has_wildcard(all[1]) && plain_filter(all, 2);
  } else {
    filter = filter && plain_filter(all, 0);
  }
  must(is_shared(text) == (all[0] == "$share"), "is_shared");
  must(is_topic_filter(text) == filter, "is_topic_filter");
  return 0;
}
