/**
 * Look-ups: what the storage holds of documents, asked in bulk, once for everybody who asks at the same time.
 *
 * Two connections that reconnect at once share each look-up that is under way, for as long as one of them waits for it. L2: a failure is an outcome of its own, never
 * absence, and of its own document only (`inBulk`).
 * Not here: what is said when a look-up failed.
 */
import { type Awaitable, inBulk, type Storage, type StoredState } from '@tidemark/storage'

/** An answer, or why there is none. */
export type Outcome<T> = { readonly value: T } | { readonly failed: unknown }

/**
 * Asks for several ids; answers one promise each, and none of them ever rejects. Who aborts waits no more: what nobody waits for is asked
 * anew by whoever comes next.
 */
export type LookUp<T> = (ids: readonly string[], signal?: AbortSignal) => readonly Promise<Outcome<T>>[]

export interface LookUps {
  readonly states: LookUp<StoredState | undefined>
  readonly headers: LookUp<Uint8Array | undefined>
}

export type LookedUp = Pick<Storage, 'knownStates' | 'headers'>

interface UnderWay<T> {
  readonly outcome: Promise<Outcome<T>>
  askers: number
}

interface AllUnderWay {
  readonly states: Map<string, UnderWay<StoredState | undefined>>
  readonly headers: Map<string, UnderWay<Uint8Array | undefined>>
}

/** Nothing in here leads back to the storage: it would outlive its last user until the garbage of everything is collected. */
const ofStorage = new WeakMap<LookedUp, AllUnderWay>()

/** The look-ups of a storage: what is under way is the same for everybody who asks it. */
export function lookUpsOf(storage: LookedUp): LookUps {
  const underWay: AllUnderWay = ofStorage.get(storage) ?? { states: new Map(), headers: new Map() }
  ofStorage.set(storage, underWay)
  return {
    states: shared(underWay.states, (ids) => storage.knownStates(ids)),
    headers: shared(underWay.headers, (ids) => storage.headers(ids)),
  }
}

function shared<T>(
  underWay: Map<string, UnderWay<T>>,
  bulk: (ids: readonly string[]) => Awaitable<readonly T[]>,
): LookUp<T> {
  function forget(id: string, entry: UnderWay<T>): void {
    if (underWay.get(id) === entry) underWay.delete(id)
  }

  function begin(id: string, unasked: Unasked<T>[]): UnderWay<T> {
    const outcome = new Promise<Outcome<T>>((resolve) => {
      unasked.push({
        id,
        answer(outcome) {
          forget(id, entry)
          resolve(outcome)
        },
      })
    })
    const entry = { outcome, askers: 0 }
    underWay.set(id, entry)
    return entry
  }

  return (ids, signal) => {
    const unasked: Unasked<T>[] = []
    const entries = ids.map((id) => [id, underWay.get(id) ?? begin(id, unasked)] as const)
    for (const [, entry] of entries) entry.askers += 1
    inBulk(unasked, bulk, (answers) => {
      for (const [{ answer }, outcome] of answers) answer(outcome)
    })
    const outcomes = entries.map(([, { outcome }]) => outcome)
    if (signal === undefined) return outcomes
    const giveUp = () => {
      for (const [id, entry] of entries) if (--entry.askers === 0) forget(id, entry)
    }
    if (signal.aborted) giveUp()
    signal.addEventListener('abort', giveUp, { once: true })
    void Promise.all(outcomes).then(() => signal.removeEventListener('abort', giveUp))
    return outcomes
  }
}

interface Unasked<T> {
  readonly id: string
  answer(outcome: Outcome<T>): void
}
