/**
 * The states of a document within a commit: one after each content, made when somebody looks at it.
 *
 * A commit may have hundreds of contents of one document, each to be answered with all sessions as they were after it. Making them
 * all costs more than storing the contents, and most callers look at what was refused and at the last one.
 */
import type { StoredState } from '@tidemark/storage'
import type { Entry } from './known-blob.ts'

interface Change extends Omit<Entry, 'tail'> {
  readonly name: string
  readonly paged: boolean
}

export class Moments {
  readonly #first: StoredState
  readonly #changes: Change[] = []
  /** The state that was made last, and after how many changes it was so. */
  #made: { readonly after: number; readonly state: StoredState }

  constructor(first: StoredState) {
    this.#first = first
    this.#made = { after: 0, state: first }
  }

  /** How many changes there were so far. */
  get now(): number {
    return this.#changes.length
  }

  /** Notes what a session is now. */
  changed(name: string, { session, count, digest, lastRun }: Entry, paged: boolean): void {
    this.#changes.push({ name, session, count, digest, lastRun, paged })
  }

  /** The state after so many changes. */
  state(after: number): StoredState {
    const from = this.#made.after <= after ? this.#made : { after: 0, state: this.#first }
    if (from.after === after) return from.state
    const state = grownState(from.state, this.#changes.slice(from.after, after))
    this.#made = { after, state }
    return state
  }
}

/** `before` with what has changed since. */
function grownState(before: StoredState, changes: readonly Change[]): StoredState {
  const sessions = new Map(before.known.sessions)
  const digests = new Map(before.digests)
  const lastRuns = new Map(before.lastRuns)
  for (const { name, count, digest, lastRun } of changes) {
    sessions.set(name, count)
    if (digest !== undefined) digests.set(name, digest)
    if (lastRun !== undefined) lastRuns.set(name, lastRun)
  }
  const paged = changes.at(-1)?.paged ?? before.paged
  return { ...before, known: { header: true, sessions }, digests, lastRuns, paged }
}
