/**
 * Small appends as pieces of their own, folded into segments when they have become many.
 *
 * What is appended goes to the end of its session as one small piece, the cheapest write there is. When the pieces since the last
 * full segment weigh enough they become a segment of about 60 KiB, in the same batch; a last segment that is still small is
 * taken along. A session is always full segments, then at most one small one, then pieces; where the last two begin is noted in
 * its entry, so that folding reads them and nothing else. L8: folding keeps every seal.
 */
import { DamagedBlob, foldPieces, type Packable, type Part, writePacked } from '@tidemark/storage/adapter'
import { type Operation, put, remove } from './database.ts'
import { pieceKey, piecesFrom } from './keys.ts'
import { type Place, unpack } from './pieces.ts'
import type { Entry } from './rows.ts'
import type { Store } from './store.ts'

/** No segment is larger, unless by a single transaction or sealed run: a page of 64 KiB takes a whole one, and a header. */
export const SEGMENT_BYTES: number = 60 * 1024
/** Weight at which a tail becomes a segment. */
const TAIL_WEIGHT_MAX = 32 * 1024
/** What a piece weighs beyond its bytes: a tail of tiny pieces is slow to read long before it is large. */
const PIECE_WEIGHT = 64
/** A last segment below this grows with the next fold instead of staying behind. */
const SEGMENT_GROWS_BYTES = SEGMENT_BYTES / 2

/** Whether `parts` are so much that the tail of their session must be folded. */
export function mustFold(entry: Entry, parts: readonly Part[]): boolean {
  return entry.tail + weightOf(parts) > TAIL_WEIGHT_MAX
}

/** Adds to `operations` what puts `parts` behind what is stored of a session, and accounts for it in `entry`. */
export function appendParts(
  operations: Operation[],
  store: Store,
  place: Place,
  entry: Entry,
  parts: readonly Part[],
): void {
  entry.tail += weightOf(parts)
  for (const part of parts) {
    entry.open += part.sizes.length
    operations.push(putPiece(store, place, part))
  }
}

function weightOf(parts: readonly Part[]): number {
  let weight = 0
  for (const { bytes } of parts) weight += bytes + PIECE_WEIGHT
  return weight
}

/**
 * What puts `parts` behind what is stored of a session, folded; accounts for it in `entry`.
 *
 * @throws DamagedBlob if what is to be folded cannot be read.
 */
export async function foldParts(
  store: Store,
  place: Place,
  entry: Entry,
  parts: readonly Part[],
): Promise<Operation[]> {
  const start = (parts[0] as Part).after - entry.open
  const open = entry.open === 0 ? [] : await readOpen(store, place, start, entry.open)
  const folded = foldPieces([...open, ...parts], SEGMENT_BYTES)
  const last = folded.at(-1) as Packable
  const closed = bytesOf(last) >= SEGMENT_GROWS_BYTES
  entry.tail = 0
  entry.open = closed ? 0 : last.sizes.length
  const kept = new Set(folded.map(({ after }) => after))
  return [
    ...open
      .filter(({ after }) => !kept.has(after))
      .map(({ after }) => remove(pieceKey(place.document, place.session, after))),
    ...folded.map((piece) => putPiece(store, place, piece)),
  ]
}

async function readOpen({ database }: Store, place: Place, start: number, count: number): Promise<Packable[]> {
  const entries = await database.entries(piecesFrom(place.document, place.session, start))
  const open = entries.map(([, value]) => unpack(value))
  let at = start
  for (const { after, until } of open) {
    if (after !== at) throw new DamagedBlob('a piece of it is missing')
    at = until
  }
  if (at !== start + count) throw new DamagedBlob('the end of a session is missing')
  return open
}

function putPiece({ writer }: Store, { document, session }: Place, piece: Packable): Operation {
  writePacked(writer.begin(), piece)
  return put(pieceKey(document, session, piece.after), writer.keep())
}

function bytesOf({ body, seals }: Packable): number {
  let bytes = 0
  for (const part of body) bytes += part.length
  for (const { seal } of seals) bytes += seal.length
  return bytes
}
