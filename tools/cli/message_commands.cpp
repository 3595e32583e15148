// signet send, inbox, encode, decode

#include "messages/envelope/delivery.hpp"
#include "messages/envelope/receipt.hpp"
#include "messages/schema/identity.capnp.h"
#include "messages/schema/message.capnp.h"
#include "messages/schema/session.capnp.h"
#include "tools/cli/client.hpp"
#include "tools/cli/commands.hpp"

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <iostream>
#include <nlohmann/json.hpp>
#include <set>
#include <unistd.h>

namespace signet::cli {
namespace {

struct message_flags {
  std::string as, to, text, type = "text", content_type, client_id, reply_to;
  std::vector<std::string> recipients;
  std::string ca;
  bool insecure = false, follow = false, lines = false, hex = false, no_wait = false;
  std::uint32_t count = 1, limit = 0;
  std::uint64_t from = 0;
  double wait_s = 1.0, patience_s = 10.0;
};

client_options options_from(const message_flags& flags, const common_flags& common) {
  client_options out;
  out.url = common.node;
  out.trust = {flags.ca, flags.insecure};
  out.client_id = flags.client_id;
  out.patience = std::chrono::milliseconds(static_cast<std::int64_t>(flags.patience_s * 1000));
  return out;
}

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

nlohmann::json to_json(const outcome& said, const link& which) {
  nlohmann::json out{{"outcome", name(said.code)}, {"link", which.hex()}};
  if (said.good())
    out["index"] = value(said.index);
  if (value(said.expected) != 0)
    out["expected"] = value(said.expected);
  return out;
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

int send(const message_flags& flags, const common_flags& common) {
  const auto where = home::find(common.home);
  auto who = where.load(flags.as);
  if (!who)
    return report(who.error(), common);
  auto recipient = where.resolve(flags.to);
  if (!recipient)
    return report(recipient.error(), common);
  auto key = where.load_key(*who, key_purpose::sign);
  if (!key)
    return report(key.error(), common);
  auto to = client::connect(where, *who, options_from(flags, common));
  if (!to)
    return report(to.error(), common);
  if (auto subscribed = (*to)->subscribe({"signet/v1/receipts"}); !subscribed)
    return report(subscribed.error(), common);
  const auto cluster = (*to)->node().cluster;
  auto lock = where.lock_lanes(*who);
  if (!lock)
    return report(lock.error(), common);
  auto texts = texts_of(flags);
  if (!texts)
    return report(texts.error(), common);
  // A batch at a time: what is signed and not accepted is written down before it leaves, and there is never much of it.
  delivery_run run{where, *who, *key, cluster, *recipient, **to, flags, common};
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

/// Checks who wrote a message: the signing key must be a sign key of the author's identity, whose chain is checked too.
class authors {
public:
  authors(const home& where, client* ask) : where_{where}, ask_{ask} {}

  enum class verdict { verified, unknown_author, foreign_key };
  verdict judge(const delivered_message& message) {
    auto& keys = chain_of(message.header.author);
    if (keys.empty())
      return verdict::unknown_author;
    return keys.contains(message.signer) ? verdict::verified : verdict::foreign_key;
  }

private:
  const std::set<public_key>& chain_of(const permalink& who) {
    auto [found, is_new] = known_.try_emplace(who);
    if (!is_new)
      return found->second;
    if (ask_)
      if (auto answer = ask_->lookup(who); answer && answer->code == "ok")
        (void)where_.save_contact(who, answer->versions);
    if (auto chain = where_.load_chain(who))
      for (const auto& version : *chain)
        for (const auto& key : version.keys())
          if (key.purpose == key_purpose::sign)
            found->second.insert(key.key);
    return found->second;
  }
  const home& where_;
  client* ask_;
  std::map<permalink, std::set<public_key>> known_;
};

const char* word(authors::verdict verdict) {
  switch (verdict) {
    case authors::verdict::verified: return "verified";
    case authors::verdict::unknown_author: return "signed, author not known here";
    case authors::verdict::foreign_key: return "NOT by its author: foreign key";
  }
  return "";
}

/// Prints one Delivery; counts messages. False: something in it does not verify.
bool print_delivery(bytes_view raw, const home& where, authors& judge, const common_flags& common, std::uint64_t& count) {
  auto items = open_delivery(raw);
  if (!items) {
    report(items.error(), common);
    return false;
  }
  bool good = true;
  for (const auto& item : *items) {
    if (auto* reference = std::get_if<delivered_reference>(&item)) {
      if (common.json)
        print({{"position", value(reference->position)}, {"index", value(reference->index)}, {"reference", reference->link.hex()}, {"size_bytes", reference->body_size_bytes}});
      else
        std::cout << value(reference->position) << "  (too large for this client: " << reference->body_size_bytes << " bytes, link " << reference->link.hex() << ")\n";
      ++count;
      continue;
    }
    auto messages = verify_bundle(std::get<unverified_bundle>(item));
    if (!messages) {
      report(messages.error(), common);
      good = false;
      continue;
    }
    for (const auto& message : *messages) {
      ++count;
      const auto verdict = judge.judge(message);
      good = good && verdict != authors::verdict::foreign_key;
      auto object = read_object(message.body);
      if (!object) {
        report(object.error(), common);
        good = false;
        continue;
      }
      const bool text = object->type == "text";
      if (common.json) {
        nlohmann::json line{{"position", value(message.position)}, {"index", value(message.index)}, {"author", message.header.author.hex()},
                            {"author_name", where.name_of(message.header.author)}, {"n", value(message.header.n)}, {"link", message.link.hex()},
                            {"time_ms", value(message.header.time)}, {"type", std::string(object->type)}, {"verified", verdict == authors::verdict::verified}};
        if (verdict != authors::verdict::verified)
          line["problem"] = word(verdict);
        if (!message.header.reply_to.is_zero())
          line["reply_to"] = message.header.reply_to.hex();
        if (!message.header.thread.is_zero())
          line["thread"] = message.header.thread.hex();
        if (!object->content_type.empty())
          line["content_type"] = std::string(object->content_type);
        if (text)
          line["text"] = std::string(as_text(object->body));
        else
          line["body_base64url"] = to_base64url(object->body);
        print(line);
      } else {
        const auto mark = verdict == authors::verdict::verified ? paint(colour::green, "verified") : paint(colour::yellow, word(verdict));
        std::cout << value(message.position) << "  " << where.name_of(message.header.author).substr(0, 16) << "  n " << value(message.header.n) << "  " << mark << "  "
                  << (text ? harmless(as_text(object->body)) : "(" + harmless(object->type) + ", " + std::to_string(object->body.size()) + " bytes)") << "\n";
      }
    }
  }
  std::cout.flush();
  return good;
}

int inbox(const message_flags& flags, const common_flags& common) {
  const auto where = home::find(common.home);
  auto who = where.load(flags.as);
  if (!who)
    return report(who.error(), common);
  auto from = client::connect(where, *who, options_from(flags, common));
  if (!from)
    return report(from.error(), common);
  authors judge(where, from->get());
  std::vector<std::string> topics{"signet/v1/identity", "signet/v1/session"};
  if (auto subscribed = (*from)->subscribe(topics); !subscribed)
    return report(subscribed.error(), common);
  if (flags.from > 0) {
    capnp::MallocMessageBuilder message;
    message.initRoot<schema::SessionRequest>().setDeliverFrom(flags.from);
    auto words = capnp::messageToFlatArray(message);
    auto raw = words.asBytes();
    if (auto asked = (*from)->publish("signet/v1/session", {raw.begin(), raw.end()}); !asked)
      return report(asked.error(), common);
  }
  if (auto subscribed = (*from)->subscribe({"signet/v1/inbox"}); !subscribed)
    return report(subscribed.error(), common);
  std::uint64_t count = 0;
  bool good = true;
  const auto wait = std::chrono::milliseconds(static_cast<std::int64_t>(flags.wait_s * 1000));
  while (flags.limit == 0 || count < flags.limit) {
    auto got = (*from)->next(in(flags.follow ? std::chrono::milliseconds(3'600'000) : wait));
    if (!got)
      return report(got.error(), common);
    if (!*got) {
      if (flags.follow)
        continue;
      break;
    }
    if ((*got)->topic == "signet/v1/inbox")
      good = print_delivery((*got)->payload, where, judge, common, count) && good;
    // Acknowledged only now that it stands on the screen, or in the pipe: a crash before shows it again.
    if (!std::cout)
      return exit_io;
    if (auto acked = (*from)->ack(**got); !acked)
      return report(acked.error(), common);
  }
  (*from)->leave();
  return good ? exit_good : exit_refused;
}

int encode(const message_flags& flags, const common_flags& common) {
  if (is_terminal(1))
    return report({ec::configuration, "a batch is binary; send it into a file or a pipe: signet encode … | mosquitto_pub -s …"}, common);
  const auto where = home::find(common.home);
  auto who = where.load(flags.as);
  if (!who)
    return report(who.error(), common);
  auto recipient = where.resolve(flags.to);
  if (!recipient)
    return report(recipient.error(), common);
  auto key = where.load_key(*who, key_purpose::sign);
  if (!key)
    return report(key.error(), common);
  auto pin = where.find_pin(common.node);
  if (!pin) {
    auto asked = client::probe(where, *who, options_from(flags, common));
    if (!asked)
      return report(asked.error(), common);
    pin = *asked;
  }
  auto lock = where.lock_lanes(*who);
  if (!lock)
    return report(lock.error(), common);
  auto before = where.load_lane(*who, key->public_half(), pin->cluster, *recipient);
  if (!before)
    return report(before.error(), common);
  if (before->waiting.size() > encoded_kept_max) {
    before->waiting.erase(before->waiting.begin(), before->waiting.end() - static_cast<std::ptrdiff_t>(encoded_kept_max));
    if (auto saved = where.save_lane(*who, key->public_half(), pin->cluster, *recipient, *before); !saved)
      return report(saved.error(), common);
  }
  auto texts = texts_of(flags);
  if (!texts)
    return report(texts.error(), common);
  auto lane = append_to_lane(where, *who, *key, pin->cluster, *recipient, flags, *texts);
  if (!lane)
    return report(lane.error(), common);
  const auto begin = before->waiting.size();
  std::size_t end = 0;
  auto batch = batch_of(*key, lane->waiting, begin, end);
  if (!batch || end != lane->waiting.size()) {
    // Nothing has left: take the numbers back.
    (void)where.save_lane(*who, key->public_half(), pin->cluster, *recipient, *before);
    return report(batch ? error{ec::too_large, "one batch takes at most 1024 messages and 1 MiB; ask for fewer with --count"} : batch.error(), common);
  }
  std::cout.write(reinterpret_cast<const char*>(batch->serialised.data()), static_cast<std::streamsize>(batch->serialised.size()));
  std::cout.flush();
  return std::cout ? exit_good : report({ec::io, "standard output"}, common);
}

/// What a flat Cap'n Proto message is, told by the size of its root struct (data words, pointers).
enum class kind { delivery, receipt, notice, identity_answer, unknown };
kind kind_of(bytes_view raw) {
  if (raw.size() < 16 || (raw[8] & 3) != 0)
    return kind::unknown;
  const auto data_words = raw[12] | raw[13] << 8, pointers = raw[14] | raw[15] << 8;
  auto is = [&](auto size) { return size.data == data_words && size.pointers == pointers; };
  if (is(capnp::_::structSize<schema::Delivery>()))
    return kind::delivery;
  if (is(capnp::_::structSize<schema::Receipt>()))
    return kind::receipt;
  if (is(capnp::_::structSize<schema::SessionNotice>()))
    return kind::notice;
  if (is(capnp::_::structSize<schema::IdentityAnswer>()))
    return kind::identity_answer;
  return kind::unknown;
}

bool print_notice(bytes_view raw, const common_flags& common) {
  auto words = kj::heapArray<capnp::word>(raw.size() / 8);
  std::memcpy(words.begin(), raw.data(), words.size() * 8);
  capnp::FlatArrayMessageReader message(words);
  auto notice = message.getRoot<schema::SessionNotice>();
  std::string what, detail;
  switch (notice.which()) {
    case schema::SessionNotice::EXPIRING: what = "expiring"; detail = utc_text(notice.getExpiring()); break;
    case schema::SessionNotice::RENEWED: what = "renewed"; detail = utc_text(notice.getRenewed()); break;
    case schema::SessionNotice::CLOSING: what = "closing"; detail = notice.getClosing().cStr(); break;
    case schema::SessionNotice::CURSOR: what = "cursor"; detail = std::to_string(notice.getCursor()); break;
    case schema::SessionNotice::REFUSED: what = "refused"; detail = notice.getRefused().cStr(); break;
  }
  if (common.json)
    print({{"notice", what}, {"detail", detail}, {"server_time_ms", notice.getServerTimeMs()}});
  else
    std::cout << "notice: " << what << " " << harmless(detail) << std::endl;
  return true;
}

bool print_receipt(bytes_view raw, const common_flags& common) {
  auto opened = open_receipt(raw);
  if (!opened) {
    report(opened.error(), common);
    return false;
  }
  if (common.json) {
    nlohmann::json lines = nlohmann::json::array();
    for (const auto& line : opened->lines)
      lines.push_back(to_json(line.outcome, line.link));
    print({{"receipt", opened->root.hex()}, {"outcomes", lines}, {"problem", opened->problem}, {"retry_after_ms", opened->retry_after_ms}});
  } else {
    std::cout << "receipt " << opened->root.hex().substr(0, 16) << (opened->problem.empty() ? "" : "  refused: " + harmless(opened->problem)) << "\n";
    for (const auto& line : opened->lines)
      std::cout << "  " << name(line.outcome.code) << (line.outcome.good() ? "  log index " + std::to_string(value(line.outcome.index)) : "")
                << (value(line.outcome.expected) ? "  expected n " + std::to_string(value(line.outcome.expected)) : "") << "\n";
    std::cout.flush();
  }
  return true;
}

int decode(const message_flags& flags, const common_flags& common) {
  const auto where = home::find(common.home);
  authors judge(where, nullptr);
  bytes buffer;
  std::uint64_t count = 0;
  bool good = true;
  // Flat messages say how long they are, so a stream of them can be cut even though mosquitto_sub ends each with a line
  // feed: a message begins with four zero bytes, never with 0x0A.
  auto take = [&]() -> bool {
    while (!buffer.empty() && (buffer.front() == '\n' || buffer.front() == '\r'))
      buffer.erase(buffer.begin());
    if (buffer.size() < 8)
      return false;
    if (buffer[0] | buffer[1] | buffer[2] | buffer[3]) {
      report({ec::malformed, "standard input holds something that is no delivery, receipt, notice or identity answer"}, common);
      good = false;
      buffer.clear();
      return false;
    }
    const std::size_t words = buffer[4] | buffer[5] << 8 | buffer[6] << 16 | static_cast<std::size_t>(buffer[7]) << 24;
    if (words > delivery_bytes_max / 8) {
      report({ec::too_large, "a message of " + std::to_string(words) + " words"}, common);
      good = false;
      buffer.clear();
      return false;
    }
    const auto size = 8 + words * 8;
    if (buffer.size() < size)
      return false;
    const bytes one(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(size));
    buffer.erase(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(size));
    try {
      switch (kind_of(one)) {
        case kind::delivery: good = print_delivery(one, where, judge, common, count) && good; break;
        case kind::receipt: good = print_receipt(one, common) && good; break;
        case kind::notice: good = print_notice(one, common) && good; break;
        case kind::identity_answer: {
          auto words_copy = kj::heapArray<capnp::word>(one.size() / 8);
          std::memcpy(words_copy.begin(), one.data(), one.size());
          capnp::FlatArrayMessageReader message(words_copy);
          auto answer = message.getRoot<schema::IdentityAnswer>();
          if (common.json)
            print({{"identity_answer", answer.getCode().cStr()}, {"correlation", answer.getCorrelation()}, {"versions", answer.getVersions().size()}, {"index", answer.getIndex()}});
          else
            std::cout << "identity: " << harmless(answer.getCode().cStr()) << ", " << answer.getVersions().size() << " versions" << std::endl;
          break;
        }
        case kind::unknown:
          report({ec::malformed, "an unknown kind of message of " + std::to_string(size) + " bytes"}, common);
          good = false;
      }
    } catch (const kj::Exception&) {
      report({ec::malformed, "a message that cannot be read"}, common);
      good = false;
    }
    return true;
  };
  std::string hex_rest;
  std::array<char, 65'536> chunk;
  for (ssize_t n; (n = ::read(0, chunk.data(), chunk.size())) > 0;) {
    if (flags.hex) {
      // mosquitto_sub -F %x: a line of hex digits for each message.
      for (char c : std::string_view(chunk.data(), static_cast<std::size_t>(n)))
        if (std::isxdigit(static_cast<unsigned char>(c)))
          hex_rest.push_back(c);
      const auto whole = hex_rest.size() / 2 * 2;
      if (auto raw = from_hex(std::string_view(hex_rest).substr(0, whole)))
        append(buffer, *raw);
      hex_rest.erase(0, whole);
    } else {
      append(buffer, as_bytes({chunk.data(), static_cast<std::size_t>(n)}));
    }
    while (take())
      ;
  }
  while (!buffer.empty() && (buffer.back() == '\n' || buffer.back() == '\r'))
    buffer.pop_back();
  if (!buffer.empty()) {
    report({ec::malformed, "standard input ends within a message"}, common);
    good = false;
  }
  return good ? exit_good : exit_refused;
}

} // namespace

void add_message_commands(CLI::App& app, invocation& call) {
  auto flags = std::make_shared<message_flags>();
  auto sender = [flags](CLI::App& command) {
    command.add_option("--as", flags->as, "which identity of yours")->required()->option_text("NAME");
    command.add_option("--to", flags->to, "recipient: a name or a permalink")->required()->option_text("WHO");
    command.add_option("TEXT", flags->text, "the text; '-' reads it from standard input");
    command.add_flag("--lines", flags->lines, "one message for each line of standard input");
    command.add_option("--count", flags->count, "so many times")->capture_default_str()->option_text("N");
    command.add_option("--type", flags->type, "type of the object")->capture_default_str()->option_text("TYPE");
    command.add_option("--content-type", flags->content_type, "media type of the body")->option_text("TYPE");
    command.add_option("--reply-to", flags->reply_to, "link of the message that this one answers")->option_text("LINK");
  };
  auto network = [flags](CLI::App& command) {
    command.add_option("--client-id", flags->client_id, "MQTT client identifier; else one is drawn")->option_text("ID");
    command.add_option("--ca", flags->ca, "PEM file of the authority that signed the node's certificate")->option_text("FILE");
    command.add_flag("--insecure", flags->insecure, "accept any TLS certificate; the node still proves its own key");
    command.add_option("--patience", flags->patience_s, "seconds to wait for an answer")->capture_default_str()->option_text("S");
  };

  auto* sent = app.add_subcommand("send", "sign and send; waits for the receipt, which means: durable and in order");
  sender(*sent);
  network(*sent);
  add_home(*sent, call);
  add_node(*sent, call);
  add_json(*sent, call);
  example(*sent, "signet send --as alice --to bob \"hello\"");
  sent->callback([flags, &call] { call.code = send(*flags, call.flags); });

  auto* read = app.add_subcommand("inbox", "print what has come since last time, checked, and acknowledge it");
  read->add_option("--as", flags->as, "which identity of yours")->required()->option_text("NAME");
  read->add_flag("--follow,-f", flags->follow, "go on waiting for more");
  read->add_option("--limit", flags->limit, "stop after so many messages; 0: all")->capture_default_str()->option_text("N");
  read->add_option("--from", flags->from, "again from this position on")->option_text("POSITION");
  read->add_option("--wait", flags->wait_s, "seconds without news after which it ends")->capture_default_str()->option_text("S");
  network(*read);
  add_home(*read, call);
  add_node(*read, call);
  add_json(*read, call);
  example(*read, "signet inbox --as bob --follow --json");
  read->callback([flags, &call] { call.code = inbox(*flags, call.flags); });

  auto* encoded = app.add_subcommand("encode", "a signed batch on standard output, for mosquitto_pub -s");
  sender(*encoded);
  network(*encoded);
  add_home(*encoded, call);
  add_node(*encoded, call);
  example(*encoded, "signet encode --as alice --to bob \"hello\" | mosquitto_pub $(signet token --as alice --options) -q 1 -t signet/v1/outbox -s");
  encoded->callback([flags, &call] { call.code = encode(*flags, call.flags); });

  auto* decoded = app.add_subcommand("decode", "print deliveries, receipts and notices from standard input, checked");
  decoded->add_flag("--hex", flags->hex, "input is hexadecimal, as from mosquitto_sub -F %x");
  add_home(*decoded, call);
  add_json(*decoded, call);
  example(*decoded, "mosquitto_sub $(signet token --as bob --options) -q 1 -t signet/v1/inbox | signet decode");
  decoded->callback([flags, &call] { call.code = decode(*flags, call.flags); });
}

} // namespace signet::cli
