/**
 * Window: our own LOADs, bounded per connection.
 *
 * At most one LOAD of ours per connection and document is outstanding, and at most a window of them per upstream; what the user
 * opened overtakes what only reconnecting wants. A slot is freed by KNOWN, by the last page, by an error, by a deadline, by
 * disconnecting. Not here: which documents to ask for (the shells), dependencies first (`asking-order.ts`).
 */
import { covers, EMPTY, type KnownState } from '@tidemark/known-state'
import { dependenciesAsked, hasLeft } from './asking-order.ts'
import { allowed } from './checks.ts'
import { sendLoad } from './claims.ts'
import { type Asked, type Connection, type Core, IN_STEP, type Request, send, type View } from './core.ts'
import type { ConnectionId } from './events.ts'
import { durable, guard } from './holdings.ts'
import { enter, waitsForAppends } from './lanes.ts'
import { endIfUnwanted } from './on-done.ts'
import { createView, isWanted, roomFor, subscribe } from './views.ts'

/** Why a document is asked for, most urgent first. */
export type Urgency = 'user' | 'outbox' | 'reconcile'
const URGENCIES: readonly Urgency[] = ['user', 'outbox', 'reconcile']

/** Asks a peer for a document when there is room in its window; asked again, a waiting one may become more urgent. */
export function askPeer(core: Core, connection: Connection, id: string, urgency: Urgency): void {
  if (connection.asked.has(id)) return
  const rank = URGENCIES.indexOf(urgency)
  if (isCrowded(core, connection, rank)) return
  for (const [other, queue] of connection.toAsk.entries()) {
    if (other <= rank && queue.has(id)) return
    queue.delete(id)
  }
  connection.toAsk[rank]?.add(id)
  fillWindow(core, connection)
}

/** L10: what a stranger's content names is asked of it as far as there is room; what depends on the rest is forwarded a while later. */
function isCrowded(core: Core, { traits, toAsk }: Connection, rank: number): boolean {
  return !traits.upstream && (toAsk[rank]?.size ?? 0) >= core.limits.loadsInFlightMax
}

/** The place in the order is taken here, and filled when the look-up has answered. */
function fillWindow(core: Core, connection: Connection): void {
  for (const [rank, queue] of connection.toAsk.entries()) {
    if (rank > 0 && !refills(core, connection, queue.size)) return
    for (const id of queue) {
      if (connection.asked.size >= core.limits.loadsInFlightMax) return
      queue.delete(id)
      if (rank === 0 && !isStillWanted(core, connection, id)) continue
      takePlace(core, connection, id)
    }
  }
}

/** What nobody waits for is asked for many at a time, so that it is looked up in bulk: when half of the window is free. */
function refills(core: Core, connection: Connection, waiting: number): boolean {
  const { loadsInFlightMax } = core.limits
  return loadsInFlightMax - connection.asked.size >= Math.min(waiting, loadsInFlightMax / 2)
}

/** As `askPeer`, however full the window is and whatever waits in it: somebody's LOAD is behind this one. */
export function askNow(core: Core, connection: Connection, id: string): void {
  if (connection.asked.has(id)) return
  for (const queue of connection.toAsk) queue.delete(id)
  takePlace(core, connection, id)
}

function takePlace(core: Core, connection: Connection, id: string): void {
  noteAsked(core, connection, id)
  enter(core, connection, id, { action: 'ask' })
}

/** A LOAD of ours was not answered: it is said again, unless nobody waits for the answer any more. */
function askOrEnd(core: Core, connection: Connection, id: string): void {
  if (isStillWanted(core, connection, id)) askPeer(core, connection, id, 'outbox')
  else endIfUnwanted(core, connection, id)
}

/** Whoever wanted a document may have gone while the LOAD for it waited; what was written here is still owed. */
export function isStillWanted(core: Core, connection: Connection, id: string): boolean {
  if (!connection.traits.upstream || isWanted(core, id, connection) || core.owed.has(id)) return true
  if (core.awaited.has(id)) return true
  const lanes = core.holdings.get(id)?.lanes.values() ?? []
  return [...lanes].some((lane) => lane.waiting === 'upstream')
}

