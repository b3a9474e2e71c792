/**
 * How long to wait before the next attempt to connect: full jitter, from the first attempt on.
 *
 * A server that restarts loses all its clients in the same second; without chance in the very first delay they would all come
 * back in the same second too. Not here: waiting (`reconnect.ts`).
 */
export interface BackoffOptions {
  /** Most that is waited before the first attempt; it doubles with every failure in a row. */
  readonly reconnectMs: number
  readonly reconnectMsMax: number
}

/** Milliseconds, `failures` being attempts that failed in a row; `chance` is at least 0 and less than 1. */
export function backoff(options: BackoffOptions, failures: number, chance: number): number {
  return chance * Math.min(options.reconnectMs * 2 ** failures, options.reconnectMsMax)
}
