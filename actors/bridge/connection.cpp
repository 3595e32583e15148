#include "actors/bridge/connection.hpp"

// The numbers under which CAF knows packets_arrived and its like stand with the sessions' other messages.
#include "actors/session/messages.hpp"
#include "messages/envelope/login.hpp"

#include <boost/asio/post.hpp>
#include <caf/send.hpp>
#include <spdlog/spdlog.h>

#include <sys/socket.h>

namespace signet {
namespace {

/// What a packet costs beside its bytes on the wire while an actor holds it.
constexpr std::size_t packet_overhead_bytes = 200;
/// A stranger's bytes are read in small portions; most of what may follow its CONNECT stays in the kernel.
constexpr std::size_t early_read_bytes_max = 2 * 1024;
constexpr auto no_packet = ~std::uint64_t{0};

std::string now_as_http_date() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now).count();
  return websocket::http_date(static_cast<std::uint64_t>(seconds));
}

mqtt::limits caps_of(const bridge_settings& settings) {
  mqtt::limits out;
  out.property_bytes_max = 9216;  // an AUTH with a proof (64 bytes) and an identity version of 8192
  out.packet_size_max = settings.first_packet_bytes_max;
  return out;
}

} // namespace

// --- the thread

void connection::io_thread::add(const connection_ptr& one) { members_.push_back(*one); }

void connection::io_thread::remove(connection& one) {
  if (one.member_.is_linked())
    members_.erase(members_.iterator_to(one));
  if (one.watched_.is_linked())
    watched_.erase(watched_.iterator_to(one));
}

void connection::io_thread::watch(connection& one) {
  if (!one.watched_.is_linked())
    watched_.push_back(one);
  if (!armed_) {
    last_tick_ = std::chrono::steady_clock::now();
    arm();
  }
}

void connection::io_thread::arm() {
  armed_ = true;
  timer_.expires_after(tick);
  timer_.async_wait([this](const boost::system::error_code& problem) {
    armed_ = false;
    if (problem)
      return;
    const auto now = std::chrono::steady_clock::now();
    const auto since = std::chrono::duration_cast<std::chrono::milliseconds>(now - last_tick_);
    last_tick_ = now;
    // Any of them may leave the lists meanwhile.
    std::vector<connection_ptr> due;
    due.reserve(watched_.size());
    for (auto& each : watched_)
      due.push_back(each.shared_from_this());
    for (const auto& each : due) {
      each->check_deadlines(now, since);
      if (each->watched_.is_linked() && each->is_quiet())
        watched_.erase(watched_.iterator_to(*each));
    }
    if (!watched_.empty())
      arm();
  });
}

void connection::io_thread::for_all(const std::function<void(connection&)>& work) {
  std::vector<connection_ptr> all;
  all.reserve(members_.size());
  for (auto& each : members_)
    all.push_back(each.shared_from_this());
  for (const auto& each : all)
    work(*each);
}

void connection::io_thread::end_all(const char* why) {
  for_all([&](connection& each) { each.stop_now(why); });
  timer_.cancel();
}

// --- life

connection::connection(std::shared_ptr<io_thread> home, std::shared_ptr<bridge_shared> all,
                       std::shared_ptr<const listener_shared> at, socket socket, boost::asio::ip::address from)
  : home_{std::move(home)}, all_{std::move(all)}, at_{std::move(at)}, from_{std::move(from)},
    socket_{std::move(socket)}, decoder_{mqtt::role::client, caps_of(all_->settings)}, started_from_{no_packet} {}

connection::~connection() = default;

void connection::start() {
  self_ = shared_from_this();
  home_->add(self_);
  deadline_ = std::chrono::steady_clock::now() + all_->settings.first_packet_max;
  home_->watch(*this);
  if (is_websocket())
    websocket_ = std::make_unique<websocket_part>();
  if (const auto tls = at_->tls.load()) {
    stream_ = make_tls_stream(socket_.native_handle(), *tls);
    if (!stream_)
      return gone("no memory for TLS");
    return handshake();
  }
  stream_ = make_plain_stream(socket_.native_handle());
  opened();
}

