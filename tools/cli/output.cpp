#include "tools/cli/output.hpp"

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <iostream>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace signet::cli {

int exit_code_of(ec code) {
  switch (code) {
    case ec::ok: return exit_good;
    case ec::internal: return exit_internal;
    case ec::io: case ec::corrupt: case ec::locked: case ec::wrong_format: return exit_io;
    case ec::configuration: return exit_configuration;
    default: return exit_refused;
  }
}

int report(const error& what, const common_flags& flags) {
  if (flags.json)
    print({{"error", name(what.code)}, {"message", describe(what.code)}, {"context", what.context}});
  std::cerr << paint(colour::red, "signet: ", 2) << harmless(describe(what.code));
  if (!what.context.empty()) {
    // A list of problems keeps its lines.
    std::cerr << ": ";
    for (char c : what.context)
      std::cerr << (c == '\n' ? c : harmless({&c, 1})[0]);
  }
  std::cerr << "\n";
  return exit_code_of(what.code);
}

void print(const nlohmann::json& what) {
  std::cout << what.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << std::endl;
}

bool is_terminal(int descriptor) { return ::isatty(descriptor) == 1; }

std::string paint(colour how, const std::string& text, int descriptor) {
  if (!is_terminal(descriptor) || std::getenv("NO_COLOR"))
    return text;
  static constexpr const char* codes[] = {"32", "31", "33", "2"};
  return std::string("\033[") + codes[static_cast<int>(how)] + "m" + text + "\033[0m";
}

std::string harmless(std::string_view text) {
  std::string out(text);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto c = static_cast<unsigned char>(out[i]);
    const auto next = i + 1 < out.size() ? static_cast<unsigned char>(out[i + 1]) : 0;
    // C0 and DEL; and C1 (U+0080 to U+009F), which terminals obey too.
    if (c < 0x20 || c == 0x7f)
      out[i] = '?';
    else if (c == 0xc2 && next >= 0x80 && next <= 0x9f)
      out[i] = out[i + 1] = '?';
  }
  return out;
}

std::string utc_text(std::uint64_t ms) {
  const auto seconds = static_cast<std::time_t>(ms / 1000);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  char whole[48];
  std::snprintf(whole, sizeof whole, "%s.%03uZ", text, static_cast<unsigned>(ms % 1000));
  return whole;
}

} // namespace signet::cli
