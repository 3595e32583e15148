#pragma once
// Domain separation: every hash and every signature covers "signet/v1/" label 0x00 before its content, so that bytes
// made for one purpose can never pass for another. One key, one role; one label, one meaning.

#include "messages/ids.hpp"

#include <array>
#include <initializer_list>
#include <string_view>

namespace signet {

enum class label : std::uint8_t {
  identity,      ///< hash: link of an identity version, over its body
  message,       ///< hash: link of a message, over its body
  leaf,          ///< hash: Merkle leaf, over a link
  node,          ///< hash: Merkle node, over left · right
  batch,         ///< signature of a batch, over root · count
  possession,    ///< signature of each key of an identity version, over link · index
  version,       ///< signature of an update key over the link of the next version
  commitment,    ///< hash: commitment to an update key, over that key
  login_node,    ///< signature of a node over a login transcript
  login_client,  ///< signature of a device key over a login transcript
  token,         ///< signature of a device key over a connect token
  log_record,    ///< hash: chain of the event log
  state,         ///< hash: state of the views
  tree_head,     ///< reserved
  backup,        ///< reserved
  admin,         ///< reserved
  derived_key,   ///< hash: seed of a key, over a cluster's secret · what the key is for
};

struct label_row {
  label which;
  /// Everything before the content, the closing 0x00 included.
  std::string_view prefix;
};

namespace detail {
using namespace std::string_view_literals;
inline constexpr std::array label_table{
  label_row{label::identity, "signet/v1/identity\0"sv},
  label_row{label::message, "signet/v1/message\0"sv},
  label_row{label::leaf, "signet/v1/leaf\0"sv},
  label_row{label::node, "signet/v1/node\0"sv},
  label_row{label::batch, "signet/v1/batch\0"sv},
  label_row{label::possession, "signet/v1/possession\0"sv},
  label_row{label::version, "signet/v1/version\0"sv},
  label_row{label::commitment, "signet/v1/commitment\0"sv},
  label_row{label::login_node, "signet/v1/login-node\0"sv},
  label_row{label::login_client, "signet/v1/login-client\0"sv},
  label_row{label::token, "signet/v1/token\0"sv},
  label_row{label::log_record, "signet/v1/log-record\0"sv},
  label_row{label::state, "signet/v1/state\0"sv},
  label_row{label::tree_head, "signet/v1/tree-head\0"sv},
  label_row{label::backup, "signet/v1/backup\0"sv},
  label_row{label::admin, "signet/v1/admin\0"sv},
  label_row{label::derived_key, "signet/v1/derived-key\0"sv},
};

/// In the order of the enum; each prefix well-formed; no label the beginning of another, even without the 0x00.
consteval bool label_table_is_sound() {
  for (std::size_t i = 0; i < label_table.size(); ++i) {
    const auto prefix = label_table[i].prefix;
    if (static_cast<std::size_t>(label_table[i].which) != i || !prefix.starts_with("signet/v1/") ||
        prefix.find('\0') != prefix.size() - 1)
      return false;
    for (std::size_t k = 0; k < label_table.size(); ++k)
      if (k != i && label_table[k].prefix.starts_with(prefix.substr(0, prefix.size() - 1)))
        return false;
  }
  return true;
}
static_assert(label_table_is_sound());
} // namespace detail

/// Every label once, in the order of the enum.
inline constexpr const auto& label_table = detail::label_table;

/// "signet/v1/" label 0x00
constexpr std::string_view prefix(label which) { return label_table[static_cast<std::size_t>(which)].prefix; }
/// The label alone, as the protocol document writes it.
constexpr std::string_view name(label which) {
  constexpr std::size_t head = std::string_view{"signet/v1/"}.size();
  return prefix(which).substr(head, prefix(which).size() - head - 1);
}

/// BLAKE2b-256 over the label's prefix and then the parts, one after another and without lengths between them: the
/// caller's layout must be unambiguous.
digest hash(label which, std::initializer_list<bytes_view> parts);
inline digest hash(label which, bytes_view content) { return hash(which, {content}); }
/// The same, as the name of an object.
link hash_link(label which, bytes_view body);

/// Integers as parts of what is hashed or signed.
constexpr std::array<std::uint8_t, 4> big_endian(std::uint32_t value) {
  return {static_cast<std::uint8_t>(value >> 24), static_cast<std::uint8_t>(value >> 16),
          static_cast<std::uint8_t>(value >> 8), static_cast<std::uint8_t>(value)};
}
constexpr std::array<std::uint8_t, 8> big_endian(std::uint64_t value) {
  std::array<std::uint8_t, 8> out{};
  for (std::size_t i = out.size(); i-- > 0; value >>= 8)
    out[i] = static_cast<std::uint8_t>(value);
  return out;
}

/// The hash of before, piece by piece. Not thread-safe; after finish() it must not be used again.
class hasher {
public:
  explicit hasher(label which);
  hasher& add(bytes_view part);
  digest finish();

private:
  alignas(64) std::array<unsigned char, 384> state_;
};

} // namespace signet
