// Our half of the differential test against the npm package mqtt-packet; see README.md.
//
//   mqtt_differential emit COUNT SEED   one JSON line per packet: what we meant and the bytes we made of it, or damaged
//                                       bytes and what we made of them
//   mqtt_differential check             reads lines with bytes that the other side made, and compares

#include "tests/support/mqtt_json.hpp"
#include "tests/support/mqtt_random.hpp"

#include <algorithm>
#include <iostream>
#include <random>

namespace {

using namespace signet;
using namespace signet::mqtt;

connect hello(protocol_version version) {
  connect out;
  out.version = version;
  out.client_id = "c";
  return out;
}

/// A fresh connection, past its CONNECT unless `input` is one.
decoded decode_one(bytes_view input, role sender, protocol_version version) {
  decoder d{sender, limits::none(), sender == role::server ? std::optional{version} : std::nullopt};
  if (sender == role::client && !(input.size() > 0 && input[0] >> 4 == 1)) {
    d.append(encode(hello(version), sender, version).value());
    (void)d.next();
  }
  d.append(input);
  return d.next();
}

/// One packet's bytes, if its length is there: a stream parser of the other side looks beyond the end.
bytes first_packet(bytes input) {
  std::size_t length = 0;
  for (std::size_t i = 1; i < input.size() && i < 5; ++i) {
    length |= static_cast<std::size_t>(input[i] & 0x7F) << (7 * (i - 1));
    if ((input[i] & 0x80) == 0) {
      input.resize(std::min(input.size(), i + 1 + length));
      break;
    }
  }
  return input;
}

bytes damage(bytes wire, std::mt19937_64& random) {
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  static constexpr std::uint8_t sharp[] = {0x00, 0x01, 0x02, 0x03, 0x26, 0x7F, 0x80, 0xFF, '#', '+', '/'};
  for (auto left = 1 + below(2); left > 0; --left) {
    const auto at = below(wire.size());
    switch (below(5)) {
      case 0: wire[at] = static_cast<std::uint8_t>(random()); break;
      case 1: wire[at] = sharp[below(std::size(sharp))]; break;
      case 2: wire[at] = static_cast<std::uint8_t>(wire[at] ^ 1u << below(8)); break;
      case 3: wire[at] = static_cast<std::uint8_t>(wire[at] + (below(2) == 0 ? 1 : -1)); break;
      case 4:
        wire.insert(wire.begin() + static_cast<std::ptrdiff_t>(at), sharp[below(std::size(sharp))]);
        // Keep the length true, so that what is inside is judged.
        if (wire.size() > 2 && wire[1] < 0x7F)
          wire[1] = static_cast<std::uint8_t>(wire[1] + 1);
        break;
    }
  }
  return first_packet(wire);
}

int emit(std::uint64_t count, std::uint64_t seed) {
  std::mt19937_64 random{seed};
  const auto pick = [&](std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); };
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto sender = pick(2) == 0 ? role::client : role::server;
    const auto version = pick(3) == 0 ? protocol_version::v311 : protocol_version::v5;
    random_packets packets{pick, sender, version};
    const packet meant = sender == role::client && pick(6) == 0 ? packet{packets.make_connect()} : packets.next();
    const auto wire = encode(meant, sender, version);
    if (!wire) {
      std::cerr << "not encoded: " << wire.error().context << ": " << to_json(meant) << "\n";
      return 1;
    }
    json line{{"version", static_cast<int>(version)}, {"from", sender == role::client ? "client" : "server"}};
    if (i % 2 == 0) {
      line["kind"] = "good";
      line["hex"] = to_hex(*wire);
      line["packet"] = to_json(meant);
    } else {
      const auto bad = damage(*wire, random);
      line["kind"] = "damaged";
      line["hex"] = to_hex(bad);
      const auto got = decode_one(bad, sender, version);
      if (const auto* any = std::get_if<packet>(&got))
        line["packet"] = to_json(*any);
      else if (const auto* why = std::get_if<decode_error>(&got))
        line["refused"] = std::string{why->what};
      else
        line["more"] = true;
    }
    std::cout << line.dump() << "\n";
  }
  return std::cout.flush() ? 0 : 1;
}

/// The other side keeps properties in a map, by name: only the order within one name (and user key) is comparable.
void sort_properties(json& any) {
  if (any.is_object())
    for (auto& [key, value] : any.items()) {
      if (key == "props")
        std::stable_sort(value.begin(), value.end(), [](const json& a, const json& b) {
          const auto name_of = [](const json& x) {
            return x[0].get<std::string>() + (x[1].is_array() ? ":" + x[1][0].get<std::string>() : "");
          };
          return name_of(a) < name_of(b);
        });
      else
        sort_properties(value);
    }
}

int check() {
  std::uint64_t checked = 0;
  for (std::string text; std::getline(std::cin, text);) {
    auto line = json::parse(text);
    const auto sender = line["from"] == "client" ? role::client : role::server;
    const auto version = static_cast<protocol_version>(line["version"].get<int>());
    const auto wire = from_hex(line["hex"].get<std::string>());
    if (!wire)
      return std::cerr << "not hex: " << text << "\n", 1;
    const auto got = decode_one(*wire, sender, version);
    const auto* any = std::get_if<packet>(&got);
    if (!any) {
      const auto* why = std::get_if<decode_error>(&got);
      std::cerr << "their bytes are not read: " << (why ? why->what : "more wanted") << "\n" << text << "\n";
      return 1;
    }
    auto ours = to_json(*any);
    auto meant = line["packet"];
    sort_properties(ours);
    sort_properties(meant);
    if (ours != meant) {
      std::cerr << "their bytes mean something else: " << ours << "\n" << text << "\n";
      return 1;
    }
    ++checked;
  }
  std::cerr << checked << " packets of theirs read as they were meant\n";
  return checked > 0 ? 0 : 1;
}

} // namespace

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  const std::string_view verb = argc > 1 ? argv[1] : "";
  if (verb == "emit" && argc == 4)
    return emit(std::stoull(argv[2]), std::stoull(argv[3]));
  if (verb == "check" && argc == 2)
    return check();
  std::cerr << "usage: mqtt_differential emit COUNT SEED | mqtt_differential check\n";
  return 2;
}
