/**
 * What a store could not do. Absence, gaps and forks are values, never errors.
 */
import type { StorageErrorCode } from './contract.ts'

export class StorageError extends Error {
  override readonly name = 'StorageError'
  /** `IO` and `BUSY` are transient: trying again may help. */
  readonly code: StorageErrorCode

  constructor(code: StorageErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
  }
}