void connection::post(void (connection::*then)()) {
  // Weak: a queue of a stopped thread must not keep alive what keeps that thread's objects alive.
  boost::asio::post(home_->io, [weak = weak_from_this(), then] {
    if (const auto me = weak.lock())
      (me.get()->*then)();
  });
}

void connection::wait_readable() {
  if (std::exchange(waiting_read_, true))
    return;
  socket_.async_wait(socket::wait_read, [weak = weak_from_this()](const boost::system::error_code& problem) {
    if (const auto me = weak.lock(); me && me->phase_ != phase::gone) {
      me->waiting_read_ = false;
      problem ? me->gone(problem.message()) : me->readable();
    }
  });
}

void connection::wait_writable() {
  if (std::exchange(waiting_write_, true))
    return;
  socket_.async_wait(socket::wait_write, [weak = weak_from_this()](const boost::system::error_code& problem) {
    if (const auto me = weak.lock(); me && me->phase_ != phase::gone) {
      me->waiting_write_ = false;
      problem ? me->gone(problem.message()) : me->writable();
    }
  });
}

void connection::readable() {
  // Who waited may have been overtaken by a close.
  if (std::exchange(flush_wants_read_, false))
    flush();
  switch (phase_) {
    case phase::opening:
      return handshake();
    case phase::upgrading:
    case phase::open:
      return read_turn();
    case phase::lingering:
      return linger();
    default:
      return;
  }
}

void connection::writable() {
  if (phase_ == phase::opening)
    return handshake();
  flush();
  if (std::exchange(read_wants_write_, false))
    read_turn();
}

void connection::handshake() {
  const auto step = stream_->handshake();
  switch (step.what) {
    case stream::event::done:
      exporter_ = stream_->exporter(login_exporter_label);
      return opened();
    case stream::event::want_read:
      return wait_readable();
    case stream::event::want_write:
      return wait_writable();
    default:
      ++all_->counters.tls_failures;
      return gone("the TLS handshake failed: " + stream_->problem());
  }
}

void connection::opened() {
  phase_ = websocket_ ? phase::upgrading : phase::open;
  read_turn();
}

// --- reading

bool connection::may_take() const {
  return phase_ == phase::open && !deaf_ && in_credit_.load() < all_->settings.in_credit_max
         && (reading_as_ == link_state::attached || permit_);
}

/// Whether reading has to wait for somebody to call done() or allow(), who then posts resume().
bool connection::must_pause() {
  if (deaf_)
    return true;
  const auto credit_max = all_->settings.in_credit_max;
  if (in_credit_.load() >= credit_max) {
    // First the flag, then the look: whoever gives credit back in between sees the flag, or is seen.
    starved_ = true;
    if (in_credit_.load() > credit_max / 2 || !starved_.exchange(false))
      return true;
  }
  return reading_as_ != link_state::attached && !permit_;
}

void connection::resume() {
  if (phase_ != phase::open || waiting_read_)
    return;
  if (!decode())
    return;
  if (input_ended_)
    return gone("closed by the client");
  read_turn();
}

void connection::read_turn() {
  if ((phase_ != phase::open && phase_ != phase::upgrading) || waiting_read_ || input_ended_)
    return;
  if (phase_ == phase::open && must_pause())
    return;
  auto buffer = std::span{home_->read_buffer};
  if (reading_as_ != link_state::attached)
    buffer = buffer.first(early_read_bytes_max);
  std::size_t count = 0;
  const auto last = fill(buffer, count);
  all_->counters.bytes_in.fetch_add(count, std::memory_order_relaxed);
  if (last == stream::event::closed)
    input_ended_ = true;
  const auto me = shared_from_this();
  if (count > 0)
    take(buffer.first(count));
  go_on(last);
}

