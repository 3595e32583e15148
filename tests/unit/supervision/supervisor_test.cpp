#include "actors/supervision/guard.hpp"
#include "actors/supervision/shell.hpp"
#include "actors/supervision/supervisor.hpp"
#include "tests/support/deterministic_system.hpp"
#include "tests/unit/supervision/support.hpp"

#include <boost/test/unit_test.hpp>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <sstream>

using namespace signet;
using namespace signet::supervision;
using namespace signet::testing;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

using boom_atom = caf::atom_constant<caf::atom("boom")>;
using leave_atom = caf::atom_constant<caf::atom("leave")>;
using ping_atom = caf::atom_constant<caf::atom("ping")>;
constexpr boom_atom boom_v{};
constexpr leave_atom leave_v{};
constexpr ping_atom ping_v{};

/// What happened, in order: "+a" a started, "=a" a has ended.
struct journal {
  std::string text;
  std::map<std::string, int> alive, alive_most, starts;
  std::map<std::string, int> factory_failures;  // how often the factory still has to fail
  int pings = 0;
  std::string take() { return std::exchange(text, {}); }
};
using journal_ptr = std::shared_ptr<journal>;

struct worker_state {
  static inline const char* name = "test_worker";
  journal_ptr book;
  std::string id;
  ~worker_state() {
    if (!book)
      return;
    book->text += "=" + id;
    --book->alive[id];
  }
};

caf::behavior test_worker(caf::stateful_actor<worker_state>* self, journal_ptr book, std::string id) {
  guard(self);
  self->state.book = book;
  self->state.id = id;
  book->text += "+" + id;
  ++book->starts[id];
  book->alive_most[id] = std::max(book->alive_most[id], ++book->alive[id]);
  return {[](boom_atom) { throw std::runtime_error("boom"); },
          [self](leave_atom) { self->quit(); },
          [book](ping_atom) { return ++book->pings; }};
}

child_spec child(const journal_ptr& book, const std::string& id, restart when = restart::permanent) {
  return worker(
    id, "worker",
    [=](starting& at) {
      if (book->factory_failures[id] > 0) {
        --book->factory_failures[id];
        throw std::runtime_error("no such thing");
      }
      return at.self().spawn(test_worker, book, id);
    },
    when);
}

struct fixture {
  journal_ptr book = std::make_shared<journal>();
  seeded_random jitter;
  deterministic_system world;
  supervisor_options options;

  explicit fixture(strategy how = strategy::one_for_one, std::optional<std::uint64_t> seed = std::nullopt)
    : jitter{seed.value_or(1)}, world{seed} {
    options.rules.how = how;
    options.rules.intensity = {5, seconds{60}};
    options.rules.backoff = {milliseconds{100}, seconds{2}, milliseconds{0}};
    options.random = &jitter;
  }
  std::vector<child_spec> abc() { return {child(book, "a"), child(book, "b"), child(book, "c")}; }
  supervisor_actor start(std::vector<child_spec> specs) {
    auto handle = world.spawn(supervisor, options, std::move(specs));
    world.settle();
    return handle;
  }
  caf::actor find(const supervisor_actor& boss, const std::string& id) {
    return world.ask<caf::actor>(boss, find_child{id}).value_or(caf::actor{});
  }
  void boom(const supervisor_actor& boss, const std::string& id) {
    caf::anon_send(find(boss, id), boom_v);
    world.settle();
  }
  supervisor_report report(const supervisor_actor& boss) {
    auto answer = world.ask<supervisor_report>(boss, ask_report{});
    BOOST_REQUIRE(answer.has_value());
    return *answer;
  }
  /// Remembers with what reason somebody ends.
  std::shared_ptr<std::optional<caf::error>> watch(const caf::actor& whom) {
    auto reason = std::make_shared<std::optional<caf::error>>();
    world.spawn([=](caf::event_based_actor* self) -> caf::behavior {
      self->monitor(whom);
      self->set_down_handler([=](caf::down_msg& down) { *reason = down.reason; });
      return {[](ping_atom) {}};
    });
    world.settle();
    return reason;
  }
  auto watch(const supervisor_actor& whom) { return watch(caf::actor_cast<caf::actor>(whom)); }
};

