#pragma once
// BOT: what a developer of a bot writes against, and all of it. A bot is an identity whose inbox is handled by a program:
// one message after another, in the order of the inbox. The runner (actors/bots/) does the rest.
//
// What the runner promises: the messages that handle() sends, and the fact that its input is handled, become ONE entry of
// the event log. After a crash at any moment either both are there or neither, and then handle() runs again on the same
// input: so effects inside Signet happen exactly once. Effects outside of it (mails, payments) happen at least once: give
// the other side incoming::position and your own permalink as the key by which it knows a repetition.
// If handle() throws, nothing that it sent counts, the bot object is made anew, and the input is tried again after a wait;
// after the last attempt it is set aside as a dead letter, and the bot goes on behind it.
//
// handle() runs on a thread of the node's pool, never twice at once for one bot, and should return within milliseconds.

#include "messages/ids.hpp"

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace signet::bots {

/// A message in the inbox of the bot; accepted, so its signature and its lane have been checked. Views live for the call.
struct incoming {
  permalink author;
  signet::link link;        ///< names this message
  signet::link thread;      ///< first message of the conversation; zero: none named
  signet::link reply_to;    ///< zero: no reply
  inbox_position position{};
  log_index index{};        ///< of its entry
  wall_ms time{};           ///< the author's clock: data only
  std::string_view type;    ///< "text" is UTF-8 text
  std::string_view content_type;
  bytes_view body;
};

/// A message that the bot wants to send. Number, signature and place in the lane are the runner's business.
struct outgoing {
  permalink to;
  std::string type = "text";     ///< at most 128 bytes
  std::string content_type;
  bytes body;                    ///< at most about 190 KiB
  signet::link thread;
  signet::link reply_to;
};

/// Collects what one call of handle() sends: at most 256 messages and 448 KiB, or the call counts as failed.
class effects {
public:
  void send(outgoing message) { messages_.push_back(std::move(message)); }
  /// To the author, with the reply link set and the thread kept.
  void reply(const incoming& to, std::string_view type, bytes_view body, std::string_view content_type = {}) {
    send({to.author, std::string{type}, std::string{content_type}, to_bytes(body), to.thread, to.link});
  }
  std::vector<outgoing>& messages() { return messages_; }

private:
  std::vector<outgoing> messages_;
};

class bot {
public:
  virtual ~bot() = default;
  /// Fails by throwing.
  virtual void handle(const incoming& in, effects& out) = 0;
};
/// Called at the start and after each failure: state in memory does not survive either.
using bot_factory = std::function<std::unique_ptr<bot>()>;

/// Thrown by handle() to say why in the dead letter. The texts of other exceptions may quote a message, so of them only
/// the type is kept (std:: exceptions keep theirs). Do not put message content into `why`.
class handler_error : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

} // namespace signet::bots
