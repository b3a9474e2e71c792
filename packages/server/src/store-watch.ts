/**
 * Whether the store as a whole still answers.
 *
 * One document that cannot be read or written is that document's failure; the engine deals with it. When a look-up of something
 * else fails too, or is not answered, twice in a row, the store failed as a whole: clients are better off elsewhere, or later, than
 * waiting here. From then on it is asked again until it answers. L2: no failure is ever taken for absence.
 * Not here: how long calls have been under way (`store-calls.ts`).
 */
import type { Awaitable, Clock, Storage } from '@tidemark/storage'
import { layersOf } from './layered.ts'

export interface StoreWatch {
  failed(): boolean
  /** The engine met a failure. */
  suspect(): void
  stop(): void
}

export interface StoreWatchOptions {
  readonly storage: Storage
  readonly clock: Clock
  failedAsAWhole(cause: unknown): void
  answersAgain(): void
}

const PROBE_ID = 'tidemark:is-the-store-there'
const ANSWER_MS_MAX = 5_000
const SECOND_LOOK_MS = 1_000
const RETRY_MS = 5_000

export function createStoreWatch({ storage, clock, failedAsAWhole, answersAgain }: StoreWatchOptions): StoreWatch {
  const stopping = new AbortController()
  let failed = false
  let probing = false

  async function failure(): Promise<{ readonly cause: unknown } | undefined> {
    // Of several storages one that answers is enough to serve what it holds; what the others may hold fails for itself (L2).
    if (
      layersOf(storage)
        ?.health()
        .some(({ condition, role }) => condition === 'up' && role !== 'cache')
    )
      return undefined
    try {
      await answered(storage.knownStates([PROBE_ID]))
      return undefined
    } catch (cause) {
      return { cause }
    }
  }

  async function answered(call: Awaitable<unknown>): Promise<void> {
    const done = new AbortController()
    const late = clock.wait(ANSWER_MS_MAX, done.signal).then(() => {
      throw new Error(`the store did not answer within ${ANSWER_MS_MAX} ms`)
    })
    // It lost the race.
    late.catch(() => {})
    try {
      await Promise.race([call, late])
    } finally {
      done.abort()
    }
  }

  async function probe(): Promise<void> {
    if ((await failure()) === undefined) return
    await clock.wait(SECOND_LOOK_MS, stopping.signal)
    const second = await failure()
    if (second === undefined || stopping.signal.aborted) return
    failed = true
    failedAsAWhole(second.cause)
    do await clock.wait(RETRY_MS, stopping.signal)
    while ((await failure()) !== undefined)
    failed = false
    answersAgain()
  }

  return {
    failed: () => failed,
    suspect() {
      if (probing || stopping.signal.aborted) return
      probing = true
      const done = () => {
        probing = false
      }
      // It rejects only when it is stopped in the middle of a wait.
      probe().then(done, done)
    },
    stop: () => stopping.abort(),
  }
}