std::string states(const supervisor_report& report) {
  std::string out;
  for (const auto& row : report.children) {
    out += row.id + ":" + std::string{name(row.state)} + ":" + std::to_string(row.restarts);
    if (!row.children.empty()) {
      supervisor_report below;
      below.children = row.children;
      out += "(" + states(below) + ")";
    }
    out += " ";
  }
  return out;
}

constexpr std::uint64_t orders = 1'000;

struct quiet {
  quiet() { spdlog::set_level(spdlog::level::off); }
};
const quiet no_output;

} // namespace

BOOST_AUTO_TEST_SUITE(supervising)

BOOST_AUTO_TEST_CASE(one_for_one_restarts_the_failed_child_alone_whatever_the_order_of_events) {
  for (std::uint64_t seed = 0; seed < orders; ++seed) {
    fixture f{strategy::one_for_one, seed};
    auto boss = f.start(f.abc());
    f.boom(boss, "b");
    f.world.pass(milliseconds{100});
    BOOST_REQUIRE_EQUAL(f.book->starts["b"], 2);
    BOOST_REQUIRE_EQUAL(f.book->starts["a"] + f.book->starts["c"], 2);
    BOOST_REQUIRE_EQUAL(states(f.report(boss)), "a:running:0 b:running:1 c:running:0 ");
  }
}

BOOST_AUTO_TEST_CASE(one_for_all_stops_in_reverse_and_starts_in_order_whatever_the_order_of_events) {
  for (std::uint64_t seed = 0; seed < orders; ++seed) {
    fixture f{strategy::one_for_all, seed};
    auto boss = f.start(f.abc());
    f.book->take();
    f.boom(boss, "b");
    BOOST_REQUIRE_EQUAL(f.book->take(), "=b=c=a");
    f.world.pass(milliseconds{100});
    BOOST_REQUIRE_EQUAL(f.book->starts["a"] * 100 + f.book->starts["b"] * 10 + f.book->starts["c"], 222);
    BOOST_REQUIRE_EQUAL(states(f.report(boss)), "a:running:1 b:running:1 c:running:1 ");
  }
}

BOOST_AUTO_TEST_CASE(rest_for_one_takes_along_those_behind_and_hands_them_the_new_sibling) {
  for (std::uint64_t seed = 0; seed < orders; ++seed) {
    fixture f{strategy::rest_for_one, seed};
    auto given = std::make_shared<std::vector<caf::actor_id>>();
    auto specs = f.abc();
    specs[2] = worker("c", "worker", [=, book = f.book](starting& at) {
      given->push_back(at.get<caf::actor>("b").id());
      return at.self().spawn(test_worker, book, "c");
    });
    auto boss = f.start(std::move(specs));
    f.book->take();
    f.boom(boss, "b");
    BOOST_REQUIRE_EQUAL(f.book->take(), "=b=c");
    f.world.pass(milliseconds{100});
    BOOST_REQUIRE_EQUAL(states(f.report(boss)), "a:running:0 b:running:1 c:running:1 ");
    BOOST_REQUIRE_EQUAL(given->size(), 2u);
    BOOST_REQUIRE_EQUAL(given->back(), f.find(boss, "b").id());
  }
}

