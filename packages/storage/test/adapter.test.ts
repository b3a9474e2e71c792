/**
 * The helpers for authors of adapters, where the kit does not reach: what they say to an adapter that uses them wrongly, and
 * what they ask it to read.
 */
import { EMPTY, knownState } from '@tidemark/known-state'
import type { Content, Run } from '@tidemark/protocol'
import { describe, expect, test } from 'vitest'
import { EMPTY_DIGEST, judgeDocument, judgeRun, overlapOf, pageBuilder } from '../src/adapter.ts'

const some = (count: number, size = 10) => Array.from({ length: count }, (_, index) => new Uint8Array(size).fill(index))
const run = (after: number, count: number, rest: Partial<Run> = {}): Run => ({
  session: 'a',
  after,
  transactions: some(count),
  ...rest,
})
const document = { id: 'x', kind: 'bytes', priority: 3, header: new Uint8Array(20) } as const

describe('an adapter is asked to read', () => {
  test('nothing where a run continues what is held, or begins beyond it', () => {
    expect(overlapOf(run(5, 3), 'bytes', 5)).toBeUndefined()
    expect(overlapOf(run(7, 3), 'bytes', 5)).toBeUndefined()
    expect(overlapOf(run(3, 0), 'bytes', 5)).toBeUndefined()
  })

  test('only the transactions that overlap', () => {
    expect(overlapOf(run(2, 9), 'bytes', 5)).toEqual({ after: 2, until: 5 })
    expect(overlapOf(run(0, 3), 'json', 5)).toEqual({ after: 0, until: 3 })
  })

  test('the digest inside a session, for an empty run that carries one', () => {
    expect(overlapOf(run(3, 0, { digest: EMPTY_DIGEST }), 'bytes', 5)).toEqual({ after: 3, until: 3 })
    expect(overlapOf(run(3, 0, { digest: EMPTY_DIGEST }), 'json', 5)).toBeUndefined()
  })

  test('and hears of it if it did not', () => {
    const held = { count: 5, digest: EMPTY_DIGEST }
    expect(() => judgeRun(run(2, 9), 'bytes', held, 1000)).toThrow(/transactions 2 to 5 must be read/)
    expect(() => judgeRun(run(2, 9), 'bytes', held, 1000, { transactions: some(2) })).toThrow(/must be read/)
    expect(() => judgeRun(run(5, 1), 'bytes', { count: 5 }, 1000)).toThrow(/its digest must be read/)
    const header = { ...document, runs: [] } satisfies Content
    expect(() => judgeDocument(header, { kind: 'bytes', erased: false }, 1000)).toThrow(/its header must be read/)
  })
})

describe('a page', () => {
  const limits = { bytesMax: 300, runBytesMax: 1000 }
  const after = knownState(true)

  test('takes transactions without a seal as long as they fit', () => {
    const page = pageBuilder(document, EMPTY, limits)
    expect(page.begin('a', 0, EMPTY_DIGEST)).toBe(true)
    // 20 bytes are the header's, 97 the run's with its name, and 8 of each transaction come on top.
    expect(page.add({ transactions: some(20) })).toBe(10)
    expect(page.add({ transactions: some(1) })).toBe(0)
    expect(page.begin('b', 0, EMPTY_DIGEST)).toBe(false)
    const { runs, end, more } = page.end(knownState(true, [['a', 20]]))
    expect(runs.map(({ session, transactions }) => [session, transactions.length])).toEqual([['a', 10]])
    expect([end, more]).toEqual([knownState(true, [['a', 10]]), true])
  })

  test('says beforehand what it would take', () => {
    const page = pageBuilder(document, after, limits)
    expect(page.fits(1)).toBe(false)
    page.begin('a', 0, EMPTY_DIGEST)
    expect(page.fits(100_000)).toBe(true)
    expect(page.add({ transactions: some(4), seal: new Uint8Array(10) })).toBe(4)
    // A seal that is replaced leaves its room to the next.
    expect([page.fits(91, 5), page.fits(92, 5), page.fits(91, 6)]).toEqual([true, false, false])
    expect(page.add({ transactions: some(5), seal: new Uint8Array(10) })).toBe(5)
    expect(page.end(knownState(true, [['a', 9]])).runs).toMatchObject([{ after: 0, seal: new Uint8Array(10) }])
  })

  test('that stopped at a seal goes on with the next session', () => {
    const page = pageBuilder(document, after, limits)
    page.begin('a', 0, EMPTY_DIGEST)
    page.add({ transactions: some(2), seal: new Uint8Array(1) })
    expect(page.add({ transactions: some(2) })).toBe(0)
    expect(page.begin('b', 3, EMPTY_DIGEST)).toBe(true)
    expect(page.add({ transactions: some(2) })).toBe(2)
    const { runs, more } = page.end(
      knownState(true, [
        ['a', 4],
        ['b', 5],
      ]),
    )
    expect([runs.map(({ session }) => session), more]).toEqual([['a', 'b'], true])
  })

  test('joins parts of a session only up to the largest run', () => {
    const page = pageBuilder(document, after, { bytesMax: 10_000, runBytesMax: 50 })
    page.begin('a', 0, EMPTY_DIGEST)
    expect(page.add({ transactions: some(3), seal: new Uint8Array(5) })).toBe(3)
    expect(page.add({ transactions: some(3), seal: new Uint8Array(5) })).toBe(0)
    expect(page.begin('b', 0, EMPTY_DIGEST)).toBe(true)
  })

  test('leaves out a session of which it took nothing', () => {
    const page = pageBuilder(document, after, limits)
    page.begin('a', 2, EMPTY_DIGEST)
    page.begin('b', 0, EMPTY_DIGEST)
    page.add({ transactions: [] })
    expect(page.end(knownState(true))).toMatchObject({ runs: [], end: after, more: false })
  })
})
