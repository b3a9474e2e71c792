/**
 * What cannot be understood (scenario 33, L14): it costs its sender an error and, repeated, the connection; nobody else anything.
 */
import { EMPTY } from '@tidemark/known-state'
import { jazz, ProtocolError, tidemarkBinary, tidemarkJson } from '@tidemark/protocol'
import { expect, test } from 'vitest'
import { append, content, createWorld, JAZZ, settled } from './world.ts'

const broken = new ProtocolError('malformed', { field: 'sessions["a"]', expected: 'a count', got: '-1' })

test('33: a malformed message is answered with an error where that can be said, and the connection goes on', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('note', 'a:0-1')] })
  const own = world.peer('own', server)
  const jazzPeer = world.peer('jazz', server, JAZZ)
  for (const peer of [own, jazzPeer]) {
    peer.link.receive([broken])
    peer.load('note')
  }
  await settled()
  expect(own.heard).toMatchObject([
    { action: 'error', code: 'malformed', message: 'sessions["a"]: expected a count, got -1' },
    { action: 'content' },
  ])
  expect(jazzPeer.heard).toMatchObject([{ action: 'content' }])
})

test('33: after twenty of them the connection is closed with a reason, and the rest of its frame is not read', async () => {
  const world = createWorld()
  const server = await world.node('server')
  const bad = world.peer('bad', server, JAZZ)
  const good = world.peer('good', server, JAZZ)
  let decoded = 0
  function* flood() {
    for (; decoded < 10_000; decoded++) {
      if (bad.closed !== undefined) bad.link.closed()
      yield broken
    }
  }
  bad.link.receive(flood())
  expect(bad.closed).toEqual({
    code: 1008,
    reason: 'too many malformed messages, the last: sessions["a"]: expected a count, got -1',
  })
  expect(decoded).toBeLessThan(25)
  good.load('note')
  await settled()
  expect(good.heard).toMatchObject([{ action: 'known', known: EMPTY }])
})

test('33: what is too large refuses its document, and does not count as malformed', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('note', 'a:0-1')] })
  const peer = world.peer('peer', server, JAZZ)
  const large = new ProtocolError('limit', {
    field: 'message',
    expected: 'at most 4194304 bytes',
    got: '5000000',
    id: 'note',
  })
  for (let times = 0; times < 30; times++) peer.link.receive([large])
  await settled()
  expect(peer.closed).toBe(undefined)
  expect(world.trace).toEqual(Array(30).fill('server > peer  KNOWN note header a:1'))
})

test('33: where bytes lost their meaning the connection is closed at once, with an error and a reason', async () => {
  const world = createWorld()
  const server = await world.node('server')
  const bad = world.peer('bad', server, tidemarkBinary.traits)
  const codec = tidemarkBinary.createCodec()
  // An announcement whose length lies, and what would come after it.
  bad.link.receive(codec.decode(Uint8Array.of(2, 2, 0, 9, 7, 3, 0, 1, 97)))
  await settled()
  expect(bad.heard.at(-1)).toMatchObject({ action: 'error', code: 'malformed' })
  expect(bad.closed).toMatchObject({ code: 1002, reason: expect.stringContaining('names.id') })
})

test('a hello of a version that is not spoken is answered with an error and a close with a reason', async () => {
  for (const dialect of [tidemarkBinary, tidemarkJson]) {
    const world = createWorld()
    const server = await world.node('server')
    const bad = world.peer('bad', server, dialect.traits)
    const later = {
      action: 'hello',
      version: 2,
      features: [],
      generation: { id: 'g', sequence: 0 },
      level: 'durable',
      limits: { messageBytesMax: 1, frameBytesMax: 1 },
      peer: 'p',
    } as const
    for (const frame of dialect.createCodec().encode([later], 1_000))
      bad.link.receive(dialect.createCodec().decode(frame))
    await settled()
    expect(bad.heard.at(-1)).toMatchObject({ action: 'error', code: 'unsupported' })
    expect(bad.closed).toEqual({ code: 1002, reason: 'protocol version 1 is spoken here, not 2' })
  }
})

test('of a hello of another version only the version is read, in both dialects: what is behind it may mean anything', async () => {
  const later = [
    [tidemarkBinary, Uint8Array.of(1, 1, 2)],
    [tidemarkBinary, Uint8Array.of(1, 3, 2, 255, 255)],
    [tidemarkJson, '{"type":"hello","version":2}'],
    [tidemarkJson, '{"type":"hello","version":2,"limits":"big","features":{},"peer":7}'],
  ] as const
  for (const [dialect, frame] of later) {
    const world = createWorld()
    const server = await world.node('server')
    const bad = world.peer('bad', server, dialect.traits)
    bad.link.receive(dialect.createCodec().decode(frame))
    await settled()
    const reason = 'protocol version 1 is spoken here, not 2'
    expect(bad.heard.at(-1)).toEqual({ action: 'error', code: 'unsupported', message: reason })
    expect(bad.closed).toEqual({ code: 1002, reason })
  }
})

test('33: hostile bytes reach the engine only as errors, in all dialects', async () => {
  const hostile = [
    '',
    '{',
    'null',
    '[]',
    '{"action":"load"}',
    '{"action":"load","id":7}',
    '{"action":"load","id":"a","header":"yes","sessions":{}}',
    '{"action":"load","id":"a","header":true,"sessions":{"s":-1}}',
    '{"action":"load","id":"a","header":true,"sessions":{"s":1.5}}',
    '{"action":"load","id":"a","header":true,"sessions":{"s":9007199254740993}}',
    '{"action":"content","id":"a","new":{"s":{"after":0,"newTransactions":7}}}',
    `{"action":"load","id":"${'x'.repeat(1_000_000)}","header":false,"sessions":{}}`,
    '['.repeat(100_000),
    '{"action":"load","id":"\\ud800","header":false,"sessions":{}}',
  ]
  for (const dialect of [jazz, tidemarkJson, tidemarkBinary]) {
    const world = createWorld()
    const server = await world.node('server', { limits: { malformedMax: 1_000 } })
    const bad = world.peer('bad', server, dialect.traits)
    const writer = world.peer('writer', server)
    const reader = world.peer('reader', server)
    reader.load('note')
    const codec = dialect.createCodec()
    const encoder = new TextEncoder()
    for (const line of hostile) bad.link.receive(codec.decode(dialect.text ? line : encoder.encode(line)))
    writer.say(content('note', 'a:0-1'))
    await settled()
    expect(reader.heard.at(-1)).toMatchObject({ action: 'content', id: 'note' })
    expect(bad.heard.filter(({ action }) => action !== 'error' && action !== 'hello')).toEqual([])
    expect(server.runner.sizes()).toMatchObject({ parked: 0, queued: 0 })
  }
})
