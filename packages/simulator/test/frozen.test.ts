/**
 * The checker of frozen sessions, told by hand what an engine does not do: in worlds a storage compares digests, too, before it takes anything.
 */
import type { ContentMessage, Message } from '@tidemark/protocol'
import { expect, test } from 'vitest'
import { frozen } from '../src/checkers/frozen.ts'
import { type Checker, calm, createWorld } from '../src/index.ts'

const utf8 = new TextEncoder()
const fork = { action: 'error', id: 'note', code: 'fork', message: 'session "a \\"1\\"" has two histories' } as const

function content(session: string, after: number, ...texts: string[]): ContentMessage {
  const transactions = texts.map((text) => utf8.encode(text))
  return { action: 'content', id: 'note', kind: 'bytes', priority: 3, runs: [{ session, after, transactions }] }
}

/** A server that holds x and y of session `a "1"`. */
async function createServer() {
  const world = createWorld(1, calm, { checkers: [] })
  const { disk } = await world.server('server')
  await disk.bare.append([{ ...content('a "1"', 0, 'x', 'y'), header: utf8.encode('h') }])
  const checker: Checker = frozen(world)
  return {
    judge: async () => checker.judge?.(),
    says: (connection: number, message: Message) =>
      checker.happened({ type: 'said', connection, from: 'server', to: 'anna', message }),
    hears: (connection: number, message: Message) =>
      checker.happened({ type: 'heard', connection, from: 'anna', to: 'server', message }),
  }
}

test('what comes of a frozen session and is stored all the same is seen', async () => {
  const { says, hears, judge } = await createServer()
  says(1, fork)
  hears(1, content('a "1"', 1, 'y'))
  await expect(judge()).rejects.toThrow('server took y of note a "1", of which it had said that it has two histories')
})

test('what came before, or over another connection, was taken by right', async () => {
  const { says, hears, judge } = await createServer()
  hears(1, content('a "1"', 0, 'x'))
  says(1, fork)
  hears(1, content('a "1"', 0, 'x', 'y', 'z'))
  hears(2, content('a "1"', 1, 'y'))
  await judge()
})

test('what is sent of a frozen session is seen at once; another session, document or connection goes on', async () => {
  const { says } = await createServer()
  says(1, fork)
  says(1, content('b', 0, 'x'))
  says(1, { ...content('a "1"', 0, 'x'), id: 'list' })
  says(2, content('a "1"', 0, 'x'))
  expect(() => says(1, content('a "1"', 2, 'z'))).toThrow('server sends anna note a "1" after 2')
})
