#pragma once
// The bytes of one connection, plain or TLS, over a non-blocking socket that somebody else owns. Readiness is waited
// for elsewhere: so an idle connection holds no buffer. OpenSSL works on the socket itself, not on pairs of memory
// buffers as Asio's own TLS stream does, which would hold 50 KiB for each connection.
//
// One thread at a time.

#include "messages/bytes.hpp"
#include "messages/errors.hpp"

#include <memory>

struct ssl_st;
struct ssl_ctx_st;

namespace signet {

/// Certificate and key of a TLS listener, shared by its connections.
class tls_context {
public:
  /// PEM files: the certificate with its chain, and its key without passphrase. TLS 1.2 and newer, forward-secret
  /// AEAD suites, no renegotiation, no compression, no session tickets. Errors: configuration, with what to do.
  static result<std::shared_ptr<const tls_context>> load(const std::string& certificate, const std::string& key);
  ssl_ctx_st* native() const { return native_.get(); }

private:
  struct freed {
    void operator()(ssl_ctx_st* gone) const;
  };
  std::unique_ptr<ssl_ctx_st, freed> native_;
};

class stream {
public:
  enum class event : std::uint8_t {
    done,        ///< `count` bytes were moved, at least one (handshake, shutdown: finished)
    want_read,   ///< nothing moved: again when the socket is readable
    want_write,  ///< nothing moved: again when the socket is writable
    closed,      ///< the peer has ended its side in order
    failed,      ///< see problem()
  };
  struct moved {
    event what = event::failed;
    std::size_t count = 0;
  };

  virtual ~stream() = default;
  virtual moved handshake() = 0;
  virtual moved read(std::span<std::uint8_t> into) = 0;
  virtual moved write(bytes_view from) = 0;
  /// Says in the stream's own way that nothing more will be sent (TLS close_notify), as far as it goes at once, and
  /// half-closes the socket.
  virtual void shut_down() = 0;
  /// 32 bytes under this label, equal on both sides of this very TLS connection; empty: plain, before the handshake, or
  /// TLS 1.2 without extended master secret (where the value could be forced by a man in the middle).
  virtual bytes exporter(std::string_view) const { return {}; }
  /// What went wrong, for the operator. Holds no content.
  virtual std::string problem() const = 0;
};

/// The socket must be non-blocking, and stays open as long as the stream is used.
std::unique_ptr<stream> make_plain_stream(int socket);
/// The server's side. Null when memory has run out.
std::unique_ptr<stream> make_tls_stream(int socket, const tls_context& context);

} // namespace signet
