/**
 * The log cut anywhere, as a machine that loses power leaves it (scenario 53).
 */
import { cpSync, statSync, truncateSync } from 'node:fs'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { sqliteStorage } from '../src/index.ts'
import { accepted, bytesOf, content, type Folder, folder, readAll } from './support.ts'

// Disks of machines with much to do are slow.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

let home: Folder

beforeEach(() => {
  home = folder()
})

afterEach(() => home.remove())

test('a log cut at any place opens with a valid prefix, is writable, and the next append is readable', async () => {
  const storage = sqliteStorage({ path: home.file() })
  storage.open()
  const log = `${home.file()}-wal`
  const ends: number[] = []
  for (let after = 0; after < 6; after += 2) {
    const marks = new Map([['count', bytesOf(String(after + 2))]])
    accepted(
      (await storage.append([content('x', { after, until: after + 2, seal: `seal ${after + 2}` })], { marks }))[0],
    )
    ends.push(statSync(log).size)
  }
  const [first, , last] = ends as [number, number, number]
  const cuts = [first, first + 1, first + 23, first + 24, ends[1] as number, last - 1, last]
  for (let cut = first; cut < last; cut += 997) cuts.push(cut)
  for (const [index, cut] of cuts.entries()) {
    const copy = home.file(`cut ${index}.db`)
    cpSync(home.file(), copy)
    cpSync(log, `${copy}-wal`)
    truncateSync(`${copy}-wal`, cut)
    // As many commits as are whole.
    await checkCut(copy, 2 * ends.filter((end) => end <= cut).length)
  }
  await storage.close()
})

async function checkCut(path: string, count: number): Promise<void> {
  const storage = sqliteStorage({ path })
  storage.open()
  expect(storage.knownStates(['x'])[0]?.known.sessions.get('a')).toBe(count)
  expect(storage.marks({ prefix: '', limit: 9 })).toEqual([['count', bytesOf(String(count))]])
  const seals = readAll(storage, 'x', 1).map((run) => run.seal)
  expect(seals).toEqual(Array.from({ length: count / 2 }, (_, index) => bytesOf(`seal ${2 * index + 2}`)))
  accepted((await storage.append([content('x', { after: count, until: count + 1 })]))[0])
  expect(readAll(storage, 'x', 1000).flatMap((run) => run.transactions)).toHaveLength(count + 1)
  await storage.close()
}
