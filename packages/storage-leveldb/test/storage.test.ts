/**
 * What it costs: which keys are read and written, how much, in how many batches; and what becomes of a write that fails.
 */
import { EMPTY, knownState } from '@tidemark/known-state'
import { type ClassicLevel, ClassicLevel as Level } from 'classic-level'
import { MemoryLevel } from 'memory-level'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type LevelDatabase, type LeveldbFolderOptions, type LeveldbStorage, leveldbStorage } from '../src/index.ts'
import {
  accepted,
  bytesOf,
  content,
  failure,
  type Home,
  home,
  readAll,
  transaction,
  type Watch,
  watched,
  watchFolder,
} from './support.ts'

// Disks of machines with much to do are slow.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

let place: Home
let storage: LeveldbStorage
let reads: string[]
let batches: string[][]
let failing: Watch | undefined

async function open(options: Partial<LeveldbFolderOptions> = {}): Promise<LeveldbStorage> {
  const opened = leveldbStorage({ path: place.folder(), level: 'stored', ...options })
  await opened.open()
  return opened
}

beforeEach(async () => {
  place = home()
  failing = undefined
  watchFolder(place.folder(), (access, letters, keys) => {
    if (access === 'write') batches.push([...letters])
    else reads.push(...letters)
    failing?.(access, letters, keys)
  })
  reads = []
  batches = []
  storage = await open()
})

afterEach(async () => {
  failing = undefined
  await storage.close()
  watchFolder(place.folder(), undefined)
  place.remove()
})

/** The letters of the keys that were asked for since, see keys.ts. */
function asked(): string[] {
  const letters = [...new Set(reads)].sort()
  reads = []
  return letters
}

describe('known states', () => {
  test('are read without a header or a transaction', async () => {
    for (let after = 0; after < 5; after++)
      accepted((await storage.append([content('x', { after, until: after + 1 })]))[0])
    await storage.append([content('y', { until: 1 })])
    asked()
    await storage.knownStates(['x'])
    expect(asked()).toEqual(['d'])
    await storage.knownStates(['x', 'y', 'z'])
    expect(asked()).toEqual(['d'])
  })

  test('of one document are answered at once, of any number in one read for each of two threads', async () => {
    const ids = Array.from({ length: 500 }, (_, index) => `document ${index}`)
    await storage.append(ids.map((id) => content(id, { until: 1 })))
    expect(storage.knownStates(['document 7'])).toMatchObject([{ known: knownState(true, [['a', 1]]) }])
    expect(storage.knownStates(['nobody'])).toEqual([undefined])
    const level = vi.spyOn(Level.prototype as ClassicLevel, 'getMany')
    expect((await storage.knownStates(ids)).every((state) => state?.known.sessions.get('a') === 1)).toBe(true)
    expect(level).toHaveBeenCalledTimes(2)
    level.mockRestore()
  })

  test('are right however few session ids are remembered', async () => {
    await storage.close()
    storage = await open({ sessionsRememberedMax: 4 })
    const ids = Array.from({ length: 40 }, (_, index) => `document ${index}`)
    for (const id of ids) accepted((await storage.append([content(id, { session: `session of ${id}`, until: 2 })]))[0])
    for (const id of ids)
      expect((await storage.knownStates([id]))[0]?.known).toEqual(knownState(true, [[`session of ${id}`, 2]]))
    expect((await storage.knownStates(ids)).map((state) => [...(state?.known.sessions.keys() ?? [])])).toEqual(
      ids.map((id) => [`session of ${id}`]),
    )
  })

  test('of documents with many sessions show one moment, whatever is written meanwhile', async () => {
    const session = (index: number) => `session ${String(index).padStart(4, '0')}`
    const grown = (after: number) => ({
      ...content('x', { until: 1 }),
      runs: Array.from({ length: 300 }, (_, index) => ({
        session: session(index),
        after,
        transactions: [transaction(session(index), after)],
      })),
    })
    accepted((await storage.append([grown(0)]))[0])
    for (let after = 1; after < 20; after++) {
      const append = storage.append([grown(after)])
      const states = await Promise.all(Array.from({ length: 20 }, () => storage.knownStates(['x', 'y'])))
      for (const [state] of states) expect(new Set(state?.known.sessions.values()).size).toBe(1)
      await append
    }
  })
})

