// signet send, signet encode: from texts to signed batches of a lane.

#include "messages/envelope/batch.hpp"
#include "messages/envelope/receipt.hpp"
#include "tools/cli/messages.hpp"

#include <iostream>
#include <nlohmann/json.hpp>
#include <span>

namespace signet::cli {

client_options options_from(const message_flags& flags, const common_flags& common) {
  client_options out;
  out.url = common.node;
  out.trust = {flags.ca, flags.insecure};
  out.client_id = flags.client_id;
  out.patience = std::chrono::milliseconds(static_cast<std::int64_t>(flags.patience_s * 1000));
  return out;
}

nlohmann::json to_json(const outcome& said, const link& which) {
  nlohmann::json out{{"outcome", name(said.code)}, {"link", which.hex()}};
  if (said.good())
    out["index"] = value(said.index);
  if (value(said.expected) != 0)
    out["expected"] = value(said.expected);
  return out;
}

namespace {

/// The texts to send: the argument, or standard input (whole, or line by line), `count` times.
result<std::vector<std::string>> texts_of(const message_flags& flags) {
  std::vector<std::string> once;
  if (flags.lines) {
    for (std::string line; std::getline(std::cin, line);)
      once.push_back(line);
  } else if (flags.text == "-") {
    once.emplace_back(std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>());
  } else {
    once.push_back(flags.text);
  }
  std::vector<std::string> out;
  for (std::uint32_t i = 0; i < flags.count; ++i)
    out.insert(out.end(), once.begin(), once.end());
  if (out.empty())
    return fail(ec::configuration, "nothing to send");
  return out;
}

/// Signs the next messages of a lane and writes them down before anything leaves: after a crash, or when the outcome is
/// not known, the identical bytes are sent again, never another message under the same number.
result<lane_file> append_to_lane(const home& where, const own_identity& who, const signing_key& key, const cluster_id& cluster,
                                 const permalink& recipient, const message_flags& flags, std::span<const std::string> texts) {
  auto lane = where.load_lane(who, key.public_half(), cluster, recipient);
  if (!lane)
    return lane;
  message_draft draft;
  draft.cluster = cluster;
  draft.author = who.who();
  draft.recipient = recipient;
  draft.type = flags.type;
  draft.content_type = flags.content_type;
  if (!flags.reply_to.empty()) {
    auto reply_to = link::parse(flags.reply_to);
    if (!reply_to)
      return fail(ec::configuration, "--reply-to takes a link (64 hexadecimal digits)");
    draft.reply_to = *reply_to;
  }
  for (const auto& text : texts) {
    draft.time = system_clock().wall();
    draft.body = to_bytes(as_bytes(text));
    auto made = make_message(draft, lane->tail);
    if (!made)
      return tl::make_unexpected(made.error());
    lane->waiting.push_back({lane->tail.n, made->link, std::move(made->body)});
  }
  if (auto saved = where.save_lane(who, key.public_half(), cluster, recipient, *lane); !saved)
    return tl::make_unexpected(saved.error());
  return lane;
}

/// As many of `waiting` from `begin` on as one batch takes.
result<built_batch> batch_of(const signing_key& key, const std::vector<lane_file::pending>& waiting, std::size_t begin, std::size_t& end) {
  std::vector<built_message> messages;
  std::size_t size = 1024;
  for (end = begin; end < waiting.size() && messages.size() < batch_messages_max; ++end) {
    size += waiting[end].body.size() + 16;
    if (size > batch_bytes_max - 4096 && !messages.empty())
      break;
    messages.push_back({waiting[end].body, waiting[end].link});
  }
  return make_batch(key, messages);
}

/// What a refused message needs its author to do.
std::string advice(const outcome& said) {
  switch (said.code) {
    case outcome_code::fork:
      return "another message stands under this number: was this home restored from a backup, or copied? Go on with new keys: signet id rotate";
    case outcome_code::gap: return "the node expects number " + to_string(said.expected) + ", which this home no longer has; go on with new keys: signet id rotate";
    case outcome_code::not_for_here: return "the node does not know the recipient; they publish themselves with: signet id publish";
    case outcome_code::revoked_key: return "this key was replaced by a newer version of the identity";
    default: return "";
  }
}

/// How many messages are signed ahead of their receipt.
constexpr std::size_t signed_ahead_max = 1'024;
/// encode sees no receipts: it keeps the newest messages, so that `send` can mend a short gap.
constexpr std::size_t encoded_kept_max = 256;

/// One lane, one connection: signs, publishes, reads receipts, goes back where the node lacks something.
struct delivery_run {
  const home& where;
  const own_identity& who;
  const signing_key& key;
  cluster_id cluster;
  permalink recipient;
  client& to;
  const message_flags& flags;
  const common_flags& common;
  bool progress = false;

