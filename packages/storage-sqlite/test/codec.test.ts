/**
 * The blobs: what is written is what is read, and what was damaged is noticed.
 */
import {
  BlobReader,
  BlobWriter,
  DamagedBlob,
  EMPTY_DIGEST,
  type Packable,
  type Sealed,
} from '@tidemark/storage/adapter'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeFirst, encodeFirst } from '../src/first.ts'
import { type DocumentRow, decodeRow, type Entry, encodeRow } from '../src/known-blob.ts'
import { pack, unpack } from '../src/pieces.ts'

const count = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER })
const digest = fc.stringMatching(/^[0-9a-f]{16}$/)
const bytes = fc.uint8Array({ maxLength: 30 })

const runs = fc.array(
  fc.record({ transactions: fc.array(bytes, { minLength: 1, maxLength: 5 }), seal: fc.option(bytes) }),
  {
    minLength: 1,
    maxLength: 6,
  },
)

/** What is packed of these runs, from count `after` on. */
function packable(
  parts: { transactions: Uint8Array[]; seal: Uint8Array | null }[],
  after: number,
  at?: string,
): Packable {
  const sizes: number[] = []
  const seals: Sealed[] = []
  const body: Uint8Array[] = []
  for (const { transactions, seal } of parts) {
    const from = after + sizes.length
    for (const transaction of transactions) {
      sizes.push(transaction.length)
      body.push(transaction)
    }
    if (seal !== null) seals.push({ after: from, until: after + sizes.length, seal })
  }
  return { after, digest: at, sizes, seals, body }
}

test('counts of any size come back', () => {
  fc.assert(
    fc.property(fc.array(count), (counts) => {
      const writer = new BlobWriter().begin()
      for (const value of counts) writer.varint(value)
      const reader = new BlobReader(writer.end())
      expect(counts.map(() => reader.varint())).toEqual(counts)
      expect(reader.left).toBe(0)
    }),
  )
})

test('packed transactions come back with every seal and where its run began', () => {
  fc.assert(
    fc.property(runs, fc.integer({ min: 0, max: 2 ** 40 }), fc.boolean(), (parts, after, digested) => {
      const packed = packable(parts, after, digested ? EMPTY_DIGEST : undefined)
      const read = unpack(pack(new BlobWriter(), packed))
      expect([read.after, read.digest, read.sizes]).toEqual([packed.after, packed.digest, packed.sizes])
      expect(read.transactions(after, read.until)).toEqual(packed.body)
      expect(read.seals).toEqual(packed.seals)
    }),
  )
})

test('a header and first runs come back', () => {
  fc.assert(
    fc.property(bytes, fc.uniqueArray(fc.integer({ min: 1, max: 1000 })), runs, (header, sessions, parts) => {
      const run = packable(parts, 0)
      const read = decodeFirst(
        encodeFirst(
          new BlobWriter(),
          header,
          sessions.map((session) => [session, run] as const),
        ),
      )
      expect(read.header).toEqual(header)
      expect([...read.runs.keys()]).toEqual(sessions)
      for (const packed of read.runs.values()) expect(packed.transactions(0, packed.until)).toEqual(run.body)
    }),
  )
})

const entries = fc
  .uniqueArray(fc.integer({ min: 1, max: 2 ** 33 }), { maxLength: 50 })
  .chain((sessions) => fc.tuple(...sessions.sort((a, b) => a - b).map((session) => entryOf(session))))

function entryOf(session: number): fc.Arbitrary<Entry & { digest: string }> {
  return fc
    .record({ count, tail: fc.nat(40_000), digest, share: fc.double({ min: 0, max: 1, noNaN: true }) })
    .map((held) => ({
      session,
      count: held.count,
      tail: held.tail,
      digest: held.digest,
      lastRun: held.share > 0.5 && held.count > 0 ? Math.floor((held.count - 1) * held.share) : undefined,
    }))
}

test('the row of a document comes back', () => {
  const erased = fc.option(fc.tuple(count, fc.string({ unit: 'grapheme' })), { nil: undefined })
  const chunks = fc.array(fc.record({ key: fc.nat(), first: fc.nat() }), { maxLength: 5 })
  fc.assert(
    fc.property(
      fc.constantFrom('json', 'bytes'),
      fc.constantFrom(0, 3, 6),
      count,
      erased,
      entries,
      chunks,
      (...held) => {
        const [kind, priority, size, version, all, places] = held
        const kept = all.map(
          (entry): Entry => ({
            ...entry,
            ...(kind === 'bytes' ? { lastRun: undefined } : { digest: undefined }),
          }),
        )
        const row: DocumentRow = {
          kind,
          priority,
          bytes: size,
          erased: version,
          entries: places.length > 0 ? [] : kept,
          chunks: places,
        }
        expect(decodeRow(encodeRow(new BlobWriter(), row))).toEqual(row)
      },
    ),
  )
})

test('any changed, missing or added byte is noticed', () => {
  const blob = Uint8Array.from(
    pack(new BlobWriter(), packable([{ transactions: [new Uint8Array(40)], seal: new Uint8Array(9) }], 7)),
  )
  for (let at = 0; at < blob.length; at++) {
    const changed = Uint8Array.from(blob)
    changed[at] = (changed[at] as number) ^ 0x10
    expect(() => unpack(changed)).toThrow(DamagedBlob)
    expect(() => unpack(blob.subarray(0, at))).toThrow(DamagedBlob)
  }
  expect(() => unpack(Uint8Array.from([...blob, 0]))).toThrow(DamagedBlob)
})
