// The only allowed difference: what Signet refuses and mqtt-packet 9.0.2 reads. The key is our sentence, the value says
// what theirs does. In the other direction there is none: what they refuse, we refuse.
'use strict'
exports.allowed = {
  // Framing
  'a remaining length is longer than it need be': 'reads non-minimal lengths',
  'a variable byte integer is longer than it need be': 'reads non-minimal lengths',
  'a field runs beyond the end of its packet or property list': 'gives null, -1 or undefined for a field that is cut, and reads across the end of a property list',
  'bytes are left over at the end of a packet': 'ignores them: PINGREQ with a body, acks and DISCONNECT of 3.1.1 with one, CONNECT with more fields',
  // Sides and flags
  'a packet that only the other side may send': 'its parser has no side',
  'DUP with QoS 0': 'reads it',
  'packet identifier 0': 'reads it',
  // CONNECT
  'a protocol level other than 4 (3.1.1) and 5 (5.0)': 'reads 3.1 (MQIsdp, level 3) and bridge levels',
  'will QoS 3': 'reads it',
  'an empty will topic': 'reads it',
  'a password without a user name': 'reads it in 3.1.1 too',
  'an empty client identifier without clean session': 'leaves it to the broker',
  // Text, topics, filters
  'a string is not well-formed UTF-8, or holds a control or non-character': 'puts U+FFFD in the place of what is broken; controls and non-characters are ours to refuse',
  'a wildcard in a topic name': 'reads it',
  'an empty topic name': 'reads it',
  'an empty topic name without a topic alias': 'reads it',
  'not a topic filter': 'reads any string',
  'no topic filter': 'reads SUBSCRIBE and UNSUBSCRIBE without one',
  'No Local on a shared subscription': 'reads it',
  // Properties
  'a property that its packet may not hold': 'reads every property in every packet',
  'a property that only the other side may send in that packet': 'its parser has no side',
  'a property stands twice': 'makes a list of it',
  'a property is out of its range': 'reads zero limits, alias 0, subscription identifier 0, and any byte as a boolean',
  'a response topic is empty or holds a wildcard': 'reads any string',
  'authentication data without an authentication method': 'reads it',
  'AUTH without an authentication method': 'reads it',
  // Reason codes
  'a reason code that its packet may not carry from that side': 'its parser has no side, and reads any code in CONNACK',
  'a reserved return code': 'reads any return code of 3.1.1',
  'no reason code': 'reads SUBACK and UNSUBACK without one',
  'session present beside a refusal': 'reads it'
}
