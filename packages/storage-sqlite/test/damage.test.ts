/**
 * Damaged rows are found when they are read, named, and cost nobody else anything.
 */
import { EMPTY } from '@tidemark/known-state'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { betterSqlite3, type SqliteStorage, sqliteStorage } from '../src/index.ts'
import { accepted, content, type Folder, folder } from './support.ts'

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
