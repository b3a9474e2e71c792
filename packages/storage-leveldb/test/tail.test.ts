/**
 * Small appends become segments (law L8), and what is remembered of them changes nothing of what is stored.
 */
import { MemoryLevel } from 'memory-level'
import { expect, test } from 'vitest'
import { type LevelDatabase, leveldbStorage } from '../src/index.ts'
import { accepted, content, readAll, transaction } from './support.ts'

const SESSIONS = ['a', 'b', 'c']
const APPENDS = 400

/** Everything but the generations, of a document that three sessions wrote; opened anew after every `reopenedAfter` appends. */
async function storedWhen(reopenedAfter: number): Promise<readonly (readonly [string, string])[]> {
  const db = new MemoryLevel<string, string>()
  const open = async () => {
    const opened = leveldbStorage({ db: db as unknown as LevelDatabase })
    await opened.open()
    return opened
  }
  let storage = await open()
  accepted((await storage.append([{ ...content('x', { until: 0 }), runs: [] }]))[0])
  for (let after = 0; after < APPENDS; after++) {
    const batch = SESSIONS.map((session) => content('x', { session, after, until: after + 1, size: 200 }))
    for (const result of await storage.append(batch)) accepted(result)
    if ((after + 1) % reopenedAfter === 0) {
      await storage.close()
      storage = await open()
    }
  }
  const read = await readAll(storage, 'x', 1_000_000)
  expect(read.filter((run) => run.session === 'b').flatMap((run) => run.transactions)).toEqual(
    Array.from({ length: APPENDS }, (_, index) => transaction('b', index, 200)),
  )
  await storage.close()
  await db.open()
  const entries = await db.iterator({ keyEncoding: 'hex', valueEncoding: 'hex' }).all()
  const generation = Buffer.from('g').toString('hex')
  return entries.filter(([key]) => !key.startsWith(generation))
}

test('the same is stored whether what is folded was remembered, partly or not at all', async () => {
  const remembered = await storedWhen(APPENDS + 1)
  const pieces = remembered.filter(([key]) => key.startsWith(Buffer.from('p').toString('hex')))
  expect(pieces.length).toBeLessThan(APPENDS)
  expect(await storedWhen(30)).toEqual(remembered)
  expect(await storedWhen(1)).toEqual(remembered)
})
