#include "bots/echo/echo.hpp"

namespace signet::bots {

void echo::handle(const incoming& in, effects& out) {
  if (in.type == "text")
    out.reply(in, "text", in.body, in.content_type);
}

} // namespace signet::bots
