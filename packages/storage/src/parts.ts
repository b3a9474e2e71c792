/**
 * What is appended becomes parts that can be packed, and small pieces become large ones. For adapters.
 *
 * An append to the end of a session is the cheapest write there is; hundreds of such pieces are slow to read, so an adapter
 * folds them into segments of about 64 KiB once they weigh enough. L8: a sealed run is never divided.
 * Not here: where pieces are, what weighs enough.
 */
import { extendDigest } from './digest.ts'
import type { RunVerdict } from './judge.ts'
import type { Packable, Sealed } from './packed.ts'

/** A segment is closed before what would take it beyond this; a single transaction or sealed run may be larger. */
export const SEGMENT_BYTES: number = 64 * 1024

/** Transactions that will be one piece, and may still grow; each is a part of `body` of its own. */
export interface Part extends Packable {
  readonly sizes: number[]
  readonly seals: Sealed[]
  readonly body: Uint8Array[]
  /** Of transactions and seals, as pages count them. */
  bytes: number
}

type Accepted = Extract<RunVerdict, { verdict: 'store' }>

/**
 * Adds an accepted run to `parts` of its session, whose digest before the run is `digest`: to the last part while that is
 * small, and divided where it is large and has no seal.
 */
export function growParts(
  parts: Part[],
  run: Accepted,
  digest: string | undefined,
  segmentBytes: number = SEGMENT_BYTES,
): void {
  let part = parts.at(-1)
  // Mostly a run is small: a part of its own, made in one go.
  if (part === undefined && run.bytes <= segmentBytes) {
    parts.push(partOf(run, digest))
    return
  }
  let count = run.after
  let digested = 0
  let digestThere = digest
  for (const transaction of run.transactions) {
    if (part === undefined || startsAnother(part, run, count, transaction, segmentBytes)) {
      const before = count - run.after
      if (digestThere !== undefined && before > digested)
        digestThere = extendDigest(digestThere, run.transactions.slice(digested, before))
      digested = before
      part = { after: count, digest: digestThere, sizes: [], seals: [], body: [], bytes: 0 }
      parts.push(part)
    }
    part.sizes.push(transaction.length)
    part.body.push(transaction)
    part.bytes += transaction.length
    count++
  }
  if (run.seal === undefined || part === undefined) return
  part.seals.push({ after: run.after, until: count, seal: run.seal })
  part.bytes += run.seal.length
}

function partOf({ after, transactions, seal, bytes }: Accepted, digest: string | undefined): Part {
  return {
    after,
    digest,
    sizes: transactions.map((transaction) => transaction.length),
    seals: seal === undefined ? [] : [{ after, until: after + transactions.length, seal }],
    body: transactions.slice(),
    bytes,
  }
}

/** Whether the transaction at `count` is too much for `part`; a sealed run is so as a whole or not at all. */
function startsAnother(
  { bytes }: Part,
  run: Accepted,
  count: number,
  transaction: Uint8Array,
  segmentBytes: number,
): boolean {
  if (run.seal === undefined) return bytes + transaction.length > segmentBytes
  return count === run.after && bytes + run.bytes > segmentBytes
}

/** Pieces that follow each other, packed together into as few as their size allows. */
export function foldPieces(pieces: readonly Packable[], segmentBytes: number = SEGMENT_BYTES): Packable[] {
  const folded: Packable[] = []
  let group: Packable[] = []
  let bytes = 0
  for (const piece of pieces) {
    const size = sizeOf(piece)
    if (group.length > 0 && bytes + size > segmentBytes) {
      folded.push(join(group))
      group = []
      bytes = 0
    }
    group.push(piece)
    bytes += size
  }
  if (group.length > 0) folded.push(join(group))
  return folded
}

function sizeOf({ sizes, body, seals }: Packable): number {
  // Even a transaction without any bytes takes one, for its size.
  let bytes = sizes.length
  for (const part of body) bytes += part.length
  for (const { seal } of seals) bytes += seal.length
  return bytes
}

function join(pieces: readonly Packable[]): Packable {
  const [first] = pieces as [Packable]
  if (pieces.length === 1) return first
  const sizes: number[] = []
  const seals: Sealed[] = []
  const body: Uint8Array[] = []
  for (const piece of pieces) {
    for (const size of piece.sizes) sizes.push(size)
    for (const sealed of piece.seals) seals.push(sealed)
    for (const part of piece.body) body.push(part)
  }
  return { after: first.after, digest: first.digest, sizes, seals, body }
}
