#include "actors/bots/bot_keys.hpp"

#include <algorithm>
#include <sys/stat.h>

namespace signet {
bool is_bot_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

result<bot_keys> load_or_make_bot_keys(const std::filesystem::path& keys_directory, std::string_view bot_name,
                                       random_source& random) {
  if (!is_bot_name(bot_name))
    return fail(ec::configuration, "bot name: 1 to 64 of a-z 0-9 - _");
  const auto directory = keys_directory / "bots";
  std::error_code failed;
  if (std::filesystem::create_directories(directory, failed); failed)
    return fail(ec::io, directory.string() + ": " + failed.message());
  if (::chmod(directory.c_str(), 0700) != 0)
    return fail(ec::io, directory.string() + ": cannot be made private");
  // A crash between the two leaves the first: it is loaded next time.
  auto update = signing_key::load_or_make(directory / (std::string{bot_name} + ".update.seed"), random);
  if (!update)
    return tl::make_unexpected(update.error());
  auto sign = signing_key::load_or_make(directory / (std::string{bot_name} + ".sign.seed"), random);
  if (!sign)
    return tl::make_unexpected(sign.error());
  return bot_keys{std::move(*update), std::move(*sign)};
}

result<identity_version> first_bot_identity(const bot_keys& keys, std::string_view bot_name) {
  identity_draft draft;
  draft.keys = {{key_purpose::update, &keys.update}, {key_purpose::sign, &keys.sign}};
  draft.profile = to_bytes(as_bytes(bot_name));
  return make_first_identity(draft);
}

} // namespace signet
