/**
 * Other processes at the same file while a server has it: readers, other writers, backups. A second server: open.test.ts.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { EMPTY } from '@tidemark/known-state'
import { type Generation, isHonoured } from '@tidemark/storage'
import Library from 'better-sqlite3'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { betterSqlite3, type SqliteStorage, sqliteStorage } from '../src/index.ts'
import { type Child, start } from './children.ts'
import { accepted, bytesOf, content, type Folder, folder, readAll } from './support.ts'

// Disks of machines with much to do are slow.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

let home: Folder
const children: Child[] = []

beforeEach(() => {
  home = folder()
})

afterEach(async () => {
  for (const child of children.splice(0)) await child.kill()
  home.remove()
})

function begin(script: string, values: readonly string[]): Child {
  const child = start(script, values)
  children.push(child)
  return child
}

/** Transaction `count` of one document, and a mark that says so, in one commit. */
async function appendOne(storage: SqliteStorage, count: number): Promise<void> {
  const marks = new Map([['count', bytesOf(String(count))]])
  accepted((await storage.append([content('x', { after: count - 1, until: count, size: 300 })], { marks }))[0])
}

test.for(['better', 'node'])(
  'a reader in another process sees whole commits, one after the other (%s)',
  async (name) => {
    const storage = sqliteStorage({ path: home.file() })
    storage.open()
    await appendOne(storage, 1)
    const reader = begin('reader.ts', [home.file(), name])
    await reader.first
    let count = 1
    while (reader.lines.length < 40) {
      await appendOne(storage, ++count)
      await wait(1)
    }
    // Nor does a reader keep the server from closing, and it goes on after that.
    await storage.close()
    const looks = reader.lines.length
    await vi.waitFor(() => expect(reader.lines.length).toBeGreaterThan(looks + 2), { timeout: 20_000 })
    const seen = reader.lines.map((line) => JSON.parse(line))
    for (const { writable, count, known, read } of seen) {
      expect(writable).toBe(false)
      expect([known, read]).toEqual([count, count])
    }
    const counts = seen.map((look) => look.count as number)
    expect(counts).toEqual([...counts].sort((a, b) => a - b))
    expect(counts.at(-1)).toBe(count)
    expect(new Set(counts).size).toBeGreaterThan(5)
  },
)

test('a reader is not misled by a segment whose number was given to another one', async () => {
  const readable = (storage: SqliteStorage, id: string) =>
    readAll(storage, id, 1_000_000).flatMap((run) => run.transactions)
  const reader = sqliteStorage({ path: home.file(), readOnly: true })
  for (const id of ['first', 'second']) {
    const storage = sqliteStorage({ path: home.file() })
    storage.open()
    const large = content(id, { session: id, until: 100, size: 500 })
    accepted((await storage.append([large]))[0])
    if (id === 'first') reader.open()
    expect(readable(reader, id)).toEqual(large.runs[0]?.transactions)
    storage.erase(id, [1, 'me'], { keep: [] })
    await storage.close()
  }
  await reader.close()
})

test('a reader stays when the server is killed and another one comes', async () => {
  const appender = begin('appender.ts', [home.file(), 'better', '1', '0'])
  await appender.first
  const reader = sqliteStorage({ path: home.file(), readOnly: true })
  reader.open()
  await vi.waitFor(() => expect(reader.count()).toBeGreaterThan(3), { timeout: 20_000 })
  await appender.kill()
  const left = sequenceOf(reader)
  for (const id of reader.list({ limit: 100 }))
    expect(reader.read(id, EMPTY, { bytesMax: 1000 })?.runs.length).toBeGreaterThan(0)
  const next = begin('appender.ts', [home.file(), 'node', '2', '100000'])
  await next.first
  await vi.waitFor(() => expect(sequenceOf(reader)).toBeGreaterThan(left), { timeout: 20_000 })
  await reader.close()
})

describe('another program that writes to the file', () => {
  test('for a short time is waited for', async () => {
    const storage = sqliteStorage({ path: home.file() })
    storage.open()
    const blocker = begin('blocker.ts', [home.file(), '50'])
    await blocker.first
    await appendOne(storage, 1)
    await storage.close()
  })

  test('for longer is BUSY: nothing is stored, reading goes on, and the same append succeeds later', async () => {
    const storage = sqliteStorage({ path: home.file() })
    storage.open()
    await appendOne(storage, 1)
    const blocker = begin('blocker.ts', [home.file(), '600000'])
    await blocker.first
    expect(await storage.append([content('x', { after: 1, until: 2, size: 300 })])).toMatchObject([{ failed: 'BUSY' }])
    expect(() => storage.mergeMap('m', new Map())).toThrow(expect.objectContaining({ code: 'BUSY' }))
    expect(storage.knownStates(['x'])[0]?.known.sessions.get('a')).toBe(1)
    expect(readAll(storage, 'x', 1000)).toHaveLength(1)
    await blocker.kill()
    await appendOne(storage, 2)
    await storage.close()
  })
})

