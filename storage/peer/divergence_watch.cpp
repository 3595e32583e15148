#include "storage/peer/divergence_watch.hpp"

#include <algorithm>

namespace signet::peer {
namespace {

/// What one step tells at most of what it has passed: who catches up passes many, and nobody waits for the old ones.
constexpr std::size_t passed_told_max = 4;

std::string listed(const std::vector<std::string>& names) {
  std::string out;
  for (const auto& each : names)
    out += (out.empty() ? "" : ", ") + each;
  return out;
}

} // namespace

std::string_view name(watch_verdict x) {
  switch (x) {
    case watch_verdict::fine: return "fine";
    case watch_verdict::alarm: return "alarm";
    case watch_verdict::odd_one: return "odd_one";
  }
  return "alarm";
}

void divergence_watch::forget(const std::string& node) {
  for (auto& [index, votes] : votes_)
    votes.claims.erase(node);
}

void divergence_watch::receive(const std::string& node, const checkpoint& told) {
  if (node == self_ || told.index == log_index{})
    return;
  auto found = votes_.find(told.index);
  if (found == votes_.end() || !found->second.claims.contains(node)) {
    std::size_t held = 0;
    for (const auto& [index, votes] : votes_)
      held += !votes.own && votes.claims.contains(node);
    if (held >= options_.held_per_peer_max)
      return;
  }
  votes_[told.index].claims[node] = told;
}

std::vector<checkpoint> divergence_watch::newest(log_index applied, const lookup& own) const {
  std::vector<checkpoint> out;
  // The multiple is the same on every node, so that a majority can agree about it.
  const auto multiple = log_index{value(applied) / options_.every_entries * options_.every_entries};
  for (auto index : {multiple, applied})
    if (index != log_index{} && (out.empty() || out.back().index != index))
      if (auto mine = own(index))
        out.push_back(*mine);
  return out;
}

bool divergence_watch::disputed(const at_index& votes) const {
  return votes.own && std::any_of(votes.claims.begin(), votes.claims.end(),
                                  [&](const auto& claim) { return claim.second != *votes.own; });
}

std::optional<checkpoint> divergence_watch::majority_among(const at_index& votes, bool with_own) const {
  std::vector<checkpoint> said;
  if (with_own && votes.own && voters_.contains(self_))
    said.push_back(*votes.own);
  for (const auto& [node, claim] : votes.claims)
    if (voters_.contains(node))
      said.push_back(claim);
  for (const auto& each : said)
    if (static_cast<std::size_t>(std::count(said.begin(), said.end(), each)) >= majority())
      return each;
  return std::nullopt;
}

std::optional<checkpoint> divergence_watch::agreed_by_majority() const {
  for (auto at = votes_.rbegin(); at != votes_.rend(); ++at)
    if (auto agreed = majority_among(at->second, false))
      return agreed;
  return std::nullopt;
}

divergence divergence_watch::judge() const {
  divergence out;
  for (const auto& [index, votes] : votes_) {
    if (!disputed(votes))
      continue;
    const auto agreed = majority_among(votes, true);
    const bool odd = agreed && *agreed != *votes.own;
    if (out.verdict != watch_verdict::fine && !odd)
      continue;  // the lowest index says it already
    out = {};
    out.verdict = odd ? watch_verdict::odd_one : watch_verdict::alarm;
    out.index = index;
    for (const auto& [node, claim] : votes.claims) {
      const bool same = claim == *votes.own;
      (same ? out.agreeing : out.differing).push_back(node);
      out.log_differs = out.log_differs || claim.chain != votes.own->chain;
    }
    out.why = std::string{out.log_differs ? "the log" : "the state"} + " of this node and of " + listed(out.differing) +
              " differ at index " + to_string(index);
    if (odd) {
      out.why += "; a majority of the voters agrees against this node. Next: stop it, run signet verify on its data "
                 "directory, then signet recover";
      break;
    }
    out.why += agreed ? "; a majority of the voters agrees with this node"
                      : "; no majority of the voters agrees, so nobody can tell who is right. Next: run signet verify on "
                        "each of them";
  }
  return out;
}

void divergence_watch::tell(at_index& votes, outcome& out) const {
  if (votes.told || !votes.own)
    return;
  votes.told = true;
  out.tell.push_back(*votes.own);
}

bool divergence_watch::may_answer(steady_ms now) {
  if (auto second = value(now) / 1'000; second != answers_second_) {
    answers_second_ = second;
    answers_ = 0;
  }
  return answers_++ < options_.answers_per_s_max;
}

divergence_watch::outcome divergence_watch::step(steady_ms now, log_index applied, const lookup& own) {
  outcome out;
  const auto note_own = [&](log_index index) {
    if (auto mine = own(index)) {
      auto& votes = votes_[index];
      votes.own = *mine;
      tell(votes, out);
    }
  };

  // What was passed since the last step; at the first one nothing was.
  const auto every = options_.every_entries;
  const auto passed = value(seen_applied_.value_or(applied)) / every, reached = value(applied) / every;
  seen_applied_ = applied;
  for (auto i = std::max(passed, reached - std::min<std::uint64_t>(reached, passed_told_max)) + 1; i <= reached; ++i)
    note_own(log_index{i * every});
  if (next_tick_ <= now) {
    next_tick_ = steady_ms{value(now) + options_.every_ms};
    if (applied != log_index{}) {
      votes_[applied].told = false;  // also when nothing has moved: somebody may have come back since
      note_own(applied);
    }
  }

  for (auto at = votes_.begin(); at != votes_.end() && at->first <= applied;) {
    auto& [index, votes] = *at;
    if (!votes.own)
      votes.own = own(index);
    if (!votes.own) {
      at = votes_.erase(at);  // too long ago to be compared
      continue;
    }
    if (disputed(votes) && !votes.told && may_answer(now))
      tell(votes, out);
    ++at;
  }
  prune(applied);

  out.now = judge();
  out.changed = out.now != last_;
  last_ = out.now;
  return out;
}

/// Of what is compared, the oldest go first: those without a dispute, then those with one.
void divergence_watch::prune(log_index applied) {
  for (const bool disputes_too : {false, true}) {
    auto compared = static_cast<std::size_t>(
      std::distance(votes_.begin(), votes_.upper_bound(applied)));
    for (auto at = votes_.begin(); compared > options_.kept_max && at != votes_.end() && at->first <= applied;) {
      if (!disputes_too && disputed(at->second)) {
        ++at;
        continue;
      }
      at = votes_.erase(at);
      --compared;
    }
  }
}

} // namespace signet::peer
