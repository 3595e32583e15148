// Reads the lines of `mqtt_differential emit`, parses the same bytes with mqtt-packet, compares field by field, and
// writes bytes of its own for `mqtt_differential check`. Ends with 1 at the first difference that is not on the list.
'use strict'
const mqtt = require('mqtt-packet')
const readline = require('readline')
const { allowed } = require('./differences')

const NAMES = { // their property name: ours
  payloadFormatIndicator: 'payload_format_indicator', messageExpiryInterval: 'message_expiry_interval',
  contentType: 'content_type', responseTopic: 'response_topic', correlationData: 'correlation_data',
  subscriptionIdentifier: 'subscription_identifier', sessionExpiryInterval: 'session_expiry_interval',
  assignedClientIdentifier: 'assigned_client_identifier', serverKeepAlive: 'server_keep_alive',
  authenticationMethod: 'authentication_method', authenticationData: 'authentication_data',
  requestProblemInformation: 'request_problem_information', willDelayInterval: 'will_delay_interval',
  requestResponseInformation: 'request_response_information', responseInformation: 'response_information',
  serverReference: 'server_reference', reasonString: 'reason_string', receiveMaximum: 'receive_maximum',
  topicAliasMaximum: 'topic_alias_maximum', topicAlias: 'topic_alias', maximumQoS: 'maximum_qos',
  retainAvailable: 'retain_available', maximumPacketSize: 'maximum_packet_size',
  wildcardSubscriptionAvailable: 'wildcard_subscription_available',
  subscriptionIdentifiersAvailable: 'subscription_identifiers_available',
  sharedSubscriptionAvailable: 'shared_subscription_available'
}
const CONNACK_311 = [0, 0x84, 0x85, 0x88, 0x86, 0x87]

// Both sides in one form: a map from name to the list of its values; user properties under 'user:KEY'.
function add (map, key, value) { (map[key] = map[key] || []).push(value) }
function ourProps (list) {
  const map = {}
  for (const [name, value] of list) {
    if (name === 'user_property') {
      // They forget a value that an empty one of the same key precedes.
      const key = 'user:' + value[0]
      if (map[key] && map[key].length === 1 && map[key][0] === '') map[key] = []
      add(map, key, value[1])
    } else if (map[name] && (map[name][0] === '' || map[name][0] === 0)) map[name] = [value]
    else add(map, name, value)
  }
  return map
}
function theirProps (props) {
  const map = {}
  const plain = v => typeof v === 'boolean' ? +v : Buffer.isBuffer(v) ? v.toString('hex') : v
  for (const [name, value] of Object.entries(props || {})) {
    if (name === 'userProperties') {
      for (const key of Object.getOwnPropertyNames(value)) for (const v of [].concat(value[key])) add(map, 'user:' + key, v)
    } else for (const v of Array.isArray(value) ? value : [value]) add(map, NAMES[name], plain(v))
  }
  return map
}
function ours (p) {
  const out = { ...p, props: undefined, will: undefined }
  if (p.props) out.props = ourProps(p.props)
  if (p.will) out.will = { ...p.will, props: ourProps(p.will.props) }
  return out
}
function theirs (p, version) {
  const props = theirProps(p.properties)
  const out = { type: p.cmd.toUpperCase() }
  switch (p.cmd) {
    case 'connect':
      Object.assign(out, { version: p.protocolVersion, clean_start: p.clean, keep_alive_s: p.keepalive, props, client_id: p.clientId })
      if (p.will) {
        out.will = { topic: p.will.topic, payload: p.will.payload.toString('hex'), qos: p.will.qos, retain: p.will.retain, props: theirProps(p.will.properties) }
      }
      if (p.username !== undefined) out.user_name = p.username
      if (p.password !== undefined) out.password = p.password.toString('hex')
      break
    case 'connack':
      Object.assign(out, { session_present: p.sessionPresent, code: version === 5 ? p.reasonCode : CONNACK_311[p.returnCode], props })
      break
    case 'publish':
      Object.assign(out, { dup: p.dup, qos: p.qos, retain: p.retain, topic: p.topic, id: p.messageId || 0, props, payload: p.payload.toString('hex') })
      break
    case 'puback': case 'pubrec': case 'pubrel': case 'pubcomp':
      Object.assign(out, { id: p.messageId, code: p.reasonCode || 0, props })
      break
    case 'subscribe':
      Object.assign(out, {
        id: p.messageId,
        props,
        filters: p.subscriptions.map(s => ({ filter: s.topic, qos: s.qos, no_local: !!s.nl, retain_as_published: !!s.rap, retained: s.rh || 0 }))
      })
      break
    case 'suback': case 'unsuback':
      Object.assign(out, { id: p.messageId, props, codes: p.granted || [] })
      break
    case 'unsubscribe':
      Object.assign(out, { id: p.messageId, props, filters: p.unsubscriptions })
      break
    case 'disconnect': case 'auth':
      Object.assign(out, { code: p.reasonCode || 0, props })
      break
  }
  return out
}

