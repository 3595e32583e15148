#pragma once
// Certificates for tests, made when they run: a key that is thrown away with the directory.

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>

namespace signet::testing {

struct certificate_files {
  std::string certificate, key;  ///< PEM files
};

/// A self-signed certificate of this machine ("localhost", 127.0.0.1 and ::1), valid for a day, in `directory`.
inline certificate_files make_certificate(const std::filesystem::path& directory, const std::string& name = "server") {
  const auto check = [](bool good) {
    if (!good)
      throw std::runtime_error("OpenSSL makes no certificate");
  };
  const std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)> key{EVP_EC_gen("P-256"), EVP_PKEY_free};
  const std::unique_ptr<X509, void (*)(X509*)> made{X509_new(), X509_free};
  check(key && made);
  X509_set_version(made.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(made.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(made.get()), -3'600);
  X509_gmtime_adj(X509_getm_notAfter(made.get()), 86'400);
  X509_set_pubkey(made.get(), key.get());
  auto* subject = X509_get_subject_name(made.get());
  const auto* host = reinterpret_cast<const unsigned char*>("localhost");
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, host, -1, -1, 0);
  X509_set_issuer_name(made.get(), subject);
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, made.get(), made.get(), nullptr, nullptr, 0);
  for (const auto& [id, value] : {std::pair{NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1,IP:::1"},
                                  std::pair{NID_basic_constraints, "critical,CA:TRUE"}}) {
    auto* extension = X509V3_EXT_conf_nid(nullptr, &context, id, value);
    check(extension != nullptr);
    X509_add_ext(made.get(), extension, -1);
    X509_EXTENSION_free(extension);
  }
  check(X509_sign(made.get(), key.get(), EVP_sha256()) > 0);

  certificate_files out{directory / (name + ".crt"), directory / (name + ".key")};
  const auto write = [&](const std::string& path, auto&& how) {
    auto* file = std::fopen(path.c_str(), "w");
    check(file != nullptr);
    const auto written = how(file);
    std::fclose(file);
    check(written == 1);
  };
  write(out.certificate, [&](FILE* file) { return PEM_write_X509(file, made.get()); });
  write(out.key, [&](FILE* file) {
    return PEM_write_PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
  std::filesystem::permissions(out.key, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  return out;
}

} // namespace signet::testing
