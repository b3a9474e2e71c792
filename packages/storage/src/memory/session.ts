/**
 * One session in memory: its transactions in pieces as they were sealed, and its digest.
 */
import type { PayloadKind, Run } from '@tidemark/protocol'
import { EMPTY_DIGEST, extendDigest } from '../digest.ts'
import { judgeRun, overlapOf, type RunVerdict } from '../judge.ts'
import type { Piece } from '../page.ts'

/** What of a run is to be stored. */
export type NewPart = Extract<RunVerdict, { verdict: 'store' }>

interface StoredPiece {
  /** Count and digest of the session at the start. */
  readonly after: number
  readonly digest: string | undefined
  readonly transactions: Uint8Array[]
  readonly seal: Uint8Array | undefined
  bytes: number
}

/** Parts without a seal are joined up to here, so that a digest in the middle of one is never far from a known one. */
const JOINED_BYTES_MAX = 16 * 1024

export class Session {
  count = 0
  digest: string | undefined
  /** Bytes of transactions and seals. */
  bytes = 0
  /** Where the last sealed part begins. */
  lastRun: number | undefined
  verifier: Uint8Array | undefined
  readonly #kind: PayloadKind
  readonly #pieces: StoredPiece[] = []

  constructor(kind: PayloadKind) {
    this.#kind = kind
    this.digest = kind === 'bytes' ? EMPTY_DIGEST : undefined
  }

  judge(run: Run, runBytesMax: number): RunVerdict {
    const range = overlapOf(run, this.#kind, this.count)
    const overlap = range && {
      transactions: this.#slice(range.after, range.until),
      digest: run.digest === undefined ? undefined : this.digestAt(range.after),
    }
    return judgeRun(run, this.#kind, this, runBytesMax, overlap)
  }

  /** Stores an accepted part, in copies: it may be a view of a much larger frame, and the caller may use that again. */
  store(part: NewPart): void {
    const transactions = part.transactions.map(copy)
    const last = this.#pieces.at(-1)
    if (
      part.seal === undefined &&
      last !== undefined &&
      last.seal === undefined &&
      last.bytes + part.bytes <= JOINED_BYTES_MAX
    ) {
      for (const transaction of transactions) last.transactions.push(transaction)
      last.bytes += part.bytes
    } else {
      const seal = part.seal && copy(part.seal)
      this.#pieces.push({ after: this.count, digest: this.digest, transactions, seal, bytes: part.bytes })
    }
    if (part.seal !== undefined) this.lastRun = this.count
    this.count += transactions.length
    this.digest = part.digest
    this.bytes += part.bytes
  }

  /** What is held from `count` on, piece by piece; the first is what is left of the one that `count` lies in. */
  *from(count: number): Generator<Piece> {
    if (count >= this.count) return
    for (let index = this.#indexAt(count); index < this.#pieces.length; index++) {
      const piece = this.#pieces[index] as StoredPiece
      yield piece.after >= count
        ? piece
        : { transactions: piece.transactions.slice(count - piece.after), seal: piece.seal }
    }
  }

  /** The digest at `count`; `undefined` for `json` documents. */
  digestAt(count: number): string | undefined {
    if (this.digest === undefined || count >= this.count) return this.digest
    const piece = this.#pieces[this.#indexAt(count)] as StoredPiece
    return extendDigest(piece.digest as string, piece.transactions.slice(0, count - piece.after))
  }

  #slice(after: number, until: number): Uint8Array[] {
    const transactions: Uint8Array[] = []
    for (const piece of this.from(after)) {
      for (const transaction of piece.transactions) {
        if (transactions.length === until - after) return transactions
        transactions.push(transaction)
      }
    }
    return transactions
  }

  /** Index of the piece that transaction `count` lies in; it must be held. */
  #indexAt(count: number): number {
    let low = 0
    let high = this.#pieces.length - 1
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if ((this.#pieces[middle] as StoredPiece).after <= count) low = middle
      else high = middle - 1
    }
    return low
  }
}

export function copy(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes)
}
