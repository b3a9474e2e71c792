/**
 * Plan: what a new connection is to be asked for, and with which known state.
 *
 * An open document is asked for with what memory holds, a stored one with what the storage holds, never with nothing unless there
 * is nothing (seed 000). L2: where the storage failed, that is said; asking with nothing costs a download and loses nothing.
 * Not here: dependencies and the pace (`reconcile.ts`).
 */
import { EMPTY, type KnownState } from '@tidemark/known-state'
import type { Digests } from '@tidemark/protocol'
import { type Storage, type StoredState, unlessAborted } from '@tidemark/storage'
import { type InterestOptions, type Live, pagesOf } from './interest.ts'
import { lookUpsOf, type Outcome } from './look-ups.ts'

export interface PlanOptions extends InterestOptions {
  readonly storage: Pick<Storage, 'list' | 'knownStates' | 'headers'>
}

/** One document of a plan, and where its known state is from. */
export interface Planned {
  readonly id: string
  readonly known: KnownState
  /** Of documents of kind `bytes` that are only stored. */
  readonly digests?: Digests
  /** `nowhere`: it is open, and nothing of it is held. `failed`: what is stored could not be read. */
  readonly from: 'memory' | 'storage' | 'nowhere' | 'failed'
  /** Why it could not be read. */
  readonly cause?: unknown
}

/**
 * What to ask for, page by page, in bytewise order of the ids; at most a page is in memory.
 *
 * @throws StorageError if the storage cannot list its documents; RangeError for a page size below 1; the signal's reason.
 */
export async function* plan(options: PlanOptions): AsyncGenerator<readonly Planned[], void, undefined> {
  const { storage, live, signal } = options
  const { states } = lookUpsOf(storage)
  for await (const ids of pagesOf(options)) {
    const lazy = ids.filter((id) => live?.get(id) === undefined)
    const found = await unlessAborted(Promise.all(states(lazy, signal)), signal)
    const outcomes = new Map(lazy.map((id, index) => [id, found[index]]))
    yield ids.map((id) => planned(id, live, outcomes.get(id)))
  }
}

/** What is known of a document by now: it may have been opened while it was looked up. */
export function planned(
  id: string,
  live: Live | undefined,
  stored: Outcome<StoredState | undefined> | undefined,
): Planned {
  const known = live?.get(id)
  if (known !== undefined) return { id, known, from: 'memory' }
  if (stored === undefined) return { id, known: EMPTY, from: 'nowhere' }
  if ('failed' in stored) return { id, known: EMPTY, from: 'failed', cause: stored.failed }
  if (stored.value === undefined) return { id, known: EMPTY, from: 'nowhere' }
  const { digests } = stored.value
  return { id, known: stored.value.known, from: 'storage', ...(digests.size > 0 && { digests }) }
}