const utf8 = new TextDecoder()

/** By what means a file is backed up that another process is writing to. */
const backups: Record<string, (from: string, to: string) => Promise<void>> = {
  'VACUUM INTO': async (from, to) => {
    const database = betterSqlite3.open(from)
    database.exec(`PRAGMA busy_timeout = 5000; VACUUM INTO '${to}'`)
    database.close()
  },
  'the backup interface of SQLite': async (from, to) => {
    const database = new Library(from, { timeout: 5000 })
    // All pages in one step: a backup in steps begins again whenever somebody wrote in between.
    await database.backup(to, { progress: () => 2 ** 30 })
    database.close()
  },
}

describe('a backup while another process appends', () => {
  for (const [name, backUp] of Object.entries(backups)) {
    test(`by ${name} is a store as it was after one of its commits`, async () => {
      const appender = begin('appender.ts', [home.file(), 'better', '3', '0'])
      await appender.first
      const made: string[] = []
      for (let at = 0; at < 4; at++) {
        await vi.waitFor(() => expect(appender.lines.length).toBeGreaterThan(20 * (at + 1)), { timeout: 20_000 })
        made.push(home.file(`backup ${at}.db`))
        await backUp(home.file(), home.file(`backup ${at}.db`))
      }
      await appender.kill()
      const said = appender.lines.filter((line) => line.endsWith('}')).map((line) => JSON.parse(line))
      const batches: number[] = []
      for (const path of made) batches.push(await checkBackup(path, said))
      expect(batches).toEqual([...batches].sort((a, b) => a - b))
      expect(batches[0]).toBeLessThan(batches.at(-1) as number)
    })
  }

  test('begins a generation of its own: what came after it in the original is not honoured', async () => {
    const storage = sqliteStorage({ path: home.file() })
    const { generation } = storage.open()
    await appendOne(storage, 1)
    await backups['VACUUM INTO']?.(home.file(), home.file('backup.db'))
    const before: Generation = { id: generation.id, sequence: sequenceOf(storage) }
    await appendOne(storage, 2)
    const after: Generation = { id: generation.id, sequence: sequenceOf(storage) }
    const copy = sqliteStorage({ path: home.file('backup.db') })
    const opened = copy.open()
    expect(opened.history?.map(({ id }) => id)).toEqual([generation.id, opened.generation.id])
    expect(opened.generation.id).not.toBe(generation.id)
    expect(isHonoured(before, opened.history ?? [], sequenceOf(copy))).toBe(true)
    expect(isHonoured(after, opened.history ?? [], sequenceOf(copy))).toBe(false)
    // Also when the copy has as many changes again: they are others.
    await appendOne(copy, 2)
    expect(isHonoured(after, opened.history ?? [], sequenceOf(copy))).toBe(false)
    await copy.close()
    await storage.close()
  })
})

/** Everything that was acknowledged until the last batch that is in the backup, and nothing after it; answers that batch. */
async function checkBackup(path: string, said: readonly Said[]): Promise<number> {
  const storage = sqliteStorage({ path })
  storage.open()
  const mark = storage.marks({ prefix: 'batch', limit: 1 })[0]?.[1] ?? new Uint8Array()
  const last = Number(utf8.decode(mark))
  const counts = new Map<string, number>()
  for (const { batch, acknowledged } of said)
    if (acknowledged !== undefined && batch <= last)
      for (const [id, sessions] of acknowledged) counts.set(id, sessions[0]?.[1] as number)
  expect([...storage.list({ limit: 1000 })].sort()).toEqual([...counts.keys()].sort())
  for (const [id, count] of counts) {
    const sessions = new Map(['a', 'b'].map((session) => [session, count]))
    expect(storage.knownStates([id])[0]?.known.sessions).toEqual(sessions)
    const transactions = readAll(storage, id, 100_000).flatMap((run) => run.transactions)
    expect(transactions).toHaveLength(2 * count)
  }
  await storage.close()
  return last
}

/** What the appending process says, see children/appender.ts. */
interface Said {
  readonly batch: number
  readonly acknowledged?: readonly (readonly [id: string, sessions: readonly (readonly [string, number])[]])[]
}

function sequenceOf(storage: SqliteStorage): number {
  return storage.changes({ since: 0, limit: 1000 }).at(-1)?.sequence ?? 0
}
