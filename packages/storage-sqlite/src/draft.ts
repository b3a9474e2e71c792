/**
 * A document within a commit: what is held of it, and what the contents of this commit add, written once at the end.
 *
 * Many contents of one document cost one read and one write of its row, and what they append to a session becomes one piece.
 * Nothing is written before `write`: a content is judged completely, then taken completely (atomic per content).
 * Not here: what is accepted (work.ts).
 */
import type { StoredState } from '@tidemark/storage'
import { EMPTY_DIGEST, extendDigest, type RunVerdict } from '@tidemark/storage/adapter'
import { encodeFirst, FIRST_RUNS_BYTES_MAX } from './first.ts'
import type { Heavy } from './heavy.ts'
import { type DocumentRow, type Entry, encodeRow } from './known-blob.ts'
import type { Sealed } from './packed.ts'
import { SessionsHeld } from './sessions-held.ts'
import { grownState } from './states.ts'
import type { Numbers, Store } from './store.ts'
import { appendParts, SEGMENT_BYTES } from './tail.ts'

export type Accepted = Extract<RunVerdict, { verdict: 'store' }>

/** Transactions that will be one piece. */
interface Growing {
  readonly after: number
  readonly digest: string | undefined
  readonly sizes: number[]
  readonly seals: Sealed[]
  readonly body: Uint8Array[]
  bytes: number
}

/** What is held of a document; its sessions are still to be named. */
export interface Held {
  readonly row: DocumentRow
  readonly entries: readonly Entry[]
}

/** A document between two changes of it within a commit. */
export interface Moment {
  readonly draft: Draft
  /** Set when the later change comes: what was held until then. */
  past?: Held | StoredState
}

export interface DraftOf {
  readonly id: string
  readonly document: number
  readonly row: DocumentRow
  /** Where the document stands so far; 0 if it is of this commit. */
  readonly sequence: number
  /** Only if the document is of this commit. */
  readonly header?: Uint8Array
  /** What was held before this commit, if it is remembered. */
  readonly before?: Heavy | undefined
}

export class Draft {
  readonly id: string
  readonly document: number
  readonly row: DocumentRow
  readonly #store: Store
  readonly #sessions: SessionsHeld
  /** By session, in order; written before they are read. */
  readonly #parts = new Map<number, Growing[]>()
  readonly #verifiers = new Map<number, Uint8Array>()
  /** References of the sessions that were changed, by name. */
  readonly #touched = new Map<string, number>()
  /** What was held before this commit, if it is remembered. */
  readonly #before: Heavy | undefined
  /** The header, if the document is of this commit. */
  readonly header: Uint8Array | undefined
  #firstWritten = false
  /** Where the document stands. */
  #sequence: number
  #changed: boolean
  /** Asked for since the last change. */
  #moment: Moment | undefined

  constructor(store: Store, of: DraftOf) {
    this.#store = store
    this.id = of.id
    this.document = of.document
    this.row = of.row
    this.header = of.header
    this.#before = of.before
    this.#sequence = of.sequence
    this.#sessions = new SessionsHeld(store, of.row)
    this.#changed = of.header !== undefined
  }

  /** What is held of a session, with all that was taken. */
  session(session: number | undefined): Entry | undefined {
    return session === undefined ? undefined : this.#sessions.get(session)
  }

