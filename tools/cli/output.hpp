#pragma once
// What every command shares: exit codes, errors for people and for programs, colours only on a terminal.

#include "messages/errors.hpp"

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace signet::cli {

/// Exit codes. 70 to 73 mean what they mean for a node; `signet verify` has its own (0 to 3).
inline constexpr int exit_good = 0;
inline constexpr int exit_refused = 1;        ///< the node, or the state of things, says no
inline constexpr int exit_internal = 70;
inline constexpr int exit_io = 71;
inline constexpr int exit_configuration = 73;  ///< a flag, a file, a name that makes no sense

int exit_code_of(ec code);

/// What the user asked for before the subcommand, or after it.
struct common_flags {
  bool json = false;
  std::string home;
  std::string node;
};

/// Prints the error to stderr (and as JSON to stdout with --json) and gives the exit code.
int report(const error& what, const common_flags& flags);
/// One line of JSON on stdout.
void print(const nlohmann::json& what);

bool is_terminal(int descriptor);
/// The text in this colour if `descriptor` is a terminal and NO_COLOR is not set.
enum class colour { green, red, yellow, dim };
std::string paint(colour how, const std::string& text, int descriptor = 1);
/// Text from outside, made harmless for a terminal: control characters become '?'.
std::string harmless(std::string_view text);

/// "2026-11-22T16:00:00.000Z"
std::string utc_text(std::uint64_t ms);

} // namespace signet::cli
