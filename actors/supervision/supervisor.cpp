#include "actors/supervision/supervisor.hpp"

#include "actors/supervision/guard.hpp"

#include <caf/actor_system.hpp>
#include <caf/exit_reason.hpp>
#include <caf/sec.hpp>
#include <caf/send.hpp>

#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

namespace signet::supervision {

class supervisor_state::start_context final : public starting {
public:
  explicit start_context(supervisor_state& state) : state_{state} {}
  caf::local_actor& self() override { return *state_.self_; }
  caf::actor sibling(std::string_view id) override {
    if (const auto slot = state_.table_->find(id))
      if (const auto at = state_.children_.find(static_cast<std::uint64_t>(*slot)); at != state_.children_.end())
        if (at->second.handle)
          return at->second.handle;
    throw std::runtime_error("sibling '" + std::string{id} + "' does not run");
  }

private:
  supervisor_state& state_;
};

void send_exit_first(const caf::actor& whom, caf::exit_reason reason) {
  caf::anon_send<caf::message_priority::high>(whom, caf::exit_msg{whom.address(), caf::make_error(reason)});
}

supervisor_state::~supervisor_state() {
  // Only after a kill, which cannot be trapped: otherwise nothing runs any more by now.
  for (auto& [slot, c] : children_)
    if (c.handle)
      send_exit_first(c.handle, caf::exit_reason::kill);
}

void supervisor_state::start(const supervisor_options& options, std::vector<child_spec> specs) {
  guard(self_);
  self_->set_down_handler([this](caf::scheduled_actor*, caf::down_msg& down) { child_ended(down); });
  self_->set_exit_handler([this](caf::scheduled_actor*, caf::exit_msg& request) { told_to_exit(request); });
  how_ = options.rules.how;
  table_ = std::make_unique<child_table>(options.rules, *options.random);
  for (auto& spec : specs) {
    auto slot = table_->add({spec.id, spec.when, spec.shutdown_timeout}, now());
    if (!slot)
      throw std::invalid_argument(render(slot.error()));
    children_[static_cast<std::uint64_t>(*slot)].spec = std::make_shared<const child_spec>(std::move(spec));
  }
  carry_out();
}

supervisor_actor::behavior_type supervisor_state::make_behavior() {
  return {[this](const ask_report& request) { return report(request); },
          [this](const find_child& request) { return find(request); },
          [this](const add_child& request) { return add(request); },
          [this](const remove_child& request) { return remove(request); },
          [this](const timer_fired& request) { fired(request); }};
}

caf::result<supervisor_report> supervisor_state::report(const ask_report& request) {
  struct pending {
    supervisor_report report;
    caf::typed_response_promise<supervisor_report> promise;
    std::size_t missing = 0;
    void done() {
      if (--missing == 0)
        promise.deliver(std::move(report));
    }
  };
  auto work = std::make_shared<pending>();
  work->report.how = how_;
  work->report.stopping = table_->stopping();
  work->promise = self_->make_response_promise<supervisor_report>();
  work->missing = 1;  // ourselves, so that it is not done before all are asked
  for (auto& row : table_->rows(now())) {
    const auto& c = children_.at(static_cast<std::uint64_t>(row.slot));
    work->report.children.push_back({std::move(row.id), c.spec->kind, row.state, row.restarts,
                                     std::move(row.last_reason), static_cast<std::uint64_t>(row.in_state.count()),
                                     true, {}});
    if (!c.spec->is_supervisor || !c.handle)
      continue;
    const auto place = work->report.children.size() - 1;
    ++work->missing;
    self_->request(caf::actor_cast<supervisor_actor>(c.handle), request.patience, ask_report{request.patience / 2})
      .then(
        [work, place](supervisor_report& below) {
          work->report.children[place].children = std::move(below.children);
          work->done();
        },
        [work, place](const caf::error&) {
          work->report.children[place].answered = false;
          work->done();
        });
  }
  auto promise = work->promise;
  work->done();
  return promise;
}

caf::result<caf::actor> supervisor_state::find(const find_child& request) {
  if (const auto slot = table_->find(request.id))
    if (const auto& c = children_.at(static_cast<std::uint64_t>(*slot)); c.handle)
      return c.handle;
  return caf::make_error(caf::sec::invalid_argument, "no running child '" + request.id + "'");
}

caf::result<child_added> supervisor_state::add(const add_child& request) {
  if (!request.spec || !request.spec->start)
    return caf::make_error(caf::sec::invalid_argument, std::string{"a child needs a start function"});
  auto slot = table_->add({request.spec->id, request.spec->when, request.spec->shutdown_timeout}, now());
  if (!slot)
    return caf::make_error(caf::sec::invalid_argument, render(slot.error()));
  children_[static_cast<std::uint64_t>(*slot)].spec = request.spec;
  carry_out();
  const auto at = children_.find(static_cast<std::uint64_t>(*slot));
  if (at == children_.end())
    return caf::make_error(caf::sec::runtime_error, "child '" + request.spec->id + "' is temporary and its factory failed");
  return child_added{at->second.handle};
}

caf::result<child_removed> supervisor_state::remove(const remove_child& request) {
  auto slot = table_->remove(request.id, now());
  if (!slot)
    return caf::make_error(caf::sec::invalid_argument, render(slot.error()));
  auto promise = self_->make_response_promise<child_removed>();
  children_.at(static_cast<std::uint64_t>(*slot)).removals.push_back(promise);
  carry_out();
  return promise;
}

void supervisor_state::fired(const timer_fired& request) {
  table_->fired(request.timer, now());
  carry_out();
}

steady_ms supervisor_state::now() const {
  const auto since = self_->clock().now().time_since_epoch();
  return steady_ms{static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(since).count())};
}

