#include "actors/admin/admin_server.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
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

namespace {
constexpr auto patience = std::chrono::seconds(5);
constexpr std::size_t header_bytes_max = 4'096;
constexpr std::size_t path_bytes_max = sizeof(sockaddr_un::sun_path) - 1;

bool may_ask(int socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  return ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && (peer.uid == ::geteuid() || peer.uid == 0);
}

http::response<http::string_body> answer_to(const http::request<http::empty_body>& request, const admin_answers& answers) {
  http::response<http::string_body> out{http::status::ok, request.version()};
  out.set(http::field::content_type, "text/plain; charset=utf-8");
  const auto target = std::string(request.target());
  if (request.method() != http::verb::get) {
    out.result(http::status::method_not_allowed);
    out.body() = "only GET\n";
  } else if (target == "/status") {
    out.set(http::field::content_type, "application/json");
    out.body() = answers.status();
  } else if (target == "/healthz") {
    out.body() = "alive\n";
  } else if (target == "/readyz") {
    auto [ready, why] = answers.ready();
    out.result(ready ? http::status::ok : http::status::service_unavailable);
    out.body() = why + "\n";
  } else {
    out.result(http::status::not_found);
    out.body() = "there are /status, /healthz and /readyz\n";
  }
  out.prepare_payload();
  return out;
}

/// One request on one connection, in turns of the one thread.
struct conversation : std::enable_shared_from_this<conversation> {
  conversation(local::socket socket, const admin_answers& answers) : stream{std::move(socket)}, answers{answers} {}

  void start() {
    parser.header_limit(header_bytes_max);
    parser.body_limit(0);
    stream.expires_after(patience);
    http::async_read(stream, buffer, parser, [me = shared_from_this()](beast::error_code problem, std::size_t) {
      if (problem)
        return;
      try {
        me->response = answer_to(me->parser.get(), me->answers);
      } catch (const std::exception& why) {
        // The actors that meet the same will stop the node; this window only says what it saw.
        me->response = {http::status::internal_server_error, 11};
        me->response.body() = std::string(why.what()) + "\n";
        me->response.prepare_payload();
      }
      me->response.keep_alive(false);
      me->stream.expires_after(patience);
      http::async_write(me->stream, me->response, [me](beast::error_code, std::size_t) { me->stream.close(); });
    });
  }

  beast::basic_stream<local> stream;
  const admin_answers& answers;
  beast::flat_buffer buffer{header_bytes_max};
  http::request_parser<http::empty_body> parser;
  http::response<http::string_body> response;
};
} // namespace

struct admin_server::state {
  asio::io_context io{1};
  local::acceptor acceptor{io};
  admin_answers answers;
  std::filesystem::path path;
  std::thread thread;

  void accept() {
    acceptor.async_accept([this](beast::error_code problem, local::socket socket) {
      if (problem == asio::error::operation_aborted)
        return;
      if (!problem && may_ask(socket.native_handle()))
        std::make_shared<conversation>(std::move(socket), answers)->start();
      accept();
    });
  }
};

admin_server::admin_server(std::unique_ptr<state> s) : state_{std::move(s)} {}

admin_server::~admin_server() {
  state_->io.stop();
  if (state_->thread.joinable())
    state_->thread.join();
  std::error_code ignored;
  std::filesystem::remove(state_->path, ignored);
}

result<std::unique_ptr<admin_server>> admin_server::start(const std::filesystem::path& socket, admin_answers answers) {
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
  s->acceptor.open(local(), problem);
  const auto old_mask = ::umask(0177);
  if (!problem)
    s->acceptor.bind(local::endpoint(socket.string()), problem);
  ::umask(old_mask);
  if (!problem)
    s->acceptor.listen(16, problem);
  if (problem)
    return fail(ec::io, "admin socket " + socket.string() + ": " + problem.message());
  s->accept();
  auto* at = s.get();
  s->thread = std::thread([at] { at->io.run(); });
  return std::unique_ptr<admin_server>(new admin_server(std::move(s)));
}

result<std::string> ask_admin(const std::filesystem::path& socket, const std::string& path) {
  if (socket.string().size() > path_bytes_max)
    return fail(ec::configuration, "the path " + socket.string() + " is too long for a Unix socket");
  asio::io_context io;
  beast::basic_stream<local> stream(io);
  beast::error_code problem;
  stream.socket().connect(local::endpoint(socket.string()), problem);
  if (problem)
    return fail(ec::not_found, "nobody answers at " + socket.string() + " (" + problem.message() +
                                 "); is the node running, and is --data its data directory?");
  http::request<http::empty_body> request{http::verb::get, path, 11};
  request.set(http::field::host, "signet");
  timeval patience_in{.tv_sec = 10, .tv_usec = 0};
  ::setsockopt(stream.socket().native_handle(), SOL_SOCKET, SO_RCVTIMEO, &patience_in, sizeof patience_in);
  http::write(stream, request, problem);
  beast::flat_buffer buffer;
  http::response<http::string_body> response;
  if (!problem)
    http::read(stream, buffer, response, problem);
  if (problem && problem != http::error::end_of_stream)
    return fail(ec::io, "admin socket " + socket.string() + ": " + problem.message());
  if (response.result() != http::status::ok)
    return fail(ec::io, response.body());
  return response.body();
}

} // namespace signet
