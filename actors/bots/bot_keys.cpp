#include "actors/bots/bot_keys.hpp"

#include <algorithm>

namespace signet {
namespace {

constexpr std::string_view secret_file = "cluster.seed";
// What a derived key is for; never reused for anything else.
constexpr std::uint8_t purpose_update = 1, purpose_sign = 2;

status check_name(std::string_view name) {
  if (!is_bot_name(name))
    return fail(ec::configuration, "bot name: 1 to 64 of a-z 0-9 - _");
  return {};
}

identity_draft draft_of(const bot_keys& keys, std::string_view bot_name) {
  identity_draft draft;
  draft.keys = {{key_purpose::update, &keys.update}, {key_purpose::sign, &keys.sign}};
  draft.profile = to_bytes(as_bytes(bot_name));
  return draft;
}

bool same(const root_secret& one, const root_secret& other) {
  return one.derive(0, {}).public_half() == other.derive(0, {}).public_half();
}

} // namespace

bool is_bot_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

result<root_secret> load_cluster_secret(const std::filesystem::path& keys_directory) {
  return root_secret::load(keys_directory / secret_file);
}

status keep_cluster_secret(const std::filesystem::path& keys_directory, const root_secret& secret) {
  std::error_code failed;
  if (std::filesystem::create_directories(keys_directory, failed))
    std::filesystem::permissions(keys_directory, std::filesystem::perms::owner_all, failed);
  if (failed)
    return fail(ec::io, keys_directory.string() + ": " + failed.message());
  auto saved = secret.save(keys_directory / secret_file);
  if (saved || saved.error().code != ec::already_exists)
    return saved;
  auto standing = load_cluster_secret(keys_directory);
  if (!standing)
    return tl::make_unexpected(standing.error());
  return same(*standing, secret) ? status{} : saved;
}

result<root_secret> load_or_make_cluster_secret(const std::filesystem::path& keys_directory, random_source& random) {
  auto found = load_cluster_secret(keys_directory);
  if (found || found.error().code != ec::not_found)
    return found;
  auto made = root_secret::generate(random);
  if (auto kept = keep_cluster_secret(keys_directory, made); !kept)
    return tl::make_unexpected(kept.error());
  return made;
}

result<bot_keys> derive_bot_keys(const root_secret& secret, std::string_view bot_name) {
  if (auto good = check_name(bot_name); !good)
    return tl::make_unexpected(good.error());
  return bot_keys{secret.derive(purpose_update, bot_name), secret.derive(purpose_sign, bot_name)};
}

result<std::optional<bot_keys>> load_old_bot_keys(const std::filesystem::path& keys_directory,
                                                  std::string_view bot_name) {
  if (auto good = check_name(bot_name); !good)
    return tl::make_unexpected(good.error());
  const auto file = [&](const char* which) {
    return keys_directory / "bots" / (std::string{bot_name} + which);
  };
  auto update = signing_key::load(file(".update.seed"));
  auto sign = signing_key::load(file(".sign.seed"));
  const auto missing = [](const result<signing_key>& key) { return !key && key.error().code == ec::not_found; };
  if (missing(update) && missing(sign))
    return std::optional<bot_keys>{};
  if (!update)
    return tl::make_unexpected(update.error());
  if (!sign)
    return tl::make_unexpected(sign.error());
  return std::optional{bot_keys{std::move(*update), std::move(*sign)}};
}

result<identity_version> first_bot_identity(const bot_keys& keys, std::string_view bot_name) {
  return make_first_identity(draft_of(keys, bot_name));
}

result<identity_version> next_bot_identity(const bot_keys& old_keys, const bot_keys& keys, std::string_view bot_name) {
  auto first = first_bot_identity(old_keys, bot_name);
  if (!first)
    return first;
  return make_next_identity(*first, draft_of(keys, bot_name), old_keys.update);
}

result<bot_identity_here> find_bot_identity(const std::filesystem::path& keys_directory, std::string_view bot_name) {
  auto old_keys = load_old_bot_keys(keys_directory, bot_name);
  if (!old_keys)
    return tl::make_unexpected(old_keys.error());
  auto secret = load_cluster_secret(keys_directory);
  if (!secret && (secret.error().code != ec::not_found || !*old_keys))
    return tl::make_unexpected(secret.error());
  if (!secret) {
    auto first = first_bot_identity(**old_keys, bot_name);
    if (!first)
      return tl::make_unexpected(first.error());
    return bot_identity_here{first->permalink(), std::move(**old_keys), std::move(*first), std::nullopt};
  }
  auto keys = derive_bot_keys(*secret, bot_name);
  if (!keys)
    return tl::make_unexpected(keys.error());
  auto first = first_bot_identity(*old_keys ? **old_keys : *keys, bot_name);
  if (!first)
    return tl::make_unexpected(first.error());
  std::optional<identity_version> next;
  if (*old_keys) {
    auto made = next_bot_identity(**old_keys, *keys, bot_name);
    if (!made)
      return tl::make_unexpected(made.error());
    next = std::move(*made);
  }
  const auto who = first->permalink();
  return bot_identity_here{who, std::move(*keys), std::move(*first), std::move(next)};
}

} // namespace signet
