/**
 * Small appends in rows of their own, packed together when they have become many.
 *
 * What is appended goes to the end of its session as one small row, the cheapest write there is. Hundreds of such rows are slow to
 * read, so when the rows since the last segment weigh enough they become a segment of about 64 KiB, in the same transaction; a
 * last segment that is still small is taken along. The tail is always the end of a session: segments, then rows.
 * L8: packing together keeps every seal. Not here: reading (read.ts), tails that nobody adds to any more (idle.ts).
 */
import { foldPieces, type Packable, type Packed, type Part, SEGMENT_BYTES } from '@tidemark/storage/adapter'
import type { SqliteRow } from './driver.ts'
import type { Entry } from './known-blob.ts'
import { type Place, pack, readPiece } from './pieces.ts'
import type { Numbers, Store } from './store.ts'

/** Weight at which a tail becomes a segment. */
const TAIL_WEIGHT_MAX = 32 * 1024
/** What a row weighs beyond its bytes: a tail of tiny rows is slow to read long before it is large. */
const ROW_WEIGHT = 64
/** A last segment below this grows with the next fold instead of staying behind. */
const SEGMENT_GROWS_BYTES = SEGMENT_BYTES / 2

/** Writes `parts` behind what is held of a session and accounts for it in `entry`. */
export function appendParts(
  store: Store,
  numbers: Numbers,
  document: number,
  entry: Entry,
  parts: readonly Part[],
): void {
  let weight = entry.tail
  for (const part of parts) weight += part.bytes + ROW_WEIGHT
  if (weight > TAIL_WEIGHT_MAX) {
    fold(store, numbers, { document, session: entry.session }, parts)
    entry.tail = 0
    return
  }
  for (const part of parts) store.sql.addPiece.run(document, entry.session, endOf(part), null, pack(store.writer, part))
  entry.tail = weight
}

interface TailRow {
  readonly segment: number | null
  readonly piece: Packed
}

/** Makes segments of the tail of a session, with `parts` behind it. @throws DamagedBlob if a row of it cannot be read. */
export function fold(store: Store, numbers: Numbers, place: Place, parts: readonly Part[]): void {
  const rows = tailOf(store, place)
  for (const { segment, piece } of rows) {
    store.sql.removePiece.run(place.document, place.session, piece.until)
    if (segment !== null) store.sql.removeSegment.run(segment)
  }
  for (const folded of foldPieces([...rows.map((row) => row.piece), ...parts])) {
    const key = ++numbers.segment
    store.sql.addSegment.run(key, pack(store.writer, folded))
    store.sql.addPiece.run(place.document, place.session, endOf(folded), key, null)
  }
}

/** The rows behind the last segment, and that one if it is small; in order. */
function tailOf(store: Store, { document, session }: Place): TailRow[] {
  const rows: TailRow[] = []
  for (const [segment, packed] of store.sql.piecesBack.iterate(document, session) as Iterable<SqliteRow>) {
    if (segment !== null && (segmentBytes(store, segment as number) ?? 0) >= SEGMENT_GROWS_BYTES) break
    rows.push({
      segment: segment as number | null,
      piece: readPiece(store, segment as number | null, packed as Uint8Array),
    })
    if (segment !== null) break
  }
  return rows.reverse()
}

/** Asked without reading the segment: SQLite knows how long a blob is. */
function segmentBytes(store: Store, segment: number): number | undefined {
  return store.sql.segmentBytes.get(segment)?.[0] as number | undefined
}

function endOf(piece: Packable): number {
  return piece.after + piece.sizes.length
}
