#include "storage/views/entry.hpp"

#include "messages/envelope/canonical.hpp"
#include "messages/schema/log_entry.capnp.h"
#include "storage/tables.hpp"

namespace signet::storage {
namespace {

constexpr std::size_t event_id_bytes_max = 64;
constexpr std::size_t event_text_bytes_max = 256;
constexpr std::size_t error_text_bytes_max = 4096;

/// Reads fields and remembers whether one of them was not what it must be.
class field_reader {
public:
  template <class Id>
  Id as(capnp::Data::Reader data) {
    auto found = required_id<Id>(data);
    good = good && found;
    return found.value_or(Id{});
  }
  template <class Id>
  Id as_or_none(capnp::Data::Reader data) {
    Id out;
    good = optional_id(data, out) && good;
    return out;
  }
  std::string text(capnp::Text::Reader data, std::size_t size_max) {
    const bytes_view raw{reinterpret_cast<const std::uint8_t*>(data.begin()), data.size()};
    good = good && is_clean_text(raw, size_max);
    return std::string{as_text(raw)};
  }
  bytes data(capnp::Data::Reader in, std::size_t size_max) {
    good = good && in.size() <= size_max;
    return good ? to_bytes(view_of(in)) : bytes{};
  }
  signet::session_key session(schema::SessionKey::Reader in) {
    signet::session_key out{as<permalink>(in.getIdentity()), as<public_key>(in.getDeviceKey()),
                            text(in.getClientId(), client_id_bytes_max)};
    good = good && !out.client_id.empty();
    return out;
  }
  template <class Reader>
  token_claim token(Reader in) {
    token_claim out{as_or_none<token_nonce>(in.getTokenNonce()), wall_ms{in.getTokenIssuedMs()},
                    wall_ms{in.getTokenEndsMs()}};
    // Without a token there is nothing to claim.
    good = good && (value(out.issued) != 0 || (out.nonce.is_zero() && value(out.ends) == 0));
    return out;
  }

