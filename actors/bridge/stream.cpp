#include "actors/bridge/stream.hpp"

#include <filesystem>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace signet {
namespace {

bool is_wait(int number) { return number == EAGAIN || number == EWOULDBLOCK || number == EINTR; }
std::string text_of(int number) { return std::generic_category().message(number); }

class plain_stream final : public stream {
public:
  explicit plain_stream(int socket) : socket_{socket} {}

  moved handshake() override { return {event::done, 0}; }
  moved read(std::span<std::uint8_t> into) override {
    const auto count = ::recv(socket_, into.data(), into.size(), 0);
    if (count > 0)
      return {event::done, static_cast<std::size_t>(count)};
    if (count == 0)
      return {event::closed};
    return is_wait(errno) ? moved{event::want_read} : fail(errno);
  }
  moved write(bytes_view from) override {
    const auto count = ::send(socket_, from.data(), from.size(), MSG_NOSIGNAL);
    if (count > 0)
      return {event::done, static_cast<std::size_t>(count)};
    return is_wait(errno) ? moved{event::want_write} : fail(errno);
  }
  void shut_down() override { ::shutdown(socket_, SHUT_WR); }
  std::string problem() const override { return text_of(errno_); }

private:
  moved fail(int number) {
    errno_ = number;
    return {event::failed};
  }
  int socket_;
  int errno_ = 0;
};

// OpenSSL's own socket BIO calls write(), which raises SIGPIPE when the peer is gone; ours does not. The BIO's data
// pointer holds the descriptor.
int socket_of(BIO* bio) { return static_cast<int>(reinterpret_cast<std::intptr_t>(BIO_get_data(bio))); }

int bio_write(BIO* bio, const char* data, std::size_t size, std::size_t* written) {
  BIO_clear_retry_flags(bio);
  const auto count = ::send(socket_of(bio), data, size, MSG_NOSIGNAL);
  if (count < 0) {
    if (is_wait(errno))
      BIO_set_retry_write(bio);
    return 0;
  }
  *written = static_cast<std::size_t>(count);
  return 1;
}
int bio_read(BIO* bio, char* data, std::size_t size, std::size_t* taken) {
  BIO_clear_retry_flags(bio);
  const auto count = ::recv(socket_of(bio), data, size, 0);
  if (count <= 0) {
    if (count < 0 && is_wait(errno))
      BIO_set_retry_read(bio);
    if (count == 0)
      BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
    return 0;
  }
  *taken = static_cast<std::size_t>(count);
  return 1;
}
long bio_ctrl(BIO* bio, int command, long, void*) {
  switch (command) {
    case BIO_CTRL_FLUSH:
      return 1;
    case BIO_CTRL_EOF:
      return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
    default:
      return 0;
  }
}
const BIO_METHOD* socket_method() {
  static const BIO_METHOD* const method = [] {
    auto* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK | BIO_TYPE_DESCRIPTOR, "signet socket");
    BIO_meth_set_write_ex(made, bio_write);
    BIO_meth_set_read_ex(made, bio_read);
    BIO_meth_set_ctrl(made, bio_ctrl);
    return made;
  }();
  return method;
}

std::string openssl_reason() {
  const auto number = ERR_peek_last_error();
  const auto* text = number ? ERR_reason_error_string(number) : nullptr;
  ERR_clear_error();
  return text ? text : "unknown TLS error";
}

class tls_stream final : public stream {
public:
  explicit tls_stream(SSL* ssl) : ssl_{ssl} {}
  ~tls_stream() override { SSL_free(ssl_); }

