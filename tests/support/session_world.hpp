#pragma once
// A world for session_core without disk, network or actors: identities, session rows, cursors and inboxes in maps, a
// clock that stands until the test moves it, and a client that keeps what was sent to it. The obvious version of
// everything that the session talks to.

#include "actors/session/core.hpp"
#include "messages/envelope/canonical.hpp"
#include "messages/envelope/identity.hpp"
#include "messages/envelope/receipt.hpp"
#include "messages/mqtt/codec.hpp"
#include "messages/schema/identity.capnp.h"
#include "messages/schema/message.capnp.h"
#include "messages/schema/session.capnp.h"

#include <deque>
#include <map>
#include <random>
#include <set>

namespace signet::testing {

class world_random final : public random_source {
public:
  explicit world_random(std::uint64_t seed) : engine_{seed} {}
  void fill(std::span<std::uint8_t> out) override {
    for (auto& each : out)
      each = static_cast<std::uint8_t>(engine_());
  }

private:
  std::mt19937_64 engine_;
};

/// A person with one update key and some devices.
struct key_holder {
  explicit key_holder(random_source& random, std::size_t devices_count = 1) : update{signing_key::generate(random)} {
    identity_draft draft;
    draft.keys.push_back({key_purpose::update, &update});
    for (std::size_t at = 0; at < devices_count; ++at)
      devices.push_back(signing_key::generate(random));
    for (const auto& each : devices)
      draft.keys.push_back({key_purpose::sign, &each});
    auto made = make_first_identity(draft);
    who = made->permalink();
    version = to_bytes(made->serialised());
  }
  signing_key update;
  std::vector<signing_key> devices;
  permalink who;
  bytes version;
};

class session_world final : public session_reads, public session_gate {
public:
  explicit session_world(std::uint64_t seed = 1)
    : random{seed}, node_key{signing_key::generate(random)}, cluster{random_id<cluster_id>(random)} {}

  world_random random;
  signing_key node_key;
  cluster_id cluster;
  session_settings settings;
  moment now{steady_ms{1'000'000}, wall_ms{1'800'000'000'000}};

  void pass(std::uint64_t ms) {
    now.steady = steady_ms{value(now.steady) + ms};
    now.wall = wall_ms{value(now.wall) + ms};
  }
  void publish(const key_holder& who) {
    keys[who.update.public_half()] = {who.who, false, false};
    for (const auto& each : who.devices)
      keys[each.public_half()] = {who.who, true, false};
    chains[who.who] = {{who.version}, log_index{++last_index}};
  }
  /// Puts messages of these sizes into an inbox.
  void deliver(const permalink& who, std::size_t count, std::size_t size_bytes = 100) {
    auto& inbox = inboxes[who];
    for (std::size_t at = 0; at < count; ++at)
      inbox.push_back(size_bytes);
  }

  // views
  std::map<public_key, key_standing> keys;
  std::map<permalink, identity_chain> chains;
  std::map<std::pair<permalink, std::string>, session_standing> sessions;
  std::map<std::pair<permalink, public_key>, inbox_position> cursors;
  std::map<permalink, std::vector<std::size_t>> inboxes;
  std::set<token_nonce> claimed;
  std::uint64_t last_index = 100;
  // gate
  bool tries = true, verifications = true, creations = true;
  std::uint64_t storm_ms = 0;
  std::size_t failures = 0, verified = 0, key_lookups = 0;

