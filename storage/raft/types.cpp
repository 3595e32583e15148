#include "storage/raft/types.hpp"

#include <algorithm>
#include <set>

namespace signet::raft {

namespace {

constexpr std::uint8_t encoding_version = 1;

void append_u64_le(bytes& out, std::uint64_t x) {
  for (int i = 0; i < 8; ++i)
    out.push_back(static_cast<std::uint8_t>(x >> (8 * i)));
}

// Reads within its view or not at all.
class reader {
public:
  explicit reader(bytes_view raw) : left_{raw} {}

  std::optional<std::uint8_t> u8() {
    if (left_.empty())
      return std::nullopt;
    auto x = left_.front();
    left_ = left_.subspan(1);
    return x;
  }
  std::optional<std::uint64_t> u64() {
    if (left_.size() < 8)
      return std::nullopt;
    std::uint64_t x = 0;
    for (std::size_t i = 0; i < 8; ++i)
      x |= static_cast<std::uint64_t>(left_[i]) << (8 * i);
    left_ = left_.subspan(8);
    return x;
  }
  std::optional<std::string> text() {
    auto end = std::find(left_.begin(), left_.end(), 0);
    if (end == left_.end())
      return std::nullopt;
    std::string out(left_.begin(), end);
    left_ = left_.subspan(out.size() + 1);
    return out;
  }
  bytes_view left() const { return left_; }

private:
  bytes_view left_;
};

} // namespace

std::string_view name(role x) {
  switch (x) {
    case role::follower: return "follower";
    case role::candidate: return "candidate";
    case role::leader: return "leader";
  }
  return "unknown";
}

std::optional<server_id> sole_voter_of(const configuration& members) {
  std::optional<server_id> found;
  for (const auto& m : members) {
    if (m.role != member_role::voter)
      continue;
    if (found)
      return std::nullopt;
    found = m.id;
  }
  return found;
}

status check(const configuration& members) {
  if (members.empty() || members.size() > configuration_members_max)
    return fail(ec::malformed, "a configuration of " + std::to_string(members.size()) + " members");
  std::set<server_id> ids;
  std::set<std::string_view> addresses;
  bool voter = false;
  for (const auto& m : members) {
    auto who = "member " + to_string(m.id);
    if (m.id == server_id{} || !ids.insert(m.id).second)
      return fail(ec::malformed, who + ": the id is 0 or used twice");
    if (m.address.empty() || m.address.size() > address_bytes_max || m.address.find('\0') != std::string::npos)
      return fail(ec::malformed, who + ": the address is empty, too long or holds a NUL byte");
    if (!addresses.insert(m.address).second)
      return fail(ec::malformed, who + ": the address is used twice");
    if (m.role > member_role::spare)
      return fail(ec::malformed, who + ": role " + std::to_string(static_cast<int>(m.role)));
    voter = voter || m.role == member_role::voter;
  }
  if (!voter)
    return fail(ec::malformed, "a configuration without a voter");
  return {};
}

bytes encode(const configuration& members) {
  bytes out{encoding_version};
  append_u64_le(out, members.size());
  for (const auto& m : members) {
    append_u64_le(out, value(m.id));
    append(out, as_bytes(m.address));
    out.push_back(0);
    out.push_back(static_cast<std::uint8_t>(m.role));
  }
  out.resize((out.size() + 7) / 8 * 8);
  return out;
}

result<configuration> decode_configuration(bytes_view raw) {
  constexpr std::size_t member_bytes_max = 8 + address_bytes_max + 1 + 1;
  if (raw.size() % 8 != 0 || raw.size() > 16 + configuration_members_max * member_bytes_max)
    return fail(ec::malformed, "a configuration of " + std::to_string(raw.size()) + " bytes");
  reader in{raw};
  auto version = in.u8();
  if (!version || *version != encoding_version)
    return fail(ec::malformed, "a configuration of an unknown version");
  auto count = in.u64();
  if (!count || *count > configuration_members_max)
    return fail(ec::malformed, "a configuration with an impossible count");
  configuration members;
  for (std::uint64_t i = 0; i < *count; ++i) {
    auto id = in.u64();
    auto address = id ? in.text() : std::nullopt;
    auto role = address ? in.u8() : std::nullopt;
    if (!role)
      return fail(ec::malformed, "a configuration that ends within member " + std::to_string(i));
    members.push_back({server_id{*id}, std::move(*address), static_cast<member_role>(*role)});
  }
  if (auto good = check(members); !good)
    return tl::make_unexpected(good.error());
  auto padding = in.left();
  if (padding.size() >= 8 || std::any_of(padding.begin(), padding.end(), [](auto x) { return x != 0; }))
    return fail(ec::malformed, "a configuration with bytes behind it");
  return members;
}

entry founding_entry(const configuration& members) {
  return {signet::term{1}, entry_type::change, encode(members)};
}

} // namespace signet::raft
