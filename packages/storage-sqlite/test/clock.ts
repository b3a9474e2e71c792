/**
 * Manual time: nothing waits for it unless a test lets it pass. Not here: what waits.
 */
import type { Clock } from '@tidemark/storage'

export interface ManualClock extends Clock {
  /** Lets time pass, alarm by alarm. */
  advance(ms: number): Promise<void>
  /** How many wait at the moment. */
  waiting(): number
}

interface Alarm {
  readonly at: number
  ring(): void
}

export function manualClock(): ManualClock {
  let now = 0
  const alarms = new Set<Alarm>()
  return {
    now: () => now,
    random: () => 0.5,
    waiting: () => alarms.size,
    wait: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason)
        const alarm = { at: now + ms, ring: resolve }
        alarms.add(alarm)
        signal?.addEventListener('abort', () => {
          alarms.delete(alarm)
          reject(signal.reason)
        })
      }),
    async advance(ms) {
      const end = now + ms
      for (;;) {
        const [due] = [...alarms].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)
        if (due === undefined) break
        now = due.at
        alarms.delete(due)
        due.ring()
        await new Promise<void>((resolve) => setImmediate(resolve))
      }
      now = end
    },
  }
}
