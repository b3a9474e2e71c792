/**
 * Opening a database: within a time limit, created only where that is wanted, and closed again if it comes too late.
 *
 * A browser may leave an open request without any answer: another tab keeps an older version open, is deleting the store, or the
 * browser itself is stuck. Whoever waits is told `BUSY` after a while. Not here: what to do when a connection is lost
 * (connection.ts), the object stores (schema.ts).
 */
import { type Clock, StorageError } from '@tidemark/storage'
import { type IDBPDatabase, unwrap, wrap } from 'idb'
import { nameOf, storageError } from './errors.ts'
import { isOurs, SCHEMA_VERSION, upgrade } from './schema.ts'

export interface OpenSettings {
  readonly name: string
  /** The browser's own unless given. */
  readonly factory: IDBFactory | undefined
  readonly clock: Clock
  readonly busyTimeoutMs: number
  /** Neither created nor upgraded. */
  readonly readOnly: boolean
}

/**
 * `again`: a connection to this store was open before, so a store that is not there was deleted and is not to be made anew.
 * `ended` is called when the connection has come to its end: the browser lost it, or it gave way to another tab that wants to
 * upgrade or to delete the store. Transactions in flight are still completed then.
 *
 * @throws StorageError `BUSY` (no answer in time), `CORRUPT` (not ours, or of a newer version), `CLOSED` (`again`, and the store
 * is gone or was upgraded), `IO`, `QUOTA`.
 */
export async function openDatabase(settings: OpenSettings, again: boolean, ended: () => void): Promise<IDBDatabase> {
  const { name, clock, busyTimeoutMs } = settings
  const request = requestOpening(settings)
  const state = { blocked: false, missing: false, tooLate: false }
  request.addEventListener('blocked', () => {
    state.blocked = true
  })
  request.addEventListener('upgradeneeded', ({ oldVersion }) => {
    state.missing = oldVersion === 0 && (again || settings.readOnly)
    if (state.missing || state.tooLate) request.transaction?.abort()
    else upgrade(request.result, oldVersion)
  })
  // At once: nothing that happens to a connection may be missed.
  request.addEventListener('success', () => watch(request.result, ended))
  const opening = promised(request)
  const timer = new AbortController()
  try {
    const timeUp = clock.wait(busyTimeoutMs, timer.signal).then(() => Promise.reject(busy(settings, state.blocked)))
    const database = await Promise.race([opening, timeUp])
    if (isOurs(database)) return database
    database.close()
    throw new StorageError('CORRUPT', `The IndexedDB database ${quoted(name)} is not one of ours. Use another name.`)
  } catch (cause) {
    state.tooLate = true
    // It may still be opened one day, and an open connection would block others.
    opening.then((database) => database.close()).catch(() => {})
    throw refusal(name, cause, again, state.missing)
  } finally {
    timer.abort()
  }
}

function watch(database: IDBDatabase, ended: () => void): void {
  database.addEventListener('versionchange', () => {
    database.close()
    ended()
  })
  database.addEventListener('close', ended)
}

async function promised(request: IDBOpenDBRequest): Promise<IDBDatabase> {
  return unwrap((await wrap(request as IDBRequest)) as IDBPDatabase)
}

function requestOpening({ factory, name }: OpenSettings): IDBOpenDBRequest {
  let found: IDBFactory | undefined
  try {
    // A sandboxed frame or blocked site data: asking for it is enough to fail.
    found = factory ?? globalThis.indexedDB
    if (found && typeof IDBRequest !== 'undefined') return found.open(name, SCHEMA_VERSION)
  } catch (cause) {
    throw new StorageError('IO', 'IndexedDB may not be used here: the browser keeps no data for this page.', cause)
  }
  const missing = found ? 'its classes (IDBRequest, …) are no globals' : 'there is no `indexedDB`'
  throw new StorageError('IO', `There is no IndexedDB here: ${missing}. In Node import "fake-indexeddb/auto" first.`)
}

function busy({ name, busyTimeoutMs }: OpenSettings, blocked: boolean): StorageError {
  const why = blocked ? 'another tab has an older version of it open' : 'the browser did not answer'
  const message = `The store ${quoted(name)} could not be opened within ${busyTimeoutMs} ms: ${why}. Close other tabs, or try again.`
  return new StorageError('BUSY', message)
}

function refusal(name: string, cause: unknown, again: boolean, missing: boolean): StorageError {
  if (missing && again)
    return new StorageError('CLOSED', `The store ${quoted(name)} was deleted while it was open.`, cause)
  if (missing) return new StorageError('IO', `Cannot open ${quoted(name)} for reading: there is no such store.`, cause)
  if (nameOf(cause) !== 'VersionError') return storageError(cause, `opening ${quoted(name)}`)
  return again
    ? new StorageError('CLOSED', `Another tab upgraded the store ${quoted(name)}: reload this page.`, cause)
    : new StorageError(
        'CORRUPT',
        `The store ${quoted(name)} has a newer version. Use a newer version of this package.`,
        cause,
      )
}

export function quoted(name: string): string {
  return JSON.stringify(name)
}
