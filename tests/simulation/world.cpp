#include "tests/simulation/world.hpp"

#include "storage/verify.hpp"
#include "tests/simulation/client.hpp"

#include <algorithm>
#include <cmath>

namespace signet::simulation {

using namespace storage;

namespace {

constexpr wall_ms noon{1'700'000'000'000};
constexpr micros settle_within = 10'000 * ms;
/// The same when a node has to be taken in again, whose order may have been lost with a leader.
constexpr micros recover_within = 60'000 * ms;
/// How often the views of one node are compared with the model while faults go on.
constexpr micros views_every = 200 * ms;
constexpr std::uint64_t events_max = 2'000'000;
/// So many turns of one node in 100 ms are a loop, not work.
constexpr std::uint64_t spinning_turns = 3'000;

/// What a crash at a commit throws. No exception of the product, so nothing in it takes notice.
struct power_gone {};

world* current = nullptr;

std::string node_name(std::size_t node) { return "n" + std::to_string(node); }

} // namespace

void run_counts::add(const run_counts& other) {
  events += other.events;
  turns += other.turns;
  commits += other.commits;
  frames += other.frames;
  acknowledged += other.acknowledged;
  committed += other.committed;
  leaderships += other.leaderships;
  crashes += other.crashes;
  starts += other.starts;
  healed_in = std::max(healed_in, other.healed_in);
}

/// One thing that somebody wants of the cluster.
struct errand {
  world::request what;
  std::uint64_t who = 0;
  world::on_done then;
  bool done = false;
  std::uint64_t attempt = 0;
  chance how;
  errand(world::request r, std::uint64_t w, world::on_done t, std::uint64_t seed, std::uint64_t number)
    : what{std::move(r)}, who{w}, then{std::move(t)}, how{seed, 40 + w, number} {}
};

world::world(schedule what, std::filesystem::path scratch, trace_sink trace)
  : published(cast::get().size()),
    frame_{std::move(what.frame)},
    decisions_{std::move(what.decisions)},
    scratch_{std::move(scratch)},
    trace_{std::move(trace)},
    judge_{frame_.nodes},
    answers_{frame_.seed, 6} {
  for (std::size_t i = 0; i < frame_.nodes * frame_.nodes; ++i)
    links_.emplace_back(frame_.seed, i);
  current = this;
  set_commit_hook(&on_commit);
  for (std::size_t i = 0; i < frame_.nodes; ++i) {
    auto& x = nodes_.emplace_back();
    x.number = i;
    x.directory = scratch_ / node_name(i);
    std::filesystem::remove_all(x.directory);
    member::found(options_of(x));
  }
}

world::~world() {
  set_commit_hook(nullptr);
  current = nullptr;
}

// ---- time ------------------------------------------------------------------------------------------------------------

void world::at(micros when, std::function<void()> what) {
  future_.push({std::max(when, now_), ++event_numbers_, std::move(what)});
}

void world::run_until(micros end) {
  while (!future_.empty() && future_.top().at <= end) {
    auto what = std::move(const_cast<event&>(future_.top()).what);  // leaves the queue in the next line
    now_ = future_.top().at;
    future_.pop();
    if (++counts_.events > events_max)
      throw finding("the run does not end: too many events");
    what();
  }
  now_ = std::max(now_, end);
}

steady_ms world::steady(const node& x) const {
  return steady_ms{1'000 + static_cast<std::uint64_t>(static_cast<double>(now_) * x.speed / 1000)};
}
wall_ms world::wall(const node& x) const {
  auto passed = static_cast<std::int64_t>(static_cast<double>(now_) * x.speed / 1000);
  return wall_ms{static_cast<std::uint64_t>(static_cast<std::int64_t>(value(noon)) + passed + x.wall_step_ms)};
}
wall_ms world::true_time() const { return wall_ms{value(noon) + now_ / 1000}; }
micros world::world_time(const node& x, steady_ms at) const {
  at = std::min(at, steady_ms{value(steady(x)) + 60'000});  // "never" is a long way off
  auto passed = static_cast<double>(value(at)) - 1'000;
  return static_cast<micros>(std::max(0.0, std::ceil(passed * 1000 / x.speed))) + 1;
}

// ---- nodes -----------------------------------------------------------------------------------------------------------

member_options world::options_of(const node& x) {
  member_options out;
  out.directory = x.directory;
  out.node = x.number;
  out.life = x.life;
  out.frame = frame_;
  const auto* full = &x.disk_full;
  out.measure = [full] {
    constexpr std::uint64_t gib = 1ULL << 30;
    return space{16 * gib, 0, 100 * gib, *full > 0 ? 1ULL << 20 : 50 * gib};
  };
  return out;
}

void world::start_node(std::size_t number) {
  auto& x = nodes_[number];
  if (x.software || x.stays_down)
    return;
  ++x.life;
  ++counts_.starts;
  x.busy_until = 0;
  x.bot = {};
  running_ = &x;
  try {
    x.software = std::make_unique<member>(options_of(x), steady(x), wall(x));
  } catch (const power_gone&) {
    x.armed.erase(x.armed.begin());
  } catch (const storage_failure& why) {
    if (why.why().context != "injected") {
      running_ = nullptr;
      throw finding(node_name(number) + " does not start: " + why.what());
    }
    x.armed.erase(x.armed.begin());
  }
  running_ = nullptr;
  if (!x.software) {
    at(now_ + 100 * ms, [this, number] { start_node(number); });
    return;
  }
  auto seen = x.software->show();
  if (traced())
    say(node_name(number) + " starts: term " + to_string(seen.term) + ", vote " + to_string(seen.voted_for) + ", applied " +
        to_string(seen.applied));
  judge_.restarted(seen);
  wake(x, now_);
  for (std::size_t to = 0; to < frame_.nodes; ++to)
    if (to != number)
      dial(number, to, 1 * ms);
  auto life = x.life;
  at(now_ + 20 * ms, [this, number, life] {
    if (nodes_[number].life == life)
      bot_tick(number);
  });
}

void world::crash_node(std::size_t number) {
  if (up(number))
    fell(nodes_[number], 0, "crashes");
}

void world::fell(node& x, micros down_for, const std::string& why) {
  if (traced())
    say(node_name(x.number) + " " + why);
  ++counts_.crashes;
  ++x.life;
  x.software.reset();
  x.turn_at = 0;
  ++x.next_turn;
  lose_links_of(x.number);
  auto lost = std::exchange(x.waiting, {});
  auto number = x.number;
  for (auto& [ticket, one] : lost)
    at(now_ + ms, [then = std::move(one.then), number] { then(number, fail(ec::io, "the node is gone")); });
  if (down_for != 0)
    at(now_ + down_for, [this, number] { start_node(number); });
}

void world::wake(node& x, micros when) {
  when = std::max({when, now_, x.busy_until, x.paused_until});
  if (!x.software || (x.turn_at != 0 && x.turn_at <= when))
    return;
  x.turn_at = when;
  at(when, [this, &x, number = ++x.next_turn] {
    if (number == x.next_turn && x.software)
      turn(x);
  });
}

void world::on_commit(commit_moment when, const std::filesystem::path&) {
  auto* x = current == nullptr ? nullptr : current->running_;
  if (x == nullptr || x->armed.empty())
    return;
  auto& next = x->armed.front();
  if (when == commit_moment::before && next.commits > 0) {
    --next.commits;
    return;
  }
  if (next.commits == 0 && next.error && when == commit_moment::before)
    throw storage_failure(ec::io, "injected");
  if (next.commits == 0 && !next.error && next.behind == (when == commit_moment::after))
    throw power_gone{};
}

void world::turn(node& x) {
  x.turn_at = 0;
  if (x.paused_until > now_ || x.busy_until > now_) {
    wake(x, now_);
    return;
  }
  ++counts_.turns;
  if (now_ / (100 * ms) != x.turns_in)
    x.turns_there = 0;
  x.turns_in = now_ / (100 * ms);
  if (++x.turns_there > spinning_turns)
    throw finding(node_name(x.number) + " takes turn after turn without an end");
  member::turned done;
  auto at_once = [&](sent_frame what) { send(x.number, std::move(what)); };
  if (inside(x, [&] { done = x.software->turn(steady(x), wall(x), at_once); }))
    after_turn(x, std::move(done));
}

/// Runs code of a node, and what its disk does to it meanwhile. False: the node is down.
bool world::inside(node& x, const std::function<void()>& what) {
  running_ = &x;
  auto disk_struck = [&](const char* how) {
    running_ = nullptr;
    auto down_for = x.armed.front().down_for;
    x.armed.erase(x.armed.begin());
    fell(x, down_for, how);
    return false;
  };
  try {
    what();
  } catch (const power_gone&) {
    return disk_struck("crashes in a commit");
  } catch (const storage_failure& why) {
    if (why.why().context == "injected")
      return disk_struck("stops: its disk failed");
    running_ = nullptr;
    throw finding(node_name(x.number) + " stops by itself: " + why.what());
  }
  running_ = nullptr;
  return true;
}

void world::after_turn(node& x, member::turned done) {
  counts_.commits += done.commits;
  auto seen = x.software->show();
  if (traced())
    say(node_name(x.number) + " " + std::string{name(seen.role)} + ": term " + to_string(seen.term) + ", committed " +
        to_string(seen.committed) + ", applied " + to_string(seen.applied) + "; sends " +
        std::to_string(done.frames.size()) + ", answers " + std::to_string(done.answers.size()));
  judge_.after_turn(seen);
  if (!done.refused.empty())
    throw finding(node_name(x.number) + " refuses what an honest node has sent: " + done.refused.front());
  const bool somebody_forgot = std::any_of(nodes_.begin(), nodes_.end(), [](const node& each) { return each.rolled_back; });
  if (done.fenced && x.rolled_back) {
    x.fenced = true;
    return fell(x, 0, "fences itself: " + render(*done.fenced));
  }
  if (!done.alarms.empty() && !somebody_forgot)
    throw finding(node_name(x.number) + " gives an alarm: " + done.alarms.front());
  if (done.fenced)
    throw finding(node_name(x.number) + " fences itself: " + render(*done.fenced));
  auto more = done.more;
  if (x.slow_commit != 0 && done.commits > 0) {
    x.busy_until = now_ + done.commits * x.slow_commit;
    at(x.busy_until, [this, &x, life = x.life, held = std::make_shared<member::turned>(std::move(done))] {
      release(x, life, std::move(*held));
    });
  } else {
    release(x, x.life, std::move(done));
  }
  if (!x.software)
    return;
  wake(x, more ? now_ + 20 : world_time(x, x.software->next_timeout()));
}

/// What a turn lets out of the node.
void world::release(node& x, std::uint64_t life, member::turned done) {
  if (x.life != life)
    return;
  for (auto& each : done.frames)
    send(x.number, std::move(each));
  for (auto& answer : done.answers) {
    auto found = x.waiting.find(answer.ticket);
    if (found == x.waiting.end())
      continue;
    auto then = std::move(found->second.then);
    x.waiting.erase(found);
    then(x.number, std::move(answer.outcome));
  }
}

std::optional<std::size_t> world::find_leader() const {
  std::optional<std::size_t> out;
  signet::term newest{};
  for (const auto& x : nodes_)
    if (x.software && x.software->leads_surely() && x.software->show().term >= newest) {
      newest = x.software->show().term;
      out = x.number;
    }
  return out;
}

// ---- what people ask -------------------------------------------------------------------------------------------------

void world::ask(std::size_t number, const request& what, on_answer then) {
  auto& x = nodes_[number];
  auto refused = [&](error why) {
    at(now_ + ms, [=, then = std::move(then)] { then(number, tl::make_unexpected(why)); });
  };
  if (!x.software)
    return refused({ec::io, "not reachable"});
  running_ = &x;
  auto ticket = x.software->propose(what.entry, what.from_reserve, what.idempotent, steady(x));
  running_ = nullptr;
  if (!ticket)
    return refused(ticket.error());
  x.waiting[*ticket] = {std::move(then)};
  wake(x, now_ + 30);
}

void world::insist(request what, std::uint64_t who, on_done then) {
  ++unanswered_;
  insist_again(std::make_shared<errand>(std::move(what), who, std::move(then), frame_.seed, counts_.events));
}

void world::insist_again(std::shared_ptr<errand> what) {
  if (what->done)
    return;
  auto attempt = ++what->attempt;
  // Mostly to one's own node; when that does not help, elsewhere.
  auto node = attempt == 1 ? what->who % frame_.nodes : what->how.below(frame_.nodes);
  auto again = [this, what, attempt](micros pause) {
    at(now_ + pause, [this, what, attempt] {
      if (what->attempt == attempt)
        insist_again(what);
    });
  };
  again(what->how.between(300, 900) * ms);
  ask(node, what->what, [=, this](std::size_t from, result<entry_result> outcome) {
    if (what->done)
      return;
    if (outcome && answers_.permille(lost_answers_))
      return;  // sent again by the timer
    if (outcome) {
      what->done = true;
      --unanswered_;
      ++counts_.acknowledged;
      if (traced())
        say("client " + std::to_string(what->who) + " is answered by " + node_name(from) + ": " +
            std::string{name(outcome->kind)} + " at " + to_string(outcome->index) + " " + std::string{name(outcome->code)});
      what->then(from, *outcome);
      return;
    }
    switch (outcome.error().code) {
      case ec::io:
      case ec::not_leader:
      case ec::overloaded:
      case ec::disk_full:
      case ec::unknown_outcome: return again(what->how.between(5, 40) * ms);
      default: throw finding("a proposal was answered with: " + render(outcome.error()));
    }
  });
}

/// The disk is gone. Never while another node is still without: that is one fault too many for any log.
void world::lose_disk(node& x, micros down_for) {
  if (std::any_of(nodes_.begin(), nodes_.end(), [](const node& each) { return each.recovering; }))
    return;
  if (x.software)
    fell(x, down_for, "loses its disk");
  std::filesystem::remove_all(x.directory);
  judge_.lost_disk(x.number);
  x.rolled_back = x.fenced = false;
  x.recovering = true;
  ++x.life;
  running_ = nullptr;
  member::make_blank(options_of(x));
  at(now_ + down_for, [this, number = x.number] { start_node(number); });
}

void world::keep_disk(std::size_t number) {
  auto& x = nodes_[number];
  // Between two turns nobody writes, so the file is one state.
  std::filesystem::copy_file(x.directory / "data.mdb", x.directory.string() + ".kept",
                             std::filesystem::copy_options::overwrite_existing);
}

void world::roll_back(std::size_t number) {
  auto& x = nodes_[number];
  if (x.software)
    fell(x, 0, "stops; its disk is put back");
  std::filesystem::remove(x.directory / "lock.mdb");
  std::filesystem::copy_file(x.directory.string() + ".kept", x.directory / "data.mdb",
                             std::filesystem::copy_options::overwrite_existing);
  judge_.lost_disk(number);
  x.rolled_back = true;
  at(now_ + 20 * ms, [this, number] { start_node(number); });
}

/// The operator: a node that was taken out and did not come back by itself is added again.
void world::operate() {
  auto leader = find_leader();
  if (!leader || nodes_[*leader].paused_until > now_)
    return;
  auto& at_work = nodes_[*leader];
  auto picture = at_work.software->cluster();
  for (auto& x : nodes_) {
    if (!x.recovering || !x.software)
      continue;
    auto place = std::find_if(picture.members.begin(), picture.members.end(),
                              [&](const member_picture& each) { return each.node == node_name(x.number); });
    bool member_now = place != picture.members.end() && !x.software->joining() && x.software->show().id == place->id;
    if (member_now && place->role == raft::member_role::voter) {
      if (place->match > picture.self.applied || place->match == picture.self.last)
        x.recovering = false;
      continue;
    }
    if (picture.change) {
      if (traced())
        say("an order is under way for " + picture.change->order.node + ": " + picture.change->step);
      continue;
    }
    member_order order{member_order::kind::add, node_name(x.number), true};
    if (member_now)
      order = {member_order::kind::promote, node_name(x.number)};
    else if (place != picture.members.end())
      continue;  // the leader recovers it by itself
    else if (!x.software->joining()) {
      // Taken out before it could be taken in again: recovered once more, as `signet recover` does.
      x.recovering = false;
      lose_disk(x, 50 * ms);
      return;
    }
    if (inside(at_work, [&] { at_work.software->order(order, steady(at_work)); }))
      wake(at_work, now_);
  }
}

/// The bot runs where somebody leads: claims its inputs, and handles each with one entry that holds its effects.
void world::bot_tick(std::size_t number) {
  auto& x = nodes_[number];
  if (!x.software)
    return;
  auto life = x.life;
  auto later = [this, number, life](micros pause) {
    at(now_ + pause, [this, number, life] {
      if (nodes_[number].life == life)
        bot_tick(number);
    });
  };
  const auto& bot = cast::get().who(cast::bot);
  if (x.bot.waiting || x.paused_until > now_)
    return later(20 * ms);
  if (!x.software->leads_surely() || !published[cast::bot] || !published[cast::silent]) {
    x.bot = {};
    return later(30 * ms);
  }
  auto go = [&](bytes entry) {
    x.bot.waiting = true;
    ask(number, {std::move(entry)}, [this, number, life](std::size_t, result<entry_result> outcome) {
      auto& mine = nodes_[number];
      if (mine.life != life)
        return;
      mine.bot.waiting = false;
      if (!outcome || outcome->code != ec::ok)
        mine.bot = {};
      else
        mine.bot = {outcome->epoch, value(outcome->position), false};
    });
  };
  if (x.bot.epoch == 0) {
    go(bot_deployed_entry(bot.id(), "echo"));
  } else {
    auto head = value(read_inbox_head(x.software->store().read(), bot.id()));
    if (head > x.bot.position) {
      auto first = x.bot.position + 1, last = std::min(head, first + 1);
      // Its own message n answers input n.
      const auto& batch = cast::get().batch(cast::bot, cast::silent, first, last - first + 1);
      go(bot_committed_entry(bot.id(), x.bot.epoch, inbox_position{first}, inbox_position{last}, batch.serialised));
    }
  }
  later(20 * ms);
}

// ---- network ---------------------------------------------------------------------------------------------------------

void world::cut(std::size_t from, std::size_t to, int by) {
  auto& way = between(from, to);
  if (way.cut == 0)
    way.cut_since = now_;
  way.cut += by;
  if (by < 0)
    return;
  // What is dialed needs both ways. Silence is noticed, at each side for itself.
  for (auto [one, other] : {std::pair{from, to}, std::pair{to, from}})
    at(now_ + 500 * ms + between(one, other).life.below(300 * ms), [=, this, since = now_] {
      if (!passable(one, other) && between(from, to).cut > 0 && between(from, to).cut_since <= since)
        lose_link(one, other);
    });
}

void world::dial(std::size_t from, std::size_t to, micros after) {
  auto& way = between(from, to);
  if (way.up || way.dialing)
    return;
  way.dialing = true;
  auto life = nodes_[from].life;
  at(now_ + after + way.life.between(1'000, 20'000), [=, this] {
    auto& mine = between(from, to);
    auto& x = nodes_[from];
    if (x.life != life)
      return;  // its next life dials for itself
    mine.dialing = false;
    if (!x.software || !nodes_[to].software || !passable(from, to) || x.paused_until > now_ ||
        nodes_[to].paused_until > now_)
      return dial(from, to, 20 * ms + mine.life.below(60 * ms));
    mine.up = true;
    ++mine.connection;
    mine.opened.reset();
    if (traced())
      say(node_name(from) + " has dialed " + node_name(to));
    x.software->link_up(to, steady(x));
    wake(x, now_);
  });
}

void world::lose_link(std::size_t from, std::size_t to) {
  auto& way = between(from, to);
  auto& x = nodes_[from];
  if (!way.up || !x.software)
    return;
  way.up = false;
  ++way.connection;
  if (traced())
    say(node_name(from) + " has lost its link to " + node_name(to));
  x.software->link_down(to, steady(x));
  wake(x, now_);
  dial(from, to, 10 * ms);
}

/// Its end: others notice at once, or by silence.
void world::lose_links_of(std::size_t node) {
  for (std::size_t other = 0; other < frame_.nodes; ++other) {
    if (other == node)
      continue;
    auto& own = between(node, other);
    own.up = own.dialing = false;  // what it has sent may still arrive
    auto& towards = between(other, node);
    at(now_ + (towards.life.percent(80) ? towards.life.between(1'000, 10'000) : 500 * ms),
       [=, this, connection = towards.connection] {
         if (between(other, node).connection == connection)
           lose_link(other, node);
       });
  }
}

void world::send(std::size_t from, sent_frame what) {
  ++counts_.frames;
  auto to = what.first;
  if (to >= frame_.nodes || to == from)
    throw finding(node_name(from) + " sends to " + node_name(to) + ", which is nobody");
  auto& way = between(from, to);
  auto& how = way.frames;
  // Always the same numbers drawn, whatever becomes of the frame.
  auto lost = how.permille(loss_);
  auto doubled = how.permille(doubling_);
  auto quick = 200 + how.below(800);
  auto late = how.unit();
  auto later = how.below(20 * ms);
  const bool first = !way.opened;
  if (!way.up || (!first && (way.cut > 0 || way.muted > 0 || lost)))
    return;
  auto arrives = now_ + quick;
  if (delay_ != 0)
    arrives += static_cast<micros>(-std::log(1 - late) * static_cast<double>(delay_));
  arrives = std::max(arrives, way.held_until);
  if (first)
    way.opened = arrives;
  arrives = std::max(arrives, *way.opened);
  if (!reordering_)
    arrives = std::max(arrives, way.last_arrival);
  way.last_arrival = std::max(arrives, way.last_arrival);
  auto shared = std::make_shared<wire_frame>(std::move(what.second));
  auto bring = [=, this, connection = way.connection, life = nodes_[to].life] {
    if (nodes_[to].life == life)
      deliver(from, to, connection, *shared);
  };
  at(arrives, bring);
  if (doubled)
    at(arrives + (reordering_ ? later : 0), bring);
}

void world::deliver(std::size_t from, std::size_t to, std::uint64_t connection, const wire_frame& frame) {
  auto& x = nodes_[to];
  const auto& way = between(from, to);
  // A frame is lost with its connection, with its receiver, and on a way that is cut. Its sender may be gone.
  if (!x.software || way.connection != connection || way.cut > 0 || way.muted > 0)
    return;
  x.software->receive(from, frame);
  wake(x, now_ + 30);
}

void world::undo_after(micros lasts, std::function<void()> undo) {
  at(lasts == 0 ? frame_.faults_end : now_ + lasts, [this, undo = std::move(undo)] {
    if (!healed_)
      undo();
  });
}

void world::cut_groups(const std::function<bool(std::size_t, std::size_t)>& apart, micros lasts) {
  std::vector<std::pair<std::size_t, std::size_t>> done;
  for (std::size_t i = 0; i < frame_.nodes; ++i)
    for (std::size_t j = 0; j < frame_.nodes; ++j)
      if (i != j && apart(i, j)) {
        cut(i, j, 1);
        done.emplace_back(i, j);
      }
  undo_after(lasts, [this, done] {
    for (auto [i, j] : done)
      cut(i, j, -1);
  });
}

// ---- decisions -------------------------------------------------------------------------------------------------------

void world::do_deed(const decision& planned) {
  if (healed_)
    return;
  auto d = planned;
  if (d.a == whoever_leads) {
    signet::term newest{};
    for (const auto& x : nodes_)
      if (x.software)
        if (auto seen = x.software->show(); seen.role == raft::role::leader && seen.term > newest) {
          newest = seen.term;
          d.a = x.number;
        }
    if (d.a == whoever_leads)
      return;
  }
  if (traced())
    say("-- " + to_string(d));
  auto* x = d.a < frame_.nodes ? &nodes_[d.a] : nullptr;
  const auto n = frame_.nodes;
  switch (d.what) {
    case deed::client:
      clients_.push_back(std::make_unique<client>(*this, d.a));
      clients_.back()->start();
      break;
    case deed::equivocator: equivocators_.insert(d.a); break;
    case deed::loss: loss_ = d.x; break;
    case deed::doubling: doubling_ = d.x; break;
    case deed::reordering: reordering_ = true; break;
    case deed::delay: delay_ = d.x; break;
    case deed::lost_answers: lost_answers_ = d.x; break;
    case deed::drift: x->speed = 1 + static_cast<double>(d.y) / 1e6; break;
    case deed::clock_step: x->wall_step_ms += d.y; break;
    case deed::crash:
      if (x->software)
        fell(*x, d.lasts, "crashes");
      break;
    case deed::crash_in_commit: x->armed.push_back({d.x, d.y == 1, false, d.lasts}); break;
    case deed::disk_error: x->armed.push_back({d.x, false, true, d.lasts}); break;
    case deed::disk_slow:
      x->slow_commit = d.x;
      undo_after(d.lasts, [x] { x->slow_commit = 0; });
      break;
    case deed::disk_full:
      ++x->disk_full;
      undo_after(d.lasts, [x] { --x->disk_full; });
      break;
    case deed::pause: x->paused_until = std::max(x->paused_until, now_ + d.lasts); break;
    case deed::isolate:
      cut_groups([&](auto i, auto j) { return (d.x & 1 && j == d.a) || (d.x & 2 && i == d.a); }, d.lasts);
      break;
    case deed::partition:
      cut_groups([&](auto i, auto j) { return (d.a >> i & 1) != (d.a >> j & 1); }, d.lasts);
      break;
    case deed::one_way: cut_groups([&](auto i, auto j) { return i == d.a && j == d.b; }, d.lasts); break;
    case deed::half_open:
      ++between(d.a, d.b).muted;
      undo_after(d.lasts, [this, d] { --between(d.a, d.b).muted; });
      break;
    case deed::ring: {
      // Node i has its place in a circle; the step is prime to every size drawn here.
      auto place = [&](std::size_t i) { return (i * (1 + d.a % (n - 1)) + d.a) % n; };
      cut_groups(
        [&](auto i, auto j) {
          auto apart = (place(i) + n - place(j)) % n;
          return apart != 1 && apart != n - 1;
        },
        d.lasts);
      break;
    }
    case deed::bridge:
      cut_groups(
        [&](auto i, auto j) {
          auto side = [&](std::size_t k) { return (k + n - d.a) % n <= n / 2; };
          return i != d.a && j != d.a && side(i) != side(j);
        },
        d.lasts);
      break;
    case deed::clog: between(d.a, d.b).held_until = now_ + d.lasts; break;
    case deed::hand_over:
      if (auto leader = find_leader(); leader && *leader != d.a && nodes_[*leader].paused_until <= now_) {
        auto& from = nodes_[*leader];
        if (inside(from, [&] { from.software->hand_over(d.a, steady(from)); }))
          wake(from, now_);
      }
      break;
    case deed::lost_disk: lose_disk(*x, d.lasts); break;
  }
}

// ---- the run ---------------------------------------------------------------------------------------------------------

void world::run() {
  for (const auto& d : decisions_)
    at(d.at, [this, &d] { do_deed(d); });
  for (std::size_t i = 0; i < frame_.nodes; ++i)
    at(0, [this, i] { start_node(i); });
  for (micros when = views_every; when < frame_.faults_end; when += views_every)
    at(when, [this, which = (when / views_every) % frame_.nodes] {
      if (up(which))
        judge_.check_views(store(which));
    });
  for (micros when = 500 * ms; when < frame_.faults_end; when += 500 * ms)
    at(when, [this] { operate(); });
  run_until(frame_.faults_end);
  heal_and_settle();
}

bool world::all_well(std::string* why_not) {
  auto no = [&](std::string why) {
    if (why_not != nullptr)
      *why_not = std::move(why);
    return false;
  };
  auto leader = find_leader();
  if (!leader)
    return no("nobody leads");
  if (unanswered_ > 0)
    return no(std::to_string(unanswered_) + " proposals are not answered");
  for (const auto& x : nodes_)
    if (x.recovering)
      return no(node_name(x.number) + " has not recovered");
  auto best = nodes_[*leader].software->show();
  for (const auto& x : nodes_) {
    if (!x.software)
      continue;
    auto seen = x.software->show();
    if (seen.applied != best.applied || value(seen.applied) != value(judge_.committed()))
      return no(node_name(x.number) + " has applied " + to_string(seen.applied) + ", the leader " + to_string(best.applied));
  }
  if (published[cast::bot] && published[cast::silent]) {
    auto from = nodes_[*leader].software->store().read();
    auto head = read_inbox_head(from, cast::get().who(cast::bot).id());
    auto row = find_bot(from, cast::get().who(cast::bot).id());
    if (value(head) > 0 && (!row || row->position != head))
      return no("the bot has inputs left");
  }
  return true;
}

void world::heal_and_settle() {
  say("-- all faults end");
  healed_ = true;
  quiet_ = true;
  loss_ = doubling_ = delay_ = lost_answers_ = 0;
  reordering_ = false;
  for (auto& way : links_) {
    way.cut = way.muted = 0;
    way.held_until = 0;
  }
  std::set<std::size_t> behind(frame_.left_behind.begin(), frame_.left_behind.end());
  for (auto& x : nodes_) {
    x.armed.clear();
    x.slow_commit = 0;
    x.disk_full = 0;
    x.paused_until = 0;
    x.speed = std::clamp(x.speed, 0.95, 1.05);
    if (behind.contains(x.number)) {
      if (x.software)
        fell(x, 0, "stays down");
      x.stays_down = true;
    } else {
      start_node(x.number);
    }
    wake(x, now_);
  }
  auto begun = now_;
  // A new entry through every node that is up.
  std::size_t fresh = 0;
  for (auto& x : nodes_)
    if (!behind.contains(x.number)) {
      ++fresh;
      security_event what;
      what.what.kind = "login_failed";
      what.what.detail = "after the faults, by " + node_name(x.number);
      insist({security_events_entry({&what, 1}), true, false}, x.number, [&fresh](std::size_t, const entry_result&) { --fresh; });
    }
  std::string why = "nothing was tried";
  bool well = false;
  auto within = std::any_of(nodes_.begin(), nodes_.end(), [](const node& x) { return x.recovering; }) ? recover_within
                                                                                                    : settle_within;
  while (!well && now_ < begun + within) {
    run_until(now_ + 50 * ms);
    operate();
    well = fresh == 0 && all_well(&why);
  }
  if (!well)
    throw finding(std::to_string(within / ms / 1'000) + " s after the faults ended all is not well: " +
                  (fresh > 0 ? std::to_string(fresh) + " new entries are not committed; " + why : why));
  counts_.healed_in = now_ - begun;
  bool first = true;
  for (auto& x : nodes_) {
    if (!x.software)
      continue;
    if (std::exchange(first, false))
      judge_.check_acknowledged(x.software->store());
    else
      judge_.check_views(x.software->store());
  }
  counts_.committed = value(judge_.committed());
  counts_.leaderships = judge_.leaderships();
  if (frame_.seed % 64 == 0)
    verify_stores();
}

void world::verify_stores() {
  for (auto& x : nodes_) {
    x.software.reset();
    verify_options how;
    how.scratch = scratch_;
    how.map_bytes = 64ULL << 20;
    auto report = verify_here(x.directory, how);
    if (!report)
      throw finding("verify of " + node_name(x.number) + ": " + render(report.error()));
    if (report->level != verify_level::clean)
      throw finding("verify of " + node_name(x.number) + " finds: " + report->findings.front().what);
  }
}

} // namespace signet::simulation
