/**
 * LevelDB's log cut anywhere, as a machine that loses power leaves it (scenario 53).
 *
 * A torn record is discarded by LevelDB itself: that is no corruption, the log ends at the last whole one.
 */
import { cpSync, statSync, truncateSync } from 'node:fs'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { leveldbStorage } from '../src/index.ts'
import { accepted, bytesOf, content, type Home, home, logIn, readAll } from './support.ts'

let place: Home

beforeEach(() => {
  place = home()
})

afterEach(() => place.remove())

const BATCH = 2

async function append(storage: ReturnType<typeof leveldbStorage>, after: number): Promise<void> {
  const until = after + BATCH
  const marks = new Map([['count', bytesOf(String(until))]])
  const batch = ['x', 'y'].map((id) => content(id, { after, until, seal: `seal ${until}` }))
  for (const result of await storage.append(batch, { marks })) accepted(result)
}

test('a log cut at every byte of its last record opens with a valid prefix, is writable, and the next append is readable', {
  timeout: 120_000,
}, async () => {
  const storage = leveldbStorage({ path: place.folder() })
  await storage.open()
  const log = logIn(place.folder())
  const ends: number[] = []
  for (let after = 0; after < 3 * BATCH; after += BATCH) {
    await append(storage, after)
    ends.push(statSync(log).size)
  }
  const [first, second, last] = ends as [number, number, number]
  const cuts = [first, first + 1, first + 6, first + 7]
  for (let cut = second; cut <= last; cut++) cuts.push(cut)
  for (const cut of cuts) {
    const copy = place.folder(`cut at ${cut}`)
    cpSync(place.folder(), copy, { recursive: true })
    truncateSync(logIn(copy), cut)
    // As many appends as are whole.
    await checkCut(copy, BATCH * ends.filter((end) => end <= cut).length)
  }
  await storage.close()
})

async function checkCut(path: string, count: number): Promise<void> {
  const storage = leveldbStorage({ path })
  const { history } = await storage.open()
  expect(history).toHaveLength(2)
  for (const id of ['x', 'y']) {
    expect((await storage.knownStates([id]))[0]?.known.sessions.get('a')).toBe(count)
    const seals = (await readAll(storage, id, 1)).map((run) => run.seal)
    expect(seals).toEqual(Array.from({ length: count / BATCH }, (_, index) => bytesOf(`seal ${BATCH * (index + 1)}`)))
  }
  expect(await storage.marks({ prefix: '', limit: 9 })).toEqual([['count', bytesOf(String(count))]])
  await append(storage, count)
  expect((await readAll(storage, 'x', 10_000)).flatMap((run) => run.transactions)).toHaveLength(count + BATCH)
  await storage.close()
}
