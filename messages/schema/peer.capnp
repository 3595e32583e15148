@0xaece3cdca324ecbe;
# For nodes: what the nodes of one cluster say to each other. storage/peer/frame.hpp says what each frame means, who sends
# it and when; here stands its form. One frame is one flat message of one segment, at most 4 MiB. Links add its length.
using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("signet::schema");

using ServerId = UInt64;   # 0: none
using LogIndex = UInt64;   # at most 2^62
using Term = UInt64;       # at most 2^62
using Digest = Data;       # 32 bytes; empty: none
using StoreId = Data;      # 16 bytes
using ProcessId = Data;    # 16 bytes

struct PeerHello {
  # First frame of a connection, from who dialed. A later protocol keeps these field numbers, so that two versions can tell
  # each other why they do not talk.
  protocol @0 :UInt32;
  cluster @1 :Data;        # 16 bytes
  from @2 :Text;           # node names, 1 to 64 bytes
  to @3 :Text;
  process @4 :ProcessId;
}

struct PeerFrame {
  from @0 :ServerId;
  to @1 :ServerId;
  senderTerm @2 :Term;
  union {
    append @3 :PeerAppend;
    appendResult @4 :PeerAppendResult;
    vote @5 :PeerVote;
    voteResult @6 :PeerVoteResult;
    timeoutNow @7 :PeerTimeoutNow;
    positionAsked @8 :Void;
    position @9 :PeerPosition;
    checkpoint @10 :PeerCheckpoint;
    rolledBack @11 :PeerRolledBack;
    proposals @12 :List(PeerProposal);
    proposalsAnswered @13 :List(PeerProposalAnswer);
    memberAssigned @14 :PeerMemberAssigned;
    adminRequest @15 :PeerAdminRequest;
    adminAnswer @16 :PeerAdminAnswer;
    secretAsked @17 :Void;
    secret @18 :Data;      # 32 bytes, not all zero
  }
}

# ---- consensus: every term is 1 or more ------------------------------------------------------------------------------

struct PeerEntry {
  term @0 :Term;           # 1 or more, never smaller than that of the entry before, never above that of the message
  type @1 :UInt8;          # 1 command (a LogEntry), 2 barrier (eight zero bytes), 3 change (an encoded configuration)
  payload @2 :Data;        # not empty, below 2 MiB
}
struct PeerAppend {
  term @0 :Term;
  prevIndex @1 :LogIndex;  # 0 if and only if prevTerm is 0
  prevTerm @2 :Term;
  leaderCommit @3 :LogIndex;
  prevChain @4 :Digest;    # of the record at prevIndex; empty: not told, or prevIndex is 0
  entries @5 :List(PeerEntry);  # of prevIndex + 1 and so on; none: a heartbeat
}
struct PeerAppendResult {
  term @0 :Term;
  rejected @1 :LogIndex;   # 0: accepted
  lastIndex @2 :LogIndex;
}
struct PeerVote {
  term @0 :Term;
  candidate @1 :ServerId;  # 1 or more
  lastIndex @2 :LogIndex;  # 0 if and only if lastTerm is 0
  lastTerm @3 :Term;
  disruptLeader @4 :Bool;
  preVote @5 :Bool;
}
struct PeerVoteResult {
  term @0 :Term;
  granted @1 :Bool;
  preVote @2 :Bool;
}
struct PeerTimeoutNow {
  term @0 :Term;
  lastIndex @1 :LogIndex;
  lastTerm @2 :Term;
}

# ---- where a node stands ---------------------------------------------------------------------------------------------

struct PeerPosition {
  store @0 :StoreId;
  process @1 :ProcessId;
  joining @2 :Bool;        # true: everything below is 0 or empty
  last @3 :LogIndex;       # 0 if and only if lastTerm is 0
  lastTerm @4 :Term;
  applied @5 :LogIndex;    # not above last; 0 if and only if appliedTerm is 0 and appliedChain is empty
  appliedTerm @6 :Term;
  appliedChain @7 :Digest;
}
struct PeerCheckpoint {
  index @0 :LogIndex;      # 1 or more
  chain @1 :Digest;
  stateHash @2 :Digest;
}
struct PeerRolledBack {
  store @0 :StoreId;
  termSeen @1 :Term;
  indexSeen @2 :LogIndex;
}

# ---- proposals: 1 to 4096 of a frame ---------------------------------------------------------------------------------

struct PeerProposal {
  ticket @0 :UInt64;
  fromReserve @1 :Bool;
  entry @2 :Data;          # a LogEntry: not empty, below 2 MiB
}
enum PeerAnswerCode {
  notLeader @0;
  appended @1;
  overloaded @2;
  diskFull @3;
  malformed @4;
  badSignature @5;
  noPossession @6;
  internal @7;             # a defect of the leader: anything else
}
struct PeerProposalAnswer {
  ticket @0 :UInt64;
  code @1 :PeerAnswerCode;
  index @2 :LogIndex;      # 1 or more if and only if appended
  term @3 :Term;           # the same
}

# ---- membership and operation ----------------------------------------------------------------------------------------

struct PeerMemberAssigned {
  cluster @0 :Data;        # 16 bytes
  id @1 :ServerId;         # 1 or more
  store @2 :StoreId;
}
struct PeerAdminRequest {
  number @0 :UInt64;
  text @1 :Text;           # JSON, at most 64 KiB
}
struct PeerAdminAnswer {
  number @0 :UInt64;
  done @1 :Bool;
  text @2 :Text;           # JSON, or why not; at most 64 KiB
}
