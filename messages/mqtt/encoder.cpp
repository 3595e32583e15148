// Each packet has one function that says its layout. It runs twice: over a `measure`, which judges and counts, and over
// a `writer`, which writes into memory of exactly that size. So nothing is copied twice, and nothing half-judged is
// written.

#include "messages/mqtt/codec.hpp"
#include "messages/mqtt/tables.hpp"
#include "messages/mqtt/topics.hpp"

#include <algorithm>
#include <cstring>

namespace signet::mqtt {
namespace {

constexpr std::size_t text_size_max = 0xFFFF;
constexpr std::size_t varint_max = 268'435'455;

constexpr std::size_t varint_size(std::size_t value) {
  return value < 128 ? 1 : value < 16'384 ? 2 : value < 2'097'152 ? 3 : 4;
}

/// Counts bytes; keeps the first thing that may not be.
class measure {
public:
  void require(bool good, const char* what) {
    if (!good && !wrong_)
      wrong_ = what;
  }
  void u8(std::uint8_t) { size_ += 1; }
  void u16(std::uint16_t) { size_ += 2; }
  void u32(std::uint32_t) { size_ += 4; }
  void varint(std::size_t value) {
    require(value <= varint_max, "a number above 268,435,455");
    size_ += varint_size(value);
  }
  void binary(bytes_view raw) {
    require(raw.size() <= text_size_max, "a field of more than 65,535 bytes");
    size_ += 2 + raw.size();
  }
  void text(std::string_view text) {
    require(is_text(text), "text that is not well-formed UTF-8, or holds a control or non-character");
    binary(as_bytes(text));
  }
  void topic(std::string_view topic) {
    require(is_topic_name(topic), "not a topic name");
    binary(as_bytes(topic));
  }
  void filter(std::string_view filter) {
    require(is_topic_filter(filter), "not a topic filter");
    binary(as_bytes(filter));
  }
  void raw(bytes_view raw) { size_ += raw.size(); }

  std::size_t size() const { return size_; }
  const char* wrong() const { return wrong_; }

private:
  std::size_t size_ = 0;
  const char* wrong_ = nullptr;
};

/// Writes what a `measure` found good, into memory of that size.
class writer {
public:
  explicit writer(std::uint8_t* at) : at_{at} {}
  void require(bool, const char*) {}
  void u8(std::uint8_t value) { *at_++ = value; }
  void u16(std::uint16_t value) {
    u8(static_cast<std::uint8_t>(value >> 8));
    u8(static_cast<std::uint8_t>(value));
  }
  void u32(std::uint32_t value) {
    u16(static_cast<std::uint16_t>(value >> 16));
    u16(static_cast<std::uint16_t>(value));
  }
  void varint(std::size_t value) {
    for (; value >= 128; value >>= 7)
      u8(static_cast<std::uint8_t>(value | 0x80));
    u8(static_cast<std::uint8_t>(value));
  }
  void binary(bytes_view raw_bytes) {
    u16(static_cast<std::uint16_t>(raw_bytes.size()));
    raw(raw_bytes);
  }
  void text(std::string_view text) { binary(as_bytes(text)); }
  void topic(std::string_view topic) { text(topic); }
  void filter(std::string_view filter) { text(filter); }
  void raw(bytes_view raw) {
    if (!raw.empty())
      std::memcpy(at_, raw.data(), raw.size());
    at_ += raw.size();
  }

private:
  std::uint8_t* at_;
};

/// What a packet is written under.
struct writing {
  role sender;
  protocol_version version;
  bool reason_string = true;    ///< false: left out
  bool user_properties = true;  ///< false: left out

