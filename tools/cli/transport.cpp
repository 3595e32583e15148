#include "tools/cli/transport.hpp"

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/ssl.hpp>
#include <boost/beast/websocket.hpp>
#include <boost/beast/websocket/ssl.hpp>
#include <charconv>

namespace signet::cli {
namespace asio = boost::asio;
namespace beast = boost::beast;
namespace websocket = beast::websocket;
using tcp = asio::ip::tcp;
using problem_code = boost::system::error_code;

namespace {
using plain = tcp::socket;
using secure = asio::ssl::stream<tcp::socket>;
template <class Stream> constexpr bool is_ws = false;
template <class Next> constexpr bool is_ws<websocket::stream<Next>> = true;
template <class Stream> constexpr bool is_tls = std::is_same_v<Stream, secure> || std::is_same_v<Stream, websocket::stream<secure>>;

/// Runs until `done` or the deadline.
void run_until(asio::io_context& io, deadline until, const bool& done) {
  io.restart();
  while (!done && io.run_one_until(until) > 0)
    ;
}

std::string url_text(const node_url& url) {
  static constexpr const char* schemes[] = {"", "mqtt", "mqtts", "ws", "wss"};
  return std::string(schemes[static_cast<int>(url.scheme)]) + "://" + url.host + ":" + std::to_string(url.port);
}

template <class Stream>
class stream_transport final : public client_transport {
public:
  template <class... Args>
  explicit stream_transport(std::unique_ptr<asio::io_context> io, std::shared_ptr<asio::ssl::context> tls, Args&&... args)
    : io_{std::move(io)}, tls_{std::move(tls)}, stream_{*io_, std::forward<Args>(args)...} {}

  tcp::socket& socket() {
    return beast::get_lowest_layer(stream_);
  }

  status open(const node_url& url, const tls_trust& trust, deadline until) {
    problem_code problem;
    tcp::resolver resolver(*io_);
    auto found = resolver.resolve(url.host, std::to_string(url.port), problem);
    if (problem)
      return fail(ec::io, "cannot find host " + url.host + ": " + problem.message());
    bool done = false;
    asio::async_connect(socket(), found, [&](problem_code what, const tcp::endpoint&) { problem = what; done = true; });
    run_until(*io_, until, done);
    if (!done || problem)
      return refused(url, done ? problem.message() : "no answer in time");
    socket().set_option(tcp::no_delay(true), problem);
    if constexpr (is_tls<Stream>) {
      auto& layer = tls_layer();
      if (!trust.insecure) {
        layer.set_verify_mode(asio::ssl::verify_peer);
        layer.set_verify_callback(asio::ssl::host_name_verification(url.host));
      }
      SSL_set_tlsext_host_name(layer.native_handle(), url.host.c_str());
      done = false;
      layer.async_handshake(asio::ssl::stream_base::client, [&](problem_code what) { problem = what; done = true; });
      run_until(*io_, until, done);
      if (!done || problem)
        return fail(ec::io, "TLS with " + url_text(url) + " failed: " + (done ? problem.message() : "no answer in time") +
                              "; name its authority with --ca FILE");
    }
    if constexpr (is_ws<Stream>) {
      stream_.set_option(websocket::stream_base::decorator([](websocket::request_type& request) {
        request.set(beast::http::field::sec_websocket_protocol, "mqtt");
      }));
      stream_.binary(true);
      done = false;
      stream_.async_handshake(url.host + ":" + std::to_string(url.port), url.path, [&](problem_code what) { problem = what; done = true; });
      run_until(*io_, until, done);
      if (!done || problem)
        return fail(ec::io, "WebSocket with " + url_text(url) + url.path + " failed: " + (done ? problem.message() : "no answer in time"));
    }
    start_reading();
    return {};
  }

  status write(bytes_view data, deadline until) override {
    if (ended_)
      return fail(ec::io, *ended_);
    problem_code problem;
    bool done = false;
    auto finished = [&](problem_code what, std::size_t) { problem = what; done = true; };
    if constexpr (is_ws<Stream>)
      stream_.async_write(asio::buffer(data.data(), data.size()), finished);
    else
      asio::async_write(stream_, asio::buffer(data.data(), data.size()), finished);
    run_until(*io_, until, done);
    if (!done) {
      // The handler must not outlive `data`: cut the connection and let it run.
      problem_code ignored;
      socket().close(ignored);
      run_until(*io_, in(std::chrono::seconds(1)), done);
      ended_ = "the node takes no bytes";
    } else if (problem) {
      ended_ = problem.message();
    }
    return ended_ ? fail(ec::io, *ended_) : status{};
  }

  result<bytes> read(deadline until) override {
    if (arrived_.empty() && !ended_) {
      got_ = false;
      run_until(*io_, until, got_);
    }
    if (arrived_.empty() && ended_)
      return fail(ec::io, *ended_);
    auto out = std::exchange(arrived_, {});
    if (!out.empty() && !ended_)
      start_reading();
    return out;
  }

  std::optional<bytes> exporter(const std::string& label) override {
    if constexpr (is_tls<Stream>) {
      bytes out(32);
      if (SSL_export_keying_material(tls_layer().native_handle(), out.data(), out.size(), label.data(), label.size(), nullptr, 0, 0) == 1)
        return out;
    }
    (void)label;
    return std::nullopt;
  }