  std::optional<key_standing> find_key(const public_key& key) override {
    ++key_lookups;
    const auto found = keys.find(key);
    return found == keys.end() ? std::nullopt : std::optional{found->second};
  }
  std::optional<session_standing> find_session(const permalink& who, const std::string& client_id) override {
    const auto found = sessions.find({who, client_id});
    return found == sessions.end() ? std::nullopt : std::optional{found->second};
  }
  inbox_position cursor_of(const permalink& who, const public_key& device) override {
    const auto found = cursors.find({who, device});
    return found == cursors.end() ? inbox_position{} : found->second;
  }
  inbox_position inbox_end(const permalink& who) override { return inbox_position{inboxes[who].size()}; }
  /// A payload is the positions in it, eight bytes each, padded to the sizes of the messages.
  std::optional<pulled> pull(const permalink& who, inbox_position first, inbox_position last,
                             std::size_t payload_bytes_max) override {
    const auto& inbox = inboxes[who];
    pulled out;
    for (auto at = value(first); at <= value(last) && at <= inbox.size(); ++at) {
      const auto size = std::max<std::size_t>(8, std::min(inbox[at - 1], payload_bytes_max));
      if (out.payload.size() + size > payload_bytes_max)
        break;
      append_u64(out.payload, at);
      out.payload.resize(out.payload.size() + size - 8);
      out.last = inbox_position{at};
    }
    return out.payload.empty() ? std::nullopt : std::optional{std::move(out)};
  }
  std::optional<identity_chain> chain_of(const permalink& who) override {
    const auto found = chains.find(who);
    return found == chains.end() ? std::nullopt : std::optional{found->second};
  }
  std::optional<permalink> owner_of(const signet::link& version) override {
    for (const auto& [who, chain] : chains)
      for (const auto& each : chain.versions)
        if (identity_version::open_stored(each)->link() == version)
          return who;
    return std::nullopt;
  }
  bool may_try(steady_ms) override { return tries; }
  bool may_verify(steady_ms) override { return ++verified, verifications; }
  bool may_create_identity(steady_ms) override { return creations; }
  void login_failed(steady_ms) override { ++failures; }
  void authenticated() override {}
  std::uint64_t storm_wait_ms(const session_key&, steady_ms) override { return storm_ms; }

  /// What apply would say to an opening, and its effects.
  entry_outcome apply(const session_opening& what) {
    entry_outcome out;
    out.answer.index = log_index{++last_index};
    if (!what.identity.empty()) {
      const auto version = identity_version::open(what.identity);
      for (const auto& each : version->keys())
        if (const auto found = keys.find(each.key);
            found != keys.end() && found->second.owner != version->permalink()) {
          out.answer.code = ec::key_collision;
          return out;
        }
      for (const auto& each : version->keys())
        keys[each.key] = {version->permalink(), each.purpose == key_purpose::sign, false};
      chains[version->permalink()] = {{what.identity}, out.answer.index};
    }
    if (!what.token.nonce.is_zero() && !claimed.insert(what.token.nonce).second) {
      out.answer.code = ec::token_spent;
      return out;
    }
    const auto key = keys.find(what.key.device);
    if (key == keys.end() || key->second.revoked) {
      out.answer.code = ec::revoked_key;
      return out;
    }
    out.answer.epoch = last_index;
    sessions[{what.key.identity, what.key.client_id}] = {last_index, what.expires};
    return out;
  }
  entry_outcome apply(const session_renewal& what) {
    entry_outcome out;
    const auto found = sessions.find({what.key.identity, what.key.client_id});
    if (found == sessions.end())
      out.answer.code = ec::session_expired;
    else if (found->second.epoch != what.epoch)
      out.answer.code = ec::taken_over;
    else if (!what.token.nonce.is_zero() && !claimed.insert(what.token.nonce).second)
      out.answer.code = ec::token_spent;
    else
      found->second.expires = what.expires;
    return out;
  }
};

/// One connection: the core, and what has come out of it.
class session_client {
public:
  session_client(session_world& world, channel_kind channel = channel_kind::tcp, bool loopback = false)
    : world_{world}, core_{{{world.settings, world.node_key, world.cluster, channel, std::nullopt, loopback},
                            world.random, world, world}},
      channel_{channel} {
    step(in::started{});
  }

  std::vector<mqtt::packet> sent;
  std::vector<out::submit> submitted;
  std::vector<out::open_session> openings;
  std::vector<out::renew_session> renewals;
  std::vector<out::publish_identity> publications;
  std::vector<out::attach> attaches;
  std::vector<out::report> reports;
  std::vector<out::move_cursor> cursors;
  std::optional<out::hand_over> handed_over;
  std::optional<out::leave> left;
  std::vector<link_state> states;
  std::size_t credit = 0, inbox_asked = 0, inbox_left = 0, bytes_before_attached = 0;
  std::size_t output_queued = 0;
  std::size_t packet_bytes_max = 0;  ///< that the link may take in
  bool link_closed = false;
  std::vector<std::string> faults;  ///< broken invariants of the outputs themselves

