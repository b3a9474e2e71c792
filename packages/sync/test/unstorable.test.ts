/**
 * What is too large for the storage of a server: its sender is told, and what it sends again is not asked for again and again (L5).
 */
import { memoryStorage } from '@tidemark/storage'
import { expect, test } from 'vitest'
import { append, createWorld, settled } from './world.ts'

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
