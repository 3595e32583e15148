#include "tests/simulation/member.hpp"

#include "tests/simulation/cast.hpp"
#include "tests/simulation/chance.hpp"

#include <string>

namespace signet::simulation {

using namespace storage;

namespace {

std::string name_of(std::size_t node) { return "n" + std::to_string(node); }
raft::server_id founder_id(std::size_t node) { return raft::server_id{node + 1}; }

/// The number in a name that name_of() has made.
std::size_t node_of(const std::string& name) { return std::stoul(name.substr(1)); }

replica_options options_of(const member_options& from) {
  replica_options out;
  out.directory = from.directory;
  out.map_bytes = 64ULL << 20;
  out.readers_max = 8;
  out.expected_cluster = the_cluster;
  out.consensus.election_timeout_ms = from.frame.election_timeout_ms;
  out.consensus.heartbeat_ms = from.frame.heartbeat_ms;
  out.consensus.in_flight_entries_max = from.frame.in_flight_entries_max;
  out.consensus.pre_vote = from.frame.pre_vote;
  out.consensus.seed = static_cast<std::uint32_t>(chance{from.frame.seed, 10, from.node * 1'000 + from.life}.next());
  out.start_tail_entries = from.frame.start_tail_entries;
  out.measure = from.measure;
  return out;
}

} // namespace

void member::found(const member_options& options) {
  raft::configuration members;
  for (std::size_t i = 0; i < options.frame.nodes; ++i)
    members.push_back({founder_id(i), name_of(i), raft::member_role::voter});
  chance random{options.frame.seed, 11, options.node};
  auto how = options_of(options);
  how.consensus.self = founder_id(options.node);
  how.random = &random;
  if (auto done = replica_store::found(how, {the_cluster, members}); !done)
    throw finding("founding: " + render(done.error()));
}

void member::make_blank(const member_options& options) {
  chance random{options.frame.seed, 13, options.node * 1'000 + options.life};
  auto how = options_of(options);
  how.random = &random;
  if (auto done = replica_store::make_blank(how, the_cluster); !done)
    throw finding("recovering: " + render(done.error()));
}

member::member(const member_options& options, steady_ms now, wall_ms wall) : node_{options.node} {
  chance random{options.frame.seed, 12, options.node * 1'000 + options.life};
  replicator_options how;
  how.store = options_of(options);
  how.node = name_of(node_);
  random.fill(how.process.raw);
  how.first_forward = random.next();
  auto opened = replicator::open(std::move(how), now, wall);
  if (!opened)
    throw storage_failure(opened.error().code, opened.error().context);
  software_ = std::move(*opened);
}

result<proposal_ticket> member::propose(const bytes& entry, bool from_reserve, bool idempotent, steady_ms now) {
  return software_->propose({share(entry), from_reserve, idempotent}, now);
}
void member::receive(std::size_t from, const wire_frame& frame) {
  auto decoded = peer::decode_frame(frame);
  if (!decoded)
    throw finding("a frame of a node cannot be read: " + render(decoded.error()));
  software_->receive(name_of(from), std::move(*decoded));
}
void member::link_up(std::size_t peer, steady_ms now) { software_->link_up(name_of(peer), now); }
void member::link_down(std::size_t peer, steady_ms now) { software_->link_down(name_of(peer), now); }
void member::hand_over(std::size_t to, steady_ms now) { (void)software_->hand_over(name_of(to), now); }

member::turned member::turn(steady_ms now, wall_ms wall, const std::function<void(sent_frame)>& early) {
  auto done = software_->turn(now, wall, [&](std::vector<outgoing_frame> frames) {
    for (auto& each : frames)
      early({node_of(each.to), peer::encode(each.what)});
  });
  turned out;
  out.answers = std::move(done.answers);
  out.refused = std::move(done.refused);
  out.alarms = std::move(done.alarms);
  out.fenced = std::move(done.fenced);
  out.commits = done.commits;
  out.more = done.more;
  for (auto& each : done.frames)
    out.frames.emplace_back(node_of(each.to), peer::encode(each.what));
  return out;
}
steady_ms member::next_timeout() const { return software_->next_timeout(); }

shown member::show() const {
  auto picture = software_->picture();
  shown out;
  out.node = node_;
  out.id = picture.self;
  out.role = picture.role;
  out.store = &software_->store();
  if (software_->joining())
    return out;
  out.term = picture.term;
  out.voted_for = software_->consensus().voted_for();
  out.sole_voter = software_->consensus().sole_voter();
  out.committed = picture.committed;
  out.applied = picture.applied;
  out.state_hash = picture.state_hash;
  return out;
}
bool member::leads_surely() const { return !software_->joining() && software_->consensus().leads_surely(); }
environment& member::store() const { return software_->store(); }

} // namespace signet::simulation
