#include "actors/bridge/door.hpp"

#include <algorithm>

namespace signet {

door::key door::key_of(const boost::asio::ip::address& from) {
  key out{};
  if (from.is_v4()) {
    const auto raw = from.to_v4().to_bytes();
    out[10] = out[11] = 0xFF;
    std::copy(raw.begin(), raw.end(), out.begin() + 12);
    return out;
  }
  const auto raw = from.to_v6().to_bytes();
  const auto v6 = from.to_v6();
  std::copy_n(raw.begin(), v6.is_v4_mapped() || v6.is_loopback() ? 16 : 8, out.begin());
  return out;
}

door::answer door::enter(const boost::asio::ip::address& from) {
  const auto address_max = from.is_loopback() ? limits_.strangers_loopback_max : limits_.strangers_per_address_max;
  const std::lock_guard lock{mutex_};
  if (connections_ >= limits_.connections_max)
    return answer::full;
  if (strangers_ >= limits_.strangers_max)
    return answer::too_many_strangers;
  const auto place = strangers_at_.try_emplace(key_of(from), 0).first;
  if (place->second >= address_max)
    return answer::too_many_from_address;
  ++place->second;
  ++strangers_;
  ++connections_;
  return answer::welcome;
}

void door::forget_stranger(const boost::asio::ip::address& from) {
  --strangers_;
  const auto place = strangers_at_.find(key_of(from));
  if (--place->second == 0)
    strangers_at_.erase(place);
}

void door::attached(const boost::asio::ip::address& from) {
  const std::lock_guard lock{mutex_};
  forget_stranger(from);
}

void door::leave(const boost::asio::ip::address& from, bool was_attached) {
  const std::lock_guard lock{mutex_};
  --connections_;
  if (!was_attached)
    forget_stranger(from);
}

std::size_t door::connections() const {
  const std::lock_guard lock{mutex_};
  return connections_;
}

std::size_t door::strangers() const {
  const std::lock_guard lock{mutex_};
  return strangers_;
}

} // namespace signet
