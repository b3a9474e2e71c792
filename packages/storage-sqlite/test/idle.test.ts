/**
 * What is done when nobody writes: short tails become segments, and the log goes into the file, a little at a time.
 */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { IDLE_MS, PAUSE_MS } from '../src/idle.ts'
import { betterSqlite3, type SqliteStorage, sqliteStorage } from '../src/index.ts'
import { start } from './children.ts'
import { type ManualClock, manualClock } from './clock.ts'
import { accepted, bytesOf, content, EngineFailure, type Folder, folder, observed, readAll } from './support.ts'

// Disks of machines with much to do are slow.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

let home: Folder
let clock: ManualClock
let storage: SqliteStorage
let ran: string[]
let failing: ((sql: string) => string | undefined) | undefined

function open(): void {
  const driver = observed(betterSqlite3, {
    before(sql) {
      ran.push(sql)
      const result = failing?.(sql)
      if (result !== undefined) throw new EngineFailure(result)
    },
  })
  storage = sqliteStorage({ path: home.file(), driver, clock, synchronous: 'normal' })
  storage.open()
}

beforeEach(() => {
  home = folder()
  clock = manualClock()
  ran = []
  failing = undefined
  open()
})

afterEach(async () => {
  failing = undefined
  await storage.close()
  home.remove()
})

/** `count` transactions of 200 bytes, one after the other: each is a row of its own. */
async function grow(id: string, count: number, from = 0, kind: 'json' | 'bytes' = 'json'): Promise<void> {
  for (let after = from; after < from + count; after++) {
    const more = content(id, { after, until: after + 1, size: 200, seal: `seal at ${after + 1}` }, kind)
    accepted((await storage.append([more]))[0])
  }
}

/** Rows and segments of a document's content; the first transaction stands with the header. */
function shape(): { rows: number; segments: number } {
  const database = betterSqlite3.open(home.file(), { readOnly: true })
  const number = (sql: string) => database.prepare(sql).get()?.[0] as number
  const found = {
    rows: number('SELECT count(*) FROM piece WHERE segment IS NULL'),
    segments: number('SELECT count(*) FROM segment'),
  }
  database.close()
  return found
}

const checkpoints = () => ran.filter((sql) => sql.includes('wal_checkpoint')).length
const commits = () => ran.filter((sql) => sql === 'COMMIT').length

test.for(['json', 'bytes'] as const)(
  'a tail is folded once nobody writes, and no answer changes (%s)',
  async (kind) => {
    await grow('x', 41, 0, kind)
    const before = [storage.knownStates(['x']), storage.changes({ since: 0, limit: 9 }), readAll(storage, 'x', 1000)]
    expect(shape()).toEqual({ rows: 40, segments: 0 })
    await clock.advance(IDLE_MS - 1)
    expect(shape()).toEqual({ rows: 40, segments: 0 })
    await clock.advance(1)
    expect(shape()).toEqual({ rows: 0, segments: 1 })
    expect([storage.knownStates(['x']), storage.changes({ since: 0, limit: 9 }), readAll(storage, 'x', 1000)]).toEqual(
      before,
    )
    await grow('x', 1, 41, kind)
    await storage.close()
    open()
    expect(readAll(storage, 'x', 1)).toHaveLength(42)
  },
)

test('a short tail is left as it is', async () => {
  await grow('x', 10)
  await clock.advance(2 * IDLE_MS)
  expect(shape()).toEqual({ rows: 9, segments: 0 })
})

test('a segment that was folded on idle grows with the next fold', async () => {
  await grow('x', 41)
  await clock.advance(2 * IDLE_MS)
  await grow('x', 40, 41)
  await clock.advance(2 * IDLE_MS)
  expect(shape()).toEqual({ rows: 0, segments: 1 })
  expect(readAll(storage, 'x', 1_000_000).flatMap((run) => run.transactions)).toHaveLength(81)
})

test('sessions of a document with thousands of them are folded, too', async () => {
  const runs = Array.from({ length: 500 }, (_, index) => ({
    session: `session ${index}`,
    after: 0,
    transactions: [bytesOf('{}')],
  }))
  accepted((await storage.append([{ id: 'x', kind: 'json', priority: 3, header: bytesOf('{}'), runs }]))[0])
  for (let after = 1; after < 30; after++)
    accepted((await storage.append([content('x', { session: 'session 7', after, until: after + 1, size: 200 })]))[0])
  const before = storage.knownStates(['x'])
  await clock.advance(2 * IDLE_MS)
  expect(shape().segments).toBe(1)
  await storage.close()
  open()
  expect(storage.knownStates(['x'])).toEqual(before)
})

