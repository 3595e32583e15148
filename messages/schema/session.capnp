@0xa81e37c94d60b2f5;
# For client writers: topic signet/v1/session.
using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("signet::schema");

struct SessionNotice {
  # Node to client.
  serverTimeMs @0 :UInt64;
  union {
    expiring @1 :UInt64;    # The proof behind this session runs out at this time (ms since 1970, the node's clock).
                            # Renew now: AUTH 0x19, or a fresh token published here.
    renewed @2 :UInt64;     # Runs until then now.
    closing @3 :Text;       # The connection closes now, because: session_expired, revoked_key, taken_over,
                            # shutting_down, slow_consumer, protocol_error, rate_limited, keep_alive, inbox_taken,
                            # administrative, no_quorum
    cursor @4 :UInt64;      # Answer to deliverFrom and `where`: the durable cursor of this device.
    refused @5 :Text;       # A request on this topic was refused: name of the error.
    stale @6 :Bool;         # True: the node has no majority. What it delivers may be behind what other nodes have
                            # acknowledged, and nothing new is accepted. False: that is over.
  }
}

struct SessionRequest {
  # Client to node.
  union {
    renew @0 :Text;          # A fresh connect token, made for the same device key and client id.
    explicitAcks @1 :Bool;   # From now on only signet/v1/ack moves the cursor, not PUBACK. For this connection.
    deliverFrom @2 :UInt64;  # Deliver again from this position on. The durable cursor stays where it is.
    where @3 :Void;          # Tell me my durable cursor.
  }
}
