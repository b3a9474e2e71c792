/**
 * A store that is open: the connection, its statements, and what the parts of this package share.
 *
 * Not here: how it is opened (open.ts), what can be done with it (storage.ts).
 */
import type { KnownState } from '@tidemark/known-state'
import { BlobWriter, type Packed } from '@tidemark/storage/adapter'
import type { SqliteDatabase, SqliteDriver } from './driver.ts'
import { HeavyDocuments } from './heavy.ts'
import { SessionNames } from './session-names.ts'
import { prepareAll, type Statements } from './statements.ts'
import { Tails } from './tails.ts'

export interface StoreOptions extends StoreLimits {
  readonly readOnly: boolean
}

export interface StoreLimits {
  readonly pageBytes: number
  readonly runBytesMax: number
  /** Session ids that are remembered, and sessions of heavy documents. */
  readonly sessionsRememberedMax: number
}

/** The last number given of each kind. Changed by a commit that succeeded, never before. */
export interface Numbers {
  document: number
  sequence: number
  session: number
  segment: number
  chunk: number
}

export interface PageEnd {
  readonly document: number
  readonly sequence: number
  readonly place: number
}

export interface Store {
  readonly driver: SqliteDriver
  readonly database: SqliteDatabase
  readonly sql: Statements
  readonly names: SessionNames
  readonly heavy: HeavyDocuments
  /** Of heavy documents: where the session stands, among all in their order, that the page after a known state begins with. */
  readonly pageEnds: WeakMap<KnownState, PageEnd>
  /** Sessions that are worth folding when nobody writes. */
  readonly tails: Tails
  readonly limits: StoreLimits
  /** Whether another process may write to the file while this store reads it. */
  readonly readOnly: boolean
  readonly writer: BlobWriter
  numbers: Numbers
  /** Within a transaction that writes. */
  isWriting: boolean
  /** Set while a transaction that reads is open: ends it. */
  reading: NodeJS.Immediate | undefined
  /** The segment that was read last, outside of a transaction. */
  recent: { readonly segment: number; readonly piece: Packed } | undefined
}

/** Nothing here depends on how much is stored: each number is the end of a tree (scenario 55). */
export function storeOf(driver: SqliteDriver, database: SqliteDatabase, options: StoreOptions): Store {
  const { readOnly, ...limits } = options
  const sql = prepareAll(database)
  const greatest = (kind: 'Document' | 'Sequence' | 'Session' | 'Segment' | 'Chunk') =>
    (sql[`greatest${kind}`].get()?.[0] as number | null) ?? 0
  const numbers: Numbers = {
    document: greatest('Document'),
    sequence: greatest('Sequence'),
    session: greatest('Session'),
    segment: greatest('Segment'),
    chunk: greatest('Chunk'),
  }
  const names = new SessionNames(sql, limits.sessionsRememberedMax)
  const heavy = new HeavyDocuments(limits.sessionsRememberedMax)
  return {
    driver,
    database,
    sql,
    names,
    heavy,
    pageEnds: new WeakMap(),
    tails: new Tails(),
    limits,
    readOnly,
    writer: new BlobWriter(),
    numbers,
    isWriting: false,
    reading: undefined,
    recent: undefined,
  }
}

/** One transaction: what `body` writes is stored when this returns, and none of it when it throws. */
export function transact<T>(store: Store, body: () => T): T {
  const { sql } = store
  endReading(store)
  sql.begin.run()
  store.isWriting = true
  try {
    const result = body()
    sql.commit.run()
    return result
  } catch (cause) {
    try {
      sql.rollback.run()
    } catch {
      // SQLite rolls back by itself after some failures (a full disk); then there is nothing left to end.
    }
    throw cause
  } finally {
    store.isWriting = false
  }
}

/**
 * Reads of one turn of the event loop share a transaction: taking and giving back SQLite's lock of the log costs more than a
 * look-up. Whatever writes here ends it first; what another process writes to the file is seen from the next turn on.
 */
export function beginReading(store: Store): void {
  if (store.reading !== undefined) return
  // Whoever writes may have given the number of a segment that is gone to another one.
  if (store.readOnly) store.recent = undefined
  store.sql.beginReading.run()
  store.reading = setImmediate(() => endReading(store))
}

export function endReading(store: Store): void {
  if (store.reading === undefined) return
  clearImmediate(store.reading)
  store.reading = undefined
  try {
    store.sql.endReading.run()
  } catch {
    // A read that failed may have ended it.
  }
}
