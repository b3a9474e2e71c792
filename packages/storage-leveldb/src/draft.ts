/**
 * A document within a commit: what is held of it, and what the contents of this commit add, written once at the end.
 *
 * Many contents of one document cost one read and one write of its row, and what they append to a session becomes one piece.
 * A content is judged completely, then taken completely (atomic per content), and answered with the state after itself
 * (`Moments`).
 * Not here: what is accepted (work.ts).
 */
import type { Refused } from '@tidemark/storage'
import {
  EMPTY_DIGEST,
  extendDigest,
  growParts,
  JudgedAt,
  Moments,
  type Overlap,
  type Part,
  type RunVerdict,
} from '@tidemark/storage/adapter'
import { Entries } from './chunks.ts'
import { type Operation, put, remove } from './database.ts'
import { changeKey, documentKey, headerKey, verifierKey } from './keys.ts'
import type { Large } from './large.ts'
import { type Place, readRange } from './pieces.ts'
import { type DocumentRow, type Entry, encodeRow } from './rows.ts'
import type { Held } from './states.ts'
import { type Numbers, type Store, sealed } from './store.ts'
import { appendParts, foldParts, mustFold, SEGMENT_BYTES } from './tail.ts'

export type Accepted = Extract<RunVerdict, { verdict: 'store' }>

/** What is held of a document before this commit; nothing but its row and header if it is of this commit. */
export interface DraftSource extends Held {
  /** Set if the document is of this commit, or if its header was needed. */
  readonly header: Uint8Array | undefined
  readonly isNew: boolean
}

interface Session {
  /** Ours once something was taken; before, what is held may be remembered, and is not changed. */
  entry: Entry
  /** What was taken. */
  parts: Part[] | undefined
}

export class Draft {
  readonly id: string
  readonly row: DocumentRow
  readonly header: Uint8Array | undefined
  /** Why nothing of it can be stored; found when it was to be written. */
  failure: unknown
  readonly #store: Store
  readonly #isNew: boolean
  readonly #entries: Entries
  readonly #sessions = new Map<string, Session>()
  #verifiers: Map<number, Uint8Array> | undefined
  readonly #moments: Moments

  constructor(store: Store, id: string, source: DraftSource) {
    this.id = id
    this.row = source.row
    this.header = source.header
    this.#store = store
    this.#isNew = source.isNew
    this.#moments = new Moments(source.state, store.limits.pageBytes)
    this.#entries = new Entries(source.row, source.entries, source.names)
    for (const [index, entry] of source.entries.entries())
      this.#sessions.set(source.names[index] as string, { entry, parts: undefined })
  }

