/**
 * A peer says in its `hello` how large messages it takes: nothing larger is sent to it, and what cannot be cut is said not to be.
 */
import type { ContentMessage, HelloMessage } from '@tidemark/protocol'
import { expect, test } from 'vitest'
import { append, content, createWorld } from './world.ts'

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