  bool v5() const { return version == protocol_version::v5; }
  bool holds(const property& one) const {
    if (one.id == property_id::reason_string)
      return reason_string;
    return one.id != property_id::user_property || user_properties;
  }
  bool holds_any(const properties& list) const {
    return std::any_of(list.begin(), list.end(), [&](const property& one) { return holds(one); });
  }
};

template <class Sink>
void write_value(Sink& out, const property& one, const property_rule& rule) {
  if (const auto* number = std::get_if<std::uint32_t>(&one.value)) {
    out.require(*number >= rule.min && *number <= rule.max, "a property out of its range");
    switch (rule.kind) {
      case property_kind::u8: return out.u8(static_cast<std::uint8_t>(*number));
      case property_kind::u16: return out.u16(static_cast<std::uint16_t>(*number));
      case property_kind::u32: return out.u32(*number);
      case property_kind::varint: return out.varint(*number);
      default: return out.require(false, "a number in a property of another type");
    }
  }
  if (const auto* raw = std::get_if<bytes>(&one.value)) {
    out.require(rule.kind == property_kind::binary, "binary data in a property of another type");
    return out.binary(*raw);
  }
  if (const auto* pair = std::get_if<text_pair>(&one.value)) {
    out.require(rule.kind == property_kind::pair, "a pair of strings in a property of another type");
    out.text(pair->first);
    return out.text(pair->second);
  }
  const auto& text = std::get<std::string>(one.value);
  if (rule.kind == property_kind::topic)
    return out.topic(text);
  out.require(rule.kind == property_kind::text, "a string in a property of another type");
  out.text(text);
}

template <class Sink>
void write_list(Sink& out, const properties& list, places where, const writing& how) {
  std::uint64_t seen = 0;
  for (const auto& one : list) {
    if (!how.holds(one))
      continue;
    const auto* rule = find_rule(static_cast<std::uint32_t>(one.id));
    out.require(rule && (rule->sent_by(how.sender) & where) != 0, "a property that the packet may not hold");
    if (!rule)
      continue;
    const auto bit = std::uint64_t{1} << static_cast<unsigned>(one.id);
    out.require((seen & bit) == 0 || (rule->repeats(how.sender) & where) != 0, "a property twice");
    seen |= bit;
    out.u8(static_cast<std::uint8_t>(one.id));
    write_value(out, one, *rule);
  }
  out.require(!list.has(property_id::authentication_data) || list.has(property_id::authentication_method),
              "authentication data without an authentication method");
}

template <class Sink>
void write_properties(Sink& out, const properties& list, places where, const writing& how) {
  if (!how.v5())
    return out.require(!how.holds_any(list), "a property in a packet of 3.1.1");
  measure inner;
  write_list(inner, list, where, how);
  out.require(!inner.wrong(), inner.wrong());
  out.varint(inner.size());
  write_list(out, list, where, how);
}

template <class Sink>
void write_id(Sink& out, packet_id id) {
  out.require(id != 0, "packet identifier 0");
  out.u16(id);
}

template <class Sink>
void write_code(Sink& out, reason_code code, const code_set& allowed) {
  out.require(allowed.contains(code), "a reason code that the packet may not carry");
  out.u8(static_cast<std::uint8_t>(code));
}

/// As short as the standard lets it be.
template <class Sink>
void write_optional_code(Sink& out, packet_type type, reason_code code, const properties& list, const writing& how) {
  if (!how.v5()) {
    out.require(code == reason_code::success, "a reason code that 3.1.1 cannot say");
    return write_properties(out, list, in(type), how);
  }
  const bool has_properties = how.holds_any(list);
  if (has_properties || code != reason_code::success || !rule_of(type).codes(how.sender).contains(code))
    write_code(out, code, rule_of(type).codes(how.sender));
  if (has_properties)
    write_properties(out, list, in(type), how);
}

template <class Sink>
void write(Sink& out, const connect& what, const writing& how) {
  out.require(what.version == how.version, "a CONNECT of another version");
  out.text("MQTT");
  out.u8(static_cast<std::uint8_t>(what.version));
  unsigned flags = what.clean_start ? 0x02u : 0u;
  if (what.will)
    flags |= 0x04u | static_cast<unsigned>(what.will->quality) << 3 | (what.will->retain ? 0x20u : 0u);
  flags |= (what.password ? 0x40u : 0u) | (what.user_name ? 0x80u : 0u);
  out.u8(static_cast<std::uint8_t>(flags));
  out.u16(what.keep_alive_s);
  write_properties(out, what.props, in(packet_type::connect), how);
  out.require(how.v5() || !what.client_id.empty() || what.clean_start,
              "an empty client identifier without clean session");
  out.text(what.client_id);
  if (what.will) {
    out.require(what.will->quality <= qos::exactly_once, "QoS 3");
    write_properties(out, what.will->props, in_will, how);
    out.topic(what.will->topic);
    out.binary(what.will->payload);
  }
  out.require(how.v5() || what.user_name || !what.password, "a password without a user name");
  if (what.user_name)
    out.text(*what.user_name);
  if (what.password)
    out.binary(*what.password);
}

template <class Sink>
void write(Sink& out, const connack& what, const writing& how) {
  out.require(!what.session_present || what.code == reason_code::success, "session present beside a refusal");
  out.u8(what.session_present ? 1 : 0);
  if (how.v5()) {
    write_code(out, what.code, rule_of(packet_type::connack).server_codes);
  } else {
    const auto at = std::find(connack_codes_v311.begin(), connack_codes_v311.end(), what.code);
    out.require(at != connack_codes_v311.end(), "a reason code that 3.1.1 cannot say");
    out.u8(static_cast<std::uint8_t>(at - connack_codes_v311.begin()));
  }
  write_properties(out, what.props, in(packet_type::connack), how);
}

/// Everything but the payload.
template <class Sink>
void write(Sink& out, const publish& what, const writing& how) {
  out.require(what.quality <= qos::exactly_once, "QoS 3");
  out.require(!what.dup || what.quality != qos::at_most_once, "DUP with QoS 0");
  const bool by_alias = how.v5() && what.topic.empty() && what.props.has(property_id::topic_alias);
  if (by_alias)
    out.u16(0);
  else
    out.topic(what.topic);
  if (what.quality != qos::at_most_once)
    write_id(out, what.id);
  else
    out.require(what.id == 0, "a packet identifier with QoS 0");
  write_properties(out, what.props, in(packet_type::publish), how);
}

template <class Sink, packet_type Type>
void write(Sink& out, const ack<Type>& what, const writing& how) {
  write_id(out, what.id);
  write_optional_code(out, Type, what.code, what.props, how);
}

template <class Sink>
void write(Sink& out, const subscribe& what, const writing& how) {
  write_id(out, what.id);
  write_properties(out, what.props, in(packet_type::subscribe), how);
  out.require(!what.filters.empty(), "no topic filter");
  for (const auto& one : what.filters) {
    out.filter(one.filter);
    const auto quality = static_cast<unsigned>(one.quality_max);
    const auto retained = static_cast<unsigned>(one.retained);
    const auto options = quality | (one.no_local ? 4u : 0u) | (one.retain_as_published ? 8u : 0u) | retained << 4;
    out.require(quality <= 2 && retained <= 2, "a subscription option out of its range");
    out.require(how.v5() || options == quality, "subscription options that 3.1.1 does not have");
    out.require(!one.no_local || !is_shared(one.filter), "No Local on a shared subscription");
    out.u8(static_cast<std::uint8_t>(options));
  }
}

template <class Sink>
void write_codes(Sink& out, const std::vector<reason_code>& codes, const code_set& allowed) {
  out.require(!codes.empty(), "no reason code");
  for (const auto code : codes)
    write_code(out, code, allowed);
}

template <class Sink>
void write(Sink& out, const suback& what, const writing& how) {
  write_id(out, what.id);
  write_properties(out, what.props, in(packet_type::suback), how);
  write_codes(out, what.codes, how.v5() ? rule_of(packet_type::suback).server_codes : suback_codes_v311);
}

template <class Sink>
void write(Sink& out, const unsubscribe& what, const writing& how) {
  write_id(out, what.id);
  write_properties(out, what.props, in(packet_type::unsubscribe), how);
  out.require(!what.filters.empty(), "no topic filter");
  for (const auto& one : what.filters)
    out.filter(one);
}

template <class Sink>
void write(Sink& out, const unsuback& what, const writing& how) {
  write_id(out, what.id);
  write_properties(out, what.props, in(packet_type::unsuback), how);
  if (how.v5())
    write_codes(out, what.codes, rule_of(packet_type::unsuback).server_codes);
  else
    out.require(what.codes.empty(), "reason codes that 3.1.1 cannot say");
}

template <class Sink>
void write(Sink&, const pingreq&, const writing&) {}
template <class Sink>
void write(Sink&, const pingresp&, const writing&) {}

template <class Sink>
void write(Sink& out, const disconnect& what, const writing& how) {
  out.require(how.v5() || how.sender == role::client, "a DISCONNECT from a server in 3.1.1");
  write_optional_code(out, packet_type::disconnect, what.code, what.props, how);
}

template <class Sink>
void write(Sink& out, const auth& what, const writing& how) {
  out.require(what.props.has(property_id::authentication_method), "AUTH without an authentication method");
  write_optional_code(out, packet_type::auth, what.code, what.props, how);
}

std::uint8_t first_byte(packet_type type, std::uint8_t flags) {
  return static_cast<std::uint8_t>(static_cast<unsigned>(type) << 4 | flags);
}
template <class Packet>
std::uint8_t first_byte(const Packet&) {
  return first_byte(Packet::type, rule_of(Packet::type).flags);
}
std::uint8_t first_byte(const publish& what) {
  const auto flags = (what.dup ? 8u : 0u) | static_cast<unsigned>(what.quality) << 1 | (what.retain ? 1u : 0u);
  return first_byte(publish::type, static_cast<std::uint8_t>(flags));
}

template <class Packet>
bytes_view payload_of(const Packet&) {
  return {};
}
bytes_view payload_of(const publish& what) { return what.payload; }

/// Measured and found good: `body_size` bytes follow the fixed header.
struct plan {
  writing how;
  std::size_t body_size;
  std::size_t total() const { return 1 + varint_size(body_size) + body_size; }
};

tl::unexpected<error> refuse(packet_type type, ec code, const char* what) {
  return fail(code, std::string{name(type)} + ": " + what);
}

template <class Packet>
result<plan> plan_for(const Packet& what, writing how, std::size_t packet_size_max) {
  const auto& rule = rule_of(Packet::type);
  if (!rule.sent_by(how.sender) || !(rule.in_v311 || how.v5()))
    return refuse(Packet::type, ec::malformed, "not a packet of this side and version");
  if (!how.v5() && rule.sheds_diagnostics)
    how.reason_string = how.user_properties = false;
  while (true) {
    measure size;
    write(size, what, how);
    if (size.wrong())
      return refuse(Packet::type, ec::malformed, size.wrong());
    const plan out{how, size.size() + payload_of(what).size()};
    if (out.body_size <= varint_max && out.total() <= packet_size_max)
      return out;
    if (!rule.sheds_diagnostics || !how.user_properties)
      return refuse(Packet::type, ec::too_large, "larger than the peer takes");
    if (how.reason_string)
      how.reason_string = false;
    else
      how.user_properties = false;
  }
}

template <class Packet>
status append_packet(bytes& out, const Packet& what, const writing& how, std::size_t packet_size_max) {
  const auto plan = plan_for(what, how, packet_size_max);
  if (!plan)
    return tl::make_unexpected(plan.error());
  // The payload of a PUBLISH is appended, not written into memory that was cleared for it.
  const auto payload = payload_of(what);
  const auto start = out.size();
  if (const auto size = start + plan->total(); size > out.capacity())
    out.reserve(std::max(size, 2 * out.capacity()));
  out.resize(start + plan->total() - payload.size());
  writer sink{out.data() + start};
  sink.u8(first_byte(what));
  sink.varint(plan->body_size);
  write(sink, what, plan->how);
  append(out, payload);
  return {};
}

} // namespace

status encode_to(bytes& out, const packet& any, role sender, protocol_version version, std::size_t packet_size_max) {
  return std::visit(
    [&](const auto& what) { return append_packet(out, what, writing{sender, version}, packet_size_max); }, any);
}

result<bytes> encode(const packet& any, role sender, protocol_version version, std::size_t packet_size_max) {
  bytes out;
  return encode_to(out, any, sender, version, packet_size_max).map([&] { return std::move(out); });
}

result<bytes> encode_publish_head(const publish& head, std::size_t payload_size, role sender, protocol_version version,
                                  std::size_t packet_size_max) {
  const writing how{sender, version};
  measure size;
  write(size, head, how);
  if (size.wrong())
    return refuse(publish::type, ec::malformed, size.wrong());
  if (payload_size > varint_max - std::min(size.size(), varint_max))
    return refuse(publish::type, ec::too_large, "larger than the protocol can say");
  const plan whole{how, size.size() + payload_size};
  if (whole.total() > packet_size_max)
    return refuse(publish::type, ec::too_large, "larger than the peer takes");
  bytes out(whole.total() - payload_size);
  writer sink{out.data()};
  sink.u8(first_byte(head));
  sink.varint(whole.body_size);
  write(sink, head, how);
  return out;
}

void withhold_problem_information(packet& any) {
  const auto& rule = rule_of(type_of(any));
  if (!rule.sheds_diagnostics || rule.type == packet_type::connack || rule.type == packet_type::disconnect)
    return;
  std::visit(
    [](auto& what) {
      if constexpr (requires { what.props; }) {
        what.props.remove(property_id::reason_string);
        what.props.remove(property_id::user_property);
      }
    },
    any);
}

} // namespace signet::mqtt
