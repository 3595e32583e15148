#include "messages/mqtt/reader.hpp"
#include "messages/mqtt/tables.hpp"

#include <algorithm>
#include <limits>

namespace signet::mqtt {
namespace {

/// Bytes of a PUBLISH before its payload, as far as they can be told from `have`; nothing if more bytes are needed.
/// Never more than `remaining`: a field that claims more is refused when that much has arrived.
std::optional<std::size_t> publish_head_size(bytes_view have, std::size_t remaining, bool has_id, bool has_properties) {
  if (have.size() >= remaining)
    have = have.first(remaining);
  const auto known = [&](std::size_t size) -> std::optional<std::size_t> {
    if (size >= remaining)
      return have.size() >= remaining ? std::optional{remaining} : std::nullopt;
    return have.size() >= size ? std::optional{size} : std::nullopt;
  };
  if (have.size() < 2)
    return known(2);
  std::size_t size = 2u + read_u16(have.data()) + (has_id ? 2 : 0);
  if (!has_properties || size >= remaining)
    return known(size);
  // The length of the property list: up to four bytes of seven bits.
  std::size_t list = 0;
  for (unsigned shift = 0; shift < 28; shift += 7) {
    if (size >= have.size())
      return known(size + 1);
    const auto byte = have[size++];
    list |= static_cast<std::size_t>(byte & 0x7F) << shift;
    if ((byte & 0x80) == 0)
      break;
  }
  return known(size + list);
}

/// How much to reserve for a payload of which `have` bytes are there: what is claimed is not believed at once.
std::size_t reserve_for(std::size_t total, std::size_t have) {
  constexpr std::size_t trusted_bytes = 64 * 1024;
  return std::min(total, std::max(trusted_bytes, 2 * have));
}

} // namespace

limits limits::none() {
  constexpr auto all = std::numeric_limits<std::size_t>::max();
  return {packet_size_limit, all, all, all, all, all, all, 0xFFFF};
}

struct decoder::frame {
  packet_type type;
  std::uint8_t flags;
  bool long_length;       // the remaining length has more bytes than it needs
  std::size_t head_size;  // bytes of the fixed header
  std::size_t body_size;
  std::size_t total() const { return head_size + body_size; }
};

decoder::decoder(role peer, limits caps, std::optional<protocol_version> version)
  : peer_{peer}, caps_{caps}, version_{version} {}

void decoder::append(bytes_view input) {
  if (failed_ || input.empty())
    return;
  if (partial_ && partial_size_ < partial_total_) {
    auto& payload = partial_->payload;
    const auto missing = partial_total_ - partial_size_;
    const auto taken = input.first(std::min(missing, input.size()));
    if (payload.size() + taken.size() > payload.capacity())
      payload.reserve(reserve_for(payload.size() + missing, payload.size() + taken.size()));
    signet::append(payload, taken);
    partial_size_ += taken.size();
    input = input.subspan(taken.size());
    if (input.empty())
      return;
  }
  // Done bytes go when they are the larger part, so that each byte is moved once on average.
  if (head_ > pending_.size() / 2) {
    pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(head_));
    head_ = 0;
  }
  signet::append(pending_, input);
}

decoded decoder::next() {
  if (failed_)
    return *failed_;
  if (partial_) {
    if (partial_size_ < partial_total_)
      return need_more{};
    packet out{std::move(*partial_)};
    offset_ += partial_total_;
    partial_.reset();
    partial_size_ = partial_total_ = 0;
    return out;
  }
  auto read = read_frame();
  if (std::holds_alternative<need_more>(read))
    return need_more{};
  if (const auto* why = std::get_if<decode_error>(&read))
    return refuse(*why);
  const auto& what = std::get<frame>(read);
  if (what.type == packet_type::publish)
    return take_publish(what);
  if (pending_.size() - head_ < what.total())
    return need_more{};

  reader in{bytes_view{pending_}.subspan(head_ + what.head_size, what.body_size), offset_ + what.head_size};
  auto out = read_body(in, what.type, {peer_, caps_, version_, what.long_length});
  if (const auto& why = in.failed())
    return refuse({why->kind, why->code, std::nullopt, why->offset, why->what});
  if (what.type == packet_type::connect)
    connect_seen_ = true;
  drop(what.total());
  return out;
}