  void close() override {
    problem_code ignored;
    socket().shutdown(tcp::socket::shutdown_send, ignored);
  }

  ~stream_transport() override {
    problem_code ignored;
    socket().close(ignored);
    io_->restart();
    io_->run_for(std::chrono::milliseconds(100));  // lets the pending read end before its buffer goes
  }

private:
  static status refused(const node_url& url, const std::string& why) {
    return fail(ec::io, "cannot reach " + url_text(url) + ": " + why + "; is a node running there? Start one with: signet dev");
  }
  auto& tls_layer() {
    if constexpr (is_ws<Stream>)
      return stream_.next_layer();
    else
      return stream_;
  }
  void start_reading() {
    if (reading_)
      return;
    reading_ = true;
    stream_.async_read_some(asio::buffer(buffer_), [this](problem_code what, std::size_t n) {
      reading_ = false;
      got_ = true;
      arrived_.insert(arrived_.end(), buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(n));
      if (what)
        ended_ = what == asio::error::eof || what == websocket::error::closed ? "the node has closed the connection" : what.message();
    });
  }

  std::unique_ptr<asio::io_context> io_;
  std::shared_ptr<asio::ssl::context> tls_;
  Stream stream_;
  std::array<std::uint8_t, 65'536> buffer_;
  bytes arrived_;
  bool reading_ = false, got_ = false;
  std::optional<std::string> ended_;
};

template <class Stream, class... Args>
result<std::unique_ptr<client_transport>> make(const node_url& url, const tls_trust& trust, deadline until,
                                               std::shared_ptr<asio::ssl::context> tls, Args&&... args) {
  auto made = std::make_unique<stream_transport<Stream>>(std::make_unique<asio::io_context>(1), std::move(tls), std::forward<Args>(args)...);
  if (auto opened = made->open(url, trust, until); !opened)
    return tl::make_unexpected(opened.error());
  return std::unique_ptr<client_transport>(std::move(made));
}

} // namespace

result<node_url> parse_node_url(const std::string& text) {
  const auto bad = [&](const std::string& why) {
    return fail(ec::configuration, "\"" + text + "\" " + why + "; a node's address looks like mqtt://127.0.0.1:1883, mqtts://host:8883 or ws://host:8083/mqtt");
  };
  node_url out;
  const auto end = text.find("://");
  if (end == std::string::npos)
    return bad("names no scheme");
  const auto scheme = text.substr(0, end);
  if (scheme == "mqtt")
    out.scheme = node_url::scheme_kind::mqtt, out.port = 1883;
  else if (scheme == "mqtts")
    out.scheme = node_url::scheme_kind::mqtts, out.port = 8883;
  else if (scheme == "ws")
    out.scheme = node_url::scheme_kind::ws, out.port = 80;
  else if (scheme == "wss")
    out.scheme = node_url::scheme_kind::wss, out.port = 443;
  else
    return bad("has an unknown scheme");
  auto rest = text.substr(end + 3);
  if (auto slash = rest.find('/'); slash != std::string::npos) {
    if (out.scheme >= node_url::scheme_kind::ws)
      out.path = rest.substr(slash);
    rest = rest.substr(0, slash);
  }
  std::string port;
  if (!rest.empty() && rest.front() == '[') {
    const auto close = rest.find(']');
    if (close == std::string::npos)
      return bad("has a '[' without ']'");
    out.host = rest.substr(1, close - 1);
    if (close + 1 < rest.size() && rest[close + 1] == ':')
      port = rest.substr(close + 2);
  } else if (auto colon = rest.rfind(':'); colon != std::string::npos) {
    out.host = rest.substr(0, colon);
    port = rest.substr(colon + 1);
  } else {
    out.host = rest;
  }
  if (out.host.empty())
    return bad("names no host");
  if (!port.empty()) {
    auto [at, problem] = std::from_chars(port.data(), port.data() + port.size(), out.port);
    if (problem != std::errc{} || at != port.data() + port.size() || out.port == 0)
      return bad("has a bad port");
  }
  return out;
}

result<std::unique_ptr<client_transport>> client_transport::connect(const node_url& url, const tls_trust& trust, deadline until) {
  std::shared_ptr<asio::ssl::context> tls;
  if (url.tls()) {
    tls = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_client);
    problem_code problem;
    if (!trust.ca_file.empty())
      tls->load_verify_file(trust.ca_file, problem);
    else
      tls->set_default_verify_paths(problem);
    if (problem)
      return fail(ec::configuration, "cannot use " + trust.ca_file + ": " + problem.message());
  }
  switch (url.scheme) {
    case node_url::scheme_kind::mqtt: return make<plain>(url, trust, until, tls);
    case node_url::scheme_kind::mqtts: return make<secure>(url, trust, until, tls, *tls);
    case node_url::scheme_kind::ws: return make<websocket::stream<plain>>(url, trust, until, tls);
    case node_url::scheme_kind::wss: return make<websocket::stream<secure>>(url, trust, until, tls, *tls);
  }
  return fail(ec::internal, "unknown scheme");
}

} // namespace signet::cli
