#include "tools/cli/bench_link.hpp"

#include <cerrno>
#include <cstring>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace signet::cli {
namespace {
constexpr std::uint16_t keep_alive_s = 300;
constexpr std::size_t read_size = 256 << 10;

std::uint8_t* read_buffer() {
  static thread_local bytes buffer(read_size);
  return buffer.data();
}
} // namespace

result<bench_identity> bench_identity::make() {
  auto update = signing_key::generate(system_random());
  auto sign = signing_key::generate(system_random());
  identity_draft draft;
  draft.keys = {{key_purpose::update, &update}, {key_purpose::sign, &sign}};
  auto version = make_first_identity(draft);
  if (!version)
    return tl::make_unexpected(version.error());
  return bench_identity{std::move(sign), std::move(*version)};
}

bench_link::bench_link(bench_link_options options, packet_handler on_packet)
  : options_{std::move(options)}, on_packet_{std::move(on_packet)},
    decoder_{mqtt::role::server, mqtt::limits::none(), options_.version} {}

bench_link::~bench_link() { close(); }

void bench_link::close() {
  if (socket_ >= 0)
    ::close(socket_);
  socket_ = -1;
  stage_ = stage::closed;
}

void bench_link::fail_with(std::string why) {
  if (problem_.empty())
    problem_ = std::move(why);
  close();
}

status bench_link::open(int epoll, std::uint64_t tag) {
  close();
  problem_.clear();
  refused_for_now_ = false;
  decoder_ = mqtt::decoder{mqtt::role::server, mqtt::limits::none(), options_.version};
  out_.clear();
  out_head_ = 0;
  epoll_ = epoll;
  tag_ = tag;
  socket_ = ::socket(options_.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (socket_ < 0)
    return fail(ec::io, std::string("socket: ") + std::strerror(errno) + "; raise the limit with: ulimit -n");
  const int on = 1;
  ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (::connect(socket_, reinterpret_cast<const sockaddr*>(&options_.address), options_.address_size) != 0 && errno != EINPROGRESS) {
    const std::string why = std::strerror(errno);
    close();
    return fail(ec::io, "connect: " + why);
  }
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT;
  event.data.u64 = tag;
  if (::epoll_ctl(epoll, EPOLL_CTL_ADD, socket_, &event) != 0)
    return fail(ec::io, std::string("epoll_ctl: ") + std::strerror(errno));
  watches_writes_ = true;
  stage_ = stage::connecting;
  return {};
}

void bench_link::watch(bool writes) {
  if (writes == watches_writes_)
    return;
  epoll_event event{};
  event.events = EPOLLIN | (writes ? EPOLLOUT : 0U);
  event.data.u64 = tag_;
  ::epoll_ctl(epoll_, EPOLL_CTL_MOD, socket_, &event);
  watches_writes_ = writes;
}

void bench_link::queue(const mqtt::packet& what) {
  if (auto done = mqtt::encode_to(out_, what, mqtt::role::client, options_.version); !done)
    fail_with("cannot encode: " + done.error().context);
}

void bench_link::queue_publish(const mqtt::publish& head, bytes_view payload) {
  auto raw = mqtt::encode_publish_head(head, payload.size(), mqtt::role::client, options_.version);
  if (!raw)
    return fail_with("cannot encode: " + raw.error().context);
  out_.insert(out_.end(), raw->begin(), raw->end());
  out_.insert(out_.end(), payload.begin(), payload.end());
}

void bench_link::queue_puback(mqtt::packet_id id) {
  // Type 4, remaining length 2: success has no reason code in either version.
  const std::uint8_t raw[] = {0x40, 2, static_cast<std::uint8_t>(id >> 8), static_cast<std::uint8_t>(id)};
  out_.insert(out_.end(), std::begin(raw), std::end(raw));
}

void bench_link::flush() {
  if (socket_ < 0 || stage_ == stage::connecting)
    return;
  while (out_head_ < out_.size()) {
    const auto sent = ::send(socket_, out_.data() + out_head_, out_.size() - out_head_, MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno == EAGAIN || errno == EINTR)
        break;
      return fail_with(std::string("send: ") + std::strerror(errno));
    }
    out_head_ += static_cast<std::size_t>(sent);
  }
  if (out_head_ == out_.size()) {
    out_.clear();
    out_head_ = 0;
  } else if (out_head_ > (1U << 20)) {
    out_.erase(out_.begin(), out_.begin() + static_cast<std::ptrdiff_t>(out_head_));
    out_head_ = 0;
  }
  watch(!out_.empty());
}

