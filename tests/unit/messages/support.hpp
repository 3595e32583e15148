#pragma once
// What the tests of this room share: keys that are the same in every run, and small objects made with them.

#include "messages/envelope/batch.hpp"
#include "messages/envelope/identity.hpp"

#include <boost/test/unit_test.hpp>

#include <array>
#include <string>
#include <string_view>

namespace signet::test {

template <class Id>
Id filled(std::uint8_t byte) {
  Id out;
  out.raw.fill(byte);
  return out;
}

/// Seed: 32 times this byte.
inline signing_key key(std::uint8_t byte) {
  std::array<std::uint8_t, 32> seed;
  seed.fill(byte);
  return signing_key::from_seed(seed);
}

inline bytes unhex(std::string_view text) {
  auto out = from_hex(text);
  BOOST_REQUIRE(out.has_value());
  return *out;
}
template <class Id>
Id id_from(std::string_view hex) {
  auto out = Id::parse(hex);
  BOOST_REQUIRE(out.has_value());
  return *out;
}

inline message_draft draft_to(const permalink& recipient, std::string_view text = "hello") {
  message_draft out;
  out.cluster = filled<cluster_id>(0xc1);
  out.author = filled<permalink>(0xa1);
  out.recipient = recipient;
  out.time = wall_ms{1'700'000'000'000};
  out.body = to_bytes(as_bytes(text));
  return out;
}

/// A batch of `count` messages in one lane, with bodies of varying length.
inline built_batch batch_of(const signing_key& signer, std::size_t count, std::size_t body_step = 3) {
  lane_tail tail;
  std::vector<built_message> messages;
  for (std::size_t i = 0; i < count; ++i) {
    const auto draft = draft_to(filled<permalink>(0xb2), std::string(1 + i * body_step % 100, 'x'));
    messages.push_back(make_message(draft, tail).value());
  }
  return make_batch(signer, messages).value();
}

template <class T>
ec code_of(const result<T>& outcome) {
  return outcome ? ec::ok : outcome.error().code;
}

} // namespace signet::test

namespace signet {
inline std::ostream& operator<<(std::ostream& out, ec code) { return out << name(code); }
inline std::ostream& operator<<(std::ostream& out, outcome_code code) { return out << name(code); }
template <class Tag, std::size_t N>
std::ostream& operator<<(std::ostream& out, const id<Tag, N>& x) { return out << x.hex(); }
} // namespace signet
