/**
 * The storage answered what it holds of a document, or failed to.
 *
 * L2: a failure is not absence; the look-up is repeated for as long as somebody waits for it. What waited is handled again from
 * the top (`lanes.ts`). Not here: what is answered.
 */
import type { StoredState } from '@tidemark/storage'
import { recount } from './appends.ts'
import { dropSlot } from './arrivals.ts'
import { type Core, type Holding, report } from './core.ts'
import type { Outcome } from './events.ts'
import { keeping, look, relax } from './holdings.ts'
import { replay } from './lanes.ts'
import { dropChanged, settleChanged, settleMarkers } from './on-changed.ts'
import { settleUnknown } from './settlement.ts'
import { codeOf } from './storage-codes.ts'

const BACKOFF_DOUBLINGS_MAX = 3

export function onLooked(core: Core, id: string, number: number, outcome: Outcome<StoredState | undefined>): void {
  const holding = core.holdings.get(id)
  // An answer to a look-up that nobody waits for any more.
  if (holding === undefined || holding.looking !== number) return
  if ('failed' in outcome) return lookFailed(core, holding, outcome.failed)
  settleMarkers(core, holding)
  const before = holding.stored
  holding.looking = 0
  holding.failures = 0
  holding.looked = true
  holding.stored = outcome.value
  recount(holding)
  keeping(core, holding, () => {
    settleUnknown(core, holding, before)
    settleChanged(core, holding)
    // An append that settled while this was looked up replayed nothing.
    replay(core, holding, 'append')
    replay(core, holding, 'look')
  })
}

function lookFailed(core: Core, holding: Holding, cause: unknown): void {
  report(core, { kind: 'storage', operation: 'look', id: holding.id, code: codeOf(cause), cause })
  holding.failures += 1
  // It says so again when it can be looked at.
  dropChanged(holding)
  // One document that cannot be read does not hold up what its writers sent after it.
  for (const { requests } of holding.lanes.values()) for (const request of requests) dropSlot(core, request)
  // `looking` stays set until the deadline, so that nobody asks in between.
  const waitMs = core.limits.lookBackoffMs * 2 ** Math.min(holding.failures - 1, BACKOFF_DOUBLINGS_MAX)
  replay(core, holding, 'look')
  if (holding.lanes.size === 0 && holding.pendings.size === 0) {
    holding.looking = 0
    relax(core, holding)
    return
  }
  const failed = holding.looking
  core.deadlines.add(core.now + waitMs, () => {
    if (core.holdings.get(holding.id) !== holding || holding.looking !== failed) return
    holding.looking = 0
    // Those whose patience is over are told here; for the others the storage is asked again.
    replay(core, holding, 'look')
    if (holding.lanes.size > 0 || holding.pendings.size > 0) look(core, holding)
    else relax(core, holding)
  })
}
