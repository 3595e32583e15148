#include "actors/node.hpp"

#include "actors/admin/admin_server.hpp"
#include "actors/admin/metrics.hpp"
#include "actors/bots/bots.hpp"
#include "actors/bridge/bridge.hpp"
#include "actors/delivery/cursors.hpp"
#include "actors/fanout/fanout.hpp"
#include "actors/founding.hpp"
#include "actors/peering.hpp"
#include "actors/replica/replica.hpp"
#include "actors/security/security.hpp"
#include "actors/sender/sender.hpp"
#include "actors/session/admission.hpp"
#include "actors/session/registry.hpp"
#include "actors/session/session.hpp"
#include "actors/supervision/guard.hpp"
#include "actors/supervision/service_manager.hpp"
#include "actors/supervision/supervisor.hpp"
#include "messages/envelope/keys.hpp"
#include "storage/replica_store.hpp"
#include "storage/views/read.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/scoped_actor.hpp>
#include <future>
#include <nlohmann/json.hpp>
#include <pthread.h>
#include <signal.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

namespace signet {
namespace {
using namespace std::chrono_literals;
using supervision::starting;
using supervision::worker;
constexpr auto status_patience = 2s;
constexpr auto drain_patience = 5s;
constexpr auto operate_patience = 8s;
/// A node this far behind what it knows to be committed shows its clients a state of some moments ago.
constexpr std::uint64_t fresh_entries = 1'000;
constexpr auto node_table_period = 1s;
constexpr auto hand_over_patience = 2s;

[[noreturn]] void stop_process(int code, const std::string& why) {
  // Nothing may be committed after a failed write or sync, so nothing is tidied up either.
  if (code == 72)
    spdlog::critical("fenced reason=\"{}\" exit=72 next=\"keep the data directory for whoever looks into it, then: signet recover "
                     "--config FILE --name NODE; the other nodes go on\"", why);
  else
    spdlog::critical("{} reason=\"{}\" exit={} next=\"{}, then start the node again; what was acknowledged is durable\"",
                     code == 71 ? "storage_failed" : "defect", why, code,
                     code == 71 ? "check the disk" : "keep and report the lines above");
  spdlog::shutdown();
  std::_Exit(code);
}
[[noreturn]] void fail_stop(const std::string& why) { stop_process(71, why); }

struct caf_config : caf::actor_system_config {
  explicit caf_config(std::int64_t threads) {
    // 300 messages a turn: a busy actor shares its worker. `sharing` wakes faster and idles quieter on few cores.
    set("scheduler.max-throughput", std::size_t{300});
    const auto cores = std::max(2U, std::thread::hardware_concurrency());
    const auto workers = threads > 0 ? static_cast<std::size_t>(threads) : std::size_t{cores};
    set("scheduler.max-threads", workers);
    set("scheduler.policy", workers <= 4 ? caf::atom("sharing") : caf::atom("stealing"));
  }
};

void add_listener(std::vector<listen_at>& out, channel_kind kind, const std::string& text, const listener_settings& from) {
  if (text.empty())
    return;
  auto parsed = parse_endpoint(text);
  if (!parsed)
    return;  // settings have been checked
  listen_at at;
  at.kind = kind;
  at.address = parsed->host == "localhost" ? "127.0.0.1" : parsed->host;
  at.port = parsed->port;
  at.certificate = from.certificate;
  at.key = from.key;
  at.origins = from.origins;
  out.push_back(std::move(at));
}

bridge_settings bridge_settings_from(const node_settings& settings) {
  bridge_settings out;
  add_listener(out.listeners, channel_kind::tcp, settings.listen.mqtt, settings.listen);
  add_listener(out.listeners, channel_kind::tls, settings.listen.mqtts, settings.listen);
  add_listener(out.listeners, channel_kind::ws, settings.listen.ws, settings.listen);
  add_listener(out.listeners, channel_kind::wss, settings.listen.wss, settings.listen);
  const auto& limits = settings.limits;
  out.limits.connections_max = static_cast<std::size_t>(limits.connections);
  out.limits.strangers_per_address_max = static_cast<std::size_t>(limits.unauthenticated_per_address);
  out.limits.strangers_loopback_max = static_cast<std::size_t>(limits.unauthenticated_loopback);
  out.out_bytes_max = static_cast<std::size_t>(limits.output_buffer_bytes);
  return out;
}

/// FRONT DOOR: holds the bridge while it runs. Last in the tree: whenever something in front of it is started anew, so
/// is the bridge, and every client attaches anew to actors that live. On a node that is still joining it waits for
/// membership and a leader first.
struct front_door_state {
  static inline const char* name = "front door";
  std::shared_ptr<bridge> held;
  std::function<std::shared_ptr<bridge>()> open;
  ~front_door_state() {
    if (held)
      held->stop();
  }
};
caf::behavior front_door(caf::stateful_actor<front_door_state>* self, std::shared_ptr<bridge> held,
                         std::function<std::shared_ptr<bridge>()> open, replica_actor replica) {
  supervision::guard(self);
  self->state.held = std::move(held);
  self->state.open = std::move(open);
  if (!self->state.held)
    caf::anon_send(replica, watch_atom_v, caf::actor_cast<caf::actor>(self));
  return {[self](const leadership& now) {
    if (!self->state.held && now.majority)
      self->state.held = self->state.open();
  }};
}

} // namespace

struct node::state {
  explicit state(const node_settings& from) : settings{from}, config{from.threads} {}

