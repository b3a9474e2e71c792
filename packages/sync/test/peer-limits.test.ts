/**
 * A peer says in its `hello` how large messages it takes: nothing larger is sent to it, and what cannot be cut is said not to be.
 */
import {
  type ContentMessage,
  contentWeight,
  dialects,
  type HelloMessage,
  ProtocolError,
  type Run,
  wireBytesOf,
} from '@tidemark/protocol'
import { memoryStorage } from '@tidemark/storage'
import { expect, test } from 'vitest'
import { run as start } from '../src/run.ts'
import { append, content, createWorld, nextTurn, OWN, settled, state } from './world.ts'

const utf8 = (text: string) => new TextEncoder().encode(text)
const hello = (messageBytesMax: number): HelloMessage => ({
  action: 'hello',
  version: 1,
  features: [],
  generation: { id: 'g', sequence: 0 },
  level: 'durable',
  limits: { messageBytesMax, frameBytesMax: 64 * 1024 * 1024 },
  peer: 'small',
})
const run = (session: string, after: number, ...sizes: number[]) => ({
  session,
  after,
  transactions: sizes.map((size) => utf8(JSON.stringify('x'.repeat(size)))),
})
const bytesOf = ({ header, runs }: ContentMessage) =>
  runs.flatMap(({ transactions }) => transactions).reduce((sum, { length }) => sum + length, header?.length ?? 0)

async function reader(holds: ReturnType<typeof append>, messageBytesMax: number) {
  const world = createWorld()
  const server = await world.node('server', { holds: [holds] })
  const peer = world.peer('small', server, { hello: true })
  peer.say(hello(messageBytesMax))
  const pages = () => peer.heard.filter((message): message is ContentMessage => message.action === 'content')
  return { world, server, peer, pages }
}

test('pages are half of what a peer takes, also of what was just written', async () => {
  const sizes = Array.from({ length: 60 }, () => 4_000)
  const { world, server, peer, pages } = await reader({ ...append('note', ''), runs: [run('a', 0, ...sizes)] }, 65_536)
  peer.load('note')
  await settled()
  expect(pages().length).toBeGreaterThan(6)
  expect(Math.max(...pages().map(bytesOf))).toBeLessThanOrEqual(32_768)
  expect(pages().flatMap(({ runs }) => runs.flatMap(({ transactions }) => transactions))).toHaveLength(60)
  const before = pages().length
  const long = { ...content('note', '', false), runs: [run('b', 0, ...sizes)] }
  world.peer('writer', server).link.receive([{ message: long, bytes: 240_000 }])
  await server.runner.flushed()
  await settled()
  expect(pages().length).toBeGreaterThan(before + 6)
  expect(Math.max(...pages().map(bytesOf))).toBeLessThanOrEqual(32_768)
})

test('a transaction that a peer does not take is passed over and reported, the rest of the document is sent', async () => {
  const runs = [run('a', 0, 10, 10), run('b', 0, 10, 60_000, 10), run('c', 0, 10)]
  const { server, peer, pages } = await reader({ ...append('note', ''), runs }, 65_536)
  peer.load('note')
  const ends = new Map(
    pages().flatMap((page) => page.runs.map((one) => [one.session, one.after + one.transactions.length])),
  )
  expect(Object.fromEntries(ends)).toEqual({ a: 2, b: 1, c: 1 })
  const unsent = server.reports.filter(({ kind }) => kind === 'unsent')
  expect(unsent).toMatchObject([{ id: 'note', code: 'tooLarge' }])
  expect(peer.heard.filter(({ action }) => action === 'error')).toEqual([])
})

