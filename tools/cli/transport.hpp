#pragma once
// A byte stream to a node over mqtt://, mqtts://, ws:// or wss://, with deadlines. One thread. Reading past a deadline
// harms nothing; a write that misses its deadline ends the stream.

#include "messages/bytes.hpp"
#include "messages/errors.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <string>

namespace signet::cli {

using deadline = std::chrono::steady_clock::time_point;
inline deadline in(std::chrono::milliseconds time) { return std::chrono::steady_clock::now() + time; }

/// scheme://host[:port][/path]
struct node_url {
  enum class scheme_kind : std::uint8_t { mqtt = 1, mqtts = 2, ws = 3, wss = 4 };  ///< numbers of login_channel::kind
  scheme_kind scheme = scheme_kind::mqtt;
  std::string host;
  std::uint16_t port = 1883;
  std::string path = "/mqtt";  ///< ws and wss
  bool tls() const { return scheme == scheme_kind::mqtts || scheme == scheme_kind::wss; }
};
/// configuration: says what a URL looks like.
result<node_url> parse_node_url(const std::string& text);

struct tls_trust {
  std::string ca_file;    ///< PEM; empty: the system's
  bool insecure = false;  ///< accept any certificate: the node still proves its own key in the login
};

class client_transport {
public:
  /// io: cannot reach it, or the TLS or WebSocket handshake failed.
  static result<std::unique_ptr<client_transport>> connect(const node_url& url, const tls_trust& trust, deadline until);
  virtual ~client_transport() = default;

  virtual status write(bytes_view data, deadline until) = 0;
  /// What has come; empty: nothing until the deadline. io: the other side has closed.
  virtual result<bytes> read(deadline until) = 0;
  /// Value of the TLS exporter for this label, 32 bytes; nothing without TLS.
  virtual std::optional<bytes> exporter(const std::string& label) = 0;
  /// Tells the other side, best effort.
  virtual void close() = 0;
};

} // namespace signet::cli
