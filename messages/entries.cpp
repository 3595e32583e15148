#include "messages/entries.hpp"

#include "messages/schema/log_entry.capnp.h"

#include <capnp/message.h>

namespace signet {
namespace {

kj::ArrayPtr<const kj::byte> octets(bytes_view raw) { return {raw.data(), raw.size()}; }

capnp::Text::Reader text(const std::string& value) {
  return {value.c_str(), value.size()};
}

/// Segment table and the one segment: batches are large, so this is the only copy of what was built.
bytes flat(capnp::MessageBuilder& message) {
  const auto segment = message.getSegmentsForOutput()[0];
  const auto raw = segment.asBytes();
  const auto words = static_cast<std::uint32_t>(segment.size());
  bytes out;
  out.reserve(8 + raw.size());
  for (unsigned i = 0; i < 8; ++i)
    out.push_back(i < 4 ? std::uint8_t{0} : static_cast<std::uint8_t>(words >> 8 * (i - 4)));
  out.insert(out.end(), raw.begin(), raw.end());
  return out;
}

/// Builds one entry; `fill` gets the root. The first segment is sized for `payload` bytes so that there is one segment.
template <class Fill>
bytes build(std::size_t payload, Fill&& fill) {
  capnp::MallocMessageBuilder message(static_cast<unsigned>(payload / 8 + 128), capnp::AllocationStrategy::GROW_HEURISTICALLY);
  auto entry = message.initRoot<schema::LogEntry>();
  fill(entry);
  if (message.getSegmentsForOutput().size() == 1)
    return flat(message);
  // Rare: the guess was too small. Copy into one segment.
  capnp::MallocMessageBuilder whole(static_cast<unsigned>(entry.totalSize().wordCount + 16), capnp::AllocationStrategy::FIXED_SIZE);
  whole.setRoot(entry.asReader());
  return flat(whole);
}

void set(schema::SessionKey::Builder out, const session_key& key) {
  out.setIdentity(octets(key.identity.view()));
  out.setDeviceKey(octets(key.device.view()));
  out.setClientId(text(key.client_id));
}
template <class Builder>
void set_token(Builder& out, const token_claim& token) {
  if (!token.nonce.is_zero())
    out.setTokenNonce(octets(token.nonce.view()));
  out.setTokenIssuedMs(value(token.issued));
  out.setTokenEndsMs(value(token.ends));
}

// A flat message of one segment: segment count - 1 (u32 = 0), segment size (u32), root pointer (word), then the root's
// data section, whose first word is timeMs (@0 :UInt64). All little-endian.
constexpr std::size_t time_offset = 16;

/// Whether the root pointer is a struct right behind it with at least one data word.
bool has_time(bytes_view entry) {
  if (entry.size() < time_offset + 8 || entry.size() % 8 != 0)
    return false;
  auto u32 = [&](std::size_t at) {
    return static_cast<std::uint32_t>(entry[at]) | static_cast<std::uint32_t>(entry[at + 1]) << 8 |
           static_cast<std::uint32_t>(entry[at + 2]) << 16 | static_cast<std::uint32_t>(entry[at + 3]) << 24;
  };
  return u32(0) == 0 && u32(4) == (entry.size() - 8) / 8 && u32(8) == 0 && (u32(12) & 0xffff) >= 1;
}

} // namespace

bytes founded_entry(const cluster_id& cluster) {
  return build(64, [&](auto& entry) { entry.initFounded().setClusterId(octets(cluster.view())); });
}
bytes identity_entry(bytes_view identity_version) {
  return build(identity_version.size(), [&](auto& entry) { entry.setIdentityPublished(octets(identity_version)); });
}
bytes session_opened_entry(const session_opening& what) {
  return build(512 + what.identity.size(), [&](auto& entry) {
    auto out = entry.initSessionOpened();
    set(out.initKey(), what.key);
    out.setExpiresMs(value(what.expires));
    set_token(out, what.token);
    if (!what.identity.empty())
      out.setIdentity(octets(what.identity));
  });
}
bytes session_renewed_entry(const session_renewal& what) {
  return build(512, [&](auto& entry) {
    auto out = entry.initSessionRenewed();
    set(out.initKey(), what.key);
    out.setEpoch(what.epoch);
    out.setExpiresMs(value(what.expires));
    set_token(out, what.token);
  });
}
bytes sessions_closed_entry(std::span<const session_closing> what) {
  return build(320 * what.size(), [&](auto& entry) {
    auto list = entry.initSessionsClosed(static_cast<unsigned>(what.size()));
    for (unsigned i = 0; i < what.size(); ++i) {
      set(list[i].initKey(), what[i].key);
      list[i].setEpoch(what[i].epoch);
      list[i].setReason(text(what[i].reason));
    }
  });
}
bytes inbox_taken_entry(const inbox_taking& what) {
  return build(320, [&](auto& entry) {
    auto out = entry.initInboxTaken();
    set(out.initKey(), what.key);
    out.setEpoch(what.epoch);
  });
}
bytes batch_entry(bytes_view batch) {
  return build(batch.size(), [&](auto& entry) { entry.setBatchAccepted(octets(batch)); });
}
bytes cursors_entry(std::span<const cursor_moved> what) {
  return build(128 * what.size(), [&](auto& entry) {
    auto list = entry.initCursorsAdvanced(static_cast<unsigned>(what.size()));
    for (unsigned i = 0; i < what.size(); ++i) {
      list[i].setIdentity(octets(what[i].identity.view()));
      list[i].setDeviceKey(octets(what[i].device.view()));
      list[i].setPosition(value(what[i].position));
    }
  });
}
bytes security_events_entry(std::span<const security_event> what) {
  return build(320 * what.size(), [&](auto& entry) {
    auto list = entry.initSecurityEvents(static_cast<unsigned>(what.size()));
    for (unsigned i = 0; i < what.size(); ++i) {
      const auto& seen = what[i].what;
      list[i].setKind(text(seen.kind));
      list[i].setSubject(octets(seen.subject));
      list[i].setObject(octets(seen.object));
      list[i].setDetail(text(seen.detail));
      list[i].setSource(text(seen.source));
      list[i].setCount(what[i].count);
    }
  });
}
bytes bot_deployed_entry(const permalink& bot, std::string_view bot_name) {
  return build(128, [&](auto& entry) {
    auto out = entry.initBotDeployed();
    out.setBot(octets(bot.view()));
    out.setName(text(std::string(bot_name)));
  });
}
bytes bot_committed_entry(const permalink& bot, std::uint64_t epoch, inbox_position from, inbox_position input,
                          bytes_view batch) {
  return build(128 + batch.size(), [&](auto& entry) {
    auto out = entry.initBotCommitted();
    out.setBot(octets(bot.view()));
    out.setEpoch(epoch);
    out.setFromInput(value(from));
    out.setInput(value(input));
    if (!batch.empty())
      out.setBatch(octets(batch));
  });
}
bytes bot_attempted_entry(const permalink& bot, std::uint64_t epoch, inbox_position input, std::uint32_t attempt) {
  return build(128, [&](auto& entry) {
    auto out = entry.initBotAttempted();
    out.setBot(octets(bot.view()));
    out.setEpoch(epoch);
    out.setInput(value(input));
    out.setAttempt(attempt);
  });
}
bytes bot_dead_lettered_entry(const permalink& bot, std::uint64_t epoch, inbox_position input, std::uint32_t attempts,
                              std::string_view problem) {
  return build(512, [&](auto& entry) {
    auto out = entry.initBotDeadLettered();
    out.setBot(octets(bot.view()));
    out.setEpoch(epoch);
    out.setInput(value(input));
    out.setAttempts(attempts);
    out.setError(text(std::string(problem.substr(0, 200))));
  });
}

status set_entry_time(std::span<std::uint8_t> entry, wall_ms time) {
  if (!has_time(entry))
    return fail(ec::malformed, "not a log entry of one segment");
  for (std::size_t i = 0; i < 8; ++i)
    entry[time_offset + i] = static_cast<std::uint8_t>(value(time) >> 8 * i);
  return {};
}
result<wall_ms> entry_time(bytes_view entry) {
  if (!has_time(entry))
    return fail(ec::malformed, "not a log entry of one segment");
  std::uint64_t time = 0;
  for (std::size_t i = 0; i < 8; ++i)
    time |= static_cast<std::uint64_t>(entry[time_offset + i]) << 8 * i;
  return wall_ms{time};
}

} // namespace signet
