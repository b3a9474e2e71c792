/**
 * The object stores, and how a database comes to have them.
 *
 * Keys are bytes wherever their order or their limits matter: IndexedDB compares strings by UTF-16 code units, bytes bytewise.
 * Not here: what the keys look like (keys.ts), what the records hold (row.ts, records.ts), opening (open.ts).
 */
import type { Version } from '@tidemark/storage'

/** Of the databases that this version of the package writes. */
export const SCHEMA_VERSION = 1

/** Every object store. A writing transaction takes all of them, so writers of all tabs take turns. */
export const STORES = [
  /** The numbers of the store, see numbers.ts. */
  'meta',
  /** Every open of the store, by ascending number: { id, sequence }, see `Generation` in the contract. */
  'generations',
  /** Id as UTF-8 → `DocumentRecord`; index `BY_SEQUENCE`. */
  'documents',
  /** Known states of documents with many sessions, in chunks: document, chunk → entries. */
  'sessions',
  /** Headers and transactions: document, then head, segments, tail. */
  'content',
  /** Document, session → the verifier's state. */
  'verifiers',
  /** Key as UTF-8 → value. */
  'marks',
  /** Name, key → `MapRecord`. */
  'maps',
] as const

export type StoreName = (typeof STORES)[number]

/** Index of `documents`: the change sequence. */
export const BY_SEQUENCE = 'sequence'

/** Property names are stored with every record, hence short. */
export interface DocumentRecord {
  /** Sequence of its latest change. */
  readonly at: number
  /** See row.ts. */
  readonly row: Uint8Array
}

export interface MapRecord {
  readonly version: Version
  /** Without: a tombstone. */
  readonly bytes?: Uint8Array
}

/** Brings an empty database to `SCHEMA_VERSION`. A released step is never changed: databases exist that took it. */
export function upgrade(database: IDBDatabase, oldVersion: number): void {
  if (oldVersion >= 1) return
  for (const name of STORES) {
    const store = database.createObjectStore(name, { autoIncrement: name === 'generations' })
    if (name === 'documents') store.createIndex(BY_SEQUENCE, 'at')
  }
}

/** Whether a database has what `upgrade` makes: it may be somebody else's of the same name and version. */
export function isOurs(database: IDBDatabase): boolean {
  return STORES.every((name) => database.objectStoreNames.contains(name))
}
