/**
 * Rates: how many bytes a second a connection, and all connections of an account together, may send.
 *
 * Who is faster is read from later: nothing is refused or lost, the sender waits. After a pause a burst is free.
 * L10: an account is remembered while it has a connection. Not here: pausing (`connections.ts`).
 */
import type { Clock } from '@tidemark/storage'

export interface Rates {
  join(account: string | undefined): Rate
}

export interface Rate {
  /** Counts what was received; answers for how many milliseconds nothing more is to be read. */
  take(bytes: number): number
  leave(): void
}

export interface RateLimits {
  readonly receivedBytesPerSecondMax: number
  readonly accountReceivedBytesPerSecondMax: number
}

/** So much time's worth may come at once. */
const BURST_MS = 5_000

/** When everything that was received would be read at the permitted rate. */
interface Meter {
  paidUntilMs: number
  users: number
}

export function createRates(limits: RateLimits, clock: Clock): Rates {
  const { receivedBytesPerSecondMax, accountReceivedBytesPerSecondMax } = limits
  const accounts = new Map<string, Meter>()

  function charge(meter: Meter, bytes: number, perSecond: number): number {
    const nowMs = clock.now()
    meter.paidUntilMs = Math.max(meter.paidUntilMs, nowMs - BURST_MS) + (bytes * 1_000) / perSecond
    return Math.max(0, meter.paidUntilMs - nowMs)
  }

  function meterOf(account: string): Meter {
    const meter = accounts.get(account) ?? { paidUntilMs: 0, users: 0 }
    accounts.set(account, meter)
    return meter
  }

  return {
    join(account) {
      const own: Meter = { paidUntilMs: 0, users: 1 }
      const shared = account === undefined ? undefined : meterOf(account)
      if (shared !== undefined) shared.users += 1
      return {
        take(bytes) {
          const ownMs = charge(own, bytes, receivedBytesPerSecondMax)
          const sharedMs = shared === undefined ? 0 : charge(shared, bytes, accountReceivedBytesPerSecondMax)
          return Math.max(ownMs, sharedMs)
        },
        leave() {
          if (shared === undefined || account === undefined) return
          shared.users -= 1
          if (shared.users === 0) accounts.delete(account)
        },
      }
    },
  }
}
