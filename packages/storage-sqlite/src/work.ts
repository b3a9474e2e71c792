/**
 * The work of one commit: contents are judged and taken in order, then everything is written.
 *
 * Judging reads, taking changes memory, and only `write` changes the file: a content that cannot be judged (its document is
 * damaged) fails for itself, and whatever fails while writing rolls back the whole commit, which group.ts then divides.
 * L13: overlap is compared before it is sliced away; only the rows that overlap are read.
 */
import {
  type Append,
  type AppendResult,
  type Marks,
  type Refused,
  StorageError,
  type StoredState,
} from '@tidemark/storage'
import {
  EMPTY_DIGEST,
  type HeldSession,
  JudgedAt,
  judgeDocument,
  judgeRun,
  type Overlap,
  overlapOf,
} from '@tidemark/storage/adapter'
import { type Accepted, Draft, type Moment } from './draft.ts'
import { naming } from './errors.ts'
import { readFirst } from './first.ts'
import { decodeRow } from './known-blob.ts'
import { readRange } from './pieces.ts'
import { namedState } from './states.ts'
import type { Numbers, Store } from './store.ts'

type Run = Append['runs'][number]

/** What became of a content, before the state after the commit is known. */
type Taken =
  | { readonly at: Moment | undefined; readonly answer: Omit<Extract<AppendResult, { refused: unknown }>, 'state'> }
  | Extract<AppendResult, { failed: unknown }>

const NOTHING_REFUSED: ReadonlyMap<string, Refused> = new Map()

export class Work {
  /** What this commit has numbered so far; the store's own once it is committed. */
  readonly numbers: Numbers
  readonly #store: Store
  readonly #sessions: Map<string, number>
  readonly #drafts = new Map<string, Draft | undefined>()
  /** The one that was moved last; those behind it have not changed. */
  #last: Draft | undefined
  readonly #taken: Taken[] = []
  /** Sessions that are stored for the first time: by name, with their references. */
  readonly #newSessions = new Map<string, number>()
  /** Of documents without `moments`. */
  readonly #states = new Map<Moment, StoredState>()

  constructor(store: Store, contents: readonly Append[]) {
    this.#store = store
    this.numbers = { ...store.numbers }
    this.#sessions = store.names.keys(sessionsOf(contents))
  }

  /** Answers whether the content could be judged. */
  take(content: Append): boolean {
    const taken = this.#take(content)
    this.#taken.push(taken)
    return !('failed' in taken)
  }

