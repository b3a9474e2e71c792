/**
 * Packed transactions: what is packed is what is read, wherever a page begins, and small pieces become large ones.
 */
import { expect, test } from 'vitest'
import {
  BlobReader,
  BlobWriter,
  EMPTY_DIGEST,
  extendDigest,
  foldPieces,
  type Packable,
  Packed,
  pageBuilder,
  writePacked,
} from '../src/adapter.ts'

const bytes = (length: number, fill = 7) => new Uint8Array(length).fill(fill)

function packed(packable: Packable): Packed {
  const writer = new BlobWriter().begin()
  writePacked(writer, packable)
  return new Packed(new BlobReader(writer.end()))
}

/** Five transactions from count 5 on: three with a seal, two without. */
const piece: Packable = {
  after: 5,
  digest: EMPTY_DIGEST,
  sizes: [1, 2, 3, 4, 5],
  seals: [{ after: 5, until: 8, seal: bytes(9, 1) }],
  body: [bytes(15)],
}

/** The runs of a page that begins at count `from`. */
function runsFrom(from: number, bytesMax: number) {
  const document = { id: 'x', kind: 'json', priority: 3 } as const
  const after = { header: true, sessions: new Map([['a', from]]) }
  const page = pageBuilder(document, after, { bytesMax, runBytesMax: 1000 })
  page.begin('a', from)
  packed(piece).addTo(page, from)
  const { runs } = page.end({ header: true, sessions: new Map([['a', 10]]) })
  return runs.map((run) => [run.after, run.transactions.map(({ length }) => length), run.seal?.length])
}

test('a page from inside a sealed run has its rest with the seal, and what follows is another page', () => {
  expect(runsFrom(5, 1000)).toEqual([[5, [1, 2, 3], 9]])
  expect(runsFrom(6, 1000)).toEqual([[6, [2, 3], 9]])
  expect(runsFrom(8, 1000)).toEqual([[8, [4, 5], undefined]])
  expect(runsFrom(9, 1000)).toEqual([[9, [5], undefined]])
})

test('a sealed run is on a page whole, others as far as they fit', () => {
  expect(runsFrom(5, 1)).toEqual([[5, [1, 2, 3], 9]])
  expect(runsFrom(8, 1)).toEqual([[8, [4], undefined]])
})

test('the digest is known at every count', () => {
  const read = packed(piece)
  expect(read.digestAt(5)).toBe(EMPTY_DIGEST)
  expect(read.digestAt(7)).toBe(extendDigest(EMPTY_DIGEST, [bytes(1), bytes(2)]))
})

test('pieces are folded up to the size of a segment, none is divided', () => {
  const of = (after: number, size: number): Packable => ({
    after,
    digest: undefined,
    sizes: [size],
    seals: [{ after, until: after + 1, seal: bytes(3) }],
    body: [bytes(size)],
  })
  const folded = foldPieces([of(0, 40), of(1, 40), of(2, 40), of(3, 500), of(4, 1)], 100)
  expect(folded.map(({ after, sizes }) => [after, sizes])).toEqual([
    [0, [40, 40]],
    [2, [40]],
    [3, [500]],
    [4, [1]],
  ])
  expect(folded[0]?.seals.map(({ until }) => until)).toEqual([1, 2])
})