describe('appending', () => {
  test('what arrives while a batch is written is the next batch', async () => {
    batches = []
    const first = storage.append([content('first', { until: 1 })])
    await new Promise((resolve) => setImmediate(resolve))
    const appends = Array.from({ length: 100 }, (_, index) =>
      storage.append([content(`document ${index}`, { until: 1 })]),
    )
    for (const results of await Promise.all([first, ...appends])) accepted(results[0])
    expect(batches).toHaveLength(2)
  })

  test.for([
    ['durable', true],
    ['stored', false],
  ] as const)('at level %s every batch is written with sync: %s', async ([level, sync]) => {
    await storage.close()
    storage = await open({ level })
    const batch = vi.spyOn(Level.prototype as ClassicLevel, 'batch')
    accepted((await storage.append([content('x', { until: 1 })]))[0])
    await storage.append([], { marks: new Map([['m', bytesOf('1')]]) })
    await storage.mergeMap('map', new Map([['k', { version: [1, 'a'], bytes: bytesOf('v') }]]))
    await storage.erase('x', [1, 'a'], { keep: [] })
    const options = batch.mock.calls.map((values: unknown[]) => (values[1] as { sync?: boolean }).sync)
    expect(options).toEqual([sync, sync, sync, sync])
    batch.mockRestore()
  })

  test('a new document is a row, its place among the changes, its header and a piece', async () => {
    await storage.append([content('other', { until: 1 })])
    batches = []
    accepted((await storage.append([content('x', { until: 2, seal: 'seal' })]))[0])
    expect(batches.map((letters) => letters.sort())).toEqual([['c', 'd', 'h', 'p']])
    asked()
    expect((await storage.read('x', EMPTY, { bytesMax: 1000 }))?.runs[0]?.transactions).toHaveLength(2)
    expect(reads).toEqual(['d', 'h', 'p'])
  })

  test('many contents of one document write its row once and one piece', async () => {
    accepted((await storage.append([content('x', { until: 1 })]))[0])
    batches = []
    const appends = Array.from({ length: 20 }, (_, index) =>
      storage.append([content('x', { after: index + 1, until: index + 2 })]),
    )
    for (const [index, results] of (await Promise.all(appends)).entries())
      expect(accepted(results[0]).known.sessions.get('a')).toBe(index + 2)
    expect(batches.map((letters) => letters.sort())).toEqual([['c', 'c', 'd', 'p']])
  })

  test('states that are looked at late, and in any order, are those after each content', async () => {
    const results = await storage.append(
      Array.from({ length: 9 }, (_, index) => content('x', { after: index, until: index + 1, seal: `${index}` })),
    )
    const counts = [8, 0, 3, 3, 7, 1].map((index) => accepted(results[index]).known.sessions.get('a'))
    expect(counts).toEqual([9, 1, 4, 4, 8, 2])
    expect(accepted(results[4]).lastRuns).toEqual(new Map([['a', 4]]))
    expect(accepted(results[8])).toEqual((await storage.knownStates(['x']))[0])
  })

  test('what is held already writes nothing', async () => {
    accepted((await storage.append([content('x', { until: 4, seal: 'seal' })]))[0])
    const sequence = (await storage.changes({ since: 0, limit: 1 }))[0]?.sequence
    batches = []
    accepted((await storage.append([content('x', { until: 3, seal: 'other' })]))[0])
    expect(batches).toEqual([])
    expect((await storage.changes({ since: 0, limit: 1 }))[0]?.sequence).toBe(sequence)
  })

  test('comparing an overlap reads only the piece that overlaps', async () => {
    for (let after = 0; after < 20; after++)
      accepted((await storage.append([content('x', { after, until: after + 1, size: 200 })]))[0])
    reads = []
    accepted((await storage.append([content('x', { after: 19, until: 21, size: 200 })]))[0])
    expect(reads.filter((letter) => letter === 'p')).toHaveLength(1)
  })

  test('small appends are folded, and the fold is one batch with what made it so', async () => {
    for (let after = 0; after < 200; after++)
      accepted((await storage.append([content('x', { after, until: after + 1, size: 300 })]))[0])
    // 32 KiB at 300 bytes and 64 for each piece: the 91st folds, and the last segment grows with the next fold.
    const folds = batches.filter((letters) => letters.filter((letter) => letter === 'p').length > 1)
    expect(folds).toHaveLength(2)
    const runs = await readAll(storage, 'x', 1000)
    expect(runs.flatMap((run) => run.transactions)).toEqual(
      Array.from({ length: 200 }, (_, index) => transaction('a', index, 300)),
    )
  })

  test('a document with 10,000 sessions: one transaction writes at most 16 KiB', async () => {
    const runs = Array.from({ length: 10_000 }, (_, index) => {
      const session = `session ${(index * 7919) % 10_000}`
      return { session, after: 0, transactions: [transaction(session, 0)] }
    })
    accepted((await storage.append([{ id: 'x', kind: 'bytes', priority: 3, header: bytesOf('{}'), runs }]))[0])
    const batch = vi.spyOn(Level.prototype as ClassicLevel, 'batch')
    const one = content('x', { session: 'session 4711', after: 1, until: 2 }, 'bytes')
    const state = accepted((await storage.append([one]))[0])
    const operations = (batch.mock.calls[0] as unknown[])[0] as { key: Uint8Array; value?: Uint8Array }[]
    batch.mockRestore()
    const bytes = operations.reduce((sum, { key, value }) => sum + key.length + (value?.length ?? 0), 0)
    expect(bytes).toBeLessThanOrEqual(16 * 1024)
    expect(state.known.sessions.size).toBe(10_000)
    expect(state.known.sessions.get('session 4711')).toBe(2)
    expect((await storage.knownStates(['x']))[0]).toEqual(state)
  })

  test('an abort before the batch stores nothing and rejects with its reason', async () => {
    const controller = new AbortController()
    const append = storage.append([content('x', { until: 1 })], { signal: controller.signal })
    const reason = new Error('left')
    controller.abort(reason)
    await expect(append).rejects.toBe(reason)
    expect(await storage.knownStates(['x'])).toEqual([undefined])
  })
})