  node_settings settings;
  cluster_id cluster;
  std::shared_ptr<const signing_key> key;
  std::shared_ptr<storage::replicator> store;
  std::unique_ptr<peering> peers;  // null: this node stands alone
  std::shared_ptr<admission> gate;
  caf_config config;
  std::optional<caf::actor_system> system;
  supervision::supervisor_actor root;

  std::vector<node::hosted_bot> hosted;
  std::mutex door_mutex;
  std::shared_ptr<bridge> door;  // the one that listens now
  std::promise<status> first_door;
  bool first_door_told = false;

  service_manager manager = service_manager::from_environment();
  std::unique_ptr<admin_server> admin;
  std::atomic<bool> stopping{false}, gave_up{false};
  std::atomic<bool> joining{false};  // until the door has been opened
  bool stopped = false;
  std::thread watcher;

  std::vector<supervision::child_spec> children();
  caf::actor open_door(starting& at);
  void tell_first_door(const status& opened);
  caf::actor child(const char* id);
  std::string status_json();
  nlohmann::json ask_replica();
  std::pair<bool, std::string> aliveness();
  std::pair<bool, std::string> readiness();
  std::string metrics();
  result<std::string> operate(const std::string& text);
  void watch();
  void give_up_leadership();
};

/// The tree, in the order in which a message travels, so that each child may hold the handles of those in front of it.
std::vector<supervision::child_spec> node::state::children() {
  const auto* disk = &store->store();
  std::vector<supervision::child_spec> out;
  // Never restarted: its failure has ended the process already.
  out.push_back(worker("replica", "replica", [this](starting& at) {
    auto handle = at.self().spawn<caf::detached>(
      replica, replica_services{store, &system_clock(), stop_process, peers ? peers->wire() : nullptr,
                                settings.data / "keys", [this] { manager.alive(); }});
    if (peers)
      peers->run(handle);
    return handle;
  }));
  out.push_back(worker("security", "security", [this](starting& at) {
    auto handle = at.self().spawn(security, at.get<replica_actor>("replica"));
    if (peers)
      peers->report_to(handle);
    return handle;
  }));
  out.push_back(worker("fan-out", "fan-out", [disk](starting& at) {
    auto handle = at.self().spawn(fanout, disk);
    caf::anon_send(at.get<replica_actor>("replica"), follow_atom_v, caf::actor_cast<caf::actor>(handle));
    return handle;
  }));
  out.push_back(worker("cursors", "cursors", [](starting& at) {
    return at.self().spawn(cursors, at.get<replica_actor>("replica"));
  }));
  out.push_back(worker("senders", "senders", [this, disk](starting& at) {
    return at.self().spawn(senders, sender_services{disk, cluster, at.get<replica_actor>("replica"),
                                                    at.get<security_actor>("security"), &system_clock()});
  }));
  out.push_back(worker("sessions", "registry", [this, disk](starting& at) {
    return spawn_session_registry(at.self().system(),
                                  registry_services{session_settings_from(settings), disk, at.get<replica_actor>("replica"),
                                                    at.get<fanout_actor>("fan-out"), at.get<security_actor>("security"),
                                                    gate, &system_clock()});
  }));
  // Bots fail for themselves, below a supervisor that never gives up: neither clients nor the node end because of one.
  std::vector<bot_definition> bots;
  if (settings.echo_bot)
    bots.push_back(echo_bot_definition());
  out.push_back(bots_child("bots", [this, disk](starting& at) {
    bot_services shared;
    shared.store = disk;
    shared.replica = at.get<replica_actor>("replica");
    shared.fanout = at.get<fanout_actor>("fan-out");
    shared.keys_directory = settings.data / "keys";
    shared.fail_stop = fail_stop;
    return shared;
  }, std::move(bots)));
  supervision::child_spec front;
  front.id = "front-door";
  front.kind = "bridge";
  front.start = [this](starting& at) { return open_door(at); };
  out.push_back(std::move(front));
  return out;
}

caf::actor node::state::open_door(starting& at) {
  auto services = std::make_shared<session_services>();
  services->settings = session_settings_from(settings);
  services->disk = &store->store();
  services->senders = at.get<senders_actor>("senders");
  services->replica = at.get<replica_actor>("replica");
  services->fanout = at.get<fanout_actor>("fan-out");
  services->cursors = at.get<cursors_actor>("cursors");
  services->security = at.get<security_actor>("security");
  services->registry = at.get<session_registry_actor>("sessions");
  services->node_key = key;
  services->cluster = cluster;
  services->gate = gate;
  auto open = [this, services] {
    auto made = std::make_shared<bridge>(bridge_settings_from(settings));
    auto opened = made->start(make_session_maker(*system, services));
    if (opened) {
      std::lock_guard lock(door_mutex);
      door = made;
    }
    tell_first_door(opened);  // after the door stands: whoever waits asks at once where it listens
    if (!opened)
      throw std::runtime_error(render(opened.error()));
    if (joining.exchange(false))
      for (const auto& each : made->listening())
        spdlog::info("joined listening={}://{}:{}", scheme_of(each.kind), each.address, each.port);
    return made;
  };
  std::shared_ptr<bridge> made;
  if (joining)
    tell_first_door({});
  else
    made = open();
  return at.self().spawn<caf::detached>(front_door, made, std::function<std::shared_ptr<bridge>()>{open},
                                        services->replica);
}

void node::state::tell_first_door(const status& opened) {
  if (!std::exchange(first_door_told, true))
    first_door.set_value(opened);
}

node::node(std::unique_ptr<state> s) : state_{std::move(s)} {}
node::~node() { stop(); }

result<std::unique_ptr<node>> node::start(const node_settings& settings, const node_options& options) {
  auto s = std::make_unique<state>(settings);
  if (auto made = make_private_directory(settings.data); !made)
    return tl::make_unexpected(made.error());

  // 1. the node's own key, and the store
  const auto how = replica_options_from(settings);
  auto standing = storage::replica_store::founded(settings.data);
  if (!standing)
    return tl::make_unexpected(standing.error());
  if (!*standing && !options.found_if_absent)
    return fail(ec::configuration, "no store in " + settings.data.string() +
                                     "; found one with: signet node init --config FILE --name " + settings.name);
  auto key = load_node_key(settings, !*standing);
  if (!key)
    return tl::make_unexpected(key.error());
  s->key = std::make_shared<const signing_key>(std::move(*key));
  if (!*standing)
    if (auto founded = found_alone(settings); !founded)
      return tl::make_unexpected(founded.error());
  storage::replicator_options replicating;
  replicating.store = how;
  replicating.node = settings.name;
  replicating.process = random_id<peer::process_id>(system_random());
  std::array<std::uint8_t, 8> drawn;
  system_random().fill(drawn);
  replicating.first_forward = read_u64(drawn.data());
  auto opened = storage::replicator::open(replicating, system_clock().steady(), system_clock().wall());
  if (!opened)
    return tl::make_unexpected(opened.error());
  s->store = std::move(*opened);
  s->cluster = s->store->picture().cluster;
  s->joining = s->store->joining();
  if (const auto* own = settings.own(); own && !own->link.empty()) {
    auto link_key = load_link_key(settings);
    if (!link_key)
      return tl::make_unexpected(link_key.error());
    s->peers = std::make_unique<peering>(settings, s->cluster, options.config, replicating.process);
    if (auto opened_port = s->peers->open(*link_key); !opened_port)
      return tl::make_unexpected(opened_port.error());
  } else if (s->store->picture().role != raft::role::leader) {
    return fail(ec::configuration, "the store in " + settings.data.string() + " belongs to a cluster of several nodes; set nodes." +
                                     settings.name + ".link");
  }
  if (auto marked = remember_founding(settings, s->cluster); !marked)
    return tl::make_unexpected(marked.error());

  // 2. the secret of the cluster, and from it the keys of the bots
  if (settings.nodes.size() <= 1)  // a node alone, founded before there was a secret
    if (auto secret = load_or_make_cluster_secret(settings.data / "keys", system_random()); !secret)
      return tl::make_unexpected(secret.error());
  if (settings.echo_bot) {
    auto here = find_bot_identity(settings.data / "keys", "echo");
    if (here)
      s->hosted.push_back({"echo", here->who});
    else if (here.error().code != ec::not_found)
      return tl::make_unexpected(here.error());
  }

  // 3. the actors; the last of them listens
  (void)process_picture();  // its start time
  s->gate = std::make_shared<admission>(admission_settings_from(settings));
  s->system.emplace(s->config);
  supervision::supervisor_options rules;
  rules.rules.how = supervision::strategy::rest_for_one;
  s->root = s->system->spawn(supervision::supervisor, rules, s->children());
  auto first = s->first_door.get_future();
  auto out = std::unique_ptr<node>(new node(std::move(s)));  // from here on its destructor stops the actors
  if (first.wait_for(30s) != std::future_status::ready)
    return fail(ec::internal, "the actors did not start within 30 s");
  if (auto listening = first.get(); !listening)
    return tl::make_unexpected(listening.error());

  // 4. the operator's window
  auto* at = out->state_.get();
  auto admin = admin_server::start(settings.data / "admin.sock", settings.admin_listen,
                                   {[at] { return at->status_json(); }, [at] { return at->aliveness(); },
                                    [at] { return at->readiness(); }, [at] { return at->metrics(); },
                                    [at](const std::string& text) { return at->operate(text); }});
  if (!admin)
    return tl::make_unexpected(admin.error());
  at->admin = std::move(*admin);
  at->watcher = std::thread([at] { at->watch(); });
  at->manager.ready();
  return out;
}

void node::state::watch() {
  caf::scoped_actor self(*system);
  self->monitor(root);
  bool ended = false;
  while (!ended)
    self->receive([&](const caf::down_msg&) { ended = true; }, caf::after(node_table_period) >> [&] {
      if (peers)
        peers->reread_if_changed();
    });
  if (!stopping) {
    gave_up = true;
    ::kill(::getpid(), SIGTERM);  // wakes wait()
  }
}

/// So that the others need not wait until they miss this node.
void node::state::give_up_leadership() {
  caf::scoped_actor self(*system);
  const auto replica = caf::actor_cast<replica_actor>(child("replica"));
  if (!replica)
    return;
  bool asked = false;
  self->request(replica, status_patience, hand_over_asked{}).receive([&](caf::unit_t) { asked = true; }, [](const caf::error&) {});
  const auto until = std::chrono::steady_clock::now() + hand_over_patience;
  while (asked && std::chrono::steady_clock::now() < until) {
    self->request(replica, status_patience, status_asked{})
      .receive([&](const std::string& text) {
                 const auto said = nlohmann::json::parse(text, nullptr, false);
                 asked = said.value("role", "") == "leader" || said.value("leader", "").empty();
               },
               [&](const caf::error&) { asked = false; });
    if (asked)
      std::this_thread::sleep_for(20ms);
  }
}

caf::actor node::state::child(const char* id) {
  caf::scoped_actor self(*system);
  caf::actor out;
  self->request(root, status_patience, supervision::find_child{id})
    .receive([&](const caf::actor& found) { out = found; }, [](const caf::error&) {});
  return out;
}

nlohmann::json node::state::ask_replica() {
  caf::scoped_actor self(*system);
  nlohmann::json out;
  if (auto handle = child("replica"))
    self->request(handle, status_patience, status_asked{})
      .receive([&](const std::string& text) { out = nlohmann::json::parse(text, nullptr, false); }, [](const caf::error&) {});
  return out.is_object() ? out : nlohmann::json::object();
}

/// Whether the replica's loop turns: the rest of a node that is alive is supervised.
std::pair<bool, std::string> node::state::aliveness() {
  const bool answers = !ask_replica().empty();
  return {answers, answers ? "alive" : "the replica does not answer"};
}

std::pair<bool, std::string> node::state::readiness() {
  if (stopping)
    return {false, "stopping"};
  const auto replica = ask_replica();
  if (replica.empty())
    return {false, "not ready: the replica does not answer"};
  if (joining)
    return {false, "not ready: joining; on a node of the cluster: signet cluster add " + settings.name};
  const auto role = replica.value("role", "");
  if (replica.value("leader", "").empty() || (role == "leader" && !replica.value("leads_surely", false)))
    return {false, "not ready: " + role + " without a leader or a majority"};
  const auto committed = replica.value("committed_index", std::uint64_t{0}), applied = replica.value("applied_index", std::uint64_t{0});
  if (committed > applied + fresh_entries)
    return {false, "not ready: " + std::to_string(committed - applied) + " entries behind"};
  std::lock_guard lock(door_mutex);
  if (!door || door->listening().empty())
    return {false, "not ready: not listening"};
  return {true, "ready"};
}

std::string node::state::metrics() {
  auto status = nlohmann::json::parse(status_json(), nullptr, false);
  status["ready"] = readiness().first;
  return metrics_text(status);
}

/// What the operator asks of the cluster; zones are known here, from the node table.
result<std::string> node::state::operate(const std::string& text) {
  caf::scoped_actor self(*system);
  const auto handle = caf::actor_cast<replica_actor>(child("replica"));
  if (!handle)
    return fail(ec::internal, "the replica does not run");
  result<std::string> out = fail(ec::unknown_outcome, "the replica did not answer in time");
  self->request(handle, operate_patience, operator_asked{text})
    .receive([&](const std::string& said) { out = said; }, [&](const caf::error& why) { out = tl::make_unexpected(from_caf(why)); });
  if (!out)
    return out;
  auto said = nlohmann::json::parse(*out, nullptr, false);
  if (!said.is_object() || !said.contains("members"))
    return out;
  std::map<std::string, std::string> zones;
  for (const auto& each : peers ? peers->table() : settings.nodes)
    zones.emplace(each.name, each.zone);
  for (auto& each : said["members"])
    each["zone"] = zones[each.value("node", "")];
  said["zones_named"] = std::any_of(zones.begin(), zones.end(), [](const auto& each) { return !each.second.empty(); });
  said.update(zones_of(said["members"], zones));
  return said.dump();
}

std::string node::state::status_json() {
  caf::scoped_actor self(*system);
  nlohmann::json out;
  out["node"] = settings.name;
  out["zone"] = settings.zone;
  out["version"] = SIGNET_VERSION;
  out["cluster"] = cluster.hex();
  out["node_key"] = key->public_half().hex();
  out["stopping"] = stopping.load();
  out["process"] = process_picture();
  for (const char* id : {"replica", "fan-out", "cursors", "senders", "sessions", "security"})
    if (auto handle = child(id))
      self->request(handle, status_patience, status_asked{})
        .receive([&](const std::string& text) { out[id] = nlohmann::json::parse(text, nullptr, false); },
                 [&](const caf::error& why) { out[id] = {{"problem", supervision::describe(why)}}; });
  self->request(root, status_patience, supervision::ask_report{status_patience / 2})
    .receive([&](const supervision::supervisor_report& report) {
               out["tree"] = nlohmann::json::parse(supervision::to_json(report), nullptr, false);
             },
             [](const caf::error&) {});
  {
    auto txn = store->store().read();
    nlohmann::json rows = nlohmann::json::object(), events = nlohmann::json::object(), bots = nlohmann::json::array();
    for (const auto& table : storage::count_rows(txn))
      rows[std::string(table.name)] = table.rows;
    for (const auto& event : storage::read_event_counts(txn))
      events[event.kind] = event.counter.count;
    for (const auto& bot : storage::read_bots(txn))
      bots.push_back({{"bot", bot.bot.hex()},
                      {"name", bot.row.name},
                      {"position", value(bot.row.position)},
                      {"inbox", value(storage::read_inbox_head(txn, bot.bot))},
                      {"attempts", bot.row.attempts},
                      {"dead_letters", bot.row.dead_letters}});
    out["rows"] = rows;
    out["security_events"] = events;
    out["bots"] = bots;
  }
  out["joining"] = joining.load();
  out["cluster_members"] = nlohmann::json::array();
  for (const auto& member : out["replica"].value("members", nlohmann::json::array()))
    if (!member.value("self", false))
      out["cluster_members"].push_back(member);
  if (peers)
    out["links"] = nlohmann::json::parse(peers->picture(), nullptr, false);
  std::lock_guard lock(door_mutex);
  if (door) {
    const auto& counters = door->counters();
    out["connections"] = {{"open", door->connections()},
                          {"strangers", door->strangers()},
                          {"accepted", counters.accepted.load()},
                          {"bytes_in", counters.bytes_in.load()},
                          {"bytes_out", counters.bytes_out.load()},
                          {"packets_in", counters.packets_in.load()},
                          {"malformed", counters.malformed.load()},
                          {"output_full", counters.output_full.load()},
                          {"gate_refusals", counters.gate_refusals.load()}};
  }
  return out.dump();
}

std::vector<node::listening_at> node::listening() const {
  std::lock_guard lock(state_->door_mutex);
  std::vector<listening_at> out;
  if (state_->door)
    for (const auto& at : state_->door->listening()) {
      const bool v6 = at.address.find(':') != std::string::npos;
      out.push_back({std::string(scheme_of(at.kind)) + "://" + (v6 ? "[" + at.address + "]" : at.address) + ":" +
                       std::to_string(at.port),
                     at.port});
    }
  return out;
}
bool node::joining() const { return state_->joining; }
std::vector<node::hosted_bot> node::bots() const { return state_->hosted; }
const cluster_id& node::cluster() const { return state_->cluster; }
const public_key& node::node_key() const { return state_->key->public_half(); }

int node::wait() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  int got = 0;
  sigwait(&signals, &got);
  if (state_->gave_up) {
    spdlog::critical("actors_gave_up exit=70 next=\"report the lines above; start the node again\"");
    return 70;
  }
  spdlog::info("stopping signal={}", got == SIGTERM ? "SIGTERM" : "SIGINT");
  return 0;
}

