/**
 * What forked is not uploaded: nobody is told so, and it stays owed (L13).
 *
 * Of bytes, whose digests show it. Not here: that forks are found and told (`writes.test.ts`, and the engine's tests).
 */
import { tidemarkBinary } from '@tidemark/protocol'
import { memoryStorage } from '@tidemark/storage'
import { expect, test } from 'vitest'
import { jsonPayload } from '../src/index.ts'
import { rest } from './clock.ts'
import { createWorld, keptOpen } from './world.ts'

const header = jsonPayload({ root: true })
const numbers = (...values: number[]) => values.map(jsonPayload)

test.each([
  ['as much', [3, 4]],
  ['more', [3, 4, 5, 6]],
])('a session of which the server holds %s, but something else, is never said to be uploaded', async (_, values) => {
  const world = await createWorld(tidemarkBinary)
  const disk = memoryStorage()
  const [a, b] = [await world.client({ kind: 'bytes', storage: keptOpen(disk) }), await world.client({ kind: 'bytes' })]
  const mine = await a.client.create('note', { header })
  await mine.whenUploaded()
  a.client.disconnect()
  await mine.append('s', numbers(1, 2))
  const theirs = b.client.open('note')
  await theirs.append('s', numbers(...values))
  await theirs.whenUploaded()
  const uploaded = mine.whenUploaded().then(() => 'uploaded', String)
  a.client.reconnectNow()
  await rest()
  await world.clock.advance(60_000)
  expect(await Promise.race([uploaded, rest().then(() => 'owed')])).toBe('owed')
  expect(a.client.status('note').uploaded).toBe(false)
  expect(await disk.marks({ prefix: 'tidemark outbox', limit: 10 })).toHaveLength(1)
  await world.end()
})