  session_core& core() { return core_; }
  session_world& world() { return world_; }
  bool closed() const { return core_.finished(); }
  bool attached() const { return core_.at() == session_core::phase::attached; }

  void step(session_input input) {
    for (auto& one : core_.step(std::move(input), world_.now, output_queued))
      std::visit([this](auto& what) { take(what); }, one);
  }
  void say(mqtt::packet packet) {
    if (auto* connect = std::get_if<mqtt::connect>(&packet))
      version_ = connect->version;
    step(in::packet_came{std::move(packet)});
  }
  /// Ticks at every deadline within the next `ms`.
  void pass(std::uint64_t ms) {
    const auto end = value(world_.now.steady) + ms;
    while (value(world_.now.steady) < end) {
      const auto due = value(core_.next_deadline(world_.now));
      const auto to = std::clamp(due, value(world_.now.steady) + 1, end);
      world_.pass(to - value(world_.now.steady));
      if (due <= to)
        step(in::ticked{});
    }
  }

  // ---- logging in

  mqtt::connect connect_packet(mqtt::protocol_version version, std::string client_id) const {
    mqtt::connect out;
    out.version = version;
    out.client_id = std::move(client_id);
    out.keep_alive_s = 60;
    return out;
  }
  std::string token(const key_holder& who, const std::string& client_id, bool reusable = false,
                    std::size_t device = 0) {
    token_claims claims;
    claims.reusable = reusable;
    claims.cluster = world_.cluster;
    claims.device_key = who.devices[device].public_half();
    claims.issued_at = world_.now.wall;
    claims.life_s = 60;
    claims.nonce = random_id<token_nonce>(world_.random);
    claims.client_id = client_id;
    return *make_token(who.devices[device], who.who, claims);
  }
  void connect_with_token(mqtt::connect packet, const key_holder& who, const std::string& token_text) {
    packet.user_name = who.who.hex();
    packet.password = to_bytes(as_bytes(token_text));
    say(std::move(packet));
  }
  login_hello hello(const key_holder& who, std::size_t device = 0) {
    login_hello out;
    out.who = who.who;
    out.device_key = who.devices[device].public_half();
    out.client_nonce = random_id<login_nonce>(world_.random);
    out.channel.transport = static_cast<login_channel::kind>(channel_);
    return out;
  }
  void connect_enhanced(mqtt::connect packet, const login_hello& hello) {
    client_id_ = packet.client_id;
    hello_ = hello;
    packet.props.add(mqtt::property_id::authentication_method, std::string{login_method});
    packet.props.add(mqtt::property_id::authentication_data, encode(hello));
    say(std::move(packet));
  }
  login_transcript transcript() const {
    const auto auth = all<mqtt::auth>().back();
    const auto challenge =
      parse_login_challenge(*auth.props.find_binary(mqtt::property_id::authentication_data));
    login_transcript out;
    out.cluster = challenge->cluster;
    out.node_key = challenge->node_key;
    out.server_nonce = challenge->server_nonce;
    out.hello = hello_;
    out.client_id = client_id_;
    return out;
  }
  mqtt::auth auth_packet(mqtt::reason_code code, bytes data) const {
    mqtt::auth out;
    out.code = code;
    out.props.add(mqtt::property_id::authentication_method, std::string{login_method});
    out.props.add(mqtt::property_id::authentication_data, std::move(data));
    return out;
  }
  void prove(const signing_key& device, bytes identity = {}) {
    const auto proof = device.sign(label::login_client, transcript().encoded());
    say(auth_packet(mqtt::reason_code::continue_authentication, encode(login_proof{proof, std::move(identity)})));
  }
  void reauthenticate(const login_hello& hello) {
    hello_ = hello;
    say(auth_packet(mqtt::reason_code::reauthenticate, encode(hello)));
  }
  /// Answers the proposal as apply would.
  void commit_opening() { step(in::opening_answered{world_.apply(openings.back().opening)}); }
  void commit_renewal() { step(in::renewal_answered{world_.apply(renewals.back().renewal)}); }
  void grant(std::optional<parked_state> state = std::nullopt) { step(in::attached{true, std::move(state)}); }

