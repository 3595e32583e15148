#include "actors/bridge/websocket.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <boost/beast/websocket/rfc6455.hpp>

#include <openssl/evp.h>

#include <algorithm>
#include <cstdio>
#include <ctime>

namespace signet::websocket {
namespace {

namespace beast = boost::beast;
namespace http = beast::http;

std::string base64(bytes_view raw) {
  std::string out(4 * ((raw.size() + 2) / 3) + 1, '\0');
  auto* into = reinterpret_cast<unsigned char*>(out.data());
  const auto size = EVP_EncodeBlock(into, raw.data(), static_cast<int>(raw.size()));
  out.resize(static_cast<std::size_t>(size));
  return out;
}

/// RFC 6455, 4.2.2: base64 of SHA-1 over the key and a fixed text. Proves nothing but that we speak WebSocket.
std::string accept_value(std::string_view key) {
  const auto text = std::string{key} + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  std::array<std::uint8_t, EVP_MAX_MD_SIZE> hash{};
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), hash.data(), &size, EVP_sha1(), nullptr);
  return base64({hash.data(), size});
}

/// 16 bytes in base64.
bool is_websocket_key(beast::string_view key) {
  const auto in_alphabet = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
  };
  return key.size() == 24 && key.ends_with("==") && std::all_of(key.begin(), key.end() - 2, in_alphabet);
}

answer refuse(unsigned status, std::string_view reason, std::string_view sentence, const std::string& date,
              std::string_view more_headers = {}) {
  auto body = std::string{sentence} + "\n";
  auto text = "HTTP/1.1 " + std::to_string(status) + " " + std::string{reason} + "\r\nDate: " + date
              + "\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: "
              + std::to_string(body.size()) + "\r\n" + std::string{more_headers} + "\r\n" + body;
  return {false, status, std::move(text)};
}

bool is_allowed_origin(beast::string_view origin, beast::string_view host, const std::vector<std::string>& allowed) {
  if (!allowed.empty())
    return std::any_of(allowed.begin(), allowed.end(),
                       [&](const auto& each) { return each == "*" || beast::iequals(origin, each); });
  const auto scheme_end = origin.find("://");
  return scheme_end != beast::string_view::npos && beast::iequals(origin.substr(scheme_end + 3), host);
}

bool has_mqtt(beast::string_view list) {
  // Subprotocol names are compared exactly; Beast's token_list::exists would ignore case.
  for (const auto& each : http::token_list{list})
    if (each == "mqtt")
      return true;
  return false;
}

constexpr std::uint8_t final_bit = 0x80, reserved_bits = 0x70, mask_bit = 0x80;
constexpr std::uint8_t continuation = 0x0, text = 0x1, binary = 0x2, close = 0x8, ping = 0x9, pong = 0xA;

} // namespace

std::optional<std::size_t> find_request_end(bytes_view input) {
  const auto at = as_text(input).find("\r\n\r\n");
  return at == std::string_view::npos ? std::nullopt : std::optional{at + 4};
}

answer too_large(const std::string& date) {
  return refuse(431, "Request Header Fields Too Large", "The request is above 8 KiB: send fewer or shorter headers.",
                date);
}

