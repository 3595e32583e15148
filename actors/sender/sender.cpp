#include "actors/sender/sender.hpp"

#include "actors/replica/replica.hpp"
#include "actors/supervision/guard.hpp"
#include "messages/entries.hpp"
#include "messages/envelope/receipt.hpp"
#include "messages/security_events.hpp"
#include "storage/views/read.hpp"

#include <nlohmann/json.hpp>

namespace signet {
namespace {
using namespace std::chrono_literals;
constexpr auto tidy_every = 60s;
constexpr std::uint64_t idle_ms_max = 5 * 60'000;

/// The applied state, through one short read transaction.
class applied_lanes final : public lane_lookup {
public:
  explicit applied_lanes(const storage::read_txn& txn) : txn_{txn} {}
  lane_tail tail(const lane_id& lane) override {
    auto found = storage::read_lane(txn_, lane);
    return {found.n, found.link};
  }
  storage::standing_message standing(const lane_id& lane, lane_number n) override {
    return storage::find_message(txn_, lane, n).value_or(storage::standing_message{});
  }
  bool recipient_known(const permalink& who) override { return storage::find_identity(txn_, who).has_value(); }
  bool fork_known(const lane_id& lane, lane_number n, const link& refused) override {
    return storage::get<storage::table::forks>(txn_, {lane, n, refused}).has_value();
  }

private:
  const storage::read_txn& txn_;
};

} // namespace

void sender_state::start(sender_services services, const permalink& author) {
  supervision::guard(self_);
  services_ = std::move(services);
  author_ = author;
  gate_.emplace(author, services_.cluster);
}

sender_actor::behavior_type sender_state::make_behavior() {
  return {[this](const submit_batch& request) { return submit(request); }};
}

batch_answer sender_state::answer_with(const digest& root, std::span<const outcome> outcomes, std::span<const link> links) const {
  receipt content;
  content.root = root;
  content.lines.reserve(outcomes.size());
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    content.lines.push_back({outcomes[i], links[i]});
    services_.counts->messages[static_cast<std::size_t>(outcomes[i].code)].fetch_add(1, std::memory_order_relaxed);
  }
  return {ec::ok, content.all_good(), share(make_receipt(content))};
}

batch_answer sender_state::refuse(ec problem, const digest& root, std::uint32_t retry_after_ms) const {
  services_.counts->refused_batches[static_cast<std::size_t>(problem)].fetch_add(1, std::memory_order_relaxed);
  receipt content;
  content.root = root;
  content.problem = signet::name(problem);
  content.retry_after_ms = retry_after_ms;
  return {problem, false, share(make_receipt(content))};
}

void sender_state::report(security_kind kind, const permalink& subject, bytes_view object, std::string detail) const {
  self_->send(services_.security,
              security_event_seen{std::string(signet::name(kind)), to_bytes(subject.view()), to_bytes(object), std::move(detail), {}});
}

caf::result<batch_answer> sender_state::submit(const submit_batch& request) {
  auto opened = unverified_batch::open(*request.raw);
  if (!opened) {
    report(security_kind::malformed_payload, author_, {}, std::string(signet::name(opened.error().code)));
    return refuse(opened.error().code, {});
  }
  const auto signer = opened->signer();

  // Whose key is it? Cheaper than the signature, so asked first; but nothing is said about lanes before it holds.
  std::optional<outcome_code> barred;
  {
    auto txn = services_.store->read();
    switch (storage::judge_key(txn, author_, signer, key_purpose::sign)) {
      case ec::ok: break;
      case ec::wrong_key_purpose: barred = outcome_code::wrong_key_purpose; break;
      case ec::revoked_key: barred = outcome_code::revoked_key; break;
      default:
        report(security_kind::permission_denied, author_, signer.view(), "foreign key");
        return refuse(ec::not_authorized, {});
    }
  }
  auto verified = verify(std::move(*opened));
  if (!verified) {
    report(security_kind::bad_signature, author_, signer.view(), {});
    return refuse(ec::bad_signature, {});
  }

  std::vector<link> links;
  links.reserve(verified->size());
  for (const auto& message : verified->messages())
    links.push_back(message.link);

  lane_gate::verdict verdict;
  {
    auto txn = services_.store->read();
    applied_lanes lanes(txn);
    verdict = gate_->judge(signer, verified->messages(), barred, lanes);
  }
  if (verdict.uncertain)
    return to_caf({ec::overloaded, "an earlier batch of this lane is not answered yet"});
  if (!verdict.anything_to_write) {
    if (barred)
      report(security_kind::permission_denied, author_, signer.view(), std::string(signet::name(*barred)));
    for (std::size_t i = 0; i < verdict.outcomes.size(); ++i)
      if (verdict.outcomes[i].code == outcome_code::gap) {
        report(security_kind::gap, author_, verified->messages()[i].header.recipient.view(), {});
        break;
      }
    return answer_with(verified->root(), verdict.outcomes, links);
  }

  auto promise = self_->make_response_promise<batch_answer>();
  const auto root = verified->root();
  const auto proven = std::make_shared<const verified_batch>(std::move(*verified));
  // The replica answers every proposal in finite time, or the process ends. A timeout here would wake CAF's clock thread
  // for each batch; who waits at the other end, the session, has one of its own.
  self_->request(services_.replica, caf::infinite,
                 propose_entry{share(batch_entry(*request.raw)), false, true, proven})
    .then(
      [this, promise, ticket = verdict.ticket, root,
       links = std::move(links)](const entry_answer& done) mutable {
        gate_->settled(ticket, done.outcomes);
        if (done.outcomes.size() != links.size())
          promise.deliver(refuse(done.code == ec::ok ? ec::internal : done.code, root));
        else
          promise.deliver(answer_with(root, done.outcomes, links));
      },
      [this, promise, ticket = verdict.ticket](const caf::error& why) mutable {
        gate_->settled(ticket, {});
        promise.deliver(to_caf(from_caf(why)));
      });
  return promise;
}

