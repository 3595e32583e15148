@0xd24c8a6be1f7035a;
# For client writers: messages, batches, receipts and deliveries (topics outbox, receipts, inbox, ack).
using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("signet::schema");
using Identity = import "identity.capnp";

const maxBatchMessages :UInt32 = 1024;
const maxBatchBytes :UInt32 = 1048576;
# Of one serialised Batch: the inbound packet limit that CONNACK announces, less the topic.
const maxBodyBytes :UInt32 = 196608;
# Of one MessageBody, so that a delivery of one always fits the default outbound packet of 256 KiB.

struct Object {
  # What a message carries. Nodes do not look inside.
  type @0 :Text;                      # Reverse DNS or the developer's own words, at most 128 bytes; "text" is UTF-8 text.
  permalink @1 :Identity.Permalink;   # Of a versioned object; else empty.
  previous @2 :Identity.Link;         # Version before; else empty.
  contentType @3 :Text;               # Media type of `body`, at most 128 bytes; may be empty.
  body @4 :Data;
}

struct MessageBody {
  # What an author signs, through the batch. Canonical bytes; the link is their hash under label "message".
  clusterId @0 :Data;                 # 16 bytes: where the lane lives. Another cluster refuses the message.
  author @1 :Identity.Permalink;
  recipient @2 :Identity.Permalink;
  n @3 :UInt64;                       # 1, 2, 3… in the lane (signing key, recipient); 0 is never valid.
  previous @4 :Identity.Link;         # Link of message n-1 of the lane; empty for n = 1.
  timeMs @5 :UInt64;                  # Author's clock since 1970. Data only: it never orders anything.
  object @6 :Object;
  thread @7 :Identity.Link;           # First message of the conversation; else empty.
  replyTo @8 :Identity.Link;          # Message this one answers; else empty.
}

struct Batch {
  # Client to node, on signet/v1/outbox: messages of one author, to any recipients, under one signature.
  signingKey @0 :Identity.PublicKey;  # A sign key of the author.
  signature @1 :Identity.Signature;   # Label "batch", over Merkle root (32) · number of messages (u64, big-endian).
  bodies @2 :List(Data);              # 1 to 1024 canonical MessageBody; leaf i of the tree is the link of body i.
}

enum OutcomeCode {
  malformed @0;
  accepted @1;
  duplicate @2;
  fork @3;
  gap @4;
  notForHere @5;
  revokedKey @6;
  wrongKeyPurpose @7;
  tooLarge @8;
  rateLimited @9;
  badSignature @10;
}

struct Outcome {
  code @0 :OutcomeCode;
  index @1 :UInt64;      # accepted, duplicate: the log index at which the message stands.
  expected @2 :UInt64;   # gap, fork: the n that the lane expects next. Else 0.
  link @3 :Identity.Link;  # Of the message: hash of its body, also of one that is malformed.
}

struct Receipt {
  # Node to client, on signet/v1/receipts: one for each outbox publish, after its entry is committed and applied.
  root @0 :Data;               # Merkle root of the batch, 32 bytes; empty if it could not be read.
  outcomes @1 :List(Outcome);  # In the order of Batch.bodies. Empty if the batch could not be read: see problem.
  problem @2 :Text;            # Why the batch as a whole was refused: malformed, bad_signature, too_large,
                               # rate_limited, not_authorized. Else empty.
  retryAfterMs @3 :UInt32;     # rate_limited: try again no earlier. Else 0.
}

struct Delivered {
  # One message of a bundle.
  position @0 :UInt64;   # In the recipient's inbox: dense, 1, 2, 3…
  leaf @1 :UInt32;       # Its leaf in the batch.
  body @2 :Data;         # As its author signed it.
}

struct Bundle {
  # Messages that came in one batch. Each is verifiable with public keys alone: compute the links of the bodies,
  # rebuild the root with `proof` (docs/protocol.md gives the function), check the signature over root and leafCount.
  index @0 :UInt64;                    # Log index of the entry.
  signingKey @1 :Identity.PublicKey;
  signature @2 :Identity.Signature;
  leafCount @3 :UInt32;                # Messages in the batch as it was signed.
  messages @4 :List(Delivered);        # Rising positions, rising leaves.
  proof @5 :List(Data);                # Hashes of the subtrees that hold no leaf of this bundle, left to right.
}

struct Reference {
  # Stands for a message that does not fit into the largest packet this client accepts.
  position @0 :UInt64;
  index @1 :UInt64;
  link @2 :Identity.Link;
  sizeBytes @3 :UInt32;    # Of its body. Attach with a larger Maximum Packet Size, then ask for it again (deliverFrom).
}

struct Delivery {
  # Node to client, on signet/v1/inbox. Positions rise over bundles and references, without gap from one publish to
  # the next.
  items @0 :List(Item);
  struct Item {
    union {
      bundle @0 :Bundle;
      reference @1 :Reference;
    }
  }
}

struct Position {
  # Client to node, on signet/v1/ack: everything up to here has been dealt with; the cursor of this device moves there.
  # Never moves back. Positions beyond the end of the inbox are refused.
  position @0 :UInt64;
}
