#pragma once
// Who may come in before anybody has read a byte of theirs: how many connections there may be in all, how many that
// have not proved who they are, and how many of those from one address. (What they may cost afterwards is the session's
// business.) Attached connections keep their places whatever strangers do: strangers share a smaller number.
//
// An IPv6 address counts as its /64: that much one person owns. This machine has a number of its own, since tests,
// reverse proxies and local programs all come from one address.
//
// Thread-safe. Memory is bounded by the number of strangers.

#include <boost/asio/ip/address.hpp>

#include <array>
#include <cstdint>
#include <map>
#include <mutex>

namespace signet {

struct door_limits {
  std::size_t connections_max = 20'000;
  std::size_t strangers_max = 5'000;              ///< not attached yet, all together
  std::size_t strangers_per_address_max = 32;
  std::size_t strangers_loopback_max = 4'096;     ///< the same for this machine
};

class door {
public:
  enum class answer : std::uint8_t { welcome, full, too_many_strangers, too_many_from_address };

  explicit door(door_limits limits) : limits_{limits} {}

  /// Welcome: the place is taken until leave().
  answer enter(const boost::asio::ip::address& from);
  /// Proved: no stranger any more.
  void attached(const boost::asio::ip::address& from);
  void leave(const boost::asio::ip::address& from, bool was_attached);

  std::size_t connections() const;
  std::size_t strangers() const;

private:
  using key = std::array<std::uint8_t, 16>;
  static key key_of(const boost::asio::ip::address& from);
  void forget_stranger(const boost::asio::ip::address& from);

  const door_limits limits_;
  mutable std::mutex mutex_;
  std::map<key, std::size_t> strangers_at_;
  std::size_t connections_ = 0, strangers_ = 0;
};

} // namespace signet
