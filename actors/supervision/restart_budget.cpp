#include "actors/supervision/restart_budget.hpp"

namespace signet::supervision {

bool restart_budget::spend(steady_ms now) {
  forget(now);
  if (times_.size() >= rule_.restarts_max)
    return false;
  times_.push_back(now);
  return true;
}

std::size_t restart_budget::spent(steady_ms now) {
  forget(now);
  return times_.size();
}

void restart_budget::forget(steady_ms now) {
  while (!times_.empty() &&
         static_cast<std::uint64_t>(now) - static_cast<std::uint64_t>(times_.front()) >=
           static_cast<std::uint64_t>(rule_.window.count()))
    times_.pop_front();
}

} // namespace signet::supervision
