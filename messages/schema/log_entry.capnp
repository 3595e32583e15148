@0xc07d5b1e9a2846f3;
# For nodes and for the disk: one entry of the event log, the payload of one Raft command. Apply is a function of
# (state, entry): whatever it needs to know stands here, also the time.
using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("signet::schema");
using Identity = import "identity.capnp";

struct LogEntry {
  timeMs @0 :UInt64;   # Leader's clock when it proposed; never below that of the entry before. Expiry is judged by it.
  union {
    founded @1 :Founded;               # First command of a cluster.
    identityPublished @2 :Data;        # Serialised IdentityVersion, as it arrived.
    sessionOpened @3 :SessionOpened;
    sessionRenewed @4 :SessionRenewed;
    sessionsClosed @5 :List(SessionClosed);
    batchAccepted @6 :Data;            # Serialised Batch, as it arrived; apply judges each of its messages.
    cursorsAdvanced @7 :List(CursorAdvanced);
    securityEvents @8 :List(SecurityEvent);
    botDeployed @9 :BotDeployed;
    botCommitted @10 :BotCommitted;
    botDeadLettered @11 :BotDeadLettered;
    botAttempted @12 :BotAttempted;
    inboxTaken @13 :InboxTaken;
  }
}

struct Founded {
  clusterId @0 :Data;   # 16 bytes
}

struct SessionKey {
  # A session: one client id of one device of one identity.
  identity @0 :Identity.Permalink;
  deviceKey @1 :Identity.PublicKey;
  clientId @2 :Text;
}

struct SessionOpened {
  # The proof has verified. Apply claims the nonce, checks key and token life against state and entry time, and answers
  # with the epoch of the connection, which is the index of this entry.
  key @0 :SessionKey;
  expiresMs @1 :UInt64;       # Absolute end of the proof.
  tokenNonce @2 :Data;        # 16 bytes: single-use token. Empty: enhanced authentication or a reusable token.
  tokenIssuedMs @3 :UInt64;   # 0 without a token.
  tokenEndsMs @4 :UInt64;     # The nonce row may be dropped from then on.
  identity @5 :Data;          # First-time client: serialised IdentityVersion that it handed in. Published in the same
                              # entry, before the session is judged. Else empty.
}

struct SessionRenewed {
  key @0 :SessionKey;
  epoch @1 :UInt64;           # Expected: refused if another connection has opened the session since.
  expiresMs @2 :UInt64;
  tokenNonce @3 :Data;
  tokenIssuedMs @4 :UInt64;
  tokenEndsMs @5 :UInt64;
}

struct SessionClosed {
  key @0 :SessionKey;
  epoch @1 :UInt64;           # An event of epoch e touches epoch e only.
  reason @2 :Text;            # disconnected, expired, revoked_key, taken_over…
}

struct InboxTaken {
  # This session reads the inbox of its device from now on; another session of the same device that reads it stops.
  # Written only while another one stands. Changes no row: every node tells its own readers.
  key @0 :SessionKey;
  epoch @1 :UInt64;           # Expected: refused if another connection has opened the session since.
}

struct CursorAdvanced {
  identity @0 :Identity.Permalink;
  deviceKey @1 :Identity.PublicKey;
  position @2 :UInt64;        # Never moves back: apply ignores a smaller one.
}

struct SecurityEvent {
  # What somebody tried. No payload, no secrets; floods are counted before they are proposed.
  kind @0 :Text;              # docs/security-events.md
  subject @1 :Data;           # Whom it names: a permalink or public key; may be empty.
  object @2 :Data;            # The second one, where there are two (key collision, fork); may be empty.
  detail @3 :Text;            # Short, from a closed set of words and numbers.
  source @4 :Text;            # Address without port, or empty.
  count @5 :UInt32;           # How often since the last entry about the same.
}

struct BotDeployed {
  # Creates the bot or gives it a new epoch: what an older epoch proposes is refused from here on.
  bot @0 :Identity.Permalink;
  name @1 :Text;
}

struct BotCommitted {
  # All effects of one input, and the input position: one entry. Refused unless epoch and input are as expected.
  bot @0 :Identity.Permalink;
  epoch @1 :UInt64;
  fromInput @4 :UInt64;       # First inbox position handled: must be the bot's position + 1.
  input @2 :UInt64;           # Last inbox position handled; the bot's position from now on.
  batch @3 :Data;             # Serialised Batch of outgoing messages, signed by the bot; may be empty. Every one of
                              # its messages is accepted, or the whole entry is refused.
}

struct BotAttempted {
  # Durable before the handler runs again after a failure: the attempt counter survives a crash.
  bot @0 :Identity.Permalink;
  epoch @1 :UInt64;
  input @2 :UInt64;
  attempt @3 :UInt32;
}

struct BotDeadLettered {
  bot @0 :Identity.Permalink;
  epoch @1 :UInt64;
  input @2 :UInt64;           # Set aside: the bot goes on behind it.
  attempts @3 :UInt32;
  error @4 :Text;
}