void supervisor_state::child_ended(const caf::down_msg& down) {
  const auto known = running_.find(down.source.id());
  if (known == running_.end())
    return;  // abandoned, or never ours
  const auto slot = known->second;
  running_.erase(known);
  auto& c = children_.at(static_cast<std::uint64_t>(slot));
  c.handle = nullptr;
  const auto normal = is_normal(down.reason);
  const auto was_stopping = table_->stopping();
  table_->ended(slot, normal, describe(down.reason), now());
  if (!normal && !was_stopping)
    spdlog::warn("child_failed supervisor_id={} child={} kind={} reason=\"{}\"", self_->id(), c.spec->id, c.spec->kind,
                 describe(down.reason));
  remember_failure(down.reason);
  carry_out();
}

void supervisor_state::told_to_exit(const caf::exit_msg& request) {
  if (is_normal(request.reason))
    return;  // somebody linked to us ended in peace
  if (!table_->stopping())
    exit_with_ = request.reason;
  table_->stop(now());
  carry_out();
}

// Called after each event that may have made the table give up: the first such reason is ours.
void supervisor_state::remember_failure(const caf::error& reason) {
  if (table_->gave_up() && !exit_with_)
    exit_with_ = is_normal(reason) ? caf::make_error(caf::sec::runtime_error, std::string{"a permanent child kept ending"})
                                   : reason;
}

void supervisor_state::carry_out() {
  if (std::exchange(carrying_out_, true))
    return;  // from within a factory: the loop below goes on with it
  while (auto order = table_->next())
    std::visit([this](const auto& what) { carry_out(what); }, *order);
  carrying_out_ = false;
}

void supervisor_state::carry_out(const start_child& order) {
  auto& c = children_.at(static_cast<std::uint64_t>(order.slot));
  try {
    start_context context{*this};
    c.handle = c.spec->start(context);
    if (!c.handle)
      throw std::runtime_error("the factory returned no actor");
  } catch (...) {
    const auto failure = std::current_exception();
    spdlog::warn("child_failed supervisor_id={} child={} kind={} reason=\"factory: {}\"", self_->id(), c.spec->id,
                 c.spec->kind, describe(failure));
    table_->start_failed(order.slot, describe(reason_of(failure)), now());
    return remember_failure(reason_of(failure));
  }
  running_.emplace(c.handle.id(), order.slot);
  self_->monitor(c.handle);
  table_->started(order.slot, now());
  spdlog::debug("child_started supervisor_id={} child={} kind={} actor_id={}", self_->id(), c.spec->id, c.spec->kind,
                c.handle.id());
  if (c.spec->on_started)
    c.spec->on_started(c.handle);
}

