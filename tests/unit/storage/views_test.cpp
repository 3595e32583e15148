// Lanes and inboxes against a model that is slow and obvious; the read side of the views.
#include "storage/views/read.hpp"

#include "storage/describe.hpp"
#include "tests/support/view_world.hpp"

#include <boost/test/unit_test.hpp>
#include <nlohmann/json.hpp>
#include <rapidcheck.h>

#include <map>
#include <set>

namespace signet::storage {
namespace {

using testing::must;
using testing::person;
using testing::view_world;

constexpr std::size_t people_count = 3;

/// What a generated message tries.
enum class attempt : std::uint8_t { next, next_again, resend, fork, gap, other_predecessor, to_stranger, other_cluster };

struct step {
  std::uint8_t author, recipient, what, pick;
  bool new_batch;
};

/// Everything as lists and maps, one message at a time.
struct model {
  struct placed {
    link own;
    log_index index{};
  };
  std::map<std::pair<std::size_t, std::size_t>, std::vector<placed>> lanes;
  std::map<std::size_t, std::vector<placed>> inboxes;

  outcome judge(std::size_t author, std::size_t recipient, std::uint64_t n, const link& previous, const link& own,
                log_index here, bool& stopped) {
    auto& lane = lanes[{author, recipient}];
    if (n <= lane.size()) {
      const auto& stands = lane[n - 1];
      if (stands.own == own)
        return {outcome_code::duplicate, stands.index, {}};
      stopped = true;
      return {outcome_code::fork, {}, lane_number{lane.size() + 1}};
    }
    const lane_number expected{lane.size() + 1};
    if (stopped || n != lane.size() + 1) {
      stopped = true;
      return {outcome_code::gap, {}, expected};
    }
    if (previous != (lane.empty() ? link{} : lane.back().own)) {
      stopped = true;
      return {outcome_code::fork, {}, expected};
    }
    lane.push_back({own, here});
    inboxes[recipient].push_back({own, here});
    return {outcome_code::accepted, here, {}};
  }
};

/// Applies the steps to a world and to the model, and compares every outcome.
class comparison {
public:
  comparison() {
    world_.found();
    for (std::size_t i = 0; i < people_count; ++i)
      people_.push_back(world_.join());
    stranger_ = random_id<permalink>(world_.random);
  }

  void run(const std::vector<step>& steps) {
    std::size_t begin = 0;
    for (std::size_t i = 0; i < steps.size(); ++i)
      if (i > begin && (steps[i].new_batch || steps[i].author % people_count != steps[begin].author % people_count)) {
        send({steps.data() + begin, i - begin});
        begin = i;
      }
    if (begin < steps.size())
      send({steps.data() + begin, steps.size() - begin});
  }

  void send(std::span<const step> steps) {
    const auto author = steps[0].author % people_count;
    const log_index here{value(world_.index()) + 1};
    std::vector<built_message> messages;
    std::vector<outcome> expected;
    std::set<std::size_t> stopped_lanes;
    // What the author of the batch believes the lanes to be: what stands, and what stands before in this batch.
    for (const auto& step : steps) {
      const auto recipient = step.recipient % people_count;
      auto& lane = model_.lanes[{author, recipient}];
      const auto last = lane.empty() ? link{} : lane.back().own;
      std::uint64_t n = lane.size() + 1;
      link previous = last;
      auto what = static_cast<attempt>(step.what % 8);
      if (lane.empty() && (what == attempt::resend || what == attempt::fork || what == attempt::other_predecessor))
        what = attempt::next;
      auto draft = world_.draft(people_[author], people_[recipient].id(), "message " + std::to_string(made_++));
      std::optional<built_message> again;
      switch (what) {
        case attempt::next:
        case attempt::next_again: break;
        case attempt::resend: again = sent_.at(lane[step.pick % lane.size()].own); break;
        case attempt::fork:
          n = 1 + step.pick % lane.size();
          previous = n == 1 ? link{} : lane[n - 2].own;
          break;
        case attempt::gap:
          n += 1 + step.pick % 3;
          previous.raw.fill(7);
          break;
        case attempt::other_predecessor: previous.raw.fill(5); break;
        case attempt::to_stranger: draft.recipient = stranger_; break;
        case attempt::other_cluster: draft.cluster = random_id<cluster_id>(world_.random); break;
      }
      auto message = again ? *again : must(make_message(draft, lane_number{n}, previous));
      if (again)
        for (n = 1; lane[n - 1].own != message.link; ++n) {
        }
      sent_.emplace(message.link, message);
      messages.push_back(message);
      if (what == attempt::to_stranger || what == attempt::other_cluster) {
        expected.push_back({outcome_code::not_for_here, {}, {}});
        continue;
      }
      bool stopped = stopped_lanes.contains(recipient);
      expected.push_back(model_.judge(author, recipient, n, previous, message.link, here, stopped));
      if (stopped)
        stopped_lanes.insert(recipient);
    }
    auto answer = world_.apply(batch_entry(must(make_batch(people_[author].sign, messages)).serialised));
    RC_ASSERT(answer.code == ec::ok);
    RC_ASSERT(answer.outcomes == expected);
  }

