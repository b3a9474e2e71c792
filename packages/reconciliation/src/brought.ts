/**
 * What others bring: documents of a storage that grew by something else than its own writes, since a layer was added or is back.
 *
 * Marks know nothing of it, so nobody knows whether the upstream has it (L3). Not here: what is done about that (`outbox.ts`).
 */
import { type Marks, type Storage, watchChanges } from '@tidemark/storage'

/** Answers the marks that say so: where the document is stored because of it, they are set before it is. */
export type Owe = (id: string) => Marks

export interface Brought {
  /** Calls back for each document, first for those that grew before this call. */
  hear(owe: Owe): void
  stop(): void
}

/** To be called before the storage is opened, so that nothing is missed. */
export function watchBrought(storage: Storage): Brought {
  const early = new Set<string>()
  let heard: Owe | undefined
  let hear: (owe: Owe) => void = () => {}
  const hearing = new Promise<Owe>((resolve) => {
    hear = resolve
  })
  const stop = watchChanges(storage, ({ id, storeWith }) => {
    if (heard === undefined) early.add(id)
    const marks = heard?.(id) ?? hearing.then((owe) => owe(id))
    storeWith?.(marks)
  })
  return {
    hear(owe) {
      heard = owe
      for (const id of early) owe(id)
      early.clear()
      hear(owe)
    },
    stop() {
      stop()
      hear(() => new Map())
    },
  }
}
