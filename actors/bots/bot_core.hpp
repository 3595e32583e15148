#pragma once
// What a bot's runner decides: when to read the inbox, what to propose, when to try again and when to set an input aside.
// Plain C++: step(event, now) → orders; no actor, no disk, no clock.
//
// The problem: between "the handler ran" and "its replies are in the log" anything may stop us, or leave us without an
// answer. The idea: the log is the only memory. All effects of a run of inputs and the position behind them are one
// entry, which names the epoch of this deployment and the position it expects; apply accepts it once.
// Invariants:
//  1. One proposal in flight. Without a definite answer the identical bytes are proposed again, never other ones.
//  2. An input is handled only at the durable position + 1 or, in the same entry, directly behind inputs just handled.
//  3. A failed attempt is durable before the handler runs again on its input; so is a dead letter before the next input.
//  4. The bot runs on the node that leads surely. It deploys anew (a new epoch) when this node begins to, and forgets
//     everything that is not in the log when it no longer does. What an older epoch proposes is refused by apply, so two
//     nodes that both believe to lead harm nothing; who is told so while it leads deploys once more, after a while.
// A crash means, after each step:
//  handled, not proposed: the inputs are read and handled again; their effects existed only in memory;
//  proposed, not answered: it is in the log or not. The next deployment reads the position that stands and goes on there;
//  attempt noted, not retried: the count stands, the wait is begun anew.

#include "actors/supervision/backoff.hpp"
#include "actors/supervision/restartable.hpp"
#include "bots/bot.hpp"
#include "messages/envelope/batch.hpp"
#include "messages/events.hpp"
#include "messages/seams.hpp"

#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace signet {