void node::stop() {
  auto& s = *state_;
  if (s.stopped || !s.system)
    return;
  s.stopped = true;
  s.stopping = true;
  s.manager.stopping();
  {
    // /readyz says no from here on. In the order of the data path: no new clients; another leader, so that nobody waits for
    // an election; goodbye to the clients who are here, who come back elsewhere; then write what is gathered.
    std::shared_ptr<bridge> door;
    {
      std::lock_guard lock(s.door_mutex);
      door = s.door;
    }
    if (door)
      door->stop_accepting();
    if (s.peers)
      s.give_up_leadership();
    caf::scoped_actor self(*s.system);
    if (auto registry = s.child("sessions")) {
      self->send(registry, close_sessions{{}, close_reason::shutting_down});
      // Sessions report back to the registry as they go; cursors they moved are with CURSORS by then.
      for (int i = 0; door && door->connections() > 0 && i < 30; ++i)
        std::this_thread::sleep_for(50ms);
      // And writes their closings, a batch every 100 ms.
      std::uint64_t waiting = 1;
      for (int i = 0; waiting > 0 && i < 20; ++i) {
        self->request(registry, status_patience, status_asked{})
          .receive([&](const std::string& text) {
                     waiting = nlohmann::json::parse(text, nullptr, false).value("closings_waiting", std::uint64_t{0});
                   },
                   [&](const caf::error&) { waiting = 0; });
        if (waiting > 0)
          std::this_thread::sleep_for(50ms);
      }
    }
    for (const char* id : {"cursors", "security"})
      if (auto handle = s.child(id))
        self->request(handle, drain_patience, drain_atom_v).receive([](caf::unit_t) {}, [](const caf::error&) {});
  }
  s.admin.reset();
  caf::anon_send_exit(s.root, caf::exit_reason::user_shutdown);
  if (s.watcher.joinable())
    s.watcher.join();
  s.root = nullptr;
  {
    std::lock_guard lock(s.door_mutex);
    if (s.door)
      s.door->stop();
    s.door.reset();
  }
  if (s.peers)
    s.peers->stop();
  s.system.reset();
  s.peers.reset();
  s.store.reset();
  spdlog::info("stopped");
}

