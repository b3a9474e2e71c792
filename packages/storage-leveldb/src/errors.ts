/**
 * From what a database threw to what a caller can act on.
 *
 * Law L2: whatever fails is thrown as a `StorageError`, never answered as an absence. The message says what was being done, and
 * the cause is kept.
 */
import { StorageError, type StorageErrorCode } from '@tidemark/storage'
import { DamagedBlob } from '@tidemark/storage/adapter'

/** Codes of abstract-level and classic-level. */
const CODES: Readonly<Record<string, StorageErrorCode>> = {
  LEVEL_LOCKED: 'BUSY',
  LEVEL_CORRUPTION: 'CORRUPT',
  LEVEL_DATABASE_NOT_OPEN: 'CLOSED',
}

/** LevelDB names what the system said only in words; a browser's quota has a name of its own. */
const WORDS: readonly (readonly [words: RegExp, code: StorageErrorCode])[] = [
  [/No space left on device|Disk quota exceeded|There is not enough space|QuotaExceeded/i, 'QUOTA'],
  [/Read-only file system|Permission denied|Operation not permitted|Access is denied/i, 'READ_ONLY'],
  [/Corruption: /, 'CORRUPT'],
]

/** `doing` completes "The database failed while …"; anything that is not known is `IO`. */
export function storageError(cause: unknown, doing: string): StorageError {
  if (cause instanceof StorageError) return cause
  const what = innermost(cause)
  const message = what instanceof Error ? what.message : String(what)
  if (what instanceof DamagedBlob) return new StorageError('CORRUPT', `Damaged data while ${doing}: ${message}.`, cause)
  return new StorageError(codeOf(what), `The database failed while ${doing}: ${message}.`, cause)
}

/** What a document that does not decode is to its reader. */
export function damaged(id: string, cause: DamagedBlob): StorageError {
  return new StorageError(
    'CORRUPT',
    `What is stored of document ${JSON.stringify(id)} is damaged: ${cause.message}.`,
    cause,
  )
}

/** Runs `read`; a record that does not decode becomes `CORRUPT` with a message that names the document. */
export function naming<T>(id: string, read: () => T): T {
  try {
    return read()
  } catch (cause) {
    throw cause instanceof DamagedBlob ? damaged(id, cause) : cause
  }
}

/** Failures to open are wrapped: "Database failed to open", and why. */
function innermost(cause: unknown): unknown {
  let inner = cause
  while (inner instanceof Error && inner.cause instanceof Error) inner = inner.cause
  return inner
}

function codeOf(cause: unknown): StorageErrorCode {
  if (!(cause instanceof Error)) return 'IO'
  const text = `${cause.name}: ${cause.message}`
  for (const [words, code] of WORDS) if (words.test(text)) return code
  return CODES['code' in cause ? String(cause.code) : ''] ?? 'IO'
}
