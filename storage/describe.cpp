#include "storage/describe.hpp"

#include "messages/envelope/identity.hpp"
#include "storage/verify.hpp"
#include "storage/views/entry.hpp"
#include "storage/views/read.hpp"

#include <nlohmann/json.hpp>

namespace signet::storage {
namespace {

using json = nlohmann::json;

json or_null(const auto& id) { return id.is_zero() ? json(nullptr) : json(id.hex()); }

json describe_version(bytes_view published, const describe_options& options) {
  json out{{"size_bytes", published.size()}};
  auto version = identity_version::open_stored(published);
  if (!version) {
    out["problem"] = name(version.error().code);
    return out;
  }
  out["permalink"] = version->permalink().hex();
  out["version"] = version->version();
  out["link"] = version->link().hex();
  out["previous"] = or_null(version->previous());
  out["keys"] = json::array();
  for (const auto& key : version->keys())
    out["keys"].push_back({{"purpose", name(key.purpose)}, {"key", key.key.hex()}});
  out["profile_size_bytes"] = version->profile().size();
  if (options.with_content)
    out["profile"] = to_hex(version->profile());
  return out;
}

json describe_batch(bytes_view raw, const describe_options& options) {
  json out{{"size_bytes", raw.size()}};
  auto batch = stored_batch::view(raw);
  if (!batch) {
    out["problem"] = name(batch.error().code);
    return out;
  }
  out["signing_key"] = batch->signer().hex();
  out["root"] = batch->tree().root().hex();
  out["messages"] = json::array();
  for (std::uint32_t leaf = 0; leaf < batch->size(); ++leaf) {
    const auto message = batch->message(leaf);
    json one{{"leaf", leaf}, {"link", message.link.hex()}, {"size_bytes", message.body.size()}};
    if (message.problem) {
      one["problem"] = name(*message.problem);
    } else {
      const auto& header = message.header;
      one["author"] = header.author.hex();
      one["recipient"] = header.recipient.hex();
      one["n"] = value(header.n);
      one["previous"] = or_null(header.previous);
      if (!header.thread.is_zero())
        one["thread"] = header.thread.hex();
      if (!header.reply_to.is_zero())
        one["reply_to"] = header.reply_to.hex();
      if (auto object = read_object(message.body); object && options.with_content) {
        one["type"] = object->type;
        one["content_type"] = object->content_type;
        one["body"] = to_hex(object->body);
      }
    }
    out["messages"].push_back(std::move(one));
  }
  return out;
}

json describe_key(const signet::session_key& key) {
  return {{"identity", key.identity.hex()}, {"device_key", key.device.hex()}, {"client_id", key.client_id}};
}
void add_token(json& out, const token_claim& token) {
  if (value(token.issued) == 0)
    return;
  out["token"] = {{"issued_ms", value(token.issued)},
                  {"ends_ms", value(token.ends)},
                  {"single_use", !token.nonce.is_zero()}};
}

/// Adds the fields of one kind.
struct describer {
  json& out;
  const describe_options& options;

