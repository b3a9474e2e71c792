/**
 * From what SQLite threw to what a caller can act on.
 *
 * Law L2: whatever fails is thrown as a `StorageError`, never answered as an absence. The message says what was being done, and
 * the cause is kept.
 */
import { StorageError, type StorageErrorCode } from '@tidemark/storage'
import { DamagedBlob } from '@tidemark/storage/adapter'
import type { SqliteDriver } from './driver.ts'

const CODES: Readonly<Record<string, StorageErrorCode>> = {
  FULL: 'QUOTA',
  READONLY: 'READ_ONLY',
  PERM: 'READ_ONLY',
  BUSY: 'BUSY',
  LOCKED: 'BUSY',
  CORRUPT: 'CORRUPT',
  NOTADB: 'CORRUPT',
  TOOBIG: 'TOO_LARGE',
}

/** `doing` completes "SQLite failed while …"; anything that is not known is `IO`. */
export function storageError(driver: SqliteDriver, cause: unknown, doing: string): StorageError {
  if (cause instanceof StorageError) return cause
  const what = cause instanceof Error ? cause.message : String(cause)
  if (cause instanceof DamagedBlob) return new StorageError('CORRUPT', `Damaged data while ${doing}: ${what}.`, cause)
  const code = CODES[driver.resultCode(cause) ?? ''] ?? 'IO'
  return new StorageError(code, `SQLite failed while ${doing}: ${what}.`, cause)
}

/** Runs `read`; a blob that does not decode becomes `CORRUPT` with a message that names the document. */
export function naming<T>(id: string, read: () => T): T {
  try {
    return read()
  } catch (cause) {
    if (!(cause instanceof DamagedBlob)) throw cause
    const message = `What is stored of document ${JSON.stringify(id)} is damaged: ${cause.message}.`
    throw new StorageError('CORRUPT', message, cause)
  }
}