answer judge_request(bytes_view request, const std::vector<std::string>& origins, const std::string& date) {
  const auto bad = [&](std::string_view sentence) { return refuse(400, "Bad Request", sentence, date); };
  http::request_parser<http::empty_body> parser;
  parser.header_limit(static_cast<std::uint32_t>(request_bytes_max));
  boost::system::error_code problem;
  parser.put(boost::asio::buffer(request.data(), request.size()), problem);
  if (problem || !parser.is_header_done())
    return bad("This is no HTTP/1.1 request.");
  const auto& asked = parser.get();
  if (asked.method() != http::verb::get)
    return refuse(405, "Method Not Allowed", "Open a WebSocket here: GET with Upgrade: websocket.", date,
                  "Allow: GET\r\n");
  auto path = asked.target();
  path = path.substr(0, std::min(path.find('?'), path.size()));
  if (path != "/mqtt" && path != "/")
    return refuse(404, "Not Found", "MQTT over WebSocket is at /mqtt.", date);
  if (asked.version() != 11 || asked.count(http::field::host) != 1)
    return bad("HTTP/1.1 with one Host header is needed.");
  if (!http::token_list{asked[http::field::connection]}.exists("upgrade")
      || !http::token_list{asked[http::field::upgrade]}.exists("websocket"))
    return refuse(426, "Upgrade Required", "Open a WebSocket here, with the subprotocol mqtt.", date,
                  "Upgrade: websocket\r\n");
  if (asked[http::field::sec_websocket_version] != "13")
    return refuse(426, "Upgrade Required", "WebSocket version 13 is needed.", date,
                  "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n");
  if (asked.count(http::field::content_length) + asked.count(http::field::transfer_encoding) > 0)
    return bad("A WebSocket request has no body.");
  const auto key = asked[http::field::sec_websocket_key];
  if (asked.count(http::field::sec_websocket_key) != 1 || !is_websocket_key(key))
    return bad("Sec-WebSocket-Key must be 16 bytes in base64.");
  bool offers_mqtt = false;
  const auto offered = asked.equal_range(http::field::sec_websocket_protocol);
  for (auto each = offered.first; each != offered.second; ++each)
    offers_mqtt = offers_mqtt || has_mqtt(each->value());
  if (!offers_mqtt)
    return bad("Offer the WebSocket subprotocol mqtt.");
  const auto origin_count = asked.count(http::field::origin);
  if (origin_count > 1
      || (origin_count == 1 && !is_allowed_origin(asked[http::field::origin], asked[http::field::host], origins)))
    return refuse(403, "Forbidden", "Pages of this origin may not connect; the operator can add it to listen.origins.",
                  date);
  const std::string_view key_text{key.data(), key.size()};
  return {true, 101,
          "HTTP/1.1 101 Switching Protocols\r\nDate: " + date
            + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accept_value(key_text)
            + "\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"};
}

std::string http_date(std::uint64_t seconds_since_1970) {
  const auto seconds = static_cast<std::time_t>(seconds_since_1970);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  static constexpr const char* days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                           "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  // Not strftime: its names follow the locale.
  std::array<char, 64> out{};
  std::snprintf(out.data(), out.size(), "%s, %02d %s %04d %02d:%02d:%02d GMT", days[parts.tm_wday % 7], parts.tm_mday,
                months[parts.tm_mon % 12], parts.tm_year + 1900, parts.tm_hour, parts.tm_min, parts.tm_sec);
  return out.data();
}

bytes close_frame(close_code code) {
  bytes out{final_bit | close, 2};
  append_u16(out, static_cast<std::uint16_t>(code));
  return out;
}

std::size_t write_frame_head(std::uint8_t* end, std::size_t payload_bytes) {
  if (payload_bytes < 126) {
    end[-2] = final_bit | binary;
    end[-1] = static_cast<std::uint8_t>(payload_bytes);
    return 2;
  }
  const std::size_t length_bytes = payload_bytes <= 0xFFFF ? 2 : 8;
  auto rest = static_cast<std::uint64_t>(payload_bytes);
  for (std::size_t i = 1; i <= length_bytes; ++i, rest >>= 8)
    *(end - i) = static_cast<std::uint8_t>(rest);
  *(end - length_bytes - 1) = length_bytes == 2 ? 126 : 127;
  *(end - length_bytes - 2) = final_bit | binary;
  return length_bytes + 2;
}

frame_reader::outcome frame_reader::finish(outcome out, end what, close_code code) {
  ended_ = out.what = what;
  append(out.reply, close_frame(code));
  bytes{}.swap(control_);
  return out;
}

