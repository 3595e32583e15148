@0x9b3f5f0a7c1d4e21;
# For client writers: identities, and how they are published and looked up (topic signet/v1/identity).
using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("signet::schema");

using Link = Data;       # 32 bytes: BLAKE2b-256 under a label; see docs/protocol.md
using Permalink = Data;  # 32 bytes
using PublicKey = Data;  # 32 bytes, Ed25519
using Signature = Data;  # 64 bytes, Ed25519

const maxKeys :UInt32 = 16;
# A real identity of the predecessor held 13.
const maxIdentityBytes :UInt32 = 8192;
# Of one published version, body and signatures together: 16 keys with proofs are about 1.5 KiB.

enum KeyPurpose {
  update @0;   # signs the next version of the identity
  sign @1;     # signs batches and logins; one for each device
  encrypt @2;  # used in its X25519 form; Ed25519 here so that it can prove possession
}

struct Key {
  purpose @0 :KeyPurpose;
  publicKey @1 :PublicKey;
}

struct IdentityBody {
  # What is hashed (label "identity", gives the link) and signed. Canonical bytes inside IdentityVersion.body.
  permalink @0 :Permalink;     # Link of the first version; empty in the first version itself.
  previous @1 :Link;           # Link of the version before; empty in the first.
  version @2 :UInt32;          # 1, 2, 3…
  keys @3 :List(Key);          # 1 to 16, each public key once; at least one update key and one sign key.
  nextUpdateKey @4 :Data;      # Commitment: hash (label "commitment") of the one update key that may sign the next
                               # version: one of this version, or one kept secret until it stands in the next.
                               # Empty: any update key of this version may.
  profile @5 :Data;            # Opaque to nodes: name, picture link… at most what the size limit leaves.
}

struct IdentityVersion {
  # One published version. Publishing the same version again gives the same answer and changes nothing.
  body @0 :Data;                    # Canonical IdentityBody.
  possession @1 :List(Signature);   # One for each key, in the order of body.keys: by that key, label "possession",
                                    # over link (32) · index of the key (u32, big-endian).
  updateSignature @2 :Signature;    # By an update key of the version before: label "version", over the link of
                                    # this version. Empty in the first version.
}

struct IdentityRequest {
  # Client to node, on signet/v1/identity. One request a publish; the answer comes on the same topic.
  correlation @0 :UInt64;      # Comes back in the answer.
  union {
    publish @1 :IdentityVersion;
    byPermalink @2 :Permalink;
    byKey @3 :PublicKey;       # Of any version, also a revoked key.
    byLink @4 :Link;           # Of any version.
  }
}

struct IdentityAnswer {
  # Node to client. For lookups and successful publications `versions` is the whole chain, oldest first: a client
  # checks it alone, from permalink = link of the first version onwards.
  correlation @0 :UInt64;
  code @1 :Text;               # "ok", or the name of an error: unknown_identity, key_collision, version_conflict,
                               # no_possession, bad_signature, malformed, too_large, rate_limited…
  standing @2 :Link;           # With version_conflict: the newest version. Else empty.
  versions @3 :List(Data);     # Serialised IdentityVersion each, as it was published.
  index @4 :UInt64;            # Log index of the newest version.
}
