/**
 * Documents with so many sessions that their entries are in chunks: what is remembered of them from one look to the next.
 *
 * Putting such a state together takes milliseconds. It is remembered with the sequence at which the document stood, so it is
 * never out of date: any change moves the document to another sequence. L10: bounded by the sessions of all of them together.
 */
import type { StoredState } from '@tidemark/storage'
import { RememberedWithin } from '@tidemark/storage/adapter'
import type { Entry } from './rows.ts'

export interface Large {
  readonly sequence: number
  /** By ascending session. Not to be changed. */
  readonly entries: readonly Entry[]
  /** The session ids, in the order of the entries. */
  readonly names: readonly string[]
  readonly state: StoredState
}

/** By document id. */
export type LargeDocuments = RememberedWithin<string, Large>

export function largeDocuments(sessionsMax: number): LargeDocuments {
  return new RememberedWithin(sessionsMax, ({ entries }) => entries.length)
}
