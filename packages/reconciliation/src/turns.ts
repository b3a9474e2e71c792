/**
 * Turns: documents are looked up together, and each has its turn when its own look-up has answered and what it depends on has left.
 *
 * A dependency has its turn before its page comes, or without one if nobody here holds it; what is remembered of that is the ids
 * that others depend on. Not here: which documents there are (`interest.ts`), what is said in a turn (`reconcile.ts`).
 */
import { compareIds, type StoredState, settle } from '@tidemark/storage'
import { type Live, PAGE_SIZE, slices } from './interest.ts'
import { type LookUps, lookUpsOf, type Outcome } from './look-ups.ts'
import { createPlaces } from './places.ts'
import { planned } from './plan.ts'
import type { ReconcileOptions } from './reconcile.ts'

export interface Turn {
  readonly id: string
  /** What the storage said; `undefined` if it was not asked. */
  readonly state: Outcome<StoredState | undefined> | undefined
}

export interface Turns {
  /** Documents that have not left. */
  waiting(): number
  takePage(page: readonly string[]): void
  /** Whose turn it is; `undefined` if it is nobody's yet. */
  next(): Turn | undefined
}

/** `changed` is called when it is somebody's turn, or somebody less is waiting; `over` ends what is being looked up. */
export function createTurns(options: ReconcileOptions, over: AbortSignal, changed: () => void): Turns {
  const { storage, live, ids, dependenciesOf, warn, pageSize = PAGE_SIZE } = options
  const lookUps = lookUpsOf(storage)
  const places = createPlaces()
  const looked = new Map<string, Turn['state']>()
  const ready: Turn[] = []
  /** Documents that have a page although they may not be stored, and whether all others that have one are stored. */
  const given = new Set([...(live?.keys() ?? []), ...(ids ?? [])])
  const listed = ids === undefined
  /** What others depend on: it has a place, had its turn, or was found to have had it. */
  const dependencies = new Set<string>()
  /** Of these it is to be found out: stored, they had their turn with their page. */
  const doubtful = new Set<string>()
  let position = ''

  function take(wanted: readonly string[]): void {
    for (const id of wanted) places.take(id)
    // One document may depend on more than may be asked for at once.
    for (const page of slices(wanted, pageSize))
      for (const [id, answer] of lookUp(lookUps, live, page, dependenciesOf !== undefined, over))
        void answer.then((found) => arrived(id, found))
  }

  function arrived(id: string, { state, header }: Found): void {
    looked.set(id, state)
    if (dependenciesOf === undefined) return leave(places.name(id, []))
    if (header !== undefined && 'failed' in header) warn?.({ id, failed: 'dependencies', cause: header.failed })
    const { sessions } = planned(id, live, state).known
    settle(
      () => dependenciesOf(header !== undefined && 'value' in header ? header.value : undefined, [...sessions.keys()]),
      (names) => named(id, names),
      (cause) => {
        warn?.({ id, failed: 'dependencies', cause })
        named(id, [])
      },
    )
  }

  function named(id: string, names: readonly string[]): void {
    const others = [...new Set(names)].filter((name) => !dependencies.has(name) && !places.has(name))
    for (const name of names) dependencies.add(name)
    take(others.filter((name) => !hadItsTurn(name)))
    leave(places.name(id, names))
  }

  function hadItsTurn(id: string): boolean {
    if (compareIds(id, position) > 0) return false
    if (given.has(id)) return true
    if (listed) doubtful.add(id)
    return false
  }

  function leave(left: readonly string[]): void {
    for (const id of left) {
      const state = looked.get(id)
      looked.delete(id)
      const isStored = state !== undefined && 'value' in state && state.value !== undefined
      if (!(doubtful.delete(id) && isStored)) ready.push({ id, state })
    }
    changed()
  }

  return {
    waiting: () => places.size(),
    takePage(page) {
      position = page.at(-1) ?? position
      take(page.filter((id) => !dependencies.has(id)))
    },
    next: () => ready.shift(),
  }
}

interface Found {
  readonly state: Turn['state']
  readonly header: Outcome<Uint8Array | undefined> | undefined
}

/** What is open is not looked up; its header is, for what it depends on. */
function lookUp(
  { states, headers }: LookUps,
  live: Live | undefined,
  ids: readonly string[],
  withHeaders: boolean,
  over: AbortSignal,
): Map<string, Promise<Found>> {
  const lazy = ids.filter((id) => live?.get(id) === undefined)
  const found = states(lazy, over)
  const stateOf = new Map(lazy.map((id, index) => [id, found[index]]))
  const headerOf = withHeaders ? headers(ids, over) : []
  const both = async (id: string, index: number): Promise<Found> => ({
    state: await stateOf.get(id),
    header: await headerOf[index],
  })
  return new Map(ids.map((id, index) => [id, both(id, index)]))
}
