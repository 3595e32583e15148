#include "actors/links/connection.hpp"

#include <boost/asio/connect.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/write.hpp>

#include <array>

namespace signet {
namespace {

namespace asio = boost::asio;

constexpr std::size_t read_bytes = 64 * 1'024;
/// Answers to pings that nobody reads.
constexpr std::size_t control_bytes_max = 16 * 1'024;
/// A larger buffer is given back once it is written.
constexpr std::size_t output_bytes_kept = 1U << 20;

unsigned long openssl_number(const boost::system::error_code& problem) {
  return static_cast<unsigned long>(static_cast<unsigned>(problem.value()));
}

std::string text_of(const boost::system::error_code& problem) {
  if (problem == asio::error::eof || problem == asio::ssl::error::stream_truncated)
    return "the other side closed";
  if (problem.category() == asio::error::get_ssl_category())
    return tls_problem(openssl_number(problem));
  return problem.message();
}

} // namespace

link_connection::link_connection(asio::io_context& io, asio::ssl::context& tls, link_owner& owner, bool incoming,
                                 std::string whom, std::chrono::milliseconds silence_max)
  : peer{std::move(whom)}, stream_{io, tls}, resolver_{io}, owner_{owner}, incoming_{incoming},
    since_{std::chrono::steady_clock::now()}, silence_{silence_max} {
  judge_ = [this](const public_key& key) {
    key_refused_ = owner_.judge_key(*this, key);
    return !key_refused_;
  };
  bind_key_judge(stream_.native_handle(), judge_);
}

void link_connection::dial(const std::string& host, std::uint16_t port) {
  const auto connected = [self = shared_from_this()](const boost::system::error_code& problem,
                                                     const tcp::endpoint& at) {
    if (self->over_)
      return;
    if (problem)
      return self->failed(problem, "connect");
    self->remote_ = at.address();
    self->shake_hands();
  };
  boost::system::error_code no_number;
  const auto address = asio::ip::make_address(host == "localhost" ? "127.0.0.1" : host, no_number);
  if (!no_number) {
    const std::array<tcp::endpoint, 1> only{tcp::endpoint{address, port}};
    asio::async_connect(stream_.next_layer(), only, connected);
    return;
  }
  resolver_.async_resolve(host, std::to_string(port),
                          [self = shared_from_this(), connected](const boost::system::error_code& problem,
                                                                 const tcp::resolver::results_type& found) {
                            if (self->over_)
                              return;
                            if (problem)
                              return self->failed(problem, "look up");
                            asio::async_connect(self->stream_.next_layer(), found, connected);
                          });
}

void link_connection::serve(tcp::socket socket, const asio::ip::address& from) {
  remote_ = from;
  stream_.next_layer() = std::move(socket);
  shake_hands();
}

void link_connection::shake_hands() {
  boost::system::error_code ignored;
  stream_.next_layer().set_option(tcp::no_delay{true}, ignored);
  stream_.async_handshake(incoming_ ? asio::ssl::stream_base::server : asio::ssl::stream_base::client,
                          [self = shared_from_this()](const boost::system::error_code& problem) {
                            if (self->over_)
                              return;
                            if (problem)
                              return self->failed(problem, "TLS handshake");
                            self->secured_ = true;
                            self->input_.resize(read_bytes);
                            self->owner_.secured(*self);
                            self->read_more();
                          });
}

void link_connection::failed(const boost::system::error_code& problem, std::string_view doing) {
  auto text = std::string{doing} + ": " + text_of(problem);
  if (key_refused_)
    return end(key_refused_, text);
  const bool tls = problem.category() == asio::error::get_ssl_category();
  const bool refused = tls && !is_tls_alert(openssl_number(problem));
  if (tls && !refused)
    text = "the other side refused this node's key or TLS: " + text_of(problem);
  end(refused ? std::optional{link_refusal::tls} : std::nullopt, text);
}

void link_connection::read_more() {
  if (over_ || closing_ || reading_ || paused_ || !secured_)
    return;
  reading_ = true;
  stream_.async_read_some(asio::buffer(input_), [self = shared_from_this()](const boost::system::error_code& problem,
                                                                             std::size_t count) {
    self->reading_ = false;
    if (self->over_ || self->closing_)
      return;
    if (problem)
      return self->failed(problem, "read");
    self->took(count);
    self->read_more();
  });
}

void link_connection::took(std::size_t count) {
  bytes_in_ += count;
  silence_.heard();
  const auto outcome = splitter_.feed(bytes_view{input_}.first(count), [this](link_frame_kind kind, bytes content) {
    return owner_.arrived(*this, kind, std::move(content)) && !over_ && !closing_;
  });
  if (over_ || closing_)
    return;
  if (outcome == link_splitter::outcome::oversize)
    refuse(link_refusal::oversize_frame);
  else if (outcome == link_splitter::outcome::malformed)
    refuse(link_refusal::malformed);
}

void link_connection::stand() {
  standing_ = true;
  since_ = std::chrono::steady_clock::now();
  if (incoming_)
    splitter_.allow_data();
  silence_.heard();
  write_more();
}

void link_connection::say(link_frame_kind kind, bytes_view content) {
  if (over_ || closing_ || control_.size() > control_bytes_max)
    return;
  append_link_frame(control_, kind, content);
  write_more();
}

void link_connection::say(link_frame_kind kind, std::uint64_t number) {
  if (over_ || closing_ || control_.size() > control_bytes_max)
    return;
  append_link_number(control_, kind, number);
  write_more();
}

void link_connection::resume() {
  paused_ = false;
  silence_.heard();
  read_more();
}

void link_connection::write_more() {
  if (over_ || writing_ || !secured_)
    return;
  output_.clear();
  if (output_.capacity() > output_bytes_kept)
    bytes{}.swap(output_);
  output_.swap(control_);
  if (standing_ && !closing_)
    owner_.refill(*this, output_);
  if (output_.empty()) {
    if (closing_)
      drop_socket();
    return;
  }
  writing_ = true;
  const auto written = [self = shared_from_this()](const boost::system::error_code& problem, std::size_t count) {
    self->writing_ = false;
    if (self->over_)
      return;
    self->bytes_out_ += count;
    if (problem)
      return self->closing_ ? self->drop_socket() : self->failed(problem, "write");
    self->write_more();
  };
  asio::async_write(stream_, asio::buffer(output_), written);
}

void link_connection::refuse(link_refusal reason) {
  if (over_ || closing_)
    return;
  const std::array<std::uint8_t, 1> number{static_cast<std::uint8_t>(reason)};
  if (incoming_)
    say(link_frame_kind::refused, number);
  closing_ = true;
  since_ = std::chrono::steady_clock::now();
  if (!std::exchange(told_, true))
    owner_.ended(*this, reason, std::string{name(reason)});
  write_more();
}

void link_connection::end(std::optional<link_refusal> reason, const std::string& problem) {
  if (!std::exchange(told_, true))
    owner_.ended(*this, reason, problem);
  drop_socket();
}

void link_connection::drop_socket() {
  if (std::exchange(over_, true))
    return;
  resolver_.cancel();
  boost::system::error_code ignored;
  stream_.next_layer().close(ignored);
}

} // namespace signet
