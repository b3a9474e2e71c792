/**
 * Calls to the store that are under way: a store may fail by never answering, and then nothing else tells.
 *
 * It has no timer: it is asked whenever somebody comes in, or looks at the server's health.
 * Not here: whether the store as a whole is gone (`store-watch.ts`).
 */
import type { Clock } from '@tidemark/storage'
import type { Effect, Event } from '@tidemark/sync'

export interface StoreCalls {
  /** For how many milliseconds the oldest of them has been waiting; 0 if there is none. */
  oldestMs(): number
  observe(step: Event | Effect): void
}

export function createStoreCalls(clock: Clock): StoreCalls {
  // Since when, oldest first: look-ups and pages by ticket, erasures by document; appends are made one at a time.
  const asked = new Map<number, number>()
  const erasing = new Map<string, number>()
  let appendingSinceMs: number | undefined

  return {
    oldestMs() {
      const nowMs = clock.now()
      const [askedMs = nowMs] = asked.values()
      const [erasingMs = nowMs] = erasing.values()
      return nowMs - Math.min(askedMs, erasingMs, appendingSinceMs ?? nowMs)
    },
    observe(step) {
      if (step.type === 'look' || step.type === 'page') asked.set(step.ticket, clock.now())
      else if (step.type === 'looked' || step.type === 'paged') asked.delete(step.ticket)
      else if (step.type === 'append') appendingSinceMs = clock.now()
      else if (step.type === 'appended') appendingSinceMs = undefined
      else if (step.type === 'erase') erasing.set(step.id, clock.now())
      else if (step.type === 'erased') erasing.delete(step.id)
    },
  }
}