void connection::go_on(stream::event last) {
  if (phase_ != phase::open && phase_ != phase::upgrading)
    return;
  if (last == stream::event::failed)
    return gone(stream_->problem());
  if (phase_ == phase::open && must_pause())
    return;  // resume() goes on, also after an end of input
  switch (last) {
    case stream::event::closed:
      return gone("closed by the client");
    case stream::event::want_read:
      return wait_readable();
    case stream::event::want_write:
      read_wants_write_ = true;
      return wait_writable();
    default:
      return post(&connection::read_turn);  // there may be more; the others first
  }
}

/// Reads until the buffer is full, or there is nothing more for now. Returns what stopped it.
stream::event connection::fill(std::span<std::uint8_t> buffer, std::size_t& count) {
  const bool plain = at_->kind == channel_kind::tcp || at_->kind == channel_kind::ws;
  while (count < buffer.size()) {
    const auto room = buffer.subspan(count);
    const auto step = stream_->read(room);
    if (step.what != stream::event::done)
      return step.what;
    count += step.count;
    // A short read has emptied the socket: do not ask a second time.
    if (plain && step.count < room.size())
      return stream::event::want_read;
  }
  return stream::event::done;
}

void connection::take(std::span<std::uint8_t> data) {
  if (phase_ == phase::upgrading)
    return upgrade(data);
  if (websocket_)
    return take_frames(data);
  decoder_.append(data);
  decode();
}

void connection::upgrade(std::span<std::uint8_t> data) {
  auto& request = websocket_->request;
  append(request, data);
  const auto end = websocket::find_request_end(request);
  if (!end && request.size() < websocket::request_bytes_max)
    return;
  const auto date = now_as_http_date();
  const auto answer = end && *end <= websocket::request_bytes_max
                        ? websocket::judge_request(bytes_view{request}.first(*end), at_->origins, date)
                        : websocket::too_large(date);
  auto rest = end ? to_bytes(bytes_view{request}.subspan(*end)) : bytes{};
  bytes{}.swap(request);
  if (!answer.accepted) {
    ++all_->counters.upgrade_refusals;
    websocket_->close_sent = true;  // there is no WebSocket that could be closed
    add_control(as_bytes(answer.response));
    return end_quietly();
  }
  phase_ = phase::open;
  add_control(as_bytes(answer.response));
  if (phase_ == phase::open && !rest.empty())
    take_frames(rest);
}

void connection::take_frames(std::span<std::uint8_t> data) {
  const auto outcome = websocket_->frames.read(data);
  if (outcome.payload_bytes > 0) {
    decoder_.append(data.first(outcome.payload_bytes));
    decode();
  }
  if (phase_ != phase::open)
    return;
  if (outcome.what == websocket::frame_reader::end::none) {
    // A client that pings and does not read gets no more pongs than fit: only the newest ping wants an answer
    // (RFC 6455, 5.5.3).
    if (!outcome.reply.empty() && control_.empty())
      add_control(outcome.reply);
    if (websocket_->frames.started())
      home_->watch(*this);
    return;
  }
  // The answer to a close, or the reason of ours, is the last frame.
  websocket_->close_sent = true;
  add_control(outcome.reply);
  switch (outcome.what) {
    case websocket::frame_reader::end::closed:
      return end("closed by the client");
    case websocket::frame_reader::end::text_frame:
      ++all_->counters.frame_violations;
      return end("a WebSocket text frame: MQTT travels in binary frames");
    default:
      ++all_->counters.frame_violations;
      return end("a WebSocket frame that breaks RFC 6455");
  }
}

/// Hands over what the decoder holds, as far as credit and permission go. True: it is used up, and more may be read.
bool connection::decode() {
  while (true) {
    const bool used_up = decode_some();
    if (phase_ != phase::open || must_pause())
      return false;
    if (used_up) {
      if (decoder_.buffered() > 0)
        home_->watch(*this);
      return true;
    }
  }
}

