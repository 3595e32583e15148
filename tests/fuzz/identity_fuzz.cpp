// Bytes of an identity publication, by themselves and as the successor of a version that stands.
#include "messages/envelope/identity.hpp"

#include <cstdlib>

using namespace signet;

namespace {
void insist(bool holds) {
  if (!holds)
    std::abort();
}
signing_key key(std::uint8_t byte) {
  std::array<std::uint8_t, 32> seed;
  seed.fill(byte);
  return signing_key::from_seed(seed);
}
const identity_version& standing() {
  static const auto update = key(1), sign = key(2);
  static const auto version =
    make_first_identity({{{key_purpose::update, &update}, {key_purpose::sign, &sign}}, {}, {}}).value();
  return version;
}
} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const bytes_view raw{data, size};
  const auto stored = identity_version::open_stored(raw);
  const auto opened = identity_version::open(raw);
  insist(stored.has_value() || !opened.has_value());
  if (!stored)
    return 0;
  insist(size <= identity_bytes_max);
  insist(!stored->keys().empty() && stored->keys().size() <= identity_keys_max);
  insist(stored->is_first() == stored->previous().is_zero());
  for (const auto& entry : stored->keys())
    insist(stored->find_purpose(entry.key) == entry.purpose);
  if (opened) {
    insist(opened->link() == stored->link());
    // Nobody but the holder of its update key continues the standing identity.
    const auto follows = check_succession(standing(), *opened);
    insist(!follows || opened->permalink() == standing().permalink());
    const std::vector<bytes> chain{to_bytes(raw)};
    insist(verify_chain(chain, opened->permalink()).has_value() == opened->is_first());
  }
  return 0;
}
