/**
 * What becomes of a content that is to be stored: the rules of `append`, shared by all adapters so that none writes its own.
 *
 * Pure: an adapter says what it holds and reads what it is asked for (`overlapOf`), at its own pace, then asks for the verdict.
 * L13: overlap is compared before it is sliced away; a difference is a fork, never decided by length.
 * Not here: writing, and what a page holds (page.ts).
 */
import type { Range } from '@tidemark/known-state'
import type { Content, PayloadKind, Run } from '@tidemark/protocol'
import { type Refused, type RefusedWhy, RUN_TRANSACTIONS_MAX } from './contract.ts'
import { extendDigest } from './digest.ts'
import { bytesEqual, jsonEqual } from './json-equal.ts'

/** What is held of a document before its sessions are looked at. */
export interface HeldDocument {
  readonly kind: PayloadKind
  readonly erased: boolean
  /** Needed only where the content to judge brings a header. */
  readonly header?: Uint8Array | undefined
}

/**
 * What to do with a content as a whole:
 * `create` the document, then judge its runs · `extend`: judge its runs · `covered`: the document was erased, store and refuse
 * nothing · `absent`: answer `refused` and `state: undefined` · `headerRefused`: answer that, store nothing.
 */
export type DocumentVerdict =
  | { readonly verdict: 'create' | 'extend' | 'covered' }
  | { readonly verdict: 'absent'; readonly refused: ReadonlyMap<string, Refused> }
  | { readonly verdict: 'headerRefused'; readonly why: RefusedWhy }

/** What is held of one session; `digest` (at `count`) for `bytes` documents. */
export interface HeldSession {
  readonly count: number
  readonly digest?: string | undefined
}

/** What is held of a session in the range that `overlapOf` named. */
export interface Overlap {
  readonly transactions: readonly Uint8Array[]
  /** Digest of the session at the start of the range; needed only if the run carries one. */
  readonly digest?: string | undefined
}

/** What to do with one run: store this part of it, nothing (it is held, or empty), or refuse its session. */
export type RunVerdict =
  | {
      readonly verdict: 'store'
      readonly after: number
      readonly transactions: readonly Uint8Array[]
      readonly seal: Uint8Array | undefined
      /** Digest of the session after this part, of `bytes` documents. */
      readonly digest: string | undefined
      /** Bytes of the transactions and the seal. */
      readonly bytes: number
    }
  | { readonly verdict: 'nothing' }
  | { readonly verdict: 'refuse'; readonly refused: Refused }

export function judgeDocument(content: Content, held: HeldDocument | undefined, runBytesMax: number): DocumentVerdict {
  if (held === undefined) return judgeAbsent(content, runBytesMax)
  if (held.erased) return { verdict: 'covered' }
  if (held.kind !== content.kind) return { verdict: 'headerRefused', why: 'fork' }
  if (content.header === undefined) return { verdict: 'extend' }
  if (held.header === undefined)
    throw new TypeError(`document ${JSON.stringify(content.id)}: its header must be read to judge this content`)
  return samePayload(held.kind, held.header, content.header)
    ? { verdict: 'extend' }
    : { verdict: 'headerRefused', why: 'fork' }
}

function judgeAbsent(content: Content, runBytesMax: number): DocumentVerdict {
  if (content.header === undefined) {
    const refused = new Map<string, Refused>()
    for (const run of content.runs) refused.set(run.session, { why: 'gap', have: 0 })
    return { verdict: 'absent', refused }
  }
  return content.header.length > runBytesMax ? { verdict: 'headerRefused', why: 'tooLarge' } : { verdict: 'create' }
}

/**
 * Which held transactions must be read before `run` can be judged; `undefined` if none. The range is empty where only the
 * digest at its start is needed.
 */
export function overlapOf(run: Run, kind: PayloadKind, count: number): Range | undefined {
  if (run.after >= count) return undefined
  const until = Math.min(count, run.after + run.transactions.length)
  return until > run.after || (kind === 'bytes' && run.digest !== undefined) ? { after: run.after, until } : undefined
}

/** `overlap`: what is held in the range that `overlapOf` named, if it named one. */
export function judgeRun(
  run: Run,
  kind: PayloadKind,
  held: HeldSession,
  runBytesMax: number,
  overlap?: Overlap,
): RunVerdict {
  if (run.after > held.count) return refuse('gap', held)
  if (!continues(run, kind, held, overlap)) return refuse('fork', held)
  const skipped = held.count - run.after
  // A run that is held already changes nothing, not even the seal: it might prove less than the one that is held.
  if (run.transactions.length <= skipped) return { verdict: 'nothing' }
  const transactions = skipped === 0 ? run.transactions : run.transactions.slice(skipped)
  const bytes = bytesOf(transactions, run.seal)
  if (exceeds(transactions, run.seal, bytes, runBytesMax)) return refuse('tooLarge', held)
  const digest = kind === 'bytes' ? extendDigest(required(held.digest, run), transactions) : undefined
  return { verdict: 'store', after: held.count, transactions, seal: run.seal, digest, bytes }
}

/** Whether two payloads of a document are the same: by meaning for `json`, byte by byte for `bytes`. */
export function samePayload(kind: PayloadKind, a: Uint8Array, b: Uint8Array): boolean {
  return kind === 'json' ? jsonEqual(a, b) : bytesEqual(a, b)
}

/** Bytes as they count for limits: of the transactions and the seal. */
export function bytesOf(transactions: readonly Uint8Array[], seal: Uint8Array | undefined): number {
  let bytes = seal?.length ?? 0
  for (const transaction of transactions) bytes += transaction.length
  return bytes
}

function continues(run: Run, kind: PayloadKind, held: HeldSession, overlap: Overlap | undefined): boolean {
  if (kind === 'bytes' && run.digest !== undefined) {
    const digest = run.after === held.count ? held.digest : overlap?.digest
    if (required(digest, run) !== run.digest) return false
  }
  const range = overlapOf(run, kind, held.count)
  if (range === undefined) return true
  if (overlap?.transactions.length !== range.until - range.after)
    throw new TypeError(
      `session ${JSON.stringify(run.session)}: transactions ${range.after} to ${range.until} must be read to judge this run`,
    )
  return overlap.transactions.every((transaction, index) =>
    samePayload(kind, transaction, run.transactions[index] as Uint8Array),
  )
}

// A part without a seal may be cut anywhere, so only its single transactions are bounded.
function exceeds(
  transactions: readonly Uint8Array[],
  seal: Uint8Array | undefined,
  bytes: number,
  runBytesMax: number,
): boolean {
  if (seal === undefined) return transactions.some((transaction) => transaction.length > runBytesMax)
  return bytes > runBytesMax || transactions.length > RUN_TRANSACTIONS_MAX
}

function required(digest: string | undefined, run: Run): string {
  if (digest === undefined)
    throw new TypeError(`session ${JSON.stringify(run.session)}: its digest must be read to judge this run`)
  return digest
}

function refuse(why: RefusedWhy, held: HeldSession): RunVerdict {
  return { verdict: 'refuse', refused: { why, have: held.count } }
}
