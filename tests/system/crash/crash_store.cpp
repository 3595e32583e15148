#include "tests/system/crash/crash_store.hpp"

#include <array>

namespace signet::crash {
namespace {
struct choice {
  std::string_view name;
  std::unique_ptr<crash_store> (*make)();
};
constexpr std::array choices{choice{"log", make_log_store}, choice{"keys", make_key_store},
                             choice{"replica", make_replica_case},
                             choice{"follower", make_follower_case}};
} // namespace

std::vector<std::string_view> store_names() {
  std::vector<std::string_view> out;
  for (auto& each : choices)
    out.push_back(each.name);
  return out;
}

std::unique_ptr<crash_store> make_store(std::string_view name) {
  for (auto& each : choices)
    if (each.name == name)
      return each.make();
  return nullptr;
}

} // namespace signet::crash
