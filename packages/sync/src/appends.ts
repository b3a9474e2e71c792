/**
 * Appends: from accepted to the disk.
 *
 * Everything accepted in a turn goes to the storage as one batch, and while a batch is in flight the next one gathers (group
 * commit; decisions/005). L4: one append in flight per document; what queued meanwhile goes as one next append.
 * Not here: what is accepted (`on-content.ts`), in which order (`arrivals.ts`), what became of a batch (`settlement.ts`).
 */
import { type KnownState, union } from '@tidemark/known-state'
import { place } from './arrivals.ts'
import { type Core, emit, type Holding, type Pending } from './core.ts'
import { durable } from './holdings.ts'
import { charge } from './lanes.ts'

/** One append, bytes as received. What gathered beyond it goes with the next. */
const BATCH_BYTES = 16 * 1024 * 1024

/** Takes responsibility for content: it continues what was accepted before. */
export function accept(core: Core, pending: Pending): void {
  const { holding, request } = pending
  holding.pendings.add(pending)
  core.unsettled += 1
  count(holding, pending, undefined)
  charge(core, request.connection, request.bytes)
  place(core, pending)
}

/**
 * Counts again what is accepted: what is durable and what is still on its way (L4). Of a session that was refused nothing that is on
 * its way counts: it continues what is not there.
 */
export function recount(holding: Holding, refused: ReadonlySet<string>): void {
  holding.accepted = durable(holding)
  holding.verifying = undefined
  for (const pending of holding.pendings) count(holding, pending, refused)
}

function count(holding: Holding, pending: Pending, refused: ReadonlySet<string> | undefined): void {
  holding.accepted = union(holding.accepted, refused === undefined ? pending.ends : without(pending.ends, refused))
  for (const [session, state] of pending.content.verifier ?? []) {
    if (refused?.has(session)) continue
    holding.verifying ??= new Map()
    holding.verifying.set(session, state)
  }
}

function without(known: KnownState, sessions: ReadonlySet<string>): KnownState {
  if (sessions.size === 0) return known
  return { header: known.header, sessions: new Map([...known.sessions].filter(([session]) => !sessions.has(session))) }
}

/** Called by `arrivals.ts`, in arrival order. */
export function enqueue(core: Core, pending: Pending): void {
  core.appends.queue.push(pending)
  gather(core)
}

/** Has the next batch taken at the end of the turn, unless one is in flight. */
export function gather(core: Core): void {
  const { appends } = core
  if (appends.gathering || appends.inFlight !== undefined || appends.queue.length === 0) return
  appends.gathering = true
  emit(core, { type: 'gather' })
}

export function onGathered(core: Core): void {
  const { appends } = core
  appends.gathering = false
  if (appends.inFlight !== undefined || appends.queue.length === 0) return
  appends.inFlight = takeBatch(appends.queue)
  emit(core, { type: 'append', batch: appends.inFlight.map((pending) => pending.content) })
}

function takeBatch(queue: Pending[]): Pending[] {
  let bytes = 0
  const end = queue.findIndex((pending) => {
    bytes += pending.request.bytes
    return bytes > BATCH_BYTES
  })
  return queue.splice(0, end === -1 ? queue.length : Math.max(end, 1))
}
