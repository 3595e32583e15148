#pragma once
// What a load run counts: latencies, and which messages arrived, once, twice, late or never. No I/O, no clock.

#include <array>
#include <bit>
#include <cstdint>
#include <vector>

namespace signet::cli {

/// Latencies in nanoseconds, kept with a relative error below 1.6 %: 64 steps for each power of two.
class latency_histogram {
public:
  void add(std::uint64_t ns) {
    ++cells_[cell_of(ns)];
    ++count_;
    if (ns > max_)
      max_ = ns;
  }
  void add(const latency_histogram& other) {
    for (std::size_t i = 0; i < cells_.size(); ++i)
      cells_[i] += other.cells_[i];
    count_ += other.count_;
    max_ = max_ > other.max_ ? max_ : other.max_;
  }
  std::uint64_t count() const { return count_; }
  /// Exact.
  std::uint64_t max() const { return max_; }
  /// The smallest kept value that at least `share` (0 to 1) of all do not exceed; 0 if there are none.
  std::uint64_t quantile(double share) const {
    if (count_ == 0)
      return 0;
    auto wanted = static_cast<std::uint64_t>(share * static_cast<double>(count_));
    if (static_cast<double>(wanted) < share * static_cast<double>(count_) || wanted == 0)
      ++wanted;
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < cells_.size(); ++i)
      if ((seen += cells_[i]) >= wanted)
        return upper_end(i) < max_ ? upper_end(i) : max_;
    return max_;
  }

private:
  static constexpr unsigned step_bits = 6;
  static constexpr std::size_t steps = 1U << step_bits;
  static std::size_t cell_of(std::uint64_t ns) {
    if (ns < steps)
      return static_cast<std::size_t>(ns);
    const auto shift = static_cast<unsigned>(std::bit_width(ns)) - step_bits - 1;
    return (static_cast<std::size_t>(shift) << step_bits) + static_cast<std::size_t>(ns >> shift);
  }
  static std::uint64_t upper_end(std::size_t cell) {
    if (cell < steps)
      return cell;
    const auto shift = (cell >> step_bits) - 1;
    const auto top = cell - (shift << step_bits);
    return ((static_cast<std::uint64_t>(top) + 1) << shift) - 1;
  }
  std::array<std::uint64_t, (64 - step_bits + 1) * steps> cells_{};
  std::uint64_t count_ = 0, max_ = 0;
};

/// Arrivals of one stream of messages numbered 0, 1, 2…
class arrival_ledger {
public:
  enum class verdict { in_order, late, duplicate };
  /// `late`: it had not come yet, but a later one had.
  verdict arrived(std::uint64_t sequence) {
    if (sequence >= seen_.size())
      seen_.resize(static_cast<std::size_t>(sequence) + 1 + static_cast<std::size_t>(sequence) / 2, false);
    if (seen_[sequence]) {
      ++duplicates_;
      return verdict::duplicate;
    }
    seen_[sequence] = true;
    ++distinct_;
    if (sequence < next_) {
      ++reordered_;
      return verdict::late;
    }
    next_ = sequence + 1;
    return verdict::in_order;
  }
  bool has(std::uint64_t sequence) const { return sequence < seen_.size() && seen_[sequence]; }
  std::uint64_t distinct() const { return distinct_; }
  std::uint64_t duplicates() const { return duplicates_; }
  std::uint64_t reordered() const { return reordered_; }

private:
  std::vector<bool> seen_;
  std::uint64_t next_ = 0, distinct_ = 0, duplicates_ = 0, reordered_ = 0;
};

} // namespace signet::cli