void bench_link::ready_for(std::uint32_t events) {
  if (socket_ < 0)
    return;
  if (stage_ == stage::connecting) {
    int why = 0;
    socklen_t size = sizeof why;
    ::getsockopt(socket_, SOL_SOCKET, SO_ERROR, &why, &size);
    if (why != 0)
      return fail_with(std::string("connect: ") + std::strerror(why));
    if (!(events & EPOLLOUT))
      return;
    stage_ = stage::login;
    say_hello();
    flush();
    return;
  }
  if (events & EPOLLOUT)
    flush();
  if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)) || socket_ < 0)
    return;
  const auto got = ::recv(socket_, read_buffer(), read_size, 0);
  if (got < 0) {
    if (errno != EAGAIN && errno != EINTR)
      fail_with(std::string("recv: ") + std::strerror(errno));
    return;
  }
  if (got == 0)
    return fail_with(stage_ == stage::ready ? "the other side closed the connection" : "closed during the login");
  decoder_.append({read_buffer(), static_cast<std::size_t>(got)});
  while (socket_ >= 0) {
    auto out = decoder_.next();
    if (std::holds_alternative<mqtt::need_more>(out))
      return;
    if (auto* wrong = std::get_if<mqtt::decode_error>(&out))
      return fail_with("not MQTT: " + std::string(wrong->what));
    take(std::get<mqtt::packet>(out));
  }
}

void bench_link::say_hello() {
  mqtt::connect hello;
  hello.version = options_.version;
  hello.clean_start = true;
  hello.keep_alive_s = keep_alive_s;
  hello.client_id = options_.client_id;
  if (options_.version == mqtt::protocol_version::v5)
    hello.props.add(mqtt::property_id::receive_maximum, std::uint32_t{options_.receive_maximum})
      .add(mqtt::property_id::maximum_packet_size, options_.packet_bytes_max);
  if (options_.identity) {
    transcript_ = {};
    transcript_.hello.who = options_.identity->who();
    transcript_.hello.device_key = options_.identity->key.public_half();
    transcript_.hello.client_nonce = random_id<login_nonce>(system_random());
    transcript_.hello.channel.transport = login_channel::kind::tcp;
    transcript_.client_id = options_.client_id;
    hello.props.add(mqtt::property_id::authentication_method, std::string(login_method))
      .add(mqtt::property_id::authentication_data, encode(transcript_.hello));
  }
  queue(hello);
}

void bench_link::take(mqtt::packet& what) {
  if (auto* bye = std::get_if<mqtt::disconnect>(&what)) {
    auto reason = bye->props.find_text(mqtt::property_id::reason_string);
    return fail_with("DISCONNECT " + std::string(mqtt::name(bye->code)) + (reason ? " (" + std::string(*reason) + ")" : ""));
  }
  switch (stage_) {
    case stage::login:
      if (auto* said = std::get_if<mqtt::connack>(&what))
        return take_connack(*said);
      if (auto* said = std::get_if<mqtt::auth>(&what))
        return take_auth(*said);
      return fail_with("neither CONNACK nor AUTH");
    case stage::subscribing:
      if (auto* said = std::get_if<mqtt::suback>(&what)) {
        for (auto code : said->codes)
          if (mqtt::is_refusal(code))
            return fail_with("subscription refused: " + std::string(mqtt::name(code)));
        stage_ = stage::ready;
        return;
      }
      [[fallthrough]];
    case stage::ready: return on_packet_(what);
    default: return;
  }
}

void bench_link::take_connack(const mqtt::connack& said) {
  using code = mqtt::reason_code;
  if (said.code != code::success) {
    // With limits on logins a node may say no more than "not authorized"; its answers look alike on purpose.
    refused_for_now_ = said.code == code::server_busy || said.code == code::server_unavailable || said.code == code::quota_exceeded ||
                       said.code == code::connection_rate_exceeded || said.code == code::not_authorized;
    return fail_with("login refused: " + std::string(mqtt::name(said.code)));
  }
  subscribe();
}

void bench_link::take_auth(const mqtt::auth& said) {
  auto data = said.props.find_binary(mqtt::property_id::authentication_data);
  result<login_challenge> challenge = fail(ec::malformed, "no data");
  if (data)
    challenge = parse_login_challenge(*data);
  if (!challenge || !options_.identity)
    return fail_with("a challenge that cannot be read");
  transcript_.cluster = challenge->cluster;
  transcript_.node_key = challenge->node_key;
  transcript_.server_nonce = challenge->server_nonce;
  if (!verify_node(transcript_, challenge->proof))
    return fail_with("the node does not prove its key");
  login_proof proof;
  proof.proof = sign_as_client(options_.identity->key, transcript_);
  proof.identity = to_bytes(options_.identity->version.serialised());
  mqtt::auth answer;
  answer.code = mqtt::reason_code::continue_authentication;
  answer.props.add(mqtt::property_id::authentication_method, std::string(login_method))
    .add(mqtt::property_id::authentication_data, encode(proof));
  queue(answer);
  flush();
}

void bench_link::subscribe() {
  if (options_.filter.empty()) {
    stage_ = stage::ready;
    return;
  }
  stage_ = stage::subscribing;
  mqtt::subscribe request;
  request.id = 1;
  request.filters.push_back({options_.filter, mqtt::qos::at_least_once});
  queue(request);
  flush();
}

} // namespace signet::cli
