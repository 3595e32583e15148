#pragma once
// What signet send, encode, inbox and decode share.

#include "messages/outcome.hpp"
#include "tools/cli/client.hpp"
#include "tools/cli/output.hpp"

#include <nlohmann/json_fwd.hpp>

namespace signet::cli {

struct message_flags {
  std::string as, to, text, type = "text", content_type, client_id, reply_to;
  std::vector<std::string> recipients;
  std::string ca;
  bool insecure = false, follow = false, lines = false, hex = false, no_wait = false;
  std::uint32_t count = 1, limit = 0;
  std::uint64_t from = 0;
  double wait_s = 1.0, patience_s = 10.0;
};

client_options options_from(const message_flags& flags, const common_flags& common);
/// {"outcome", "link"} and what this outcome names besides: index, expected.
nlohmann::json to_json(const outcome& said, const link& which);

// Each gives the exit code.
int send(const message_flags& flags, const common_flags& common);
int encode(const message_flags& flags, const common_flags& common);
int inbox(const message_flags& flags, const common_flags& common);
int decode(const message_flags& flags, const common_flags& common);

} // namespace signet::cli
