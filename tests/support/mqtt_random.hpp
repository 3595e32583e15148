#pragma once
// Random packets that may be sent: every type, every property where it is allowed, both versions. The choices come from
// a function, so that a property test can shrink them and a long run can be repeated by its seed.

#include "messages/mqtt/codec.hpp"
#include "messages/mqtt/tables.hpp"
#include "messages/mqtt/topics.hpp"

#include <functional>

namespace signet::mqtt {

class random_packets {
public:
  /// `pick(n)` is one of 0 … n-1; 0 is the simplest choice.
  random_packets(std::function<std::uint32_t(std::uint32_t)> pick, role sender, protocol_version version)
    : pick_{std::move(pick)}, sender_{sender}, version_{version} {}

  /// Any packet that this side may send in this version, but CONNECT, which comes first and once.
  packet next() {
    std::vector<packet_type> types;
    for (int number = 2; number <= 15; ++number) {
      const auto type = static_cast<packet_type>(number);
      const bool in_version = v5() || (rule_of(type).in_v311 && !(type == packet_type::disconnect && sender_ == role::server));
      if (rule_of(type).sent_by(sender_) && in_version)
        types.push_back(type);
    }
    switch (types[pick_(static_cast<std::uint32_t>(types.size()))]) {
      case packet_type::connack: return make_connack();
      case packet_type::publish: return make_publish();
      case packet_type::puback: return make_ack<packet_type::puback>();
      case packet_type::pubrec: return make_ack<packet_type::pubrec>();
      case packet_type::pubrel: return make_ack<packet_type::pubrel>();
      case packet_type::pubcomp: return make_ack<packet_type::pubcomp>();
      case packet_type::subscribe: return make_subscribe();
      case packet_type::suback: return suback{id(), list(in(packet_type::suback)), codes(packet_type::suback)};
      case packet_type::unsubscribe: return make_unsubscribe();
      case packet_type::unsuback:
        return unsuback{id(), list(in(packet_type::unsuback)),
                        v5() ? codes(packet_type::unsuback) : std::vector<reason_code>{}};
      case packet_type::pingreq: return pingreq{};
      case packet_type::pingresp: return pingresp{};
      case packet_type::disconnect:
        return disconnect{v5() ? code(packet_type::disconnect) : reason_code::success, list(in(packet_type::disconnect))};
      case packet_type::auth: return auth{code(packet_type::auth), list(in(packet_type::auth), true)};
      case packet_type::connect: break;
    }
    return make_connect();
  }