  void operator()(std::monostate) const {}
  void operator()(const founded_content& what) const { out["cluster"] = what.cluster.hex(); }
  void operator()(const identity_content& what) const { out["identity"] = describe_version(what.published, options); }
  void operator()(const opened_content& what) const {
    out["session"] = describe_key(what.key);
    out["expires_ms"] = value(what.expires);
    add_token(out, what.token);
    if (!what.identity.empty())
      out["identity"] = describe_version(what.identity, options);
  }
  void operator()(const session_renewal& what) const {
    out["session"] = describe_key(what.key);
    out["epoch"] = what.epoch;
    out["expires_ms"] = value(what.expires);
    add_token(out, what.token);
  }
  void operator()(const std::vector<session_closing>& what) const {
    out["sessions"] = json::array();
    for (const auto& each : what) {
      auto one = describe_key(each.key);
      one["epoch"] = each.epoch;
      one["reason"] = each.reason;
      out["sessions"].push_back(std::move(one));
    }
  }
  void operator()(const inbox_taking& what) const {
    out["session"] = describe_key(what.key);
    out["epoch"] = what.epoch;
  }
  void operator()(const batch_content& what) const { out["batch"] = describe_batch(what.batch, options); }
  void operator()(const std::vector<cursor_moved>& what) const {
    out["cursors"] = json::array();
    for (const auto& each : what)
      out["cursors"].push_back({{"identity", each.identity.hex()},
                                {"device_key", each.device.hex()},
                                {"position", value(each.position)}});
  }
  void operator()(const std::vector<security_event>& what) const { out["reported"] = what.size(); }
  void operator()(const deployed_content& what) const {
    out["bot"] = what.bot.hex();
    out["name"] = what.name;
  }
  void operator()(const committed_content& what) const {
    out["bot"] = what.bot.hex();
    out["epoch"] = what.epoch;
    out["from_input"] = value(what.from);
    out["input"] = value(what.input);
    if (!what.batch.empty())
      out["batch"] = describe_batch(what.batch, options);
  }
  void operator()(const attempted_content& what) const {
    out["bot"] = what.bot.hex();
    out["epoch"] = what.epoch;
    out["input"] = value(what.input);
    out["attempt"] = what.attempt;
  }
  void operator()(const dead_lettered_content& what) const {
    out["bot"] = what.bot.hex();
    out["epoch"] = what.epoch;
    out["input"] = value(what.input);
    out["attempts"] = what.attempts;
    out["error_size_bytes"] = what.error.size();
    if (options.with_content)
      out["error"] = what.error;
  }
};

/// Whether this entry placed the message: its lane's run says so.
bool is_placed(const read_txn& txn, log_index index, const public_key& signer, const message_view& message,
               std::uint32_t leaf) {
  const lane_id lane{signer, message.header.recipient};
  auto found = txn.at_or_after(table::lanes::ref, encode_key(lane_run_key{lane, message.header.n}));
  if (!found)
    return false;
  auto key = decode_key<table::lanes>(*found);
  auto run = decode_value<table::lanes>(*found);
  if (key.lane != lane || run.index != index || message.header.n < run.first)
    return false;
  const auto at = value(message.header.n) - value(run.first);
  return at < run.leaves.size() && run.leaves.at(at) == leaf;
}

json describe_event(const event_row& event) {
  json out{{"kind", event.kind}, {"count", event.count}};
  if (!event.subject.empty())
    out["subject"] = to_hex(event.subject);
  if (!event.object.empty())
    out["object"] = to_hex(event.object);
  if (!event.detail.empty())
    out["detail"] = event.detail;
  if (!event.source.empty())
    out["source"] = event.source;
  return out;
}

std::string_view type_name(std::uint8_t type) {
  switch (type) {
    case 1: return "command";
    case 2: return "barrier";
    case 3: return "members";
    default: return "unknown";
  }
}

} // namespace

json describe_entry(bytes_view entry, const describe_options& options) {
  const aligned_bytes copy{entry};
  auto content = read_entry(copy.view());
  if (!content)
    return {{"kind", name(entry_kind::unreadable)}, {"problem", name(content.error().code)}, {"size_bytes", entry.size()}};
  json out{{"time_ms", value(content->time)}, {"kind", name(content->kind)}};
  std::visit(describer{out, options}, content->what);
  return out;
}

json describe_record(const read_txn& txn, log_index index, const describe_options& options) {
  auto record = get<table::log>(txn, {index});
  if (!record)
    return nullptr;
  json out{{"index", value(index)},
           {"term", value(record->term)},
           {"type", type_name(record->type)},
           {"hash", record_hash(index, *record).hex()},
           {"previous", or_null(record->previous)},
           {"applied", index <= read_applied(txn).index},
           {"events", json::array()}};
  if (record->type == 1) {
    out["entry"] = describe_entry(record->payload, options);
    if (auto loaded = load_batch(record->payload))
      for (auto& each : out["entry"]["batch"]["messages"])
        if (!each.contains("problem")) {
          const auto leaf = each["leaf"].get<std::uint32_t>();
          each["accepted"] = is_placed(txn, index, loaded->batch.signer(), loaded->batch.message(leaf), leaf);
        }
  }
  scan<table::security_events>(txn, encode_key(event_key{index, 0}), [&](const event_key& key, const event_row& event) {
    if (key.index != index)
      return false;
    out["events"].push_back(describe_event(event));
    return true;
  });
  return out;
}

json to_json(const verify_report& report) {
  json findings = json::array();
  for (const auto& each : report.findings)
    findings.push_back({{"level", name(each.level)},
                        {"kind", each.kind},
                        {"table", each.table},
                        {"key", each.key},
                        {"what", each.what}});
  return {{"level", name(report.level)},
          {"exit_code", static_cast<int>(report.level)},
          {"findings", std::move(findings)},
          {"findings_total", report.findings_total},
          {"records", report.records},
          {"signatures", report.signatures},
          {"rows", report.rows},
          {"head", value(report.head)},
          {"head_hash", report.head_hash.hex()},
          {"applied", value(report.applied)},
          {"state_hash", report.state_hash.hex()},
          {"cluster", report.cluster}};
}

} // namespace signet::storage
