/**
 * What is appended goes to the tail of its document, and the tail is folded into segments when it has become heavy.
 *
 * A commit appends to a document with one record, whatever number of sessions it touches: the cheapest write there is. Many small
 * records are slow to read, so when they weigh enough they become segments, by session, in the same transaction. A last segment
 * that is still small is taken along, so that segments of a session grow by what is folded and are not rewritten each time.
 * L8: packing together keeps every seal. Not here: reading (pieces.ts).
 */
import { type BlobWriter, foldPieces, type Packable, type Packed, type Part } from '@tidemark/storage/adapter'
import { wrap } from 'idb'
import { headKey, segmentKey, tailKey, tailRange } from './keys.ts'
import { readUnfolded } from './pieces.ts'
import { decodeSegment, encodeHead, encodeSegment, encodeTail, HEAD_RUNS_BYTES_MAX } from './records.ts'
import type { Row } from './row.ts'
import type { Reach } from './transaction.ts'

/**
 * Bytes of transactions and seals in a segment. With what else is in the record it stays below 64 KiB: beyond, Chromium keeps a
 * value in a file of its own, which is several times slower to read and to write.
 */
export const SEGMENT_BYTES: number = 56 * 1024
/** Weight at which a tail becomes segments: of one session, and more for each, so that folding makes no tiny segments. */
const TAIL_WEIGHT_MIN = 32 * 1024
const TAIL_WEIGHT_PER_SESSION = 4 * 1024
const TAIL_WEIGHT_MAX = 512 * 1024
/** What a record weighs beyond its bytes: a tail of tiny records is slow to read long before it is large. */
const RECORD_WEIGHT = 64
/** A last segment below this may grow with the next fold instead of staying behind. */
const SEGMENT_GROWS_BYTES = SEGMENT_BYTES / 2
/** It grows if it has at most this, or is not much larger than what is added: otherwise small folds would rewrite it for ever. */
const SEGMENT_GROWS_ANYWAY_BYTES = 2 * 1024
const SEGMENT_GROWS_FACTOR = 4

/** What a commit appends to a document, by session number. */
export type Parts = ReadonlyMap<number, readonly Part[]>

/** A change of the object store `content`; without bytes a removal. */
export interface Change {
  readonly key: Uint8Array<ArrayBuffer> | IDBKeyRange
  readonly bytes?: Uint8Array
}

export function writeChanges(reach: Reach, changes: readonly Change[]): void {
  const content = reach('content')
  for (const { key, bytes } of changes)
    if (bytes === undefined) content.delete(key)
    else content.put(bytes, key as Uint8Array<ArrayBuffer>)
}

/**
 * The changes that append `parts` to a document, whose row is brought up to date. `header`: the document is created.
 *
 * @throws DamagedBlob if what is to be folded is damaged.
 */
export async function appending(
  reach: Reach,
  writer: BlobWriter,
  row: Row,
  parts: Parts,
  header: Uint8Array | undefined,
): Promise<Change[]> {
  const bytes = bytesOf(parts)
  const changes: Change[] = []
  if (header !== undefined) {
    row.headHasRuns = bytes > 0 && bytes <= HEAD_RUNS_BYTES_MAX
    changes.push({ key: headKey(row.document), bytes: encodeHead(writer, header, row.headHasRuns ? parts : []) })
    if (row.headHasRuns) row.tail.weight += bytes
  }
  if (parts.size === 0 || (header !== undefined && row.headHasRuns)) return changes
  const weight = row.tail.weight + bytes + RECORD_WEIGHT
  if (weight > weightMax(row)) return [...changes, ...(await folding(reach, writer, row, parts))]
  changes.push({ key: tailKey(row.document, row.tail.records), bytes: encodeTail(writer, parts) })
  row.tail.records++
  row.tail.weight = weight
  return changes
}

function weightMax({ tail }: Row): number {
  return Math.min(TAIL_WEIGHT_MAX, Math.max(TAIL_WEIGHT_MIN, TAIL_WEIGHT_PER_SESSION * tail.sessions))
}

/** The changes that make segments of the tail and of `parts`, leaving out sessions that are not kept. @throws DamagedBlob */
export async function folding(
  reach: Reach,
  writer: BlobWriter,
  row: Row,
  parts: Parts,
  isKept: (session: number) => boolean = () => true,
): Promise<Change[]> {
  const { document } = row
  const { header, pieces } = await readUnfolded(reach, row, { header: false })
  const changes: Change[] = []
  if (row.tail.records > 0) changes.push({ key: tailRange(document) })
  if (row.headHasRuns) changes.push({ key: headKey(document), bytes: encodeHead(writer, header as Uint8Array, []) })
  const sessions = [...new Set([...pieces.keys(), ...parts.keys()])].filter(isKept)
  const folded = await Promise.all(
    sessions.map((session) =>
      foldSession(reach, writer, row, session, [...(pieces.get(session) ?? []), ...(parts.get(session) ?? [])]),
    ),
  )
  for (const some of folded) for (const change of some) changes.push(change)
  row.hasSegments = true
  row.headHasRuns = false
  Object.assign(row.tail, { number: row.tail.number + 1, records: 0, sessions: 0, weight: 0 })
  return changes
}

async function foldSession(
  reach: Reach,
  writer: BlobWriter,
  row: Row,
  session: number,
  pieces: readonly Packable[],
): Promise<Change[]> {
  const changes: Change[] = []
  const last = await lastSegment(reach, row, session, pieces)
  const grown = last === undefined ? pieces : [last, ...pieces]
  if (last !== undefined) changes.push({ key: segmentKey(row.document, session, last.until) })
  for (const segment of foldPieces(grown, SEGMENT_BYTES)) {
    const key = segmentKey(row.document, session, segment.after + segment.sizes.length)
    changes.push({ key, bytes: encodeSegment(writer, session, segment) })
  }
  return changes
}

/** The segment before `pieces`, if it is to grow. */
async function lastSegment(
  reach: Reach,
  { document, hasSegments }: Row,
  session: number,
  pieces: readonly Packable[],
): Promise<Packed | undefined> {
  const until = pieces[0]?.after ?? 0
  if (until === 0 || !hasSegments) return undefined
  const bytes: Uint8Array | undefined = await wrap(reach('content').get(segmentKey(document, session, until)))
  if (bytes === undefined || bytes.length >= SEGMENT_GROWS_BYTES) return undefined
  let added = 0
  for (const piece of pieces) for (const part of piece.body) added += part.length
  const grows = Math.max(SEGMENT_GROWS_ANYWAY_BYTES, SEGMENT_GROWS_FACTOR * added)
  return bytes.length <= grows ? decodeSegment(bytes) : undefined
}

function bytesOf(parts: Parts): number {
  let bytes = 0
  for (const some of parts.values()) for (const part of some) bytes += part.bytes
  return bytes
}
