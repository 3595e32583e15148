#include "actors/bots/bots.hpp"

#include "bots/echo/echo.hpp"

namespace signet {
using namespace std::chrono_literals;

supervision::child_spec bots_child(std::string id, std::function<bot_services(supervision::starting& at)> services,
                                   std::vector<bot_definition> bots) {
  supervision::child_spec spec;
  spec.id = std::move(id);
  spec.kind = "supervisor";
  spec.is_supervisor = true;
  spec.shutdown_timeout = 1s + bots.size() * 2 * 5s;
  spec.start = [services = std::move(services), bots = std::move(bots)](supervision::starting& at) {
    const auto shared = services(at);
    supervision::supervisor_options options;
    options.rules.how = supervision::strategy::one_for_one;
    options.rules.intensity = {SIZE_MAX, 60s};
    options.rules.backoff = {1s, 60s, 200ms};  // the floor bounds what the budget remembers
    options.random = shared.random;
    std::vector<supervision::child_spec> children;
    for (const auto& bot : bots)
      children.push_back(bot_child(shared, bot));
    return caf::actor_cast<caf::actor>(at.self().spawn(supervision::supervisor, options, std::move(children)));
  };
  return spec;
}

bot_definition echo_bot_definition() {
  return {"echo", [] { return std::make_unique<bots::echo>(); }, {}};
}

} // namespace signet