  /** What is held now: its state where that can be told from the one before, else what it is made of. */
  held(): Held | StoredState {
    if (this.#before === undefined) return { row: this.row, entries: this.#sessions.all() }
    if (this.#touched.size === 0) return this.#before.state
    return grownState(this.#before.state, this.row, this.#touchedEntries(), this.#store.limits.pageBytes)
  }

  /** References whose names are needed to tell the state. */
  sessionsToName(): readonly number[] {
    return this.#before === undefined ? this.#sessions.all().map(({ session }) => session) : []
  }

  /** What is held now, to be looked at later: each content is answered with the state after itself. */
  now(): Moment {
    this.#moment ??= { draft: this }
    return this.#moment
  }

  /** Takes an accepted run to the end of its session. */
  take(name: string, session: number, run: Accepted, verifier: Uint8Array | undefined): void {
    this.#passMoment()
    this.#touched.set(name, session)
    const entry = this.#entry(session)
    const parts = this.#parts.get(session) ?? []
    this.#parts.set(session, parts)
    extend(parts, entry, run)
    if (run.seal !== undefined && this.row.kind === 'json') entry.lastRun = entry.count
    entry.count += run.transactions.length
    entry.digest = run.digest
    this.row.bytes += run.bytes
    if (verifier !== undefined) this.#verifiers.set(session, verifier)
    this.#sessions.changed(session)
    this.#changed = true
  }

  /** Whether transactions of `session` from `count` on may still be only here. */
  isPending(session: number): boolean {
    return this.#parts.has(session)
  }

  /** Writes the header and the transactions that were taken so far, so that they can be read. */
  writePieces(numbers: Numbers): void {
    if (this.header !== undefined && !this.#firstWritten) this.#writeFirst(this.header)
    for (const [session, parts] of this.#parts)
      appendParts(this.#store, numbers, this.document, this.#sessions.get(session) as Entry, parts)
    this.#parts.clear()
  }

  #writeFirst(header: Uint8Array): void {
    const runs: [session: number, run: Growing][] = []
    let room = FIRST_RUNS_BYTES_MAX
    for (const [session, [part, another]] of this.#parts) {
      if (part === undefined || another !== undefined || part.bytes > room) continue
      room -= part.bytes
      runs.push([session, part])
      this.#parts.delete(session)
    }
    const { sql, writer } = this.#store
    sql.addFirst.run(this.document, encodeFirst(writer, header, runs))
    this.#firstWritten = true
  }

  /** Writes everything; the document stands at a new sequence if anything of it changed. */
  write(numbers: Numbers): void {
    if (!this.#changed) return
    this.writePieces(numbers)
    const { sql, writer } = this.#store
    for (const [session, state] of this.#verifiers) sql.setVerifier.run(this.document, session, state)
    this.#sessions.write(numbers)
    const state = encodeRow(writer, this.row)
    this.#sequence = ++numbers.sequence
    if (this.header === undefined) sql.setDocument.run(this.#sequence, state, this.id)
    else sql.addDocument.run(this.id, this.document, this.#sequence, state)
  }

  /** What the document will be remembered by, if it has very many sessions; to be asked after `write`. */
  heavy(state: StoredState): Heavy | undefined {
    if (this.row.chunks.length === 0) return undefined
    const grew = state.known.sessions.size > (this.#before?.state.known.sessions.size ?? 0)
    return { sequence: this.#sequence, state, ordered: grew ? undefined : this.#before?.ordered }
  }

  #passMoment(): void {
    if (this.#moment === undefined) return
    const held = this.held()
    this.#moment.past =
      'known' in held ? held : { row: { ...held.row }, entries: held.entries.map((entry) => ({ ...entry })) }
    this.#moment = undefined
  }

  *#touchedEntries(): Generator<readonly [string, Entry]> {
    for (const [name, session] of this.#touched) yield [name, this.#sessions.get(session) as Entry]
  }

  #entry(session: number): Entry {
    const held = this.#sessions.get(session)
    if (held !== undefined) return held
    const digest = this.row.kind === 'bytes' ? EMPTY_DIGEST : undefined
    const entry: Entry = { session, count: 0, tail: 0, digest, lastRun: undefined }
    this.#sessions.add(entry)
    return entry
  }
}

/** Adds `run` to the last of `parts` while it is small; a sealed run stays in one piece, others are divided. */
function extend(parts: Growing[], entry: Entry, run: Accepted): void {
  let part = parts.at(-1)
  let digest = entry.digest
  let count = entry.count
  let divided = 0
  for (const transaction of run.transactions) {
    const mayDivide = run.seal === undefined || count === entry.count
    if (part === undefined || (mayDivide && part.bytes >= SEGMENT_BYTES)) {
      if (digest !== undefined) digest = extendDigest(digest, run.transactions.slice(divided, count - entry.count))
      divided = count - entry.count
      part = { after: count, digest, sizes: [], seals: [], body: [], bytes: 0 }
      parts.push(part)
    }
    part.sizes.push(transaction.length)
    part.body.push(transaction)
    part.bytes += transaction.length
    count++
  }
  if (run.seal === undefined || part === undefined) return
  part.seals.push({ after: entry.count, until: count, seal: run.seal })
  part.bytes += run.seal.length
}
