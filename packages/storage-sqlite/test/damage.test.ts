/**
 * Damaged rows are found when they are read, named, and cost nobody else anything.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { EMPTY } from '@tidemark/known-state'
import type { Run } from '@tidemark/protocol'
import { StorageError } from '@tidemark/storage'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { betterSqlite3, type SqliteStorage, sqliteStorage } from '../src/index.ts'
import { accepted, content, type Folder, folder, readAll } from './support.ts'

// Disks of machines with much to do are slow.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

let home: Folder
let storage: SqliteStorage | undefined

beforeEach(() => {
  home = folder()
})

afterEach(async () => {
  await storage?.close()
  home.remove()
})

/** A store with a small, a folded and a third document, after `sql` was done to its file. */
async function damaged(sql: string): Promise<SqliteStorage> {
  const before = sqliteStorage({ path: home.file() })
  before.open()
  accepted((await before.append([content('small', { until: 2 })]))[0])
  for (let after = 0; after < 200; after++)
    accepted((await before.append([content('large', { after, until: after + 1, size: 300 })]))[0])
  accepted((await before.append([content('other', { until: 2 })]))[0])
  await before.close()
  const database = betterSqlite3.open(home.file())
  database.exec(sql)
  database.close()
  storage = sqliteStorage({ path: home.file() })
  storage.open()
  return storage
}

const corrupt = (id: string) =>
  expect.objectContaining({ code: 'CORRUPT', message: expect.stringContaining(`"${id}"`) })
const flip = "CAST(substr(packed, 1, 20) || x'ff' || substr(packed, 22) AS BLOB)"
const page = { bytesMax: 1_000_000 }

test.for([
  ['a segment', `UPDATE segment SET packed = ${flip}`],
  ['a segment that is gone', 'DELETE FROM segment'],
  ['a piece', `UPDATE piece SET packed = ${flip} WHERE packed IS NOT NULL`],
  ['a piece that is gone', 'DELETE FROM piece WHERE until = 195'],
  ['the last piece gone', 'DELETE FROM piece WHERE until = 200'],
  ['an empty piece', "UPDATE piece SET packed = x'' WHERE packed IS NOT NULL"],
] as const)('%s: content is CORRUPT, the known state is not', async ([, sql]) => {
  const store = await damaged(sql)
  expect(() => store.read('large', EMPTY, page)).toThrow(corrupt('large'))
  expect(store.knownStates(['large'])[0]?.known.sessions.get('a')).toBe(200)
  expect(store.read('small', EMPTY, page)?.runs[0]?.transactions).toHaveLength(2)
})

test('a damaged document fails for itself, and no mark of its batch is set', async () => {
  const store = await damaged("UPDATE document SET state = x'0102030405060708' WHERE id = 'small'")
  const batch = [content('other', { after: 2, until: 3 }), content('small', { after: 2, until: 3 })]
  const [other, small] = await store.append(batch, { marks: new Map([['mark', Uint8Array.of(1)]]) })
  accepted(other)
  expect(small).toMatchObject({ failed: 'CORRUPT' })
  expect(store.marks({ prefix: '', limit: 9 })).toEqual([])
})

test('a damaged first row is CORRUPT for its document only', async () => {
  const store = await damaged(`UPDATE first SET packed = ${flip} WHERE document = 1`)
  expect(() => store.read('small', EMPTY, page)).toThrow(corrupt('small'))
  expect(() => store.headers(['small'])).toThrow(corrupt('small'))
  expect(store.headers(['other'])[0]).toBeDefined()
  expect(store.read('other', EMPTY, page)?.runs).toHaveLength(1)
})

