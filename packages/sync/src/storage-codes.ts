/**
 * Reading a storage's failure: its code where it has one.
 */
import { StorageError, type StorageErrorCode } from '@tidemark/storage'

export function codeOf(cause: unknown): StorageErrorCode | undefined {
  return cause instanceof StorageError ? cause.code : undefined
}
