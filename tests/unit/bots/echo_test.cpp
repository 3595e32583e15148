#include "bots/echo/echo.hpp"

#include <boost/test/unit_test.hpp>

using namespace signet;

namespace {

bots::incoming text(std::string_view body) {
  bots::incoming in;
  in.author.raw.fill(1);
  in.link.raw.fill(2);
  in.thread.raw.fill(3);
  in.type = "text";
  in.content_type = "text/markdown";
  in.body = as_bytes(body);
  return in;
}

} // namespace

BOOST_AUTO_TEST_SUITE(echo)

BOOST_AUTO_TEST_CASE(a_text_comes_back_to_its_author_as_a_reply_in_the_same_thread) {
  bots::echo bot;
  bots::effects out;
  const auto in = text("hello");
  bot.handle(in, out);
  BOOST_REQUIRE_EQUAL(out.messages().size(), 1u);
  const auto& reply = out.messages().front();
  BOOST_TEST((reply.to == in.author));
  BOOST_TEST((reply.reply_to == in.link));
  BOOST_TEST((reply.thread == in.thread));
  BOOST_TEST(reply.type == "text");
  BOOST_TEST(reply.content_type == "text/markdown");
  BOOST_TEST(as_text(reply.body) == "hello");
}

BOOST_AUTO_TEST_CASE(an_empty_text_is_a_text) {
  bots::echo bot;
  bots::effects out;
  bot.handle(text(""), out);
  BOOST_TEST(out.messages().size() == 1u);
}

BOOST_AUTO_TEST_CASE(whatever_is_no_text_is_left_alone) {
  bots::echo bot;
  for (std::string_view type : {"", "Text", "text ", "image", "org.example.text"}) {
    bots::effects out;
    auto in = text("hello");
    in.type = type;
    bot.handle(in, out);
    BOOST_TEST(out.messages().empty());
  }
}

BOOST_AUTO_TEST_SUITE_END()
