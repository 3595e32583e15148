#pragma once
// ADMIN: HTTP over a Unix socket in the data directory (mode 0600, peers of the same user or root only). Read-only.
//   GET /status    JSON          GET /healthz   "alive"          GET /readyz   200 or 503, with the reason
// With curl: curl --unix-socket DATA/admin.sock http://signet/status

#include "messages/errors.hpp"

#include <filesystem>
#include <functional>
#include <memory>

namespace signet {

struct admin_answers {
  std::function<std::string()> status;              ///< JSON text
  std::function<std::pair<bool, std::string>()> ready;
};

/// Owns one thread. The answers are called on it; they may block for seconds, not longer.
class admin_server {
public:
  /// Replaces a socket left behind by a dead process. Errors: io.
  static result<std::unique_ptr<admin_server>> start(const std::filesystem::path& socket, admin_answers answers);
  ~admin_server();

private:
  struct state;
  explicit admin_server(std::unique_ptr<state> s);
  std::unique_ptr<state> state_;
};

/// The client side: body of GET `path`. Errors: not_found (no such socket: is the node running?), io.
result<std::string> ask_admin(const std::filesystem::path& socket, const std::string& path);

} // namespace signet
