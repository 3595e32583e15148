#include "tools/cli/client.hpp"

#include "messages/envelope/canonical.hpp"
#include "messages/envelope/login.hpp"
#include "messages/schema/identity.capnp.h"

#include <capnp/message.h>
#include <capnp/serialize.h>

namespace signet::cli {
namespace {
constexpr std::uint16_t keep_alive_s = 60;
const std::string identity_topic = "signet/v1/identity";

kj::ArrayPtr<const kj::byte> octets(bytes_view raw) { return {raw.data(), raw.size()}; }
bytes_view view(capnp::Data::Reader raw) { return {raw.begin(), raw.size()}; }
bytes flat(capnp::MallocMessageBuilder& message) {
  auto words = capnp::messageToFlatArray(message);
  auto raw = words.asBytes();
  return {raw.begin(), raw.end()};
}

std::filesystem::path known_marker(const own_identity& who, const cluster_id& cluster) {
  return who.directory / ("known-" + cluster.hex());
}
} // namespace

status client::send(const mqtt::packet& what) {
  auto raw = mqtt::encode(what, mqtt::role::client, mqtt::protocol_version::v5);
  if (!raw)
    return tl::make_unexpected(raw.error());
  last_sent_ = std::chrono::steady_clock::now();
  return transport_->write(*raw, in(options_.patience));
}

status client::keep_alive() {
  if (std::chrono::steady_clock::now() - last_sent_ < std::chrono::seconds(keep_alive_s / 2))
    return {};
  return send(mqtt::pingreq{});
}

result<std::optional<mqtt::packet>> client::receive(deadline until) {
  for (;;) {
    auto out = decoder_.next();
    if (auto* packet = std::get_if<mqtt::packet>(&out)) {
      if (std::holds_alternative<mqtt::pingresp>(*packet))
        continue;
      if (auto* bye = std::get_if<mqtt::disconnect>(packet)) {
        auto reason = bye->props.find_text(mqtt::property_id::reason_string);
        return fail(bye->code == mqtt::reason_code::session_taken_over ? ec::taken_over : ec::session_expired,
                    "the node ended the connection: " + std::string(mqtt::name(bye->code)) + (reason ? " (" + std::string(*reason) + ")" : ""));
      }
      return std::optional(std::move(*packet));
    }
    if (auto* problem = std::get_if<mqtt::decode_error>(&out))
      return fail(ec::malformed, "the node sent what is not MQTT: " + std::string(problem->what));
    const auto now = std::chrono::steady_clock::now();
    if (now >= until)
      return std::optional<mqtt::packet>{};
    if (auto alive = keep_alive(); !alive)
      return tl::make_unexpected(alive.error());
    auto got = transport_->read(std::min(until, now + std::chrono::seconds(keep_alive_s / 4)));
    if (!got)
      return tl::make_unexpected(got.error());
    decoder_.append(*got);
  }
}

result<mqtt::packet> client::await(const std::function<bool(const mqtt::packet&)>& wanted, const char* what) {
  const auto until = in(options_.patience);
  for (;;) {
    auto got = receive(until);
    if (!got)
      return tl::make_unexpected(got.error());
    if (!*got)
      return fail(ec::unknown_outcome, std::string("no ") + what + " within " + std::to_string(options_.patience.count() / 1000) + " s");
    if (wanted(**got))
      return std::move(**got);
    if (auto kept = keep(std::move(**got)); !kept)
      return tl::make_unexpected(kept.error());
  }
}

status client::keep(mqtt::packet what) {
  auto* message = std::get_if<mqtt::publish>(&what);
  if (!message)
    return {};
  if (message->topic != identity_topic) {
    arrived_.push_back(std::move(*message));
    return {};
  }
  auto acked = ack(*message);
  answers_.push_back(std::move(*message));
  return acked;
}

result<std::unique_ptr<client>> client::open(const home& where, const own_identity& who, const client_options& options,
                                             const signing_key& key, bool hand_in, bool probe_only) {
  auto url = parse_node_url(options.url);
  if (!url)
    return tl::make_unexpected(url.error());
  auto out = std::unique_ptr<client>(new client(options));
  auto& me = *out;
  if (me.options_.client_id.empty())
    me.options_.client_id = who.name + "-" + random_id<token_nonce>(system_random()).hex().substr(0, 8);
  me.device_ = key.public_half();
  auto transport = client_transport::connect(*url, options.trust, in(options.patience));
  if (!transport)
    return tl::make_unexpected(transport.error());
  me.transport_ = std::move(*transport);

  login_transcript transcript;
  transcript.hello.who = who.who();
  transcript.hello.device_key = me.device_;
  transcript.hello.client_nonce = random_id<login_nonce>(system_random());
  transcript.hello.channel.transport = static_cast<login_channel::kind>(url->scheme);
  if (auto exported = me.transport_->exporter(std::string(login_exporter_label))) {
    transcript.hello.channel.bound = true;
    transcript.exporter = tls_exporter::from(*exported);
  }
  transcript.client_id = me.options_.client_id;

  mqtt::connect hello;
  hello.clean_start = true;
  hello.keep_alive_s = keep_alive_s;
  hello.client_id = me.options_.client_id;
  hello.props.add(mqtt::property_id::receive_maximum, std::uint32_t{32})
    .add(mqtt::property_id::maximum_packet_size, options.packet_bytes_max)
    .add(mqtt::property_id::authentication_method, std::string(login_method))
    .add(mqtt::property_id::authentication_data, encode(transcript.hello));
  if (auto sent = me.send(hello); !sent)
    return tl::make_unexpected(sent.error());
  auto is_login = [](const mqtt::packet& got) {
    return std::holds_alternative<mqtt::auth>(got) || std::holds_alternative<mqtt::connack>(got);
  };
  auto refused = [&](const mqtt::connack& said) {
    return fail(ec::not_authorized, std::string(mqtt::name(said.code)) + " from " + options.url + " for " + who.name);
  };
  auto first = me.await(is_login, "challenge");
  if (!first)
    return tl::make_unexpected(first.error());
  if (auto* said = std::get_if<mqtt::connack>(&*first))
    return refused(*said);
  auto data = std::get<mqtt::auth>(*first).props.find_binary(mqtt::property_id::authentication_data);
  if (!data)
    return fail(ec::malformed, "the challenge holds no data");
  auto challenge = parse_login_challenge(*data);
  if (!challenge)
    return tl::make_unexpected(challenge.error());
  transcript.cluster = challenge->cluster;
  transcript.node_key = challenge->node_key;
  transcript.server_nonce = challenge->server_nonce;
  // First the node: nothing is signed for one that is not who it should be.
  if (!verify_node(transcript, challenge->proof))
    return fail(ec::bad_signature, "the node at " + options.url + " does not prove its key");
  me.node_ = {challenge->cluster, challenge->node_key};
  if (auto pinned = where.pin(options.url, me.node_); !pinned)
    return tl::make_unexpected(pinned.error());
  if (probe_only) {
    me.transport_->close();
    return out;
  }
  login_proof proof;
  proof.proof = sign_as_client(key, transcript);
  if (hand_in)
    proof.identity = to_bytes(who.versions.front().serialised());
  mqtt::auth answer;
  answer.code = mqtt::reason_code::continue_authentication;
  answer.props.add(mqtt::property_id::authentication_method, std::string(login_method))
    .add(mqtt::property_id::authentication_data, encode(proof));
  if (auto sent = me.send(answer); !sent)
    return tl::make_unexpected(sent.error());
  auto second = me.await(is_login, "answer to the login");
  if (!second)
    return tl::make_unexpected(second.error());
  auto* said = std::get_if<mqtt::connack>(&*second);
  if (!said || said->code != mqtt::reason_code::success)
    return said ? refused(*said) : fail(ec::malformed, "an AUTH where a CONNACK belongs");
  me.session_present_ = said->session_present;
  return out;
}

result<std::unique_ptr<client>> client::connect(const home& where, const own_identity& who, const client_options& options) {
  auto key = where.load_key(who, key_purpose::sign);
  if (!key)
    return tl::make_unexpected(key.error());
  bool known = false;
  if (auto pin = where.find_pin(options.url))
    known = std::filesystem::exists(known_marker(who, pin->cluster));
  auto out = open(where, who, options, *key, !known, false);
  if (!out && known && out.error().code == ec::not_authorized)
    out = open(where, who, options, *key, true, false);  // the cluster may have been founded anew
  if (!out && out.error().code == ec::not_authorized && who.versions.size() > 1) {
    // The newest version may not be published yet: a rotation that was cut off. The version before can still log in.
    const auto& before = who.versions[who.versions.size() - 2];
    if (auto older = where.load_key(who, before, key_purpose::sign))
      if (auto with_older = open(where, who, options, *older, !known, false))
        out = std::move(with_older);
  }
  if (out && !known)
    (void)write_file(known_marker(who, (*out)->node_.cluster), {}, true);
  return out;
}

result<pinned_node> client::probe(const home& where, const own_identity& who, const client_options& options) {
  auto key = where.load_key(who, key_purpose::sign);
  if (!key)
    return tl::make_unexpected(key.error());
  auto out = open(where, who, options, *key, false, true);
  if (!out)
    return tl::make_unexpected(out.error());
  return (*out)->node_;
}

status client::subscribe(const std::vector<std::string>& topics) {
  mqtt::subscribe request;
  request.id = ++last_id_;
  for (const auto& topic : topics)
    request.filters.push_back({topic, mqtt::qos::at_least_once});
  if (auto sent = send(request); !sent)
    return sent;
  auto answer = await([&](const mqtt::packet& got) {
    auto* said = std::get_if<mqtt::suback>(&got);
    return said && said->id == request.id;
  }, "SUBACK");
  if (!answer)
    return tl::make_unexpected(answer.error());
  for (auto code : std::get<mqtt::suback>(*answer).codes)
    if (mqtt::is_refusal(code))
      return fail(ec::not_authorized, "subscription refused: " + std::string(mqtt::name(code)));
  return {};
}

result<client::acknowledged> client::publish(const std::string& topic, bytes payload) {
  mqtt::publish request;
  request.quality = mqtt::qos::at_least_once;
  request.topic = topic;
  request.payload = std::move(payload);
  if (++last_id_ == 0)
    ++last_id_;
  request.id = last_id_;
  if (auto sent = send(request); !sent)
    return tl::make_unexpected(sent.error());
  auto answer = await([&](const mqtt::packet& got) {
    auto* said = std::get_if<mqtt::puback>(&got);
    return said && said->id == request.id;
  }, "PUBACK");
  if (!answer)
    return tl::make_unexpected(answer.error());
  const auto& said = std::get<mqtt::puback>(*answer);
  return acknowledged{said.code, std::string(said.props.find_text(mqtt::property_id::reason_string).value_or(""))};
}

result<std::optional<mqtt::publish>> client::next(deadline until) {
  for (;;) {
    if (!arrived_.empty()) {
      auto out = std::move(arrived_.front());
      arrived_.pop_front();
      return std::optional(std::move(out));
    }
    auto got = receive(until);
    if (!got)
      return tl::make_unexpected(got.error());
    if (!*got)
      return std::optional<mqtt::publish>{};
    if (auto kept = keep(std::move(**got)); !kept)
      return tl::make_unexpected(kept.error());
  }
}

status client::ack(const mqtt::publish& what) {
  if (what.quality != mqtt::qos::at_least_once)
    return {};
  mqtt::puback answer;
  answer.id = what.id;
  return send(answer);
}

void client::leave() {
  (void)send(mqtt::disconnect{});
  transport_->close();
}

result<client::identity_answer> client::ask(bytes request, std::uint64_t correlation) {
  auto published = publish(identity_topic, std::move(request));
  if (!published)
    return tl::make_unexpected(published.error());
  const auto until = in(options_.patience);
  for (;;) {
    while (!answers_.empty()) {
      auto raw = std::move(answers_.front().payload);
      answers_.pop_front();
      auto words = kj::heapArray<capnp::word>(raw.size() / sizeof(capnp::word));
      std::memcpy(words.begin(), raw.data(), words.size() * sizeof(capnp::word));
      try {
        capnp::FlatArrayMessageReader message(words);
        auto said = message.getRoot<schema::IdentityAnswer>();
        if (said.getCorrelation() != correlation)
          continue;
        identity_answer out;
        out.code = std::string(said.getCode().cStr(), said.getCode().size());
        out.standing = link::from(view(said.getStanding())).value_or(link{});
        for (auto version : said.getVersions())
          out.versions.push_back(to_bytes(view(version)));
        out.index = log_index{said.getIndex()};
        return out;
      } catch (const kj::Exception& problem) {
        return fail(ec::malformed, "the node's answer about an identity cannot be read");
      }
    }
    auto got = receive(until);
    if (!got)
      return tl::make_unexpected(got.error());
    if (!*got)
      return fail(ec::unknown_outcome, "no answer about the identity in time");
    if (auto kept = keep(std::move(**got)); !kept)
      return tl::make_unexpected(kept.error());
  }
}

result<client::identity_answer> client::publish_identity(const identity_version& version) {
  capnp::MallocMessageBuilder message(4096);
  auto request = message.initRoot<schema::IdentityRequest>();
  request.setCorrelation(++last_correlation_);
  auto words = kj::heapArray<capnp::word>(version.serialised().size() / sizeof(capnp::word));
  std::memcpy(words.begin(), version.serialised().data(), words.size() * sizeof(capnp::word));
  capnp::FlatArrayMessageReader reader(words);
  request.setPublish(reader.getRoot<schema::IdentityVersion>());
  return ask(flat(message), last_correlation_);
}

result<client::identity_answer> client::lookup(const permalink& who) {
  capnp::MallocMessageBuilder message;
  auto request = message.initRoot<schema::IdentityRequest>();
  request.setCorrelation(++last_correlation_);
  request.setByPermalink(octets(who.view()));
  return ask(flat(message), last_correlation_);
}

} // namespace signet::cli
