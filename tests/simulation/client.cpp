#include "tests/simulation/client.hpp"

namespace signet::simulation {

using namespace storage;

namespace {
/// Far behind everything that a wall clock may say here.
constexpr wall_ms never{32'503'680'000'000};
} // namespace

void client::think() {
  auto pause = chance_.percent(30) ? 0 : chance_.below(40 * ms);
  world_.at(world_.now() + pause, [this] { next(); });
}

void client::next() {
  if (world_.quiet())
    return;
  for (auto whom : {number_, cast::silent, cast::bot})
    if (!world_.published[whom])
      return publish(whom);
  auto what = chance_.below(100);
  if (what < 70) {
    // To somebody who is known: what is acknowledged to one is there for all.
    for (;;) {
      auto to = chance_.below(cast::get().size());
      if (world_.published[to] && !(to == cast::silent && world_.equivocates(number_)))
        return write(to);
    }
  }
  if (what < 80)
    return world_.equivocates(number_) && !cheated_out_ ? cheat() : move_cursor();
  if (what < 90)
    return session_ && chance_.percent(40) ? close_session() : open_session();
  if (what < 93)
    return open_twice();
  if (what < 97)
    return say_once();
  move_cursor();
}

void client::publish(std::size_t whom) {
  const auto& entry = cast::get().who(whom).identity_entry;
  auto floor = world_.judge().acknowledged();
  world_.insist({entry, false, true}, number_, [this, whom, floor](std::size_t node, const entry_result& result) {
    if (result.code != ec::ok)
      throw finding("an identity was refused: " + std::string{name(result.code)});
    world_.judge().acknowledged_entry(world_.store(node).read(), cast::get().who(whom).identity_entry, result.index, floor);
    world_.published[whom] = true;
    think();
  });
}

void client::check_messages(std::size_t node, const entry_result& result, std::size_t to, std::uint64_t first,
                            const signed_batch& batch, log_index floor) {
  const lane_id lane{cast::get().who(number_).device(), cast::get().who(to).id()};
  if (result.code != ec::ok || result.outcomes.size() != batch.links.size())
    throw finding("a batch was refused: " + std::string{name(result.code)});
  auto seen = world_.store(node).read();
  for (std::size_t i = 0; i < batch.links.size(); ++i) {
    if (!result.outcomes[i].good())
      throw finding("message " + std::to_string(first + i) + " of an author who keeps the rules was refused: " +
                    std::string{name(result.outcomes[i].code)});
    world_.judge().acknowledged_message(seen, lane, first + i, batch.links[i], result.outcomes[i].index, floor);
  }
}

void client::write(std::size_t to) {
  auto first = sent_[to] + 1;
  auto count = chance_.percent(70) ? 1 : chance_.between(2, 4);
  const auto& batch = cast::get().batch(number_, to, first, count);
  sent_[to] += count;
  auto floor = world_.judge().acknowledged();
  world_.insist({batch_entry(batch.serialised), false, true}, number_, [=, this, &batch](std::size_t node, const entry_result& result) {
    check_messages(node, result, to, first, batch, floor);
    think();
  });
}

void client::cheat() {
  auto& length = sent_[cast::silent];
  auto n = ++length;
  const auto& good = cast::get().batch(number_, cast::silent, n, 1);
  const auto& other = cast::get().second(number_, cast::silent, n);
  auto left = std::make_shared<int>(2);
  auto won = std::make_shared<int>(0);
  auto floor = world_.judge().acknowledged();
  for (const auto* which : {&good, &other})
    world_.insist({batch_entry(which->serialised), false, true}, number_ + 100 * (which == &other),
                  [=, this, &other](std::size_t node, const entry_result& result) {
                    if (result.code != ec::ok || result.outcomes.size() != 1)
                      throw finding("a batch was refused: " + std::string{name(result.code)});
                    if (result.outcomes[0].good()) {
                      if (++*won == 2)
                        throw finding("two messages under one number were accepted");
                      check_messages(node, result, cast::silent, n, *which, floor);
                      cheated_out_ = which == &other;
                    } else if (result.outcomes[0].code != outcome_code::fork) {
                      throw finding("a second message under one number is no fork: " +
                                    std::string{name(result.outcomes[0].code)});
                    }
                    if (--*left > 0)
                      return;
                    if (*won == 0)
                      throw finding("neither of two messages under one number was accepted");
                    think();
                  });
}

void client::move_cursor() {
  // A device advances to what it has been delivered: somewhere up to what some node holds.
  auto leader = world_.find_leader();
  if (!leader)
    return think();
  const auto& me = cast::get().who(number_);
  auto head = value(read_inbox_head(world_.store(*leader).read(), me.id()));
  if (head == 0)
    return think();
  cursor_moved moved{me.id(), me.device(), inbox_position{chance_.between(1, head)}};
  auto entry = cursors_entry({&moved, 1});
  auto floor = world_.judge().acknowledged();
  world_.insist({entry, true, true}, number_, [=, this](std::size_t node, const entry_result& result) {
    auto seen = world_.store(node).read();
    world_.judge().acknowledged_entry(seen, entry, result.index, floor);
    // What the leader showed was committed, so it stands; and cursors never go back.
    if (read_cursor(seen, moved.identity, moved.device) < moved.position)
      throw finding("a cursor that was acknowledged at " + to_string(moved.position) + " stands lower");
    think();
  });
}

void client::open_session() {
  const auto& me = cast::get().who(number_);
  session_opening what{{me.id(), me.device(), chance_.percent(50) ? "phone" : "desk"}, never, {}, {}};
  auto entry = session_opened_entry(what);
  auto floor = world_.judge().acknowledged();
  world_.insist({entry, false, false}, number_, [=, this](std::size_t node, const entry_result& result) {
    if (result.code != ec::ok)
      throw finding("a session was refused: " + std::string{name(result.code)});
    auto seen = world_.store(node).read();
    world_.judge().acknowledged_entry(seen, entry, result.index, floor);
    auto row = find_session(seen, what.key.identity, what.key.client_id);
    if (!row || row->epoch < result.epoch)
      throw finding("a session that was opened at " + to_string(result.index) + " cannot be read");
    session_ = {what.key, result.epoch, "left"};
    think();
  });
}

/// One token, claimed on two nodes at once under two client ids: once in the whole cluster.
void client::open_twice() {
  const auto& me = cast::get().who(number_);
  auto left = std::make_shared<int>(2);
  auto won = std::make_shared<int>(0);
  token_claim token;
  chance{world_.seed(), 30 + number_, ++tokens_}.fill(token.nonce.raw);
  token.issued = world_.true_time();
  token.ends = wall_ms{value(token.issued) + 60'000};
  for (const auto* id : {"left", "right"}) {
    auto entry = session_opened_entry({{me.id(), me.device(), id}, never, token, {}});
    world_.insist({entry, false, false}, number_ + 100 * (*id == 'r'), [=, this](std::size_t, const entry_result& result) {
      if (result.code == ec::ok && ++*won == 2)
        throw finding("one token opened two sessions");
      // The clock of the node may say anything.
      if (result.code != ec::ok && result.code != ec::token_spent && result.code != ec::token_expired)
        throw finding("a token was refused: " + std::string{name(result.code)});
      if (--*left == 0)
        think();
    });
  }
}

/// An entry that is proposed once and never again: what the node says of it must be so. "Nothing was written" above all.
void client::say_once() {
  security_event what;
  what.what.kind = "login_failed";
  what.what.detail = "client " + std::to_string(number_) + ", only once: " + std::to_string(++said_);
  auto entry = security_events_entry({&what, 1});
  auto floor = world_.judge().acknowledged();
  world_.ask(chance_.below(world_.nodes()), {entry, false, false}, [=, this](std::size_t node, result<entry_result> said) {
    if (said) {
      world_.judge().acknowledged_entry(world_.store(node).read(), entry, said->index, floor);
      world_.judge().expect_times(entry, 1, 1);
    } else if (said.error().code == ec::unknown_outcome || said.error().code == ec::io) {
      world_.judge().expect_times(entry, 0, 1);
    } else {
      world_.judge().expect_times(entry, 0, 0);
    }
    think();
  });
}

void client::close_session() {
  auto closing = *std::exchange(session_, std::nullopt);
  auto entry = sessions_closed_entry({&closing, 1});
  auto floor = world_.judge().acknowledged();
  world_.insist({entry, true, false}, number_, [=, this](std::size_t node, const entry_result& result) {
    auto seen = world_.store(node).read();
    world_.judge().acknowledged_entry(seen, entry, result.index, floor);
    auto row = find_session(seen, closing.key.identity, closing.key.client_id);
    if (row && row->epoch == closing.epoch)
      throw finding("a session that was closed at " + to_string(result.index) + " still stands");
    think();
  });
}

} // namespace signet::simulation
