/**
 * What is peculiar to memory; all else is in the kit.
 */
import { EMPTY } from '@tidemark/known-state'
import { contentWeight } from '@tidemark/protocol'
import { describe, expect, expectTypeOf, test, vi } from 'vitest'
import { type Append, isHonoured, memoryStorage, PAGE_BYTES, type Page } from '../src/index.ts'

const run = (after: number, until: number, size = 10) => ({
  session: 'a',
  after,
  transactions: Array.from({ length: until - after }, () => new Uint8Array(size)),
})
const content = (id: string, ...runs: Append['runs'][number][]): Append => ({
  id,
  kind: 'bytes',
  priority: 3,
  header: Uint8Array.of(1),
  runs,
})

describe('memory storage', () => {
  test('answers values, not promises, also to the compiler', () => {
    const storage = memoryStorage()
    storage.open()
    expectTypeOf(storage.read('x', EMPTY, { bytesMax: 1 })).toEqualTypeOf<Page | undefined>()
    expectTypeOf(storage.count()).toEqualTypeOf<number>()
    expect(storage.count()).toBe(0)
  })

  test('promises nothing that survives, and has a generation of its own', () => {
    expect(memoryStorage().open().level).toBe('memory')
    expect(memoryStorage({ generation: 'world 7' }).open().generation).toEqual({ id: 'world 7', sequence: 0 })
    expect(memoryStorage().open().generation.id).toMatch(/^[0-9a-f]{32}$/)
  })

  test('a document is paged beyond the default page, unless told otherwise', () => {
    const paged = (storage: ReturnType<typeof memoryStorage>, weight: number) => {
      storage.open()
      const besides = contentWeight(content('x', run(0, 1, 0)))
      const [result] = storage.append([content('x', run(0, 1, weight - besides))])
      return result !== undefined && 'state' in result && result.state?.paged
    }
    expect([paged(memoryStorage(), PAGE_BYTES), paged(memoryStorage(), PAGE_BYTES + 1)]).toEqual([false, true])
    expect([paged(memoryStorage({ pageBytes: 200 }), 200), paged(memoryStorage({ pageBytes: 200 }), 201)]).toEqual([
      false,
      true,
    ])
  })

  test('keeps copies, so that a small transaction does not keep a large frame', () => {
    const storage = memoryStorage()
    storage.open()
    const frame = new Uint8Array(1_000_000)
    const part = { ...run(0, 0), transactions: [frame.subarray(5, 10)] }
    storage.append([content('x', part)])
    const page = storage.read('x', EMPTY, { bytesMax: 100 })
    expect(page?.runs[0]?.transactions[0]?.buffer.byteLength).toBe(5)
  })

  test('walks a long session without a seal in steps that its length needs', () => {
    const walk = (count: number) => {
      const storage = memoryStorage()
      storage.open()
      for (let at = 0; at < count; at++) storage.append([content('x', run(at, at + 1, 200))])
      let copied = 0
      let pages = 0
      const { slice } = Array.prototype
      vi.spyOn(Array.prototype, 'slice').mockImplementation(function (this: unknown[], start, end) {
        const part = slice.call(this, start, end)
        copied += part.length
        return part
      })
      for (let after = EMPTY, more = true; more; pages++) {
        const page = storage.read('x', after, { bytesMax: 1000 }) as Page
        after = page.end
        more = page.more
      }
      vi.restoreAllMocks()
      return { pages, copied }
    }
    const small = walk(2_000)
    const large = walk(20_000)
    expect(small.pages).toBeGreaterThan(300)
    // Ten times as much copies ten times as often, not a hundred times.
    expect([large.pages / small.pages, large.copied / small.copied]).toEqual([
      expect.closeTo(10, 0),
      expect.closeTo(10, 0),
    ])
  })
})

describe('a mark (generation, sequence)', () => {
  const history = [
    { id: 'first', sequence: 0 },
    { id: 'second', sequence: 10 },
  ]

  test('is honoured up to the end of its generation', () => {
    const honoured = (id: string, sequence: number) => isHonoured({ id, sequence }, history, 15)
    expect([honoured('first', 10), honoured('first', 11)]).toEqual([true, false])
    expect([honoured('second', 10), honoured('second', 15), honoured('second', 16)]).toEqual([true, true, false])
  })

  test('of another store, or of a generation after the backup that was restored, is not', () => {
    expect(isHonoured({ id: 'third', sequence: 3 }, history, 15)).toBe(false)
    expect(isHonoured({ id: 'first', sequence: 0 }, [], 15)).toBe(false)
  })
})
