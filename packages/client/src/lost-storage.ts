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

/** Answers how to stop. */
export function watchForLoss({ storage, listen, lost }: LostStorageContext): () => void {
  let asking = false

  async function ask(): Promise<void> {
    if (asking) return
    asking = true
    try {
      await storage.marks({ prefix: '', limit: 1 })
    } catch (cause) {
      if (!isClosed(cause) || stopped) return
      stop()
      lost(cause)
    } finally {
      asking = false
    }
  }

  let stopped = false
  const stopListening = listen((report) => {
    if (report.kind === 'storage' && report.code === 'CLOSED') void ask()
  })
  function stop(): void {
    stopped = true
    stopListening()
  }
  return stop
}

const isClosed = (cause: unknown): cause is StorageError => cause instanceof StorageError && cause.code === 'CLOSED'
