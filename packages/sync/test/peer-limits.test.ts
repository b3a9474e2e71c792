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
} from '@tidemark/protocol'
import { expect, test } from 'vitest'
import { append, content, createWorld, settled, state } from './world.ts'

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
  const sizes = Array.from({ length: 60 }, () => 1_000)
  const { world, server, peer, pages } = await reader({ ...append('note', ''), runs: [run('a', 0, ...sizes)] }, 16_384)
  peer.load('note')
  expect(pages().length).toBeGreaterThan(6)
  expect(Math.max(...pages().map(bytesOf))).toBeLessThanOrEqual(8_192)
  expect(pages().flatMap(({ runs }) => runs.flatMap(({ transactions }) => transactions))).toHaveLength(60)
  const before = pages().length
  const long = { ...content('note', '', false), runs: [run('b', 0, ...sizes)] }
  world.peer('writer', server).link.receive([{ message: long, bytes: 60_000 }])
  await server.runner.flushed()
  expect(pages().length).toBeGreaterThan(before + 6)
  expect(Math.max(...pages().map(bytesOf))).toBeLessThanOrEqual(8_192)
})

test('a transaction that a peer does not take is passed over and reported, the rest of the document is sent', async () => {
  const runs = [run('a', 0, 10, 10), run('b', 0, 10, 20_000, 10), run('c', 0, 10)]
  const { server, peer, pages } = await reader({ ...append('note', ''), runs }, 16_384)
  peer.load('note')
  const ends = new Map(
    pages().flatMap((page) => page.runs.map((one) => [one.session, one.after + one.transactions.length])),
  )
  expect(Object.fromEntries(ends)).toEqual({ a: 2, b: 1, c: 1 })
  const unsent = server.reports.filter(({ kind }) => kind === 'unsent')
  expect(unsent).toMatchObject([{ id: 'note', code: 'tooLarge' }])
  expect(peer.heard.filter(({ action }) => action === 'error')).toEqual([])
})

test('a document whose header a peer does not take is refused', async () => {
  const holds = { ...append('note', 'a:0-1'), header: utf8(JSON.stringify('x'.repeat(20_000))) }
  const { peer } = await reader(holds, 16_384)
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
      const { peer, pages } = await reader({ ...append('note', ''), runs }, 16_384)
      peer.load('note')
      await settled()
      const theirs = dialect.createCodec({ messageBytesMax: 16_384 })
      const ours = dialect.createCodec()
      for (const frame of theirs.encode([hello(16_384)], 1_000)) [...ours.decode(frame)]
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