function canonical (value) {
  if (Array.isArray(value)) return '[' + value.map(canonical).join() + ']'
  if (value && typeof value === 'object') {
    return '{' + Object.keys(value).filter(k => value[k] !== undefined).sort().map(k => JSON.stringify(k) + ':' + canonical(value[k])).join() + '}'
  }
  return JSON.stringify(value)
}

function parse (bytes, version) {
  const parser = mqtt.parser({ protocolVersion: version })
  let first
  parser.on('packet', packet => { first = first || { packet } })
  parser.on('error', error => { first = first || { refused: error.message } })
  try {
    parser.parse(bytes)
  } catch (error) {
    first = first || { refused: 'throws ' + error.message }
  }
  return first || { more: true }
}

const counts = { good: 0, damaged: 0, both_read: 0, both_refused: 0, both_wait: 0, refused_early: 0, not_regenerated: 0 }
const differences = {}
function stop (why, line, other) {
  console.error(`${why}\n  ours:   ${line.refused || (line.more ? 'more wanted' : canonical(ours(line.packet)))}`)
  console.error(`  theirs: ${other.refused || (other.more ? 'more wanted' : canonical(theirs(other.packet, line.version)))}`)
  console.error(`  version ${line.version}, from ${line.from}: ${line.hex}`)
  process.exit(1)
}

/// What they cannot write though it may be said, and values their parser has already lost.
function regenerable (p) {
  if (p.type === 'CONNECT' && p.password !== undefined && p.user_name === undefined) return false
  if (p.type === 'CONNECT' && p.client_id === '' && !p.clean_start) return false
  const lists = [p.props, p.will && p.will.props].filter(Boolean)
  return lists.every(list => {
    const user = list.filter(x => x[0] === 'user_property').map(x => x[1])
    return !user.some(([key, value], i) => value === '' && user.slice(i + 1).some(later => later[0] === key))
  })
}

function good (line, other) {
  counts.good++
  if (!other.packet) stop('They refuse what we sent.', line, other)
  if (canonical(ours(line.packet)) !== canonical(theirs(other.packet, line.version))) stop('They read something else.', line, other)
  if (!regenerable(line.packet)) {
    counts.not_regenerated++
    return
  }
  const again = mqtt.generate(other.packet, { protocolVersion: line.version })
  process.stdout.write(JSON.stringify({ version: line.version, from: line.from, hex: again.toString('hex'), packet: line.packet }) + '\n')
}

function damaged (line, other) {
  counts.damaged++
  if (line.packet) {
    if (!other.packet) stop('They refuse what we read.', line, other)
    if (canonical(ours(line.packet)) !== canonical(theirs(other.packet, line.version))) stop('They read something else.', line, other)
    counts.both_read++
  } else if (line.more) {
    if (!other.more) stop('They do not wait where we do.', line, other)
    counts.both_wait++
  } else if (other.refused) counts.both_refused++
  else if (other.more) counts.refused_early++
  else if (allowed[line.refused]) differences[line.refused] = (differences[line.refused] || 0) + 1
  else stop('We refuse what they read, and it is not on the list.', line, other)
}

const input = readline.createInterface({ input: process.stdin, crlfDelay: Infinity })
input.on('line', text => {
  const line = JSON.parse(text)
  const other = parse(Buffer.from(line.hex, 'hex'), line.version)
  if (line.kind === 'good') good(line, other)
  else damaged(line, other)
})
input.on('close', () => {
  console.error(JSON.stringify(counts))
  console.error('refused by us alone, as listed in differences.js:')
  for (const [what, n] of Object.entries(differences).sort((a, b) => b[1] - a[1])) console.error(`  ${String(n).padStart(7)}  ${what}`)
  if (counts.good === 0 || counts.both_refused === 0 || counts.both_read === 0) process.exit(1)
})
