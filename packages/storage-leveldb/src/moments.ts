/**
 * The states of a document within a commit: one after each content, made when somebody looks at it.
 *
 * A commit may have hundreds of contents of one document, each to be answered with all sessions as they were after it. Making
 * them all costs more than storing the contents, and most callers look at what was refused and at nothing else.
 */
import type { StoredState } from '@tidemark/storage'
import type { Entry } from './rows.ts'

interface Change {
  readonly name: string
  readonly count: number
  readonly digest: string | undefined
  readonly lastRun: number | undefined
  readonly paged: boolean
}

export class Moments {
  readonly #changes: Change[] = []
  /** A state that was made, and after how many changes it was so. States are immutable. */
  #made: { readonly after: number; readonly state: StoredState }
  readonly #first: StoredState

  constructor(first: StoredState) {
    this.#first = first
    this.#made = { after: 0, state: first }
  }

  /** Notes what a session is now. */
  changed(name: string, { count, digest, lastRun }: Entry, paged: boolean): void {
    this.#changes.push({ name, count, digest, lastRun, paged })
  }

  /** The state as of now, whenever it is asked for. */
  now(): () => StoredState {
    const after = this.#changes.length
    return () => this.#stateAfter(after)
  }

  #stateAfter(after: number): StoredState {
    const from = this.#made.after <= after ? this.#made : { after: 0, state: this.#first }
    if (from.after === after) return from.state
    const state = followed(from.state, this.#changes.slice(from.after, after))
    this.#made = { after, state }
    return state
  }
}

function followed(state: StoredState, changes: readonly Change[]): StoredState {
  const sessions = new Map(state.known.sessions)
  const digests = state.kind === 'bytes' ? new Map(state.digests) : undefined
  const lastRuns = state.kind === 'json' ? new Map(state.lastRuns) : undefined
  let { paged } = state
  for (const change of changes) {
    sessions.set(change.name, change.count)
    if (change.digest !== undefined) digests?.set(change.name, change.digest)
    if (change.lastRun !== undefined) lastRuns?.set(change.name, change.lastRun)
    paged = change.paged
  }
  const { digests: noDigests, lastRuns: noLastRuns } = state
  return {
    ...state,
    known: { header: true, sessions },
    digests: digests ?? noDigests,
    lastRuns: lastRuns ?? noLastRuns,
    paged,
  }
}
