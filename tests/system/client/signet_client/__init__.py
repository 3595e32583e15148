"""A Signet client written from docs/protocol.md and messages/schema/*.capnp alone.

It shares no code with the project and calls none of its programs: what it does, anybody can do with a socket, PyNaCl
and hashlib. The system tests use it to judge a node from outside.

    capnp     Cap'n Proto by hand: the two forms of section 1.1
    envelope  sections 1 to 4: hashes, signatures, identities, batches, proofs, tokens
    mqtt      MQTT 3.1.1 and 5.0 over a socket, as far as section 6 needs it
    client    sections 5 to 10: login, topics, receipts, deliveries, notices
"""
