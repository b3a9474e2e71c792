/**
 * What fits on a page: the rules of `read`, shared by all adapters.
 *
 * An adapter offers what is stored beyond the cursor, session by session in bytewise order, each from its first missing
 * transaction on; the builder takes what belongs on this page and says when it is full.
 *
 * L8: a run ends at a seal, or anywhere in a part that was stored without one; it never carries a seal with transactions
 * after it. L10: what counts is the weight of what is on the page, so many tiny things fill it as well as a few large ones; of
 * transactions it holds no more than a message may.
 * Not here: reading, order of sessions, the weights (`@tidemark/protocol`).
 */
import { covers, type KnownState, union } from '@tidemark/known-state'
import { type PayloadKind, type Priority, piecesWeight, type Run, runWeight } from '@tidemark/protocol'
import { type Page, RUN_TRANSACTIONS_MAX } from './contract.ts'
import { bytesOf } from './judge.ts'

/** Transactions that follow each other in a session: a whole sealed run (or the rest of one), or some without a seal. */
export interface Piece {
  readonly transactions: readonly Uint8Array[]
  /** Proof at the end of `transactions`. */
  readonly seal?: Uint8Array | undefined
}

export interface PageOf {
  readonly id: string
  readonly kind: PayloadKind
  readonly priority: Priority
  /** Needed only if `after` lacks it. */
  readonly header?: Uint8Array | undefined
}

export interface PageLimits {
  /** Of the weight of the page. */
  readonly bytesMax: number
  /** No run is made larger than this by joining pieces: what one store reads, another can append. */
  readonly runBytesMax: number
}

export interface PageBuilder {
  /** Goes on with a session at count `after`; `digest` (there) for `bytes` documents. Answers whether the page has room left. */
  begin(session: string, after: number, digest?: string): boolean
  /**
   * Whether a unit of so many bytes (one transaction, or what is left of a sealed run with its seal) would be taken now. For
   * adapters that know sizes before they read.
   */
  fits(bytes: number, transactions?: number): boolean
  /** Offers what follows in the session. Answers how many of its transactions were taken; fewer than offered end the session. */
  add(piece: Piece): number
  /** The page; `known` is all that is stored of the document. */
  end(known: KnownState): Page
}

/** Whether all that is stored of a document is more than a page: so many bytes, in sessions of these counts. */
export function exceedsPage(
  bytes: number,
  sessions: Iterable<readonly [session: string, count: number]>,
  pageBytes: number,
): boolean {
  let weight = bytes
  for (const [session, count] of sessions) {
    if (weight > pageBytes) break
    weight += runWeight(session) + piecesWeight(0, count)
  }
  return weight > pageBytes
}

export function pageBuilder(document: PageOf, after: KnownState, limits: PageLimits): PageBuilder {
  return new Builder(document, after, limits)
}

interface Growing {
  readonly session: string
  readonly after: number
  readonly digest: string | undefined
  readonly transactions: Uint8Array[]
  seal: Uint8Array | undefined
  /** Of the transactions and the seal. */
  bytes: number
  /** What the run alone weighs, until it is on the page. */
  weight: number
  /** Nothing more of this session on this page. */
  ended: boolean
}

class Builder implements PageBuilder {
  readonly #document: PageOf
  readonly #after: KnownState
  readonly #runBytesMax: number
  readonly #header: Uint8Array | undefined
  readonly #runs: Run[] = []
  #run: Growing | undefined
  #room: number
  /** Transactions on the page, those of the run that grows among them. */
  #count = 0
  #full = false

  constructor(document: PageOf, after: KnownState, limits: PageLimits) {
    this.#document = document
    this.#after = after
    this.#runBytesMax = limits.runBytesMax
    this.#header = after.header ? undefined : document.header
    this.#room = limits.bytesMax - (this.#header?.length ?? 0)
  }

  begin(session: string, after: number, digest?: string): boolean {
    this.#close()
    const weight = runWeight(session)
    // Not even its name fits: what follows in it need not be read.
    if (this.#runs.length > 0 && weight > this.#room) this.#full = true
    if (this.#full) return false
    this.#run = { session, after, digest, transactions: [], seal: undefined, bytes: 0, weight, ended: false }
    return true
  }

  fits(bytes: number, transactions = 1): boolean {
    const run = this.#run
    if (run === undefined || run.ended || this.#full) return false
    // A page holds at least one run if anything is missing, however large its first unit is.
    if (this.#runs.length === 0 && run.transactions.length === 0) return true
    // The seal that is replaced by a later one is not on the page.
    const more = bytes - (run.seal?.length ?? 0)
    const weight = run.weight + piecesWeight(more, transactions)
    return weight <= this.#room && run.bytes + more <= this.#runBytesMax && this.#hasPlace(transactions)
  }

  add({ transactions, seal }: Piece): number {
    const run = this.#run
    if (run === undefined || run.ended || transactions.length === 0) return 0
    if (seal === undefined) return this.#addUnsealed(run, transactions)
    const bytes = bytesOf(transactions, seal)
    if (!this.fits(bytes, transactions.length)) return this.#stop(run, bytes, transactions.length)
    this.#take(run, bytes - (run.seal?.length ?? 0), transactions.length)
    for (const transaction of transactions) run.transactions.push(transaction)
    run.seal = seal
    return transactions.length
  }

  end(known: KnownState): Page {
    this.#close()
    const sessions = new Map<string, number>()
    for (const run of this.#runs) sessions.set(run.session, run.after + run.transactions.length)
    const end = union(this.#after, { header: true, sessions })
    const { id, kind, priority } = this.#document
    const header = this.#header === undefined ? {} : { header: this.#header }
    return { id, kind, priority, ...header, runs: this.#runs, end, more: !covers(end, known) }
  }

  #addUnsealed(run: Growing, transactions: readonly Uint8Array[]): number {
    // L8: what follows a seal is proven by none; it goes on a page of its own.
    if (run.seal !== undefined) {
      run.ended = true
      return 0
    }
    let taken = 0
    for (const transaction of transactions) {
      if (!this.fits(transaction.length)) {
        this.#stop(run, transaction.length, 1)
        break
      }
      this.#take(run, transaction.length, 1)
      run.transactions.push(transaction)
      taken++
    }
    return taken
  }

  /** No reader takes more transactions in one message, of however many runs. */
  #hasPlace(transactions: number): boolean {
    return this.#count + transactions <= RUN_TRANSACTIONS_MAX
  }

  #take(run: Growing, bytes: number, transactions: number): void {
    run.bytes += bytes
    this.#count += transactions
    this.#room -= run.weight + piecesWeight(bytes, transactions)
    run.weight = 0
  }

  #stop(run: Growing, bytes: number, transactions: number): number {
    run.ended = true
    const more = bytes - (run.seal?.length ?? 0)
    if (run.weight + piecesWeight(more, transactions) > this.#room || !this.#hasPlace(transactions)) this.#full = true
    return 0
  }

  #close(): void {
    const run = this.#run
    this.#run = undefined
    if (run === undefined || run.transactions.length === 0) return
    const { session, after, transactions, seal, digest } = run
    this.#runs.push({
      session,
      after,
      transactions,
      ...(seal === undefined ? {} : { seal }),
      ...(digest === undefined ? {} : { digest }),
    })
  }
}
