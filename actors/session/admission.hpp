#pragma once
// Who may ask for how much before, and while, they prove who they are: counts and token buckets for each address, and
// for all together. Refusing costs nothing but a look-up; what is refused here has caused no work.
//
// Defaults follow the threat model (32 unauthenticated connections and 5 verifications a second for an address, 500 a
// second for all, 10 failed logins a minute, 1 new identity a second). Connections from this machine have limits of
// their own: tests, benches, reverse proxies and local programs all come from one address. They are lenient, but there
// are some, and they do not count towards the total of the others.
//
// An IPv6 address counts as its /64. Memory is bounded: at most addresses_max addresses are known; the rest share one
// entry, so a flood from many addresses refuses more, never less.

#include "messages/ids.hpp"
#include "messages/seams.hpp"

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

namespace signet {

struct node_settings;

/// Refilled continuously; holds at most `burst`.
class token_bucket {
public:
  token_bucket(double per_second, double burst) : per_second_{per_second}, burst_{burst}, tokens_{burst} {}
  /// Takes `count` if they are there.
  bool take(steady_ms now, double count = 1);
  /// Ms until `count` will be there; 0: now.
  std::uint64_t wait_ms(steady_ms now, double count = 1);
  bool full(steady_ms now);

private:
  void refill(steady_ms now);
  double per_second_, burst_, tokens_;
  steady_ms last_{};
};

struct admission_limits {
  std::size_t unauthenticated = 32;    ///< connections of an address
  double verifications = 5;            ///< a second, of an address; the burst is twice that
  double failed_logins = 10;           ///< a minute, of an address
  double identities = 1;               ///< created a second, of an address
};
struct admission_settings {
  admission_limits remote;
  admission_limits loopback{4'096, 2'000, 600, 100};
  std::size_t connections_max = 20'000;   ///< all, attached or not
  double verifications_total = 500;       ///< a second, loopback not counted
  double identities_total = 50;           ///< a second, loopback not counted
  std::size_t addresses_max = 65'536;
  std::uint32_t storm_ms_min = 1'000;     ///< two holders of one client id: first wait, doubles
  std::uint32_t storm_ms_max = 60'000;
};
admission_settings admission_settings_from(const node_settings& settings);

/// Thread-safe; shared by all sessions.
class admission : public std::enable_shared_from_this<admission> {
public:
  explicit admission(admission_settings settings) : settings_{settings}, verifications_{settings.verifications_total,
    settings.verifications_total}, identities_{settings.identities_total, settings.identities_total} {}

  /// A connection while it lasts; gives its place back when it is destroyed.
  class ticket {
  public:
    ticket(std::shared_ptr<admission> gate, std::string address, bool loopback);
    ~ticket();
    ticket(const ticket&) = delete;

    /// Its proof has been accepted: it no longer counts as unauthenticated.
    void authenticated();
    /// One signature verification; false: refuse before it.
    [[nodiscard]] bool may_verify(steady_ms now);
    /// Too many failed logins from this address: false.
    [[nodiscard]] bool may_try(steady_ms now);
    void login_failed(steady_ms now);
    [[nodiscard]] bool may_create_identity(steady_ms now);

  private:
    std::shared_ptr<admission> gate_;
    std::string address_;
    bool loopback_;
    bool authenticated_ = false;
  };

  /// Null: this address has too many unauthenticated connections, or the node too many in all.
  std::unique_ptr<ticket> admit(std::string_view source, bool loopback, steady_ms now);

  /// Two holders of one client id that take it from each other: how long the next one has to wait. 0: come in.
  std::uint64_t storm_wait_ms(const permalink& identity, const std::string& client_id, steady_ms now);
  /// A live connection was taken over. True: again within the time of the last back-off, so it is a storm.
  bool took_over(const permalink& identity, const std::string& client_id, steady_ms now);

  std::size_t connections() const;
  std::size_t unauthenticated() const;

private:
  struct place {
    std::size_t unauthenticated = 0;
    token_bucket verifications, failures, identities;
  };
  struct storm {
    steady_ms last{};
    std::uint64_t wait_ms = 0;
  };
  using storm_key = std::pair<permalink, std::string>;
  place& at(const std::string& address, bool loopback, steady_ms now);
  const admission_limits& limits(bool loopback) const { return loopback ? settings_.loopback : settings_.remote; }

  const admission_settings settings_;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, place> places_;
  std::map<storm_key, storm> storms_;
  token_bucket verifications_, identities_;
  std::size_t connections_ = 0, unauthenticated_ = 0;
  steady_ms next_sweep_{};
};

} // namespace signet
