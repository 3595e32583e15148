#pragma once
// The other end of a connection, for tests: a blocking socket on loopback with a deadline on everything, plain or TLS.
// Knows nothing of the code under test.

#include "messages/bytes.hpp"

#include <openssl/ssl.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

namespace signet::testing {

class raw_client {
public:
  /// Generous: reached only when something is broken.
  static constexpr std::chrono::milliseconds patience{10'000};

  explicit raw_client(std::uint16_t port, int receive_buffer_bytes = 0) : socket_{::socket(AF_INET, SOCK_STREAM, 0)} {
    if (receive_buffer_bytes > 0)
      ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(socket_, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0)
      throw std::runtime_error("cannot connect to port " + std::to_string(port));
    const int on = 1;
    ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const timeval time{patience.count() / 1'000, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
    ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time);
  }
  raw_client(const raw_client&) = delete;
  raw_client& operator=(const raw_client&) = delete;
  ~raw_client() { hang_up(); }

  int native() const { return socket_; }

  /// TLS from here on. Trusts everybody: what is tested is the server. `version` 0: whatever both can.
  bool start_tls(int version_max = 0) {
    context_.reset(SSL_CTX_new(TLS_client_method()));
    if (version_max)
      SSL_CTX_set_max_proto_version(context_.get(), version_max);
    ssl_.reset(SSL_new(context_.get()));
    SSL_set_fd(ssl_.get(), socket_);
    return SSL_connect(ssl_.get()) == 1;
  }
  bytes exporter(std::string_view label) const {
    bytes out(32);
    SSL_export_keying_material(ssl_.get(), out.data(), out.size(), label.data(), label.size(), nullptr, 0, 0);
    return out;
  }
  int tls_version() const { return SSL_version(ssl_.get()); }

  /// False: the other side has gone, or does not read.
  bool send(bytes_view data) {
    while (!data.empty()) {
      const auto count = ssl_ ? SSL_write(ssl_.get(), data.data(), static_cast<int>(data.size()))
                              : ::send(socket_, data.data(), data.size(), MSG_NOSIGNAL);
      if (count <= 0)
        return false;
      data = data.subspan(static_cast<std::size_t>(count));
    }
    return true;
  }
  bool send(std::string_view text) { return send(as_bytes(text)); }
  /// Without waiting; how many bytes the kernel took.
  std::size_t send_at_once(bytes_view data) {
    const auto count = ::send(socket_, data.data(), data.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    return count > 0 ? static_cast<std::size_t>(count) : 0;
  }

  /// Some bytes; empty: the other side has closed. Throws when nothing comes for `patience`.
  bytes read_some() {
    bytes out(64 * 1024);
    errno = 0;
    const auto count = ssl_ ? SSL_read(ssl_.get(), out.data(), static_cast<int>(out.size()))
                            : ::recv(socket_, out.data(), out.size(), 0);
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
      throw std::runtime_error("nothing came");
    out.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
    return out;
  }
  /// Exactly that many bytes, or what came before the other side closed.
  bytes read(std::size_t count) {
    while (kept_.size() < count) {
      const auto more = read_some();
      if (more.empty())
        break;
      append(kept_, more);
    }
    const auto taken = std::min(count, kept_.size());
    bytes out(kept_.begin(), kept_.begin() + static_cast<std::ptrdiff_t>(taken));
    kept_.erase(kept_.begin(), kept_.begin() + static_cast<std::ptrdiff_t>(taken));
    return out;
  }
  bytes read_to_end() {
    bytes out = std::move(kept_);
    kept_.clear();
    for (auto more = read_some(); !more.empty(); more = read_some())
      append(out, more);
    return out;
  }
  /// Everything up to and including `end`.
  std::string read_until(std::string_view end) {
    std::string out;
    while (!out.ends_with(end)) {
      const auto one = read(1);
      if (one.empty())
        throw std::runtime_error("closed before the end: " + out);
      out += static_cast<char>(one[0]);
    }
    return out;
  }
  /// Whether anything can be read (or the end has come) within `time`.
  bool readable_within(std::chrono::milliseconds time) {
    pollfd what{socket_, POLLIN, 0};
    return !kept_.empty() || ::poll(&what, 1, static_cast<int>(time.count())) == 1;
  }

  void half_close() { ::shutdown(socket_, SHUT_WR); }
  void hang_up() {
    ssl_.reset();
    if (socket_ >= 0)
      ::close(socket_);
    socket_ = -1;
  }

private:
  struct freed {
    void operator()(SSL_CTX* gone) const { SSL_CTX_free(gone); }
    void operator()(SSL* gone) const { SSL_free(gone); }
  };
  int socket_;
  std::unique_ptr<SSL_CTX, freed> context_;
  std::unique_ptr<SSL, freed> ssl_;
  bytes kept_;
};

} // namespace signet::testing