void block_stop_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
}

namespace {
/// The text of a line: as a JSON string, or with line breaks and escapes made harmless, so that nothing that came from
/// outside can forge a line or drive a terminal.
class payload final : public spdlog::custom_flag_formatter {
public:
  explicit payload(bool json) : json_{json} {}
  void format(const spdlog::details::log_msg& line, const std::tm&, spdlog::memory_buf_t& out) override {
    std::string text(line.payload.data(), line.payload.size());
    if (json_)
      text = nlohmann::json(text).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
    else
      for (char& c : text)
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
          c = '?';
    out.append(text.data(), text.data() + text.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override { return std::make_unique<payload>(json_); }

private:
  bool json_;
};
} // namespace

void start_logging(const std::string& level, const std::string& format) {
  auto logger = spdlog::stderr_logger_mt("signet");
  const bool json = format == "json";
  auto lines = std::make_unique<spdlog::pattern_formatter>(spdlog::pattern_time_type::utc);
  lines->add_flag<payload>('*', json);
  lines->set_pattern(json ? R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l","event":%*})"
                          : "%Y-%m-%dT%H:%M:%S.%eZ %^%-5l%$ %*");
  logger->set_formatter(std::move(lines));
  logger->set_level(spdlog::level::from_str(level));
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
}

} // namespace signet
