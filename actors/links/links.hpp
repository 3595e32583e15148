#pragma once
// LINKS: what nodes of one cluster say to each other, as opaque bytes between two node names. Knows keys, connections
// and silence; knows nothing of consensus.
//
// Every node dials every peer and sends only on the connection that it dialed; who accepted only reads, and answers
// pings. So a pair of nodes has two connections, and a link is up when both stand, with the same process at the other
// end: what is sent may be answered. Both sides see it go down when either connection ends.
//
// What it keeps, whatever others do:
//   * TLS 1.3 with mutual keys; only those that the node table names. A stranger is told nothing but a public key.
//   * A frame arrives whole, once, in the order in which it was sent, or not at all: what is queued or under way when a
//     link goes down is lost, and the sender is told by down().
//   * A queue for each peer, bounded: a frame that finds it full is dropped and counted. One slow peer holds no other.
//   * Nothing is read from a peer while more than receive_credit_bytes of its frames are not processed.
//   * A silent connection ends after ten heartbeats (at least 500 ms) and is dialed again, 50 ms to 2 s later.
//   * One process at a time has a node's name: a copy of a node that runs beside it is refused.
//
// Threads: one of its own; every public function may be called from any thread, but for start() and stop(). Handlers
// are called on the links' thread: they hand on and return, and do not throw. A crash loses what was under way, not
// more.

#include "actors/links/judge.hpp"
#include "messages/envelope/keys.hpp"
#include "messages/events.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace signet {

/// A row of the node table, of another node.
struct link_peer {
  std::string name;
  std::string endpoint;  ///< host:port to dial; a name is looked up at each dial
  public_key key;        ///< of its link
  bool operator==(const link_peer&) const = default;
};

struct links_settings {
  cluster_id cluster;
  std::string self;      ///< this node's name
  std::string listen;    ///< address:port; port 0: a free one, links::listening() tells which
  peer::process_id process;  ///< drawn at start

  std::chrono::milliseconds heartbeat{50};
  std::size_t send_queue_bytes_max = 16U << 20;    ///< for each peer
  std::size_t receive_credit_bytes = 8U << 20;     ///< for each peer: handed up and not processed
  std::chrono::milliseconds dial_max{2'000};       ///< from the dial to the welcome
  std::chrono::milliseconds hello_max{5'000};      ///< from accept to the hello
  std::size_t strangers_max = 32;                  ///< accepted, not authenticated
  supervision::backoff_rule redial{std::chrono::milliseconds{50}, std::chrono::milliseconds{2'000},
                                   std::chrono::milliseconds{50}};

  /// Ten heartbeats, at least 500 ms.
  std::chrono::milliseconds silence_max() const {
    return std::max<std::chrono::milliseconds>(10 * heartbeat, std::chrono::milliseconds{500});
  }
};

class link_account;
/// Goes with a frame that was handed up; while it lives, its bytes count as unprocessed. Outlives links harmlessly. Any
/// thread.
class link_credit {
public:
  link_credit(std::shared_ptr<link_account> account, std::size_t count);
  ~link_credit();
  link_credit(const link_credit&) = delete;
  link_credit& operator=(const link_credit&) = delete;

private:
  std::shared_ptr<link_account> account_;
  std::size_t bytes_;
};
using link_credit_ptr = std::shared_ptr<const link_credit>;

struct links_handlers {
  std::function<void(const std::string& name, const peer::hello& said)> up;
  std::function<void(const std::string& name)> down;  ///< after each up(), once, but not because of stop()
  /// Between up() and down() of that peer.
  std::function<void(const std::string& name, shared_bytes frame, link_credit_ptr credit)> frame;
  /// A connection was refused for a reason that only a mistake or an attack can cause. `name`: whose key it proved, or
  /// whom this node dialed; empty: nobody's.
  std::function<void(link_refusal reason, const std::string& name, const std::string& address)> refused;
};

struct link_picture {
  std::string name, endpoint;
  std::string state;  ///< "up", "half" (one direction stands), "dialing", "waiting" (until the next dial)
  std::uint64_t round_trip_us = 0;  ///< smoothed; 0: not measured
  std::uint64_t bytes_in = 0, bytes_out = 0;    ///< of data frames, since start
  std::uint64_t frames_in = 0, frames_out = 0;
  std::uint64_t queued_bytes = 0, unprocessed_bytes = 0;
  std::uint64_t dropped = 0;     ///< frames: the queue was full, or the link went down under them
  std::uint64_t reconnects = 0;  ///< how often the link came up again after it was down
  std::string last_error;
};

enum class link_sent : std::uint8_t {
  queued,   ///< on its way, if the link stays up
  full,     ///< dropped: the peer does not take as much as it is sent
  no_link,  ///< dropped: not up, or no such peer
};

class links {
public:
  links();
  /// Stops, if that has not been done.
  ~links();
  links(const links&) = delete;
  links& operator=(const links&) = delete;

  /// Takes the port, so that an error is known before anything depends on it. Once; again after an error. Errors:
  /// configuration (an address), io (a port that is taken), internal (TLS).
  status open(links_settings settings, const signing_key& link_key);
  /// After open(): accepts and dials. Once.
  void run(links_handlers handlers, std::vector<link_peer> peers);
  /// Both.
  status start(links_settings settings, const signing_key& link_key, links_handlers handlers,
               std::vector<link_peer> peers);
  /// The node table has changed: new peers are dialed, those that are gone or have another key or endpoint are closed.
  /// Itself in the list is ignored.
  void set_peers(std::vector<link_peer> peers);
  /// `frame` has at most link_data_bytes_max bytes (asserted).
  link_sent send(const std::string& name, shared_bytes frame);
  /// "127.0.0.1:7601"; empty before start() and after stop().
  std::string listening() const;
  /// By name.
  std::vector<link_picture> picture() const;
  /// Refused since start, by reason; only those that happened.
  std::vector<std::pair<link_refusal, std::uint64_t>> refusals() const;
  /// Closes everything and ends the thread. No handler runs after it. Idempotent.
  void stop();

private:
  struct inside;
  std::shared_ptr<inside> inside_;
};

} // namespace signet
