#include "actors/fanout/news.hpp"

#include "messages/schema/identity.capnp.h"
#include "messages/schema/log_entry.capnp.h"
#include "messages/schema/message.capnp.h"

#include <algorithm>
#include <capnp/message.h>
#include <capnp/serialize.h>
#include <cstring>
#include <kj/array.h>

namespace signet {
namespace {

bytes_view view(capnp::Data::Reader raw) { return {raw.begin(), raw.size()}; }

/// Words where they are, if they are aligned; else a copy.
class words {
public:
  explicit words(bytes_view raw) {
    const std::size_t count = raw.size() / sizeof(capnp::word);
    if (reinterpret_cast<std::uintptr_t>(raw.data()) % sizeof(capnp::word) == 0)
      view_ = {reinterpret_cast<const capnp::word*>(raw.data()), count};
    else {
      copy_ = kj::heapArray<capnp::word>(count);
      std::memcpy(copy_.begin(), raw.data(), count * sizeof(capnp::word));
      view_ = copy_;
    }
  }
  kj::ArrayPtr<const capnp::word> get() const { return view_; }

private:
  kj::Array<capnp::word> copy_;
  kj::ArrayPtr<const capnp::word> view_;
};

capnp::ReaderOptions options(bytes_view raw) {
  capnp::ReaderOptions out;
  out.traversalLimitInWords = raw.size() / 2 + 64;
  out.nestingLimit = 16;
  return out;
}

void add(std::vector<permalink>& to, bytes_view raw) {
  auto who = permalink::from(raw);
  // Nearly always the one before: batches go to one recipient, or to a few in turns.
  if (who && (to.empty() || to.back() != *who) && std::find(to.begin(), to.end(), *who) == to.end())
    to.push_back(*who);
}

void add_recipients(news& out, bytes_view batch) {
  words outer(batch);
  capnp::FlatArrayMessageReader message(outer.get(), options(batch));
  for (auto body : message.getRoot<schema::Batch>().getBodies()) {
    // The body was judged when it came; here only one field is looked at.
    words inner(view(body));
    kj::ArrayPtr<const capnp::word> segment = inner.get();
    capnp::SegmentArrayMessageReader reader({&segment, 1}, options(view(body)));
    add(out.inboxes, view(reader.getRoot<schema::MessageBody>().getRecipient()));
  }
}

void add_session(news& out, session_changed::kind what, log_index index, schema::SessionKey::Reader key,
                 std::uint64_t epoch, std::string reason = {}) {
  const auto who = permalink::from(view(key.getIdentity()));
  const auto device = public_key::from(view(key.getDeviceKey()));
  if (who && device)
    out.sessions.push_back({what, index, *who, *device, std::string{key.getClientId().cStr()}, epoch,
                            std::move(reason)});
}

void add_identity(news& out, bytes_view version) {
  if (version.empty())
    return;
  words outer(version);
  capnp::FlatArrayMessageReader message(outer.get(), options(version));
  auto body = message.getRoot<schema::IdentityVersion>().getBody();
  words inner(view(body));
  kj::ArrayPtr<const capnp::word> segment = inner.get();
  capnp::SegmentArrayMessageReader reader({&segment, 1}, options(view(body)));
  // A first version names no permalink: nobody waits for an identity that did not exist.
  add(out.identities, view(reader.getRoot<schema::IdentityBody>().getPermalink()));
}

} // namespace

news news_of(bytes_view entry, log_index index, bool inboxes) {
  using kind = session_changed::kind;
  news out;
  try {
    words outer(entry);
    auto how = options(entry);
    capnp::FlatArrayMessageReader message(outer.get(), how);
    auto root = message.getRoot<schema::LogEntry>();
    switch (root.which()) {
      case schema::LogEntry::BATCH_ACCEPTED:
        if (inboxes)
          add_recipients(out, view(root.getBatchAccepted()));
        break;
      case schema::LogEntry::BOT_COMMITTED:
        if (!inboxes)
          break;
        if (auto batch = root.getBotCommitted().getBatch(); batch.size() > 0)
          add_recipients(out, view(batch));
        break;
      case schema::LogEntry::IDENTITY_PUBLISHED: add_identity(out, view(root.getIdentityPublished())); break;
      case schema::LogEntry::SESSION_OPENED:
        add_identity(out, view(root.getSessionOpened().getIdentity()));
        add_session(out, kind::opened, index, root.getSessionOpened().getKey(), value(index));
        break;
      case schema::LogEntry::SESSIONS_CLOSED:
        for (auto closed : root.getSessionsClosed())
          add_session(out, kind::closed, index, closed.getKey(), closed.getEpoch(), closed.getReason().cStr());
        break;
      case schema::LogEntry::INBOX_TAKEN:
        add_session(out, kind::inbox_taken, index, root.getInboxTaken().getKey(), root.getInboxTaken().getEpoch());
        break;
      default: break;
    }
  } catch (const kj::Exception&) {
    // Not an entry of ours, or a message whose form apply refused.
  }
  return out;
}

} // namespace signet
