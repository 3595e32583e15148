#pragma once
// CAST: who appears in every run, and everything they may ever sign. Really signed, once a process: batches are functions of
// (author, recipient, first n, count), so that ten thousand runs do not wait for signatures.

#include "messages/entries.hpp"
#include "messages/envelope/batch.hpp"
#include "messages/envelope/identity.hpp"

#include <deque>
#include <map>

namespace signet::simulation {

inline const cluster_id the_cluster{{0x51, 0x6e, 0x65, 0x74, 0x20, 0x73, 0x69, 0x6d}};

struct character {
  signing_key update, sign, encrypt;
  identity_version version;
  bytes identity_entry;
  const permalink& id() const { return version.permalink(); }
  const public_key& device() const { return sign.public_half(); }
};

struct signed_batch {
  bytes serialised;
  std::vector<signet::link> links;  ///< of its messages, in order
};

class cast {
public:
  /// Everybody: indexes 0 … people - 1 are clients; then one who only receives; the last one is a bot.
  static constexpr std::size_t people = 8;
  static constexpr std::size_t silent = people;
  static constexpr std::size_t bot = people + 1;
  static cast& get();

  const character& who(std::size_t i) const { return everybody_[i]; }
  std::size_t size() const { return everybody_.size(); }
  /// Messages [first, first + count) of the lane from one to another.
  const signed_batch& batch(std::size_t from, std::size_t to, std::uint64_t first, std::size_t count);
  /// Another message number `n` in that lane, signed all the same.
  const signed_batch& second(std::size_t from, std::size_t to, std::uint64_t n);

private:
  cast();
  struct lane {
    std::vector<built_message> messages;  ///< 1, 2, 3…
    lane_tail tail;
  };
  const built_message& message(std::size_t from, std::size_t to, std::uint64_t n);
  message_draft draft(std::size_t from, std::size_t to, std::string_view text) const;

  std::deque<character> everybody_;
  std::map<std::pair<std::size_t, std::size_t>, lane> lanes_;
  std::map<std::array<std::uint64_t, 4>, signed_batch> batches_;
  std::map<std::array<std::uint64_t, 3>, signed_batch> seconds_;
};

} // namespace signet::simulation
