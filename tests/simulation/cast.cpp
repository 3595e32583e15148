#include "tests/simulation/cast.hpp"

#include "tests/simulation/chance.hpp"

#include <stdexcept>

namespace signet::simulation {

namespace {
template <class T>
T must(result<T>&& from) {
  if (!from)
    throw std::runtime_error("the cast: " + render(from.error()));
  return std::move(*from);
}
} // namespace

cast& cast::get() {
  static cast one;
  return one;
}

cast::cast() {
  chance random{0x5167};
  for (std::size_t i = 0; i < people + 2; ++i) {
    auto update = signing_key::generate(random), sign = signing_key::generate(random),
         encrypt = signing_key::generate(random);
    identity_draft draft;
    draft.keys = {{key_purpose::update, &update}, {key_purpose::sign, &sign}, {key_purpose::encrypt, &encrypt}};
    auto version = must(make_first_identity(draft));
    auto entry = identity_entry(version.serialised());
    everybody_.push_back({std::move(update), std::move(sign), std::move(encrypt), std::move(version), std::move(entry)});
  }
}

message_draft cast::draft(std::size_t from, std::size_t to, std::string_view text) const {
  message_draft out;
  out.cluster = the_cluster;
  out.author = everybody_[from].id();
  out.recipient = everybody_[to].id();
  out.time = wall_ms{1};
  out.body = to_bytes(as_bytes(text));
  return out;
}

const built_message& cast::message(std::size_t from, std::size_t to, std::uint64_t n) {
  auto& lane = lanes_[{from, to}];
  while (lane.messages.size() < n)
    lane.messages.push_back(
      must(make_message(draft(from, to, "message " + std::to_string(lane.messages.size() + 1)), lane.tail)));
  return lane.messages[n - 1];
}

const signed_batch& cast::batch(std::size_t from, std::size_t to, std::uint64_t first, std::size_t count) {
  auto [found, fresh] = batches_.try_emplace({from, to, first, count});
  if (fresh) {
    std::vector<built_message> messages;
    for (std::size_t i = 0; i < count; ++i)
      messages.push_back(message(from, to, first + i));
    auto built = must(make_batch(everybody_[from].sign, messages));
    found->second = {std::move(built.serialised), std::move(built.links)};
  }
  return found->second;
}

const signed_batch& cast::second(std::size_t from, std::size_t to, std::uint64_t n) {
  auto [found, fresh] = seconds_.try_emplace({from, to, n});
  if (fresh) {
    auto previous = n == 1 ? signet::link{} : message(from, to, n - 1).link;
    auto other = must(make_message(draft(from, to, "another " + std::to_string(n)), lane_number{n}, previous));
    auto built = must(make_batch(everybody_[from].sign, std::span{&other, 1}));
    found->second = {std::move(built.serialised), std::move(built.links)};
  }
  return found->second;
}

} // namespace signet::simulation
