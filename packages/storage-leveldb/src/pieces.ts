/**
 * Where content is, and reading it in order.
 *
 * A session's content is a sequence of pieces, each at the count at which it begins. Who asks from a count at which a piece begins
 * (the start of a session, the end of an append) reads it at once; anybody else is one step back in the order of the keys.
 * Not here: what a piece holds (`Packed`), which of them make a page (read.ts), how they get there (tail.ts).
 */
import { BlobReader, DamagedBlob, type Overlap, Packed } from '@tidemark/storage/adapter'
import { pieceKey, piecesBefore, piecesFrom } from './keys.ts'
import type { Store } from './store.ts'

/** Where a session's content is. */
export interface Place {
  readonly document: number
  readonly session: number
}

export interface Position extends Place {
  /** Of the session: the transaction that comes next. */
  readonly count: number
  /** Of the document's row: pieces that were remembered are those of just this moment. */
  readonly sequence?: number
}

/** The piece that a position lies in, what stands at its key, or nothing of it. */
export type FirstPiece = Packed | Uint8Array | undefined

/** Small pieces are followed by small ones: they are read many at a time. */
const LARGE_BYTES = 8 * 1024
const SCAN_BYTES = 64 * 1024

/** @throws DamagedBlob */
export function unpack(value: Uint8Array): Packed {
  const reader = new BlobReader(value)
  const packed = new Packed(reader)
  reader.finish()
  return packed
}

/**
 * What can be had of many sessions in one read: by position the piece that lies there, or what stands at its key; `undefined`
 * where it must be searched. To be handed to `pieces`.
 */
export async function firstPieces(store: Store, positions: readonly Position[]): Promise<readonly FirstPiece[]> {
  const found: FirstPiece[] = positions.map((position) => remembered(store, position))
  const wanted = found.flatMap((piece, index) => (piece === undefined ? [index] : []))
  const keys = wanted.map((index) => {
    const { document, session, count } = positions[index] as Position
    return pieceKey(document, session, count)
  })
  const values = await store.database.getMany(keys)
  for (const [at, index] of wanted.entries()) found[index] = values[at]
  return found
}

/**
 * The pieces of a session from the one at `position` to count `until` at least, some at a time.
 *
 * @throws DamagedBlob also where a piece does not follow the one before it.
 */
export async function* pieces(
  store: Store,
  position: Position,
  until: number,
  first: FirstPiece,
): AsyncGenerator<readonly Packed[]> {
  const { document, session, count } = position
  let piece = first instanceof Uint8Array ? unpack(first) : (first ?? (await pieceBefore(store, position)))
  if (piece.after > count || piece.until <= count) throw new DamagedBlob('a piece of it is missing')
  yield [piece]
  let at = piece.until
  while (at < until && piece.bytes >= LARGE_BYTES) {
    const value = await store.database.get(pieceKey(document, session, at))
    piece = follows(value && unpack(value), at)
    at = piece.until
    yield [piece]
  }
  if (at >= until) return
  for await (const values of store.database.scan(piecesFrom(document, session, at), SCAN_BYTES)) {
    const some = values.map(unpack)
    for (const next of some) at = follows(next, at).until
    yield some
    if (at >= until) return
  }
  throw new DamagedBlob('the end of a session is missing')
}

function follows(piece: Packed | undefined, at: number): Packed {
  if (piece?.after !== at) throw new DamagedBlob('a piece of it is missing')
  return piece
}

/** The last piece that begins before a position. */
async function pieceBefore({ database }: Store, { document, session, count }: Position): Promise<Packed> {
  const [before] = await database.entries(piecesBefore(document, session, count), { reverse: true, limit: 1 })
  return unpack(before?.[1] ?? missing())
}

function missing(): never {
  throw new DamagedBlob('a piece of it is missing')
}

/** Keeps the piece in which a page ended: whoever reads on begins with it. */
export function rememberPiece({ lastPieces }: Store, position: Position, piece: Packed): void {
  lastPieces.set(nameOf(position), piece)
}

function remembered({ lastPieces }: Store, position: Position): Packed | undefined {
  const last = position.sequence === undefined ? undefined : lastPieces.get(nameOf(position))
  return last !== undefined && last.after <= position.count && position.count < last.until ? last : undefined
}

/** Once the document was changed its pieces may be others, folded differently. */
function nameOf({ document, session, sequence }: Position): string {
  return `${document}/${session}/${sequence}`
}

/** What is held of a session from a position to count `until`, and the digest there if it is wanted. */
export async function readRange(
  store: Store,
  position: Position,
  until: number,
  wantsDigest: boolean,
): Promise<Overlap> {
  const transactions: Uint8Array[] = []
  let digest: string | undefined
  const [first] = await firstPieces(store, [position])
  for await (const some of pieces(store, position, until, first)) {
    for (const piece of some) {
      const from = Math.max(position.count, piece.after)
      if (wantsDigest) digest ??= piece.digestAt(from)
      for (const transaction of piece.transactions(from, Math.min(until, piece.until))) transactions.push(transaction)
    }
  }
  return { transactions, digest }
}
