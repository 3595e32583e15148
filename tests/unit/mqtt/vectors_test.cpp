// Replays tests/vectors/mqtt/*.json: bytes → packet or refusal. The vectors were put together without the codec.

#include "tests/support/mqtt_json.hpp"
#include "tests/support/mqtt_random.hpp"

#include <boost/test/unit_test.hpp>

#include <fstream>
#include <sstream>

namespace {

using namespace signet;
using namespace signet::mqtt;

struct vector_file {
  json all;
  explicit vector_file(const char* name) {
    const auto path = std::string{SIGNET_SOURCE_DIR} + "/tests/vectors/mqtt/" + name;
    std::ifstream in{path};
    BOOST_REQUIRE_MESSAGE(in, "cannot read " << path);
    all = json::parse(in);
    BOOST_REQUIRE_GT(all.size(), 1000u);
  }
};

role sender_of(const json& v) { return v["from"] == "client" ? role::client : role::server; }

/// A decoder in the state that the vector asks for. What it has said so far is not part of the vector.
decoder decoder_for(const json& v, std::uint64_t& offset) {
  decoder out{sender_of(v)};
  const bool attached = v["state"] == "attached";
  if (attached && sender_of(v) == role::client) {
    const auto level = v["version"].get<int>();
    connect hello;
    hello.version = static_cast<protocol_version>(level);
    hello.client_id = "x";
    out.append(encode(hello, role::client, hello.version).value());
    BOOST_REQUIRE(std::holds_alternative<packet>(out.next()));
  } else if (attached) {
    out.set_version(static_cast<protocol_version>(v["version"].get<int>()));
  }
  out.set_packet_size_max(attached ? 1 << 20 : 1024);
  offset = out.consumed();
  return out;
}

std::vector<std::size_t> every_byte(std::size_t size) {
  std::vector<std::size_t> cuts;
  for (std::size_t i = 1; i < size; ++i)
    cuts.push_back(i);
  return cuts;
}

std::string kind_name(fault kind) {
  switch (kind) {
    case fault::malformed: return "malformed";
    case fault::protocol_error: return "protocol_error";
    case fault::too_large: return "too_large";
    case fault::unsupported_version: return "unsupported_version";
  }
  return "?";
}

void check_accepted(const json& v, const bytes& input) {
  std::uint64_t offset = 0;
  auto one_shot = decoder_for(v, offset);
  const auto got = replay(one_shot, input);
  if (got.error) {
    BOOST_ERROR(v["name"] << ": refused, " << got.error->what);
    return;
  }
  BOOST_REQUIRE_MESSAGE(got.packets.size() == 1, v["name"] << ": " << got.packets.size() << " packets");
  const auto meaning = to_json(got.packets[0]);
  BOOST_CHECK_MESSAGE(meaning == v["packet"], v["name"] << ": " << meaning << " instead of " << v["packet"]);
  BOOST_CHECK_MESSAGE(one_shot.buffered() == 0 && one_shot.heap_bytes() == 0, v["name"] << ": something is kept");
  BOOST_CHECK_EQUAL(one_shot.consumed(), offset + input.size());
  BOOST_CHECK_MESSAGE(one_shot.version() == static_cast<protocol_version>(v["version"].get<int>()), v["name"]);

  auto split = decoder_for(v, offset);
  BOOST_CHECK_MESSAGE(replay(split, input, every_byte(input.size())) == got, v["name"] << ": differs byte by byte");

  const auto back = encode(got.packets[0], sender_of(v), *one_shot.version());
  BOOST_REQUIRE_MESSAGE(back, v["name"] << ": not encoded, " << back.error().context);
  const bool same = *back == input;
  BOOST_CHECK_MESSAGE(same == v.value("again", true), v["name"] << ": encoded as " << to_hex(*back));
}

void check_refused(const json& v, const bytes& input) {
  std::uint64_t offset = 0;
  auto one_shot = decoder_for(v, offset);
  const auto got = replay(one_shot, input);
  if (!got.packets.empty() || !got.error) {
    BOOST_ERROR(v["name"] << ": not refused");
    return;
  }
  const auto& why = *got.error;
  const auto& wanted = v["refuse"];
  BOOST_CHECK_MESSAGE(kind_name(why.kind) == wanted["kind"], v["name"] << ": " << kind_name(why.kind) << ", " << why.what);
  BOOST_CHECK_MESSAGE(static_cast<int>(why.code) == wanted["code"], v["name"] << ": " << name(why.code) << ", " << why.what);
  const auto answer = why.answer_as ? static_cast<int>(*why.answer_as) : 0;
  BOOST_CHECK_MESSAGE(answer == wanted.value("answer", 0), v["name"] << ": answered in form " << answer);
  BOOST_CHECK_MESSAGE(why.offset >= offset && why.offset <= offset + input.size(), v["name"] << ": offset " << why.offset);
  BOOST_CHECK_MESSAGE(!why.what.empty(), v["name"]);

  auto split = decoder_for(v, offset);
  BOOST_CHECK_MESSAGE(replay(split, input, every_byte(input.size())) == got, v["name"] << ": differs byte by byte");
}

void check(const char* file) {
  const vector_file vectors{file};
  for (const auto& v : vectors.all) {
    const auto input = from_hex(v["hex"].get<std::string>());
    BOOST_REQUIRE_MESSAGE(input, v["name"] << ": not hex");
    if (v.contains("packet"))
      check_accepted(v, *input);
    else
      check_refused(v, *input);
  }
}

} // namespace

