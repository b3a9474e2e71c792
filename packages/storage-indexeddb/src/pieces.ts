/**
 * Reading content: what is in no segment yet, and the segments that a range of counts needs.
 *
 * A session's content is a sequence of pieces: segments, then what stands beside the header, then entries of the tail. Head and
 * tail are small (fold.ts) and are read whole. Not here: what of it makes a page (read.ts).
 */
import type { Range } from '@tidemark/known-state'
import type { Overlap, Packed } from '@tidemark/storage/adapter'
import { wrap } from 'idb'
import { headKey, segmentRange, tailRange } from './keys.ts'
import { continuous, decodeHead, decodeRuns, decodeSegment, type Pieces } from './records.ts'
import type { Row } from './row.ts'
import type { Reach } from './transaction.ts'

/** What of a document is in no segment. */
export interface Unfolded {
  /** Where it was asked for, or has runs beside it. */
  readonly header: Uint8Array | undefined
  readonly pieces: Pieces
}

export async function readUnfolded(reach: Reach, row: Row, wanted: { readonly header: boolean }): Promise<Unfolded> {
  const content = reach('content')
  const [head, tail] = await Promise.all([
    wanted.header || row.headHasRuns ? wrap(content.get(headKey(row.document))) : undefined,
    row.tail.records > 0 ? (wrap(content.getAll(tailRange(row.document))) as Promise<Uint8Array[]>) : [],
  ])
  const { header, pieces } =
    wanted.header || row.headHasRuns ? decodeHead(head) : { header: undefined, pieces: new Map() as Pieces }
  for (const entry of tail) decodeRuns(entry, pieces)
  return { header, pieces }
}

/** @throws DamagedBlob */
export async function readHeader(reach: Reach, { document }: Row): Promise<Uint8Array> {
  return decodeHead(await wrap(reach('content').get(headKey(document)))).header
}

/** The segments of a session that have counts of `range` in them; that of its start where the range is empty. */
export async function readSegments(reach: Reach, row: Row, session: number, range: Range): Promise<Packed[]> {
  if (!row.hasSegments) return []
  const content = reach('content')
  const { after, until } = range
  const [within, next] = await Promise.all([
    until > after ? wrap(content.getAll(segmentRange(row.document, session, after + 1, until))) : [],
    wrap(content.getAll(segmentRange(row.document, session, until + 1), 1)),
  ])
  return [...within, ...next].map((bytes: Uint8Array) => decodeSegment(bytes))
}

/** What is held of a session in a range, out of the pieces that have it. @throws DamagedBlob */
export function overlapIn(pieces: readonly Packed[], range: Range, wantsDigest: boolean): Overlap {
  const transactions: Uint8Array[] = []
  let digest: string | undefined
  for (const piece of continuous(pieces, range.after, range.until)) {
    const from = Math.max(range.after, piece.after)
    if (wantsDigest) digest ??= piece.digestAt(from)
    for (const transaction of piece.transactions(from, Math.min(range.until, piece.until)))
      transactions.push(transaction)
    if (piece.until >= range.until) break
  }
  return { transactions, digest }
}
