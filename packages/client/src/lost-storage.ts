/**
 * A storage that is closed for good under a client: another tab has upgraded or deleted it, its handle is gone.
 *
 * Every later call fails (the contract), so nothing that waits for it will ever be settled. A failure says so, and the storage is asked
 * itself before it is believed: one of several layers may be closed. Not here: what is done then (`hub.ts`).
 */
import { type Storage, StorageError } from '@tidemark/storage'
import type { Report } from '@tidemark/sync'

export interface LostStorageContext {
  readonly storage: Storage
  listen(listener: (report: Report) => void): () => void
  /** Called once. */
  lost(cause: StorageError): void
}

export interface LossWatch {
  /** Something failed so; resolves when it is known, and told, whether the storage is closed. */
  suspect(cause: unknown): Promise<void>
  stop(): void
}

export function watchForLoss({ storage, listen, lost }: LostStorageContext): LossWatch {
  let asking: Promise<void> | undefined
  let stopped = false

  async function ask(): Promise<void> {
    try {
      await storage.marks({ prefix: '', limit: 1 })
    } catch (cause) {
      if (!isClosed(cause) || stopped) return
      stop()
      lost(cause)
    } finally {
      asking = undefined
    }
  }

  async function suspect(cause: unknown): Promise<void> {
    if (stopped || !isClosed(cause)) return
    asking ??= ask()
    await asking
  }

  const stopListening = listen((report) => {
    if (report.kind === 'storage') void suspect(report.cause)
  })
  function stop(): void {
    stopped = true
    stopListening()
  }
  return { suspect, stop }
}

const isClosed = (cause: unknown): cause is StorageError => cause instanceof StorageError && cause.code === 'CLOSED'

/** The same storage for parts whose failures the engine does not report: `failed` is told of each. */
export function noticing(storage: Storage, failed: (cause: unknown) => void): Storage {
  return new Proxy(storage, {
    get(target, name) {
      const method: unknown = Reflect.get(target, name)
      if (typeof method !== 'function') return method
      return (...args: readonly unknown[]) => {
        try {
          const answer: unknown = method.apply(target, args)
          if (answer instanceof Promise) answer.catch(failed)
          return answer
        } catch (cause) {
          failed(cause)
          throw cause
        }
      }
    },
  })
}
