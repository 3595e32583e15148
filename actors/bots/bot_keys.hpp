#pragma once
// The keys and the identity of a bot. A bot may run on any node, so its keys follow from the cluster's secret, 32 bytes in
// DATA/keys/cluster.seed, which every node of the cluster holds: nothing else has to be handed over, and a crash before the
// identity is published repeats the same publication.
//
// A store from before there was such a secret has two seed files of the bot, bots/NAME.update.seed and NAME.sign.seed below
// the key directory. That identity stays: its next version, signed with the old update key, brings in the derived keys and
// revokes the old ones. Only the node that holds the files can write that version; once it stands, every node knows the
// bot by its derived key.

#include "messages/envelope/identity.hpp"
#include "messages/envelope/keys.hpp"

#include <filesystem>
#include <optional>
#include <string>

namespace signet {

struct bot_keys {
  signing_key update;  ///< signs the next version of the bot's identity
  signing_key sign;    ///< signs its messages
};

/// Lower-case letters, digits, '-', '_'; 1 to 64 of them: it becomes part of file names.
bool is_bot_name(std::string_view name);

/// DATA/keys/cluster.seed: loads it, or makes it if there is none. For the node that founds a cluster, and for one alone.
result<root_secret> load_or_make_cluster_secret(const std::filesystem::path& keys_directory, random_source& random);
/// `not_found`: this node has not been given it yet.
result<root_secret> load_cluster_secret(const std::filesystem::path& keys_directory);
/// What another node of the cluster has handed over. The same again is fine; `already_exists`: another one stands here.
status keep_cluster_secret(const std::filesystem::path& keys_directory, const root_secret& secret);

/// The same on every node. `configuration`: a bad name.
result<bot_keys> derive_bot_keys(const root_secret& secret, std::string_view bot_name);
/// The seed files from before there was a secret. Nothing: there are none. `configuration`: a file that others can read;
/// `malformed`, `io`; `not_found`: one of the two is missing.
result<std::optional<bot_keys>> load_old_bot_keys(const std::filesystem::path& keys_directory,
                                                  std::string_view bot_name);

/// Version 1: both keys, and the name as profile. The same bytes each time.
result<identity_version> first_bot_identity(const bot_keys& keys, std::string_view bot_name);
/// Version 2 of an identity whose first version holds `old_keys`: from here on `keys`.
result<identity_version> next_bot_identity(const bot_keys& old_keys, const bot_keys& keys, std::string_view bot_name);

/// Who the bot is, as far as this node's files say.
struct bot_identity_here {
  permalink who;
  bot_keys keys;                 ///< with which it speaks
  identity_version first;
  std::optional<identity_version> next;  ///< must stand before it speaks
};
/// `not_found`: neither files nor a secret.
result<bot_identity_here> find_bot_identity(const std::filesystem::path& keys_directory, std::string_view bot_name);

} // namespace signet