describe('a write that fails', () => {
  const full: Watch = (access) => {
    if (access === 'write') throw failure('QUOTA')
  }

  test('is told to all in its batch, and the next one works', async () => {
    failing = full
    const appends = ['x', 'y'].map((id) => storage.append([content(id, { until: 1 })]))
    for (const append of appends) await expect(append).rejects.toMatchObject({ code: 'QUOTA' })
    failing = undefined
    expect(await storage.knownStates(['x', 'y'])).toEqual([undefined, undefined])
    for (const id of ['y', 'x']) accepted((await storage.append([content(id, { until: 1 })]))[0])
    expect(await storage.count()).toBe(2)
    expect((await storage.changes({ since: 0, limit: 9 })).map(({ sequence }) => sequence)).toEqual([1, 2])
  })

  test('leaves no session name behind that was not stored', async () => {
    failing = full
    await expect(storage.append([content('x', { session: 'lost', until: 1 })])).rejects.toMatchObject({ code: 'QUOTA' })
    failing = undefined
    accepted((await storage.append([content('y', { session: 'other', until: 1 })]))[0])
    accepted((await storage.append([content('z', { session: 'lost', until: 2 })]))[0])
    expect((await storage.knownStates(['y', 'z'])).map((state) => state?.known.sessions)).toEqual([
      new Map([['other', 1]]),
      new Map([['lost', 2]]),
    ])
  })

  test('makes readers wait while the database is opened anew, and fails none of them', async () => {
    const ids = Array.from({ length: 50 }, (_, index) => `document ${index}`)
    await storage.append(ids.map((id) => content(id, { until: 3 })))
    failing = full
    const failed = storage.append([content('x', { until: 1 })]).catch((cause: unknown) => cause)
    const found: unknown[] = []
    const reading = (async () => {
      for (let round = 0; round < 30; round++) {
        const [one, many, page] = await Promise.all([
          storage.knownStates(['document 1']),
          storage.knownStates(ids),
          storage.read('document 2', EMPTY, { bytesMax: 1000 }),
        ])
        found.push([one.length, many.every((state) => state !== undefined), page?.runs.length])
      }
    })()
    expect(await failed).toMatchObject({ code: 'QUOTA' })
    failing = undefined
    await reading
    expect(new Set(found.map((entry) => JSON.stringify(entry)))).toEqual(new Set(['[1,true,1]']))
  })

  test('that was performed nevertheless is found out, and its numbers are not given again', async () => {
    const level = watched(new MemoryLevel({ storeEncoding: 'view' }), () => {}) as unknown as LevelDatabase
    const other = leveldbStorage({ db: level })
    await other.open()
    const batch = level.batch.bind(level)
    Object.assign(level, {
      async batch(...values: Parameters<typeof batch>) {
        await batch(...values)
        throw failure('IO')
      },
    })
    await expect(other.append([content('x', { session: 'one', until: 1 })])).rejects.toMatchObject({ code: 'IO' })
    Object.assign(level, { batch })
    accepted((await other.append([content('y', { session: 'two', until: 2 })]))[0])
    expect((await other.knownStates(['x', 'y'])).map((state) => state?.known.sessions)).toEqual([
      new Map([['one', 1]]),
      new Map([['two', 2]]),
    ])
    expect(await other.count()).toBe(2)
  })

  test('of a map or an erasure changes nothing', async () => {
    accepted((await storage.append([content('x', { until: 3 })]))[0])
    failing = full
    const entries = new Map([['k', { version: [1, 'a'] as const, bytes: bytesOf('v') }]])
    await expect(storage.mergeMap('map', entries)).rejects.toMatchObject({ code: 'QUOTA' })
    await expect(storage.erase('x', [1, 'a'], { keep: [] })).rejects.toMatchObject({ code: 'QUOTA' })
    failing = undefined
    expect(await storage.readMap('map')).toEqual(new Map())
    expect((await storage.knownStates(['x']))[0]).toMatchObject({
      erased: undefined,
      known: knownState(true, [['a', 3]]),
    })
    expect(await storage.mergeMap('map', entries)).toEqual({ merged: ['k'], conflicts: [] })
  })
})

