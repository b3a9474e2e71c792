/**
 * What callers may ask of a storage: checked at the border by every adapter, before anything is read or written.
 *
 * A caller's mistake is a `TypeError` or `RangeError` that says what was expected; nothing of the call was done.
 */
import type { Append, CallOptions, MapEntry, Marks } from './contract.ts'
import { checkId, checkText } from './ids.ts'
import { checkVersion } from './version.ts'

/** Adapters keep three bits of it. */
const PRIORITY_MAX = 7

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
    checkDocument(content)
    // Most often there is one run.
    const sessions = content.runs.length > 1 ? new Set<string>() : undefined
    for (const run of content.runs) {
      checkId(run.session, 'session id')
      checkCount(run.after, 'after')
      checkCount(run.after + run.transactions.length, 'after + transactions')
      for (const transaction of run.transactions) checkBytes(transaction, 'transaction')
      if (run.seal !== undefined) checkBytes(run.seal, 'seal')
      if (sessions?.has(run.session))
        throw new TypeError(`runs: expected one run per session, got two of ${JSON.stringify(run.session)}`)
      sessions?.add(run.session)
    }
  }
  for (const [key, value] of marks ?? []) {
    checkId(key, 'mark key')
    if (value !== undefined) checkBytes(value, 'mark')
  }
}

/** A document is created with these and keeps them: what no reader would understand must not get in. */
function checkDocument({ kind, priority, header, verifier }: Append): void {
  if (kind !== 'bytes' && kind !== 'json') throw new TypeError(`kind: expected "bytes" or "json", got ${String(kind)}`)
  if (!Number.isInteger(priority) || priority < 0 || priority > PRIORITY_MAX)
    throw new RangeError(`priority: expected an integer from 0 to ${PRIORITY_MAX}, got ${String(priority)}`)
  if (header !== undefined) checkBytes(header, 'header')
  for (const state of verifier?.values() ?? []) checkBytes(state, 'verifier state')
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

/** By what it is and not by its constructor: a test environment or a frame has its own. */
function checkBytes(value: Uint8Array, what: string): void {
  if (!ArrayBuffer.isView(value) || value.BYTES_PER_ELEMENT !== 1)
    throw new TypeError(`${what}: expected a Uint8Array, got ${typeof value}`)
}
