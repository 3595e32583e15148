#pragma once
// Text as MQTT allows it: strict UTF-8, topic names, topic filters. Pure functions; topics compare as bytes, nothing is
// ever normalised.

#include <cstddef>
#include <string_view>

namespace signet::mqtt {

/// Well-formed UTF-8 of Unicode: no overlong form, no surrogate (U+D800–DFFF), nothing above U+10FFFF, no broken or
/// truncated sequence. U+0000 is well-formed.
bool is_utf8(std::string_view text);

/// UTF-8 that may stand in a packet: well-formed, without U+0000 [1.5.4-2], and, more strictly than the standard asks,
/// without control characters (U+0001–001F, U+007F–009F) and non-characters (U+FDD0–FDEF, U+xxFFFE, U+xxFFFF).
/// A byte order mark is data. The length (≤ 65,535 bytes) is judged where it is read or written.
bool is_text(std::string_view text);

/// A topic to publish to: is_text, not empty, no `+` and no `#`. Levels may be empty ("/", "a//b").
bool is_topic_name(std::string_view topic);

/// A topic filter: is_text, not empty; `+` alone in its level; `#` alone in its level and only in the last. If it starts
/// with "$share/", a share name (not empty, no wildcards) and a filter (not empty) follow.
bool is_topic_filter(std::string_view filter);

/// Starts with "$share/", or is "$share".
bool is_shared(std::string_view filter);
/// Holds `+` or `#`.
bool has_wildcard(std::string_view filter);
/// Number of levels: 1 + number of slashes.
std::size_t depth(std::string_view topic);

} // namespace signet::mqtt
