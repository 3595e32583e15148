#include "messages/mqtt/reader.hpp"

#include "messages/mqtt/tables.hpp"

namespace signet::mqtt {
namespace {

/// The properties of one packet: its own list and, in CONNECT, that of the will, which share the caps.
class property_lists {
public:
  property_lists(reader& in, const reading& how) : in_{in}, how_{how} {}

  /// The list that stands next, length first. 3.1.1 has none.
  properties read(places where) {
    properties list;
    if (!how_.v5())
      return list;
    const auto start = in_.at();
    const auto size = in_.varint();
    if (size > in_.left()) {
      in_.malformed(start, "a property list runs beyond the end of its packet");
      return list;
    }
    bytes_ += size;
    if (bytes_ > how_.caps.property_bytes_max) {
      in_.fail(start, fault::too_large, reason_code::packet_too_large, "the properties have too many bytes");
      return list;
    }
    const auto end = in_.narrow(size);
    std::uint64_t seen = 0;
    while (in_.ok() && in_.left() > 0)
      read_one(where, seen, list);
    in_.widen(end);
    if (in_.ok() && list.has(property_id::authentication_data) && !list.has(property_id::authentication_method))
      in_.forbidden(start, "authentication data without an authentication method");
    return list;
  }

private:
  void read_one(places where, std::uint64_t& seen, properties& list) {
    const auto start = in_.at();
    const auto number = in_.varint();
    if (!in_.ok())
      return;
    const auto* rule = find_rule(number);
    if (!rule)
      return in_.malformed(start, "an unknown property");
    if (((rule->client_places | rule->server_places) & where) == 0)
      return in_.malformed(start, "a property that its packet may not hold");
    if ((rule->sent_by(how_.sender) & where) == 0)
      return in_.forbidden(start, "a property that only the other side may send in that packet");
    const auto bit = std::uint64_t{1} << number;
    if ((seen & bit) != 0 && (rule->repeats(how_.sender) & where) == 0)
      return in_.forbidden(start, "a property stands twice");
    seen |= bit;
    if (++count_ > how_.caps.properties_max)
      return in_.fail(start, fault::too_large, reason_code::quota_exceeded, "too many properties");
    auto value = read_value(*rule, start);
    if (in_.ok())
      list.add(property{rule->id, std::move(value)});
  }

  property_value read_value(const property_rule& rule, std::size_t start) {
    switch (rule.kind) {
      case property_kind::u8: return number(in_.u8(), rule, start);
      case property_kind::u16: return number(in_.u16(), rule, start);
      case property_kind::u32: return number(in_.u32(), rule, start);
      case property_kind::varint: return number(in_.varint(), rule, start);
      case property_kind::text: return std::string{in_.text()};
      case property_kind::topic: {
        const auto topic = in_.text();
        if (in_.ok() && !is_topic_name(topic))
          in_.forbidden(start, "a response topic is empty or holds a wildcard");
        return std::string{topic};
      }
      case property_kind::binary: return to_bytes(in_.binary());
      case property_kind::pair: {
        std::string key{in_.text()};
        std::string value{in_.text()};
        return text_pair{std::move(key), std::move(value)};
      }
    }
    return {};
  }

  std::uint32_t number(std::uint32_t value, const property_rule& rule, std::size_t start) {
    const bool beyond_alias_maximum = rule.id == property_id::topic_alias && value > how_.caps.topic_alias_max;
    if (in_.ok() && (value < rule.min || value > rule.max || beyond_alias_maximum))
      in_.fail(start, fault::protocol_error, rule.out_of_range, "a property is out of its range");
    return value;
  }