export function onAsk(core: Core, request: Request): void {
  const { connection, id } = request
  const may = allowed(core, request, 'read')
  if (may === undefined) return
  const holding = guard(core, request)
  if (holding === undefined) return
  // L3: a LOAD says what we hold, and what is not durable may still fail.
  if (waitsForAppends(core, holding, request)) return
  const belief = connection.views.get(id)
  // Its belief is as good as an answer: it came while the look-up ran.
  const isAnswered = belief === IN_STEP || (belief?.assumed !== undefined && !belief.mayHold)
  if (isAnswered) return freed(core, connection, id)
  if (!dependenciesAsked(core, request, holding)) return
  if (belief === undefined) subscribe(core, connection, id, createView(EMPTY, undefined, may))
  // Who may not read is not told either what is held.
  sendLoad(core, connection, holding, may ? durable(holding) : EMPTY)
}

/** Our own look-up failed: asks with nothing, which costs a download and loses nothing (seed 000, US-3). */
export function askFailed(core: Core, connection: Connection, id: string): void {
  if (!connection.views.has(id))
    subscribe(core, connection, id, createView(EMPTY, undefined, connection.traits.upstream))
  noteAsked(core, connection, id)
  send(core, connection, { action: 'load', id, known: EMPTY })
  hasLeft(core, connection, id)
}

/** A LOAD has a place, or was sent without one. */
export function noteAsked(core: Core, connection: Connection, id: string): Asked {
  const known = connection.asked.get(id)
  if (known !== undefined) return known
  const entry: Asked = { since: core.now, said: undefined, behind: undefined }
  connection.asked.set(id, entry)
  // All have equally long, so they expire in order: one deadline is enough, for the oldest.
  if (connection.asked.size === 1) expireLater(core, connection, entry)
  return entry
}

function expireLater(core: Core, connection: Connection, oldest: Asked): void {
  if (connection.expiring) return
  connection.expiring = true
  core.deadlines.add(oldest.since + core.limits.loadTimeoutMs, () => {
    connection.expiring = false
    for (const [id, entry] of connection.asked) {
      if (entry.since + core.limits.loadTimeoutMs > core.now) return expireLater(core, connection, entry)
      freed(core, connection, id)
      // As of one that could not answer.
      if (connection.traits.upstream) askLater(core, connection, id, core.limits.askAgainMs)
    }
  })
}

/**
 * Asks again for a document that a peer has not answered for. However many errors it sends, one deadline waits for each document (L10),
 * and none keeps a connection alive that is gone.
 */
export function askLater(core: Core, connection: Connection, id: string, waitMs: number): void {
  const belief = connection.views.get(id)
  if (belief === undefined || belief === IN_STEP || belief.assumed !== undefined || belief.asksAgain) return
  belief.asksAgain = true
  againLater(core, connection.id, id, waitMs)
}

function againLater(core: Core, peer: ConnectionId, id: string, waitMs: number): void {
  core.deadlines.add(core.now + waitMs, () => {
    const connection = core.connections.get(peer)
    const belief = connection?.views.get(id)
    if (connection === undefined || belief === undefined || belief === IN_STEP) return
    // Of a subscription that began since, another deadline may wait: then this one asks in its place.
    const asks = belief.asksAgain && belief.assumed === undefined
    belief.asksAgain = false
    if (asks) askOrEnd(core, connection, id)
  })
}

/** More is stored of a document by now than a LOAD of ours said. */
export function outdate(connection: Connection, id: string): void {
  const entry = connection.asked.get(id)
  if (entry !== undefined) entry.said = undefined
}

/** Content came for a document that we may have asked for: the last of its pages frees the slot. */
export function notePage(
  core: Core,
  connection: Connection,
  id: string,
  view: View,
  held: KnownState,
  until: KnownState | undefined,
): void {
  if (!connection.asked.has(id)) return
  if (until !== undefined) view.until = announced(core, connection, until)
  if (view.until === undefined || covers(held, view.until)) freed(core, connection, id)
}

/** L10: of what a stranger announces no more is remembered than there is room for; its slot is free a little sooner then. */
function announced(core: Core, connection: Connection, until: KnownState): KnownState {
  const room = roomFor(core, connection)
  if (until.sessions.size <= room) return until
  return { header: until.header, sessions: new Map([...until.sessions].slice(0, room)) }
}

/** Our LOAD was answered, refused or given up: its slot is free. */
export function freed(core: Core, connection: Connection, id: string): void {
  if (!connection.asked.delete(id)) return
  const belief = connection.views.get(id)
  if (belief !== undefined && belief !== IN_STEP) belief.until = undefined
  hasLeft(core, connection, id)
  fillWindow(core, connection)
}
