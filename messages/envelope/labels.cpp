#include "messages/envelope/labels.hpp"

#include <new>
#include <sodium.h>

namespace signet {
namespace {
// Also picks the fastest implementation for this processor. Whoever may run before this file's initializers (keys.cpp)
// calls it again: that is harmless.
[[maybe_unused]] const int sodium_is_ready = sodium_init();

static_assert(sizeof(crypto_generichash_state) <= 384 && alignof(crypto_generichash_state) <= 64);

crypto_generichash_state* state_of(std::array<unsigned char, 384>& raw) {
  return reinterpret_cast<crypto_generichash_state*>(raw.data());
}
void add_to(crypto_generichash_state* state, bytes_view part) {
  crypto_generichash_update(state, part.data(), part.size());
}
template <class Id>
Id hash_as(label which, std::initializer_list<bytes_view> parts) {
  crypto_generichash_state state;
  crypto_generichash_init(&state, nullptr, 0, Id::size);
  add_to(&state, as_bytes(prefix(which)));
  for (const auto part : parts)
    add_to(&state, part);
  Id out;
  crypto_generichash_final(&state, out.raw.data(), Id::size);
  return out;
}
} // namespace

digest hash(label which, std::initializer_list<bytes_view> parts) { return hash_as<digest>(which, parts); }
link hash_link(label which, bytes_view body) { return hash_as<link>(which, {body}); }

hasher::hasher(label which) {
  new (state_.data()) crypto_generichash_state;
  crypto_generichash_init(state_of(state_), nullptr, 0, digest::size);
  add(as_bytes(prefix(which)));
}
hasher& hasher::add(bytes_view part) {
  add_to(state_of(state_), part);
  return *this;
}
digest hasher::finish() {
  digest out;
  crypto_generichash_final(state_of(state_), out.raw.data(), digest::size);
  return out;
}

} // namespace signet
