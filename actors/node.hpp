#pragma once
// NODE: the wiring, in data-path order. Owns the store, the actors and the listeners of one process.

#include "actors/settings.hpp"
#include "messages/ids.hpp"

#include <memory>

namespace signet {

struct node_options {
  bool found_if_absent = false;  ///< make a new cluster of one where no store stands; else not_found
  std::filesystem::path config;  ///< cluster.conf, to read its node table again when it changes; empty: never
};

class node {
public:
  /// Opens the store, starts the actors, listens. Errors say what to do next: configuration (also: no store), locked,
  /// wrong_format, corrupt, io.
  static result<std::unique_ptr<node>> start(const node_settings& settings, const node_options& options);
  /// Drains, if stop() was not called.
  ~node();

  struct listening_at {
    std::string url;  ///< mqtt://127.0.0.1:1883
    std::uint16_t port = 0;
  };
  /// Empty while joining.
  std::vector<listening_at> listening() const;
  /// Has no server id yet, or no leader since it has one: takes no clients.
  bool joining() const;
  struct hosted_bot {
    std::string name;
    permalink who;
  };
  std::vector<hosted_bot> bots() const;
  const cluster_id& cluster() const;
  const public_key& node_key() const;

  /// Blocks until stop is asked for by SIGTERM or SIGINT, or until the actors have given up. The exit code: 0, or 70.
  /// The caller has blocked both signals in all threads (block_stop_signals) before start().
  int wait();
  /// Says goodbye to the clients, writes what is gathered, stops the actors. Idempotent.
  void stop();

private:
  struct state;
  explicit node(std::unique_ptr<state> s);
  std::unique_ptr<state> state_;
};

/// For main: signals are then taken by node::wait() alone.
void block_stop_signals();
/// Structured lines on stderr: text or JSON, same keys everywhere.
void start_logging(const std::string& level, const std::string& format);

} // namespace signet