sender_actor::behavior_type sender(sender_actor::stateful_pointer<sender_state> self, sender_services services,
                                   permalink author) {
  self->state.start(std::move(services), author);
  return self->state.make_behavior();
}

senders_state::~senders_state() {
  // A pending request would keep an idle sender, and with it the whole system, alive until its timeout.
  for (const auto& [author, sender] : running_)
    caf::anon_send_exit(sender.handle, caf::exit_reason::user_shutdown);
}

void senders_state::start(sender_services services) {
  supervision::guard(self_);
  self_->set_down_handler([this](caf::down_msg& down) { ended(down); });
  services_ = std::move(services);
  self_->delayed_send(self_, tidy_every, tick_atom_v);
}

senders_actor::behavior_type senders_state::make_behavior() {
  return {[this](submit_batch& request) { return submit(request); }, [this](tick_atom) { tick(); },
          [this](status_asked) { return status(); }};
}

caf::result<batch_answer> senders_state::submit(submit_batch& request) {
  auto& found = running_[request.author];
  if (!found.handle) {
    found.handle = self_->spawn(sender, services_, request.author);
    self_->monitor(found.handle);
  }
  found.last_used = services_.clock->steady();
  return self_->delegate(found.handle, std::move(request));
}

void senders_state::tick() {
  // An exit queues behind what has been handed on, and nothing is handed on after it: no batch is lost.
  const auto now = value(services_.clock->steady());
  std::erase_if(running_, [&](const auto& entry) {
    if (now - value(entry.second.last_used) < idle_ms_max)
      return false;
    self_->demonitor(entry.second.handle.address());
    self_->send_exit(entry.second.handle, caf::exit_reason::user_shutdown);
    return true;
  });
  self_->delayed_send(self_, tidy_every, tick_atom_v);
}

void senders_state::ended(const caf::down_msg& down) {
  // Its next batch starts a new one; whoever waits for an answer runs into the timeout and sends the same again.
  failures_ += std::erase_if(running_, [&](const auto& entry) { return entry.second.handle.address() == down.source; });
}

std::string senders_state::status() const {
  auto outcomes = nlohmann::json::object(), refused = nlohmann::json::object();
  for (std::size_t i = 0; i < services_.counts->messages.size(); ++i)
    outcomes[std::string(signet::name(static_cast<outcome_code>(i)))] = services_.counts->messages[i].load(std::memory_order_relaxed);
  for (std::size_t i = 0; i < services_.counts->refused_batches.size(); ++i)
    if (const auto count = services_.counts->refused_batches[i].load(std::memory_order_relaxed))
      refused[std::string(signet::name(static_cast<ec>(i)))] = count;
  return nlohmann::json{{"running", running_.size()}, {"failures", failures_}, {"messages", outcomes}, {"refused_batches", refused}}.dump();
}

senders_actor::behavior_type senders(senders_actor::stateful_pointer<senders_state> self, sender_services services) {
  self->state.start(std::move(services));
  return self->state.make_behavior();
}

} // namespace signet