test('what was announced and is then passed over is taken back: the KNOWN behind the last page says that this was all', async () => {
  const holds = { ...append('note', ''), header: utf8(JSON.stringify('h'.repeat(25_000))) }
  for (const [runs, ends] of [
    [[run('b', 0, 60_000), run('c', 0, 10)], { c: 1 }],
    [[run('a', 0, 10), run('b', 0, 60_000)], { a: 1 }],
    // Nothing comes behind the announcement.
    [[run('b', 0, 60_000)], {}],
  ] as const) {
    const { peer, pages } = await reader({ ...holds, runs: [...runs] }, 65_536)
    peer.load('note')
    await settled()
    expect(pages()[0]?.expectUntil?.sessions.has('b')).toBe(true)
    expect(Object.fromEntries(pages().flatMap((page) => page.runs.map((one) => [one.session, one.after + 1])))).toEqual(
      ends,
    )
    const stored = state(`header ${runs.map(({ session }) => `${session}:1`).join(' ')}`)
    expect(peer.heard.slice(1 + pages().length)).toMatchObject([
      { action: 'known', id: 'note', known: stored, correction: false },
    ])
  }
})

test('before a hello, too, and a stream of which nothing is passed over ends without a KNOWN', async () => {
  const large = { ...append('note', ''), header: utf8(JSON.stringify('h'.repeat(25_000))) }
  for (const [bytes, last] of [
    [60_000, 'known'],
    [25_000, 'content'],
  ] as const) {
    const world = createWorld()
    const runs = [run('b', 0, bytes), run('c', 0, 10)]
    const server = await world.node('server', { holds: [{ ...large, runs }] })
    const peer = world.peer('small', server, { hello: true })
    peer.load('note')
    await settled()
    expect(peer.heard.filter(({ action }) => action === 'content').length).toBeGreaterThan(1)
    expect(peer.heard.at(-1)?.action).toBe(last)
  }
})

test('whoever asked has its slot back when a stream ends without what was announced', async () => {
  const holds = ['first', 'second'].map((id) => ({
    ...append(id, ''),
    header: utf8(JSON.stringify('h'.repeat(25_000))),
    runs: [run('b', 0, 60_000), run('c', 0, 10)],
  }))
  const world = createWorld()
  const server = await world.node('server', { holds })
  const client = await world.node('client', { limits: { loadsInFlightMax: 1, messageBytesMax: 65_536 } })
  world.connect(client, server, { ...OWN, hello: true })
  const reading = world.peer('application', client, { local: true })
  reading.load('first')
  reading.load('second')
  await settled()
  expect(world.trace.filter((line) => line.startsWith('client > server  LOAD'))).toEqual([
    'client > server  LOAD first ∅',
    'client > server  LOAD second ∅',
  ])
})

test('a document whose header a peer does not take is refused', async () => {
  const holds = { ...append('note', 'a:0-1'), header: utf8(JSON.stringify('x'.repeat(60_000))) }
  const { peer } = await reader(holds, 65_536)
  peer.load('note')
  expect(peer.heard.slice(1)).toMatchObject([{ action: 'error', id: 'note', code: 'tooLarge' }])
})

const times = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => make(index))
const tiny = utf8('1')
const transactionsOf = (runs: readonly Run[]) => runs.reduce((sum, { transactions }) => sum + transactions.length, 0)
const small: readonly (readonly [what: string, runs: readonly Run[]])[] = [
  ['tiny transactions', [{ session: 'a', after: 0, transactions: times(20_000, () => tiny) }]],
  ['sessions', times(3_000, (index) => ({ session: `s${index}`, after: 0, transactions: [tiny] }))],
]

for (const [what, runs] of small)
  for (const dialect of dialects.filter(({ traits }) => traits.hello))
    test(`${dialect.name}: a document of very many ${what} comes in messages that its reader takes`, async () => {
      const { peer, pages } = await reader({ ...append('note', ''), runs }, 65_536)
      peer.load('note')
      await settled()
      const theirs = dialect.createCodec({ messageBytesMax: 65_536 })
      const ours = dialect.createCodec()
      for (const frame of theirs.encode([hello(65_536)], 1_000)) [...ours.decode(frame)]
      const heard = ours.encode(pages(), 128 * 1024).flatMap((frame) => [...theirs.decode(frame)])
      const read = heard.flatMap((one) => {
        if (one instanceof ProtocolError) throw one
        return one.message.action === 'content' ? one.message.runs : []
      })
      expect(transactionsOf(read)).toBe(transactionsOf(runs))
      // Not in crumbs either.
      expect(pages().length).toBeLessThan(100)
    })

