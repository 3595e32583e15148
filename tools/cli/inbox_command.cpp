// signet inbox, signet decode: what a node has sent, checked and printed.

#include "messages/envelope/delivery.hpp"
#include "messages/envelope/receipt.hpp"
#include "messages/schema/identity.capnp.h"
#include "messages/schema/message.capnp.h"
#include "messages/schema/session.capnp.h"
#include "tools/cli/messages.hpp"

#include <array>
#include <capnp/message.h>
#include <capnp/serialize.h>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <unistd.h>

namespace signet::cli {
namespace {

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
    case schema::SessionNotice::STALE: what = "stale"; detail = notice.getStale() ? "true" : "false"; break;
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

} // namespace

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

} // namespace signet::cli
