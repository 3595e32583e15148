// The runner's decisions against the real apply and the real views, on one thread: the test carries out the orders, loses
// answers, and crashes between any two steps.
#include "actors/bots/bot_core.hpp"
#include "actors/bots/bot_keys.hpp"
#include "bots/echo/echo.hpp"
#include "tests/support/view_world.hpp"

#include <boost/test/unit_test.hpp>
#include <set>
#include <sys/stat.h>

using namespace signet;
using signet::testing::must;
using signet::testing::person;
using signet::testing::scratch_directory;
using signet::testing::view_world;

namespace {

bot_keys make_keys(random_source& random) { return {signing_key::generate(random), signing_key::generate(random)}; }

/// A bot whose handler is a function.
bots::bot_factory bot_from(std::function<void(const bots::incoming&, bots::effects&)> handle) {
  struct one final : bots::bot {
    explicit one(std::function<void(const bots::incoming&, bots::effects&)> f) : f_{std::move(f)} {}
    void handle(const bots::incoming& in, bots::effects& out) override { f_(in, out); }
    std::function<void(const bots::incoming&, bots::effects&)> f_;
  };
  return [handle] { return std::make_unique<one>(handle); };
}
bots::bot_factory echo_bot() {
  return [] { return std::make_unique<bots::echo>(); };
}

/// One store for all tests; nothing is ever committed, so each begins with an empty one and no test waits for the disk.
view_world& empty_world(std::uint64_t seed) {
  static view_world world{1, 64 << 20};
  world.abort();
  world.random = signet::testing::seeded_random{seed};
  world.now = wall_ms{1'000'000};
  return world;
}

/// A cluster that applies at once, a bot, and people who write to it.
struct stage {
  view_world& world;
  bot_keys keys;
  identity_version identity;
  std::vector<person> people;
  bots::bot_factory make;
  bot_rules rules;
  std::unique_ptr<bot_core> core;
  std::deque<bot_order> orders;   // what the present core still wants done
  std::uint64_t entries = 0;      // proposals that reached the log
  std::optional<stop_bot> stopped;
  std::vector<std::chrono::milliseconds> waits;
  std::uint64_t term = 0;
  std::uint64_t proposed = 0;     // number of the newest order to propose

  explicit stage(std::uint64_t seed = 1, bots::bot_factory bot = echo_bot())
    : world{empty_world(seed)}, keys{make_keys(world.random)}, identity{must(first_bot_identity(keys, "echo"))},
      make{std::move(bot)} {
    world.found();
    for (int i = 0; i < 3; ++i)
      people.push_back(world.join());
  }
  permalink bot() const { return identity.permalink(); }

  void say(std::size_t who, std::string_view text, std::size_t count = 1) {
    auto sent = world.apply(batch_entry(world.batch(people[who], bot(), count, text).serialised));
    BOOST_REQUIRE(sent.all_good());
  }
  void start() {
    orders.clear();
    stopped.reset();
    core = std::make_unique<bot_core>(bot_identity{"echo", bot(), to_bytes(identity.serialised())}, keys.sign, make, rules,
                                      world.random);
    feed(bot_started{world.cluster});
    lead(true);
  }
  void lead(bool surely) {
    term += surely ? 1 : 0;
    feed(bot_leads{surely, term, storage::find_identity(world.txn(), bot()).has_value()});
  }
  void answer(result<entry_answer> what) { feed(bot_answered{proposed, std::move(what)}); }
  void crash() {
    core.reset();
    orders.clear();
  }
  void feed(bot_event event) {
    for (auto& order : core->step(std::move(event), world.now)) {
      if (const auto* propose = std::get_if<propose_for_bot>(&order))
        proposed = propose->number;
      orders.push_back(std::move(order));
    }
  }
  void wake() { feed(bot_woken{}); }

  entry_answer apply(const bytes& entry) {
    ++entries;
    auto from = world.apply(entry);
    entry_answer out;
    out.index = from.index;
    out.code = from.code;
    out.outcomes = std::move(from.outcomes);
    out.epoch = from.epoch;
    out.position = from.position;
    return out;
  }
  bot_inbox inbox(const read_bot_inbox& order) {
    bot_inbox out;
    if (auto row = storage::find_bot(world.txn(), bot())) {
      out.position = row->position;
      out.attempts = row->attempts;
    }
    for (const auto& slice : storage::read_inbox(world.txn(), bot(), next(out.position), order.inputs_max, order.bytes_max)) {
      const auto loaded = storage::load_batch(world.txn(), slice.index);
      auto position = slice.first;
      for (auto leaf : slice.leaves) {
        auto message = loaded.batch.message(leaf);
        out.inputs.push_back({position, slice.index, message.link, message.header, to_bytes(message.body)});
        position = next(position);
      }
    }
    return out;
  }
  bot_lanes lanes(const read_bot_lanes& order) {
    bot_lanes out;
    for (const auto& to : order.recipients) {
      const auto lane = storage::read_lane(world.txn(), {keys.sign.public_half(), to});
      out.tails.push_back({lane.n, lane.link});
    }
    return out;
  }
  /// Carries out the oldest order. False: none.
  bool carry_out() {
    if (orders.empty())
      return false;
    auto order = std::move(orders.front());
    orders.pop_front();
    if (auto* read = std::get_if<read_bot_inbox>(&order))
      feed(inbox(*read));
    else if (auto* numbers = std::get_if<read_bot_lanes>(&order))
      feed(lanes(*numbers));
    else if (auto* propose = std::get_if<propose_for_bot>(&order))
      feed(bot_answered{propose->number, apply(*propose->entry)});
    else if (auto* timer = std::get_if<arm_bot_timer>(&order)) {
      waits.push_back(timer->delay);
      feed(bot_timer_fired{timer->timer});
    } else
      stopped = std::get<stop_bot>(order);
    return true;
  }
  void settle() {
    while (carry_out()) {
    }
  }