struct bot_rules {
  std::uint64_t attempts_max = 5;  ///< then a dead letter
  supervision::backoff_rule retry{std::chrono::milliseconds{200}, std::chrono::milliseconds{60'000},
                                  std::chrono::milliseconds{200}};
  supervision::backoff_rule in_doubt{std::chrono::milliseconds{50}, std::chrono::milliseconds{5'000},
                                     std::chrono::milliseconds{20}};
  std::size_t inputs_max = 256;          ///< read at once, and so at most in one entry
  std::size_t inputs_bytes_max = 512 * 1024;
};
/// Of one input's effects; more is a failure of that input.
inline constexpr std::size_t bot_effects_max = 256;
inline constexpr std::size_t bot_effects_bytes_max = 448 * 1024;
/// An entry is closed once it holds as much: one more input then still fits a batch.
inline constexpr std::size_t bot_entry_messages_full = 256;
inline constexpr std::size_t bot_entry_bytes_full = 384 * 1024;

/// One message of the inbox, owned.
struct bot_input {
  inbox_position position{};
  log_index index{};
  signet::link link;
  message_header header;
  bytes body;  ///< canonical MessageBody
};

// Events.
struct bot_started { cluster_id cluster; };
/// Whether this node leads surely, and in which term: only there the bot runs. `published`: its identity stands in the log.
struct bot_leads {
  bool surely = false;
  std::uint64_t term = 0;
  bool published = false;
};
struct bot_woken {};       ///< the inbox may have grown
/// What one read transaction shows, in answer to read_bot_inbox: `inputs` begin at position + 1, without gap.
struct bot_inbox {
  inbox_position position{};
  std::uint64_t attempts = 0;  ///< noted for position + 1
  std::vector<bot_input> inputs;
};
/// In answer to read_bot_lanes: where the lanes of the bot's sign key stand, in the order asked.
struct bot_lanes { std::vector<lane_tail> tails; };
/// Of the proposal of that number. Errors: unknown_outcome, overloaded, disk_full, not_leader.
struct bot_answered {
  std::uint64_t number = 0;
  result<entry_answer> answer;
};
struct bot_timer_fired { std::uint64_t timer = 0; };
using bot_event = std::variant<bot_started, bot_leads, bot_woken, bot_inbox, bot_lanes, bot_answered, bot_timer_fired>;

// Orders. Each is answered by the event named.
struct read_bot_inbox { std::size_t inputs_max = 0, bytes_max = 0; };        ///< bot_inbox
struct read_bot_lanes { std::vector<permalink> recipients; };                ///< bot_lanes
struct propose_for_bot { std::uint64_t number = 0; shared_bytes entry; };    ///< bot_answered
struct arm_bot_timer { std::uint64_t timer = 0; std::chrono::milliseconds delay{}; };  ///< bot_timer_fired
struct stop_bot { std::string reason; };                                     ///< a failure; nothing follows
using bot_order = std::variant<read_bot_inbox, read_bot_lanes, propose_for_bot, arm_bot_timer, stop_bot>;

struct bot_identity {
  std::string name;
  permalink who;
  bytes first_version;  ///< serialised; published if it is not there
};

/// For status and tests.
struct bot_picture {
  std::string_view phase;
  std::uint64_t epoch = 0;
  inbox_position position{};
  std::uint64_t attempts = 0;      ///< failed, at position + 1
  std::uint64_t inputs = 0, sent = 0, failures = 0, dead_letters = 0, in_doubt = 0;  ///< since the runner started
  std::string last_failure;
};

/// Not movable: handlers refer to it. `key` and `random` outlive it.
class bot_core {
public:
  bot_core(bot_identity who, const signing_key& key, bots::bot_factory make, bot_rules rules, random_source& random);
  bot_core(const bot_core&) = delete;

  /// `now` goes into the messages that the bot sends; nothing is decided by it. Events that do not fit the state (late
  /// timers, answers twice) have no effect. Throws std::logic_error if a bot_inbox has gaps: a defect of ours.
  std::vector<bot_order> step(bot_event event, wall_ms now);
  bot_picture picture() const;

private:
  enum class phase : std::uint8_t {
    resting, publishing, deploying, idle, reading, numbering, committing, noting_attempt, setting_aside, waiting,
    resyncing, displaced, stopped
  };
  struct effect {
    bots::outgoing message;
    inbox_position input{};
  };
  /// Apply has refused what the handler sent for this input: it counts as a failure of the handler.
  struct refusal {
    inbox_position input{};
    std::string why;
  };
  using work = supervision::restartable<bot_input>;

  void on(bot_started&& event);
  void on(bot_leads&& event);
  void on(bot_woken&& event);
  void on(bot_inbox&& event);
  void on(bot_lanes&& event);
  void on(bot_answered&& event);
  void on(bot_timer_fired&& event);

  work::handler make_handler();
  void handle(bots::bot& bot, const bot_input& in);
  void deploy();
  void look();
  void run();
  void number();
  void commit(bytes_view batch);
  void note_failure();
  void propose(phase why, bytes entry);
  void in_doubt();
  void done();
  void refused(const entry_answer& answer);
  void resync();
  void rest();
  void forget_work();
  void wait(phase why, std::chrono::milliseconds delay);
  void stop(std::string reason);

  bot_identity who_;
  const signing_key& key_;
  bots::bot_factory make_;
  bot_rules rules_;
  random_source& random_;

  phase phase_ = phase::resting;
  std::uint64_t term_ = 0;           // in which it leads; 0: it does not
  wall_ms now_{};
  std::vector<bot_order> orders_;
  cluster_id cluster_;
  std::uint64_t epoch_ = 0;
  inbox_position position_{};        // durable, as far as we know
  bool more_ = false;                // woken while at work
  std::optional<work> work_;         // inputs read and not handled
  inbox_position handled_{};         // in memory: position_ and what run() has done behind it
  std::vector<effect> effects_;      // of (position_, handled_]
  std::size_t effects_bytes_ = 0;
  std::vector<permalink> recipients_;
  std::optional<supervision::attempt_failed> failed_;  // at handled_ + 1
  std::optional<refusal> refusal_;
  shared_bytes in_flight_;           // null: no proposal is open
  std::uint64_t number_ = 0;         // of the newest order to propose
  bool answered_ = true;             // false: in flight, true: to be proposed again when the timer fires
  std::uint64_t doubts_ = 0;         // in a row
  std::uint64_t displaced_ = 0;      // since the last entry that counted
  std::uint64_t timer_ = 0;          // the one that counts
  std::uint64_t last_timer_ = 0;
  bot_picture counts_;
};

} // namespace signet