  write(marks: readonly Marks[]): void {
    const { sql } = this.#store
    for (const [name, session] of this.#newSessions) sql.addSession.run(session, name)
    for (const draft of this.#drafts.values()) draft?.write(this.numbers)
    for (const some of marks) {
      for (const [key, value] of some) {
        if (value === undefined) sql.removeMark.run(key)
        else sql.setMark.run(key, value)
      }
    }
  }

  /** In the order in which contents were taken; to be asked before the commit, while a failure still undoes it. */
  results(): AppendResult[] {
    const names = this.#names()
    return this.#taken.map((taken) => {
      if ('failed' in taken) return taken
      const { at, answer } = taken
      if (at?.draft.moments === undefined) return { ...answer, state: at && this.#stateAt(at, names) }
      const judged = new JudgedAt(at.draft.moments, at.after, answer.refused)
      return answer.headerRefused === undefined ? judged : { ...judged, headerRefused: answer.headerRefused }
    })
  }

  /** To be called when the commit has succeeded: now it may be remembered. */
  committed(): void {
    this.#store.numbers = this.numbers
    for (const [name, session] of this.#newSessions) this.#store.names.remember(name, session)
    for (const draft of this.#drafts.values()) this.#remember(draft)
    for (const [{ draft, past }, state] of this.#states) {
      const heavy = past === undefined ? draft.heavy(state) : undefined
      if (heavy !== undefined) this.#store.heavy.set(draft.id, heavy)
    }
  }

  #remember(draft: Draft | undefined): void {
    draft?.noteTails()
    if (draft?.moments === undefined) return
    const heavy = draft.heavy(draft.moments.state(draft.moments.now))
    if (heavy !== undefined) this.#store.heavy.set(draft.id, heavy)
  }

  #stateAt(at: Moment, names: ReadonlyMap<number, string>): StoredState {
    const known = this.#states.get(at)
    if (known !== undefined) return known
    const { draft, past = draft.held() } = at
    const state = namedState(this.#store, draft.id, past.row, past.entries, names)
    this.#states.set(at, state)
    return state
  }

  #take(content: Append): Taken {
    try {
      return naming(content.id, () => this.#judge(content))
    } catch (cause) {
      // What SQLite throws may have ended the transaction: only damage that we found ourselves leaves the commit usable.
      if (!(cause instanceof StorageError)) throw cause
      return { failed: cause.code, cause }
    }
  }

  #judge(content: Append): Taken {
    const draft = this.#draft(content.id)
    const header = draft && content.header && (draft.header ?? readFirst(this.#store, draft.document).header)
    const held = draft && { kind: draft.row.kind, erased: draft.row.erased !== undefined, header }
    const judged = judgeDocument(content, held, this.#store.limits.runBytesMax)
    if (judged.verdict === 'absent') return { at: undefined, answer: { refused: judged.refused } }
    if (judged.verdict === 'covered') return { at: draft?.now(), answer: { refused: NOTHING_REFUSED } }
    if (judged.verdict === 'headerRefused')
      return { at: draft?.now(), answer: { refused: NOTHING_REFUSED, headerRefused: judged.why } }
    return this.#judgeRuns(content, draft)
  }

  #judgeRuns(content: Append, held: Draft | undefined): Taken {
    const refused = new Map<string, Refused>()
    const accepted: [session: string, run: Accepted][] = []
    for (const run of content.runs) {
      const verdict = this.#judgeRun(content, held, run)
      if (verdict.verdict === 'refuse') refused.set(run.session, verdict.refused)
      else if (verdict.verdict === 'store') accepted.push([run.session, verdict])
    }
    // Nothing may fail from here on: a content is taken completely or not at all.
    const draft = held ?? this.#create(content)
    if (accepted.length > 0) this.#moveLast(draft)
    for (const [name, run] of accepted) draft.take(name, this.#reference(name), run, content.verifier?.get(name))
    return { at: draft.now(), answer: { refused } }
  }

  #judgeRun(content: Append, draft: Draft | undefined, run: Run) {
    const session = this.#sessions.get(run.session)
    const held: HeldSession = draft?.session(session) ?? {
      count: 0,
      digest: content.kind === 'bytes' ? EMPTY_DIGEST : undefined,
    }
    const range = overlapOf(run, content.kind, held.count)
    let overlap: Overlap | undefined
    if (range !== undefined && draft !== undefined && session !== undefined) {
      if (draft.isPending(session)) draft.writePieces(this.numbers)
      overlap = readRange(this.#store, { document: draft.document, session }, range, run.digest !== undefined)
    }
    return judgeRun(run, content.kind, held, this.#store.limits.runBytesMax, overlap)
  }

  #draft(id: string): Draft | undefined {
    if (this.#drafts.has(id)) return this.#drafts.get(id)
    const store = this.#store
    const found = store.sql.document.get(id) as readonly [number, Uint8Array, number] | undefined
    let draft: Draft | undefined
    if (found !== undefined) {
      const [document, state, sequence] = found
      draft = new Draft(store, { id, document, sequence, row: decodeRow(state), before: store.heavy.get(id, sequence) })
    }
    this.#drafts.set(id, draft)
    return draft
  }

  #create(content: Append): Draft {
    const { id, kind, priority } = content
    const header = content.header as Uint8Array
    const row = { kind, priority, bytes: header.length, erased: undefined, entries: [], chunks: [] }
    const draft = new Draft(this.#store, { id, document: ++this.numbers.document, row, sequence: 0, header })
    this.#drafts.set(id, draft)
    return draft
  }

  /** Drafts are numbered in the order of their latest change, as if each content were a commit. */
  #moveLast(draft: Draft): void {
    // Most often it was the last already.
    if (draft === this.#last) return
    this.#last = draft
    this.#drafts.delete(draft.id)
    this.#drafts.set(draft.id, draft)
  }

  #reference(name: string): number {
    const known = this.#sessions.get(name)
    if (known !== undefined) return known
    const session = ++this.numbers.session
    this.#sessions.set(name, session)
    this.#newSessions.set(name, session)
    return session
  }

  /** Of all sessions that the results name, but for those whose states are known by name. */
  #names(): ReadonlyMap<number, string> {
    const added = new Map([...this.#newSessions].map(([name, session]) => [session, name]))
    const known = new Set<number>()
    for (const draft of this.#drafts.values())
      for (const session of draft?.sessionsToName() ?? []) if (!added.has(session)) known.add(session)
    return new Map([...this.#store.names.names(known), ...added])
  }
}

function sessionsOf(contents: readonly Append[]): Set<string> {
  return new Set(contents.flatMap(({ runs }) => runs.map(({ session }) => session)))
}
