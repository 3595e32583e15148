#include "actors/links/links.hpp"

#include "actors/bridge/door.hpp"
#include "actors/links/account.hpp"
#include "actors/links/connection.hpp"
#include "actors/settings.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <openssl/ssl.h>
#include <spdlog/spdlog.h>

#include <fcntl.h>
#include <map>
#include <pthread.h>
#include <set>
#include <thread>

namespace signet {
namespace {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;
using steady = std::chrono::steady_clock;
using std::chrono::milliseconds;

/// How long a refused connection may take to read why.
constexpr milliseconds farewell_max{1'000};
/// A dial that has not got through when the peer itself calls is begun again after this: it may hang on a dead address.
constexpr milliseconds dial_stale_after{300};
/// How long to leave the listen queue alone when the system has no socket.
constexpr milliseconds accept_pause{100};
constexpr milliseconds report_every{10'000};

milliseconds since(steady::time_point then, steady::time_point now) {
  return std::chrono::duration_cast<milliseconds>(now - then);
}

std::uint64_t micros(steady::time_point at) {
  const auto age = std::chrono::duration_cast<std::chrono::microseconds>(at.time_since_epoch());
  return static_cast<std::uint64_t>(age.count());
}

bool is_network_trouble(const std::optional<link_refusal>& reason) { return !reason || !is_suspicious(*reason); }

tl::unexpected<error> cannot_listen(const std::string& where, const boost::system::error_code& problem) {
  auto text = "cannot listen for other nodes on " + where + " (" + problem.message() + "): ";
  if (problem == asio::error::address_in_use)
    text += "another program has that port; set nodes.NAME.link to another one, on all nodes";
  else if (problem.value() == EADDRNOTAVAIL)
    text += "no interface of this machine has that address; `ip address` lists them";
  else
    text += "check nodes.NAME.link";
  return fail(ec::io, text);
}

} // namespace

struct links::inside final : link_owner {
  /// Everything about one peer; on the links' thread but for what says otherwise.
  struct desk {
    desk(inside& home, link_peer from)
      : config{std::move(from)}, outbox{home.settings.send_queue_bytes_max}, redial{home.settings.redial},
        timer{home.io} {}
    const link_peer config;
    link_outbox outbox;                     // any thread
    std::shared_ptr<link_account> account;  // any thread
    link_connection_ptr out, in;            // in: standing; out: from the dial on
    peer::hello said;
    bool up = false, gone = false;
    std::deque<shared_bytes> held;          // arrived before the link was up
    redial_schedule redial;
    asio::steady_timer timer;

    std::mutex mutex;  // what follows: the picture, for any thread
    std::string state = "waiting", last_error;
    std::uint64_t round_trip_us = 0, bytes_in = 0, frames_in = 0, ups = 0;
  };
  using desk_ptr = std::shared_ptr<desk>;

  explicit inside(links_settings from)
    : settings{std::move(from)}, entrance{limits_of(settings)}, acceptor{io}, accept_timer{io}, tick_timer{io},
      guard{asio::make_work_guard(io)} {}

  static door_limits limits_of(const links_settings& settings) {
    door_limits out;
    out.connections_max = out.strangers_max = out.strangers_loopback_max = settings.strangers_max;
    // One stranger's address leaves places for those of the peers.
    out.strangers_per_address_max = std::max<std::size_t>(1, settings.strangers_max / 4);
    return out;
  }

  // link_owner
  std::optional<link_refusal> judge_key(link_connection& on, const public_key& key) override;
  void secured(link_connection& on) override;
  bool arrived(link_connection& on, link_frame_kind kind, bytes content) override;
  void refill(link_connection& on, bytes& out) override;
  void ended(link_connection& on, std::optional<link_refusal> reason, const std::string& problem) override;

  status open();
  void accept();
  void set_peers(std::vector<link_peer> peers);
  void remove(const desk_ptr& of);
  void dial(const desk_ptr& to);
  void dial_later(const desk_ptr& to, milliseconds wait);
  bool greeted(link_connection& on, link_frame_kind kind, const bytes& content);
  bool refuse(link_connection& on, link_refusal reason);
  void install(const desk_ptr& at, link_connection& on, const peer::hello& said);
  void come_up(const desk_ptr& at);
  void go_down(const desk_ptr& at, const std::string& why);
  void deliver(const desk_ptr& at, shared_bytes frame);
  void tick_later();
  void tick();
  void report(link_refusal reason, const std::string& name, const std::string& address);
  void show(desk& at);
  desk_ptr find(const std::string& name) const;
  bytes hello_to(const std::string& name) const;
  link_connection_ptr keep(link_connection_ptr made);
  void shut();

  const links_settings settings;
  links_handlers handlers;
  std::shared_ptr<const link_tls> identity;

  asio::io_context io{1};
  std::optional<asio::ssl::context> tls;
  door entrance;
  tcp::acceptor acceptor;
  asio::steady_timer accept_timer, tick_timer;
  asio::executor_work_guard<asio::io_context::executor_type> guard;
  std::set<link_connection_ptr> connections;  // until they are over
  std::set<link_connection*> strangers;       // those that hold a place at the entrance
  refusal_report quiet{report_every};
  steady::time_point last_tick = steady::now();
  bool ping_turn = false, stopping = false;
  std::string listening_at;
  std::thread thread;

  mutable std::mutex mutex;  // the table itself, and the numbers below
  std::map<std::string, desk_ptr> desks;
  std::array<std::uint64_t, link_refusals_max> refusals{};
};

links::inside::desk_ptr links::inside::find(const std::string& name) const {
  const std::lock_guard lock{mutex};
  const auto found = desks.find(name);
  return found == desks.end() ? nullptr : found->second;
}

bytes links::inside::hello_to(const std::string& name) const {
  peer::hello out;
  out.cluster = settings.cluster;
  out.from = settings.self;
  out.to = name;
  out.process = settings.process;
  return peer::encode(out);
}

link_connection_ptr links::inside::keep(link_connection_ptr made) {
  connections.insert(made);
  return made;
}

status links::inside::open() {
  const auto at = parse_endpoint(settings.listen);
  if (!at)
    return tl::make_unexpected(at.error());
  boost::system::error_code problem;
  const auto address = asio::ip::make_address(at->host == "localhost" ? "127.0.0.1" : at->host, problem);
  if (problem)
    return fail(ec::configuration, "nodes." + settings.self + ".link: \"" + at->host + "\" is no IP address; a node "
                "listens on an address of its machine, such as 127.0.0.1, or on 0.0.0.0");
  const tcp::endpoint endpoint{address, at->port};
  if (acceptor.open(endpoint.protocol(), problem))
    return cannot_listen(settings.listen, problem);
  ::fcntl(acceptor.native_handle(), F_SETFD, FD_CLOEXEC);
  acceptor.set_option(asio::socket_base::reuse_address{true}, problem);
  if (acceptor.bind(endpoint, problem) || acceptor.listen(128, problem))
    return cannot_listen(settings.listen, problem);
  const auto bound = acceptor.local_endpoint(problem);
  const auto host = bound.address().to_string();
  listening_at = (bound.address().is_v6() ? "[" + host + "]" : host) + ":" + std::to_string(bound.port());
  return {};
}

void links::inside::accept() {
  acceptor.async_accept([this](const boost::system::error_code& problem, tcp::socket socket) {
    if (stopping || problem == asio::error::operation_aborted)
      return;
    if (problem) {  // the system has no socket for us, or that client has gone
      accept_timer.expires_after(accept_pause);
      accept_timer.async_wait([this](const boost::system::error_code& cancelled) {
        if (!cancelled && !stopping)
          accept();
      });
      return;
    }
    ::fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
    boost::system::error_code gone;
    const auto from = socket.remote_endpoint(gone).address();
    if (!gone && entrance.enter(from) != door::answer::welcome)
      report(link_refusal::too_many, {}, from.to_string());
    else if (!gone) {
      auto made = keep(std::make_shared<link_connection>(io, *tls, *this, true, std::string{}, settings.silence_max()));
      strangers.insert(made.get());
      made->serve(std::move(socket), from);
    }
    accept();
  });
}

void links::inside::set_peers(std::vector<link_peer> wanted) {
  std::map<std::string, link_peer> table;
  std::set<public_key> keys;
  for (auto& each : wanted) {
    if (each.name == settings.self)
      continue;
    if (!keys.insert(each.key).second) {
      spdlog::warn("link_key_twice peer={} next=\"each node needs a key of its own: signet node init\"", each.name);
      continue;
    }
    table.emplace(each.name, std::move(each));
  }
  std::vector<desk_ptr> gone, fresh;
  {
    const std::lock_guard lock{mutex};
    for (auto at = desks.begin(); at != desks.end();) {
      const auto still = table.find(at->first);
      if (still != table.end() && still->second == at->second->config) {
        table.erase(still);
        ++at;
        continue;
      }
      gone.push_back(at->second);
      at = desks.erase(at);
    }
    for (auto& [name, config] : table) {
      auto made = std::make_shared<desk>(*this, std::move(config));
      made->account = std::make_shared<link_account>(settings.receive_credit_bytes, [this, weak = std::weak_ptr{made}] {
        asio::post(io, [weak] {
          if (const auto at = weak.lock(); at && at->in && at->in->paused() && !at->account->above())
            at->in->resume();
        });
      });
      desks.emplace(name, made);
      fresh.push_back(std::move(made));
    }
  }
  for (const auto& each : gone)
    remove(each);
  for (const auto& each : fresh)
    dial(each);
}

void links::inside::remove(const desk_ptr& of) {
  of->gone = true;
  of->timer.cancel();
  go_down(of, "removed");
  // Also those that have not said hello yet: the key stands for nobody now.
  for (const auto& each : std::set<link_connection_ptr>{connections})
    if (each->peer == of->config.name)
      each->end(link_refusal::removed, "the node table does not name it any more");
  of->in.reset();
  of->out.reset();
  of->account->close();
}

void links::inside::dial(const desk_ptr& to) {
  if (stopping || to->gone || to->out)
    return;
  to->timer.cancel();
  const auto at = parse_endpoint(to->config.endpoint);
  if (!at) {
    const std::lock_guard lock{to->mutex};
    to->last_error = render(at.error());
    return;
  }
  to->out = keep(std::make_shared<link_connection>(io, *tls, *this, false, to->config.name, settings.silence_max()));
  show(*to);
  to->out->dial(at->host, at->port);
}

void links::inside::dial_later(const desk_ptr& to, milliseconds wait) {
  to->timer.expires_after(wait);
  to->timer.async_wait([this, weak = std::weak_ptr{to}](const boost::system::error_code& cancelled) {
    if (const auto at = weak.lock(); at && !cancelled)
      dial(at);
  });
  show(*to);
}

std::optional<link_refusal> links::inside::judge_key(link_connection& on, const public_key& key) {
  if (!on.incoming()) {
    const auto at = find(on.peer);
    return at && at->config.key == key ? std::nullopt : std::optional{link_refusal::wrong_key};
  }
  const std::lock_guard lock{mutex};
  for (const auto& [name, at] : desks)
    if (at->config.key == key) {
      on.peer = name;
      return std::nullopt;
    }
  return link_refusal::unknown_key;
}

void links::inside::secured(link_connection& on) {
  if (!on.incoming())
    on.say(link_frame_kind::hello, hello_to(on.peer));
}

bool links::inside::refuse(link_connection& on, link_refusal reason) {
  on.refuse(reason);
  return false;
}

bool links::inside::arrived(link_connection& on, link_frame_kind kind, bytes content) {
  if (!on.standing())
    return greeted(on, kind, content);
  const auto at = find(on.peer);
  if (!at)
    return refuse(on, link_refusal::removed);
  if (on.incoming()) {
    if (kind == link_frame_kind::data) {
      deliver(at, share(std::move(content)));
      return true;
    }
    const auto number = kind == link_frame_kind::ping ? read_link_number(content) : std::nullopt;
    if (!number)
      return refuse(on, link_refusal::malformed);
    on.say(link_frame_kind::pong, *number);
    return true;
  }
  if (kind == link_frame_kind::alive && content.empty())
    return true;
  if (kind == link_frame_kind::refused && content.size() == 1) {
    const auto reason = find_link_refusal(content[0]);
    on.end(std::nullopt, "the peer refused this node: " + std::string{reason ? name(*reason) : "?"});
    return false;
  }
  const auto number = kind == link_frame_kind::pong ? read_link_number(content) : std::nullopt;
  const auto now = micros(steady::now());
  if (!number || *number > now)
    return refuse(on, link_refusal::malformed);
  const std::lock_guard lock{at->mutex};
  const auto measured = std::max<std::uint64_t>(1, now - *number);
  at->round_trip_us = at->round_trip_us == 0 ? measured : (7 * at->round_trip_us + measured) / 8;
  return true;
}

bool links::inside::greeted(link_connection& on, link_frame_kind kind, const bytes& content) {
  if (!on.incoming() && kind == link_frame_kind::refused && content.size() == 1) {
    const auto reason = find_link_refusal(content[0]);
    on.end(std::nullopt, "the peer refused this node: " + std::string{reason ? name(*reason) : "?"});
    return false;
  }
  if (kind != (on.incoming() ? link_frame_kind::hello : link_frame_kind::welcome))
    return refuse(on, link_refusal::malformed);
  const auto said = peer::decode_hello(content);
  if (!said)
    return refuse(on, link_refusal::malformed);
  const auto at = find(on.peer);
  if (!at)
    return refuse(on, link_refusal::removed);
  if (const auto wrong = judge_hello({settings.cluster, settings.self, on.peer}, *said))
    return refuse(on, *wrong);
  standing_links standing;
  if (at->in)
    standing.in = at->in->process;
  if (at->out && at->out->standing())
    standing.out = at->out->process;
  if (judge_arrival(standing, on.incoming(), said->process) == arrival::refused)
    return refuse(on, link_refusal::second_incarnation);
  install(at, on, *said);
  return true;
}

void links::inside::install(const desk_ptr& at, link_connection& on, const peer::hello& said) {
  on.process = said.process;
  at->said = said;
  if (!on.incoming()) {
    on.stand();
    return come_up(at);
  }
  if (strangers.erase(&on) > 0)
    entrance.leave(on.remote(), false);
  if (at->in)
    at->in->end(link_refusal::replaced, "a newer connection took its place");
  at->in = on.shared_from_this();
  on.say(link_frame_kind::welcome, hello_to(on.peer));
  on.stand();
  if (at->account->above())
    on.pause();
  // The peer is there: no reason to wait with our own dial, nor for one that hangs.
  if (at->out && !at->out->standing() && since(at->out->since(), steady::now()) > dial_stale_after)
    at->out->end(std::nullopt, "dialed again: the peer has called");
  at->redial.forget();
  if (!at->out)
    dial(at);
  come_up(at);
}

void links::inside::come_up(const desk_ptr& at) {
  show(*at);
  if (at->up || !at->in || !at->out || !at->out->standing())
    return;
  at->up = true;
  {
    const std::lock_guard lock{at->mutex};
    ++at->ups;
    at->state = "up";
    at->last_error.clear();
  }
  spdlog::info("link_up peer={} endpoint={}", at->config.name, at->config.endpoint);
  at->outbox.open();
  if (handlers.up)
    handlers.up(at->config.name, at->said);
  for (auto& frame : std::exchange(at->held, {}))
    deliver(at, std::move(frame));
}

void links::inside::go_down(const desk_ptr& at, const std::string& why) {
  at->outbox.close();
  at->held.clear();
  if (!std::exchange(at->up, false))
    return;
  spdlog::info("link_down peer={} reason=\"{}\"", at->config.name, why);
  if (handlers.down)
    handlers.down(at->config.name);
}

void links::inside::deliver(const desk_ptr& at, shared_bytes frame) {
  if (!at->up) {
    // The peer has seen the link come up; this node has not yet. What is held counts as unprocessed.
    std::size_t held = frame->size();
    for (const auto& each : at->held)
      held += each->size();
    if (held > settings.receive_credit_bytes && at->in)
      at->in->pause();
    at->held.push_back(std::move(frame));
    return;
  }
  {
    const std::lock_guard lock{at->mutex};
    at->bytes_in += frame->size();
    ++at->frames_in;
  }
  // Small frames cost too.
  const auto cost = frame->size() + link_frame_head_bytes;
  if (at->account->take(cost) && at->in)
    at->in->pause();
  auto credit = std::make_shared<const link_credit>(at->account, cost);
  if (handlers.frame)
    handlers.frame(at->config.name, std::move(frame), std::move(credit));
}

void links::inside::refill(link_connection& on, bytes& out) {
  if (on.incoming())
    return;
  if (const auto at = find(on.peer); at && at->out.get() == &on && at->up)
    at->outbox.take(out);
}

void links::inside::ended(link_connection& on, std::optional<link_refusal> reason, const std::string& problem) {
  if (strangers.erase(&on) > 0)
    entrance.leave(on.remote(), false);
  if (stopping)
    return;
  if (reason && is_suspicious(*reason))
    report(*reason, on.peer, on.remote().to_string());
  const auto at = find(on.peer);
  if (!at)
    return;
  const bool was_in = at->in.get() == &on, was_out = at->out.get() == &on;
  if (!was_in && !was_out)
    return;
  const auto text = is_network_trouble(reason) ? problem : "this node refused the peer: " + problem;
  bool news = false;
  {
    const std::lock_guard lock{at->mutex};
    news = at->last_error != text;
    at->last_error = text;
  }
  if (news && !at->up)
    spdlog::info("link_failed peer={} endpoint={} problem=\"{}\"", at->config.name, at->config.endpoint, text);
  const bool stood = on.standing();
  const auto age = stood ? since(on.since(), steady::now()) : milliseconds{0};
  if (was_in)
    at->in.reset();
  if (was_out)
    at->out.reset();
  go_down(at, problem);
  if (was_out && !at->gone)
    dial_later(at, at->redial.next(age, system_random()));
  show(*at);
}

void links::inside::report(link_refusal reason, const std::string& name_of_peer, const std::string& address) {
  {
    const std::lock_guard lock{mutex};
    ++refusals[static_cast<std::size_t>(reason)];
  }
  if (const auto count = quiet.note(reason, steady::now()))
    spdlog::warn("link_refused reason={} peer={} address={} count={} next=\"compare [nodes.*] link, link_key and "
                 "[cluster] id of all nodes; unknown callers: close the port to them\"", name(reason),
                 name_of_peer.empty() ? "?" : name_of_peer, address, *count);
  if (handlers.refused)
    handlers.refused(reason, name_of_peer, address);
}

void links::inside::show(desk& at) {
  const std::lock_guard lock{at.mutex};
  const bool out = at.out && at.out->standing();
  at.state = at.up ? "up" : at.in || out ? "half" : at.out ? "dialing" : "waiting";
}

void links::inside::tick_later() {
  tick_timer.expires_after(settings.heartbeat);
  tick_timer.async_wait([this](const boost::system::error_code& cancelled) {
    if (cancelled || stopping)
      return;
    tick();
    tick_later();
  });
}

void links::inside::tick() {
  const auto now = steady::now();
  const auto passed = since(last_tick, now);
  last_tick = now;
  ping_turn = !ping_turn;
  for (const auto& each : std::vector<link_connection_ptr>{connections.begin(), connections.end()}) {
    if (each->over()) {
      connections.erase(each);
      continue;
    }
    if (each->closing()) {
      if (since(each->since(), now) > farewell_max)
        each->end(std::nullopt, "refused");
      continue;
    }
    if (!each->standing()) {
      if (since(each->since(), now) > (each->incoming() ? settings.hello_max : settings.dial_max))
        each->end(each->incoming() ? std::optional{link_refusal::late} : std::nullopt, "no answer in time");
      continue;
    }
    if (each->paused())
      each->silence().heard();  // it is this node that does not listen
    else if (each->silence().passed(passed, settings.heartbeat)) {
      each->end(link_refusal::silent, "nothing heard for " + std::to_string(settings.silence_max().count()) + " ms");
      continue;
    }
    if (!ping_turn)
      continue;
    if (each->incoming())
      each->say(link_frame_kind::alive);
    else
      each->say(link_frame_kind::ping, micros(now));
  }
}

void links::inside::shut() {
  stopping = true;
  boost::system::error_code ignored;
  acceptor.close(ignored);
  accept_timer.cancel();
  tick_timer.cancel();
  for (const auto& each : std::set<link_connection_ptr>{connections})
    each->end(std::nullopt, "the node stops");
  connections.clear();
  const std::lock_guard lock{mutex};
  for (const auto& [name, at] : desks) {
    at->timer.cancel();
    at->in.reset();
    at->out.reset();
    at->outbox.close();
    at->account->close();
  }
}

links::links() = default;
links::~links() { stop(); }

status links::open(links_settings settings, const signing_key& link_key) {
  if (inside_)
    return fail(ec::internal, "links have been started before");
  auto identity = link_tls::make(link_key);
  if (!identity)
    return tl::make_unexpected(identity.error());
  auto made = std::make_shared<inside>(std::move(settings));
  made->identity = *identity;
  SSL_CTX_up_ref(made->identity->native());
  made->tls.emplace(made->identity->native());  // takes that reference
  if (auto opened = made->open(); !opened)
    return opened;
  inside_ = std::move(made);
  return {};
}

void links::run(links_handlers handlers, std::vector<link_peer> peers) {
  inside_->handlers = std::move(handlers);
  asio::post(inside_->io, [in = inside_.get(), peers = std::move(peers)]() mutable {
    in->accept();
    in->set_peers(std::move(peers));
    in->last_tick = steady::now();
    in->tick_later();
  });
  inside_->thread = std::thread{[in = inside_.get()] { in->io.run(); }};
  pthread_setname_np(inside_->thread.native_handle(), "links");
}

status links::start(links_settings settings, const signing_key& link_key, links_handlers handlers,
                    std::vector<link_peer> peers) {
  if (auto opened = open(std::move(settings), link_key); !opened)
    return opened;
  run(std::move(handlers), std::move(peers));
  return {};
}

void links::set_peers(std::vector<link_peer> peers) {
  if (const auto in = inside_)
    asio::post(in->io, [in = in.get(), peers = std::move(peers)]() mutable {
      if (!in->stopping)
        in->set_peers(std::move(peers));
    });
}

link_sent links::send(const std::string& name, shared_bytes frame) {
  if (!frame || frame->size() > link_data_bytes_max) {
    spdlog::critical("defect where=links::send bytes={} max={}", frame ? frame->size() : 0, link_data_bytes_max);
    std::abort();
  }
  const auto in = inside_;
  const auto at = in ? in->find(name) : nullptr;
  if (!at)
    return link_sent::no_link;
  const auto offered = at->outbox.offer(std::move(frame));
  if (offered.wake)
    asio::post(in->io, [at] {
      if (at->out)
        at->out->wake();
    });
  return offered.what;
}

std::string links::listening() const { return inside_ ? inside_->listening_at : std::string{}; }

std::vector<link_picture> links::picture() const {
  std::vector<link_picture> out;
  if (!inside_)
    return out;
  std::vector<inside::desk_ptr> all;
  {
    const std::lock_guard lock{inside_->mutex};
    for (const auto& [name, at] : inside_->desks)
      all.push_back(at);
  }
  for (const auto& at : all) {
    link_picture one;
    one.name = at->config.name;
    one.endpoint = at->config.endpoint;
    const auto sent = at->outbox.look();
    one.bytes_out = sent.bytes;
    one.frames_out = sent.frames;
    one.queued_bytes = sent.queued_bytes;
    one.dropped = sent.dropped;
    one.unprocessed_bytes = at->account->held();
    const std::lock_guard lock{at->mutex};
    one.state = at->state;
    one.round_trip_us = at->round_trip_us;
    one.bytes_in = at->bytes_in;
    one.frames_in = at->frames_in;
    one.reconnects = at->ups > 0 ? at->ups - 1 : 0;
    one.last_error = at->last_error;
    out.push_back(std::move(one));
  }
  return out;
}

std::vector<std::pair<link_refusal, std::uint64_t>> links::refusals() const {
  std::vector<std::pair<link_refusal, std::uint64_t>> out;
  if (!inside_)
    return out;
  const std::lock_guard lock{inside_->mutex};
  for (std::size_t i = 0; i < inside_->refusals.size(); ++i)
    if (const auto reason = find_link_refusal(static_cast<std::uint8_t>(i)); reason && inside_->refusals[i] > 0)
      out.emplace_back(*reason, inside_->refusals[i]);
  return out;
}

void links::stop() {
  if (!inside_ || !inside_->thread.joinable())
    return;
  asio::post(inside_->io, [in = inside_.get()] {
    in->shut();
    in->io.stop();  // a name that is being looked up would be waited for
  });
  inside_->thread.join();
  inside_->handlers = {};  // they hold actors, which may hold us
}

} // namespace signet
