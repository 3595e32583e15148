#pragma once
// The keys and the identity of a bot: two seed files in the node's key directory, NAME.update.seed and NAME.sign.seed
// below bots/, and the first version that follows from them. The first version is a function of the keys and the name,
// so nothing else has to be kept: a crash before it is published repeats the same publication.

#include "messages/envelope/identity.hpp"
#include "messages/envelope/keys.hpp"

#include <filesystem>
#include <string>

namespace signet {

struct bot_keys {
  signing_key update;  ///< signs the next version of the bot's identity
  signing_key sign;    ///< signs its messages
};

/// Lower-case letters, digits, '-', '_'; 1 to 64 of them: it becomes part of file names.
bool is_bot_name(std::string_view name);
/// Loads, or makes and saves what is not there yet (directory 0700, files 0600). `configuration`: a bad name, or a file that others can
/// read; `malformed`, `io`.
result<bot_keys> load_or_make_bot_keys(const std::filesystem::path& keys_directory, std::string_view bot_name,
                                       random_source& random);
/// Version 1: both keys, and the name as profile. The same bytes each time.
result<identity_version> first_bot_identity(const bot_keys& keys, std::string_view bot_name);

} // namespace signet
