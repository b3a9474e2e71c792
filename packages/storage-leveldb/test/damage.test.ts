/**
 * Damaged records are found when they are read, named, and cost nobody else anything.
 */
import { EMPTY } from '@tidemark/known-state'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { type LevelDatabase, type LeveldbStorage, leveldbStorage } from '../src/index.ts'
import { documentKey, headerKey, pieceKey, referenceKey, sessionKey } from '../src/keys.ts'
import { accepted, BYTES, bytesOf, content, edit, failure, type Home, home, watchFolder } from './support.ts'

// Disks of machines with much to do are slow.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

let place: Home
let storage: LeveldbStorage | undefined

beforeEach(() => {
  place = home()
})

afterEach(async () => {
  await storage?.close()
  watchFolder(place.folder(), undefined)
  place.remove()
})

/** A store with a small (1), a folded (2) and a third document (3), after `change` was done to its database. */
async function damaged(change: (db: LevelDatabase) => Promise<void>): Promise<LeveldbStorage> {
  const before = leveldbStorage({ path: place.folder(), level: 'stored' })
  await before.open()
  accepted((await before.append([content('small', { until: 2 })]))[0])
  for (let after = 0; after < 200; after++)
    accepted((await before.append([content('large', { after, until: after + 1, size: 300 })]))[0])
  accepted((await before.append([content('other', { until: 2 })]))[0])
  await before.close()
  await edit(place.folder(), change)
  storage = leveldbStorage({ path: place.folder() })
  await storage.open()
  return storage
}

const flip = (key: Uint8Array) => async (db: LevelDatabase) => {
  const value = (await db.get<Uint8Array, Uint8Array>(key, BYTES)) as Uint8Array
  const other = new Uint8Array(value)
  other[20 % other.length] = (other[20 % other.length] as number) ^ 0x10
  await db.put(key, other, BYTES)
}
const remove = (key: Uint8Array) => (db: LevelDatabase) => db.del(key, BYTES)
const replace = (key: Uint8Array, text: string) => (db: LevelDatabase) => db.put(key, bytesOf(text), BYTES)

const corrupt = (id: string) =>
  expect.objectContaining({ code: 'CORRUPT', message: expect.stringContaining(`"${id}"`) })
const page = { bytesMax: 1_000_000 }

test.for([
  ['a segment', flip(pieceKey(2, 1, 0))],
  ['a segment that is gone', remove(pieceKey(2, 1, 0))],
  ['a piece', flip(pieceKey(2, 1, 199))],
  ['a piece that is gone', remove(pieceKey(2, 1, 195))],
  ['the last piece gone', remove(pieceKey(2, 1, 199))],
  ['an empty piece', replace(pieceKey(2, 1, 199), '')],
  ['a piece of another place', (db) => db.put(pieceKey(2, 1, 199), pieceKey(2, 1, 198), BYTES)],
] as [string, (db: LevelDatabase) => Promise<void>][])(
  '%s: content is CORRUPT, the known state is not',
  async ([, change]) => {
    const store = await damaged(change)
    await expect(store.read('large', EMPTY, page)).rejects.toThrow(corrupt('large'))
    expect((await store.knownStates(['large']))[0]?.known.sessions.get('a')).toBe(200)
    expect((await store.read('small', EMPTY, page))?.runs[0]?.transactions).toHaveLength(2)
  },
)

test('what is still readable before damage is read', async () => {
  const store = await damaged(flip(pieceKey(2, 1, 199)))
  const first = await store.read('large', EMPTY, { bytesMax: 20_000 })
  expect(first?.runs[0]?.transactions.length).toBeGreaterThan(10)
  expect(first?.more).toBe(true)
})

test('a damaged header is CORRUPT for its document only', async () => {
  const store = await damaged(flip(headerKey(1)))
  await expect(store.read('small', EMPTY, page)).rejects.toThrow(corrupt('small'))
  await expect(store.headers(['small'])).rejects.toThrow(corrupt('small'))
  expect((await store.headers(['other']))[0]).toBeDefined()
  expect((await store.read('other', EMPTY, page))?.runs).toHaveLength(1)
})

test('a damaged known state is CORRUPT, never absent, and others of the batch are stored', async () => {
  const store = await damaged(replace(documentKey('small'), 'damaged'))
  const states = async (...ids: string[]) => store.knownStates(ids)
  await expect(states('small')).rejects.toThrow(corrupt('small'))
  await expect(states('other', 'small')).rejects.toThrow(corrupt('small'))
  await expect(store.read('small', EMPTY, page)).rejects.toThrow(corrupt('small'))
  expect(await states('other', 'large')).toMatchObject([{ kind: 'json' }, { kind: 'json' }])
  const marks = new Map([['m', bytesOf('1')]])
  const batch = [content('small', { after: 2, until: 3 }), content('other', { after: 2, until: 3 })]
  const [first, second] = await store.append(batch, { marks })
  expect(first).toMatchObject({ failed: 'CORRUPT' })
  expect(accepted(second).known.sessions.get('a')).toBe(3)
  expect(await store.marks({ prefix: '', limit: 9 })).toEqual([])
})

test('a session that has no name in the database is CORRUPT', async () => {
  const store = await damaged(async (db) => {
    for (const key of [referenceKey(1), sessionKey('a')]) await remove(key)(db)
  })
  await expect(async () => store.knownStates(['small'])).rejects.toThrow(corrupt('small'))
  expect((await store.append([content('small', { after: 2, until: 3 })]))[0]).toMatchObject({ failed: 'CORRUPT' })
})

test('an overlap that cannot be compared is not stored', async () => {
  const store = await damaged(remove(pieceKey(2, 1, 199)))
  const [result] = await store.append([content('large', { after: 199, until: 201, size: 300 })])
  expect(result).toMatchObject({ failed: 'CORRUPT' })
  expect((await store.knownStates(['large']))[0]?.known.sessions.get('a')).toBe(200)
})

test('a tail that cannot be folded fails its document, and no other in the batch', async () => {
  const store = await damaged(flip(pieceKey(2, 1, 199)))
  const batch = [content('large', { after: 200, until: 300, size: 400 }), content('other', { after: 2, until: 3 })]
  const [large, other] = await store.append(batch)
  expect(large).toMatchObject({ failed: 'CORRUPT', cause: corrupt('large') })
  expect(accepted(other).known.sessions.get('a')).toBe(3)
  expect((await store.knownStates(['large']))[0]?.known.sessions.get('a')).toBe(200)
})

test('a document that cannot be read from the disk fails alone', async () => {
  const store = await damaged(async () => {})
  await store.close()
  const bad = String.fromCharCode(...documentKey('small'))
  let broken = false
  watchFolder(place.folder(), (_, __, keys) => {
    if (broken && keys.some((key) => String.fromCharCode(...key) === bad)) throw failure('IO')
  })
  storage = leveldbStorage({ path: place.folder() })
  await storage.open()
  broken = true
  const batch = ['small', 'large', 'other'].map((id) => content(id, { after: id === 'large' ? 200 : 2, until: 201 }))
  const [small, large, other] = await storage.append(batch)
  expect(small).toMatchObject({ failed: 'IO' })
  expect(accepted(large).known.sessions.get('a')).toBe(201)
  expect(accepted(other).known.sessions.get('a')).toBe(201)
  await expect((async () => storage?.knownStates(['small']))()).rejects.toMatchObject({ code: 'IO' })
})
