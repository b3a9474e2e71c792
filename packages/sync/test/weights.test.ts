/**
 * Weights of what is received: many small things count as what they take in memory, not as the bytes that they came in.
 */
import type { Decoded, Message, Run } from '@tidemark/protocol'
import { EMPTY_DIGEST } from '@tidemark/storage'
import { describe, expect, test } from 'vitest'
import { createWorld, settled } from './world.ts'

const COUNT = 10_000
const MESSAGES = 100
const NOTHING = new Uint8Array(0)

const run = (session: string, transactions: number): Run => ({
  session,
  after: 0,
  digest: EMPTY_DIGEST,
  transactions: Array<Uint8Array>(transactions).fill(NOTHING),
})

const many = <T>(make: (index: number) => T): T[] => Array.from({ length: COUNT }, (_, index) => make(index))

function content(id: string, runs: readonly Run[]): Message {
  return { action: 'content', id, kind: 'bytes', priority: 3, header: NOTHING, runs }
}

/** A byte or a few each on the wire, with names that were announced; and what a message takes at the least. */
const messages: readonly (readonly [string, number, number, (id: string) => Message])[] = [
  ['empty transactions', COUNT, 100 * COUNT, (id) => content(id, [run('a', COUNT)])],
  [
    'runs of one transaction',
    4 * COUNT,
    400 * COUNT,
    (id) =>
      content(
        id,
        many((at) => run(`${at}`, 1)),
      ),
  ],
  [
    'sessions of an announcement',
    2 * COUNT,
    32 * COUNT,
    (id) => ({
      ...content(id, [run('a', 1)]),
      expectUntil: { header: true, sessions: new Map(many((at) => [`${at}`, 1] as const)) },
    }),
  ],
  [
    'sessions of a known state',
    2 * COUNT,
    32 * COUNT,
    (id) => ({ action: 'load', id, known: { header: true, sessions: new Map(many((at) => [`${at}`, 1] as const)) } }),
  ],
]

describe.each(messages)('L10: %s', (_name, wireBytes, heldBytes, make) => {
  test.each([
    ['a client to a server', false],
    ['a server to a client', true],
  ])(
    'count as what they take in memory, from %s: who has brought so much is not read further',
    async (_who, upstream) => {
      const world = createWorld()
      const pendingBytesMax = 3 * heldBytes
      const node = await world.node('node', { limits: { pendingBytesMax } })
      node.spy.replace = { append: () => new Promise(() => {}), knownStates: () => new Promise(() => {}) }
      const sender = world.peer('sender', node, { upstream })
      let taken = 0
      function* frame(): Generator<Decoded> {
        for (; taken < MESSAGES; taken++) yield { message: make(`d${taken}`), bytes: wireBytes }
      }
      sender.link.receive(frame())
      await settled()
      expect(taken).toBeLessThanOrEqual(4)
      expect(sender.paused).toBe(true)
      expect(sender.link.sizes().pendingBytes).toBeGreaterThan(pendingBytesMax)
    },
  )
})