BOOST_AUTO_TEST_CASE(several_failures_at_once_end_with_everybody_running_once) {
  for (std::uint64_t seed = 0; seed < orders; ++seed) {
    fixture f{static_cast<strategy>(seed % 3), seed};
    auto boss = f.start(f.abc());
    std::vector<caf::actor> handles{f.find(boss, "a"), f.find(boss, "b"), f.find(boss, "c")};
    caf::anon_send(handles[2], boom_v);
    caf::anon_send(handles[0], boom_v);
    caf::anon_send(handles[1], leave_v);
    f.world.settle();
    f.world.pass(seconds{3}, milliseconds{100});
    const auto report = f.report(boss);
    for (const auto& row : report.children)
      BOOST_REQUIRE_MESSAGE(row.state == child_state::running, row.id << ", seed " << seed);
    for (auto id : {"a", "b", "c"}) {
      BOOST_REQUIRE_EQUAL(f.book->alive[id], 1);
      BOOST_REQUIRE_EQUAL(f.book->alive_most[id], 1);  // never two of one at a time
    }
  }
}

BOOST_AUTO_TEST_CASE(a_stop_in_the_middle_of_anything_ends_with_nobody_alive) {
  for (std::uint64_t seed = 0; seed < orders; ++seed) {
    fixture f{static_cast<strategy>(seed % 3), seed};
    std::mt19937_64 random{seed};
    auto boss = f.start({child(f.book, "a"), nested("n", f.options, {child(f.book, "x"), child(f.book, "y")}),
                         child(f.book, "b", restart::transient), child(f.book, "c", restart::temporary)});
    auto reason = f.watch(boss);
    auto inner = caf::actor_cast<supervisor_actor>(f.find(boss, "n"));
    std::vector<caf::actor> workers{f.find(boss, "a"), f.find(boss, "b"), f.find(boss, "c"), f.find(inner, "x"), f.find(inner, "y")};
    for (int i = 0; i < 12; ++i) {
      switch (random() % 6) {
        case 0:
          caf::anon_send(workers[random() % workers.size()], boom_v);
          break;
        case 1:
          caf::anon_send(workers[random() % workers.size()], leave_v);
          break;
        case 2:
          caf::anon_send(boss, remove_child{std::string(1, "abcdn"[random() % 5])});
          break;
        case 3:
          caf::anon_send(boss, add_child{std::make_shared<const child_spec>(child(f.book, std::string(1, "abcd"[random() % 4])))});
          break;
        case 4:
          f.world.scheduler().advance_time(milliseconds{random() % 100});
          break;
        default:
          for (auto steps = random() % 10; steps > 0; --steps)
            f.world.step();
      }
    }
    caf::anon_send_exit(boss, caf::exit_reason::user_shutdown);
    for (auto steps = random() % 10; steps > 0; --steps)
      f.world.step();
    f.world.settle();
    BOOST_REQUIRE_MESSAGE(reason->has_value(), "seed " << seed);
    BOOST_REQUIRE_MESSAGE(**reason == caf::exit_reason::user_shutdown, "seed " << seed);
    for (const auto& [id, most] : f.book->alive_most)
      BOOST_REQUIRE_MESSAGE(most <= 1 && f.book->alive[id] == 0, id << ", seed " << seed);
  }
}

BOOST_AUTO_TEST_CASE(the_wait_before_a_restart_is_the_one_that_the_backoff_drew) {
  fixture f;
  f.options.rules.backoff = {milliseconds{100}, milliseconds{800}, milliseconds{0}};
  f.options.rules.intensity = {100, seconds{60}};
  seeded_random same{77}, jitter{77};
  f.options.random = &jitter;
  auto boss = f.start({child(f.book, "a")});
  for (std::uint64_t attempt = 1; attempt <= 8; ++attempt) {
    const auto wait = backoff_delay(f.options.rules.backoff, attempt, same);
    f.boom(boss, "a");
    const auto starts = f.book->starts["a"];
    if (wait > milliseconds{0}) {
      f.world.pass(wait - milliseconds{1}, seconds{1});
      BOOST_TEST(f.book->starts["a"] == starts);
    }
    f.world.pass(milliseconds{1}, milliseconds{1});
    BOOST_TEST(f.book->starts["a"] == starts + 1);
  }
}

