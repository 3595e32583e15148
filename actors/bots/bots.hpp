#pragma once
// BOTS: the supervisor of a node's bots, as a child of the node's tree. It stands behind REPLICA and FAN-OUT, whose
// handles its bots hold. It never gives up: a bot that keeps failing waits longer and longer (1 s doubling to 60 s), and
// neither its neighbours nor the node end because of it.

#include "actors/bots/bot_runner.hpp"

namespace signet {

/// `services` is called at each start of the supervisor: take the handles from `at`.
supervision::child_spec bots_child(std::string id, std::function<bot_services(supervision::starting& at)> services,
                                   std::vector<bot_definition> bots);

/// The bot that ships with the product, under the name "echo".
bot_definition echo_bot_definition();

} // namespace signet
