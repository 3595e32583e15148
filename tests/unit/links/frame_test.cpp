// Frames between nodes: cut at any place, they are the same; what is too long or unknown ends the connection.

#include "actors/links/frame.hpp"

#include <boost/test/unit_test.hpp>

namespace signet {
namespace {

struct seen {
  std::vector<std::pair<link_frame_kind, bytes>> frames;
  link_splitter::outcome end = link_splitter::outcome::fine;
  bool operator==(const seen&) const = default;
};

seen cut(bytes_view input, std::size_t piece, bool data) {
  link_splitter splitter;
  if (data)
    splitter.allow_data();
  seen out;
  while (!input.empty() && out.end == link_splitter::outcome::fine) {
    const auto part = input.first(std::min(piece, input.size()));
    input = input.subspan(part.size());
    out.end = splitter.feed(part, [&](link_frame_kind kind, bytes content) {
      out.frames.emplace_back(kind, std::move(content));
      return true;
    });
  }
  return out;
}

} // namespace

BOOST_AUTO_TEST_SUITE(link_frames)

BOOST_AUTO_TEST_CASE(a_ping_stands_as_documented) {
  bytes out;
  append_link_number(out, link_frame_kind::ping, 7);
  BOOST_TEST(to_hex(out) == "09000000" "04" "0700000000000000");
}

BOOST_AUTO_TEST_CASE(frames_are_the_same_wherever_the_stream_is_cut) {
  bytes stream;
  append_link_frame(stream, link_frame_kind::hello, bytes(300, 1));
  append_link_frame(stream, link_frame_kind::alive);
  append_link_number(stream, link_frame_kind::ping, ~std::uint64_t{0});
  append_link_frame(stream, link_frame_kind::data, bytes(70'000, 2));
  append_link_frame(stream, link_frame_kind::data);
  const auto whole = cut(stream, stream.size(), true);
  BOOST_TEST((whole.end == link_splitter::outcome::fine));
  BOOST_REQUIRE(whole.frames.size() == 5u);
  BOOST_TEST((whole.frames[0].second == bytes(300, 1)));
  BOOST_TEST(whole.frames[1].second.empty());
  BOOST_TEST(*read_link_number(whole.frames[2].second) == ~std::uint64_t{0});
  BOOST_TEST((whole.frames[3].second == bytes(70'000, 2)));
  BOOST_TEST(whole.frames[4].second.empty());
  for (const std::size_t piece : {1u, 2u, 5u, 7u, 4'096u})
    BOOST_TEST((cut(stream, piece, true) == whole));
}

BOOST_AUTO_TEST_CASE(data_before_the_hello_and_long_frames_are_oversize_from_their_head_on) {
  bytes one;
  append_link_frame(one, link_frame_kind::data, bytes(1));
  BOOST_TEST((cut(bytes_view{one}.first(5), 1, false).end == link_splitter::outcome::oversize));
  bytes largest;
  append_link_frame(largest, link_frame_kind::data, bytes(link_data_bytes_max));
  BOOST_TEST((cut(largest, 65'536, true).frames.size() == 1u));
  bytes larger;
  append_link_frame(larger, link_frame_kind::data, bytes(link_data_bytes_max + 1));
  BOOST_TEST((cut(bytes_view{larger}.first(5), 1, true).end == link_splitter::outcome::oversize));
  bytes hello;
  append_link_frame(hello, link_frame_kind::hello, bytes(link_control_bytes_max + 1));
  BOOST_TEST((cut(bytes_view{hello}.first(5), 1, true).end == link_splitter::outcome::oversize));
}

BOOST_AUTO_TEST_CASE(a_length_of_nothing_and_unknown_kinds_are_malformed) {
  BOOST_TEST((cut(bytes{0, 0, 0, 0, 6}, 1, true).end == link_splitter::outcome::malformed));
  BOOST_TEST((cut(bytes{1, 0, 0, 0, 0}, 1, true).end == link_splitter::outcome::malformed));
  BOOST_TEST((cut(bytes{1, 0, 0, 0, 8}, 1, true).end == link_splitter::outcome::malformed));
}

BOOST_AUTO_TEST_CASE(a_sink_that_has_enough_gets_no_more) {
  bytes stream;
  for (int i = 0; i < 3; ++i)
    append_link_frame(stream, link_frame_kind::alive);
  link_splitter splitter;
  int count = 0;
  const auto end = splitter.feed(stream, [&](link_frame_kind, bytes) { return ++count < 2; });
  BOOST_TEST((end == link_splitter::outcome::stopped));
  BOOST_TEST(count == 2);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace signet