  /// All of it, in one breath.
  void attach(const key_holder& who, const std::string& client_id,
              mqtt::protocol_version version = mqtt::protocol_version::v5, bool clean = true,
              std::uint32_t expiry_s = 0, std::optional<parked_state> state = std::nullopt, std::size_t device = 0,
              std::uint16_t receive_maximum = 0xFFFF) {
    auto packet = connect_packet(version, client_id);
    packet.clean_start = clean;
    if (version == mqtt::protocol_version::v5) {
      if (expiry_s > 0)
        packet.props.add(mqtt::property_id::session_expiry_interval, expiry_s);
      if (receive_maximum != 0xFFFF)
        packet.props.add(mqtt::property_id::receive_maximum, std::uint32_t{receive_maximum});
    }
    connect_with_token(std::move(packet), who, token(who, client_id, false, device));
    commit_opening();
    grant(std::move(state));
  }

  // ---- what was sent

  template <class Packet>
  std::vector<Packet> all() const {
    std::vector<Packet> out;
    for (const auto& each : sent)
      if (const auto* one = std::get_if<Packet>(&each))
        out.push_back(*one);
    return out;
  }
  std::vector<mqtt::publish> published(topic_role role) const {
    std::vector<mqtt::publish> out;
    for (const auto& each : all<mqtt::publish>())
      if (role_of(each.topic) == role)
        out.push_back(each);
    return out;
  }
  bool reported(security_kind kind, std::string_view detail = {}) const {
    for (const auto& each : reports)
      if (each.kind == kind && (detail.empty() || each.detail == detail))
        return true;
    return false;
  }
  mqtt::connack connack() const { return all<mqtt::connack>().at(0); }
  mqtt::disconnect last_disconnect() const { return all<mqtt::disconnect>().at(0); }
  void forget() { sent.clear(), submitted.clear(), reports.clear(), cursors.clear(); }

  // ---- packets

  mqtt::publish publish_packet(std::string topic, mqtt::packet_id id, bytes payload = bytes{1, 2, 3}) const {
    mqtt::publish out;
    out.topic = std::move(topic);
    out.id = id;
    out.quality = id == 0 ? mqtt::qos::at_most_once : mqtt::qos::at_least_once;
    out.payload = std::move(payload);
    return out;
  }
  void publish(topic_role role, mqtt::packet_id id, bytes payload = bytes{1, 2, 3}) {
    say(publish_packet(std::string{topic_of(role)}, id, std::move(payload)));
  }
  void subscribe(std::vector<std::string> filters, mqtt::qos quality = mqtt::qos::at_least_once) {
    mqtt::subscribe packet;
    packet.id = 77;
    for (auto& each : filters)
      packet.filters.push_back({std::move(each), quality, false, false, mqtt::retain_handling::always});
    say(std::move(packet));
  }
  void read_inbox(mqtt::qos quality = mqtt::qos::at_least_once) {
    subscribe({"signet/v1/inbox"}, quality);
    if (inbox_asked > 0)
      step(in::inbox_answered{true});
  }
  void ack(mqtt::packet_id id) {
    mqtt::puback packet;
    packet.id = id;
    say(std::move(packet));
  }
  void answer_batch(std::size_t at, bool all_good = true, ec problem = ec::ok) {
    batch_answer answer;
    answer.all_good = all_good;
    answer.problem = problem;
    answer.receipt = share(make_receipt({}));
    step(in::batch_answered{submitted.at(at).slot, submitted.at(at).attempt, ec::ok, answer});
  }
  void fail_batch(std::size_t at, ec problem) {
    step(in::batch_answered{submitted.at(at).slot, submitted.at(at).attempt, problem, {}});
  }

private:
  void fault(std::string what) { faults.push_back(std::move(what)); }
  void take(out::allow& what) {
    states.push_back(what.state);
    packet_bytes_max = what.packet_bytes_max;
  }
  void take(out::limit_output& what) { output_max_ = what.packet_bytes_max; }
  void take(out::send& what) {
    if (link_closed)
      fault("sent after close");
    const auto raw = mqtt::encode(what.packet, mqtt::role::server, version_, output_max_);
    if (!raw)
      fault("cannot be encoded: " + render(raw.error()));
    const bool before = states.empty() || states.back() != link_state::attached;
    if (before) {
      bytes_before_attached += raw ? raw->size() : 0;
      const auto* connack = std::get_if<mqtt::connack>(&what.packet);
      const auto* auth = std::get_if<mqtt::auth>(&what.packet);
      const bool fine = (connack && mqtt::is_refusal(connack->code) && !connack->session_present) ||
                        (auth && auth->code == mqtt::reason_code::continue_authentication &&
                         !states.empty() && states.back() == link_state::proving);
      if (!fine)
        fault("left before the proof");
    }
    sent.push_back(std::move(what.packet));
  }
  void take(out::give_credit& what) { credit += what.credit; }
  void take(out::close_link&) { link_closed = true; }
  void take(out::open_session& what) { openings.push_back(std::move(what)); }
  void take(out::renew_session& what) { renewals.push_back(std::move(what)); }
  void take(out::publish_identity& what) { publications.push_back(std::move(what)); }
  void take(out::submit& what) { submitted.push_back(std::move(what)); }
  void take(out::attach& what) { attaches.push_back(std::move(what)); }
  void take(out::follow&) {}
  void take(out::ask_inbox&) { ++inbox_asked; }
  void take(out::leave_inbox&) { ++inbox_left; }
  void take(out::move_cursor& what) {
    auto& cursor = world_.cursors[{what.to.identity, what.to.device}];
    cursor = std::max(cursor, what.to.position);
    cursors.push_back(what);
  }
  void take(out::report& what) { reports.push_back(std::move(what)); }
  void take(out::hand_over& what) {
    if (handed_over)
      fault("handed over twice");
    handed_over = std::move(what);
  }
  void take(out::leave& what) {
    if (left)
      fault("left twice");
    left = std::move(what);
  }

