#include "storage/peer/frame.hpp"

#include "messages/envelope/canonical.hpp"
#include "messages/schema/peer.capnp.h"

#include <algorithm>
#include <stdexcept>

namespace signet::peer {
namespace {

namespace wire = signet::schema;

/// Bounds of raft::core: above them arithmetic on indexes and terms is no longer safe.
constexpr std::uint64_t number_max = std::uint64_t{1} << 62;
/// A configuration of the most members with the longest addresses fits easily; so does the largest LogEntry.
constexpr std::size_t one_payload_bytes_max = frame_bytes_max / 2 - 1;
constexpr std::size_t barrier_bytes = 8;

template <class... F>
struct overloaded : F... {
  using F::operator()...;
};
template <class... F>
overloaded(F...) -> overloaded<F...>;

// ---- writing ---------------------------------------------------------------------------------------------------------

capnp::Text::Reader text_of(const std::string& text) { return {text.c_str(), text.size()}; }

template <class Id>
capnp::Data::Reader id_or_empty(const Id& id) {
  return id.is_zero() ? capnp::Data::Reader{} : data_of(id.view());
}

[[noreturn]] void refuse(const char* why) { throw std::logic_error(std::string{"a frame cannot be encoded: "} + why); }

wire::PeerAnswerCode wire_code(ec code) {
  switch (code) {
    case ec::ok: return wire::PeerAnswerCode::APPENDED;
    case ec::not_leader: return wire::PeerAnswerCode::NOT_LEADER;
    case ec::overloaded: return wire::PeerAnswerCode::OVERLOADED;
    case ec::disk_full: return wire::PeerAnswerCode::DISK_FULL;
    case ec::malformed: return wire::PeerAnswerCode::MALFORMED;
    case ec::bad_signature: return wire::PeerAnswerCode::BAD_SIGNATURE;
    case ec::no_possession: return wire::PeerAnswerCode::NO_POSSESSION;
    default: return wire::PeerAnswerCode::INTERNAL;
  }
}
std::optional<ec> code_of(wire::PeerAnswerCode code) {
  switch (code) {
    case wire::PeerAnswerCode::APPENDED: return ec::ok;
    case wire::PeerAnswerCode::NOT_LEADER: return ec::not_leader;
    case wire::PeerAnswerCode::OVERLOADED: return ec::overloaded;
    case wire::PeerAnswerCode::DISK_FULL: return ec::disk_full;
    case wire::PeerAnswerCode::MALFORMED: return ec::malformed;
    case wire::PeerAnswerCode::BAD_SIGNATURE: return ec::bad_signature;
    case wire::PeerAnswerCode::NO_POSSESSION: return ec::no_possession;
    case wire::PeerAnswerCode::INTERNAL: return ec::internal;
  }
  return std::nullopt;
}

void write(wire::PeerFrame::Builder out, const raft::append_entries& from, const digest& prev_chain) {
  auto to = out.initAppend();
  to.setTerm(value(from.term));
  to.setPrevIndex(value(from.prev_index));
  to.setPrevTerm(value(from.prev_term));
  to.setLeaderCommit(value(from.leader_commit));
  if (!prev_chain.is_zero())
    to.setPrevChain(data_of(prev_chain.view()));
  if (from.entries.empty())
    return;
  auto list = to.initEntries(static_cast<capnp::uint>(from.entries.size()));
  for (capnp::uint i = 0; i < list.size(); ++i) {
    list[i].setTerm(value(from.entries[i].term));
    list[i].setType(static_cast<std::uint8_t>(from.entries[i].type));
    list[i].setPayload(data_of(from.entries[i].payload));
  }
}
void write(wire::PeerFrame::Builder out, const raft::append_entries_result& from, const digest&) {
  auto to = out.initAppendResult();
  to.setTerm(value(from.term));
  to.setRejected(value(from.rejected));
  to.setLastIndex(value(from.last_index));
}
void write(wire::PeerFrame::Builder out, const raft::request_vote& from, const digest&) {
  auto to = out.initVote();
  to.setTerm(value(from.term));
  to.setCandidate(value(from.candidate));
  to.setLastIndex(value(from.last_index));
  to.setLastTerm(value(from.last_term));
  to.setDisruptLeader(from.disrupt_leader);
  to.setPreVote(from.pre_vote);
}
void write(wire::PeerFrame::Builder out, const raft::request_vote_result& from, const digest&) {
  auto to = out.initVoteResult();
  to.setTerm(value(from.term));
  to.setGranted(from.granted);
  to.setPreVote(from.pre_vote);
}
void write(wire::PeerFrame::Builder, const raft::install_snapshot&, const digest&) {
  refuse("a snapshot is never sent; the log itself is");
}
void write(wire::PeerFrame::Builder out, const raft::timeout_now& from, const digest&) {
  auto to = out.initTimeoutNow();
  to.setTerm(value(from.term));
  to.setLastIndex(value(from.last_index));
  to.setLastTerm(value(from.last_term));
}

void write(wire::PeerFrame::Builder out, const consensus& from) {
  std::visit([&](const auto& message) { write(out, message, from.prev_chain); }, from.message);
}
void write(wire::PeerFrame::Builder out, const position_asked&) { out.setPositionAsked(); }
void write(wire::PeerFrame::Builder out, const position& from) {
  auto to = out.initPosition();
  to.setStore(data_of(from.store.view()));
  to.setProcess(data_of(from.process.view()));
  to.setJoining(from.joining);
  to.setLast(value(from.last));
  to.setLastTerm(value(from.last_term));
  to.setApplied(value(from.applied));
  to.setAppliedTerm(value(from.applied_term));
  to.setAppliedChain(id_or_empty(from.applied_chain));
}
void write(wire::PeerFrame::Builder out, const checkpoint& from) {
  auto to = out.initCheckpoint();
  to.setIndex(value(from.index));
  to.setChain(data_of(from.chain.view()));
  to.setStateHash(data_of(from.state_hash.view()));
}
void write(wire::PeerFrame::Builder out, const rolled_back& from) {
  auto to = out.initRolledBack();
  to.setStore(data_of(from.store.view()));
  to.setTermSeen(value(from.term_seen));
  to.setIndexSeen(value(from.index_seen));
}
void write(wire::PeerFrame::Builder out, const proposals& from) {
  auto list = out.initProposals(static_cast<capnp::uint>(from.list.size()));
  for (capnp::uint i = 0; i < list.size(); ++i) {
    list[i].setTicket(value(from.list[i].ticket));
    list[i].setFromReserve(from.list[i].from_reserve);
    list[i].setEntry(data_of(from.list[i].entry));
  }
}
void write(wire::PeerFrame::Builder out, const proposals_answered& from) {
  auto list = out.initProposalsAnswered(static_cast<capnp::uint>(from.list.size()));
  for (capnp::uint i = 0; i < list.size(); ++i) {
    list[i].setTicket(value(from.list[i].ticket));
    list[i].setCode(wire_code(from.list[i].code));
    list[i].setIndex(value(from.list[i].index));
    list[i].setTerm(value(from.list[i].term));
  }
}
void write(wire::PeerFrame::Builder out, const member_assigned& from) {
  auto to = out.initMemberAssigned();
  to.setCluster(data_of(from.cluster.view()));
  to.setId(value(from.id));
  to.setStore(data_of(from.store.view()));
}
void write(wire::PeerFrame::Builder out, const admin_request& from) {
  auto to = out.initAdminRequest();
  to.setNumber(from.number);
  to.setText(text_of(from.text));
}
void write(wire::PeerFrame::Builder out, const admin_answer& from) {
  auto to = out.initAdminAnswer();
  to.setNumber(from.number);
  to.setDone(from.done);
  to.setText(text_of(from.text));
}
void write(wire::PeerFrame::Builder out, const secret_asked&) { out.setSecretAsked(); }
void write(wire::PeerFrame::Builder out, const secret& from) { out.setSecret(data_of(from.key)); }

/// What a frame will take, so that one allocation suffices.
std::size_t size_hint(const body& what) {
  static constexpr std::size_t around = 256, each = 48;
  return std::visit(
    overloaded{[](const consensus& x) {
                 std::size_t out = around;
                 if (const auto* append = std::get_if<raft::append_entries>(&x.message))
                   for (const auto& e : append->entries)
                     out += each + e.payload.size();
                 return out;
               },
               [](const proposals& x) {
                 std::size_t out = around;
                 for (const auto& one : x.list)
                   out += each + one.entry.size();
                 return out;
               },
               [](const proposals_answered& x) { return around + each * x.list.size(); },
               [](const admin_request& x) { return around + x.text.size(); },
               [](const admin_answer& x) { return around + x.text.size(); },
               [](const auto&) { return around; }},
    what);
}

// ---- reading ---------------------------------------------------------------------------------------------------------

/// Reads fields and remembers the first rule that one of them broke.
class field_reader {
public:
  explicit field_reader(std::size_t frame_bytes) : payload_bytes_left_{frame_bytes} {}