test('what was just written of very many sessions is forwarded in pages, too', async () => {
  const { world, server, peer, pages } = await reader(append('note', 'a:0-1'), 64 * 1024 * 1024)
  peer.load('note')
  await settled()
  const runs = times(3_000, (index) => ({ session: `s${index}`, after: 0, transactions: [tiny] }))
  const message = { ...content('note', '', false), runs }
  // In the binary dialect, whose names are announced, it is smaller than a page.
  world.peer('writer', server).link.receive([{ message, bytes: 20_000 }])
  await server.runner.flushed()
  await settled()
  const brought = pages().slice(1)
  expect(brought.length).toBeGreaterThan(3)
  expect(Math.max(...brought.map(contentWeight))).toBeLessThanOrEqual(64 * 1024)
  expect(brought.flatMap((page) => page.runs)).toHaveLength(3_000)
})

test('a run of more transactions than any reader takes, stored before such were refused, is passed over and reported', async () => {
  const { server, peer, pages } = await reader(append('note', 'a:0-1 c:0-1'), 64 * 1024 * 1024)
  const { real } = server.spy
  const run = { session: 'b', after: 0, transactions: times(100_001, () => tiny), seal: tiny }
  const known = state('a:1 b:100001 c:1')
  server.spy.replace = {
    knownStates: async (ids) =>
      (await real.knownStates(ids)).map((stored) => stored && { ...stored, known, paged: true }),
    async read(id, after, options) {
      const page = await real.read(id, after, options)
      if (page === undefined || after.sessions.has('b')) return page
      return { ...page, runs: [run], end: { header: true, sessions: new Map([['b', 100_001]]) }, more: true }
    },
  }
  peer.load('note')
  await settled()
  expect(pages().flatMap(({ runs }) => runs.map(({ session }) => session))).toEqual(['a', 'c'])
  expect(server.reports.filter(({ kind }) => kind === 'unsent')).toMatchObject([{ id: 'note', code: 'tooLarge' }])
})

test('pages of which nothing is sent take turns like pages that are, and are reported once', async () => {
  const runs = times(60, (index) => run(`s${index}`, 0, 60_000))
  const soon: (() => void)[] = []
  const world = createWorld()
  const holds = [{ ...append('note', 'z:0-1'), runs: [...append('note', 'z:0-1').runs, ...runs] }]
  const server = await world.node('server', { holds, soon: (callback) => void soon.push(callback) })
  const peer = world.peer('small', server, { hello: true })
  peer.say(hello(65_536))
  peer.load('note')
  const reads: number[] = []
  for (let turns = 0; soon.length > 0; turns++) {
    if (turns > 1_000) throw new Error('this never ends')
    const before = server.spy.calls.read
    for (const callback of soon.splice(0)) callback()
    await nextTurn()
    reads.push(server.spy.calls.read - before)
  }
  // A portion of 128 KiB ends with the third page of 60 KB.
  expect(Math.max(...reads)).toBeLessThanOrEqual(3)
  expect(server.spy.calls.read).toBeGreaterThanOrEqual(60)
  expect(server.spy.calls.read).toBeLessThan(70)
  expect(peer.heard.flatMap((one) => (one.action === 'content' ? one.runs : []))).toMatchObject([{ session: 'z' }])
  expect(server.reports.filter(({ kind }) => kind === 'unsent')).toHaveLength(1)
})

