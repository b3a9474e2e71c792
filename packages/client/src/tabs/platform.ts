/**
 * What tabs need of their platform: locks that end with their holder, and channels between all tabs of an origin.
 *
 * Not here: Web Locks and BroadcastChannel themselves (`browser.ts`).
 */
export interface TabPlatform {
  /** Of this tab, for as long as it lives; no other tab has it. */
  readonly tab: string
  /**
   * Waits until nobody else holds the lock `name`; answers how to let go of it. A tab that dies lets go of its locks.
   *
   * Rejects with the reason of `signal` once that aborts.
   */
  lock(name: string, signal: AbortSignal): Promise<() => void>
  /** Everybody's channel of that name; what one posts all others hear, in order, as a structured clone. */
  channel(name: string): TabChannel
}

export interface TabChannel {
  post(message: unknown): void
  /** Set once, before anything is posted that is to be answered. */
  hear(listener: (message: unknown) => void): void
  close(): void
}
