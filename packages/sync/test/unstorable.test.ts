/**
 * What is too large for the storage of a server: its sender is told, and what it sends again is not asked for again and again (L5).
 */
import { memoryStorage } from '@tidemark/storage'
import { expect, test } from 'vitest'
import { append, content, createWorld, OWN, settled, state } from './world.ts'

const sizes = (first: number) => Array.from({ length: 30 }, (_, index) => (index === 0 ? first : 10_000))
const note = (headerBytes: number, transactions: readonly number[]) => ({
  ...append('note', '', true, 'bytes'),
  header: new Uint8Array(headerBytes),
  runs: [{ session: 'a', after: 0, transactions: transactions.map((size, index) => new Uint8Array(size).fill(index)) }],
})

test.each([
  ['a header', note(200_000, sizes(10_000))],
  ['a run', note(10, sizes(200_000))],
])('%s that is too large to be stored, in many pages, is refused, and comes to rest', async (_, held) => {
  const world = createWorld()
  const server = await world.node('server', { storage: memoryStorage({ runBytesMax: 100_000 }) })
  const client = await world.node('client', { holds: [held], upstreamExpected: true })
  world.connect(client, server).client.ask(['note'], 'outbox')
  await settled()
  const { length } = world.trace
  await world.clock.advance(600_000)
  expect(world.trace.slice(length)).toEqual([])
  expect(world.trace.at(-1)).toBe('server > client  ERROR note tooLarge')
  expect(world.trace.filter((line) => line.includes('KNOWN!'))).toEqual([])
  expect(client.runner.status('note').uploaded).toBe(false)
})

test('whose header was too large is another document than the one that somebody else creates', async () => {
  for (const sessions of [[], [{ session: 'a', after: 0, transactions: [new Uint8Array(10)] }]]) {
    const world = createWorld()
    const server = await world.node('server', { storage: memoryStorage({ runBytesMax: 100_000 }) })
    const held = { ...note(200_000, []), runs: sessions }
    const client = await world.node('client', { holds: [held], upstreamExpected: true })
    world.connect(client, server).client.ask(['note'], 'outbox')
    await settled()
    world.peer('writer', server, OWN).say(content('note', 'b:0-1', true, 'bytes'))
    await settled()
    expect(world.trace.slice(-2)).toEqual([
      'server > client  CONTENT note header b:0-1',
      'client > server  ERROR note fork',
    ])
    expect(client.runner.status('note').uploaded).toBe(false)
    expect((await client.spy.real.knownStates(['note']))[0]?.known.sessions.has('b')).toBe(false)
  }
})

test('a header that was too large is not acknowledged because another one was stored with the same batch', async () => {
  const world = createWorld()
  const server = await world.node('server', { storage: memoryStorage({ runBytesMax: 100_000 }) })
  const [large, small] = [world.peer('large', server, OWN), world.peer('small', server, OWN)]
  large.say({ action: 'content', ...note(200_000, [10]) })
  small.say(content('note', 'b:0-1', true, 'bytes'))
  await settled()
  expect(large.heard.filter(({ action }) => action === 'known')).toEqual([])
  expect(small.heard.at(-1)).toMatchObject({ action: 'known', known: state('b:1') })
})

test('a session that was too large, and came in smaller pieces, is corrected like any other', async () => {
  const world = createWorld()
  const storage = memoryStorage({ runBytesMax: 100_000 })
  const server = await world.node('server', { storage, holds: [append('note', 'b:0-1', true, 'bytes')] })
  const peer = world.peer('peer', server, OWN)
  const seal = new Uint8Array(1)
  const say = (after: number, ...sizes: number[]) => {
    const runs = [{ session: 'a', after, transactions: sizes.map((size) => new Uint8Array(size)), seal }]
    peer.say({ ...content('note', '', false, 'bytes'), runs })
  }
  peer.load('note', state('b:1'))
  say(0, 60_000, 60_000)
  await settled()
  expect(peer.heard).toContainEqual(expect.objectContaining({ action: 'error', code: 'tooLarge' }))
  say(0, 60_000)
  say(1, 60_000)
  await settled()
  say(5, 10)
  await settled()
  expect(peer.heard.at(-1)).toMatchObject({ action: 'known', known: state('a:2 b:1'), correction: true })
})

