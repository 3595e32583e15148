#pragma once
// What consensus speaks of: entries, members, messages between servers. Plain data, no behaviour, no thread rules.

#include "messages/bytes.hpp"
#include "messages/errors.hpp"
#include "messages/ids.hpp"
#include "messages/seams.hpp"

#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace signet::raft {

/// Names a server for ever; a server that was removed never comes back under its old id. 0 is "none".
enum class server_id : std::uint64_t {};

enum class role : std::uint8_t { follower, candidate, leader };
std::string_view name(role x);

/// The numbers are those of the encoded configuration and never change.
enum class member_role : std::uint8_t {
  standby = 0,  ///< receives the log, does not vote
  voter = 1,    ///< receives the log and votes
  spare = 2,    ///< neither
};

struct member {
  server_id id{};
  /// Where other members find it. Not empty, no NUL byte, unique in its configuration. Consensus only carries it around.
  std::string address;
  member_role role = member_role::standby;
  bool operator==(const member&) const = default;
};

/// The members of a cluster. At most configuration_members_max, at least one voter, ids and addresses unique.
using configuration = std::vector<member>;
inline constexpr std::size_t configuration_members_max = 64;
inline constexpr std::size_t address_bytes_max = 255;

/// The number of the server that votes alone in `members`; none when it has no voter or several.
std::optional<server_id> sole_voter_of(const configuration& members);
/// ec::malformed and why, unless `members` keeps the rules above.
status check(const configuration& members);

/// Payload of a change entry. All integers little-endian:
///   version u8 = 1 | count u64 | count × { id u64 | address bytes, NUL | role u8 } | zeros up to a multiple of 8
/// One voter "a" with id 1: 01 0100000000000000 0100000000000000 6100 01 00000000 (padded to 24 bytes).
/// Expects a configuration that check() accepts.
bytes encode(const configuration& members);
/// Every length is checked before it is used; anything that encode() would not have written is ec::malformed.
result<configuration> decode_configuration(bytes_view raw);

/// The numbers are stored in the log and never change.
enum class entry_type : std::uint8_t {
  command = 1,  ///< the payload is the application's
  barrier = 2,  ///< eight zero bytes: a new leader's first entry
  change = 3,   ///< the payload is an encoded configuration
};

struct entry {
  signet::term term{};
  entry_type type = entry_type::command;
  bytes payload;
  bool operator==(const entry&) const = default;
};

/// What a server must never forget besides its log; always stored as one record.
struct hard_state {
  signet::term term{};
  server_id voted_for{};  ///< 0: nobody yet in this term
  bool operator==(const hard_state&) const = default;
};

/// Up to where the application state already holds the log.
struct snapshot_meta {
  log_index index{};
  signet::term term{};            ///< of the entry at `index`
  log_index configuration_index{};  ///< of the newest change entry at or below `index`
  raft::configuration configuration;   ///< and what it says
  bool operator==(const snapshot_meta&) const = default;
};

/// The durable state with which every founding member of a cluster begins: hard state {term 1, nobody} and this one
/// entry at index 1, identical bytes on all of them. (A member that joins later begins with nothing at all.)
entry founding_entry(const configuration& members);
inline constexpr hard_state founding_hard_state{signet::term{1}, server_id{}};

// ---- messages --------------------------------------------------------------------------------------------------------

struct append_entries {
  signet::term term{};
  log_index prev_index{};
  signet::term prev_term{};
  log_index leader_commit{};
  std::vector<entry> entries;   ///< incoming: entries [prev_index + 1, …)
  std::uint32_t fill_count = 0;  ///< outgoing: how many entries from prev_index + 1 on the driver takes from its log
};
struct append_entries_result {
  signet::term term{};
  log_index rejected{};    ///< 0: accepted
  log_index last_index{};  ///< accepted: durable up to here; rejected: a hint
};
struct request_vote {
  signet::term term{};
  server_id candidate{};
  log_index last_index{};
  signet::term last_term{};
  bool disrupt_leader = false;
  bool pre_vote = false;
};
struct request_vote_result {
  signet::term term{};
  bool granted = false;
  bool pre_vote = false;
};
/// Announces that the state at `snapshot.index` has been carried over; the state itself travels by other means.
struct install_snapshot {
  signet::term term{};
  snapshot_meta snapshot;  ///< outgoing: configuration and its index are filled in too
};
struct timeout_now {
  signet::term term{};
  log_index last_index{};
  signet::term last_term{};
};
using message = std::variant<append_entries, append_entries_result, request_vote, request_vote_result, install_snapshot,
                             timeout_now>;

struct outgoing {
  server_id to{};
  message body;
};
struct incoming {
  server_id from{};           ///< the authenticated sender
  signet::term sender_term{};  ///< the sender's current term when it sent this; travels in the envelope
  message body;
};

} // namespace signet::raft
