#pragma once
// What links decide, without I/O and without a clock of their own: who may stand on the other side, which of two
// connections of one peer is kept, when a silent one is dead, when to dial again, and what is said about refusals.
// Not thread-safe.

#include "actors/supervision/backoff.hpp"
#include "storage/peer/frame.hpp"

#include <array>
#include <chrono>
#include <optional>

namespace signet {

/// Why a connection of another node was refused or ended. The names stand in logs and in security events; the numbers
/// on the wire.
enum class link_refusal : std::uint8_t {
  unknown_key = 1,         ///< a key that cluster.conf does not name
  wrong_key = 2,           ///< the key of another node than the one that was dialed, or that it says it is
  other_cluster = 3,       ///< another cluster id
  wrong_receiver = 4,      ///< dialed for a node of another name
  version = 5,             ///< another protocol version
  tls = 6,                 ///< no TLS 1.3 with a certificate, or no TLS at all
  oversize_frame = 7,      ///< a frame above its limit, or data before the hello
  malformed = 8,           ///< bytes that follow no grammar, or a frame that does not belong there
  late = 9,                ///< no hello in time
  too_many = 10,           ///< more unauthenticated connections than there may be
  second_incarnation = 11, ///< another process under this name while the first is alive: a node and its copy
  replaced = 12,           ///< a newer connection of the same process took its place
  removed = 13,            ///< the node table names this peer no more
  silent = 14,             ///< nothing heard for ten heartbeats
};
inline constexpr std::size_t link_refusals_max = 16;
std::string_view name(link_refusal reason);
/// A number from the wire.
std::optional<link_refusal> find_link_refusal(std::uint8_t number);
/// True for what only a wrong configuration or an attack can cause: a security event.
bool is_suspicious(link_refusal reason);

/// What the other side's hello must say. `peer` is the node whose key TLS has verified.
struct hello_expected {
  cluster_id cluster;
  std::string self;
  std::string peer;
};
/// Nothing: it is right.
std::optional<link_refusal> judge_hello(const hello_expected& expected, const peer::hello& said);

/// Of one peer: the processes that stand on the connections this node dialed (out) and accepted (in).
struct standing_links {
  std::optional<peer::process_id> out, in;
};
enum class arrival : std::uint8_t {
  welcome,
  replaces,  ///< welcome; the older connection of the same direction is closed
  refused,   ///< second_incarnation
};
/// One process at a time has a node's name: a connection of another one waits until those of the first are closed or
/// have fallen silent. Of two connections of the same process in one direction the newer is alive, the older perhaps
/// not.
arrival judge_arrival(const standing_links& standing, bool incoming, const peer::process_id& who);

/// Judges the silence of one connection. Time in which this node itself did not run does not count: a stopped or
/// overloaded process must not drop all its peers when it comes back.
class link_silence {
public:
  explicit link_silence(std::chrono::milliseconds limit) : limit_{limit} {}
  void heard() { silent_ = {}; }
  /// `since_last` is the time since the previous call, which was due after `period`. True: dead.
  bool passed(std::chrono::milliseconds since_last, std::chrono::milliseconds period) {
    silent_ += std::min(since_last, 2 * period);
    return silent_ >= limit_;
  }

private:
  std::chrono::milliseconds limit_, silent_{};
};

/// When to dial again: doubling with jitter, from the start once a connection has stood for a while.
class redial_schedule {
public:
  static constexpr std::chrono::milliseconds steady_after{2'000};
  explicit redial_schedule(supervision::backoff_rule rule) : rule_{rule} {}
  /// A dial has failed, or what stood for `stood` has ended. How long to wait.
  std::chrono::milliseconds next(std::chrono::milliseconds stood, random_source& random) {
    attempt_ = stood >= steady_after ? 1 : attempt_ + 1;
    return supervision::backoff_delay(rule_, attempt_, random);
  }
  /// The peer has been heard of: dial as if for the first time.
  void forget() { attempt_ = 0; }

private:
  supervision::backoff_rule rule_;
  std::uint64_t attempt_ = 0;
};

/// Refusals, gathered: a flood makes one line in `every`, not one each.
class refusal_report {
public:
  explicit refusal_report(std::chrono::milliseconds every) : every_{every} {}
  /// How many to report now (this one and those kept back since the last report); nothing: keep quiet.
  std::optional<std::uint64_t> note(link_refusal reason, std::chrono::steady_clock::time_point now);

private:
  struct one {
    std::uint64_t waiting = 0;
    std::optional<std::chrono::steady_clock::time_point> last;
  };
  std::chrono::milliseconds every_;
  std::array<one, link_refusals_max> all_;
};

} // namespace signet
