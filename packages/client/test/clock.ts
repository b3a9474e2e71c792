/**
 * Manual time for tests: nothing waits unless a test lets time pass. Not here: what waits.
 */
import type { Clock } from '@tidemark/storage'

export interface ManualClock extends Clock {
  /** Lets time pass, alarm by alarm. */
  advance(ms: number): Promise<void>
  /** Answers of `random`, used up in order; 0.5 when there are none. */
  readonly chances: number[]
  /** Milliseconds that are being waited for at the moment. */
  waits(): number[]
}

interface Alarm {
  readonly at: number
  ring(): void
}

export function manualClock(): ManualClock {
  let now = 1_000_000
  const alarms = new Set<Alarm>()
  const chances: number[] = []
  return {
    chances,
    now: () => now,
    random: () => chances.shift() ?? 0.5,
    waits: () => [...alarms].map(({ at }) => at - now),
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
      await rest()
      for (;;) {
        const [due] = [...alarms].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)
        if (due === undefined) break
        now = Math.max(now, due.at)
        alarms.delete(due)
        due.ring()
        await rest()
      }
      now = end
      await rest()
    },
  }
}

/** Lets everything that does not wait for time come to rest. */
export async function rest(): Promise<void> {
  for (let turns = 0; turns < 30; turns++) await new Promise<void>((resolve) => setImmediate(resolve))
}
