#include "actors/bots/bot_runner.hpp"

#include "actors/replica/replica.hpp"
#include "actors/supervision/guard.hpp"
#include "messages/entries.hpp"
#include "storage/views/read.hpp"

#include <caf/actor_cast.hpp>
#include <caf/sec.hpp>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

namespace signet {
namespace {
constexpr std::chrono::milliseconds look_again_after{1'000};
} // namespace

void bot_state::start(bot_services services, bot_definition what) {
  supervision::guard(self_);
  services_ = std::move(services);
  name_ = what.name;
  make_ = std::move(what.make);
  rules_ = what.rules;
  self_->send(services_.replica, watch_atom_v, caf::actor_cast<caf::actor>(self_));
  prepare();
}

/// Who are we? What the files say, and what the log says of it.
void bot_state::prepare() {
  if (core_)
    return;
  auto here = find_bot_identity(services_.keys_directory, name_);
  if (!here && here.error().code == ec::not_found)
    return wait_for_keys("this node has not been given the secret of its cluster yet");
  if (!here)
    throw std::runtime_error("keys of bot " + name_ + ": " + render(here.error()));
  std::optional<permalink> owner;
  bool first_stands = false;
  std::optional<permalink> another;
  try {
    auto txn = services_.store->read();
    if (auto key = storage::find_key(txn, here->keys.sign.public_half()))
      owner = key->identity;
    first_stands = storage::find_identity(txn, here->who).has_value();
    for (const auto& bot : storage::read_bots(txn))
      if (bot.row.name == name_ && bot.bot != here->who)
        another = bot.bot;
  } catch (const storage::storage_failure& why) {
    return row_is_bad(why);
  }
  if (owner)
    return begin(std::move(*here), *owner);
  if (here->next)
    return publish(first_stands ? *here->next : here->first);
  if (another)
    return wait_for_keys("bot " + another->hex() + " has this name, and only the node with its old key files can hand it on");
  const auto who = here->who;
  begin(std::move(*here), who);
}

void bot_state::wait_for_keys(std::string why) {
  if (waits_because_ != why)
    spdlog::warn("bot_waits bot={} reason=\"{}\"", name_, why);
  waits_because_ = std::move(why);
  self_->delayed_send(self_, look_again_after, tick_atom_v);
}

/// Done by whichever node holds the old files, whether it leads or not; the same version again changes nothing.
void bot_state::publish(const identity_version& version) {
  waits_because_ = "its identity is being published";
  self_->request(services_.replica, services_.propose_timeout, propose_entry{share(identity_entry(version.serialised()))})
    .then([this](const entry_answer& answer) {
            if (answer.code == ec::ok)
              return prepare();
            wait_for_keys("its identity was not accepted: " + std::string{signet::name(answer.code)});
          },
          [this](const caf::error& why) { wait_for_keys("its identity is not published yet: " + render(from_caf(why))); });
}

void bot_state::begin(bot_identity_here here, const permalink& who) {
  waits_because_.clear();
  keys_.emplace(std::move(here.keys));
  who_ = who;
  bot_started event;
  try {
    auto txn = services_.store->read();
    auto cluster = storage::find_cluster(txn);
    if (!cluster)
      throw std::runtime_error("bot " + name_ + ": no cluster is founded yet");
    event.cluster = *cluster;
  } catch (const storage::storage_failure& why) {
    return row_is_bad(why);
  }
  core_ = std::make_unique<bot_core>(bot_identity{name_, who_, to_bytes(here.first.serialised())}, keys_->sign, make_,
                                     rules_, *services_.random);
  spdlog::info("bot_started bot={} identity={}", name_, who_.hex());
  feed(event);
  tell_leadership();
  // FAN-OUT wakes at once, so nothing is missed between our first look and its first wake-up.
  self_->send(services_.fanout, follow_atom_v, who_, caf::actor_cast<caf::actor>(self_), wake_);
}

void bot_state::lead(const leadership& to) {
  leads_ = to;
  if (core_)
    tell_leadership();
}

void bot_state::tell_leadership() {
  bool published = false;
  try {
    auto txn = services_.store->read();
    published = storage::find_identity(txn, who_).has_value();
  } catch (const storage::storage_failure& why) {
    return row_is_bad(why);
  }
  const auto before = core_->picture().phase;
  feed(bot_leads{leads_.surely, leads_.term, published});
  if (const auto phase = core_->picture().phase; phase != before && (phase == "resting" || before == "resting"))
    spdlog::info("bot_{} bot={} term={}", phase == "resting" ? "rests" : "works", name_, leads_.term);
}

bot_actor::behavior_type bot_state::make_behavior() {
  return {[this](const inbox_advanced& news) { woken(news); },
          [](const identity_changed&) {},
          [this](const leadership& to) { lead(to); },
          [this](tick_atom) { prepare(); },
          [this](const bot_timer_due& timer) { fired(timer); },
          [this](status_asked) { return status(); }};
}

void bot_state::woken(const inbox_advanced&) {
  wake_.lower();
  feed(bot_woken{});
}

void bot_state::fired(const bot_timer_due& timer) { feed(bot_timer_fired{timer.timer}); }

void bot_state::feed(bot_event event) {
  if (!core_)
    return;
  for (const auto& order : core_->step(std::move(event), services_.clock->wall()))
    std::visit([this](const auto& what) { carry_out(what); }, order);
}

/// Nobody may go on with a store like that: the node ends, and a restart recovers from what is durable.
void bot_state::row_is_bad(const storage::storage_failure& why) {
  services_.fail_stop(why.what());
  self_->quit(caf::make_error(caf::sec::runtime_error, std::string{why.what()}));
}

void bot_state::carry_out(const read_bot_inbox& order) {
  bot_inbox found;
  try {
    found = read_inbox(order);
  } catch (const storage::storage_failure& why) {
    return row_is_bad(why);
  }
  feed(std::move(found));
}

bot_inbox bot_state::read_inbox(const read_bot_inbox& order) const {
  bot_inbox out;
  auto txn = services_.store->read();
  if (auto row = storage::find_bot(txn, who_)) {
    out.position = row->position;
    out.attempts = row->attempts;
  }
  for (const auto& slice : storage::read_inbox(txn, who_, next(out.position), order.inputs_max, order.bytes_max)) {
    const auto loaded = storage::load_batch(txn, slice.index);
    auto position = slice.first;
    for (const auto leaf : slice.leaves) {
      const auto message = loaded.batch.message(leaf);
      out.inputs.push_back({position, slice.index, message.link, message.header, to_bytes(message.body)});
      position = next(position);
    }
  }
  return out;
}

void bot_state::carry_out(const read_bot_lanes& order) {
  bot_lanes found;
  try {
    auto txn = services_.store->read();
    for (const auto& recipient : order.recipients) {
      const auto lane = storage::read_lane(txn, {keys_->sign.public_half(), recipient});
      found.tails.push_back({lane.n, lane.link});
    }
  } catch (const storage::storage_failure& why) {
    return row_is_bad(why);
  }
  feed(std::move(found));
}

void bot_state::carry_out(const propose_for_bot& order) {
  self_->request(services_.replica, services_.propose_timeout, propose_entry{order.entry})
    .then([this, number = order.number](const entry_answer& answer) { feed(bot_answered{number, answer}); },
          [this, number = order.number](const caf::error& why) {
            feed(bot_answered{number, tl::make_unexpected(from_caf(why))});
          });
}

void bot_state::carry_out(const arm_bot_timer& order) {
  self_->delayed_send(self_, order.delay, bot_timer_due{order.timer});
}

void bot_state::carry_out(const stop_bot& order) {
  spdlog::error("bot_failed bot={} reason=\"{}\"", name_, order.reason);
  self_->quit(caf::make_error(caf::sec::runtime_error, order.reason));
}

std::string bot_state::status() const {
  if (!core_)
    return nlohmann::json{{"bot", name_}, {"phase", "no keys"}, {"reason", waits_because_}}.dump();
  const auto picture = core_->picture();
  return nlohmann::json{{"bot", name_},
                        {"identity", who_.hex()},
                        {"phase", picture.phase},
                        {"epoch", picture.epoch},
                        {"position", value(picture.position)},
                        {"attempts", picture.attempts},
                        {"inputs", picture.inputs},
                        {"sent", picture.sent},
                        {"failures", picture.failures},
                        {"dead_letters", picture.dead_letters},
                        {"in_doubt", picture.in_doubt},
                        {"last_failure", picture.last_failure}}
    .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

bot_actor::behavior_type bot_runner(bot_actor::stateful_pointer<bot_state> self, bot_services services, bot_definition what) {
  self->state.start(std::move(services), std::move(what));
  return self->state.make_behavior();
}

supervision::child_spec bot_child(const bot_services& services, const bot_definition& what) {
  return supervision::worker(
    what.name, "bot", [=](supervision::starting& at) { return at.self().spawn(bot_runner, services, what); },
    supervision::restart::transient);
}

} // namespace signet