  void compare_views(std::uint8_t from, std::size_t messages_max) {
    auto& txn = world_.txn();
    for (std::size_t r = 0; r < people_count; ++r) {
      const auto& inbox = model_.inboxes[r];
      RC_ASSERT(value(read_inbox_head(txn, people_[r].id())) == inbox.size());
      // The whole inbox, read in pieces.
      std::uint64_t position = 1 + from % (inbox.size() + 1);
      while (position <= inbox.size()) {
        auto slices = read_inbox(txn, people_[r].id(), inbox_position{position}, messages_max, 1 << 20);
        RC_ASSERT(!slices.empty());
        std::size_t read = 0;
        for (const auto& slice : slices) {
          RC_ASSERT(value(slice.first) == position);
          auto loaded = load_batch(txn, slice.index);
          for (auto leaf : slice.leaves) {
            RC_ASSERT(loaded.batch.link(leaf) == inbox[position - 1].own);
            RC_ASSERT(slice.index == inbox[position - 1].index);
            ++position;
            ++read;
          }
        }
        RC_ASSERT(read <= std::max<std::size_t>(messages_max, 1));
      }
      RC_ASSERT(read_inbox(txn, people_[r].id(), inbox_position{inbox.size() + 1}, 10, 100).empty());
    }
    for (std::size_t a = 0; a < people_count; ++a)
      for (std::size_t r = 0; r < people_count; ++r) {
        const lane_id lane{people_[a].device(), people_[r].id()};
        const auto& expected = model_.lanes[{a, r}];
        auto tail = read_lane(txn, lane);
        RC_ASSERT(value(tail.n) == expected.size());
        for (std::uint64_t n = 1; n <= expected.size(); ++n) {
          auto found = find_message(txn, lane, lane_number{n});
          RC_ASSERT(found.has_value());
          RC_ASSERT(found->own == expected[n - 1].own && found->index == expected[n - 1].index);
        }
        RC_ASSERT(!find_message(txn, lane, lane_number{expected.size() + 1}));
        RC_ASSERT(!find_message(txn, lane, lane_number{0}));
      }
  }

private:
  view_world world_{99, 64 << 20};
  std::vector<person> people_;
  permalink stranger_;
  model model_;
  std::map<link, built_message> sent_;
  std::uint64_t made_ = 0;
};

} // namespace
} // namespace signet::storage

namespace rc {
template <>
struct Arbitrary<signet::storage::step> {
  static Gen<signet::storage::step> arbitrary() {
    using signet::storage::step;
    // Good messages most of the time, else lanes never grow.
    auto what = gen::weightedOneOf<std::uint8_t>({{8, gen::just<std::uint8_t>(0)},
                                                  {4, gen::inRange<std::uint8_t>(2, 8)}});
    return gen::build<step>(gen::set(&step::author, gen::inRange<std::uint8_t>(0, 3)),
                            gen::set(&step::recipient, gen::inRange<std::uint8_t>(0, 3)), gen::set(&step::what, what),
                            gen::set(&step::pick, gen::inRange<std::uint8_t>(0, 200)),
                            gen::set(&step::new_batch, gen::weightedElement<bool>({{1, true}, {3, false}})));
  }
};
} // namespace rc

