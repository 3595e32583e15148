#include "tests/unit/raft/invariants.hpp"

namespace signet::raft::test {

namespace {
[[noreturn]] void broken(const std::string& what) { throw violation(what); }

std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  a ^= b + 0x9e3779b97f4a7c15ULL + (a << 6) + (a >> 2);
  a *= 0xff51afd7ed558ccdULL;
  return a ^ (a >> 33);
}

std::string roles_of(const configuration& members) {
  std::string out;
  for (const auto& m : members)
    out += to_string(m.id) + "SVX"[static_cast<int>(m.role)] + std::string(" ");
  return out;
}
} // namespace

std::uint64_t fold(std::uint64_t before, const entry& e) {
  auto hash = mix(mix(before, value(e.term)), static_cast<std::uint64_t>(e.type));
  for (auto x : e.payload)
    hash = mix(hash, x);
  return hash;
}

void invariants::appended(log_index index, const entry& e, signet::term term_before) {
  auto [found, fresh] = entries_.try_emplace({index, e.term}, named{e, term_before});
  if (!fresh && (found->second.what != e || found->second.before != term_before))
    broken("two entries are named (" + to_string(index) + ", " + to_string(e.term) + ")");
}

std::uint64_t invariants::applied(server_id who, log_index index, const entry& e, std::uint64_t hash_before) {
  auto hash = fold(hash_before, e);
  auto at = value(index) - 1;
  if (at > prefix_.size())
    broken("server " + to_string(who) + " applied " + to_string(index) + " behind a gap");
  if (at == prefix_.size())
    prefix_.push_back({e, hash});
  else if (prefix_[at].first != e)
    broken("server " + to_string(who) + " applied another entry at " + to_string(index));
  else if (prefix_[at].second != hash)
    broken("server " + to_string(who) + " has another state at " + to_string(index));
  return hash;
}

void invariants::acknowledged(log_index index, const entry& e) { acknowledged_[index] = e; }

void invariants::claimed(server_id who, log_index claimed, log_index durable) const {
  if (claimed > durable)
    broken("server " + to_string(who) + " claims " + to_string(claimed) + ", but has " + to_string(durable) + " durable");
}

void invariants::after_step(const view& now) {
  if (now.role == role::leader) {
    auto [found, fresh] = leaders_.try_emplace(now.term, now.self);
    if (!fresh && found->second != now.self)
      broken("two leaders in term " + to_string(now.term));
  }
  if (now.last != now.last_in_store && !now.installing)
    broken("core and driver disagree about the last index: " + to_string(now.last) + ", " + to_string(now.last_in_store));
  if (now.applied > now.commit && !now.installing)
    broken("server " + to_string(now.self) + " applied more than is committed");
  if (!now.installing) {
    auto same = now.members_inside.size() == now.members_in_log.size();
    for (std::size_t i = 0; same && i < now.members_inside.size(); ++i)
      same = now.members_inside[i].id == now.members_in_log[i].id && now.members_inside[i].role == now.members_in_log[i].role;
    if (!same)
      broken("server " + to_string(now.self) + " believes [" + roles_of(now.members_inside) + "], its log says [" +
             roles_of(now.members_in_log) + "]");
  }
  auto found = before_.find(now.self);
  if (found != before_.end()) {
    const auto& before = found->second;
    if (now.term < before.term)
      broken("server " + to_string(now.self) + ": the term went back");
    if (now.commit < before.commit)
      broken("server " + to_string(now.self) + ": the commit index went back");
    if (now.applied < before.applied)
      broken("server " + to_string(now.self) + ": the applied index went back");
  }
  before_[now.self] = now;
}

void invariants::restarted(server_id who, signet::term durable) {
  auto found = before_.find(who);
  if (found == before_.end())
    return;
  found->second.term = durable;
  found->second.commit = {};
  found->second.applied = {};
}

void invariants::at_the_end() const {
  for (const auto& [index, e] : acknowledged_)
    if (value(index) > prefix_.size() || prefix_[value(index) - 1].first != e)
      broken("what was acknowledged at " + to_string(index) + " is not there");
}

std::uint64_t invariants::prefix_hash(log_index index) const {
  if (value(index) == 0)
    return 0;
  if (value(index) > prefix_.size())
    broken("a state at " + to_string(index) + " of which nothing is committed");
  return prefix_[value(index) - 1].second;
}

} // namespace signet::raft::test
