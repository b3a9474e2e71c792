/**
 * Erasures: once a tombstone is durable the document's content goes, its header and its tombstones stay.
 *
 * An erasure that failed is tried again, with a back-off, until it is done, also by the next process (`run-erasures.ts`).
 * Not here: what a tombstone is (the application says).
 */
import { covers } from '@tidemark/known-state'
import type { StoredState } from '@tidemark/storage'
import { recount } from './appends.ts'
import { reportConfirmed } from './confirmations.ts'
import { type Core, emit, type Holding, type Pending, report } from './core.ts'
import type { Outcome } from './events.ts'
import { sendRest } from './forward.ts'
import { durable, forget, holdingOf, lookAgain, relax } from './holdings.ts'
import { endIfUnwanted } from './on-done.ts'
import { tellErased } from './senders.ts'
import { codeOf } from './storage-codes.ts'
import { subscribersOf, viewOf } from './views.ts'

/** Erases the document if one of the contents that became durable was a tombstone. */
export function erase(core: Core, holding: Holding, taken: readonly Pending[]): void {
  const tombstones = taken.flatMap((pending) => pending.tombstones)
  const stored = tombstones.filter((session) => durable(holding).sessions.has(session))
  if (stored.length > 0 && holding.stored?.erased === undefined) begin(core, holding, stored)
}

/** Goes on with what an earlier process began. */
export function onUnerased(core: Core, id: string, keep: readonly string[]): void {
  begin(core, holdingOf(core, id), keep)
}

function begin(core: Core, holding: Holding, keep: readonly string[]): void {
  const isNew = holding.erasing === undefined
  holding.erasing ??= { keep: new Set(), tries: 0 }
  for (const session of keep) holding.erasing.keep.add(session)
  if (!isNew) return
  core.erasing.set(holding.id, holding)
  core.unsettled += 1
  request(core, holding)
}

function request(core: Core, holding: Holding): void {
  const { id, erasing } = holding
  if (erasing !== undefined) emit(core, { type: 'erase', id, version: [1, ''], keep: [...erasing.keep] })
}

export function onErased(core: Core, id: string, outcome: Outcome<StoredState | undefined>): void {
  const holding = core.erasing.get(id)
  if (holding?.erasing === undefined) return
  if (holding.erasing.tries === 0) core.unsettled -= 1
  if ('failed' in outcome) return eraseFailed(core, holding, outcome.failed)
  finishErasing(core, holding)
  const before = durable(holding)
  // A marker says what was stored. The tombstone may have come by an append whose outcome nobody knows yet.
  for (const connection of subscribersOf(core, id)) viewOf(connection, id, before)
  holding.stored = outcome.value
  recount(holding)
  for (const connection of subscribersOf(core, id)) {
    const assumed = viewOf(connection, id, before)?.assumed
    if (assumed !== undefined && !covers(assumed, before)) tellErased(core, connection, holding)
    sendRest(core, connection, holding)
    if (connection.traits.upstream) reportConfirmed(core, connection, id)
    // What could not be given to an upstream is owed no longer.
    endIfUnwanted(core, connection, id)
  }
  if (!holding.looked) lookAgain(core, holding)
  relax(core, holding)
}

/** What may pass is tried again; closing waits for the first try only. */
function eraseFailed(core: Core, holding: Holding, cause: unknown): void {
  const { id, erasing } = holding
  const code = codeOf(cause)
  report(core, { kind: 'storage', operation: 'erase', id, code, cause })
  if (erasing === undefined) return
  if (code !== 'IO' && code !== 'BUSY' && code !== 'QUOTA') {
    finishErasing(core, holding)
    return relax(core, holding)
  }
  const { refusalBackoffMs, refusalBackoffMaxMs } = core.limits
  const waitMs = Math.min(refusalBackoffMs * 2 ** erasing.tries, refusalBackoffMaxMs)
  erasing.tries += 1
  core.deadlines.add(core.now + waitMs, () => request(core, holding))
}

function finishErasing(core: Core, holding: Holding): void {
  core.erasing.delete(holding.id)
  holding.erasing = undefined
  forget(core, holding)
}
