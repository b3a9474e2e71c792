/**
 * Small appends become segments, and nothing of them is lost on the way (law L8).
 */
import { EMPTY_DIGEST, extendDigest } from '@tidemark/storage/adapter'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { betterSqlite3, type SqliteStorage, sqliteStorage } from '../src/index.ts'
import { accepted, bytesOf, content, type Folder, folder, readAll, transaction } from './support.ts'

// Disks of machines with much to do are slow.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

let home: Folder
let storage: SqliteStorage

beforeEach(() => {
  home = folder()
  storage = sqliteStorage({ path: home.file(), synchronous: 'normal' })
  storage.open()
})

afterEach(async () => {
  await storage.close()
  home.remove()
})

function counts(): { segments: number; tail: number; largest: number } {
  const database = betterSqlite3.open(home.file(), { readOnly: true })
  const number = (sql: string) => database.prepare(sql).get()?.[0] as number
  const found = {
    segments: number('SELECT count(*) FROM segment'),
    tail: number('SELECT count(*) FROM piece WHERE segment IS NULL'),
    largest: number('SELECT coalesce(max(length(packed)), 0) FROM segment'),
  }
  const places = number('SELECT count(*) FROM piece WHERE segment IS NOT NULL')
  expect(places).toBe(found.segments)
  database.close()
  return found
}

test('hundreds of small appends are a few segments and a short tail', async () => {
  for (let after = 0; after < 2000; after++)
    accepted((await storage.append([content('x', { after, until: after + 1, size: 200 })]))[0])
  const { segments, tail, largest } = counts()
  expect(segments).toBeGreaterThanOrEqual(4)
  expect(segments).toBeLessThanOrEqual(16)
  expect(tail).toBeLessThan(200)
  expect(largest).toBeLessThan(130_000)
  const read = readAll(storage, 'x', 10_000).flatMap((run) => run.transactions)
  expect(read).toEqual(Array.from({ length: 2000 }, (_, index) => transaction('a', index, 200)))
})

test('a tail of tiny transactions does not grow long either, and its segments grow', async () => {
  for (let after = 0; after < 3000; after++)
    accepted((await storage.append([content('x', { after, until: after + 1, size: 12 })]))[0])
  const { segments, tail } = counts()
  expect(segments).toBeLessThanOrEqual(2)
  expect(tail).toBeLessThan(600)
})

test('packing together keeps every seal with its end', async () => {
  for (let after = 0; after < 900; after += 3)
    accepted(
      (await storage.append([content('x', { after, until: after + 3, size: 100, seal: `seal at ${after + 3}` })]))[0],
    )
  expect(counts().segments).toBeGreaterThan(0)
  const runs = readAll(storage, 'x', 1)
  expect(runs).toHaveLength(300)
  for (const [index, run] of runs.entries()) {
    expect([run.after, run.transactions.length]).toEqual([3 * index, 3])
    expect(run.seal).toEqual(bytesOf(`seal at ${3 * index + 3}`))
  }
  // From inside a sealed run its rest comes, with the seal.
  const known = { header: true, sessions: new Map([['a', 100]]) }
  expect(storage.read('x', known, { bytesMax: 1 })?.runs[0]).toMatchObject({ after: 100, seal: bytesOf('seal at 102') })
  expect(storage.knownStates(['x'])[0]?.lastRuns).toEqual(new Map([['a', 897]]))
})

test('packing together keeps the digest at every place', async () => {
  const digests = [EMPTY_DIGEST]
  for (let index = 0; index < 700; index++) {
    accepted((await storage.append([content('x', { after: index, until: index + 1, size: 100 }, 'bytes')]))[0])
    digests.push(extendDigest(digests.at(-1) as string, [transaction('a', index, 100)]))
  }
  expect(counts().segments).toBeGreaterThan(0)
  expect(storage.knownStates(['x'])[0]?.digests.get('a')).toBe(digests[700])
  for (const run of readAll(storage, 'x', 1000)) expect(run.digest).toBe(digests[run.after])
})

test.for([undefined, 'seal'])('one large run is divided only if it has no seal (%s)', async (seal) => {
  const sealed = seal === undefined ? {} : { seal }
  accepted((await storage.append([content('x', { until: 1 })]))[0])
  accepted((await storage.append([content('x', { after: 1, until: 2001, size: 500, ...sealed }, 'json')]))[0])
  expect(counts()).toMatchObject({ segments: seal === undefined ? 16 : 1, tail: 0 })
  const runs = readAll(storage, 'x', 20_000)
  expect(runs.flatMap((run) => run.transactions)).toHaveLength(2001)
  expect(runs.filter((run) => run.seal !== undefined)).toHaveLength(seal === undefined ? 0 : 1)
})

test('a large run of a bytes document has the right digest wherever it was divided', async () => {
  const large = content('x', { until: 2000, size: 500 }, 'bytes')
  accepted((await storage.append([large]))[0])
  const transactions = large.runs[0]?.transactions ?? []
  for (const run of readAll(storage, 'x', 30_000))
    expect(run.digest).toBe(extendDigest(EMPTY_DIGEST, transactions.slice(0, run.after)))
})

test('sessions are folded each for itself', async () => {
  for (let after = 0; after < 300; after++) {
    const runs = ['a', 'b'].map((session) => ({
      ...content('x', { session, after, until: after + 1, size: 300 }).runs[0],
    }))
    const header = after === 0 ? { header: bytesOf('{}') } : {}
    accepted((await storage.append([{ id: 'x', kind: 'json', priority: 3, ...header, runs: runs as never }]))[0])
  }
  for (const session of ['a', 'b'])
    expect(
      readAll(storage, 'x', 7000)
        .filter((run) => run.session === session)
        .flatMap((run) => run.transactions),
    ).toEqual(Array.from({ length: 300 }, (_, index) => transaction(session, index, 300)))
})

test('erasing leaves no row of what was erased', async () => {
  for (let after = 0; after < 400; after++)
    accepted((await storage.append([content('x', { after, until: after + 1, size: 300 })]))[0])
  accepted(
    (
      await storage.append([{ ...content('x', { session: 'tombstone', until: 2 }), header: bytesOf('{"header":"x"}') }])
    )[0],
  )
  storage.erase('x', [1, 'me'], { keep: ['tombstone'] })
  expect(counts()).toEqual({ segments: 0, tail: 1, largest: 0 })
  expect(readAll(storage, 'x', 1000).map((run) => run.session)).toEqual(['tombstone'])
})
