#include "actors/admin/admin_server.hpp"

#include "actors/settings.hpp"

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <nlohmann/json.hpp>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>

namespace signet {
namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using local = asio::local::stream_protocol;
using tcp = asio::ip::tcp;

namespace {
constexpr auto patience = std::chrono::seconds(5);
/// A change of membership is answered when it is committed.
constexpr auto answer_patience = std::chrono::seconds(30);
constexpr std::size_t header_bytes_max = 4'096;
constexpr std::size_t body_bytes_max = 4'096;
constexpr std::size_t conversations_max = 64;
constexpr std::size_t path_bytes_max = sizeof(sockaddr_un::sun_path) - 1;

enum class window { unix_socket, tcp };

bool may_ask(const local::socket& socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  auto& open = const_cast<local::socket&>(socket);
  return ::getsockopt(open.native_handle(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
         (peer.uid == ::geteuid() || peer.uid == 0);
}
bool may_ask(const tcp::socket&) { return true; }

using request_type = http::request<http::string_body>;
using response_type = http::response<http::string_body>;

void say(response_type& out, const std::pair<bool, std::string>& verdict) {
  out.result(verdict.first ? http::status::ok : http::status::service_unavailable);
  out.body() = verdict.second + "\n";
}

void answer(const request_type& request, const admin_answers& answers, window where, response_type& out) {
  const auto target = std::string(request.target());
  const bool everything = where == window::unix_socket;
  if (everything && target == "/cluster") {
    if (request.method() != http::verb::post) {
      out.result(http::status::method_not_allowed);
      out.body() = "only POST\n";
      return;
    }
    out.set(http::field::content_type, "application/json");
    auto done = answers.cluster(request.body());
    if (!done)
      out.result(http::status::conflict);
    out.body() = done ? *done : nlohmann::json{{"error", name(done.error().code)},
                                               {"code", static_cast<unsigned>(done.error().code)},
                                               {"context", done.error().context}}.dump();
    return;
  }
  if (request.method() != http::verb::get) {
    out.result(http::status::method_not_allowed);
    out.body() = "only GET\n";
  } else if (everything && target == "/status") {
    out.set(http::field::content_type, "application/json");
    out.body() = answers.status();
  } else if (target == "/healthz") {
    say(out, answers.alive());
  } else if (target == "/readyz") {
    say(out, answers.ready());
  } else if (target == "/metrics") {
    out.set(http::field::content_type, "text/plain; version=0.0.4; charset=utf-8");
    out.body() = answers.metrics();
  } else {
    out.result(http::status::not_found);
    out.body() = everything ? "there are /status, /healthz, /readyz, /metrics and /cluster\n"
                            : "there are /healthz, /readyz and /metrics\n";
  }
}

/// One request on one connection, in turns of the window's thread.
template <class Protocol>
struct conversation : std::enable_shared_from_this<conversation<Protocol>> {
  conversation(typename Protocol::socket socket, const admin_answers& answers, window where, std::size_t& open)
    : stream{std::move(socket)}, answers{answers}, where{where}, open{open} {
    ++open;
  }
  ~conversation() { --open; }

  void start() {
    parser.header_limit(header_bytes_max);
    parser.body_limit(body_bytes_max);
    stream.expires_after(patience);
    http::async_read(stream, buffer, parser, [me = this->shared_from_this()](beast::error_code problem, std::size_t) {
      if (problem)
        return;
      me->reply();
    });
  }

  void reply() {
    response.version(11);
    response.result(http::status::ok);
    response.set(http::field::content_type, "text/plain; charset=utf-8");
    try {
      answer(parser.get(), answers, where, response);
    } catch (const std::exception& why) {
      // The actors that meet the same will stop the node; this window only says what it saw. Not to strangers: what is
      // thrown may name anything.
      response.result(http::status::internal_server_error);
      response.body() = where == window::unix_socket ? std::string(why.what()) + "\n" : "see the node's log\n";
    }
    response.keep_alive(false);
    response.prepare_payload();
    stream.expires_after(patience);
    http::async_write(stream, response, [me = this->shared_from_this()](beast::error_code, std::size_t) { me->stream.close(); });
  }

  beast::basic_stream<Protocol> stream;
  const admin_answers& answers;
  const window where;
  std::size_t& open;
  beast::flat_buffer buffer{header_bytes_max + body_bytes_max};
  http::request_parser<http::string_body> parser;
  response_type response;
};

/// A listener with a thread of its own.
template <class Protocol>
struct listener {
  listener(const admin_answers& answers, window where) : answers{answers}, where{where} {}
  ~listener() {
    io.stop();
    if (thread.joinable())
      thread.join();
  }

  void run() {
    accept();
    thread = std::thread([this] { io.run(); });
  }
  void accept() {
    acceptor.async_accept([this](beast::error_code problem, typename Protocol::socket socket) {
      if (problem == asio::error::operation_aborted)
        return;
      if (!problem && open < conversations_max && may_ask(socket))
        std::make_shared<conversation<Protocol>>(std::move(socket), answers, where, open)->start();
      else if (problem)
        std::this_thread::sleep_for(std::chrono::milliseconds(20));  // no descriptors left, for example
      accept();
    });
  }

  const admin_answers& answers;
  const window where;
  std::size_t open = 0;  // outlives the conversations, which io destroys
  asio::io_context io{1};
  typename Protocol::acceptor acceptor{io};
  std::thread thread;
};
} // namespace

struct admin_server::state {
  admin_answers answers;
  std::filesystem::path path;
  listener<local> inside{answers, window::unix_socket};
  listener<tcp> outside{answers, window::tcp};
  std::uint16_t port = 0;
};

admin_server::admin_server(std::unique_ptr<state> s) : state_{std::move(s)} {}

admin_server::~admin_server() {
  std::error_code ignored;
  std::filesystem::remove(state_->path, ignored);
}

std::uint16_t admin_server::port() const { return state_->port; }

result<std::unique_ptr<admin_server>> admin_server::start(const std::filesystem::path& socket, const std::string& listen,
                                                          admin_answers answers) {
  if (socket.string().size() > path_bytes_max)
    return fail(ec::configuration, "the path " + socket.string() + " is too long for a Unix socket (" + std::to_string(path_bytes_max) +
                                     " bytes); give the data directory a shorter one");
  auto s = std::make_unique<state>();
  s->answers = std::move(answers);
  s->path = socket;
  // The store's lock has been taken: whatever stands here belongs to a process that is gone.
  std::error_code ignored;
  std::filesystem::remove(socket, ignored);
  beast::error_code problem;
  s->inside.acceptor.open(local(), problem);
  const auto old_mask = ::umask(0177);
  if (!problem)
    s->inside.acceptor.bind(local::endpoint(socket.string()), problem);
  ::umask(old_mask);
  if (!problem)
    s->inside.acceptor.listen(16, problem);
  if (problem)
    return fail(ec::io, "admin socket " + socket.string() + ": " + problem.message());
  if (!listen.empty()) {
    auto where = parse_endpoint(listen);
    if (!where)
      return tl::make_unexpected(where.error());
    const auto address = asio::ip::make_address(where->host == "localhost" ? "127.0.0.1" : where->host, problem);
    if (problem)
      return fail(ec::configuration, "admin.listen: " + where->host + " is not an address of this machine, such as 127.0.0.1");
    const tcp::endpoint at(address, where->port);
    s->outside.acceptor.open(at.protocol(), problem);
    if (!problem)
      s->outside.acceptor.set_option(tcp::acceptor::reuse_address(true), problem);
    if (!problem)
      s->outside.acceptor.bind(at, problem);
    if (!problem)
      s->outside.acceptor.listen(16, problem);
    if (problem)
      return fail(ec::io, "admin.listen " + listen + ": " + problem.message());
    s->port = s->outside.acceptor.local_endpoint().port();
    s->outside.run();
  }
  s->inside.run();
  return std::unique_ptr<admin_server>(new admin_server(std::move(s)));
}

result<std::string> ask_admin(const std::filesystem::path& socket, const std::string& path, const std::string& body) {
  if (socket.string().size() > path_bytes_max)
    return fail(ec::configuration, "the path " + socket.string() + " is too long for a Unix socket");
  asio::io_context io;
  beast::basic_stream<local> stream(io);
  beast::error_code problem;
  stream.socket().connect(local::endpoint(socket.string()), problem);
  if (problem)
    return fail(ec::not_found, "nobody answers at " + socket.string() + " (" + problem.message() +
                                 "); is the node running, and is --data its data directory?");
  request_type request{body.empty() ? http::verb::get : http::verb::post, path, 11};
  request.set(http::field::host, "signet");
  request.body() = body;
  request.prepare_payload();
  timeval patience_in{.tv_sec = answer_patience.count(), .tv_usec = 0};
  ::setsockopt(stream.socket().native_handle(), SOL_SOCKET, SO_RCVTIMEO, &patience_in, sizeof patience_in);
  http::write(stream, request, problem);
  beast::flat_buffer buffer;
  http::response_parser<http::string_body> parser;
  parser.body_limit(64U << 20);
  if (!problem)
    http::read(stream, buffer, parser, problem);
  if (problem && problem != http::error::end_of_stream)
    return fail(ec::io, "admin socket " + socket.string() + ": " + problem.message());
  auto& response = parser.get();
  if (response.result() == http::status::conflict)
    if (auto why = nlohmann::json::parse(response.body(), nullptr, false); why.is_object())
      return fail(static_cast<ec>(why.value("code", static_cast<unsigned>(ec::internal))), why.value("context", ""));
  if (response.result() != http::status::ok)
    return fail(ec::io, response.body());
  return response.body();
}

} // namespace signet
