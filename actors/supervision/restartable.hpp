#pragma once
// Restart in place, for code that may fail on one input: address, queue and count of attempts survive the handler.
// Decides; knows neither CAF nor the clock. Who owns it asks for a retry after a back-off, or has the input set aside
// once that is durable.

#include "messages/bytes.hpp"

#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <optional>
#include <utility>

namespace signet::supervision {

/// The handler threw on the input at the front, which stays there. `failure` counts failures over the life of the
/// restartable and names this one; `attempt` counts tries of this input: 1, 2, 3…
struct attempt_failed {
  std::uint64_t failure = 0;
  std::uint64_t attempt = 0;
  std::exception_ptr why;
};

/// Not thread-safe. Input is handed to the handler by const reference and kept until the handler returned.
template <class Input>
class restartable {
public:
  /// Fails by throwing. Called with inputs in order; a new one is made after each failure.
  using handler = std::function<void(const Input&)>;

  /// `make` may throw; that counts as a failure of the input at the front when run() needs a handler. At most
  /// `inputs_max` inputs wait, the one in work included.
  restartable(std::function<handler()> make, std::size_t inputs_max) : make_{std::move(make)}, inputs_max_{inputs_max} {}

  /// False: full, and the input is not taken.
  [[nodiscard]] bool offer(Input input) {
    if (inputs_.size() >= inputs_max_)
      return false;
    inputs_.push_back(std::move(input));
    return true;
  }

  /// Works until nothing waits, `inputs_limit` are done, or the handler fails. After a failure nothing runs until
  /// retry() or drop().
  std::optional<attempt_failed> run(std::size_t inputs_limit = SIZE_MAX) {
    for (; !failed_ && !inputs_.empty() && inputs_limit > 0; --inputs_limit) {
      try {
        if (!handle_)
          handle_ = make_();
        handle_(inputs_.front());
      } catch (...) {
        failed_ = true;
        handle_ = nullptr;
        return attempt_failed{++failures_, ++attempt_, std::current_exception()};
      }
      inputs_.pop_front();
      attempt_ = 0;
    }
    return std::nullopt;
  }

  /// Try the failed input again, with a new handler, at the next run(). False: a late order, nothing happened.
  bool retry(std::uint64_t failure) {
    if (!failed_ || failure != failures_)
      return false;
    failed_ = false;
    return true;
  }
  /// Set the failed input aside and go on behind it. False: a late order, nothing happened.
  bool drop(std::uint64_t failure) {
    if (!retry(failure))
      return false;
    inputs_.pop_front();
    attempt_ = 0;
    return true;
  }
  /// The attempts at the front input that a former process has made.
  void resume_at(std::uint64_t attempts_made) { attempt_ = attempts_made; }

  bool failed() const { return failed_; }
  std::size_t waiting() const { return inputs_.size(); }
  /// The input at the front; nothing if none waits.
  const Input* front() const { return inputs_.empty() ? nullptr : &inputs_.front(); }

private:
  std::function<handler()> make_;
  handler handle_;
  std::deque<Input> inputs_;
  std::size_t inputs_max_;
  std::uint64_t failures_ = 0;
  std::uint64_t attempt_ = 0;  // failed tries of the front input
  bool failed_ = false;
};

} // namespace signet::supervision
