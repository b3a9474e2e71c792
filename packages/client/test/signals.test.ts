/**
 * Signals: what waits is given up when they say so, with their reason; what has begun is done.
 *
 * Not here: handles that are closed by a signal (`open-signal.test.ts`), uploads (`outbox.test.ts`).
 */
import { memoryStorage } from '@tidemark/storage'
import { expect, test } from 'vitest'
import { createClient, jsonPayload } from '../src/index.ts'
import { createTabClient } from '../src/tabs/tab-client.ts'
import { rest } from './clock.ts'
import { fakeTabs } from './fake-tabs.ts'
import { replaced } from './world.ts'

const header = jsonPayload({ root: true })
const enough = new Error('enough')

test('a write that waits for its turn is withdrawn, with what was to follow it; one that is being stored is stored', async () => {
  const disk = memoryStorage()
  let go = () => {}
  let slow = false
  const storage = replaced(disk, {
    async append(...args) {
      if (slow) await new Promise<void>((resolve) => (go = resolve))
      return disk.append(...args)
    },
  })
  const client = await createClient({ storage, kind: 'json' })
  const doc = await client.create('note', { header })
  slow = true
  const [begun, waiting] = [new AbortController(), new AbortController()]
  const writes = [
    doc.append('a', [jsonPayload(1)], { signal: begun.signal }),
    doc.append('a', [jsonPayload(2)], { signal: waiting.signal }),
    doc.append('a', [jsonPayload(3)]),
    doc.append('b', [jsonPayload(4)]),
  ]
  const outcomes = Promise.allSettled(writes)
  await rest()
  begun.abort(enough)
  waiting.abort(enough)
  slow = false
  go()
  expect((await outcomes).map((outcome) => (outcome.status === 'rejected' ? outcome.reason : outcome.status))).toEqual([
    'fulfilled',
    enough,
    enough,
    'fulfilled',
  ])
  expect((await disk.knownStates(['note']))[0]?.known.sessions).toEqual(
    new Map([
      ['a', 1],
      ['b', 1],
    ]),
  )
  await expect(doc.append('a', [jsonPayload(5)], { signal: AbortSignal.abort(enough) })).rejects.toBe(enough)
  await client.close()
})

test('opening a client is given up', async () => {
  const signal = AbortSignal.abort(enough)
  await expect(createClient({ storage: memoryStorage(), signal })).rejects.toBe(enough)
})

test('a tab that waits for its leader is given up, and leaves nothing behind', async () => {
  const tabs = fakeTabs()
  // Somebody has the lock and answers nobody.
  const silent = await tabs.tab().lock('test leader', new AbortController().signal)
  const giveUp = new AbortController()
  const options = { name: 'test', storage: memoryStorage, platform: tabs.tab(), signal: giveUp.signal }
  const opening = createTabClient(options)
  await rest()
  giveUp.abort(enough)
  await expect(opening).rejects.toBe(enough)
  silent()
  await rest()
  expect([tabs.locks(), tabs.channels()]).toEqual([[], []])
})
