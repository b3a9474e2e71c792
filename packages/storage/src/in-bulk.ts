/**
 * Asking a store about many documents at once.
 *
 * L2: a failure is an outcome of its own. When a bulk call fails its documents are asked for one by one, so that one bad document
 * does not fail its neighbours. Not here: which calls are bulk (`contract.ts`), trying again.
 */
import type { Awaitable } from './contract.ts'
import { settle } from './settle.ts'

/** What was asked for, and what the store said; or why it said nothing. */
export type Answer<Ask, T> = readonly [ask: Ask, outcome: { readonly value: T } | { readonly failed: unknown }]

/**
 * Hands over what `call` answers for the ids of `asks`: all of it at once, or one by one where the bulk failed. In the same tick if
 * `call` answers values.
 */
export function inBulk<Ask extends { readonly id: string }, T>(
  asks: readonly Ask[],
  call: (ids: readonly string[]) => Awaitable<readonly T[]>,
  answered: (answers: readonly Answer<Ask, T>[]) => void,
): void {
  if (asks.length === 0) return
  settle(
    () => call(asks.map(({ id }) => id)),
    (values) => answered(asks.map((ask, index) => [ask, { value: values[index] as T }])),
    (failed) => {
      if (asks.length === 1) answered(asks.map((ask) => [ask, { failed }]))
      else for (const ask of asks) inBulk([ask], call, answered)
    },
  )
}