/// True: the decoder needs more bytes.
bool connection::decode_some() {
  packets_arrived batch;
  bool used_up = false;
  std::optional<mqtt::decode_error> wrong;
  auto at = decoder_.consumed();
  while (may_take()) {
    auto next = decoder_.next();
    if (auto* packet = std::get_if<mqtt::packet>(&next)) {
      const auto size = static_cast<std::size_t>(decoder_.consumed() - at);
      at = decoder_.consumed();
      if (batch.packets.empty())
        batch.packets.reserve(1 + std::min<std::size_t>(decoder_.buffered() / size, 512));
      batch.packets.push_back(std::move(*packet));
      batch.credit += size + packet_overhead_bytes;
      in_credit_.fetch_add(size + packet_overhead_bytes);
      permit_ = false;  // matters until attached
    } else if (auto* why = std::get_if<mqtt::decode_error>(&next)) {
      wrong = *why;
      break;
    } else {
      used_up = true;
      break;
    }
  }
  if (!batch.packets.empty()) {
    all_->counters.packets_in.fetch_add(batch.packets.size(), std::memory_order_relaxed);
    if (!begin_session())
      return false;
    caf::anon_send(session_, std::move(batch));
  }
  if (wrong)
    refuse_input(*wrong);
  return used_up;
}

/// Makes the session, if there is none. False: there is none now, and the connection is gone.
bool connection::begin_session() {
  if (session_)
    return true;
  {
    const std::lock_guard lock{mutex_};
    version_ = decoder_.version();
  }
  deadline_ += all_->settings.authentication_max - all_->settings.first_packet_max;
  session_ = all_->new_session(shared_from_this());
  if (!session_) {
    gone("no session can be started");
    return false;
  }
  // A session that dies takes its link along.
  session_->attach_functor([weak = weak_from_this()](const caf::error&) {
    if (const auto me = weak.lock())
      me->close();
  });
  return true;
}

void connection::refuse_input(const mqtt::decode_error& why) {
  ++all_->counters.malformed;
  deaf_ = true;
  if (!session_ && !why.answer_as)
    return gone(std::string{why.what});  // no CONNECT: not a byte
  if (!begin_session())
    return;
  {
    const std::lock_guard lock{mutex_};
    if (!version_)
      version_ = why.answer_as;
  }
  caf::anon_send(session_, packets_malformed{why.code, why.answer_as, std::string{why.what}});
  session_ = nullptr;  // nothing follows
  deadline_ = std::chrono::steady_clock::now() + all_->settings.first_packet_max;
  home_->watch(*this);
}

void connection::on_allow(link_state state, std::size_t packet_bytes_max) {
  if (phase_ != phase::open || state < reading_as_ || state == link_state::closing)
    return;
  decoder_.set_packet_size_max(packet_bytes_max);
  // A repeated `connecting` permits no second packet: there is no second one in that state.
  if (state != link_state::connecting)
    permit_ = true;
  reading_as_ = state;
  if (state == link_state::attached && !std::exchange(attached_, true))
    all_->entrance.attached(from_);
  resume();
}

// --- any thread

