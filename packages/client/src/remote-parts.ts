/**
 * What is written to a server, cut into messages that it takes.
 *
 * What fits into one message stays whole, so that the server stores all of it or nothing. L8: what one seal covers is not cut, nor is a
 * transaction; of a session where that is more than the server takes nothing is written. L10: of what is cut no part is large.
 * Not here: saying the parts, and what is answered (`remote-append.ts`).
 */
import { EMPTY } from '@tidemark/known-state'
import {
  type Content,
  contentWeight,
  MINIMUM_LIMITS,
  piecesWeight,
  type Run,
  runWeight,
  wireBytesOf,
} from '@tidemark/protocol'
import { type Append, RUN_TRANSACTIONS_MAX } from '@tidemark/storage'
import { extendDigest, type PageBuilder, pageBuilder } from '@tidemark/storage/adapter'

export interface Parts {
  /** In order: each continues what is stored when those before it are. */
  readonly contents: readonly Content[]
  /** Sessions that are left out: they go on with more than the server takes in one piece. */
  readonly tooLarge: ReadonlySet<string>
}

/** Of one of several parts, by its weight, unless one piece alone is more. So much cannot name more sessions than a message may. */
const PART_BYTES = 512 * 1024

/** `undefined` if the header alone is more than a message of `messageBytesMax` bytes takes. */
export function partsFor(content: Append, messageBytesMax: number): Parts | undefined {
  const { id, kind, priority, header } = content
  const fits = (weight: number) => wireBytesOf(weight) <= messageBytesMax
  if (header !== undefined && !fits(header.length)) return undefined
  const isTooLarge = (run: Run) => !fits(heaviestPiece(run)) || (run.seal !== undefined && !isShort([run]))
  const tooLarge = new Set(content.runs.filter(isTooLarge).map(({ session }) => session))
  const runs = content.runs.filter(({ session }) => !tooLarge.has(session))
  const head = { id, kind, priority, ...(header !== undefined && { header }) }
  const whole = { ...head, runs }
  if (fits(contentWeight(whole)) && isShort(runs))
    // Who says nothing is not answered.
    return { contents: header === undefined && runs.length === 0 ? [] : [whole], tooLarge }
  // As the server cuts its pages; the header beside a large piece might be too much.
  const rest = cut(whole, Math.min(PART_BYTES, Math.floor((messageBytesMax * 3) / 8)))
  return { contents: header === undefined ? rest : [{ ...head, runs: [] }, ...rest], tooLarge }
}

/** Of a run what cannot be cut: all that its seal covers, or without one its largest transaction. */
function heaviestPiece({ session, transactions, seal }: Run): number {
  if (seal === undefined) {
    const largest = transactions.reduce((most, { length }) => Math.max(most, length), 0)
    return runWeight(session) + piecesWeight(largest, 1)
  }
  const bytes = transactions.reduce((sum, { length }) => sum + length, seal.length)
  return runWeight(session) + piecesWeight(bytes, transactions.length)
}

/** Whether one message may name as many sessions, and bring as many transactions. */
function isShort(runs: readonly Run[]): boolean {
  const transactions = runs.reduce((sum, run) => sum + run.transactions.length, 0)
  return runs.length <= MINIMUM_LIMITS.sessionsMax && transactions <= RUN_TRANSACTIONS_MAX
}

/** Runs without transactions bring nothing and are left out. */
function cut({ id, kind, priority, runs }: Content, bytesMax: number): Content[] {
  const parts: Content[] = []
  const begin = () =>
    pageBuilder({ id, kind, priority }, { ...EMPTY, header: true }, { bytesMax, runBytesMax: Number.POSITIVE_INFINITY })
  const end = (page: PageBuilder) => parts.push({ id, kind, priority, runs: page.end(EMPTY).runs })
  let page = begin()
  for (const run of runs)
    for (let left = run; left.transactions.length > 0; ) {
      const taken = page.begin(left.session, left.after, left.digest) ? page.add(left) : 0
      left = behind(left, taken)
      if (left.transactions.length === 0) continue
      end(page)
      page = begin()
    }
  end(page)
  return parts.filter((part) => part.runs.length > 0)
}

/** What is left of a run behind its first `count` transactions. */
function behind({ digest, ...run }: Run, count: number): Run {
  const transactions = run.transactions.slice(count)
  const left = { ...run, after: run.after + count, transactions }
  return digest === undefined ? left : { ...left, digest: extendDigest(digest, run.transactions.slice(0, count)) }
}
