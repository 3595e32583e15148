#include "actors/links/account.hpp"

#include "actors/links/frame.hpp"

namespace signet {
namespace {
constexpr std::size_t gathered_bytes = 128 * 1'024;
} // namespace

link_credit::link_credit(std::shared_ptr<link_account> account, std::size_t count)
  : account_{std::move(account)}, bytes_{count} {}
link_credit::~link_credit() { account_->give_back(bytes_); }

link_outbox::offered link_outbox::offer(shared_bytes frame) {
  const std::lock_guard lock{mutex_};
  if (!open_) {
    ++dropped_;
    return {link_sent::no_link};
  }
  if (bytes_ + frame->size() + link_frame_head_bytes > bytes_max_) {
    ++dropped_;
    return {link_sent::full};
  }
  bytes_ += frame->size() + link_frame_head_bytes;
  queue_.push_back(std::move(frame));
  return {link_sent::queued, !std::exchange(woken_, true)};
}

void link_outbox::take(bytes& out) {
  const std::lock_guard lock{mutex_};
  while (!queue_.empty() && (out.empty() || out.size() + queue_.front()->size() <= gathered_bytes)) {
    const auto frame = std::move(queue_.front());
    queue_.pop_front();
    bytes_ -= frame->size() + link_frame_head_bytes;
    ++frames_sent_;
    bytes_sent_ += frame->size();
    append_link_frame(out, link_frame_kind::data, *frame);
  }
  // Whatever is offered from now on finds a writer that is busy and asks again, or one that must be woken.
  woken_ = false;
}

void link_outbox::open() {
  const std::lock_guard lock{mutex_};
  open_ = true;
}

void link_outbox::close() {
  const std::lock_guard lock{mutex_};
  open_ = woken_ = false;
  dropped_ += queue_.size();
  queue_.clear();
  bytes_ = 0;
}

bool link_outbox::is_open() const {
  const std::lock_guard lock{mutex_};
  return open_;
}

link_outbox::counts link_outbox::look() const {
  const std::lock_guard lock{mutex_};
  return {bytes_, dropped_, frames_sent_, bytes_sent_};
}

} // namespace signet
