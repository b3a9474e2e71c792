/**
 * The log cut anywhere, as a machine that loses power leaves it (scenario 53): at each end of a page of its last commit, and at every
 * byte of it with `TIDEMARK_LARGE`.
 */
import { cpSync, rmSync, statSync, truncateSync } from 'node:fs'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { betterSqlite3, type SqliteDriver, sqliteStorage } from '../src/index.ts'
import { nodeSqlite } from '../src/node-sqlite.ts'
import { accepted, bytesOf, content, type Folder, folder, readAll } from './support.ts'

// Disks of machines with much to do are slow.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

let home: Folder

beforeEach(() => {
  home = folder()
})

afterEach(() => home.remove())

/** A page in the log, and what stands before it. */
const FRAME_HEADER_BYTES = 24
const FRAME_BYTES = FRAME_HEADER_BYTES + 4096

test.for([
  ['better-sqlite3', betterSqlite3],
  ['node:sqlite', nodeSqlite],
] as const)(
  'a log cut at any place opens with a valid prefix, is writable, and the next append is readable (%s)',
  {
    timeout: 1_800_000,
  },
  async ([, driver]) => {
    const storage = sqliteStorage({ path: home.file(), driver })
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
    for (const cut of cutsIn(...(ends as [number, number, number]))) {
      const copy = home.file('cut.db')
      cpSync(home.file(), copy)
      cpSync(log, `${copy}-wal`)
      truncateSync(`${copy}-wal`, cut)
      // As many commits as are whole.
      await checkCut(driver, copy, 2 * ends.filter((end) => end <= cut).length)
      for (const suffix of ['', '-wal', '-shm']) rmSync(copy + suffix, { force: true })
    }
    await storage.close()
  },
)

/** Given where three commits end in the log. */
function cutsIn(first: number, second: number, last: number): number[] {
  const cuts = [first, first + 1, first + FRAME_HEADER_BYTES]
  for (let cut = second; cut <= last; cut++) {
    // Every frame begins with what says whether it is whole.
    const inFrame = (cut - second) % FRAME_BYTES
    const isEdge = [0, 1, FRAME_HEADER_BYTES - 1, FRAME_HEADER_BYTES, FRAME_BYTES - 1].includes(inFrame)
    if (isEdge || inFrame % 509 === 0 || process.env.TIDEMARK_LARGE) cuts.push(cut)
  }
  return cuts
}

async function checkCut(driver: SqliteDriver, path: string, count: number): Promise<void> {
  const storage = sqliteStorage({ path, driver })
  storage.open()
  expect(storage.knownStates(['x'])[0]?.known.sessions.get('a')).toBe(count)
  expect(storage.marks({ prefix: '', limit: 9 })).toEqual([['count', bytesOf(String(count))]])
  const seals = readAll(storage, 'x', 1).map((run) => run.seal)
  expect(seals).toEqual(Array.from({ length: count / 2 }, (_, index) => bytesOf(`seal ${2 * index + 2}`)))
  accepted((await storage.append([content('x', { after: count, until: count + 1 })]))[0])
  expect(readAll(storage, 'x', 1000).flatMap((run) => run.transactions)).toHaveLength(count + 1)
  await storage.close()
}
