// What a client receives from a node it need not trust: deliveries and receipts.
#include "messages/envelope/delivery.hpp"
#include "messages/envelope/receipt.hpp"

#include <cstdlib>

using namespace signet;

namespace {
void insist(bool holds) {
  if (!holds)
    std::abort();
}
} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const bytes_view raw{data, size};
  if (const auto received = open_receipt(raw))
    insist(open_receipt(make_receipt(*received)) == *received);
  const auto items = open_delivery(raw);
  if (!items)
    return 0;
  std::optional<inbox_position> last;
  const auto follows = [&](inbox_position position) {
    insist(position != inbox_position{} && (!last || position == next(*last)));
    last = position;
  };
  for (const auto& item : *items) {
    if (const auto* reference = std::get_if<delivered_reference>(&item)) {
      follows(reference->position);
      continue;
    }
    const auto& bundle = std::get<unverified_bundle>(item);
    for (const auto& message : bundle.messages)
      follows(message.position);
    if (const auto messages = verify_bundle(bundle)) {
      insist(messages->size() == bundle.messages.size());
      for (const auto& message : *messages)
        insist(read_object(message.body).has_value());
    }
  }
  return 0;
}
