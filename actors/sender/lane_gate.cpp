#include "actors/sender/lane_gate.hpp"

namespace signet {
namespace {

/// One lane within one batch.
struct lane_here {
  lane_number applied_n{};        // what the views hold
  lane_number in_flight_n{};      // and what is on its way
  storage::lane_judge judge;      // begins behind what is on its way
  bool known_recipient = false;
  bool uncertain = false;         // what is on its way may not come
  bool moved = false;
};

} // namespace

lane_gate::verdict lane_gate::judge(const public_key& signer, std::span<const message_view> messages,
                                    std::optional<outcome_code> barred, lane_lookup& applied) {
  verdict out;
  out.outcomes.reserve(messages.size());
  std::unordered_map<permalink, lane_here, id_hash> lanes;
  lane_here* last = nullptr;
  permalink last_recipient;
  for (const auto& message : messages) {
    // Every message starts as refused.
    outcome said;
    if (message.problem) {
      said.code = *message.problem;
      out.outcomes.push_back(said);
      continue;
    }
    const auto& header = message.header;
    const lane_id id{signer, header.recipient};
    if (!last || last_recipient != header.recipient) {
      auto [found, is_new] = lanes.try_emplace(header.recipient);
      last = &found->second;
      last_recipient = header.recipient;
      if (is_new) {
        auto tail = applied.tail(id);
        last->applied_n = tail.n;
        last->known_recipient = applied.recipient_known(header.recipient);
        if (auto flying = in_flight_.find(id); flying != in_flight_.end()) {
          last->uncertain = flying->second.uncertain;
          if (flying->second.tail.n > tail.n)
            tail = flying->second.tail;
        }
        last->in_flight_n = tail.n;
        last->judge = storage::lane_judge(tail.n, tail.link);
      }
    }
    auto why = barred;
    if (header.author != author_)
      why = outcome_code::malformed;
    else if (header.cluster != cluster_ || !last->known_recipient)
      why = outcome_code::not_for_here;
    if (header.n <= last->in_flight_n && header.n > last->applied_n) {
      // Stands in a batch that is not applied yet: apply will say duplicate or fork, and at which index.
      out.anything_to_write = true;
      out.uncertain = out.uncertain || last->uncertain;
      said.code = outcome_code::duplicate;
      out.outcomes.push_back(said);
      continue;
    }
    said = last->judge.judge({header.n, header.previous, message.link}, log_index{}, why,
                             [&](lane_number n) { return applied.standing(id, n); });
    if (said.code == outcome_code::accepted) {
      last->moved = true;
      out.anything_to_write = true;
    } else if (said.code == outcome_code::fork) {
      // The evidence belongs into the log, once.
      out.anything_to_write = out.anything_to_write || !applied.fork_known(id, header.n, message.link);
    }
    // While a lane is uncertain only what stands already can be judged.
    if (last->uncertain && said.code != outcome_code::duplicate)
      out.uncertain = true;
    out.outcomes.push_back(said);
  }
  if (out.uncertain || !out.anything_to_write)
    return out;
  out.ticket = ++last_ticket_;
  auto& batch = batches_[out.ticket];
  batch.predicted = out.outcomes;
  for (const auto& [recipient, here] : lanes)
    if (here.moved) {
      const lane_id id{signer, recipient};
      auto& flying = in_flight_[id];
      flying.tail = {here.judge.tail_n(), here.judge.tail_link()};
      ++flying.batches;
      batch.lanes.push_back(id);
    }
  return out;
}

void lane_gate::settled(std::uint64_t ticket, std::span<const outcome> actual) {
  auto node = batches_.extract(ticket);
  if (node.empty())
    return;
  const auto& batch = node.mapped();
  bool as_predicted = actual.size() == batch.predicted.size();
  for (std::size_t i = 0; as_predicted && i < actual.size(); ++i)
    as_predicted = batch.predicted[i].code != outcome_code::accepted || actual[i].good();
  for (const auto& lane : batch.lanes) {
    auto found = in_flight_.find(lane);
    if (found == in_flight_.end())
      continue;
    found->second.uncertain = found->second.uncertain || !as_predicted;
    if (--found->second.batches == 0)
      in_flight_.erase(found);
  }
}

} // namespace signet
