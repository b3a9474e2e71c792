/**
 * Holdings: what this node itself holds of each document.
 *
 * L1: nothing is said about a document before the storage has been asked. `guard` is that gate: it gives the holding, or
 * parks the request and asks. A holding that nothing needs is forgotten at once, unless it was written to lately (then it is
 * kept with its last page, up to a limit); the next request asks the storage again.
 * Not here: what peers hold (`views.ts`), how content gets into a holding (`appends.ts`).
 */
import { EMPTY, type KnownState } from '@tidemark/known-state'
import { type Core, emit, type Holding, type Recent, type Request, ticket } from './core.ts'
import { park } from './lanes.ts'
import { refuseFailed } from './refusals.ts'

export function holdingOf(core: Core, id: string): Holding {
  const known = core.holdings.get(id)
  if (known !== undefined) {
    core.idle.delete(id)
    return known
  }
  const holding: Holding = {
    id,
    looked: false,
    looking: 0,
    failures: 0,
    stored: undefined,
    accepted: EMPTY,
    pendings: new Set(),
    erasing: undefined,
    lanes: new Map(),
    pins: 0,
    recent: undefined,
    awaits: undefined,
    changedFrom: undefined,
  }
  core.holdings.set(id, holding)
  return holding
}

/** The holding of the request's document, or `undefined` if the request was parked until the storage has answered. */
export function guard(core: Core, request: Request): Holding | undefined {
  const holding = holdingOf(core, request.id)
  if (holding.looked) return holding
  // L2: a look-up that keeps failing is said to have failed; it is never taken for absence.
  if (holding.failures > 0 && core.now - request.since >= patience(core, request)) {
    refuseFailed(core, request)
    relax(core, holding)
    return undefined
  }
  park(core, holding, request, 'look')
  look(core, holding)
  return undefined
}

/** How long a request waits for a look-up that fails. What we ask ourselves falls back at once (seed 000, US-3). */
function patience(core: Core, request: Request): number {
  const { action } = request.work
  if (action === 'ask' || action === 'push' || action === 'need' || action === 'compare') return 0
  return request.connection.traits.errors ? core.limits.lookTriesMs : core.limits.lookTriesSilentMs
}

/** Asks the storage, once: while a look-up or the wait before the next is under way, nothing is asked. */
export function look(core: Core, holding: Holding): void {
  if (holding.looking !== 0) return
  holding.looking = ticket(core)
  emit(core, { type: 'look', id: holding.id, ticket: holding.looking })
}

/** As `look`, also while a look-up is under way: what that will answer is out of date. */
export function lookAgain(core: Core, holding: Holding): void {
  holding.looking = 0
  look(core, holding)
}

export function durable(holding: Holding): KnownState {
  return holding.stored?.known ?? EMPTY
}

/** L3: what of it may be acknowledged; less than is held while too few layers of the storage have it. */
export function acknowledgeable(holding: Holding): KnownState {
  return holding.stored?.durable ?? durable(holding)
}

export function isAbsent(holding: Holding): boolean {
  return holding.stored === undefined && holding.accepted === EMPTY
}

/** Keeps the page that was just appended for those who are about to be sent it. */
export function remember(core: Core, holding: Holding, recent: Recent): void {
  const { bytes } = recent
  forget(core, holding)
  // Pages of holdings that slow readers need count too: what does not fit is read back by whoever is sent it.
  if (core.recentBytes + bytes > core.limits.recentBytesMax) evict(core, bytes)
  if (core.recentBytes + bytes > core.limits.recentBytesMax) return
  holding.recent = recent
  core.recentBytes += bytes
}

export function forget(core: Core, holding: Holding): void {
  core.recentBytes -= holding.recent?.bytes ?? 0
  holding.recent = undefined
}

/** To be called when something stopped needing a holding: forgets it, or keeps it among the idle ones. */
export function relax(core: Core, holding: Holding): void {
  if (holding.pins > 0 || holding.pendings.size > 0 || holding.lanes.size > 0) return
  if (holding.erasing !== undefined || holding.awaits !== undefined) return
  // One that was replaced by a newer holding of the same document has nothing more to say.
  if (core.holdings.get(holding.id) !== holding) return
  if (holding.looked && holding.recent !== undefined) core.idle.set(holding.id, holding)
  else core.holdings.delete(holding.id)
  evict(core, 0)
}

/** Does something that may let go of a holding, step by step, and lets go of it only at the end. */
export function keeping(core: Core, holding: Holding, work: () => void): void {
  holding.pins += 1
  work()
  holding.pins -= 1
  relax(core, holding)
}

/** Forgets idle holdings until there are few enough, and room for another page of `bytes`. */
function evict(core: Core, bytes: number): void {
  const { holdingsIdleMax, recentBytesMax } = core.limits
  const tooMuch = () => core.idle.size > holdingsIdleMax || core.recentBytes + bytes > recentBytesMax
  if (!tooMuch()) return
  for (const [id, holding] of core.idle) {
    if (!tooMuch()) return
    core.idle.delete(id)
    core.holdings.delete(id)
    forget(core, holding)
  }
}
