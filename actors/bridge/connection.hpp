#pragma once
// One connection of a client, and the thread it lives on. Private to the bridge: others see client_link.
//
//   accept → opening (TLS) → upgrading (WebSocket) → open → flushing → lingering → gone
//
// Threads: everything runs on the connection's I/O thread, but for what client_link calls "any thread"; those touch
// only what stands under `mutex_` and the atomics, and post the rest. One post serves all offers until the writer has
// found nothing more to write.
//
// Reading: an idle connection waits for readability and holds no buffer; the bytes go to the thread's own buffer, then
// to the decoder, which holds nothing between packets.

#include "actors/bridge/bridge.hpp"
#include "actors/bridge/gate.hpp"
#include "actors/bridge/stream.hpp"
#include "actors/bridge/websocket.hpp"
#include "messages/mqtt/codec.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/intrusive/list.hpp>

#include <mutex>

namespace signet {

class connection;
using connection_ptr = std::shared_ptr<connection>;
using steady_point = std::chrono::steady_clock::time_point;

/// What all connections of a bridge share; outlives them.
struct bridge_shared {
  explicit bridge_shared(bridge_settings all) : settings{std::move(all)}, entrance{settings.limits} {}
  const bridge_settings settings;
  door entrance;
  bridge_counters counters;
  bridge::session_maker new_session;
};

/// What the connections of one listener share.
struct listener_shared {
  channel_kind kind = channel_kind::tcp;
  std::vector<std::string> origins;
  std::atomic<std::shared_ptr<const tls_context>> tls;
};

class connection final : public client_link, public std::enable_shared_from_this<connection> {
public:
  class io_thread;
  using executor = boost::asio::io_context::executor_type;
  using socket = boost::asio::basic_stream_socket<boost::asio::ip::tcp, executor>;

  /// `from` has a place at the entrance, which the connection gives back.
  connection(std::shared_ptr<io_thread> home, std::shared_ptr<bridge_shared> all,
             std::shared_ptr<const listener_shared> at, socket socket, boost::asio::ip::address from);
  ~connection() override;

  /// I/O thread.
  void start();
  void stop_now(const char* why) { gone(why); }
  void check_deadlines(steady_point now, std::chrono::milliseconds since_last);

  // client_link
  bool offer(const mqtt::packet& packet) override;
  std::size_t queued() const override { return queued_.load(std::memory_order_relaxed); }
  void done(std::size_t credit) override;
  void allow(link_state state, std::size_t packet_bytes_max) override;
  void limit_output(std::size_t packet_bytes_max) override;
  void close() override;
  channel_kind channel() const override { return at_->kind; }
  bytes exporter() const override { return exporter_; }
  std::string source() const override { return from_.to_string(); }
  bool loopback() const override { return from_.is_loopback(); }

private:
  enum class phase : std::uint8_t { opening, upgrading, open, flushing, lingering, gone };
  struct websocket_part {
    bytes request;  // until the upgrade
    websocket::frame_reader frames;
    bool close_sent = false;
  };

  bool is_websocket() const { return at_->kind == channel_kind::ws || at_->kind == channel_kind::wss; }
  std::size_t frame_room() const { return is_websocket() ? websocket::frame_head_bytes_max : 0; }

  // reading
  void handshake();
  void opened();
  void read_turn();
  stream::event fill(std::span<std::uint8_t> buffer, std::size_t& count);
  void take(std::span<std::uint8_t> data);
  void upgrade(std::span<std::uint8_t> data);
  void take_frames(std::span<std::uint8_t> data);
  bool decode();
  bool decode_some();
  bool may_take() const;
  bool must_pause();
  void resume();
  void go_on(stream::event last);
  void on_allow(link_state state, std::size_t packet_bytes_max);
  bool begin_session();
  void refuse_input(const mqtt::decode_error& why);

  // writing
  void flush();
  bool next_chunk();
  void add_control(bytes_view frame);

  // ending
  void begin_close();
  void end(std::string why);
  void end_quietly();
  void linger();
  void gone(std::string why);
  void tell_lost(std::string why);
  void late(std::atomic<std::uint64_t>& counter, const char* why);
  bool is_quiet() const;

  void post(void (connection::*then)());
  void wait_readable();
  void wait_writable();
  void readable();
  void writable();

  // The thread's lists; the thread's alone.
  boost::intrusive::list_member_hook<> member_, watched_;
  const std::shared_ptr<io_thread> home_;
  const std::shared_ptr<bridge_shared> all_;
  const std::shared_ptr<const listener_shared> at_;
  const boost::asio::ip::address from_;

  // --- of the I/O thread
  connection_ptr self_;             // from start() to gone()
  socket socket_;
  std::unique_ptr<stream> stream_;
  std::unique_ptr<websocket_part> websocket_;
  mqtt::decoder decoder_;
  caf::actor session_;
  bytes exporter_;                  // set before the session exists, then constant
  steady_point deadline_{};         // of the phase
  steady_point started_at_{};       // of the packet under way, as far as the tick has seen it
  std::uint64_t started_from_ = 0;  // its place in the stream; all ones: none
  bytes writing_;                   // what the writer is at
  std::size_t written_ = 0;
  bool writing_control_ = false;
  bytes control_;                   // frames of the WebSocket itself, before writing_ or behind it, never inside
  phase phase_ = phase::opening;
  link_state reading_as_ = link_state::connecting;
  bool permit_ = true;              // before attached: one more packet may be taken
  bool waiting_read_ = false, waiting_write_ = false;
  bool flush_wants_read_ = false, read_wants_write_ = false;  // TLS may turn a direction around
  bool deaf_ = false;               // malformed: nothing is read any more
  bool attached_ = false;           // no stranger any more
  bool input_ended_ = false;        // the client has closed its side; what it said before is still delivered

  // --- of both sides
  std::atomic<std::size_t> in_credit_{0};
  std::atomic<bool> starved_{false};
  std::atomic<std::size_t> queued_{0};
  mutable std::mutex mutex_;
  bytes out_;                       // encoded; behind frame_room() bytes
  std::size_t out_packet_max_ = mqtt::packet_size_limit;
  gate gate_;
  std::optional<mqtt::protocol_version> version_;
  bool flush_posted_ = false;
  bool closed_ = false;             // nothing more is queued
};

/// One thread, its sockets, its read buffer and its one timer.
class connection::io_thread : public std::enable_shared_from_this<io_thread> {
public:
  static constexpr std::chrono::milliseconds tick{250};
  static constexpr std::size_t read_bytes_max = 64 * 1024;

  io_thread() : timer_{io} {}
  void add(const connection_ptr& one);
  void remove(connection& one);
  /// From now on the connection's deadlines are looked at, until it has none.
  void watch(connection& one);
  void for_all(const std::function<void(connection&)>& work);
  /// Ends every connection, and the tick.
  void end_all(const char* why);

  boost::asio::io_context io{1};
  std::vector<std::uint8_t> read_buffer = std::vector<std::uint8_t>(read_bytes_max);

private:
  void arm();
  using hook = boost::intrusive::list_member_hook<>;
  template <hook connection::*Hook>
  using list = boost::intrusive::list<connection, boost::intrusive::member_hook<connection, hook, Hook>>;
  list<&connection::member_> members_;
  list<&connection::watched_> watched_;
  boost::asio::steady_timer timer_;
  bool armed_ = false;
  steady_point last_tick_{};
};

} // namespace signet