  void insist(bool holds, const char* rule) {
    if (!holds && broken_ == nullptr)
      broken_ = rule;
  }
  const char* broken() const { return broken_; }

  log_index index(std::uint64_t raw) {
    insist(raw <= number_max, "an index is at most 2^62");
    return log_index{raw};
  }
  signet::term term(std::uint64_t raw) {
    insist(raw <= number_max, "a term is at most 2^62");
    return signet::term{raw};
  }
  signet::term some_term(std::uint64_t raw) {
    insist(raw > 0, "a message of consensus has a term");
    return term(raw);
  }
  /// Both none, or both some.
  void pair(log_index at, signet::term of) {
    insist((at == log_index{}) == (of == signet::term{}), "index and term go together");
  }
  template <class Id>
  Id id(capnp::Data::Reader raw) {
    auto found = required_id<Id>(raw);
    insist(found.has_value(), "an id has its full size and is not all zero");
    return found.value_or(Id{});
  }
  template <class Id>
  Id id_or_none(capnp::Data::Reader raw) {
    Id out;
    insist(optional_id(raw, out), "an id has its full size, or none at all");
    return out;
  }
  /// Payloads that share bytes would multiply what a frame holds: together they are smaller than it.
  bytes payload(capnp::Data::Reader raw) {
    insist(raw.size() > 0 && raw.size() <= one_payload_bytes_max, "a payload has 1 byte to 2 MiB");
    insist(raw.size() <= payload_bytes_left_, "payloads are together no larger than their frame");
    if (broken_ != nullptr)
      return {};
    payload_bytes_left_ -= raw.size();
    payload_bytes_ += raw.size();
    insist(++payloads_ == 1 || payload_bytes_ <= payload_bytes_max, "payloads of one frame are at most 1 MiB");
    return to_bytes(view_of(raw));
  }
  std::string text(capnp::Text::Reader raw, std::size_t size_bytes_max) {
    const bytes_view all{reinterpret_cast<const std::uint8_t*>(raw.begin()), raw.size()};
    insist(is_clean_text(all, size_bytes_max), "text is UTF-8 without zero bytes, within its limit");
    return broken_ == nullptr ? std::string{as_text(all)} : std::string{};
  }
  void count(std::size_t items) { insist(items > 0 && items <= items_max, "a list has 1 to 4096 items"); }

private:
  const char* broken_ = nullptr;
  std::size_t payload_bytes_left_;
  std::size_t payload_bytes_ = 0;
  std::size_t payloads_ = 0;
};

raft::entry read(wire::PeerEntry::Reader from, signet::term least, signet::term most, field_reader& fields) {
  raft::entry out{fields.some_term(from.getTerm()), static_cast<raft::entry_type>(from.getType()),
                  fields.payload(from.getPayload())};
  fields.insist(out.term >= least && out.term <= most, "terms of entries rise, up to that of their message");
  switch (out.type) {
    case raft::entry_type::command:
      break;
    case raft::entry_type::barrier:
      fields.insist(out.payload == bytes(barrier_bytes, 0), "a barrier is eight zero bytes");
      break;
    case raft::entry_type::change:
      if (fields.broken() == nullptr)
        fields.insist(raft::decode_configuration(out.payload).has_value(), "a change is an encoded configuration");
      break;
    default:
      fields.insist(false, "an entry is a command, a barrier or a change");
  }
  return out;
}

consensus read(wire::PeerAppend::Reader from, field_reader& fields) {
  raft::append_entries out;
  out.term = fields.some_term(from.getTerm());
  out.prev_index = fields.index(from.getPrevIndex());
  out.prev_term = fields.term(from.getPrevTerm());
  out.leader_commit = fields.index(from.getLeaderCommit());
  fields.pair(out.prev_index, out.prev_term);
  fields.insist(out.prev_term <= out.term, "the entry before is not of a later term");
  const auto prev_chain = fields.id_or_none<digest>(from.getPrevChain());
  fields.insist(prev_chain.is_zero() || out.prev_index != log_index{}, "nothing stands before the first entry");
  auto list = from.getEntries();
  fields.insist(list.size() <= items_max, "at most 4096 entries");
  if (fields.broken() != nullptr)
    return {};
  out.entries.reserve(list.size());
  auto least = out.prev_term;
  for (auto each : list) {
    out.entries.push_back(read(each, least, out.term, fields));
    if (fields.broken() != nullptr)
      return {};
    least = out.entries.back().term;
  }
  return {std::move(out), prev_chain};
}
consensus read(wire::PeerAppendResult::Reader from, field_reader& fields) {
  return {raft::append_entries_result{fields.some_term(from.getTerm()), fields.index(from.getRejected()),
                                      fields.index(from.getLastIndex())},
          {}};
}
consensus read(wire::PeerVote::Reader from, field_reader& fields) {
  raft::request_vote out;
  out.term = fields.some_term(from.getTerm());
  out.candidate = raft::server_id{from.getCandidate()};
  out.last_index = fields.index(from.getLastIndex());
  out.last_term = fields.term(from.getLastTerm());
  out.disrupt_leader = from.getDisruptLeader();
  out.pre_vote = from.getPreVote();
  fields.insist(out.candidate != raft::server_id{}, "a vote is asked for somebody");
  fields.pair(out.last_index, out.last_term);
  fields.insist(out.last_term <= out.term, "a log does not end in a later term");
  return {out, {}};
}
consensus read(wire::PeerVoteResult::Reader from, field_reader& fields) {
  return {raft::request_vote_result{fields.some_term(from.getTerm()), from.getGranted(), from.getPreVote()}, {}};
}
consensus read(wire::PeerTimeoutNow::Reader from, field_reader& fields) {
  raft::timeout_now out{fields.some_term(from.getTerm()), fields.index(from.getLastIndex()),
                        fields.term(from.getLastTerm())};
  fields.pair(out.last_index, out.last_term);
  fields.insist(out.last_term <= out.term, "a log does not end in a later term");
  return {out, {}};
}

position read(wire::PeerPosition::Reader from, field_reader& fields) {
  position out;
  out.store = fields.id<store_id>(from.getStore());
  out.process = fields.id<process_id>(from.getProcess());
  out.joining = from.getJoining();
  out.last = fields.index(from.getLast());
  out.last_term = fields.term(from.getLastTerm());
  out.applied = fields.index(from.getApplied());
  out.applied_term = fields.term(from.getAppliedTerm());
  out.applied_chain = fields.id_or_none<digest>(from.getAppliedChain());
  fields.pair(out.last, out.last_term);
  fields.pair(out.applied, out.applied_term);
  fields.insist((out.applied == log_index{}) == out.applied_chain.is_zero(), "what is applied has a hash");
  fields.insist(out.applied <= out.last && out.applied_term <= out.last_term, "what is applied stands in the log");
  fields.insist(!out.joining || out.last == log_index{}, "a joining node has nothing yet");
  return out;
}
checkpoint read(wire::PeerCheckpoint::Reader from, field_reader& fields) {
  checkpoint out{fields.index(from.getIndex()), fields.id<digest>(from.getChain()), fields.id<digest>(from.getStateHash())};
  fields.insist(out.index != log_index{}, "a checkpoint is at index 1 or later");
  return out;
}
rolled_back read(wire::PeerRolledBack::Reader from, field_reader& fields) {
  return {fields.id<store_id>(from.getStore()), fields.term(from.getTermSeen()), fields.index(from.getIndexSeen())};
}

proposals read(capnp::List<wire::PeerProposal>::Reader from, field_reader& fields) {
  proposals out;
  fields.count(from.size());
  if (fields.broken() != nullptr)
    return out;
  out.list.reserve(from.size());
  for (auto each : from) {
    out.list.push_back({forward_ticket{each.getTicket()}, each.getFromReserve(), fields.payload(each.getEntry())});
    if (fields.broken() != nullptr)
      return {};
  }
  return out;
}
proposals_answered read(capnp::List<wire::PeerProposalAnswer>::Reader from, field_reader& fields) {
  proposals_answered out;
  fields.count(from.size());
  if (fields.broken() != nullptr)
    return out;
  out.list.reserve(from.size());
  for (auto each : from) {
    const auto code = code_of(each.getCode());
    fields.insist(code.has_value(), "an answer has a code that this version knows");
    proposals_answered::one one{forward_ticket{each.getTicket()}, code.value_or(ec::malformed),
                                fields.index(each.getIndex()), fields.term(each.getTerm())};
    fields.pair(one.index, one.term);
    fields.insist((one.code == ec::ok) == (one.index != log_index{}), "what was appended, and nothing else, has an index");
    out.list.push_back(one);
  }
  return out;
}

member_assigned read(wire::PeerMemberAssigned::Reader from, field_reader& fields) {
  member_assigned out{fields.id<cluster_id>(from.getCluster()), raft::server_id{from.getId()},
                      fields.id<store_id>(from.getStore())};
  fields.insist(out.id != raft::server_id{}, "a server id is 1 or more");
  return out;
}
admin_request read(wire::PeerAdminRequest::Reader from, field_reader& fields) {
  return {from.getNumber(), fields.text(from.getText(), text_bytes_max)};
}
admin_answer read(wire::PeerAdminAnswer::Reader from, field_reader& fields) {
  return {from.getNumber(), from.getDone(), fields.text(from.getText(), text_bytes_max)};
}
secret read_secret(capnp::Data::Reader from, field_reader& fields) {
  const auto key = fields.id<digest>(from);
  return {key.raw};
}

std::optional<body> read_body(wire::PeerFrame::Reader in, field_reader& fields) {
  switch (in.which()) {
    case wire::PeerFrame::APPEND: return read(in.getAppend(), fields);
    case wire::PeerFrame::APPEND_RESULT: return read(in.getAppendResult(), fields);
    case wire::PeerFrame::VOTE: return read(in.getVote(), fields);
    case wire::PeerFrame::VOTE_RESULT: return read(in.getVoteResult(), fields);
    case wire::PeerFrame::TIMEOUT_NOW: return read(in.getTimeoutNow(), fields);
    case wire::PeerFrame::POSITION_ASKED: return position_asked{};
    case wire::PeerFrame::POSITION: return read(in.getPosition(), fields);
    case wire::PeerFrame::CHECKPOINT: return read(in.getCheckpoint(), fields);
    case wire::PeerFrame::ROLLED_BACK: return read(in.getRolledBack(), fields);
    case wire::PeerFrame::PROPOSALS: return read(in.getProposals(), fields);
    case wire::PeerFrame::PROPOSALS_ANSWERED: return read(in.getProposalsAnswered(), fields);
    case wire::PeerFrame::MEMBER_ASSIGNED: return read(in.getMemberAssigned(), fields);
    case wire::PeerFrame::ADMIN_REQUEST: return read(in.getAdminRequest(), fields);
    case wire::PeerFrame::ADMIN_ANSWER: return read(in.getAdminAnswer(), fields);
    case wire::PeerFrame::SECRET_ASKED: return secret_asked{};
    case wire::PeerFrame::SECRET: return read_secret(in.getSecret(), fields);
  }
  return std::nullopt;
}

} // namespace

bytes encode(const hello& what) {
  outer_builder<wire::PeerHello> out{512};
  auto to = out.root();
  to.setProtocol(what.protocol);
  to.setCluster(data_of(what.cluster.view()));
  to.setFrom(text_of(what.from));
  to.setTo(text_of(what.to));
  to.setProcess(data_of(what.process.view()));
  return out.finish();
}

result<hello> decode_hello(bytes_view raw) {
  return read_outer<wire::PeerHello>(raw, frame_bytes_max, [&](wire::PeerHello::Reader in) -> result<hello> {
    field_reader fields{raw.size()};
    hello out{in.getProtocol(), fields.id<cluster_id>(in.getCluster()), fields.text(in.getFrom(), node_name_bytes_max),
              fields.text(in.getTo(), node_name_bytes_max), fields.id<process_id>(in.getProcess())};
    fields.insist(!out.from.empty() && !out.to.empty(), "nodes have names");
    if (fields.broken() != nullptr)
      return fail(ec::malformed, std::string{"a hello: "} + fields.broken());
    return out;
  });
}

bytes encode(const frame& what) {
  outer_builder<wire::PeerFrame> out{size_hint(what.body)};
  auto to = out.root();
  to.setFrom(value(what.from));
  to.setTo(value(what.to));
  to.setSenderTerm(value(what.sender_term));
  std::visit([&](const auto& body) { write(to, body); }, what.body);
  return out.finish();
}

result<frame> decode_frame(bytes_view raw) {
  return read_outer<wire::PeerFrame>(raw, frame_bytes_max, [&](wire::PeerFrame::Reader in) -> result<frame> {
    field_reader fields{raw.size()};
    frame out{raft::server_id{in.getFrom()}, raft::server_id{in.getTo()}, fields.term(in.getSenderTerm()), {}};
    auto body = read_body(in, fields);
    fields.insist(body.has_value(), "a frame is of a kind that this version knows");
    if (fields.broken() != nullptr)
      return fail(ec::malformed, std::string{"a peer frame: "} + fields.broken());
    out.body = std::move(*body);
    return out;
  });
}

} // namespace signet::peer
