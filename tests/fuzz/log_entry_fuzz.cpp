// Payloads of log records: as plain data, as a batch, and as JSON for `signet log`.
#include "storage/describe.hpp"
#include "storage/views/entry.hpp"

#include <cstdlib>
#include <nlohmann/json.hpp>

using namespace signet;
using namespace signet::storage;

namespace {
void insist(bool holds) {
  if (!holds)
    std::abort();
}
} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const bytes_view raw{data, size};
  const aligned_bytes copy{raw};
  const auto content = read_entry(copy.view());
  const auto described = describe_entry(raw, {true});
  insist(described.is_object() && described.contains("kind"));
  insist((described["kind"] == name(entry_kind::unreadable)) == !content.has_value());
  // The text is valid UTF-8: dump() throws otherwise, and nobody catches it here.
  insist(!described.dump().empty());
  const auto loaded = load_batch(raw);
  insist(!loaded || (content && loaded->batch.size() >= 1 && loaded->batch.size() <= batch_messages_max));
  return 0;
}
