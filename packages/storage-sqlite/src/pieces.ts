/**
 * Where content is, and reading it in order.
 *
 * A session's content is a sequence of pieces, each found by where it ends: a search goes straight to the piece that a count
 * lies in, whatever stands before it. The first of them may be in the document's first row (first.ts); of the others a small one
 * has its transactions in its row, a large one in a segment.
 * Not here: what a piece holds (`Packed`), which of them make a page (read.ts), how they get there (tail.ts).
 */
import { BlobReader, type BlobWriter, DamagedBlob, type Packable, Packed, writePacked } from '@tidemark/storage/adapter'
import type { SqliteValue } from './driver.ts'
import { type First, readFirst } from './first.ts'
import type { Store } from './store.ts'

/** Rows asked for at first and at most: few pages need many, and a tail is never heavy (tail.ts). */
const ROWS_FIRST = 2
const ROWS_MAX = 32

export interface Place {
  readonly document: number
  readonly session: number
}

/**
 * The pieces of a session from the one that count `after` lies in to the one that ends at `until` or beyond, read as they are
 * asked for. `first`: the document's first row, if it was read already.
 *
 * @throws DamagedBlob where a piece is missing.
 */
export function* piecesOf(
  store: Store,
  place: Place,
  { after, until }: { readonly after: number; readonly until: number },
  first?: First,
): Generator<Packed> {
  let at = after
  const known = first?.runs.get(place.session)
  if (known !== undefined && known.until > at) {
    yield known
    at = known.until
  }
  if (at >= until) return
  for (const piece of rowsFrom(store, place, at)) {
    // What stands before all rows is in the first row.
    if (piece.after > at) yield firstRun(store, place, at, piece.after)
    yield piece
    at = piece.until
    if (at >= until) return
  }
  yield firstRun(store, place, at, until)
}

/** What is held of a session from count `after` to count `until`, and the digest at `after` if it is wanted. */
export function readRange(
  store: Store,
  place: Place,
  range: { readonly after: number; readonly until: number },
  wantsDigest: boolean,
): { readonly transactions: readonly Uint8Array[]; readonly digest: string | undefined } {
  const transactions: Uint8Array[] = []
  let digest: string | undefined
  // The range may be empty: then the piece that its start lies in is read, for the digest.
  const until = Math.max(range.until, range.after + 1)
  for (const piece of piecesOf(store, place, { after: range.after, until })) {
    const from = Math.max(range.after, piece.after)
    if (wantsDigest) digest ??= piece.digestAt(from)
    for (const transaction of piece.transactions(from, Math.min(range.until, piece.until)))
      transactions.push(transaction)
  }
  return { transactions, digest }
}

export function readPiece(store: Store, segment: SqliteValue, packed: SqliteValue): Packed {
  if (segment === null) return unpack(packed as Uint8Array)
  if (store.recent?.segment === segment) return store.recent.piece
  const blob = store.sql.segment.get(segment)?.[0]
  if (blob === undefined) throw new DamagedBlob(`segment ${segment} is missing`)
  const piece = unpack(blob as Uint8Array)
  // The next page begins where this one ended, most often in the same segment. A number may yet be given to another segment
  // if the transaction that reads it is rolled back.
  if (!store.isWriting) store.recent = { segment: segment as number, piece }
  return piece
}

/** A row of its own; a view, see `BlobWriter.end`. */
export function pack(writer: BlobWriter, packable: Packable): Uint8Array {
  writePacked(writer.begin(), packable)
  return writer.end()
}

/** What `pack` wrote. @throws DamagedBlob */
export function unpack(blob: Uint8Array): Packed {
  const reader = new BlobReader(blob)
  const packed = new Packed(reader)
  reader.finish()
  return packed
}

/** The run in the first row, which must lead from `at` to `until`. */
function firstRun(store: Store, { document, session }: Place, at: number, until: number): Packed {
  const run = readFirst(store, document).runs.get(session)
  if (run === undefined || run.until <= at || run.until < until)
    throw new DamagedBlob(`transactions from ${at} on are missing in one of its sessions`)
  return run
}

function* rowsFrom(store: Store, { document, session }: Place, from: number): Generator<Packed> {
  let at = from
  for (let limit = ROWS_FIRST; ; limit = Math.min(limit * 4, ROWS_MAX)) {
    const rows = store.sql.pieces.all(document, session, at, limit)
    for (const [segment, packed] of rows) {
      const piece = readPiece(store, segment as SqliteValue, packed as SqliteValue)
      yield piece
      at = piece.until
    }
    if (rows.length < limit) return
  }
}
