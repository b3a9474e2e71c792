/**
 * Small appends as pieces of their own, folded into segments when they have become many.
 *
 * What is appended goes to the end of its session as one small piece, the cheapest write there is. When the pieces since the last
 * full segment weigh enough they become a segment of about 60 KiB, in the same batch; a last segment that is still small is
 * taken along. A session is always full segments, then at most one small one, then pieces; where the last two begin is noted in
 * its entry, so that folding reads them and nothing else. L8: folding keeps every seal.
 */
import type { Awaitable } from '@tidemark/storage'
import { DamagedBlob, foldPieces, type Packable, type Packed, type Part, writePacked } from '@tidemark/storage/adapter'
import { type Operation, type Put, put, remove, type Value } from './database.ts'
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

/**
 * Adds to `operations` what puts `parts` behind what is stored of a session, and accounts for it in `entry`. `growing`: more is
 * expected, so that what was put is remembered.
 */
export function appendParts(
  operations: Operation[],
  store: Store,
  place: Place,
  entry: Entry,
  parts: readonly Part[],
  growing: boolean,
): void {
  entry.tail += weightOf(parts)
  for (const part of parts) {
    entry.open += part.sizes.length
    const operation = putPiece(store, place, part)
    operations.push(operation)
    if (growing) store.tails.add(nameOf(place), part.after, part.after + part.sizes.length, operation.value)
  }
}

function weightOf(parts: readonly Part[]): number {
  let weight = 0
  for (const { bytes } of parts) weight += bytes + PIECE_WEIGHT
  return weight
}

/**
 * What puts `parts` behind what is stored of a session, folded; accounts for it in `entry`. At once, if what is to be folded is
 * remembered: what many sessions are folded from is then never in memory together.
 *
 * @throws DamagedBlob if what is to be folded cannot be read.
 */
export function foldParts(store: Store, place: Place, entry: Entry, parts: readonly Part[]): Awaitable<Operation[]> {
  const { after } = parts[0] as Part
  const records = entry.open === 0 ? [] : openRecords(store, place, after - entry.open, after)
  if (records instanceof Promise) return records.then((read) => foldRecords(store, place, entry, read, parts))
  return foldRecords(store, place, entry, records as readonly Uint8Array[], parts)
}

function foldRecords(
  store: Store,
  place: Place,
  entry: Entry,
  records: readonly Uint8Array[],
  parts: readonly Part[],
): Operation[] {
  const open = records.map(unpack)
  const start = (parts[0] as Part).after - entry.open
  if (follow(open, start) !== start + entry.open) throw new DamagedBlob('the end of a session is missing')
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

/** Where pieces end that begin at `start`. @throws DamagedBlob if one does not follow the one before it. */
function follow(pieces: readonly Packed[], start: number): number {
  let at = start
  for (const { after, until } of pieces) {
    if (after !== at) throw new DamagedBlob('a piece of it is missing')
    at = until
  }
  return at
}

/** What is stored of a session from count `start` on, up to its end at `until`. */
function openRecords(store: Store, place: Place, start: number, until: number): Awaitable<readonly Uint8Array[]> {
  const tail = store.tails.take(nameOf(place), until)
  if (tail?.after === start) return tail.records
  const { database } = store
  const { document, session } = place
  // A small segment, and behind it what is remembered.
  const segment =
    tail !== undefined && database.answersAtOnce
      ? (database.get(pieceKey(document, session, start)) as Value)
      : undefined
  if (tail !== undefined && segment !== undefined && unpack(segment).until === tail.after)
    return [segment, ...tail.records]
  return database.values(piecesFrom(document, session, start))
}

/** Both are numbers. */
function nameOf({ document, session }: Place): string {
  return `${document}/${session}`
}

function putPiece({ writer }: Store, { document, session }: Place, piece: Packable): Put {
  writePacked(writer.begin(), piece)
  return put(pieceKey(document, session, piece.after), writer.keep())
}

function bytesOf({ body, seals }: Packable): number {
  let bytes = 0
  for (const part of body) bytes += part.length
  for (const { seal } of seals) bytes += seal.length
  return bytes
}