  storage::bot_row row() { return storage::find_bot(world.txn(), bot()).value_or(storage::bot_row{}); }
  std::vector<storage::dead_letter_found> dead_letters() {
    return storage::read_dead_letters(world.txn(), bot(), inbox_position{1}, 10'000);
  }
  struct reply {
    std::string text;
    message_header header;
  };
  /// What stands in a person's inbox, oldest first.
  std::vector<reply> replies(const permalink& who) {
    std::vector<reply> out;
    for (const auto& slice : storage::read_inbox(world.txn(), who, inbox_position{1}, 100'000, 100 << 20)) {
      const auto loaded = storage::load_batch(world.txn(), slice.index);
      for (auto leaf : slice.leaves) {
        auto message = loaded.batch.message(leaf);
        out.push_back({std::string{as_text(must(read_object(message.body)).body)}, message.header});
      }
    }
    return out;
  }
  std::vector<std::string> texts(const permalink& who) {
    std::vector<std::string> out;
    for (auto& each : replies(who))
      out.push_back(each.text);
    return out;
  }
};

std::vector<std::string> list(std::initializer_list<const char*> texts) { return {texts.begin(), texts.end()}; }

} // namespace

BOOST_AUTO_TEST_SUITE(bot)

BOOST_AUTO_TEST_CASE(at_its_first_start_it_publishes_itself_deploys_and_looks) {
  stage s;
  s.start();
  s.settle();
  BOOST_TEST(storage::find_identity(s.world.txn(), s.bot()).has_value());
  BOOST_TEST(s.row().epoch == value(s.world.index()));
  BOOST_TEST(s.row().name == "echo");
  BOOST_TEST(s.core->picture().phase == "idle");
  BOOST_TEST(s.entries == 2u);
  s.crash();
  s.start();
  s.settle();
  BOOST_TEST(s.entries == 3u);  // only deployed
}

BOOST_AUTO_TEST_CASE(the_reply_names_its_input_and_stands_in_the_bots_own_lane) {
  stage s;
  s.start();
  s.settle();
  s.say(0, "hello");
  const auto input = storage::read_lane(s.world.txn(), {s.people[0].device(), s.bot()});
  s.wake();
  s.settle();
  const auto got = s.replies(s.people[0].id());
  BOOST_REQUIRE_EQUAL(got.size(), 1u);
  BOOST_TEST(got[0].text == "hello");
  BOOST_TEST((got[0].header.reply_to == input.link));
  BOOST_TEST((got[0].header.author == s.bot()));
  BOOST_TEST(value(got[0].header.n) == 1u);
  BOOST_TEST(value(s.row().position) == 1u);
  BOOST_TEST(s.row().committed == 1u);
}

BOOST_AUTO_TEST_CASE(many_inputs_of_many_people_become_one_entry_with_their_lanes_in_order) {
  stage s;
  s.start();
  s.settle();
  const auto before = s.entries;
  for (int i = 0; i < 20; ++i)
    for (std::size_t who = 0; who < 3; ++who)
      s.say(who, std::to_string(i));
  s.wake();
  s.settle();
  BOOST_TEST(s.entries == before + 1);
  for (std::size_t who = 0; who < 3; ++who) {
    const auto got = s.replies(s.people[who].id());
    BOOST_REQUIRE_EQUAL(got.size(), 20u);
    for (std::size_t i = 0; i < 20; ++i) {
      BOOST_TEST(got[i].text == std::to_string(i));
      BOOST_TEST(value(got[i].header.n) == i + 1);
    }
  }
  BOOST_TEST(value(s.row().position) == 60u);
}

BOOST_AUTO_TEST_CASE(an_input_without_effect_moves_the_position_all_the_same) {
  stage s{1, bot_from([](const bots::incoming&, bots::effects&) {})};
  s.start();
  s.settle();
  s.say(0, "a", 5);
  s.wake();
  s.settle();
  BOOST_TEST(value(s.row().position) == 5u);
  BOOST_TEST(s.replies(s.people[0].id()).empty());
}

BOOST_AUTO_TEST_CASE(a_wake_up_while_it_works_is_not_lost) {
  stage s;
  s.start();
  s.settle();
  s.say(0, "one");
  s.wake();
  BOOST_TEST(s.carry_out());  // it has read its inbox
  s.say(0, "two");
  s.wake();
  s.settle();
  BOOST_TEST(s.texts(s.people[0].id()) == list({"one", "two"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_wake_up_between_a_look_at_an_empty_inbox_and_its_answer_is_not_lost) {
  stage s;
  s.start();
  s.settle();
  s.wake();
  auto nothing = s.inbox(std::get<read_bot_inbox>(s.orders.front()));
  s.orders.pop_front();
  s.say(0, "hello");
  s.wake();
  s.feed(nothing);
  s.settle();
  BOOST_TEST(s.texts(s.people[0].id()) == list({"hello"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_failed_attempt_is_durable_before_the_next_one_and_the_last_becomes_a_dead_letter) {
  std::map<std::string, int> tries;
  std::vector<std::uint32_t> noted;  // what stood in the log when the handler ran
  stage* at = nullptr;
  stage s{1, bot_from([&](const bots::incoming& in, bots::effects& out) {
            const std::string text{as_text(in.body)};
            if (text == "poison") {
              ++tries[text];
              noted.push_back(at->row().attempts);
              throw bots::handler_error("cannot");
            }
            out.reply(in, "text", in.body);
          })};
  at = &s;
  s.start();
  s.settle();
  s.say(0, "before");
  s.say(0, "poison");
  s.say(0, "after");
  s.wake();
  s.settle();
  BOOST_TEST(tries["poison"] == 5);
  BOOST_TEST(noted == (std::vector<std::uint32_t>{0, 1, 2, 3, 4}), boost::test_tools::per_element());
  BOOST_TEST(s.texts(s.people[0].id()) == list({"before", "after"}), boost::test_tools::per_element());
  const auto dead = s.dead_letters();
  BOOST_REQUIRE_EQUAL(dead.size(), 1u);
  BOOST_TEST(value(dead[0].input) == 2u);
  BOOST_TEST(dead[0].row.attempts == 5u);
  BOOST_TEST(dead[0].row.error == "signet::bots::handler_error: cannot");
  BOOST_TEST(value(s.row().position) == 3u);
  // 0.2 s and more, never beyond what doubling allows
  BOOST_REQUIRE_EQUAL(s.waits.size(), 4u);
  for (std::size_t i = 0; i < 4; ++i) {
    BOOST_TEST(s.waits[i].count() >= 200);
    BOOST_TEST(s.waits[i].count() <= (200 << i));
  }
}

BOOST_AUTO_TEST_CASE(a_failure_that_passes_costs_waiting_and_nothing_else) {
  int tries = 0, made = 0;
  auto inner = bot_from([&](const bots::incoming& in, bots::effects& out) {
    out.reply(in, "text", in.body);
    if (as_text(in.body) == "shaky" && ++tries < 4)
      throw std::runtime_error("not now");
  });
  stage s{1, [&] {
            ++made;
            return inner();
          }};
  s.start();
  s.settle();
  s.say(0, "a");
  s.say(0, "shaky");
  s.say(0, "b");
  s.wake();
  s.settle();
  BOOST_TEST(s.texts(s.people[0].id()) == list({"a", "shaky", "b"}), boost::test_tools::per_element());
  BOOST_TEST(s.dead_letters().empty());
  BOOST_TEST(made == 4);  // a new bot after each failure
  BOOST_TEST(s.row().attempts == 0u);
}

BOOST_AUTO_TEST_CASE(attempts_survive_a_crash_and_a_bot_that_always_fails_gets_no_more_than_five) {
  int tries = 0;
  stage s{1, bot_from([&](const bots::incoming&, bots::effects&) {
            ++tries;
            throw std::runtime_error("always");
          })};
  s.start();
  s.settle();
  s.say(0, "x");
  s.wake();
  s.settle();  // for the log to hold the dead letter
  BOOST_TEST(tries == 5);
  s.say(0, "y");
  for (int crashes = 0; crashes < 20 && value(s.row().position) < 2; ++crashes) {
    s.start();
    // Until one more attempt is noted or the letter set aside.
    const auto attempts = s.row().attempts;
    while (s.row().attempts == attempts && value(s.row().position) < 2 && s.carry_out()) {
    }
    s.crash();
  }
  BOOST_TEST(tries == 10);
  BOOST_TEST(s.dead_letters().size() == 2u);
}

BOOST_AUTO_TEST_CASE(after_a_crash_with_attempts_noted_it_waits_before_it_tries_again) {
  stage s{1, bot_from([&](const bots::incoming&, bots::effects&) { throw std::runtime_error("always"); })};
  s.start();
  s.settle();
  s.say(0, "x");
  s.wake();
  while (s.row().attempts < 2)
    s.carry_out();
  s.crash();
  s.waits.clear();
  s.start();
  while (s.waits.empty())
    s.carry_out();
  BOOST_TEST(s.waits[0].count() >= 200);
  BOOST_TEST(s.waits[0].count() <= 400);
}

BOOST_AUTO_TEST_CASE(what_an_older_deployment_proposes_is_refused_and_changes_nothing) {
  stage s;
  s.start();
  s.settle();
  s.say(0, "hello");
  s.wake();
  while (!std::holds_alternative<propose_for_bot>(s.orders.front()))
    s.carry_out();
  // On another node the same bot is deployed, and is faster.
  auto older = std::move(s.core);
  auto late = std::get<propose_for_bot>(s.orders.front());
  s.start();
  s.settle();
  BOOST_TEST(s.texts(s.people[0].id()) == list({"hello"}), boost::test_tools::per_element());
  auto answer = s.apply(*late.entry);
  BOOST_TEST((answer.code == ec::taken_over));
  // Told so, the older one waits: it will hear that it no longer leads.
  auto orders = older->step(bot_answered{late.number, answer}, s.world.now);
  BOOST_REQUIRE_EQUAL(orders.size(), 1u);
  const auto timer = std::get<arm_bot_timer>(orders[0]);
  BOOST_TEST(older->picture().phase == "displaced");
  BOOST_TEST(older->step(bot_woken{}, s.world.now).empty());
  BOOST_TEST(older->step(bot_leads{false, 0, true}, s.world.now).empty());
  BOOST_TEST(older->picture().phase == "resting");
  BOOST_TEST(older->step(bot_timer_fired{timer.timer}, s.world.now).empty());
  BOOST_TEST(s.texts(s.people[0].id()) == list({"hello"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(who_is_displaced_while_it_leads_deploys_once_more) {
  stage s;
  s.start();
  s.settle();
  const auto epoch = s.row().epoch;
  // A copy of the entry that deployed it, late: nobody runs under that epoch.
  BOOST_REQUIRE((s.apply(bot_deployed_entry(s.bot(), "echo")).code == ec::ok));
  s.say(0, "hello");
  s.wake();
  s.settle();
  BOOST_TEST(s.texts(s.people[0].id()) == list({"hello"}), boost::test_tools::per_element());
  BOOST_TEST(s.row().epoch > epoch + 1);
  BOOST_TEST(s.waits.size() == 1u);
}

BOOST_AUTO_TEST_CASE(it_rests_where_nobody_leads_surely_and_does_nothing_there) {
  stage s;
  s.core = std::make_unique<bot_core>(bot_identity{"echo", s.bot(), to_bytes(s.identity.serialised())}, s.keys.sign,
                                      s.make, s.rules, s.world.random);
  s.feed(bot_started{s.world.cluster});
  s.wake();
  s.lead(false);
  BOOST_TEST(s.orders.empty());
  BOOST_TEST(s.core->picture().phase == "resting");
  s.lead(true);
  s.settle();
  BOOST_TEST(s.core->picture().phase == "idle");
  const auto epoch = s.row().epoch;
  s.feed(bot_leads{true, s.term, true});  // said twice
  BOOST_TEST(s.orders.empty());
  // One term behind the other: somebody else may have led in between.
  s.lead(true);
  s.settle();
  BOOST_TEST(s.row().epoch > epoch);
}

BOOST_AUTO_TEST_CASE(an_answer_to_what_it_proposed_in_an_earlier_term_counts_for_nothing) {
  stage s;
  s.start();
  s.settle();
  s.say(0, "hello");
  s.wake();
  while (!std::holds_alternative<propose_for_bot>(s.orders.front()))
    s.carry_out();
  const auto commit = std::get<propose_for_bot>(s.orders.front());
  s.orders.clear();
  s.lead(false);
  const auto answer = s.apply(*commit.entry);  // it had been appended all the same
  BOOST_REQUIRE((answer.code == ec::ok));
  s.lead(true);
  s.feed(bot_answered{commit.number, answer});
  BOOST_TEST(s.core->picture().phase == "deploying");
  s.settle();
  BOOST_TEST(s.texts(s.people[0].id()) == list({"hello"}), boost::test_tools::per_element());
  BOOST_TEST(value(s.row().position) == 1u);
  BOOST_TEST(s.core->picture().phase == "idle");
}

BOOST_AUTO_TEST_CASE(without_an_answer_the_identical_bytes_are_proposed_until_there_is_one) {
  for (bool arrived : {false, true}) {
    stage s;
    s.start();
    s.settle();
    s.say(0, "hello");
    s.wake();
    while (!std::holds_alternative<propose_for_bot>(s.orders.front()))
      s.carry_out();
    auto first = std::get<propose_for_bot>(s.orders.front()).entry;
    s.orders.pop_front();
    if (arrived)
      s.apply(*first);
    for (auto code : {ec::unknown_outcome, ec::overloaded, ec::disk_full, ec::not_leader}) {
      s.answer(tl::make_unexpected(error{code, {}}));
      BOOST_TEST(s.carry_out());  // the timer
      BOOST_REQUIRE(!s.orders.empty());
      BOOST_TEST((*std::get<propose_for_bot>(s.orders.front()).entry == *first));
      if (code != ec::not_leader)
        s.orders.pop_front();
    }
    s.settle();
    BOOST_TEST(s.texts(s.people[0].id()) == list({"hello"}), boost::test_tools::per_element());
    BOOST_TEST(value(s.row().position) == 1u);
    BOOST_TEST(s.core->picture().phase == "idle");
    BOOST_TEST(s.core->picture().in_doubt == 4u);
  }
}

BOOST_AUTO_TEST_CASE(a_message_to_nobody_is_a_failure_of_its_input_alone) {
  permalink nobody;
  nobody.raw.fill(9);
  stage s{1, bot_from([&](const bots::incoming& in, bots::effects& out) {
            if (as_text(in.body) == "bad")
              out.send({nobody, "text", "", to_bytes(in.body), {}, {}});
            else
              out.reply(in, "text", in.body);
          })};
  s.start();
  s.settle();
  for (auto text : {"a", "bad", "b"})
    s.say(0, text);
  s.wake();
  s.settle();
  BOOST_TEST(s.texts(s.people[0].id()) == list({"a", "b"}), boost::test_tools::per_element());
  const auto dead = s.dead_letters();
  BOOST_REQUIRE_EQUAL(dead.size(), 1u);
  BOOST_TEST(value(dead[0].input) == 2u);
  BOOST_TEST(dead[0].row.error.find("not_for_here") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(effects_beyond_the_limits_are_a_failure_of_their_input_alone) {
  stage s{1, bot_from([&](const bots::incoming& in, bots::effects& out) {
            const auto text = as_text(in.body);
            if (text == "many")
              for (std::size_t i = 0; i <= bot_effects_max; ++i)
                out.reply(in, "text", in.body);
            else if (text == "large")
              for (int i = 0; i < 3; ++i)
                out.reply(in, "text", bytes(160 * 1024));
            else if (text == "one too large")
              out.reply(in, "text", bytes(body_bytes_max));
            else if (text == "odd type")
              out.reply(in, std::string(type_bytes_max + 1, 'x'), in.body);
            else
              out.reply(in, "text", in.body);
          })};
  s.start();
  s.settle();
  for (auto text : {"a", "many", "large", "one too large", "odd type", "b"})
    s.say(0, text);
  s.wake();
  s.settle();
  BOOST_TEST(s.texts(s.people[0].id()) == list({"a", "b"}), boost::test_tools::per_element());
  BOOST_TEST(s.dead_letters().size() == 4u);
  BOOST_TEST(!s.stopped.has_value());
}

BOOST_AUTO_TEST_CASE(the_largest_effects_allowed_fit_one_entry_after_another) {
  stage s{1, bot_from([&](const bots::incoming& in, bots::effects& out) {
            out.reply(in, "text", bytes(180 * 1024));
            out.reply(in, "text", bytes(180 * 1024));
            for (int i = 0; i < 100; ++i)
              out.reply(in, "text", in.body);
          })};
  s.start();
  s.settle();
  s.say(0, "x", 7);
  s.wake();
  s.settle();
  BOOST_TEST(!s.stopped.has_value());
  BOOST_TEST(s.dead_letters().empty());
  BOOST_TEST(s.replies(s.people[0].id()).size() == 7u * 102);
}

BOOST_AUTO_TEST_CASE(lanes_that_moved_under_its_feet_are_read_again) {
  stage s;
  s.start();
  s.settle();
  s.say(0, "hello");
  s.wake();
  while (!std::holds_alternative<read_bot_lanes>(s.orders.front()))
    s.carry_out();
  // The lane is read, then its key is used elsewhere.
  auto stale = s.lanes(std::get<read_bot_lanes>(s.orders.front()));
  s.orders.pop_front();
  lane_tail tail;
  auto other = must(make_message(s.world.draft(s.people[0], s.people[0].id(), "elsewhere"), tail));
  message_draft draft = s.world.draft(s.people[0], s.people[0].id(), "elsewhere");
  draft.author = s.bot();
  tail = {};
  other = must(make_message(draft, tail));
  BOOST_REQUIRE(s.world.apply(batch_entry(must(make_batch(s.keys.sign, std::span{&other, 1})).serialised)).all_good());
  s.feed(stale);
  s.settle();
  BOOST_TEST(s.texts(s.people[0].id()) == list({"elsewhere", "hello"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_revoked_key_stops_the_bot_with_a_failure) {
  stage s;
  s.start();
  s.settle();
  auto sign = signing_key::generate(s.world.random);
  identity_draft next;
  next.keys = {{key_purpose::update, &s.keys.update}, {key_purpose::sign, &sign}};
  auto version = must(make_next_identity(s.identity, next, s.keys.update));
  BOOST_REQUIRE((s.world.apply(identity_entry(version.serialised())).code == ec::ok));
  s.say(0, "hello");
  s.wake();
  s.settle();
  BOOST_REQUIRE(s.stopped.has_value());
  BOOST_TEST(s.stopped->reason.find("revoked_key") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(late_timers_and_answers_have_no_effect) {
  stage s;
  s.start();
  s.settle();
  s.feed(bot_timer_fired{1});
  s.answer(entry_answer{});
  s.feed(bot_lanes{});
  s.feed(bot_inbox{});
  s.feed(bot_started{s.world.cluster});
  s.feed(bot_leads{true, s.term, true});
  BOOST_TEST(s.orders.empty());
  BOOST_TEST(s.core->picture().phase == "idle");
}

// Neither lost nor doubled: every order may be the last one that is carried out, and of a proposal that was on its way
// nobody knows whether it arrives, when, or how often.
BOOST_AUTO_TEST_CASE(crashes_between_any_two_steps_lose_and_double_nothing) {
  std::uint64_t crashes = 0, late = 0, doubts = 0, dead = 0;
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    std::mt19937_64 dice{seed};
    auto one_in = [&](std::uint64_t n) { return dice() % n == 0; };
    std::set<std::string> poison;
    stage s{seed, bot_from([&](const bots::incoming& in, bots::effects& out) {
              const std::string text{as_text(in.body)};
              out.reply(in, "text", in.body);
              if (poison.contains(text) || one_in(12))
                throw std::runtime_error("unlucky");
            })};
    s.rules.inputs_max = 1 + dice() % 8;
    std::vector<shared_bytes> on_the_way;  // proposals of the dead, and repetitions by the network
    std::map<std::size_t, std::vector<std::string>> said;
    int number = 0;
    s.start();
    auto step = [&](bool faults) {
      if (!s.core || s.stopped)
        s.start();
      if (faults && !on_the_way.empty() && one_in(4)) {
        const auto which = dice() % on_the_way.size();
        s.apply(*on_the_way[which]);
        ++late;
        if (one_in(2))
          on_the_way.erase(on_the_way.begin() + static_cast<std::ptrdiff_t>(which));
      }
      if (s.orders.empty())
        return false;
      if (faults && one_in(8)) {
        ++crashes;
        for (auto& order : s.orders)
          if (auto* propose = std::get_if<propose_for_bot>(&order); propose && one_in(2))
            on_the_way.push_back(propose->entry);
        s.start();
        return true;
      }
      if (auto* propose = std::get_if<propose_for_bot>(&s.orders.front()); propose && faults && one_in(5)) {
        ++doubts;
        auto entry = propose->entry;
        s.orders.pop_front();
        if (one_in(2))
          s.apply(*entry);
        else if (one_in(2))
          on_the_way.push_back(entry);
        s.answer(tl::make_unexpected(error{ec::unknown_outcome, {}}));
        return true;
      }
      return s.carry_out();
    };
    for (int i = 0; i < 120; ++i) {
      if (one_in(3) && number < 40) {
        const auto who = dice() % 3;
        if (storage::find_identity(s.world.txn(), s.bot())) {
          const auto text = std::to_string(++number);
          if (one_in(10))
            poison.insert(text);
          s.say(who, text);
          said[who].push_back(text);
          s.wake();
        }
      }
      step(true);
    }
    s.wake();
    for (int i = 0; i < 100'000 && step(false); ++i) {
    }
    for (const auto& entry : on_the_way)  // and whatever comes even later
      s.apply(*entry);

    std::set<std::uint64_t> set_aside;
    for (const auto& letter : s.dead_letters())
      set_aside.insert(value(letter.input));
    dead += set_aside.size();
    BOOST_REQUIRE_EQUAL(value(s.row().position), static_cast<std::uint64_t>(number));
    BOOST_REQUIRE_EQUAL(s.row().committed + set_aside.size(), static_cast<std::uint64_t>(number));
    std::size_t all_replies = 0;
    for (std::size_t who = 0; who < 3; ++who) {
      std::vector<std::string> expected;
      for (const auto& text : said[who])
        if (!set_aside.contains(std::stoull(text)))  // text i stands at inbox position i
          expected.push_back(text);
      const auto got = s.texts(s.people[who].id());
      all_replies += got.size();
      BOOST_REQUIRE_EQUAL_COLLECTIONS(got.begin(), got.end(), expected.begin(), expected.end());
    }
    BOOST_REQUIRE_EQUAL(all_replies, s.row().committed);
    for (const auto& text : poison)
      BOOST_REQUIRE(set_aside.contains(std::stoull(text)));
  }
  BOOST_TEST(crashes > 2'000u);
  BOOST_TEST(late > 300u);
  BOOST_TEST(doubts > 500u);
  BOOST_TEST(dead > 400u);
}

// Two nodes over one log. Leadership moves at any moment, also in the middle of a handler's work; each node hears of it
// late or early, so that for a while both believe to lead, or none. Proposals of the one that lost it may still arrive.
BOOST_AUTO_TEST_CASE(leadership_that_moves_between_two_nodes_loses_and_doubles_no_reply) {
  std::uint64_t moves = 0, both = 0, late = 0, deployments = 0;
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    std::mt19937_64 dice{seed};
    auto one_in = [&](std::uint64_t n) { return dice() % n == 0; };
    auto handler = bot_from([&](const bots::incoming& in, bots::effects& out) {
      out.reply(in, "text", in.body);
      if (one_in(20))
        throw std::runtime_error("unlucky");
    });
    stage log{seed, handler};  // the log, and the people
    struct node {
      std::unique_ptr<bot_core> core;
      std::deque<bot_order> orders;
      bool told = false;
    };
    node nodes[2];
    bot_rules rules;
    rules.inputs_max = 1 + dice() % 8;
    std::vector<shared_bytes> on_the_way;
    std::uint64_t term = 0;
    const auto feed = [&](node& at, bot_event event) {
      for (auto& order : at.core->step(std::move(event), log.world.now))
        at.orders.push_back(std::move(order));
    };
    const auto lead = [&](node& at, bool surely) {
      if (surely)
        ++term;
      at.told = surely;
      feed(at, bot_leads{surely, term, storage::find_identity(log.world.txn(), log.bot()).has_value()});
    };
    for (auto& each : nodes) {
      each.core = std::make_unique<bot_core>(
        bot_identity{"echo", log.bot(), to_bytes(log.identity.serialised())}, log.keys.sign, handler, rules,
        log.world.random);
      feed(each, bot_started{log.world.cluster});
    }
    const auto carry_out = [&](node& at, bool faults) {
      if (at.orders.empty())
        return false;
      auto order = std::move(at.orders.front());
      at.orders.pop_front();
      if (auto* read = std::get_if<read_bot_inbox>(&order))
        feed(at, log.inbox(*read));
      else if (auto* lanes = std::get_if<read_bot_lanes>(&order))
        feed(at, log.lanes(*lanes));
      else if (auto* timer = std::get_if<arm_bot_timer>(&order))
        feed(at, bot_timer_fired{timer->timer});
      else if (auto* propose = std::get_if<propose_for_bot>(&order)) {
        if (faults && (!at.told || one_in(6))) {  // it does not lead: nobody knows what becomes of it
          on_the_way.push_back(propose->entry);
          feed(at, bot_answered{propose->number, tl::make_unexpected(error{ec::unknown_outcome, {}})});
        } else {
          feed(at, bot_answered{propose->number, log.apply(*propose->entry)});
        }
      } else {
        BOOST_FAIL("stopped: " << std::get<stop_bot>(order).reason);
      }
      return true;
    };
    std::map<std::size_t, std::vector<std::string>> said;
    int number = 0;
    for (int i = 0; i < 250; ++i) {
      if (one_in(3) && number < 40 && storage::find_identity(log.world.txn(), log.bot())) {
        const auto who = dice() % 3;
        said[who].push_back(std::to_string(++number));
        log.say(who, said[who].back());
        for (auto& each : nodes)
          feed(each, bot_woken{});
      }
      if (one_in(8)) {
        ++moves;
        auto& from = nodes[dice() % 2];
        auto& to = &from == &nodes[0] ? nodes[1] : nodes[0];
        if (one_in(2))
          lead(from, false);
        if (one_in(2))
          lead(to, true);
        both += nodes[0].told && nodes[1].told ? 1 : 0;
      }
      if (!on_the_way.empty() && one_in(4)) {
        const auto which = dice() % on_the_way.size();
        log.apply(*on_the_way[which]);
        ++late;
        if (one_in(2))
          on_the_way.erase(on_the_way.begin() + static_cast<std::ptrdiff_t>(which));
      }
      carry_out(nodes[dice() % 2], true);
    }
    // One leads for good.
    lead(nodes[1], false);
    lead(nodes[0], true);
    feed(nodes[0], bot_woken{});
    for (int i = 0; i < 100'000 && (carry_out(nodes[0], false) || carry_out(nodes[1], false)); ++i) {
    }
    BOOST_TEST_REQUIRE(nodes[1].orders.empty());
    BOOST_TEST_REQUIRE(nodes[1].core->picture().phase == "resting");
    for (const auto& entry : on_the_way)
      log.apply(*entry);
    // A deployment that came so late displaced the one that works: it says so with its next entry, and deploys anew.
    log.say(0, "last");
    said[0].push_back("last");
    feed(nodes[0], bot_woken{});
    for (int i = 0; i < 100'000 && carry_out(nodes[0], false); ++i) {
    }
    std::set<std::uint64_t> set_aside;
    for (const auto& letter : log.dead_letters())
      set_aside.insert(value(letter.input));
    BOOST_REQUIRE_EQUAL(value(log.row().position), static_cast<std::uint64_t>(number) + 1);
    deployments += log.row().epoch;
    for (std::size_t who = 0; who < 3; ++who) {
      std::vector<std::string> expected;
      for (const auto& text : said[who])
        if (!set_aside.contains(text == "last" ? static_cast<std::uint64_t>(number) + 1 : std::stoull(text)))
          expected.push_back(text);
      const auto got = log.texts(log.people[who].id());
      BOOST_REQUIRE_EQUAL_COLLECTIONS(got.begin(), got.end(), expected.begin(), expected.end());
    }
  }
  BOOST_TEST(moves > 5'000u);
  BOOST_TEST(both > 500u);
  BOOST_TEST(late > 1'000u);
  BOOST_TEST(deployments > 0u);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(keys_of_a_bot)

BOOST_AUTO_TEST_CASE(they_follow_from_the_secret_of_the_cluster_on_every_node) {
  scratch_directory here, there;
  signet::testing::seeded_random random{5};
  const auto secret = must(load_or_make_cluster_secret(here.path() / "keys", random));
  std::array<std::uint8_t, signing_key::seed_size> raw;
  secret.copy_to(raw);
  BOOST_TEST(keep_cluster_secret(there.path() / "keys", root_secret::from_bytes(raw)).has_value());
  BOOST_TEST(keep_cluster_secret(there.path() / "keys", root_secret::from_bytes(raw)).has_value());  // told twice
  const auto one = must(find_bot_identity(here.path() / "keys", "echo"));
  const auto two = must(find_bot_identity(there.path() / "keys", "echo"));
  BOOST_TEST((one.who == two.who));
  BOOST_TEST((to_bytes(one.first.serialised()) == to_bytes(two.first.serialised())));
  BOOST_TEST((one.keys.sign.public_half() == two.keys.sign.public_half()));
  BOOST_TEST(one.first.has(one.keys.sign.public_half(), key_purpose::sign));
  BOOST_TEST((one.keys.sign.public_half() != one.keys.update.public_half()));
  BOOST_TEST(!one.next.has_value());
  const auto other = must(find_bot_identity(here.path() / "keys", "other"));
  BOOST_TEST((other.keys.sign.public_half() != one.keys.sign.public_half()));
  struct ::stat info {};
  BOOST_REQUIRE_EQUAL(::stat((there.path() / "keys" / "cluster.seed").c_str(), &info), 0);
  BOOST_TEST((info.st_mode & 0777) == 0600u);
  // Another cluster's secret does not replace the one that stands.
  BOOST_TEST((keep_cluster_secret(there.path() / "keys", root_secret::generate(random)).error().code ==
              ec::already_exists));
}

BOOST_AUTO_TEST_CASE(without_a_secret_and_without_files_there_is_no_bot) {
  scratch_directory scratch;
  BOOST_TEST((find_bot_identity(scratch.path(), "echo").error().code == ec::not_found));
}

BOOST_AUTO_TEST_CASE(a_secret_that_others_can_read_is_refused) {
  scratch_directory scratch;
  signet::testing::seeded_random random{5};
  (void) must(load_or_make_cluster_secret(scratch.path(), random));
  BOOST_REQUIRE_EQUAL(::chmod((scratch.path() / "cluster.seed").c_str(), 0644), 0);
  BOOST_TEST((find_bot_identity(scratch.path(), "echo").error().code == ec::configuration));
  BOOST_TEST((load_or_make_cluster_secret(scratch.path(), random).error().code == ec::configuration));
}

BOOST_AUTO_TEST_CASE(old_key_files_keep_their_identity_and_hand_it_on_to_the_derived_keys) {
  scratch_directory scratch;
  signet::testing::seeded_random random{5};
  const auto old_keys = make_keys(random);
  std::filesystem::create_directories(scratch.path() / "bots");
  BOOST_REQUIRE(old_keys.update.save(scratch.path() / "bots" / "echo.update.seed").has_value());
  BOOST_REQUIRE(old_keys.sign.save(scratch.path() / "bots" / "echo.sign.seed").has_value());
  const auto before = must(find_bot_identity(scratch.path(), "echo"));
  BOOST_TEST((before.keys.sign.public_half() == old_keys.sign.public_half()));
  BOOST_TEST(!before.next.has_value());
  (void) must(load_or_make_cluster_secret(scratch.path(), random));
  const auto after = must(find_bot_identity(scratch.path(), "echo"));
  BOOST_TEST((after.who == before.who));
  BOOST_REQUIRE(after.next.has_value());
  auto& world = empty_world(3);
  world.found();
  BOOST_TEST((world.apply(identity_entry(after.first.serialised())).code == ec::ok));
  BOOST_TEST((world.apply(identity_entry(after.next->serialised())).code == ec::ok));
  BOOST_TEST((storage::judge_key(world.txn(), before.who, after.keys.sign.public_half(), key_purpose::sign) == ec::ok));
  BOOST_TEST((storage::judge_key(world.txn(), before.who, old_keys.sign.public_half(), key_purpose::sign) ==
              ec::revoked_key));
}

BOOST_AUTO_TEST_CASE(one_old_key_file_without_the_other_is_an_error) {
  scratch_directory scratch;
  signet::testing::seeded_random random{5};
  std::filesystem::create_directories(scratch.path() / "bots");
  BOOST_REQUIRE(make_keys(random).update.save(scratch.path() / "bots" / "echo.update.seed").has_value());
  BOOST_TEST((load_old_bot_keys(scratch.path(), "echo").error().code == ec::not_found));
}

BOOST_AUTO_TEST_CASE(a_name_that_is_no_file_name_is_refused) {
  scratch_directory scratch;
  signet::testing::seeded_random random{5};
  (void) must(load_or_make_cluster_secret(scratch.path(), random));
  for (auto bad : {"", "../x", "a b", "A", "a/b", "a.b"})
    BOOST_TEST((find_bot_identity(scratch.path(), bad).error().code == ec::configuration));
}

BOOST_AUTO_TEST_SUITE_END()
