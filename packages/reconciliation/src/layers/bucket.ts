/**
 * A token bucket: so many bytes a second, bursts of one second. By the clock that is handed in.
 */
import type { Clock } from '@tidemark/storage'

export type Throttle = (bytes: number) => Promise<void>

export function createThrottle(clock: Clock, bytesPerSecond: number, signal: AbortSignal): Throttle {
  if (!Number.isFinite(bytesPerSecond)) return async () => {}
  let tokens = bytesPerSecond
  let atMs = clock.now()
  return async (bytes) => {
    const now = clock.now()
    tokens = Math.min(bytesPerSecond, tokens + ((now - atMs) * bytesPerSecond) / 1000) - bytes
    atMs = now
    // What is beyond is owed: whoever comes next waits for it too.
    if (tokens < 0) await clock.wait((-tokens * 1000) / bytesPerSecond, signal)
  }
}
