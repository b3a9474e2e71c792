/**
 * A document within a commit: what is held of it, and what the contents of this commit add, written once at the end.
 *
 * Many contents of one document cost one row and one record of content; each is answered with the state after itself (`Moments`). Judging and taking change memory only; `prepare` reads
 * what must be folded, `write` makes requests and waits for none of them.
 * Not here: what is accepted (work.ts).
 */
import type { Append, Refused } from '@tidemark/storage'
import {
  type BlobWriter,
  EMPTY_DIGEST,
  extendDigest,
  growParts,
  type HeldSession,
  JudgedAt,
  Moments,
  type Overlap,
  overlapOf,
  type Part,
  type RunVerdict,
} from '@tidemark/storage/adapter'
import { appending, type Change, SEGMENT_BYTES, writeChanges } from './fold.ts'
import type { Gathered } from './gather.ts'
import { numberedKey, textKey } from './keys.ts'
import type { Large } from './large.ts'
import { type Entry, encodeRow, type Row } from './row.ts'
import type { DocumentRecord } from './schema.ts'
import { chunkOf, Sessions, writeSessions } from './sessions.ts'
import { stateOf } from './states.ts'
import type { Reach } from './transaction.ts'

export type Accepted = Extract<RunVerdict, { verdict: 'store' }>
type Run = Append['runs'][number]

const NO_OVERLAPS: Gathered['overlaps'] = new Map()

export class Draft {
  readonly id: string
  readonly row: Row
  readonly sessions: Sessions
  readonly header: Uint8Array | undefined
  readonly #created: boolean
  readonly #overlaps: Gathered['overlaps']
  readonly #parts = new Map<number, Part[]>()
  readonly #verifiers = new Map<number, Uint8Array>()
  /** Chunks to be written, by number. */
  readonly #chunks = new Set<number>()
  #changes: readonly Change[] = []
  readonly #moments: Moments
  /** Sequence of its latest change, this commit's included. */
  #at: number

  private constructor(id: string, gathered: Gathered, pageBytes: number, created: boolean) {
    const { row, at, sessions, state, header, overlaps } = gathered
    this.id = id
    this.row = row
    this.sessions = sessions
    this.header = header
    this.#overlaps = overlaps
    this.#created = created
    this.#moments = new Moments(state ?? stateOf({ row, entries: sessions.entries }, pageBytes), pageBytes)
    this.#at = at
  }

  static of(id: string, gathered: Gathered, pageBytes: number): Draft {
    return new Draft(id, gathered, pageBytes, false)
  }

  static create({ id, kind, priority }: Append, header: Uint8Array, document: number, pageBytes: number): Draft {
    const row: Row = {
      document,
      kind,
      priority,
      bytes: header.length,
      sessions: 0,
      erased: undefined,
      chunked: false,
      hasSegments: false,
      headHasRuns: false,
      tail: { number: 1, records: 0, sessions: 0, weight: 0 },
    }
    const sessions = new Sessions([])
    const nothing = { row, at: 0, sessions, state: undefined, header, overlaps: NO_OVERLAPS }
    return new Draft(id, nothing, pageBytes, true)
  }

  get changed(): boolean {
    return this.#created || this.#parts.size > 0
  }

  /** Answers with what is held after all that was taken so far. */
  answer(refused: ReadonlyMap<string, Refused>): JudgedAt {
    return new JudgedAt(this.#moments, this.#moments.now, refused)
  }

  /** To be remembered when the commit is complete. */
  large(): Large {
    return { at: this.#at, sessions: this.sessions, state: this.#moments.state(this.#moments.now) }
  }

  held(session: string): HeldSession {
    return this.sessions.get(session) ?? { count: 0, digest: this.row.kind === 'bytes' ? EMPTY_DIGEST : undefined }
  }

  /** What `run` overlaps: the stored part of it was gathered, the rest was taken in this commit. */
  overlap(run: Run): Overlap | undefined {
    const entry = this.sessions.get(run.session)
    const range = entry && overlapOf(run, this.row.kind, entry.count)
    if (entry === undefined || range === undefined) return undefined
    const stored = this.#overlaps.get(run)
    const transactions = [...(stored?.transactions ?? [])]
    let digest = stored?.digest
    for (const part of this.#parts.get(entry.session) ?? []) {
      const until = part.after + part.sizes.length
      if (until <= range.after) continue
      if (stored !== undefined && part.after >= range.until) break
      const from = Math.max(range.after, part.after)
      if (stored === undefined && digest === undefined && part.digest !== undefined)
        digest = extendDigest(part.digest, part.body.slice(0, from - part.after))
      for (const transaction of part.body.slice(from - part.after, range.until - part.after))
        transactions.push(transaction)
      if (until >= range.until) break
    }
    return { transactions, digest }
  }

  /** Takes an accepted run to the end of its session. */
  take(session: string, run: Accepted, verifier: Uint8Array | undefined): void {
    const entry = this.sessions.get(session) ?? this.#add(session)
    let parts = this.#parts.get(entry.session)
    if (parts === undefined) {
      parts = []
      this.#parts.set(entry.session, parts)
    }
    growParts(parts, run, entry.digest, SEGMENT_BYTES)
    const { tail } = this.row
    if (entry.tail !== tail.number) tail.sessions++
    entry.tail = tail.number
    if (run.seal !== undefined && this.row.kind === 'json') entry.lastRun = entry.count
    entry.count += run.transactions.length
    entry.digest = run.digest
    this.row.bytes += run.bytes
    this.#chunks.add(chunkOf(entry))
    this.#moments.changed(session, entry, this.row.bytes)
    if (verifier !== undefined) this.#verifiers.set(entry.session, verifier)
  }

  /** Reads what is to be folded, and makes the records of content. @throws DamagedBlob */
  async prepare(reach: Reach, writer: BlobWriter): Promise<void> {
    this.#changes = await appending(reach, writer, this.row, this.#parts, this.#created ? this.header : undefined)
  }

  /** Makes the requests; the document stands at `sequence` afterwards. */
  write(reach: Reach, writer: BlobWriter, sequence: number): void {
    const { row } = this
    this.#at = sequence
    writeChanges(reach, this.#changes)
    // The state may be a view of something large, all of which would be stored.
    for (const [session, state] of this.#verifiers)
      reach('verifiers').put(state.slice(), numberedKey(row.document, session))
    writeSessions(reach, writer, row, this.sessions, this.#chunks)
    const record: DocumentRecord = { at: sequence, row: encodeRow(writer, { row, entries: this.sessions.entries }) }
    reach('documents').put(record, textKey(this.id))
  }

  #add(id: string): Entry {
    const digest = this.row.kind === 'bytes' ? EMPTY_DIGEST : undefined
    const entry: Entry = { id, session: this.row.sessions++, count: 0, tail: 0, digest, lastRun: undefined }
    this.sessions.add(entry)
    return entry
  }
}