  reader& in_;
  const reading& how_;
  std::size_t bytes_ = 0;
  std::size_t count_ = 0;
};

properties read_properties(reader& in, packet_type type, const reading& how) {
  return property_lists{in, how}.read(mqtt::in(type));
}

packet_id read_id(reader& in) {
  const auto start = in.at();
  const auto id = in.u16();
  if (in.ok() && id == 0)
    in.forbidden(start, "packet identifier 0");
  return id;
}

reason_code read_code(reader& in, const code_set& allowed) {
  const auto start = in.at();
  const auto code = static_cast<reason_code>(in.u8());
  if (in.ok() && !allowed.contains(code))
    in.forbidden(start, "a reason code that its packet may not carry from that side");
  return code;
}

void check_size_and_depth(reader& in, std::size_t start, std::string_view topic, reason_code code, const limits& caps) {
  if (topic.size() > caps.topic_size_max)
    in.fail(start, fault::too_large, code, "a topic name or filter is too long");
  else if (depth(topic) > caps.topic_depth_max)
    in.fail(start, fault::too_large, code, "a topic name or filter has too many levels");
}

/// Not checked for being empty.
std::string_view read_topic(reader& in, const reading& how) {
  const auto start = in.at();
  const auto topic = in.text();
  if (!in.ok() || topic.empty())
    return topic;
  if (has_wildcard(topic))
    in.fail(start, fault::malformed, reason_code::topic_name_invalid, "a wildcard in a topic name");
  check_size_and_depth(in, start, topic, reason_code::topic_name_invalid, how.caps);
  return topic;
}

std::string_view read_filter(reader& in, const reading& how) {
  const auto start = in.at();
  const auto filter = in.text();
  if (!in.ok())
    return filter;
  check_size_and_depth(in, start, filter, reason_code::topic_filter_invalid, how.caps);
  if (in.ok() && !is_topic_filter(filter))
    in.fail(start, fault::malformed, reason_code::topic_filter_invalid, "not a topic filter");
  return filter;
}

// CONNECT

constexpr std::uint8_t flag_reserved = 0x01, flag_clean = 0x02, flag_will = 0x04, flags_will_qos = 0x18,
                       flag_will_retain = 0x20, flag_password = 0x40, flag_user_name = 0x80;

/// Sets the version, or refuses in the form in which the peer can understand it.
void read_protocol(reader& in, const reading& how) {
  const auto start = in.at();
  const auto name = as_text(in.binary());
  const auto level_at = in.at();
  const auto level = in.u8();
  if (!in.ok())
    return;
  const auto unsupported = [&](std::size_t at, std::string_view what) {
    in.fail(at, fault::unsupported_version, reason_code::unsupported_protocol_version, what);
  };
  const bool is_old = name == "MQIsdp" && level < 5;
  if (name != "MQTT" && !is_old)
    return unsupported(start, "another protocol than MQTT");
  if (is_old || level < 4)
    how.version = protocol_version::v311;
  else
    how.version = level == 4 ? protocol_version::v311 : protocol_version::v5;
  if (is_old || level < 4 || level > 5)
    return unsupported(level_at, "a protocol level other than 4 (3.1.1) and 5 (5.0)");
}

void check_connect_flags(reader& in, std::size_t at, std::uint8_t flags, const reading& how) {
  const auto will_qos = (flags & flags_will_qos) >> 3;
  if ((flags & flag_reserved) != 0)
    in.malformed(at, "the reserved flag of CONNECT is set");
  else if ((flags & flag_will) == 0 && (flags & (flags_will_qos | flag_will_retain)) != 0)
    in.malformed(at, "will QoS or will retain without a will");
  else if (will_qos == 3)
    in.malformed(at, "will QoS 3");
  else if (!how.v5() && (flags & flag_password) != 0 && (flags & flag_user_name) == 0)
    in.malformed(at, "a password without a user name");
}

void read(reader& in, connect& into, const reading& how) {
  read_protocol(in, how);
  if (!in.ok())
    return;
  into.version = *how.version;
  if (how.v5() && how.long_length)
    return in.malformed(0, "a remaining length is longer than it need be");
  const auto flags_at = in.at();
  const auto flags = in.u8();
  check_connect_flags(in, flags_at, flags, how);
  into.clean_start = (flags & flag_clean) != 0;
  into.keep_alive_s = in.u16();
  property_lists lists{in, how};
  into.props = lists.read(mqtt::in(packet_type::connect));

  const auto id_at = in.at();
  const auto client_id = in.text();
  if (in.ok() && client_id.size() > how.caps.client_id_size_max)
    in.fail(id_at, fault::too_large, reason_code::client_identifier_not_valid, "the client identifier is too long");
  if (in.ok() && client_id.empty() && !how.v5() && !into.clean_start)
    in.fail(id_at, fault::protocol_error, reason_code::client_identifier_not_valid,
            "an empty client identifier without clean session");
  into.client_id = client_id;

  if (in.ok() && (flags & flag_will) != 0) {
    auto& will = into.will.emplace();
    will.quality = static_cast<qos>((flags & flags_will_qos) >> 3);
    will.retain = (flags & flag_will_retain) != 0;
    will.props = lists.read(in_will);
    const auto topic_at = in.at();
    will.topic = read_topic(in, how);
    if (in.ok() && will.topic.empty())
      in.fail(topic_at, fault::malformed, reason_code::topic_name_invalid, "an empty will topic");
    will.payload = to_bytes(in.binary());
  }
  if (in.ok() && (flags & flag_user_name) != 0)
    into.user_name = in.text();
  if (in.ok() && (flags & flag_password) != 0)
    into.password = to_bytes(in.binary());
}

// The others, in the order of their numbers

void read(reader& in, connack& into, const reading& how) {
  const auto start = in.at();
  const auto flags = in.u8();
  if ((flags & 0xFE) != 0)
    in.malformed(start, "a reserved flag of CONNACK is set");
  into.session_present = (flags & 1) != 0;
  if (how.v5()) {
    into.code = read_code(in, rule_of(packet_type::connack).server_codes);
  } else {
    const auto code = in.u8();
    if (code < connack_codes_v311.size())
      into.code = connack_codes_v311[code];
    else
      in.forbidden(start + 1, "a reserved return code");
  }
  if (in.ok() && into.session_present && into.code != reason_code::success)
    in.forbidden(start, "session present beside a refusal");
  into.props = read_properties(in, packet_type::connack, how);
}

/// Code and properties at the end of a packet, which 5.0 lets be left out.
void read_optional_code(reader& in, packet_type type, const reading& how, reason_code& code, properties& props) {
  if (!how.v5())
    return;
  if (in.left() > 0)
    code = read_code(in, rule_of(type).codes(how.sender));
  if (in.left() > 0)
    props = read_properties(in, type, how);
}

template <packet_type Type>
void read(reader& in, ack<Type>& into, const reading& how) {
  into.id = read_id(in);
  read_optional_code(in, Type, how, into.code, into.props);
}

/// Whether there is one more filter, or none, or one too many.
bool another_filter(reader& in, std::size_t count, const reading& how) {
  if (in.ok() && in.left() == 0 && count == 0)
    in.forbidden(in.at(), "no topic filter");
  if (in.ok() && in.left() > 0 && count == how.caps.filters_max)
    in.fail(in.at(), fault::too_large, reason_code::quota_exceeded, "too many topic filters");
  return in.left() > 0;
}

void read(reader& in, subscribe& into, const reading& how) {
  into.id = read_id(in);
  into.props = read_properties(in, packet_type::subscribe, how);
  while (another_filter(in, into.filters.size(), how)) {
    subscription one;
    one.filter = read_filter(in, how);
    const auto at = in.at();
    const auto options = in.u8();
    const auto quality = options & 3;
    const auto retained = options >> 4 & 3;
    if (quality == 3 || retained == 3 || (options & (how.v5() ? 0xC0 : 0xFC)) != 0)
      in.malformed(at, "subscription options with reserved bits or values");
    one.quality_max = static_cast<qos>(quality);
    one.no_local = (options & 4) != 0;
    one.retain_as_published = (options & 8) != 0;
    one.retained = static_cast<retain_handling>(retained);
    if (in.ok() && one.no_local && is_shared(one.filter))
      in.forbidden(at, "No Local on a shared subscription");
    if (in.ok())
      into.filters.push_back(std::move(one));
  }
}

void read_codes(reader& in, std::vector<reason_code>& codes, const code_set& allowed) {
  if (in.ok() && in.left() == 0)
    in.malformed(in.at(), "no reason code");
  codes.reserve(in.left());
  while (in.ok() && in.left() > 0)
    codes.push_back(read_code(in, allowed));
}

void read(reader& in, suback& into, const reading& how) {
  into.id = read_id(in);
  into.props = read_properties(in, packet_type::suback, how);
  read_codes(in, into.codes, how.v5() ? rule_of(packet_type::suback).server_codes : suback_codes_v311);
}

void read(reader& in, unsubscribe& into, const reading& how) {
  into.id = read_id(in);
  into.props = read_properties(in, packet_type::unsubscribe, how);
  while (another_filter(in, into.filters.size(), how)) {
    const auto filter = read_filter(in, how);
    if (in.ok())
      into.filters.emplace_back(filter);
  }
}

void read(reader& in, unsuback& into, const reading& how) {
  into.id = read_id(in);
  into.props = read_properties(in, packet_type::unsuback, how);
  if (how.v5())
    read_codes(in, into.codes, rule_of(packet_type::unsuback).server_codes);
}

void read(reader&, pingreq&, const reading&) {}
void read(reader&, pingresp&, const reading&) {}

void read(reader& in, disconnect& into, const reading& how) {
  read_optional_code(in, packet_type::disconnect, how, into.code, into.props);
}

void read(reader& in, auth& into, const reading& how) {
  read_optional_code(in, packet_type::auth, how, into.code, into.props);
  // Length 0 means success, which only a server may say, and never without the method.
  if (in.ok() && !rule_of(packet_type::auth).codes(how.sender).contains(into.code))
    in.forbidden(0, "a reason code that its packet may not carry from that side");
  if (in.ok() && !into.props.has(property_id::authentication_method))
    in.forbidden(in.at(), "AUTH without an authentication method");
}

template <class Packet>
packet read_whole(reader& in, const reading& how) {
  Packet out;
  read(in, out, how);
  if (in.ok() && in.left() > 0)
    in.malformed(in.at(), "bytes are left over at the end of a packet");
  return out;
}

} // namespace

packet read_body(reader& in, packet_type type, const reading& how) {
  switch (type) {
    case packet_type::connect: return read_whole<connect>(in, how);
    case packet_type::connack: return read_whole<connack>(in, how);
    case packet_type::puback: return read_whole<puback>(in, how);
    case packet_type::pubrec: return read_whole<pubrec>(in, how);
    case packet_type::pubrel: return read_whole<pubrel>(in, how);
    case packet_type::pubcomp: return read_whole<pubcomp>(in, how);
    case packet_type::subscribe: return read_whole<subscribe>(in, how);
    case packet_type::suback: return read_whole<suback>(in, how);
    case packet_type::unsubscribe: return read_whole<unsubscribe>(in, how);
    case packet_type::unsuback: return read_whole<unsuback>(in, how);
    case packet_type::pingreq: return read_whole<pingreq>(in, how);
    case packet_type::pingresp: return read_whole<pingresp>(in, how);
    case packet_type::disconnect: return read_whole<disconnect>(in, how);
    case packet_type::auth: return read_whole<auth>(in, how);
    case packet_type::publish: break;  // its payload is not read but moved: decoder.cpp
  }
  in.malformed(0, "packet type 0");
  return pingreq{};
}

void read_publish_head(reader& in, publish& into, const reading& how) {
  const auto topic_at = in.at();
  into.topic = read_topic(in, how);
  if (into.quality != qos::at_most_once)
    into.id = read_id(in);
  into.props = read_properties(in, packet_type::publish, how);
  if (!in.ok() || !into.topic.empty())
    return;
  if (!how.v5())
    in.fail(topic_at, fault::malformed, reason_code::topic_name_invalid, "an empty topic name");
  else if (!into.props.has(property_id::topic_alias))
    in.forbidden(topic_at, "an empty topic name without a topic alias");
}

} // namespace signet::mqtt