void supervisor_state::carry_out(const stop_child& order) {
  const auto& c = children_.at(static_cast<std::uint64_t>(order.slot));
  if (order.kill)
    spdlog::warn("child_killed supervisor_id={} child={} kind={}", self_->id(), c.spec->id, c.spec->kind);
  send_exit_first(c.handle, order.kill ? caf::exit_reason::kill : caf::exit_reason::user_shutdown);
}

void supervisor_state::carry_out(const arm_timer& order) {
  self_->delayed_send(self_, order.delay, timer_fired{order.timer});
}

void supervisor_state::carry_out(const forget_child& order) {
  auto at = children_.find(static_cast<std::uint64_t>(order.slot));
  auto gone = std::move(at->second);
  children_.erase(at);
  if (order.abandoned) {
    spdlog::critical("child_abandoned supervisor_id={} child={} kind={}: it did not end after a kill", self_->id(),
                     gone.spec->id, gone.spec->kind);
    running_.erase(gone.handle.id());
    remember_failure(caf::make_error(caf::sec::runtime_error, "child '" + gone.spec->id + "' did not end after a kill"));
  }
  for (auto& promise : gone.removals)
    promise.deliver(child_removed{order.abandoned});
}

void supervisor_state::carry_out(const finish& order) {
  if (order.gave_up)
    spdlog::error("supervisor_gave_up supervisor_id={} reason=\"{}\"", self_->id(), describe(exit_with_));
  for (auto& [slot, c] : children_)
    for (auto& promise : c.removals)
      promise.deliver(child_removed{false});
  self_->quit(exit_with_);
}

supervisor_actor::behavior_type supervisor(supervisor_actor::stateful_pointer<supervisor_state> self,
                                           supervisor_options options, std::vector<child_spec> specs) {
  self->state.start(options, std::move(specs));
  return self->state.make_behavior();
}

child_spec nested(std::string id, supervisor_options options, std::vector<child_spec> specs, restart when) {
  child_spec spec;
  spec.id = std::move(id);
  spec.kind = "supervisor";
  spec.when = when;
  spec.is_supervisor = true;
  spec.shutdown_timeout = std::chrono::milliseconds{1'000};
  for (const auto& child : specs)  // its children stop one after the other, each with up to two timeouts
    spec.shutdown_timeout += 2 * std::max(child.shutdown_timeout, std::chrono::milliseconds{1'000});
  spec.start = [options = std::move(options), specs = std::move(specs)](starting& at) {
    return caf::actor_cast<caf::actor>(at.self().spawn(supervisor, options, specs));
  };
  return spec;
}

namespace {

nlohmann::json json_of(const std::vector<child_report>& children) {
  auto out = nlohmann::json::array();
  for (const auto& child : children) {
    nlohmann::json one{{"id", child.id},
                       {"kind", child.kind},
                       {"state", name(child.state)},
                       {"restarts", child.restarts},
                       {"last_reason", child.last_reason},
                       {"in_state_ms", child.in_state_ms}};
    if (!child.answered)
      one["answered"] = false;
    if (!child.children.empty())
      one["children"] = json_of(child.children);
    out.push_back(std::move(one));
  }
  return out;
}

void lines_of(const std::vector<child_report>& children, std::size_t depth, std::string& out) {
  for (const auto& child : children) {
    out.append(2 * depth, ' ');
    out += child.id + "  " + child.kind + "  " + std::string{name(child.state)};
    out += " for " + std::to_string(child.in_state_ms / 1'000) + " s";
    if (child.restarts > 0)
      out += ", " + std::to_string(child.restarts) + " restarts";
    if (!child.last_reason.empty())
      out += ", last failure: " + child.last_reason;
    if (!child.answered)
      out += ", no answer";
    out += '\n';
    lines_of(child.children, depth + 1, out);
  }
}

} // namespace

std::string to_json(const supervisor_report& report) {
  return nlohmann::json{{"strategy", name(report.how)},
                        {"stopping", report.stopping},
                        {"children", json_of(report.children)}}
    .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string to_text(const supervisor_report& report) {
  std::string out;
  lines_of(report.children, 0, out);
  return out;
}

} // namespace signet::supervision
