#include "actors/replica/operator_desk.hpp"

#include <nlohmann/json.hpp>

namespace signet {
namespace {
using nlohmann::json;

std::string_view name_of(raft::member_role role) {
  switch (role) {
    case raft::member_role::standby: return "standby";
    case raft::member_role::voter: return "voter";
    case raft::member_role::spare: return "spare";
  }
  return "?";
}

/// The error of a peer, as text: {"code", "context"}.
std::string as_text(const error& what) {
  return json{{"code", static_cast<unsigned>(what.code)}, {"context", what.context}}.dump(-1, ' ', false,
                                                                                           json::error_handler_t::replace);
}
error as_error(const std::string& text) {
  const auto said = json::parse(text, nullptr, false);
  if (!said.is_object() || !said.contains("code") || !said["code"].is_number_unsigned())
    return {ec::malformed, "the leader's answer cannot be read"};
  const auto code = said["code"].get<std::uint64_t>();
  if (code == 0 || code > static_cast<std::uint64_t>(ec::internal))
    return {ec::malformed, "the leader's answer cannot be read"};
  return {static_cast<ec>(code), said.value("context", json()).is_string() ? said["context"].get<std::string>() : ""};
}

json as_json(const storage::member_order& order) {
  return {{"what", name(order.what)}, {"node", order.node}, {"votes", order.votes}};
}
} // namespace

std::uint64_t operator_desk::ask(const std::string& text, steady_ms now) {
  const auto number = next_++;
  const auto picture = replicator_.cluster();
  const auto here = [&] { ready_.push_back({number, answer_here(text, now)}); };
  if (picture.joining || picture.self.role == raft::role::leader) {
    here();
  } else if (picture.leader.empty()) {
    const auto asked = json::parse(text, nullptr, false);
    if (asked.is_object() && asked.value("do", json()) == "status")
      here();
    else
      ready_.push_back({number, fail(ec::not_leader, "no node leads: a majority of the voters must run and be linked")});
  } else if (text.size() > peer::text_bytes_max || forwarded_.size() >= pending_max) {
    ready_.push_back({number, fail(ec::overloaded, "too much is under way to the leader")});
  } else if (!replicator_.send(picture.leader, peer::admin_request{number, text})) {
    ready_.push_back({number, fail(ec::not_leader, "no link to the leader, " + picture.leader)});
  } else {
    forwarded_.emplace(number, steady_ms{value(now) + answer_ms});
  }
  return number;
}

void operator_desk::receive(const storage::peer_request& what, steady_ms now) {
  if (const auto* request = std::get_if<peer::admin_request>(&what.what)) {
    // Answered here or not at all: a question never travels twice.
    auto done = replicator_.cluster().self.role == raft::role::leader && !replicator_.joining()
                  ? answer_here(request->text, now)
                  : result<std::string>{fail(ec::not_leader, "this node does not lead any more; ask again")};
    (void)replicator_.send(what.from, peer::admin_answer{request->number, done.has_value(), done ? *done : as_text(done.error())});
  } else if (const auto* answer = std::get_if<peer::admin_answer>(&what.what)) {
    if (forwarded_.erase(answer->number) == 0)
      return;  // too late, or never asked
    ready_.push_back({answer->number, answer->done ? result<std::string>{answer->text}
                                                   : result<std::string>{tl::make_unexpected(as_error(answer->text))}});
  }
}

void operator_desk::note(const storage::member_changes::finished& what) {
  ended_.push_back({what.number, what.order, what.outcome ? "done" : render(what.outcome.error())});
  if (ended_.size() > ended_max)
    ended_.pop_front();
}

std::vector<operator_desk::answered> operator_desk::answers(steady_ms now) {
  for (auto at = forwarded_.begin(); at != forwarded_.end();) {
    if (at->second > now) {
      ++at;
      continue;
    }
    ready_.push_back({at->first, fail(ec::unknown_outcome, "the leader did not answer in time; ask again")});
    at = forwarded_.erase(at);
  }
  return std::exchange(ready_, {});
}

result<std::string> operator_desk::answer_here(const std::string& text, steady_ms now) {
  const auto asked = json::parse(text, nullptr, false);
  const auto word = [&](const char* key) {
    return asked.is_object() && asked.contains(key) && asked[key].is_string() ? asked[key].get<std::string>() : std::string();
  };
  const auto what = word("do"), node = word("node");
  if (what == "status")
    return status(now).dump(-1, ' ', false, json::error_handler_t::replace);
  if (replicator_.joining())
    return fail(ec::not_leader, "this node is no member yet; ask a node of the cluster");
  if (what == "transfer") {
    if (auto asked_for = replicator_.hand_over(node, now); !asked_for)
      return tl::make_unexpected(asked_for.error());
    return json{{"begun", true}}.dump();
  }
  storage::member_order order;
  order.node = node;
  order.votes = asked.is_object() && asked.contains("votes") && asked["votes"].is_boolean() && asked["votes"].get<bool>();
  if (what == "add")
    order.what = storage::member_order::kind::add;
  else if (what == "promote")
    order.what = storage::member_order::kind::promote;
  else if (what == "remove")
    order.what = storage::member_order::kind::remove;
  else
    return fail(ec::configuration, "there are status, add, promote, remove and transfer");
  if (node.empty() || node.size() > peer::node_name_bytes_max)
    return fail(ec::configuration, "name the node");
  auto begun = replicator_.order(order, now);
  if (!begun)
    return tl::make_unexpected(begun.error());
  return json{{"begun", true}, {"number", *begun}}.dump();
}

json operator_desk::status(steady_ms now) const {
  const auto picture = replicator_.cluster();
  const bool leads = picture.self.role == raft::role::leader && !picture.joining;
  json members = json::array(), over = json::array();
  for (const auto& each : picture.members) {
    json one{{"node", each.node}, {"id", value(each.id)}, {"role", name_of(each.role)}, {"leader", each.leader},
             {"linked", each.linked || each.self}};
    if (leads) {
      one["match_index"] = value(each.self ? picture.self.last : each.match);
      one["lag_entries"] = each.self ? 0 : each.lag;
    }
    if (each.heard && !each.self)
      one["heard_ms_ago"] = value(now) - std::min(value(now), value(*each.heard));
    members.push_back(std::move(one));
  }
  for (const auto& each : ended_) {
    auto one = as_json(each.order);
    one["number"] = each.number;
    one["outcome"] = each.outcome;
    over.push_back(std::move(one));
  }
  json change;
  if (picture.change) {
    change = as_json(picture.change->order);
    change["step"] = picture.change->step;
  }
  return {{"cluster", picture.self.cluster.hex()},
          {"answered_by", picture.node},
          {"leader", picture.leader},
          {"stale", !picture.leads_surely},
          {"joining", picture.joining},
          {"term", value(picture.self.term)},
          {"last_index", value(picture.self.last)},
          {"committed_index", value(picture.self.committed)},
          {"applied_index", value(picture.self.applied)},
          {"members", members},
          {"waiting_to_join", picture.waiting_to_join},
          {"change", change},
          {"ended", over}};
}

json zones_of(const json& members, const std::map<std::string, std::string>& zone_of) {
  std::map<std::string, std::size_t> voters;
  std::size_t all = 0;
  for (const auto& each : members)
    if (each.value("role", "") == "voter") {
      const auto node = each.value("node", "");
      const auto found = zone_of.find(node);
      const bool named = found != zone_of.end() && !found->second.empty();
      ++voters[named ? found->second : "node " + node];
      ++all;
    }
  json zones = json::array();
  bool any = all > 1;
  for (const auto& [zone, count] : voters) {
    const bool survives = all - count > all / 2;
    any = any && survives;
    zones.push_back({{"zone", zone}, {"voters", count}, {"survives", survives}});
  }
  return {{"zones", zones}, {"survives_any", any}};
}

} // namespace signet
