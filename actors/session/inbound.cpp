#include "actors/session/inbound.hpp"

#include <algorithm>

namespace signet {

using mqtt::reason_code;

inbound_window::slot* inbound_window::find(std::uint64_t number) {
  const auto found = std::find_if(slots_.begin(), slots_.end(), [&](const slot& one) { return one.number == number; });
  return found == slots_.end() ? nullptr : &*found;
}

std::uint64_t inbound_window::open(mqtt::packet_id id) {
  auto& one = slots_.emplace_back();
  one.number = ++last_number_;
  one.id = id;
  one.at = stage::submitted;
  return one.number;
}

void inbound_window::open_batch(mqtt::packet_id id, shared_bytes raw) {
  auto& one = slots_.emplace_back();
  one.number = ++last_number_;
  one.id = id;
  one.batch = true;
  bytes_ += raw->size();
  one.raw = std::move(raw);
  ++waiting_;
}

bool inbound_window::holds(mqtt::packet_id id) const {
  return id != 0 && std::any_of(slots_.begin(), slots_.end(), [&](const slot& one) { return one.id == id; });
}

void inbound_window::complete(std::uint64_t number, reason_code code, std::string_view reason) {
  auto* one = find(number);
  if (!one || one->batch || one->at == stage::done)
    return;
  one->at = stage::done;
  one->code = code;
  one->reason = reason;
}

void inbound_window::answered(std::uint64_t number, std::uint32_t attempt, const batch_answer& answer, moment) {
  auto* one = find(number);
  if (!one || !one->batch || one->attempt != attempt || one->at != stage::submitted)
    return;
  --submitted_;
  one->at = stage::done;
  one->receipt = answer.receipt;
  one->no_leader_since.reset();
  if (answer.problem == ec::ok && answer.all_good)
    one->code = reason_code::success;
  else
    one->code = answer.problem == ec::rate_limited ? reason_code::quota_exceeded
                                                   : reason_code::implementation_specific_error;
  if (answer.problem != ec::ok)
    one->reason = name(answer.problem);
  retry_ms_ = 0;
}

void inbound_window::failed(std::uint64_t number, std::uint32_t attempt, ec problem, moment now, bool v5) {
  auto* one = find(number);
  if (!one || !one->batch || one->attempt != attempt || one->at != stage::submitted)
    return;
  if (problem != ec::overloaded && problem != ec::disk_full && problem != ec::not_leader)
    one->maybe_proposed = true;
  if (problem != ec::not_leader)
    one->no_leader_since.reset();
  else if (!one->no_leader_since)
    one->no_leader_since = one->submitted_at;
  // 5.0 can say "not taken" without a lie, if nothing of it can have happened. 3.1.1 has only a positive ack: it waits.
  const auto leaderless_ms = one->no_leader_since ? value(now.steady) - value(*one->no_leader_since) : 0;
  const bool no_quorum = problem == ec::not_leader && leaderless_ms >= settings_.no_quorum_ms;
  const bool give_up = problem == ec::disk_full || no_quorum;
  hopeless_ = hopeless_ || (no_quorum && (one->maybe_proposed ? leaderless_ms >= settings_.in_doubt_ms : !v5));
  if (v5 && !one->maybe_proposed && give_up) {
    --submitted_;
    one->at = stage::done;
    one->code = problem == ec::disk_full ? reason_code::quota_exceeded : reason_code::implementation_specific_error;
    one->reason = problem == ec::disk_full ? "disk_full" : "no_quorum";
    // Those behind it have answers of their own on the way: the same one, or a gap where this one is missing.
    return;
  }
  go_back_to(number, now);
}

void inbound_window::go_back_to(std::uint64_t number, moment now) {
  for (auto& one : slots_) {
    if (one.number < number || !one.batch || one.at == stage::waiting)
      continue;
    if (one.at == stage::submitted)
      --submitted_;
    one.at = stage::waiting;
    one.receipt.reset();
    one.reason = {};
    ++one.attempt;
    ++waiting_;
  }
  retry_ms_ = std::clamp(retry_ms_ * 2, settings_.retry_ms_min, settings_.retry_ms_max);
  retry_at_ = now.steady + retry_ms_;
}

std::vector<inbound_window::submission> inbound_window::submit_ready(moment now, bool all) {
  std::vector<submission> out;
  if (waiting_ == 0)
    return out;
  if (!all && retry_at_ && now.steady < *retry_at_)
    return out;
  retry_at_.reset();
  for (auto& one : slots_) {
    if (waiting_ == 0)
      break;
    if (one.at != stage::waiting)
      continue;
    if (!all) {
      if (submitted_ >= settings_.receive_maximum)
        break;
      if (!batches_.take(now.steady)) {
        limited_ = true;
        break;
      }
    }
    one.at = stage::submitted;
    one.submitted_at = now.steady;
    --waiting_;
    ++submitted_;
    out.push_back({one.number, one.attempt, one.raw});
  }
  return out;
}

std::vector<inbound_window::answer> inbound_window::take_answers() {
  std::vector<answer> out;
  while (!slots_.empty() && slots_.front().at == stage::done) {
    auto& one = slots_.front();
    if (one.raw)
      bytes_ -= one.raw->size();
    out.push_back({one.id, one.code, one.reason, std::move(one.receipt)});
    slots_.pop_front();
  }
  return out;
}

bool inbound_window::full() const {
  return slots_.size() >= settings_.receive_maximum || waiting_ > 0 || bytes_ >= settings_.inbound_bytes_max;
}

steady_ms inbound_window::next_deadline(moment now) {
  if (waiting_ == 0 || submitted_ >= settings_.receive_maximum)
    return never;
  if (retry_at_)
    return *retry_at_;
  return now.steady + std::max<std::uint64_t>(1, batches_.wait_ms(now.steady));
}

} // namespace signet
