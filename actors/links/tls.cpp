#include "actors/links/tls.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

namespace signet {
namespace {

struct free_key {
  void operator()(EVP_PKEY* gone) const { EVP_PKEY_free(gone); }
};
struct free_certificate {
  void operator()(X509* gone) const { X509_free(gone); }
};

int judge_slot() {
  static const int slot = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return slot;
}

tl::unexpected<error> broken(std::string_view what) {
  const auto number = ERR_peek_last_error();
  ERR_clear_error();
  return fail(ec::internal, "OpenSSL: " + std::string{what} + ": " + tls_problem(number));
}

std::optional<public_key> key_of(const X509* certificate) {
  const auto* key = certificate ? X509_get0_pubkey(certificate) : nullptr;
  if (!key || EVP_PKEY_id(key) != EVP_PKEY_ED25519)
    return std::nullopt;
  public_key out;
  std::size_t size = out.raw.size();
  if (EVP_PKEY_get_raw_public_key(key, out.raw.data(), &size) != 1 || size != out.raw.size())
    return std::nullopt;
  return out;
}

/// Takes the place of OpenSSL's own verification altogether; that the other side holds the key, TLS proves afterwards.
int verify_peer(X509_STORE_CTX* store, void*) {
  const auto* connection =
    static_cast<const SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  const auto* judge =
    connection ? static_cast<const link_key_judge*>(SSL_get_ex_data(connection, judge_slot())) : nullptr;
  const auto key = key_of(X509_STORE_CTX_get0_cert(store));
  const bool good = judge && key && (*judge)(*key);
  X509_STORE_CTX_set_error(store, good ? X509_V_OK : X509_V_ERR_CERT_REJECTED);
  return good ? 1 : 0;
}

} // namespace

void link_tls::freed::operator()(ssl_ctx_st* gone) const { SSL_CTX_free(gone); }

result<std::shared_ptr<const link_tls>> link_tls::make(const signing_key& key) {
  std::unique_ptr<EVP_PKEY, free_key> secret;
  key.lend_seed([&](std::span<const std::uint8_t, signing_key::seed_size> seed) {
    secret.reset(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed.data(), seed.size()));
  });
  std::unique_ptr<X509, free_certificate> certificate{X509_new()};
  if (!secret || !certificate)
    return broken("no key");
  auto* x = certificate.get();
  auto* subject = X509_get_subject_name(x);
  if (X509_set_version(x, 2) != 1 || ASN1_INTEGER_set(X509_get_serialNumber(x), 1) != 1
      || ASN1_TIME_set_string(X509_getm_notBefore(x), "19700101000000Z") != 1
      || ASN1_TIME_set_string(X509_getm_notAfter(x), "99991231235959Z") != 1
      || X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("signet link"), -1,
                                    -1, 0) != 1
      || X509_set_issuer_name(x, subject) != 1 || X509_set_pubkey(x, secret.get()) != 1
      || X509_sign(x, secret.get(), nullptr) == 0)
    return broken("no certificate");

  auto out = std::make_shared<link_tls>();
  out->native_.reset(SSL_CTX_new(TLS_method()));
  auto* context = out->native();
  if (!context)
    return broken("no context");
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_max_cert_list(context, 4'096);
  if (SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1
      || SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) != 1
      || SSL_CTX_set_num_tickets(context, 0) != 1 || SSL_CTX_set1_sigalgs_list(context, "ed25519") != 1
      || SSL_CTX_set1_groups_list(context, "X25519") != 1
      || SSL_CTX_use_certificate(context, x) != 1 || SSL_CTX_use_PrivateKey(context, secret.get()) != 1)
    return broken("no TLS 1.3 with Ed25519");
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_cert_verify_callback(context, verify_peer, nullptr);
  return out;
}

void bind_key_judge(ssl_st* connection, const link_key_judge& judge) {
  SSL_set_ex_data(connection, judge_slot(), const_cast<link_key_judge*>(&judge));
}

std::string tls_problem(unsigned long number) {
  const auto* text = number ? ERR_reason_error_string(number) : nullptr;
  return text ? text : "unknown TLS error";
}

bool is_tls_alert(unsigned long number) {
  return ERR_GET_LIB(number) == ERR_LIB_SSL && ERR_GET_REASON(number) >= SSL_AD_REASON_OFFSET;
}

} // namespace signet
