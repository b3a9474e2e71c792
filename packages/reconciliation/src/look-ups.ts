/**
 * Look-ups: what the storage holds of documents, asked in bulk, once for everybody who asks at the same time.
 *
 * Two connections that reconnect at once share each look-up that is under way. L2: a failure is an outcome of its own, never
 * absence, and of its own document only (`inBulk`).
 * Not here: what is said when a look-up failed.
 */
import { type Awaitable, inBulk, type Storage, type StoredState } from '@tidemark/storage'

/** An answer, or why there is none. */
export type Outcome<T> = { readonly value: T } | { readonly failed: unknown }

/** Asks for several ids; answers one promise each, and none of them ever rejects. */
export type LookUp<T> = (ids: readonly string[]) => readonly Promise<Outcome<T>>[]

export interface LookUps {
  readonly states: LookUp<StoredState | undefined>
  readonly headers: LookUp<Uint8Array | undefined>
}

export type LookedUp = Pick<Storage, 'knownStates' | 'headers'>

const ofStorage = new WeakMap<LookedUp, LookUps>()

/** The look-ups of a storage: the same for everybody who asks it. */
export function lookUpsOf(storage: LookedUp): LookUps {
  const known = ofStorage.get(storage)
  if (known !== undefined) return known
  const lookUps: LookUps = {
    states: shared((ids) => storage.knownStates(ids)),
    headers: shared((ids) => storage.headers(ids)),
  }
  ofStorage.set(storage, lookUps)
  return lookUps
}

function shared<T>(bulk: (ids: readonly string[]) => Awaitable<readonly T[]>): LookUp<T> {
  const underWay = new Map<string, Promise<Outcome<T>>>()
  return (ids) => {
    const unasked: { readonly id: string; answer(outcome: Outcome<T>): void }[] = []
    const answers = ids.map((id) => {
      const asked = underWay.get(id)
      if (asked !== undefined) return asked
      const answer = new Promise<Outcome<T>>((resolve) => {
        unasked.push({
          id,
          answer(outcome) {
            underWay.delete(id)
            resolve(outcome)
          },
        })
      })
      underWay.set(id, answer)
      return answer
    })
    inBulk(unasked, bulk, (answers) => {
      for (const [{ answer }, outcome] of answers) answer(outcome)
    })
    return answers
  }
}