namespace signet::storage {
namespace {

BOOST_AUTO_TEST_SUITE(views)

BOOST_AUTO_TEST_CASE(lanes_and_inboxes_are_what_the_obvious_model_says) {
  BOOST_CHECK(rc::check([] {
    const auto steps = *rc::gen::scale(3.0, rc::gen::arbitrary<std::vector<step>>());
    comparison both;
    both.run(steps);
    both.compare_views(*rc::gen::inRange<std::uint8_t>(0, 100), *rc::gen::inRange<std::size_t>(1, 20));
  }));
}

BOOST_AUTO_TEST_CASE(the_lane_judge_alone_agrees_with_the_model) {
  BOOST_CHECK(rc::check([] {
    // One lane, messages named by small numbers, all of one batch.
    const auto tries = *rc::gen::container<std::vector<std::pair<int, int>>>(
      rc::gen::pair(rc::gen::inRange(1, 9), rc::gen::inRange(0, 3)));
    const auto link_of = [](int n, int version) {
      link out;
      out.raw[0] = static_cast<std::uint8_t>(n);
      out.raw[1] = static_cast<std::uint8_t>(n == 0 ? 0 : version + 1);
      if (n == 0)
        out = {};
      return out;
    };
    model slow;
    lane_judge judge;
    bool stopped = false;
    for (auto [n, version] : tries) {
      // Version 2 follows a predecessor that nobody has sent.
      const auto own = link_of(n, version), previous = link_of(n - 1, version == 2 ? 5 : 0);
      auto expected = slow.judge(0, 0, static_cast<std::uint64_t>(n), previous, own, log_index{1}, stopped);
      const lane_facts message{lane_number{static_cast<std::uint64_t>(n)}, previous, own};
      auto got = judge.judge(message, log_index{1}, std::nullopt, [&](lane_number at) {
        const auto& placed = slow.lanes[std::pair<std::size_t, std::size_t>{0, 0}][value(at) - 1];
        return standing_message{placed.own, placed.index};
      });
      RC_ASSERT(got == expected);
      RC_ASSERT(judge.stopped() == stopped);
    }
    const auto placed_count = slow.lanes[std::pair<std::size_t, std::size_t>{0, 0}].size();
    RC_ASSERT(value(judge.tail_n()) == placed_count);
  }));
}

BOOST_AUTO_TEST_CASE(a_barred_lane_answers_duplicates_and_nothing_else) {
  link first, second;
  first.raw[0] = 1;
  second.raw[0] = 2;
  lane_judge judge{lane_number{1}, first};
  const auto earlier = [&](lane_number) { return standing_message{first, log_index{7}}; };
  const auto barred = outcome_code::revoked_key;
  BOOST_CHECK(judge.judge({lane_number{1}, {}, first}, log_index{9}, barred, earlier) ==
              (outcome{outcome_code::duplicate, log_index{7}, {}}));
  BOOST_CHECK(judge.judge({lane_number{2}, first, second}, log_index{9}, barred, earlier).code == barred);
  BOOST_CHECK(judge.judge({lane_number{1}, {}, second}, log_index{9}, barred, earlier).code == barred);
  BOOST_CHECK(value(judge.tail_n()) == 1);
}

BOOST_AUTO_TEST_CASE(an_inbox_is_read_within_its_byte_budget_but_never_nothing) {
  view_world world;
  world.found();
  auto alice = world.join();
  auto bob = world.join();
  for (int i = 0; i < 4; ++i)
    world.apply(batch_entry(world.batch(alice, bob.id(), 5, std::string(1000, 'x')).serialised));
  const auto count = [&](std::uint64_t from, std::size_t messages, std::size_t size) {
    std::size_t read = 0;
    for (const auto& slice : read_inbox(world.txn(), bob.id(), inbox_position{from}, messages, size))
      read += slice.leaves.size();
    return read;
  };
  BOOST_CHECK_EQUAL(count(1, 100, 1 << 20), 20U);
  BOOST_CHECK_EQUAL(count(1, 100, 1), 1U);
  BOOST_CHECK_EQUAL(count(0, 100, 1 << 20), 20U);
  BOOST_CHECK_EQUAL(count(3, 7, 1 << 20), 7U);
  BOOST_CHECK_EQUAL(count(20, 7, 1 << 20), 1U);
  BOOST_CHECK_EQUAL(count(21, 7, 1 << 20), 0U);
  // A body of 1,000 bytes is a little more with its header: about three of them fit 4,000.
  const auto some = count(1, 100, 4000);
  BOOST_CHECK(some == 2 || some == 3);
}

BOOST_AUTO_TEST_CASE(one_entry_to_many_recipients_gives_each_one_run_with_its_own_leaves) {
  view_world world;
  world.found();
  auto alice = world.join();
  std::vector<person> others;
  for (int i = 0; i < 5; ++i)
    others.push_back(world.join());
  std::vector<message_draft> drafts;
  for (int i = 0; i < 20; ++i)
    drafts.push_back(world.draft(alice, others[static_cast<std::size_t>(i) % 5].id(), std::to_string(i)));
  world.apply(batch_entry(must(make_batch(alice.sign, drafts, alice.tails)).serialised));
  BOOST_CHECK_EQUAL(world.txn().count(table::inbox::ref), 5U);
  BOOST_CHECK_EQUAL(world.txn().count(table::lanes::ref), 5U);
  auto slices = read_inbox(world.txn(), others[2].id(), inbox_position{1}, 100, 1 << 20);
  BOOST_REQUIRE_EQUAL(slices.size(), 1U);
  BOOST_CHECK((slices[0].leaves == std::vector<std::uint32_t>{2, 7, 12, 17}));
}

BOOST_AUTO_TEST_CASE(a_hole_in_an_inbox_is_never_skipped) {
  view_world world;
  world.found();
  auto alice = world.join();
  auto bob = world.join();
  for (int i = 0; i < 3; ++i)
    world.apply(batch_entry(world.batch(alice, bob.id(), 2).serialised));
  erase<table::inbox>(world.txn(), {bob.id(), inbox_position{4}});
  BOOST_CHECK_THROW(read_inbox(world.txn(), bob.id(), inbox_position{1}, 100, 1 << 20), storage_failure);
  BOOST_CHECK_THROW(read_inbox(world.txn(), bob.id(), inbox_position{3}, 100, 1 << 20), storage_failure);
  BOOST_CHECK_EQUAL(read_inbox(world.txn(), bob.id(), inbox_position{5}, 100, 1 << 20).size(), 1U);
}

BOOST_AUTO_TEST_CASE(a_chain_that_does_not_fit_the_answer_says_so) {
  view_world world;
  world.found();
  auto alice = world.join();
  auto version = alice.version;
  for (int i = 0; i < 5; ++i) {
    identity_draft draft;
    draft.keys = {{key_purpose::update, &alice.update}, {key_purpose::sign, &alice.sign}};
    version = must(make_next_identity(version, draft, alice.update));
    BOOST_REQUIRE(world.apply(identity_entry(version.serialised())).code == ec::ok);
  }
  auto whole = read_identity_chain(world.txn(), alice.id());
  BOOST_CHECK(whole.complete);
  BOOST_CHECK_EQUAL(whole.versions.size(), 6U);
  BOOST_CHECK(verify_chain(whole.versions, alice.id()).has_value());
  auto part = read_identity_chain(world.txn(), alice.id(), 1000);
  BOOST_CHECK(!part.complete);
  BOOST_CHECK(part.versions.size() < 6);
  BOOST_CHECK(part.index == whole.index);
}

BOOST_AUTO_TEST_CASE(a_record_is_described_without_its_content_and_with_what_came_of_it) {
  view_world world;
  world.found();
  auto alice = world.join();
  auto bob = world.join();
  world.apply(batch_entry(world.batch(alice, bob.id(), 2, "a canary in the body").serialised));
  auto described = describe_record(world.txn(), world.index());
  BOOST_CHECK_EQUAL(described["entry"]["kind"], "batch_accepted");
  BOOST_CHECK_EQUAL(described["applied"], true);
  BOOST_CHECK_EQUAL(described["entry"]["batch"]["messages"].size(), 2U);
  BOOST_CHECK_EQUAL(described["entry"]["batch"]["messages"][1]["n"], 2);
  BOOST_CHECK_EQUAL(described["entry"]["batch"]["messages"][1]["accepted"], true);
  const auto canary = to_hex(as_bytes("a canary in the body"));
  BOOST_CHECK(described.dump().find("canary") == std::string::npos);
  BOOST_CHECK(described.dump().find(canary) == std::string::npos);
  BOOST_CHECK(describe_record(world.txn(), world.index(), {true}).dump().find(canary) != std::string::npos);

  auto forged = must(make_message(world.draft(alice, bob.id(), "other"), lane_number{1}, {}));
  world.apply(batch_entry(must(make_batch(alice.sign, std::span{&forged, 1})).serialised));
  described = describe_record(world.txn(), world.index());
  BOOST_CHECK_EQUAL(described["entry"]["batch"]["messages"][0]["accepted"], false);
  BOOST_REQUIRE_EQUAL(described["events"].size(), 1U);
  BOOST_CHECK_EQUAL(described["events"][0]["kind"], "fork");
  BOOST_CHECK(describe_record(world.txn(), log_index{999}).is_null());
  BOOST_CHECK_EQUAL(describe_entry(as_bytes("junk"))["kind"], "unreadable");
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace
} // namespace signet::storage
