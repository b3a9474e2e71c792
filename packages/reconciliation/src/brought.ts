/**
 * What others bring: documents of a storage that grew by something else than its own writes, since a layer was added or is back.
 *
 * Marks know nothing of it, so nobody knows whether the upstream has it (L3). Not here: what is done about that (`outbox.ts`).
 */
import { type Storage, watchChanges } from '@tidemark/storage'

export interface Brought {
  /** Calls back for each document, first for those that grew before this call. */
  hear(listener: (id: string) => void): void
  stop(): void
}

/** To be called before the storage is opened, so that nothing is missed. */
export function watchBrought(storage: Storage): Brought {
  const early = new Set<string>()
  let heard = (id: string): void => void early.add(id)
  const stop = watchChanges(storage, ({ id }) => heard(id))
  return {
    hear(listener) {
      heard = listener
      for (const id of early) listener(id)
      early.clear()
    },
    stop,
  }
}