  moved handshake() override {
    ERR_clear_error();
    errno = 0;
    const auto outcome = SSL_accept(ssl_);
    return outcome == 1 ? moved{event::done} : judge(outcome);
  }
  moved read(std::span<std::uint8_t> into) override {
    ERR_clear_error();
    errno = 0;
    std::size_t count = 0;
    const auto outcome = SSL_read_ex(ssl_, into.data(), into.size(), &count);
    return outcome == 1 ? moved{event::done, count} : judge(outcome);
  }
  moved write(bytes_view from) override {
    ERR_clear_error();
    errno = 0;
    std::size_t count = 0;
    const auto outcome = SSL_write_ex(ssl_, from.data(), from.size(), &count);
    return outcome == 1 ? moved{event::done, count} : judge(outcome);
  }
  void shut_down() override {
    if (!broken_ && SSL_is_init_finished(ssl_)) {
      ERR_clear_error();
      SSL_shutdown(ssl_);
    }
    ::shutdown(socket_of(SSL_get_wbio(ssl_)), SHUT_WR);
  }
  bytes exporter(std::string_view label) const override {
    if (!SSL_is_init_finished(ssl_))
      return {};
    if (SSL_version(ssl_) < TLS1_3_VERSION && SSL_get_extms_support(ssl_) != 1)
      return {};
    bytes out(32);
    if (SSL_export_keying_material(ssl_, out.data(), out.size(), label.data(), label.size(), nullptr, 0, 0) != 1)
      return {};
    return out;
  }
  std::string problem() const override { return problem_; }

private:
  moved judge(int outcome) {
    const auto number = errno;
    switch (SSL_get_error(ssl_, outcome)) {
      case SSL_ERROR_WANT_READ:
        return {event::want_read};
      case SSL_ERROR_WANT_WRITE:
        return {event::want_write};
      case SSL_ERROR_ZERO_RETURN:
        return {event::closed};
      case SSL_ERROR_SYSCALL:
        // After this and SSL_ERROR_SSL the connection may not be used again, not even for a close_notify.
        broken_ = true;
        problem_ = number ? text_of(number) : "ended without a TLS close";
        return {event::failed};
      default:
        broken_ = true;
        problem_ = "TLS: " + openssl_reason();
        return {event::failed};
    }
  }

  SSL* ssl_;
  bool broken_ = false;
  std::string problem_;
};

tl::unexpected<error> unusable(const std::string& what, const std::string& file, const std::string& advice) {
  return fail(ec::configuration, what + " " + file + " (" + openssl_reason() + "): " + advice);
}

} // namespace

void tls_context::freed::operator()(ssl_ctx_st* gone) const { SSL_CTX_free(gone); }

result<std::shared_ptr<const tls_context>> tls_context::load(const std::string& certificate, const std::string& key) {
  if (certificate.empty() || key.empty())
    return fail(ec::configuration, "a TLS listener needs listen.certificate and listen.key (PEM files)");
  auto out = std::make_shared<tls_context>();
  out->native_.reset(SSL_CTX_new(TLS_server_method()));
  auto* context = out->native();
  if (!context)
    return fail(ec::internal, "OpenSSL gives no context: " + openssl_reason());
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20");
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET
                                 | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA
                                 | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE
                              | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // A key behind a passphrase would make OpenSSL ask on the terminal.
  SSL_CTX_set_default_passwd_cb(context, [](char*, int, int, void*) { return -1; });
  ERR_clear_error();
  if (SSL_CTX_use_certificate_chain_file(context, certificate.c_str()) != 1)
    return unusable("cannot use the certificate", certificate, "listen.certificate must be a readable PEM file, the "
                    "server's certificate first, then its chain");
  std::error_code unknown;
  if (const auto mode = std::filesystem::status(key, unknown).permissions();
      !unknown && (mode & (std::filesystem::perms::group_all | std::filesystem::perms::others_all)) != std::filesystem::perms::none)
    return fail(ec::configuration, "others can read the key " + key + "; type: chmod 600 " + key);
  if (SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) != 1)
    return unusable("cannot use the key", key, "listen.key must be a readable PEM file without passphrase, the key of "
                    + certificate);
  if (SSL_CTX_check_private_key(context) != 1)
    return unusable("the key does not belong to the certificate", certificate, "set listen.key to its own key, not "
                    + key);
  return out;
}

std::unique_ptr<stream> make_plain_stream(int socket) { return std::make_unique<plain_stream>(socket); }

std::unique_ptr<stream> make_tls_stream(int socket, const tls_context& context) {
  auto* ssl = SSL_new(context.native());
  auto* bio = ssl ? BIO_new(socket_method()) : nullptr;
  if (!bio) {
    SSL_free(ssl);
    return nullptr;
  }
  BIO_set_data(bio, reinterpret_cast<void*>(static_cast<std::intptr_t>(socket)));
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl, bio, bio);
  SSL_set_accept_state(ssl);
  return std::make_unique<tls_stream>(ssl);
}

} // namespace signet
