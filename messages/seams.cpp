#include "messages/seams.hpp"

#include <sodium.h>

namespace signet {
namespace {
class operating_system_clock final : public clock_source {
public:
  wall_ms wall() const override { return wall_ms{count(std::chrono::system_clock::now().time_since_epoch())}; }
  steady_ms steady() const override { return steady_ms{count(std::chrono::steady_clock::now().time_since_epoch())}; }

private:
  template <class Duration>
  static std::uint64_t count(Duration since) {
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(since).count());
  }
};
class sodium_random final : public random_source {
public:
  void fill(std::span<std::uint8_t> out) override { randombytes_buf(out.data(), out.size()); }
};
} // namespace

clock_source& system_clock() {
  static operating_system_clock clock;
  return clock;
}
random_source& system_random() {
  static sodium_random random;
  return random;
}

} // namespace signet
