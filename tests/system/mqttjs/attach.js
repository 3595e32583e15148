// Attaches to a node with MQTT.js, as a browser would, and does what the JSON on standard input says:
//   {url, clientId, username, password, version, subscribe: [topics], publish: [hex], count}
//   login: {seed, permalink, deviceKey, nodeKey} instead of username and password: enhanced authentication (version 5)
// Prints one JSON line for each thing that happens; ends after `count` publishes on the inbox and all PUBACKs.
'use strict'
const crypto = require('crypto')
const mqtt = require('mqtt')

const say = (event) => process.stdout.write(JSON.stringify(event) + '\n')
const fail = (why) => { say({ event: 'failed', why: String(why) }); process.exit(1) }
const hex = (text) => Buffer.from(text, 'hex')
const labelled = (label, content) => Buffer.concat([Buffer.from(`signet/v1/${label}\0`), content])

// Ed25519 keys from raw bytes, in the wrapping that Node's crypto wants.
const secretKey = (seed) => crypto.createPrivateKey(
  { key: Buffer.concat([hex('302e020100300506032b657004220420'), seed]), format: 'der', type: 'pkcs8' })
const publicKey = (raw) => crypto.createPublicKey(
  { key: Buffer.concat([hex('302a300506032b6570032100'), raw]), format: 'der', type: 'spki' })

function main (order) {
  const options = {
    clientId: order.clientId, protocolVersion: order.version, clean: true, reconnectPeriod: 0, connectTimeout: 20000,
    username: order.username, password: order.password
  }
  const method = 'signet-ed25519'
  const nonce = crypto.randomBytes(32)
  const channel = Buffer.from([3])  // WebSocket
  const login = order.login
  if (login) {
    const hello = Buffer.concat([hex('0001'), hex(login.permalink), hex(login.deviceKey), nonce, channel])
    options.properties = { authenticationMethod: method, authenticationData: hello }
  }
  const client = mqtt.connect(order.url, options)
  if (login) {
    client.handleAuth = (packet, answer) => {
      const challenge = packet.properties.authenticationData
      const nodeKey = challenge.subarray(18, 50)
      if (!nodeKey.equals(hex(login.nodeKey))) return fail('another node key than the one we trust')
      const transcript = Buffer.concat([challenge.subarray(0, 82), nonce, hex(login.permalink), hex(login.deviceKey),
        channel, Buffer.from(order.clientId)])
      if (!crypto.verify(null, labelled('login-node', transcript), publicKey(nodeKey), challenge.subarray(82))) {
        return fail('the node does not prove its key')
      }
      const proof = crypto.sign(null, labelled('login-client', transcript), secretKey(hex(login.seed)))
      answer(null, { cmd: 'auth', reasonCode: 0x18,
        properties: { authenticationMethod: method, authenticationData: proof } })
    }
  }
  let inbox = 0
  let waiting = order.publish.length
  const done = () => { if (waiting === 0 && inbox >= order.count) client.end(false, {}, () => process.exit(0)) }
  client.on('error', fail)
  client.on('close', () => { if (waiting || inbox < order.count) fail('closed') })
  client.on('message', (topic, payload) => {
    say({ event: 'message', topic, payload: payload.toString('hex') })
    if (topic === 'signet/v1/inbox') inbox += 1
    done()
  })
  client.on('connect', () => {
    say({ event: 'connected' })
    client.subscribe(order.subscribe, { qos: 1 }, (problem, granted) => {
      if (problem) return fail(problem)
      say({ event: 'subscribed', granted: granted.map((each) => each.qos) })
      for (const batch of order.publish) {
        client.publish('signet/v1/outbox', hex(batch), { qos: 1 }, (problem) => {
          if (problem) return fail(problem)
          waiting -= 1
          say({ event: 'published' })
          done()
        })
      }
      done()
    })
  })
}

let input = ''
process.stdin.on('data', (more) => { input += more }).on('end', () => main(JSON.parse(input)))
