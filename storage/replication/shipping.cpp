// The log itself for who is further behind than consensus remembers.

#include "storage/replication/state.hpp"

namespace signet::storage {

namespace {

peer::slice_reader reader_of(const replica_store& store) {
  return [&store](log_index from, std::size_t entries_max, std::size_t bytes_max) {
    return store.read_slice(from, entries_max, bytes_max);
  };
}

} // namespace

void replicator::state::want_shipment(const std::string& node, raft::server_id to, log_index target) {
  auto& wanted = shipments[node];
  if (wanted.to != to)
    wanted = {};
  wanted.to = to;
  wanted.target = std::max(wanted.target, target);
}

void replicator::state::begin_shipment(const std::string& node, const peer::position& where, replicator_turn& out) {
  auto found = shipments.find(node);
  if (found == shipments.end() || found->second.shipper || where.joining || known[node].id != found->second.to)
    return;
  peer::log_shipper shipper(where);
  switch (shipper.compare(reader_of(*store))) {
    case peer::log_shipper::beginning::ships:
      found->second.shipper = std::move(shipper);
      return;
    case peer::log_shipper::beginning::diverged:
      alarm(out, "node " + node + " has applied another log up to " + to_string(where.applied) + " than this leader");
      break;
    case peer::log_shipper::beginning::ahead:
      alarm(out, "node " + node + " has applied up to " + to_string(where.applied) + ", and this leader's log ends before");
      break;
  }
  shipments.erase(found);
}

void replicator::state::ship(steady_ms now, replicator_turn& out) {
  if (shipments.empty())
    return;
  const auto& core = store->consensus();
  if (!leads() || core.current_term() != shipping_term) {
    shipments.clear();
    shipping_term = core.current_term();
    return;
  }
  for (auto next = shipments.begin(); next != shipments.end();) {
    auto& [node, each] = *next;
    if (!known.linked(node) || core.match_index(each.to) >= each.target) {
      next = shipments.erase(next);
      continue;
    }
    if (!each.shipper) {
      if (value(each.asked) + ask_position_every_ms <= value(now)) {
        each.asked = now;
        send(out, node, each.to, peer::position_asked{});
      }
    } else {
      for (auto& frame : each.shipper->frames(now, core.current_term(), core.commit_index(), reader_of(*store)))
        send(out, node, each.to, std::move(frame));
    }
    ++next;
  }
}

} // namespace signet::storage
