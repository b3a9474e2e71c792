/**
 * A document within a commit: what is held of it, and what the contents of this commit add, written once at the end.
 *
 * Many contents of one document cost one read and one write of its row, and what they append to a session becomes one piece.
 * Nothing is written before `write`: a content is judged completely, then taken completely (atomic per content).
 * Not here: what is accepted (work.ts).
 */
import type { StoredState } from '@tidemark/storage'
import { EMPTY_DIGEST, growParts, Moments, type Part, type RunVerdict } from '@tidemark/storage/adapter'
import { encodeFirst, FIRST_RUNS_BYTES_MAX } from './first.ts'
import type { Heavy } from './heavy.ts'
import { type DocumentRow, type Entry, encodeRow } from './known-blob.ts'
import { SessionsHeld } from './sessions-held.ts'
import type { Numbers, Store } from './store.ts'
import { appendParts } from './tail.ts'

export type Accepted = Extract<RunVerdict, { verdict: 'store' }>

/** What is held of a document; its sessions are still to be named. */
export interface Held {
  readonly row: DocumentRow
  readonly entries: readonly Entry[]
}

/** A document between two changes of it within a commit. */
export interface Moment {
  readonly draft: Draft
  /** How many changes there were before, of a document whose state before this commit is remembered. */
  readonly after: number
  /** Of any other document, set when the later change comes: what was held until then. */
  past?: Held
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
  readonly #parts = new Map<number, Part[]>()
  readonly #verifiers = new Map<number, Uint8Array>()
  /** References of the sessions that were changed. */
  readonly #touched = new Set<number>()
  /** What was held before this commit, if it is remembered. */
  readonly #before: Heavy | undefined
  /** What was answered of it so far, if `before` is remembered. */
  readonly moments: Moments | undefined
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
    this.moments = of.before && new Moments(of.before.state, store.limits.pageBytes)
    this.#sequence = of.sequence
    this.#sessions = new SessionsHeld(store, of.row)
    this.#changed = of.header !== undefined
  }

  /** What is held of a session, with all that was taken. */
  session(session: number | undefined): Entry | undefined {
    return session === undefined ? undefined : this.#sessions.get(session)
  }

  /** What is held now; of a document with `moments` it is told by those. */
  held(): Held {
    return { row: this.row, entries: this.#sessions.all() }
  }

  /** References whose names are needed to tell the state. */
  sessionsToName(): readonly number[] {
    return this.#before === undefined ? this.#sessions.all().map(({ session }) => session) : []
  }

  /** What is held now, to be looked at later: each content is answered with the state after itself. */
  now(): Moment {
    this.#moment ??= { draft: this, after: this.moments?.now ?? 0 }
    return this.#moment
  }

  /** Takes an accepted run to the end of its session. */
  take(name: string, session: number, run: Accepted, verifier: Uint8Array | undefined): void {
    this.#passMoment()
    this.#touched.add(session)
    const entry = this.#entry(session)
    const parts = this.#parts.get(session) ?? []
    this.#parts.set(session, parts)
    growParts(parts, run, entry.digest)
    if (run.seal !== undefined && this.row.kind === 'json') entry.lastRun = entry.count
    entry.count += run.transactions.length
    entry.digest = run.digest
    this.row.bytes += run.bytes
    if (verifier !== undefined) this.#verifiers.set(session, verifier)
    this.#sessions.changed(session)
    this.moments?.changed(name, entry, this.row.bytes)
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
    const runs: [session: number, run: Part][] = []
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

  /** Tells which of its sessions are worth folding; to be asked once they are committed. */
  noteTails(): void {
    for (const session of this.#touched)
      this.#store.tails.note({ id: this.id, session }, this.#sessions.get(session)?.tail ?? 0)
  }

  #passMoment(): void {
    if (this.#moment === undefined) return
    if (this.moments === undefined) {
      const { row, entries } = this.held()
      this.#moment.past = { row: { ...row }, entries: entries.map((entry) => ({ ...entry })) }
    }
    this.#moment = undefined
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
