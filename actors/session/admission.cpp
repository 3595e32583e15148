#include "actors/session/admission.hpp"

#include "actors/settings.hpp"

#include <algorithm>
#include <arpa/inet.h>

namespace signet {
namespace {

// One entry for an IPv4 address, one for an IPv6 /64: who has one address of those has all of them.
std::string place_name(std::string_view source) {
  const std::string text{source};
  in6_addr six{};
  if (text.find(':') == std::string::npos || inet_pton(AF_INET6, text.c_str(), &six) != 1)
    return text;
  if (IN6_IS_ADDR_V4MAPPED(&six)) {
    char four[INET_ADDRSTRLEN] = {};
    inet_ntop(AF_INET, &six.s6_addr[12], four, sizeof four);
    return four;
  }
  return to_hex({six.s6_addr, 8});
}

const std::string overflow_place = "*";
constexpr std::size_t storms_max = 10'000;

} // namespace

// ---- token_bucket

void token_bucket::refill(steady_ms now) {
  if (now <= last_)
    return;
  tokens_ = std::min(burst_, tokens_ + per_second_ * static_cast<double>(value(now) - value(last_)) / 1000);
  last_ = now;
}
bool token_bucket::take(steady_ms now, double count) {
  refill(now);
  if (tokens_ < count)
    return false;
  tokens_ -= count;
  return true;
}
std::uint64_t token_bucket::wait_ms(steady_ms now, double count) {
  refill(now);
  if (tokens_ >= count)
    return 0;
  return per_second_ > 0 ? static_cast<std::uint64_t>((count - tokens_) * 1000 / per_second_) + 1 : 3'600'000;
}
bool token_bucket::full(steady_ms now) {
  refill(now);
  return tokens_ >= burst_;
}

// ---- settings

admission_settings admission_settings_from(const node_settings& settings) {
  admission_settings out;
  const auto& limits = settings.limits;
  const auto number = [](std::int64_t x) { return static_cast<double>(x); };
  out.remote.unauthenticated = static_cast<std::size_t>(limits.unauthenticated_per_address);
  out.remote.verifications = number(limits.verifications_per_address);
  out.remote.failed_logins = number(limits.failed_logins_per_address);
  out.remote.identities = number(limits.identities_per_second);
  out.loopback.unauthenticated = static_cast<std::size_t>(limits.unauthenticated_loopback);
  out.loopback.verifications = number(limits.verifications_loopback);
  out.loopback.identities = number(limits.identities_loopback);
  out.connections_max = static_cast<std::size_t>(limits.connections);
  out.verifications_total = number(limits.verifications_total);
  return out;
}

// ---- admission

admission::place& admission::at(const std::string& address, bool loopback, steady_ms now) {
  if (const auto found = places_.find(address); found != places_.end())
    return found->second;
  if (places_.size() >= settings_.addresses_max && now >= next_sweep_) {
    next_sweep_ = steady_ms{value(now) + 1'000};
    for (auto one = places_.begin(); one != places_.end();) {
      auto& it = one->second;
      const bool quiet = it.unauthenticated == 0 && it.verifications.full(now) && it.failures.full(now) &&
                         it.identities.full(now);
      one = quiet ? places_.erase(one) : std::next(one);
    }
  }
  const auto& name = places_.size() >= settings_.addresses_max ? overflow_place : address;
  const auto& of = limits(loopback);
  // The bucket of failures starts full: a minute's worth may fail at once.
  return places_
    .try_emplace(name, place{0, token_bucket{of.verifications, 2 * of.verifications},
                             token_bucket{of.failed_logins / 60, of.failed_logins},
                             token_bucket{of.identities, std::max(of.identities, 1.0)}})
    .first->second;
}

std::unique_ptr<admission::ticket> admission::admit(std::string_view source, bool loopback, steady_ms now) {
  auto address = place_name(source);
  {
    const std::lock_guard lock{mutex_};
    if (connections_ >= settings_.connections_max)
      return nullptr;
    auto& here = at(address, loopback, now);
    if (here.unauthenticated >= limits(loopback).unauthenticated)
      return nullptr;
    ++here.unauthenticated;
    ++unauthenticated_;
    ++connections_;
    if (!places_.contains(address))
      address = overflow_place;  // the place that counted it is the one to give it back to
  }
  return std::make_unique<ticket>(shared_from_this(), std::move(address), loopback);
}

admission::ticket::ticket(std::shared_ptr<admission> gate, std::string address, bool loopback)
  : gate_{std::move(gate)}, address_{std::move(address)}, loopback_{loopback} {}

admission::ticket::~ticket() {
  authenticated();
  const std::lock_guard lock{gate_->mutex_};
  --gate_->connections_;
}

void admission::ticket::authenticated() {
  if (std::exchange(authenticated_, true))
    return;
  const std::lock_guard lock{gate_->mutex_};
  --gate_->unauthenticated_;
  // Its place stands: places with unauthenticated connections are never dropped.
  if (const auto found = gate_->places_.find(address_); found != gate_->places_.end())
    --found->second.unauthenticated;
}

bool admission::ticket::may_verify(steady_ms now) {
  const std::lock_guard lock{gate_->mutex_};
  auto& here = gate_->at(address_, loopback_, now);
  if (loopback_)
    return here.verifications.take(now);
  if (gate_->verifications_.wait_ms(now) != 0)
    return false;
  return here.verifications.take(now) && gate_->verifications_.take(now);
}

bool admission::ticket::may_try(steady_ms now) {
  const std::lock_guard lock{gate_->mutex_};
  return gate_->at(address_, loopback_, now).failures.wait_ms(now) == 0;
}

void admission::ticket::login_failed(steady_ms now) {
  const std::lock_guard lock{gate_->mutex_};
  (void)gate_->at(address_, loopback_, now).failures.take(now);
}

bool admission::ticket::may_create_identity(steady_ms now) {
  const std::lock_guard lock{gate_->mutex_};
  auto& here = gate_->at(address_, loopback_, now);
  if (loopback_)
    return here.identities.take(now);
  if (gate_->identities_.wait_ms(now) != 0)
    return false;
  return here.identities.take(now) && gate_->identities_.take(now);
}

std::uint64_t admission::storm_wait_ms(const permalink& identity, const std::string& client_id, steady_ms now) {
  const std::lock_guard lock{mutex_};
  const auto found = storms_.find({identity, client_id});
  if (found == storms_.end() || found->second.wait_ms == 0)
    return 0;
  const auto until = value(found->second.last) + found->second.wait_ms;
  return value(now) >= until ? 0 : until - value(now);
}

bool admission::took_over(const permalink& identity, const std::string& client_id, steady_ms now) {
  const std::lock_guard lock{mutex_};
  const auto quiet = [&](const storm& one) {
    return value(now) - value(one.last) > 2 * std::max<std::uint64_t>(one.wait_ms, settings_.storm_ms_min);
  };
  if (storms_.size() >= storms_max)
    std::erase_if(storms_, [&](const auto& one) { return quiet(one.second); });
  if (storms_.size() >= storms_max)
    storms_.erase(storms_.begin());
  auto [found, first] = storms_.try_emplace({identity, client_id});
  auto& it = found->second;
  // One takeover is normal: a client that lost its connection and came back before we noticed. The second within the
  // time of the last wait is two holders.
  const bool again = !first && !quiet(it);
  it.wait_ms = again ? std::clamp<std::uint64_t>(it.wait_ms * 2, settings_.storm_ms_min, settings_.storm_ms_max) : 0;
  it.last = now;
  return again;
}

std::size_t admission::connections() const {
  const std::lock_guard lock{mutex_};
  return connections_;
}
std::size_t admission::unauthenticated() const {
  const std::lock_guard lock{mutex_};
  return unauthenticated_;
}

} // namespace signet
