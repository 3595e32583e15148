// What links decide: hellos, processes, silence, redials, reports.

#include "actors/links/account.hpp"
#include "actors/links/frame.hpp"
#include "actors/links/judge.hpp"

#include <boost/test/unit_test.hpp>

namespace signet {
namespace {

using namespace std::chrono_literals;

template <class Id>
Id all(std::uint8_t byte) {
  Id out;
  out.raw.fill(byte);
  return out;
}

const hello_expected expected{all<cluster_id>(1), "a", "b"};

peer::hello good() {
  peer::hello out;
  out.cluster = expected.cluster;
  out.from = "b";
  out.to = "a";
  out.process = all<peer::process_id>(9);
  return out;
}

} // namespace

BOOST_AUTO_TEST_SUITE(link_judge)

BOOST_AUTO_TEST_CASE(a_hello_must_say_who_is_meant_and_who_speaks) {
  BOOST_TEST(!judge_hello(expected, good()));
  const auto refused = [](auto change) {
    auto said = good();
    change(said);
    return judge_hello(expected, said);
  };
  BOOST_TEST((refused([](auto& x) { ++x.protocol; }) == link_refusal::version));
  BOOST_TEST((refused([](auto& x) { x.cluster = all<cluster_id>(2); }) == link_refusal::other_cluster));
  BOOST_TEST((refused([](auto& x) { x.from = "c"; }) == link_refusal::wrong_key));
  BOOST_TEST((refused([](auto& x) { x.to = "c"; }) == link_refusal::wrong_receiver));
  BOOST_TEST((refused([](auto& x) { x.process = {}; }) == link_refusal::malformed));
}

BOOST_AUTO_TEST_CASE(one_process_at_a_time_has_a_name_and_its_newer_connection_wins) {
  const auto first = all<peer::process_id>(1), second = all<peer::process_id>(2);
  BOOST_TEST((judge_arrival({}, true, first) == arrival::welcome));
  BOOST_TEST((judge_arrival({first, {}}, true, first) == arrival::welcome));
  BOOST_TEST((judge_arrival({{}, first}, true, first) == arrival::replaces));
  BOOST_TEST((judge_arrival({{}, first}, false, first) == arrival::welcome));
  BOOST_TEST((judge_arrival({{}, first}, true, second) == arrival::refused));
  BOOST_TEST((judge_arrival({first, {}}, true, second) == arrival::refused));
  BOOST_TEST((judge_arrival({{}, first}, false, second) == arrival::refused));
}

BOOST_AUTO_TEST_CASE(silence_counts_only_while_this_node_itself_runs) {
  link_silence quiet{500ms};
  for (int i = 0; i < 9; ++i)
    BOOST_TEST(!quiet.passed(50ms, 50ms));
  BOOST_TEST(quiet.passed(50ms, 50ms));
  link_silence stopped{500ms};
  BOOST_TEST(!stopped.passed(10'000ms, 50ms));  // this process was stopped for 10 s: 100 ms count
  for (int i = 0; i < 7; ++i)
    BOOST_TEST(!stopped.passed(50ms, 50ms));
  stopped.heard();
  for (int i = 0; i < 9; ++i)
    BOOST_TEST(!stopped.passed(50ms, 50ms));
}

BOOST_AUTO_TEST_CASE(dials_come_slower_and_slower_until_a_connection_has_stood) {
  redial_schedule schedule{{50ms, 2'000ms, 50ms}};
  std::chrono::milliseconds longest{};
  for (int i = 0; i < 40; ++i) {
    const auto wait = schedule.next(0ms, system_random());
    BOOST_TEST((wait >= 50ms && wait <= 2'000ms));
    longest = std::max(longest, wait);
  }
  BOOST_TEST((longest > 500ms));
  BOOST_TEST((schedule.next(5'000ms, system_random()) == 50ms));
  schedule.next(0ms, system_random());
  schedule.forget();
  BOOST_TEST((schedule.next(0ms, system_random()) == 50ms));
}

BOOST_AUTO_TEST_CASE(a_flood_of_refusals_makes_one_report_in_a_while) {
  refusal_report report{10s};
  const std::chrono::steady_clock::time_point begin{100s};
  BOOST_TEST((report.note(link_refusal::tls, begin) == 1u));
  for (int i = 0; i < 100; ++i)
    BOOST_TEST(!report.note(link_refusal::tls, begin + 1s));
  BOOST_TEST((report.note(link_refusal::unknown_key, begin + 1s) == 1u));
  BOOST_TEST((report.note(link_refusal::tls, begin + 10s) == 101u));
}

BOOST_AUTO_TEST_CASE(every_reason_has_a_name_and_a_number_of_its_own) {
  std::vector<std::string_view> names;
  for (std::uint8_t i = 0; i < 255; ++i)
    if (const auto reason = find_link_refusal(i)) {
      BOOST_TEST(static_cast<int>(*reason) == int{i});
      BOOST_TEST((std::find(names.begin(), names.end(), name(*reason)) == names.end()));
      names.push_back(name(*reason));
    }
  BOOST_TEST(names.size() == 14u);
}

BOOST_AUTO_TEST_CASE(a_full_outbox_drops_and_counts_and_a_closed_one_drops_all) {
  link_outbox box{1'000};
  const auto frame = share(bytes(300));
  BOOST_TEST((box.offer(frame).what == link_sent::no_link));
  box.open();
  const auto first = box.offer(frame);
  BOOST_TEST((first.what == link_sent::queued && first.wake));
  BOOST_TEST(!box.offer(frame).wake);
  BOOST_TEST((box.offer(frame).what == link_sent::queued));
  BOOST_TEST((box.offer(frame).what == link_sent::full));
  BOOST_TEST(box.look().dropped == 2u);
  bytes out;
  box.take(out);
  BOOST_TEST(out.size() == 3 * (300u + link_frame_head_bytes));
  BOOST_TEST((box.offer(frame).what == link_sent::queued));
  box.close();
  BOOST_TEST(box.look().dropped == 3u);
  BOOST_TEST(box.look().queued_bytes == 0u);
  BOOST_TEST(box.look().frames == 3u);
}

BOOST_AUTO_TEST_CASE(an_account_tells_when_there_is_room_again) {
  int told = 0;
  auto account = std::make_shared<link_account>(1'000, [&] { ++told; });
  BOOST_TEST(!account->take(600));
  auto first = std::make_unique<link_credit>(account, 600);
  BOOST_TEST(account->take(600));
  auto second = std::make_unique<link_credit>(account, 600);
  first.reset();
  BOOST_TEST(told == 1);
  second.reset();
  BOOST_TEST(told == 1);
  BOOST_TEST(account->held() == 0u);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace signet