test('a peer that takes less than every receiver does is told so and closed', async () => {
  for (const limits of [
    { messageBytesMax: 65_535, frameBytesMax: 65_536 },
    { messageBytesMax: 65_536, frameBytesMax: 65_535 },
  ]) {
    const world = createWorld()
    const server = await world.node('server')
    const peer = world.peer('small', server, { hello: true })
    peer.say({ ...hello(65_536), limits })
    expect(peer.heard.slice(1)).toMatchObject([{ action: 'error', code: 'limit' }])
    expect(peer.closed).toMatchObject({ code: 1002 })
    expect(server.reports).toEqual([])
  }
})

test('an engine that would take less than every receiver does is not made', async () => {
  const storage = memoryStorage()
  const made = start({ storage, peer: 'small', limits: { messageBytesMax: 65_535 } })
  await expect(made).rejects.toThrow('limits.messageBytesMax: expected at least 65536')
})

const megabyte = 1024 * 1024
const unsentTo = async (written: ContentMessage) => {
  const world = createWorld()
  const limits = { messageBytesMax: 64 * megabyte }
  const client = await world.node('client', { storage: memoryStorage({ runBytesMax: 32 * megabyte }), limits })
  const server = world.peer('server', client, { hello: true, upstream: true })
  const writer = world.peer('application', client, { hello: false })
  writer.link.receive([{ message: written, bytes: 1_000 }])
  await client.runner.flushed()
  await settled()
  const pages = () => server.heard.filter((message): message is ContentMessage => message.action === 'content')
  return { world, client, server, pages }
}

test('until a peer has said how much it takes it is sent what every receiver takes, and the rest then', async () => {
  const runs = [run('a', 0, 10, 60_000, 10), run('b', 0, ...times(20, () => 3_000))]
  const { client, server, pages } = await unsentTo({ ...content('note', '', true), runs })
  expect(pages().length).toBeGreaterThan(2)
  expect(Math.max(...pages().map((page) => wireBytesOf(contentWeight(page))))).toBeLessThanOrEqual(65_536)
  expect(transactionsOf(pages().flatMap((page) => page.runs))).toBe(21)
  server.say(hello(64 * megabyte))
  await settled()
  expect(transactionsOf(pages().flatMap((page) => page.runs))).toBe(23)
  expect(client.reports.filter(({ kind }) => kind === 'unsent')).toEqual([])
})

test('a document whose header is too large for every receiver waits until its peer has said how much it takes', async () => {
  const header = utf8(JSON.stringify('x'.repeat(60_000)))
  const written = { ...content('note', 'a:0-1', true), header }
  const { client, server, pages } = await unsentTo(written)
  expect(server.heard.slice(1)).toEqual([])
  server.say(hello(64 * megabyte))
  await settled()
  expect(pages()).toMatchObject([{ header, runs: [{ session: 'a' }] }])
  expect(client.reports.filter(({ kind }) => kind === 'unsent' || kind === 'refused')).toEqual([])
})

test('what is too large also for a peer that has said how much it takes is reported then, and what it says later is too late', async () => {
  const { client, server, pages } = await unsentTo({ ...content('note', '', true), runs: [run('a', 0, 60_000)] })
  expect(client.reports.filter(({ kind }) => kind === 'unsent')).toEqual([])
  server.say(hello(65_536))
  await settled()
  expect(client.reports.filter(({ kind }) => kind === 'unsent')).toMatchObject([{ id: 'note', code: 'tooLarge' }])
  server.say(hello(64 * megabyte))
  await settled()
  expect(pages().flatMap((page) => page.runs)).toEqual([])
})

