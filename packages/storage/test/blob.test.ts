/**
 * Records with a checksum: what is written is what is read, what was kept stays, and what was damaged is noticed.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  BlobReader,
  BlobWriter,
  crc32,
  DamagedBlob,
  EMPTY_DIGEST,
  extendDigest,
  growParts,
  type Part,
  portableCrc32,
  Remembered,
  RememberedWithin,
} from '../src/adapter.ts'

const count = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER })
const digest = fc.stringMatching(/^[0-9a-f]{16}$/)
const text = fc.string({ unit: 'grapheme', maxLength: 80 })

describe('the checksum', () => {
  test('is that of zip, on any machine', () => {
    expect(portableCrc32(new TextEncoder().encode('123456789'))).toBe(0xcbf43926)
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        // In Node the other one is that of zlib.
        expect(portableCrc32(bytes)).toBe(crc32(bytes))
      }),
    )
  })
})

describe('a record', () => {
  test('comes back', () => {
    fc.assert(
      fc.property(count, digest, text, fc.uint8Array({ maxLength: 200 }), (number, at, words, bytes) => {
        const reader = new BlobReader(
          new BlobWriter().begin().byte(9).varint(number).digest(at).text(words).varint(bytes.length).raw(bytes).end(),
        )
        expect([reader.byte(), reader.varint(), reader.digest(), reader.text()]).toEqual([9, number, at, words])
        expect(reader.view(reader.varint())).toEqual(bytes)
        reader.finish()
      }),
    )
  })

  test('that was kept stays as it is, however many follow and however large', () => {
    const writer = new BlobWriter()
    const sizes = [10, 100_000, 0, 63, 64, 65, 40_000, 40_000, 200_000, 1]
    const kept = sizes.map((size, index) => writer.begin().raw(new Uint8Array(size).fill(index)).keep())
    writer.begin().raw(new Uint8Array(90_000).fill(255)).end()
    for (const [index, record] of kept.entries()) {
      const reader = new BlobReader(record)
      expect(reader.view(reader.left)).toEqual(new Uint8Array(sizes[index] as number).fill(index))
    }
  })

  test('of which any byte was changed, lost or added is damaged', () => {
    const record = Uint8Array.from(new BlobWriter().begin().varint(300).text('words').end())
    for (let at = 0; at < record.length; at++) {
      const changed = Uint8Array.from(record)
      changed[at] = (changed[at] as number) ^ 0x10
      expect(() => new BlobReader(changed)).toThrow(DamagedBlob)
      expect(() => new BlobReader(record.subarray(0, at))).toThrow(DamagedBlob)
    }
    expect(() => new BlobReader(Uint8Array.from([...record, 0]))).toThrow(DamagedBlob)
  })

  test('that is read beyond its end, or not to its end, is damaged', () => {
    const record = new BlobWriter().begin().varint(1).end()
    for (const read of [
      (reader: BlobReader) => reader.view(2),
      (reader: BlobReader) => reader.digest(),
      (reader: BlobReader) => [reader.byte(), reader.byte()],
      (reader: BlobReader) => reader.finish(),
    ])
      expect(() => read(new BlobReader(record))).toThrow(DamagedBlob)
  })

  test('with a text that is not UTF-8 is damaged', () => {
    const record = new BlobWriter().begin().varint(1).byte(0xff).end()
    expect(() => new BlobReader(record).text()).toThrow(DamagedBlob)
  })
})

describe('parts', () => {
  const transactions = (count: number, size: number) =>
    Array.from({ length: count }, (_, index) => new Uint8Array(size).fill(index))
  const run = (after: number, some: readonly Uint8Array[], seal?: Uint8Array) => ({
    verdict: 'store' as const,
    after,
    transactions: some,
    seal,
    digest: undefined,
    bytes: some.reduce((sum, { length }) => sum + length, seal?.length ?? 0),
  })

  test('grow up to the size of a segment, and know the digest at their start', () => {
    const parts: Part[] = []
    const all = transactions(25, 10)
    growParts(parts, run(5, all.slice(0, 13)), EMPTY_DIGEST, 100)
    growParts(parts, run(18, all.slice(13)), extendDigest(EMPTY_DIGEST, all.slice(0, 13)), 100)
    expect(parts.map(({ after, sizes, bytes }) => [after, sizes.length, bytes])).toEqual([
      [5, 10, 100],
      [15, 10, 100],
      [25, 5, 50],
    ])
    for (const part of parts) expect(part.digest).toBe(extendDigest(EMPTY_DIGEST, all.slice(0, part.after - 5)))
  })

  test('do not divide a sealed run, however large', () => {
    const parts: Part[] = []
    growParts(parts, run(0, transactions(2, 10), new Uint8Array(3)), undefined, 100)
    growParts(parts, run(2, transactions(20, 10), new Uint8Array(3)), undefined, 100)
    growParts(parts, run(22, transactions(1, 10), new Uint8Array(3)), undefined, 100)
    expect(parts.map(({ after, bytes, seals }) => [after, bytes, seals.map(({ until }) => until)])).toEqual([
      [0, 23, [2]],
      [2, 203, [22]],
      [22, 13, [23]],
    ])
  })
})

test('what is remembered is bounded, and the most recently used of it stays', () => {
  const remembered = new Remembered<number, string>(10)
  for (let key = 0; key < 1000; key++) {
    remembered.set(key, `${key}`)
    expect(remembered.get(0)).toBe('0')
  }
  const left = Array.from({ length: 1000 }, (_, key) => remembered.get(key)).filter((value) => value !== undefined)
  expect(left.length).toBeLessThanOrEqual(20)
  expect(left).toContain('999')
  for (let key = 0; key < 1000; key++) remembered.delete(key)
  for (let key = 0; key < 1000; key++) expect(remembered.get(key)).toBeUndefined()
  remembered.set(999, '999')
  remembered.clear()
  expect(remembered.get(999)).toBeUndefined()
})

test('what is remembered by weight is bounded, and the longest unused goes first', () => {
  const remembered = new RememberedWithin<string, number>(10, (weight) => weight)
  for (const [key, weight] of [
    ['a', 4],
    ['b', 4],
  ] as const)
    remembered.set(key, weight)
  expect(remembered.get('a')).toBe(4)
  remembered.set('c', 5)
  expect(['a', 'b', 'c'].map((key) => remembered.get(key))).toEqual([4, undefined, 5])
  remembered.set('a', 1)
  remembered.set('d', 4)
  expect(['a', 'c', 'd'].map((key) => remembered.get(key))).toEqual([1, 5, 4])
  remembered.set('huge', 99)
  expect(['a', 'c', 'd', 'huge'].map((key) => remembered.get(key))).toEqual([undefined, undefined, undefined, 99])
  remembered.delete('huge')
  remembered.set('e', 10)
  expect(remembered.get('e')).toBe(10)
  remembered.clear()
  expect(remembered.get('e')).toBeUndefined()
})
