#pragma once
// Which connection of THIS node reads the inbox of a device. Plain C++.
//
// The problem: one reader for each device key, in the whole cluster. Two sessions of a device may be attached to two
// nodes, and each node knows its own connections only. The idea: who wants to read while another session of the device
// stands writes an entry, inboxTaken; every node reads it in the log and ends its own reader. The newest entry counts.
// Invariants:
//   * At most one reader of an inbox here, and none whose claim stands below a claim of somebody else that was seen.
//   * The order is that of the log, not that of the messages in which one hears of it: the answer to a proposal may come
//     before or after the news of the entries around it.
// Who finds itself alone needs no entry: whoever is opened later sees its row, and writes one.

#include "messages/ids.hpp"

#include <map>
#include <optional>
#include <vector>

namespace signet {

struct inbox_name {
  permalink identity;
  public_key device;
  auto operator<=>(const inbox_name&) const = default;
};

class inbox_book {
public:
  struct verdict {
    bool yours = false;
    std::optional<std::uint64_t> loser;  ///< epoch of the connection here that has to stop reading
  };

  /// The applied state at `now` holds no other session of the device.
  verdict take(const inbox_name& which, std::uint64_t epoch, log_index now);

  /// An entry of this connection is proposed; then exactly one of:
  void claim(const inbox_name& which, std::uint64_t epoch);
  verdict claimed(const inbox_name& which, std::uint64_t epoch, log_index at);
  void claim_failed(const inbox_name& which, std::uint64_t epoch);

  /// News: the session `epoch`, here or elsewhere, has taken the inbox. The connection here that has lost it.
  std::optional<std::uint64_t> taken(const inbox_name& which, std::uint64_t epoch, log_index at);

  /// It reads no longer, or is gone: nothing of it is remembered but a claim that is not answered yet.
  void leave(const inbox_name& which, std::uint64_t epoch);

  std::optional<std::uint64_t> reader_of(const inbox_name& which) const;
  std::size_t readers() const;

private:
  struct reader {
    std::uint64_t epoch = 0;
    log_index since{};
  };
  struct pending {
    std::uint64_t epoch = 0;
    log_index outrun{};  // the newest claim of somebody else that came while it was pending
  };
  struct place {
    std::optional<reader> now;
    std::vector<pending> claims;
  };
  verdict settle(place& here, std::uint64_t epoch, log_index since);
  void erase_if_empty(const inbox_name& which);

  std::map<inbox_name, place> places_;
};

} // namespace signet