  int send(std::span<const std::string> texts);
};

int delivery_run::send(std::span<const std::string> texts) {
  auto lane = append_to_lane(where, who, key, cluster, recipient, flags, texts);
  if (!lane)
    return report(lane.error(), common);
  int code = exit_good;
  std::size_t begin = 0;
  bool went_back = false;
  while (begin < lane->waiting.size()) {
    std::size_t end = begin;
    auto batch = batch_of(key, lane->waiting, begin, end);
    if (!batch)
      return report(batch.error(), common);
    auto acked = to.publish("signet/v1/outbox", batch->serialised);
    if (!acked)
      return report({ec::unknown_outcome, acked.error().context + "; it is kept and goes first with the next: signet send"}, common);
    if (acked->code == mqtt::reason_code::quota_exceeded || acked->reason == "no_quorum") {
      // Nothing of it has been taken, so there is no receipt.
      std::cerr << "signet: not taken now: " << (acked->reason.empty() ? std::string(mqtt::name(acked->code)) : harmless(acked->reason))
                << "; it is kept and goes first with the next: signet send\n";
      if (common.json)
        print({{"problem", acked->reason}, {"code", mqtt::name(acked->code)}});
      return exit_refused;
    }
    std::optional<receipt> answer;
    for (const auto until = in(options_from(flags, common).patience); !answer;) {
      auto got = to.next(until);
      if (!got)
        return report(got.error(), common);
      if (!*got)
        return report({ec::unknown_outcome, "no receipt in time; it is kept and goes first with the next: signet send"}, common);
      (void)to.ack(**got);
      if (auto opened = open_receipt((*got)->payload); opened && (opened->root == batch->root || !opened->problem.empty()))
        answer = std::move(*opened);
    }
    if (!answer->problem.empty()) {
      std::cerr << "signet: the batch was refused: " << harmless(answer->problem) << "\n";
      if (common.json)
        print({{"problem", answer->problem}, {"retry_after_ms", answer->retry_after_ms}});
      return exit_refused;
    }
    std::size_t good = 0;
    while (good < answer->lines.size() && answer->lines[good].outcome.good())
      ++good;
    for (std::size_t i = 0; i < answer->lines.size(); ++i) {
      const auto& line = answer->lines[i];
      if (common.json && line.outcome.good())
        print(to_json(line.outcome, line.link));
    }
    if (good == answer->lines.size()) {
      if (!common.json && !progress)
        for (std::size_t i = 0; i < answer->lines.size(); ++i)
          if (lane->waiting.size() - begin <= 16)
            std::cout << paint(colour::green, std::string(name(answer->lines[i].outcome.code))) << "  n "
                      << value(lane->waiting[begin + i].n) << "  log index " << value(answer->lines[i].outcome.index) << "\n";
      begin = end;
        continue;
    }
    const auto& refused = answer->lines[good];
    if (refused.outcome.code == outcome_code::gap && !went_back) {
      // The node lacks earlier messages of ours: go back to what it expects, if we still have it.
      const auto found = std::find_if(lane->waiting.begin(), lane->waiting.end(),
                                      [&](const auto& each) { return each.n == refused.outcome.expected; });
      if (found != lane->waiting.end()) {
        begin = static_cast<std::size_t>(found - lane->waiting.begin());
        went_back = true;
        continue;
      }
    }
    if (common.json)
      print(to_json(refused.outcome, refused.link));
    std::cerr << "signet: " << paint(colour::red, std::string(name(refused.outcome.code)), 2) << " for message n "
              << value(lane->waiting[begin + good].n) << ": " << advice(refused.outcome) << "\n";
    code = exit_refused;
    // It has no number in the lane: take it and what follows back, so that the next message gets the number.
    begin += good;
    if (refused.outcome.code != outcome_code::gap && refused.outcome.code != outcome_code::fork) {
      const auto first = lane->waiting[begin];
      lane->waiting.resize(begin);
      lane->tail.n = lane_number{value(first.n) - 1};
      lane->tail.link = read_header(first.body) ? read_header(first.body)->previous : link{};
    }
    break;
  }
  lane->waiting.erase(lane->waiting.begin(), lane->waiting.begin() + static_cast<std::ptrdiff_t>(std::min(begin, lane->waiting.size())));
  if (auto saved = where.save_lane(who, key.public_half(), cluster, recipient, *lane); !saved)
    return report(saved.error(), common);
  return code;
}

/// Who writes to whom, with which key.
struct correspondence {
  own_identity who;
  permalink recipient;
  signing_key key;
};
result<correspondence> find_correspondence(const home& where, const message_flags& flags) {
  auto who = where.load(flags.as);
  if (!who)
    return tl::make_unexpected(who.error());
  auto recipient = where.resolve(flags.to);
  if (!recipient)
    return tl::make_unexpected(recipient.error());
  auto key = where.load_key(*who, key_purpose::sign);
  if (!key)
    return tl::make_unexpected(key.error());
  return correspondence{std::move(*who), *recipient, std::move(*key)};
}

} // namespace

int send(const message_flags& flags, const common_flags& common) {
  const auto where = home::find(common.home);
  auto between = find_correspondence(where, flags);
  if (!between)
    return report(between.error(), common);
  const auto& [who, recipient, key] = *between;
  auto to = client::connect(where, who, options_from(flags, common));
  if (!to)
    return report(to.error(), common);
  if (auto subscribed = (*to)->subscribe({"signet/v1/receipts"}); !subscribed)
    return report(subscribed.error(), common);
  const auto cluster = (*to)->node().cluster;
  auto lock = where.lock_lanes(who);
  if (!lock)
    return report(lock.error(), common);
  auto texts = texts_of(flags);
  if (!texts)
    return report(texts.error(), common);
  // A batch at a time: what is signed and not accepted is written down before it leaves, and there is never much of it.
  delivery_run run{where, who, key, cluster, recipient, **to, flags, common};
  run.progress = is_terminal(2) && texts->size() > batch_messages_max;
  int code = exit_good;
  for (std::size_t done = 0; code == exit_good && done < texts->size();) {
    const auto some = std::min(texts->size() - done, signed_ahead_max);
    code = run.send(std::span(*texts).subspan(done, some));
    done += some;
    if (run.progress)
      std::cerr << "\r" << done << " of " << texts->size() << " accepted" << std::flush;
  }
  if (run.progress)
    std::cerr << "\n";
  if (!common.json && code == exit_good && texts->size() > 16)
    std::cout << texts->size() << " messages accepted\n";
  (*to)->leave();
  return code;
}

int encode(const message_flags& flags, const common_flags& common) {
  if (is_terminal(1))
    return report({ec::configuration, "a batch is binary; send it into a file or a pipe: signet encode … | mosquitto_pub -s …"}, common);
  const auto where = home::find(common.home);
  auto between = find_correspondence(where, flags);
  if (!between)
    return report(between.error(), common);
  const auto& [who, recipient, key] = *between;
  auto pin = where.find_pin(common.node);
  if (!pin) {
    auto asked = client::probe(where, who, options_from(flags, common));
    if (!asked)
      return report(asked.error(), common);
    pin = *asked;
  }
  auto lock = where.lock_lanes(who);
  if (!lock)
    return report(lock.error(), common);
  auto before = where.load_lane(who, key.public_half(), pin->cluster, recipient);
  if (!before)
    return report(before.error(), common);
  if (before->waiting.size() > encoded_kept_max) {
    before->waiting.erase(before->waiting.begin(), before->waiting.end() - static_cast<std::ptrdiff_t>(encoded_kept_max));
    if (auto saved = where.save_lane(who, key.public_half(), pin->cluster, recipient, *before); !saved)
      return report(saved.error(), common);
  }
  auto texts = texts_of(flags);
  if (!texts)
    return report(texts.error(), common);
  auto lane = append_to_lane(where, who, key, pin->cluster, recipient, flags, *texts);
  if (!lane)
    return report(lane.error(), common);
  const auto begin = before->waiting.size();
  std::size_t end = 0;
  auto batch = batch_of(key, lane->waiting, begin, end);
  if (!batch || end != lane->waiting.size()) {
    // Nothing has left: take the numbers back.
    (void)where.save_lane(who, key.public_half(), pin->cluster, recipient, *before);
    return report(batch ? error{ec::too_large, "one batch takes at most 1024 messages and 1 MiB; ask for fewer with --count"} : batch.error(), common);
  }
  std::cout.write(reinterpret_cast<const char*>(batch->serialised.data()), static_cast<std::streamsize>(batch->serialised.size()));
  std::cout.flush();
  return std::cout ? exit_good : report({ec::io, "standard output"}, common);
}

} // namespace signet::cli
