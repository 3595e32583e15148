#pragma once
// Frames as nodes send them, drawn at random within the limits.

#include "storage/peer/frame.hpp"

#include <random>

namespace signet::testing {

class frame_samples {
public:
  explicit frame_samples(std::uint64_t seed) : random_{seed} {}

  std::uint64_t below(std::uint64_t end) { return random_() % end; }
  bool coin() { return below(2) == 0; }
  template <class Id>
  Id some_id() {
    Id out;
    for (auto& each : out.raw)
      each = static_cast<std::uint8_t>(random_());
    return out;
  }
  /// 1 to 2^62 - 2^20, small ones as often as large ones.
  std::uint64_t number() { return 1 + (random_() >> (3 + below(60))) % ((std::uint64_t{1} << 62) - (1 << 20)); }
  bytes some_bytes(std::size_t size) {
    bytes out(size);
    for (auto& each : out)
      each = static_cast<std::uint8_t>(random_());
    return out;
  }
  std::string some_text(std::size_t least, std::size_t most) {
    std::string out(least + below(most - least + 1), 'x');
    for (auto& each : out)
      each = static_cast<char>('a' + below(26));
    return out;
  }

  raft::entry some_entry(term at) {
    switch (below(8)) {
      case 0: return {at, raft::entry_type::barrier, bytes(8, 0)};
      case 1: return {at, raft::entry_type::change,
                      raft::encode({{raft::server_id{1}, "a", raft::member_role::voter},
                                    {raft::server_id{1000 + below(9)}, some_text(2, 9), raft::member_role::standby}})};
      default: return {at, raft::entry_type::command, some_bytes(1 + below(300))};
    }
  }
  raft::append_entries some_append() {
    raft::append_entries out;
    out.prev_index = coin() ? log_index{number()} : log_index{};
    out.prev_term = out.prev_index == log_index{} ? term{} : term{number()};
    out.leader_commit = log_index{number()};
    auto at = std::max(out.prev_term, term{1});
    for (auto left = below(6); left > 0; --left) {
      at = term{value(at) + below(2)};
      out.entries.push_back(some_entry(at));
    }
    out.term = term{value(at) + below(3)};
    return out;
  }
  raft::message some_message() {
    const auto last = coin() ? number() : 0;
    const auto last_term = last == 0 ? term{} : term{number()};
    const auto later = term{value(last_term) + 1 + below(5)};
    switch (below(5)) {
      case 0: return some_append();
      case 1: return raft::append_entries_result{term{number()}, log_index{coin() ? number() : 0}, log_index{number()}};
      case 2: return raft::request_vote{later, raft::server_id{number()}, log_index{last}, last_term, coin(), coin()};
      case 3: return raft::request_vote_result{term{number()}, coin(), coin()};
      default: return raft::timeout_now{later, log_index{last}, last_term};
    }
  }
  peer::consensus some_consensus() {
    peer::consensus out{some_message(), {}};
    if (const auto* append = std::get_if<raft::append_entries>(&out.message))
      if (append->prev_index != log_index{} && coin())
        out.prev_chain = some_id<digest>();
    return out;
  }
  peer::position some_position() {
    peer::position out{some_id<peer::store_id>(), some_id<peer::process_id>(), coin(), {}, {}, {}, {}, {}};
    if (out.joining)
      return out;
    out.applied = log_index{number()};
    out.applied_term = term{number()};
    out.applied_chain = some_id<digest>();
    out.last = log_index{value(out.applied) + below(9)};
    out.last_term = term{value(out.applied_term) + below(3)};
    return out;
  }
  /// Of the kind with this place in the variant.
  peer::body some_body(std::size_t kind) {
    switch (kind) {
      case 0: return some_consensus();
      case 1: return peer::position_asked{};
      case 2: return some_position();
      case 3: return peer::checkpoint{log_index{number()}, some_id<digest>(), some_id<digest>()};
      case 4: return peer::rolled_back{some_id<peer::store_id>(), term{number()}, log_index{number()}};
      case 5: {
        peer::proposals out;
        for (auto left = 1 + below(5); left > 0; --left)
          out.list.push_back({peer::forward_ticket{random_()}, coin(), some_bytes(1 + below(200))});
        return out;
      }
      case 6: {
        peer::proposals_answered out;
        static constexpr ec refusals[] = {ec::not_leader, ec::overloaded, ec::disk_full,
                                         ec::malformed, ec::bad_signature, ec::no_possession,
                                         ec::internal};
        for (auto left = 1 + below(5); left > 0; --left)
          if (coin())
            out.list.push_back({peer::forward_ticket{random_()}, ec::ok, log_index{number()}, term{number()}});
          else
            out.list.push_back({peer::forward_ticket{random_()}, refusals[below(std::size(refusals))], {}, {}});
        return out;
      }
      case 7: return peer::member_assigned{some_id<cluster_id>(), raft::server_id{number()}, some_id<peer::store_id>()};
      case 8: return peer::admin_request{random_(), some_text(0, 200)};
      case 9: return peer::admin_answer{random_(), coin(), some_text(0, 200)};
      case 10: return peer::secret_asked{};
      default: return peer::secret{some_id<digest>().raw};
    }
  }
  peer::frame some_frame(std::size_t kind) {
    return {raft::server_id{coin() ? number() : 0}, raft::server_id{coin() ? number() : 0}, term{number()},
            some_body(kind)};
  }
  peer::frame some_frame() { return some_frame(below(std::variant_size_v<peer::body>)); }
  peer::hello some_hello() {
    return {peer::protocol_version, some_id<cluster_id>(), some_text(1, 64), some_text(1, 64),
            some_id<peer::process_id>()};
  }

private:
  std::mt19937_64 random_;
};

} // namespace signet::testing
