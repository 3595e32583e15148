#pragma once
// One connection of the load generator: non-blocking, owned by one thread's epoll loop. It logs in by itself (enhanced
// authentication, or none for a plain broker), subscribes, and then hands every packet over.

#include "messages/envelope/batch.hpp"
#include "messages/envelope/identity.hpp"
#include "messages/envelope/login.hpp"
#include "messages/mqtt/codec.hpp"

#include <functional>
#include <netinet/in.h>

namespace signet::cli {

/// An identity that lives in memory for one run.
struct bench_identity {
  signing_key key;
  identity_version version;
  permalink who() const { return version.permalink(); }
  static result<bench_identity> make();
};

struct bench_link_options {
  sockaddr_storage address{};
  socklen_t address_size = 0;
  mqtt::protocol_version version = mqtt::protocol_version::v5;
  std::string client_id;
  std::string filter;                          ///< empty: subscribes to nothing
  const bench_identity* identity = nullptr;    ///< none: a plain broker, no authentication
  std::uint32_t packet_bytes_max = 1 << 20;
  std::uint16_t receive_maximum = 32;
};

class bench_link {
public:
  enum class stage : std::uint8_t { closed, connecting, login, subscribing, ready };
  using packet_handler = std::function<void(mqtt::packet&)>;

  bench_link(bench_link_options options, packet_handler on_packet);
  ~bench_link();
  bench_link(const bench_link&) = delete;
  bench_link& operator=(const bench_link&) = delete;

  /// Starts to connect and registers with this epoll set, with `tag` as its data. io.
  status open(int epoll, std::uint64_t tag);
  /// What epoll reports. An error closes the link; see problem().
  void ready_for(std::uint32_t events);
  void close();

  stage at() const { return stage_; }
  const std::string& problem() const { return problem_; }
  /// The node is busy or limits logins: worth another attempt.
  bool refused_for_now() const { return refused_for_now_; }
  const cluster_id& cluster() const { return transcript_.cluster; }

  /// Queue; flush() sends.
  void queue(const mqtt::packet& what);
  void queue_publish(const mqtt::publish& head, bytes_view payload);
  void queue_puback(mqtt::packet_id id);
  void flush();
  std::size_t queued_bytes() const { return out_.size() - out_head_; }

private:
  void fail_with(std::string why);
  void say_hello();
  void take(mqtt::packet& what);
  void take_connack(const mqtt::connack& said);
  void take_auth(const mqtt::auth& said);
  void subscribe();
  void watch(bool writes);

  bench_link_options options_;
  packet_handler on_packet_;
  mqtt::decoder decoder_;
  login_transcript transcript_;
  bytes out_;
  std::size_t out_head_ = 0;
  std::string problem_;
  std::uint64_t tag_ = 0;
  int socket_ = -1, epoll_ = -1;
  stage stage_ = stage::closed;
  bool watches_writes_ = false, refused_for_now_ = false;
};

} // namespace signet::cli