BOOST_AUTO_TEST_CASE(giving_up_stops_in_reverse_and_ends_with_the_reason_of_the_child) {
  for (std::uint64_t seed = 0; seed < orders; ++seed) {
    fixture f{strategy::one_for_one, seed};
    f.options.rules.intensity = {2, seconds{60}};
    auto boss = f.start(f.abc());
    auto reason = f.watch(boss);
    for (int i = 0; i < 3; ++i) {
      BOOST_REQUIRE(!reason->has_value());
      f.book->take();
      f.boom(boss, "b");
      f.world.pass(milliseconds{400});
    }
    BOOST_REQUIRE_EQUAL(f.book->take(), "=b=c=a");
    BOOST_REQUIRE(reason->has_value());
    BOOST_REQUIRE_EQUAL(describe(**reason), "runtime_error: std::runtime_error: boom");
  }
}

BOOST_AUTO_TEST_CASE(failures_rarer_than_the_intensity_never_end_a_supervisor) {
  fixture f;
  f.options.rules.intensity = {1, seconds{10}};
  auto boss = f.start({child(f.book, "a")});
  for (int i = 0; i < 20; ++i) {
    f.boom(boss, "a");
    f.world.pass(seconds{11}, seconds{1});
  }
  BOOST_TEST(states(f.report(boss)) == "a:running:20 ");
}

BOOST_AUTO_TEST_CASE(an_escalation_climbs_two_levels_and_each_level_counts_for_itself) {
  for (std::uint64_t seed = 0; seed < orders; ++seed) {
    fixture f{strategy::one_for_one, seed};
    auto strict = f.options;
    strict.rules.intensity = {1, seconds{60}};
    auto top = f.start({nested("middle", strict, {nested("inner", strict, {child(f.book, "x"), child(f.book, "y")})}),
                        child(f.book, "z")});
    auto reason = f.watch(top);
    auto boom = [&] {
      auto middle = caf::actor_cast<supervisor_actor>(f.find(top, "middle"));
      auto inner = caf::actor_cast<supervisor_actor>(f.find(middle, "inner"));
      f.boom(inner, "x");
      f.world.pass(seconds{1}, milliseconds{50});
    };
    boom();  // inner restarts x
    BOOST_REQUIRE_EQUAL(f.book->starts["x"], 2);
    BOOST_REQUIRE_EQUAL(f.book->starts["y"], 1);
    boom();  // inner gives up, middle restarts it
    BOOST_REQUIRE_EQUAL(f.book->starts["y"], 2);
    BOOST_REQUIRE_EQUAL(states(f.report(top)), "middle:running:0(inner:running:1(x:running:0 y:running:0 ) ) z:running:0 ");
    boom();
    boom();  // inner gives up again: so does middle, and top restarts it
    auto report = f.report(top);
    BOOST_REQUIRE_EQUAL(states(report), "middle:running:1(inner:running:0(x:running:0 y:running:0 ) ) z:running:0 ");
    BOOST_REQUIRE_EQUAL(report.children[0].last_reason, "runtime_error: std::runtime_error: boom");
    BOOST_REQUIRE(!reason->has_value());
    BOOST_REQUIRE_EQUAL(f.book->starts["z"], 1);
    BOOST_REQUIRE_EQUAL(f.book->alive["x"], 1);
    BOOST_REQUIRE_EQUAL(f.book->alive["y"], 1);
  }
}

BOOST_AUTO_TEST_CASE(a_factory_that_throws_is_tried_again_and_counts) {
  fixture f;
  f.book->factory_failures["b"] = 2;
  auto boss = f.start(f.abc());
  BOOST_TEST(f.book->take() == "+a+c");
  auto report = f.report(boss);
  BOOST_TEST(states(report) == "a:running:0 b:backing_off:0 c:running:0 ");
  BOOST_TEST(report.children[1].last_reason == "runtime_error: std::runtime_error: no such thing");
  f.world.pass(seconds{1});
  BOOST_TEST(states(f.report(boss)) == "a:running:0 b:running:2 c:running:0 ");
}