describe('reading', () => {
  test('a page after a count goes to the piece there and reads no other', async () => {
    accepted((await storage.append([content('x', { until: 400, size: 1000 })]))[0])
    reads = []
    const page = await storage.read('x', knownState(true, [['a', 350]]), { bytesMax: 5500 })
    expect(page?.runs[0]).toMatchObject({ after: 350, transactions: { length: 5 } })
    // The key that might have been there, and the piece before it.
    expect(reads).toEqual(['d', 'p', 'p'])
  })

  test('page after page reads each segment once', async () => {
    accepted((await storage.append([content('x', { until: 400, size: 1000 })]))[0])
    for (const bytesMax of [20_000, 64 * 1024]) {
      reads = []
      await readAll(storage, 'x', bytesMax)
      expect(reads.filter((letter) => letter === 'p')).toHaveLength(7)
    }
  })

  test('goes on while the document is folded and erased', async () => {
    const sizes = new Set<number>()
    accepted((await storage.append([content('x', { until: 1, size: 400 })]))[0])
    for (let after = 1; after < 250; after++) {
      const append = storage.append([content('x', { after, until: after + 1, size: 400 })])
      const runs = await readAll(storage, 'x', 10_000)
      const transactions = runs.flatMap((run) => run.transactions)
      expect(transactions).toEqual(transactions.map((_, index) => transaction('a', index, 400)))
      sizes.add(transactions.length)
      await append
    }
    expect(sizes.size).toBeGreaterThan(100)
    const [erased, page] = await Promise.all([
      storage.erase('x', [1, 'a'], { keep: [] }),
      storage.read('x', EMPTY, { bytesMax: 1_000_000 }),
    ])
    expect(erased?.known.sessions.size).toBe(0)
    expect([0, 250]).toContain(page?.runs[0]?.transactions.length ?? 0)
  })
})
