#pragma once
// What one entry of the log is news for: whose inbox has grown, whose identity has changed, which session was opened,
// closed or has taken an inbox. Plain C++.

#include "messages/events.hpp"

#include <vector>

namespace signet {

struct news {
  std::vector<permalink> inboxes;     ///< each once, in order of first mention
  std::vector<permalink> identities;  ///< a new version was published
  std::vector<session_changed> sessions;
};
/// `entry`: a serialised LogEntry from the log. Bytes that are none are no news. May name an inbox that got nothing (a
/// refused message), or a session that was not opened: a wake-up in vain costs one look. `index`: where the entry stands.
/// Without `inboxes` batches are not looked into: nobody here waits for any.
news news_of(bytes_view entry, log_index index = {}, bool inboxes = true);

} // namespace signet
