#include "storage/replication/peers.hpp"

#include <algorithm>

namespace signet::storage {

bool peers::linked(const std::string& node) const {
  auto found = known_.find(node);
  return found != known_.end() && found->second.linked;
}

bool peers::member(const std::string& node) const {
  return std::any_of(members_.begin(), members_.end(), [&](const auto& each) { return each.address == node; });
}

void peers::follow(log_index index, const raft::configuration& members) {
  if (followed_ == index)
    return;
  followed_ = index;
  members_ = members;
}

bool peers::admit(const std::string& node, raft::server_id id) {
  if (id == raft::server_id{})
    return false;
  for (const auto& member : members_) {
    if (member.address == node && id < member.id)
      return false;  // it was replaced
    if (member.address != node && id == member.id)
      return false;  // somebody else's
  }
  known_[node].id = id;
  return true;
}

std::optional<std::string> peers::name_of(raft::server_id id) const {
  for (const auto& member : members_)
    if (member.id == id)
      return member.address;
  for (const auto& [node, each] : known_)
    if (each.id == id && id != raft::server_id{})
      return node;
  return std::nullopt;
}

} // namespace signet::storage
