#pragma once
// How much of what one peer sent is handed up and not yet processed, and how much waits to be sent to it: the two
// places where other threads meet the links' thread.

#include "actors/links/links.hpp"

#include <atomic>
#include <deque>
#include <functional>
#include <mutex>

namespace signet {

/// Unprocessed bytes of one peer. Any thread.
class link_account {
public:
  /// `room` is called, on the thread that gives back, when the account falls to `limit` or below again.
  link_account(std::size_t limit, std::function<void()> room) : limit_{limit}, room_{std::move(room)} {}

  /// True: that is now more than the limit.
  bool take(std::size_t count) {
    const std::lock_guard lock{mutex_};
    held_ += count;
    return held_ > limit_;
  }
  void give_back(std::size_t count) {
    const std::lock_guard lock{mutex_};
    const bool above = held_ > limit_;
    held_ -= count;
    if (above && held_ <= limit_ && room_)
      room_();
  }
  bool above() const {
    const std::lock_guard lock{mutex_};
    return held_ > limit_;
  }
  std::size_t held() const {
    const std::lock_guard lock{mutex_};
    return held_;
  }
  /// The links have stopped, or the peer is gone.
  void close() {
    const std::lock_guard lock{mutex_};
    room_ = nullptr;
  }

private:
  mutable std::mutex mutex_;
  const std::size_t limit_;
  std::size_t held_ = 0;
  std::function<void()> room_;
};

/// What waits to be sent to one peer. Any thread.
class link_outbox {
public:
  explicit link_outbox(std::size_t bytes_max) : bytes_max_{bytes_max} {}

  struct offered {
    link_sent what;
    bool wake = false;  ///< the links' thread must be told
  };
  offered offer(shared_bytes frame);
  /// Moves frames in front of the queue into `out` until it has some 128 KiB.
  void take(bytes& out);
  void open();
  /// What waits is dropped.
  void close();
  bool is_open() const;

  struct counts {
    std::uint64_t queued_bytes, dropped, frames, bytes;
  };
  counts look() const;

private:
  mutable std::mutex mutex_;
  const std::size_t bytes_max_;
  std::deque<shared_bytes> queue_;
  std::size_t bytes_ = 0;
  bool open_ = false, woken_ = false;
  std::uint64_t dropped_ = 0, frames_sent_ = 0, bytes_sent_ = 0;
};

} // namespace signet
