/**
 * Whether the store takes what it is given: a full disk, or one that became read-only, is told to whoever looks at the server's
 * health, while reading goes on.
 *
 * Writes count as failing until one succeeds, or until none was tried for a while: with nobody writing nobody knows.
 * Not here: a store that does not answer at all (`store-watch.ts`), what clients are told (the engine).
 */
import { type AppendResult, type Clock, StorageError, type StorageErrorCode } from '@tidemark/storage'
import type { Effect, Event } from '@tidemark/sync'

export interface WriteWatch {
  /** The code with which writes fail at present. */
  failing(): StorageErrorCode | 'unknown' | undefined
  observe(step: Event | Effect): void
}

const FORGOTTEN_AFTER_MS = 60_000
/** What is wrong with one document says nothing about the others. */
const OF_ONE_DOCUMENT: ReadonlySet<StorageErrorCode> = new Set(['TOO_LARGE', 'CORRUPT'])

export function createWriteWatch(clock: Clock): WriteWatch {
  let failure: { readonly code: StorageErrorCode | 'unknown'; readonly atMs: number } | undefined

  function failed(code: StorageErrorCode | undefined): void {
    if (code === undefined || !OF_ONE_DOCUMENT.has(code)) failure = { code: code ?? 'unknown', atMs: clock.now() }
  }

  function judge(results: readonly AppendResult[]): void {
    if (results.some((result) => !('failed' in result))) failure = undefined
    for (const result of results) if ('failed' in result) failed(result.failed)
  }

  return {
    failing() {
      if (failure !== undefined && clock.now() - failure.atMs > FORGOTTEN_AFTER_MS) failure = undefined
      return failure?.code
    },
    observe(step) {
      if (step.type === 'appended') {
        if ('value' in step.outcome) judge(step.outcome.value)
        else failed(codeOf(step.outcome.failed))
      }
    },
  }
}

function codeOf(cause: unknown): StorageErrorCode | undefined {
  return cause instanceof StorageError ? cause.code : undefined
}