test('whose header was too large is answered again once it sends one that fits', async () => {
  const world = createWorld()
  const server = await world.node('server', { storage: memoryStorage({ runBytesMax: 100_000 }) })
  const peer = world.peer('peer', server, OWN)
  peer.say({ action: 'content', ...note(200_000, [10]) })
  await settled()
  peer.say({ action: 'content', ...note(10, [10]) })
  await settled()
  peer.say(content('note', 'b:0-1', false, 'bytes'))
  await settled()
  expect(world.trace.filter((line) => line.startsWith('server'))).toEqual([
    'server > peer  ERROR note tooLarge',
    'server > peer  KNOWN note header a:1',
    'server > peer  KNOWN note header b:1',
  ])
})

test('whose header was too large, and who holds nothing any more, is acknowledged what it writes to the document that others created', async () => {
  const world = createWorld()
  const server = await world.node('server', { storage: memoryStorage({ runBytesMax: 100_000 }) })
  const peer = world.peer('peer', server, OWN)
  peer.say({ action: 'content', ...note(200_000, [10]) })
  await settled()
  world.peer('writer', server, OWN).say({ action: 'content', ...note(10, [10]) })
  await settled()
  peer.load('note')
  await settled()
  peer.say(content('note', 'b:0-1', false, 'bytes'))
  await settled()
  expect(world.trace.at(-2)).toBe('server > peer  KNOWN note header b:1')
})

test('of another document with an equal session nothing is said to be uploaded', async () => {
  const world = createWorld()
  const server = await world.node('server', { storage: memoryStorage({ runBytesMax: 100_000 }) })
  const held = { ...append('note', 'a:0-2', true, 'bytes'), header: new Uint8Array(200_000) }
  const client = await world.node('client', { holds: [held], upstreamExpected: true })
  world.connect(client, server).client.ask(['note'], 'outbox')
  await settled()
  const rival = world.peer('rival', server, OWN)
  world.peer('writer', server, OWN).say(content('note', 'b:0-1', true, 'bytes'))
  await settled()
  rival.say({ ...content('note', 'a:0-2', true, 'bytes'), header: new Uint8Array(9) })
  await settled()
  world.peer('writer', server, OWN).say(content('note', 'a:0-2', false, 'bytes'))
  await settled()
  expect(world.trace.filter((line) => /^server > (client|rival) {2}KNOWN note header/.test(line))).toEqual([])
  expect(client.reports.filter((report) => report.kind === 'confirmed' && report.uploaded)).toEqual([])
  expect(client.runner.status('note')).toMatchObject({ uploaded: false, inStep: false })
})

test('who was refused a session for its size is refused what continues it, also where it holds all that is stored', async () => {
  const world = createWorld()
  const storage = memoryStorage({ runBytesMax: 100_000 })
  const server = await world.node('server', { storage, holds: [append('note', 'b:0-1', true, 'bytes')] })
  const peer = world.peer('peer', server, OWN)
  peer.load('note', state('b:1'))
  await settled()
  const say = (after: number, size: number) => {
    const runs = [{ session: 'a', after, transactions: [new Uint8Array(size)], seal: new Uint8Array(1) }]
    peer.say({ ...content('note', '', false, 'bytes'), runs })
  }
  say(0, 200_000)
  await settled()
  peer.say({ action: 'known', id: 'note', known: state('b:1'), correction: true })
  await settled()
  say(1, 10)
  await settled()
  expect(world.trace.filter((line) => line.includes('KNOWN!') && line.startsWith('server'))).toEqual([])
  expect(world.trace.at(-1)).toBe('server > peer  ERROR note tooLarge')
})
