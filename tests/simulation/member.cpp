#include "tests/simulation/member.hpp"

#include "tests/simulation/cast.hpp"
#include "tests/simulation/chance.hpp"

namespace signet::simulation {

using namespace storage;

namespace {

std::string name_of(std::size_t node) { return "n" + std::to_string(node + 1); }
raft::server_id founder_id(std::size_t node) { return raft::server_id{node + 1}; }

replica_options options_of(const member_options& from) {
  replica_options out;
  out.directory = from.directory;
  out.map_bytes = 64ULL << 20;
  out.readers_max = 8;
  out.consensus.self = founder_id(from.node);
  out.consensus.election_timeout_ms = from.frame.election_timeout_ms;
  out.consensus.heartbeat_ms = from.frame.heartbeat_ms;
  out.consensus.in_flight_entries_max = from.frame.in_flight_entries_max;
  out.consensus.pre_vote = from.frame.pre_vote;
  out.consensus.seed = static_cast<std::uint32_t>(chance{from.frame.seed, 10, from.node * 1'000 + from.life}.next());
  out.start_tail_entries = 1'000;  // the log is not shipped to who is far behind: nobody is
  out.measure = from.measure;
  return out;
}

} // namespace

void member::found(const member_options& options) {
  raft::configuration members;
  for (std::size_t i = 0; i < options.frame.nodes; ++i)
    members.push_back({founder_id(i), name_of(i), raft::member_role::voter});
  if (auto done = replica_store::found(options_of(options), {the_cluster, members}); !done)
    throw finding("founding: " + render(done.error()));
}

member::member(const member_options& options, steady_ms now, wall_ms wall) : node_{options.node} {
  auto opened = replica_store::open(options_of(options), now, wall);
  if (!opened)
    throw storage_failure(opened.error().code, opened.error().context);
  store_ = std::move(*opened);
}

result<proposal_ticket> member::propose(bytes_view entry, bool from_reserve) {
  return store_->propose(entry, from_reserve);
}
void member::receive(std::size_t, const wire_frame& frame) { store_->receive(frame); }
void member::link_up(std::size_t) {}
void member::link_down(std::size_t) {}
void member::hand_over(std::size_t to, steady_ms now) { (void)store_->hand_over(founder_id(to), now); }

member::turned member::turn(steady_ms now, wall_ms wall) {
  auto done = store_->turn(now, wall);
  turned out;
  out.answers = std::move(done.answers);
  out.commits = done.commits;
  out.more = done.more;
  for (auto& message : done.messages)
    out.frames.emplace_back(value(message.to) - 1,
                            wire_frame{founder_id(node_), store_->consensus().current_term(), std::move(message.body)});
  return out;
}
steady_ms member::next_timeout() const { return store_->next_timeout(); }

shown member::show() const {
  auto picture = store_->picture();
  shown out;
  out.node = node_;
  out.id = picture.self;
  out.role = picture.role;
  out.term = picture.term;
  out.voted_for = store_->consensus().voted_for();
  out.sole_voter = store_->consensus().sole_voter();
  out.committed = picture.committed;
  out.applied = picture.applied;
  out.state_hash = picture.state_hash;
  out.store = &store_->store();
  return out;
}
bool member::leads_surely() const { return store_->consensus().leads_surely(); }
environment& member::store() const { return store_->store(); }

} // namespace signet::simulation
