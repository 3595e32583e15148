#pragma once
// What one entry of the log is news for: whose inbox has grown, whose identity has changed. Plain C++.

#include "messages/ids.hpp"

#include <vector>

namespace signet {

struct news {
  std::vector<permalink> inboxes;     ///< each once, in order of first mention
  std::vector<permalink> identities;  ///< a new version was published
};
/// `entry`: a serialised LogEntry from the log. Bytes that are none are no news. May name an inbox that got nothing (a
/// refused message): a wake-up in vain costs one look.
news news_of(bytes_view entry);

} // namespace signet
