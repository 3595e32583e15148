// A stranger before the proof: any bytes, in any pieces, at any time, through the real decoder into the real session.
// Whatever it says, nothing leaves but an AUTH that continues and one CONNACK that refuses, 512 bytes in all; no entry
// is proposed, no session found, nobody else disturbed.
//
// Input: steps of one byte (what) and what it needs. Bytes are fed raw; some steps feed a CONNECT or AUTH that is right
// but for the proof, so that the states behind them are reached.

#include "tests/support/session_world.hpp"

#include <cstdlib>

namespace {

using namespace signet;
using namespace signet::testing;

// Made once: keys cost more than everything else here.
struct setting {
  session_world world{7};
  key_holder alice{world.random};
  signing_key stranger = signing_key::generate(world.random);
  setting() { world.publish(alice); }
};
setting& the_setting() {
  static setting one;
  return one;
}

void require(bool holds) {
  if (!holds)
    std::abort();
}

class connection {
public:
  explicit connection(session_world& world) : client{world} {
    caps_.packet_size_max = client.packet_bytes_max;
    decoder_.emplace(mqtt::role::client, caps_);
  }
  void feed(bytes_view input) {
    if (client.closed() || broken_)
      return;
    decoder_->append(input);
    while (!client.closed() && !broken_) {
      decoder_->set_packet_size_max(client.packet_bytes_max);
      auto next = decoder_->next();
      if (std::holds_alternative<mqtt::need_more>(next))
        return;
      if (auto* packet = std::get_if<mqtt::packet>(&next)) {
        client.say(std::move(*packet));
      } else {
        const auto& error = std::get<mqtt::decode_error>(next);
        broken_ = true;
        client.step(in::malformed{error.code, error.answer_as});
      }
    }
  }
  void feed(const mqtt::packet& packet) {
    const auto raw = mqtt::encode(packet, mqtt::role::client, decoder_->version().value_or(mqtt::protocol_version::v5));
    if (raw)
      feed(*raw);
  }
  session_client client;

private:
  mqtt::limits caps_;
  std::optional<mqtt::decoder> decoder_;
  bool broken_ = false;
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto& [world, alice, stranger] = the_setting();
  world.now = {steady_ms{1'000'000}, wall_ms{1'800'000'000'000}};
  world.tries = world.verifications = true;
  connection one{world};
  auto& client = one.client;

  const auto take = [&](std::size_t wanted) {
    const auto count = std::min(wanted, size);
    const bytes_view out{data, count};
    data += count;
    size -= count;
    return out;
  };
  const auto byte = [&]() -> std::uint8_t {
    const auto one_byte = take(1);
    return one_byte.empty() ? std::uint8_t{0} : one_byte[0];
  };
  while (size > 0 && !client.closed()) {
    switch (byte() % 8) {
      case 0: one.feed(take(byte())); break;
      case 1: one.feed(take(std::size_t{byte()} * 8)); break;
      case 2: client.pass(std::uint64_t{byte()} * 50); break;
      case 3: {  // a right hello of alice's device
        auto packet = client.connect_packet(mqtt::protocol_version::v5, "phone");
        const auto hello = encode(client.hello(alice));
        packet.props.add(mqtt::property_id::authentication_method, std::string{login_method});
        packet.props.add(mqtt::property_id::authentication_data, hello);
        one.feed(mqtt::packet{packet});
        break;
      }
      case 4: {  // a proof that is no proof: signed by somebody else, or changed
        auto proof = encode(login_proof{stranger.sign(label::login_client, as_bytes("something")), alice.version});
        const auto at = byte();
        proof[at % proof.size()] ^= byte();
        one.feed(mqtt::packet{client.auth_packet(mqtt::reason_code::continue_authentication, proof)});
        break;
      }
      case 5: {  // a token whose signature is not alice's
        const auto version = byte() % 2 ? mqtt::protocol_version::v5 : mqtt::protocol_version::v311;
        auto packet = client.connect_packet(version, "phone");
        auto token = client.token(alice, "phone");
        token[token.size() - 10] = token[token.size() - 10] == 'A' ? 'B' : 'A';
        packet.user_name = alice.who.hex();
        packet.password = to_bytes(as_bytes(token));
        const auto raw = mqtt::encode(packet, mqtt::role::client, packet.version);
        if (raw)
          one.feed(*raw);
        break;
      }
      case 6: world.verifications = byte() % 4 != 0; break;
      default: client.step(in::close{close_reason::shutting_down}); break;
    }
    client.step(in::ticked{});
  }
  client.step(in::lost{});

  require(client.faults.empty());  // whitelist, and nothing behind the close
  require(client.bytes_before_attached <= 512);
  require(!client.attached());
  require(client.openings.empty() && client.attaches.empty() && client.submitted.empty() && client.cursors.empty() &&
          client.renewals.empty() && client.publications.empty() && !client.left && !client.handed_over);
  require(client.all<mqtt::connack>().size() <= 1 && client.all<mqtt::auth>().size() <= 1);
  require(client.closed());
  return 0;
}
