/**
 * Waiting for what may never come: whoever gives up is let go. Not here: ending the work itself.
 */
import type { Awaitable } from './contract.ts'

/** Rejects with the reason of the signal if that aborts first; nothing stays on it. */
export function unlessAborted<T>(work: Awaitable<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return Promise.resolve(work)
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const abort = () => reject(signal.reason)
    const end = () => signal.removeEventListener('abort', abort)
    signal.addEventListener('abort', abort, { once: true })
    Promise.resolve(work).then(resolve, reject).finally(end)
  })
}
