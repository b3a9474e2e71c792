/**
 * Appends: from accepted to the disk.
 *
 * Everything accepted in a turn goes to the storage as one batch, and while a batch is in flight the next one gathers (group
 * commit; decisions/005). L4: one append in flight per document; what queued meanwhile goes as one next append.
 * Not here: what is accepted (`on-content.ts`), in which order (`arrivals.ts`), what became of a batch (`settlement.ts`).
 */
import { type KnownState, union } from '@tidemark/known-state'
import { place } from './arrivals.ts'
import { type Connection, type Core, emit, type Holding, type Pending } from './core.ts'
import { durable } from './holdings.ts'
import { REQUEST_BYTES } from './lanes.ts'
import { charge } from './pools.ts'
import { endOf } from './senders.ts'
import { confirm, viewOf } from './views.ts'

/** One append, bytes as received. What gathered beyond it goes with the next, so that a burst does not hold up everything else. */
const BATCH_BYTES = 4 * 1024 * 1024
const BATCH_CONTENTS = 500

/** Takes responsibility for content: it continues what was accepted before. */
export function accept(core: Core, pending: Pending): void {
  const { holding, request } = pending
  holding.pendings.add(pending)
  core.unsettled += 1
  holding.accepted = union(holding.accepted, pending.ends)
  charge(core, request.connection, request.bytes + REQUEST_BYTES)
  place(core, pending)
}

/** Counts again what is accepted: what is durable and what is still on its way (L4). */
export function recount(holding: Holding): void {
  holding.accepted = durable(holding)
  for (const { ends } of holding.pendings) holding.accepted = union(holding.accepted, ends)
}

export interface Cut {
  readonly pending: Pending
  readonly ends: KnownState
}

/**
 * Drops what is queued of sessions that were refused, where it relies on what is not there: it continues it, or was judged by it.
 * What continues what is durable stays, whoever else was refused. Answers whose contents were cut, and where these ended; their senders are to be corrected.
 */
export function dropQueued(holding: Holding, refused: ReadonlySet<string>): readonly Cut[] {
  const held = new Map([...refused].map((session) => [session, durable(holding).sessions.get(session) ?? 0]))
  const cut: Cut[] = []
  for (const pending of holding.pendings) {
    const lost = new Set<string>()
    for (const { session, after, transactions } of pending.content.runs) {
      const have = held.get(session)
      if (have === undefined) continue
      if ((pending.basis.get(session) ?? 0) > have) lost.add(session)
      else held.set(session, Math.max(have, after + transactions.length))
    }
    if (lost.size === 0) continue
    cut.push({ pending, ends: pending.ends })
    cutSessions(pending, lost)
  }
  return cut
}

/**
 * What an application wrote where something was to stand that was refused is the first there: it has that, and is not given it. `before`: what
 * peers in step hold.
 */
export function believeOwn(holding: Holding, refused: ReadonlySet<string>, before: KnownState): void {
  if (refused.size === 0) return
  const { sessions } = durable(holding)
  const held = new Map([...refused].map((session) => [session, sessions.get(session) ?? 0]))
  for (const { request, content, believed } of holding.pendings) {
    const own = content.runs.filter(({ session, after, transactions }) => {
      const have = held.get(session)
      if (have === undefined) return false
      held.set(session, Math.max(have, after + transactions.length))
      return after >= have && request.connection.traits.local && !believed.has(session)
    })
    const view = own.length === 0 ? undefined : viewOf(request.connection, holding.id, before)
    if (view === undefined) continue
    for (const { session } of own) believed.add(session)
    confirm(view, { header: false, sessions: endOf({ ...content, runs: own }).sessions })
  }
}

function cutSessions(pending: Pending, sessions: ReadonlySet<string>): void {
  const { verifier, ...content } = pending.content
  const states = new Map([...(verifier ?? [])].filter(([session]) => !sessions.has(session)))
  pending.content = { ...content, runs: content.runs.filter(({ session }) => !sessions.has(session)), verifier: states }
  pending.ends = endOf(pending.content)
}

/** Called by `arrivals.ts`, in arrival order. */
export function enqueue(core: Core, pending: Pending): void {
  pending.ordered = true
  // L2: while it is unknown what became of an append, nothing more of its document is appended.
  pending.waits = isUnknown(pending.holding)
  if (pending.waits) return
  core.appends.queue.push(pending)
  gather(core)
}

function isUnknown(holding: Holding): boolean {
  return !holding.looked && [...holding.pendings].some(({ unknown }) => unknown !== undefined)
}

/** It is known what became of an append: what waited for that goes on. */
export function enqueueWaiting(core: Core, holding: Holding): void {
  for (const pending of holding.pendings) {
    if (!pending.waits) continue
    pending.waits = false
    core.appends.queue.push(pending)
  }
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
  const { batch: inFlight, left } = takeBatch(appends.queue)
  appends.inFlight = inFlight
  appends.queue = left
  const batch = inFlight.map((pending) => pending.content)
  const erasing = inFlight.filter(({ tombstones }) => tombstones.length > 0)
  const erases = erasing.map(({ holding, tombstones }) => ({ id: holding.id, keep: tombstones }))
  const isOwed = core.options.upstreamExpected === true
  emit(core, { type: 'append', batch, owed: isOwed ? owed(inFlight) : [], erases })
}

/** What came from anybody but an upstream is still to be sent there: an outbox marks it in the commit that stores it. */
function owed(batch: readonly Pending[]): readonly string[] {
  const own = batch.filter(({ request }) => !request.connection.traits.upstream)
  return [...new Set(own.map(({ holding }) => holding.id))]
}

/** The next batch, and what is left: more than one append takes, what repeats content of it, and what came behind that. */
function takeBatch(queue: readonly Pending[]): { batch: Pending[]; left: Pending[] } {
  const batch: Pending[] = []
  const left: Pending[] = []
  const heldUp = new Set<Connection | Holding>()
  let bytes = 0
  let index = 0
  for (const pending of queue) {
    const { holding, request } = pending
    bytes += request.bytes
    if (index > 0 && (bytes > BATCH_BYTES || index >= BATCH_CONTENTS)) break
    const isBehind = heldUp.has(holding) || heldUp.has(request.connection)
    if (index > 0 && (isBehind || repeats(pending))) {
      heldUp.add(holding).add(request.connection)
      left.push(pending)
    } else batch.push(pending)
    index += 1
  }
  return { batch, left: [...left, ...queue.slice(index)] }
}

/** What was taken for verified because the same is on its way waits until that is durable: were it not stored, this would be, unverified. */
function repeats({ holding, content, basis }: Pending): boolean {
  const { sessions } = durable(holding)
  return content.runs.some(
    ({ session, after }) => (basis.get(session) ?? 0) > Math.max(after, sessions.get(session) ?? 0),
  )
}