test('a damaged known state is CORRUPT, never absent, and others of the batch are stored', async () => {
  const store = await damaged("UPDATE document SET state = x'0102030405060708' WHERE id = 'small'")
  expect(() => store.knownStates(['small'])).toThrow(corrupt('small'))
  expect(() => store.knownStates(['other', 'small'])).toThrow(corrupt('small'))
  expect(() => store.read('small', EMPTY, page)).toThrow(corrupt('small'))
  expect(store.knownStates(['other', 'large'])).toMatchObject([{ kind: 'json' }, { kind: 'json' }])
  const [first, second] = await store.append([
    content('small', { after: 2, until: 3 }),
    content('other', { after: 2, until: 3 }),
  ])
  expect(first).toMatchObject({ failed: 'CORRUPT' })
  expect(accepted(second).known.sessions.get('a')).toBe(3)
})

test('a session that has no name in the file is CORRUPT', async () => {
  const store = await damaged('DELETE FROM session')
  expect(() => store.knownStates(['small'])).toThrow(corrupt('small'))
})

test('an overlap that cannot be compared is not stored', async () => {
  const store = await damaged('DELETE FROM piece WHERE until = 200')
  const [result] = await store.append([content('large', { after: 199, until: 201, size: 300 })])
  expect(result).toMatchObject({ failed: 'CORRUPT' })
  expect(store.knownStates(['large'])[0]?.known.sessions.get('a')).toBe(200)
})

test('a document whose end is damaged is read up to there, and the others go on in every way', async () => {
  const store = await damaged('DELETE FROM piece WHERE until = 200')
  const known = { header: true, sessions: new Map([['a', 150]]) }
  expect(store.read('large', known, { bytesMax: 3000 })?.runs[0]).toMatchObject({ after: 150 })
  expect(store.list({ limit: 9 })).toEqual(['large', 'other', 'small'])
  expect(store.changes({ since: 0, limit: 9 })).toHaveLength(3)
  accepted((await store.append([content('small', { after: 2, until: 400, size: 300 })]))[0])
  accepted((await store.append([content('new', { until: 2 })]))[0])
  expect(store.read('small', EMPTY, page)?.runs[0]?.transactions).toHaveLength(400)
  expect(store.erase('large', [1, 'me'], { keep: [] })?.erased).toEqual([1, 'me'])
})

test('whatever page of the file is overwritten: what can still be read is right, all else is CORRUPT', async () => {
  const before = sqliteStorage({ path: home.file() })
  before.open()
  const ids = Array.from({ length: 40 }, (_, index) => `document ${index}`)
  for (const id of ids) accepted((await before.append([content(id, { until: 30, size: 300 })]))[0])
  const expected = new Map(ids.map((id) => [id, readAll(before, id, 10_000)]))
  await before.close()
  const file = readFileSync(home.file())
  const pages = file.length / 4096
  let readable = 0
  for (let at = 1; at < pages; at++) {
    const copy = home.file('overwritten.db')
    writeFileSync(copy, Uint8Array.from(file).fill(0xa5, at * 4096, (at + 1) * 4096))
    readable += await readableOf(copy, expected)
  }
  // One page in some hundred is one document, or an inner page of the ids; the rest of the file is as it was.
  expect(readable / ids.length / (pages - 1)).toBeGreaterThan(0.8)
})

/** How many documents are still there; each of the others is CORRUPT. */
async function readableOf(path: string, expected: ReadonlyMap<string, readonly Run[]>): Promise<number> {
  const store = sqliteStorage({ path })
  const isRight = (id: string, runs: readonly Run[]) => {
    try {
      expect(store.knownStates([id])[0]?.known.sessions.get('a')).toBe(30)
      expect(readAll(store, id, 10_000)).toEqual(runs)
      return true
    } catch (cause) {
      if (!(cause instanceof StorageError)) throw cause
      expect(cause.code).toBe('CORRUPT')
      return false
    }
  }
  try {
    store.open()
  } catch (cause) {
    expect(cause).toMatchObject({ code: 'CORRUPT' })
    return 0
  }
  let readable = 0
  for (const [id, runs] of expected) if (isRight(id, runs)) readable++
  await store.close()
  return readable
}
