#pragma once
// ADMIN: HTTP, in two windows.
//   DATA/admin.sock   Unix socket, mode 0600, peers of the same user or root only: everything below
//   [admin] listen    TCP, off by default, no login: only what is marked *
//
//   GET  /status     JSON: everything
//   GET  /healthz *  200 while the replica's loop turns, else 503
//   GET  /readyz *   200 while clients are served, else 503; the body says why
//   GET  /metrics *  Prometheus text; no identities
//   POST /cluster    {"do": "status" | "add" | "remove" | "transfer", "node": NAME}: JSON, or 409 {"error", "context"}
// With curl: curl --unix-socket DATA/admin.sock http://signet/status

#include "messages/errors.hpp"

#include <filesystem>
#include <functional>
#include <memory>

namespace signet {

/// Each may block for seconds, not longer than the patience of ask_admin, and is called by one window at a time: by two
/// threads, if both windows are open.
struct admin_answers {
  std::function<std::string()> status;               ///< JSON text
  std::function<std::pair<bool, std::string>()> alive;
  std::function<std::pair<bool, std::string>()> ready;
  std::function<std::string()> metrics;
  std::function<result<std::string>(const std::string&)> cluster;  ///< JSON to JSON
};

/// Owns one thread for each window.
class admin_server {
public:
  /// Replaces a socket left behind by a dead process. `listen`: host:port, empty: no TCP window. Errors: configuration, io.
  static result<std::unique_ptr<admin_server>> start(const std::filesystem::path& socket, const std::string& listen,
                                                     admin_answers answers);
  ~admin_server();
  /// Where the TCP window stands, for a port of 0; 0: nowhere.
  std::uint16_t port() const;

private:
  struct state;
  explicit admin_server(std::unique_ptr<state> s);
  std::unique_ptr<state> state_;
};

/// The client side: GET `path`, or POST when `body` is given. Errors: not_found (no such socket: is the node running?), io,
/// and what the node said.
result<std::string> ask_admin(const std::filesystem::path& socket, const std::string& path, const std::string& body = {});

} // namespace signet
