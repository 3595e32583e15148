#include "messages/mqtt/topics.hpp"

#include <boost/test/unit_test.hpp>

#include <cstdint>
#include <string>

namespace {

using namespace signet::mqtt;

/// The slow obvious encoder: also for numbers that no text may hold.
std::string utf8(std::uint32_t point, int size) {
  std::string out;
  static constexpr std::uint8_t marks[] = {0, 0x00, 0xC0, 0xE0, 0xF0};
  out += static_cast<char>(marks[size] | point >> 6 * (size - 1));
  for (int i = size - 2; i >= 0; --i)
    out += static_cast<char>(0x80 | (point >> 6 * i & 0x3F));
  return out;
}
int shortest(std::uint32_t point) { return point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x1'0000 ? 3 : 4; }

} // namespace

BOOST_AUTO_TEST_SUITE(mqtt_topics)

BOOST_AUTO_TEST_CASE(every_code_point_is_judged_in_every_length) {
  for (std::uint32_t point = 0; point < 0x20'0000; ++point) {
    const bool surrogate = point >= 0xD800 && point <= 0xDFFF;
    const bool exists = point <= 0x10'FFFF && !surrogate;
    const bool control = point < 0x20 || (point >= 0x7F && point < 0xA0);
    const bool non_character = (point >= 0xFDD0 && point <= 0xFDEF) || point % 0x1'0000 >= 0xFFFE;
    for (int size = shortest(point); size <= 4; ++size) {
      const auto text = utf8(point, size);
      const bool good = exists && size == shortest(point);
      if (is_utf8(text) != good || is_text(text) != (good && !control && !non_character) ||
          is_text("a" + text + "b") != is_text(text))
        BOOST_ERROR("U+" << std::hex << point << " in " << size << " bytes");
    }
  }
}

BOOST_AUTO_TEST_CASE(every_pair_of_bytes_is_judged) {
  for (int a = 0; a < 256; ++a)
    for (int b = 0; b < 256; ++b) {
      const std::string text{static_cast<char>(a), static_cast<char>(b)};
      const bool good = (a < 0x80 && b < 0x80) || (a >= 0xC2 && a <= 0xDF && b >= 0x80 && b <= 0xBF);
      if (is_utf8(text) != good)
        BOOST_ERROR(std::hex << a << " " << b);
    }
}

BOOST_AUTO_TEST_CASE(a_cut_character_is_no_text) {
  const std::string smile = "😀";
  for (std::size_t size = 1; size < smile.size(); ++size)
    BOOST_CHECK(!is_text("ok" + smile.substr(0, size)));
  BOOST_CHECK(is_text("ok" + smile));
  BOOST_CHECK(is_text(""));
}

BOOST_AUTO_TEST_CASE(a_byte_order_mark_is_data) {
  BOOST_CHECK(is_text("\uFEFF"));
  BOOST_CHECK(is_topic_name("a\uFEFFb"));
}

BOOST_AUTO_TEST_CASE(a_topic_name_holds_no_wildcard_and_is_not_empty) {
  for (const auto* good : {"a", "/", "//", "a/b", "$SYS", "$share/a/b", " ", "ä/ö"})
    BOOST_CHECK_MESSAGE(is_topic_name(good), good);
  for (const auto* bad : {"", "+", "#", "a/+", "a/#", "a+b", "x#", "a\tb", "\xff"})
    BOOST_CHECK_MESSAGE(!is_topic_name(bad), bad);
  BOOST_CHECK(!is_topic_name(std::string_view{"a\0b", 3}));
}

BOOST_AUTO_TEST_CASE(wildcards_of_a_filter_stand_alone_and_the_hash_last) {
  for (const auto* good : {"#", "+", "/", "+/+", "a/#", "+/a/#", "/+/", "a//#", "$SYS/#", "a/+/b", "$share/g/#", "$share/g/a",
                           "$share/g//", "$shared/a", "$sharea"})
    BOOST_CHECK_MESSAGE(is_topic_filter(good), good);
  for (const auto* bad : {"", "a#", "#a", "a/#/b", "#/", "++", "a+", "+a", "a/b+", "+#", "##", "$share", "$share/", "$share/g",
                          "$share/g/", "$share//a", "$share/+/a", "$share/g#/a", "$share/#", "$share/g/a#", "\x01"})
    BOOST_CHECK_MESSAGE(!is_topic_filter(bad), bad);
}

BOOST_AUTO_TEST_CASE(levels_are_counted_with_the_empty_ones) {
  BOOST_CHECK_EQUAL(depth("a"), 1u);
  BOOST_CHECK_EQUAL(depth("/"), 2u);
  BOOST_CHECK_EQUAL(depth("a//b"), 3u);
}

BOOST_AUTO_TEST_SUITE_END()
