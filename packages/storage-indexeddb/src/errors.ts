/**
 * From what IndexedDB threw to what a caller can act on.
 *
 * Law L2: whatever fails is thrown as a `StorageError`, never answered as an absence. The message says what was being done, and
 * the cause is kept.
 */
import { StorageError, type StorageErrorCode } from '@tidemark/storage'
import { DamagedBlob } from '@tidemark/storage/adapter'

/** By the name of the `DOMException`; anything else is `IO`. */
const CODES: Readonly<Record<string, StorageErrorCode>> = {
  QuotaExceededError: 'QUOTA',
  // A value that Chromium keeps in a file of its own, and the file is gone.
  NotReadableError: 'CORRUPT',
  // An object store that every database of ours has.
  NotFoundError: 'CORRUPT',
}

/**
 * What a connection throws that the browser lost: WebKit after its database process ended ("Connection to Indexed Database server
 * lost", UnknownError), every engine after it was closed (InvalidStateError), and transactions that the browser aborted without
 * anybody asking for it (AbortError). A new connection may work.
 */
const LOST: ReadonlySet<string> = new Set(['InvalidStateError', 'UnknownError', 'AbortError'])

/** `doing` completes "IndexedDB failed while …". */
export function storageError(cause: unknown, doing: string): StorageError {
  if (cause instanceof StorageError) return cause
  const what = cause instanceof Error || isException(cause) ? cause.message || cause.name : String(cause)
  if (cause instanceof DamagedBlob) return new StorageError('CORRUPT', `Damaged data while ${doing}: ${what}.`, cause)
  return new StorageError(CODES[nameOf(cause)] ?? 'IO', `IndexedDB failed while ${doing}: ${what}.`, cause)
}

export function isConnectionLost(cause: unknown): boolean {
  // Opening tells what it failed with; a store that is not the one any more stays so.
  return LOST.has(nameOf(cause instanceof StorageError && cause.code === 'IO' ? cause.cause : cause))
}

/** A record that does not decode becomes `CORRUPT` with a message that names the document. */
export function naming<T>(id: string, read: () => T): T {
  try {
    return read()
  } catch (cause) {
    throw named(id, cause)
  }
}

/** As `naming`, for what is read later. */
export async function namingLater<T>(id: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read()
  } catch (cause) {
    throw named(id, cause)
  }
}

/** The name of a `DOMException` or error, '' of anything else. */
export function nameOf(cause: unknown): string {
  return isException(cause) ? cause.name : ''
}

function named(id: string, cause: unknown): unknown {
  if (!(cause instanceof DamagedBlob)) return cause
  const message = `What is stored of document ${JSON.stringify(id)} is damaged: ${cause.message}.`
  return new StorageError('CORRUPT', message, cause)
}

// By shape: a `DOMException` is not an `Error` everywhere, and may be one of another realm.
function isException(cause: unknown): cause is { readonly name: string; readonly message: string } {
  return typeof cause === 'object' && cause !== null && 'name' in cause && typeof cause.name === 'string'
}
