/**
 * The breaker of one layer: after some failures in a row it is left alone for a while, longer each time.
 *
 * Time and chance are arguments. Not here: asking again (`sweeps.ts`), what a failure is (`layer.ts`).
 */
import type { LayersLimits } from './options.ts'

export interface Breaker {
  /** Whether the layer may be asked at time `now`. */
  allows(now: number): boolean
  /** How long it is left alone from now on; 0 if it may be asked. */
  leftMs(now: number): number
  readonly failures: number
  succeeded(): void
  failed(now: number, random: number): void
}

export function createBreaker(limits: LayersLimits): Breaker {
  let failures = 0
  let closedUntil = 0
  return {
    get failures() {
      return failures
    },
    allows: (now) => now >= closedUntil,
    leftMs: (now) => Math.max(0, closedUntil - now),
    succeeded() {
      failures = 0
      closedUntil = 0
    },
    failed(now, random) {
      // It was asked before it was left alone: calls that fail together are one failure.
      if (now < closedUntil) return
      failures += 1
      if (failures >= limits.failuresMax) closedUntil = now + backoffMs(limits, failures - limits.failuresMax, random)
    },
  }
}

/** 2^n times the first wait with full jitter, but never no wait at all. */
export function backoffMs({ retryMs, retryMsMax }: LayersLimits, tries: number, random: number): number {
  const full = Math.min(retryMs * 2 ** Math.min(tries, 30), retryMsMax)
  return Math.max(1, Math.ceil(full * random))
}
