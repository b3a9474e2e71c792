/**
 * The time of the engine, and the alarm that wakes it for its next deadline.
 *
 * Time never runs backwards: people set clocks, and some set themselves, and one that is set back by an hour would hold up every
 * deadline for that long. Not here: deadlines (the engine's).
 */
import type { Clock } from '@tidemark/storage'

export interface Alarm {
  /** The time of the clock, or the latest that it showed plus what passed since it was set back. */
  now(): number
  /** Rings at that time, if it does not ring before. */
  set(at: number | undefined): void
  /** Rings no more. */
  end(): void
}

/** Nobody reads it; without a reason each time an error with a stack would be made. */
const EARLIER = 'it is to ring earlier'

export function createAlarm(clock: Clock, ring: () => void): Alarm {
  let latest = clock.now()
  let ahead = 0
  let next: { readonly at: number; readonly abort: AbortController } | undefined
  let ended = false

  function now(): number {
    const shown = clock.now()
    ahead = Math.max(ahead, latest - shown)
    latest = shown + ahead
    return latest
  }

  return {
    now,
    set(at) {
      if (at === undefined || ended || (next !== undefined && next.at <= at)) return
      next?.abort.abort(EARLIER)
      const abort = new AbortController()
      next = { at, abort }
      clock.wait(Math.max(0, at - now()), abort.signal).then(
        () => {
          if (abort.signal.aborted) return
          next = undefined
          ring()
        },
        () => {},
      )
    },
    end() {
      ended = true
      next?.abort.abort()
    },
  }
}