  bool good = true;
};

template <class Out, class List, class Read>
std::vector<Out> read_list(List list, Read&& read) {
  std::vector<Out> out;
  out.reserve(list.size());
  for (auto item : list)
    out.push_back(read(item));
  return out;
}

result<entry_content> read_content(schema::LogEntry::Reader in) {
  field_reader fields;
  entry_content out;
  out.time = wall_ms{in.getTimeMs()};
  switch (in.which()) {
    case schema::LogEntry::FOUNDED:
      out.kind = entry_kind::founded;
      out.what = founded_content{fields.as<cluster_id>(in.getFounded().getClusterId())};
      break;
    case schema::LogEntry::IDENTITY_PUBLISHED:
      out.kind = entry_kind::identity_published;
      out.what = identity_content{view_of(in.getIdentityPublished())};
      break;
    case schema::LogEntry::SESSION_OPENED: {
      auto opened = in.getSessionOpened();
      out.kind = entry_kind::session_opened;
      out.what = opened_content{fields.session(opened.getKey()), wall_ms{opened.getExpiresMs()}, fields.token(opened),
                                view_of(opened.getIdentity())};
      break;
    }
    case schema::LogEntry::SESSION_RENEWED: {
      auto renewed = in.getSessionRenewed();
      out.kind = entry_kind::session_renewed;
      out.what = session_renewal{fields.session(renewed.getKey()), renewed.getEpoch(), wall_ms{renewed.getExpiresMs()},
                                 fields.token(renewed)};
      break;
    }
    case schema::LogEntry::SESSIONS_CLOSED:
      out.kind = entry_kind::sessions_closed;
      out.what = read_list<session_closing>(in.getSessionsClosed(), [&](schema::SessionClosed::Reader closed) {
        return session_closing{fields.session(closed.getKey()), closed.getEpoch(),
                               fields.text(closed.getReason(), event_text_bytes_max)};
      });
      break;
    case schema::LogEntry::BATCH_ACCEPTED:
      out.kind = entry_kind::batch_accepted;
      out.what = batch_content{view_of(in.getBatchAccepted())};
      break;
    case schema::LogEntry::CURSORS_ADVANCED:
      out.kind = entry_kind::cursors_advanced;
      out.what = read_list<cursor_moved>(in.getCursorsAdvanced(), [&](schema::CursorAdvanced::Reader moved) {
        return cursor_moved{fields.as<permalink>(moved.getIdentity()), fields.as<public_key>(moved.getDeviceKey()),
                            inbox_position{moved.getPosition()}};
      });
      break;
    case schema::LogEntry::SECURITY_EVENTS:
      out.kind = entry_kind::security_events;
      out.what = read_list<security_event>(in.getSecurityEvents(), [&](schema::SecurityEvent::Reader event) {
        security_event read{{fields.text(event.getKind(), 64), fields.data(event.getSubject(), event_id_bytes_max),
                             fields.data(event.getObject(), event_id_bytes_max),
                             fields.text(event.getDetail(), event_text_bytes_max),
                             fields.text(event.getSource(), event_text_bytes_max)},
                            event.getCount()};
        fields.good = fields.good && !read.what.kind.empty() && read.count > 0;
        return read;
      });
      break;
    case schema::LogEntry::BOT_DEPLOYED: {
      auto deployed = in.getBotDeployed();
      out.kind = entry_kind::bot_deployed;
      out.what = deployed_content{fields.as<permalink>(deployed.getBot()),
                                  fields.text(deployed.getName(), event_text_bytes_max)};
      break;
    }
    case schema::LogEntry::BOT_COMMITTED: {
      auto committed = in.getBotCommitted();
      out.kind = entry_kind::bot_committed;
      committed_content read{fields.as<permalink>(committed.getBot()), committed.getEpoch(),
                             inbox_position{committed.getFromInput()}, inbox_position{committed.getInput()},
                             view_of(committed.getBatch())};
      fields.good = fields.good && value(read.from) > 0 && read.from <= read.input;
      out.what = read;
      break;
    }
    case schema::LogEntry::BOT_DEAD_LETTERED: {
      auto dead = in.getBotDeadLettered();
      out.kind = entry_kind::bot_dead_lettered;
      out.what = dead_lettered_content{fields.as<permalink>(dead.getBot()), dead.getEpoch(),
                                       inbox_position{dead.getInput()}, dead.getAttempts(),
                                       fields.text(dead.getError(), error_text_bytes_max)};
      break;
    }
    case schema::LogEntry::BOT_ATTEMPTED: {
      auto attempted = in.getBotAttempted();
      out.kind = entry_kind::bot_attempted;
      out.what = attempted_content{fields.as<permalink>(attempted.getBot()), attempted.getEpoch(),
                                   inbox_position{attempted.getInput()}, attempted.getAttempt()};
      break;
    }
    case schema::LogEntry::INBOX_TAKEN: {
      auto taken = in.getInboxTaken();
      out.kind = entry_kind::inbox_taken;
      out.what = inbox_taking{fields.session(taken.getKey()), taken.getEpoch()};
      break;
    }
    default:
      return fail(ec::wrong_format, "a log entry of kind " + std::to_string(static_cast<unsigned>(in.which())));
  }
  if (!fields.good)
    return fail(ec::malformed, std::string{name(out.kind)} + " with a field that does not follow its grammar");
  return out;
}

} // namespace

std::string_view name(entry_kind kind) {
  switch (kind) {
    case entry_kind::founded: return "founded";
    case entry_kind::identity_published: return "identity_published";
    case entry_kind::session_opened: return "session_opened";
    case entry_kind::session_renewed: return "session_renewed";
    case entry_kind::sessions_closed: return "sessions_closed";
    case entry_kind::batch_accepted: return "batch_accepted";
    case entry_kind::cursors_advanced: return "cursors_advanced";
    case entry_kind::security_events: return "security_events";
    case entry_kind::bot_deployed: return "bot_deployed";
    case entry_kind::bot_committed: return "bot_committed";
    case entry_kind::bot_dead_lettered: return "bot_dead_lettered";
    case entry_kind::bot_attempted: return "bot_attempted";
    case entry_kind::inbox_taken: return "inbox_taken";
    case entry_kind::unreadable: return "unreadable";
  }
  return "unreadable";
}

result<entry_content> read_entry(bytes_view aligned) {
  return read_outer_aligned<schema::LogEntry>(aligned, entry_bytes_max, read_content);
}

std::optional<loaded_batch> load_batch(bytes_view payload) {
  aligned_bytes raw{payload};
  auto entry = read_entry(raw.view());
  if (!entry)
    return std::nullopt;
  bytes_view batch;
  if (auto* accepted = std::get_if<batch_content>(&entry->what))
    batch = accepted->batch;
  else if (auto* committed = std::get_if<committed_content>(&entry->what))
    batch = committed->batch;
  if (batch.empty())
    return std::nullopt;
  auto opened = stored_batch::view(batch);
  if (!opened)
    return std::nullopt;
  return loaded_batch{std::move(raw), std::move(*opened)};
}

loaded_batch load_batch(const read_txn& txn, log_index index) {
  auto record = get<table::log>(txn, {index});
  auto found = record && record->type == 1 ? load_batch(record->payload) : std::nullopt;
  if (!found)
    throw storage_failure(ec::corrupt, "views refer to a batch in log record " + to_string(index) +
                                         ", which holds none; run: signet verify DATA");
  return std::move(*found);
}

} // namespace signet::storage
