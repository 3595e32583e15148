#include "actors/bots/bot_core.hpp"

#include "actors/supervision/guard.hpp"
#include "messages/entries.hpp"

#include <algorithm>
#include <stdexcept>

namespace signet {
namespace {

/// What a message costs in a batch beside its body: header, ids, pointers.
constexpr std::size_t message_overhead_bytes = 512;

bool may_pass(ec code) {
  return code == ec::unknown_outcome || code == ec::overloaded || code == ec::disk_full || code == ec::not_leader;
}

message_draft draft_of(const bots::outgoing& message, const cluster_id& cluster, const permalink& author, wall_ms now) {
  message_draft draft;
  draft.cluster = cluster;
  draft.author = author;
  draft.recipient = message.to;
  draft.time = now;
  draft.type = message.type;
  draft.content_type = message.content_type;
  draft.body = message.body;
  draft.thread = message.thread;
  draft.reply_to = message.reply_to;
  return draft;
}

} // namespace

bot_core::bot_core(bot_identity who, const signing_key& key, bots::bot_factory make, bot_rules rules, random_source& random)
  : who_{std::move(who)}, key_{key}, make_{std::move(make)}, rules_{rules}, random_{random} {}

std::vector<bot_order> bot_core::step(bot_event event, wall_ms now) {
  now_ = now;
  if (phase_ != phase::stopped)
    std::visit([this](auto&& what) { on(std::move(what)); }, std::move(event));
  return std::exchange(orders_, {});
}

bot_picture bot_core::picture() const {
  static constexpr std::string_view names[] = {"resting",   "publishing", "deploying",      "idle",          "reading",
                                               "numbering", "committing", "noting_attempt", "setting_aside", "waiting",
                                               "resyncing", "displaced",  "stopped"};
  auto out = counts_;
  out.phase = names[static_cast<std::size_t>(phase_)];
  out.epoch = epoch_;
  out.position = position_;
  out.attempts = failed_ ? failed_->attempt : 0;
  return out;
}

// ---- events ----------------------------------------------------------------------------------------------------------

void bot_core::on(bot_started&& event) { cluster_ = event.cluster; }

void bot_core::on(bot_leads&& event) {
  const auto term = event.surely ? event.term : 0;
  if (term == term_)
    return;
  // Also when one term follows the other: somebody else may have led in between.
  rest();
  term_ = term;
  if (term_ == 0)
    return;
  if (event.published)
    deploy();
  else
    propose(phase::publishing, identity_entry(who_.first_version));
}

void bot_core::on(bot_woken&&) {
  more_ = true;
  if (phase_ == phase::idle)
    look();
}

void bot_core::on(bot_inbox&& event) {
  if (phase_ != phase::reading)
    return;
  position_ = handled_ = event.position;
  if (event.inputs.empty()) {
    phase_ = phase::idle;
    if (more_)
      look();
    return;
  }
  work_.emplace([this] { return make_handler(); }, event.inputs.size());
  auto expected = position_;
  for (auto& input : event.inputs) {
    expected = next(expected);
    if (input.position != expected)
      throw std::logic_error("bot inbox has a gap at " + std::to_string(value(expected)));
    if (!work_->offer(std::move(input)))
      throw std::logic_error("more inputs than places");
  }
  if (event.attempts == 0)
    return run();
  // A former process has failed here: what it waited, we wait again.
  work_->resume_at(event.attempts);
  wait(phase::waiting, supervision::backoff_delay(rules_.retry, event.attempts, random_));
}

void bot_core::on(bot_lanes&& event) {
  if (phase_ != phase::numbering || event.tails.size() != recipients_.size())
    return;
  std::vector<std::pair<permalink, lane_tail>> tails;
  for (std::size_t i = 0; i < recipients_.size(); ++i)
    tails.emplace_back(recipients_[i], event.tails[i]);
  std::vector<message_draft> drafts;
  drafts.reserve(effects_.size());
  for (const auto& e : effects_)
    drafts.push_back(draft_of(e.message, cluster_, who_.who, now_));
  auto batch = make_batch(key_, drafts, tails);
  if (!batch)  // each fits by itself, and together they fit by the limits above
    return stop("its batch cannot be made: " + render(batch.error()));
  commit(batch->serialised);
}

void bot_core::on(bot_answered&& event) {
  if (!in_flight_ || answered_ || event.number != number_)
    return;
  answered_ = true;
  if (!event.answer) {
    if (may_pass(event.answer.error().code))
      return in_doubt();
    return stop("a proposal was refused: " + render(event.answer.error()));
  }
  in_flight_.reset();
  if (event.answer->code == ec::ok) {
    doubts_ = 0;
    if (phase_ == phase::deploying)
      epoch_ = event.answer->epoch;
    done();
  } else {
    refused(*event.answer);
  }
}

void bot_core::on(bot_timer_fired&& event) {
  if (event.timer == 0 || event.timer != timer_)
    return;
  timer_ = 0;
  if (in_flight_) {  // in doubt: the identical bytes
    answered_ = false;
    orders_.push_back(propose_for_bot{++number_, in_flight_});
  } else if (phase_ == phase::displaced) {
    deploy();
  } else if (phase_ == phase::waiting) {
    if (failed_)
      work_->retry(failed_->failure);
    run();
  } else if (phase_ == phase::resyncing) {
    look();
  }
}

// ---- handling --------------------------------------------------------------------------------------------------------

bot_core::work::handler bot_core::make_handler() {
  std::shared_ptr<bots::bot> made = make_();
  if (!made)
    throw bots::handler_error("the factory made no bot");
  return [this, made](const bot_input& in) { handle(*made, in); };
}

void bot_core::handle(bots::bot& bot, const bot_input& in) {
  if (refusal_ && refusal_->input == in.position)
    throw bots::handler_error("what it sends is refused: " + refusal_->why);
  auto object = read_object(in.body);
  if (!object)
    throw bots::handler_error("an accepted message cannot be read: " + render(object.error()));
  bots::incoming view{in.header.author, in.link,          in.header.thread, in.header.reply_to,   in.position,
                      in.index,         in.header.time,   object->type,     object->content_type, object->body};
  bots::effects out;
  bot.handle(view, out);
  auto& messages = out.messages();
  std::size_t size = 0;
  for (const auto& message : messages) {
    size += message.body.size() + message.type.size() + message.content_type.size() + message_overhead_bytes;
    // Number and previous link are not known yet, but they take as much room whatever they are.
    signet::link previous;
    previous.raw.fill(1);
    if (auto fits = make_message(draft_of(message, cluster_, who_.who, now_), lane_number{2}, previous); !fits)
      throw bots::handler_error("a message that it sends cannot be made: " + render(fits.error()));
  }
  if (messages.size() > bot_effects_max || size > bot_effects_bytes_max)
    throw bots::handler_error("one input may send " + std::to_string(bot_effects_max) + " messages and " +
                              std::to_string(bot_effects_bytes_max) + " bytes");
  // It has succeeded: from here on nothing throws but for lack of memory.
  for (auto& message : messages)
    effects_.push_back({std::move(message), in.position});
  effects_bytes_ += size;
  handled_ = in.position;
}

void bot_core::run() {
  failed_.reset();
  while (!failed_ && work_->waiting() > 0 && effects_.size() < bot_entry_messages_full &&
         effects_bytes_ < bot_entry_bytes_full)
    failed_ = work_->run(1);
  if (failed_) {
    ++counts_.failures;
    counts_.last_failure = supervision::describe(failed_->why);
  }
  if (handled_ == position_)
    return note_failure();
  if (effects_.empty())
    return commit({});
  number();
}

void bot_core::number() {
  phase_ = phase::numbering;
  recipients_.clear();
  for (const auto& e : effects_)
    if (std::find(recipients_.begin(), recipients_.end(), e.message.to) == recipients_.end())
      recipients_.push_back(e.message.to);
  orders_.push_back(read_bot_lanes{recipients_});
}

void bot_core::commit(bytes_view batch) {
  propose(phase::committing, bot_committed_entry(who_.who, epoch_, next(position_), handled_, batch));
}

void bot_core::note_failure() {
  const auto input = next(position_);
  if (failed_->attempt >= rules_.attempts_max)
    return propose(phase::setting_aside,
                   bot_dead_lettered_entry(who_.who, epoch_, input, static_cast<std::uint32_t>(failed_->attempt),
                                           supervision::describe(failed_->why)));
  propose(phase::noting_attempt,
          bot_attempted_entry(who_.who, epoch_, input, static_cast<std::uint32_t>(failed_->attempt)));
}

// ---- proposals and their answers -------------------------------------------------------------------------------------

void bot_core::deploy() { propose(phase::deploying, bot_deployed_entry(who_.who, who_.name)); }

void bot_core::propose(phase why, bytes entry) {
  phase_ = why;
  in_flight_ = share(std::move(entry));
  answered_ = false;
  orders_.push_back(propose_for_bot{++number_, in_flight_});
}

void bot_core::in_doubt() {
  ++counts_.in_doubt;
  wait(phase_, supervision::backoff_delay(rules_.in_doubt, ++doubts_, random_));
}

void bot_core::done() {
  switch (phase_) {
    case phase::publishing:
      return deploy();
    case phase::deploying:
      return look();
    case phase::committing:
      displaced_ = 0;
      counts_.inputs += value(handled_) - value(position_);
      counts_.sent += effects_.size();
      position_ = handled_;
      effects_.clear();
      effects_bytes_ = 0;
      if (failed_)
        return note_failure();
      break;
    case phase::noting_attempt:
      return wait(phase::waiting, supervision::backoff_delay(rules_.retry, failed_->attempt, random_));
    case phase::setting_aside:
      ++counts_.dead_letters;
      position_ = handled_ = next(position_);
      work_->drop(failed_->failure);
      failed_.reset();
      refusal_.reset();
      break;
    default:
      return stop("an answer without a question");
  }
  if (work_->waiting() > 0)
    run();
  else
    look();
}

void bot_core::refused(const entry_answer& answer) {
  if (answer.code == ec::taken_over) {
    // A late copy of an entry that deployed us, or a node that has not heard yet that it no longer leads.
    forget_work();
    counts_.last_failure = "a newer deployment stands";
    return wait(phase::displaced, supervision::backoff_delay(rules_.in_doubt, ++displaced_, random_));
  }
  if (answer.code == ec::version_conflict && phase_ == phase::publishing)
    return deploy();  // published, and changed since
  if (answer.code == ec::version_conflict && phase_ != phase::deploying)
    return resync();  // inputs or lanes have moved since we read them
  if (phase_ == phase::committing) {
    // Apply names the first message that it refuses by the code; the others did not count for that reason alone.
    const auto why = answer.code == ec::unknown_identity ? outcome_code::not_for_here
                     : answer.code == ec::too_large      ? outcome_code::too_large
                     : answer.code == ec::rate_limited   ? outcome_code::rate_limited
                                                         : outcome_code::accepted;
    const auto bad = std::find_if(answer.outcomes.begin(), answer.outcomes.end(),
                                  [&](const outcome& each) { return each.code == why; });
    const auto which = static_cast<std::size_t>(bad - answer.outcomes.begin());
    if (why != outcome_code::accepted && which < effects_.size()) {
      refusal_ = refusal{effects_[which].input, std::string{name(why)}};
      return resync();
    }
  }
  stop("an entry was refused: " + std::string{name(answer.code)});
}

/// What we know of the state does not hold: forget all of it and read what stands.
void bot_core::resync() {
  forget_work();
  wait(phase::resyncing, supervision::backoff_delay(rules_.in_doubt, ++doubts_, random_));
}

void bot_core::forget_work() {
  work_.reset();
  failed_.reset();
  effects_.clear();
  effects_bytes_ = 0;
}

/// Another node runs it. Whatever we have proposed and not heard of may have happened: the next deployment reads that.
void bot_core::rest() {
  forget_work();
  refusal_.reset();
  in_flight_.reset();
  answered_ = true;
  epoch_ = 0;
  doubts_ = displaced_ = 0;
  timer_ = 0;
  phase_ = phase::resting;
}

void bot_core::look() {
  more_ = false;
  work_.reset();
  phase_ = phase::reading;
  orders_.push_back(read_bot_inbox{rules_.inputs_max, rules_.inputs_bytes_max});
}

void bot_core::wait(phase why, std::chrono::milliseconds delay) {
  phase_ = why;
  timer_ = ++last_timer_;
  orders_.push_back(arm_bot_timer{timer_, delay});
}

void bot_core::stop(std::string reason) {
  phase_ = phase::stopped;
  counts_.last_failure = reason;
  in_flight_.reset();
  orders_.push_back(stop_bot{std::move(reason)});
}

} // namespace signet
