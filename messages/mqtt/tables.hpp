#pragma once
// What MQTT allows, as two tables: packets (direction, version, flags, reason codes) and properties (type, range, where,
// how often). Decoder, encoder and tests read them; the rows stand in tables.cpp.

#include "messages/mqtt/packets.hpp"

#include <array>
#include <span>

namespace signet::mqtt {

/// A set of reason codes, written as in the standard's tables: "00 80-8A 8C".
class code_set {
public:
  constexpr code_set() = default;
  constexpr explicit code_set(std::string_view ranges) {
    for (std::size_t i = 0; i + 1 < ranges.size(); i += 3) {
      const unsigned first = byte_at(ranges, i);
      const bool is_range = i + 2 < ranges.size() && ranges[i + 2] == '-';
      if (is_range)
        i += 3;
      for (unsigned code = first, last = byte_at(ranges, i); code <= last; ++code)
        words_[code / 64] |= std::uint64_t{1} << code % 64;
    }
  }
  constexpr bool contains(reason_code code) const {
    const auto raw = static_cast<unsigned>(code);
    return (words_[raw / 64] >> raw % 64 & 1) != 0;
  }
  constexpr bool empty() const { return (words_[0] | words_[1] | words_[2] | words_[3]) == 0; }

private:
  static constexpr unsigned digit(char c) { return static_cast<unsigned>(c <= '9' ? c - '0' : c - 'A' + 10); }
  static constexpr unsigned byte_at(std::string_view text, std::size_t i) {
    return digit(text[i]) * 16 + digit(text[i + 1]);
  }
  std::array<std::uint64_t, 4> words_{};
};

struct packet_rule {
  packet_type type;
  std::string_view name;
  std::uint8_t flags;  ///< the lower half of the first byte; PUBLISH has its own
  bool client_sends;
  bool server_sends;
  bool in_v311;
  code_set client_codes;  ///< 5.0; empty: no reason code in it
  code_set server_codes;
  /// Loses its reason string and user properties rather than not being sent.
  bool sheds_diagnostics;

  bool sent_by(role who) const { return who == role::client ? client_sends : server_sends; }
  const code_set& codes(role who) const { return who == role::client ? client_codes : server_codes; }
};

/// `type` is 1…15.
const packet_rule& rule_of(packet_type type);

enum class property_kind : std::uint8_t { u8, u16, u32, varint, text, topic, binary, pair };

/// Where a property stands: bit n for the packet of type n, bit 0 for the will inside CONNECT.
using places = std::uint16_t;
inline constexpr places in_will = 1;
constexpr places in(packet_type type) { return static_cast<places>(1 << static_cast<unsigned>(type)); }

struct property_rule {
  property_id id;
  std::string_view name;
  property_kind kind;
  std::uint32_t min;  ///< of numbers
  std::uint32_t max;
  places client_places;
  places server_places;
  places client_repeats;  ///< where it may stand more than once
  places server_repeats;
  reason_code out_of_range;

  places sent_by(role who) const { return who == role::client ? client_places : server_places; }
  places repeats(role who) const { return who == role::client ? client_repeats : server_repeats; }
};

/// Nothing for a number that no property has.
const property_rule* find_rule(std::uint32_t property_number);
std::span<const property_rule> property_rules();

/// Return codes of CONNACK in 3.1.1, 0…5, as the reason codes that stand for them.
inline constexpr std::array<reason_code, 6> connack_codes_v311{
  reason_code::success,
  reason_code::unsupported_protocol_version,
  reason_code::client_identifier_not_valid,
  reason_code::server_unavailable,
  reason_code::bad_user_name_or_password,
  reason_code::not_authorized,
};
/// What SUBACK may say in 3.1.1.
inline constexpr code_set suback_codes_v311{"00-02 80"};

} // namespace signet::mqtt
