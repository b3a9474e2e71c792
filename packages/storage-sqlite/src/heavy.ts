/**
 * The states of documents with very many sessions, remembered from one look to the next.
 *
 * Putting such a state together takes milliseconds; going on from the last one takes a fraction of that. It is remembered with
 * the sequence at which the document stood, so it is never out of date: any change moves the document to another sequence.
 * L10: bounded by the sessions of all states together; the longest unused goes first.
 */
import type { StoredState } from '@tidemark/storage'

/** A session of a document, by its id and by its reference. */
export interface Named {
  readonly name: string
  readonly session: number
}

export interface Heavy {
  readonly sequence: number
  readonly state: StoredState
  /** All its sessions in bytewise order of their ids, once a page was read. */
  readonly ordered: readonly Named[] | undefined
}

export class HeavyDocuments {
  readonly #sessionsMax: number
  readonly #heavy = new Map<string, Heavy>()
  #sessions = 0

  constructor(sessionsMax: number) {
    this.#sessionsMax = sessionsMax
  }

  get(id: string, sequence: number): Heavy | undefined {
    const heavy = this.#heavy.get(id)
    if (heavy?.sequence !== sequence) return undefined
    // Behind all others: a map keeps the order in which it was filled.
    this.#heavy.delete(id)
    this.#heavy.set(id, heavy)
    return heavy
  }

  /** Only what is committed. */
  set(id: string, heavy: Heavy): void {
    this.#forget(id)
    this.#heavy.set(id, heavy)
    this.#sessions += heavy.state.known.sessions.size
    for (const [oldest] of this.#heavy) {
      if (this.#sessions <= this.#sessionsMax) return
      this.#forget(oldest)
    }
  }

  #forget(id: string): void {
    this.#sessions -= this.#heavy.get(id)?.state.known.sessions.size ?? 0
    this.#heavy.delete(id)
  }
}