BOOST_AUTO_TEST_CASE(a_factory_that_always_throws_makes_the_supervisor_give_up) {
  fixture f{strategy::rest_for_one};
  f.book->factory_failures["b"] = 1'000;
  auto boss = f.start(f.abc());
  auto reason = f.watch(boss);
  f.world.pass(seconds{30}, milliseconds{50});
  BOOST_REQUIRE(reason->has_value());
  BOOST_TEST(describe(**reason) == "runtime_error: std::runtime_error: no such thing");
  BOOST_TEST(f.book->factory_failures["b"] == 994);  // the first try and five more
  BOOST_TEST(f.book->take() == "+a=a");
  BOOST_TEST(f.book->starts["c"] == 0);
}

BOOST_AUTO_TEST_CASE(told_to_exit_it_stops_in_reverse_and_ends_with_that_reason) {
  for (std::uint64_t seed = 0; seed < orders; ++seed) {
    fixture f{strategy::one_for_all, seed};
    auto boss = f.start(f.abc());
    auto reason = f.watch(boss);
    f.book->take();
    caf::anon_send_exit(boss, caf::exit_reason::user_shutdown);
    f.world.settle();
    BOOST_REQUIRE_EQUAL(f.book->take(), "=c=b=a");
    BOOST_REQUIRE(reason->has_value());
    BOOST_REQUIRE(**reason == caf::exit_reason::user_shutdown);
  }
}

