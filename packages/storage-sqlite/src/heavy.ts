/**
 * The states of documents with very many sessions, remembered from one look to the next.
 *
 * Putting such a state together takes milliseconds; going on from the last one takes a fraction of that. It is remembered with
 * the sequence at which the document stood, so it is never out of date: any change moves the document to another sequence.
 * L10: bounded by the sessions of all states together; the longest unused goes first.
 */
import type { StoredState } from '@tidemark/storage'
import { RememberedWithin } from '@tidemark/storage/adapter'

/** A session of a document, by its id and by its reference. */
export interface Named {
  readonly name: string
  readonly session: number
}

export interface Heavy {
  readonly sequence: number
  readonly state: StoredState
  /** All its sessions in any order, until they are ordered: looking up their names again takes as long as the state. */
  readonly named?: readonly Named[]
  /** All its sessions in bytewise order of their ids, once a page was read. */
  readonly ordered: readonly Named[] | undefined
}

export class HeavyDocuments {
  readonly #heavy: RememberedWithin<string, Heavy>

  constructor(sessionsMax: number) {
    this.#heavy = new RememberedWithin(sessionsMax, ({ state }) => state.known.sessions.size)
  }

  get(id: string, sequence: number): Heavy | undefined {
    const heavy = this.#heavy.get(id)
    return heavy?.sequence === sequence ? heavy : undefined
  }

  /** Only what is committed. */
  set(id: string, heavy: Heavy): void {
    this.#heavy.set(id, heavy)
  }
}
