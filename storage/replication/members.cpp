// Changing the members, as far as it needs the store and the links.

#include "storage/replication/state.hpp"

namespace signet::storage {

member_changes::leader_view replicator::state::leader_view(steady_ms now) {
  return {store->consensus(),
          [this](const std::string& node) {
            candidate out;
            auto found = known.all().find(node);
            if (found == known.all().end() || !found->second.linked || !found->second.position)
              return out;
            out.linked = true;
            out.joining = found->second.position->joining;
            out.store = found->second.position->store;
            out.speaks_as = found->second.id;
            return out;
          },
          [this, now](const raft::configuration& next) { return store->change_members(next, now); },
          [this, now](raft::server_id learner) { return store->catch_up(learner, now); },
          [this](const std::string& node, peer::member_assigned what) { outbox.emplace_back(node, std::move(what)); },
          store->picture().cluster};
}

void replicator::state::change_members(steady_ms now, replicator_turn& out) {
  std::optional<member_changes::finished> done;
  if (leads()) {
    // What a blank node said in an earlier leadership may be old: it may have been taken in since. Asked again.
    if (auto term = store->consensus().current_term(); term != blanks_of) {
      blanks_of = term;
      for (const auto& [node, each] : known.all())
        if (each.position && each.position->joining)
          known[node].position.reset();
    }
    auto view = leader_view(now);
    if (view.core.leads_surely()) {
      std::vector<std::string> linked;
      for (const auto& [node, each] : known.all())
        if (each.linked && each.position && each.position->joining)
          linked.push_back(node);
      if (!linked.empty())
        changes.look_for_lost(linked, view, now);
    }
    done = changes.step(view, now);
  } else {
    done = changes.leadership_lost();
  }
  if (done)
    out.changes.push_back(std::move(*done));
}

result<std::uint64_t> replicator::order(const member_order& what, steady_ms now) {
  auto& s = *state_;
  if (!s.leads() || !s.store->consensus().leads_surely())
    return fail(ec::not_leader, "only the leader changes the members");
  return s.changes.begin(what, s.leader_view(now), now);
}

} // namespace signet::storage
