// What other nodes send: frames and hellos. What decodes keeps the limits, and encodes and decodes to the same bytes.
#include "storage/peer/frame.hpp"

#include <cstdlib>

using namespace signet;
using namespace signet::peer;

namespace {
void insist(bool holds) {
  if (!holds)
    std::abort();
}

void check(const raft::append_entries& append) {
  insist(append.fill_count == 0 && append.entries.size() <= items_max);
  insist((append.prev_index == log_index{}) == (append.prev_term == term{}));
  auto least = append.prev_term;
  std::size_t size_bytes = 0;
  for (const auto& e : append.entries) {
    insist(e.term >= least && e.term <= append.term && !e.payload.empty());
    insist(e.type != raft::entry_type::change || raft::decode_configuration(e.payload).has_value());
    least = e.term;
    size_bytes += e.payload.size();
  }
  insist(append.entries.size() <= 1 || size_bytes <= payload_bytes_max);
}
void check(const consensus& what) {
  insist(!std::holds_alternative<raft::install_snapshot>(what.message));
  if (const auto* append = std::get_if<raft::append_entries>(&what.message))
    check(*append);
}
void check(const position& what) {
  insist(what.applied <= what.last && what.applied_term <= what.last_term);
  insist(!what.joining || what.last == log_index{});
}
void check(const proposals& what) { insist(!what.list.empty() && what.list.size() <= items_max); }
void check(const proposals_answered& what) {
  for (const auto& one : what.list)
    insist((one.code == ec::ok) == (one.index != log_index{}));
}
void check(const admin_request& what) { insist(what.text.size() <= text_bytes_max); }
void check(const admin_answer& what) { insist(what.text.size() <= text_bytes_max); }
template <class T>
void check(const T&) {}
} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const bytes_view raw{data, size};
  if (auto found = decode_frame(raw)) {
    std::visit([](const auto& body) { check(body); }, found->body);
    const auto once = encode(*found);
    insist(once.size() <= frame_bytes_max);
    const auto again = decode_frame(once);
    insist(again.has_value() && encode(*again) == once);
  }
  if (auto found = decode_hello(raw)) {
    const auto again = decode_hello(encode(*found));
    insist(again.has_value() && *again == *found);
  }
  return 0;
}
