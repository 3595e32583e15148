#pragma once
// ECHO: answers each message of type "text" with the same text. The smallest bot there is, and an example.

#include "bots/bot.hpp"

namespace signet::bots {

class echo final : public bot {
public:
  void handle(const incoming& in, effects& out) override;
};

} // namespace signet::bots