/// Judges the head; its bytes are all there. False: a violation.
bool frame_reader::open_frame() {
  const auto first = head_[0], second = head_[1];
  opcode_ = first & 0x0F;
  final_ = (first & final_bit) != 0;
  left_ = second & 0x7F;
  const std::size_t length_bytes = left_ == 126 ? 2 : left_ == 127 ? 8 : 0;
  if (length_bytes > 0) {
    left_ = 0;
    for (std::size_t i = 0; i < length_bytes; ++i)
      left_ = left_ << 8 | head_[2 + i];
    // The shortest form, and no 64th bit: RFC 6455, 5.2.
    if (left_ < (length_bytes == 2 ? 126u : 0x10000u) || left_ >> 63 != 0)
      return false;
  }
  std::copy_n(head_.begin() + 2 + static_cast<std::ptrdiff_t>(length_bytes), 4, mask_.begin());
  mask_at_ = 0;
  head_size_ = 0;
  in_payload_ = true;
  return true;
}

frame_reader::outcome frame_reader::read(std::span<std::uint8_t> data) {
  outcome out;
  if (ended_ != end::none) {
    out.what = ended_;
    return out;
  }
  std::size_t at = 0;
  while (true) {
    if (in_payload_) {
      const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(left_, data.size() - at));
      for (std::size_t i = 0; i < count; ++i)
        data[at + i] ^= mask_[(mask_at_ + i) & 3];
      mask_at_ = static_cast<std::uint8_t>((mask_at_ + count) & 3);
      const auto piece = data.subspan(at, count);
      if (is_control()) {
        append(control_, piece);
      } else {
        std::copy(piece.begin(), piece.end(), data.begin() + static_cast<std::ptrdiff_t>(out.payload_bytes));
        out.payload_bytes += count;
      }
      at += count;
      left_ -= count;
      if (left_ > 0)
        return out;
      in_payload_ = false;
      if (opcode_ == close) {
        // The answer carries no more than the code; its text is nobody's business.
        const bool lawful = control_.size() != 1;
        return finish(std::move(out), lawful ? end::closed : end::violation,
                      lawful ? close_code::normal : close_code::protocol_error);
      }
      if (is_control())
        close_control(out);
    }
    if (at == data.size())
      return out;
    head_[head_size_++] = data[at++];
    // What the first two bytes tell is judged before anything else is waited for.
    if (head_size_ == 1) {
      const auto opcode = head_[0] & 0x0F;
      const bool whole = (head_[0] & final_bit) != 0;
      if (opcode == text)
        return finish(std::move(out), end::text_frame, close_code::unacceptable);
      const bool data_frame = opcode == continuation || opcode == binary;
      const bool control_frame = opcode == close || opcode == ping || opcode == pong;
      if ((head_[0] & reserved_bits) != 0 || (!data_frame && !control_frame) || (control_frame && !whole)
          || (data_frame && (opcode == continuation) != in_message_))
        return finish(std::move(out), end::violation, close_code::protocol_error);
      if (data_frame)
        in_message_ = !whole;
      continue;
    }
    const auto length = head_[1] & 0x7F;
    if (head_size_ == 2) {
      const bool control_frame = (head_[0] & 0x08) != 0;
      if ((head_[1] & mask_bit) == 0 || (control_frame && length > 125))
        return finish(std::move(out), end::violation, close_code::protocol_error);
    }
    const std::size_t whole_head = 6u + (length == 126 ? 2u : length == 127 ? 8u : 0u);
    if (head_size_ == whole_head && !open_frame())
      return finish(std::move(out), end::violation, close_code::protocol_error);
  }
}

void frame_reader::close_control(outcome& out) {
  if (opcode_ == ping) {
    out.reply.push_back(final_bit | pong);
    out.reply.push_back(static_cast<std::uint8_t>(control_.size()));
    append(out.reply, control_);
  }
  bytes{}.swap(control_);
}

} // namespace signet::websocket
