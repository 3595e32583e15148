#pragma once
// One TLS connection between two nodes: resolves, connects, shakes hands, cuts what arrives into frames, writes what it
// is given. Takes no decision about peers: those are its owner's (links.cpp).
//
// All of it on the thread of the io_context. A connection lives until its last operation has ended; its owner outlives
// that.

#include "actors/links/frame.hpp"
#include "actors/links/judge.hpp"
#include "actors/links/tls.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>

#include <optional>

namespace signet {

class link_connection;
using link_connection_ptr = std::shared_ptr<link_connection>;

/// What a connection tells and asks.
class link_owner {
public:
  virtual ~link_owner() = default;
  /// Within the handshake. Nothing: this key may stand there.
  virtual std::optional<link_refusal> judge_key(link_connection& on, const public_key& key) = 0;
  /// The handshake is done.
  virtual void secured(link_connection& on) = 0;
  /// False: the connection has been ended or will be; no more frames.
  virtual bool arrived(link_connection& on, link_frame_kind kind, bytes content) = 0;
  /// Nothing is being written: appends whole frames, some 128 KiB of them, or nothing. Asked only after stand().
  virtual void refill(link_connection& on, bytes& out) = 0;
  /// Called once for each connection, at the latest when it is destroyed by end(). `reason`: this node refuses;
  /// nothing: the network, or the other side.
  virtual void ended(link_connection& on, std::optional<link_refusal> reason, const std::string& problem) = 0;
};

class link_connection : public std::enable_shared_from_this<link_connection> {
public:
  using tcp = boost::asio::ip::tcp;
  using time_point = std::chrono::steady_clock::time_point;

  /// Dialed: `peer` is whom it is for. Accepted: empty until the key has told.
  link_connection(boost::asio::io_context& io, boost::asio::ssl::context& tls, link_owner& owner, bool incoming,
                  std::string peer, std::chrono::milliseconds silence_max);

  void dial(const std::string& host, std::uint16_t port);
  void serve(tcp::socket socket, const boost::asio::ip::address& from);

  /// Both sides have said hello: data may flow, refill() is asked, silence is judged.
  void stand();
  /// A control frame; goes out before what refill() gives. Dropped when the other side does not read for long.
  void say(link_frame_kind kind, bytes_view content = {});
  void say(link_frame_kind kind, std::uint64_t number);
  /// There is something to refill with.
  void wake() { write_more(); }
  /// Nothing is read until resume(): TCP holds the other side back.
  void pause() { paused_ = true; }
  void resume();
  /// Closes at once; ended() is called before this returns, if it has not been.
  void end(std::optional<link_refusal> reason, const std::string& problem);
  /// Says why, then closes; ended() is called at once.
  void refuse(link_refusal reason);

  bool incoming() const { return incoming_; }
  bool standing() const { return standing_; }
  bool over() const { return over_; }        ///< the socket is closed
  bool closing() const { return closing_; }  ///< refused; the reason is on its way
  bool paused() const { return paused_; }
  time_point since() const { return since_; }  ///< begun; then standing; then closing
  link_silence& silence() { return silence_; }
  const boost::asio::ip::address& remote() const { return remote_; }
  std::uint64_t bytes_in() const { return bytes_in_; }
  std::uint64_t bytes_out() const { return bytes_out_; }

  std::string peer;                        ///< node name; the owner sets it when the key has told
  std::optional<peer::process_id> process;  ///< of the other side; set by the owner

private:
  void shake_hands();
  void read_more();
  void took(std::size_t count);
  void write_more();
  void failed(const boost::system::error_code& problem, std::string_view doing);
  void drop_socket();

  boost::asio::ssl::stream<tcp::socket> stream_;
  tcp::resolver resolver_;
  link_owner& owner_;
  link_key_judge judge_;
  std::optional<link_refusal> key_refused_;
  const bool incoming_;
  boost::asio::ip::address remote_;
  time_point since_;
  link_silence silence_;
  link_splitter splitter_;
  bytes input_, control_, output_;
  std::uint64_t bytes_in_ = 0, bytes_out_ = 0;
  bool secured_ = false, standing_ = false, closing_ = false, over_ = false, told_ = false;
  bool paused_ = false, reading_ = false, writing_ = false;
};

} // namespace signet