bool connection::offer(const mqtt::packet& packet) {
  bool wake = false;
  {
    const std::lock_guard lock{mutex_};
    if (closed_ || !version_)
      return false;
    const auto refuse = [&](std::string_view why) {
      ++all_->counters.gate_refusals;
      spdlog::error("packet held back by the gate: packet={} state={} why=\"{}\"", mqtt::name(mqtt::type_of(packet)),
                    static_cast<int>(gate_.state()), why);
      return false;
    };
    if (gate_.may_leave(packet) != gate::verdict::pass)
      return refuse("it may not leave in this state");
    if (out_.empty()) {
      out_.reserve(frame_room() + 256);
      out_.resize(frame_room());
    }
    const auto before = out_.size();
    if (const auto encoded = mqtt::encode_to(out_, packet, mqtt::role::server, *version_, out_packet_max_); !encoded) {
      // [MQTT-3.1.2-25]: what is too large for the client is not sent, as if it had been.
      if (encoded.error().code == ec::too_large)
        return ++all_->counters.too_large_for_client, true;
      return refuse(encoded.error().context);
    }
    const auto size = out_.size() - before;
    if (gate_.may_leave(size) != gate::verdict::pass) {
      out_.resize(before);
      return refuse("more than 512 bytes before the proof");
    }
    if (queued_.load() + size > all_->settings.out_bytes_max) {
      out_.resize(before);
      ++all_->counters.output_full;
      return false;
    }
    gate_.left(packet, size);
    queued_.fetch_add(size);
    wake = !std::exchange(flush_posted_, true);
  }
  if (wake)
    post(&connection::flush);
  return true;
}

void connection::done(std::size_t credit) {
  const auto left = in_credit_.fetch_sub(credit) - credit;
  if (left <= all_->settings.in_credit_max / 2 && starved_.exchange(false))
    post(&connection::resume);
}

void connection::allow(link_state state, std::size_t packet_bytes_max) {
  {
    const std::lock_guard lock{mutex_};
    if (closed_)
      return;
    gate_.advance(state);
  }
  boost::asio::post(home_->io, [weak = weak_from_this(), state, packet_bytes_max] {
    if (const auto me = weak.lock())
      me->on_allow(state, packet_bytes_max);
  });
}

void connection::limit_output(std::size_t packet_bytes_max) {
  const std::lock_guard lock{mutex_};
  out_packet_max_ = packet_bytes_max;
}

void connection::close() {
  {
    const std::lock_guard lock{mutex_};
    if (std::exchange(closed_, true))
      return;
    gate_.advance(link_state::closing);
  }
  post(&connection::begin_close);
}

// --- writing

/// Takes what is to be written next; false: nothing.
bool connection::next_chunk() {
  writing_control_ = !control_.empty();
  written_ = 0;
  if (writing_control_) {
    writing_ = std::exchange(control_, {});
    return true;
  }
  bytes{}.swap(writing_);
  const std::lock_guard lock{mutex_};
  if (out_.size() <= frame_room()) {
    bytes{}.swap(out_);
    flush_posted_ = false;
    return false;
  }
  writing_.swap(out_);
  if (websocket_)
    written_ = frame_room()
               - websocket::write_frame_head(writing_.data() + frame_room(), writing_.size() - frame_room());
  return true;
}

void connection::flush() {
  if (phase_ == phase::gone || phase_ == phase::lingering || phase_ == phase::opening || waiting_write_)
    return;
  while (written_ < writing_.size() || next_chunk()) {
    const auto step = stream_->write(bytes_view{writing_}.subspan(written_));
    if (step.what == stream::event::want_write)
      return wait_writable();
    if (step.what == stream::event::want_read) {
      flush_wants_read_ = true;
      return wait_readable();
    }
    if (step.what != stream::event::done)
      return gone(stream_->problem());
    all_->counters.bytes_out.fetch_add(step.count, std::memory_order_relaxed);
    const auto before = written_;
    written_ += step.count;
    if (!writing_control_) {
      const auto payload = [&](std::size_t at) { return at > frame_room() ? at - frame_room() : 0; };
      queued_.fetch_sub(payload(written_) - payload(before));
    }
  }
  if (phase_ != phase::flushing)
    return;
  if (websocket_ && !std::exchange(websocket_->close_sent, true)) {
    control_ = websocket::close_frame(websocket::close_code::normal);
    return flush();
  }
  linger();
}

void connection::add_control(bytes_view frame) {
  append(control_, frame);
  flush();
}

// --- ending

void connection::tell_lost(std::string why) {
  if (const auto session = std::exchange(session_, nullptr))
    caf::anon_send(session, link_lost{std::move(why)});
}