/// Judged byte by byte as they come: what can be refused is refused before anything else is waited for.
std::variant<need_more, decoder::frame, decode_error> decoder::read_frame() const {
  const auto have = bytes_view{pending_}.subspan(head_);
  if (have.empty())
    return need_more{};
  const auto wrong = [&](fault kind, reason_code code, std::size_t at, std::string_view what) {
    return decode_error{kind, code, std::nullopt, offset_ + at, what};
  };
  const auto malformed = [&](std::size_t at, std::string_view what) {
    return wrong(fault::malformed, reason_code::malformed_packet, at, what);
  };
  const auto forbidden = [&](std::string_view what) {
    return wrong(fault::protocol_error, reason_code::protocol_error, 0, what);
  };

  const auto number = have[0] >> 4;
  const auto flags = static_cast<std::uint8_t>(have[0] & 0x0F);
  if (number == 0)
    return malformed(0, "packet type 0");
  const auto type = static_cast<packet_type>(number);
  const auto& rule = rule_of(type);
  const bool v5 = version_ == protocol_version::v5;
  if (version_ == protocol_version::v311 && !rule.in_v311)
    return malformed(0, "a packet type that 3.1.1 does not have");
  if (type != packet_type::publish && flags != rule.flags)
    return malformed(0, "wrong flags in the fixed header");
  if (type == packet_type::publish && (flags & 0x06) == 0x06)
    return malformed(0, "QoS 3");
  if (type == packet_type::publish && (flags & 0x0E) == 0x08)
    return malformed(0, "DUP with QoS 0");
  if (!rule.sent_by(peer_) || (peer_ == role::server && type == packet_type::disconnect && !v5))
    return forbidden("a packet that only the other side may send");
  if (peer_ == role::client && !connect_seen_ && type != packet_type::connect)
    return forbidden("the first packet is not CONNECT");
  if (connect_seen_ && type == packet_type::connect)
    return forbidden("a second CONNECT");

  std::size_t length = 0;
  std::size_t size = 1;
  while (true) {
    if (size == have.size())
      return need_more{};
    const auto byte = have[size];
    length |= static_cast<std::size_t>(byte & 0x7F) << (7 * (size - 1));
    ++size;
    if ((byte & 0x80) == 0)
      break;
    if (size == 5)
      return malformed(1, "a remaining length has more than four bytes");
  }
  const bool long_length = size > 2 && have[size - 1] == 0;
  if (long_length && v5)
    return malformed(1, "a remaining length is longer than it need be");
  if (size + length > caps_.packet_size_max)
    return wrong(fault::too_large, reason_code::packet_too_large, 1, "the packet is too large");
  return frame{type, flags, long_length, size, length};
}

decoded decoder::take_publish(const frame& what) {
  const auto body = bytes_view{pending_}.subspan(head_ + what.head_size);
  const auto quality = static_cast<qos>(what.flags >> 1 & 3);
  const auto head_size = publish_head_size(body, what.body_size, quality != qos::at_most_once,
                                           version_ == protocol_version::v5);
  if (!head_size)
    return need_more{};
  publish out;
  out.dup = (what.flags & 8) != 0;
  out.quality = quality;
  out.retain = (what.flags & 1) != 0;
  reader in{body.first(*head_size), offset_ + what.head_size};
  read_publish_head(in, out, {peer_, caps_, version_, what.long_length});
  if (const auto& why = in.failed())
    return refuse({why->kind, why->code, std::nullopt, why->offset, why->what});

  const auto payload_size = what.body_size - *head_size;
  const auto arrived = body.subspan(*head_size, std::min(payload_size, body.size() - *head_size));
  if (arrived.size() < payload_size)
    out.payload.reserve(reserve_for(payload_size, arrived.size()));
  signet::append(out.payload, arrived);
  if (arrived.size() == payload_size) {
    drop(what.total());
    return packet{std::move(out)};
  }
  partial_ = std::make_unique<publish>(std::move(out));
  partial_size_ = what.head_size + *head_size + arrived.size();
  partial_total_ = what.total();
  bytes{}.swap(pending_);
  head_ = 0;
  return need_more{};
}

/// Decides whether, and in which form, the peer may be told; then the decoder is of no more use.
decoded decoder::refuse(decode_error why) {
  if (peer_ == role::server || version_ == protocol_version::v5) {
    if (version_ == protocol_version::v5)
      why.answer_as = version_;
  } else if (version_ && !connect_seen_) {
    // 3.1.1 has words for two things that can be wrong with a CONNECT.
    if (why.code == reason_code::unsupported_protocol_version || why.code == reason_code::client_identifier_not_valid)
      why.answer_as = version_;
  }
  failed_ = why;
  partial_.reset();
  partial_size_ = partial_total_ = 0;
  bytes{}.swap(pending_);
  head_ = 0;
  return why;
}

void decoder::drop(std::size_t count) {
  head_ += count;
  offset_ += count;
  if (head_ == pending_.size()) {
    bytes{}.swap(pending_);
    head_ = 0;
  }
}

} // namespace signet::mqtt
