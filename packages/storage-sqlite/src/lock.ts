/**
 * One engine per store: whoever opens a file for writing holds a lock until it closes it or its process ends.
 *
 * The lock is an exclusive transaction on an empty side database `PATH-lock`: the operating system gives it back when the process
 * is killed, and the file itself stays readable for others (`sqlite3`, backups). The side file is left behind on purpose: who
 * removes it while another waits for it ends with two holders.
 * Within a process locks of files do not hold against another SQLite library, so paths are remembered as well.
 */
import { StorageError } from '@tidemark/storage'
import type { SqliteDatabase, SqliteDriver } from './driver.ts'
import { storageError } from './errors.ts'

interface Holder {
  readonly driver: string
  /** Kept here, or a collection would close it and give the lock away. */
  readonly side: SqliteDatabase
}

/** Shared by all copies of this package in the process. */
const HOLDERS = Symbol.for('@tidemark/storage-sqlite: open stores')

/**
 * Takes the lock of the store at the real path `path`; answers how to give it back.
 *
 * @throws StorageError `BUSY` if another has it, in this process or another.
 */
export function lock(driver: SqliteDriver, path: string): () => void {
  const side = lockSideFile(driver, path)
  holders().set(path, { driver: driver.name, side })
  return () => {
    holders().delete(path)
    side.close()
  }
}

/**
 * Whether this process has the store at `path` open already. To be asked before the file is touched in any way: whoever closes
 * a file gives back all locks that its process has on it, also those that another library took.
 *
 * @throws StorageError `BUSY` if it may not be opened a second time: for writing, or with another library.
 */
export function isOpenHere(driver: SqliteDriver, path: string, readOnly: boolean): boolean {
  const holder = holders().get(path)
  if (holder === undefined) return false
  if (!readOnly) throw taken(path)
  if (holder.driver === driver.name) return true
  throw new StorageError('BUSY', `This process has ${path} open with ${holder.driver}: read it with the same driver.`)
}

function lockSideFile(driver: SqliteDriver, path: string): SqliteDatabase {
  let side: SqliteDatabase | undefined
  try {
    side = driver.open(`${path}-lock`)
    side.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
    return side
  } catch (cause) {
    side?.close()
    const code = driver.resultCode(cause)
    if (code === 'BUSY' || code === 'LOCKED') throw taken(path, cause)
    throw storageError(driver, cause, `locking ${path}`)
  }
}

function holders(): Map<string, Holder> {
  const shared = globalThis as { [HOLDERS]?: Map<string, Holder> }
  shared[HOLDERS] ??= new Map()
  return shared[HOLDERS]
}

function taken(path: string, cause?: unknown): StorageError {
  const message = `Another server has ${path} open: one at a time may write to a store. Stop the other one, or use another file.`
  return new StorageError('BUSY', message, cause)
}
