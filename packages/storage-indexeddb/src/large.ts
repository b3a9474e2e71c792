/**
 * The sessions of documents that have very many, remembered from one transaction to the next.
 *
 * Reading and decoding the entries of thousands of sessions costs far more than the one entry that a commit changes. What is
 * remembered counts only for the change that it was read or written at, which each transaction reads for itself: another tab's
 * changes are never overlooked. A commit takes it out and gives it back when it is complete: nothing of a failed one stays.
 */
import type { StoredState } from '@tidemark/storage'
import { Remembered } from '@tidemark/storage/adapter'
import type { Sessions } from './sessions.ts'

export interface Large {
  /** Sequence of the document's change that this is true of. */
  readonly at: number
  readonly sessions: Sessions
  readonly state: StoredState | undefined
}

/** There may be twice so many. */
const REMEMBERED = 2

export class LargeDocuments {
  readonly #byId = new Remembered<string, Large>(REMEMBERED)

  take(id: string, at: number): Large | undefined {
    const found = this.#byId.get(id)
    this.#byId.delete(id)
    return found?.at === at ? found : undefined
  }

  /** To be looked at, not to be changed. */
  look(id: string, at: number): Large | undefined {
    const found = this.#byId.get(id)
    return found?.at === at ? found : undefined
  }

  keep(id: string, large: Large): void {
    this.#byId.set(id, large)
  }
}
