/**
 * Asking a store about many documents at once.
 *
 * L2: a failure is an outcome of its own. When a bulk call fails its documents are asked for one by one, so that one bad document
 * does not fail its neighbours. Not here: which calls are bulk (`contract.ts`), trying again.
 */
import type { Awaitable } from './contract.ts'
import { settle } from './settle.ts'

/** Hands each of `asks` what `call` answers for its id, or why there is no answer; in the same tick if `call` answers values. */
export function inBulk<Ask extends { readonly id: string }, T>(
  asks: readonly Ask[],
  call: (ids: readonly string[]) => Awaitable<readonly T[]>,
  answer: (ask: Ask, outcome: { readonly value: T } | { readonly failed: unknown }) => void,
): void {
  if (asks.length === 0) return
  settle(
    () => call(asks.map(({ id }) => id)),
    (values) => {
      for (const [index, ask] of asks.entries()) answer(ask, { value: values[index] as T })
    },
    (failed) => {
      if (asks.length === 1) for (const ask of asks) answer(ask, { failed })
      else for (const ask of asks) inBulk([ask], call, answer)
    },
  )
}
