/**
 * What is read and written: few records, of a bounded size, and no content where none is asked for.
 */
import 'fake-indexeddb/auto'
import { EMPTY } from '@tidemark/known-state'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { indexeddbStorage } from '../src/index.ts'
import { accepted, content, run } from './contents.ts'
import { freshName, WatchedFactory } from './subject.ts'

/** Beyond, Chromium keeps a value in a file of its own. */
const VALUE_BYTES_MAX = 64 * 1024

afterEach(() => vi.restoreAllMocks())

async function opened() {
  const watched = new WatchedFactory()
  const storage = indexeddbStorage({ name: freshName(), indexedDB: watched.factory })
  await storage.open()
  const put = vi.spyOn(IDBObjectStore.prototype, 'put')
  /** What was put since it was last asked: store and bytes. */
  const puts = () => {
    const made = put.mock.calls.map(([value], index) => ({
      store: (put.mock.contexts[index] as IDBObjectStore).name,
      bytes: sizeOf(value),
    }))
    put.mockClear()
    return made
  }
  return { watched, storage, puts }
}

function sizeOf(value: unknown): number {
  if (value instanceof Uint8Array) return value.length
  return typeof value === 'object' && value !== null && 'row' in value ? sizeOf(value.row) : 0
}

describe('a commit', () => {
  test('makes a small document of two records', async () => {
    const { storage, puts } = await opened()
    accepted((await storage.append([content('x', run('a', 0, 3), run('b', 0, 1))]))[0])
    expect(puts().map(({ store }) => store)).toEqual(['content', 'documents', 'meta'])
  })

  test('appends to a document with one record of content, whatever number of callers and sessions', async () => {
    const { storage, puts } = await opened()
    accepted((await storage.append([content('x')]))[0])
    puts()
    await Promise.all(
      Array.from({ length: 20 }, (_, index) => storage.append([content('x', run(`session ${index}`, 0, 1))])),
    )
    expect(puts().map(({ store }) => store)).toEqual(['content', 'documents', 'meta'])
  })

  test('of callers that were just answered is one transaction', async () => {
    const { watched, storage } = await opened()
    const before = watched.begun.length
    await Promise.all(
      Array.from({ length: 50 }, async (_, caller) => {
        for (let at = 0; at < 10; at++)
          accepted((await storage.append([content(`x${caller}`, run('a', at, at + 1))]))[0])
      }),
    )
    expect(watched.begun.length - before).toBe(10)
  })

  test('of one transaction to a document of 2,000 sessions writes a few kilobytes', async () => {
    const { storage, puts } = await opened()
    const names = Array.from({ length: 2000 }, (_, index) => `co_zDocument_session_z${index}`)
    accepted((await storage.append([content('x', ...names.map((name) => run(name, 0, 1)))]))[0])
    puts()
    accepted((await storage.append([content('x', run('co_zDocument_session_z1234', 1, 2))]))[0])
    const made = puts()
    expect(made.map(({ store }) => store)).toEqual(['content', 'sessions', 'documents', 'meta'])
    expect(made.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThan(4096)
  })

  test('puts views into larger buffers as what they are', async () => {
    const { storage } = await opened()
    const large = new Uint8Array(100_000)
    const put = vi.mocked(IDBObjectStore.prototype.put)
    await storage.append([{ ...content('x', run('a', 0, 1)), verifier: new Map([['a', large.subarray(5, 8)]]) }], {
      marks: new Map([['m', large.subarray(10, 12)]]),
    })
    await storage.mergeMap('map', new Map([['k', { version: [1, 'a'], bytes: large.subarray(0, 4) }]]))
    for (const [value] of put.mock.calls)
      for (const part of [value, ...Object.values(value)])
        if (part instanceof Uint8Array) expect(part.buffer.byteLength).toBe(part.length)
  })
})

describe('folding', () => {
  test('makes segments of many small appends, none too large for its record', async () => {
    const { storage, puts } = await opened()
    accepted((await storage.append([content('x')]))[0])
    for (let at = 0; at < 1500; at += 3) accepted((await storage.append([content('x', run('a', at, at + 3, 200))]))[0])
    const sizes = puts().map(({ bytes }) => bytes)
    expect(Math.max(...sizes)).toBeLessThan(VALUE_BYTES_MAX)
    const written = sizes.reduce((sum, bytes) => sum + bytes, 0)
    // Each transaction is written to the tail, to a segment, and once more where a small segment grows; and there are the rows.
    expect(written).toBeLessThan(4 * 1500 * 200)
  })

  test('divides what is appended at once', async () => {
    const { storage, puts } = await opened()
    accepted((await storage.append([content('x', run('a', 0, 1000, 1000))]))[0])
    const sizes = puts().map(({ bytes }) => bytes)
    expect(Math.max(...sizes)).toBeLessThan(VALUE_BYTES_MAX)
    expect(sizes.length).toBeLessThan(1_000_000 / 50_000 + 3)
  })

  test('of a hundred sessions makes no tiny segments', async () => {
    const { storage, puts } = await opened()
    const names = Array.from({ length: 100 }, (_, index) => `session ${index}`)
    accepted((await storage.append([content('x')]))[0])
    puts()
    for (let at = 0; at < 30; at++)
      accepted((await storage.append([content('x', ...names.map((name) => run(name, at, at + 1, 200)))]))[0])
    const contents = puts().filter(({ store }) => store === 'content')
    expect(contents.length).toBeLessThan(4 * names.length)
  })
})

describe('reading', () => {
  test('known states touches no content', async () => {
    const { watched, storage } = await opened()
    accepted((await storage.append([content('x', run('a', 0, 3))]))[0])
    await storage.knownStates(['x', 'y'])
    expect(watched.begun.at(-1)).toMatchObject({ mode: 'readonly', stores: ['documents', 'sessions'] })
  })

  test('all pages of a folded document reads each segment once', async () => {
    const { storage } = await opened()
    accepted((await storage.append([content('x', run('a', 0, 2000, 500))]))[0])
    const getAll = vi.spyOn(IDBObjectStore.prototype, 'getAll')
    let pages = 0
    for (let after = EMPTY; ; pages++) {
      const page = await storage.read('x', after, { bytesMax: 64 * 1024 })
      if (page === undefined || !page.more) break
      after = page.end
    }
    expect(pages).toBeGreaterThan(10)
    // Two segments each time, of which a page takes one.
    expect(getAll.mock.calls.length).toBeLessThan(0.75 * pages)
  })
})
