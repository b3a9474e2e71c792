/**
 * Time and chance as arguments.
 *
 * Whatever waits, retries or times out takes a `Clock`, so that tests and the simulator decide what time it is.
 * This file is the only place of the core packages with a timer.
 */

export interface Clock {
  /** Milliseconds; only differences mean anything, except for `systemClock`: since 1970. */
  now(): number
  /** Resolves after `ms` milliseconds (0 or less: as soon as possible); rejects with the reason of `signal` once it aborts. */
  wait(ms: number, signal?: AbortSignal): Promise<void>
  /** At least 0, less than 1. */
  random(): number
}

/** The clock of the machine. A wait keeps a Node process alive. */
export const systemClock: Clock = machineClock(true)

/** As `systemClock`, but a wait keeps no Node process alive: for what may as well be left undone. */
export const backgroundClock: Clock = machineClock(false)

const TIMER_MS_MAX = 2 ** 31 - 1

function machineClock(keepsAlive: boolean): Clock {
  return {
    now: () => Date.now(),
    random: () => Math.random(),
    async wait(ms, signal) {
      // A timer cannot be set further ahead than 2^31-1 ms: it would ring at once.
      let left = ms
      for (; left > TIMER_MS_MAX; left -= TIMER_MS_MAX) await timer(TIMER_MS_MAX, keepsAlive, signal)
      await timer(left, keepsAlive, signal)
    },
  }
}

function timer(ms: number, keepsAlive: boolean, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    const aborted = () => {
      clearTimeout(ringing)
      reject(signal?.reason)
    }
    const ringing = setTimeout(() => {
      signal?.removeEventListener('abort', aborted)
      resolve()
    }, ms)
    // Timers of Node are objects, those of browsers numbers.
    if (!keepsAlive) (ringing as { unref?(): unknown }).unref?.()
    signal?.addEventListener('abort', aborted, { once: true })
  })
}

/** Sixteen hexadecimal digits, made up. */
export function randomToken(clock: Clock): string {
  return Array.from({ length: 16 }, () => Math.floor(clock.random() * 16).toString(16)).join('')
}