BOOST_AUTO_TEST_SUITE(mqtt_vectors)

BOOST_AUTO_TEST_CASE(every_packet_is_accepted_or_refused_as_its_vector_says) { check("packets.json"); }

BOOST_AUTO_TEST_CASE(every_property_in_every_packet_is_accepted_or_refused_as_its_vector_says) {
  check("properties.json");
}

BOOST_AUTO_TEST_CASE(a_remaining_length_off_by_one_never_gives_the_same_packet) {
  for (const auto* file : {"packets.json", "properties.json"}) {
    const vector_file vectors{file};
    for (const auto& v : vectors.all) {
      const auto input = from_hex(v["hex"].get<std::string>()).value();
      // One-byte lengths only, so that the fixed header keeps its size.
      if (!v.contains("packet") || !v.value("again", true) || input[1] == 0 || input[1] >= 127)
        continue;
      for (const int step : {-1, 1}) {
        auto changed = input;
        changed[1] = static_cast<std::uint8_t>(changed[1] + step);
        changed.push_back(0xFF);  // no code, no length, no text
        std::uint64_t offset = 0;
        auto under_test = decoder_for(v, offset);
        const auto got = replay(under_test, changed);
        if (!got.packets.empty())
          BOOST_CHECK_MESSAGE(to_json(got.packets[0]) != v["packet"], v["name"] << " " << step);
        else
          BOOST_CHECK_MESSAGE(got.error, v["name"] << " " << step << ": waits for bytes that are there");
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(every_inner_byte_changed_is_refused_or_means_something_else) {
  // Whatever survives a changed byte must be encoded as those very bytes again, or as a shorter form of them.
  const vector_file vectors{"properties.json"};
  std::size_t changed_count = 0;
  for (const auto& v : vectors.all) {
    const auto input = from_hex(v["hex"].get<std::string>()).value();
    if (!v.contains("packet") || input.size() > 64)
      continue;
    for (std::size_t at = 2; at < input.size(); ++at)
      for (const int flip : {0x01, 0x80, 0xFF}) {
        auto changed = input;
        changed[at] = static_cast<std::uint8_t>(changed[at] ^ flip);
        std::uint64_t offset = 0;
        auto under_test = decoder_for(v, offset);
        const auto got = replay(under_test, changed);
        ++changed_count;
        if (got.packets.size() != 1 || got.error)
          continue;
        const auto back = encode(got.packets[0], sender_of(v), *under_test.version());
        BOOST_REQUIRE_MESSAGE(back, v["name"] << " at " << at << ": " << back.error().context);
        BOOST_CHECK_MESSAGE(*back == changed || back->size() < changed.size(), v["name"] << " at " << at);
        BOOST_CHECK_MESSAGE(to_json(got.packets[0]) != v["packet"], v["name"] << " at " << at << " changed nothing");
      }
  }
  BOOST_CHECK_GT(changed_count, 6'000u);
}

BOOST_AUTO_TEST_SUITE_END()