BOOST_AUTO_TEST_CASE(a_stop_does_not_wait_for_the_backlog_of_a_child) {
  fixture f;
  auto boss = f.start({child(f.book, "a")});
  auto a = f.find(boss, "a");
  for (int i = 0; i < 1'000; ++i)
    caf::anon_send(a, ping_v);
  send_exit_first(a, caf::exit_reason::user_shutdown);
  f.world.settle();
  BOOST_TEST(f.book->pings < 10);
}

BOOST_AUTO_TEST_CASE(a_nested_tree_stops_from_the_leaves_of_the_last_branch) {
  fixture f;
  auto boss = f.start({child(f.book, "a"), nested("n", f.options, {child(f.book, "b"), child(f.book, "c")}), child(f.book, "d")});
  BOOST_TEST(f.book->take() == "+a+d+b+c");  // a nested supervisor runs its own start when its turn comes
  caf::anon_send_exit(boss, caf::exit_reason::user_shutdown);
  f.world.settle();
  BOOST_TEST(f.book->take() == "=d=c=b=a");
}

BOOST_AUTO_TEST_CASE(a_killed_supervisor_takes_its_children_along) {
  fixture f;
  auto boss = f.start({child(f.book, "a"), nested("n", f.options, {child(f.book, "b")})});
  caf::anon_send_exit(boss, caf::exit_reason::kill);
  f.world.settle();
  BOOST_TEST(f.book->alive["a"] == 0);
  BOOST_TEST(f.book->alive["b"] == 0);
}

BOOST_AUTO_TEST_CASE(a_child_that_traps_its_exit_is_killed_after_the_timeout) {
  fixture f;
  auto stubborn = worker("s", "worker", [](starting& at) {
    return at.self().spawn(
      [](caf::event_based_actor* self, int) -> caf::behavior {
        self->set_exit_handler([](caf::exit_msg&) {});
        return {[](ping_atom) {}};
      },
      0);
  });
  stubborn.shutdown_timeout = seconds{2};
  auto boss = f.start({stubborn});
  auto reason = f.watch(boss);
  caf::anon_send_exit(boss, caf::exit_reason::user_shutdown);
  f.world.settle();
  BOOST_TEST(states(f.report(boss)) == "s:stopping:0 ");
  f.world.pass(milliseconds{1'999}, milliseconds{1'999});
  BOOST_TEST(!reason->has_value());
  f.world.pass(milliseconds{1}, milliseconds{1});
  BOOST_TEST(reason->has_value());
}

BOOST_AUTO_TEST_CASE(children_come_and_go_at_run_time) {
  fixture f;
  auto boss = f.start({child(f.book, "a")});
  auto added = f.world.ask<child_added>(boss, add_child{std::make_shared<const child_spec>(child(f.book, "bot"))});
  BOOST_REQUIRE(added.has_value());
  BOOST_TEST((added->handle == f.find(boss, "bot")));
  caf::error problem;
  BOOST_TEST(!f.world.ask<child_added>(boss, add_child{std::make_shared<const child_spec>(child(f.book, "bot"))}, &problem).has_value());
  BOOST_TEST(describe(problem).find("bot") != std::string::npos);
  f.boom(boss, "bot");
  f.world.pass(milliseconds{100});
  BOOST_TEST(states(f.report(boss)) == "a:running:0 bot:running:1 ");
  f.book->take();
  BOOST_TEST(f.world.ask<child_removed>(boss, remove_child{"bot"}).has_value());
  BOOST_TEST(f.book->take() == "=bot");
  BOOST_TEST(states(f.report(boss)) == "a:running:0 ");
  BOOST_TEST(!f.world.ask<child_removed>(boss, remove_child{"bot"}).has_value());
  BOOST_TEST((f.find(boss, "bot") == nullptr));
  f.world.pass(seconds{60}, seconds{1});
  BOOST_TEST(states(f.report(boss)) == "a:running:0 ");
}

BOOST_AUTO_TEST_CASE(new_handles_are_handed_on) {
  fixture f;
  auto seen = std::make_shared<std::vector<caf::actor_id>>();
  auto spec = child(f.book, "a");
  spec.on_started = [seen](const caf::actor& handle) { seen->push_back(handle.id()); };
  auto boss = f.start({spec});
  f.boom(boss, "a");
  BOOST_TEST((f.find(boss, "a") == nullptr));  // it backs off: nobody gets a dead handle
  f.world.pass(milliseconds{100});
  BOOST_REQUIRE_EQUAL(seen->size(), 2u);
  BOOST_TEST(seen->back() == f.find(boss, "a").id());
}

BOOST_AUTO_TEST_CASE(a_down_message_of_a_stranger_and_a_timer_out_of_nowhere_change_nothing) {
  fixture f;
  auto boss = f.start(f.abc());
  auto stranger = f.world.spawn(test_worker, f.book, std::string{"stranger"});
  f.world.settle();
  caf::anon_send(caf::actor_cast<caf::actor>(boss), caf::down_msg{stranger.address(), caf::make_error(caf::exit_reason::kill)});
  caf::anon_send(boss, timer_fired{timer_id{0}});
  caf::anon_send(boss, timer_fired{timer_id{42}});
  f.world.settle();
  BOOST_TEST(states(f.report(boss)) == "a:running:0 b:running:0 c:running:0 ");
}

BOOST_AUTO_TEST_CASE(a_down_message_that_comes_twice_counts_once) {
  fixture f;
  auto boss = f.start({child(f.book, "a")});
  auto a = f.find(boss, "a");
  f.boom(boss, "a");
  caf::anon_send(caf::actor_cast<caf::actor>(boss), caf::down_msg{a.address(), caf::make_error(caf::exit_reason::kill)});
  f.world.pass(milliseconds{100});
  caf::anon_send(caf::actor_cast<caf::actor>(boss), caf::down_msg{a.address(), caf::make_error(caf::exit_reason::kill)});
  f.world.pass(seconds{1});
  BOOST_TEST(states(f.report(boss)) == "a:running:1 ");
}

BOOST_AUTO_TEST_CASE(the_report_shows_the_tree_and_for_how_long) {
  fixture f;
  auto boss = f.start({child(f.book, "a"), nested("bots", f.options, {child(f.book, "echo")})});
  f.world.pass(seconds{5}, seconds{1});
  const auto report = f.report(boss);
  BOOST_TEST(to_json(report) ==
             R"({"children":[{"id":"a","in_state_ms":5000,"kind":"worker","last_reason":"","restarts":0,"state":"running"},)"
             R"({"children":[{"id":"echo","in_state_ms":5000,"kind":"worker","last_reason":"","restarts":0,"state":"running"}],)"
             R"("id":"bots","in_state_ms":5000,"kind":"supervisor","last_reason":"","restarts":0,"state":"running"}],)"
             R"("stopping":false,"strategy":"one_for_one"})");
  BOOST_TEST(to_text(report) == "a  worker  running for 5 s\nbots  supervisor  running for 5 s\n  echo  worker  running for 5 s\n");
}

BOOST_AUTO_TEST_CASE(a_nested_supervisor_that_does_not_answer_is_shown_as_such_after_the_patience) {
  fixture f;
  auto mute = worker("mute", "supervisor", [](starting& at) {
    return at.self().spawn(
      [](caf::stateful_actor<std::vector<caf::response_promise>>* self, int) -> caf::behavior {
        return {[self](const ask_report&) -> caf::delegated<supervisor_report> {
          self->state.push_back(self->make_response_promise());
          return {};
        }};
      },
      0);
  });
  mute.is_supervisor = true;
  auto boss = f.start({mute, child(f.book, "a")});
  auto answer = std::make_shared<std::optional<supervisor_report>>();
  f.world.spawn([=](caf::event_based_actor* self) {
    self->request(boss, seconds{10}, ask_report{milliseconds{500}})
      .then([=](const supervisor_report& report) { *answer = report; });
  });
  f.world.pass(milliseconds{499}, milliseconds{499});
  BOOST_TEST(!answer->has_value());
  f.world.pass(milliseconds{1}, milliseconds{1});
  BOOST_REQUIRE(answer->has_value());
  BOOST_TEST(!(*answer)->children[0].answered);
  BOOST_TEST((*answer)->children[1].answered);
}

BOOST_AUTO_TEST_CASE(two_children_of_one_id_are_a_mistake_that_ends_the_supervisor_at_once) {
  fixture f;
  auto boss = f.start({child(f.book, "a"), child(f.book, "a")});
  auto reason = f.watch(boss);
  BOOST_REQUIRE(reason->has_value());
  BOOST_TEST(!is_normal(**reason));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(guarding)

BOOST_AUTO_TEST_CASE(only_texts_of_ours_and_of_the_standard_library_are_kept) {
  struct talkative : std::exception {
    const char* what() const noexcept override { return "secret content"; }
  };
  auto of = [](auto x) { return describe(std::make_exception_ptr(x)); };
  BOOST_TEST(of(std::out_of_range{"index 3"}) == "std::out_of_range: index 3");
  BOOST_TEST(of(talkative{}).find("secret") == std::string::npos);
  BOOST_TEST(of(talkative{}).find("talkative") != std::string::npos);
  BOOST_TEST(of(7) == "int");
  BOOST_TEST(of(std::runtime_error{std::string(1'000, 'x')}).size() == 200u);
  BOOST_TEST(of(std::runtime_error{"two\nlines"}) == "std::runtime_error: two lines");
}

BOOST_AUTO_TEST_CASE(reasons_are_words) {
  BOOST_TEST(describe(caf::error{}) == "normal");
  BOOST_TEST(describe(caf::make_error(caf::exit_reason::user_shutdown)) == "user_shutdown");
  BOOST_TEST(describe(caf::make_error(caf::sec::runtime_error, std::string{"x"})) == "runtime_error: x");
  BOOST_TEST(is_normal(caf::make_error(caf::exit_reason::normal)));
  BOOST_TEST(!is_normal(caf::make_error(caf::exit_reason::kill)));
}

BOOST_AUTO_TEST_CASE(the_log_names_the_type_of_a_message_and_never_its_content) {
  std::ostringstream lines;
  auto former = spdlog::default_logger();
  auto logger = std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(lines));
  logger->set_level(spdlog::level::trace);
  spdlog::set_default_logger(logger);
  {
    fixture f;
    auto a = f.world.spawn(test_worker, f.book, std::string{"a"});
    caf::anon_send(a, std::string{"private words"});
    f.world.settle();
    caf::anon_send(a, boom_v);
    f.world.settle();
    BOOST_TEST(f.book->take() == "+a=a");
  }
  spdlog::set_default_logger(former);
  const auto text = lines.str();
  BOOST_TEST(text.find("message_unexpected actor=test_worker") != std::string::npos);
  BOOST_TEST(text.find("message_type=\"@str\"") != std::string::npos);  // CAF's name of std::string
  BOOST_TEST(text.find("actor_failed actor=test_worker") != std::string::npos);
  BOOST_TEST(text.find("reason=\"std::runtime_error: boom\"") != std::string::npos);
  BOOST_TEST(text.find("private") == std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()

namespace {

struct job {
  int number = 0;
};

} // namespace
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(job)

BOOST_AUTO_TEST_SUITE(shells)

BOOST_AUTO_TEST_CASE(address_and_queue_survive_the_handler_and_a_poison_is_set_aside_at_its_third_attempt) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    deterministic_system world{seed};
    auto done = std::make_shared<std::vector<int>>();
    auto tries = std::make_shared<int>(0);
    // The overseer: three attempts, 10 ms apart; every order is sent twice.
    auto overseer = world.spawn([](caf::event_based_actor* self) -> caf::behavior {
      return {[self](const job_failed& what) {
        auto to = caf::actor_cast<caf::actor>(self->current_sender());
        for (int twice = 0; twice < 2; ++twice)
          if (what.attempt < 3)
            self->delayed_send(to, milliseconds{10}, retry_job{what.failure});
          else
            self->send(to, drop_job{what.failure});
      }};
    });
    auto address = world.spawn(
      shell<job>,
      std::function<restartable<job>::handler()>{[=] {
        return restartable<job>::handler{[=](const job& x) {
          if (x.number == 3)
            ++*tries;
          if (x.number == 3 || (x.number == 5 && done->size() == 4 && *tries % 2 == 1 && ++*tries))
            throw std::runtime_error("poison");
          done->push_back(x.number);
        }};
      }},
      overseer, std::size_t{100});
    for (int i = 0; i < 10; ++i)
      caf::anon_send(address, job{i});
    world.settle();
    for (int i = 10; i < 20; ++i)
      caf::anon_send(address, job{i});
    world.pass(milliseconds{100});
    std::vector<int> expected;
    for (int i = 0; i < 20; ++i)
      if (i != 3)
        expected.push_back(i);
    BOOST_REQUIRE_EQUAL_COLLECTIONS(done->begin(), done->end(), expected.begin(), expected.end());
    BOOST_REQUIRE_EQUAL(*tries, 4);
  }
}

BOOST_AUTO_TEST_CASE(a_full_shell_refuses_requests) {
  deterministic_system world;
  auto overseer = world.spawn([](caf::event_based_actor*) -> caf::behavior { return {[](const job_failed&) {}}; });
  auto address = world.spawn(
    shell<job>,
    std::function<restartable<job>::handler()>{
      [] { return restartable<job>::handler{[](const job&) { throw std::runtime_error("always"); }}; }},
    overseer, std::size_t{2});
  caf::anon_send(address, job{1});
  caf::anon_send(address, job{2});
  world.settle();
  caf::error problem;
  BOOST_TEST(!world.ask<caf::unit_t>(address, job{3}, &problem).has_value());
  BOOST_TEST((problem == caf::sec::unavailable_or_would_block));
}

BOOST_AUTO_TEST_SUITE_END()