  connect make_connect() {
    connect out;
    out.version = version_;
    out.keep_alive_s = static_cast<std::uint16_t>(pick_(65'536));
    out.props = list(in(packet_type::connect));
    out.client_id = text(20);
    out.clean_start = (!v5() && out.client_id.empty()) || coin();
    if (coin())
      out.will = will_message{topic(), binary(30), quality(), coin(), list(in_will)};
    if (coin())
      out.user_name = text(30);
    if ((v5() || out.user_name) && coin())
      out.password = binary(30);
    return out;
  }

private:
  bool v5() const { return version_ == protocol_version::v5; }
  bool coin() { return pick_(2) == 1; }
  qos quality() { return static_cast<qos>(pick_(3)); }
  packet_id id() { return static_cast<packet_id>(1 + pick_(65'535)); }

  reason_code code(const code_set& allowed) {
    std::vector<reason_code> all;
    for (unsigned raw = 0; raw < 256; ++raw)
      if (allowed.contains(static_cast<reason_code>(raw)))
        all.push_back(static_cast<reason_code>(raw));
    return all[pick_(static_cast<std::uint32_t>(all.size()))];
  }
  reason_code code(packet_type type) { return code(rule_of(type).codes(sender_)); }
  std::vector<reason_code> codes(packet_type type) {
    std::vector<reason_code> out(1 + pick_(4));
    for (auto& each : out)
      each = v5() ? code(type) : code(suback_codes_v311);
    return out;
  }

  std::string text(std::uint32_t size_max) {
    static constexpr std::string_view alphabet[] = {"a", "b", "Z", "0", " ", "$", ".", "ä", "\u0800", "€", "\uFEFF", "😀", "\uFFFD"};
    std::string out;
    for (auto left = pick_(size_max + 1); left > 0; --left)
      out += alphabet[pick_(std::size(alphabet))];
    return out;
  }
  bytes binary(std::uint32_t size_max) {
    bytes out(pick_(size_max + 1));
    for (auto& byte : out)
      byte = static_cast<std::uint8_t>(pick_(256));
    return out;
  }
  std::string topic() {
    std::string out = "t" + text(4);
    for (auto more = pick_(4); more > 0; --more)
      out += "/" + text(4);
    return out;
  }
  std::string filter() {
    std::string out = pick_(6) == 5 ? "$share/s" + text(3) + "/" : "";
    const auto level = [&] { return pick_(3) == 2 ? std::string{"+"} : "f" + text(3); };
    out += level();
    for (auto more = pick_(4); more > 0; --more)
      out += "/" + level();
    return pick_(4) == 3 ? out + "/#" : out;
  }

  properties list(places where, bool method_needed = false) {
    properties out;
    if (!v5())
      return out;
    if (method_needed)
      out.add(property_id::authentication_method, "m" + text(5));
    std::uint64_t seen = method_needed ? std::uint64_t{1} << 0x15 : 0;
    const auto rules = property_rules();
    for (auto left = pick_(7); left > 0; --left) {
      const auto& rule = rules[pick_(static_cast<std::uint32_t>(rules.size()))];
      const auto bit = std::uint64_t{1} << static_cast<unsigned>(rule.id);
      if ((rule.sent_by(sender_) & where) == 0 || ((seen & bit) != 0 && (rule.repeats(sender_) & where) == 0))
        continue;
      if (rule.id == property_id::authentication_data && !out.has(property_id::authentication_method))
        continue;
      seen |= bit;
      out.add(property{rule.id, value(rule)});
    }
    return out;
  }
  property_value value(const property_rule& rule) {
    switch (rule.kind) {
      case property_kind::text: return text(12);
      case property_kind::topic: return topic();
      case property_kind::binary: return binary(12);
      case property_kind::pair: {
        auto key = text(6);
        return text_pair{std::move(key), text(6)};
      }
      default: break;
    }
    const auto span = rule.max - rule.min;
    switch (pick_(4)) {
      case 0: return rule.min;
      case 1: return rule.max;
      default: return span == 0xFFFF'FFFF ? pick_(0xFFFF'FFFF) : rule.min + pick_(span + 1);
    }
  }

  connack make_connack() {
    connack out;
    out.code = v5() ? code(packet_type::connack) : connack_codes_v311[pick_(connack_codes_v311.size())];
    out.session_present = out.code == reason_code::success && coin();
    out.props = list(in(packet_type::connack));
    return out;
  }
  publish make_publish() {
    publish out;
    out.quality = quality();
    out.dup = out.quality != qos::at_most_once && coin();
    out.retain = coin();
    out.props = list(in(packet_type::publish));
    if (!(out.props.has(property_id::topic_alias) && coin()))
      out.topic = topic();
    if (out.quality != qos::at_most_once)
      out.id = id();
    out.payload = binary(pick_(8) == 7 ? 400 : 40);
    return out;
  }
  template <packet_type Type>
  ack<Type> make_ack() {
    return {id(), v5() ? code(Type) : reason_code::success, list(in(Type))};
  }
  subscribe make_subscribe() {
    subscribe out{id(), list(in(packet_type::subscribe)), {}};
    for (auto left = 1 + pick_(4); left > 0; --left) {
      subscription one{filter(), quality()};
      if (v5()) {
        one.no_local = !is_shared(one.filter) && coin();
        one.retain_as_published = coin();
        one.retained = static_cast<retain_handling>(pick_(3));
      }
      out.filters.push_back(std::move(one));
    }
    return out;
  }
  unsubscribe make_unsubscribe() {
    unsubscribe out{id(), list(in(packet_type::unsubscribe)), {}};
    for (auto left = 1 + pick_(4); left > 0; --left)
      out.filters.push_back(filter());
    return out;
  }

  std::function<std::uint32_t(std::uint32_t)> pick_;
  role sender_;
  protocol_version version_;
};

/// All that a decoder gives for `input`, cut at the given offsets (ascending), error included.
struct transcript {
  std::vector<packet> packets;
  std::optional<decode_error> error;
  bool operator==(const transcript&) const = default;
};
inline transcript replay(decoder& under_test, bytes_view input, std::vector<std::size_t> cuts = {}) {
  transcript out;
  std::size_t from = 0;
  cuts.push_back(input.size());
  for (const auto cut : cuts) {
    under_test.append(input.subspan(from, cut - from));
    from = cut;
    while (!out.error) {
      auto one = under_test.next();
      if (auto* any = std::get_if<packet>(&one))
        out.packets.push_back(std::move(*any));
      else if (auto* why = std::get_if<decode_error>(&one))
        out.error = *why;
      else
        break;
    }
  }
  return out;
}

} // namespace signet::mqtt
