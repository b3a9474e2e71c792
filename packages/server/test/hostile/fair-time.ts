/**
 * Fair time: how long somebody waited, less the time that the machine kept from those it waited for.
 *
 * On a machine with too much to do everything takes long, and no server could help it. What the server could not use is measured at the server:
 * its event loop had something to handle, and its thread did not run (its metrics say both). What this process could not use is how much later
 * than asked its timer rang. The larger of both is taken off, never their sum: they may be the same time.
 */
export interface FairTime {
  /** Cumulative, as the server's metrics tell them. */
  told(activeSeconds: number, threadSeconds: number): void
  /** Begins a wait; answers how long it takes so far. */
  begin(): () => Waited
  stop(): void
}

export interface Waited {
  readonly clockMs: number
  readonly fairMs: number
}

const TICK_MS = 50

export function createFairTime(): FairTime {
  let starvedMs = 0
  let lateMs = 0
  let last = performance.now()
  const timer = setInterval(() => {
    const now = performance.now()
    lateMs += Math.max(0, now - last - 2 * TICK_MS)
    last = now
  }, TICK_MS)
  return {
    told(activeSeconds, threadSeconds) {
      starvedMs = Math.max(starvedMs, (activeSeconds - threadSeconds) * 1_000)
    },
    begin() {
      const from = { at: performance.now(), starvedMs, lateMs }
      return () => {
        const clockMs = performance.now() - from.at
        const kept = Math.max(starvedMs - from.starvedMs, lateMs - from.lateMs)
        return { clockMs, fairMs: Math.max(0, clockMs - kept) }
      }
    },
    stop: () => clearInterval(timer),
  }
}