  /** Answers with what is held after all that was taken so far. */
  answer(refused: ReadonlyMap<string, Refused>): JudgedAt {
    return new JudgedAt(this.#moments, this.#moments.now, refused)
  }

  session(name: string): Entry | undefined {
    return this.#sessions.get(name)?.entry
  }

  /** Takes an accepted run to the end of its session. */
  take(name: string, reference: number, run: Accepted, verifier: Uint8Array | undefined): void {
    const { entry, parts } = this.#sessionToGrow(name, reference)
    growParts(parts, run, entry.digest, SEGMENT_BYTES)
    if (run.seal !== undefined && this.row.kind === 'json') entry.lastRun = entry.count
    entry.count += run.transactions.length
    entry.digest = run.digest
    this.row.bytes += run.bytes
    if (verifier !== undefined) {
      this.#verifiers ??= new Map()
      this.#verifiers.set(entry.session, verifier)
    }
    this.#entries.changed(entry.session)
    this.#moments.changed(name, entry, this.row.bytes)
  }

  /** What is held of a session in a range, stored or only taken so far. */
  async overlap(
    name: string,
    range: { readonly after: number; readonly until: number },
    wantsDigest: boolean,
  ): Promise<Overlap> {
    const { entry, parts = [] } = this.#sessions.get(name) as Session
    const stored = parts[0]?.after ?? entry.count
    const transactions: Uint8Array[] = []
    let digest: string | undefined
    if (range.after < stored) {
      const position = { document: this.row.document, session: entry.session, count: range.after }
      const read = await readRange(this.#store, position, Math.min(range.until, stored), wantsDigest)
      for (const transaction of read.transactions) transactions.push(transaction)
      digest = read.digest
    }
    for (const part of parts) {
      const from = Math.max(range.after, part.after) - part.after
      if (wantsDigest && part.digest !== undefined && from <= part.sizes.length)
        digest ??= extendDigest(part.digest, part.body.slice(0, from))
      for (const transaction of part.body.slice(from, Math.max(from, range.until - part.after)))
        transactions.push(transaction)
    }
    return { transactions, digest }
  }

  /**
   * Adds to `operations` what writes everything that was taken; the document stands at a new sequence then.
   * A promise where a tail must be read to be folded; if that fails nothing was added.
   */
  write(operations: Operation[], numbers: Numbers): undefined | Promise<void> {
    const folded: Operation[] = []
    const reading = this.#fold(folded)
    const writeAll = (): undefined => {
      for (const operation of folded) operations.push(operation)
      this.#write(operations, numbers)
    }
    return reading === undefined ? writeAll() : Promise.all(reading).then(writeAll)
  }

  /** Adds to `folded` what folds each session whose tail has become too long; answers those that must be read first. */
  #fold(folded: Operation[]): Promise<void>[] | undefined {
    let reading: Promise<void>[] | undefined
    const add = (operations: readonly Operation[]) => {
      for (const operation of operations) folded.push(operation)
    }
    for (const session of this.#sessions.values()) {
      const { entry, parts } = session
      if (parts === undefined || !mustFold(entry, parts)) continue
      session.parts = undefined
      try {
        const folding = foldParts(this.#store, this.#placeOf(entry), entry, parts)
        if (folding instanceof Promise) {
          reading ??= []
          reading.push(folding.then(add))
        } else add(folding as readonly Operation[])
      } catch (cause) {
        if (reading === undefined) throw cause
        // What is being read is waited for, or its failure would be nobody's.
        reading.push(Promise.reject(cause))
        return reading
      }
    }
    return reading
  }

  #write(operations: Operation[], numbers: Numbers): undefined {
    const { document } = this.row
    if (this.#isNew) operations.push(put(headerKey(document), sealed(this.#store, this.header as Uint8Array)))
    for (const { entry, parts } of this.#sessions.values())
      if (parts !== undefined) appendParts(operations, this.#store, this.#placeOf(entry), entry, parts, !this.#isNew)
    for (const [session, state] of this.#verifiers ?? [])
      operations.push(put(verifierKey(document, session), sealed(this.#store, state)))
    this.#entries.write(operations, this.#store)
    writeRow(this.#store, operations, this.id, this.row, ++numbers.sequence)
  }

  #placeOf({ session }: Entry): Place {
    return { document: this.row.document, session }
  }

  /** What will be remembered of it once it is committed, if it is large. */
  large(): Large | undefined {
    if (this.row.chunks.length === 0) return undefined
    const { all: entries, names } = this.#entries
    return { sequence: this.row.sequence, entries, names, state: this.#moments.state(this.#moments.now) }
  }

  #sessionToGrow(name: string, reference: number): Session & { readonly parts: Part[] } {
    const session = this.#sessions.get(name) ?? this.#add(name, reference)
    if (session.parts === undefined) {
      session.entry = { ...session.entry }
      this.#entries.replace(session.entry)
      session.parts = []
    }
    return session as Session & { readonly parts: Part[] }
  }

  #add(name: string, reference: number): Session {
    const digest = this.row.kind === 'bytes' ? EMPTY_DIGEST : undefined
    const entry: Entry = { session: reference, count: 0, open: 0, tail: 0, digest, lastRun: undefined }
    this.#entries.add(entry, name)
    const session: Session = { entry, parts: undefined }
    this.#sessions.set(name, session)
    return session
  }
}

/** Adds to `operations` what puts the row of a document at `sequence` among the changes, away from where it stood before. */
export function writeRow(
  { writer }: Store,
  operations: Operation[],
  id: string,
  row: DocumentRow,
  sequence: number,
): void {
  if (row.sequence > 0) operations.push(remove(changeKey(row.sequence)))
  row.sequence = sequence
  operations.push(put(changeKey(sequence), writer.begin().text(id).keep()))
  operations.push(put(documentKey(id), encodeRow(writer, row)))
}
