#pragma once
// A client of a node: MQTT 5 with enhanced authentication, one thread, deadlines. What commands are made of.

#include "messages/mqtt/codec.hpp"
#include "tools/cli/home.hpp"
#include "tools/cli/transport.hpp"

#include <deque>
#include <functional>

namespace signet::cli {

struct client_options {
  std::string url = "mqtt://127.0.0.1:1883";
  tls_trust trust;
  std::string client_id;                       ///< empty: drawn at random
  std::chrono::milliseconds patience{10'000};  ///< for connecting, for each login step, for an answer
  std::uint32_t packet_bytes_max = 1 << 20;    ///< Maximum Packet Size
};

class client {
public:
  /// Connects, checks the node against the pin in `where` (and pins it at first use), logs in with the device key of
  /// `who`. Hands the identity in if this cluster has not seen it.
  /// not_authorized: refused (the node says no more than that); configuration: it is another node than the pinned one.
  static result<std::unique_ptr<client>> connect(const home& where, const own_identity& who, const client_options& options);
  /// Asks who the node is, without logging in, and pins it.
  static result<pinned_node> probe(const home& where, const own_identity& who, const client_options& options);

  /// QoS 1.
  status subscribe(const std::vector<std::string>& topics);
  /// What the PUBACK said.
  struct acknowledged {
    mqtt::reason_code code = mqtt::reason_code::success;
    std::string reason;  ///< for people; may be empty
  };
  /// QoS 1. What arrives meanwhile waits for next().
  result<acknowledged> publish(const std::string& topic, bytes payload);
  /// The next publish from the node; nothing until the deadline. Acknowledge it with ack().
  result<std::optional<mqtt::publish>> next(deadline until);
  status ack(const mqtt::publish& what);
  /// DISCONNECT and close.
  void leave();

  /// Publishes on signet/v1/identity and waits for the answer (subscribe to it first).
  struct identity_answer {
    std::string code;
    link standing;
    std::vector<bytes> versions;
    log_index index{};
  };
  result<identity_answer> publish_identity(const identity_version& version);
  result<identity_answer> lookup(const permalink& who);

  const pinned_node& node() const { return node_; }
  const public_key& device() const { return device_; }
  const std::string& client_id() const { return options_.client_id; }
  bool session_present() const { return session_present_; }

private:
  client(client_options options) : options_{std::move(options)}, decoder_{mqtt::role::server, mqtt::limits::none(), mqtt::protocol_version::v5} {}
  static result<std::unique_ptr<client>> open(const home& where, const own_identity& who, const client_options& options,
                                              const signing_key& key, bool hand_in, bool probe_only);
  status send(const mqtt::packet& what);
  result<std::optional<mqtt::packet>> receive(deadline until);
  /// Receives until `wanted` says yes; publishes that come meanwhile are kept.
  result<mqtt::packet> await(const std::function<bool(const mqtt::packet&)>& wanted, const char* what);
  /// Puts a publish where next() or ask() finds it.
  status keep(mqtt::packet what);
  status keep_alive();
  result<identity_answer> ask(bytes request, std::uint64_t correlation);

  client_options options_;
  std::unique_ptr<client_transport> transport_;
  mqtt::decoder decoder_;
  std::deque<mqtt::publish> arrived_;
  std::deque<mqtt::publish> answers_;  // on signet/v1/identity
  pinned_node node_;
  public_key device_;
  mqtt::packet_id last_id_ = 0;
  std::uint64_t last_correlation_ = 0;
  bool session_present_ = false;
  std::chrono::steady_clock::time_point last_sent_{};
};

} // namespace signet::cli