/// Our own decision: the session is told, what is queued is written.
void connection::end(std::string why) {
  tell_lost(std::move(why));
  end_quietly();
}

void connection::end_quietly() {
  {
    const std::lock_guard lock{mutex_};
    closed_ = true;
    gate_.advance(link_state::closing);
  }
  begin_close();
}

void connection::begin_close() {
  if (phase_ >= phase::flushing)
    return;
  session_ = nullptr;  // it has closed, or has been told
  if (phase_ == phase::opening || (phase_ == phase::upgrading && control_.empty() && writing_.empty()))
    return gone("closed");
  phase_ = phase::flushing;
  decoder_ = mqtt::decoder{mqtt::role::client};
  deadline_ = std::chrono::steady_clock::now() + all_->settings.flush_max;
  home_->watch(*this);
  flush();
}

/// Half-closed: the client reads to the end, and we read what it still had to say, since closing a socket with unread
/// input would reset the connection and might take our last words with it.
void connection::linger() {
  if (phase_ == phase::gone)
    return;
  if (phase_ != phase::lingering) {
    phase_ = phase::lingering;
    stream_->shut_down();
    stream_.reset();
    deadline_ = std::chrono::steady_clock::now() + all_->settings.linger_max;
  }
  const auto count = ::recv(socket_.native_handle(), home_->read_buffer.data(), home_->read_buffer.size(), 0);
  if (count > 0 || (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)))
    return wait_readable();
  gone("closed");
}

void connection::gone(std::string why) {
  if (phase_ == phase::gone)
    return;
  phase_ = phase::gone;
  const auto keep = std::exchange(self_, nullptr);
  {
    const std::lock_guard lock{mutex_};
    closed_ = true;
    gate_.advance(link_state::closing);
    bytes{}.swap(out_);
  }
  queued_ = 0;
  tell_lost(std::move(why));
  stream_.reset();
  websocket_.reset();
  boost::system::error_code ignored;
  socket_.close(ignored);
  decoder_ = mqtt::decoder{mqtt::role::client};
  bytes{}.swap(writing_);
  bytes{}.swap(control_);
  home_->remove(*this);
  all_->entrance.leave(from_, attached_);
}

void connection::late(std::atomic<std::uint64_t>& counter, const char* why) {
  ++counter;
  end(why);
}

/// Whether there is no deadline to look at.
bool connection::is_quiet() const {
  return phase_ == phase::open && attached_ && !deaf_ && decoder_.buffered() == 0
         && !(websocket_ && websocket_->frames.started());
}

void connection::check_deadlines(steady_point now, std::chrono::milliseconds since_last) {
  auto& counters = all_->counters;
  if (phase_ == phase::gone)
    return;
  if (phase_ != phase::open || deaf_) {
    if (now >= deadline_) {
      if (phase_ == phase::opening || phase_ == phase::upgrading)
        ++counters.first_packet_late;
      gone("too late");
    }
    return;
  }
  if (!attached_ && now >= deadline_)
    return session_ ? late(counters.authentication_late, "no authentication in time")
                    : late(counters.first_packet_late, "no first packet in time");
  const bool head = websocket_ && websocket_->frames.started();
  if (decoder_.buffered() == 0 && !head) {
    started_from_ = no_packet;
    return;
  }
  if (started_from_ != decoder_.consumed()) {
    started_from_ = decoder_.consumed();
    started_at_ = now;
  } else if (!waiting_read_) {
    started_at_ += since_last;  // we are the ones who hold back
  } else {
    const auto rate = std::max<std::size_t>(1, all_->settings.started_bytes_per_s_min);
    const auto allowed = all_->settings.started_grace + std::chrono::milliseconds{decoder_.buffered() * 1'000 / rate};
    if (now - started_at_ > allowed)
      late(counters.packet_too_slow, "a packet that has begun does not go on");
  }
}

} // namespace signet
