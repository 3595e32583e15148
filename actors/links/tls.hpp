#pragma once
// TLS between nodes: 1.3 only, both sides with a certificate that is made in memory from the link key. Nothing in a
// certificate is believed but its Ed25519 key, which must be one that cluster.conf names: there are no authorities,
// names or dates. No resumption: it would skip the certificates.

#include "messages/envelope/keys.hpp"

#include <functional>
#include <memory>
#include <optional>

struct ssl_st;
struct ssl_ctx_st;

namespace signet {

class link_tls {
public:
  /// Errors: internal (OpenSSL cannot do what it must; with its words).
  static result<std::shared_ptr<const link_tls>> make(const signing_key& key);
  /// For both directions. Owned by this.
  ssl_ctx_st* native() const { return native_.get(); }

private:
  struct freed {
    void operator()(ssl_ctx_st* gone) const;
  };
  std::unique_ptr<ssl_ctx_st, freed> native_;
};

/// Asked once in a handshake, on the thread that drives it: whether this key may stand on the other side. Without one
/// bound to it, a connection accepts nobody.
using link_key_judge = std::function<bool(const public_key&)>;
/// Before the handshake. `judge` must live as long as the connection.
void bind_key_judge(ssl_st* connection, const link_key_judge& judge);

/// What went wrong last on this thread, in OpenSSL's words, from the number that Asio keeps of it.
std::string tls_problem(unsigned long number);
/// True: the other side ended the handshake by an alert (it refused us, not we it).
bool is_tls_alert(unsigned long number);

} // namespace signet
