#pragma once
// Inside the codec: reads the fields of one packet. The first thing wrong is kept; everything read after it is empty.

#include "messages/mqtt/codec.hpp"
#include "messages/mqtt/topics.hpp"

namespace signet::mqtt {

struct refusal {
  fault kind;
  reason_code code;
  std::uint64_t offset;
  std::string_view what;
};

class reader {
public:
  /// `offset` is that of body[0] in the stream. `body` must outlive the reader.
  reader(bytes_view body, std::uint64_t offset) : body_{body}, end_{body.size()}, offset_{offset} {}

  bool ok() const { return !failed_; }
  const std::optional<refusal>& failed() const { return failed_; }
  std::size_t at() const { return at_; }
  std::size_t left() const { return end_ - at_; }

  void malformed(std::size_t at, std::string_view what) { fail(at, fault::malformed, reason_code::malformed_packet, what); }
  void forbidden(std::size_t at, std::string_view what) {
    fail(at, fault::protocol_error, reason_code::protocol_error, what);
  }
  /// The first refusal stands; from then on nothing is left to read.
  void fail(std::size_t at, fault kind, reason_code code, std::string_view what) {
    if (!failed_)
      failed_ = refusal{kind, code, offset_ + at, what};
    at_ = end_;
  }

  std::uint8_t u8() { return static_cast<std::uint8_t>(integer(1)); }
  std::uint16_t u16() { return static_cast<std::uint16_t>(integer(2)); }
  std::uint32_t u32() { return integer(4); }
  std::uint32_t varint() {
    const auto start = at_;
    std::uint32_t value = 0;
    for (unsigned shift = 0; shift < 28; shift += 7) {
      const auto byte = u8();
      if (!ok())
        return 0;
      value |= static_cast<std::uint32_t>(byte & 0x7F) << shift;
      if ((byte & 0x80) != 0)
        continue;
      if (byte == 0 && shift > 0)
        malformed(start, "a variable byte integer is longer than it need be");
      return ok() ? value : 0;
    }
    malformed(start, "a variable byte integer has more than four bytes");
    return 0;
  }
  /// What follows a u16 length; lives as long as the body.
  bytes_view binary() {
    const auto size = u16();
    if (size > left()) {
      malformed(at_, field_beyond_end);
      return {};
    }
    return take(size);
  }
  /// Checked text; lives as long as the body.
  std::string_view text() {
    const auto start = at_;
    const auto raw = as_text(binary());
    if (ok() && !is_text(raw))
      malformed(start, "a string is not well-formed UTF-8, or holds a control or non-character");
    return ok() ? raw : std::string_view{};
  }
  bytes_view rest() { return take(left()); }

  /// Narrows reading to the next `size` (≤ left()) bytes; widen() with the returned value afterwards.
  std::size_t narrow(std::size_t size) { return std::exchange(end_, at_ + size); }
  void widen(std::size_t end) {
    end_ = end;
    if (!ok())
      at_ = end_;
  }

private:
  static constexpr std::string_view field_beyond_end = "a field runs beyond the end of its packet or property list";

  bytes_view take(std::size_t size) { return body_.subspan(std::exchange(at_, at_ + size), size); }
  std::uint32_t integer(std::size_t size) {
    if (size > left()) {
      malformed(at_, field_beyond_end);
      return 0;
    }
    std::uint32_t value = 0;
    for (const auto byte : take(size))
      value = value << 8 | byte;
    return value;
  }

  bytes_view body_;
  std::size_t at_ = 0;
  std::size_t end_;
  std::uint64_t offset_;
  std::optional<refusal> failed_;
};

/// What a body is read under.
struct reading {
  role sender;
  const limits& caps;
  /// Set by CONNECT as soon as it has read the level.
  std::optional<protocol_version>& version;
  /// The remaining length had more bytes than it needs: CONNECT judges it once the version is known.
  bool long_length = false;

  bool v5() const { return version == protocol_version::v5; }
};

/// The body of any packet but PUBLISH, to its last byte. When `in` has failed, the packet means nothing.
packet read_body(reader& in, packet_type type, const reading& how);

/// The body of a PUBLISH up to its payload. `into` already holds what the first byte says.
void read_publish_head(reader& in, publish& into, const reading& how);

} // namespace signet::mqtt