test('while somebody writes nothing is folded and nothing goes to the file', async () => {
  for (let round = 0; round < 10; round++) {
    await grow('x', 5, 5 * round)
    await clock.advance(IDLE_MS - 1)
  }
  expect(shape().segments).toBe(0)
  expect(checkpoints()).toBe(0)
})

test('it goes in small slices, and stops between two of them when somebody writes', async () => {
  const ids = Array.from({ length: 20 }, (_, index) => `document ${index}`)
  for (const id of ids) await grow(id, 31)
  ran = []
  await clock.advance(IDLE_MS)
  expect([commits(), shape().segments]).toEqual([1, 8])
  await grow('other', 1)
  await clock.advance(PAUSE_MS)
  expect(shape().segments).toBe(8)
  await clock.advance(IDLE_MS - PAUSE_MS)
  expect(shape().segments).toBe(16)
  await clock.advance(PAUSE_MS)
  expect(shape().segments).toBe(20)
  expect(checkpoints()).toBe(0)
  await clock.advance(PAUSE_MS)
  expect(checkpoints()).toBe(1)
})

test('the log is in the file when nobody writes, and the next append writes over it', async () => {
  await grow('x', 3)
  expect(checkpoints()).toBe(0)
  await clock.advance(2 * IDLE_MS)
  expect(checkpoints()).toBe(1)
  const database = betterSqlite3.open(home.file(), { readOnly: true })
  const [busy, inLog, inFile] = database.prepare('PRAGMA wal_checkpoint(NOOP)').get() as number[]
  database.close()
  expect([busy, inFile]).toEqual([0, inLog])
  // Nothing is left to do, and nothing waits.
  expect(clock.waiting()).toBe(0)
  await clock.advance(10 * IDLE_MS)
  expect(checkpoints()).toBe(1)
})

test('a reader of an older state is not waited for', async () => {
  const reader = betterSqlite3.open(home.file(), { readOnly: true })
  reader.exec('BEGIN')
  reader.prepare('SELECT count(*) FROM document').get()
  await grow('x', 41)
  await clock.advance(2 * IDLE_MS)
  // A passive one takes what no reader needs, and never waits.
  expect(ran.filter((sql) => sql.includes('wal_checkpoint'))).toEqual(['PRAGMA wal_checkpoint(PASSIVE)'])
  expect(reader.prepare('SELECT count(*) FROM document').get()).toEqual([0])
  expect(shape().segments).toBe(1)
  reader.exec('COMMIT')
  reader.close()
})

test.for(['FULL', 'BUSY', 'IOERR'])(
  'what fails on idle (%s) harms nobody, and is done after a later append',
  async (result) => {
    await grow('x', 31)
    failing = (sql) => (sql === 'COMMIT' ? result : undefined)
    await clock.advance(2 * IDLE_MS)
    expect(clock.waiting()).toBe(0)
    failing = undefined
    expect(shape().segments).toBe(0)
    await grow('x', 1, 31)
    await clock.advance(2 * IDLE_MS)
    expect(shape()).toEqual({ rows: 0, segments: 1 })
    expect(readAll(storage, 'x', 1_000_000).flatMap((run) => run.transactions)).toHaveLength(32)
  },
)

test('a damaged tail does not keep the others from being folded', async () => {
  await grow('damaged', 31)
  for (let index = 0; index < 10; index++) await grow(`document ${index}`, 31)
  const database = betterSqlite3.open(home.file())
  database.exec("UPDATE piece SET packed = x'00' WHERE document = 1 AND until = 20")
  database.close()
  await clock.advance(2 * IDLE_MS)
  expect(checkpoints()).toBe(1)
  expect(shape().segments).toBeGreaterThan(0)
  expect(storage.knownStates(['damaged'])[0]?.known.sessions.get('a')).toBe(31)
})

test('closing leaves nothing that waits', async () => {
  await grow('x', 2)
  expect(clock.waiting()).toBe(1)
  await storage.close()
  expect(clock.waiting()).toBe(0)
})

test('a process that did not close ends by itself', async () => {
  const child = start('forgetful.ts', [home.file('other.db')])
  expect(await child.first).toBe('stored')
  await child.gone
  expect(child.process.exitCode).toBe(0)
})
