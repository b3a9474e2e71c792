/**
 * Opening: one attempt to open a socket, which ends in time or when it is no longer wanted.
 *
 * Not here: trying again (`@tidemark/client`).
 */
import type { Clock } from '@tidemark/storage'
import { ConnectError } from './errors.ts'

/** Where to connect to; a function is asked at every attempt, for addresses whose token changes. */
export type Address = string | URL | (() => string | URL | Promise<string | URL>)

export interface Attempt<T> {
  readonly signal: AbortSignal
  readonly clock: Clock
  readonly timeoutMs: number
  /** Begins; answers how to give up. */
  start(done: (value: T) => void, failed: (cause: unknown) => void): () => void
}

/** @throws ConnectError `timeout`; the reason of `signal`; whatever `failed` was told. */
export function opening<T>({ signal, clock, timeoutMs, start }: Attempt<T>): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const timer = new AbortController()
    const settle = () => {
      signal.removeEventListener('abort', aborted)
      timer.abort()
    }
    const giveUp = start(
      (value) => {
        settle()
        resolve(value)
      },
      (cause) => {
        settle()
        reject(cause)
      },
    )
    const aborted = () => {
      settle()
      reject(signal.reason)
      giveUp()
    }
    signal.addEventListener('abort', aborted, { once: true })
    clock.wait(timeoutMs, timer.signal).then(
      () => {
        settle()
        reject(new ConnectError('timeout', `the server did not answer within ${timeoutMs} ms`))
        giveUp()
      },
      () => {},
    )
  })
}

export async function resolveAddress(address: Address): Promise<string> {
  return String(typeof address === 'function' ? await address() : address)
}
