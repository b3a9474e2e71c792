/**
 * Penalties: who was closed for cause is not let in again for a while, longer each time.
 *
 * Clients of the Jazz dialect start their back-off anew as soon as they receive a line, so the waiting is done at the upgrade.
 * L10: the table is bounded; the oldest entries go first. Not here: what is a cause (`connections.ts`).
 */
import type { Clock } from '@tidemark/storage'

export interface Penalties {
  /** Counts an offence; answers for how many milliseconds that shuts out. */
  punish(key: string): number
  /** Milliseconds for which this one is still shut out; 0 if it is not. */
  waitMs(key: string): number
}

export const PENALTY_FIRST_MS = 5_000
export const PENALTY_MS_MAX = 300_000
/** Whoever behaved for as long starts anew. */
const FORGIVEN_AFTER_MS = 600_000
const ENTRIES_MAX = 10_000

export function createPenalties(clock: Clock): Penalties {
  // In the order of the latest offence.
  const offenders = new Map<string, { readonly offences: number; readonly untilMs: number }>()

  function find(key: string) {
    const entry = offenders.get(key)
    return entry === undefined || clock.now() > entry.untilMs + FORGIVEN_AFTER_MS ? undefined : entry
  }

  return {
    punish(key) {
      const offences = (find(key)?.offences ?? 0) + 1
      const forMs = Math.min(PENALTY_FIRST_MS * 2 ** (offences - 1), PENALTY_MS_MAX)
      offenders.delete(key)
      offenders.set(key, { offences, untilMs: clock.now() + forMs })
      const [oldest] = offenders.keys()
      if (offenders.size > ENTRIES_MAX && oldest !== undefined) offenders.delete(oldest)
      return forMs
    },
    waitMs: (key) => Math.max(0, (find(key)?.untilMs ?? 0) - clock.now()),
  }
}
