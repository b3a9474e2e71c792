/**
 * Turns: of what is done about one document one thing at a time, in the order in which it was asked for.
 *
 * L10: a document about which nothing is done costs nothing. Not here: what is done.
 */
import { unlessAborted } from '@tidemark/storage'

export interface Turns {
  /** Does it when all before it is done. Whoever leaves before its turn has come does nothing. */
  take<T>(id: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T>
}

/** `emptied`: nothing more is to be done about a document. */
export function createTurns(emptied: (id: string) => void = () => {}): Turns {
  const last = new Map<string, Promise<void>>()
  return {
    take(id, work, signal) {
      const before = last.get(id) ?? Promise.resolve()
      const mine = before.then(() => {
        signal?.throwIfAborted()
        return work()
      })
      const over = mine.then(
        () => {},
        () => {},
      )
      last.set(id, over)
      void over.then(() => {
        if (last.get(id) !== over) return
        last.delete(id)
        emptied(id)
      })
      return unlessAborted(mine, signal)
    },
  }
}
