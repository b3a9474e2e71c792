/**
 * Waiters: promises that somebody resolves later, and that their owner can give up with a signal.
 *
 * Not here: what is waited for.
 */
export interface Waiters<T> {
  size(): number
  /** Rejects with the reason of `signal` once that aborts. */
  add(signal?: AbortSignal): Promise<T>
  resolve(value: T): void
  reject(cause: unknown): void
}

interface Waiter<T> {
  resolve(value: T): void
  reject(cause: unknown): void
}

export function createWaiters<T>(): Waiters<T> {
  const waiting = new Set<Waiter<T>>()

  function takeAll(): Waiter<T>[] {
    const all = [...waiting]
    waiting.clear()
    return all
  }

  return {
    size: () => waiting.size,
    add(signal) {
      return new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason)
        const aborted = () => {
          waiting.delete(waiter)
          reject(signal?.reason)
        }
        const forget = () => signal?.removeEventListener('abort', aborted)
        const waiter: Waiter<T> = {
          resolve(value) {
            forget()
            resolve(value)
          },
          reject(cause) {
            forget()
            reject(cause)
          },
        }
        waiting.add(waiter)
        signal?.addEventListener('abort', aborted, { once: true })
      })
    },
    resolve(value) {
      for (const waiter of takeAll()) waiter.resolve(value)
    },
    reject(cause) {
      for (const waiter of takeAll()) waiter.reject(cause)
    },
  }
}
