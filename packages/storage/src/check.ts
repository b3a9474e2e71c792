/**
 * What callers may ask of a storage: checked at the border by every adapter, before anything is read or written.
 *
 * A caller's mistake is a `TypeError` or `RangeError` that says what was expected; nothing of the call was done.
 */
import type { Append, CallOptions, MapEntry, Marks } from './contract.ts'
import { checkId, checkText } from './ids.ts'
import { checkVersion } from './version.ts'

/** Throws the reason of a signal that was aborted already: nothing of the call is done. */
export function throwIfAborted(options: CallOptions | undefined): void {
  if (options?.signal?.aborted) throw options.signal.reason
}

export function checkIds(ids: readonly string[], what = 'document id'): void {
  for (const id of ids) checkId(id, what)
}

/** All of a batch before any of it is stored: a mistake in the last content leaves nothing of the first behind. */
export function checkBatch(batch: readonly Append[], marks: Marks | undefined): void {
  for (const content of batch) {
    checkId(content.id, 'document id')
    // Most often there is one run.
    const sessions = content.runs.length > 1 ? new Set<string>() : undefined
    for (const run of content.runs) {
      checkId(run.session, 'session id')
      checkCount(run.after, 'after')
      checkCount(run.after + run.transactions.length, 'after + transactions')
      if (sessions?.has(run.session))
        throw new TypeError(`runs: expected one run per session, got two of ${JSON.stringify(run.session)}`)
      sessions?.add(run.session)
    }
  }
  if (marks !== undefined) for (const key of marks.keys()) checkId(key, 'mark key')
}

export function checkMap(name: string, entries: ReadonlyMap<string, MapEntry> = new Map()): void {
  checkId(name, 'map name')
  for (const [key, { version }] of entries) {
    checkId(key, 'map key')
    checkVersion(version, 'version')
  }
}

/** Options of `list`, `changes` and `marks`. */
export function checkListing(options: {
  readonly limit: number
  readonly after?: string
  readonly prefix?: string
  readonly since?: number
}): void {
  checkCount(options.limit, 'limit')
  if (options.since !== undefined) checkCount(options.since, 'since')
  if (options.after !== undefined) checkText(options.after, 'after')
  if (options.prefix !== undefined) checkText(options.prefix, 'prefix')
}

export function checkBytesMax(bytesMax: number): void {
  if (!(bytesMax >= 0)) throw new RangeError(`bytesMax: expected a number ≥ 0, got ${bytesMax}`)
}

function checkCount(value: number, what: string): void {
  if (!Number.isSafeInteger(value) || value < 0)
    throw new RangeError(`${what}: expected a safe integer ≥ 0, got ${value}`)
}