test('however large pages may be, what is sent has no more transactions than a reader takes', async () => {
  const runs = ['a', 'b'].map((session) => ({ session, after: 0, transactions: times(60_000, () => tiny) }))
  const world = createWorld()
  const limits = { pageBytes: 4 * megabyte }
  const server = await world.node('server', { holds: [{ ...append('note', ''), runs }], limits })
  const peer = world.peer('reader', server, { hello: true })
  peer.say(hello(64 * megabyte))
  peer.load('note')
  const said = runs.map((run) => ({ ...run, after: 60_000 }))
  const writer = world.peer('writer', server)
  writer.link.receive([{ message: { ...content('note', '', false), runs: said }, bytes: 300_000 }])
  await server.runner.flushed()
  await settled()
  const sent = peer.heard.filter((message): message is ContentMessage => message.action === 'content')
  expect(sent.reduce((sum, page) => sum + transactionsOf(page.runs), 0)).toBe(240_000)
  expect(Math.max(...sent.map((page) => transactionsOf(page.runs)))).toBeLessThanOrEqual(100_000)
})

test('what was too large before a hello is sent when that comes while a page is read', async () => {
  const runs = [run('a', 0, 60_000), ...[...'bcdefg'].map((session) => run(session, 0, 20_000))]
  const world = createWorld()
  const server = await world.node('server', { holds: [{ ...append('note', ''), runs }] })
  const { real } = server.spy
  const gates: (() => void)[] = []
  let reads = 0
  server.spy.replace = {
    async read(id, after, options) {
      reads++
      await new Promise<void>((resolve) => gates.push(resolve))
      return await real.read(id, after, options)
    },
  }
  const peer = world.peer('small', server, { hello: true })
  peer.load('note')
  await settled()
  let isSaid = false
  for (let turns = 0; turns < 40; turns++) {
    if (!isSaid && reads >= 4 && gates.length > 0) {
      isSaid = true
      peer.say(hello(8 * 1024 * 1024))
      await settled()
    }
    for (const gate of gates.splice(0)) gate()
    await settled()
  }
  expect(isSaid).toBe(true)
  const pages = peer.heard.filter((message): message is ContentMessage => message.action === 'content')
  const sessions = pages.flatMap((page) => page.runs.map(({ session }) => session))
  expect(sessions.sort().join('')).toBe('abcdefg')
})

test('who asks before its hello for a document whose header is too large until then is told each time, and sent it then', async () => {
  const header = utf8(JSON.stringify('x'.repeat(60_000)))
  const world = createWorld()
  const server = await world.node('server', { holds: [{ ...append('note', 'a:0-1'), header }] })
  const peer = world.peer('silent', server, { hello: true })
  const heard = () => peer.heard.slice(1).map((message) => message.action)
  peer.load('note')
  peer.load('note')
  expect(peer.heard.slice(1)).toMatchObject(times(2, () => ({ action: 'error', id: 'note', code: 'tooLarge' })))
  // What comes to it later is no answer.
  world.peer('writer', server).link.receive([{ message: content('note', 'a:1-2', false), bytes: 100 }])
  await server.runner.flushed()
  await settled()
  expect(heard()).toEqual(['error', 'error'])
  peer.say(hello(8 * megabyte))
  await settled()
  expect(heard()).toEqual(['error', 'error', 'content'])
  expect(peer.heard.at(-1)).toMatchObject({ header, runs: [{ transactions: { length: 2 } }] })
})

test('nothing waits for a dependency that is too large until a hello is heard, and what was left is not sent then', async () => {
  const header = utf8(JSON.stringify('x'.repeat(60_000)))
  const holds = [
    append('list', 'a:0-1'),
    { ...append('note', 'a:0-1'), header },
    { ...append('left', 'a:0-1'), header },
  ]
  const dependenciesOf = (of: Uint8Array | undefined) => (new TextDecoder().decode(of).includes('list') ? ['note'] : [])
  const world = createWorld()
  const server = await world.node('server', { holds, hooks: { dependenciesOf } })
  const peer = world.peer('silent', server, { hello: true })
  const ids = () => peer.heard.flatMap((message) => (message.action === 'content' ? [message.id] : []))
  peer.load('list')
  peer.load('left')
  peer.say({ action: 'done', id: 'left' })
  await settled()
  expect(ids()).toEqual(['list'])
  peer.say(hello(8 * megabyte))
  await settled()
  expect(ids()).toEqual(['list', 'note'])
})
