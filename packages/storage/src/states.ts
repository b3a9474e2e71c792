/**
 * The states that an adapter answers: made of what it keeps of a document, and as they were after each content of a commit.
 *
 * For adapters that keep a row of each document and an entry of each session. Not here: how rows and entries are kept.
 */
import type { AppendResult, Refused, StoredState } from './contract.ts'
import { exceedsPage } from './page.ts'

/** What is held of one session. */
export interface SessionEntry {
  readonly count: number
  /** At `count`; for `bytes` documents. */
  readonly digest: string | undefined
  /** Where the last sealed run begins; for `json` documents. */
  readonly lastRun: number | undefined
}

/** What is held of a document besides. */
export interface StateRow extends Pick<StoredState, 'kind' | 'priority' | 'erased'> {
  /** Of header, transactions and seals. */
  readonly bytes: number
}

const NONE: ReadonlyMap<string, never> = new Map<string, never>()

/** The state as the contract has it; `undefined` if `nameOf` does not know a session. It is asked in the order of `entries`. */
export function stateOf<Entry extends SessionEntry>(
  row: StateRow,
  entries: readonly Entry[],
  pageBytes: number,
  nameOf: (entry: Entry) => string | undefined,
): StoredState | undefined {
  const sessions = new Map<string, number>()
  const digests = row.kind === 'bytes' ? new Map<string, string>() : undefined
  let lastRuns: Map<string, number> | undefined
  for (const entry of entries) {
    const name = nameOf(entry)
    if (name === undefined) return undefined
    sessions.set(name, entry.count)
    if (entry.digest !== undefined) digests?.set(name, entry.digest)
    if (entry.lastRun !== undefined) {
      lastRuns ??= new Map()
      lastRuns.set(name, entry.lastRun)
    }
  }
  return {
    known: { header: true, sessions },
    kind: row.kind,
    priority: row.priority,
    digests: digests ?? NONE,
    lastRuns: lastRuns ?? NONE,
    paged: exceedsPage(row.bytes, sessions, pageBytes),
    erased: row.erased,
  }
}

interface Change extends SessionEntry {
  readonly name: string
  /** Of the document. */
  readonly bytes: number
}

/**
 * The states of a document within a commit: one after each content, made when somebody looks at it.
 *
 * A commit may have hundreds of contents of one document, each to be answered with all sessions as they were after it. Making them
 * all costs more than storing the contents, and most callers look at what was refused and at the last one.
 */
export class Moments {
  readonly #first: StoredState
  readonly #pageBytes: number
  readonly #changes: Change[] = []
  /** The state that was made last, and after how many changes it was so. */
  #made: { readonly after: number; readonly state: StoredState }

  constructor(first: StoredState, pageBytes: number) {
    this.#first = first
    this.#pageBytes = pageBytes
    this.#made = { after: 0, state: first }
  }

  /** How many changes there were so far. */
  get now(): number {
    return this.#changes.length
  }

  /** Notes what a session is now, and of how many bytes the document. */
  changed(name: string, { count, digest, lastRun }: SessionEntry, bytes: number): void {
    this.#changes.push({ name, count, digest, lastRun, bytes })
  }

  /** The state after so many changes. */
  state(after: number): StoredState {
    const from = this.#made.after <= after ? this.#made : { after: 0, state: this.#first }
    if (from.after === after) return from.state
    const state = grownState(from.state, this.#changes.slice(from.after, after), this.#pageBytes)
    this.#made = { after, state }
    return state
  }
}

type Judged = Exclude<AppendResult, { readonly failed: unknown }>

/** The answer to a content that was judged, with the state after it, which is made when somebody looks at it. */
export class JudgedAt implements Judged {
  /** As a property of its own, so that a copy of the answer has it; an accessor written in a literal is four times as dear. */
  static readonly #STATE: PropertyDescriptor & ThisType<JudgedAt> = {
    get() {
      return this.#moments.state(this.#after)
    },
    enumerable: true,
  }

  declare readonly state: StoredState
  readonly refused: ReadonlyMap<string, Refused>
  readonly #moments: Moments
  readonly #after: number

  /** `after`: how many changes there were, see `Moments.now`. */
  constructor(moments: Moments, after: number, refused: ReadonlyMap<string, Refused>) {
    this.refused = refused
    this.#moments = moments
    this.#after = after
    Object.defineProperty(this, 'state', JudgedAt.#STATE)
  }
}

/** `before` with what has changed since. */
function grownState(before: StoredState, changes: readonly Change[], pageBytes: number): StoredState {
  const sessions = new Map(before.known.sessions)
  const digests = new Map(before.digests)
  const lastRuns = new Map(before.lastRuns)
  for (const { name, count, digest, lastRun } of changes) {
    sessions.set(name, count)
    if (digest !== undefined) digests.set(name, digest)
    if (lastRun !== undefined) lastRuns.set(name, lastRun)
  }
  const last = changes.at(-1)
  const paged = last === undefined ? before.paged : exceedsPage(last.bytes, sessions, pageBytes)
  return { ...before, known: { header: true, sessions }, digests, lastRuns, paged }
}