  session_world& world_;
  session_core core_;
  channel_kind channel_;
  mqtt::protocol_version version_ = mqtt::protocol_version::v5;
  std::size_t output_max_ = mqtt::packet_size_limit;
  std::string client_id_;
  login_hello hello_;
};

/// Positions inside payloads that session_world packed, for messages of `size_bytes`.
inline std::vector<std::uint64_t> positions_in(const mqtt::publish& packet, std::size_t size_bytes = 100) {
  std::vector<std::uint64_t> out;
  for (std::size_t at = 0; at + 8 <= packet.payload.size(); at += size_bytes)
    out.push_back(read_u64(packet.payload.data() + at));
  return out;
}

// ---- payloads a client sends

inline bytes position_payload(std::uint64_t position) {
  outer_builder<schema::Position> out;
  out.root().setPosition(position);
  return out.finish();
}
inline bytes renew_payload(const std::string& token) {
  outer_builder<schema::SessionRequest> out;
  out.root().setRenew(token);
  return out.finish();
}
inline bytes explicit_acks_payload() {
  outer_builder<schema::SessionRequest> out;
  out.root().setExplicitAcks(true);
  return out.finish();
}
inline bytes deliver_from_payload(std::uint64_t first) {
  outer_builder<schema::SessionRequest> out;
  out.root().setDeliverFrom(first);
  return out.finish();
}
inline bytes where_payload() {
  outer_builder<schema::SessionRequest> out;
  out.root().setWhere();
  return out.finish();
}

/// What a notice says, as words: "closing taken_over", "expiring 1800000000000"…
inline std::string read_notice(const mqtt::publish& packet) {
  auto out = read_outer<schema::SessionNotice>(packet.payload, 4096,
                                               [](schema::SessionNotice::Reader in) -> result<std::string> {
    switch (in.which()) {
      case schema::SessionNotice::EXPIRING: return "expiring " + std::to_string(in.getExpiring());
      case schema::SessionNotice::RENEWED: return "renewed " + std::to_string(in.getRenewed());
      case schema::SessionNotice::CLOSING: return "closing " + std::string{in.getClosing().cStr()};
      case schema::SessionNotice::CURSOR: return "cursor " + std::to_string(in.getCursor());
      case schema::SessionNotice::STALE: return in.getStale() ? "stale" : "not stale";
      case schema::SessionNotice::REFUSED: return "refused " + std::string{in.getRefused().cStr()};
    }
    return std::string{};
  });
  return out.value_or("?");
}

} // namespace signet::testing
